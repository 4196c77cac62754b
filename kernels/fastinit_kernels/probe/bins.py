"""The bins of a histogram: the numbers that a kernel counts with, and the edges that its arithmetic amounts to.

An element x of [low, high] falls into bin floor((x - pivot) * bins_a_unit) + first, the pivot being the edge nearest
to zero: there numbers are dense, and there the difference is exact. Elsewhere the two roundings can move an edge by a
few of the type's numbers beside it, which a bin must be wider than. `edges` follows them, so that counts are exactly
those of the edges it tells: x is in bin k if edges[k] <= x < edges[k + 1], the last edge included. Kernels take
subnormal numbers for 0, and so they do with an x nearer to the pivot than the least normal number of bins.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Edges computed together.
_TOGETHER = 1 << 16

Array = NDArray[Any]
Ranges = tuple[tuple[float, float], ...]


class Bins(NamedTuple):
    """What a kernel needs to know of each layer, in its type: x is counted where low <= x <= high."""

    low: Array
    high: Array
    pivot: Array
    first: Array
    bins_a_unit: Array


@lru_cache(maxsize=64)  # a sweep asks again for every seed
def bins_of(ranges: Ranges, bins: int, dtype: str) -> Bins:
    """Return the numbers for so many equal bins in each range."""
    real = np.dtype(dtype).type
    low, high = np.array(ranges).T
    return _bins(low, high, _equal(low, high, bins), real)


def edges(ranges: Ranges, bins: int, dtype: str) -> NDArray[np.float64]:
    """Return the edges of the bins, a row a range: equal parts of it, up to the roundings of the type."""
    rows = max(1, _TOGETHER // bins)
    if len(ranges) <= rows:
        return _edges(ranges, bins, dtype).copy()
    return np.concatenate([_edges(ranges[i : i + rows], bins, dtype) for i in range(0, len(ranges), rows)])


@lru_cache(maxsize=64)
def _edges(ranges: Ranges, bins: int, dtype: str) -> NDArray[np.float64]:
    real = np.dtype(dtype).type
    low, high = np.array(ranges).T
    exact = _equal(low, high, bins)
    of = _bins(low, high, exact, real)
    pivot, unit = of.pivot[:, None], of.bins_a_unit[:, None]
    inner = np.arange(1, bins).astype(real) - of.first[:, None]

    def reached(x: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.where(inner == 0, x >= pivot, (x - pivot) * unit >= inner)

    wanted = _above(exact[:, 1:-1], real)
    least = wanted  # the least number that reaches each bin
    while not (there := reached(least)).all():
        least = np.where(there, least, _next(least, real(np.inf)))
    while (there := reached(before := _next(least, real(-np.inf)))).any():
        least = np.where(there, before, least)
    exact[:, 1:-1] = np.where(least == wanted, exact[:, 1:-1], least)
    return exact


def _bins(low: Array, high: Array, exact: Array, real: Any) -> Bins:
    first = np.argmin(np.abs(exact), axis=1)
    pivot = exact[np.arange(len(low)), first].astype(real)
    pivot[np.abs(pivot) < np.finfo(real).smallest_normal] = 0  # as the kernels take a subnormal
    below, above = _above(low, real), -_above(-high, real)
    bins = exact.shape[1] - 1
    unit = (0.5 * bins / (0.5 * high - 0.5 * low)).astype(real)  # high - low may be no float
    # So that no number above `low` comes out below bin 0.
    while (lost := (below - pivot) * unit < -first).any():
        unit = np.where(lost, np.nextafter(unit, real(0)), unit)
    return Bins(below, above, pivot, first.astype(real), unit)


def _equal(low: Array, high: Array, bins: int) -> NDArray[np.float64]:
    """Return the ends of equal parts, as np.linspace does, also where high - low is no float."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.linspace(low, high, bins + 1, axis=1)
    if not np.isfinite(whole).all():
        halves = np.linspace(0.5 * low, 0.5 * high, bins + 1, axis=1)
        whole = np.where(np.isfinite(whole), whole, 2.0 * halves)
    return whole


def _above(x: NDArray[np.float64], real: Any) -> Array:
    """Return the least numbers of the type, 0 or normal, that are at least x."""
    least: Array = x.astype(real)
    least = np.where(least < x, np.nextafter(least, real(np.inf)), least)
    tiny = np.finfo(real).smallest_normal
    least[(least > 0) & (least < tiny)] = tiny
    least[np.abs(least) < tiny] = 0
    return np.asarray(least)


def _next(x: Array, towards: Any) -> Array:
    """Return the numbers next to x, 0 or normal."""
    tiny, real = np.finfo(x.dtype).smallest_normal, x.dtype.type
    step = np.nextafter(x, towards)
    outward = np.copysign(tiny, towards)
    return np.asarray(np.where(np.abs(step) >= tiny, step, np.where(x == 0, outward, real(0))))
