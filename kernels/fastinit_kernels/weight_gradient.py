"""dW = h^T delta, formed in blocks of 64 x 64 that live in L1 for as long as their statistics take."""

from functools import cache
from typing import Any

import numpy as np

from . import merging, moments
from .gemm import multiply_function
from .images import gather_function, taps_of
from .intrinsics import pointer_to, stack_array
from .jit import inline
from .lanes import lanes_of, panel_width
from .layout import DELTA, FIRST_PASS, LAST_PASS, N_IN, N_OUT, OPERAND, PADDED_ROWS, ROWS, UNIT, ZERO_ROW

# Columns of a layer's row of places: first record of delta_l, and of dW_l.
DELTA_RECORD, WEIGHT_RECORD = range(2)

# Rows of images gathered at a time for dW.
_GATHERED_ROWS = 256
_BLOCK = np.int64(merging.BLOCK)


@inline
def marks_of(index: Any, block: Any, marks: Any) -> Any:
    """Where the hashes of a block of dW_index are: two layers take turns, one being folded while the next is formed."""
    return (index & 1) * (len(marks) // 2) + block * _BLOCK


@inline
def fold(t: Any, layers: Any, index: Any, sizes: Any, marks: Any, hashes: Any) -> None:
    """Task t of the kind FOLD: hashes[unit] of a block of columns of dW, its blocks taken from top to bottom."""
    n_in, n_out = layers[index, N_IN], layers[index, N_OUT]
    across, down = (n_out + _BLOCK - 1) // _BLOCK, (n_in + _BLOCK - 1) // _BLOCK
    left = t * _BLOCK
    unit = layers[index, UNIT] + left
    for row in range(taps_of(sizes) * down):
        at = marks_of(index, row * across + t, marks)
        for j in range(min(_BLOCK, n_out - left)):
            hashes[unit + j] = merging.mixed_with(hashes[unit + j], marks[at + j])


@cache
def weight_gradient_function(dtype: Any) -> Any:
    """`gradient(t, …)`: task t of the kind WEIGHT_GRADIENT: a block of 64 x 64 of dW = h^T delta, and its figures.

    Of a batch in several blocks of rows `sums` keeps the blocks of dW in between. marks[at + j] (uint64) becomes a hash
    of the block's column j.
    """
    width, lanes = np.int64(panel_width(dtype)), lanes_of(dtype)
    real = np.dtype(dtype).type
    multiply, statistics = multiply_function(dtype, transposed=True), moments.value_statistics(dtype, marked=True)
    gather, merge = gather_function(dtype), merging.merge_block(dtype)
    bits, figures = merging.column_bits(dtype, moments.MARK), np.int64(moments.MARKED_ROWS)
    elements = merging.BLOCK * merging.BLOCK
    most = _GATHERED_ROWS

    @inline
    def gradient(
        t: Any,
        layers: Any,
        index: Any,
        places: Any,
        sizes: Any,
        memory: Any,
        sums: Any,
        records: Any,
        marks: Any,
    ) -> None:
        n_in, n_out, taps = layers[index, N_IN], layers[index, N_OUT], taps_of(sizes)
        across, down = (n_out + _BLOCK - 1) // _BLOCK, (n_in + _BLOCK - 1) // _BLOCK
        tap = t // (across * down)
        right = t % across * _BLOCK
        top = t // across % down * _BLOCK
        step = sizes[PADDED_ROWS] * width
        rows, columns = min(_BLOCK, n_in - top), min(_BLOCK, n_out - right)
        block = stack_array(elements, real)
        kept = np.uint64((places[index, WEIGHT_RECORD] + t) * np.int64(elements))
        if not sizes[FIRST_PASS]:
            for i in range(np.uint64(elements)):
                block[i] = sums[kept + i]
        piece = most if taps > 1 else sizes[ROWS]
        gathered = np.empty(most * width if taps > 1 else 0, real)
        for first in range(0, sizes[ROWS], piece):
            k = min(piece, sizes[ROWS] - first)
            for row in range(0, rows, width):
                operand = layers[index, OPERAND] + (top + row) // width * step
                a, a_at = memory, operand
                if taps > 1:
                    gather(sizes, tap, 1, memory, operand, step, 1, first, k, gathered, 0, 0)
                    a, a_at = gathered, np.int64(0)
                for column in range(0, columns, width):
                    c = pointer_to(block, column * _BLOCK + row * width)
                    d, d_step = c, width
                    if first == 0 and sizes[FIRST_PASS]:
                        d, d_step = pointer_to(memory, sizes[ZERO_ROW]), np.int64(0)
                    delta = sizes[DELTA + (index & 1)] + (right + column) // width * step + first * width
                    multiply(
                        a, a_at, width * width, min(width, rows - row), k, memory, delta, columns - column, d, d_step, c
                    )  # fmt: skip
        if not sizes[LAST_PASS]:
            for i in range(np.uint64(elements)):
                sums[kept + i] = block[i]
        else:
            partial = np.empty(_BLOCK * figures, real)
            work = np.empty(merging.SUMS * width, np.float64)
            for column in range(0, columns, width):
                registers = 2 if columns - column > lanes else 1
                statistics(block, column * _BLOCK, rows, registers, partial, column * figures)
            at = marks_of(index, t, marks)
            for j in range(columns):
                marks[at + j] = bits(partial, j // width * width * figures + j % width)
            merge(
                partial,
                np.int64(0),
                width * figures,
                np.int64(0),
                np.int64(1),
                columns,
                rows,
                np.int64(0),
                np.int64(0),
                work,
                records,
                (places[index, WEIGHT_RECORD] + t) * np.int64(merging.RECORD),
            )

    return gradient
