"""The engine of :mod:`fastinit.theory`: one layer's maps, and where they come to rest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .activations import Activation, get_activation
from .errors import check_finite, check_integer
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
        """Return mean, standard deviation and mean square of the activations."""
        z, w = self._rule(q)
        with np.errstate(over="ignore", invalid="ignore"):
            a = self.phi(z)
            mean = float(w @ a)
            return mean, math.sqrt(w @ (a - mean) ** 2), float(w @ (a * a))

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

    def gap(self, q: float, gap: float) -> float:
        """Return 1 - c of the next layer, given 1 - c of this one: no cancellation for c near 1."""
        q = _limit(q)
        distance = self._pair_mean(lambda u, v: (self.phi(u) - self.phi(v)) ** 2, q, gap)
        size = self.variance(q)
        return 0.5 * self.w * distance / size if size > 0.0 else math.nan


def make_layer(activation: str, sigma_w: float, sigma_b: float, param: float | None) -> Layer:
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
    """Per layer: preactivation variance, mean and standard deviation of the activations."""

    q: Array
    mean: Array
    std: Array


def predict(
    activation: str,
    *,
    sigma_w: ArrayLike,
    sigma_b: float = 0.0,
    second_moment: float = 1.0,
    depth: int,
    param: float | None = None,
) -> Prediction:
    """Return the size of the signal in each layer of a given network.

    This is :func:`fastinit.theory.variance_map` for layers with weights of their own scale, started from the
    input, with the activations' mean and standard deviation as well.

    Parameters
    ----------
    activation : str
        The name of an activation.
    sigma_w : array_like
        Standard deviation of a layer's weights times sqrt(fan_in); one for all layers, or one a layer.
    sigma_b : float
        Standard deviation of the biases.
    second_moment : float
        Mean square of the network's input.
    depth : int
        Number of layers.
    param : float, optional
        The parameter of the activation.

    Returns
    -------
    Prediction
        Named tuple of arrays (q, mean, std) with one entry a layer. inf and NaN appear where the signal
        overflows; there is no warning.

    Raises
    ------
    ValueError, TypeError
        As :func:`fastinit.theory.variance_map`, or if sigma_w has neither one entry nor one a layer. An
        infinite or NaN sigma_w is accepted, as it may come from measured weights.

    Examples
    --------
    Glorot's recipe for tanh, and what is left of a unit signal:

    >>> predict("tanh", sigma_w=1.0, depth=3).std.round(3)
    array([0.628, 0.486, 0.408])
    """
    layer = make_layer(activation, 0.0, sigma_b, param)
    second = check_finite("second_moment", second_moment, minimum=0.0)
    shape = (check_integer("depth", depth, minimum=1),)
    scales = np.asarray(sigma_w, dtype=np.float64)
    if scales.shape not in ((), (1,), shape):
        raise ValueError(
            f"argument 'sigma_w' must have one entry or one for each of {shape[0]} layers, "
            f"got shape {scales.shape}"
        )
    if np.any(scales < 0.0):
        raise ValueError(f"argument 'sigma_w' must be >= 0, got {sigma_w!r}")
    result = Prediction(np.empty(shape), np.empty(shape), np.empty(shape))
    with np.errstate(over="ignore", invalid="ignore"):
        for i, w in enumerate(np.broadcast_to(scales, shape)):
            q = float(w * w * second) + layer.b
            result.q[i] = q
            result.mean[i], result.std[i], second = layer.moments(q)
    return result
