"""Phases of dependent tasks inside one launch: nothing but an atomic counter between two layers.

A program is a list of phases, each a range of task numbers and a number of earlier tasks that must be done before any
of its own may start. Workers take the numbers in order (`Tiled`), wait until the phase is open, work, and report.
Whoever waits, waits for tasks already taken by workers that are running, so no number of workers can deadlock, not
even one.
"""

import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from .intrinsics import Codegen, intrinsic
from .jit import inline

# Looks at the counter before the core is offered to others: some microseconds.
_SPINS = 1000

# Columns of the phase table.
KIND, LAYER, START, STOP, FIRST, AFTER = range(6)


def _element(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    data = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0]).data
    return builder.gep(data, [args[1]]) if len(args) > 1 else data


@intrinsic
def _completed(typingctx: Any, counter: Any) -> tuple[Any, Codegen]:
    """The number of tasks done; what they wrote is visible afterwards."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_element(context, builder, signature, args), "acquire", 8)

    return types.int64(counter), codegen


@intrinsic
def _complete(typingctx: Any, counter: Any) -> tuple[Any, Codegen]:
    """Count one more task done, after everything it wrote."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        one = ir.Constant(ir.IntType(64), 1)
        builder.atomic_rmw("add", _element(context, builder, signature, args), one, "release")
        return context.get_dummy_value()

    return types.void(counter), codegen


@intrinsic
def add_atomically(typingctx: Any, counters: Any, index: Any, value: Any) -> tuple[Any, Codegen]:
    """counters[index] += value (int64) as one step; whole numbers come out the same in any order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.atomic_rmw("add", _element(context, builder, signature, args[:2]), args[2], "monotonic")
        return context.get_dummy_value()

    return types.void(counters, types.int64, types.int64), codegen


@intrinsic
def _yield_core(typingctx: Any) -> tuple[Any, Codegen]:
    """Let another thread run, where the system has a call for it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if sys.platform != "win32":
            function = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, function, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen


@inline
def enter(t: Any, phases: Any, done: Any) -> Any:
    """The phase of task t, once it is open."""
    low, high = 0, len(phases) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if phases[middle, FIRST] <= t:
            low = middle
        else:
            high = middle - 1
    spins = 0
    while _completed(done) < phases[low, AFTER]:
        spins += 1
        if spins > _SPINS:  # whoever we wait for may be waiting for this core
            _yield_core()
    return low


@inline
def leave(done: Any) -> None:
    """Report the task done."""
    _complete(done)


class Program:
    """Collects phases; `barrier()` makes what follows wait for all that came before."""

    def __init__(self) -> None:
        self.phases: list[tuple[int, int, int, int, int, int]] = []
        self.tasks = 0
        self.after = 0

    def add(self, kind: int, layer: int, tasks: int, start: int = 0, stop: int = 0) -> None:
        """`tasks` tasks of a kind for a layer, over the columns [start, stop)."""
        if tasks:
            self.phases.append((kind, layer, start, stop, self.tasks, self.after))
            self.tasks += tasks

    def barrier(self) -> None:
        """Close the group."""
        self.after = self.tasks

    def table(self) -> Any:
        """The phases as the kernel reads them."""
        return np.array(self.phases, np.int64).reshape(-1, 6)
