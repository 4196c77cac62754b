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

from ..machine.lanes import Lanes, Variable, Vectors, counting, lanes_of, panel_width
from ..machine.pointers import intrinsic
from .records import SUMS

# Accumulators of a column of a matrix in a chunk, one row of a panel each.
OF_VALUES = ("low", "high", "bad", "zero", "centre", "scale", "sum", "squares")
# Of a matrix whose columns are told apart: weights and their gradients.
OF_MARKED = (*OF_VALUES, "mark")
# Of a layer: those of a, those of z, and of both.
OF_LAYER = (
    *OF_VALUES,
    *(f"z_{name}" for name in OF_VALUES),
    "mark", "size", *SUMS,
)  # fmt: skip

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

    def widen(self, x: Lanes, careful: bool) -> Lanes:
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

    def set_unit(self) -> None:
        """Between the passes: the centre of the range, and the power of two that brings its half to [1, 2)."""
        low, high = self.low.get() * self.half, self.high.get() * self.half
        centre = low + high
        self.centre = centre.where(centre.finite(), self.zero)
        self.scale = inverse_power(self.v, (high - low).as_bits())

    def sum_up(self, x: Lanes, careful: bool) -> None:
        """Second pass: the sums of the shifted and scaled values."""
        d = (x - self.centre) * self.scale
        if careful:
            d = d.where(x.finite(), self.zero)
        self.sum.set(self.sum.get() + d)
        self.squares.set(d.times_plus(d, self.squares.get()))

    def figures(self, prefix: str = "") -> dict[str, Lanes]:
        """What `OF_VALUES` names."""
        variables = {
            "low": self.low, "high": self.high, "bad": self.bad, "zero": self.zeros,
            "sum": self.sum, "squares": self.squares,
        }  # fmt: skip
        values = {name: variable.get() for name, variable in variables.items()}
        return {prefix + name: x for name, x in (values | {"centre": self.centre, "scale": self.scale}).items()}


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

    def figures(self) -> dict[str, Lanes]:
        """What tells a column apart."""
        return {"mark": self.hash.get().as_numbers()}


def _untied(name: str) -> ImportError:
    return ImportError(f"sum {name!r} must stand in probe/records.py, SUMS, and be taken in probe/columns.py")


class _Sums:
    """The sums over all matrices that `records.SUMS` names."""

    def __init__(self, v: Vectors) -> None:
        self.zero, self.one = v.number(0.0), v.number(1.0)
        self.sums = {name: v.variable(self.zero) for name in SUMS}
        self.taken: set[str] = set()

    def restart(self) -> None:
        for variable in self.sums.values():
            variable.set(self.zero)

    def count(self, name: str, where: Lanes) -> None:
        total = self._taken(name)
        total.set((total.get() + self.one).where(where, total.get()))

    def add_product(self, name: str, x: Lanes, y: Lanes) -> None:
        total = self._taken(name)
        total.set(x.times_plus(y, total.get()))

    def _taken(self, name: str) -> Variable:
        if name not in self.sums:
            raise _untied(name)
        self.taken.add(name)
        return self.sums[name]

    def figures(self) -> dict[str, Lanes]:
        """Those that something has been added to."""
        return {name: self.sums[name].get() for name in self.taken}


def inverse_power(v: Vectors, bits: Lanes) -> Lanes:
    """2^-e of numbers in [2^e, 2^(e+1)), kept inside the normal range."""
    exponent, shift, _, _ = _LAYOUT[v.bits]
    biased = bits & v.pattern(exponent)
    top = v.pattern(((1 << (v.bits - 1 - shift)) - 3) << shift)
    biased = biased.where(biased < top, top)
    return (v.pattern(((1 << (v.bits - 1 - shift)) - 2) << shift) - biased).as_numbers()


def _store(v: Vectors, figures: dict[str, Lanes], order: tuple[str, ...], out: Any, width: int) -> None:
    """Put a column's figures into their rows."""
    for name in {*order} ^ figures.keys():
        raise _untied(name)
    for i, name in enumerate(order):
        v.store(figures[name], v.address(out, i * width))


@cache
def value_statistics(dtype: Any, marked: bool = False) -> Any:
    """`statistics(x, rows, registers, out)`: the figures OF_VALUES of each column of a panel's rows; all are pointers.

    `marked`: OF_MARKED, the last of them a hash of the column's bits in order.
    """
    lanes, width = lanes_of(dtype), panel_width(dtype)

    @intrinsic
    def statistics(typingctx: Any, x: Any, rows: Any, registers: Any, out: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, dtype, lanes)
            zero, row_length = ir.Constant(ir.IntType(64), 0), ir.Constant(ir.IntType(64), width)
            with counting(builder, zero, args[2]) as register:
                column = builder.mul(register, ir.Constant(ir.IntType(64), lanes))
                x_column, out_column = v.address(args[0], column), v.address(args[3], column)
                of_x, mark = _Column(v), _Mark(v)

                def first(careful: bool) -> None:
                    mark.restart()
                    with counting(builder, zero, args[1]) as row:
                        x = v.load(v.address(x_column, builder.mul(row, row_length)))
                        of_x.widen(x, careful)
                        of_x.count_zeros(x)
                        if marked:
                            mark.take(x)

                def second(careful: bool) -> None:
                    with counting(builder, zero, args[1]) as row:
                        of_x.sum_up(v.load(v.address(x_column, builder.mul(row, row_length))), careful)

                _two_passes(v, [of_x], first, second)
                figures = of_x.figures() | (mark.figures() if marked else {})
                _store(v, figures, OF_MARKED if marked else OF_VALUES, out_column, width)
            return context.get_dummy_value()

        return types.void(x, types.int64, types.int64, out), codegen

    return statistics


