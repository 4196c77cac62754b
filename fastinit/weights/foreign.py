"""Tensors and types of PyTorch, known by what their caller has loaded: nothing is imported here."""

from __future__ import annotations

import sys
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from ..words import attribute

# Types that PyTorch has and NumPy has not: what carries their bits from one to the other.
_CARRIED = {
    "bfloat16": ("int16", np.dtype(ml_dtypes.bfloat16)),
    "float8_e4m3fn": ("uint8", np.dtype(ml_dtypes.float8_e4m3fn)),
    "float8_e5m2": ("uint8", np.dtype(ml_dtypes.float8_e5m2)),
}


def is_tensor(value: object) -> bool:
    """Say whether it is a tensor of PyTorch."""
    kind = attribute(sys.modules.get("torch"), "Tensor")
    return isinstance(kind, type) and isinstance(value, kind)


def tensor_dtype(value: object) -> str | None:
    """Return the name of one of PyTorch's types, None for what is none."""
    kind = attribute(sys.modules.get("torch"), "dtype")
    return str(value).rpartition(".")[2] if isinstance(kind, type) and isinstance(value, kind) else None


def tensor_memory(tensor: Any) -> NDArray[Any] | None:
    """Return an array over a tensor's own memory.

    None for what is no tensor, and where there is no such memory: of other devices, of sparse and quantized tensors, of
    those whose elements are kept conjugated or negated, and of classes that have theirs elsewhere (distributed, fake).
    """
    if not is_tensor(tensor):
        return None
    torch = sys.modules["torch"]
    if tensor.device.type != "cpu" or tensor.layout is not torch.strided:
        return None
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return None
    carrier, dtype = _CARRIED.get(tensor_dtype(tensor.dtype) or "", (None, None))
    try:
        bare = tensor.detach()
        found: NDArray[Any] = bare.numpy() if carrier is None else bare.view(getattr(torch, carrier)).numpy()
        return found if dtype is None else found.view(dtype)
    except (TypeError, RuntimeError):  # no type of NumPy's, lazily conjugated or negated, a transformation's
        return None


def count_change(tensor: Any) -> None:
    """Tell PyTorch's autograd that a tensor is written to, as each of its own functions does."""
    if not tensor.is_inference():
        sys.modules["torch"].autograd.graph.increment_version(tensor)


def as_tensor(array: NDArray[Any]) -> Any:
    """Return a tensor over an array's memory."""
    torch: Any = sys.modules["torch"]
    for name, (carrier, dtype) in _CARRIED.items():
        if array.dtype == dtype:
            return torch.from_numpy(array.view(carrier)).view(getattr(torch, name))
    return torch.from_numpy(array)
