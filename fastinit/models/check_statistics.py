"""What is measured of a tensor: moments by blocks, and prints of its rows and columns that tell equal ones.

Blocks are met in the order of the elements and merged in that order, in float64: figures depend on nothing else, and
memory is that of a block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..weights.regions import Region, Shape

# Elements at a time: their float64 stays in the CPU's cache.
BLOCK = 1 << 16
# Signs that tell draws of one stream, whatever they are scaled by.
SIGNS = 256
# Columns, or rows, beyond these are not told apart: one number each is kept.
_MOST_PRINTS = 1 << 24


@dataclass
class Sample:
    """Figures of a sample: counts, range, and sums of powers about the mean of its finite elements."""

    count: int = 0
    nan: int = 0
    above: int = 0
    below: int = 0
    zeros: int = 0
    mean: float = 0.0
    m2: float = 0.0
    m3: float = 0.0
    m4: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    @property
    def nonfinite(self) -> int:
        """Count of NaN and infinities."""
        return self.nan + self.above + self.below

    @property
    def finite(self) -> int:
        """Count of the others."""
        return self.count - self.nonfinite

    @property
    def std(self) -> float:
        """Standard deviation about the sample's own mean, NaN of nothing."""
        return math.sqrt(self.m2 / self.finite) if self.finite else math.nan

    @property
    def variance(self) -> float:
        """Unbiased estimate of the variance, NaN of fewer than two elements."""
        return self.m2 / (self.finite - 1) if self.finite > 1 else math.nan

    @property
    def kurtosis(self) -> float:
        """Fourth central moment over the squared second, NaN of a constant."""
        # The quotient first: squares of small sums are 0.
        return self.m4 / self.m2 / self.m2 * self.finite if self.m2 and self.m4 else math.nan

    def add(self, values: NDArray[Any]) -> None:
        """Take in the elements of a block; of complex ones both parts."""
        with np.errstate(all="ignore"):  # what overflows here is told as what it is
            if values.dtype.kind == "c":  # two numbers each
                values = np.ascontiguousarray(values).view(values.real.dtype)
            x = values.astype(np.float64).reshape(-1)
            other = Sample(count=x.size)
            finite = np.isfinite(x)
            if not finite.all():
                other.nan = int(np.isnan(x).sum())
                other.above = int((x == math.inf).sum())
                other.below = other.count - int(finite.sum()) - other.nan - other.above
                x = x[finite]
            if x.size:
                other.zeros = x.size - int(np.count_nonzero(x))
                other.low, other.high = float(x.min()), float(x.max())
                other.mean = float(x.mean())
                x -= other.mean
                square = x * x
                other.m2 = float(square.sum())
                x *= square
                other.m3 = float(x.sum())
                square *= square
                other.m4 = float(square.sum())
        self.merge(other)

    def merge(self, b: Sample) -> None:
        """Take in another sample.

        Pébay, Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical
        moments, 2008, equations 2.1 and 3.1.
        """
        n, k = self.finite, b.finite
        for name in ("count", "nan", "above", "below", "zeros"):
            setattr(self, name, getattr(self, name) + getattr(b, name))
        self.low, self.high = min(self.low, b.low), max(self.high, b.high)
        if not k:
            return
        total = n + k
        d = b.mean - self.mean if n else 0.0
        r = d / total
        try:
            self.m4 += b.m4 + d * r**3 * n * k * (n * n - n * k + k * k)
            self.m4 += 6 * r * r * (n * n * b.m2 + k * k * self.m2) + 4 * r * (n * b.m3 - k * self.m3)
            self.m3 += b.m3 + d * r * r * n * k * (n - k) + 3 * r * (n * b.m2 - k * self.m2)
        except OverflowError:  # a power of Python's raises where a product is infinite
            self.m3 = self.m4 = math.inf
        self.m2 += b.m2 + d * r * n * k
        self.mean = self.mean + r * k if n else b.mean


def merged(samples: Iterable[Sample]) -> Sample:
    """Return several samples as one."""
    whole = Sample()
    for sample in samples:
        whole.merge(sample)
    return whole


def without_zeros(sample: Sample, count: int) -> Sample:
    """Return a sample without some of its elements, which are 0: what `merge` would add them to."""
    n = sample.finite - count
    if not count:
        return sample
    if n <= 0:
        return Sample()
    mean = sample.mean
    square = mean * mean
    # Sums of powers about 0, to which these elements add nothing.
    second = sample.m2 + sample.finite * square
    third = sample.m3 + 3 * mean * sample.m2 + sample.finite * mean * square
    fourth = sample.m4 + 4 * mean * sample.m3 + 6 * square * sample.m2 + sample.finite * square * square
    mean *= sample.finite / n
    square = mean * mean
    return replace(
        sample,
        count=sample.count - count,
        zeros=sample.zeros - count,
        mean=mean,
        m2=max(0.0, second - n * square),
        m3=third - 3 * mean * second + 2 * n * mean * square,
        m4=max(0.0, fourth - 4 * mean * third + 6 * square * second - 3 * n * square * square),
    )


