"""Counts of a panel's activations in equal bins."""

from functools import cache
from typing import Any

import numpy as np

from .intrinsics import select
from .jit import inline
from .lanes import panel_width
from .schedule import add_atomically


@cache
def histogram_function(dtype: Any) -> Any:
    """`count(a, at, rows, columns, low, high, bins_a_unit, bins, places, counts, histogram, to)`.

    Adds the elements of a panel's rows to histogram[to:]: `bins` equal bins over [low, high], overflow, what is not
    finite, and underflow.
    """
    width = np.uint64(panel_width(dtype))
    real = np.dtype(dtype).type
    zero = real(0)

    @inline
    def count(
        a: Any,
        at: Any,
        rows: Any,
        columns: Any,
        low: Any,
        high: Any,
        bins_a_unit: Any,
        bins: Any,
        places: Any,
        counts: Any,
        histogram: Any,
        to: Any,
    ) -> None:
        stride, start = np.uint64(bins + 3), np.uint64(at)
        top, above, bad, below = real(bins - 1), real(bins), real(bins + 1), real(bins + 2)
        for i in range(np.uint64(rows) * width):
            x = a[start + i]
            place = (x - low) * bins_a_unit
            place = select(place > top, top, place)
            place = select(x > high, above, place)
            place = select(x < low, below, place)
            places[i] = np.int32(select(x - x == zero, place, bad))
        # Four histograms, so that equal neighbours do not wait for each other's stores.
        for i in range(np.uint64(4) * stride):
            counts[i] = np.int32(0)
        two, three, four = np.uint64(2), np.uint64(3), np.uint64(4)
        fours = np.uint64(columns) // four
        for r in range(np.uint64(rows)):
            for quarter in range(fours):
                j = r * width + quarter * four
                counts[np.uint64(places[j])] += np.int32(1)
                counts[stride + np.uint64(places[j + np.uint64(1)])] += np.int32(1)
                counts[two * stride + np.uint64(places[j + two])] += np.int32(1)
                counts[three * stride + np.uint64(places[j + three])] += np.int32(1)
            for rest in range(fours * four, np.uint64(columns)):
                counts[np.uint64(places[r * width + rest])] += np.int32(1)
        for k in range(stride):
            n = counts[k] + counts[stride + k] + counts[two * stride + k] + counts[three * stride + k]
            if n > 0:
                add_atomically(histogram, to + np.int64(k), np.int64(n))

    return count
