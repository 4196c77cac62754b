"""What Python cannot say and LLVM can of numbers: fused multiply-add, selection, bit casts.

Each intrinsic is an LLVM instruction or two (or an LLVM intrinsic call), so a loop made of them still vectorises.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .pointers import Codegen, intrinsic


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> tuple[Any, Codegen]:
    """Return a * b + c, rounded once; on a CPU without the instruction LLVM calls the C library's exact one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return a(a, a, a), codegen


@intrinsic
def select(typingctx: Any, condition: Any, yes: Any, no: Any) -> tuple[Any, Codegen]:
    """`yes if condition else no` with both sides evaluated: a blend, never a branch."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return yes(types.boolean, yes, yes), codegen


def _unary(name: str) -> Callable[..., Any]:
    """A function of one number that LLVM knows, for float32 and float64."""

    def typed(typingctx: Any, x: Any) -> tuple[Any, Codegen]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            function = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(args[0].type, [args[0].type]),
                f"llvm.{name}.f32" if signature.args[0] == types.float32 else f"llvm.{name}.f64",
            )
            return builder.call(function, args)

        return x(x), codegen

    return intrinsic(typed)


sqrt = _unary("sqrt")  # correctly rounded, without Python's check of the sign
floor = _unary("floor")


def _bitcast(source: Any, target: Any) -> Callable[..., Any]:
    def typed(typingctx: Any, x: Any) -> tuple[Any, Codegen] | None:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(target))

        return (target(source), codegen) if x == source else None

    return intrinsic(typed)


bits_of_float32 = _bitcast(types.float32, types.uint32)
float32_of_bits = _bitcast(types.uint32, types.float32)
bits_of_float64 = _bitcast(types.float64, types.uint64)
float64_of_bits = _bitcast(types.uint64, types.float64)


@intrinsic
def converted(typingctx: Any, numbers: Any, kind: Any) -> tuple[Any, Codegen]:
    """The same tuple with its numbers in another type."""
    result = types.UniTuple(kind.dtype, len(numbers))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [context.cast(builder, x, numbers.dtype, kind.dtype) for x in cgutils.unpack_tuple(builder, args[0])]
        return context.make_tuple(builder, result, values)

    return result(numbers, kind), codegen
