"""Forks while other threads compute."""

# ruff: noqa: E501 (a row is a line)

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from faults import check, work
from faults.trial import Fault, Trial

import fastinit as fi

BUSY: dict[str, Callable[[Path, int], object]] = {
    "fills": lambda folder, i: fi.normal(2_000_000, seed=i),
    "probes": lambda folder, i: fi.probe(depth=3, width=200, batch=300, seed=i),
    "sweeps with a store": lambda folder, i: fi.sweep(
        store=folder / f"{i}.jsonl", depth=1, width=8, batch=4, seed=range(4)
    ),
    "first compiles": lambda folder, i: work.compile_kernels(work.KERNELS * i),
}


def trial_of(busy: str) -> Callable[[Trial], None]:
    def trial(t: Trial) -> None:
        t.fork(_fork_again_and_again, t, BUSY[busy]).ended()

    return trial


def _fork_again_and_again(t: Trial, busy: Callable[[Path, int], object]) -> None:
    """Fork three times while two threads work; each child draws and probes the same as ever."""
    warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
    work.in_cache(t.folder)
    right, stop, failed = check.figures(fi.probe(**work.GRID, seed=7)), threading.Event(), []

    def work_on(first: int) -> None:
        try:
            number = first
            while not stop.is_set():
                busy(t.folder, number)
                number += 1
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work_on, args=(i << 20,)) for i in range(2)]
    for thread in threads:
        thread.start()
    children = []
    for _ in range(3):
        time.sleep(t.random.uniform(0, 0.1))
        children.append(t.fork(_same, right))
    try:
        for child in children:
            child.ended(patience=40)
    finally:
        stop.set()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _same(right: object) -> None:
    work.draw()
    if check.figures(fi.probe(**work.GRID, seed=7)) != right:
        raise AssertionError("the child's figures differ")


def killed_worker(on_error: str) -> Callable[[Trial], None]:
    """A worker of a pool is killed in a sweep: what is done is kept, the rest is named, and computed by who goes on."""

    def trial(t: Trial) -> None:
        path, finished = t.folder / "sweep.jsonl", t.outside / "finished"
        t.fork(_sweep_in_pool, path, finished, on_error, t.random.uniform(0, 0.4)).ended()
        check.store(path, work.told(finished))

    return trial


def _sweep_in_pool(path: Path, finished: Path, on_error: str, after: float) -> None:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        [pool.submit(time.sleep, 0.01).result() for _ in range(4)]
        victim = next(iter(pool._processes))
        timer = threading.Timer(after, os.kill, (victim, signal.SIGKILL))
        timer.start()
        try:
            with work.telling(finished):
                swept = fi.sweep(store=path, executor=pool, on_error=on_error, **work.SWEEP)
        except fi.SweepError as error:
            if on_error != "raise":
                raise
            swept = error.result
        finally:  # a pool that is shut down does not see that a worker is killed, and waits for it
            timer.cancel()
    for error in swept.errors.values():
        if not isinstance(error, BrokenProcessPool):
            raise error
    if on_error == "skip" and len(swept) + len(swept.errors) != work.POINTS:
        raise AssertionError(f"{swept}: of none that is missing it may be unsaid why")
    for point, result in swept:
        if check.figures(result) != check.fresh()[point["seed"]]:
            raise AssertionError("a result differs from the fresh computation")


FAULTS = (
    *(
        Fault(f"Forks while two threads are in {busy}", "three, at random moments", "each child computes the same bytes", 2, 15, trial_of(busy))
        for busy in BUSY
    ),
    *(
        Fault(f'A killed pool worker, on_error="{on_error}"', "kill -9 at a random moment", "finished points are kept, others are named", 2, 20, killed_worker(on_error))
        for on_error in ("raise", "stop", "skip")
    ),
)  # fmt: skip
