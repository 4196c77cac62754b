"""Modes of the machine: how wide its vectors may be, and what it does with subnormal numbers."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .pointers import Codegen, intrinsic, load, store


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


# Bits of the control register that make subnormal numbers 0: x86's flush-to-zero and denormals-are-zero, ARM's FZ.
_X86_FLUSH, _ARM_FLUSH = 0x8040, 1 << 24


def read_float_mode(builder: Any) -> Any:
    """Emit what reads the thread's floating-point mode (int64); 0 on a CPU whose mode is left alone."""
    kind, word = _cpu(builder), ir.IntType(64)
    if kind == "x86":
        slot = cgutils.alloca_once(builder, ir.IntType(32))
        _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), slot)
        return builder.zext(load(builder, slot, ir.IntType(32)), word)
    return _call(builder, "llvm.aarch64.get.fpcr", word) if kind == "arm" else ir.Constant(word, 0)


def write_float_mode(builder: Any, mode: Any, *, flush: bool = False) -> None:
    """Emit what sets the thread's floating-point mode, with subnormals counting as 0 if `flush`."""
    kind, word = _cpu(builder), ir.IntType(64)
    if kind == "x86":
        mode = builder.or_(mode, ir.Constant(word, _X86_FLUSH if flush else 0))
        slot = cgutils.alloca_once(builder, ir.IntType(32))
        store(builder, builder.trunc(mode, ir.IntType(32)), slot)
        _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), slot)
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
