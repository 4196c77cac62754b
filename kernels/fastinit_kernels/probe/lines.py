"""A run of consecutive elements of a matrix, drawn, read or set: a kernel for each law, called by its address.

Drawing is the largest piece of code of the probe, and a call for every couple of thousand elements costs nothing.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..fill.batches import BATCH
from ..fill.draw import LAWS, PLANES, group_function, group_size, parameters_function
from ..machine.ahead import family
from ..machine.intrinsics import bits_of_float32, float32_of_bits, select
from ..machine.jit import Kernel, inline, kernel
from ..machine.modes import use_widest_vectors
from ..machine.pointers import address_of, call_at, moved, pointers
from ..numeric.rounding import bfloat16_bits, float16_bits
from ..numeric.transcendental import FUNCTIONS
from .records import PARAMETERS_AT, SOURCE

# What is no law: elements that are read, or all the same.
ARRAY, CONSTANT = "array", "constant"
assert LAWS.keys().isdisjoint({ARRAY, CONSTANT}), f"a law may not be called {ARRAY} or {CONSTANT}"

ROUNDINGS = {None: 0, "bfloat16": 1, "float16": 2}

# Elements of a line: a few groups of 64, so that little is drawn twice and all of it stays in L1.
LINE = 2048
GROUP = 64
# A task's scratch line: as long as the longest run, and a group at either end.
SCRATCH = LINE + 2 * GROUP

_source_at, _first_parameter, _offset = SOURCE.at, pointers(np.float64), np.int64(PARAMETERS_AT)


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
    at = pointers(np.dtype(dtype))

    @inline
    def read(source: Any, first: Any, n: Any, line: Any) -> None:
        elements = at(source.address, first)
        for i in range(np.uint64(n)):
            line[np.uint64(GROUP) + i] = elements[i]

    return read


def _fill(dtype: str) -> Callable[..., None]:
    real = np.float32 if dtype == "float32" else np.float64

    @inline
    def fill(source: Any, first: Any, n: Any, line: Any) -> None:
        value = real(_first_parameter(address_of(source) + _offset, np.int64(0))[0])
        for i in range(np.uint64(n)):
            line[np.uint64(GROUP) + i] = value

    return fill


def _draw(law: str, dtype: str) -> Callable[..., None]:
    groups, load, elements = group_function(law, dtype), parameters_function(law, dtype), np.int64(group_size(dtype))

    @inline
    def draw(source: Any, first: Any, n: Any, line: Any) -> None:
        p = load(address_of(source) + _offset)
        key = np.uint32(source.key0), np.uint32(source.key1), np.uint32(source.key2), np.uint32(source.key3)
        g = first // elements
        last = (first + n + elements - 1) // elements
        to = GROUP - (first - g * elements)
        while g < last:
            count = min(BATCH, last - g)
            groups(moved(line, to), np.uint64(g), np.uint64(count), key, p)
            g += count
            to += count * elements

    return draw


@family([*(law for law in LAWS if law not in PLANES), ARRAY, CONSTANT], FUNCTIONS)
def line_kernel(source: str, dtype: str) -> Kernel:
    """`line(source, first, n, line)`: elements [first, first + n) of a law, ARRAY or CONSTANT to line[GROUP:].

    Whole groups are drawn, so up to a group before and after it in `line` is overwritten.
    """
    produce = _draw(source, dtype) if source in LAWS else {ARRAY: _read, CONSTANT: _fill}[source](dtype)
    single, real_at = dtype == "float32", pointers(np.dtype(dtype))

    @kernel(f"line-{source}-{dtype}", cost=0.8 if source in LAWS else 0.2)
    def line(source_address: Any, first: Any, n: Any, line_address: Any) -> int:
        use_widest_vectors()
        source = _source_at(source_address, np.int64(0))
        scratch = real_at(line_address, np.int64(0))
        produce(source, first, n, scratch)
        if single:
            if source.rounding == 1:
                for i in range(np.uint64(n)):
                    scratch[np.uint64(GROUP) + i] = _through_bfloat16(scratch[np.uint64(GROUP) + i])
            elif source.rounding == 2:
                for i in range(np.uint64(n)):
                    scratch[np.uint64(GROUP) + i] = _through_float16(scratch[np.uint64(GROUP) + i])
        return 0

    return line


@inline
def draw_line(source: Any, first: Any, n: Any, scratch: Any) -> None:
    """Call the line function of a source; scratch is a pointer."""
    call_at(source.function, (address_of(source), np.int64(first), np.int64(n), address_of(scratch)))
