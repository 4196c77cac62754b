"""The law of orthogonal matrices: uniform among all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from fastinit_kernels.numeric.integers import ceil_div
from numpy.typing import NDArray

from ..words import check_finite
from .dtypes import DTYPES, arithmetic
from .fans import Layout
from .laws import Normal, Tensor, check_range
from .matrices import Matrix, at_tap, check_kernel, earlier_middle
from .reflections import orthonormal
from .regions import Region, Shape, intersection, parts, within
from .sampled import layout_of

# Elements of small matrices that are made together.
_AT_A_TIME = 1 << 20
_STANDARD = Normal(0.0, 1.0)


@dataclass(frozen=True)
class Orthogonal:
    """gain · Q, Q' Q = 1 or Q Q' = 1, uniform among all such Q (Haar), independent for each matrix of the weight."""

    gain: float
    matrix: Matrix

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", check_finite("gain", self.gain, minimum=0))

    @property
    def expectation(self) -> float:
        """Mean of an element: 0."""
        return 0.0

    @property
    def variance(self) -> float:
        """Variance of an element: gain²/max(rows, columns)."""
        return self.gain**2 / max(1, *self.matrix.flat)

    def check(self, tensor: Tensor) -> None:
        """Refuse a gain that the dtype cannot hold."""
        check_range("gain", self.gain, tensor.dtype)

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Make the matrices that the region meets, as a whole, and write what lies in it."""
        if not out.size:
            return
        kind, layout = DTYPES[arithmetic(tensor.dtype)], layout_of(tensor)
        met = self._met(tensor.shape, region, layout)
        for part in self.blocks(tensor, met, _AT_A_TIME):
            common = intersection(part, region)
            assert common is not None, "only matrices that the region meets are made"
            here = out[within(common, region)]
            direct = part == common and here.dtype == kind and here.flags.c_contiguous and here.flags.aligned
            whole = here if direct else np.empty([n for _, n in part], kind)
            self._make(tensor._replace(dtype=kind.name), part, whole)
            if not direct:
                here[...] = whole[within(common, part)]

    def blocks(self, tensor: Tensor, region: Region, most: int) -> Iterator[Region]:
        """Cut a region into parts of at most about `most` elements, or of one matrix."""
        return parts(region, most, layout_of(tensor).batch)

    def _met(self, shape: Shape, region: Region, layout: Layout) -> Region:
        """Return the region of all matrices that a region meets."""
        met = [span if a in layout.batch else (0, n) for a, (span, n) in enumerate(zip(region, shape, strict=True))]
        outer = layout.grouped(shape)
        if layout.groups > 1 and len(outer) == 1:
            (axis,) = outer
            start, length = region[axis]
            size = shape[axis] // layout.groups
            first, last = start // size, ceil_div(start + length, size)
            met[axis] = (first * size, (last - first) * size)
        return tuple(met)

    def _make(self, tensor: Tensor, part: Region, out: NDArray[Any]) -> None:
        """Write whole matrices to contiguous memory: first their normals, each element's own, then what they become."""
        _STANDARD.fill(tensor._replace(layout=None), part, out)
        sides = _Sides.of(tensor, part)
        turned = out.transpose(sides.axes)
        # In one order of memory, whatever part this is: in another one BLAS may add in another order.
        stack = np.ascontiguousarray(sides.split(turned)).reshape(-1).reshape(sides.matrices)
        with np.errstate(all="ignore"):  # what BLAS leaves behind says nothing of the numbers
            orthonormal(stack if stack.shape[-2] >= stack.shape[-1] else np.swapaxes(stack, -1, -2))
            if self.gain != 1.0:
                np.clip(stack, -1, 1, out=stack)  # against rounding, since the gain may be the largest number
                stack *= self.gain
        if not np.may_share_memory(stack, out):
            turned[...] = sides.join(stack).reshape(turned.shape)


class _Sides(NamedTuple):
    """How a part of a tensor is read as matrices: the side that comes first in memory are their rows.

    Attributes
    ----------
    axes
        The tensor's: those of the batch, of the rows, of the columns.
    matrices
        (-1, rows, columns) of one.
    groups
        How many of them lie side by side along the rows, and along the columns.
    """

    axes: tuple[int, ...]
    matrices: tuple[int, int, int]
    groups: tuple[int, int]

    @classmethod
    def of(cls, tensor: Tensor, part: Region) -> _Sides:
        """Return how a part of whole matrices is read."""
        layout, shape = layout_of(tensor), tensor.shape
        sides = {"inputs": layout.inputs, "outputs": layout.outputs}
        outer = "outputs" if layout.grouped(shape) == layout.outputs else "inputs"
        count = math.prod(part[a][1] for a in sides[outer]) // getattr(Matrix.of(shape, layout), outer)
        sides["outputs" if layout.transposed else "inputs"] += layout.space(shape)
        for side, axes in sides.items():
            if layout.groups == 1 or side != outer:  # in the order of memory, so that nothing need be copied
                sides[side] = tuple(sorted(axes))
        first, second = sorted(sides, key=lambda side: min(sides[side], default=-1))
        groups = (count, 1) if first == outer else (1, count)
        sizes = (
            math.prod(part[a][1] for a in sides[side]) // n for side, n in zip((first, second), groups, strict=True)
        )
        return cls((*layout.batch, *sides[first], *sides[second]), (-1, *sizes), groups)

    def split(self, turned: NDArray[Any]) -> NDArray[Any]:
        """Return (batch, groups, groups, rows, columns) of the part with its axes in this order."""
        (_, rows, columns), (down, across) = self.matrices, self.groups
        return turned.reshape(-1, down, rows, across, columns).swapaxes(2, 3)

    def join(self, stack: NDArray[Any]) -> NDArray[Any]:
        """Return what `split` has taken apart."""
        (_, rows, columns), (down, across) = self.matrices, self.groups
        return stack.reshape(-1, down, across, rows, columns).swapaxes(2, 3)


class DeltaOrthogonal(Orthogonal):
    """The same at a kernel's middle tap, 0 at the others; inputs that keep their length, so no more than outputs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.matrix.inputs > self.matrix.outputs:
            raise ValueError(
                "argument 'layout' must give delta_orthogonal at most as many inputs as outputs, "
                f"got {self.matrix.inputs} and {self.matrix.outputs}"
            )

    @property
    def variance(self) -> float:
        """Variance of an element: gain²/(outputs · taps)."""
        return self.gain**2 / max(1, self.matrix.outputs * self.matrix.taps)

    def check(self, tensor: Tensor) -> None:
        """Refuse a weight without a kernel, too."""
        super().check(tensor)
        check_kernel(tensor, "delta_orthogonal")

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Write zeros, then what of the matrices lies in the region."""
        out[...] = 0
        part = at_tap(region, tensor.shape, layout_of(tensor), earlier_middle) if out.size else None
        if part is not None:
            super().fill(tensor, part, out[within(part, region)])

    def _met(self, shape: Shape, region: Region, layout: Layout) -> Region:
        met, space = super()._met(shape, region, layout), layout.space(shape)
        return tuple(region[a] if a in space else span for a, span in enumerate(met))
