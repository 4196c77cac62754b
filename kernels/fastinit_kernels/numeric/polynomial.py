"""Polynomials with constant coefficients, unrolled: one fused multiply-add a term, in a fixed order."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..machine.pointers import Codegen


def _form(evaluate: Callable[[Any, Any, list[Any]], Any]) -> Any:
    def typed(typingctx: Any, x: Any, coefficients: Any) -> tuple[Any, Codegen] | None:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
            return evaluate(builder, args[0], [builder.extract_value(args[1], k) for k in range(len(coefficients))])

        if isinstance(coefficients, types.UniTuple) and coefficients.dtype == x:
            return x(x, coefficients), codegen
        return None

    return intrinsic(typed)


def _horner(builder: Any, x: Any, c: list[Any]) -> Any:
    value = c[-1]
    for coefficient in reversed(c[:-1]):
        value = builder.fma(value, x, coefficient)
    return value


def _pairwise(builder: Any, x: Any, c: list[Any]) -> Any:
    pairs = [builder.fma(high, x, low) for low, high in zip(c[::2], c[1::2], strict=False)] + c[len(c) & ~1 :]
    return _horner(builder, builder.fmul(x, x), pairs)


# c0 + c1 x + c2 x^2 + …; the second argument is a tuple of numbers of x's type, c0 first. By Horner's rule, or by his
# rule for (c0 + c1 x) + (c2 + c3 x) x^2 + …, whose chain of operations that wait for each other is half as long.
polynomial: Any = _form(_horner)
pairwise: Any = _form(_pairwise)


def single(*values: float) -> tuple[np.float32, ...]:
    """A table of float32 coefficients."""
    return tuple(np.float32(value) for value in values)


def double(*values: float) -> tuple[np.float64, ...]:
    """A table of float64 coefficients."""
    return tuple(np.float64(value) for value in values)
