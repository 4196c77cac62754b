"""LLVM vectors as wide as the CPU's registers: what a loop vectoriser cannot be trusted with.

The matrix product and the column statistics are written on `Lanes`, one SIMD register seen as a number. Their lanes
never mix, so a result does not depend on how many there are; the width comes from the target that Numba compiles
for (NUMBA_CPU_NAME and NUMBA_CPU_FEATURES included), never from the CPU the process happens to run on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target

from .pointers import Codegen, element, intrinsic, load, store

_I32, _I64 = ir.IntType(32), ir.IntType(64)

# Columns of a panel, the unit of storage of every matrix of the probe: two registers of the widest float32 kind.
# It is part of the memory layout only; no figure depends on it.
_REGISTERS_PER_PANEL = 2


@cache
def register_bytes() -> int:
    """Bytes of the widest vector register whose fused multiply-add the target has in hardware, at least 16."""
    codegen = cpu_target.target_context.codegen()
    triple, cpu, features = codegen.magic_tuple()
    vector = "<16 x float>"
    source = (
        f'target triple = "{triple}"\ndeclare {vector} @llvm.fma.v16f32({vector}, {vector}, {vector})\n'
        f"define {vector} @f({vector} %a, {vector} %b) {{\n"
        f"  %c = call {vector} @llvm.fma.v16f32({vector} %a, {vector} %b, {vector} %b)\n  ret {vector} %c\n}}\n"
    )
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features, opt=2)
    assembly = machine.emit_assembly(llvm.parse_assembly(source))
    for register, size in (("zmm", 64), ("ymm", 32)):
        if any("vfmadd" in line and register in line for line in assembly.splitlines()):
            return size
    return 16


def lanes_of(dtype: Any) -> int:
    """Numbers of that type in a register."""
    return int(register_bytes() // np.dtype(dtype).itemsize)


def panel_width(dtype: Any) -> int:
    """Columns of a panel."""
    return _REGISTERS_PER_PANEL * lanes_of(dtype)


class Vectors:
    """Builds the vectors of one element type inside one LLVM function."""

    def __init__(self, builder: Any, dtype: Any, lanes: int) -> None:
        self.builder = builder
        self.lanes = lanes
        self.bits = 8 * np.dtype(dtype).itemsize
        self.scalar = ir.FloatType() if self.bits == 32 else ir.DoubleType()
        self.integer = ir.IntType(self.bits)
        self.float_type = ir.VectorType(self.scalar, lanes)
        self.bits_type = ir.VectorType(self.integer, lanes)
        self.suffix = f"v{lanes}f{self.bits}"

    def number(self, x: float) -> "Lanes":
        """The constant x in every lane."""
        return Lanes(self, ir.Constant(self.float_type, [ir.Constant(self.scalar, float(x))] * self.lanes))

    def pattern(self, x: int) -> "Lanes":
        """The bit pattern x in every lane."""
        return Lanes(self, ir.Constant(self.bits_type, [ir.Constant(self.integer, x)] * self.lanes))

    def address(self, pointer: Any, index: Any) -> Any:
        """The address of element `index` (an int or an LLVM int64)."""
        return element(self.builder, pointer, index, self.scalar)

    def scalar_at(self, pointer: Any) -> Any:
        """One number from memory, as LLVM's."""
        return load(self.builder, pointer, self.scalar)

    def load(self, pointer: Any) -> "Lanes":
        """A register from memory, at any alignment."""
        return Lanes(self, load(self.builder, pointer, self.float_type, self.bits // 8))

    def store(self, value: "Lanes", pointer: Any) -> None:
        """A register to memory, at any alignment."""
        store(self.builder, value.value, pointer, self.bits // 8)

    def broadcast(self, scalar: Any) -> "Lanes":
        """An LLVM scalar in every lane."""
        one = self.builder.insert_element(ir.Constant(self.float_type, ir.Undefined), scalar, ir.Constant(_I32, 0))
        mask = ir.Constant(ir.VectorType(_I32, self.lanes), [0] * self.lanes)
        return Lanes(self, self.builder.shuffle_vector(one, one, mask))

    def variable(self, first: "Lanes") -> "Variable":
        """A variable that lives through loops (a stack slot, which LLVM turns into a register)."""
        slot = cgutils.alloca_once(self.builder, first.value.type)
        variable = Variable(self, slot, first.value.type)
        variable.set(first)
        return variable

    def call(self, name: str, *arguments: "Lanes") -> "Lanes":
        """An LLVM intrinsic on vectors."""
        kinds = [x.value.type for x in arguments]
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(self.float_type, kinds), f"llvm.{name}.{self.suffix}"
        )
        return Lanes(self, self.builder.call(function, [x.value for x in arguments]))


class Lanes:
    """One vector: numbers with + - *, bit patterns with & ^ +, and masks with & |."""

    def __init__(self, vectors: Vectors, value: Any) -> None:
        self.vectors = vectors
        self.value = value

    def _is(self, kind: Any) -> bool:
        return bool(self.value.type == kind)

    def _apply(self, on_floats: str, on_integers: str, other: "Lanes") -> "Lanes":
        name = on_floats if self._is(self.vectors.float_type) else on_integers
        return Lanes(self.vectors, getattr(self.vectors.builder, name)(self.value, other.value))

    def __add__(self, other: "Lanes") -> "Lanes":
        return self._apply("fadd", "add", other)

    def __sub__(self, other: "Lanes") -> "Lanes":
        return self._apply("fsub", "sub", other)

    def __mul__(self, other: "Lanes") -> "Lanes":
        return self._apply("fmul", "mul", other)

    def __truediv__(self, other: "Lanes") -> "Lanes":
        return self._apply("fdiv", "udiv", other)

    def __and__(self, other: "Lanes") -> "Lanes":
        return self._apply("and_", "and_", other)

    def __or__(self, other: "Lanes") -> "Lanes":
        return self._apply("or_", "or_", other)

    def __xor__(self, other: "Lanes") -> "Lanes":
        return self._apply("xor", "xor", other)

    def __lt__(self, other: "Lanes") -> "Lanes":
        return self._compare("<", other)

    def __gt__(self, other: "Lanes") -> "Lanes":
        return self._compare(">", other)

    def equals(self, other: "Lanes") -> "Lanes":
        """The mask of equal lanes (false for NaN)."""
        return self._compare("==", other)

    def _compare(self, operator: str, other: "Lanes") -> "Lanes":
        builder = self.vectors.builder
        compare = builder.fcmp_ordered if self._is(self.vectors.float_type) else builder.icmp_unsigned
        return Lanes(self.vectors, compare(operator, self.value, other.value))

    def where(self, mask: "Lanes", otherwise: "Lanes") -> "Lanes":
        """Blend: these lanes where the mask holds, else those of `otherwise`."""
        return Lanes(self.vectors, self.vectors.builder.select(mask.value, self.value, otherwise.value))

    def finite(self) -> "Lanes":
        """The mask of finite numbers: x - x is 0 for those only."""
        return (self - self).equals(self.vectors.number(0.0))

    def differs_from_itself(self) -> Any:
        """Return an LLVM boolean: whether any lane is NaN."""
        builder = self.vectors.builder
        mask = builder.fcmp_unordered("uno", self.value, self.value)
        whole = builder.bitcast(mask, ir.IntType(self.vectors.lanes))
        return builder.icmp_unsigned("!=", whole, ir.Constant(whole.type, 0))

    def times_plus(self, b: "Lanes", c: "Lanes") -> "Lanes":
        """Return self * b + c, rounded once."""
        return self.vectors.call("fma", self, b, c)

    def widened(self, vectors: Vectors) -> "Lanes":
        """The numbers as those of `vectors`, a type at least as wide."""
        same = self._is(vectors.float_type)
        return self if same else Lanes(vectors, vectors.builder.fpext(self.value, vectors.float_type))

    def as_bits(self) -> "Lanes":
        """The patterns of the numbers."""
        return Lanes(self.vectors, self.vectors.builder.bitcast(self.value, self.vectors.bits_type))

    def as_numbers(self) -> "Lanes":
        """The numbers of the patterns."""
        return Lanes(self.vectors, self.vectors.builder.bitcast(self.value, self.vectors.float_type))

    def shifted(self, n: int) -> "Lanes":
        """The patterns shifted to the right by n."""
        return Lanes(self.vectors, self.vectors.builder.lshr(self.value, self.vectors.pattern(n).value))

    def rotated(self, n: int) -> "Lanes":
        """The patterns rotated to the left by n."""
        vectors, builder = self.vectors, self.vectors.builder
        left = builder.shl(self.value, vectors.pattern(n).value)
        return Lanes(vectors, builder.or_(left, builder.lshr(self.value, vectors.pattern(vectors.bits - n).value)))


class Variable:
    """A vector that changes."""

    def __init__(self, vectors: Vectors, slot: Any, kind: Any) -> None:
        self.vectors = vectors
        self.slot, self.kind = slot, kind

    def get(self) -> Lanes:
        """The value now."""
        return Lanes(self.vectors, load(self.vectors.builder, self.slot, self.kind))

    def set(self, value: Lanes) -> None:
        """Give it a new value."""
        store(self.vectors.builder, value.value, self.slot)


@contextmanager
def counting(builder: Any, start: Any, stop: Any, step: int = 1) -> Iterator[Any]:
    """`for i in range(start, stop, step)` over LLVM int64."""
    with cgutils.for_range_slice(builder, start, stop, ir.Constant(_I64, step), intp=_I64) as (i, _):
        yield i


@cache
def copy_panel_row(dtype: Any) -> Any:
    """`copy(source, to)`: a panel's row, register by register; both are pointers.

    LLVM would unroll a loop of so few turns before it looks for vectors, into loads and stores of single numbers.
    """
    lanes = lanes_of(dtype)

    @intrinsic
    def copy(typingctx: Any, source: Any, to: Any) -> tuple[Any, Codegen]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            v = Vectors(builder, dtype, lanes)
            registers = [v.load(v.address(args[0], i * lanes)) for i in range(_REGISTERS_PER_PANEL)]
            for i, register in enumerate(registers):
                v.store(register, v.address(args[1], i * lanes))
            return context.get_dummy_value()

        return types.void(source, to), codegen

    return copy
