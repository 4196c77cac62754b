"""Where a tensor's elements lie: drawn in place on CPUs, through two blocks of host memory on other devices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..weights.foreign import as_tensor, count_change, is_tensor, tensor_memory
from ..weights.regions import parts
from ..words import printable, shown
from .framework import torch
from .sharding import Slices, blocks, is_distributed

Fill = Callable[[Slices, NDArray[Any]], object]
"""Draws a region of the whole tensor into an array."""

# Elements of a block of host memory: long enough that a copy is not about its start.
MOST_AT_A_TIME = 1 << 24


def tensor(array: NDArray[Any]) -> Any:
    """Return a tensor over an array's memory, of bfloat16 and float8 too.

    Parameters
    ----------
    array
        What `fastinit.init` and the others return, or any array of a type that PyTorch has.

    Returns
    -------
    torch.Tensor
        On the CPU; nothing is copied, so that a change of one is one of the other.

    Raises
    ------
    TypeError
        No array, or one of a type that PyTorch lacks.

    Examples
    --------
    >>> import fastinit as fi, fastinit.torch
    >>> w = fi.normal((3, 4), seed=0, dtype="bfloat16")
    >>> t = fastinit.torch.tensor(w)
    >>> t.dtype, t.data_ptr() == w.ctypes.data
    (torch.bfloat16, True)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"argument 'array' must be a NumPy array, got {printable(type(array).__name__)}")
    try:
        return as_tensor(array)
    except (TypeError, ValueError) as error:  # a type, or negative strides
        raise TypeError(f"argument 'array' must be one that PyTorch can share, got {shown(array)}: {error}") from None


def array(tensor: Any) -> NDArray[Any]:
    """Return an array over a tensor's memory, of bfloat16 and float8 too, whether or not it requires gradients.

    Parameters
    ----------
    tensor
        A dense tensor in the CPU's memory.

    Returns
    -------
    ndarray
        Nothing is copied.

    Raises
    ------
    TypeError
        No such tensor.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> fastinit.torch.array(torch.nn.Linear(3, 2, dtype=torch.bfloat16).weight).dtype
    dtype(bfloat16)
    """
    found = tensor_memory(tensor)
    if found is None:
        raise TypeError(
            "argument 'tensor' must be a dense tensor of PyTorch in the CPU's memory, got "
            f"{printable(type(tensor).__name__)}{f' on {tensor.device}' if is_tensor(tensor) else ''}"
        )
    return found


def write(tensor: Any, fill: Fill) -> None:
    """Draw all of a tensor that this process holds, in place; autograd sees one change, as of PyTorch's own functions.

    Parameters
    ----------
    tensor
        Of any strides, on any device, distributed or not.
    fill
        Called with a region of the whole tensor and an array of its shape; one call for all where that is possible.
    """
    with torch.no_grad():
        for region, part in blocks(tensor):
            memory = tensor_memory(part)
            if memory is None:
                _through_host(region, part, fill)
            else:
                fill(region, memory)
                count_change(part)
        if is_distributed(tensor):
            count_change(tensor)


def _through_host(region: Slices, part: Any, fill: Fill) -> None:
    """Draw blocks into two host buffers in turn, one while the other is copied to the device."""
    is_cuda = part.device.type == "cuda"
    most = min(MOST_AT_A_TIME, part.numel())
    hosts: list[Any] = [None, None]
    copied: list[Any] = [None, None]
    for turn, box in enumerate(parts(tuple((0, n) for n in part.shape), MOST_AT_A_TIME)):
        slot = turn % 2
        if copied[slot] is not None:
            copied[slot].synchronize()
        if hosts[slot] is None:
            hosts[slot] = torch.empty(most, dtype=part.dtype, device="cpu", pin_memory=is_cuda)
        sizes = tuple(n for _, n in box)
        block = hosts[slot][: math.prod(sizes)].view(sizes)
        fill(tuple(slice(r.start + i, r.start + i + n) for r, (i, n) in zip(region, box, strict=True)), array(block))
        part[(*(slice(i, i + n) for i, n in box), ...)].copy_(block, non_blocking=is_cuda)
        if is_cuda:
            copied[slot] = torch.cuda.Event()
            copied[slot].record(torch.cuda.current_stream(part.device))
