"""Tensors that somebody holds, whatever holds them: arrays of any framework, or a checkpoint's files.

No framework is imported: what has a framework's tensor has imported it.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from ..files import path_name
from ..weights.regions import Shape
from ..weights.streams import check_name
from ..words import attribute, in_short, plain_array, plain_string, printable, shown
from .safetensors import Stored
from .stored import Checkpoint

# Types of NumPy and ml_dtypes whose values are numbers.
_NAMES = (
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128", "bool",
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
)  # fmt: skip
NUMBERS = {name: np.dtype(getattr(ml_dtypes, name, name)) for name in _NAMES}
# Nested mappings of parameters, as Flax has them.
_DEEPEST = 32


@dataclass(frozen=True)
class Held:
    """A tensor: its name, shape and type, and how its values are had when they are wanted.

    Attributes
    ----------
    dtype
        Its name; values of a type that is none of `NUMBERS` are never asked for.
    """

    name: str
    shape: Shape
    dtype: str
    array: Callable[[], NDArray[Any]]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Holding(NamedTuple):
    """Tensors by name, and the checkpoint that they are in, None for those in memory."""

    tensors: dict[str, Held]
    checkpoint: Checkpoint | None = None


def hold(tensors: Any) -> Holding:
    """Return what there is of a mapping of names to arrays (nested ones too), a module, or a checkpoint.

    Raises
    ------
    ValueError, TypeError, OSError
        Naming the tensor or the file that cannot be read.
    """
    if isinstance(tensors, Mapping):
        return Holding({held.name: held for held in _of_mapping(tensors, "", 0)})
    if isinstance(tensors, str | bytes | os.PathLike):
        return _of_checkpoint(Checkpoint(path_name(tensors)))
    state = attribute(tensors, "state_dict")
    if callable(state):
        try:
            return hold(dict(state()))
        except Exception as error:  # the module's own code
            if isinstance(error, TypeError | ValueError) and str(error).startswith("argument "):
                raise
            raise TypeError(f"argument 'tensors' must have a state_dict() that works: {in_short(str(error))}") from None
    raise TypeError(
        "argument 'tensors' must be a mapping of names to arrays, a module with a state_dict, or the path of a "
        f"safetensors file, its index or their folder, got {shown(tensors)}"
    )


def _of_mapping(tensors: Mapping[Any, Any], before: str, depth: int) -> Iterator[Held]:
    if depth > _DEEPEST:
        raise ValueError(f"argument 'tensors' must be nested at most {_DEEPEST} deep, got more at {shown(before)}")
    for key, value in dict(tensors).items():
        if plain_string(key) is None:
            raise TypeError(f"argument 'tensors' must have names that are strings, got {shown(key)}")
        name = check_name(before + str.__str__(key))
        if isinstance(value, Mapping):
            yield from _of_mapping(value, f"{name}/", depth + 1)
        elif value is not None:
            yield _of_array(name, value)


def _of_array(name: str, value: Any) -> Held:
    convert = _torch_array if _is_torch(value) else plain_array
    dtype = (plain_string(attribute(attribute(value, "dtype"), "name")) or str(attribute(value, "dtype"))).split(".")[
        -1
    ]
    shape = attribute(value, "shape")
    try:
        sizes = tuple(map(int, shape))
    except Exception:  # no array, or one that fails
        dtype, sizes = "", ()
    if dtype not in NUMBERS:
        plain = plain_array(value)
        dtype, sizes = plain.dtype.name, plain.shape
    if dtype not in NUMBERS:
        raise _refusal(name, "an array of numbers", value)
    if attribute(attribute(value, "device"), "type") == "meta":
        raise _refusal(name, "an array with values, not one on the meta device", value)
    return Held(name, sizes, dtype, lambda: _checked(name, value, convert(value), dtype, sizes))


def _checked(name: str, value: Any, array: NDArray[Any], dtype: str, shape: Shape) -> NDArray[Any]:
    if array.shape != shape or array.dtype.name != dtype:
        raise _refusal(name, f"an array of shape {shape} and dtype {dtype} that NumPy can read", value)
    return array


def _refusal(name: str, rule: str, value: object) -> TypeError:
    return TypeError(f"argument 'tensors' must hold {rule} as {printable(name)[:200]}, got {shown(value)}")


def _is_torch(value: object) -> bool:
    torch = sys.modules.get("torch")
    tensor = attribute(torch, "Tensor")
    return isinstance(tensor, type) and isinstance(value, tensor)


# Types that torch has and NumPy lacks -> torch's integer of their size.
_AS_INTEGERS = {"bfloat16": "int16", "float8_e4m3fn": "uint8", "float8_e5m2": "uint8"}


def _torch_array(value: Any) -> NDArray[Any]:
    """Return a tensor's memory as an array, or a copy of it where NumPy cannot see that: 16-bit types by their bits."""
    torch = sys.modules["torch"]
    try:
        plain = value.detach().cpu().resolve_conj().resolve_neg()
        dtype = str(plain.dtype).removeprefix("torch.")
        integer = _AS_INTEGERS.get(dtype)
        if integer is None:
            return np.asarray(plain.numpy())
        return np.asarray(plain.contiguous().view(getattr(torch, integer)).numpy()).view(NUMBERS[dtype])
    except Exception:  # a sharded or a sparse tensor, or one of somebody's own
        return np.asarray(None)


def _of_checkpoint(found: Checkpoint) -> Holding:
    tensors = {
        name: Held(check_name(name), stored.shape, stored.dtype, _mapped(path, stored))
        for path, header in found.headers.items()
        for name, stored in header.tensors.items()
    }
    return Holding({name: tensors[name] for name in found.tensors}, found)


def _mapped(path: str, stored: Stored) -> Callable[[], NDArray[Any]]:
    def array() -> NDArray[Any]:
        kind = NUMBERS[stored.dtype]
        if stored.begin == stored.end:
            return np.empty(stored.shape, kind)
        mapped = np.memmap(path, np.uint8, "r", stored.begin, (stored.end - stored.begin,))
        return np.asarray(mapped.view(kind).reshape(stored.shape))

    return array
