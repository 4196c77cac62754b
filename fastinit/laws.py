"""Laws with their numbers: what a scheme resolves to, and how each is written into an array."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cache, lru_cache
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, Protocol

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from .errors import check_finite
from .fans import Layout
from .gaussian import FARTHEST, truncation
from .regions import Region, Shape, flat_view, geometry
from .streams import philox_key


class Tensor(NamedTuple):
    """The address of a tensor's elements and how they are read: everything but the law."""

    shape: Shape
    dtype: str
    seed: int
    name: str
    layout: Layout | None = None


class Law(Protocol):
    """A distribution with its numbers."""

    @property
    def variance(self) -> float:
        """Variance of an element."""

    def check(self, tensor: Tensor) -> None:
        """Raise if this law cannot be drawn for that tensor; called before anything is allocated."""

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Write the region of the tensor to `out`, of the region's shape; everything has been checked."""


@dataclass(frozen=True)
class Constant:
    """Every element is `value`."""

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", check_finite("value", self.value))

    @property
    def variance(self) -> float:
        """Variance of an element: 0."""
        return 0.0

    def check(self, tensor: Tensor) -> None:
        """Refuse a value that the dtype cannot hold."""
        _check_range("value", self.value, np.dtype(tensor.dtype))

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Write the constant."""
        out[...] = self.value


class Sampled(ABC):
    """A law that a kernel draws, element by element."""

    kernel: ClassVar[str]

    @abstractmethod
    def parameters(self, dtype: str) -> NDArray[Any]:
        """Return the numbers handed to the kernel, in the type it computes in."""

    def check(self, tensor: Tensor) -> None:
        """Refuse numbers that the type of the computation cannot hold."""
        self.parameters(tensor.dtype)

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Draw the region."""
        if not out.size:
            return
        fill = _fill_kernels()
        view = flat_view(out.view(fill.stored_type(tensor.dtype)))
        if view is None:  # strides that no flat view expresses: draw beside, then copy
            beside = np.empty(out.shape, out.dtype)
            self.fill(tensor, region, beside)
            out[...] = beside
            return
        flat, strides, offset = view
        where = geometry(region, tensor.shape, strides, offset)
        key = philox_key(tensor.seed, tensor.name)
        fill.fill(self.kernel, tensor.dtype, flat, where, key, self.parameters(tensor.dtype))


@cache
def _fill_kernels() -> ModuleType:
    """Load the kernels, and Numba with them, when something is first drawn."""
    from fastinit_kernels import fill

    return fill


def compute_type(dtype: str) -> type[np.floating[Any]]:
    """Return the type in which a dtype's values are computed before their one rounding."""
    return np.float64 if dtype == "float64" else np.float32


def _pack(law: Any, kind: type[np.floating[Any]], *numbers: float) -> NDArray[Any]:
    from fastinit_kernels.laws import PARAMETERS

    for field in fields(law):
        _check_range(field.name, getattr(law, field.name), np.dtype(kind))
    packed = np.zeros(PARAMETERS, kind)
    packed[: len(numbers)] = numbers
    return packed


def _check_range(name: str, value: float, dtype: np.dtype[Any]) -> None:
    largest = float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]
    if math.isfinite(value) and abs(value) > largest:
        raise ValueError(f"argument '{name}' must be within ±{largest:.4g}, the range of {dtype.name}, got {value!r}")


@dataclass(frozen=True)
class Uniform(Sampled):
    """U(low, high)."""

    kernel: ClassVar[str] = "uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", check_finite("low", self.low))
        object.__setattr__(self, "high", check_finite("high", self.high))
        if self.low > self.high:
            raise ValueError(f"argument 'low' must be <= high, got low={self.low!r}, high={self.high!r}")

    @property
    def variance(self) -> float:
        """Variance of an element."""
        return (self.high / 2 - self.low / 2) ** 2 / 3

    @lru_cache(maxsize=256)  # noqa: B019 - frozen and tiny
    def parameters(self, dtype: str) -> NDArray[Any]:
        """Return (half width, centre), rounded so that centre ± half never leaves [low, high]."""
        kind = compute_type(dtype)
        _check_range("low", self.low, np.dtype(kind))
        _check_range("high", self.high, np.dtype(kind))
        low, high, centre = (Fraction(float(kind(x))) for x in (self.low, self.high, self.low / 2 + self.high / 2))
        half = _toward(min(high - centre, centre - low), kind, below=True)
        return _pack(self, kind, half, float(centre))