@dataclass
class Prints:
    """Numbers that are equal for equal rows, and for equal columns, of a tensor seen as a matrix.

    Each is the sum of an element's bits times a number of its place, modulo 2^64. A row is what one index along the
    first axis has, a column what one along the last has; a vector is one row.
    """

    shape: Shape
    rows: NDArray[np.uint64] = field(init=False)
    columns: NDArray[np.uint64] = field(init=False)
    in_rows: NDArray[np.int64] = field(init=False)
    """How many elements of each row are the law's."""
    signs: NDArray[np.int8] = field(init=False)

    def __post_init__(self) -> None:
        several = len(self.shape) > 1
        rows, columns = (self.shape[0], self.shape[-1]) if several else (1, 0)
        rows, columns = (n if n <= _MOST_PRINTS else 0 for n in (rows, columns))
        self.rows, self.columns = np.zeros(rows, np.uint64), np.zeros(columns, np.uint64)
        self.in_rows = np.zeros(rows, np.int64)
        self.signs = np.zeros(min(SIGNS, math.prod(self.shape)), np.int8)

    @property
    def digest(self) -> bytes:
        """Of all elements: equal for equal tensors."""
        return self.rows.tobytes() if self.rows.size <= 2 else _digest(self.rows.tobytes())

    def add(self, block: NDArray[Any], region: Region, middle: float, counted: NDArray[np.bool_] | None) -> None:
        """Take in a block.

        Parameters
        ----------
        block
            The elements.
        region
            Where in the tensor they lie.
        middle
            Signs are about it.
        counted
            Which elements are the law's, None for all: the others count as 0.
        """
        bits = _bits(block)
        if counted is not None:
            bits = np.where(counted, bits, np.uint64(0))
        first = region[:1] if len(self.shape) > 1 else ()
        row = slice(first[0][0], sum(first[0])) if first else slice(0, 1)
        if self.rows.size:
            matrix = bits.reshape(first[0][1] if first else 1, -1)
            self.rows[row] += matrix @ _weights(region[len(first) :], self.shape[len(first) :])
            self.in_rows[row] += matrix.shape[1] if counted is None else counted.reshape(matrix.shape).sum(1)
        if self.columns.size:
            column = slice(region[-1][0], sum(region[-1]))
            matrix = bits.reshape(-1, region[-1][1])
            self.columns[column] += _weights(region[:-1], self.shape[:-1]) @ matrix
        self._sign(block, region, middle)

    def _sign(self, block: NDArray[Any], region: Region, middle: float) -> None:
        start = 0
        for (first, _), size in zip(region, self.shape, strict=True):
            start = start * size + first
        if start < self.signs.size:
            where = _places(region, self.shape)
            here = where < self.signs.size
            with np.errstate(invalid="ignore"):
                signs = np.sign(block.real.reshape(-1)[here].astype(np.float64) - middle)
            self.signs[where[here]] = np.nan_to_num(signs)


def _digest(content: bytes) -> bytes:
    from hashlib import blake2b

    return blake2b(content, digest_size=16).digest()


def _bits(block: NDArray[Any]) -> NDArray[np.uint64]:
    size = block.dtype.itemsize
    plain = np.ascontiguousarray(block)
    if size > 8:
        words = plain.view(np.uint64).reshape(*block.shape, -1)
        return words[..., 0] ^ (words[..., 1] * np.uint64(0x9E3779B97F4A7C15))
    return plain.view(f"u{size}").astype(np.uint64)


def _places(region: Region, shape: Shape) -> NDArray[np.int64]:
    """Return the flat index of each element of a region."""
    places = np.zeros(1, np.int64)
    for (start, length), size in zip(region, shape, strict=True):
        places = (places[:, None] * size + np.arange(start, start + length)).reshape(-1)
    return places


@lru_cache(maxsize=16)
def _weights(region: Region, shape: Shape) -> NDArray[np.uint64]:
    """Return an odd number for each place of a region: the finaliser of SplitMix64, Steele et al. 2014."""
    x = (_places(region, shape).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))) | np.uint64(1)


def twins(prints: NDArray[np.uint64]) -> tuple[int, int, int]:
    """Return (how many have an equal before them, the first pair's indices); those of zeros, or nothing, have none."""
    order = np.argsort(prints, kind="stable")
    order = order[prints[order] != 0]
    ranked = prints[order]
    equal = np.flatnonzero(ranked[1:] == ranked[:-1])
    if not equal.size:
        return 0, -1, -1
    first = equal[np.argmin(order[equal + 1])]
    return int(equal.size), int(order[first]), int(order[first + 1])
