"""Statistics of a chunk of rows, column by column, and their merging in a fixed order.

Within a chunk each column has its own accumulators in the compute type, filled row by row, so the code is
elementwise (it vectorises as it stands) and the order of every sum is fixed. Values are first shifted by the middle
of the column's range and scaled by a power of two to at most 2 in size: a small deviation beside a large mean loses
nothing, and squares neither overflow nor vanish, whatever the scale of the signal. Chunks are merged in float64.

Only finite values count; the others are counted apart.
"""

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from .gemm import CHUNK
from .intrinsics import intrinsic
from .jit import inline, kernel
from .lanes import Lanes, Vectors, counting, data_pointer, lanes_of, panel_width

# Accumulators of a column in a chunk, one row of a panel each.
LOW, HIGH, BAD, ZERO, CENTRE, SCALE, SUM, SQUARES = range(8)
VALUE_ROWS = 8  # of one matrix; the forward pass has those of a, those of z, and the rest below
Z = VALUE_ROWS
HASH, SATURATED, SLOPE, SIZE, PAIR, PAIR_SQUARES = range(2 * VALUE_ROWS, 2 * VALUE_ROWS + 6)
LAYER_ROWS = 2 * VALUE_ROWS + 6

# A merged record, float64.
COUNT, MEAN, M2, MINIMUM, MAXIMUM, NONFINITE, ZEROS = range(7)
RECORD = 7
Z_RECORD = RECORD
(SATURATED_COUNT, SLOPE_SUM, PAIR_SUM, PAIR_SQUARE_SUM) = range(2 * RECORD, 2 * RECORD + 4)
LAYER_RECORD = 2 * RECORD + 4

# Columns merged into one record: a multiple of every panel width.
BLOCK = 64

_LAYOUT = {32: (0x7F800000, 23, 0x9E3779B1, 5), 64: (0x7FF << 52, 52, 0x9E3779B97F4A7C15, 29)}


class _Column:
    """The accumulators of one register of columns of one matrix.

    Each pass exists twice: a quick one for columns all finite, and a `careful` one that leaves out what is not, run
    when the quick one has met such a value. On finite columns both give the same bits.
    """

    def __init__(self, v: Vectors) -> None:
        self.v = v
        self.zero, self.one, self.half = v.number(0.0), v.number(1.0), v.number(0.5)
        self.low, self.high = v.variable(v.number(float("inf"))), v.variable(v.number(-float("inf")))
        self.bad, self.zeros = v.variable(self.zero), v.variable(self.zero)
        self.sum, self.squares = v.variable(self.zero), v.variable(self.zero)

    def look(self, x: Lanes, careful: bool) -> Lanes:
        """First pass: the range and the zeros, and what is not finite; returns x with that taken out."""
        low, high = self.low.get(), self.high.get()
        if careful:
            finite = x.finite()
            self.low.set(x.where(finite & (x < low), low))
            self.high.set(x.where(finite & (x > high), high))
            self.bad.set(self.bad.get().where(finite, self.bad.get() + self.one))
        else:
            self.low.set(x.where(x < low, low))
            self.high.set(x.where(x > high, high))
            self.bad.set(x.times_plus(self.zero, self.bad.get()))  # 0 as long as all are finite, else NaN
        return finite if careful else x

    def count_zeros(self, x: Lanes) -> None:
        self.zeros.set((self.zeros.get() + self.one).where(x.equals(self.zero), self.zeros.get()))

    def restart(self) -> None:
        """Before the careful first pass."""
        self.low.set(self.v.number(float("inf")))
        self.high.set(self.v.number(-float("inf")))
        self.bad.set(self.zero)
        self.zeros.set(self.zero)

    def aim(self) -> None:
        """Between the passes: the centre of the range, and the power of two that brings its half to [1, 2)."""
        low, high = self.low.get() * self.half, self.high.get() * self.half
        centre = low + high
        self.centre = centre.where(centre.finite(), self.zero)
        self.scale = inverse_power(self.v, (high - low).as_bits())

    def add(self, x: Lanes, careful: bool) -> None:
        """Second pass: the sums of the shifted and scaled values."""
        d = (x - self.centre) * self.scale
        if careful:
            d = d.where(x.finite(), self.zero)
        self.sum.set(self.sum.get() + d)
        self.squares.set(d.times_plus(d, self.squares.get()))

    def rows(self) -> list[Lanes]:
        return [
            self.low.get(),
            self.high.get(),
            self.bad.get(),
            self.zeros.get(),
            self.centre,
            self.scale,
            self.sum.get(),
            self.squares.get(),
        ]


