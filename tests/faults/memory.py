"""Little memory: a limit on the address space, at a random distance from what the process has."""

from __future__ import annotations

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
    """Allow so many more bytes of address space, the system's own accounting, to this process."""
    sizes = Path("/proc/self/status").read_text()
    now = int(sizes.partition("VmSize:")[2].split()[0]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (now + room, now + room))


def _limited(room: int, function: Callable[[], None]) -> None:
    limit(room)
    try:
        function()
    except (MemoryError, fi.SweepError) as error:
        words = str(error.__cause__ if isinstance(error, fi.SweepError) else error)
        print(words)
        sys.exit(NO_MEMORY if "argument '" in words or "compile" in words else 1)


def small(least: int, most: int, make: Callable[[Trial], Callable[[], None]]) -> Callable[[Trial], None]:
    """Do something within a random room of 2^least to 2^most bytes."""

    def trial(t: Trial) -> None:
        room = int(2 ** t.random.uniform(least, most))
        t.fork(_limited, room, make(t)).ended({0, NO_MEMORY})

    return trial


def fill(t: Trial) -> Callable[[], None]:
    size = int(2 ** t.random.uniform(20, 34))
    law, dtype = t.random.choice(work.DRAWS).split()

    def draw() -> None:
        getattr(fi, law)(size, seed=1, dtype=dtype)
        work.draw()

    return draw


def probe(t: Trial) -> Callable[[], None]:
    sizes = {
        "depth": t.random.randrange(1, 20),
        "width": t.random.randrange(8, 3000),
        "batch": t.random.randrange(2, 9000),
    }
    backward = t.random.random() < 0.5
    return lambda: (fi.probe(**sizes, backward=backward), work.draw())[0]


def sweep(t: Trial) -> Callable[[], None]:
    """Points of many sizes: those that fit are done, and right."""
    path, seed = t.folder / "sweep.jsonl", t.random.randrange(1000)

    def run() -> None:
        swept = fi.sweep(
            store=path, on_error="skip", depth=1, width=[4, 30000], batch=[3, 20000], bins=300, seed=[seed]
        )
        for error in swept.errors.values():
            if not isinstance(error, MemoryError):
                raise error
        (point, result), *_ = swept
        if point["width"] == 4 and point["batch"] == 3:
            require_equal(result, fi.probe(**point))

    return run


def require_equal(first: Any, second: Any) -> None:
    """Two probes found the same."""
    if check.figures(first) != check.figures(second):
        raise AssertionError("figures differ")


def compile_anew(t: Trial) -> Callable[[], None]:
    """Nothing is compiled yet, as for who starts afresh."""
    folder = t.folder
    return lambda: work.compile_small(folder)


HOLDS = "right bytes, or a MemoryError that names the argument; no abort"
FAULTS = (
    Fault("Little memory: a fill", "`RLIMIT_AS`, 1 MiB to 4 GiB of room", HOLDS, 6, 150, small(20, 32, fill)),
    Fault("Little memory: a probe", "`RLIMIT_AS`, 1 MiB to 1 GiB of room", HOLDS, 6, 100, small(20, 30, probe)),
    Fault("Little memory: a sweep", "`RLIMIT_AS`, 1 MiB to 1 GiB of room", "points that fit are done; each other is a MemoryError", 4, 60, small(20, 30, sweep)),
    Fault("Little memory: the first compile", "`RLIMIT_AS`, 1 MiB to 1 GiB of room", "right values, or a MemoryError", 6, 80, small(20, 30, compile_anew)),
)  # fmt: skip
