"""dW = h^T delta, formed in squares of 64 x 64 that live in L1 for as long as their statistics take."""

from functools import cache
from typing import Any

import numpy as np

from ..machine.jit import inline
from ..machine.lanes import lanes_of, panel_width
from ..machine.pointers import add_atomically, address_of, call_at, moved, pointers, stack_array
from . import columns, merging
from .gemm import Operand, multiply_function
from .merging import Partial
from .records import VALUE_RECORD
from .tasks import Body, ceiling, task

# Rows of images gathered at a time for dW.
_GATHERED_ROWS = 256
_SIDE, _ONE, _HASH_BYTES = np.int64(merging.RECORD_COLUMNS), np.int64(1), np.int64(8)

_record_at = VALUE_RECORD.at


@cache
def _product_function(dtype: Any) -> Any:
    """`product(layer, launch, of, square)`: a square of dW; `of` is (tap, top, right, rows, columns, layer)."""
    width, real_at = np.int64(panel_width(dtype)), pointers(dtype)
    real, multiply = np.dtype(dtype).type, multiply_function(dtype, transposed=True)
    most, gathered_elements = _GATHERED_ROWS, _GATHERED_ROWS * panel_width(dtype)

    @inline
    def product(layer: Any, launch: Any, of: Any, square: Any) -> None:
        tap, top, right, rows, count, index = of
        delta = launch.delta1 if index & 1 else launch.delta0
        step = launch.padded_rows * width
        gathered = stack_array(gathered_elements, real)
        piece = most if launch.taps > 1 else launch.rows
        for first in range(0, launch.rows, piece):
            k = min(piece, launch.rows - first)
            for row in range(0, rows, width):
                place = layer.operand + (top + row) // width * step
                a = real_at(launch.memory, place + first * width)
                if launch.taps > 1:
                    to = address_of(gathered)
                    call_at(launch.patches, (address_of(launch), tap, _ONE, place, _ONE, np.int64(first), k, to))
                    a = gathered
                operand = Operand(a, width * width, np.int64(0), min(width, rows - row))
                for column in range(0, count, width):
                    c = moved(square, column * _SIDE + row * width)
                    d, d_step = c, width
                    if first == 0 and launch.first_pass:
                        d, d_step = real_at(launch.memory, launch.zero_row), np.int64(0)
                    b = real_at(launch.memory, delta + (right + column) // width * step + first * width)
                    multiply(operand, k, b, count - column, d, d_step, c)

    return product


@task("weight-gradient", 1.8)
def weight_gradient_kernel(dtype: Any) -> Body:
    """A square of 64 x 64 of dW, and its figures.

    Of a batch in several slabs of rows `sums` keeps the squares of dW in between. A column's hash is the sum of its
    squares', in whatever order they are formed.
    """
    width, lanes = np.int64(panel_width(dtype)), lanes_of(dtype)
    real, real_at = np.dtype(dtype).type, pointers(dtype)
    product, statistics = _product_function(dtype), columns.value_statistics(dtype, marked=True)
    merge, bits = merging.merge_values(dtype), merging.column_bits(dtype, columns.OF_MARKED)
    figures, elements = np.int64(len(columns.OF_MARKED)), merging.RECORD_COLUMNS * merging.RECORD_COLUMNS
    partials = merging.RECORD_COLUMNS * len(columns.OF_MARKED)

    def gradient(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        n_in, n_out = layer.n_in, layer.n_out
        across, down = ceiling(n_out, _SIDE), ceiling(n_in, _SIDE)
        tap = t // (across * down)
        right, top = t % across * _SIDE, t // across % down * _SIDE
        rows, count = min(_SIDE, n_in - top), min(_SIDE, n_out - right)
        square = stack_array(elements, real)
        kept = real_at(launch.sums, (layer.gradient_record + t) * np.int64(elements))
        if not launch.first_pass:
            for i in range(np.uint64(elements)):
                square[i] = kept[i]
        product(layer, launch, (tap, top, right, rows, count, phase.layer), square)
        if not launch.last_pass:
            for i in range(np.uint64(elements)):
                kept[i] = square[i]
            return
        partial = stack_array(partials, real)
        for column in range(0, count, width):
            registers = np.int64(2) if count - column > lanes else np.int64(1)
            statistics(moved(square, column * _SIDE), rows, registers, moved(partial, column * figures))
        hashes = launch.updated_hashes + (layer.unit + right) * _HASH_BYTES
        for j in range(count):
            square_bits = bits(moved(partial, j // width * width * figures + j % width))
            mixed = merging.mixed_with(merging.mixed_with(np.uint64(t // across), square_bits), np.uint64(0))
            add_atomically(hashes + j * _HASH_BYTES, np.int64(mixed))
        whole = Partial(partial, width * figures, np.int64(0), np.int64(1), count, rows, np.int64(0))
        record = _record_at(launch.gradient_records, layer.gradient_record + t)
        merge(whole, record, stack_array(1, np.float64), np.int64(0))

    return gradient
