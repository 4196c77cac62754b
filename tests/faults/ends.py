"""Processes that are ended at a random moment: by kill -9, Ctrl-C, and the signal of a service's manager."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

from faults import check, work
from faults.trial import Fault, Trial, require

SIGNALS = {
    "kill -9": (signal.SIGKILL, {0}),
    "Ctrl-C": (signal.SIGINT, {0, 1, 130}),
    "SIGTERM": (signal.SIGTERM, {0, 143}),
}


def _end(t: Trial, name: str, seconds: float, function: Callable[..., None], *arguments: object) -> bool:
    """Run that, send the signal at a random moment; return whether it is one that leaves no time to tidy up."""
    number, codes = SIGNALS[name]
    child = t.fork(function, *arguments)
    t.moment(seconds)
    child.send(number)
    code = child.ended(codes | {-number})  # what has not begun has no answer yet, and nothing to lose
    if code == 1:
        require("KeyboardInterrupt" in child.said, f"failed: {child.said}")
    return number == signal.SIGKILL and code == -number


def sweeps(name: str) -> Callable[[Trial], None]:
    def trial(t: Trial) -> None:
        path, finished = t.folder / "sweep.jsonl", t.outside / "finished"
        seconds = _usual(work.sweep, t)
        for _ in range(3):
            _end(t, name, seconds, work.sweep, path, finished)
        check.store(path, work.told(finished))
        check.alone(t.folder, ["sweep.jsonl"])

    return trial


def files(name: str, function: Callable[..., None], suffix: str) -> Callable[[Trial], None]:
    def trial(t: Trial) -> None:
        path = t.folder / f"file{suffix}"
        old = b"old" if t.random.random() < 0.5 else None
        if old:
            path.write_bytes(old)
        killed = _end(t, name, _usual(function, t), function, path)
        check.file(path, {old, *_contents(function, t)})
        check.alone(t.folder, [path.name], killed)

    return trial


def checkpoints(name: str) -> Callable[[Trial], None]:
    def trial(t: Trial) -> None:
        folder, whole = t.folder / "model", t.outside / "undisturbed"
        seconds = _usual(work.checkpoint, t)
        for _ in range(3):
            killed = _end(t, name, seconds, work.checkpoint, folder)
            check.checkpoint(folder, whole)
            require(killed or name == "kill -9" or not [*folder.glob(".fastinit-*")], "a hidden file is left behind")
        t.fork(work.checkpoint, folder).ended()
        check.checkpoint(folder, whole, complete=True)

    return trial


def caches(name: str) -> Callable[[Trial], None]:
    def trial(t: Trial) -> None:
        seconds = _usual(work.compile_small, t)
        killed = sum(_end(t, name, seconds, work.compile_small, t.folder) for _ in range(2))
        check.compiled(t.folder, t.fork, killed)

    return trial


def _usual(function: Callable[..., None], t: Trial) -> float:
    """How long that takes undisturbed, and what it leaves."""
    return t.undisturbed(function, t.outside / f"undisturbed{_SUFFIX.get(function, '')}")


def save_often(path: Path) -> None:
    """Save thirty times."""
    work.save(path, 30)


_SUFFIX: dict[Callable[..., None], str] = {work.init: ".npy", save_often: ".json"}


@cache
def _saved() -> tuple[bytes, ...]:
    import json

    return tuple((json.dumps(work.result(seed).to_dict()) + "\n").encode() for seed in (0, 1))


def _contents(function: Callable[..., None], t: Trial) -> tuple[bytes, ...]:
    return _saved() if function is save_often else ((t.outside / "undisturbed.npy").read_bytes(),)


WHAT = (
    ("a sweep with a store", sweeps, "every finished point is in the store, which opens and goes on", 3, 30),
    ("`fastinit init`", lambda name: files(name, work.init, ".npy"), "the old file, none, or the whole new one", 4, 40),
    ("`save` of a result", lambda name: files(name, save_often, ".json"), "an old file or a whole new one", 4, 40),
    ("a checkpoint", checkpoints, "files are whole or absent; going on gives the same bytes", 4, 50),
    ("the first compile", caches, "kept kernels are whole, and serve", 2, 20),
)

FAULTS = tuple(
    Fault(f"{name}: {what}", "at a random moment", holds, short, full, make(name))
    for what, make, holds, short, full in WHAT
    for name in SIGNALS
)
