"""Counts of a panel's activations in equal bins.

Few bins are counted without a table of counters. An element of bin k becomes a word in which bit k is set; the words
of a lane are added up bit by bit, in "planes": plane j holds bit j of the sum of every bin. One adder takes three
words to two, so most of a word's way is one adder of a few logical instructions, for all bins at once, and it takes
no longer where all elements fall into the same bin, as they do in a network whose signal has vanished. (Klarqvist,
Muła and Lemire 2019, "Efficient computation of positional population counts using SIMD instructions".)

Many bins would take many words; there an element increments a counter.
"""

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ..machine.ahead import family
from ..machine.intrinsics import floor, select
from ..machine.jit import Kernel, inline, kernel
from ..machine.lanes import Lanes, Variable, Vectors, counting, lanes_of, panel_width
from ..machine.modes import use_widest_vectors
from ..machine.pointers import (
    Codegen,
    add_atomically,
    address_of,
    call_at,
    element,
    intrinsic,
    pointers,
    stack_array,
    store,
)
from .gemm import CHUNK
from .records import LAYER
from .tasks import REALS

# Registers that are added up before they reach the planes beyond the third.
_TOGETHER = 8

_I32, _I64 = ir.IntType(32), ir.IntType(64)
Planes = list[Lanes]


def _full_adder(a: Lanes, b: Lanes, c: Lanes) -> tuple[Lanes, Lanes]:
    """The sum of three bits in every place: (ones, twos)."""
    differ = a ^ b
    return differ ^ c, (differ & (a ^ c)) ^ a  # where a and b differ, c decides


def _three_planes(words: Planes, before: Planes) -> tuple[Planes, Lanes]:
    """Eight words and the first three planes of a sum: the three planes after, and the eights that they overflow by."""
    planes = []
    for plane in before:
        carried = []
        for left, right in zip(words[::2], words[1::2], strict=True):
            plane, carry = _full_adder(left, right, plane)
            carried.append(carry)
        planes.append(plane)
        words = carried
    return planes, words[0]


