"""The activations: one table that gains, the probe, the kernels and the mean-field theory all read.

The functions are the reference in float64: they answer every input, infinities included, without a warning.
Derivatives at a kink are those of automatic differentiation in PyTorch: 0 for `relu`, the slope for
`leaky_relu`, 0 at both edges of `hard_tanh` and `relu6`, the left derivative for `elu` and `selu`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastinit_kernels.machine.forks import whole
from numpy.typing import NDArray

from .errors import check_finite, entries, plain_string, shown, unknown
from .quadrature import rule

Array = NDArray[np.float64]
Function = Callable[[Array, float], Array]

# Klambauer et al. 2017, equation 14: the pair for which (mean 0, variance 1) is a fixed point.
SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_GELU_CUBIC = 0.044715  # Hendrycks and Gimpel 2016, section 2
_UNBOUNDED = (-math.inf, math.inf)


@dataclass(frozen=True)
class Activation:
    """One activation: its function, derivative and the figures that belong to it.

    Attributes
    ----------
    name, formula : str
        The name in the table and the formula in one line.
    function, derivative : callable
        phi(z, p) and phi'(z, p) on float64 arrays, p the parameter (ignored where there is none).
    parameter : str or None
        What the parameter is called, None where there is none.
    default : float or None
        The parameter's default.
    table_gain : callable or None
        gain(p) as in PyTorch's table; None where that has no entry, so that the second moment decides.
    saturation : (float, float) or None
        An activation a is saturated if a < low or a > high. None where there is no such rule: a function flat
        on one side only (the zero of `relu`, the -alpha of `elu`) passes the gradient on the other one.
        `relu6` counts its flat part at 6 as saturated; the one at 0 is the probe's `zero`.
    range : (float, float) or None
        The histogram's default range; None: take it from the standard deviation that the theory predicts.
    kinks : tuple of float
        Where phi or phi' is not smooth; quadrature splits there.
    user : (callable, callable or None) or None
        For a user's activation, phi and phi' as compiled by Numba; None: differentiate numerically.
    """

    name: str
    formula: str
    function: Function
    derivative: Function
    parameter: str | None = None
    default: float | None = None
    table_gain: Callable[[float], float] | None = None
    saturation: tuple[float, float] | None = None
    range: tuple[float, float] | None = None
    kinks: tuple[float, ...] = ()
    user: tuple[Any, Any] | None = None

    def __reduce__(self) -> Any:
        """Pickle it by what it was got by: its functions need not be those of a module."""
        return get_activation, (self.kernel,)

    @property
    def kernel(self) -> str | tuple[Any, Any]:
        """What the kernels know it by: its name, or a user's functions."""
        return self.user or self.name

    @property
    def fingerprint(self) -> str:
        """What a file may know it by: the name, and for a user's a hash of the code, the same in every process."""
        if self.user is None:
            return self.name
        with whole:
            from .user_activation import code_hash

        return f"{self.name}-{code_hash(self.user)}"

    def resolve(self, param: float | None = None, *, argument: str = "param") -> float:
        """Return the parameter to use: `param`, or the default; 0.0 for an activation without one."""
        if param is None:
            return 0.0 if self.default is None else self.default
        if self.parameter is None:
            raise ValueError(
                f"argument '{argument}' must be None for {self.name!r}, which has no parameter, got {shown(param)}"
            )
        return check_finite(argument, param)

    def image(self, z: Array, p: float) -> tuple[float, float]:
        """Return the least and the greatest finite phi(z), as far apart as float32 needs to tell a histogram's bins."""
        with np.errstate(over="ignore", invalid="ignore"):
            a = self.function(z, p)
        a = a[np.abs(a) < 1e37]
        low, high = (float(a.min()), float(a.max())) if a.size else (0.0, 0.0)
        least = 1e-5 * max(-low, high) or 1.0
        return (low, high) if high - low >= least else (low - least, high + least)

    def is_saturated(self, a: Array) -> NDArray[np.bool_]:
        """Return where the activations `a` are saturated; nowhere if there is no rule."""
        low, high = self.saturation or _UNBOUNDED
        return (a < low) | (a > high)


UserFunction = Callable[[float], float]
ActivationLike = str | Activation | UserFunction | tuple[UserFunction, UserFunction]


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
    return _not_below(z, 30.0) * _sigmoid(2.0 * _SQRT_2_OVER_PI * (t + _GELU_CUBIC * t * t * t))


def _gelu_tanh_derivative(z: Array, p: float) -> Array:
    t = _within(z, 30.0)
    inner = 2.0 * _SQRT_2_OVER_PI * (t + _GELU_CUBIC * t * t * t)
    slope = 2.0 * _SQRT_2_OVER_PI * (1.0 + 3.0 * _GELU_CUBIC * t**2)
    return _sigmoid(inner) + t * slope * _sigmoid_derivative(inner)


def _silu(z: Array, p: float) -> Array:
    return _not_below(z, 800.0) * _sigmoid(z)


def _silu_derivative(z: Array, p: float) -> Array:
    return _sigmoid(z) + _within(z, 800.0) * _sigmoid_derivative(z)


def _elu(z: Array, p: float) -> Array:
    return np.where(z > 0.0, z, p * np.expm1(np.minimum(z, 0.0)))


