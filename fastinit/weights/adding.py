"""Draws added to what an array holds, block by block: evolution strategies, MeZO, antithetic pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastinit_kernels.machine.forks import whole
from numpy.typing import NDArray

from ..words import check_finite, shown
from .dtypes import DTYPES, arithmetic, exact_of, is_complex, part_of
from .regions import Region, flat_view, geometry, parts, within
from .sampled import Law, Tensor, check_range, pairs

# Elements drawn at a time: few enough to stay in cache until they are added.
_AT_A_TIME = 1 << 18


def check_add(add: Any, out: object, dtype: str) -> float | None:
    """Return the factor of what is drawn, or None where it takes the place of what is there."""
    if add is None:
        return None
    if out is None:
        raise ValueError(f"argument 'add' must come with out, the array to add to, got {shown(add)}")
    if add is True:
        return 1.0
    factor = check_finite("add", add)
    check_range("add", factor, arithmetic(dtype))
    return factor


def exact(tensor: Tensor) -> Tensor:
    """Return the tensor whose elements are those to add: in the type of the computation."""
    return tensor._replace(dtype=exact_of(tensor.dtype))


def add_drawn(law: Law, tensor: Tensor, region: Region, out: NDArray[Any], factor: float) -> None:
    """Add factor times the region of the tensor to `out`, of the region's shape; everything has been checked."""
    if not out.size:
        return
    source, blocks = exact(tensor), getattr(law, "blocks", None)
    for part in parts(region, _AT_A_TIME) if blocks is None else blocks(tensor, region, _AT_A_TIME):
        sizes = [n for _, n in part]
        drawn = np.empty(sizes, DTYPES[source.dtype])
        law.fill(source, part, drawn)
        block = out[within(part, region)]
        if is_complex(tensor.dtype):
            _add(part_of(tensor.dtype), pairs(block), pairs(drawn), factor)
        else:
            _add(tensor.dtype, block, drawn, factor)


def _add(dtype: str, out: NDArray[Any], drawn: NDArray[Any], factor: float) -> None:
    with whole:
        from fastinit_kernels.fill.adding import add
        from fastinit_kernels.fill.draw import stored_type

    view = flat_view(out.view(stored_type(dtype)))
    if view is None:  # strides that no flat view expresses
        beside = out.copy()
        _add(dtype, beside, drawn, factor)
        out[...] = beside
        return
    flat, strides, offset = view
    everything = tuple((0, n) for n in out.shape)
    add(dtype, flat, geometry(everything, out.shape, strides, offset), drawn, factor)
