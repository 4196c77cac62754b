"""A run of consecutive elements of a matrix, drawn, read or set: compiled once, called by its address.

Drawing is by far the largest piece of code of the probe. Inlined into the kernel of every activation it would be most
of the time each of them takes to compile; a call for every couple of thousand elements costs nothing.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import carray, types

from .fill import BATCH, group_function
from .intrinsics import (
    Codegen,
    bits_of_float32,
    call_at,
    float32_of_bits,
    intrinsic,
    pointer_to,
    select,
    use_widest_vectors,
)
from .jit import address, inline, kernel
from .laws import PARAMETERS
from .rounding import bfloat16_bits, float16_bits

ARRAY, CONSTANT, NORMAL, UNIFORM, TRUNCATED = range(5)

# Columns of a source's row of numbers: what it is, how it is rounded, the four words of its key, its address.
KIND, ROUNDING, KEY, ADDRESS = 0, 1, 2, 6
NUMBERS = 7

# Elements of a line: a few groups of 64, so that little is drawn twice and all of it stays in L1.
LINE = 2048
GROUP = 64


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
    bits = np.uint32(magnitude << np.uint32(13))
    # The exponent is 112 too small. A subnormal half may not become a subnormal float32 on the way: here that is 0.
    size = float32_of_bits(np.uint32(bits + np.uint32(112 << 23)))
    small = float32_of_bits(np.uint32(bits + np.uint32(113 << 23))) - np.float32(2.0**-14)
    size = select(magnitude < np.uint32(0x400), small, size)
    size = select(magnitude >= np.uint32(0x7C00), np.float32(np.inf), size)
    sign = np.uint32(np.uint32(half & np.uint32(0x8000)) << np.uint32(16))
    return float32_of_bits(np.uint32(bits_of_float32(size) | sign))


@cache
def _line(dtype: Any) -> Any:
    """`line(numbers, parameters, s, first, n, line)`: elements [first, first + n) of source s to line[GROUP:].

    Whole groups are drawn, so up to a group before and after it in `line` is overwritten.
    """
    name = np.dtype(dtype).name
    normal, uniform, truncated = (group_function(law, name)[0] for law in ("normal", "uniform", "truncated_normal"))
    elements = np.int64(group_function("normal", name)[1])
    real = np.float32 if name == "float32" else np.float64
    single = name == "float32"

    @kernel(f"line-{name}")
    def line(number_table: Any, parameter_table: Any, s: Any, first: Any, n: Any, line: Any) -> int:
        use_widest_vectors()
        numbers = carray(number_table, (s + 1, NUMBERS))
        parameters = carray(parameter_table, (s + 1, PARAMETERS))
        scratch = carray(line, n + 2 * GROUP)
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
        return 0

    return line


@cache
def line_address(dtype: Any) -> int:
    """Return the address of the compiled line function of a type, as C sees it."""
    real = types.float32 if np.dtype(dtype).itemsize == 4 else types.float64
    integers, reals, word = types.CPointer(types.int64), types.CPointer(real), types.int64
    return address(_line(dtype), integers, reals, word, word, word, reals)


@inline
def draw_line(line: Any, numbers: Any, parameters: Any, s: Any, first: Any, n: Any, scratch: Any) -> None:
    """Call the line function at the address `line`; numbers, parameters and scratch are contiguous arrays."""
    tables = pointer_to(numbers, 0), pointer_to(parameters, 0)
    call_at(line, (*tables, np.int64(s), np.int64(first), np.int64(n), pointer_to(scratch, 0)))
