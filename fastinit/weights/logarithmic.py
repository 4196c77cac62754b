"""Laws of time steps and decay rates: uniform in the logarithm, the logarithm of a uniform, an inverse softplus.

What is known of them beforehand, logarithms of bounds, is worked out in decimal arithmetic: the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..words import check_finite, shown
from .dtypes import compute_type
from .sampled import Recipe, Sampled, check_range, recipe, toward

# Below it float64 has fewer digits, and the kernels' logarithm none.
_LEAST = 2.0**-1000
# The least u that a word asks for: 2^-54 of two words.
_LEAST_UNIT = 2.0**-54
_DIGITS = 50


@dataclass(frozen=True)
class LogUniform(Sampled):
    """exp(U(ln low, ln high))."""

    low: float
    high: float
    formulas = ("log_uniform",)

    def __post_init__(self) -> None:
        _check_bounds(self, _LEAST)

    @property
    def expectation(self) -> float:
        """Mean of an element."""
        return _moments(self._value, self._knots())[0]

    @property
    def variance(self) -> float:
        """Variance of an element."""
        return _moments(self._value, self._knots())[1]

    def _value(self, u: NDArray[Any]) -> NDArray[Any]:
        return self.low * np.exp(u * math.log(self.high / self.low))

    def _knots(self) -> NDArray[Any]:
        return _panels(math.log(self.high) - math.log(self.low))

    @lru_cache(maxsize=256)  # noqa: B019 - frozen and tiny
    def recipe(self, dtype: str) -> Recipe:
        """Return (first value, last value, ln low, ln high - ln low)."""
        ends = _ends(Fraction(self.low), Fraction(self.high), dtype)
        low, high = _ln(self.low), _ln(self.high)
        return recipe("log_uniform", *ends, float(low), float(high - low))


@dataclass(frozen=True)
class LogOfUniform(Sampled):
    """ln U(low, high): finite where low is 0, too."""

    low: float
    high: float
    formulas = ("log_of_uniform",)

    def __post_init__(self) -> None:
        _check_bounds(self, 0.0)
        if self.high < _LEAST:
            raise ValueError(f"argument 'high' must be >= {_LEAST:.3g}, got {shown(self.high)}")

    @property
    def expectation(self) -> float:
        """Mean of an element."""
        return self._moments()[0]

    @property
    def variance(self) -> float:
        """Variance of an element."""
        return self._moments()[1]

    def _moments(self) -> tuple[float, float]:
        if not self.low:
            return math.log(self.high) - 1.0, 1.0
        width = math.log(self.high) - math.log(self.low)
        if not width:
            return math.log(self.low), 0.0
        # Of ln U itself the density is an exponential: the value at the place x, and how much there is of it.
        mean, variance = _moments(
            lambda x: width * (x - 1.0), _panels(width), lambda x: width * np.exp(width * (x - 1.0)) / -np.expm1(-width)
        )
        return math.log(self.high) + mean, variance

    @lru_cache(maxsize=256)  # noqa: B019 - frozen and tiny
    def recipe(self, dtype: str) -> Recipe:
        """Return (first value, last value, low, high - low)."""
        high = Fraction(_ln(self.high))
        if self.low:
            ends = _ends(Fraction(_ln(self.low)), high, dtype)
        else:
            check_range("high", math.log(self.high) + math.log(_LEAST_UNIT), dtype)
            ends = -math.inf, toward(high, dtype, below=True)
        width = Fraction(self.high) - Fraction(self.low)
        return recipe("log_of_uniform", *ends, self.low, float(width))


@dataclass(frozen=True)
class InverseSoftplus(Sampled):
    """The x with log(1 + e^x) = dt, dt = max(exp(U(ln low, ln high)), floor)."""

    low: float
    high: float
    floor: float
    formulas = ("inverse_softplus",)

    def __post_init__(self) -> None:
        _check_bounds(self, _LEAST)
        object.__setattr__(self, "floor", check_finite("floor", self.floor, minimum=0))

    @property
    def expectation(self) -> float:
        """Mean of an element."""
        return _moments(self._value, self._knots())[0]

    @property
    def variance(self) -> float:
        """Variance of an element."""
        return _moments(self._value, self._knots())[1]

    def _value(self, u: NDArray[Any]) -> NDArray[Any]:
        step = np.maximum(self.low * np.exp(u * math.log(self.high / self.low)), self.floor)
        with np.errstate(under="ignore"):
            value: NDArray[Any] = step + np.log(-np.expm1(-step))
        return value

    def _knots(self) -> NDArray[Any]:
        width = math.log(self.high) - math.log(self.low)
        knots = _panels(width)
        if self.low < self.floor < self.high:  # where it has a bend
            knots = np.union1d(knots, [math.log(self.floor / self.low) / width])
        return knots

    @lru_cache(maxsize=256)  # noqa: B019 - frozen and tiny
    def recipe(self, dtype: str) -> Recipe:
        """Return (first value, last value, ln low, ln high - ln low, floor)."""
        first, last = (_softplus_inverse(max(step, self.floor)) for step in (self.low, self.high))
        ends = _ends(first, last, dtype)
        low, high = _ln(self.low), _ln(self.high)
        return recipe("inverse_softplus", *ends, float(low), float(high - low), self.floor)


def _check_bounds(law: LogUniform | LogOfUniform | InverseSoftplus, least: float) -> None:
    object.__setattr__(law, "low", check_finite("low", law.low, minimum=least))
    object.__setattr__(law, "high", check_finite("high", law.high))
    if law.low > law.high:
        raise ValueError(f"argument 'low' must be <= high, got low={law.low!r}, high={law.high!r}")


def _ends(low: Fraction, high: Fraction, dtype: str) -> tuple[float, float]:
    """Return the first and the last value of a dtype between two bounds."""
    check_range("low", float(low), dtype)
    check_range("high", float(high), dtype)
    if low == high:
        value = float(compute_type(dtype)(float(low)))
        return value, value
    first, last = toward(low, dtype, below=False), toward(high, dtype, below=True)
    if first > last:
        raise ValueError(
            f"argument 'high' must leave room for a {dtype} between {float(low)!r} and the largest value, "
            f"got {float(high)!r}"
        )
    return first, last


def _ln(x: float) -> Decimal:
    with localcontext(prec=_DIGITS):
        return Decimal(x).ln()


@lru_cache(maxsize=256)
def _softplus_inverse(y: float) -> Fraction:
    with localcontext(prec=_DIGITS + max(0, -math.frexp(y)[1])):  # 1 - e^-y loses as many digits as y is small
        exact = Decimal(y)
        return Fraction(exact + (1 - (-exact).exp()).ln())


def _panels(width: float) -> NDArray[Any]:
    """Return the ends of the pieces of [0, 1] in each of which exp(width·u) does not bend much."""
    return np.linspace(0.0, 1.0, 2 + math.ceil(width / 4.0))


def _moments(
    value: Callable[[NDArray[Any]], NDArray[Any]],
    knots: NDArray[Any],
    density: Callable[[NDArray[Any]], NDArray[Any]] = np.ones_like,
) -> tuple[float, float]:
    """Return mean and variance of value(u), u of that density on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = np.diff(knots)[:, None] / 2.0
    u = knots[:-1, None] + half * (1.0 + nodes)
    with np.errstate(over="ignore", invalid="ignore"):
        share = weights * half * density(u)
        x = value(u)
        mean = float(np.sum(share * x))
        return mean, float(np.sum(share * np.square(x - mean)))
