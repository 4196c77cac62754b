"""Figures of chunks of rows, as `columns` leaves them, merged in float64 and in a fixed order."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from ..machine.intrinsics import bits_of_float32, bits_of_float64
from ..machine.jit import Kernel, inline, kernel, place_of
from ..machine.lanes import Lanes, Vectors, counting, lanes_of, panel_width
from ..machine.pointers import address_of, intrinsic, moved, pointers, stack_array
from ..machine.records import Table
from .columns import OF_LAYER, OF_MARKED, OF_VALUES
from .gemm import CHUNK
from .records import LAYER_RECORD, SUMS, SUMS_AT, VALUE_RECORD, empty

# Columns merged into one record: a multiple of every panel width.
RECORD_COLUMNS = 64

# Sums over the chunks of a column that `_merge_columns` leaves, a row of float64 each.
_TOTALS = ("count", "total", "minimum", "maximum", "bad", "zeros", "squares", *SUMS)
_COUNT, _TOTAL, _MINIMUM, _MAXIMUM, _BAD, _ZEROS, _SQUARES, _FIRST_SUM = range(8)

_value_at, _layer_at, _starts_at = VALUE_RECORD.at, LAYER_RECORD.at, pointers(np.int64)


class Partial(NamedTuple):
    """Figures of the chunks of a record's columns.

    The first stands at the pointer `first`, the next panel's `panel` and the next chunk's `chunk` numbers further on;
    the chunks hold `rows` rows, and `padding` of them, NaN, do not count.
    """

    first: Any
    panel: Any
    chunk: Any
    chunks: Any
    columns: Any
    rows: Any
    padding: Any


@inline
def _chan(record: Any, count: Any, mean: Any, m2: Any) -> None:
    """Merge (count, mean, M2) into a record: Chan, Golub and LeVeque 1983, equation 2.1."""
    if count > 0.0:
        total = record.count + count
        delta = mean - record.mean
        record.m2 += m2 + delta * delta * (record.count * count / total)
        record.mean += delta * (count / total)
        record.count = total


@cache
def _merge_columns(dtype: Any) -> Any:
    """`merge(partial, step, chunks, last_rows, first, mean, both, totals)`: all chunks of a panel's columns.

    Chunk c stands c * step further on than the first; the last one has `last_rows` rows. Writes what `_TOTALS` names of
    each column: `total` is the sum of x - first, `squares` that of (x - mean)^2. `both`: the columns start a layer's
    figures, and the sums of `records.SUMS` are taken, too. Called twice: for the mean, then for the squares around it.
    """
    lanes, width = lanes_of(dtype), panel_width(dtype)

    @intrinsic
    def merge(
        typingctx: Any,
        partial: Any,
        step: Any,
        chunks: Any,
        last_rows: Any,
        first: Any,
        mean: Any,
        both: Any,
        totals: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v, d = Vectors(builder, dtype, lanes), Vectors(builder, np.float64, lanes)
            zero = ir.Constant(ir.IntType(64), 0)
            offset, middle = d.broadcast(args[4]), d.broadcast(args[5])
            for register in range(width // lanes):
                start, out = v.address(args[0], register * lanes), d.address(args[7], register * lanes)
                of = {name: d.variable(d.number(0.0)) for name in _TOTALS}
                of["minimum"].set(d.number(float("inf")))
                of["maximum"].set(d.number(-float("inf")))
                with counting(builder, zero, args[2]) as c:
                    figure = _Figures(v, d, v.address(start, builder.mul(c, args[1])), width)
                    rows = _rows_of(builder, c, args[2], args[3])
                    _add_values(d, figure, rows, (offset, middle), of)
                wanted = builder.trunc(args[6], ir.IntType(1))
                with builder.if_then(wanted), counting(builder, zero, args[2]) as c:
                    _add_sums(d, _Figures(v, d, v.address(start, builder.mul(c, args[1])), width), of)
                for i, name in enumerate(_TOTALS):
                    d.store(of[name].get(), d.address(out, i * width))
            return context.get_dummy_value()

        i8, f8 = types.int64, types.float64
        return types.void(partial, i8, i8, i8, f8, f8, i8, totals), codegen

    return merge


class _Figures:
    """The figures of a chunk of a register of columns, as float64."""

    def __init__(self, v: Vectors, d: Vectors, start: Any, width: int) -> None:
        self.v, self.d, self.start, self.width = v, d, start, width

    def __call__(self, name: str) -> Lanes:
        return self.v.load(self.v.address(self.start, OF_LAYER.index(name) * self.width)).widened(self.d)


def _rows_of(builder: Any, chunk: Any, chunks: Any, last_rows: Any) -> Any:
    last_chunk = builder.sub(chunks, ir.Constant(ir.IntType(64), 1))
    whole, last = ir.Constant(ir.DoubleType(), CHUNK), builder.sitofp(last_rows, ir.DoubleType())
    return builder.select(builder.icmp_signed("==", chunk, last_chunk), last, whole)


def _add_values(d: Vectors, figure: _Figures, rows: Any, around: tuple[Lanes, Lanes], totals: dict[str, Any]) -> None:
    offset, middle = around
    unit = d.number(1.0) / figure("scale")
    count, centre, shifted = d.broadcast(rows) - figure("bad"), figure("centre"), figure("sum") * unit
    low, high, off = figure("low"), figure("high"), centre - middle
    terms = {
        "count": count,
        "total": count * (centre - offset) + shifted,
        "bad": figure("bad"),
        "zeros": figure("zero"),
        "squares": unit * unit * figure("squares") + (off + off) * shifted + count * off * off,
    }
    for name, term in terms.items():
        totals[name].set(totals[name].get() + term)
    least, most = totals["minimum"], totals["maximum"]
    least.set(low.where(low < least.get(), least.get()))
    most.set(high.where(high > most.get(), most.get()))


def _add_sums(d: Vectors, figure: _Figures, totals: dict[str, Any]) -> None:
    unit = d.number(1.0) / figure("size")
    for name, factor in SUMS.items():
        term = figure(name) if factor is None else unit * unit * figure(name) * d.number(factor)
        totals[name].set(totals[name].get() + term)


@cache
def merge_values(dtype: Any) -> Any:
    """`merge(partial, record, sums, both)`: at most RECORD_COLUMNS columns, all their chunks, into a record.

    `partial` is a `Partial`. `both`: to the numbers at `sums`, a pointer to float64, those of `records.SUMS` are added.
    """
    width = np.int64(panel_width(dtype))
    columns_of_panel = _merge_columns(dtype)
    centre, scratch, extra = OF_VALUES.index("centre"), len(_TOTALS) * panel_width(dtype), len(SUMS)

    @inline
    def merge(partial: Any, record: Any, sums: Any, both: Any) -> None:
        work = stack_array(scratch, np.float64)
        first = np.float64(partial.first[centre * width])
        last_rows = partial.rows - (partial.chunks - 1) * CHUNK + partial.padding
        count = total = mean = m2 = 0.0
        for sweep in range(2):
            for panel in range((partial.columns + width - 1) // width):
                here = moved(partial.first, panel * partial.panel)
                columns_of_panel(here, partial.chunk, partial.chunks, last_rows, first, mean, both, work)
                for j in range(min(width, partial.columns - panel * width)):
                    if sweep == 0:
                        count += work[_COUNT * width + j]
                        total += work[_TOTAL * width + j]
                        low, high = work[_MINIMUM * width + j], work[_MAXIMUM * width + j]
                        if low < record.minimum:
                            record.minimum = low
                        if high > record.maximum:
                            record.maximum = high
                        record.nonfinite += work[_BAD * width + j] - np.float64(partial.padding)
                        record.zeros += work[_ZEROS * width + j]
                        if both:
                            for k in range(extra):
                                sums[k] += work[(_FIRST_SUM + k) * width + j]
                    else:
                        m2 += work[_SQUARES * width + j]
            mean = first + total / count if count > 0.0 else 0.0
        if m2 < 0.0:
            m2 = 0.0
        _chan(record, count, mean, m2)

    return merge


def _bits_of(dtype: Any) -> Any:
    """The function that shows a number's bits."""
    return bits_of_float32 if np.dtype(dtype).itemsize == 4 else bits_of_float64


