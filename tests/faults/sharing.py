"""Several processes at one file or folder, some of which are killed."""

# ruff: noqa: E501 (a row is a line)

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from faults import check, work
from faults.trial import Fault, Trial, require


def _together(t: Trial, function: Callable[..., None], arguments: Sequence[Sequence[object]]) -> list[Any]:
    """Start processes that begin at once: when a file appears, as whoever is killed at a lock leaves it locked."""
    start = t.outside / "start"
    children = [t.fork(_begin, start, function, *words) for words in arguments]
    start.touch()
    return children


def _begin(start: Path, function: Callable[..., None], *arguments: object) -> None:
    end = time.monotonic() + 60
    while not start.exists() and time.monotonic() < end:
        time.sleep(0.001)
    function(*arguments)


def stores(t: Trial, writers: int) -> None:
    path = t.folder / "sweep.jsonl"
    finished = [t.outside / str(i) for i in range(writers)]
    children = _together(t, work.sweep, [(path, name) for name in finished])
    victim = children[0] if t.number % 2 else None  # every other time, one of them is killed
    if victim:
        t.moment(0.2)
        victim.send(signal.SIGKILL)
    for child in children:
        child.ended({0, -signal.SIGKILL} if child is victim else {0})
    check.store(path, [point for name in finished for point in work.told(name)], damaged=bool(victim))


def checkpoints(t: Trial) -> None:
    """Three processes write one checkpoint: who meets another at a file is told so; then one goes on."""
    folder, whole = t.folder / "model", t.outside / "whole"
    t.fork(work.checkpoint, whole).ended()
    children = _together(t, work.checkpoint, [(folder,)] * 3)
    if t.number % 2:
        t.moment(0.1)
        children[0].send(signal.SIGKILL)
    for child in children:
        if child.ended({0, 1, -signal.SIGKILL} if child is children[0] else {0, 1}) == 1:
            require("Another process is writing this file" in child.said, child.said)
    check.checkpoint(folder, whole)
    t.fork(work.checkpoint, folder).ended()
    check.checkpoint(folder, whole, complete=True)


def caches(t: Trial) -> None:
    children = _together(t, work.compile_small, [(t.folder,)] * 2)
    for child in children:
        child.ended()
    check.compiled(t.folder, t.fork)


def removed(t: Trial) -> None:
    """Somebody empties the cache while it is filled."""
    child = t.fork(work.compile_small, t.folder)
    time.sleep(t.random.uniform(0, 0.3))
    shutil.rmtree(t.folder / "fastinit", ignore_errors=True)
    child.ended()
    check.compiled(t.folder, t.fork)


def saves(t: Trial) -> None:
    """Four processes save at one path again and again; a reader finds a whole file whenever it looks."""
    path = t.folder / "result.json"
    work.save(path)
    right = {path.read_bytes()}
    work.save(path, 2)
    right.add(path.read_bytes())
    children = [t.fork(_save, path) for _ in range(4)]
    for _ in range(50):
        check.file(path, right)
        time.sleep(0.002)
    for child in children:
        child.ended()
    check.file(path, right)
    check.alone(t.folder, [path.name])


def _save(path: Path) -> None:
    work.save(path, 20)


RIGHT = "every point is there, once or as often as computed, and right"
FAULTS = (
    Fault("Two writers on one fresh store", "at once; every other time one is killed", RIGHT, 3, 30, partial(stores, writers=2)),
    Fault("Four writers on one fresh store", "at once; every other time one is killed", RIGHT, 2, 20, partial(stores, writers=4)),
    Fault("Three processes write one checkpoint", "at once; every other time one is killed", "whole files; going on gives the same bytes", 3, 30, checkpoints),
    Fault("Two processes compile into one empty cache", "at once", "right values; kept kernels are whole", 2, 20, caches),
    Fault("The cache is removed while it is filled", "at a random moment", "right values; kept kernels are whole", 2, 20, removed),
    Fault("Four processes save at one path", "again and again, with a reader", "the file is whole whenever it is read", 2, 20, saves),
)  # fmt: skip