def inverse_power(v: Vectors, bits: Lanes) -> Lanes:
    """2^-e of numbers in [2^e, 2^(e+1)), kept inside the normal range."""
    exponent, shift, _, _ = _LAYOUT[v.bits]
    biased = bits & v.pattern(exponent)
    top = v.pattern(((1 << (v.bits - 1 - shift)) - 3) << shift)
    biased = biased.where(biased < top, top)
    return (v.pattern(((1 << (v.bits - 1 - shift)) - 2) << shift) - biased).as_numbers()


@cache
def value_statistics(dtype: Any) -> Any:
    """`statistics(x, x_at, rows, registers, out, out_at)`: VALUE_ROWS figures of each column of a panel's rows."""
    lanes, width = lanes_of(dtype), panel_width(dtype)

    @intrinsic
    def statistics(typingctx: Any, x: Any, x_at: Any, rows: Any, registers: Any, out: Any, out_at: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, dtype, lanes)
            x_start = data_pointer(context, builder, signature.args[0], args[0], args[1])
            out_start = data_pointer(context, builder, signature.args[4], args[4], args[5])
            zero, row_length = ir.Constant(ir.IntType(64), 0), ir.Constant(ir.IntType(64), width)
            with counting(builder, zero, args[3]) as register:
                column = builder.mul(register, ir.Constant(ir.IntType(64), lanes))
                x_column, out_column = v.address(x_start, column), v.address(out_start, column)
                of_x = _Column(v)

                def look(careful: bool) -> None:
                    with counting(builder, zero, args[2]) as row:
                        x = v.load(v.address(x_column, builder.mul(row, row_length)))
                        of_x.look(x, careful)
                        of_x.count_zeros(x)

                def add(careful: bool) -> None:
                    with counting(builder, zero, args[2]) as row:
                        of_x.add(v.load(v.address(x_column, builder.mul(row, row_length))), careful)

                _two_passes(v, [of_x], look, add)
                for i, value in enumerate(of_x.rows()):
                    v.store(value, v.address(out_column, i * width))
            return context.get_dummy_value()

        i8 = types.int64
        return types.void(x, i8, i8, i8, out, i8), codegen

    return statistics


@cache
def layer_statistics(dtype: Any) -> Any:
    """`statistics(z, z_at, a, a_at, s, s_at, rows, registers, low, high, out, out_at)`: LAYER_ROWS figures a column.

    z: pre-activations, a: activations, s: slopes phi'(z), panels of the same shape; `rows` is even, rows come in
    pairs (2m, 2m + 1), and a missing partner is NaN. An activation is saturated outside [low, high].
    """
    lanes, width = lanes_of(dtype), panel_width(dtype)

    @intrinsic
    def statistics(
        typingctx: Any,
        z: Any,
        z_at: Any,
        a: Any,
        a_at: Any,
        s: Any,
        s_at: Any,
        rows: Any,
        registers: Any,
        low: Any,
        high: Any,
        out: Any,
        out_at: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, dtype, lanes)
            starts = [data_pointer(context, builder, signature.args[i], args[i], args[i + 1]) for i in (0, 2, 4, 10)]
            limits = v.broadcast(args[8]), v.broadcast(args[9])
            zero, row_length = ir.Constant(ir.IntType(64), 0), ir.Constant(ir.IntType(64), width)
            with counting(builder, zero, args[7]) as register:
                column = builder.mul(register, ir.Constant(ir.IntType(64), lanes))
                pointers = [v.address(start, column) for start in starts]
                _layer_column(v, zero, args[6], row_length, limits, width, *pointers)
            return context.get_dummy_value()

        i8, real = types.int64, types.float32 if np.dtype(dtype).itemsize == 4 else types.float64
        return types.void(z, i8, a, i8, s, i8, i8, i8, real, real, out, i8), codegen

    return statistics