def _halves(v: Vectors, word: Lanes) -> tuple[Vectors, Lanes, Lanes]:
    """The lower and the upper lanes of a register, as vectors of half as many."""
    half = Vectors(v.builder, np.dtype(f"f{v.bits // 8}"), v.lanes // 2)

    def part(first: int) -> Lanes:
        mask = ir.Constant(ir.VectorType(_I32, half.lanes), list(range(first, first + half.lanes)))
        return Lanes(half, v.builder.shuffle_vector(word.value, word.value, mask))

    return half, part(0), part(half.lanes)


def _over_lanes(v: Vectors, planes: Planes) -> list[Any]:
    """The planes of the sum over all lanes, as LLVM integers."""
    while v.lanes > 1:
        split = [_halves(v, plane) for plane in planes]
        half, a, b = split[0]
        planes, carry = [a ^ b], a & b
        for _, a, b in split[1:]:
            plane, carry = _full_adder(a, b, carry)
            planes.append(plane)
        planes.append(carry)
        v = half
    return [v.builder.extract_element(plane.value, ir.Constant(_I32, 0)) for plane in planes]


def _store_counts(builder: Any, planes: list[Any], bits: int, to: Any) -> None:
    """Turn the planes of `bits` sums into numbers: int32 at `to`."""
    kind = ir.VectorType(_I32, 32)
    places = ir.Constant(kind, [1 << k for k in range(32)])
    none = ir.Constant(kind, [0] * 32)
    for half in range(bits // 32):
        total = none
        for j, plane in enumerate(planes):
            word = builder.trunc(builder.lshr(plane, ir.Constant(plane.type, 32 * half)), _I32)
            first = builder.insert_element(ir.Constant(kind, ir.Undefined), word, ir.Constant(_I32, 0))
            everywhere = builder.shuffle_vector(first, first, none)
            there = builder.icmp_unsigned("!=", builder.and_(everywhere, places), none)
            total = builder.or_(total, builder.select(there, ir.Constant(kind, [1 << j] * 32), none))
        store(builder, total, element(builder, to, 32 * half, _I32), align=4)


@cache
def _planes_function(dtype: Any) -> Any:
    """`count_word(a, rows, columns, low, high, pivot, first, bins_a_unit, bins, to)`: the counts of a word's bins.

    They are int32. What lies outside [low, high] is not counted. The numbers are those of `Bins`, a and to pointers.
    """
    lanes, width, bits = lanes_of(dtype), panel_width(dtype), 8 * np.dtype(dtype).itemsize
    registers = range(width // lanes)
    step = _TOGETHER // len(registers)
    most = (CHUNK * len(registers)).bit_length()  # planes that hold the sum of a lane

    @intrinsic
    def count_word(
        typingctx: Any,
        a: Any,
        rows: Any,
        columns: Any,
        low: Any,
        high: Any,
        pivot: Any,
        first: Any,
        bins_a_unit: Any,
        bins: Any,
        to: Any,
    ) -> tuple[Any, Codegen]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, dtype, lanes)
            pointer, rows, columns = args[:3]
            low, high, pivot, first, unit = (v.broadcast(x) for x in args[3:8])
            bins, to = args[8:]
            top = v.broadcast(builder.sitofp(builder.sub(bins, ir.Constant(_I64, 1)), v.scalar))
            one, none = v.pattern(1), v.pattern(0)
            panel = [_is_column(v, register, columns).value for register in registers]

            def word(row: Any, register: int) -> Lanes:
                index = builder.add(builder.mul(row, ir.Constant(_I64, width)), ir.Constant(_I64, register * lanes))
                x = v.load(v.address(pointer, index))
                place = v.call("floor", (x - pivot) * unit) + first
                place = top.where(place > top, place)
                bit = builder.fptosi(place.value, ir.VectorType(_I32, lanes))
                bit = builder.shl(one.value, builder.zext(bit, v.bits_type) if bits > 32 else bit)
                counted = builder.and_(panel[register], builder.fcmp_ordered(">=", x.value, low.value))
                counted = builder.and_(counted, builder.fcmp_ordered("<=", x.value, high.value))
                return Lanes(v, bit).where(Lanes(v, counted), none)

            planes = [v.variable(none) for _ in range(most)]
            whole = builder.and_(rows, ir.Constant(_I64, -step))
            with counting(builder, ir.Constant(_I64, 0), whole, step) as row:
                words = [word(builder.add(row, ir.Constant(_I64, r)), j) for r in range(step) for j in registers]
                sums, carry = _three_planes(words, [plane.get() for plane in planes[:3]])
                for plane, value in zip(planes, sums, strict=False):
                    plane.set(value)
                _ripple(planes[3:], carry)
            with counting(builder, whole, rows) as row:
                for register in registers:
                    _ripple(planes, word(row, register))
            _store_counts(builder, _over_lanes(v, [plane.get() for plane in planes]), bits, to)
            return context.get_dummy_value()

        size, number = types.int64, types.float32 if bits == 32 else types.float64
        numbers = (a, size, size, *(number,) * 5, size, types.CPointer(types.int32))
        return types.void(*numbers), codegen

    return count_word


def _is_column(v: Vectors, register: int, columns: Any) -> Lanes:
    """The mask of a panel's register whose lanes are among the first columns."""
    numbers = [ir.Constant(v.scalar, float(register * v.lanes + lane)) for lane in range(v.lanes)]
    return Lanes(v, ir.Constant(v.float_type, numbers)) < v.broadcast(v.builder.sitofp(columns, v.scalar))


@cache
def _outside_function(dtype: Any) -> Any:
    """`outside(a, rows, columns, high, to)`: a lane's finite elements above high, and those not finite, at `to`."""
    lanes, width = lanes_of(dtype), panel_width(dtype)

    @intrinsic
    def outside(typingctx: Any, a: Any, rows: Any, columns: Any, high: Any, to: Any) -> tuple[Any, Codegen]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, dtype, lanes)
            pointer, rows, columns, _, to = args
            high, none, one = v.broadcast(args[3]), v.number(0.0), v.number(1.0)
            above, bad = v.variable(none), v.variable(none)
            for register in range(width // lanes):
                start, unit = v.address(pointer, register * lanes), one.where(_is_column(v, register, columns), none)
                with counting(builder, ir.Constant(_I64, 0), rows) as row:
                    x = v.load(v.address(start, builder.mul(row, ir.Constant(_I64, width))))
                    finite = x.finite()
                    above.set((above.get() + unit).where(finite & (x > high), above.get()))
                    bad.set(bad.get().where(finite, bad.get() + unit))
            for i, variable in enumerate((above, bad)):
                v.store(variable.get(), v.address(to, i * lanes))
            return context.get_dummy_value()

        number = types.float32 if np.dtype(dtype).itemsize == 4 else types.float64
        size = types.int64
        return types.void(a, size, size, number, types.CPointer(number)), codegen

    return outside


def _ripple(planes: list[Variable], carry: Lanes) -> None:
    """Add a word to the planes."""
    for plane in planes:
        value = plane.get()
        plane.set(value ^ carry)
        carry = value & carry


@cache
def histogram_function(dtype: Any) -> Any:
    """`count(a, rows, columns, layer, launch, counters)`: the elements of a panel's rows, from the pointer a on.

    To the int64 at the address `counters` are added: `bins` equal bins over [low, high], overflow, what is not finite,
    and underflow. At most CHUNK rows.
    """
    bits = 8 * np.dtype(dtype).itemsize
    lanes, real = lanes_of(dtype), np.dtype(dtype).type
    both = 2 * lanes
    count_word, count_outside = _planes_function(dtype), _outside_function(dtype)

    @inline
    def count(a: Any, rows: Any, columns: Any, layer: Any, launch: Any, counters: Any) -> None:
        bins = launch.bins
        if bins > bits:
            where = address_of(a), rows, columns, address_of(layer), bins, counters
            call_at(launch.count_singly, where)
            return
        high, pivot, first = real(layer.high), real(layer.pivot), real(layer.first_bin)
        of_word = stack_array(bits, np.int32)
        count_word(a, rows, columns, real(layer.low), high, pivot, first, real(layer.bins_a_unit), bins, of_word)
        rest = rows * columns
        for k in range(bins):
            n = np.int64(of_word[k])
            if n > 0:
                add_atomically(counters + 8 * k, n)
                rest -= n
        if rest > 0:
            counts = stack_array(both, real)
            count_outside(a, rows, columns, high, counts)
            above, bad = np.int64(0), np.int64(0)
            for lane in range(lanes):
                above += np.int64(counts[lane])
                bad += np.int64(counts[lanes + lane])
            add_atomically(counters + 8 * bins, above)
            add_atomically(counters + 8 * (bins + 1), bad)
            add_atomically(counters + 8 * (bins + 2), rest - above - bad)

    return count


def needs_counters(bins: int, dtype: Any) -> bool:
    """Whether so many bins are counted by `singly_kernel`."""
    return bool(bins > 8 * np.dtype(dtype).itemsize)


@family(REALS)
def singly_kernel(dtype: Any) -> Kernel:
    """`count(a, rows, columns, layer, bins, counters)`: as `histogram_function`, an increment an element; addresses."""
    width = np.uint64(panel_width(dtype))
    real, real_at, layer_at = np.dtype(dtype).type, pointers(dtype), LAYER.at
    zero = real(0)
    elements = CHUNK * panel_width(dtype)

    @kernel(f"count-singly-{np.dtype(dtype).name}", cost=0.8)
    def count(a: Any, rows: Any, columns: Any, layer_address: Any, bins: Any, counters: Any) -> int:
        use_widest_vectors()
        layer, start = layer_at(layer_address, np.int64(0)), real_at(a, np.int64(0))
        low, high, pivot = real(layer.low), real(layer.high), real(layer.pivot)
        first, bins_a_unit = real(layer.first_bin), real(layer.bins_a_unit)
        places = stack_array(elements, np.int32)
        top, above, bad, below = real(bins - 1), real(bins), real(bins + 1), real(bins + 2)
        for i in range(np.uint64(rows) * width):
            x = start[i]
            place = floor((x - pivot) * bins_a_unit) + first
            place = select(place > top, top, place)
            place = select(x > high, above, place)
            place = select(x < low, below, place)
            places[i] = np.int32(select(x - x == zero, place, bad))
        if bins > elements:  # too many to go through for every tile
            for row in range(rows):
                for column in range(columns):
                    add_atomically(counters + 8 * np.int64(places[row * np.int64(width) + column]), np.int64(1))
            return 0
        # Four histograms, so that equal neighbours do not wait for each other's stores.
        stride = np.uint64(bins + 3)
        counts = np.empty(4 * (bins + 3), np.int32)
        for i in range(np.uint64(4) * stride):
            counts[i] = np.int32(0)
        two, three, four = np.uint64(2), np.uint64(3), np.uint64(4)
        fours = np.uint64(columns) // four
        for r in range(np.uint64(rows)):
            for quarter in range(fours):
                j = r * width + quarter * four
                counts[np.uint64(places[j])] += np.int32(1)
                counts[stride + np.uint64(places[j + np.uint64(1)])] += np.int32(1)
                counts[two * stride + np.uint64(places[j + two])] += np.int32(1)
                counts[three * stride + np.uint64(places[j + three])] += np.int32(1)
            for rest in range(fours * four, np.uint64(columns)):
                counts[np.uint64(places[r * width + rest])] += np.int32(1)
        for k in range(stride):
            n = counts[k] + counts[stride + k] + counts[two * stride + k] + counts[three * stride + k]
            if n > 0:
                add_atomically(counters + 8 * np.int64(k), np.int64(n))
        return 0

    return count
