"""Fill any range of a tensor, contiguous or strided, from the counters.

Elements come in groups made of 16 consecutive Philox blocks, one a lane, so that a group is one short loop over
lanes that LLVM turns into vector code and whose stores are contiguous: 64 float32 values (word-major: element
16 w + lane is word w of block `lane`), or 32 float64 values. A group is computed whole, straight into `out` where it
is wanted whole, else into a scratch group from which the wanted part is copied.

The region to fill arrives as `geometry`, an int64 array (see `fastinit.regions.Geometry`):
(elements, run length, out stride in a run, first flat index, first out offset, then a triple
(length, flat-index stride, out stride) for each outer dimension, the slowest first).
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import laws
from .intrinsics import pointer_to, stack_array, use_widest_vectors
from .jit import Tiled, inline
from .philox import philox
from .rounding import bfloat16_bits, float16_bits, identity

# Lanes of a group, and its multiples.
_ONE, _TWO, _THREE, _GROUP = np.uint64(16), np.uint64(32), np.uint64(48), np.uint64(64)

# Groups computed together.
BATCH = 4
_BATCH_WORDS = 64 * BATCH
TILE = 1 << 14

_LAWS = {
    "uniform": (laws.uniform_f32, laws.uniform_f64),
    "normal": (laws.normal_f32, laws.normal_f64),
    "truncated_normal": (laws.truncated_f32, laws.truncated_f64),
}

# dtype name -> (type the kernel stores, how a computed value becomes it)
_STORES = {
    "float32": (np.float32, identity),
    "float64": (np.float64, identity),
    "bfloat16": (np.uint16, bfloat16_bits),
    "float16": (np.uint16, float16_bits),
}


def stored_type(dtype: str) -> Any:
    """The NumPy type through which the kernels see an array of that dtype."""
    return _STORES[dtype][0]


def compute_type(dtype: str) -> Any:
    """The type the law's parameters and arithmetic have."""
    return np.float64 if dtype == "float64" else np.float32


@inline
def _draw_words(words: Any, g: Any, count: Any, key: Any) -> None:
    """The words of `count` groups from g on, 64 a group, word-major."""
    use_widest_vectors()
    for k in range(count):
        block = (g + k) * np.uint64(16)
        low = np.uint32(block)
        high = np.uint32(block >> np.uint64(32))
        base = k * _GROUP
        for lane in range(_ONE):
            w0, w1, w2, w3 = philox(np.uint32(low + np.uint32(lane)), high, key[2], key[3], key[0], key[1])
            words[base + lane] = w0
            words[base + lane + _ONE] = w1
            words[base + lane + _TWO] = w2
            words[base + lane + _THREE] = w3


@cache
def group_function(law: str, dtype: str) -> tuple[Callable[..., None], int]:
    """`groups(out, g, count, key, p)`: groups g … g + count - 1 of a tensor to the pointer `out`; and a group's size.

    g and count <= BATCH are uint64; key a tuple of four uint32 (key low, key high, stream low, stream high); p the
    law's parameters.
    """
    law_f32, law_f64 = _LAWS[law]
    store = _STORES[dtype][1]

    # All words of a batch first, then the values. In one loop the 64-bit products would set the width of the float
    # arithmetic too, and one group after the other the CPU would wait for each word's way through memory.

    @inline
    def groups32(out: Any, g: Any, count: Any, key: Any, p: Any) -> None:
        use_widest_vectors()
        w = stack_array(_BATCH_WORDS, np.uint32)
        _draw_words(w, g, count, key)
        for k in range(count):
            base = k * _GROUP
            for lane in range(_ONE):
                i = base + lane
                a, b, c, d = law_f32(w[i], w[i + _ONE], w[i + _TWO], w[i + _THREE], p)
                out[i] = store(a)
                out[i + _ONE] = store(b)
                out[i + _TWO] = store(c)
                out[i + _THREE] = store(d)

    @inline
    def groups64(out: Any, g: Any, count: Any, key: Any, p: Any) -> None:
        use_widest_vectors()
        w = stack_array(_BATCH_WORDS, np.uint32)
        _draw_words(w, g, count, key)
        for k in range(count):
            for lane in range(_ONE):
                i = k * _GROUP + lane
                a, b = law_f64(w[i], w[i + _ONE], w[i + _TWO], w[i + _THREE], p)
                j = k * _TWO + lane
                out[j] = store(a)
                out[j + _ONE] = store(b)

    return (groups64, 32) if dtype == "float64" else (groups32, 64)


@inline
def load_key(key: Any) -> Any:
    """The key array (uint32[4]) as a tuple of registers, out of reach of the stores that follow."""
    return key[0], key[1], key[2], key[3]


@inline
def load_parameters(p: Any) -> Any:
    """The parameter array as a tuple of registers."""
    return p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]


@cache
def run_function(law: str, dtype: str) -> Callable[..., None]:
    """`run(out, offset, stride, i, n, key, p)`: elements [i, i + n) of a tensor to out[offset::stride]."""
    groups, size = group_function(law, dtype)
    elements = np.int64(size)
    stored = stored_type(dtype)

    @inline
    def run(out: Any, offset: Any, stride: Any, i: Any, n: Any, key: Any, p: Any) -> None:
        scratch = stack_array(size, stored)
        end = i + n
        while i < end:
            g = i // elements
            skip = i - g * elements
            whole = min((end - i) // elements, np.int64(BATCH)) if stride == 1 and skip == 0 else np.int64(0)
            groups(pointer_to(out, offset) if whole else scratch, np.uint64(g), np.uint64(max(whole, 1)), key, p)
            count = whole * elements
            if not whole:
                count = min(elements - skip, end - i)
                for k in range(count):
                    out[offset + k * stride] = scratch[skip + k]
            i += count
            offset += count * stride

    return run


@cache
def fill_kernel(law: str, dtype: str) -> Tiled:
    """The kernel `(out, geometry, key, parameters)` of a law and dtype; `out` is a flat view of the memory."""
    run = run_function(law, dtype)

    @inline
    def tile(t: Any, out: Any, geometry: Any, key: Any, parameters: Any) -> None:
        key_words = load_key(key)
        p = load_parameters(parameters)
        run_length = geometry[1]
        position = t * TILE
        end = min(position + TILE, geometry[0])
        while position < end:
            index = position // run_length
            inside = position - index * run_length
            n = min(run_length - inside, end - position)
            i = geometry[3] + inside
            offset = geometry[4] + inside * geometry[2]
            for d in range(len(geometry) - 3, 4, -3):
                rest = index // geometry[d]
                digit = index - rest * geometry[d]
                i += digit * geometry[d + 1]
                offset += digit * geometry[d + 2]
                index = rest
            run(out, offset, geometry[2], i, n, key_words, p)
            position += n

    return Tiled(f"fill-{law}-{dtype}", tile)


def fill(law: str, dtype: str, out: Any, geometry: Any, key: Any, parameters: Any) -> None:
    """Write the region `geometry` of the tensor (key, law, parameters) to `out`, a flat array of the stored type."""
    elements, run = int(geometry[0]), int(geometry[1])
    if elements:
        steps = elements // run * -(-run // 64) * 64  # a run, however short, costs whole groups
        fill_kernel(law, dtype)(-(-elements // TILE), steps, out, geometry, key, parameters)
