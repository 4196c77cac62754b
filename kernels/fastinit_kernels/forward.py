"""The deep forward probe: draw, multiply, activate and measure, layer after layer, in one launch.

    z_l = h_l W_l + b_l,    a_l = phi(z_l)    or    a_l = x_l + s phi(z_l),    x_{l+1} = a_l

where h_l is x_l or its normalised rows, and of images their patches. Two groups of tasks a layer. First W_l's
columns, as many as a fixed budget of memory holds, are drawn from the counters into panels, while the statistics of
layer l - 1 are merged. Then each chunk of rows meets each panel: the product is formed in registers, the activation
applied and every figure taken while the tile is in L1.
"""

from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from . import merging, moments, schedule
from .epilogue import epilogue_function
from .gemm import CHUNK
from .images import operand_function, pack_images_function, product_function, taps_of
from .intrinsics import fma, stack_array
from .jit import Tiled, inline
from .lanes import panel_width
from .layout import (
    A_IN,
    BIAS_SOURCE,
    BIASES,
    FIRST_PASS,
    FIRST_ROW,
    FRESH,
    INVERSES,
    LAYER_NORM,
    LIKE,
    N_IN,
    N_OUT,
    NORMALIZE,
    OPERAND,
    PADDED_ROWS,
    PANELS,
    RECORD,
    ROWS,
    SCRATCH,
    UNIT,
    WEIGHT,
    WEIGHT_PARTIAL,
    WEIGHTS,
    Layout,
)
from .normalize import normalize_function
from .plan import Plan
from .schedule import Program, enter, leave
from .sources import BLOCK_COLUMNS, blocks

INPUT, DRAW, BIAS, NORMALIZE_ROWS, MULTIPLY, MERGE, MERGE_WEIGHTS = range(7)

INPUT_SOURCE = np.int64(0)


@inline
def odd(rows: Any) -> Any:
    """Rows of a panel of weights: an odd number, or the panels' like rows would meet in one set of the cache."""
    return rows | 1