@cache
def layer_statistics(dtype: Any) -> Any:
    """`statistics(z, a, f, s, rows, registers, low, high, out)`: the figures OF_LAYER of each column.

    z: pre-activations, a: activations, f: phi(z), which is a unless there is a skip, s: slopes phi'(z), panels of the
    same shape, as pointers; `rows` is even, rows come in pairs (2m, 2m + 1), and a missing partner is NaN. What of f
    lies outside [low, high] is saturated.
    """
    lanes, width = lanes_of(dtype), panel_width(dtype)

    @intrinsic
    def statistics(
        typingctx: Any, z: Any, a: Any, f: Any, s: Any, rows: Any, registers: Any, low: Any, high: Any, out: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, dtype, lanes)
            limits = v.broadcast(args[6]), v.broadcast(args[7])
            zero, row_length = ir.Constant(ir.IntType(64), 0), ir.Constant(ir.IntType(64), width)
            with counting(builder, zero, args[5]) as register:
                column = builder.mul(register, ir.Constant(ir.IntType(64), lanes))
                *matrices, out = (v.address(start, column) for start in (*args[:4], args[8]))
                _layer_column(v, matrices, args[4], row_length, limits, width, out)
            return context.get_dummy_value()

        i8, real = types.int64, types.float32 if np.dtype(dtype).itemsize == 4 else types.float64
        return types.void(z, a, f, s, i8, i8, real, real, out), codegen

    return statistics


def _two_passes(v: Vectors, matrices: list[_Column], first: Any, second: Any) -> None:
    """Run first(careful), then second(careful) about the centres: careful only where something is not finite."""
    first(False)
    bad = matrices[0].bad.get()
    for other in matrices[1:]:
        bad = bad + other.bad.get()
    troubled = bad.differs_from_itself()
    with v.builder.if_then(troubled, likely=False):
        for matrix in matrices:
            matrix.restart()
        first(True)
    for matrix in matrices:
        matrix.set_unit()
    with v.builder.if_else(troubled, likely=False) as (then, otherwise):
        with then:
            second(True)
        with otherwise:
            second(False)


def _layer_column(
    v: Vectors, matrices: list[Any], rows: Any, row_length: Any, limits: tuple[Lanes, Lanes], width: int, out: Any
) -> None:
    """One register of columns of a layer's z, a, f and s, rows from first to last, twice."""
    builder, zero = v.builder, ir.Constant(ir.IntType(64), 0)
    z, a, _, _ = matrices
    of_a, of_z, mark, sums = _Column(v), _Column(v), _Mark(v), _Sums(v)
    none = v.number(0.0)
    sizes = v.variable(none)

    def first(careful: bool) -> None:
        mark.restart()
        sums.restart()
        with counting(builder, zero, rows) as row:
            at = builder.mul(row, row_length)
            x, y, branch, slope = (v.load(v.address(start, at)) for start in matrices)
            z_finite, _ = of_z.widen(x, careful), of_a.widen(y, careful)
            of_a.count_zeros(y)
            flat = (branch < limits[0]) | (branch > limits[1])
            if careful:
                flat = flat & branch.finite()
                slope = slope.where(z_finite, none)
            sums.count("saturated", flat)
            sums.add_product("slopes", slope, slope)
            mark.take(y)

    def second(careful: bool) -> None:
        low, high = (bound.get().as_bits() & v.pattern((1 << (v.bits - 1)) - 1) for bound in (of_z.low, of_z.high))
        size = inverse_power(v, low.where(low > high, high))
        sizes.set(size)
        with counting(builder, zero, rows, 2) as row:
            both = []
            for r in (0, 1):
                at = builder.mul(builder.add(row, ir.Constant(ir.IntType(64), r)), row_length)
                x = v.load(v.address(z, at))
                of_z.sum_up(x, careful)
                of_a.sum_up(v.load(v.address(a, at)), careful)
                both.append(x)
            if careful:
                finite = both[0].finite() & both[1].finite()
                both = [x.where(finite, none) for x in both]
            x, y = (x * size for x in both)
            sums.add_product("pairs", x, y)
            sums.add_product("pair_squares", y, y)
            sums.add_product("pair_squares", x, x)

    _two_passes(v, [of_a, of_z], first, second)
    figures = of_a.figures() | of_z.figures("z_") | mark.figures() | sums.figures() | {"size": sizes.get()}
    _store(v, figures, OF_LAYER, out, width)
