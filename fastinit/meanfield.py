"""The engine of :mod:`fastinit.theory`: one layer's maps, and where they come to rest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .activations import Activation, ActivationLike, get_activation
from .errors import check_finite, check_integer, unknown
from .quadrature import pair_mean, rule

Array = NDArray[np.float64]

# Correlations and slopes have limits for q -> 0 and q -> inf, reached within rounding long before these.
_TINY, _HUGE = 1e-200, 1e200
# Where q does not move by more than this share, it is at a fixed point; slopes are known to about as much.
AT_REST = 4e-14
# Candidates for the bracket of q*, as multiples of the start: fine where fixed points lie, coarse far out.
_STEPS = 2.0 ** np.concatenate([np.arange(0.5, 10.5, 0.5), np.arange(12.0, 42.0, 2.0), [60.0, 80.0, 100.0]])
# Under a Gaussian of variance 20 a function of period pi has its mean over a period, within exp(-40).
_WIDEST = {"sin": 20.0}


@dataclass(frozen=True)
class Layer:
    """One layer's maps: activation, its parameter p, and w = sigma_w^2, b = sigma_b^2."""

    activation: Activation
    p: float
    w: float
    b: float

    def _rule(self, q: float) -> tuple[Array, Array]:
        # From 1e307 on, the square of an unbounded activation overflows, so that inf leads to inf.
        widest = min(1e307, _WIDEST.get(self.activation.name, math.inf))
        return rule(math.sqrt(min(q, widest)), (0.0, *self.activation.kinks))

    def _mean(self, f: Callable[[Array], Array], q: float) -> float:
        z, w = self._rule(q)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(w @ f(z))

    def _pair_mean(self, f: Callable[[Array, Array], Array], q: float, gap: float) -> float:
        if math.isnan(q) or math.isnan(gap):
            return math.nan
        widest = _WIDEST.get(self.activation.name, math.inf)
        return pair_mean(f, q, gap, self.activation.kinks, widest)

    def phi(self, z: Array) -> Array:
        return self.activation.function(z, self.p)

    def slope(self, z: Array) -> Array:
        return self.activation.derivative(z, self.p)

    def second_moment(self, q: float) -> float:
        """Return the mean square of the activations."""
        return self._mean(lambda z: self.phi(z) ** 2, q)

    def moments(self, q: float) -> tuple[float, float, float]:
        """Return mean, variance and mean square of the activations."""
        z, w = self._rule(q)
        a = self.phi(z)
        mean = float(w @ a)
        centered = a - mean
        return mean, float(w @ (centered * centered)), float(w @ (a * a))

    def variance(self, q: float) -> float:
        """Return q of the next layer."""
        return self.w * self.second_moment(q) + self.b

    def variance_slope(self, q: float) -> float:
        """Return the derivative of `variance`: sigma_w^2 E[phi'^2 + phi phi''], by Stein's lemma."""
        q = _limit(q)
        return self.w * self._mean(lambda z: z * self.phi(z) * self.slope(z), q) / q

    def chi1(self, q: float) -> float:
        """Return the derivative of the covariance map at c = 1."""
        return self.w * self._mean(lambda z: self.slope(z) ** 2, _limit(q))

    def chi(self, q: float, gap: float) -> float:
        """Return the derivative of the covariance map at c = 1 - gap."""
        return self.w * self._pair_mean(lambda u, v: self.slope(u) * self.slope(v), _limit(q), gap)

    def distance(self, q: float, gap: float) -> float:
        """Return half the mean squared distance between two inputs' activations, given 1 - c of the preactivations."""
        return 0.5 * self._pair_mean(lambda u, v: (self.phi(u) - self.phi(v)) ** 2, q, gap)

    def gap(self, q: float, gap: float) -> float:
        """Return 1 - c of the next layer, given 1 - c of this one: no cancellation for c near 1."""
        q = _limit(q)
        size = self.variance(q)
        return self.w * self.distance(q, gap) / size if size > 0.0 else math.nan


def make_layer(activation: ActivationLike, sigma_w: float, sigma_b: float, param: float | None) -> Layer:
    """Check the arguments that every function of the theory shares."""
    row = get_activation(activation)
    p = row.resolve(param)
    w = check_finite("sigma_w", sigma_w, minimum=0.0)
    b = check_finite("sigma_b", sigma_b, minimum=0.0)
    return Layer(row, p, w * w, b * b)


def _limit(q: float) -> float:
    return min(max(q, _TINY), _HUGE)


