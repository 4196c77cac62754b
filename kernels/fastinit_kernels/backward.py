"""The backward pass of the probe: gradients of a random loss, layer after layer, W drawn again instead of stored.

    delta_l = g_l * s phi'(z_l),    dW_l = h_l^T delta_l,    g_{l-1} = N(delta_l W_l^T) + (g_l past a skip)

with g_l = dL/da_l, g_L the cotangent, and N the way back through the normalisation. W_l^T is drawn into panels like
W_l, row runs turned on the way.
"""

from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import merging, moments, schedule
from .figures import gradient_figures
from .forward import odd
from .gemm import CHUNK
from .images import operand_function, pack_images_function, product_function, taps_of
from .intrinsics import stack_array
from .jit import Tiled, inline
from .lanes import lanes_of, panel_width
from .layout import (
    DELTA,
    FIRST_PASS,
    FIRST_ROW,
    INVERSES,
    LAST_PASS,
    LAYER_NORM,
    N_IN,
    N_OUT,
    NORMALIZE,
    OPERAND,
    PADDED_ROWS,
    PANELS,
    ROWS,
    SCRATCH,
    SKIP,
    SLOPES,
    STREAM,
    WEIGHT,
    WEIGHTS,
    ZERO_ROW,
    Layout,
    Room,
    padded_columns,
)
from .normalize import unnormalize_function
from .plan import Plan
from .schedule import Program, enter, leave
from .sources import BLOCK_COLUMNS, Source, pack_transposed_function
from .weight_gradient import DELTA_RECORD, fold, weight_gradient_function

COTANGENT, SCALE, MERGE, WEIGHT_GRADIENT, FOLD, DRAW, BACK, UNNORMALIZE = range(8)

# Columns of W turned at a time: their place in a panel fits L1.
_TURNED_COLUMNS = 256
_BLOCK = np.int64(merging.BLOCK)


