"""The deep forward probe: draw, multiply, activate and measure, layer after layer, in one launch.

    z_l = a_{l-1} W_l + b_l,    a_l = phi(z_l)

Two groups of tasks a layer. First W_l's columns, as many as a fixed budget of memory holds, are drawn from the
counters into panels, while the statistics of layer l - 1 are merged. Then each chunk of rows meets each panel: the
product is formed in registers, the activation applied and every figure taken while the tile is in L1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import moments, schedule
from .activations import activation_address
from .gemm import CHUNK, multiply_function
from .histogram import histogram_function
from .intrinsics import call_at, pointer_to, stack_array
from .jit import Tiled, inline
from .lanes import lanes_of, panel_width
from .lines import GROUP, LINE, line_address
from .schedule import Program, enter, leave
from .sources import BLOCK_COLUMNS, Source, blocks, pack_function

# Bytes of drawn weights that exist at a time.
WEIGHT_BUDGET = 1 << 24

# A task's scratch line: as long as the longest run, and a group at either end.
SCRATCH = LINE + 2 * GROUP

# Rows of a buffer come in multiples of this, so that every tile fits in whole.
ROW_MULTIPLE = 24

INPUT, DRAW, BIAS, MULTIPLY, MERGE, MERGE_WEIGHTS = range(6)

# Columns of the table of layers.
N_IN, N_OUT, A_IN, A_OUT, SLOPES, WEIGHT, BIAS_SOURCE, HISTOGRAM, UNIT, RECORD = range(10)

# Columns of the table of a layer's real numbers: phi's parameter, saturation limits, the histogram's range and bins
# a unit.
PARAMETER, LOW, HIGH, FROM, TO, BINS_A_UNIT = range(6)

# The sizes of a launch.
ROWS, ROW, PADDED_ROWS, BINS, INPUT_SOURCE, FIRST_PASS, WEIGHTS, BIASES, WEIGHT_PARTIAL = range(9)
LINE_ADDRESS, ACTIVATION_ADDRESS = 9, 10


_NO_BIAS = Source.constant(0.0)


@dataclass(frozen=True)
class Layer:
    """One layer z = a W + b, a = phi(z).

    Parameters
    ----------
    n_in, n_out
        Units below and units of this layer.
    weight, bias
        Where W (n_in, n_out) and b (n_out,) come from; no bias: None.
    parameter
        The activation's parameter.
    saturation
        An activation outside [low, high] is saturated; NaN where the activation has no such rule.
    range
        Of the histogram.
    """

    n_in: int
    n_out: int
    weight: Source
    bias: Source | None = None
    parameter: float = 0.0
    saturation: tuple[float, float] = (np.nan, np.nan)
    range: tuple[float, float] = (-1.0, 1.0)


@inline
def odd(rows: Any) -> Any:
    """Rows of a panel of weights: an odd number, or the panels' like rows would meet in one set of the cache."""
    return rows | 1


