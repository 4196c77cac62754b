"""Laws without chance: identities, Hadamard's matrix, interpolation. Each element is a function of its index alone."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..words import check_finite
from .dtypes import DTYPES, compute_type
from .laws import Tensor, check_range
from .matrices import Indices, Matrix, at_tap, check_kernel, flat_index, in_words, middle
from .regions import Region, parts, within
from .sampled import layout_of

# Elements whose indices are looked at together.
_AT_A_TIME = 1 << 18


def _rounded(values: Any, dtype: str) -> NDArray[Any]:
    """Return float64 numbers as elements of a dtype: in the type of its computation, then rounded once."""
    return np.asarray(np.asarray(values, compute_type(dtype)).astype(DTYPES[dtype]))


class Central(ABC):
    """A law that is 0 but for the matrices at a kernel's middle tap."""

    elementwise: ClassVar[bool] = True
    planar: ClassVar[bool] = True
    matrix: Matrix

    @property
    def expectation(self) -> float:
        """Mean of an element."""
        return self._total / max(1, self.matrix.inputs * self.matrix.outputs * self.matrix.taps)

    @property
    @abstractmethod
    def _total(self) -> float:
        """Sum of a matrix's elements."""

    @abstractmethod
    def write(self, region: Region, tensor: Tensor, out: NDArray[Any]) -> None:
        """Write to `out`, which is 0, the part of the tensor at the middle tap: (batch…, space…, inputs…, outputs…)."""

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Write zeros, then what of the matrices lies in the region."""
        out[...] = 0
        layout = layout_of(tensor)
        part = at_tap(region, tensor.shape, layout, middle) if out.size else None
        if part is not None:
            axes = (*layout.batch, *layout.space(tensor.shape), *layout.inputs, *layout.outputs)
            self.write(part, tensor, out[within(part, region)].transpose(axes))


@dataclass(frozen=True)
class Diagonal(Central):
    """`gain` where an input meets the output of the same number, 0 elsewhere."""

    gain: float
    matrix: Matrix

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", check_finite("gain", self.gain))

    @property
    def _total(self) -> float:
        return self.gain * min(self.matrix.inputs, self.matrix.outputs)

    @property
    def variance(self) -> float:
        """Variance of an element, over all of the weight's."""
        longer = max(1, self.matrix.inputs, self.matrix.outputs)
        return max(0.0, self.gain**2 / (longer * max(1, self.matrix.taps)) - self.expectation**2)

    def check(self, tensor: Tensor) -> None:
        """Refuse a gain that the dtype cannot hold."""
        check_range("gain", self.gain, tensor.dtype)

    def write(self, region: Region, tensor: Tensor, out: NDArray[Any]) -> None:
        """Write the gains."""
        layout = layout_of(tensor)
        inputs, outputs = (flat_index(axes, region, tensor.shape) for axes in (layout.inputs, layout.outputs))
        sizes = inputs.shape, outputs.shape
        if layout.grouped(tensor.shape) == layout.outputs:
            places = _meetings(inputs.ravel(), outputs.ravel() % self.matrix.outputs)
        else:
            places = _meetings(outputs.ravel(), inputs.ravel() % self.matrix.inputs)[::-1]
        where: list[Any] = [np.unravel_index(p, size) for p, size in zip(places, sizes, strict=True) if size]
        out[(..., *itertools.chain(*where))] = _rounded(self.gain, tensor.dtype)


class Identity(Diagonal):
    """The identity, of a weight without a kernel."""

    def check(self, tensor: Tensor) -> None:
        """Refuse a kernel, too."""
        super().check(tensor)
        if layout_of(tensor).space(tensor.shape):
            raise ValueError(
                f"argument 'layout' must have no axes of space for identity (that of a convolution is dirac), "
                f"got {in_words(tensor)}"
            )


class Dirac(Diagonal):
    """The identity at the middle tap of a kernel."""

    def check(self, tensor: Tensor) -> None:
        """Refuse a weight without a kernel, too."""
        super().check(tensor)
        check_kernel(tensor, "dirac")


def _meetings(ascending: Indices, others: Indices) -> tuple[Indices, Indices]:
    """Return the places of equal numbers in an ascending array and another."""
    places = np.minimum(np.searchsorted(ascending, others), ascending.size - 1)
    found = np.flatnonzero(ascending[places] == others)
    return places[found], found


