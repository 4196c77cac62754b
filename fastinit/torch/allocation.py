"""Meta modules: memory for all of it once, and the buffers that a module computes for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastinit_kernels.machine.memory import prefer_large_pages

from ..weights.foreign import tensor_memory
from ..words import printable
from .framework import torch
from .naming import Held, buffers, parameters
from .sharding import blocks

Recompute = Callable[[Any], object]
"""What gives a module's buffers their values."""

_MOST_LISTED = 12


def allocate(module: Any, device: Any = None) -> list[Held]:
    """Give each tensor on the meta device memory, and return those that have it from now on, without values.

    Tensors that had values keep them; those that modules share they share again, which `Module.to_empty` ends.

    Parameters
    ----------
    device
        None for the devices of a distributed tensor's mesh, or the default device.
    """
    held = [*parameters(module), *buffers(module)]
    fresh = [each for each in held if each.tensor.is_meta]
    if not fresh:
        return []
    kept = [(each, each.tensor, each.tensor.data) for each in held if not each.tensor.is_meta]
    words = [(each, dict(vars(each.tensor))) for each in fresh]
    module.to_empty(device=_device(fresh) if device is None else device)
    for each, tensor, values in kept:
        setattr(each.owner, each.leaf, tensor)
        tensor.data = values
    for each in held:
        each.share()
    for each, further in words:
        for key, value in further.items():
            vars(each.tensor).setdefault(key, value)
    for each in fresh:
        _prefer_large_pages(each.tensor)
    return fresh


def _prefer_large_pages(tensor: Any) -> None:
    for _, part in blocks(tensor):
        memory = tensor_memory(part)
        if memory is not None and memory.flags.c_contiguous:
            prefer_large_pages(memory.ctypes.data, memory.nbytes)


def _device(fresh: list[Held]) -> Any:
    meshes = [each.tensor.device_mesh for each in fresh if hasattr(each.tensor, "device_mesh")]
    return meshes[0].device_type if meshes else torch.get_default_device()


def recomputation(module: Any, owner: Any) -> Recompute | None:
    """Return what computes the buffers of one of a module's modules, None if nobody knows.

    In this order: `reset_running_stats` (of normalisations), `reset_buffers`, `_init_weights` of a model of Hugging
    Face, which does that for each module, `reset_parameters`.
    """
    for name in ("reset_running_stats", "reset_buffers"):
        if callable(getattr(owner, name, None)):
            return lambda owner: getattr(owner, name)()
    if hasattr(module, "config") and callable(getattr(module, "_init_weights", None)):
        return lambda owner: module._init_weights(owner)
    return (lambda owner: owner.reset_parameters()) if callable(getattr(owner, "reset_parameters", None)) else None


def recompute(module: Any, fresh: list[Held], given: Recompute | None) -> list[Held]:
    """Compute the buffers among tensors without values; return those that are still without."""
    before = [(each, each.tensor, each.tensor._version) for each in fresh]
    owners = {id(owner): owner for each in fresh for owner in (each.owner, *(other.owner for other in each.others))}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for owner in owners.values():
            compute = given or recomputation(module, owner)
            if compute is not None:
                compute(owner)
    return [each for each, tensor, version in before if is_untouched(each, tensor, version)]


def is_untouched(held: Held, tensor: Any, version: int) -> bool:
    """Say whether nobody has written to a tensor since, or put another in its place."""
    return held.tensor is tensor and tensor._version == version


def listed(names: list[str]) -> str:
    """Return names as a refusal lists them."""
    more = len(names) - _MOST_LISTED
    return ", ".join(map(printable, names[:_MOST_LISTED])) + (f" and {more} more" if more > 0 else "")
