"""The types that weights may have: one table, and how a caller may name them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import ml_dtypes
import numpy as np

from ..words import plain_string, shown, unknown
from .foreign import tensor_dtype

DTYPES = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "complex64": np.dtype(np.complex64),
    "complex128": np.dtype(np.complex128),
}

# Of a complex type: that of its two parts.
PARTS = {"complex64": "float32", "complex128": "float64"}


def check_dtype(dtype: object, accepted: Collection[str] = DTYPES) -> str:
    """Return the name of a type given by name or by anything that NumPy takes for it, in native byte order."""
    # Strings first: NumPy knows the name "bfloat16" only by courtesy of ml_dtypes.
    name = plain_string(dtype) or tensor_dtype(dtype)
    if name in accepted:
        return str(name)
    wanted = None if dtype is None else _numpy_dtype(dtype if name is None else name)  # None would be float64
    for known in accepted:
        if wanted is not None and wanted.isnative and wanted == DTYPES[known]:
            return known
    if name is not None:
        raise unknown("dtype", dtype, accepted)
    kind = ValueError if isinstance(dtype, np.dtype | type) else TypeError
    raise kind(f"argument 'dtype' must be one of {', '.join(sorted(accepted))}, got {shown(dtype)}")


def _numpy_dtype(dtype: Any) -> np.dtype[Any] | None:
    try:
        wanted: np.dtype[Any] = np.dtype(dtype)
        return wanted
    except Exception:  # NumPy evaluates what it is given: "," is a SyntaxError, and objects run code of their own
        return None


def compute_type(dtype: str) -> type[np.floating[Any]]:
    """Return the type in which a dtype's values are computed before their one rounding."""
    return np.float64 if arithmetic(dtype) == "float64" else np.float32


def arithmetic(dtype: str) -> str:
    """Return the name of that type; of a complex number's parts."""
    return "float64" if part_of(dtype) == "float64" else "float32"


def is_complex(dtype: str) -> bool:
    """Say whether elements have a real and an imaginary part."""
    return dtype in PARTS


def part_of(dtype: str) -> str:
    """Return the type of a complex number's parts, of a real number its own."""
    return PARTS.get(dtype, dtype)


def is_rounded(dtype: str) -> bool:
    """Say whether values are rounded to the type after they have been computed."""
    return arithmetic(dtype) != part_of(dtype)


def exact_of(dtype: str) -> str:
    """Return the type that holds values as they are computed: of a narrow type float32, of any other itself."""
    return "float32" if is_rounded(dtype) else dtype


def largest(dtype: str) -> float:
    """Return the largest finite value of a dtype."""
    return float(ml_dtypes.finfo(DTYPES[part_of(dtype)]).max)  # type: ignore[no-untyped-call]
