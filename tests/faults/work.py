"""What the processes do that are harmed. Each says what it has done by files, so that a kill hides nothing."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import golden
import numba
from fastinit_kernels.machine import cache as kernels
from fastinit_kernels.machine.jit import kernel

import fastinit as fi
from fastinit.cli import main
from fastinit.probing.store import Store
from fastinit.showing.commands import tensors

# Points that cost little, of lines of a page: a kill leaves parts of one.
GRID: dict[str, Any] = {"depth": 1, "width": 4, "batch": 3, "bins": 100}
POINTS = 24
SWEEP: dict[str, Any] = {**GRID, "seed": range(POINTS)}

DRAWS = ("normal float32", "uniform bfloat16", "truncated_normal float32")
SHAPE = (3000, 2000)
# A checkpoint of five files, the largest of which has two blocks' worth of bytes a thread.
PARAMETERS = {f"layers.{i}.weight": (400 + i, 1000) for i in range(12)}
KERNELS = 4


def warm() -> None:
    """Load every kernel that is used here, so that forked processes have it; starts no threads."""
    numba.njit(lambda x: x + 1)(1)  # and Numba's own modules, which another user may not be able to read
    for case in DRAWS:
        law, dtype = case.split()
        golden.LAWS[law][0](10, seed=1, dtype=dtype)
    fi.sweep(**{**GRID, "seed": range(1)})
    fi.sweep(depth=[1, 3], width=8, batch=4)
    result()


def leave(number: int, frame: Any) -> None:
    """Answer a signal as a service does."""
    sys.exit(128 + number)


def sweep(store: Path, finished: Path | None = None, **arguments: Any) -> None:
    """Sweep into a store; `finished` gets a line for each point of which the product says that it is kept."""
    signal.signal(signal.SIGTERM, leave)
    with telling(finished or Path(os.devnull)):
        fi.sweep(store=store, **SWEEP, **arguments)


@contextmanager
def telling(finished: Path) -> Iterator[None]:
    """Write down there each point that a store has taken."""
    handle = os.open(finished, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    add = Store.add

    def told(self: Store, index: int, values: Any) -> None:
        add(self, index, values)
        os.write(handle, b"%d\n" % index)

    Store.add = told  # type: ignore[method-assign]
    try:
        yield
    finally:
        Store.add = add  # type: ignore[method-assign]
        os.close(handle)


def told(finished: Path) -> list[int]:
    """The points that `sweep` has written down."""
    return [int(line) for line in finished.read_bytes().split()] if finished.exists() else []


def init(path: Path) -> None:
    """Run `fastinit init`, as the command does, in several blocks."""
    tensors._BLOCK = 1 << 18
    sys.argv = ["fastinit", *init_words(path)]
    main()


def init_words(path: Path) -> list[str]:
    """The command's words."""
    return ["init", "he_normal", "--shape", ",".join(map(str, SHAPE)), "--seed", "1", "--force", "-o", str(path)]


def checkpoint(folder: Path) -> None:
    """Write a checkpoint, or go on with it."""
    signal.signal(signal.SIGTERM, leave)
    plan = fi.Plan([("**", {"scheme": "normal", "std": 0.02})])
    fi.checkpoint.write(folder, PARAMETERS, plan, seed=1, max_shard_size="5MB")


@cache
def result(seed: int = 0) -> Any:
    """A probe to save and to draw."""
    return replace(fi.probe(**{**GRID, "bins": 3000, "seed": seed}), seconds=0.5)


def save(path: Path, times: int = 1) -> None:
    """Save two results in turn, as a loop does that keeps its last."""
    signal.signal(signal.SIGTERM, leave)
    for turn in range(times):
        result(turn % 2).save(path)


def plot(path: Path) -> None:
    """Draw a result."""
    result(0).plot(path)


def in_cache(folder: Path) -> None:
    """Keep compiled kernels there, from now on."""
    numba.config.CACHE_DIR = str(folder)
    kernels.cache_folder.cache_clear()
    kernels._remove_leftovers.cache_clear()
    kernels._warned = False


def compile_small(folder: Path, found: int | None = None) -> None:
    """Compile kernels that compile at once, or find them there, and see that they are right.

    `found`: how many of them must be there, of those that are whole.
    """
    signal.signal(signal.SIGTERM, leave)
    in_cache(folder)
    hits = compile_kernels()
    if found is not None and hits < found:
        raise AssertionError(f"{hits} of {found} kept kernels could be loaded")


def compile_kernels(first: int = 0) -> int:
    """Compile kernels, or find them, see that they are right, and return how many were found."""
    hits = 0
    for i in range(first, first + KERNELS):

        def tiny(x, i=i):
            return x + i

        compiled = kernel(f"tiny{i}")(tiny)
        if compiled(41) != 41 + i:
            raise AssertionError("a kernel gives a wrong value")
        hits += sum(compiled.dispatcher.stats.cache_hits.values())
    return hits


def draw(cases: tuple[str, ...] = DRAWS) -> None:
    """Draw, and compare with the contract's golden values."""
    from faults import check

    for case in cases:
        law, dtype = case.split()
        function, numbers = golden.LAWS[law]
        check.drawn(case, function(100_003, seed=golden.SEED, name="golden", dtype=dtype, **numbers))
