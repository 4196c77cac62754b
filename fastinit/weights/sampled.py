"""What a law is, and how one that a kernel draws is written into an array; `laws` has the laws themselves."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from fractions import Fraction
from functools import cache
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from fastinit_kernels.machine.forks import whole
from numpy.typing import NDArray

from ..words import shown, tied
from .dtypes import DTYPES, is_complex, largest, part_of
from .fans import Layout
from .regions import MOST_AXES, Region, Shape, flat_view, geometry
from .streams import philox_key


class Tensor(NamedTuple):
    """The address of a tensor's elements and how they are read: everything but the law."""

    shape: Shape
    dtype: str
    seed: int
    name: str
    layout: Layout | None = None


def layout_of(tensor: Tensor) -> Layout:
    """Return the axes by role, of a law that looks at them."""
    assert tensor.layout is not None, "such a scheme always resolves its layout"
    return tensor.layout


class Law(Protocol):
    """A distribution with its numbers.

    One with an attribute `elementwise` that is true fills a region in the time and the memory of the region; another
    may look at the whole tensor for it. One with a method `blocks(tensor, region, most)` says in which parts a region
    is best filled, where `regions.parts` would have it do its work several times.
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


def check_law(law: Law, tensor: Tensor) -> None:
    """Raise if a law cannot be drawn for that tensor: `Law.check`, and complex numbers only of laws that have them."""
    if is_complex(tensor.dtype) and not getattr(law, "planar", False):
        raise ValueError(f"argument 'dtype' must be real for the law {shown(law)}, got {tensor.dtype!r}")
    law.check(tensor)


def mean_square(law: Law) -> float:
    """Return the mean square of an element."""
    try:
        return law.variance + law.expectation**2
    except OverflowError:  # a number whose square is no float
        return math.inf


class Recipe(NamedTuple):
    """How a kernel draws a law: by which formula, and with which parameters."""

    formula: str
    parameters: NDArray[np.float64]


class InPlane(NamedTuple):
    """How a law draws complex numbers: the law of their parts, real and imaginary by turns, and a real mean beside."""

    parts: Sampled
    mean: float = 0.0


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

    def in_plane(self) -> InPlane | None:
        """Return how complex numbers are drawn by this law; None if there are none."""
        return None

    @property
    def planar(self) -> bool:
        """Whether there are complex numbers of this law."""
        return self.in_plane() is not None

    def check(self, tensor: Tensor) -> None:
        """Refuse numbers that the dtype cannot hold."""
        self.recipe(part_of(tensor.dtype))
        plane = self.in_plane() if is_complex(tensor.dtype) else None
        if plane:
            plane.parts.recipe(part_of(tensor.dtype))
            _check_pairs(tensor)

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Draw the region."""
        if not out.size:
            return
        if is_complex(tensor.dtype):
            plane = self.in_plane()
            assert plane is not None, "a law that is not planar has been refused"
            real = tensor._replace(shape=(*tensor.shape, 2), dtype=part_of(tensor.dtype))
            plane.parts.fill(real, (*region, (0, 2)), pairs(out))
            if plane.mean:
                real_parts = out.real
                real_parts += real_parts.dtype.type(plane.mean)
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
    real = [dtype for dtype in DTYPES if not is_complex(dtype)]
    tied("dtype", {"row: fastinit/weights/dtypes.py": real, "store: fastinit_kernels/fill/draw.py": draw.STORES})
    return dense, draw


def pairs(out: NDArray[Any]) -> NDArray[Any]:
    """Return a complex array, whatever its strides, as its parts: real numbers with a last axis of 2."""
    real = out.real
    return np.lib.stride_tricks.as_strided(real, (*out.shape, 2), (*out.strides, real.itemsize))


def _check_pairs(tensor: Tensor) -> None:
    if len(tensor.shape) >= MOST_AXES or 2 * math.prod(tensor.shape) >= 1 << 63:
        raise ValueError(
            f"argument 'shape' must have less than {MOST_AXES} axes and 2**62 elements if they are complex, "
            f"got {shown(tensor.shape)}"
        )


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
    most, side = Fraction(largest(dtype)), -1 if below else 1
    if side * x > most or (strict and side * x == most):
        return math.copysign(math.inf, side)
    if -side * x > most:
        return math.copysign(float(most), -side)
    kind = DTYPES[dtype].type
    value, away = kind(float(x)), kind(math.copysign(float(most), side))
    while True:
        exact = Fraction(float(value))
        if (exact < x if below else exact > x) or (exact == x and not strict):
            return float(value)
        value = np.nextafter(value, away)
