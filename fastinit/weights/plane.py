"""Laws of the parts of complex numbers, and a complex array as the pairs of real numbers that it is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache

from .dtypes import compute_type, largest
from .sampled import Recipe, Sampled, check_range, recipe

# How far out, in units of std, the radius of a complex normal of the kernels may come: sqrt(33 ln 2), sqrt(54 ln 2).
PLANE_REACH = {"float32": 4.79, "float64": 6.12}


@dataclass(frozen=True)
class Disk(Sampled):
    """Uniform in a disk around 0."""

    radius: float
    formulas = ("disk",)

    @property
    def expectation(self) -> float:
        """Mean of a part: 0."""
        return 0.0

    @property
    def variance(self) -> float:
        """Variance of a part."""
        return (self.radius / 2.0) ** 2

    @lru_cache(maxsize=256)  # noqa: B019 - frozen and tiny
    def recipe(self, dtype: str) -> Recipe:
        """Return (radius,)."""
        check_range("radius", self.radius, dtype)
        return recipe("disk", float(compute_type(dtype)(self.radius)))


@dataclass(frozen=True)
class PlaneNormal(Sampled):
    """The complex normal whose mean square is std², within a radius of upper·std; std is that before truncation."""

    std: float
    upper: float
    formulas = ("plane_normal",)

    @property
    def expectation(self) -> float:
        """Mean of a part: 0."""
        return 0.0

    @property
    def variance(self) -> float:
        """Variance of a part."""
        square = self.upper**2
        lost = square / math.expm1(square) if 0.0 < square < 700.0 else 0.0
        return self.std**2 * (1.0 - lost) / 2.0

    @lru_cache(maxsize=256)  # noqa: B019 - frozen and tiny
    def recipe(self, dtype: str) -> Recipe:
        """Return (std, share of the normal beyond the radius, 1 minus that)."""
        kind = compute_type(dtype)
        reach = min(self.upper, PLANE_REACH[dtype])
        if self.std * reach > largest(dtype):
            raise ValueError(
                f"argument 'std' must keep {reach:g} std within ±{largest(dtype):.4g}, the range of {dtype}, "
                f"got {self.std!r}"
            )
        beyond = _beyond(self.upper)
        return recipe("plane_normal", float(kind(self.std)), float(kind(float(beyond))), float(kind(float(1 - beyond))))


def _beyond(upper: float) -> Decimal:
    """Return exp(-upper²), the same on every machine."""
    if upper > 40.0:  # 0 in any type
        return Decimal(0)
    with localcontext(prec=40):
        return (-(Decimal(upper) ** 2)).exp()