def _root(f: Callable[[float], float], a: float, b: float) -> float:
    """Return x between a and b, 0 < a < b, where f changes its sign, by Ridders' method.

    A root at an end may have lost its change of sign to rounding: then that end is returned.
    """
    fa, fb = f(a), f(b)
    x = a
    while b - a > 4e-16 * b and fa * fb < 0.0:
        last, middle = x, 0.5 * (a + b)
        fm = f(middle)
        if fm == 0.0:
            return middle
        x = middle + (middle - a) * math.copysign(1.0, fa) * fm / math.sqrt(fm * fm - fa * fb)
        if abs(x - last) <= 1e-11 * x:  # the error of x is about the square of the step
            return x
        known = sorted([(a, fa), (middle, fm), (x, f(x)), (b, fb)])
        # The function changes its sign between two neighbours of the four: they are the next bracket.
        (a, fa), (b, fb) = next(pair for pair in itertools.pairwise(known) if pair[0][1] * pair[1][1] <= 0.0)
    return a if abs(fa) < abs(fb) else b


def resting_variance(layer: Layer) -> float:
    """Return the fixed point of the variance map that its iteration from q = 1 runs into, or inf."""

    def growth(q: float) -> float:
        return layer.variance(q) / q - 1.0

    start = growth(1.0)
    if abs(start) <= AT_REST:
        return 1.0
    # Iterating would crawl where the slope is nearly 1. The map increases: its limit is the next fixed point.
    up = start > 0.0
    last = 1.0
    for step in _STEPS:
        q = float(step if up else 1.0 / step)
        g = growth(q)
        if (g < -AT_REST) if up else (g > AT_REST):
            return _root(growth, min(q, last), max(q, last))
        last = q
    if up:
        return math.inf
    lowest = layer.variance(0.0)
    return _root(growth, 0.5 * lowest, last) if lowest > 0.0 else 0.0


def resting_correlation(layer: Layer, q: float, chi1: float) -> float:
    """Return the attracting fixed point of the correlation map at variance q."""
    # As a function of c >= 0 the map is convex, passes (1, 1) with slope chi1 and starts at or above 0: for a
    # slope up to 1 it stays above the diagonal, else it crosses it once. Towards q = 0 or inf the activation
    # is piecewise linear, and relative to a changing q the slope is 1.
    if q in (0.0, math.inf) or chi1 <= 1.0 + 1e-12:
        return 1.0

    def growth(gap: float) -> float:
        return layer.gap(q, gap) / gap - 1.0

    far = 1.0
    if growth(far) >= -AT_REST:
        return 0.0  # an odd activation without biases keeps uncorrelated inputs uncorrelated
    while far > 1e-13:
        near = far / 4.0
        if growth(near) > 0.0:
            return 1.0 - _root(growth, near, far)
        far = near
    return 1.0


class Prediction(NamedTuple):
    """Per layer: preactivation variance, the outputs' mean and standard deviation, the preactivations' correlation."""

    q: Array
    mean: Array
    std: Array
    correlation: Array


# Added to the variance, or to the mean square, that a normalisation divides by.
EPSILON = 1e-5


@dataclass
class _Signal:
    """What enters a layer: mean, variance and mean square over the units, half the mean squared distance of a pair."""

    mean: float
    variance: float
    second: float
    distance: float

    def normalized(self, normalize: str | None) -> tuple[float, float]:
        """Return mean square and distance of what the weights see."""
        if normalize is None:
            return self.second, self.distance
        size = self.variance if normalize == "layer" else self.second
        return size / (size + EPSILON), self.distance / (size + EPSILON)

    def plus(self, f: _Signal, scale: float) -> _Signal:
        """Return the sum with scale * f, whose units have fresh weights: their signs are independent of ours."""
        mean, variance = self.mean + scale * f.mean, self.variance + scale * scale * f.variance
        return _Signal(mean, variance, variance + mean * mean, self.distance + scale * scale * f.distance)


