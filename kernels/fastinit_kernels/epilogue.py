"""What happens to a tile of pre-activations while it is in L1: the activation, the skip, every figure."""

from functools import cache
from typing import Any

import numpy as np

from . import moments
from .gemm import CHUNK
from .histogram import histogram_function
from .intrinsics import call_at, fma, pointer_to, stack_array
from .jit import inline
from .lanes import lanes_of, panel_width
from .layout import (
    A_IN,
    A_OUT,
    ACTIVATION_ADDRESS,
    BINS,
    BINS_A_UNIT,
    BRANCH,
    COPIES,
    FIRST_BIN,
    FROM,
    HIGH,
    HISTOGRAM,
    LOW,
    N_OUT,
    PADDED_ROWS,
    PARAMETER,
    PIVOT,
    SKIP,
    SLOPES,
    TO,
)


@cache
def epilogue_function(dtype: Any) -> Any:
    """`epilogue(…, chunk, column, rows, columns, z, …)`: a tile of z activated, measured and stored as a."""
    width, lanes = np.int64(panel_width(dtype)), lanes_of(dtype)
    real = np.dtype(dtype).type
    nan = real(np.nan)
    measure, count = moments.layer_statistics(dtype), histogram_function(dtype)
    figures = np.int64(moments.LAYER_ROWS)
    elements = CHUNK * panel_width(dtype)

    @inline
    def epilogue(
        layers: Any,
        index: Any,
        reals: Any,
        sizes: Any,
        chunk: Any,
        column: Any,
        rows: Any,
        columns: Any,
        z: Any,
        memory: Any,
        partial: Any,
        histogram: Any,
    ) -> None:
        even = rows + (rows & 1)
        if even > rows:
            for j in range(np.uint64(width)):
                z[np.uint64(rows * width) + j] = nan
        here = column // width * sizes[PADDED_ROWS] * width + chunk * CHUNK * width
        a_at, tile = layers[index, A_OUT] + here, np.uint64(even * width)
        f, s = pointer_to(memory, a_at), stack_array(elements, real)
        branch = stack_array(elements, real)
        if layers[index, SKIP]:
            f = branch
        call_at(sizes[ACTIVATION_ADDRESS], (z, f, s, tile, reals[index, PARAMETER]))
        scale = reals[index, BRANCH]
        if layers[index, SKIP]:
            x, to = np.uint64(layers[index, A_IN] + here), np.uint64(a_at)
            for i in range(tile):
                memory[to + i] = fma(scale, branch[i], memory[x + i])
        if layers[index, SLOPES] >= 0:
            to = np.uint64(layers[index, SLOPES] + here)
            for i in range(tile):
                memory[to + i] = scale * s[i]
        registers = 2 if columns > lanes else 1
        place = (chunk * ((layers[index, N_OUT] + width - 1) // width) + column // width) * figures * width
        measure(z, memory, a_at, f, s, even, registers, reals[index, LOW], reals[index, HIGH], partial, place)
        # Threads that count at the same time count in different copies.
        copy = (chunk + column // width) % sizes[COPIES] * (len(histogram) // sizes[COPIES])
        count(
            memory,
            a_at,
            rows,
            columns,
            reals[index, FROM],
            reals[index, TO],
            reals[index, PIVOT],
            reals[index, FIRST_BIN],
            reals[index, BINS_A_UNIT],
            sizes[BINS],
            histogram,
            layers[index, HISTOGRAM] + copy,
        )

    return epilogue
