"""The scheduler: every task once and with its phase, none before what it waits for, on any number of threads."""

import numpy as np
import pytest
from fastinit_kernels.machine.jit import kernel, place_of
from fastinit_kernels.machine.pointers import next_of
from fastinit_kernels.machine.records import Table
from fastinit_kernels.machine.schedule import PHASE, Program, run_program
from fastinit_kernels.machine.threads import PARALLEL_FROM

# What a task leaves behind: when it began and ended, by a clock that all share; what it was called with; a value of its
# own, and the sum of the values of those it waited for.
NOTE = Table(("began", "ended", "runs", "kind", "number", "layer", "start", "stop", "value", "seen"))
LAUNCH = Table(("clock", "idle", "notes"))

# Turns of an idle task, a millisecond or so: whoever does not wait for it is ahead of it.
LONG = 1 << 17

_phase_at, _launch_at, _note_at = PHASE.at, LAUNCH.at, NOTE.at


def task(kind):
    @kernel(None)
    def run(t, phase_address, launch_address):
        phase, launch = _phase_at(phase_address, np.int64(0)), _launch_at(launch_address, np.int64(0))
        note = _note_at(launch.notes, phase.first + t)
        note.began = next_of(launch.clock)
        if t == 0:
            for _ in range(LONG):
                next_of(launch.idle)
        seen = 0
        for earlier in range(phase.after):
            seen += _note_at(launch.notes, np.int64(earlier)).value
        note.runs += 1
        note.kind, note.number, note.seen = kind, t, seen
        note.layer, note.start, note.stop = phase.layer, phase.start, phase.stop
        note.value = (phase.first + t) ** 2 + 1
        note.ended = next_of(launch.clock)
        return 0

    return run


KINDS = [task(kind) for kind in (1, 2)]
BARRIER = None

# Phases of so many tasks, and barriers between them.
PROGRAMS = {
    "one task": [1],
    "one phase": [9],
    "one after the other": [1, BARRIER, 1, BARRIER, 1],
    "one, then many": [1, BARRIER, 30, BARRIER, 1, BARRIER, 30],
    "several in a group": [3, 5, BARRIER, 2, 1, 4, BARRIER, 7, 1],
    "phases of nothing": [0, BARRIER, 4, 0, BARRIER, 0, BARRIER, 4, BARRIER, BARRIER, 3, BARRIER],
    "many phases": [2, BARRIER, 3, 1, BARRIER] * 10,
}


def run(phases):
    """Run a program; return its notes, and what each task was added with: (kind, number, layer, start, stop, after)."""
    program, added, done, group = Program(), [], 0, 0
    for layer, tasks in enumerate(phases):
        if tasks is BARRIER:
            program.barrier()
            group = done
        else:
            start, stop = 10 * layer, 10 * layer + 3
            program.add(KINDS[layer % 2], layer, tasks, start, stop)
            added += [(layer % 2 + 1, t, layer, start, stop, group) for t in range(tasks)]
            done += tasks
    assert program.tasks == done
    notes, clock, idle = NOTE.zeros(done), np.zeros(1, np.int64), np.zeros(1, np.int64)
    launch = LAUNCH.record(clock=place_of(clock), idle=place_of(idle), notes=place_of(notes))
    run_program(program, place_of(launch), PARALLEL_FROM)
    assert clock[0] == 2 * done
    return notes, added


def check(phases):
    notes, added = run(phases)
    names = ("kind", "number", "layer", "start", "stop")
    assert [tuple(note[name] for name in names) for note in notes] == [task[:-1] for task in added]
    assert (notes["runs"] == 1).all()
    for note, (*_, after) in zip(notes, added, strict=True):
        assert (note["began"] > notes["ended"][:after]).all()
        assert note["seen"] == sum(n * n + 1 for n in range(after))


@pytest.mark.parametrize("phases", PROGRAMS.values(), ids=PROGRAMS)
def test_here(phases):
    check(phases)


# Two processors may have eight threads, which then wait for each other's turn.
EIGHT = """
import os, sys
sys.path.insert(0, os.environ["TESTS"])
import numba, test_schedule as t
for threads in (1, 2, 3, 8):
    numba.set_num_threads(threads)
    for phases in t.PROGRAMS.values():
        t.check(phases)
print(numba.threading_layer())
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_on_any_number_of_threads(python, layer):
    pytest.importorskip(f"numba.np.ufunc.{'omppool' if layer == 'omp' else layer}", exc_type=ImportError)
    assert python(EIGHT, NUMBA_NUM_THREADS="8", NUMBA_THREADING_LAYER=layer).strip() == layer
