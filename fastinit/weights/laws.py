"""Laws with their numbers: what a scheme resolves to, and how each is written into an array."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..words import check_finite, plain_number
from .dtypes import compute_type, largest
from .plane import Disk
from .regions import Region
from .sampled import InPlane
from .sampled import Law as Law
from .sampled import Recipe as Recipe
from .sampled import Sampled as Sampled
from .sampled import Tensor as Tensor
from .sampled import check_range as check_range
from .sampled import mean_square as mean_square
from .sampled import recipe as recipe
from .sampled import toward as toward


@dataclass(frozen=True)
class Constant:
    """Every element is `value`."""

    value: float
    elementwise: ClassVar[bool] = True
    # 0.0 and -0.0 are equal, but not the same constant.
    sign: float = field(init=False, repr=False)
    planar: ClassVar[bool] = True

    def __post_init__(self) -> None:
        value = check_finite("value", self.value)
        plain = plain_number(self.value)  # of -0.0 `check_finite` takes the sign
        sign = math.copysign(1.0, value if value or plain is None else plain)
        object.__setattr__(self, "value", math.copysign(value, sign))
        object.__setattr__(self, "sign", sign)

    @property
    def expectation(self) -> float:
        """Mean of an element: the value."""
        return self.value

    @property
    def variance(self) -> float:
        """Variance of an element: 0."""
        return 0.0

    def check(self, tensor: Tensor) -> None:
        """Refuse a value that the dtype cannot hold."""
        check_range("value", self.value, tensor.dtype)

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Write the constant, rounded as a drawn value is."""
        out[...] = compute_type(tensor.dtype)(self.value)


@dataclass(frozen=True)
class Uniform(Sampled):
    """U(low, high), low included and high not; low where both are equal.

    `spread` is the standard deviation that a scheme asked for, if one did: complex numbers are drawn by it.
    """

    low: float
    high: float
    spread: float | None = field(default=None, repr=False, compare=False)
    formulas = ("uniform",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", check_finite("low", self.low))
        object.__setattr__(self, "high", check_finite("high", self.high))
        if self.low > self.high:
            raise ValueError(f"argument 'low' must be <= high, got low={self.low!r}, high={self.high!r}")

    @property
    def expectation(self) -> float:
        """Mean of an element."""
        return self.low / 2 + self.high / 2

    @property
    def variance(self) -> float:
        """Variance of an element."""
        half = self.high / 2 - self.low / 2
        return half * half / 3

    def in_plane(self) -> InPlane | None:
        """Return the disk with the variance asked for; of bounds alone there is none."""
        return None if self.spread is None else InPlane(Disk(math.sqrt(2.0) * self.spread))

    @lru_cache(maxsize=256)  # noqa: B019 - frozen and tiny
    def recipe(self, dtype: str) -> Recipe:
        """Return (first value, last value, half width, origin, shift) of x = origin + half · (2j·2^-24 + shift).

        On (-a, a), and where the middle is a number of the type and the type is coarser than the steps of x all
        through, x is centred: the odd multiples s = (2j + 1)·2^-24 around the middle. Elsewhere x counts its steps from
        `low`, since odd ones would be ties of the rounding where the type is as fine as the steps, and every second
        value would be left out.
        """
        check_range("low", self.low, dtype)
        check_range("high", self.high, dtype)
        kind = compute_type(dtype)
        if self.low == self.high:
            value = float(kind(self.low))
            return recipe("uniform", value, value, 0.0, value, 0.0)
        first, last = self._inside(dtype)
        low, high = (Fraction(float(kind(x))) for x in (self.low, self.high))
        half, centre = (high - low) / 2, (high + low) / 2
        far = min(abs(low), abs(high)) >= high - low and low * high > 0
        if centre == 0 or (far and centre == Fraction(float(kind(float(centre))))):
            return recipe("uniform", first, last, float(kind(float(half))), float(centre), _ulp_of_one(kind) / 2)
        return recipe("uniform", first, last, float(kind(float(half))), float(low), 1.0)

    def _inside(self, dtype: str) -> tuple[float, float]:
        first = toward(Fraction(self.low), dtype, below=False)
        last = toward(Fraction(self.high), dtype, below=True, strict=True)
        if first > last:
            raise ValueError(
                f"argument 'high' must leave room for a {dtype} from low = {self.low!r} on, got {self.high!r}"
            )
        return first, last


def _ulp_of_one(kind: type[np.floating[Any]]) -> float:
    return float(np.finfo(kind).eps)


# How far out a standard normal of the kernels may come.
NORMAL_REACH = {"float32": 6.77, "float64": 8.66}


@dataclass(frozen=True)
class Normal(Sampled):
    """N(mean, std²)."""

    mean: float
    std: float
    formulas = ("normal",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", check_finite("mean", self.mean))
        object.__setattr__(self, "std", check_finite("std", self.std, minimum=0))

    @property
    def expectation(self) -> float:
        """Mean of an element."""
        return self.mean

    @property
    def variance(self) -> float:
        """Variance of an element."""
        return self.std * self.std  # infinity where a power would raise

    def in_plane(self) -> InPlane:
        """Return the law of either part: it has half of the variance."""
        return InPlane(Normal(0.0, self.std / math.sqrt(2.0)), self.mean)

    @lru_cache(maxsize=256)  # noqa: B019 - frozen and tiny
    def recipe(self, dtype: str) -> Recipe:
        """Return (std, mean)."""
        check_range("mean", self.mean, dtype)
        kind = compute_type(dtype)
        reach = NORMAL_REACH[np.dtype(kind).name]
        if abs(self.mean) + reach * self.std > largest(dtype):
            rule = f"keep mean ± {reach:g} std within ±{largest(dtype):.4g}, the range of {dtype}"
            raise ValueError(f"argument 'std' must {rule}, got {self.std!r}")
        return recipe("normal", float(kind(self.std)), float(kind(self.mean)))
