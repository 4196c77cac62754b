"""Rows of images: their order, and the patches that a convolution multiplies.

A row is a position of an image. Rows of `together` images are interleaved, images follow each other row by row, so
a tap of the kernel reads the row a fixed distance away, or nothing beyond the border.
"""

from functools import cache
from typing import Any

import numpy as np

from .gemm import CHUNK, multiply_function
from .intrinsics import pointer_to
from .jit import inline
from .lanes import panel_width
from .layout import KERNEL, POSITIONS, SIDE, TOGETHER
from .sources import pack_function


@inline
def taps_of(sizes: Any) -> Any:
    """Positions that the kernel of a convolution reads; 1: no convolution."""
    return sizes[KERNEL] * sizes[KERNEL]


@cache
def pack_images_function(dtype: Any) -> Any:
    """`pack(sizes, images, numbers, parameters, s, n, row, count, left, right, memory, to, panel_step, scratch)`.

    Rows [row, row + count), columns [left, right), of source s, a matrix of n columns; with `images`, its rows stand
    image after image, and [row, row + count) counts them in our order.
    """
    width = np.int64(panel_width(dtype))
    pack_rows = pack_function(dtype)

    @inline
    def pack(
        sizes: Any, images: Any, numbers: Any, parameters: Any, s: Any, n: Any, row: Any, count: Any, left: Any,
        right: Any, memory: Any, to: Any, panel_step: Any, scratch: Any,
    ) -> None:  # fmt: skip
        positions, together = (sizes[POSITIONS], sizes[TOGETHER]) if images else (row + count, np.int64(1))
        group = positions * together
        r = np.int64(0)
        while r < count:
            image = (row + r) // group
            inside = row + r - image * group
            piece = min(count - r, group - inside)
            for i in range(together):
                pack_rows(
                    numbers, parameters, s, n,
                    (image * together + i) * positions + inside // together, (piece + together - 1 - i) // together,
                    left, right, memory, to + (r + i) * width, together * width, panel_step, scratch,
                )  # fmt: skip
            r += piece

    return pack


@cache
def gather_function(dtype: Any) -> Any:
    """`gather(sizes, tap, sign, a, a_at, a_next, panels, first, rows, out, out_at, out_next)`: what a tap reads.

    Rows [first, first + rows) of `panels` panels of the signal that starts at a_at, each row `sign` times the tap's
    distance away, or 0 beyond the image's border.
    """
    width = np.uint64(panel_width(dtype))
    zero = np.dtype(dtype).type(0)

    @inline
    def gather(
        sizes: Any, tap: Any, sign: Any, a: Any, a_at: Any, a_next: Any, panels: Any, first: Any, rows: Any, out: Any,
        out_at: Any, out_next: Any,
    ) -> None:  # fmt: skip
        kernel, side, together = sizes[KERNEL], sizes[SIDE], sizes[TOGETHER]
        before = (kernel - 1) // 2
        down, right = sign * (tap // kernel - before), sign * (tap % kernel - before)
        distance = (down * side + right) * together
        position = first // together % (side * side)
        i, x, y = first % together, position % side, position // side
        for r in range(rows):
            if 0 <= x + right < side and 0 <= y + down < side:
                for panel in range(panels):
                    here = np.uint64(a_at + panel * a_next + (first + r + distance) * np.int64(width))
                    to = np.uint64(out_at + panel * out_next + r * np.int64(width))
                    for j in range(width):
                        out[to + j] = a[here + j]
            else:
                for panel in range(panels):
                    to = np.uint64(out_at + panel * out_next + r * np.int64(width))
                    for j in range(width):
                        out[to + j] = zero
            i += 1
            if i == together:
                i = np.int64(0)
                x += 1
                if x == side:
                    x = np.int64(0)
                    y += 1
                    if y == side:
                        y = np.int64(0)

    return gather


@cache
def operand_function(dtype: Any) -> Any:
    """`operand(sizes, convolve, sign, memory, at, step, n, first, rows)` = (a, a_at, a_next, tap_step) of a product.

    The rows from `first` on of the signal of n columns that starts at `at`, its panels `step` apart; or, to convolve,
    what all taps read of them, tap after tap, in panels CHUNK rows high. The array itself, never a pointer into it:
    Numba frees an array after its last use.
    """
    width, real = np.int64(panel_width(dtype)), np.dtype(dtype).type
    gather = gather_function(dtype)

    @inline
    def operand(
        sizes: Any, convolve: Any, sign: Any, memory: Any, at: Any, step: Any, n: Any, first: Any, rows: Any
    ) -> Any:
        panels, height = (n + width - 1) // width, CHUNK * width
        a, a_at, a_next = memory, at + first * width, step
        if convolve:
            gathered = np.empty(taps_of(sizes) * panels * height, real)
            for tap in range(taps_of(sizes)):
                gather(sizes, tap, sign, memory, at, step, panels, first, rows, gathered, tap * panels * height, height)
            a, a_at, a_next = gathered, np.int64(0), height
        return a, a_at, a_next, panels * height

    return operand


@cache
def product_function(dtype: Any) -> Any:
    """`product(sizes, a, a_at, a_next, tap_step, rows, k, memory, w, w_step, columns, start, z)`: z of all taps.

    z = start + the sum over taps of the tap's rows of the operand by its k rows of W, which lie w_step apart from the
    next tap's; `start` is one row of memory, by its place.
    """
    width = np.int64(panel_width(dtype))
    multiply = multiply_function(dtype)

    @inline
    def product(
        sizes: Any, a: Any, a_at: Any, a_next: Any, tap_step: Any, rows: Any, k: Any, memory: Any, w: Any, w_step: Any,
        columns: Any, start: Any, z: Any,
    ) -> None:  # fmt: skip
        d, d_step = pointer_to(memory, start), np.int64(0)
        for tap in range(taps_of(sizes)):
            multiply(a, a_at + tap * tap_step, a_next, rows, k, memory, w + tap * w_step, columns, d, d_step, z)
            d, d_step = z, width

    return product
