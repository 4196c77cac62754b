"""Where a matrix comes from, and how a block of it gets into panels.

A source is a row of two tables: numbers (kind, rounding, the four words of the key, an address) and the parameters of
its law. A block of rows and columns is drawn from the counters (or read from an array, or set to a constant) in runs
of consecutive elements into a scratch line in L1, and copied from there to its panels. No matrix of weights ever
exists.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numba.core import types
from numpy.typing import NDArray

from .fill import BATCH, group_function
from .gemm import CHUNK
from .intrinsics import Codegen, bits_of_float32, float32_of_bits, intrinsic, pointer_to, select
from .jit import inline
from .lanes import panel_width
from .laws import PARAMETERS
from .rounding import bfloat16_bits, float16_bits

ARRAY, CONSTANT, NORMAL, UNIFORM, TRUNCATED = range(5)
_KINDS = {"normal": NORMAL, "uniform": UNIFORM, "truncated_normal": TRUNCATED}
_ROUNDINGS = {None: 0, "bfloat16": 1, "float16": 2}

# Columns of the table of numbers.
KIND, ROUNDING, KEY, ADDRESS = 0, 1, 2, 6
NUMBERS = 7

# Columns of a block, and elements of a scratch line: a few groups of 64, so that little is drawn twice.
BLOCK_COLUMNS = 512
LINE = 2048
GROUP = 64


@dataclass(frozen=True)
class Source:
    """A matrix that is drawn, constant, or given.

    Parameters
    ----------
    law
        "normal", "uniform", "truncated_normal"; None for a constant or an array.
    key
        Philox key and stream, uint32[4].
    parameters
        What `fill` takes for the law; a constant's value comes first.
    array
        C-contiguous, of the compute type; None if drawn.
    rounding
        "bfloat16" or "float16": every element is rounded to that type before use.
    """

    law: str | None = None
    key: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(4, np.uint32))
    parameters: NDArray[Any] = field(default_factory=lambda: np.zeros(PARAMETERS))
    array: NDArray[Any] | None = None
    rounding: str | None = None

    @staticmethod
    def constant(value: float) -> "Source":
        """Every element is `value`."""
        return Source(parameters=np.array([value] + [0.0] * (PARAMETERS - 1)))

    def numbers(self) -> list[int]:
        """Return this source's row of the table of numbers."""
        kind = ARRAY if self.array is not None else CONSTANT if self.law is None else _KINDS[self.law]
        address = 0 if self.array is None else int(self.array.ctypes.data)
        return [kind, _ROUNDINGS[self.rounding], *(int(word) for word in self.key), address]