@cache
def block_function(dtype: Any) -> Any:
    """`block(t, kind, …)`: task t of the kinds INPUT, DRAW and BIAS: a block of a matrix into its panels.

    Of drawn weights the statistics are taken on the way; rows of the input are mixed with the ones before them.
    """
    width = np.int64(panel_width(dtype))
    real = np.dtype(dtype).type
    pack, statistics = pack_images_function(dtype), moments.value_statistics(dtype, marked=True)
    most = np.int64(BLOCK_COLUMNS)
    figures = np.int64(moments.MARKED_ROWS)

    @inline
    def block(
        t: Any,
        kind: Any,
        layers: Any,
        reals: Any,
        index: Any,
        start: Any,
        stop: Any,
        sizes: Any,
        numbers: Any,
        parameters: Any,
        memory: Any,
        partial: Any,
    ) -> None:
        n_in, n_out = layers[index, N_IN], layers[index, N_OUT]
        shift = np.int64(0)
        if kind == INPUT:
            source, n, all_rows, shift = INPUT_SOURCE, n_in, sizes[ROWS], sizes[FIRST_ROW]
            to, panel_step = layers[index, A_IN], sizes[PADDED_ROWS] * width
        elif kind == DRAW:
            source, n, all_rows = layers[index, WEIGHT], n_out, taps_of(sizes) * n_in
            to, panel_step = sizes[WEIGHTS], odd(all_rows) * width
        else:
            source, n, all_rows = layers[index, BIAS_SOURCE], n_out, np.int64(1)
            to, panel_step = sizes[BIASES], width
        across = (stop - start + most - 1) // most
        down = t // across
        left = start + (t - down * across) * most
        right = min(stop, left + most)
        row = down * CHUNK
        rows = min(CHUNK, all_rows - row)
        scratch = np.empty(SCRATCH, real)
        to += (left - start) // width * panel_step + row * width
        images = kind == INPUT
        pack(
            sizes,
            images,
            numbers,
            parameters,
            source,
            n,
            shift + row,
            rows,
            left,
            right,
            memory,
            to,
            panel_step,
            scratch,
        )
        panels = (right - left + width - 1) // width
        if kind == INPUT and reals[0, LIKE] != real(0):
            like, fresh = reals[0, LIKE], reals[0, FRESH]
            for panel in range(panels):
                for pair in range(rows // 2):
                    first = np.uint64(to + panel * panel_step + 2 * pair * width)
                    second = first + np.uint64(width)
                    for j in range(np.uint64(width)):
                        memory[second + j] = fma(like, memory[first + j], fresh * memory[second + j])
        if kind == DRAW and sizes[FIRST_PASS]:
            place = (down * ((stop - start + width - 1) // width) + (left - start) // width) * figures * width
            for _ in range(panels):
                statistics(memory, to, rows, 2, partial, sizes[WEIGHT_PARTIAL] + place)
                to += panel_step
                place += figures * width

    return block


@cache
def merge_function(dtype: Any) -> Any:
    """`merge(t, kind, …)`: task t of the kinds MERGE and MERGE_WEIGHTS: the partial figures of a block of columns."""
    width, most = np.int64(panel_width(dtype)), np.int64(merging.BLOCK)
    merge_block, merge_units = merging.merge_block(dtype), merging.merge_units(dtype)
    merge_weight_units = merging.merge_weight_units(dtype)

    @inline
    def merge(
        t: Any,
        kind: Any,
        layers: Any,
        index: Any,
        start: Any,
        stop: Any,
        sizes: Any,
        memory: Any,
        partial: Any,
        records: Any,
        weight_records: Any,
        zeros: Any,
        hashes: Any,
        weight_hashes: Any,
    ) -> None:
        of_weights = kind == MERGE_WEIGHTS
        left = t * most
        columns = min(most, stop - start - left)
        panels = (stop - start + width - 1) // width
        panel_step = width * (moments.MARKED_ROWS if of_weights else moments.LAYER_ROWS)
        step = panels * panel_step
        at = left // width * panel_step + (sizes[WEIGHT_PARTIAL] if of_weights else 0)
        rows = taps_of(sizes) * layers[index, N_IN] if of_weights else sizes[ROWS]
        chunks = (rows + CHUNK - 1) // CHUNK
        padding = 0 if of_weights else rows & 1
        record, length = (weight_records, merging.RECORD) if of_weights else (records, merging.LAYER_RECORD)
        to = (layers[index, RECORD] + start // most + t) * length
        work = np.empty(merging.SUMS * width, np.float64)
        for matrix in range(1 if of_weights else 2):
            merge_block(
                partial,
                at + matrix * moments.Z * width,
                panel_step,
                step,
                chunks,
                columns,
                rows,
                padding,
                0 if of_weights else 1 - matrix,
                work,
                record,
                to + matrix * merging.Z_RECORD,
            )
        unit, bias = layers[index, UNIT] + start + left, sizes[BIASES] + start + left
        if of_weights:
            merge_weight_units(partial, at, panel_step, step, chunks, columns, memory, bias, weight_hashes, unit)
        else:
            merge_units(partial, at, panel_step, step, chunks, columns, zeros, hashes, unit)

    return merge


@cache
def layer_function(dtype: Any) -> Any:
    """`layer(t, …)`: task t of the kind MULTIPLY: a chunk of rows of z = h W + b, phi and all figures.

    One panel of columns; of a convolution all of them, for which the chunk's patches are gathered once.
    """
    width = np.int64(panel_width(dtype))
    real = np.dtype(dtype).type
    operand, product, epilogue = operand_function(dtype), product_function(dtype), epilogue_function(dtype)
    elements = CHUNK * panel_width(dtype)

    @inline
    def layer(
        t: Any,
        layers: Any,
        index: Any,
        reals: Any,
        start: Any,
        stop: Any,
        sizes: Any,
        memory: Any,
        partial: Any,
        histogram: Any,
    ) -> None:
        n_in, n_out, taps = layers[index, N_IN], layers[index, N_OUT], taps_of(sizes)
        across = (stop - start + width - 1) // width
        groups = (across + sizes[PANELS] - 1) // sizes[PANELS]
        chunk = t // groups
        first = (t - chunk * groups) * sizes[PANELS]
        rows = min(CHUNK, sizes[ROWS] - chunk * CHUNK)
        step = sizes[PADDED_ROWS] * width
        a, a_at, a_next, tap_step = operand(
            sizes, taps > 1, 1, memory, layers[index, OPERAND], step, n_in, chunk * CHUNK, rows
        )
        z = stack_array(elements, real)
        for panel in range(first, min(across, first + sizes[PANELS])):
            column = start + panel * width
            columns = min(width, n_out - column)
            w, bias = sizes[WEIGHTS] + panel * odd(taps * n_in) * width, sizes[BIASES] + column
            product(sizes, a, a_at, a_next, tap_step, rows, n_in, memory, w, n_in * width, columns, bias, z)
            epilogue(layers, index, reals, sizes, chunk, column, rows, columns, z, memory, partial, histogram)

    return layer


@cache
def rows_function(dtype: Any) -> Any:
    """`rows(t, …)`: task t of the kind NORMALIZE_ROWS: a chunk of rows of the signal becomes the operand."""
    width = np.int64(panel_width(dtype))
    normalize = normalize_function(dtype)

    @inline
    def rows(t: Any, layers: Any, index: Any, sizes: Any, memory: Any) -> None:
        row = t * CHUNK
        normalize(
            memory,
            layers[index, A_IN] + row * width,
            layers[index, OPERAND] + row * width,
            layers[index, INVERSES] + row,
            sizes[PADDED_ROWS] * width,
            min(CHUNK, sizes[ROWS] - row),
            layers[index, N_IN],
            layers[index, NORMALIZE] == LAYER_NORM,
        )

    return rows


@cache
def forward_kernel(dtype: Any) -> Tiled:
    """The kernel of the forward pass, the same for every activation."""
    layer, block, merge = layer_function(dtype), block_function(dtype), merge_function(dtype)
    normalize = rows_function(dtype)

    @inline
    def task(
        t: Any,
        phases: Any,
        done: Any,
        layers: Any,
        reals: Any,
        sizes: Any,
        numbers: Any,
        parameters: Any,
        memory: Any,
        partial: Any,
        histogram: Any,
        records: Any,
        weight_records: Any,
        zeros: Any,
        hashes: Any,
        weight_hashes: Any,
    ) -> None:
        phase = enter(t, phases, done)
        kind, index = phases[phase, schedule.KIND], phases[phase, schedule.LAYER]
        start, stop = phases[phase, schedule.START], phases[phase, schedule.STOP]
        t -= phases[phase, schedule.FIRST]
        if kind == MULTIPLY:
            layer(t, layers, index, reals, start, stop, sizes, memory, partial, histogram)
        elif kind in (MERGE, MERGE_WEIGHTS):
            merge(
                t,
                kind,
                layers,
                index,
                start,
                stop,
                sizes,
                memory,
                partial,
                records,
                weight_records,
                zeros,
                hashes,
                weight_hashes,
            )
        elif kind == NORMALIZE_ROWS:
            normalize(t, layers, index, sizes, memory)
        else:
            block(t, kind, layers, reals, index, start, stop, sizes, numbers, parameters, memory, partial)
        leave(done)

    return Tiled(f"forward-{np.dtype(dtype).name}", task, flush=True)


@lru_cache(maxsize=64)
def _program(layout: Layout, rows: int, first_pass: bool) -> tuple[int, Any]:
    """Tasks of a block of rows, and the table of their phases."""
    shape, widths, chunks = layout.shape, layout.widths, -(-rows // CHUNK)
    program = Program()
    program.add(INPUT, 0, chunks * -(-widths[0] // BLOCK_COLUMNS), 0, widths[0])
    for index, (n_in, n_out) in enumerate(pairwise(widths)):
        if shape.normalize[index]:
            if index == 0:  # the signals of later layers stand complete after the last barrier
                program.barrier()
            program.add(NORMALIZE_ROWS, index, chunks)
        for start in range(0, n_out, layout.columns[index]):
            stop = min(n_out, start + layout.columns[index])
            down, across = blocks(layout.taps * n_in, stop - start)
            program.add(DRAW, index, down * across, start, stop)
            if start == 0:
                program.add(BIAS, index, -(-n_out // BLOCK_COLUMNS), 0, n_out)
            program.barrier()
            program.add(MULTIPLY, index, layout.panel_tasks(rows, stop - start), start, stop)
            if first_pass:
                program.add(MERGE_WEIGHTS, index, -(-(stop - start) // merging.BLOCK), start, stop)
            program.barrier()
        program.add(MERGE, index, -(-n_out // merging.BLOCK), 0, n_out)
    return program.tasks, program.table()


def run(plan: Plan, row: int) -> None:
    """Run the block of rows that starts at `row`."""
    layout = plan.layout
    rows = min(layout.block_rows, layout.rows - row)
    tasks, phases = _program(layout, rows, row == 0)
    plan.sizes[[ROWS, FIRST_ROW, FIRST_PASS]] = rows, row, row == 0
    forward_kernel(plan.dtype.type)(
        tasks,
        layout.work,
        phases,
        np.zeros(1, np.int64),
        layout.table,
        plan.reals,
        plan.sizes,
        *plan.source_tables(),
        plan.memory,
        plan.partial,
        plan.histogram.ravel(),
        plan.records,
        plan.weight_records,
        plan.zeros,
        plan.hashes,
        plan.weight_hashes,
    )
