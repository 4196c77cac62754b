"""The matrix product: a register tile, its panels, and how a chunk of rows is multiplied.

Every matrix is stored in panels: `panel_width` columns, all the rows, row by row. One form serves as left operand
(rows of activations), as right operand (rows of W) and as destination, so nothing is repacked between layers, a
chunk of rows is contiguous, and no power-of-two stride ever meets the cache's sets.

Each element of the product is one chain of fused multiply-adds over k = 0, 1, 2, …, started from what stands in the
destination (zero or the bias). The result is a property of the operands alone: blocking, tile shape and vector width
decide the speed and nothing else.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types

from ..machine.jit import inline
from ..machine.lanes import Vectors, counting, lanes_of, panel_width, register_bytes
from ..machine.pointers import intrinsic, moved

# Rows of a chunk, the unit of work and of accumulation of the statistics. Part of the definition of every figure's
# last bits, so it may depend on nothing; a multiple of every tile's rows.
CHUNK = 96

# Elements of k between two visits to the destination: the panel's part (32 KiB at 16 lanes) stays in L1.
_DEPTH = 256

_UNROLL = 4


def tile_rows(dtype: Any) -> int:
    """Rows of a tile: with two registers a row, enough chains to hide the latency, few enough to stay in registers."""
    return 8 if register_bytes() == 64 else 6


@cache
def tile_function(dtype: Any, rows: int, registers: int, transposed: bool) -> Any:
    """`tile(a, a_next, k, b, d, d_step, c)`: c = d + a[rows, k] @ b[k, columns] in registers; all are pointers.

    Rows of d lie d_step apart, those of c a panel's width. `a` is read in panels that lie `a_next` elements apart;
    `transposed` reads the panel the other way round, its columns as rows of the operand. b and c are panels, of whose
    columns the first `registers` registers are used.
    """
    lanes, width = lanes_of(dtype), panel_width(dtype)
    row_step, k_step = (1, width) if transposed else (width, 1)

    @intrinsic
    def tile(typingctx: Any, a: Any, a_next: Any, k: Any, b: Any, d: Any, d_step: Any, c: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, dtype, lanes)
            a_start, a_step, depth, b_start, d_start, d_rows, c_start = args
            sums = {}
            for i in range(rows):
                d_row = v.address(d_start, builder.mul(d_rows, ir.Constant(ir.IntType(64), i)))
                for r in range(registers):
                    sums[i, r] = v.variable(v.load(v.address(d_row, r * lanes)))

            def multiply(a_pointer: Any, b_pointer: Any) -> None:
                columns = [v.load(v.address(b_pointer, r * lanes)) for r in range(registers)]
                for i in range(rows):
                    x = v.broadcast(v.scalar_at(v.address(a_pointer, i * row_step)))
                    for r in range(registers):
                        sums[i, r].set(x.times_plus(columns[r], sums[i, r].get()))

            def constant(n: int) -> Any:
                return ir.Constant(ir.IntType(64), n)

            def b_row(kk: Any) -> Any:
                return v.address(b_start, builder.mul(kk, constant(width)))

            panels = builder.sdiv(depth, constant(width))
            whole = builder.mul(panels, constant(width))
            with counting(builder, constant(0), panels) as panel:
                a_panel = v.address(a_start, builder.mul(panel, a_step))
                first = builder.mul(panel, constant(width))
                with counting(builder, constant(0), constant(width), _UNROLL) as kk:
                    a_here = v.address(a_panel, builder.mul(kk, constant(k_step)))
                    b_here = b_row(builder.add(first, kk))
                    for u in range(_UNROLL):
                        multiply(v.address(a_here, u * k_step), v.address(b_here, u * width))
            a_panel = v.address(a_start, builder.mul(panels, a_step))
            with counting(builder, constant(0), builder.sub(depth, whole)) as kk:
                multiply(v.address(a_panel, builder.mul(kk, constant(k_step))), b_row(builder.add(whole, kk)))
            for (i, r), total in sums.items():
                v.store(total.get(), v.address(c_start, i * width + r * lanes))
            return context.get_dummy_value()

        i8 = types.int64
        return types.void(a, i8, i8, b, d, i8, c), codegen

    return tile


class Operand(NamedTuple):
    """Rows of a left operand, in panels.

    `first` is a pointer to the first element, `next` how far panels, and `tap` how far the taps of a convolution lie
    apart.
    """

    first: Any
    next: Any
    tap: Any
    rows: Any


@cache
def multiply_function(dtype: Any, *, transposed: bool = False) -> Any:
    """`multiply(a, k, b, columns, d, d_step, c)`: c[rows, columns] = d + a[rows, :k] @ b[:k, columns].

    `a` is an `Operand`, the rest are pointers; rows of d lie d_step apart (0: one for all). Transposed, the operand's
    rows are columns of one panel and k runs down its rows. Rows are computed in whole tiles, columns in whole
    registers: both buffers must be that large.
    """
    width = np.int64(panel_width(dtype))
    lanes = lanes_of(dtype)
    # Transposed, a panel's columns are the rows: their number is a power of two.
    tall = min(tile_rows(dtype), 4 if transposed and register_bytes() < 64 else 8)
    full, narrow = (tile_function(dtype, tall, registers, transposed) for registers in (2, 1))
    a_row = np.int64(1) if transposed else width

    @inline
    def multiply(a: Any, k: Any, b: Any, columns: Any, d: Any, d_step: Any, c: Any) -> None:
        for first in range(0, k, _DEPTH):
            depth = min(_DEPTH, k - first)
            a_block, b_block = moved(a.first, first // width * a.next), moved(b, first * width)
            begin, step = (d, d_step) if first == 0 else (c, width)
            for row in range(0, a.rows, tall):
                a_tile, from_row, to = moved(a_block, row * a_row), moved(begin, row * step), moved(c, row * width)
                if columns > lanes:
                    full(a_tile, a.next, depth, b_block, from_row, step, to)
                else:
                    narrow(a_tile, a.next, depth, b_block, from_row, step, to)

    return multiply