@inline
def mixed_with(mixed: Any, bits: Any) -> Any:
    """A 64-bit hash taken on by 64 more bits."""
    mixed = (mixed ^ bits) * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(29))


def joined(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes of pairs."""
    return first ^ (second * np.uint64(0x9E3779B97F4A7C15))


@cache
def column_bits(dtype: Any, figures: tuple[str, ...]) -> Any:
    """`bits(column)`: 64 bits of a chunk of a column, whose figures, named so, start at that pointer."""
    width, of_number = panel_width(dtype), _bits_of(dtype)
    hash_at, sum_at = np.int64(figures.index("mark") * width), np.int64(figures.index("sum") * width)

    @inline
    def bits(column: Any) -> Any:
        # The sum sets columns apart that a 32-bit hash might confuse.
        own, further = of_number(column[hash_at]), of_number(column[sum_at])
        return np.uint64(own) ^ (np.uint64(further) << np.uint64(32))

    return bits


@cache
def merge_units(dtype: Any) -> Any:
    """`merge(partial, zeros, hashes)`: what identifies the units whose counters start at these pointers.

    zeros (int64) count the zeros of a column, hashes (uint64) are of its bits in order.
    """
    width, bits, zero = np.int64(panel_width(dtype)), column_bits(dtype, OF_LAYER), np.int64(OF_LAYER.index("zero"))

    @inline
    def merge(partial: Any, zeros: Any, hashes: Any) -> None:
        for j in range(partial.columns):
            column = moved(partial.first, (j // width) * partial.panel + j % width)
            count, mixed = np.int64(0), hashes[j]
            for c in range(partial.chunks):
                here = moved(column, c * partial.chunk)
                count += np.int64(here[zero * width])
                mixed = mixed_with(mixed, bits(here))
            zeros[j] += count
            hashes[j] = mixed

    return merge


@cache
def merge_weight_units(dtype: Any) -> Any:
    """`merge(partial, biases, hashes)`: hashes (uint64) of the units' biases and of their columns of W."""
    width, bits, of_number = np.int64(panel_width(dtype)), column_bits(dtype, OF_MARKED), _bits_of(dtype)
    nothing = np.dtype(dtype).type(0)

    @inline
    def merge(partial: Any, biases: Any, hashes: Any) -> None:
        for j in range(partial.columns):
            column = moved(partial.first, (j // width) * partial.panel + j % width)
            mixed = np.uint64(of_number(biases[j] + nothing))
            for c in range(partial.chunks):
                mixed = mixed_with(mixed, bits(moved(column, c * partial.chunk)))
            hashes[j] = mixed

    return merge


@inline
def _join(into: Any, record: Any) -> None:
    _chan(into, record.count, record.mean, record.m2)
    into.minimum = min(into.minimum, record.minimum)
    into.maximum = max(into.maximum, record.maximum)
    into.nonfinite += record.nonfinite
    into.zeros += record.zeros


@kernel("combine-values")
def _combine_values(records: Any, starts_address: Any, n: Any, out: Any) -> int:
    starts = _starts_at(starts_address, np.int64(0))
    for i in range(n):
        into = _value_at(out, np.int64(i))
        for r in range(starts[i], starts[i + 1]):
            _join(into, _value_at(records, np.int64(r)))
    return 0


_N_SUMS, _SUMS_AT, _sum_at = np.int64(len(SUMS)), np.int64(SUMS_AT), pointers(np.float64)


@inline
def sums_of(record: Any) -> Any:
    """The sums of a layer's record, one after the other."""
    return _sum_at(address_of(record) + _SUMS_AT, np.int64(0))


@kernel("combine-layers")
def _combine_layers(records: Any, starts_address: Any, n: Any, out: Any) -> int:
    starts = _starts_at(starts_address, np.int64(0))
    for i in range(n):
        into = _layer_at(out, np.int64(i))
        for r in range(starts[i], starts[i + 1]):
            record = _layer_at(records, np.int64(r))
            _join(into.a, record.a)
            _join(into.z, record.z)
            total, sums = sums_of(into), sums_of(record)
            for k in range(_N_SUMS):
                total[k] += sums[k]
    return 0


_COMBINE: list[tuple[Table, Kernel]] = [(VALUE_RECORD, _combine_values), (LAYER_RECORD, _combine_layers)]


COMBINERS = tuple(function for _, function in _COMBINE)


def combine(table: Table, records: Any, starts: NDArray[np.int64]) -> Any:
    """Merge, for each layer, the records starts[i] … starts[i + 1] - 1, in order; NaN where nothing was counted."""
    out = empty(table, len(starts) - 1)
    function = next(function for kind, function in _COMBINE if kind is table)
    function(place_of(records), place_of(starts), len(out), place_of(out))
    for values in (out["a"], out["z"]) if table is LAYER_RECORD else (out,):
        nothing = values["count"] == 0
        if nothing.any():
            for name in ("mean", "m2", "minimum", "maximum"):
                values[name][nothing] = np.nan
    return out
