"""Fill any range of a tensor, contiguous or strided, from the counters.

A group of elements (see `draw`) is computed whole, straight into `out` where it is wanted whole, else into a scratch
group from which the wanted part is copied.

The region to fill arrives as `geometry`, an int64 array (see `fastinit.regions.geometry`):
(elements, run length, out stride in a run, first flat index, first out offset, then a triple
(length, flat-index stride, out stride) for each outer dimension, the slowest first).
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .batches import BATCH
from .draw import group_function, group_size, load_key, parameters_function, stored_type
from .intrinsics import pointer_to, stack_array
from .jit import Tiled, inline

TILE = 1 << 14


@cache
def run_function(law: str, dtype: str) -> Callable[..., None]:
    """`run(out, offset, stride, i, n, key, p)`: elements [i, i + n) of a tensor to out[offset::stride]."""
    groups, size, stored = group_function(law, dtype), group_size(dtype), stored_type(dtype)
    elements = np.int64(size)

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
    run, load_parameters = run_function(law, dtype), parameters_function(law, dtype)

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