@dataclass(frozen=True)
class Hadamard(Central):
    """The first rows and columns of Hadamard's matrix of 2^c >= outputs, over 2^(c/2): input i, output o ±2^(-c/2).

    The sign is (-1)^(number of ones that i and o have in common in binary), Sylvester's order.
    """

    matrix: Matrix

    @property
    def _value(self) -> float:
        return (math.sqrt(0.5) if self._order % 2 else 1.0) * 0.5 ** (self._order // 2)

    @property
    def _order(self) -> int:
        return (max(1, self.matrix.outputs) - 1).bit_length()

    @property
    def _total(self) -> float:
        return _sum_of_signs(self.matrix.inputs, self.matrix.outputs) * self._value

    @property
    def variance(self) -> float:
        """Variance of an element, over all of the weight's."""
        return max(0.0, 0.5**self._order / max(1, self.matrix.taps) - self.expectation**2)

    def check(self, tensor: Tensor) -> None:
        """Refuse nothing: every dtype has these numbers."""

    def write(self, region: Region, tensor: Tensor, out: NDArray[Any]) -> None:
        """Write the signed values, part by part."""
        layout, shape, matrix = layout_of(tensor), tensor.shape, self.matrix
        outer = layout.grouped(shape) == layout.outputs
        values = _rounded([self._value, -self._value], tensor.dtype)
        alone = tuple((start, 1 if a in layout.batch else n) for a, (start, n) in enumerate(region))
        for part in parts(alone, _AT_A_TIME):
            inputs, outputs = (flat_index(axes, part, shape) for axes in (layout.inputs, layout.outputs))
            i, o = (inputs, outputs % matrix.outputs) if outer else (inputs % matrix.inputs, outputs)
            common = i.reshape(*i.shape, *(1,) * o.ndim) & o
            here = within(part, region)
            place = [here[a] for a in (*layout.inputs, *layout.outputs)]
            out[(..., *place)] = values[np.bitwise_count(common) & 1]


def _sum_of_signs(rows: int, columns: int) -> int:
    """Return the sum of (-1)^(ones that r and c have in common) over r < rows and c < columns.

    Over all r < h, a power of two, the signs of a column c < h add up to 0, but for column 0, to h; so over all c.
    """
    total, sign = 0, 1
    while rows and columns:
        half = 1 << (max(rows, columns) - 1).bit_length() >> 1
        if not half:
            return total + sign
        if min(rows, columns) > half:
            total += sign * 3 * half
            rows, columns, sign = rows - half, columns - half, -sign
        else:
            total += sign * half
            rows, columns = (rows - half, columns) if rows > half else (rows, columns - half)
    return total


@dataclass(frozen=True)
class Interpolation:
    """The kernel of bilinear interpolation for every pair of channels, of any number of axes.

    Along an axis of k taps, with f = ceil(k/2) the factor of the enlargement: 1 - abs(x/f - (2f - 1 - f mod 2)/(2f)).
    """

    kernel: tuple[int, ...]
    elementwise: ClassVar[bool] = True
    planar: ClassVar[bool] = True

    @property
    def expectation(self) -> float:
        """Mean of an element."""
        return math.prod(float(_hat(n, 0, n).mean()) for n in self.kernel if n)

    @property
    def variance(self) -> float:
        """Variance of an element, over all of the weight's."""
        square = math.prod(float(np.square(_hat(n, 0, n)).mean()) for n in self.kernel if n)
        return max(0.0, square - self.expectation**2)

    def check(self, tensor: Tensor) -> None:
        """Refuse a weight without a kernel."""
        check_kernel(tensor, "bilinear")

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Write the kernel for every pair of channels in the region."""
        if not out.size:
            return
        space = layout_of(tensor).space(tensor.shape)
        values = np.ones((1,) * len(region))
        for axis in space:
            along = _hat(tensor.shape[axis], *region[axis])
            values = values * along.reshape(-1, *(1,) * (len(region) - 1 - axis))
        out[...] = _rounded(values, tensor.dtype)


def _hat(size: int, start: int, length: int) -> NDArray[np.float64]:
    """Return some of an axis's factors, each a fraction of two integers rounded once."""
    factor = (size + 1) // 2
    distance = np.abs(2 * np.arange(start, start + length, dtype=np.int64) - (2 * factor - 1 - factor % 2))
    return np.asarray((2 * factor - distance) / (2 * factor))
