"""The deep forward probe: draw, multiply, activate and measure, layer after layer, in one launch.

    z_l = a_{l-1} W_l + b_l,    a_l = phi(z_l)

Two groups of tasks a layer. First W_l's columns, as many as a fixed budget of memory holds, are drawn from the
counters into panels, while the statistics of layer l - 1 are merged. Then each chunk of rows meets each panel: the
product is formed in registers, the activation applied and every figure taken while the tile is in L1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import moments, schedule, sources
from .gemm import CHUNK, multiply_function
from .jit import Tiled, inline
from .lanes import lanes_of, panel_width
from .schedule import Program, add_atomically, enter, leave
from .sources import BLOCK_COLUMNS, Source, blocks, pack_function, scratch_size

# Bytes of drawn weights that exist at a time.
WEIGHT_BUDGET = 1 << 24

# Rows of a buffer come in multiples of this, so that every tile fits in whole.
ROW_MULTIPLE = 24

INPUT, DRAW, BIAS, MULTIPLY, MERGE = range(5)

# Columns of the table of layers.
N_IN, N_OUT, A_IN, A_OUT, SLOPES, WEIGHT, BIAS_SOURCE, HISTOGRAM, UNIT, RECORD, WEIGHT_RECORD = range(11)
LAYER_COLUMNS = 11

# Columns of the table of a layer's real numbers: phi's parameter, saturation limits, the histogram's range and bins
# a unit.
PARAMETER, LOW, HIGH, FROM, TO, BINS_A_UNIT = range(6)

# The sizes of a launch.
ROWS, ROW, PADDED_ROWS, BINS, INPUT_SOURCE, FIRST_PASS = range(6)


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


@cache
def histogram_function(dtype: Any) -> Any:
    """`count(a, at, rows, columns, low, high, bins_a_unit, bins, places, counts, histogram, to)`.

    Adds the elements of a panel's rows to histogram[to:]: underflow, `bins` equal bins over [low, high], overflow,
    and what is not finite.
    """
    width = np.uint64(panel_width(dtype))
    zero = np.dtype(dtype).type(0)

    @inline
    def count(a: Any, at: Any, rows: Any, columns: Any, low: Any, high: Any, bins_a_unit: Any, bins: Any, places: Any,
              counts: Any, histogram: Any, to: Any) -> None:
        last, stride = np.int32(bins), np.uint64(bins + 3)
        start = np.uint64(at)
        for i in range(np.uint64(rows) * width):
            x = a[start + i]
            position = (x - low) * bins_a_unit
            # Conversion of what no integer holds is undefined, so first the figure is made tame.
            tame = moments.select((x > low) & (x < high), position, zero)
            bin_ = np.int32(tame) + np.int32(1)
            bin_ = moments.select(bin_ > last, last, bin_)
            bin_ = moments.select(x == high, last, bin_)
            bin_ = moments.select(x > high, np.int32(last + np.int32(1)), bin_)
            bin_ = moments.select(x < low, np.int32(0), bin_)
            places[i] = moments.select(x - x == zero, bin_, np.int32(last + np.int32(2)))
        # Four histograms, so that equal neighbours do not wait for each other's stores.
        for i in range(np.uint64(4) * stride):
            counts[i] = np.int32(0)
        fours = np.uint64(columns) // np.uint64(4)
        for r in range(np.uint64(rows)):
            i = r * width
            for _ in range(fours):
                counts[np.uint64(places[i])] += np.int32(1)
                counts[stride + np.uint64(places[i + np.uint64(1)])] += np.int32(1)
                counts[np.uint64(2) * stride + np.uint64(places[i + np.uint64(2)])] += np.int32(1)
                counts[np.uint64(3) * stride + np.uint64(places[i + np.uint64(3)])] += np.int32(1)
                i += np.uint64(4)
            while i < r * width + np.uint64(columns):
                counts[np.uint64(places[i])] += np.int32(1)
                i += np.uint64(1)
        for k in range(stride):
            n = counts[k] + counts[stride + k] + counts[np.uint64(2) * stride + k] + counts[np.uint64(3) * stride + k]
            if n > 0:
                add_atomically(histogram, to + np.int64(k), np.int64(n))

    return count


@cache
def draw_function(dtype: Any) -> Any:
    """`draw(t, n, k, start, stop, …)`: block t of the columns [start, stop) of a matrix (k, n), with its statistics."""
    width = np.int64(panel_width(dtype))
    real = np.dtype(dtype).type
    pack, statistics, merge = pack_function(dtype), moments.value_statistics(dtype), moments.merge_values(dtype)
    across_a_record = np.int64(moments.BLOCK)
    most = np.int64(BLOCK_COLUMNS)

    @inline
    def draw(t: Any, numbers: Any, parameters: Any, s: Any, n: Any, k: Any, start: Any, stop: Any, out: Any,
             panel_step: Any, records: Any, first_record: Any, measure: Any) -> None:
        across = (stop - start + most - 1) // most
        down = t // across
        left = start + (t - down * across) * most
        right = min(stop, left + most)
        row = down * CHUNK
        rows = min(CHUNK, k - row)
        scratch = np.empty(4096, real)
        to = (left - start) // width * panel_step + row * width
        pack(numbers, parameters, s, n, row, rows, left, right, out, to, panel_step, scratch)
        if measure:
            panels = (right - left + width - 1) // width
            step = moments.VALUE_ROWS * width
            partial = np.empty(panels * step, real)
            work = np.empty(6 * width, np.float64)
            for panel in range(panels):
                statistics(out, to + panel * panel_step, rows, 2, partial, panel * step)
            for block in range(0, right - left, across_a_record):
                record = first_record + down * ((n + across_a_record - 1) // across_a_record) \
                    + (left + block) // across_a_record
                merge(partial, block // width * step, step, np.int64(0), np.int64(1),
                      min(across_a_record, right - left - block), rows, np.int64(0), work, records,
                      record * moments.RECORD)

    return draw


@cache
def forward_kernel(name: str, dtype: Any) -> Tiled:
    """The kernel of an activation."""
    return make_kernel(f"forward-{name}-{np.dtype(dtype).name}", dtype, activation(name, dtype))


def make_kernel(name: str | None, dtype: Any, both: Any) -> Tiled:
    """Compile the forward pass around `both(z, p) -> (phi(z), phi'(z))`."""
    width, lanes = np.int64(panel_width(dtype)), lanes_of(dtype)
    real = np.dtype(dtype).type
    nan = real(np.nan)
    multiply, measure = multiply_function(dtype), moments.layer_statistics(dtype)
    count, draw, pack = histogram_function(dtype), draw_function(dtype), pack_function(dtype)
    merge = moments.merge_layer(dtype)
    figures = np.int64(moments.LAYER_ROWS)
    record_length = np.int64(moments.LAYER_RECORD)
    block_columns = np.int64(moments.BLOCK)
    chunk_elements = np.uint64(CHUNK) * np.uint64(width)

    @inline
    def layer(t: Any, layers: Any, l: Any, reals: Any, start: Any, stop: Any, sizes: Any, acts: Any, slopes: Any,
              weights: Any, bias: Any, partial: Any, histogram: Any) -> None:
        n_in, n_out = layers[l, N_IN], layers[l, N_OUT]
        across = (stop - start + width - 1) // width
        chunk = t // across
        panel = t - chunk * across
        column = start + panel * width
        columns = min(width, n_out - column)
        rows = min(CHUNK, sizes[ROWS] - chunk * CHUNK)
        step = sizes[PADDED_ROWS] * width
        z = np.empty(CHUNK * width, real)
        s = np.empty(CHUNK * width, real)
        for r in range(np.uint64(rows)):
            for j in range(np.uint64(width)):
                z[r * np.uint64(width) + j] = bias[np.uint64(column) + j]
        row_at = chunk * CHUNK * width
        multiply(acts, layers[l, A_IN] + row_at, step, rows, n_in, weights, panel * n_in * width, columns, z, 0)
        even = rows + (rows & 1)
        if even > rows:
            for j in range(np.uint64(width)):
                z[np.uint64(rows * width) + j] = nan
        p = reals[l, PARAMETER]
        a_at = layers[l, A_OUT] + column // width * step + row_at
        for i in range(np.uint64(even * width)):
            phi, slope = both(z[i], p)
            acts[np.uint64(a_at) + i] = phi
            s[i] = slope
        if layers[l, SLOPES] >= 0:
            s_at = np.uint64(layers[l, SLOPES] + column // width * step + row_at)
            for i in range(np.uint64(even * width)):
                slopes[s_at + i] = s[i]
        whole = (n_out + width - 1) // width
        to = (chunk * whole + column // width) * figures * width
        registers = 2 if columns > lanes else 1
        measure(z, 0, acts, a_at, s, 0, even, registers, reals[l, LOW], reals[l, HIGH], partial, to)
        bins = sizes[BINS]
        places = np.empty(CHUNK * width, np.int32)
        counts = np.empty(4 * (bins + 3), np.int32)
        count(acts, a_at, rows, columns, reals[l, FROM], reals[l, TO], reals[l, BINS_A_UNIT], bins, places, counts,
              histogram, layers[l, HISTOGRAM])

    @inline
    def task(t: Any, phases: Any, done: Any, layers: Any, reals: Any, sizes: Any, numbers: Any, parameters: Any,
             acts: Any, slopes: Any, weights: Any, bias: Any, partial: Any, patterns: Any, histogram: Any,
             records: Any, weight_records: Any, zeros: Any, hashes: Any) -> None:
        phase = enter(t, phases, done)
        kind, l = phases[phase, schedule.KIND], phases[phase, schedule.LAYER]
        start, stop = phases[phase, schedule.START], phases[phase, schedule.STOP]
        t -= phases[phase, schedule.FIRST]
        n_in, n_out = layers[l, N_IN], layers[l, N_OUT]
        rows = sizes[ROWS]
        if kind == MULTIPLY:
            layer(t, layers, l, reals, start, stop, sizes, acts, slopes, weights, bias, partial, histogram)
        elif kind == DRAW:
            draw(t, numbers, parameters, layers[l, WEIGHT], n_out, n_in, start, stop, weights, n_in * width,
                 weight_records, layers[l, WEIGHT_RECORD], sizes[FIRST_PASS] == 1)
        elif kind == MERGE:
            block = t * block_columns
            across = (n_out + width - 1) // width
            step = figures * width
            work = np.empty(6 * width, np.float64)
            merge(partial, patterns, block // width * step, step, across * step, (rows + CHUNK - 1) // CHUNK,
                  min(block_columns, n_out - block), rows, rows & 1, work, records,
                  (layers[l, RECORD] + t) * record_length, zeros, hashes, layers[l, UNIT] + block)
        else:
            scratch = np.empty(4096, real)
            if kind == BIAS:
                left = t * BLOCK_COLUMNS
                pack(numbers, parameters, layers[l, BIAS_SOURCE], n_out, 0, 1, left, min(n_out, left + BLOCK_COLUMNS),
                     bias, left, width, scratch)
            else:
                across = (n_in + BLOCK_COLUMNS - 1) // BLOCK_COLUMNS
                chunk = t // across
                left = (t - chunk * across) * BLOCK_COLUMNS
                step = sizes[PADDED_ROWS] * width
                pack(numbers, parameters, sizes[INPUT_SOURCE], n_in, sizes[ROW] + chunk * CHUNK,
                     min(CHUNK, rows - chunk * CHUNK), left, min(n_in, left + BLOCK_COLUMNS), acts,
                     layers[l, A_IN] + left // width * step + chunk * CHUNK * width, step, scratch)
        leave(done)

    return Tiled(name, task)


def activation(name: str, dtype: Any) -> Any:
    """Stand-in until the table of activations is there."""
    real = np.dtype(dtype).type
    zero, one = real(0), real(1)

    @inline
    def relu(z: Any, p: Any) -> Any:
        on = z > zero
        return moments.select(on, z, z * zero), moments.select(on, one, zero)

    @inline
    def linear(z: Any, p: Any) -> Any:
        return z, one

    return {"relu": relu, "linear": linear}[name]


def _padded(columns: int, width: int) -> int:
    return -(-columns // width) * width


class Plan:
    """The buffers, tables and phases of a forward pass over blocks of rows."""

    def __init__(self, layers: Sequence[Layer], inputs: Source, batch: int, bins: int, dtype: Any, *,
                 keep: bool = False, block_rows: int | None = None) -> None:
        self.layers, self.batch, self.bins, self.dtype = layers, batch, bins, np.dtype(dtype)
        width, depth = panel_width(dtype), len(layers)
        self.block_rows = min(batch, block_rows or batch)
        self.padded_rows = -(-self.block_rows // ROW_MULTIPLE) * ROW_MULTIPLE
        widths = [layers[0].n_in] + [layer.n_out for layer in layers]
        padded = [_padded(n, width) for n in widths]
        # Forward only, two buffers take turns; with a backward pass every layer's values stay.
        sizes = np.array(padded) * self.padded_rows
        starts = np.concatenate([[0], np.cumsum(sizes)]) if keep else np.arange(depth + 2) % 2 * int(sizes.max())
        self.acts = np.zeros(int(sizes.sum() if keep else 2 * sizes.max()), dtype)
        slope_starts = starts[1:] - starts[1] if keep else np.full(depth + 1, -1)
        self.slopes = np.zeros(int(sizes[1:].sum()) if keep else 1, dtype)
        columns = [self._budget(layer) for layer in layers]
        self.columns = columns
        self.weights = np.empty(max(n.n_in * _padded(c, width) for n, c in zip(layers, columns, strict=True)), dtype)
        self.bias = np.zeros(max(_padded(n.n_out, BLOCK_COLUMNS) for n in layers), dtype)
        self.chunks = -(-self.block_rows // CHUNK)
        self.partial = np.empty(self.chunks * max(padded[1:]) * moments.LAYER_ROWS, dtype)
        record = np.concatenate([[0], np.cumsum([-(-n // moments.BLOCK) for n in widths[1:]])])
        weight_record = np.concatenate([[0], np.cumsum([
            -(-layer.n_in // CHUNK) * -(-layer.n_out // moments.BLOCK) for layer in layers])])
        units = np.concatenate([[0], np.cumsum(widths[1:])])
        self.record, self.weight_record, self.units = record, weight_record, units
        self.records = empty_records(int(record[-1]), moments.LAYER_RECORD)
        self.weight_records = empty_records(int(weight_record[-1]), moments.RECORD)
        self.zeros = np.zeros(int(units[-1]), np.int64)
        self.hashes = np.zeros(int(units[-1]), np.uint64)
        self.histogram = np.zeros(depth * (bins + 3), np.int64)
        self.sources = [inputs]
        rows = []
        for l, layer in enumerate(layers):
            self.sources += [layer.weight, layer.bias or Source.constant(0.0)]
            rows.append([layer.n_in, layer.n_out, starts[l], starts[l + 1], slope_starts[l], 2 * l + 1, 2 * l + 2,
                         l * (bins + 3), units[l], record[l], weight_record[l]])
        self.table = np.array(rows, np.int64)
        self.reals = np.array([[n.parameter, *n.saturation, *n.range, bins / (n.range[1] - n.range[0])]
                               for n in layers], dtype)
        self.numbers = np.array([source.numbers() for source in self.sources], np.int64)
        self.parameters = np.array([source.parameters for source in self.sources], dtype)

    def _budget(self, layer: Layer) -> int:
        """Columns of W drawn at a time."""
        fitting = WEIGHT_BUDGET // (layer.n_in * self.dtype.itemsize) // BLOCK_COLUMNS * BLOCK_COLUMNS
        return min(layer.n_out, max(BLOCK_COLUMNS, fitting))

    def program(self, rows: int) -> Program:
        """The phases of a block of rows."""
        width, chunks = panel_width(self.dtype), -(-rows // CHUNK)
        program = Program()
        program.add(INPUT, 0, chunks * -(-self.layers[0].n_in // BLOCK_COLUMNS))
        for l, layer in enumerate(self.layers):
            for start in range(0, layer.n_out, self.columns[l]):
                stop = min(layer.n_out, start + self.columns[l])
                down, across = blocks(layer.n_in, stop - start)
                program.add(DRAW, l, down * across, start, stop)
                if start == 0:
                    program.add(BIAS, l, -(-layer.n_out // BLOCK_COLUMNS))
                program.barrier()
                program.add(MULTIPLY, l, chunks * -(-(stop - start) // width), start, stop)
                program.barrier()
            program.add(MERGE, l, -(-layer.n_out // moments.BLOCK))
        return program

    def work(self) -> int:
        """About how many elementary steps the pass takes."""
        return sum(layer.n_in * layer.n_out * (self.block_rows // 8 + 8) for layer in self.layers)

    def run(self, kernel: Tiled) -> None:
        """Run all blocks of rows."""
        for row in range(0, self.batch, self.block_rows):
            rows = min(self.block_rows, self.batch - row)
            program = self.program(rows)
            sizes = np.array([rows, row, self.padded_rows, self.bins, 0, int(row == 0)], np.int64)
            bits = np.uint32 if self.dtype.itemsize == 4 else np.uint64
            kernel(program.tasks, self.work(), program.table(), np.zeros(1, np.int64), self.table, self.reals, sizes,
                   self.numbers, self.parameters, self.acts, self.slopes, self.weights, self.bias, self.partial,
                   self.partial.view(bits), self.histogram, self.records, self.weight_records, self.zeros,
                   self.hashes)

    def figures(self) -> dict[str, NDArray[Any]]:
        """The figures of DESIGN, one entry a layer."""
        depth = len(self.layers)
        records, weights = np.empty((depth, moments.LAYER_RECORD)), np.empty((depth, moments.RECORD))
        by_block = self.records.reshape(-1, moments.LAYER_RECORD)
        by_weight_block = self.weight_records.reshape(-1, moments.RECORD)
        for l in range(depth):
            moments.combine(by_block, self.record[l], self.record[l + 1], records[l])
            moments.combine(by_weight_block, self.weight_record[l], self.weight_record[l + 1], weights[l])
        units = list(zip(self.units[:-1], self.units[1:], strict=True))
        histogram = self.histogram.reshape(depth, -1)
        saturable = np.array([not np.isnan(layer.saturation[0]) for layer in self.layers])
        with np.errstate(all="ignore"):
            std, z_std, w_std = (_std(table) for table in (records, records[:, moments.Z_RECORD:], weights))
            some, z_count = records[:, moments.COUNT], records[:, moments.Z_RECORD + moments.COUNT]
            z_mean = records[:, moments.Z_RECORD + moments.MEAN]
            elements = np.array([self.batch * layer.n_out for layer in self.layers])
            fan_in = np.array([layer.n_in for layer in self.layers])
            return {
                "mean": np.where(some > 0, records[:, moments.MEAN], np.nan),
                "std": std,
                "min": np.where(some > 0, records[:, moments.MINIMUM], np.nan),
                "max": np.where(some > 0, records[:, moments.MAXIMUM], np.nan),
                "preactivation_mean": np.where(z_count > 0, z_mean, np.nan),
                "preactivation_std": z_std,
                "q": z_std**2 + z_mean**2,
                "saturated": np.where(saturable, records[:, moments.SATURATED_COUNT] / some, np.nan),
                "zero": records[:, moments.ZEROS] / some,
                "dead": np.array([np.mean(self.zeros[a:b] == self.batch) for a, b in units]),
                "nonfinite": elements - some,
                "distinct": np.array([len(np.unique(self.hashes[a:b])) for a, b in units], np.float64),
                "correlation": records[:, moments.PAIR_SUM] / records[:, moments.PAIR_SQUARE_SUM],
                "chi": records[:, moments.SLOPE_SUM] / z_count * fan_in * w_std**2,
                "weight_std": w_std,
                "histogram": histogram[:, 1:-2].copy(),
                "underflow": histogram[:, 0].copy(),
                "overflow": histogram[:, -2].copy(),
            }


def _std(records: NDArray[Any]) -> NDArray[Any]:
    count = records[:, moments.COUNT]
    return np.where(count > 0, np.sqrt(records[:, moments.M2] / count), np.nan)


def empty_records(n: int, length: int) -> NDArray[np.float64]:
    """Records of nothing."""
    records = np.zeros((n, length))
    for at in range(0, length - moments.RECORD + 1, moments.RECORD):
        records[:, at + moments.MINIMUM], records[:, at + moments.MAXIMUM] = np.inf, -np.inf
    return records.ravel()
