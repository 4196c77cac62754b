"""Fill any range of a tensor, contiguous or strided, from the counters.

A group of elements (see `draw`) is computed whole, straight into `out` where it is wanted whole, else into a scratch
group from which the wanted part is copied.

The region to fill arrives as `geometry`, an int64 array (see `fastinit.weights.regions.geometry`):
(elements, run length, out stride in a run, first flat index, first out offset, then a triple
(length, flat-index stride, out stride) for each outer dimension, the slowest first).
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..machine.ahead import family
from ..machine.jit import Kernel, inline, kernel, place_of
from ..machine.modes import use_widest_vectors
from ..machine.pointers import moved, pointers, stack_array
from ..machine.records import Table
from ..machine.threads import run_tiles
from ..numeric.integers import ceil_div
from .batches import BATCH
from .draw import LAWS, STORES, group_function, group_size, is_drawn, load_key, parameters_function, stored_type

TILE = 1 << 14

_FILL = Table(("out", "geometry", "length", "key", "parameters"))
_fill_at, _words_at = _FILL.at, pointers(np.int64)


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
            groups(moved(out, offset) if whole else scratch, np.uint64(g), np.uint64(max(whole, 1)), key, p)
            count = whole * elements
            if not whole:
                count = min(elements - skip, end - i)
                for k in range(count):
                    out[offset + k * stride] = scratch[skip + k]
            i += count
            offset += count * stride

    return run


@cache
def walk_function(run: Callable[..., None]) -> Callable[..., None]:
    """`walk(t, geometry, length, out, first, second)`: tile t of a region run by run.

    Each is a call of `run(out, offset, stride, i, n, first, second)`: n elements from flat index i on to
    out[offset::stride].
    """

    @inline
    def walk(t: Any, geometry: Any, length: Any, out: Any, first: Any, second: Any) -> None:
        run_length, outer = geometry[1], length - 3
        position = t * TILE
        end = min(position + TILE, geometry[0])
        while position < end:
            index = position // run_length
            inside = position - index * run_length
            n = min(run_length - inside, end - position)
            i = geometry[3] + inside
            offset = geometry[4] + inside * geometry[2]
            for d in range(outer, 4, -3):
                rest = index // geometry[d]
                digit = index - rest * geometry[d]
                i += digit * geometry[d + 1]
                offset += digit * geometry[d + 2]
                index = rest
            run(out, offset, geometry[2], i, n, first, second)
            position += n

    return walk


@family(LAWS, STORES, only=is_drawn)
def fill_kernel(law: str, dtype: str) -> Kernel:
    """The kernel of a law and dtype: tile t of the region that a `_FILL` record describes."""
    walk, load_parameters = walk_function(run_function(law, dtype)), parameters_function(law, dtype)
    out_at = pointers(stored_type(dtype))

    @kernel(f"fill-{law}-{dtype}", cost=1.0)
    def tile(t: Any, launch_address: Any) -> int:
        use_widest_vectors()
        launch = _fill_at(launch_address, np.int64(0))
        out, geometry = out_at(launch.out, np.int64(0)), _words_at(launch.geometry, np.int64(0))
        walk(t, geometry, launch.length, out, load_key(launch.key), load_parameters(launch.parameters))
        return 0

    return tile


def fill(law: str, dtype: str, out: Any, geometry: Any, key: Any, parameters: Any) -> None:
    """Write the region `geometry` of the tensor (key, law, parameters) to `out`, a flat array of the stored type."""
    elements, run = int(geometry[0]), int(geometry[1])
    if elements:
        steps = elements // run * ceil_div(run, 64) * 64  # a run, however short, costs whole groups
        out_at, geometry_at, key_at, parameters_at = map(place_of, (out, geometry, key, parameters))
        launch = np.array((out_at, geometry_at, len(geometry), key_at, parameters_at), np.int64)  # a `_FILL` record
        run_tiles(fill_kernel(law, dtype), place_of(launch), ceil_div(elements, TILE), steps)