@intrinsic
def _element_at(typingctx: Any, address: Any, index: Any, like: Any) -> tuple[Any, Codegen]:
    """The number at a machine address, of the type of `like`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], context.get_value_type(like).as_pointer())
        return builder.load(builder.gep(pointer, [args[1]]), align=1)

    return like(types.int64, types.int64, like), codegen


@inline
def _through_bfloat16(x: Any) -> Any:
    return float32_of_bits(np.uint32(np.uint32(bfloat16_bits(x)) << np.uint32(16)))


@inline
def _through_float16(x: Any) -> Any:
    half = np.uint32(float16_bits(x))
    magnitude = np.uint32(half & np.uint32(0x7FFF))
    # The exponent is 112 too small; multiplying puts it right for subnormal halves, too.
    size = float32_of_bits(np.uint32(magnitude << np.uint32(13))) * np.float32(2.0**112)
    size = select(magnitude >= np.uint32(0x7C00), np.float32(np.inf), size)
    sign = np.uint32(np.uint32(half & np.uint32(0x8000)) << np.uint32(16))
    return float32_of_bits(np.uint32(bits_of_float32(size) | sign))


@cache
def line_function(dtype: Any) -> Any:
    """`line(numbers, parameters, s, first, n, scratch)`: elements [first, first + n) of source s to scratch[GROUP:].

    Whole groups are drawn, so up to a group before and after it in `scratch` is overwritten.
    """
    name = np.dtype(dtype).name
    normal, uniform, truncated = (group_function(law, name)[0] for law in ("normal", "uniform", "truncated_normal"))
    elements = np.int64(group_function("normal", name)[1])
    real = np.float32 if name == "float32" else np.float64
    single = name == "float32"

    @inline
    def line(numbers: Any, parameters: Any, s: Any, first: Any, n: Any, scratch: Any) -> None:
        kind = numbers[s, KIND]
        p = (
            parameters[s, 0],
            parameters[s, 1],
            parameters[s, 2],
            parameters[s, 3],
            parameters[s, 4],
            parameters[s, 5],
            parameters[s, 6],
            parameters[s, 7],
        )
        if kind == ARRAY:
            address = numbers[s, ADDRESS]
            for i in range(np.uint64(n)):
                scratch[np.uint64(GROUP) + i] = _element_at(address, np.int64(first + np.int64(i)), real(0.0))
        elif kind == CONSTANT:
            for i in range(np.uint64(n)):
                scratch[np.uint64(GROUP) + i] = p[0]
        else:
            key = (
                np.uint32(numbers[s, KEY]),
                np.uint32(numbers[s, KEY + 1]),
                np.uint32(numbers[s, KEY + 2]),
                np.uint32(numbers[s, KEY + 3]),
            )
            g = first // elements
            last = (first + n + elements - 1) // elements
            to = GROUP - (first - g * elements)
            while g < last:
                count = min(BATCH, last - g)
                out = pointer_to(scratch, to)
                if kind == NORMAL:
                    normal(out, np.uint64(g), np.uint64(count), key, p)
                elif kind == UNIFORM:
                    uniform(out, np.uint64(g), np.uint64(count), key, p)
                else:
                    truncated(out, np.uint64(g), np.uint64(count), key, p)
                g += count
                to += count * elements
        if single:
            if numbers[s, ROUNDING] == 1:
                for i in range(np.uint64(n)):
                    scratch[np.uint64(GROUP) + i] = _through_bfloat16(scratch[np.uint64(GROUP) + i])
            elif numbers[s, ROUNDING] == 2:
                for i in range(np.uint64(n)):
                    scratch[np.uint64(GROUP) + i] = _through_float16(scratch[np.uint64(GROUP) + i])

    return line


@cache
def pack_function(dtype: Any) -> Any:
    """`pack(numbers, parameters, s, n, rows, row, count, start, stop, out, out_at, panel_step, scratch)`.

    Rows [row, row + count), columns [start, stop) of source s, a matrix of n columns, to panels: the first element
    goes to out[out_at], panels lie panel_step apart. `start` is a multiple of the panel width; the columns that are
    missing in the last panel become 0.
    """
    width = np.uint64(panel_width(dtype))
    line = line_function(dtype)
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
        panel_step: Any,
        scratch: Any,
    ) -> None:
        columns = stop - start
        # Whole rows follow each other without a gap: as many as the line holds go in one run.
        together = max(1, LINE // columns) if columns == n else 1
        r = 0
        while r < count:
            here = min(together, count - r)
            line(numbers, parameters, s, (row + r) * n + start, here * columns, scratch)
            for i in range(here):
                copy(
                    scratch,
                    np.uint64(GROUP + i * columns),
                    np.uint64(columns),
                    out,
                    np.uint64(out_at + (r + i) * np.int64(width)),
                    np.uint64(panel_step),
                )
            r += here

    return pack


@cache
def pack_transposed_function(dtype: Any) -> Any:
    """`pack(numbers, parameters, s, n, row, count, start, stop, out, out_at, scratch)`: the transpose of a block.

    Rows [row, row + count), count at most the panel width, columns [start, stop) of source s become columns and rows
    of one panel, whose first element is out[out_at]; columns beyond `count` become 0.
    """
    width = np.uint64(panel_width(dtype))
    line = line_function(dtype)
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
            line(numbers, parameters, s, (row + r) * n + start, here * columns, scratch)
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