def _two_passes(v: Vectors, matrices: list[_Column], look: Any, add: Any) -> None:
    """Run look(careful), aim, add(careful): careful only where something is not finite."""
    look(False)
    bad = matrices[0].bad.get()
    for other in matrices[1:]:
        bad = bad + other.bad.get()
    troubled = bad.differs_from_itself()
    with v.builder.if_then(troubled, likely=False):
        for matrix in matrices:
            matrix.restart()
        look(True)
    for matrix in matrices:
        matrix.aim()
    with v.builder.if_else(troubled, likely=False) as (then, otherwise):
        with then:
            add(True)
        with otherwise:
            add(False)


def _layer_column(
    v: Vectors,
    zero: Any,
    rows: Any,
    row_length: Any,
    limits: tuple[Lanes, Lanes],
    width: int,
    z: Any,
    a: Any,
    s: Any,
    out: Any,
) -> None:
    """One register of columns of a layer, rows from first to last, twice."""
    builder = v.builder
    _, _, factor, turn = _LAYOUT[v.bits]
    of_a, of_z = _Column(v), _Column(v)
    none, one, seed = v.number(0.0), v.number(1.0), v.pattern(1)
    hashes, saturated, slopes = v.variable(seed), v.variable(none), v.variable(none)
    pair, squares = v.variable(none), v.variable(none)

    def look(careful: bool) -> None:
        for variable, start in ((hashes, seed), (saturated, none), (slopes, none)):
            variable.set(start)
        with counting(builder, zero, rows) as row:
            at = builder.mul(row, row_length)
            x, y, slope = (v.load(v.address(start, at)) for start in (z, a, s))
            z_finite, a_finite = of_z.look(x, careful), of_a.look(y, careful)
            of_a.count_zeros(y)
            flat = (y < limits[0]) | (y > limits[1])
            if careful:
                flat = flat & a_finite
                slope = slope.where(z_finite, none)
            saturated.set((saturated.get() + one).where(flat, saturated.get()))
            slopes.set(slope.times_plus(slope, slopes.get()))
            # + 0 makes -0 and 0 one value; the order of the rows matters to the hash.
            hashes.set(hashes.get().rotated(turn) + (y + none).as_bits() * v.pattern(factor))

    def add(careful: bool) -> None:
        low, high = (bound.get().as_bits() & v.pattern((1 << (v.bits - 1)) - 1) for bound in (of_z.low, of_z.high))
        size = inverse_power(v, low.where(low > high, high))
        sizes.set(size)
        with counting(builder, zero, rows, 2) as row:
            both = []
            for r in (0, 1):
                at = builder.mul(builder.add(row, ir.Constant(ir.IntType(64), r)), row_length)
                x = v.load(v.address(z, at))
                of_z.add(x, careful)
                of_a.add(v.load(v.address(a, at)), careful)
                both.append(x)
            if careful:
                finite = both[0].finite() & both[1].finite()
                both = [x.where(finite, none) for x in both]
            x, y = (x * size for x in both)
            pair.set(x.times_plus(y, pair.get()))
            squares.set(x.times_plus(x, y.times_plus(y, squares.get())))

    sizes = v.variable(none)
    _two_passes(v, [of_a, of_z], look, add)
    rest = [hashes.get().as_numbers(), saturated.get(), slopes.get(), sizes.get(), pair.get(), squares.get()]
    for i, value in enumerate(of_a.rows() + of_z.rows() + rest):
        v.store(value, v.address(out, i * width))


@inline
def chan(record: Any, at: Any, count: Any, mean: Any, m2: Any) -> None:
    """Merge (count, mean, M2) into record[at: at + 3] (Chan, Golub, LeVeque 1979)."""
    if count > 0.0:
        total = record[at + COUNT] + count
        delta = mean - record[at + MEAN]
        record[at + M2] += m2 + delta * delta * (record[at + COUNT] * count / total)
        record[at + MEAN] += delta * (count / total)
        record[at + COUNT] = total