def _elu_derivative(z: Array, p: float) -> Array:
    return np.where(z > 0.0, 1.0, p * np.exp(np.minimum(z, 0.0)))


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
    """Return f(z, p): the sine of an infinity is NaN, which is the answer and no cause for a warning."""

    def quiet(z: Array, p: float) -> Array:
        with np.errstate(invalid="ignore"):
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
    Activation("softplus", "log(1 + exp(z))", _softplus, _sigmoid),
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
    Activation("mish", "z * tanh(softplus(z))", _mish, _mish_derivative),
    Activation("sin", "sin(z)", _quiet(np.sin), _quiet(np.cos), range=(-1.0, 1.0)),
)  # fmt: skip

ACTIVATIONS: dict[str, Activation] = {row.name: row for row in _ROWS}
ALIASES = {"identity": "linear", "swish": "silu", "hardtanh": "hard_tanh"}
# PyTorch's gain table takes the names of linear layers for "no nonlinearity".
_LINEAR_LAYERS = [f"conv{kind}{d}d" for kind in ("", "_transpose") for d in (1, 2, 3)]


def get_activation(value: object, argument: str = "activation") -> Activation:
    """Return the activation of that name, or a user's; an unknown name is a ValueError that suggests the nearest."""
    name = plain_string(value)
    if name is not None:
        row = ACTIVATIONS.get(ALIASES.get(name, name))
        if row is None:
            raise unknown(argument, value, [*ACTIVATIONS, *ALIASES])
        return row
    if isinstance(value, Activation):
        return value
    with whole:
        from .user_activation import user_activation

    return user_activation(argument, value)


def is_function(value: Any) -> bool:
    """Say whether a value is an activation that is no name: a function, or a tuple of one and its derivative."""
    if isinstance(value, tuple):
        pair = entries(value, 2) or ()
        return len(pair) == 2 and callable(pair[0]) and (pair[1] is None or callable(pair[1]))
    return callable(value) or isinstance(value, Activation)


@functools.lru_cache(maxsize=256)
def _second_moment_gain(row: Activation, p: float) -> float:
    z, weights = rule(1.0, (0.0, *row.kinks))
    with np.errstate(over="ignore", invalid="ignore"):
        a = row.function(z, p)
        # A power of two: whatever the size, the squares are floats, and their digits are the same.
        unit = 2.0 ** (math.frexp(float(np.max(np.abs(a))))[1] - 1)
        moment = float(weights @ (a / unit) ** 2)
    if not 0.0 < moment < math.inf:
        raise ValueError(
            f"argument 'nonlinearity' must have a second moment E[phi(z)^2] that is finite and not 0, got {row.name!r}"
        )
    # The last digits belong to this machine's exp and erf; weights must not.
    return float(f"{1.0 / math.sqrt(moment) / unit:.10g}")


def gain(nonlinearity: ActivationLike, param: float | None = None) -> float:
    r"""Return the factor on the weights' standard deviation that makes up for an activation.

    For the activations of PyTorch's table the value is that of the table: 1 for `linear`, `sigmoid` and the
    names of convolutions ("conv2d", "conv_transpose1d", ...), 5/3 for `tanh`, :math:`\sqrt 2` for `relu`,
    :math:`\sqrt{2 / (1 + s^2)}` for `leaky_relu` with slope s, 3/4 for `selu`. For every other one,

    .. math:: g = 1 / \sqrt{E[\varphi(z)^2]}, \quad z \sim N(0, 1),

    so that weights of variance :math:`g^2 / n_{in}` keep a preactivation variance of 1 from layer to layer.

    Parameters
    ----------
    nonlinearity : str or compiled function
        The name of an activation; or a function of one's own, of one number, compiled with ``@numba.njit``, or a
        tuple of two, the function and its derivative.
    param : float, optional
        Its parameter: `negative_slope` of `leaky_relu` (0.01), `alpha` of `elu` (1.0).

    Returns
    -------
    float

    Raises
    ------
    ValueError
        An unknown name, a parameter for an activation that has none, or one that is not finite.
    TypeError
        A nonlinearity that is neither, or a parameter that is no number.

    Notes
    -----
    The rule for `relu` is that of He et al. 2015, section 2.2; the second moment extends it. The entries 5/3
    and 3/4 are PyTorch's convention: by second moment, `tanh` would have 1.5925 and `selu` 1.

    Examples
    --------
    >>> gain("relu") ** 2
    2.0000000000000004
    >>> gain("leaky_relu", 0.2)
    1.3867504905630728
    >>> round(gain("gelu"), 4)
    1.5335

    A function of one's own:

    >>> import numba
    >>> @numba.njit
    ... def squared_relu(z):
    ...     return max(z, 0.0) ** 2
    >>> round(gain(squared_relu) ** 2, 9)  # E[relu(z)^4] = 3/2
    0.666666667
    """
    name = plain_string(nonlinearity)
    if name in _LINEAR_LAYERS:
        nonlinearity = "linear"
    elif name is not None and name not in ACTIVATIONS and name not in ALIASES:
        raise unknown("nonlinearity", nonlinearity, [*ACTIVATIONS, *ALIASES, *_LINEAR_LAYERS])
    row = get_activation(nonlinearity, "nonlinearity")
    p = row.resolve(param)
    return row.table_gain(p) if row.table_gain else _second_moment_gain(row, p)