@cache
def block_function(dtype: Any) -> Any:
    """`block(t, kind, …)`: task t of the kinds INPUT, DRAW and BIAS: a block of a matrix into its panels.

    Of drawn weights the statistics are taken on the way.
    """
    width = np.int64(panel_width(dtype))
    real = np.dtype(dtype).type
    pack, statistics = pack_function(dtype), moments.value_statistics(dtype)
    most = np.int64(BLOCK_COLUMNS)
    figures = np.int64(moments.VALUE_ROWS)

    @inline
    def block(
        t: Any,
        kind: Any,
        layers: Any,
        index: Any,
        start: Any,
        stop: Any,
        sizes: Any,
        numbers: Any,
        parameters: Any,
        memory: Any,
        partial: Any,
    ) -> None:
        if kind == INPUT:
            source, n, all_rows, shift = sizes[INPUT_SOURCE], layers[index, N_IN], sizes[ROWS], sizes[ROW]
            to, panel_step = layers[index, A_IN], sizes[PADDED_ROWS] * width
        elif kind == DRAW:
            source, n, all_rows, shift = layers[index, WEIGHT], layers[index, N_OUT], layers[index, N_IN], 0
            to, panel_step = sizes[WEIGHTS], odd(layers[index, N_IN]) * width
        else:
            source, n, all_rows, shift = layers[index, BIAS_SOURCE], layers[index, N_OUT], 1, 0
            to, panel_step = sizes[BIASES], width
        across = (stop - start + most - 1) // most
        down = t // across
        left = start + (t - down * across) * most
        right = min(stop, left + most)
        row = down * CHUNK
        rows = min(CHUNK, all_rows - row)
        scratch = np.empty(SCRATCH, real)
        to += (left - start) // width * panel_step + row * width
        pack(
            sizes[LINE_ADDRESS],
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
        if kind == DRAW and sizes[FIRST_PASS]:
            panels = (stop - start + width - 1) // width
            for panel in range((left - start) // width, (right - start + width - 1) // width):
                place = sizes[WEIGHT_PARTIAL] + (down * panels + panel) * figures * width
                statistics(memory, to, rows, 2, partial, place)
                to += panel_step

    return block


@cache
def merge_function(dtype: Any) -> Any:
    """`merge(t, kind, …)`: task t of the kinds MERGE and MERGE_WEIGHTS: the partial figures of a block of columns."""
    width, most = np.int64(panel_width(dtype)), np.int64(moments.BLOCK)
    merge_block, merge_units = moments.merge_block(dtype), moments.merge_units(dtype)

    @inline
    def merge(
        t: Any,
        kind: Any,
        layers: Any,
        index: Any,
        start: Any,
        stop: Any,
        sizes: Any,
        partial: Any,
        patterns: Any,
        records: Any,
        weight_records: Any,
        zeros: Any,
        hashes: Any,
    ) -> None:
        of_weights = kind == MERGE_WEIGHTS
        left = t * most
        columns = min(most, stop - start - left)
        panels = (stop - start + width - 1) // width
        panel_step = width * (moments.VALUE_ROWS if of_weights else moments.LAYER_ROWS)
        step = panels * panel_step
        at = left // width * panel_step + (sizes[WEIGHT_PARTIAL] if of_weights else 0)
        rows = layers[index, N_IN] if of_weights else sizes[ROWS]
        chunks = (rows + CHUNK - 1) // CHUNK
        padding = 0 if of_weights else rows & 1
        record, length = (weight_records, moments.RECORD) if of_weights else (records, moments.LAYER_RECORD)
        to = (layers[index, RECORD] + start // most + t) * length
        work = np.empty(11 * width, np.float64)
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
                to + matrix * moments.Z_RECORD,
            )
        if not of_weights:
            merge_units(
                partial, patterns, at, panel_step, step, chunks, columns, zeros, hashes, layers[index, UNIT] + left
            )

    return merge


@cache
def layer_function(dtype: Any) -> Any:
    """`layer(t, …)`: task t of the kind MULTIPLY: a chunk of rows of a panel of z = a W + b, phi and all figures."""
    width, lanes = np.int64(panel_width(dtype)), lanes_of(dtype)
    real = np.dtype(dtype).type
    nan = real(np.nan)
    multiply, measure, count = multiply_function(dtype), moments.layer_statistics(dtype), histogram_function(dtype)
    figures = np.int64(moments.LAYER_ROWS)
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
        n_in, n_out = layers[index, N_IN], layers[index, N_OUT]
        across = (stop - start + width - 1) // width
        chunk = t // across
        panel = t - chunk * across
        column = start + panel * width
        columns = min(width, n_out - column)
        rows = min(CHUNK, sizes[ROWS] - chunk * CHUNK)
        step = sizes[PADDED_ROWS] * width
        z, s = stack_array(elements, real), stack_array(elements, real)
        row_at = chunk * CHUNK * width
        multiply(
            memory,
            layers[index, A_IN] + row_at,
            step,
            rows,
            n_in,
            memory,
            sizes[WEIGHTS] + panel * odd(n_in) * width,
            columns,
            pointer_to(memory, sizes[BIASES] + column),
            0,
            z,
            0,
        )
        even = rows + (rows & 1)
        if even > rows:
            for j in range(np.uint64(width)):
                z[np.uint64(rows * width) + j] = nan
        p = reals[index, PARAMETER]
        a_at = layers[index, A_OUT] + column // width * step + row_at
        call_at(sizes[ACTIVATION_ADDRESS], (z, pointer_to(memory, a_at), s, np.uint64(even * width), p))
        if layers[index, SLOPES] >= 0:
            s_at = np.uint64(layers[index, SLOPES] + column // width * step + row_at)
            for i in range(np.uint64(even * width)):
                memory[s_at + i] = s[i]
        to = (chunk * ((n_out + width - 1) // width) + column // width) * figures * width
        measure(
            z,
            0,
            memory,
            a_at,
            s,
            0,
            even,
            2 if columns > lanes else 1,
            reals[index, LOW],
            reals[index, HIGH],
            partial,
            to,
        )
        bins = sizes[BINS]
        places = stack_array(elements, np.int32)
        counts = np.empty(4 * (bins + 3), np.int32)
        count(
            memory,
            a_at,
            rows,
            columns,
            reals[index, FROM],
            reals[index, TO],
            reals[index, BINS_A_UNIT],
            bins,
            places,
            counts,
            histogram,
            layers[index, HISTOGRAM],
        )

    return layer


@cache
def forward_kernel(dtype: Any) -> Tiled:
    """The kernel of the forward pass, the same for every activation."""
    layer, block, merge = layer_function(dtype), block_function(dtype), merge_function(dtype)

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
        patterns: Any,
        histogram: Any,
        records: Any,
        weight_records: Any,
        zeros: Any,
        hashes: Any,
    ) -> None:
        phase = enter(t, phases, done)
        kind, index = phases[phase, schedule.KIND], phases[phase, schedule.LAYER]
        start, stop = phases[phase, schedule.START], phases[phase, schedule.STOP]
        t -= phases[phase, schedule.FIRST]
        if kind == MULTIPLY:
            layer(t, layers, index, reals, start, stop, sizes, memory, partial, histogram)
        elif kind in (MERGE, MERGE_WEIGHTS):
            merge(t, kind, layers, index, start, stop, sizes, partial, patterns, records, weight_records, zeros, hashes)
        else:
            block(t, kind, layers, index, start, stop, sizes, numbers, parameters, memory, partial)
        leave(done)

    return Tiled(f"forward-{np.dtype(dtype).name}", task)


def padded_columns(columns: int, width: int) -> int:
    """Columns of whole panels."""
    return -(-columns // width) * width


class Plan:
    """The buffers, tables and phases of a forward pass over blocks of rows."""

    def __init__(
        self,
        layers: Sequence[Layer],
        inputs: Source,
        batch: int,
        bins: int,
        dtype: Any,
        *,
        keep: bool = False,
        block_rows: int | None = None,
    ) -> None:
        self.layers, self.batch, self.bins, self.dtype = layers, batch, bins, np.dtype(dtype)
        width, depth = panel_width(dtype), len(layers)
        self.block_rows = min(batch, block_rows or batch)
        self.padded_rows = -(-self.block_rows // ROW_MULTIPLE) * ROW_MULTIPLE
        widths = [layers[0].n_in] + [layer.n_out for layer in layers]
        padded = [padded_columns(n, width) for n in widths]
        # Forward only, two buffers take turns; with a backward pass every layer's values stay.
        sizes = np.array(padded) * self.padded_rows
        starts = np.concatenate([[0], np.cumsum(sizes)]) if keep else np.arange(depth + 2) % 2 * int(sizes.max())
        acts = int(sizes.sum() if keep else 2 * sizes.max())
        slope_starts = acts + starts[1:] - starts[1] if keep else np.full(depth + 1, -1)
        slopes = int(sizes[1:].sum()) if keep else 0
        self.columns = [self.fitting(layer.n_in, layer.n_out) for layer in layers]
        weights = max((n.n_in | 1) * padded_columns(c, width) for n, c in zip(layers, self.columns, strict=True))
        biases = max(padded_columns(n.n_out, BLOCK_COLUMNS) for n in layers)
        self.places = [acts + slopes, acts + slopes + weights]
        self.memory = np.zeros(acts + slopes + weights + biases, dtype)
        layer_partial = -(-self.block_rows // CHUNK) * max(padded[1:]) * moments.LAYER_ROWS
        weight_partial = max(
            -(-n.n_in // CHUNK) * padded_columns(c, width) for n, c in zip(layers, self.columns, strict=True)
        )
        self.partial = np.empty(layer_partial + weight_partial * moments.VALUE_ROWS, dtype)
        self.places.append(layer_partial)
        record = np.concatenate([[0], np.cumsum([-(-n // moments.BLOCK) for n in widths[1:]])])
        units = np.concatenate([[0], np.cumsum(widths[1:])])
        self.record, self.units = record, units
        self.records = empty_records(int(record[-1]), moments.LAYER_RECORD)
        self.weight_records = empty_records(int(record[-1]), moments.RECORD)
        self.zeros = np.zeros(int(units[-1]), np.int64)
        self.hashes = np.zeros(int(units[-1]), np.uint64)
        self.histogram = np.zeros(depth * (bins + 3), np.int64)
        self.sources = [inputs]
        rows = []
        for index, layer in enumerate(layers):
            self.sources += [layer.weight, layer.bias or _NO_BIAS]
            rows.append(
                [
                    layer.n_in,
                    layer.n_out,
                    starts[index],
                    starts[index + 1],
                    slope_starts[index],
                    2 * index + 1,
                    2 * index + 2,
                    index * (bins + 3),
                    units[index],
                    record[index],
                ]
            )
        self.table = np.array(rows, np.int64)
        self.reals = np.array(
            [[n.parameter, *n.saturation, *n.range, bins / (n.range[1] - n.range[0])] for n in layers], dtype
        )
        self.numbers = np.array([source.numbers() for source in self.sources], np.int64)
        self.parameters = np.array([source.parameters for source in self.sources], dtype)

    def fitting(self, rows: int, columns: int) -> int:
        """Columns of a matrix of that shape drawn at a time."""
        fitting = WEIGHT_BUDGET // (rows * self.dtype.itemsize) // BLOCK_COLUMNS * BLOCK_COLUMNS
        return int(min(columns, max(BLOCK_COLUMNS, fitting)))

    def grow(self, elements: int) -> int:
        """Make room for `elements` more numbers; returns where."""
        at = self.memory.size
        self.memory.resize(at + elements, refcheck=False)
        return at

    def program(self, rows: int, first_pass: bool) -> Program:
        """The phases of a block of rows."""
        width, chunks = panel_width(self.dtype), -(-rows // CHUNK)
        program = Program()
        n_in = self.layers[0].n_in
        program.add(INPUT, 0, chunks * -(-n_in // BLOCK_COLUMNS), 0, n_in)
        for index, layer in enumerate(self.layers):
            for start in range(0, layer.n_out, self.columns[index]):
                stop = min(layer.n_out, start + self.columns[index])
                down, across = blocks(layer.n_in, stop - start)
                program.add(DRAW, index, down * across, start, stop)
                if start == 0:
                    program.add(BIAS, index, -(-layer.n_out // BLOCK_COLUMNS), 0, layer.n_out)
                program.barrier()
                program.add(MULTIPLY, index, chunks * -(-(stop - start) // width), start, stop)
                if first_pass:
                    program.add(MERGE_WEIGHTS, index, -(-(stop - start) // moments.BLOCK), start, stop)
                program.barrier()
            program.add(MERGE, index, -(-layer.n_out // moments.BLOCK), 0, layer.n_out)
        return program

    def work(self) -> int:
        """About how many elementary steps a layer takes on average: between two layers the threads must meet."""
        steps = [(n.n_in * (self.block_rows // 32 + 2) + 3 * self.block_rows) * n.n_out for n in self.layers]
        return sum(steps) // len(steps)

    def run(self, activation: str) -> None:
        """Run all blocks of rows."""
        addresses = [line_address(self.dtype.type), activation_address(activation, self.dtype.name)]
        for row in range(0, self.batch, self.block_rows):
            rows = min(self.block_rows, self.batch - row)
            program = self.program(rows, row == 0)
            sizes = np.array(
                [rows, row, self.padded_rows, self.bins, 0, int(row == 0), *self.places, *addresses], np.int64
            )
            bits = np.uint32 if self.dtype.itemsize == 4 else np.uint64
            forward_kernel(self.dtype.type)(
                program.tasks,
                self.work(),
                program.table(),
                np.zeros(1, np.int64),
                self.table,
                self.reals,
                sizes,
                self.numbers,
                self.parameters,
                self.memory,
                self.partial,
                self.partial.view(bits),
                self.histogram,
                self.records,
                self.weight_records,
                self.zeros,
                self.hashes,
            )

    def figures(self) -> dict[str, NDArray[Any]]:
        """The figures of DESIGN, one entry a layer."""
        depth = len(self.layers)
        records, weights = np.empty((depth, moments.LAYER_RECORD)), np.empty((depth, moments.RECORD))
        moments.combine(self.records, self.record, records)
        moments.combine(self.weight_records, self.record, weights)
        histogram = self.histogram.reshape(depth, -1)
        saturable = np.array([not np.isnan(layer.saturation[0]) for layer in self.layers])
        with np.errstate(all="ignore"):
            a_std, z_std, w_std = (std(table) for table in (records, records[:, moments.Z_RECORD :], weights))
            some, z_count = records[:, moments.COUNT], records[:, moments.Z_RECORD + moments.COUNT]
            z_mean = records[:, moments.Z_RECORD + moments.MEAN]
            elements = np.array([self.batch * layer.n_out for layer in self.layers])
            fan_in = np.array([layer.n_in for layer in self.layers])
            return {
                "mean": np.where(some > 0, records[:, moments.MEAN], np.nan),
                "std": a_std,
                "min": np.where(some > 0, records[:, moments.MINIMUM], np.nan),
                "max": np.where(some > 0, records[:, moments.MAXIMUM], np.nan),
                "preactivation_mean": np.where(z_count > 0, z_mean, np.nan),
                "preactivation_std": z_std,
                "q": z_std**2 + z_mean**2,
                "saturated": np.where(saturable, records[:, moments.SATURATED_COUNT] / some, np.nan),
                "zero": records[:, moments.ZEROS] / some,
                "dead": _by_layer(_dead, self.zeros == self.batch, self.units),
                "nonfinite": elements - some,
                "distinct": _by_layer(_distinct, self.hashes, self.units),
                "correlation": records[:, moments.PAIR_SUM] / records[:, moments.PAIR_SQUARE_SUM],
                "chi": records[:, moments.SLOPE_SUM] / z_count * fan_in * w_std**2,
                "weight_std": w_std,
                "histogram": histogram[:, :-3].copy(),
                "underflow": histogram[:, -1].copy(),
                "overflow": histogram[:, -3].copy(),
            }


def _by_layer(figure: Any, values: NDArray[Any], starts: NDArray[Any]) -> NDArray[Any]:
    """Apply `figure`, a function along the last axis, to each layer's part of `values`."""
    sizes = np.diff(starts)
    if (sizes == sizes[0]).all():
        return np.asarray(figure(values.reshape(len(sizes), -1)), np.float64)
    return np.array([figure(values[a:b]) for a, b in pairwise(starts)], np.float64)


def _dead(dead: NDArray[Any]) -> Any:
    return dead.mean(axis=-1)


def _distinct(hashes: NDArray[Any]) -> Any:
    ordered = np.sort(hashes, axis=-1)
    return 1 + np.count_nonzero(ordered[..., 1:] != ordered[..., :-1], axis=-1)


def std(records: NDArray[Any]) -> NDArray[Any]:
    """Return the standard deviations of records, NaN where nothing was counted."""
    count = records[:, moments.COUNT]
    return np.where(count > 0, np.sqrt(records[:, moments.M2] / count), np.nan)


def empty_records(n: int, length: int) -> NDArray[np.float64]:
    """Records of nothing."""
    records = np.zeros((n, length))
    for at in range(0, length - moments.RECORD + 1, moments.RECORD):
        records[:, at + moments.MINIMUM], records[:, at + moments.MAXIMUM] = np.inf, -np.inf
    return records.ravel()
