"""Which part of a tensor this process holds: distributed tensors of any mesh and any placement.

PyTorch has no public function for it, and its private one gives the first place of a part that may be in several. All
that is used here is public but one attribute: `split_factor`, by which the placement of a tensor that is sharded by
tensor parallelism first and by `fully_shard` then (the private class `_StridedShard`) differs from a `Shard`. Were it
gone, such a tensor's local sizes would not be those computed here, and it would be refused.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ..words import attribute, shown

Slices = tuple[slice, ...]
Spans = list[tuple[int, int]]
"""(first, one after the last) indices of an axis, in the order in which they lie in the local part."""


def is_distributed(tensor: Any) -> bool:
    """Say whether it is a DTensor."""
    kind = attribute(sys.modules.get("torch.distributed.tensor"), "DTensor")
    return isinstance(kind, type) and isinstance(tensor, kind)


def blocks(tensor: Any) -> Iterator[tuple[Slices, Any]]:
    """Yield (region of the whole tensor, view of the memory that it lies in) for all that this process holds.

    Raises
    ------
    ValueError
        A placement that keeps no elements (of partial sums) or is not known.
    """
    if not is_distributed(tensor):
        yield tuple(slice(0, n) for n in tensor.shape), tensor
        return
    local, mesh = tensor.to_local(), tensor.device_mesh
    here = mesh.get_coordinate()
    if here is None:  # this process has no part in it
        return
    spans = [held(n, axis, tensor.placements, tuple(mesh.shape), here) for axis, n in enumerate(tensor.shape)]
    sizes = tuple(sum(stop - start for start, stop in axis) for axis in spans)
    if sizes != tuple(local.shape):
        raise ValueError(
            f"argument 'module' must have distributed tensors with placements that are known, got {tensor.placements} "
            f"of shape {tuple(tensor.shape)} with {tuple(local.shape)} here, where {sizes} was expected"
        )
    for region in itertools.product(*map(_placed, spans)):
        yield tuple(whole for whole, _ in region), local[(*(own for _, own in region), ...)]


def held(size: int, axis: int, placements: Sequence[Any], mesh: Sequence[int], here: Sequence[int]) -> Spans:
    """Return the indices of an axis that the process at a coordinate of the mesh holds."""
    spans = [(0, size)]
    for placement, processes, index in zip(placements, mesh, here, strict=True):
        along = attribute(placement, "dim")
        if placement.is_replicate():
            continue
        if placement.is_partial() or not isinstance(along, int):
            raise ValueError(
                "argument 'module' must have distributed tensors that are replicated or sharded, "
                f"got {shown(placement)}"
            )
        if along != axis:
            continue
        outer = int(attribute(placement, "split_factor") or 1)
        spans = [span for part in range(outer) for span in _chunk(_chunk(spans, outer, part), processes, index)]
    return spans


def _chunk(spans: Spans, count: int, index: int) -> Spans:
    """Return one of `count` chunks as `torch.chunk` cuts them: equal ones, then a shorter one, then empty ones."""
    total = sum(stop - start for start, stop in spans)
    size = (total + count - 1) // count
    first, last = min(index * size, total), min((index + 1) * size, total)
    found, passed = [], 0
    for start, stop in spans:
        low, high = max(start, start + first - passed), min(stop, start + last - passed)
        if low < high:
            found.append((low, high))
        passed += stop - start
    return found


def _placed(spans: Spans) -> list[tuple[slice, slice]]:
    """Return (indices of the whole axis, of the local one) of each run of indices that follow on each other."""
    runs: list[list[int]] = []
    for start, stop in spans:
        if runs and runs[-1][1] == start:
            runs[-1][1] = stop
        else:
            runs.append([start, stop])
    found, passed = [], 0
    for start, stop in runs:
        found.append((slice(start, stop), slice(passed, passed + stop - start)))
        passed += stop - start
    return found
