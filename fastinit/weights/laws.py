"""Laws with their numbers: what a scheme resolves to, and how each is written into an array."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, lru_cache
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from fastinit_kernels.machine.forks import whole
from numpy.typing import NDArray

from ..words import check_finite, plain_number, shown, tied
from .dtypes import DTYPES, compute_type, largest
from .fans import Layout
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
    """A distribution with its numbers.

    One with an attribute `elementwise` that is true fills a region in the time and the memory of the region; another
    may look at the whole tensor for it.
    """

    @property
    def expectation(self) -> float:
        """Mean of an element."""

    @property
    def variance(self) -> float:
        """Variance of an element."""

    def check(self, tensor: Tensor) -> None:
        """Raise if this law cannot be drawn for that tensor; called before anything is allocated."""

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Write the region of the tensor to `out`, of the region's shape; everything has been checked."""


def mean_square(law: Law) -> float:
    """Return the mean square of an element."""
    try:
        return law.variance + law.expectation**2
    except OverflowError:  # a number whose square is no float
        return math.inf


@dataclass(frozen=True)
class Constant:
    """Every element is `value`."""

    value: float
    elementwise: ClassVar[bool] = True
    # 0.0 and -0.0 are equal, but not the same constant.
    sign: float = field(init=False, repr=False)

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
        """Write the constant."""
        out[...] = self.value


class Recipe(NamedTuple):
    """How a kernel draws a law: by which formula, and with which parameters."""

    formula: str
    parameters: NDArray[np.float64]


# Names of the formulas by which some law is drawn.
_FORMULAS: set[str] = set()


class Sampled(ABC):
    """A law that a kernel draws, element by element.

    Attributes
    ----------
    formulas
        Those that its recipes name, of `fastinit_kernels.fill.draw.LAWS`.
    """

    formulas: ClassVar[tuple[str, ...]] = ()
    elementwise: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _FORMULAS.update(cls.formulas)

    @property
    @abstractmethod
    def expectation(self) -> float:
        """Mean of an element."""

    @property
    @abstractmethod
    def variance(self) -> float:
        """Variance of an element."""

    @abstractmethod
    def recipe(self, dtype: str) -> Recipe:
        """Return how elements of that dtype are drawn; raise if the dtype cannot hold them."""

    def check(self, tensor: Tensor) -> None:
        """Refuse numbers that the dtype cannot hold."""
        self.recipe(tensor.dtype)

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Draw the region."""
        if not out.size:
            return
        dense, draw = _kernels()
        view = flat_view(out.view(draw.stored_type(tensor.dtype)))
        if view is None:  # strides that no flat view expresses: draw beside, then copy
            beside = np.empty(out.shape, out.dtype)
            self.fill(tensor, region, beside)
            out[...] = beside
            return
        flat, strides, offset = view
        where = geometry(region, tensor.shape, strides, offset)
        law, parameters = self.recipe(tensor.dtype)
        dense.fill(law, tensor.dtype, flat, where, philox_key(tensor.seed, tensor.name), parameters)


@cache
def _kernels() -> tuple[ModuleType, ModuleType]:
    """Load the kernels, and Numba with them, when something is first drawn."""
    with whole:
        from fastinit_kernels.fill import dense, draw

    tied("law", {"class: fastinit/weights/laws.py": _FORMULAS, "kernel: fastinit_kernels/fill/draw.py": draw.LAWS})
    tied("dtype", {"row: fastinit/weights/dtypes.py": DTYPES, "store: fastinit_kernels/fill/draw.py": draw.STORES})
    return dense, draw


def recipe(formula: str, *numbers: float) -> Recipe:
    """Return a recipe with its parameters filled up."""
    packed = np.zeros(_kernels()[1].PARAMETERS)
    packed[: len(numbers)] = numbers
    return Recipe(formula, packed)


def check_range(name: str, value: float, dtype: str) -> None:
    """Refuse a number beyond a dtype."""
    most = largest(dtype)
    if math.isfinite(value) and abs(value) > most:
        raise ValueError(f"argument '{name}' must be within ±{most:.4g}, the range of {dtype}, got {shown(value)}")


def toward(x: Fraction, dtype: str, *, below: bool, strict: bool = False) -> float:
    """Return the value of a dtype next to x on one side, maybe infinite; x itself counts unless `strict`."""
    kind = DTYPES[dtype].type
    away = kind(-math.inf if below else math.inf)
    with np.errstate(over="ignore"):
        value = kind(_float(x))
    while True:
        if math.isinf(value):
            if (value < 0) == below:
                return float(value)
        else:
            exact = Fraction(float(value))
            if (exact < x if below else exact > x) or (exact == x and not strict):
                return float(value)
        value = np.nextafter(value, away)


def _float(x: Fraction) -> float:
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


@dataclass(frozen=True)
class Uniform(Sampled):
    """U(low, high), low included and high not; low where both are equal."""

    low: float
    high: float
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