def predict(
    activation: ActivationLike,
    *,
    sigma_w: ArrayLike,
    sigma_b: float = 0.0,
    second_moment: float = 1.0,
    depth: int,
    param: float | None = None,
    mean: float = 0.0,
    correlation: float | None = None,
    residual: bool | ArrayLike = False,
    branch_scale: float = 1.0,
    normalize: str | None = None,
) -> Prediction:
    r"""Return the size of the signal in each layer of a given network.

    This is :func:`fastinit.theory.variance_map` for layers with weights of their own scale, started from the
    input, with the activations' mean and standard deviation as well, and for networks with skip connections and
    normalisation:

    .. math::
        z_l = h_l W_l + b_l, \quad a_l = x_l + s \, \varphi(z_l), \quad x_{l+1} = a_l,

    where x_0 is the input, h is x or x normalised, and without a skip connection a is phi(z). Over the units of a
    wide layer, x has a mean m and a mean square p, and phi(z) is independent of x, so that

    .. math::
        q_l &= \sigma_w^2 E[h_l^2] + \sigma_b^2 \\
        m_{l+1} &= m_l + s E[\varphi(z)], \quad
        p_{l+1} = p_l + 2 s m_l E[\varphi(z)] + s^2 E[\varphi(z)^2], \quad z \sim N(0, q_l)

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own compiled with ``@numba.njit``.
    sigma_w : array_like
        Standard deviation of a layer's weights times sqrt(fan_in); one for all layers, or one a layer.
    sigma_b : float
        Standard deviation of the biases.
    second_moment, mean : float
        Mean square and mean of the network's input.
    depth : int
        Number of layers.
    param : float, optional
        The parameter of the activation.
    correlation : float, optional
        Correlation of two inputs, about 0: follow it, too.
    residual : bool or array_like of bool
        Whether layers have a skip connection; one for all, or one a layer.
    branch_scale : float
        The factor s on what is added to a skip connection.
    normalize : {"layer", "rms"}, optional
        What a layer does to its input, row by row: "layer" subtracts the mean and divides by
        sqrt(variance + 1e-5), "rms" divides by sqrt(mean square + 1e-5).

    Returns
    -------
    Prediction
        Named tuple of arrays (q, mean, std, correlation) with one entry a layer: q and correlation of z, mean and
        std of a. The correlation is NaN if it was not asked for, or where q is 0 or inf. inf and NaN appear where
        the signal overflows; there is no warning.

    Raises
    ------
    ValueError, TypeError
        As :func:`fastinit.theory.variance_map`, if sigma_w or residual has neither one entry nor one a layer, for
        a correlation outside [-1, 1], or a mean whose square exceeds second_moment. An infinite or NaN sigma_w is
        accepted, as it may come from measured weights.

    Examples
    --------
    Glorot's recipe for tanh, and what is left of a unit signal:

    >>> predict("tanh", sigma_w=1.0, depth=3).std.round(3)
    array([0.628, 0.486, 0.408])

    The signal of a residual network grows exponentially, unless its branches are scaled down:

    >>> predict("relu", sigma_w=2**0.5, depth=3, residual=True).q.round(3)
    array([2.   , 4.   , 9.801])
    >>> predict("relu", sigma_w=2**0.5, depth=3, residual=True, branch_scale=3**-0.5).q.round(3)
    array([2.   , 2.667, 4.046])
    """
    layer = make_layer(activation, 0.0, sigma_b, param)
    count = check_integer("depth", depth, minimum=1)
    scales = _per_layer("sigma_w", np.asarray(sigma_w, np.float64), count)
    if any(w < 0.0 for w in scales):
        raise ValueError(f"argument 'sigma_w' must be >= 0, got {sigma_w!r}")
    flags = np.asarray(residual)
    if flags.dtype != np.bool_:
        raise TypeError(f"argument 'residual' must be True or False, or one of them a layer, got {residual!r}")
    skips = _per_layer("residual", flags, count)
    scale = check_finite("branch_scale", branch_scale)
    if normalize not in (None, "layer", "rms"):
        raise unknown("normalize", normalize, ["layer", "rms"])
    x = _input(second_moment, mean, correlation)
    figures = []
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(count):
            size, distance = x.normalized(normalize)
            w = scales[i] * scales[i]
            q = w * size + layer.b
            f = _Signal(*layer.moments(q), math.nan)
            c = math.nan
            if correlation is not None and 0.0 < q < math.inf:
                gap = w * distance / q
                c, f.distance = 1.0 - gap, layer.distance(q, gap)
            x = x.plus(f, scale) if skips[i] else f
            figures.append((q, x.mean, math.sqrt(x.variance), c))
    return Prediction(*np.array(figures).T.copy())


def _per_layer(argument: str, values: NDArray[Any], depth: int) -> list[Any]:
    if values.shape not in ((), (1,), (depth,)):
        raise ValueError(
            f"argument '{argument}' must have one entry or one for each of {depth} layers, got shape {values.shape}"
        )
    return values.tolist() if values.shape == (depth,) else [values.item()] * depth


def _input(second_moment: float, mean: float, correlation: float | None) -> _Signal:
    second = check_finite("second_moment", second_moment, minimum=0.0)
    center = check_finite("mean", mean)
    if center * center > second * (1.0 + 1e-6):  # a measured pair may miss by its rounding
        raise ValueError(f"argument 'mean' must be between the roots of second_moment = {second!r}, got {mean!r}")
    c = 1.0 if correlation is None else check_finite("correlation", correlation, minimum=-1.0, maximum=1.0)
    return _Signal(center, max(second - center * center, 0.0), second, second * (1.0 - c))