@dataclass(frozen=True)
class Normal(Sampled):
    """N(mean, std²)."""

    kernel: ClassVar[str] = "normal"
    mean: float
    std: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", check_finite("mean", self.mean))
        object.__setattr__(self, "std", check_finite("std", self.std, minimum=0))

    @property
    def variance(self) -> float:
        """Variance of an element."""
        return self.std**2

    @lru_cache(maxsize=256)  # noqa: B019 - frozen and tiny
    def parameters(self, dtype: str) -> NDArray[Any]:
        """Return (std, mean)."""
        return _pack(self, compute_type(dtype), self.std, self.mean)


@dataclass(frozen=True)
class TruncatedNormal(Sampled):
    """N(mean, std²) kept strictly between mean + lower·std and mean + upper·std; std is that before truncation."""

    kernel: ClassVar[str] = "truncated_normal"
    mean: float
    std: float
    lower: float
    upper: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", check_finite("mean", self.mean))
        object.__setattr__(self, "std", check_finite("std", self.std, minimum=0))
        for name in ("lower", "upper"):
            value = getattr(self, name)
            unbounded = isinstance(value, float | np.floating) and math.isinf(value)
            object.__setattr__(self, name, float(value) if unbounded else check_finite(name, value))
        got = f"got lower={self.lower!r}, upper={self.upper!r}"
        if not self.lower < self.upper:
            raise ValueError(f"argument 'lower' must be < upper, {got}")
        if self.lower > FARTHEST or self.upper < -FARTHEST:
            raise ValueError(f"argument 'lower' must leave room within {FARTHEST:g} std of the mean, {got}")

    @property
    def variance(self) -> float:
        """Variance of an element."""
        return (self.std * truncation(self.lower, self.upper).std) ** 2

    @lru_cache(maxsize=256)  # noqa: B019 - frozen and tiny
    def parameters(self, dtype: str) -> NDArray[Any]:
        """Return (std, mean, below, above, width, offset, first value inside, last value inside)."""
        kind = compute_type(dtype)
        t = truncation(self.lower, self.upper)
        first, last = self._inside(kind)
        return _pack(self, kind, self.std, self.mean, t.below, t.above, t.width, t.offset, first, last)

    def _inside(self, kind: type[np.floating[Any]]) -> tuple[float, float]:
        if not self.std:
            return -math.inf, math.inf
        first = self._first(self.lower, kind, below=False)
        last = self._first(self.upper, kind, below=True)
        if first > last:
            raise ValueError(
                f"argument 'std' must leave room for a {kind.__name__} between the bounds {self.lower!r} and "
                f"{self.upper!r} around the mean {self.mean!r}, got {self.std!r}"
            )
        return first, last

    def _first(self, bound: float, kind: type[np.floating[Any]], *, below: bool) -> float:
        """Return the value next to a bound, strictly inside."""
        if math.isinf(bound):
            return bound
        return _toward(Fraction(self.mean) + Fraction(self.std) * Fraction(bound), kind, below=below, strict=True)


def _toward(x: Fraction, kind: type[np.floating[Any]], *, below: bool, strict: bool = False) -> float:
    """Return the value of type `kind` next to x on one side; x itself counts unless `strict`."""
    value = kind(float(x))
    away = kind(-math.inf if below else math.inf)
    while True:
        exact = Fraction(float(value))
        if (exact < x if below else exact > x) or (exact == x and not strict):
            return float(value)
        value = np.nextafter(value, away)
