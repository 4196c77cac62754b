"""A region of a global shape as runs of flat indices: what threads, shards, chunks and strided outputs share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, SupportsIndex, cast

import numpy as np
from numpy.typing import NDArray

from ..words import check_integer, entries, shown

Shape = tuple[int, ...]
ShapeLike = SupportsIndex | Sequence[SupportsIndex]
RegionLike = slice | tuple[slice, ...]
# One (start, length) an axis.
Region = tuple[tuple[int, int], ...]

MOST_AXES = 64  # of a NumPy array


def check_shape(shape: object) -> Shape:
    """Return `shape` as a tuple of at most 64 ints >= 0 whose product, but for zeros, is below 2^63."""
    if type(shape) is int and 0 < shape < 1 << 63:
        return (shape,)
    usual = type(shape) is tuple and {*map(type, shape)} == {int} and min(shape) > 0 and len(shape) <= MOST_AXES
    if usual and math.prod(cast(Shape, shape)) < 1 << 63:
        return cast(Shape, shape)
    sizes = entries(shape, MOST_AXES)
    try:
        checked = tuple(check_integer("shape", n, minimum=0) for n in ((shape,) if sizes is None else sizes))
    except (TypeError, ValueError) as error:
        raise type(error)(f"argument 'shape' must hold integers >= 0, got {shown(shape)}") from None
    if len(checked) > MOST_AXES:
        raise ValueError(f"argument 'shape' must have at most {MOST_AXES} axes, got {shown(shape)}")
    if math.prod(n for n in checked if n) >= 1 << 63:
        raise ValueError(f"argument 'shape' must have a product, zeros left out, < 2**63, got {shown(shape)}")
    return checked


def check_region(region: object, shape: Shape) -> Region:
    """Return the (start, length) of each axis; None means the whole shape."""
    if region is None:
        return tuple((0, n) for n in shape)
    slices = region if isinstance(region, tuple) else (region,)
    if not all(isinstance(s, slice) for s in slices):
        raise TypeError(f"argument 'region' must be a tuple of slices, got {shown(region)}")
    if len(slices) != len(shape):
        raise ValueError(
            f"argument 'region' must have one slice for each of the {len(shape)} axes of shape {shown(shape)}, "
            f"got {shown(region)}"
        )
    return tuple(_check_slice(s, n, region) for s, n in zip(slices, shape, strict=True))


def _check_slice(part: slice, size: int, region: object) -> tuple[int, int]:
    rule = f"slices start:stop with 0 <= start <= stop <= {size} and no step"
    refusal = f"argument 'region' must hold {rule}, got {shown(region)}"
    try:
        start = 0 if part.start is None else check_integer("region", part.start, minimum=0)
        stop = size if part.stop is None else check_integer("region", part.stop, minimum=0)
        step = 1 if part.step is None else check_integer("region", part.step, minimum=0)
    except (TypeError, ValueError) as error:
        raise type(error)(refusal) from None
    if step != 1 or not start <= stop <= size:
        raise ValueError(refusal)
    return start, stop - start


@lru_cache(maxsize=256)
def geometry(region: Region, shape: Shape, strides: tuple[int, ...], offset: int = 0) -> NDArray[np.int64]:
    """Describe to the kernels where each element of a region comes from and goes to.

    Parameters
    ----------
    region, shape
        The region and the global shape whose C-order index addresses the stream.
    strides
        The output's strides, in elements, one an axis.
    offset
        Where in the flat view of the output's memory the region's first element goes.

    Returns
    -------
    array of int64
        (elements, run length, out stride in a run, first flat index, first out offset, then (length, flat-index
        stride, out stride) of each outer axis). Axes that follow on each other in both memories are merged, so a
        contiguous tensor is one run.
    """
    axes: list[list[int]] = []  # (length, flat-index stride, out stride), fastest first
    first = 0
    flat_stride = 1
    for (start, length), size, stride in zip(reversed(region), reversed(shape), reversed(strides), strict=True):
        first += start * flat_stride
        if length != 1:
            previous = axes[-1] if axes else None
            if previous and flat_stride == previous[0] * previous[1] and stride == previous[0] * previous[2]:
                previous[0] *= length
            else:
                axes.append([length, flat_stride, stride])
        flat_stride *= size
    elements = math.prod(length for _, length in region)
    run = axes.pop(0) if axes and axes[0][1] == 1 else [1, 1, 1]
    outer = [number for axis in reversed(axes) for number in axis]
    return np.array([elements, run[0], run[2], first, offset, *outer], np.int64)


def overlaps_itself(array: NDArray[Any]) -> bool:
    """Say whether elements share memory, as of `as_strided` and broadcast arrays.

    Each axis, from the shortest stride on, must step over all that the ones before it reach. What slicing and
    transposing make of an array always does; of interleaved strides, which only `as_strided` can make, it is not asked
    whether they meet.
    """
    if array.flags.c_contiguous or not array.size:
        return False
    reach = array.itemsize
    for stride, size in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (size - 1)
    return False


def flat_view(out: NDArray[Any]) -> tuple[NDArray[Any], tuple[int, ...], int] | None:
    """Return (flat view over the memory of `out`, strides in elements, offset of out[0, …]), or None.

    None where no flat view reaches the elements: strides that are no multiple of the item size, or memory that is
    not aligned to it.
    """
    item = out.itemsize
    strides = tuple([s // item for s in out.strides])
    flags = out.flags
    if not flags.aligned:
        return None
    if flags.c_contiguous:
        return out.reshape(-1), strides, 0
    if any(s % item for s in out.strides):
        return None
    low = sum(s * (n - 1) for s, n in zip(strides, out.shape, strict=True) if s < 0)
    high = sum(s * (n - 1) for s, n in zip(strides, out.shape, strict=True) if s > 0)
    corner = out[tuple(slice(n - 1, n) if s < 0 else slice(0, 1) for s, n in zip(strides, out.shape, strict=True))]
    flat = np.lib.stride_tricks.as_strided(corner.reshape(-1), (high - low + 1,), (item,))
    return flat, strides, -low


def within(part: Region, region: Region) -> tuple[Any, ...]:
    """Return the index of a part in an array of its region: a view even of one without axes."""
    return *(slice(a - b, a - b + n) for (a, n), (b, _) in zip(part, region, strict=True)), ...


def intersection(a: Region, b: Region) -> Region | None:
    """Return what two regions have in common, None if there is nothing."""
    found = []
    for (start, length), (begin, size) in zip(a, b, strict=True):
        first, last = max(start, begin), min(start + length, begin + size)
        if last <= first:
            return None
        found.append((first, last - first))
    return tuple(found)


def whole_region(shape: Shape) -> Region:
    """Return the region that is everything."""
    return tuple((0, n) for n in shape)


def parts(region: Region, most: int, axes: Sequence[int] | None = None) -> Iterator[Region]:
    """Cut a region into parts of at most about `most` elements, along its longest axes, or the longest of `axes`."""
    cuttable = [a for a in (range(len(region)) if axes is None else axes) if region[a][1] > 1]
    if math.prod(length for _, length in region) <= most or not cuttable:
        yield region
        return
    axis = max(cuttable, key=lambda a: region[a][1])
    start, length = region[axis]
    for cut in ((start, length // 2), (start + length // 2, length - length // 2)):
        yield from parts((*region[:axis], cut, *region[axis + 1 :]), most, axes)


def blocks(region: Region, most: int) -> Iterator[Region]:
    """Cut a region into parts of at most `most` elements that follow on each other in C order."""
    if not region:
        yield ()
        return
    (first, length), *rest = region
    inner = math.prod(n for _, n in rest)
    if inner > most:
        for i in range(first, first + length):
            for part in blocks(tuple(rest), most):
                yield (i, 1), *part
        return
    step = max(1, most // max(1, inner))
    for i in range(first, first + length, step):
        yield (i, min(step, first + length - i)), *rest
