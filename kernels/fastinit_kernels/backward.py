"""The backward pass of the probe: gradients of a random loss, layer after layer, W drawn again instead of stored.

    delta_L = cotangent * phi'(z_L),    delta_{l-1} = (delta_l W_l^T) * phi'(z_{l-1}),    dW_l = a_{l-1}^T delta_l

dW_l is formed in blocks of 64 x 64 that live in L1 for as long as their statistics take. W_l^T is drawn into panels
like W_l, row runs turned on the way.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import moments, schedule
from .forward import A_IN, N_IN, N_OUT, SCRATCH, SLOPES, WEIGHT, Plan, empty_records, odd, padded_columns, std
from .gemm import CHUNK, multiply_function
from .intrinsics import pointer_to, stack_array
from .jit import Tiled, inline
from .lanes import lanes_of, panel_width
from .lines import line_address
from .schedule import Program, enter, leave
from .sources import BLOCK_COLUMNS, Source, pack_function, pack_transposed_function

COTANGENT, SCALE, MERGE, WEIGHT_GRADIENT, DRAW, BACK = range(6)

# The sizes of a launch; DELTA is the first of two places, taken in turn by the layers' parity.
ROWS, PADDED_ROWS, DELTA, WEIGHTS, LINE_ADDRESS, ZERO_ROW = 0, 1, 2, 4, 5, 6

# Columns of a layer's row of places: first record of delta_l, and of dW_l.
DELTA_RECORD, WEIGHT_RECORD = range(2)

FIGURES = ("gradient_std", "weight_gradient_std", "gradient_zero")

# Columns of W turned at a time: their place in a panel fits L1.
_TURNED_COLUMNS = 256
_BLOCK = np.int64(moments.BLOCK)


@cache
def delta_function(dtype: Any) -> Any:
    """`delta(t, kind, …)`: task t of the kinds SCALE and BACK: a chunk of rows of a panel of delta, and its figures."""
    width, lanes = np.int64(panel_width(dtype)), lanes_of(dtype)
    real = np.dtype(dtype).type
    multiply, statistics = multiply_function(dtype), moments.value_statistics(dtype)
    figures = np.int64(moments.VALUE_ROWS)

    elements = CHUNK * panel_width(dtype)

    @inline
    def delta(
        t: Any, kind: Any, layers: Any, index: Any, start: Any, stop: Any, sizes: Any, memory: Any, partial: Any
    ) -> None:
        # SCALE makes delta_l from what stands there, BACK makes delta_{l-1}.
        target = index if kind == SCALE else index - 1
        n = layers[target, N_OUT]
        across = (stop - start + width - 1) // width
        chunk = t // across
        panel = t - chunk * across
        column = start + panel * width
        columns = min(width, n - column)
        rows = min(CHUNK, sizes[ROWS] - chunk * CHUNK)
        step = sizes[PADDED_ROWS] * width
        row_at = chunk * CHUNK * width
        here = column // width * step + row_at
        to = np.uint64(sizes[DELTA + (target & 1)] + here)
        slopes = np.uint64(layers[target, SLOPES] + here)
        z = stack_array(elements, real)
        if kind == SCALE:
            for i in range(np.uint64(rows * width)):
                z[i] = memory[to + i]
        else:
            k = layers[index, N_OUT]
            multiply(
                memory,
                sizes[DELTA + (index & 1)] + row_at,
                step,
                rows,
                k,
                memory,
                sizes[WEIGHTS] + panel * odd(k) * width,
                columns,
                pointer_to(memory, sizes[ZERO_ROW]),
                0,
                z,
                0,
            )
        for i in range(np.uint64(rows * width)):
            memory[to + i] = z[i] * memory[slopes + i]
        place = (chunk * ((n + width - 1) // width) + column // width) * figures * width
        statistics(memory, np.int64(to), rows, 2 if columns > lanes else 1, partial, place)

    return delta


@cache
def weight_gradient_function(dtype: Any) -> Any:
    """`gradient(t, …)`: task t of the kind WEIGHT_GRADIENT: a block of 64 x 64 of dW = a^T delta, and its figures."""
    width, lanes = np.int64(panel_width(dtype)), lanes_of(dtype)
    real = np.dtype(dtype).type
    multiply, statistics = multiply_function(dtype, transposed=True), moments.value_statistics(dtype)
    merge = moments.merge_block(dtype)
    figures = np.int64(moments.VALUE_ROWS)

    elements = moments.BLOCK * panel_width(dtype)

    @inline
    def gradient(t: Any, layers: Any, index: Any, places: Any, sizes: Any, memory: Any, records: Any) -> None:
        n_in, n_out = layers[index, N_IN], layers[index, N_OUT]
        across = (n_out + _BLOCK - 1) // _BLOCK
        down = t // across
        right, top = (t - down * across) * _BLOCK, down * _BLOCK
        step = sizes[PADDED_ROWS] * width
        rows = min(_BLOCK, n_in - top)
        columns = min(_BLOCK, n_out - right)
        block = stack_array(elements, real)
        zero_row = pointer_to(memory, sizes[ZERO_ROW])
        partial = np.empty(_BLOCK * figures, real)
        work = np.empty(11 * width, np.float64)
        for column in range(0, columns, width):
            delta = sizes[DELTA + (index & 1)] + (right + column) // width * step
            for row in range(0, rows, width):
                multiply(
                    memory,
                    layers[index, A_IN] + (top + row) // width * step,
                    width * width,
                    min(width, rows - row),
                    sizes[ROWS],
                    memory,
                    delta,
                    columns - column,
                    zero_row,
                    0,
                    block,
                    row * width,
                )
            statistics(block, 0, rows, 2 if columns - column > lanes else 1, partial, column * figures)
        merge(
            partial,
            np.int64(0),
            width * figures,
            np.int64(0),
            np.int64(1),
            columns,
            rows,
            np.int64(0),
            np.int64(0),
            work,
            records,
            (places[index, WEIGHT_RECORD] + t) * np.int64(moments.RECORD),
        )

    return gradient


@cache
def backward_kernel(dtype: Any) -> Tiled:
    """The kernel of the backward pass, the same for every activation."""
    width = np.int64(panel_width(dtype))
    real = np.dtype(dtype).type
    delta, gradient, merge = delta_function(dtype), weight_gradient_function(dtype), moments.merge_block(dtype)
    pack, turn = pack_function(dtype), pack_transposed_function(dtype)
    figures = np.int64(moments.VALUE_ROWS)
    most, turned = np.int64(BLOCK_COLUMNS), np.int64(_TURNED_COLUMNS)

    @inline
    def task(
        t: Any,
        phases: Any,
        done: Any,
        layers: Any,
        places: Any,
        sizes: Any,
        numbers: Any,
        parameters: Any,
        memory: Any,
        partial: Any,
        records: Any,
        weight_records: Any,
    ) -> None:
        phase = enter(t, phases, done)
        kind, index = phases[phase, schedule.KIND], phases[phase, schedule.LAYER]
        start, stop = phases[phase, schedule.START], phases[phase, schedule.STOP]
        t -= phases[phase, schedule.FIRST]
        n_out, rows = layers[index, N_OUT], sizes[ROWS]
        if kind in (SCALE, BACK):
            delta(t, kind, layers, index, start, stop, sizes, memory, partial)
        elif kind == WEIGHT_GRADIENT:
            gradient(t, layers, index, places, sizes, memory, weight_records)
        elif kind == MERGE:
            left = t * _BLOCK
            panels = (n_out + width - 1) // width
            work = np.empty(11 * width, np.float64)
            merge(
                partial,
                left // width * figures * width,
                figures * width,
                panels * figures * width,
                (rows + CHUNK - 1) // CHUNK,
                min(_BLOCK, n_out - left),
                rows,
                np.int64(0),
                np.int64(0),
                work,
                records,
                (places[index, DELTA_RECORD] + t) * np.int64(moments.RECORD),
            )
        elif kind == DRAW:
            scratch = np.empty(SCRATCH, real)
            across = (n_out + turned - 1) // turned
            panel = t // across
            left = (t - panel * across) * turned
            row = start + panel * width
            turn(
                sizes[LINE_ADDRESS],
                numbers,
                parameters,
                layers[index, WEIGHT],
                n_out,
                row,
                min(width, stop - row),
                left,
                min(n_out, left + turned),
                memory,
                sizes[WEIGHTS] + (panel * odd(n_out) + left) * width,
                scratch,
            )
        else:
            scratch = np.empty(SCRATCH, real)
            across = (n_out + most - 1) // most
            chunk = t // across
            left = (t - chunk * across) * most
            step = sizes[PADDED_ROWS] * width
            pack(
                sizes[LINE_ADDRESS],
                numbers,
                parameters,
                np.int64(len(numbers) - 1),
                n_out,
                chunk * CHUNK,
                min(CHUNK, rows - chunk * CHUNK),
                left,
                min(n_out, left + most),
                memory,
                sizes[DELTA + (index & 1)] + left // width * step + chunk * CHUNK * width,
                step,
                scratch,
            )
        leave(done)

    return Tiled(f"backward-{np.dtype(dtype).name}", task)


def _program(plan: Plan, columns: list[int]) -> Program:
    width, chunks = panel_width(plan.dtype), -(-plan.batch // CHUNK)
    program, last = Program(), len(plan.layers) - 1
    n = plan.layers[last].n_out
    program.add(COTANGENT, last, chunks * -(-n // BLOCK_COLUMNS))
    program.barrier()
    program.add(SCALE, last, chunks * -(-n // width), 0, n)
    program.barrier()
    for index in range(last, -1, -1):
        layer = plan.layers[index]
        program.add(MERGE, index, -(-layer.n_out // moments.BLOCK))
        program.add(WEIGHT_GRADIENT, index, -(-layer.n_in // moments.BLOCK) * -(-layer.n_out // moments.BLOCK))
        if index == 0:
            break
        for start in range(0, layer.n_in, columns[index]):
            stop = min(layer.n_in, start + columns[index])
            panels = -(-(stop - start) // width)
            program.add(DRAW, index, panels * -(-layer.n_out // _TURNED_COLUMNS), start, stop)
            program.barrier()
            program.add(BACK, index, chunks * panels, start, stop)
            program.barrier()
    return program


def run(plan: Plan, cotangent: Source) -> dict[str, NDArray[Any]]:
    """Gradient figures of a network whose forward pass has been run with keep=True, all rows at once."""
    dtype, width = plan.dtype, panel_width(plan.dtype)
    columns = [plan.fitting(layer.n_out, layer.n_in) for layer in plan.layers]
    delta = max(padded_columns(layer.n_out, width) for layer in plan.layers) * plan.padded_rows
    weights = max((layer.n_out | 1) * padded_columns(c, width) for layer, c in zip(plan.layers, columns, strict=True))
    at = plan.grow(2 * delta + weights + width)
    widest = max(padded_columns(layer.n_out, width) for layer in plan.layers)
    partial = np.empty(-(-plan.batch // CHUNK) * widest * moments.VALUE_ROWS, dtype)
    blocks = np.array(
        [
            [-(-layer.n_out // moments.BLOCK), -(-layer.n_in // moments.BLOCK) * -(-layer.n_out // moments.BLOCK)]
            for layer in plan.layers
        ]
    )
    ends = np.cumsum(blocks, axis=0)
    places = ends - blocks
    records, weight_records = (empty_records(int(n), moments.RECORD) for n in ends[-1])
    sources = [*plan.sources, cotangent]
    numbers = np.array([source.numbers() for source in sources], np.int64)
    parameters = np.array([source.parameters for source in sources], dtype)
    program = _program(plan, columns)
    sizes = np.array(
        [
            plan.batch,
            plan.padded_rows,
            at,
            at + delta,
            at + 2 * delta,
            line_address(dtype.type),
            at + 2 * delta + weights,
        ],
        np.int64,
    )
    backward_kernel(dtype.type)(
        program.tasks,
        2 * plan.work(),
        program.table(),
        np.zeros(1, np.int64),
        plan.table,
        places,
        sizes,
        numbers,
        parameters,
        plan.memory,
        partial,
        records,
        weight_records,
    )
    merged = np.empty((2, len(plan.layers), moments.RECORD))
    for out, flat, end in zip(merged, (records, weight_records), ends.T, strict=True):
        moments.combine(flat, np.concatenate([[0], end]), out)
    with np.errstate(all="ignore"):
        return {
            "gradient_std": std(merged[0]),
            "weight_gradient_std": std(merged[1]),
            "gradient_zero": merged[0][:, moments.ZEROS] / merged[0][:, moments.COUNT],
        }
