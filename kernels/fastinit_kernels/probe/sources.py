"""Where a matrix comes from, and how a part of it gets into panels.

A part, rows and columns, is drawn from the counters (or read from an array, or set to a constant) in runs of
consecutive elements into a scratch line in L1, and copied from there to its panels. No matrix of weights ever exists.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..fill.draw import PARAMETERS
from ..machine.jit import Kernel, inline, place_of
from ..machine.lanes import copy_panel_row, panel_width
from ..machine.pointers import moved
from ..numeric.integers import ceil_div
from .gemm import CHUNK
from .lines import ARRAY, CONSTANT, GROUP, LINE, ROUNDINGS, draw_line, line_kernel
from .records import SOURCE

# Columns of a part.
PART_COLUMNS = 512

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

    def kernel(self, dtype: str) -> Kernel:
        """Return what makes a line of it, for arithmetic in `dtype`."""
        return line_kernel(self.law or (CONSTANT if self.array is None else ARRAY), dtype)

    def numbers(self, dtype: str) -> tuple[int, ...]:
        """Return its record up to the parameters."""
        function = self.kernel(dtype).address
        return function, ROUNDINGS[self.rounding], *self.key, 0 if self.array is None else place_of(self.array)


def source_table(sources: Sequence[Source], dtype: str) -> Any:
    """The records of all sources."""
    table = SOURCE.zeros(len(sources))
    numbers = [source.numbers(dtype) for source in sources]
    table.view(np.int64).reshape(len(sources), -1)[:, : len(numbers[0])] = numbers
    table["parameters"] = [source.parameters for source in sources]
    return table


class Part(NamedTuple):
    """Rows [row, row + rows), columns [left, right) of a matrix of n columns."""

    n: Any
    row: Any
    rows: Any
    left: Any
    right: Any


@cache
def pack_function(dtype: Any) -> Any:
    """`pack(source, part, out, row_step, panel_step, scratch)`: a part of a source into panels.

    The first element goes to out[0], rows lie row_step and panels panel_step apart. `left` is a multiple of the panel
    width; the columns that are missing in the last panel become 0.
    """
    width, copy_row = np.uint64(panel_width(dtype)), copy_panel_row(dtype)
    zero = np.dtype(dtype).type(0)

    @inline
    def copy(line: Any, columns: Any, out: Any, panel_step: Any) -> None:
        panels = columns // width
        for panel in range(panels):
            copy_row(moved(line, panel * width), moved(out, panel * panel_step))
        if panels * width < columns:
            for j in range(width):
                inside = panels * width + j < columns
                out[panels * panel_step + j] = line[panels * width + j] if inside else zero

    @inline
    def pack(source: Any, part: Any, out: Any, row_step: Any, panel_step: Any, scratch: Any) -> None:
        columns = part.right - part.left
        # Whole rows follow each other without a gap: as many as the line holds go in one run.
        in_a_run = max(1, LINE // columns) if columns == part.n else 1
        r = 0
        while r < part.rows:
            here = min(in_a_run, part.rows - r)
            draw_line(source, (part.row + r) * part.n + part.left, here * columns, scratch)
            for i in range(here):
                line, to = moved(scratch, GROUP + i * columns), moved(out, (r + i) * row_step)
                copy(line, np.uint64(columns), to, np.uint64(panel_step))
            r += here

    return pack


@cache
def pack_transposed_function(dtype: Any) -> Any:
    """`pack(source, part, out, scratch)`: a part turned.

    The part's rows, at most the panel width, and columns become columns and rows of one panel, whose first element is
    out[0]; columns beyond the rows become 0.
    """
    width = np.uint64(panel_width(dtype))
    zero = np.dtype(dtype).type(0)

    @inline
    def pack(source: Any, part: Any, out: Any, scratch: Any) -> None:
        columns = part.right - part.left
        in_a_run = max(1, LINE // columns) if columns == part.n else 1
        r = 0
        while r < part.rows:
            here = min(in_a_run, part.rows - r)
            draw_line(source, (part.row + r) * part.n + part.left, here * columns, scratch)
            for i in range(here):
                line, to = moved(scratch, GROUP + i * columns), moved(out, r + i)
                for j in range(np.uint64(columns)):
                    to[j * width] = line[j]
            r += here
        for k in range(np.uint64(part.rows), width):
            for j in range(np.uint64(columns)):
                out[k + j * width] = zero

    return pack


def parts(rows: int, columns: int) -> tuple[int, int]:
    """Blocks of a matrix: (down, across)."""
    return ceil_div(rows, CHUNK), ceil_div(columns, PART_COLUMNS)
