"""Timing two sides against each other: interleaved A B A B in one process, each after a warm run."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import peers
from cases import Case
from peers import Work

# Calls are repeated until a measurement takes at least this long.
SHORTEST = 0.005


@dataclass
class Result:
    """Seconds (or bytes) of each measurement of a case; `note` says why there are none."""

    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    note: str = ""

    def factors(self, faster: bool) -> list[float]:
        """Ratios of neighbouring measurements, which share the state that the machine is in."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return [b / a if faster else a / b for a, b in pairs]


def measure(case: Case, *, repeats: int, threads: int) -> Result:
    """Measure a case, `case.repeats` times if it says so, else `repeats` times."""
    if not peers.installed(case.module):
        return Result(note=f"{case.module} is not installed")
    if case.module == "jax" and threads < peers.CORES:
        return Result(note="JAX cannot be held to fewer threads than there are cores")
    repeats = min(repeats, case.repeats or repeats)
    result = Result()
    try:
        ours, theirs = case.ours(), case.theirs() if case.theirs else None
        with peers.threads(1 if case.one_thread else threads):
            take = _figure if case.measured else _seconds
            for _ in range(repeats):
                result.ours.append(take(ours))
                if theirs:
                    result.theirs.append(take(theirs))
    except (RuntimeError, MemoryError, ValueError, TypeError) as error:
        return Result(note=str(error) or type(error).__name__)
    return result


def _figure(work: Work) -> float:
    figure: Any = work()
    return float(figure)


def _seconds(work: Work) -> float:
    settle()
    once = _run(work, 1)
    return _run(work, max(1, math.ceil(SHORTEST / once)))


def settle() -> None:
    """Wait until the thread pools of this process sleep.

    Idle workers of OpenMP and OpenBLAS spin for tens of milliseconds and take a core from whoever runs next; while
    they do, this process uses processor time although it waits.
    """
    quiet, deadline = 0, time.perf_counter() + 1
    while quiet < 2 and time.perf_counter() < deadline:
        used = time.process_time()
        time.sleep(0.02)
        quiet = quiet + 1 if time.process_time() - used < 0.002 else 0


def _run(work: Work, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def middle(values: list[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, median(values), high
