"""A run of consecutive elements of a matrix, drawn, read or set: a function for each law, called by its address.

Drawing is by far the largest piece of code of the probe. Inlined into the kernel of every activation it would be most
of the time each of them takes to compile; a call for every couple of thousand elements costs nothing.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import carray, types

from .batches import BATCH
from .draw import LAWS, PARAMETERS, group_function, group_size, parameters_function
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
from .rounding import bfloat16_bits, float16_bits

# What is no law: elements that are read, or all the same.
ARRAY, CONSTANT = "array", "constant"

# Columns of a source's row of numbers: its line function, how it is rounded, the four words of its key, where it is.
FUNCTION, ROUNDING, KEY, ADDRESS = 0, 1, 2, 6
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


def _read(dtype: str) -> Callable[..., None]:
    zero = np.dtype(dtype).type(0)

    @inline
    def read(numbers: Any, parameters: Any, first: Any, n: Any, line: Any) -> None:
        address = numbers[ADDRESS]
        for i in range(np.uint64(n)):
            line[np.uint64(GROUP) + i] = _element_at(address, np.int64(first + np.int64(i)), zero)

    return read


def _fill(dtype: str) -> Callable[..., None]:
    real = np.float32 if dtype == "float32" else np.float64

    @inline
    def fill(numbers: Any, parameters: Any, first: Any, n: Any, line: Any) -> None:
        value = real(parameters[0])
        for i in range(np.uint64(n)):
            line[np.uint64(GROUP) + i] = value

    return fill


def _draw(law: str, dtype: str) -> Callable[..., None]:
    groups, load, elements = group_function(law, dtype), parameters_function(law, dtype), np.int64(group_size(dtype))

    @inline
    def draw(numbers: Any, parameters: Any, first: Any, n: Any, line: Any) -> None:
        p = load(parameters)
        key = (
            np.uint32(numbers[KEY]),
            np.uint32(numbers[KEY + 1]),
            np.uint32(numbers[KEY + 2]),
            np.uint32(numbers[KEY + 3]),
        )
        g = first // elements
        last = (first + n + elements - 1) // elements
        to = GROUP - (first - g * elements)
        while g < last:
            count = min(BATCH, last - g)
            groups(pointer_to(line, to), np.uint64(g), np.uint64(count), key, p)
            g += count
            to += count * elements

    return draw


@cache
def _line(source: str, dtype: str) -> Any:
    """`line(numbers, parameters, s, first, n, line)`: elements [first, first + n) of source s to line[GROUP:].

    Whole groups are drawn, so up to a group before and after it in `line` is overwritten.
    """
    produce = _draw(source, dtype) if source in LAWS else {ARRAY: _read, CONSTANT: _fill}[source](dtype)
    single = dtype == "float32"

    @kernel(f"line-{source}-{dtype}")
    def line(number_table: Any, parameter_table: Any, s: Any, first: Any, n: Any, line: Any) -> int:
        use_widest_vectors()
        numbers = carray(number_table, (s + 1, NUMBERS))[s]
        parameters = carray(parameter_table, (s + 1, PARAMETERS))[s]
        scratch = carray(line, n + 2 * GROUP)
        produce(numbers, parameters, first, n, scratch)
        if single:
            if numbers[ROUNDING] == 1:
                for i in range(np.uint64(n)):
                    scratch[np.uint64(GROUP) + i] = _through_bfloat16(scratch[np.uint64(GROUP) + i])
            elif numbers[ROUNDING] == 2:
                for i in range(np.uint64(n)):
                    scratch[np.uint64(GROUP) + i] = _through_float16(scratch[np.uint64(GROUP) + i])
        return 0

    return line


@cache
def line_address(source: str, dtype: str) -> int:
    """Return the address of the compiled line function of a law, ARRAY or CONSTANT, as C sees it."""
    real = types.float64 if dtype == "float64" else types.float32
    integers, doubles, word = types.CPointer(types.int64), types.CPointer(types.float64), types.int64
    return address(_line(source, dtype), integers, doubles, word, word, word, types.CPointer(real))


@inline
def draw_line(numbers: Any, parameters: Any, s: Any, first: Any, n: Any, scratch: Any) -> None:
    """Call the line function of source s; numbers, parameters and scratch are contiguous arrays."""
    tables = pointer_to(numbers, 0), pointer_to(parameters, 0)
    call_at(numbers[s, FUNCTION], (*tables, np.int64(s), np.int64(first), np.int64(n), pointer_to(scratch, 0)))
