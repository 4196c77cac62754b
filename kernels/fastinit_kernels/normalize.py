"""Normalisation of the rows of a signal, and its way back.

    h = (x - mean) / sqrt(var + eps)    or    h = x / sqrt(mean(x^2) + eps),    over a row's units
    dL/dx = (g - mean(g) - h mean(g h)) / sqrt(var + eps),    without mean(g) for the second, g = dL/dh

Ba, Kiros, Hinton 2016, "Layer normalization", section 3; Zhang and Sennrich 2019, "Root mean square layer
normalization", section 4; both with the scale and shift they start with, 1 and 0. A row's sums are kept in a fixed
number of float64 accumulators, whatever the width of a panel.
"""

from functools import cache
from typing import Any

import numpy as np

from .gemm import CHUNK
from .intrinsics import sqrt
from .jit import inline
from .lanes import panel_width

# What PyTorch's LayerNorm adds to the variance.
EPSILON = 1e-5

# Accumulators of a row: column j goes to accumulator j modulo this, a multiple of every panel's width.
_SUMS = 32


@cache
def _row_means(dtype: Any) -> Any:
    """`means(x, x_at, y_at, step, rows, n, shift, product, sums, out)`: a chunk of rows' means.

    out[r] is that of x, or with `product` that of (x - shift[r]) (y - shift[r]); `sums` is scratch.
    """
    width, many = np.uint64(panel_width(dtype)), np.uint64(_SUMS)

    @inline
    def means(
        x: Any, x_at: Any, y_at: Any, step: Any, rows: Any, n: Any, shift: Any, product: Any, sums: Any, out: Any
    ) -> None:
        for i in range(np.uint64(rows) * many):
            sums[i] = 0.0
        for column in range(np.int64(0), n, np.int64(width)):
            columns = np.uint64(min(n - column, np.int64(width)))
            base = np.uint64(column) % many
            panel = column // np.int64(width) * step
            for r in range(np.uint64(rows)):
                here, there = np.uint64(x_at + panel) + r * width, np.uint64(y_at + panel) + r * width
                to, middle = r * many + base, shift[r]
                if product:
                    for j in range(columns):
                        sums[to + j] += (np.float64(x[here + j]) - middle) * (np.float64(x[there + j]) - middle)
                else:
                    for j in range(columns):
                        sums[to + j] += np.float64(x[here + j])
        for r in range(np.uint64(rows)):
            total = 0.0
            for i in range(many):
                total += sums[r * many + i]
            out[r] = total / np.float64(n)

    return means


@cache
def normalize_function(dtype: Any) -> Any:
    """`normalize(x, x_at, h_at, inverse_at, step, rows, n, centred)`: a chunk of rows; 1 / std of each row is kept."""
    real = np.dtype(dtype).type
    width = np.uint64(panel_width(dtype))
    means = _row_means(dtype)

    @inline
    def normalize(x: Any, x_at: Any, h_at: Any, inverse_at: Any, step: Any, rows: Any, n: Any, centred: Any) -> None:
        sums = np.empty(CHUNK * _SUMS, np.float64)
        mean, square = np.zeros(CHUNK, np.float64), np.empty(CHUNK, np.float64)
        if centred:
            means(x, x_at, x_at, step, rows, n, mean, False, sums, mean)
        means(x, x_at, x_at, step, rows, n, mean, True, sums, square)
        for r in range(np.uint64(rows)):
            square[r] = 1.0 / sqrt(square[r] + EPSILON)
            x[np.uint64(inverse_at) + r] = real(square[r])
        for panel in range((n + np.int64(width) - 1) // np.int64(width)):
            here, to = np.uint64(x_at + panel * step), np.uint64(h_at + panel * step)
            for r in range(np.uint64(rows)):
                middle, inverse = mean[r], square[r]
                for j in range(width):
                    x[to + r * width + j] = real((np.float64(x[here + r * width + j]) - middle) * inverse)

    return normalize


@cache
def unnormalize_function(dtype: Any) -> Any:
    """`unnormalize(x, g_at, h_at, inverse_at, skip_at, step, rows, n, centred)`: dL/dh at g_at becomes dL/dx.

    What stands at skip_at, the gradient that comes past the branch, is added, unless that is negative.
    """
    real = np.dtype(dtype).type
    width = np.uint64(panel_width(dtype))
    means = _row_means(dtype)

    @inline
    def unnormalize(
        x: Any, g_at: Any, h_at: Any, inverse_at: Any, skip_at: Any, step: Any, rows: Any, n: Any, centred: Any
    ) -> None:
        sums, none = np.empty(CHUNK * _SUMS, np.float64), np.zeros(CHUNK, np.float64)
        mean, along = np.zeros(CHUNK, np.float64), np.empty(CHUNK, np.float64)
        if centred:
            means(x, g_at, g_at, step, rows, n, none, False, sums, mean)
        means(x, g_at, h_at, step, rows, n, none, True, sums, along)
        for panel in range((n + np.int64(width) - 1) // np.int64(width)):
            for r in range(np.uint64(rows)):
                place = panel * step + np.int64(r * width)
                g, h, past = np.uint64(g_at + place), np.uint64(h_at + place), np.uint64(max(skip_at, 0) + place)
                middle, slant, inverse = mean[r], along[r], np.float64(x[np.uint64(inverse_at) + r])
                if skip_at < 0:
                    for j in range(width):
                        x[g + j] = real((np.float64(x[g + j]) - middle - np.float64(x[h + j]) * slant) * inverse)
                else:
                    for j in range(width):
                        change = (np.float64(x[g + j]) - middle - np.float64(x[h + j]) * slant) * inverse
                        x[g + j] = real(change + np.float64(x[past + j]))

    return unnormalize