@cache
def delta_function(dtype: Any) -> Any:
    """`delta(t, kind, …)`: task t of the kinds SCALE and BACK: a chunk of rows of a panel of delta, and its figures.

    SCALE makes delta_l of g_l, BACK makes g_{l-1} and delta_{l-1}; behind a normalisation it makes dL/dh only.
    """
    width, lanes = np.int64(panel_width(dtype)), lanes_of(dtype)
    real = np.dtype(dtype).type
    operand, product = operand_function(dtype), product_function(dtype)
    statistics = moments.value_statistics(dtype)
    figures = np.int64(moments.VALUE_ROWS)
    elements = CHUNK * panel_width(dtype)

    @inline
    def delta(
        t: Any, kind: Any, layers: Any, index: Any, start: Any, stop: Any, sizes: Any, memory: Any, partial: Any
    ) -> None:
        target, taps = index if kind == SCALE else index - 1, taps_of(sizes)
        n, k = layers[target, N_OUT], layers[index, N_OUT]
        across = (stop - start + width - 1) // width
        groups = (across + sizes[PANELS] - 1) // sizes[PANELS]
        chunk = t // groups
        first = (t - chunk * groups) * sizes[PANELS]
        rows = min(CHUNK, sizes[ROWS] - chunk * CHUNK)
        step = sizes[PADDED_ROWS] * width
        row_at = chunk * CHUNK * width
        a, a_at, a_next, tap_step = operand(
            sizes, taps > 1 and kind == BACK, -1, memory, sizes[DELTA + (index & 1)], step, k, chunk * CHUNK, rows
        )
        z, tile = stack_array(elements, real), np.uint64(rows * width)
        for panel in range(first, min(across, first + sizes[PANELS])):
            column = start + panel * width
            columns = min(width, n - column)
            here = column // width * step + row_at
            stream = np.uint64(sizes[STREAM + (target & 1)] + here)
            if kind == SCALE:
                for i in range(tile):
                    z[i] = memory[stream + i]
            else:
                w = sizes[WEIGHTS] + panel * taps * odd(k) * width
                product(
                    sizes, a, a_at, a_next, tap_step, rows, k, memory, w, odd(k) * width, columns, sizes[ZERO_ROW], z
                )  # fmt: skip
                if layers[index, SKIP] and layers[index, NORMALIZE] == 0:
                    past = np.uint64(sizes[STREAM + (index & 1)] + here)
                    for i in range(tile):
                        z[i] += memory[past + i]
                if sizes[STREAM] != sizes[DELTA]:
                    for i in range(tile):
                        memory[stream + i] = z[i]
            if kind == SCALE or layers[index, NORMALIZE] == 0:
                to, slopes = np.uint64(sizes[DELTA + (target & 1)] + here), np.uint64(layers[target, SLOPES] + here)
                for i in range(tile):
                    memory[to + i] = z[i] * memory[slopes + i]
                place = (chunk * ((n + width - 1) // width) + column // width) * figures * width
                statistics(memory, np.int64(to), rows, 2 if columns > lanes else 1, partial, place)

    return delta


@cache
def rows_function(dtype: Any) -> Any:
    """`rows(t, …)`: task t of the kind UNNORMALIZE: dL/dh of a chunk of rows becomes g_{l-1}, in place."""
    width = np.int64(panel_width(dtype))
    unnormalize = unnormalize_function(dtype)

    @inline
    def rows(t: Any, layers: Any, index: Any, sizes: Any, memory: Any) -> None:
        row = t * CHUNK
        at = row * width
        unnormalize(
            memory,
            sizes[STREAM + ((index - 1) & 1)] + at,
            layers[index, OPERAND] + at,
            layers[index, INVERSES] + row,
            sizes[STREAM + (index & 1)] + at if layers[index, SKIP] else np.int64(-1),
            sizes[PADDED_ROWS] * width,
            min(CHUNK, sizes[ROWS] - row),
            layers[index, N_IN],
            layers[index, NORMALIZE] == LAYER_NORM,
        )

    return rows


@cache
def backward_kernel(dtype: Any) -> Tiled:
    """The kernel of the backward pass, the same for every activation."""
    width = np.int64(panel_width(dtype))
    real = np.dtype(dtype).type
    delta, gradient, merge = delta_function(dtype), weight_gradient_function(dtype), merging.merge_block(dtype)
    pack, turn, unnormalize = pack_images_function(dtype), pack_transposed_function(dtype), rows_function(dtype)
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
        sums: Any,
        records: Any,
        weight_records: Any,
        marks: Any,
        hashes: Any,
    ) -> None:
        phase = enter(t, phases, done)
        kind, index = phases[phase, schedule.KIND], phases[phase, schedule.LAYER]
        start, stop = phases[phase, schedule.START], phases[phase, schedule.STOP]
        t -= phases[phase, schedule.FIRST]
        n_in, n_out, rows = layers[index, N_IN], layers[index, N_OUT], sizes[ROWS]
        if kind in (SCALE, BACK):
            delta(t, kind, layers, index, start, stop, sizes, memory, partial)
        elif kind == WEIGHT_GRADIENT:
            gradient(t, layers, index, places, sizes, memory, sums, weight_records, marks)
        elif kind == FOLD:
            fold(t, layers, index, sizes, marks, hashes)
        elif kind == UNNORMALIZE:
            unnormalize(t, layers, index, sizes, memory)
        elif kind == MERGE:
            left = t * _BLOCK
            panels = (n_out + width - 1) // width
            work = np.empty(merging.SUMS * width, np.float64)
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
                (places[index, DELTA_RECORD] + t) * np.int64(merging.RECORD),
            )
        elif kind == DRAW:
            scratch = np.empty(SCRATCH, real)
            across, taps = (n_out + turned - 1) // turned, taps_of(sizes)
            panel, tap = t // (across * taps), t // across % taps
            left = t % across * turned
            row = start + panel * width
            turn(
                numbers,
                parameters,
                layers[index, WEIGHT],
                n_out,
                tap * n_in + row,
                min(width, stop - row),
                left,
                min(n_out, left + turned),
                memory,
                sizes[WEIGHTS] + ((panel * taps + tap) * odd(n_out) + left) * width,
                scratch,
            )
        else:
            scratch = np.empty(SCRATCH, real)
            across = (n_out + most - 1) // most
            chunk = t // across
            left = (t - chunk * across) * most
            step = sizes[PADDED_ROWS] * width
            pack(
                sizes,
                True,
                numbers,
                parameters,
                np.int64(len(numbers) - 1),
                n_out,
                sizes[FIRST_ROW] + chunk * CHUNK,
                min(CHUNK, rows - chunk * CHUNK),
                left,
                min(n_out, left + most),
                memory,
                sizes[STREAM + (index & 1)] + left // width * step + chunk * CHUNK * width,
                step,
                scratch,
            )
        leave(done)

    return Tiled(f"backward-{np.dtype(dtype).name}", task, flush=True)


