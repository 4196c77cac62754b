"""The matrix product: a register tile, its panels, and how a chunk of rows is multiplied.

Every matrix is stored in panels: `panel_width` columns, all the rows, row by row. One layout serves as left operand
(rows of activations), as right operand (rows of W) and as destination, so nothing is repacked between layers, a
chunk of rows is contiguous, and no power-of-two stride ever meets the cache's sets.

Each element of the product is one chain of fused multiply-adds over k = 0, 1, 2, …, started from what stands in the
destination (zero or the bias). The result is a property of the operands alone: blocking, tile shape and vector width
decide the speed and nothing else.
"""

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from .intrinsics import intrinsic
from .jit import inline
from .lanes import Vectors, counting, data_pointer, lanes_of, panel_width, register_bytes

# Rows of a chunk, the unit of work and of accumulation of the statistics. Part of the definition of every figure's
# last bits, so it may depend on nothing; a multiple of every tile's rows.
CHUNK = 96

# Elements of k between two visits to the destination: the panel's part (32 KiB at 16 lanes) stays in L1.
_BLOCK_K = 256

_UNROLL = 4


def tile_rows(dtype: Any) -> int:
    """Rows of a tile: with two registers a row, enough chains to hide the latency, few enough to stay in registers."""
    return 8 if register_bytes() == 64 else 6


@cache
def tile_function(dtype: Any, rows: int, registers: int, transposed: bool) -> Any:
    """`tile(a, a_at, a_next, k, b, b_at, d, d_at, d_step, c, c_at)`: c = d + a[rows, k] @ b[k, columns] in registers.

    Rows of d lie d_step apart, those of c a panel's width. `a` is read in panels that lie `a_next` elements apart;
    `transposed` reads the panel the other way round, its columns as rows of the operand. b and c are panels, of whose
    columns the first `registers` registers are used.
    """
    lanes, width = lanes_of(dtype), panel_width(dtype)
    row_step, k_step = (1, width) if transposed else (width, 1)

    @intrinsic
    def tile(
        typingctx: Any, a: Any, a_at: Any, a_next: Any, k: Any, b: Any, b_at: Any, d: Any, d_at: Any, d_step: Any,
        c: Any, c_at: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, dtype, lanes)
            kinds = signature.args
            a_start = data_pointer(context, builder, kinds[0], args[0], args[1])
            b_start = data_pointer(context, builder, kinds[4], args[4], args[5])
            d_start = data_pointer(context, builder, kinds[6], args[6], args[7])
            c_start = data_pointer(context, builder, kinds[9], args[9], args[10])
            sums = {}
            for i in range(rows):
                d_row = v.address(d_start, builder.mul(args[8], ir.Constant(ir.IntType(64), i)))
                for r in range(registers):
                    sums[i, r] = v.variable(v.load(v.address(d_row, r * lanes)))

            def multiply(a_pointer: Any, b_pointer: Any) -> None:
                columns = [v.load(v.address(b_pointer, r * lanes)) for r in range(registers)]
                for i in range(rows):
                    x = v.broadcast(builder.load(v.address(a_pointer, i * row_step)))
                    for r in range(registers):
                        sums[i, r].set(x.times_plus(columns[r], sums[i, r].get()))

            def constant(n: int) -> Any:
                return ir.Constant(ir.IntType(64), n)

            def b_row(kk: Any) -> Any:
                return v.address(b_start, builder.mul(kk, constant(width)))

            panels = builder.sdiv(args[3], constant(width))
            whole = builder.mul(panels, constant(width))
            with counting(builder, constant(0), panels) as panel:
                a_panel = v.address(a_start, builder.mul(panel, args[2]))
                first = builder.mul(panel, constant(width))
                with counting(builder, constant(0), constant(width), _UNROLL) as kk:
                    a_here = v.address(a_panel, builder.mul(kk, constant(k_step)))
                    b_here = b_row(builder.add(first, kk))
                    for u in range(_UNROLL):
                        multiply(v.address(a_here, u * k_step), v.address(b_here, u * width))
            a_panel = v.address(a_start, builder.mul(panels, args[2]))
            with counting(builder, constant(0), builder.sub(args[3], whole)) as kk:
                multiply(v.address(a_panel, builder.mul(kk, constant(k_step))), b_row(builder.add(whole, kk)))
            for (i, r), total in sums.items():
                v.store(total.get(), v.address(c_start, i * width + r * lanes))
            return context.get_dummy_value()

        i8 = types.int64
        return types.void(a, i8, i8, i8, b, i8, d, i8, i8, c, i8), codegen

    return tile


@cache
def multiply_function(dtype: Any, *, transposed: bool = False) -> Any:
    """`multiply(a, a_at, a_next, rows, k, b, b_at, columns, d, d_step, c)`: a chunk of rows by a panel.

    c[rows, columns] = d + a[rows, :k] @ b[:k, columns]; c, and d of rows d_step apart (0: one for all), are pointers.
    `a_at` is the operand's first element: row r of the chunk starts at a_at + r * width, its panels lie a_next apart.
    Transposed, the operand's rows are columns of one panel and k runs down its rows. Rows are computed in whole tiles,
    columns in whole registers: both buffers must be that large.
    """
    width = np.int64(panel_width(dtype))
    lanes = lanes_of(dtype)
    # Transposed, a panel's columns are the rows: their number is a power of two.
    tall = min(tile_rows(dtype), 4 if transposed and register_bytes() < 64 else 8)
    full, narrow = (tile_function(dtype, tall, registers, transposed) for registers in (2, 1))
    a_row = np.int64(1) if transposed else width

    @inline
    def multiply(
        a: Any, a_at: Any, a_next: Any, rows: Any, k: Any, b: Any, b_at: Any, columns: Any, d: Any, d_step: Any, c: Any
    ) -> None:
        for first in range(0, k, _BLOCK_K):
            depth = min(_BLOCK_K, k - first)
            a_block = a_at + (first // width) * a_next
            b_block = b_at + first * width
            begin, step = (d, d_step) if first == 0 else (c, width)
            for row in range(0, rows, tall):
                a_tile, to = a_block + row * a_row, row * width
                if columns > lanes:
                    full(a, a_tile, a_next, depth, b, b_block, begin, row * step, step, c, to)
                else:
                    narrow(a, a_tile, a_next, depth, b, b_block, begin, row * step, step, c, to)

    return multiply
