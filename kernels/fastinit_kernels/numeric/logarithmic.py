"""Laws of logarithms: of numbers uniform in theirs, of uniform numbers, and the inverse softplus of the former.

State-space models and linear attention draw decay rates and time steps by them, a few numbers a head. What is taken
too early of a narrow type is lost (the logarithm of a bfloat16 that is 0), so all is float64 up to the one rounding, in
float32 too, from one word an element: u = (w + 1/2) 2^-32 is exact.

p[0] and p[1] are the first and the last value of the type within the law's bounds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..machine.intrinsics import fma, select
from ..machine.jit import inline
from .elementary import log_f64
from .laws import inside, unit_f64
from .transcendental import FUNCTIONS

_decay, _exp = FUNCTIONS["float64"].decay, FUNCTIONS["float64"].exp
_SIGN = np.uint32(1 << 31)
_STEP, _MIDDLE = np.float64(2.0**-32), np.float64(0.5 + 2.0**-33)


@inline
def _unit(w: Any) -> Any:
    """(w + 1/2) * 2^-32 in float64."""
    return fma(np.float64(np.int32(np.uint32(w ^ _SIGN))), _STEP, _MIDDLE)


@inline
def _log_uniform(u: Any, p: Any) -> Any:
    """exp(p[2] + p[3] u)."""
    return _exp(fma(p[3], u, p[2]))


@inline
def _log_of_uniform(u: Any, p: Any) -> Any:
    """log(p[2] + p[3] u)."""
    return log_f64(fma(p[3], u, p[2]))


@inline
def softplus_inverse(y: Any) -> Any:
    """The x with log(1 + e^x) = y > 0: y + log(1 - e^-y), which neither overflows nor loses what is small."""
    return y + log_f64(-_decay(y)[1])


@inline
def _inverse_softplus(u: Any, p: Any) -> Any:
    """As its name says, of exp(p[2] + p[3] u), or of p[4] where that is more."""
    y = _exp(fma(p[3], u, p[2]))
    return softplus_inverse(select(y < p[4], p[4], y))


def _both(value: Callable[[Any, Any], Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The law in float32, of a word, and in float64, of a pair of words."""

    @inline
    def single(w: Any, p: Any) -> Any:
        return np.float32(inside(value(_unit(w), p), p[0], p[1]))

    @inline
    def double(low: Any, high: Any, p: Any) -> Any:
        return inside(value(unit_f64(low, high), p), p[0], p[1])

    return single, double


log_uniform_f32, log_uniform_f64 = _both(_log_uniform)
log_of_uniform_f32, log_of_uniform_f64 = _both(_log_of_uniform)
inverse_softplus_f32, inverse_softplus_f64 = _both(_inverse_softplus)
