"""Little memory: a limit on the address space, at a random distance from what the process has."""

# ruff: noqa: E501 (a row is a line)

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults import check, work
from faults.trial import Fault, Trial

import fastinit as fi

# What a child says by its exit code: it was told that memory is short.
NO_MEMORY = 12


def limit(room: int) -> None:
    """Allow this process so many more bytes of address space."""
    sizes = Path("/proc/self/status").read_text()
    now = int(sizes.partition("VmSize:")[2].split()[0]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (now + room, now + room))


def limited(room: int, function: Callable[[], None]) -> None:
    """Run that within the room; a MemoryError that says what asks for it is an exit code of its own."""
    limit(room)
    try:
        function()
    except (MemoryError, fi.SweepError) as error:
        cause = error if isinstance(error, MemoryError) else error.__cause__
        if not _clear(cause):
            raise
        sys.exit(NO_MEMORY)


def _clear(error: BaseException | None) -> bool:
    words = str(error)
    return isinstance(error, MemoryError) and ("argument '" in words or "ulimit" in words)


def small(least: int, most: int, make: Callable[[Trial], Callable[[], None]]) -> Callable[[Trial], None]:
    """Do something within a random room of 2^least to 2^most bytes."""

    def trial(t: Trial) -> None:
        room = int(2 ** t.random.uniform(least, most))
        t.fork(limited, room, make(t)).ended({0, NO_MEMORY})

    return trial


def fill(t: Trial) -> Callable[[], None]:
    """A tensor of any size."""
    size = int(2 ** t.random.uniform(20, 34))
    law, dtype = t.random.choice(work.DRAWS).split()

    def draw() -> None:
        getattr(fi, law)(size, seed=1, dtype=dtype)
        work.draw()

    return draw


def probe(t: Trial) -> Callable[[], None]:
    """A network of any size."""
    words: dict[str, Any] = {
        "depth": t.random.randrange(1, 20),
        "width": t.random.randrange(8, 3000),
        "batch": t.random.randrange(2, 9000),
        "backward": t.random.random() < 0.5,
    }

    def run() -> None:
        fi.probe(**words)
        work.draw()

    return run


def sweep(t: Trial) -> Callable[[], None]:
    """Points of many sizes: the smallest is done, and right."""
    path, seed = t.folder / "sweep.jsonl", t.random.randrange(1000)
    grid: dict[str, Any] = {"depth": 1, "width": [4, 30_000], "batch": [3, 20_000], "bins": 100, "seed": [seed]}

    def run() -> None:
        swept = fi.sweep(store=path, on_error="skip", **grid)
        for error in swept.errors.values():
            if not _clear(error):
                raise error
        if swept.results[0] is None:
            raise swept.errors[0]
        if check.figures(swept.results[0]) != check.figures(fi.probe(**swept.points[0])):
            raise AssertionError("figures differ")

    return run


def compile_anew(t: Trial) -> Callable[[], None]:
    """Nothing is compiled yet, as for who starts afresh."""
    folder = t.folder
    return lambda: work.compile_small(folder)


FIRST = """
import sys
import fastinit_kernels.fill.dense, fastinit_kernels.probe.run
from faults import memory
import fastinit as fi
calls = (lambda: fi.normal(100, seed=1), lambda: fi.uniform(1_000_000, seed=1), lambda: fi.probe(depth=2, width=8, batch=4),
         lambda: fi.sweep(depth=[1, 2], width=8, batch=4, seed=range(8)), lambda: fi.probe(depth=3, width=500, batch=999))
memory.limited(int(sys.argv[1]), calls[int(sys.argv[2])])
"""


def first_call(t: Trial) -> None:
    """The first call of a process finds little room: nothing is loaded yet, no threads are started."""
    words = ["-c", FIRST.strip(), str(int(2 ** t.random.uniform(22, 31))), str(t.number % 5)]
    t.fork(os.execv, sys.executable, [sys.executable, *words]).ended({0, NO_MEMORY})


HOLDS = "right bytes, or a MemoryError that names the argument; no abort"
FAULTS = (
    Fault("Little memory: a fill", "`RLIMIT_AS`, 1 MiB to 4 GiB of room", HOLDS, 6, 100, small(20, 32, fill)),
    Fault("Little memory: a probe", "`RLIMIT_AS`, 1 MiB to 1 GiB of room", HOLDS, 6, 40, small(20, 30, probe)),
    Fault("Little memory: a sweep", "`RLIMIT_AS`, 1 MiB to 1 GiB of room", "points that fit are done; each other is a MemoryError", 4, 40, small(20, 30, sweep)),
    Fault("Little memory: the first compile", "`RLIMIT_AS`, 1 MiB to 1 GiB of room", HOLDS, 6, 50, small(20, 30, compile_anew)),
    Fault("Little memory: the first call of a process", "`RLIMIT_AS`, 4 MiB to 2 GiB of room", HOLDS, 5, 40, first_call),
)  # fmt: skip