class Backward:
    """The backward pass from one layer down to the first, over the blocks of rows of a forward plan.

    Parameters
    ----------
    plan
        A plan with `keep`; each block of rows is run forward before it is run here.
    depth
        Layers the pass goes through: dL/da of layer depth - 1 is the cotangent.
    cotangent
        Where that comes from.
    """

    def __init__(self, plan: Plan, depth: int, cotangent: Source) -> None:
        self.plan, self.cotangent = plan, cotangent
        layout = self.layout = _layout(plan.layout, depth)
        plan.grow(layout.elements)
        self.partial = np.empty(layout.partial, plan.dtype)
        self.records, self.weight_records = (merging.empty_records(int(n), merging.RECORD) for n in layout.ends[-1])
        self.sums = np.empty(layout.sums, plan.dtype)
        self.marks = np.empty(2 * merging.BLOCK * layout.most_blocks, np.uint64)
        self.hashes = np.zeros(int(plan.layout.units[depth]), np.uint64)

    def run(self, row: int) -> None:
        """Run the block of rows that starts at `row`, whose forward pass has just been run."""
        plan, layout, forward = self.plan, self.layout, self.plan.layout
        rows = min(forward.block_rows, forward.rows - row)
        last = row + rows == forward.rows
        tasks, phases = _program(layout, rows, last)
        sizes = plan.sizes.copy()
        sizes[DELTA : STREAM + 2], sizes[WEIGHTS] = layout.matrices, layout.weights
        sizes[[ROWS, FIRST_ROW, FIRST_PASS, LAST_PASS]] = rows, row, row == 0, last
        backward_kernel(plan.dtype.type)(
            tasks,
            2 * forward.work,
            phases,
            np.zeros(1, np.int64),
            forward.table,
            layout.places,
            sizes,
            *plan.source_tables(self.cotangent),
            plan.memory,
            self.partial,
            self.sums,
            self.records,
            self.weight_records,
            self.marks,
            self.hashes,
        )

    def figures(self, nonfinite: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The gradients' figures, one entry a layer; `nonfinite`: counts of what is not finite among its a."""
        units = self.plan.layout.units[: self.layout.depth + 1]
        hashes = merging.joined(self.plan.weight_hashes[: units[-1]], self.hashes)
        return gradient_figures(self.records, self.weight_records, self.layout.ends, hashes, units, nonfinite)


class BackwardLayout:
    """The places of a backward pass from a layer down, behind those of the forward pass."""

    def __init__(self, forward: Layout, depth: int) -> None:
        self.forward, self.depth = forward, depth
        width, taps, shape = forward.width, forward.taps, forward.shape
        pairs = list(pairwise(forward.widths[: depth + 1]))
        self.columns = [forward.fitting(taps * n_out, n_in) for n_in, n_out in pairs]
        widest = max(padded_columns(n_out, width) for _, n_out in pairs)
        weights = max(
            taps * (n_out | 1) * padded_columns(c, width) for (_, n_out), c in zip(pairs, self.columns, strict=True)
        )
        room = Room(forward.elements)
        deltas, self.weights = room.take([widest * forward.padded_rows] * 2), room.take([weights])[0]
        # In a plain stack g_l is but a product on the way to delta_l and takes no room of its own.
        plain = not any(shape.skips[:depth]) and not any(shape.normalize[:depth])
        streams = deltas if plain else room.take([widest * forward.padded_rows] * 2)
        self.matrices = [*deltas, *streams]
        self.elements = room.elements
        self.partial = forward.chunks * widest * moments.VALUE_ROWS
        blocks = np.array([[-(-n_out // merging.BLOCK), self.gradient_blocks(n_in, n_out)] for n_in, n_out in pairs])
        self.ends = np.cumsum(blocks, axis=0)
        self.places = self.ends - blocks
        self.most_blocks = int(blocks[:, 1].max())
        self.sums = 0 if forward.block_rows == forward.rows else int(self.ends[-1, 1]) * merging.BLOCK**2

    def gradient_blocks(self, n_in: int, n_out: int) -> int:
        """Tasks of a layer's dW."""
        return self.forward.taps * -(-n_in // merging.BLOCK) * -(-n_out // merging.BLOCK)


@lru_cache(maxsize=64)
def _layout(forward: Layout, depth: int) -> BackwardLayout:
    return BackwardLayout(forward, depth)


@lru_cache(maxsize=64)
def _program(layout: BackwardLayout, rows: int, last_pass: bool) -> tuple[int, Any]:
    """Tasks of a block of rows, and the table of their phases."""
    forward, last, chunks = layout.forward, layout.depth - 1, -(-rows // CHUNK)
    program = Program()
    n = forward.widths[layout.depth]
    program.add(COTANGENT, last, chunks * -(-n // BLOCK_COLUMNS))
    program.barrier()
    program.add(SCALE, last, forward.panel_tasks(rows, n), 0, n)
    program.barrier()
    for index in range(last, -1, -1):
        n_in, n_out = forward.widths[index : index + 2]
        program.add(MERGE, index, -(-n_out // merging.BLOCK))
        program.add(WEIGHT_GRADIENT, index, layout.gradient_blocks(n_in, n_out))
        if last_pass and index < last:
            program.add(FOLD, index + 1, -(-forward.widths[index + 2] // merging.BLOCK))
        if index == 0:
            break
        for start in range(0, n_in, layout.columns[index]):
            stop = min(n_in, start + layout.columns[index])
            panels = -(-(stop - start) // forward.width)
            program.add(DRAW, index, panels * forward.taps * -(-n_out // _TURNED_COLUMNS), start, stop)
            program.barrier()
            program.add(BACK, index, forward.panel_tasks(rows, stop - start), start, stop)
            program.barrier()
        if forward.shape.normalize[index]:
            program.add(UNNORMALIZE, index, chunks)
            program.barrier()
            program.add(SCALE, index - 1, forward.panel_tasks(rows, n_in), 0, n_in)
            program.barrier()
    if last_pass:
        program.barrier()
        program.add(FOLD, 0, -(-forward.widths[1] // merging.BLOCK))
    return program.tasks, program.table()
