"""Polynomials with constant coefficients, unrolled: one fused multiply-add a term, in a fixed order."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .intrinsics import Codegen


def _polynomial(typingctx: Any, x: Any, coefficients: Any) -> tuple[Any, Codegen] | None:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        point, table = args
        last = len(signature.args[1]) - 1
        value = builder.extract_value(table, last)
        for k in reversed(range(last)):
            value = builder.fma(value, point, builder.extract_value(table, k))
        return value

    if isinstance(coefficients, types.UniTuple) and coefficients.dtype == x:
        return x(x, coefficients), codegen
    return None


# c0 + c1 x + c2 x^2 + … by Horner's rule; the second argument is a tuple of constants of x's type, c0 first.
polynomial: Any = intrinsic(_polynomial)


def single(*values: float) -> tuple[np.float32, ...]:
    """A table of float32 coefficients."""
    return tuple(np.float32(value) for value in values)


def double(*values: float) -> tuple[np.float64, ...]:
    """A table of float64 coefficients."""
    return tuple(np.float64(value) for value in values)
