"""Figures of chunks of rows, as `moments` leaves them, merged in float64 and in a fixed order."""

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from .gemm import CHUNK
from .intrinsics import bits_of_float32, bits_of_float64, intrinsic
from .jit import inline, kernel
from .lanes import Lanes, Vectors, counting, data_pointer, lanes_of, panel_width
from .moments import (
    BAD,
    CENTRE,
    HASH,
    HIGH,
    LOW,
    MARK,
    PAIR,
    PAIR_SQUARES,
    SATURATED,
    SCALE,
    SIZE,
    SLOPE,
    SQUARES,
    SUM,
    ZERO,
)

# A merged record, float64.
COUNT, MEAN, M2, MINIMUM, MAXIMUM, NONFINITE, ZEROS = range(7)
RECORD = 7
Z_RECORD = RECORD
(SATURATED_COUNT, SLOPE_SUM, PAIR_SUM, PAIR_SQUARE_SUM) = range(2 * RECORD, 2 * RECORD + 4)
LAYER_RECORD = 2 * RECORD + 4

# Columns merged into one record: a multiple of every panel width.
BLOCK = 64


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
SUMS = 11


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
                sums = [d.variable(d.number(0.0)) for _ in range(SUMS)]
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


def bits_of(dtype: Any) -> Any:
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
def column_bits(dtype: Any, row: int) -> Any:
    """`bits(partial, at)`: 64 bits of a chunk of a column, whose figures start at `at` and whose hash is in `row`."""
    width, of_number = panel_width(dtype), bits_of(dtype)
    hash_at, sum_at = np.int64(row * width), np.int64(SUM * width)

    @inline
    def bits(partial: Any, at: Any) -> Any:
        # The sum sets columns apart that a 32-bit hash might confuse.
        own, further = of_number(partial[at + hash_at]), of_number(partial[at + sum_at])
        return np.uint64(own) ^ (np.uint64(further) << np.uint64(32))

    return bits


@cache
def merge_units(dtype: Any) -> Any:
    """`merge(partial, at, panel_step, step, chunks, columns, zeros, hashes, unit)`: what identifies a unit.

    zeros[unit] (int64) counts the zeros of a column, hashes[unit] (uint64) is a hash of its bits in order.
    """
    width, bits = np.int64(panel_width(dtype)), column_bits(dtype, HASH)

    @inline
    def merge(
        partial: Any,
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
                count += np.int64(partial[column + c * step + ZERO * width])
                mixed = mixed_with(mixed, bits(partial, column + c * step))
            zeros[unit + j] += count
            hashes[unit + j] = mixed

    return merge


@cache
def merge_weight_units(dtype: Any) -> Any:
    """`merge(partial, at, panel_step, step, chunks, columns, biases, biases_at, hashes, unit)`: W_l and b_l by unit.

    hashes[unit] (uint64) is a hash of a unit's bias, which is a number of `biases`, and of its column of W.
    """
    width, bits, of_number = np.int64(panel_width(dtype)), column_bits(dtype, MARK), bits_of(dtype)
    nothing = np.dtype(dtype).type(0)

    @inline
    def merge(
        partial: Any,
        at: Any,
        panel_step: Any,
        step: Any,
        chunks: Any,
        columns: Any,
        biases: Any,
        biases_at: Any,
        hashes: Any,
        unit: Any,
    ) -> None:
        for j in range(columns):
            column = at + (j // width) * panel_step + j % width
            mixed = np.uint64(of_number(biases[biases_at + j] + nothing))
            for c in range(chunks):
                mixed = mixed_with(mixed, bits(partial, column + c * step))
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


def empty_records(n: int, length: int) -> NDArray[np.float64]:
    """Records of nothing."""
    records = np.zeros((n, length))
    for at in range(0, length - RECORD + 1, RECORD):
        records[:, at + MINIMUM], records[:, at + MAXIMUM] = np.inf, -np.inf
    return records.ravel()
