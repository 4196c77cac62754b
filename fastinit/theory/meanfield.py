"""The engine of :mod:`fastinit.theory`: one layer's maps, for weights and biases of any size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..activations import Activation, ActivationLike, get_activation
from ..activations.quadrature import pair_mean, rule
from ..activations.user import differences
from ..words import check_finite

Array = NDArray[np.float64]

# Correlations and slopes have limits for q -> 0 and q -> inf, reached within rounding long before these.
_TINY, _HUGE = 1e-200, 1e200
# The largest float. There, squares of a Gaussian's values overflow, so that an infinite variance leads to inf.
_LARGEST = float(np.finfo(np.float64).max)
# Beyond `_HUGE` activations are squared in this unit, a power of two.
_UNIT = 2.0**400
# Beyond this variance a step of width 1 is too narrow for a rule in two dimensions.
_UNRESOLVED = 1e10
# Under a Gaussian of variance 20 a function of period pi has its mean over a period, within exp(-40).
_WIDEST = {"sin": 20.0}


@dataclass(frozen=True)
class Layer:
    """One layer's maps: activation, its parameter p, and the standard deviations sigma_w and sigma_b."""

    activation: Activation
    p: float
    sigma_w: float
    sigma_b: float

    def _rule(self, q: float) -> tuple[Array, Array]:
        widest = _WIDEST.get(self.activation.name, _LARGEST)
        return rule(math.sqrt(min(q, widest)), (0.0, *self.activation.kinks))

    def _mean(self, f: Callable[[Array], Array], q: float) -> float:
        z, w = self._rule(q)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(w @ f(z))

    def _pair_mean(self, f: Callable[[Array, Array], Array], q: float, gap: float) -> float:
        if math.isnan(q) or math.isnan(gap):
            return math.nan
        widest = _WIDEST.get(self.activation.name, math.inf)
        with np.errstate(over="ignore", invalid="ignore"):
            return pair_mean(f, q, gap, self.activation.kinks, widest)

    def _weighted(self, x: float) -> float:
        """Return sigma_w^2 x, where it is a float, though sigma_w^2 need not be one."""
        return self.sigma_w * (self.sigma_w * x) if self.sigma_w else 0.0

    @property
    def bias(self) -> float:
        """The variance of the biases."""
        return self.sigma_b * self.sigma_b

    def phi(self, z: Array) -> Array:
        return self.activation.function(z, self.p)

    def slope(self, z: Array) -> Array:
        return self.activation.derivative(z, self.p)

    def second_moment(self, q: float) -> float:
        """Return the mean square of the activations."""
        if 0.0 < q < _TINY:  # its digits would be lost to underflow; what does not vanish at 0 is constant there
            at_zero = self.second_moment(0.0)
            return at_zero + (self.second_moment(_TINY) - at_zero) * (q / _TINY)
        unit = _UNIT if _HUGE < q < math.inf else 1.0
        return self._mean(lambda z: (self.phi(z) / unit) ** 2, q) * unit * unit

    def fourth_moment(self, q: float) -> float:
        """Return the mean fourth power of the activations."""
        return self._mean(lambda z: self.phi(z) ** 4, q)

    def moments(self, q: float) -> tuple[float, float, float]:
        """Return mean, variance and mean square of the activations."""
        z, w = self._rule(q)
        with np.errstate(over="ignore", invalid="ignore"):
            a = self.phi(z)
            mean = float(w @ a)
            centered = a - mean
            return mean, float(w @ (centered * centered)), float(w @ (a * a))

    def variance(self, q: float) -> float:
        """Return q of the next layer."""
        return self._weighted(self.second_moment(q)) + self.bias

    def variance_slope(self, q: float) -> float:
        """Return the derivative of `variance`: sigma_w^2 E[phi'^2 + phi phi''], by Stein's lemma."""
        q = min(max(q, _TINY), _LARGEST)
        std = math.sqrt(q)

        def slopes(z: Array) -> Array:
            return (z / std) * (self.phi(z) / std) * self.slope(z)

        return self._weighted(_cleared(self._mean(slopes, q), self._mean(lambda z: np.abs(slopes(z)), q)))

    def chi1(self, q: float) -> float:
        """Return the derivative of the covariance map at c = 1."""
        return self._weighted(self._mean(lambda z: self.slope(z) ** 2, max(q, _TINY)))

    def chi2(self, q: float) -> float:
        """Return sigma_w^2 E[phi''^2], inf where phi' jumps."""
        if self.sigma_w and any(self._jumps(kink) for kink in self.activation.kinks):
            return math.inf
        bend = differences(self.activation.derivative, self.activation.kinks)
        return self._weighted(self._mean(lambda z: bend(z, self.p) ** 2, max(q, _TINY)))

    def _jumps(self, kink: float) -> bool:
        near = 1e-6 * max(1.0, abs(kink))
        below, above = self.slope(np.array([kink - near, kink + near]))
        return bool(abs(above - below) > 1e-3)

    def chi(self, q: float, gap: float) -> float:
        """Return the derivative of the covariance map at c = 1 - gap."""
        if q > _UNRESOLVED:
            push = 1e-4 * gap
            near, far = self.gap(q, gap - push), self.gap(q, gap + push)
            return _cleared(far - near, far + near) / (2.0 * push) * (self.variance(q) / q)

        def slopes(u: Array, v: Array) -> Array:
            return self.slope(u) * self.slope(v)

        q = _limit(q)
        size = self._pair_mean(lambda u, v: np.abs(slopes(u, v)), q, gap)
        return self._weighted(_cleared(self._pair_mean(slopes, q, gap), size))

    def distance(self, q: float, gap: float) -> float:
        """Return half the mean squared distance between two inputs' activations, given 1 - c of the preactivations."""
        return 0.5 * self._pair_mean(lambda u, v: (self.phi(u) - self.phi(v)) ** 2, q, gap)

    def gap(self, q: float, gap: float) -> float:
        """Return 1 - c of the next layer, given 1 - c of this one: no cancellation for c near 1."""
        if not self.sigma_w:
            return 0.0 if self.sigma_b else math.nan
        q, biases = _limit(q), self.sigma_b / self.sigma_w
        size = self.second_moment(q) + biases * biases
        return self.distance(q, gap) / size if size > 0.0 else math.nan


def make_layer(activation: ActivationLike, sigma_w: float, sigma_b: float, param: float | None) -> Layer:
    """Check the arguments that every function of the theory shares."""
    row = get_activation(activation)
    p = row.resolve(param)
    return Layer(row, p, check_finite("sigma_w", sigma_w, minimum=0.0), check_finite("sigma_b", sigma_b, minimum=0.0))


def _cleared(x: float, size: float) -> float:
    """Return x, or 0 where it is what rounding left of terms that cancel."""
    return x if abs(x) > 1e-14 * size else 0.0


def _limit(q: float) -> float:
    return min(max(q, _TINY), _HUGE)
