"""The truncated normal: which formula of the kernels fits its bounds, and the numbers that go with it.

What has to be known more precisely than a kernel computes is worked out here, in decimal arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from fastinit_kernels.machine.forks import whole

from ..words import check_finite, plain_number
from .dtypes import arithmetic, largest
from .gaussian import (
    at_survival,
    fit,
    precise,
    quantile,
    survival,
    tail,
    truncated_mean,
    truncated_std,
    truncation,
    upper_side,
)
from .laws import Normal
from .plane import PlaneNormal
from .sampled import InPlane, Recipe, Sampled, check_range, recipe, toward

# What a polynomial may be off, as a share of the values: a 32nd of float32's spacing, a quarter of float64's.
_TOLERANCE = {"float32": 2.0**-29, "float64": 2.0**-55}
# -ln of the least survival that the words can ask for, 2^-33 or 2^-54.
_DEEPEST = {"float32": 33 * math.log(2), "float64": 54 * math.log(2)}
# Bounds nearer to 0 are not worth the try of `far`.
_NEAREST_FAR = {"float32": 0.5, "float64": 5.0}
# The inverse CDF bends too much for `series` from this on: (upper - lower) times the larger bound.
_BENT = 2.0

# What JAX divides the standard deviation asked for by, of a complex normal within the radius 2. (That of the law is
# sqrt(1 - 4 / (e^4 - 1)) = 0.96196, so what is drawn is 0.93 % wider than asked for, there and here.)
_PLANE_STD = 0.95311164380491208

_ROOT_2_PI = Decimal("2.506628274631000502415765284811")
# Words of a cell of the kernels' `centre` and `wide`.
_CELL = 1 << 13


@dataclass(frozen=True)
class TruncatedNormal(Sampled):
    """N(mean, std²) kept between mean + lower·std and mean + upper·std; std is that before truncation.

    `spread` is the standard deviation after it that a scheme asked for, if one did: complex numbers are drawn by it.
    """

    mean: float
    std: float
    lower: float
    upper: float
    spread: float | None = field(default=None, repr=False, compare=False)
    formulas = ("truncated_series", "truncated_far", "truncated_centre", "truncated_wide")

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", check_finite("mean", self.mean))
        object.__setattr__(self, "std", check_finite("std", self.std, minimum=0))
        object.__setattr__(self, "lower", _check_bound("lower", self.lower))
        object.__setattr__(self, "upper", _check_bound("upper", self.upper))
        if not self.lower < self.upper:
            raise ValueError(f"argument 'lower' must be < upper, got lower={self.lower!r}, upper={self.upper!r}")

    @property
    def expectation(self) -> float:
        """Mean of an element."""
        return self.mean + self.std * truncated_mean(self.lower, self.upper)

    @property
    def variance(self) -> float:
        """Variance of an element."""
        std = self.std * truncated_std(self.lower, self.upper)
        return std * std

    def in_plane(self) -> InPlane | None:
        """Return the complex normal within the radius of symmetric bounds."""
        if self.lower != -self.upper:
            return None
        std = self.std if self.spread is None else self.spread / _PLANE_STD
        return InPlane(PlaneNormal(std, self.upper), self.mean)

    @lru_cache(maxsize=256)  # noqa: B019 - frozen and tiny
    def recipe(self, dtype: str) -> Recipe:
        """Return the formula that has the spacing of the dtype between these bounds, and its numbers."""
        if not self.std:
            return Normal(self.mean, 0.0).recipe(dtype)
        self._check_reach(dtype)
        ends, kind, bounds = self._inside(dtype), arithmetic(dtype), (self.lower, self.upper)
        straight = _series(*bounds, kind)
        if straight:
            return recipe("truncated_series", *ends, *self._scaled(straight))
        if kind == "float32" and max(map(abs, bounds)) <= _centre():
            return recipe("truncated_centre", *ends, *self._parts(), *_factors_of_tail(*bounds))
        remote = _far(*bounds, kind)
        if remote:
            high, low, *coefficients = self._scaled(remote.curve)
            return recipe("truncated_far", *ends, high, low, *remote.words, *coefficients)
        if kind == "float32":
            mantissa = 2 * math.frexp(self.std)[0]
            return recipe("truncated_wide", *ends, *self._parts(), *_twice_probabilities(*bounds), mantissa)
        return recipe("truncated_wide", *ends, self.std, self.mean, *truncation(*bounds))

    def _check_reach(self, dtype: str) -> None:
        """Refuse a law whose values the dtype cannot hold. A bound that it cannot hold is none."""
        check_range("mean", self.mean, dtype)
        deepest = math.sqrt(2 * _DEEPEST[arithmetic(dtype)])
        below, above = math.hypot(min(self.upper, 0.0), deepest), math.hypot(max(self.lower, 0.0), deepest)
        ends = [self.mean + self.std * z for z in (max(self.lower, -below), min(self.upper, above))]
        if max(map(abs, ends)) > largest(dtype):
            raise ValueError(
                f"argument 'std' must keep the values within ±{largest(dtype):.4g}, the range of {dtype}, between "
                f"{self.lower!r} and {self.upper!r} std around the mean {self.mean!r}, got {self.std!r}"
            )

    def _inside(self, dtype: str) -> tuple[float, float]:
        """Return the first and the last value within the bounds."""
        first, last = (
            bound
            if math.isinf(bound)
            else toward(Fraction(self.mean) + Fraction(self.std) * Fraction(bound), dtype, below=below)
            for bound, below in ((self.lower, False), (self.upper, True))
        )
        if first > last:
            raise ValueError(
                f"argument 'std' must leave room for a {dtype} between the bounds {self.lower!r} and {self.upper!r} "
                f"around the mean {self.mean!r}, got {self.std!r}"
            )
        return first, last

    def _scaled(self, curve: _Curve) -> list[float]:
        """Return the constant, in two parts, and the coefficients of mean + std·curve."""
        std = Decimal(self.std)
        with precise(self.lower, self.upper):
            constant = Decimal(self.mean) + std * curve.constant
            return [*_two_parts(constant), *(float(std * c) for c in curve.coefficients)]

    def _parts(self) -> list[float]:
        """Return (a0, l0, k, its low part, k of the rest, r, sigma, mean) of `centre` and `wide`."""
        fraction, exponent = math.frexp(self.std)
        with precise(self.lower, self.upper):
            left, _, width = _probabilities(self.lower, self.upper)
            kappa = width / 2**32
            origin = (Decimal("0.5") - left) / kappa - Decimal("0.5")
            # Half-way between two cells around 0, so that symmetric bounds give symmetric values; far off, halves of
            # cells would not be exact.
            middle = math.floor(origin / _CELL) + (0.5 if abs(origin) < 2**35 else 0.0)
            r = Decimal(2 * fraction) * kappa * _CELL
            k, k_low = _two_parts(_ROOT_2_PI * r, "float32")
            rest = _ROOT_2_PI * r / _CELL, r
            return [
                middle, *(_single(x) for x in (Decimal(middle) * _CELL - origin,)), k, k_low,
                *(_single(x) for x in rest), math.ldexp(1.0, exponent - 1), float(np.float32(self.mean)),
            ]  # fmt: skip


def _check_bound(argument: str, value: Any) -> float:
    number = plain_number(value)
    return float(number) if isinstance(number, float) and math.isinf(number) else check_finite(argument, value)


def _centre() -> float:
    with whole:
        from fastinit_kernels.numeric.truncated import CENTRE

    return CENTRE


class _Curve(NamedTuple):
    """constant + s (c0 + c1 s + …), in units of std; what s is, the formula says."""

    constant: Decimal
    coefficients: list[Decimal]


class _Far(NamedTuple):
    curve: _Curve
    words: tuple[float, float, float, float]


@lru_cache(maxsize=256)
def _series(lower: float, upper: float, kind: str) -> _Curve | None:
    """Return the inverse CDF as a polynomial of s = 2u - 1, if there is one that is good enough."""
    if not (upper - lower) * max(abs(lower), abs(upper), 1.0) <= _BENT:
        return None
    with precise(lower, upper):
        a, b, mirrored = upper_side(lower, upper)
        middle = quantile(Decimal("0.5"), a, b)
        c, error = fit(lambda s: (quantile((1 + s) / 2, a, b) - middle) / s, Decimal(-1), Decimal(1), _terms())
        if error > Decimal(_TOLERANCE[kind]) * max(a, b - a):
            return None
        return _Curve(-middle, [x * (-1) ** k for k, x in enumerate(c)]) if mirrored else _Curve(middle, c)


@lru_cache(maxsize=256)
def _far(lower: float, upper: float, kind: str) -> _Far | None:
    """Return the inverse survival function as a polynomial of s = sqrt(r² + e) - r, if one is good enough.

    e = -ln survival, from 0 at the nearer bound. r² = bound²/2 + 1 makes z(s) nearly straight, as z² / 2 is almost e.
    """
    with precise(lower, upper):
        a, b, mirrored = upper_side(lower, upper)
        if a < _NEAREST_FAR[kind]:
            return None
        beyond = survival(b, a)
        deepest = Decimal(_DEEPEST[kind])
        deepest = min(deepest, -beyond.ln()) if beyond else deepest
        root = Decimal(float((a * a / 2 + 1).sqrt()))
        most = (root * root + deepest).sqrt() - root
        curve, error = fit(lambda s: (at_survival((-s * (s + 2 * root)).exp(), a) - a) / s, Decimal(0), most, _terms())
        if error * most > Decimal(_TOLERANCE[kind]) * a:
            return None
        side = 0.5 if mirrored else -0.5
        words = side, float(beyond), float(1 - beyond), float(root)
        return _Far(_Curve(-a, [-x for x in curve]) if mirrored else _Curve(a, curve), words)


def _terms() -> int:
    with whole:
        from fastinit_kernels.numeric.truncated import TERMS

    return TERMS


def _probabilities(lower: float, upper: float) -> tuple[Decimal, Decimal, Decimal]:
    """Return the probabilities below, above and between the bounds."""
    left, right = tail(-Decimal(lower)), tail(Decimal(upper))
    return left, right, 1 - left - right


def _factors_of_tail(lower: float, upper: float) -> list[float]:
    """Return the factors of A, in two parts, and of L in the nearer tail twice, 1 - 2 |d|."""
    with precise(lower, upper):
        step = _probabilities(lower, upper)[2] / 2**31
        return [*_two_parts(-step * _CELL, "float32"), _single(-step)]


def _twice_probabilities(lower: float, upper: float) -> list[float]:
    with precise(lower, upper):
        return [_single(2 * p) for p in _probabilities(lower, upper)]


def _single(x: Decimal) -> float:
    return float(np.float32(float(x)))


def _two_parts(x: Decimal, kind: str = "float64") -> tuple[float, float]:
    """Return the nearest number of the type and, rounded to it, what is left."""
    high = float(np.dtype(kind).type(float(x)))
    return high, float(np.dtype(kind).type(float(x - Decimal(high))))
