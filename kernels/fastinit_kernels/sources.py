"""Where a matrix comes from, and how a block of it gets into panels.

A source is a row of two tables: numbers (the function that makes a line of it, rounding, the four words of the key, an
address) and the parameters of its law. A block of rows and columns is drawn from the counters (or read from an array,
or set to a constant) in runs of consecutive elements into a scratch line in L1, and copied from there to its panels.
No matrix of weights ever exists.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .draw import PARAMETERS
from .gemm import CHUNK
from .jit import inline
from .lanes import panel_width
from .lines import ARRAY, CONSTANT, GROUP, LINE, draw_line, line_address

_ROUNDINGS = {None: 0, "bfloat16": 1, "float16": 2}

# Columns of a block.
BLOCK_COLUMNS = 512


_NOWHERE = (0, 0, 0, 0)
_NO_PARAMETERS = np.zeros(PARAMETERS)


class Source(NamedTuple):
    """A matrix that is drawn, constant, or given.

    Parameters
    ----------
    law
        One of `draw.LAWS`; None for a constant or an array.
    key
        Philox key and stream, four words of 32 bits.
    parameters
        What `fill` takes for the law; a constant's value comes first.
    array
        C-contiguous, of the compute type; None if drawn.
    rounding
        "bfloat16" or "float16": every element is rounded to that type before use.
    """

    law: str | None = None
    key: Sequence[int] = _NOWHERE
    parameters: NDArray[Any] = _NO_PARAMETERS
    array: NDArray[Any] | None = None
    rounding: str | None = None

    @staticmethod
    def constant(value: float) -> "Source":
        """Every element is `value`."""
        return Source(parameters=np.array([value] + [0.0] * (PARAMETERS - 1)))

    def numbers(self, dtype: str) -> list[int]:
        """Return this source's row of the table of numbers, for arithmetic in `dtype`."""
        function = line_address(self.law or (CONSTANT if self.array is None else ARRAY), dtype)
        address = 0 if self.array is None else int(self.array.ctypes.data)
        return [function, _ROUNDINGS[self.rounding], *self.key, address]


@cache
def pack_function(dtype: Any) -> Any:
    """`pack(numbers, parameters, s, n, row, count, start, stop, out, out_at, row_step, panel_step, scratch)`.

    Rows [row, row + count), columns [start, stop) of source s, a matrix of n columns, to panels: the first element
    goes to out[out_at], rows lie row_step and panels panel_step apart. `start` is a multiple of the panel width; the
    columns that are missing in the last panel become 0.
    """
    width = np.uint64(panel_width(dtype))
    zero = np.dtype(dtype).type(0)

    @inline
    def copy(scratch: Any, at: Any, columns: Any, out: Any, to: Any, panel_step: Any) -> None:
        panels = columns // width
        for panel in range(panels):
            for j in range(width):
                out[to + panel * panel_step + j] = scratch[at + panel * width + j]
        if panels * width < columns:
            for j in range(width):
                inside = panels * width + j < columns
                out[to + panels * panel_step + j] = scratch[at + panels * width + j] if inside else zero

    @inline
    def pack(
        numbers: Any,
        parameters: Any,
        s: Any,
        n: Any,
        row: Any,
        count: Any,
        start: Any,
        stop: Any,
        out: Any,
        out_at: Any,
        row_step: Any,
        panel_step: Any,
        scratch: Any,
    ) -> None:
        columns = stop - start
        # Whole rows follow each other without a gap: as many as the line holds go in one run.
        together = max(1, LINE // columns) if columns == n else 1
        r = 0
        while r < count:
            here = min(together, count - r)
            draw_line(numbers, parameters, s, (row + r) * n + start, here * columns, scratch)
            for i in range(here):
                copy(
                    scratch,
                    np.uint64(GROUP + i * columns),
                    np.uint64(columns),
                    out,
                    np.uint64(out_at + (r + i) * row_step),
                    np.uint64(panel_step),
                )
            r += here

    return pack


@cache
def pack_transposed_function(dtype: Any) -> Any:
    """`pack(numbers, parameters, s, n, row, count, start, stop, out, out_at, scratch)`: a block turned.

    Rows [row, row + count), count at most the panel width, columns [start, stop) of source s become columns and rows
    of one panel, whose first element is out[out_at]; columns beyond `count` become 0.
    """
    width = np.uint64(panel_width(dtype))
    zero = np.dtype(dtype).type(0)

    @inline
    def pack(
        numbers: Any,
        parameters: Any,
        s: Any,
        n: Any,
        row: Any,
        count: Any,
        start: Any,
        stop: Any,
        out: Any,
        out_at: Any,
        scratch: Any,
    ) -> None:
        columns = stop - start
        together = max(1, LINE // columns) if columns == n else 1
        r = 0
        while r < count:
            here = min(together, count - r)
            draw_line(numbers, parameters, s, (row + r) * n + start, here * columns, scratch)
            for i in range(here):
                at, to = np.uint64(GROUP + i * columns), np.uint64(out_at + r + i)
                for j in range(np.uint64(columns)):
                    out[to + j * width] = scratch[at + j]
            r += here
        for k in range(np.uint64(count), width):
            for j in range(np.uint64(columns)):
                out[np.uint64(out_at) + k + j * width] = zero

    return pack


def blocks(rows: int, columns: int) -> tuple[int, int]:
    """Blocks of a matrix: (down, across)."""
    return -(-rows // CHUNK), -(-columns // BLOCK_COLUMNS)
