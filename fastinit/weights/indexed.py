"""Laws of an index: nothing is drawn, a value is a function of where it stands along an axis.

Computed in float64 for the region alone, with the kernels' own logarithms, exponentials, sines and cosines, so that the
bytes are the same on every CPU, and rounded once (to a narrow type from float32, as everything is).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from fastinit_kernels.machine.forks import whole
from numpy.typing import NDArray

from ..words import check_finite, check_flag, check_integer, entries, shown
from .dtypes import compute_type
from .regions import MOST_AXES, Region, Shape, parts, within
from .sampled import Tensor, check_range

Array = NDArray[np.float64]
L = TypeVar("L", bound="Indexed")

_AT_A_TIME = 1 << 18
# Of an axis whose size is not known: for the moments.
_NOMINAL = 1024
# The least and the largest number whose logarithm and reciprocal are taken.
_TINY, _HUGE = 1e-300, 1e300
_MOST_TERMS = 64


def elementary(function: str, x: Array) -> Array:
    """Return log, exp, sin or cos of an array, the same bits on every CPU."""
    with whole:
        from fastinit_kernels.fill.elementwise import apply

    values: Array = apply(function, x)
    return values


def power(x: Array, exponent: float) -> Array:
    """Return x**exponent of numbers in [0, 1], 0 where it is below 1e-304."""
    if exponent in (0.0, 1.0):
        return x**exponent
    logs = exponent * elementary("log", np.where(x > 0.0, x, 1.0))
    return np.where((x > 0.0) & (logs > -700.0), elementary("exp", np.maximum(logs, -700.0)), 0.0)


@dataclass(frozen=True)
class Indexed(ABC):
    """A law of the index along an axis; of the others it is the same."""

    along: int
    size: int | None = field(default=None, init=False, repr=False)
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "along", check_integer("along", self.along, minimum=-MOST_AXES, maximum=MOST_AXES - 1))

    @abstractmethod
    def values(self, index: Array, size: int) -> Array:
        """Return what stands at these indices of an axis of that size."""

    @abstractmethod
    def check_values(self, size: int, dtype: str) -> None:
        """Refuse numbers that the dtype cannot hold."""

    def sized(self: L, shape: Shape) -> L:
        """Return the law that knows the size of its axis in a tensor of that shape, and so its moments."""
        if not -len(shape) <= self.along < len(shape):
            raise ValueError(
                f"argument 'along' must be an axis of shape {shown(shape)}, from {-len(shape)} to {len(shape) - 1}, "
                f"got {self.along}"
            )
        known = replace(self)
        object.__setattr__(known, "size", shape[self.along])
        return known

    @property
    def expectation(self) -> float:
        """Mean of the elements along the axis, one of 1024 if its size is not known."""
        return self._moments()[0]

    @property
    def variance(self) -> float:
        """Variance of the elements along the axis."""
        return self._moments()[1]

    def _moments(self) -> tuple[float, float]:
        size = _NOMINAL if self.size is None else self.size
        if not size:
            return 0.0, 0.0
        # Of a long axis as many places as tell the mean, evenly spaced.
        x = self.values(np.floor(np.linspace(0.0, size - 1.0, min(size, 1 << 12))), size)
        with np.errstate(over="ignore"):
            return float(np.mean(x)), float(np.var(x))

    def check(self, tensor: Tensor) -> None:
        """Refuse an axis that is none of the tensor's, and numbers that the dtype cannot hold."""
        size = self.sized(tensor.shape).size
        assert size is not None
        self.check_values(max(size, 1), tensor.dtype)

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Write the region, block by block."""
        if not out.size:
            return
        kind = compute_type(tensor.dtype)
        for part in parts(region, _AT_A_TIME):
            with np.errstate(under="ignore"):
                out[within(part, region)] = self.block(tensor.shape, part).astype(kind)

    def block(self, shape: Shape, part: Region) -> Array:
        """Return the values of a part, in a shape that broadcasts to it."""
        axis = self.along % len(shape)
        return self.values(indices(part, axis), shape[axis])


def indices(part: Region, axis: int) -> Array:
    """Return the indices of a part along an axis, in a shape that broadcasts to the part."""
    start, length = part[axis]
    index = np.arange(start, start + length).astype(np.float64)
    return index.reshape([length if a == axis else 1 for a in range(len(part))])


@dataclass(frozen=True)
class LogArange(Indexed):
    """ln(start + i)."""

    start: float

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "start", check_finite("start", self.start, minimum=_TINY, maximum=_HUGE))

    def values(self, index: Array, size: int) -> Array:
        """Return ln(start + index)."""
        return elementary("log", self.start + index)

    def check_values(self, size: int, dtype: str) -> None:
        """Refuse logarithms that the dtype cannot hold."""
        for x in (self.start, self.start + (size - 1)):
            check_range("start", math.log(x), dtype)


@dataclass(frozen=True)
class Linspace(Indexed):
    """low + (high - low)·i / (n - 1), or / n without the end."""

    low: float
    high: float
    endpoint: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high"):
            object.__setattr__(self, name, check_finite(name, getattr(self, name), minimum=-_HUGE, maximum=_HUGE))
        object.__setattr__(self, "endpoint", check_flag("endpoint", self.endpoint))

    def values(self, index: Array, size: int) -> Array:
        """Return the places between both ends, which are exact."""
        steps = _steps(size, self.endpoint)
        width = self.high - self.low
        # The product with an integer first: of whole numbers whole numbers come.
        moved = width * index / steps if abs(width) < 1e280 else width * (index / steps)
        return np.where(index < steps, self.low + moved, self.high if size > 1 else self.low)

    def check_values(self, size: int, dtype: str) -> None:
        """Refuse ends that the dtype cannot hold."""
        check_range("low", self.low, dtype)
        check_range("high", self.high, dtype)


@dataclass(frozen=True)
class PowerRamp(Indexed):
    """offset + slope·t^power + zigzag·s·abs(s): t from 0 to 1 along the axis, s from -1 to 1 along each period."""

    offset: float
    slope: float
    power: float
    zigzag: float
    period: int | None
    endpoint: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("offset", "slope", "zigzag"):
            object.__setattr__(self, name, check_finite(name, getattr(self, name), minimum=-_HUGE, maximum=_HUGE))
        object.__setattr__(self, "power", check_finite("power", self.power, minimum=0, maximum=_HUGE))
        period = None if self.period is None else check_integer("period", self.period, minimum=1, maximum=1 << 53)
        object.__setattr__(self, "period", period)
        object.__setattr__(self, "endpoint", check_flag("endpoint", self.endpoint))

    def values(self, index: Array, size: int) -> Array:
        """Return the ramp and the zigzag upon it."""
        ramp = self.offset + self.slope * power(index / _steps(size, self.endpoint), self.power)
        if not self.zigzag:
            return ramp
        period = float(self.period or size)
        s = (2.0 * np.fmod(index, period) - (period - 1.0)) / max(period - 1.0, 1.0)
        return ramp + self.zigzag * (s * np.abs(s))

    def check_values(self, size: int, dtype: str) -> None:
        """Refuse sums that the dtype cannot hold."""
        check_range("slope", abs(self.offset) + abs(self.slope) + abs(self.zigzag), dtype)


@dataclass(frozen=True)
class Polynomial(Indexed):
    """c0 + c1·t + c2·t² + …, t from 0 to 1 along the axis."""

    coefficients: tuple[float, ...]
    endpoint: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        given = entries(self.coefficients, _MOST_TERMS)
        if not given or len(given) > _MOST_TERMS:
            kind = TypeError if given is None else ValueError
            raise kind(
                f"argument 'coefficients' must be a list of 1 to {_MOST_TERMS} numbers, got {shown(self.coefficients)}"
            )
        numbers = [check_finite("coefficients", c, minimum=-_HUGE, maximum=_HUGE) for c in given]
        object.__setattr__(self, "coefficients", tuple(numbers))
        object.__setattr__(self, "endpoint", check_flag("endpoint", self.endpoint))

    def values(self, index: Array, size: int) -> Array:
        """Return the polynomial by Horner's rule."""
        t = index / _steps(size, self.endpoint)
        total = np.full_like(t, self.coefficients[-1])
        for c in self.coefficients[-2::-1]:
            total = total * t + c
        return total

    def check_values(self, size: int, dtype: str) -> None:
        """Refuse sums that the dtype cannot hold."""
        check_range("coefficients", sum(map(abs, self.coefficients)), dtype)


@dataclass(frozen=True)
class RotaryFrequencies(Indexed):
    """base^(-i/n)."""

    base: float

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "base", check_finite("base", self.base, minimum=_TINY, maximum=_HUGE))

    def values(self, index: Array, size: int) -> Array:
        """Return the angle a step of each pair of channels."""
        return frequencies(self.base, index, float(max(size, 1)))

    def check_values(self, size: int, dtype: str) -> None:
        """Refuse frequencies that the dtype cannot hold."""
        check_range("base", 1.0 / self.base, dtype)


def frequencies(base: float, index: Array, steps: float) -> Array:
    """Return base^(-index/steps)."""
    scale = float(elementary("log", np.array([base]))[0])
    return elementary("exp", -scale * index / steps)


def _steps(size: int, endpoint: bool) -> float:
    return float(max(size - 1 if endpoint else size, 1))
