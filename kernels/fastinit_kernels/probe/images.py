"""Rows of images: their order, and the patches that a convolution multiplies.

A row is a position of an image. Rows of `interleaved` images are interleaved, images follow each other row by row, so
a tap of the kernel reads the row a fixed distance away, or nothing beyond the border.
"""

from functools import cache
from typing import Any

import numpy as np

from ..machine.ahead import family
from ..machine.jit import Kernel, inline, kernel
from ..machine.lanes import panel_width
from ..machine.modes import use_widest_vectors
from ..machine.pointers import address_of, call_at, moved, pointers
from .gemm import CHUNK, Operand, multiply_function
from .records import LAUNCH
from .sources import Part, pack_function
from .tasks import REALS, ceiling

_launch_at = LAUNCH.at

ALL_TAPS = -1


@cache
def pack_images_function(dtype: Any) -> Any:
    """`pack(launch, source, part, out, panel_step, scratch)`: a part of the rows of images into panels.

    The source's rows stand image after image; the part counts them in our order.
    """
    width = np.int64(panel_width(dtype))
    pack_rows = pack_function(dtype)

    @inline
    def pack(launch: Any, source: Any, part: Any, out: Any, panel_step: Any, scratch: Any) -> None:
        positions, interleaved = launch.positions, launch.interleaved
        group = positions * interleaved
        r = np.int64(0)
        while r < part.rows:
            image = (part.row + r) // group
            inside = part.row + r - image * group
            piece = min(part.rows - r, group - inside)
            for i in range(interleaved):
                row = (image * interleaved + i) * positions + inside // interleaved
                of_one = Part(part.n, row, (piece + interleaved - 1 - i) // interleaved, part.left, part.right)
                pack_rows(source, of_one, moved(out, (r + i) * width), interleaved * width, panel_step, scratch)
            r += piece

    return pack


@cache
def _gather_function(dtype: Any) -> Any:
    """`gather(launch, tap, sign, at, panels, first, rows, out)`: what a tap reads of `rows` rows from `first` on.

    `panels` panels of the signal that starts at the place `at`, each row `sign` times the tap's distance away, or 0
    beyond the image's border, to panels CHUNK rows high.
    """
    width = np.uint64(panel_width(dtype))
    zero, real_at = np.dtype(dtype).type(0), pointers(dtype)
    height = np.int64(CHUNK * panel_width(dtype))

    @inline
    def gather(launch: Any, tap: Any, sign: Any, at: Any, panels: Any, first: Any, rows: Any, out: Any) -> None:
        window, side, interleaved = launch.window, launch.side, launch.interleaved
        before = (window - 1) // 2
        down, right = sign * (tap // window - before), sign * (tap % window - before)
        distance = (down * side + right) * interleaved
        position = first // interleaved % (side * side)
        i, x, y = first % interleaved, position % side, position // side
        step = launch.padded_rows * np.int64(width)
        signal = real_at(launch.memory, at + (first + distance) * np.int64(width))
        for r in range(rows):
            there = 0 <= x + right < side and 0 <= y + down < side
            for panel in range(panels):
                to = moved(out, panel * height + r * np.int64(width))
                if there:
                    here = moved(signal, panel * step + r * np.int64(width))
                    for j in range(width):
                        to[j] = here[j]
                else:
                    for j in range(width):
                        to[j] = zero
            i += 1
            if i == interleaved:
                i = np.int64(0)
                x += 1
                if x == side:
                    x = np.int64(0)
                    y += 1
                    if y == side:
                        y = np.int64(0)

    return gather


@family(REALS)
def patches_kernel(dtype: Any) -> Kernel:
    """`patches(launch, tap, sign, at, panels, first, rows, out)`: as `_gather_function`, of one tap or of ALL_TAPS.

    Taps follow each other in `out`, an address. Of a wider gather than a chunk only one panel is asked for.
    """
    gather, real_at = _gather_function(dtype), pointers(dtype)
    height = np.int64(CHUNK * panel_width(dtype))

    @kernel(f"patches-{np.dtype(dtype).name}", cost=0.8)
    def patches(launch_address: Any, tap: Any, sign: Any, at: Any, panels: Any, first: Any, rows: Any, out: Any) -> int:
        use_widest_vectors()
        launch = _launch_at(launch_address, np.int64(0))
        begin, end = (np.int64(0), launch.taps) if tap == ALL_TAPS else (tap, tap + 1)
        for here in range(begin, end):
            to = real_at(out, (here - begin) * panels * height)
            gather(launch, here, sign, at, panels, first, rows, to)
        return 0

    return patches


@cache
def operand_function(dtype: Any) -> Any:
    """`operand(launch, sign, at, n, first, rows, patches)`: the left operand of a product, rows of a signal.

    The rows from `first` on of the signal of n columns that starts at the place `at`; of a convolution what all taps
    read of them, tap after tap, gathered to the pointer `patches`.
    """
    width, real_at = np.int64(panel_width(dtype)), pointers(dtype)
    height = np.int64(CHUNK * panel_width(dtype))

    @inline
    def operand(launch: Any, sign: Any, at: Any, n: Any, first: Any, rows: Any, patches: Any) -> Any:
        panels = ceiling(n, width)
        if launch.taps > 1:
            where = address_of(launch), np.int64(ALL_TAPS), np.int64(sign), at, panels, first, rows, address_of(patches)
            call_at(launch.patches, where)
            return Operand(patches, height, panels * height, rows)
        return Operand(real_at(launch.memory, at + first * width), launch.padded_rows * width, np.int64(0), rows)

    return operand


@cache
def product_function(dtype: Any) -> Any:
    """`product(taps, a, k, w, w_step, columns, start, z)`: z = start + the sum over taps of the tap's rows by its W.

    `a` is an `Operand`; a tap's k rows of W lie w_step apart from the next tap's; `start` is one row; the rest are
    pointers.
    """
    width = np.int64(panel_width(dtype))
    multiply = multiply_function(dtype)

    @inline
    def product(taps: Any, a: Any, k: Any, w: Any, w_step: Any, columns: Any, start: Any, z: Any) -> None:
        d, d_step = start, np.int64(0)
        for tap in range(taps):
            here = Operand(moved(a.first, tap * a.tap), a.next, a.tap, a.rows)
            multiply(here, k, moved(w, tap * w_step), columns, d, d_step, z)
            d, d_step = z, width

    return product
