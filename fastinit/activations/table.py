"""The activations: one table that gains, the probe, the kernels and the mean-field theory all read.

The functions are the reference in float64: they answer every input, infinities included, without a warning.
Derivatives at a kink are those of automatic differentiation in PyTorch: 0 for `relu`, the slope for
`leaky_relu`, 0 at both edges of `hard_tanh`, `relu6` and `hard_sigmoid`, the outer one for `hard_swish`, the left
derivative for `elu` and `selu`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from fastinit_kernels.numeric.constants import GELU_CUBIC, SELU_ALPHA, SELU_SCALE

from .activation import Activation, Array, Function

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)


def _below(edge: float) -> float:
    """Return the float32 next to `edge` towards 0, so that for a float32 `a > _below(1)` means a >= 1."""
    return float(np.nextafter(np.float32(edge), np.float32(0)))


def _sigmoid(z: Array, p: float = 0.0) -> Array:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0, e) / (1.0 + e)


def _sigmoid_derivative(z: Array, p: float = 0.0) -> Array:
    e = np.exp(-np.abs(z))
    return e / (1.0 + e) ** 2


def _tanh_derivative(z: Array, p: float = 0.0) -> Array:
    return 4.0 * _sigmoid_derivative(2.0 * _within(z, 800.0))  # 1 - tanh^2 would cancel in the tails


def _leaky_relu(z: Array, p: float) -> Array:
    return np.where(z > 0.0, z, p * z)


def _leaky_relu_derivative(z: Array, p: float) -> Array:
    return np.where(z > 0.0, 1.0, p)


# Clipping z where exp has long underflowed keeps the products below from becoming inf * 0.
def _not_below(z: Array, bound: float) -> Array:
    return np.maximum(z, -bound)


def _within(z: Array, bound: float) -> Array:
    return np.clip(z, -bound, bound)


def _normal_cdf(z: Array) -> Array:
    erfc = np.frompyfunc(math.erfc, 1, 1)
    return 0.5 * np.asarray(erfc(-_SQRT_HALF * z), dtype=np.float64)


def _gelu(z: Array, p: float) -> Array:
    return _not_below(z, 40.0) * _normal_cdf(z)


def _gelu_derivative(z: Array, p: float) -> Array:
    t = _within(z, 40.0)
    return _normal_cdf(z) + t * np.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi)


def _gelu_tanh(z: Array, p: float) -> Array:
    t = _within(z, 30.0)
    return _not_below(z, 30.0) * _sigmoid(2.0 * _SQRT_2_OVER_PI * (t + GELU_CUBIC * t * t * t))


def _gelu_tanh_derivative(z: Array, p: float) -> Array:
    t = _within(z, 30.0)
    inner = 2.0 * _SQRT_2_OVER_PI * (t + GELU_CUBIC * t * t * t)
    slope = 2.0 * _SQRT_2_OVER_PI * (1.0 + 3.0 * GELU_CUBIC * t**2)
    return _sigmoid(inner) + t * slope * _sigmoid_derivative(inner)


def _silu(z: Array, p: float) -> Array:
    return _not_below(z, 800.0) * _sigmoid(z)


def _silu_derivative(z: Array, p: float) -> Array:
    return _sigmoid(z) + _within(z, 800.0) * _sigmoid_derivative(z)


def _elu(z: Array, p: float) -> Array:
    return np.where(z > 0.0, z, p * np.expm1(np.minimum(z, 0.0)))


def _elu_derivative(z: Array, p: float) -> Array:
    return np.where(z > 0.0, 1.0, p * np.exp(np.minimum(z, 0.0)))


def _celu(z: Array, p: float) -> Array:
    with np.errstate(over="ignore"):
        return np.where(z > 0.0, z, p * np.expm1(np.minimum(z, 0.0) / p))


def _celu_derivative(z: Array, p: float) -> Array:
    with np.errstate(over="ignore"):
        return np.exp(np.minimum(z, 0.0) / p)


def _hard_sigmoid(z: Array, p: float = 0.0) -> Array:
    return np.clip(z / 6.0 + 0.5, 0.0, 1.0)


def _hard_swish_derivative(z: Array, p: float) -> Array:
    return np.where(z <= -3.0, 0.0, np.where(z >= 3.0, 1.0, z / 3.0 + 0.5))


def _softplus(z: Array, p: float = 0.0) -> Array:
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


def _softsign(z: Array, p: float) -> Array:
    t = _within(z, 1e300)
    return t / (1.0 + np.abs(t))


def _softsign_derivative(z: Array, p: float) -> Array:
    return (1.0 + np.abs(_within(z, 1e150))) ** -2


def _mish(z: Array, p: float) -> Array:
    return _not_below(z, 800.0) * np.tanh(_softplus(z))


def _mish_derivative(z: Array, p: float) -> Array:
    s = _softplus(z)
    return np.tanh(s) + _within(z, 800.0) * _tanh_derivative(s) * _sigmoid(z)


def _quiet(f: Callable[[Array], Array]) -> Function:
    """Return f(z, p): NaN, as the sine of an infinity, and infinity are answers and no cause for a warning."""

    def quiet(z: Array, p: float) -> Array:
        with np.errstate(invalid="ignore", over="ignore"):
            return f(z)

    return quiet


_ROWS = (
    Activation(
        "linear", "z", lambda z, p: +z, lambda z, p: np.ones_like(z), table_gain=lambda p: 1.0
    ),
    Activation(
        "sigmoid", "1 / (1 + exp(-z))", _sigmoid, _sigmoid_derivative,
        table_gain=lambda p: 1.0, saturation=(0.03, 0.97), range=(0.0, 1.0),
    ),
    Activation(
        "tanh", "tanh(z)", lambda z, p: np.tanh(z), _tanh_derivative,
        table_gain=lambda p: 5.0 / 3.0, saturation=(-0.97, 0.97), range=(-1.0, 1.0),
    ),
    Activation(
        "relu", "max(z, 0)", lambda z, p: np.maximum(z, 0.0), lambda z, p: _leaky_relu_derivative(z, 0.0),
        table_gain=lambda p: math.sqrt(2.0), kinks=(0.0,),
    ),
    Activation(
        "leaky_relu", "z if z > 0 else negative_slope * z", _leaky_relu, _leaky_relu_derivative,
        parameter="negative_slope", default=0.01, table_gain=lambda p: math.sqrt(2.0) / math.hypot(1.0, p),
        kinks=(0.0,),
    ),
    Activation(
        "prelu", "z if z > 0 else negative_slope * z", _leaky_relu, _leaky_relu_derivative,
        parameter="negative_slope", default=0.25, table_gain=lambda p: math.sqrt(2.0) / math.hypot(1.0, p),
        kinks=(0.0,),
    ),
    Activation(
        "relu_squared", "max(z, 0)^2",
        _quiet(lambda z: np.maximum(z, 0.0) ** 2), _quiet(lambda z: 2.0 * np.maximum(z, 0.0)), kinks=(0.0,),
    ),
    Activation("gelu", "z * Phi(z), Phi the normal CDF", _gelu, _gelu_derivative),
    Activation(
        "gelu_tanh", "z / 2 * (1 + tanh(sqrt(2/pi) * (z + 0.044715 z^3)))", _gelu_tanh, _gelu_tanh_derivative
    ),
    Activation("silu", "z * sigmoid(z)", _silu, _silu_derivative),
    Activation(
        "elu", "z if z > 0 else alpha * (exp(z) - 1)", _elu, _elu_derivative,
        parameter="alpha", default=1.0, kinks=(0.0,),
    ),
    Activation(
        "selu", "1.0507 * elu(z, alpha=1.6733)",
        lambda z, p: SELU_SCALE * _elu(z, SELU_ALPHA),
        lambda z, p: SELU_SCALE * _elu_derivative(z, SELU_ALPHA),
        table_gain=lambda p: 0.75, kinks=(0.0,),
    ),
    Activation(
        "celu", "z if z > 0 else alpha * (exp(z / alpha) - 1)", _celu, _celu_derivative,
        parameter="alpha", default=1.0, least=1e-30, kinks=(0.0,),
    ),
    Activation("softplus", "log(1 + exp(z))", _softplus, _sigmoid),
    Activation("log_sigmoid", "-log(1 + exp(-z))", lambda z, p: -_softplus(-z), lambda z, p: _sigmoid(-z)),
    Activation(
        "softsign", "z / (1 + |z|)", _softsign, _softsign_derivative,
        saturation=(-0.97, 0.97), range=(-1.0, 1.0), kinks=(0.0,),
    ),
    Activation(
        "hard_tanh", "min(max(z, -1), 1)",
        lambda z, p: np.clip(z, -1.0, 1.0), lambda z, p: np.where(np.abs(z) < 1.0, 1.0, 0.0),
        saturation=(-_below(1.0), _below(1.0)), range=(-1.0, 1.0), kinks=(-1.0, 1.0),
    ),
    Activation(
        "relu6", "min(max(z, 0), 6)",
        lambda z, p: np.clip(z, 0.0, 6.0), lambda z, p: np.where((z > 0.0) & (z < 6.0), 1.0, 0.0),
        saturation=(-math.inf, _below(6.0)), kinks=(0.0, 6.0),
    ),
    Activation(
        "hard_sigmoid", "min(max(z / 6 + 1/2, 0), 1)",
        _hard_sigmoid, lambda z, p: np.where(np.abs(z) < 3.0, 1.0 / 6.0, 0.0),
        saturation=(float(np.finfo(np.float32).tiny), _below(1.0)), range=(0.0, 1.0), kinks=(-3.0, 3.0),
    ),
    Activation(
        "hard_swish", "z * min(max(z / 6 + 1/2, 0), 1)",
        lambda z, p: _not_below(z, 3.0) * _hard_sigmoid(z) + 0.0, _hard_swish_derivative, kinks=(-3.0, 3.0),
    ),
    Activation("mish", "z * tanh(softplus(z))", _mish, _mish_derivative),
    Activation("sin", "sin(z)", _quiet(np.sin), _quiet(np.cos), range=(-1.0, 1.0)),
)  # fmt: skip

ACTIVATIONS: dict[str, Activation] = {row.name: row for row in _ROWS}
ALIASES = {
    "identity": "linear", "swish": "silu", "hardtanh": "hard_tanh", "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish", "logsigmoid": "log_sigmoid", "relu2": "relu_squared",
}  # fmt: skip
