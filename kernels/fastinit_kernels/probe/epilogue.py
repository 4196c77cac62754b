"""What happens to a tile of pre-activations while it is in L1: the activation, the skip, every figure."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..machine.intrinsics import fma
from ..machine.jit import inline
from ..machine.lanes import lanes_of, panel_width
from ..machine.pointers import address_of, call_at, pointers, stack_array
from . import columns
from .gemm import CHUNK
from .histogram import histogram_function
from .tasks import ceiling


class Tile(NamedTuple):
    """Rows of a chunk, and columns of a layer from `column` on, of one panel."""

    chunk: Any
    rows: Any
    column: Any
    columns: Any


@cache
def epilogue_function(dtype: Any) -> Any:
    """`epilogue(layer, launch, tile, z)`: a tile of z activated, measured and stored as a."""
    width, lanes = np.int64(panel_width(dtype)), lanes_of(dtype)
    real, real_at = np.dtype(dtype).type, pointers(dtype)
    nan = real(np.nan)
    measure, count = columns.layer_statistics(dtype), histogram_function(dtype)
    figures = np.int64(len(columns.OF_LAYER))
    elements = CHUNK * panel_width(dtype)

    @inline
    def epilogue(layer: Any, launch: Any, tile: Any, z: Any) -> None:
        even = tile.rows + (tile.rows & 1)
        if even > tile.rows:
            for j in range(np.uint64(width)):
                z[np.uint64(tile.rows * width) + j] = nan
        panel = tile.column // width
        here = panel * launch.padded_rows * width + tile.chunk * CHUNK * width
        n = np.uint64(even * width)
        a = real_at(launch.memory, layer.output + here)
        s, branch = stack_array(elements, real), stack_array(elements, real)
        f = branch if layer.skip else a
        call_at(layer.activation, (address_of(z), address_of(f), address_of(s), np.int64(n), layer.parameter))
        scale = real(layer.branch)
        if layer.skip:
            x = real_at(launch.memory, layer.signal + here)
            for i in range(n):
                a[i] = fma(scale, branch[i], x[i])
        if layer.slopes >= 0:
            slopes = real_at(launch.memory, layer.slopes + here)
            for i in range(n):
                slopes[i] = scale * s[i]
        registers = 2 if tile.columns > lanes else 1
        place = (tile.chunk * ceiling(layer.n_out, width) + panel) * figures * width
        least, most = real(layer.least), real(layer.most)
        measure(z, a, f, s, even, registers, least, most, real_at(launch.partial, place))
        # Threads that count at the same time count in different copies.
        copy = (tile.chunk + panel) % launch.copies * launch.counters
        count(a, tile.rows, tile.columns, layer, launch, launch.histogram + 8 * (layer.histogram + copy))

    return epilogue
