"""Phases of dependent tasks inside one launch: nothing but an atomic counter between two layers.

A program is a list of phases, each a range of task numbers, a kernel, and a number of earlier tasks that must be done
before any of its own may start. Workers take the numbers in order (`threads.run_tiles`), wait until the phase is open,
work, and report. Whoever waits, waits for tasks already taken by workers that are running, so no number of workers can
deadlock, not even one.

A phase calls its kernel by the address: what a program has no phase for is never compiled.
"""

import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from .jit import Kernel, inline, kernel, place_of
from .pointers import Codegen, address_of, call_at, intrinsic, pointer_to
from .records import Table
from .threads import DRIVERS, run_tiles

_WORD = ir.IntType(64)

# Looks at the counter before the core is offered to others: some microseconds.
_SPINS = 1000

PHASE = Table(("function", "first", "after", "layer", "start", "stop"))
"""Tasks first, first + 1, … of a kernel, for a layer, over the columns [start, stop)."""

_PROGRAM = Table(("phases", "count", "done", "launch"))


@intrinsic
def _completed(typingctx: Any, counter: Any) -> tuple[Any, Codegen]:
    """The number of tasks done; what they wrote is visible afterwards."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(pointer_to(builder, args[0], _WORD), "acquire", 8, typ=_WORD)

    return types.int64(types.int64), codegen


@intrinsic
def _complete(typingctx: Any, counter: Any) -> tuple[Any, Codegen]:
    """Count one more task done, after everything it wrote."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.atomic_rmw("add", pointer_to(builder, args[0], _WORD), ir.Constant(_WORD, 1), "release")
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def _yield_core(typingctx: Any) -> tuple[Any, Codegen]:
    """Let another thread run, where the system has a call for it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if sys.platform != "win32":
            function = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, function, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen


_phase_at, _program_at = PHASE.at, _PROGRAM.at


@inline
def _phase_of(t: Any, program: Any) -> Any:
    """The phase of task t."""
    low, high = np.int64(0), program.count - 1
    while low < high:
        middle = (low + high + 1) // 2
        if _phase_at(program.phases, middle).first <= t:
            low = middle
        else:
            high = middle - 1
    return _phase_at(program.phases, low)


@kernel("task")
def _task(t: Any, program_address: Any) -> int:
    program = _program_at(program_address, np.int64(0))
    phase = _phase_of(t, program)
    spins = 0
    while _completed(program.done) < phase.after:
        spins += 1
        if spins > _SPINS:  # whoever we wait for may be waiting for this core
            _yield_core()
    call_at(phase.function, (t - phase.first, address_of(phase), program.launch))
    _complete(program.done)
    return 0


class Program:
    """Collects phases; `barrier()` makes what follows wait for all that came before."""

    def __init__(self) -> None:
        self.phases: list[tuple[Kernel, int, int, int, int, int]] = []
        self.tasks = 0
        self.after = 0
        self._table: Any = None

    def add(self, function: Kernel, layer: int, tasks: int, start: int = 0, stop: int = 0) -> None:
        """`tasks` tasks of a kernel for a layer, over the columns [start, stop)."""
        if tasks:
            self.phases.append((function, self.tasks, self.after, layer, start, stop))
            self.tasks += tasks

    def barrier(self) -> None:
        """Close the group."""
        self.after = self.tasks

    def kernels(self) -> list[Kernel]:
        """What it calls, and what calls that."""
        return [_task, *DRIVERS, *dict.fromkeys(function for function, *_ in self.phases)]

    def table(self) -> Any:
        """The phases as the scheduler reads them."""
        if self._table is None:
            self._table = np.array([(function.address, *rest) for function, *rest in self.phases], PHASE.dtype)
        return self._table


def run_program(program: Program, launch: int, steps: int) -> None:
    """Run all tasks of a program; each kernel gets its task's number, the phase and the launch."""
    done, phases = np.zeros(1, np.int64), program.table()
    whole = np.array([(place_of(phases), len(phases), place_of(done), launch)], _PROGRAM.dtype)
    run_tiles(_task, place_of(whole), program.tasks, steps, flush=True)
