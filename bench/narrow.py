"""Where the time of a narrow probe goes, whose products are too small to hide anything.

    python bench/narrow.py             the founding experiment, 5 layers 1000 x 100 x 100, and a point of a sweep,
                                       10 layers 256 x 100 x 100: about half a minute
    python bench/narrow.py --profile   and what Python does meanwhile

For each, forward and with gradients: the bare matrix products on one thread and on all, the whole call on one and on
all, its part outside of compiled code, and each kind of task by itself on one thread. Two pieces that tasks call, the
drawing of weights and the activation, are measured alone. A time is a median: on one thread of the processor's time,
to which other programs add little, on several of the clock's.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import peers
import report
from peers import Work
from timing import SHORTEST, settle

import fastinit as fi

# Batch, width, depth.
NETWORKS = ((1000, 100, 5), (256, 100, 10))
TARGETS = "targets: 5 layers 1000 x 100 x 100 forward in 2.0x (1.3x) the bare products and a 7th of the NumPy loop"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="python bench/narrow.py"
    )
    parser.add_argument("--threads", type=int, default=peers.CORES, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=25, help="measurements of each (default: %(default)s)")
    parser.add_argument("--profile", action="store_true", help="show what Python does in a probe")
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)  # for the test of this file
    options = parser.parse_args(arguments)
    print(f"{report.machine(options.threads, options.repeats)}\n{TARGETS}")
    for batch, width, depth in NETWORKS:
        size = (batch // 8, width // 8, depth) if options.small else (batch, width, depth)
        for backward in (False, True):
            kind = "with gradients" if backward else "forward"
            print(f"\n{size[2]} layers {size[0]} x {size[1]} x {size[1]}, {kind}")
            print_lines(_whole(size, backward, options))
            print_lines(_pieces(size, backward, options))
            if options.profile:
                _profile(peers.fastinit_probe(*size, backward=backward))
    return 0


Line = tuple[str, float, str]
Clock = Callable[[], float]


def print_lines(lines: Sequence[Line]) -> None:
    for what, seconds, note in lines:
        print(f"  {what:<44} {seconds * 1e6:8.0f} us  {note}".rstrip())


# The whole


def _whole(size: tuple[int, int, int], backward: bool, options: argparse.Namespace) -> list[Line]:
    products = peers.bare_products(*size, backward=backward)
    ours, loop = peers.fastinit_probe(*size, backward=backward), peers.numpy_probe(*size)
    works = {"bare products": products, "fastinit": ours}
    if not backward:
        works["the loop in NumPy"] = loop
    lines, bare = [], 0.0
    for threads in dict.fromkeys((1, options.threads)):
        clock = time.thread_time if threads == 1 else time.perf_counter
        with peers.threads(threads):
            for name, seconds in _medians(works, options.repeats, clock).items():
                bare = seconds if name == "bare products" else bare
                note = "" if name == "bare products" else f"{seconds / bare:.2f}x the bare products"
                lines.append((f"{name}, {threads} thread{'s' * (threads > 1)}", seconds, note))
                if name == "fastinit":
                    python = _python_part(ours, options.repeats, clock)
                    lines.append(("  of which outside of compiled code", python, f"{python / seconds:.0%}"))
    return lines


def _medians(works: dict[str, Work], repeats: int, clock: Clock) -> dict[str, float]:
    """Seconds of each work, all of them taking turns."""
    calls = {}
    for name, work in works.items():
        work()
        calls[name] = max(1, round(SHORTEST / max(_seconds(work), 1e-6)))
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            settle()
            work()
            taken[name].append(_seconds(work, calls[name], clock))
    return {name: median(values) for name, values in taken.items()}


def _seconds(work: Work, calls: int = 1, clock: Clock = time.thread_time) -> float:
    start = clock()
    for _ in range(calls):
        work()
    return (clock() - start) / calls


@contextmanager
def kernel_time(clock: Clock = time.thread_time) -> Iterator[list[float]]:
    """Collect the seconds of every call from Python into compiled code."""
    from fastinit_kernels.machine.jit import Kernel

    seconds: list[float] = []
    call = Kernel.__call__

    def timed(self: Any, *numbers: Any) -> int:
        start = clock()
        try:
            return call(self, *numbers)
        finally:
            seconds.append(clock() - start)

    with mock.patch.object(Kernel, "__call__", timed):
        yield seconds


def _python_part(work: Work, repeats: int, clock: Clock) -> float:
    parts = []
    with kernel_time(clock) as inside:
        for _ in range(4 * repeats):
            inside.clear()
            parts.append(_seconds(work, 1, clock) - sum(inside))
    return median(parts)


# Its pieces


@dataclass
class Piece:
    """One kind of tasks: how many there are in a probe, and seconds of all of them in each measurement."""

    tasks: int = 0
    seconds: list[float] = field(default_factory=list)


def _pieces(size: tuple[int, int, int], backward: bool, options: argparse.Namespace) -> list[Line]:
    """Each kind of task alone, on one thread, where it finds its data as a probe leaves them."""
    pieces: dict[str, Piece] = {}
    with peers.threads(1):
        with phases_alone(pieces, options.repeats):
            peers.fastinit_probe(*size, backward=backward)()
        alone = [*_alone(size, options.repeats)]
    lines = [(f"  {name}", median(p.seconds), f"{p.tasks} tasks") for name, p in pieces.items()]
    total = sum(seconds for _, seconds, _ in lines)
    return [("all tasks, one kind after the other, 1 thread", total, ""), *lines, *alone]


@contextmanager
def phases_alone(pieces: dict[str, Piece], repeats: int) -> Iterator[None]:
    """Have each phase of a program measured before the whole is run; a kernel's phases add up to a piece."""
    from fastinit_kernels.machine.schedule import Program, run_program
    from fastinit_kernels.probe import backward, forward

    # In one launch so often that the launch itself, some 10 us of Python, does not count.
    together = 8

    def measured(program: Any, launch: int, steps: int) -> None:
        taken: dict[str, list[float]] = {}
        for function, first, _, layer, start, stop in program.phases:
            number = next((f for _, f, *_ in program.phases if f > first), program.tasks) - first
            once, many = Program(), Program()
            for _ in range(together + 1):
                many.add(function, layer, number, start, stop)
            once.add(function, layer, number, start, stop)
            values = [_difference(run_program, once, many, launch) / together for _ in range(repeats)]
            name = function.name.removesuffix("-float32")
            taken[name] = [a + b for a, b in zip(taken.get(name, [0.0] * repeats), values, strict=True)]
            pieces.setdefault(name, Piece()).tasks += number
        for name, values in taken.items():
            pieces[name].seconds = values
        run_program(program, launch, steps)

    with mock.patch.object(forward, "run_program", measured), mock.patch.object(backward, "run_program", measured):
        yield


