"""Memory by its address: what kernels hand each other instead of arrays.

An array of Numba's counts its references, wherever it is passed on, by atomic instructions on one counter that all
threads share. Whoever calls a kernel holds the arrays anyway; so an address goes in, as a number, and pointers, which
have a type but no owner, or records are made of it where it is used.

Every load, store and step says its type: LLVM's pointers have none.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, from_dtype, types
from numba.core import cgutils

Codegen = Callable[[Any, Any, Any, Any], Any]

_WORD = ir.IntType(64)


def intrinsic(define: Callable[..., tuple[Any, Codegen] | None]) -> Callable[..., Any]:
    """A function of kernels by its LLVM; constants arrive as literal types."""
    return extending.intrinsic(prefer_literal=True)(define)  # type: ignore[no-any-return]


def pointer_to(builder: Any, place: Any, kind: Any) -> Any:
    """An address (int64) as a pointer to what LLVM calls `kind`; a pointer as it is.

    llvmlite still gives its pointers a type that LLVM no longer knows.
    """
    return builder.inttoptr(place, kind.as_pointer()) if isinstance(place.type, ir.IntType) else place


def element(builder: Any, place: Any, index: Any, kind: Any) -> Any:
    """Element `index` (an int or an LLVM int64) of what stands at an address or a pointer."""
    if isinstance(index, int):
        index = ir.Constant(_WORD, index)
    return builder.gep(pointer_to(builder, place, kind), [index], source_etype=kind)


def load(builder: Any, place: Any, kind: Any, align: int | None = None) -> Any:
    """What stands there."""
    return builder.load(pointer_to(builder, place, kind), align=align, typ=kind)


def store(builder: Any, value: Any, place: Any, align: int | None = None) -> None:
    """Put it there."""
    pointer = pointer_to(builder, place, value.type)
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=align)


@cache
def pointers(dtype: Any) -> Callable[..., Any]:
    """`at(address, offset)`: a pointer to element `offset` of the numbers of that type at an address."""
    number = from_dtype(np.dtype(dtype))
    kind = types.CPointer(number)

    @intrinsic
    def at(typingctx: Any, address: Any, offset: Any) -> tuple[Any, Codegen]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return element(builder, args[0], args[1], context.get_data_type(number))

        return kind(types.int64, types.int64), codegen

    return at


def records(dtype: np.dtype[Any]) -> Callable[..., Any]:
    """`at(address, index)`: record `index` of the table at an address, whose fields are read and set in place."""
    kind = from_dtype(dtype)

    @intrinsic
    def at(typingctx: Any, address: Any, index: Any) -> tuple[Any, Codegen]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return element(builder, args[0], args[1], context.get_data_type(kind))

        return kind(types.int64, types.int64), codegen

    return at


@intrinsic
def address_of(typingctx: Any, place: Any) -> tuple[Any, Codegen]:
    """The address (int64) of what a pointer points to, or of a record."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], _WORD)

    return types.int64(place), codegen


@intrinsic
def moved(typingctx: Any, pointer: Any, offset: Any) -> tuple[Any, Codegen]:
    """The pointer to the element `offset` further on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return element(builder, args[0], args[1], context.get_data_type(pointer.dtype))

    return pointer(pointer, types.int64), codegen


@intrinsic
def data_of(typingctx: Any, array: Any) -> tuple[Any, Codegen]:
    """Pointer to the first element of a contiguous array; the array lives until `keep`."""
    kind = types.CPointer(array.dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0]).data

    return kind(array), codegen


@intrinsic
def keep(typingctx: Any, array: Any) -> tuple[Any, Codegen]:
    """Let an array live until here: Numba frees it after its last use, and knows nothing of pointers into it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_dummy_value()

    return types.void(array), codegen


@intrinsic
def stack_array(typingctx: Any, count: Any, kind: Any) -> tuple[Any, Codegen] | None:
    """Uninitialised array of `count` (a constant) elements on the stack, as a pointer to index: it aliases nothing."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    result = types.CPointer(kind.dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        size = ir.Constant(_WORD, count.literal_value)
        memory = cgutils.alloca_once(builder, context.get_data_type(kind.dtype), size)
        memory.align = 64
        return memory

    return result(count, kind), codegen


@intrinsic
def loaded(typingctx: Any, numbers: Any, count: Any) -> tuple[Any, Codegen] | None:
    """The first `count` (a constant) numbers that a pointer points to, as a tuple, out of reach of stores."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    result = types.UniTuple(numbers.dtype, count.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_data_type(numbers.dtype)
        places = [element(builder, args[0], i, kind) for i in range(count.literal_value)]
        return context.make_tuple(builder, result, [load(builder, place, kind) for place in places])

    return result(numbers, count), codegen


@intrinsic
def next_of(typingctx: Any, counter: Any) -> tuple[Any, Codegen]:
    """Take one from a shared counter, an int64 at that address: returns it as it was, as one step."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", pointer_to(builder, args[0], _WORD), ir.Constant(_WORD, 1), "monotonic")

    return types.int64(types.int64), codegen


@intrinsic
def add_atomically(typingctx: Any, counter: Any, value: Any) -> tuple[Any, Codegen]:
    """Add to the int64 at an address, as one step; whole numbers come out the same in any order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.atomic_rmw("add", pointer_to(builder, args[0], _WORD), args[1], "monotonic")
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def call_at(typingctx: Any, address: Any, arguments: Any) -> tuple[Any, Codegen]:
    """Call the kernel at a machine address with a tuple of numbers; see `jit.Kernel`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = cgutils.unpack_tuple(builder, args[1])
        kind = ir.FunctionType(_WORD, [value.type for value in values])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(types.int64, arguments), codegen
