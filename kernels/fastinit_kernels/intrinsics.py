"""What Python cannot say and LLVM can: fused multiply-add, selection, bit casts, an atomic counter, a mode of the CPU.

Each intrinsic is an LLVM instruction or two (or an LLVM intrinsic call), so a loop made of them still vectorises.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

Codegen = Callable[[Any, Any, Any, Any], Any]


def intrinsic(define: Callable[..., tuple[Any, Codegen] | None]) -> Callable[..., Any]:
    """A function of kernels by its LLVM; constants arrive as literal types."""
    return extending.intrinsic(prefer_literal=True)(define)  # type: ignore[no-any-return]


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
def next_tile(typingctx: Any, counter: Any) -> tuple[Any, Codegen]:
    """Take one from a shared counter (int64 array of one element): returns it as it was, atomically."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), codegen


@intrinsic
def stack_array(typingctx: Any, count: Any, kind: Any) -> tuple[Any, Codegen] | None:
    """Uninitialised array of `count` (a constant) elements on the stack, as a pointer to index: it aliases nothing."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    element = kind.dtype

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = ir.ArrayType(context.get_data_type(element), count.literal_value)
        memory = cgutils.alloca_once(builder, array)
        memory.align = 64
        return builder.bitcast(memory, context.get_data_type(element).as_pointer())

    return types.CPointer(element)(count, kind), codegen


@intrinsic
def pointer_to(typingctx: Any, array: Any, offset: Any) -> tuple[Any, Codegen]:
    """Pointer to element `offset` (int64) of a contiguous one-dimensional array, or of what a pointer points to."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = args[0]
        if not isinstance(array, types.CPointer):
            data = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=data).data
        return builder.gep(data, [args[1]])

    return types.CPointer(array.dtype)(array, types.int64), codegen


@intrinsic
def loaded(typingctx: Any, numbers: Any, count: Any) -> tuple[Any, Codegen] | None:
    """The first `count` (a constant) numbers of an array or pointer as a tuple, out of reach of stores."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    result = types.UniTuple(numbers.dtype, count.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = args[0]
        if not isinstance(numbers, types.CPointer):
            data = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=data).data
        places = [builder.gep(data, [ir.Constant(ir.IntType(64), i)]) for i in range(count.literal_value)]
        return context.make_tuple(builder, result, [builder.load(place) for place in places])

    return result(numbers, count), codegen


@intrinsic
def converted(typingctx: Any, numbers: Any, kind: Any) -> tuple[Any, Codegen]:
    """The same tuple with its numbers in another type."""
    result = types.UniTuple(kind.dtype, len(numbers))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [context.cast(builder, x, numbers.dtype, kind.dtype) for x in cgutils.unpack_tuple(builder, args[0])]
        return context.make_tuple(builder, result, values)

    return result(numbers, kind), codegen


@intrinsic
def use_widest_vectors(typingctx: Any) -> tuple[Any, Codegen]:
    """Let LLVM use the widest registers the CPU has in the function that calls this.

    For some CPUs LLVM keeps to 256 bits, to spare code that is mostly scalar a lower clock; a kernel is not.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # llvmlite's attribute set knows the plain attributes only; this one is a name with a value.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), codegen


@intrinsic
def borrowed(typingctx: Any, arguments: Any) -> tuple[Any, Codegen]:
    """The same tuple of arrays and numbers, its arrays without their owners.

    Numba counts references wherever an array is passed on, by atomic instructions on one counter that all threads
    share. Whoever calls a kernel holds the arrays anyway.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = cgutils.unpack_tuple(builder, args[0])
        for i, kind in enumerate(arguments):
            if isinstance(kind, types.Array):
                array = cgutils.create_struct_proxy(kind)(context, builder, value=values[i])
                array.meminfo = cgutils.get_null_value(array.meminfo.type)
                array.parent = cgutils.get_null_value(array.parent.type)
                values[i] = array._getvalue()
        return context.make_tuple(builder, arguments, values)

    return arguments(arguments), codegen


@intrinsic
def call_at(typingctx: Any, address: Any, arguments: Any) -> tuple[Any, Codegen]:
    """Call the function at a machine address (see `jit.address`) with a tuple of pointers and numbers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = cgutils.unpack_tuple(builder, args[1])
        kind = ir.FunctionType(ir.IntType(64), [value.type for value in values])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(types.int64, arguments), codegen


# Bits of the control register that make subnormal numbers 0: x86's flush-to-zero and denormals-are-zero, ARM's FZ.
_X86_FLUSH, _ARM_FLUSH = 0x8040, 1 << 24


def read_float_mode(builder: Any) -> Any:
    """Emit what reads the thread's floating-point mode (int64); 0 on a CPU whose mode is left alone."""
    kind, word = _cpu(builder), ir.IntType(64)
    if kind == "x86":
        slot = cgutils.alloca_once(builder, ir.IntType(32))
        _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), builder.bitcast(slot, ir.IntType(8).as_pointer()))
        return builder.zext(builder.load(slot), word)
    return _call(builder, "llvm.aarch64.get.fpcr", word) if kind == "arm" else ir.Constant(word, 0)


def write_float_mode(builder: Any, mode: Any, *, flush: bool = False) -> None:
    """Emit what sets the thread's floating-point mode, with subnormals counting as 0 if `flush`."""
    kind, word = _cpu(builder), ir.IntType(64)
    if kind == "x86":
        mode = builder.or_(mode, ir.Constant(word, _X86_FLUSH if flush else 0))
        slot = cgutils.alloca_once(builder, ir.IntType(32))
        builder.store(builder.trunc(mode, ir.IntType(32)), slot)
        _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), builder.bitcast(slot, ir.IntType(8).as_pointer()))
    elif kind == "arm":
        mode = builder.or_(mode, ir.Constant(word, _ARM_FLUSH if flush else 0))
        _call(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), mode)


def _cpu(builder: Any) -> str | None:
    """The kind of the CPU that is compiled for, not of the one that compiles."""
    name = builder.module.triple.split("-")[0]
    return "x86" if name in ("x86_64", "amd64") else "arm" if name in ("aarch64", "arm64") else None


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


@intrinsic
def flush_subnormals(typingctx: Any) -> tuple[Any, Codegen]:
    """Let this thread's arithmetic take and give 0 for subnormal numbers; return the mode before, for `restore`.

    On x86 and ARM; other CPUs have no such mode, or need none.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        before = read_float_mode(builder)
        write_float_mode(builder, before, flush=True)
        return before

    return types.int64(), codegen


@intrinsic
def restore(typingctx: Any, mode: Any) -> tuple[Any, Codegen]:
    """Give this thread back the mode that `flush_subnormals` found."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        write_float_mode(builder, args[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen
