"""The types that weights may have: one table, and how a caller may name them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ..words import plain_string, shown, unknown

DTYPES = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


def check_dtype(dtype: object) -> str:
    """Return the name of a type given by name or by anything that NumPy takes for it, in native byte order."""
    # Strings first: NumPy knows the name "bfloat16" only by courtesy of ml_dtypes.
    name = plain_string(dtype)
    if name in DTYPES:
        return str(name)
    wanted = None if dtype is None else _numpy_dtype(dtype if name is None else name)  # None would be float64
    for known, numpy_dtype in DTYPES.items():
        if wanted is not None and wanted.isnative and wanted == numpy_dtype:
            return known
    if name is not None:
        raise unknown("dtype", dtype, DTYPES)
    kind = ValueError if isinstance(dtype, np.dtype | type) else TypeError
    raise kind(f"argument 'dtype' must be one of {', '.join(sorted(DTYPES))}, got {shown(dtype)}")


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
    """Return the name of that type."""
    return "float64" if dtype == "float64" else "float32"


def is_rounded(dtype: str) -> bool:
    """Say whether values are rounded to the type after they have been computed."""
    return arithmetic(dtype) != dtype


def largest(dtype: str) -> float:
    """Return the largest finite value of a dtype."""
    return float(ml_dtypes.finfo(DTYPES[dtype]).max)  # type: ignore[no-untyped-call]
