"""Statistics of a chunk of rows, column by column.

Within a chunk each column has its own accumulators in the compute type, filled row by row, so the code is
elementwise (it vectorises as it stands) and the order of every sum is fixed. Values are first shifted by the middle
of the column's range and scaled by a power of two to at most 2 in size: a small deviation beside a large mean loses
nothing, and squares neither overflow nor vanish, whatever the scale of the signal. `merging` puts the chunks together.

Only finite values count; the others are counted apart.
"""

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from .intrinsics import intrinsic
from .lanes import Lanes, Vectors, counting, data_pointer, lanes_of, panel_width

# Accumulators of a column in a chunk, one row of a panel each.
LOW, HIGH, BAD, ZERO, CENTRE, SCALE, SUM, SQUARES = range(8)
VALUE_ROWS = 8  # of one matrix; the forward pass has those of a, those of z, and the rest below
# Of a matrix whose columns are told apart: weights and their gradients.
MARK, MARKED_ROWS = VALUE_ROWS, VALUE_ROWS + 1
Z = VALUE_ROWS
HASH, SATURATED, SLOPE, SIZE, PAIR, PAIR_SQUARES = range(2 * VALUE_ROWS, 2 * VALUE_ROWS + 6)
LAYER_ROWS = 2 * VALUE_ROWS + 6

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


class _Mark:
    """A hash of each column's bits, the rows in their order; -0 counts as 0.

    Each row has an odd multiplier of its own: after as many rows as there are bits, rotations begin anew. And the upper
    half of a number goes into its lower one: that of 1 is empty, of which a product would have nine bits.
    """

    def __init__(self, v: Vectors) -> None:
        self.seed, self.zero, self.half = v.pattern(1), v.number(0.0), v.bits // 2
        _, _, factor, self.turn = _LAYOUT[v.bits]
        self.first, self.step = v.pattern(factor), v.pattern(factor - 1)
        self.hash, self.factor = v.variable(self.seed), v.variable(self.first)

    def restart(self) -> None:
        self.hash.set(self.seed)
        self.factor.set(self.first)

    def take(self, x: Lanes) -> None:
        bits, factor = (x + self.zero).as_bits(), self.factor.get()
        self.hash.set(self.hash.get().rotated(self.turn) + (bits ^ bits.shifted(self.half)) * factor)
        self.factor.set(factor + self.step)

    def row(self) -> Lanes:
        return self.hash.get().as_numbers()


def inverse_power(v: Vectors, bits: Lanes) -> Lanes:
    """2^-e of numbers in [2^e, 2^(e+1)), kept inside the normal range."""
    exponent, shift, _, _ = _LAYOUT[v.bits]
    biased = bits & v.pattern(exponent)
    top = v.pattern(((1 << (v.bits - 1 - shift)) - 3) << shift)
    biased = biased.where(biased < top, top)
    return (v.pattern(((1 << (v.bits - 1 - shift)) - 2) << shift) - biased).as_numbers()


@cache
def value_statistics(dtype: Any, marked: bool = False) -> Any:
    """`statistics(x, x_at, rows, registers, out, out_at)`: VALUE_ROWS figures of each column of a panel's rows.

    `marked`: MARKED_ROWS of them, the last a hash of the column's bits in order.
    """
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
                of_x, mark = _Column(v), _Mark(v)

                def look(careful: bool) -> None:
                    mark.restart()
                    with counting(builder, zero, args[2]) as row:
                        x = v.load(v.address(x_column, builder.mul(row, row_length)))
                        of_x.look(x, careful)
                        of_x.count_zeros(x)
                        if marked:
                            mark.take(x)

                def add(careful: bool) -> None:
                    with counting(builder, zero, args[2]) as row:
                        of_x.add(v.load(v.address(x_column, builder.mul(row, row_length))), careful)

                _two_passes(v, [of_x], look, add)
                for i, value in enumerate(of_x.rows() + [mark.row()] * marked):
                    v.store(value, v.address(out_column, i * width))
            return context.get_dummy_value()

        i8 = types.int64
        return types.void(x, i8, i8, i8, out, i8), codegen

    return statistics


@cache
def layer_statistics(dtype: Any) -> Any:
    """`statistics(z, a, a_at, f, s, rows, registers, low, high, out, out_at)`: LAYER_ROWS figures a column.

    z: pre-activations, a: activations, f: phi(z), which is a unless there is a skip, s: slopes phi'(z), panels of the
    same shape, all but a as pointers; `rows` is even, rows come in pairs (2m, 2m + 1), and a missing partner is NaN.
    What of f lies outside [low, high] is saturated.
    """
    lanes, width = lanes_of(dtype), panel_width(dtype)

    @intrinsic
    def statistics(
        typingctx: Any,
        z: Any,
        a: Any,
        a_at: Any,
        f: Any,
        s: Any,
        rows: Any,
        registers: Any,
        low: Any,
        high: Any,
        out: Any,
        out_at: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, dtype, lanes)
            a_start = data_pointer(context, builder, signature.args[1], args[1], args[2])
            out_start = data_pointer(context, builder, signature.args[9], args[9], args[10])
            starts = args[0], a_start, args[3], args[4], out_start
            limits = v.broadcast(args[7]), v.broadcast(args[8])
            zero, row_length = ir.Constant(ir.IntType(64), 0), ir.Constant(ir.IntType(64), width)
            with counting(builder, zero, args[6]) as register:
                column = builder.mul(register, ir.Constant(ir.IntType(64), lanes))
                pointers = [v.address(start, column) for start in starts]
                _layer_column(v, zero, args[5], row_length, limits, width, *pointers)
            return context.get_dummy_value()

        i8, real = types.int64, types.float32 if np.dtype(dtype).itemsize == 4 else types.float64
        return types.void(z, a, i8, f, s, i8, i8, real, real, out, i8), codegen

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
    f: Any,
    s: Any,
    out: Any,
) -> None:
    """One register of columns of a layer, rows from first to last, twice."""
    builder = v.builder
    of_a, of_z, mark = _Column(v), _Column(v), _Mark(v)
    none, one = v.number(0.0), v.number(1.0)
    saturated, slopes = v.variable(none), v.variable(none)
    pair, squares = v.variable(none), v.variable(none)

    def look(careful: bool) -> None:
        mark.restart()
        for variable in (saturated, slopes):
            variable.set(none)
        with counting(builder, zero, rows) as row:
            at = builder.mul(row, row_length)
            x, y, branch, slope = (v.load(v.address(start, at)) for start in (z, a, f, s))
            z_finite, _ = of_z.look(x, careful), of_a.look(y, careful)
            of_a.count_zeros(y)
            flat = (branch < limits[0]) | (branch > limits[1])
            if careful:
                flat = flat & branch.finite()
                slope = slope.where(z_finite, none)
            saturated.set((saturated.get() + one).where(flat, saturated.get()))
            slopes.set(slope.times_plus(slope, slopes.get()))
            mark.take(y)

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
    rest = [mark.row(), saturated.get(), slopes.get(), sizes.get(), pair.get(), squares.get()]
    for i, value in enumerate(of_a.rows() + of_z.rows() + rest):
        v.store(value, v.address(out, i * width))