# Sums of a block's columns that `merge_columns` leaves, a panel row of float64 each.
_SUMS = 11


@cache
def merge_columns(dtype: Any) -> Any:
    """`merge(partial, at, step, chunks, last_rows, first, mean, figures, work)`: all chunks of a panel's columns.

    Chunk c stands at at + c * step; the last one has `last_rows` rows. Writes to `work`, for each column: the count
    and the sum of x - first, the least and the largest, the bad and the zeros, and the sum of (x - mean)^2; with
    `figures`, the column starts a layer's record and further sums are those of SATURATED, SLOPE, PAIR and
    PAIR_SQUARES. Called twice: for the mean, then for the squares around it.
    """
    lanes, width = lanes_of(dtype), panel_width(dtype)

    @intrinsic
    def merge(
        typingctx: Any,
        partial: Any,
        at: Any,
        step: Any,
        chunks: Any,
        last_rows: Any,
        first: Any,
        mean: Any,
        figures: Any,
        work: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v, d = Vectors(builder, dtype, lanes), Vectors(builder, np.float64, lanes)
            partial_start = data_pointer(context, builder, signature.args[0], args[0], args[1])
            zero, one = ir.Constant(ir.IntType(64), 0), ir.Constant(ir.IntType(64), 1)
            work_start = data_pointer(context, builder, signature.args[8], args[8], zero)
            offset, middle = d.broadcast(args[5]), d.broadcast(args[6])
            last_chunk = builder.sub(args[3], one)
            for register in range(width // lanes):
                start = v.address(partial_start, register * lanes)
                sums = [d.variable(d.number(0.0)) for _ in range(_SUMS)]
                sums[2].set(d.number(float("inf")))
                sums[3].set(d.number(-float("inf")))
                with counting(builder, zero, args[3]) as c:
                    here = v.address(start, builder.mul(c, args[2]))

                    def figure(row: int, here: Any = here) -> Lanes:
                        return v.load(v.address(here, row * width)).widened(d)

                    whole = ir.Constant(ir.DoubleType(), CHUNK)
                    last = builder.sitofp(args[4], ir.DoubleType())
                    rows = builder.select(builder.icmp_signed("==", c, last_chunk), last, whole)
                    unit = d.number(1.0) / figure(SCALE)
                    count, centre, shifted = d.broadcast(rows) - figure(BAD), figure(CENTRE), figure(SUM) * unit
                    low, high, off = figure(LOW), figure(HIGH), centre - middle
                    terms = {
                        0: count,
                        1: count * (centre - offset) + shifted,
                        4: figure(BAD),
                        5: figure(ZERO),
                        6: unit * unit * figure(SQUARES) + (off + off) * shifted + count * off * off,
                    }
                    for i, term in terms.items():
                        sums[i].set(sums[i].get() + term)
                    sums[2].set(low.where(low < sums[2].get(), sums[2].get()))
                    sums[3].set(high.where(high > sums[3].get(), sums[3].get()))
                with builder.if_then(builder.trunc(args[7], ir.IntType(1))), counting(builder, zero, args[3]) as c:
                    here = v.address(start, builder.mul(c, args[2]))
                    unit = d.number(1.0) / figure(SIZE, here)
                    terms = {
                        7: figure(SATURATED, here),
                        8: figure(SLOPE, here),
                        9: unit * unit * figure(PAIR, here),
                        10: unit * unit * figure(PAIR_SQUARES, here) * d.number(0.5),
                    }
                    for i, term in terms.items():
                        sums[i].set(sums[i].get() + term)
                for i, variable in enumerate(sums):
                    d.store(variable.get(), d.address(work_start, i * width + register * lanes))
            return context.get_dummy_value()

        i8, f8 = types.int64, types.float64
        return types.void(partial, i8, i8, i8, i8, f8, f8, i8, work), codegen

    return merge


@cache
def merge_block(dtype: Any) -> Any:
    """`merge(partial, at, panel_step, step, chunks, columns, rows, padding, figures, work, record, to)`.

    Merge a block of at most BLOCK columns, all their chunks, into the record that starts at `to`. Chunk c of a panel
    stands at at + panel * panel_step + c * step; there are `rows` rows and `padding` NaN rows that do not count.
    """
    width = np.int64(panel_width(dtype))
    columns_of_panel = merge_columns(dtype)

    @inline
    def merge(
        partial: Any,
        at: Any,
        panel_step: Any,
        step: Any,
        chunks: Any,
        columns: Any,
        rows: Any,
        padding: Any,
        figures: Any,
        work: Any,
        record: Any,
        to: Any,
    ) -> None:
        first = np.float64(partial[at + CENTRE * width])
        last_rows = rows - (chunks - 1) * CHUNK + padding
        count = total = mean = m2 = 0.0
        for sweep in range(2):
            for panel in range((columns + width - 1) // width):
                columns_of_panel(partial, at + panel * panel_step, step, chunks, last_rows, first, mean, figures, work)
                for j in range(min(width, columns - panel * width)):
                    if sweep == 0:
                        count += work[j]
                        total += work[width + j]
                        low, high = work[2 * width + j], work[3 * width + j]
                        if low < record[to + MINIMUM]:
                            record[to + MINIMUM] = low
                        if high > record[to + MAXIMUM]:
                            record[to + MAXIMUM] = high
                        record[to + NONFINITE] += work[4 * width + j] - np.float64(padding)
                        record[to + ZEROS] += work[5 * width + j]
                        if figures:
                            for k in range(4):
                                record[to + SATURATED_COUNT + k] += work[(7 + k) * width + j]
                    else:
                        m2 += work[6 * width + j]
            mean = first + total / count if count > 0.0 else 0.0
        if m2 < 0.0:
            m2 = 0.0
        chan(record, to, count, mean, m2)

    return merge


@cache
def merge_units(dtype: Any) -> Any:
    """`merge(partial, patterns, at, panel_step, step, chunks, columns, zeros, hashes, unit)`: what identifies a unit.

    zeros[unit] (int64) counts the zeros of a column, hashes[unit] (uint64) is a hash of its bits in order.
    `patterns` is `partial` seen as bits.
    """
    width = np.int64(panel_width(dtype))

    @inline
    def merge(
        partial: Any,
        patterns: Any,
        at: Any,
        panel_step: Any,
        step: Any,
        chunks: Any,
        columns: Any,
        zeros: Any,
        hashes: Any,
        unit: Any,
    ) -> None:
        for j in range(columns):
            column = at + (j // width) * panel_step + j % width
            count, mixed = np.int64(0), hashes[unit + j]
            for c in range(chunks):
                p = column + c * step
                count += np.int64(partial[p + ZERO * width])
                # The sum sets columns apart that a 32-bit hash might confuse.
                bits = np.uint64(patterns[p + HASH * width]) ^ (np.uint64(patterns[p + SUM * width]) << np.uint64(32))
                mixed = (mixed ^ bits) * np.uint64(0x9E3779B97F4A7C15)
                mixed ^= mixed >> np.uint64(29)
            zeros[unit + j] += count
            hashes[unit + j] = mixed

    return merge


@kernel("moments.combine")
def combine(records: Any, starts: Any, out: Any) -> None:
    """Merge, for each row i of `out`, the records starts[i] … starts[i + 1] - 1, in order."""
    length = out.shape[1]
    for i in range(len(out)):
        row = out[i]
        row[:] = 0.0
        for at in range(0, length - RECORD + 1, RECORD):
            row[at + MINIMUM], row[at + MAXIMUM] = np.inf, -np.inf
        for start in range(starts[i] * length, starts[i + 1] * length, length):
            for at in range(0, length - RECORD + 1, RECORD):
                p = start + at
                chan(row, at, records[p + COUNT], records[p + MEAN], records[p + M2])
                row[at + MINIMUM] = min(row[at + MINIMUM], records[p + MINIMUM])
                row[at + MAXIMUM] = max(row[at + MAXIMUM], records[p + MAXIMUM])
                row[at + NONFINITE] += records[p + NONFINITE]
                row[at + ZEROS] += records[p + ZEROS]
            for at in range(length - length % RECORD, length):
                row[at] += records[start + at]