def _difference(run: Callable[..., None], once: Any, many: Any, launch: int) -> float:
    # No steps: alone on this thread.
    first = _seconds(lambda: run(once, launch, 0))
    return _seconds(lambda: run(many, launch, 0)) - first


def _alone(size: tuple[int, int, int], repeats: int) -> Iterator[Line]:
    """What tasks call: the drawing of all weights and the activation of all layers."""
    batch, width, depth = size
    from fastinit_kernels.machine.jit import place_of
    from fastinit_kernels.probe.activate import activation_kernel

    weights = peers.empty(width * width, "float32")
    values = np.linspace(-2, 2, batch * width, dtype=np.float32)
    slopes, phi = np.empty_like(values), np.empty_like(values)
    kernel, places = activation_kernel("tanh", "float32"), tuple(map(place_of, (values, phi, slopes)))

    def draw() -> None:
        fi.normal(width * width, seed=0, out=weights)

    def activate() -> None:
        kernel(*places, values.size, 0.0)

    with kernel_time() as inside:
        for name, work in (("drawing of all weights", draw), ("tanh and its slope, all layers", activate)):
            taken = []
            for _ in range(4 * repeats):
                inside.clear()
                work()
                taken.append(sum(inside))
            yield f"  alone: {name}", depth * median(taken), ""


def _profile(work: Work) -> None:
    profile = cProfile.Profile()
    with profile:
        for _ in range(50):
            work()
    pstats.Stats(profile, stream=sys.stdout).strip_dirs().sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    sys.exit(main())
