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
from .jit import Tiled, inline
from .philox import philox
from .rounding import bfloat16_bits, float16_bits, identity

LANES = np.uint32(16)
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


@cache
def group_function(law: str, dtype: str) -> tuple[Callable[..., None], int]:
    """`group(out, offset, g, key, p)`, which writes group g of a tensor to out[offset:], and the group's size.

    g is uint64; key a tuple of four uint32 (key low, key high, stream low, stream high); p the law's parameters.
    """
    law_f32, law_f64 = _LAWS[law]
    store = _STORES[dtype][1]

    @inline
    def group32(out: Any, offset: Any, g: Any, key: Any, p: Any) -> None:
        block = g * np.uint64(16)
        low = np.uint32(block)
        high = np.uint32(block >> np.uint64(32))
        for lane in range(LANES):
            w0, w1, w2, w3 = philox(np.uint32(low + lane), high, key[2], key[3], key[0], key[1])
            a, b, c, d = law_f32(w0, w1, w2, w3, p)
            i = offset + np.uint64(lane)
            out[i] = store(a)
            out[i + np.uint64(16)] = store(b)
            out[i + np.uint64(32)] = store(c)
            out[i + np.uint64(48)] = store(d)

    @inline
    def group64(out: Any, offset: Any, g: Any, key: Any, p: Any) -> None:
        block = g * np.uint64(16)
        low = np.uint32(block)
        high = np.uint32(block >> np.uint64(32))
        for lane in range(LANES):
            w0, w1, w2, w3 = philox(np.uint32(low + lane), high, key[2], key[3], key[0], key[1])
            a, b = law_f64(w0, w1, w2, w3, p)
            i = offset + np.uint64(lane)
            out[i] = store(a)
            out[i + np.uint64(16)] = store(b)

    return (group64, 32) if dtype == "float64" else (group32, 64)


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
    """`run(out, offset, stride, i, n, scratch, key, p)`: elements [i, i + n) of a tensor to out[offset::stride]."""
    group, size = group_function(law, dtype)
    elements = np.int64(size)

    @inline
    def run(out: Any, offset: Any, stride: Any, i: Any, n: Any, scratch: Any, key: Any, p: Any) -> None:
        end = i + n
        while i < end:
            g = i // elements
            skip = i - g * elements
            count = min(elements - skip, end - i)
            if stride == 1 and count == elements:
                whole = (end - i) // elements
                for k in range(np.uint64(whole)):
                    group(out, np.uint64(offset) + k * np.uint64(elements), np.uint64(g) + k, key, p)
                count = whole * elements
            else:
                group(scratch, np.uint64(0), np.uint64(g), key, p)
                for k in range(count):
                    out[offset + k * stride] = scratch[skip + k]
            i += count
            offset += count * stride

    return run


@cache
def fill_kernel(law: str, dtype: str) -> Tiled:
    """The kernel `(out, geometry, key, parameters)` of a law and dtype; `out` is a flat view of the memory."""
    run = run_function(law, dtype)
    scratch_size = group_function(law, dtype)[1]
    stored = stored_type(dtype)

    @inline
    def tile(t: Any, out: Any, geometry: Any, key: Any, parameters: Any) -> None:
        key_words = load_key(key)
        p = load_parameters(parameters)
        scratch = np.empty(scratch_size, stored)
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
            run(out, offset, geometry[2], i, n, scratch, key_words, p)
            position += n

    return Tiled(f"fill-{law}-{dtype}", tile)


def fill(law: str, dtype: str, out: Any, geometry: Any, key: Any, parameters: Any) -> None:
    """Write the region `geometry` of the tensor (key, law, parameters) to `out`, a flat array of the stored type."""
    elements = int(geometry[0])
    if elements:
        fill_kernel(law, dtype)(-(-elements // TILE), elements, out, geometry, key, parameters)
