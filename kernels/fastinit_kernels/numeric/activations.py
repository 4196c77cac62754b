"""The activations and their derivatives, both from one evaluation, vectorised.

`both(z, p)` returns (phi(z), phi'(z)); p is the one parameter (a slope, an alpha), if there is one. Each is
within 3 eps max(1, |exact value|), eps the spacing at 1, as the tests measure. Infinities give the limits; NaN
gives NaN, except for the derivative of a piecewise linear function, which is that of one of its pieces. At a
kink the derivative is the one that automatic differentiation in PyTorch takes.

Most of them need only e = exp(-|z|), which cannot overflow: sigmoid(-|z|) = e / (1 + e), and so on. Where a
product with z follows, z is clamped at `lowest`, far beyond which that product has underflowed: no inf * 0.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from ..machine.intrinsics import fma, select
from ..machine.jit import inline
from .constants import GELU_CUBIC, SELU_ALPHA, SELU_SCALE
from .transcendental import FUNCTIONS, Functions


def _linear(f: Functions) -> Any:
    one = f.real(1)

    @inline
    def both(z: Any, p: Any) -> Any:
        return z, one

    return both


def _relu(f: Functions) -> Any:
    zero, one = f.real(0), f.real(1)

    @inline
    def both(z: Any, p: Any) -> Any:
        return select(z < zero, zero, z), select(z > zero, one, zero)

    return both


def _leaky_relu(f: Functions) -> Any:
    zero, one = f.real(0), f.real(1)

    @inline
    def both(z: Any, p: Any) -> Any:
        return select(z > zero, z, p * z), select(z > zero, one, p)

    return both


def _clip(low: float, high: float) -> Callable[[Functions], Any]:
    """The identity between `low` and `high`, with derivative 0 from either edge on."""

    def make(f: Functions) -> Any:
        clamp, bottom, top, zero, one = f.clamp, f.real(low), f.real(high), f.real(0), f.real(1)

        @inline
        def both(z: Any, p: Any) -> Any:
            return clamp(z, bottom, top), select(z > bottom, select(z < top, one, zero), zero)

        return both

    return make


def _elu(f: Functions) -> Any:
    decay, zero, one = f.decay, f.real(0), f.real(1)

    @inline
    def both(z: Any, p: Any) -> Any:
        e, em1 = decay(z)
        return select(z > zero, z, p * em1), select(z > zero, one, p * e)

    return both


def _celu(f: Functions) -> Any:
    decay, zero, one = f.decay, f.real(0), f.real(1)

    @inline
    def both(z: Any, p: Any) -> Any:
        e, em1 = decay(z / p)
        return select(z > zero, z, p * em1), select(z > zero, one, e)

    return both


def _selu(f: Functions) -> Any:
    elu, scale, alpha = _elu(f), f.real(SELU_SCALE), f.real(SELU_ALPHA)

    @inline
    def both(z: Any, p: Any) -> Any:
        value, slope = elu(z, alpha)
        return scale * value, scale * slope

    return both


def _sigmoid(f: Functions) -> Any:
    decay, zero, one = f.decay, f.real(0), f.real(1)

    @inline
    def both(z: Any, p: Any) -> Any:
        e, _ = decay(z)
        upper = one / (one + e)
        lower = e * upper
        return select(z < zero, lower, upper), lower * upper

    return both


def _tanh(f: Functions) -> Any:
    decay, with_sign, one, four = f.decay, f.with_sign, f.real(1), f.real(4)

    @inline
    def both(z: Any, p: Any) -> Any:
        e, em1 = decay(z + z)
        inverse = one / (one + e)
        return with_sign(em1 * inverse, z), four * e * inverse * inverse

    return both


def _softsign(f: Functions) -> Any:
    clamp, magnitude, one, huge = f.clamp, f.magnitude, f.real(1), f.real(2.0**60)

    @inline
    def both(z: Any, p: Any) -> Any:
        z = clamp(z, -huge, huge)
        inverse = one / (one + magnitude(z))
        return z * inverse, inverse * inverse

    return both


def _relu_squared(f: Functions) -> Any:
    zero = f.real(0)

    @inline
    def both(z: Any, p: Any) -> Any:
        above = select(z < zero, zero, z)
        return above * above, above + above

    return both


def _hard_sigmoid(f: Functions) -> Any:
    clipped, sixth, half = _clip(0.0, 1.0)(f), f.real(1 / 6), f.real(0.5)
    edge, zero = f.real(3), f.real(0)

    @inline
    def both(z: Any, p: Any) -> Any:
        value, _ = clipped(fma(z, sixth, half), p)
        return value, select(z > -edge, select(z < edge, sixth, zero), zero)

    return both


def _hard_swish(f: Functions) -> Any:
    sigmoid, third, half = _hard_sigmoid(f), f.real(1 / 3), f.real(0.5)
    edge, zero, one = f.real(3), f.real(0), f.real(1)

    @inline
    def both(z: Any, p: Any) -> Any:
        share, _ = sigmoid(z, p)
        slope = select(z >= edge, one, fma(z, third, half))
        return select(z <= -edge, zero, z * share), select(z <= -edge, zero, slope)

    return both


def _softplus(f: Functions) -> Any:
    decay, log1p, zero, one = f.decay, f.log1p, f.real(0), f.real(1)

    @inline
    def both(z: Any, p: Any) -> Any:
        e, _ = decay(z)
        upper = one / (one + e)
        return select(z > zero, z, zero) + log1p(e), select(z < zero, e * upper, upper)

    return both


def _log_sigmoid(f: Functions) -> Any:
    decay, log1p, zero, one = f.decay, f.log1p, f.real(0), f.real(1)

    @inline
    def both(z: Any, p: Any) -> Any:
        e, _ = decay(z)
        upper = one / (one + e)
        return select(z < zero, z, zero) - log1p(e), select(z < zero, upper, e * upper)

    return both


def _gelu(f: Functions) -> Any:
    normal, clamp, low = f.normal, f.clamp, f.real(-f.far)
    density = f.real(1 / math.sqrt(2 * math.pi))

    @inline
    def both(z: Any, p: Any) -> Any:
        cdf, bell = normal(z)
        inner = clamp(z, low, -low)
        return select(z < low, low, z) * cdf, fma(inner, bell * density, cdf)

    return both


def _gelu_tanh(f: Functions) -> Any:
    """The product z sigmoid(2 u) with u = sqrt(2 / pi) (z + 0.044715 z^3): Hendrycks and Gimpel 2016, section 2."""
    sigmoid, clamp = _sigmoid(f), f.clamp
    linear, cubic = (f.real(2 * math.sqrt(2 / math.pi) * c) for c in (1, GELU_CUBIC))
    low, three = f.real(-math.cbrt(-f.lowest / cubic)), f.real(3)  # where 2 u is about `lowest`

    @inline
    def both(z: Any, p: Any) -> Any:
        inner = clamp(z, low, -low)
        square = inner * inner
        value, slope = sigmoid(inner * fma(cubic, square, linear), p)
        return select(z < low, low, z) * value, fma(inner * fma(three * cubic, square, linear), slope, value)

    return both


def _silu(f: Functions) -> Any:
    sigmoid, clamp, low = _sigmoid(f), f.clamp, f.real(f.lowest)

    @inline
    def both(z: Any, p: Any) -> Any:
        value, slope = sigmoid(z, p)
        return select(z < low, low, z) * value, fma(clamp(z, low, -low), slope, value)

    return both


def _mish(f: Functions) -> Any:
    """The product z w, w = tanh(softplus(z)) = n / (n + 2), n = exp(z) (exp(z) + 2); times e^2 for z > 0."""
    decay, clamp, low = f.decay, f.clamp, f.real(f.lowest)
    zero, one, two, four = (f.real(c) for c in (0, 1, 2, 4))

    @inline
    def both(z: Any, p: Any) -> Any:
        e, _ = decay(z)
        square = e * e
        numerator = select(z > zero, fma(two, e, one), fma(two, e, square))
        inverse = one / (numerator + select(z > zero, two * square, two))
        w = numerator * inverse
        slope = four * (one + e) * select(z > zero, square, e) * inverse * inverse
        return select(z < low, low, z) * w, fma(clamp(z, low, -low), slope, w)

    return both


def _sin(f: Functions) -> Any:
    cos_sin = f.cos_sin

    @inline
    def both(z: Any, p: Any) -> Any:
        cosine, sine = cos_sin(z)
        return sine, cosine

    return both


_FACTORIES: dict[str, Callable[[Functions], Any]] = {
    "linear": _linear,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "prelu": _leaky_relu,
    "relu_squared": _relu_squared,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "elu": _elu,
    "selu": _selu,
    "celu": _celu,
    "softplus": _softplus,
    "log_sigmoid": _log_sigmoid,
    "softsign": _softsign,
    "hard_tanh": _clip(-1.0, 1.0),
    "relu6": _clip(0.0, 6.0),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_swish,
    "mish": _mish,
    "sin": _sin,
}

NAMES = tuple(_FACTORIES)


@cache
def activation_both(name: str, dtype: str) -> Any:
    """The inline `both(z, p)` -> (phi(z), phi'(z)) of an activation; z, p and results of `dtype`."""
    return _FACTORIES[name](FUNCTIONS[dtype])
