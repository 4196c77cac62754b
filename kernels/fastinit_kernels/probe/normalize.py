"""Normalisation of the rows of a signal, and its way back.

    h = (x - mean) / sqrt(var + eps)    or    h = x / sqrt(mean(x^2) + eps),    over a row's units
    dL/dx = (g - mean(g) - h mean(g h)) / sqrt(var + eps),    without mean(g) for the second, g = dL/dh

Ba, Kiros, Hinton 2016, "Layer normalization", section 3; Zhang and Sennrich 2019, "Root mean square layer
normalization", section 4; both with the scale and shift they start with, 1 and 0. A row's sums are kept in a fixed
number of float64 accumulators, whatever the width of a panel.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..machine.intrinsics import sqrt
from ..machine.jit import inline
from ..machine.lanes import panel_width
from ..machine.pointers import moved, pointers, stack_array
from ..numeric.constants import NORM_EPSILON
from .gemm import CHUNK
from .records import LAYER_NORM
from .tasks import Body, ceiling, task

# Accumulators of a row: column j goes to accumulator j modulo this, a multiple of every panel's width.
_SUMS = 32
_ACCUMULATORS = CHUNK * _SUMS


class Rows(NamedTuple):
    """A chunk's rows of n columns, in panels `step` apart."""

    rows: Any
    n: Any
    step: Any


@cache
def _row_means(dtype: Any) -> Any:
    """`means(x, y, of, shift, product, out)`: a chunk of rows' means.

    out[r] is that of x, or with `product` that of (x - shift[r]) (y - shift[r]); `of` is `Rows`, the rest pointers.
    """
    width, many = np.uint64(panel_width(dtype)), np.uint64(_SUMS)

    @inline
    def means(x: Any, y: Any, of: Any, shift: Any, product: Any, out: Any) -> None:
        sums = stack_array(_ACCUMULATORS, np.float64)
        for i in range(np.uint64(of.rows) * many):
            sums[i] = 0.0
        for column in range(np.int64(0), of.n, np.int64(width)):
            columns = np.uint64(min(of.n - column, np.int64(width)))
            base = np.uint64(column) % many
            panel = column // np.int64(width) * of.step
            for r in range(np.uint64(of.rows)):
                place = panel + np.int64(r * width)
                here, there = moved(x, place), moved(y, place)
                to, middle = r * many + base, shift[r]
                if product:
                    for j in range(columns):
                        sums[to + j] += (np.float64(here[j]) - middle) * (np.float64(there[j]) - middle)
                else:
                    for j in range(columns):
                        sums[to + j] += np.float64(here[j])
        for r in range(np.uint64(of.rows)):
            total = 0.0
            for i in range(many):
                total += sums[r * many + i]
            out[r] = total / np.float64(of.n)

    return means


@inline
def _nothing(values: Any) -> None:
    for r in range(np.uint64(CHUNK)):
        values[r] = 0.0


@task("normalize", 0.6)
def normalize_kernel(dtype: Any) -> Body:
    """A chunk of rows of the signal becomes the operand; 1 / std of each row is kept."""
    real, real_at = np.dtype(dtype).type, pointers(dtype)
    width = np.uint64(panel_width(dtype))
    means = _row_means(dtype)

    def normalize(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        row = t * CHUNK
        at, step = row * np.int64(width), launch.padded_rows * np.int64(width)
        x, h = real_at(launch.memory, layer.signal + at), real_at(launch.memory, layer.operand + at)
        inverses = real_at(launch.memory, layer.inverses + row)
        of = Rows(min(CHUNK, launch.rows - row), layer.n_in, step)
        mean, square = stack_array(CHUNK, np.float64), stack_array(CHUNK, np.float64)
        _nothing(mean)
        if layer.normalize == LAYER_NORM:
            means(x, x, of, mean, False, mean)
        means(x, x, of, mean, True, square)
        for r in range(np.uint64(of.rows)):
            square[r] = 1.0 / sqrt(square[r] + NORM_EPSILON)
            inverses[r] = real(square[r])
        for panel in range(ceiling(of.n, np.int64(width))):
            here, to = moved(x, panel * step), moved(h, panel * step)
            for r in range(np.uint64(of.rows)):
                middle, inverse = mean[r], square[r]
                for j in range(width):
                    to[r * width + j] = real((np.float64(here[r * width + j]) - middle) * inverse)

    return normalize


@task("unnormalize", 0.6)
def unnormalize_kernel(dtype: Any) -> Body:
    """dL/dh of a chunk of rows becomes dL/dx, in place; the gradient that comes past the branch is added."""
    real, real_at = np.dtype(dtype).type, pointers(dtype)
    width = np.uint64(panel_width(dtype))
    means = _row_means(dtype)

    def unnormalize(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        row = t * CHUNK
        at, step = row * np.int64(width), launch.padded_rows * np.int64(width)
        odd = phase.layer & 1
        below, above = (launch.stream0, launch.stream1) if odd else (launch.stream1, launch.stream0)
        g, h = real_at(launch.memory, below + at), real_at(launch.memory, layer.operand + at)
        past = real_at(launch.memory, above + at)
        inverses = real_at(launch.memory, layer.inverses + row)
        of = Rows(min(CHUNK, launch.rows - row), layer.n_in, step)
        mean, along, none = (
            stack_array(CHUNK, np.float64),
            stack_array(CHUNK, np.float64),
            stack_array(CHUNK, np.float64),
        )
        _nothing(mean)
        _nothing(none)
        if layer.normalize == LAYER_NORM:
            means(g, g, of, none, False, mean)
        means(g, h, of, none, True, along)
        for panel in range(ceiling(of.n, np.int64(width))):
            for r in range(np.uint64(of.rows)):
                place = panel * step + np.int64(r * width)
                dx, x, beside = moved(g, place), moved(h, place), moved(past, place)
                middle, slant, inverse = mean[r], along[r], np.float64(inverses[r])
                if layer.skip:
                    for j in range(width):
                        change = (np.float64(dx[j]) - middle - np.float64(x[j]) * slant) * inverse
                        dx[j] = real(change + np.float64(beside[j]))
                else:
                    for j in range(width):
                        dx[j] = real((np.float64(dx[j]) - middle - np.float64(x[j]) * slant) * inverse)

    return unnormalize
