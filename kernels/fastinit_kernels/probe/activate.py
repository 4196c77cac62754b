"""The activations as kernels: a line of z becomes phi(z) and phi'(z).

A user's own functions of z, compiled by Numba, get a kernel of the same form; their precision and bits are their own.
"""

import math
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..machine.ahead import family
from ..machine.jit import Kernel, compiled, kernel, place_of
from ..machine.modes import use_widest_vectors
from ..machine.pointers import pointers
from ..numeric.activations import NAMES, activation_both
from ..numeric.transcendental import FUNCTIONS

# A user's phi(z) and phi'(z), compiled by Numba; None: differentiate numerically.
UserFunctions = tuple[Any, Any]

_SIGNATURE = (types.int64,) * 4 + (types.float64,)


@family(NAMES, FUNCTIONS)
def activation_kernel(activation: str | UserFunctions, dtype: str) -> Kernel:
    """`activate(z, a, s, n, p)`: a = phi(z) and s = phi'(z) of n elements at addresses; p is phi's parameter."""
    if not isinstance(activation, str):
        return _user_kernel(*activation, dtype)
    both, at, real = activation_both(activation, dtype), pointers(np.dtype(dtype)), FUNCTIONS[dtype].real

    @kernel(f"activation-{activation}-{dtype}", _SIGNATURE)
    def activate(z_at: Any, a_at: Any, s_at: Any, n: Any, parameter: Any) -> int:
        use_widest_vectors()
        z, a, s, p = at(z_at, np.int64(0)), at(a_at, np.int64(0)), at(s_at, np.int64(0)), real(parameter)
        for i in range(np.uint64(n)):
            phi, slope = both(z[i], p)
            a[i] = phi
            s[i] = slope
        return 0

    return activate


def _user_kernel(phi: Any, dphi: Any, dtype: str) -> Kernel:
    """The same of a user's functions of z, which may call libm, branch and raise."""
    real, at = FUNCTIONS[dtype].real, pointers(np.dtype(dtype))
    nan = real(math.nan)
    derivative = _central_difference(phi) if dphi is None else dphi

    @kernel(None, _SIGNATURE)
    def activate(z_at: Any, a_at: Any, s_at: Any, n: Any, parameter: Any) -> int:
        z, a, s = at(z_at, np.int64(0)), at(a_at, np.int64(0)), at(s_at, np.int64(0))
        for i in range(np.uint64(n)):
            # Called by its address this has no caller to raise to: Numba would print the exception, go on, and leave
            # the rest of the line as it was.
            value, slope = nan, nan
            try:
                value = real(phi(z[i]))
                slope = real(derivative(z[i]))
            except Exception:
                pass
            a[i] = value
            s[i] = slope
        return 0

    return activate


def _central_difference(phi: Any) -> Any:
    """The derivative of phi to about 1e-10, in float64 whatever the type of z; NaN at infinities."""
    share = np.cbrt(np.finfo(np.float64).eps)  # balances truncation, share^2, and cancellation, eps / share

    @compiled
    def derivative(z: Any) -> Any:
        x = np.float64(z)
        step = share * max(1.0, abs(x))
        above, below = x + step, x - step
        return (np.float64(phi(above)) - np.float64(phi(below))) / (above - below)

    return derivative


def evaluate(functions: UserFunctions, z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return phi(z) and phi'(z) of a user's functions; NaN where they raise."""
    z = np.asarray(z, np.float64, order="C")
    value, slope = np.empty_like(z), np.empty_like(z)
    activation_kernel(functions, "float64")(place_of(z), place_of(value), place_of(slope), z.size, 0.0)
    return value, slope
