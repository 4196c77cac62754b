"""A weight as the matrices that it is made of: inputs x outputs, one a group and one an index of the batch axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..words import shown
from .fans import Layout
from .laws import Tensor
from .regions import Region, Shape
from .sampled import layout_of

Indices = NDArray[np.int64]


class Matrix(NamedTuple):
    """The sizes of one of the matrices of a weight, and of the kernel that it has an entry for each tap of.

    A layer spreads the inputs over the taps in a transposed convolution, and collects them from there in any other.
    """

    inputs: int
    outputs: int
    kernel: Shape = ()
    transposed: bool = False

    @classmethod
    def of(cls, shape: Shape, layout: Layout) -> Matrix:
        """Return those of a weight with groups in its layout."""
        inputs, outputs = (math.prod(shape[a] for a in axes) for axes in (layout.inputs, layout.outputs))
        if layout.grouped(shape) == layout.outputs:
            outputs //= layout.groups
        else:
            inputs //= layout.groups
        return cls(inputs, outputs, tuple(shape[a] for a in layout.space(shape)), layout.transposed)

    @property
    def taps(self) -> int:
        """Positions in the kernel."""
        return math.prod(self.kernel)

    @property
    def flat(self) -> tuple[int, int]:
        """The sizes of the matrix with the taps on the side that the layer has them on."""
        taps = self.taps
        return (self.inputs, self.outputs * taps) if self.transposed else (self.inputs * taps, self.outputs)

    def __str__(self) -> str:
        kernel = f", kernel {' x '.join(map(str, self.kernel))}" if self.kernel else ""
        return f"{self.inputs} x {self.outputs}{kernel}"


def middle(size: int) -> int:
    """Return the tap in the middle; of an even number the later of two, as in PyTorch's `dirac_` and ZerO."""
    return size // 2


def earlier_middle(size: int) -> int:
    """Return the tap in the middle; of an even number the earlier of two, as in JAX's `delta_orthogonal`."""
    return (size - 1) // 2


def at_tap(region: Region, shape: Shape, layout: Layout, tap: Callable[[int], int]) -> Region | None:
    """Return the part of a region at one tap of each axis of space, or None if it is not in there."""
    space, part = layout.space(shape), []
    for axis, (start, length) in enumerate(region):
        chosen = tap(shape[axis])
        if axis not in space:
            part.append((start, length))
        elif start <= chosen < start + length:
            part.append((chosen, 1))
        else:
            return None
    return tuple(part)


def flat_index(axes: Sequence[int], region: Region, shape: Shape) -> Indices:
    """Return the C-order index along some axes of each place of a region, of as many dimensions as there are axes."""
    total, stride = np.zeros((1,) * len(axes), np.int64), 1
    for place, axis in reversed(list(enumerate(axes))):
        start, length = region[axis]
        along = (start + np.arange(length, dtype=np.int64)) * stride
        total = total + along.reshape(-1, *(1,) * (len(axes) - 1 - place))
        stride *= shape[axis]
    return total


def in_words(tensor: Tensor) -> str:
    """Return a tensor's layout and shape, as a refusal has them."""
    layout = layout_of(tensor)
    return f"{shown(layout.written or (layout.inputs, layout.outputs))} for shape {shown(tensor.shape)}"


def check_kernel(tensor: Tensor, scheme: str) -> None:
    """Refuse a weight without axes of space."""
    if not layout_of(tensor).space(tensor.shape):
        raise ValueError(
            f"argument 'layout' must have axes of space for {scheme}, which is a convolution's, got {in_words(tensor)}"
        )
