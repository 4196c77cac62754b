"""Disks that are full: a small file system where root may mount one, and a limit on the size of files elsewhere."""

# ruff: noqa: E501 (a row is a line)

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from faults import check, work
from faults.trial import Fault, Trial, require

# What a child says by its exit code: it was told that there is no room.
NO_ROOM = 28


@contextmanager
def small(t: Trial, kib: int) -> Iterator[tuple[Path, int | None]]:
    """A folder for files of so many KiB: the folder, and a limit that the child has to set, if it is no disk."""
    folder = t.folder / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
    if t.number % 2 or not shutil.which("mount") or subprocess.run(words, capture_output=True).returncode:
        yield folder, kib << 10
        return
    try:
        yield folder, None
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _within(limit: int | None, function: Callable[..., None], *arguments: object) -> None:
    """Run that under the limit; no room is an exit code of its own."""
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        function(*arguments)
    except OSError as error:
        print(error)
        sys.exit(NO_ROOM if "No space left" in str(error) or "File too large" in str(error) else 1)


def stores(t: Trial) -> None:
    with small(t, t.random.randrange(4, 200, 4)) as (folder, limit):
        path, finished = folder / "sweep.jsonl", t.outside / "finished"
        t.fork(_within, limit, _sweep_and_keep, path, finished).ended({0, NO_ROOM})
        if not path.exists():  # no room for the header: it was refused before anything was computed
            return
        require(path.read_bytes().endswith(b"\n") or not path.stat().st_size, "a part of a line is left")
        shutil.copy(path, t.outside)
    check.store(t.outside / path.name, work.told(finished))


def _sweep_and_keep(path: Path, finished: Path) -> None:
    import fastinit as fi

    work.sweep(path, finished, on_error="skip")
    check.same_points(fi.sweep(**work.SWEEP))


def files(function: Callable[..., None], suffix: str, most: int) -> Callable[[Trial], None]:
    """Try to replace an old file."""

    def trial(t: Trial) -> None:
        whole = t.outside / f"whole{suffix}"
        t.fork(function, whole).ended()
        with small(t, t.random.randrange(4, most, 4)) as (folder, limit):
            path = folder / whole.name
            path.write_bytes(b"old")
            code = t.fork(_within, limit, function, path).ended({0, 2, NO_ROOM})
            check.file(path, {whole.read_bytes()} if code == 0 else {b"old"})
            check.alone(folder, [path.name])

    return trial


def checkpoints(t: Trial) -> None:
    whole = t.outside / "whole"
    t.fork(work.checkpoint, whole).ended()
    with small(t, t.random.randrange(4, 25_000, 4)) as (disk, limit):
        code = t.fork(_within, limit, work.checkpoint, disk / "model").ended({0, NO_ROOM})
        check.checkpoint(disk / "model", whole, complete=code == 0)
        require(not [*disk.rglob(".fastinit-*")], "a hidden file is left behind")


def caches(t: Trial) -> None:
    with small(t, t.random.randrange(4, 100, 4)) as (folder, limit):
        t.fork(_within, limit, _compile, folder).ended()
        kept = len(list(folder.rglob("*.bin")))
        left = [path for path in folder.rglob("*.tmp")]
        require(not left, f"left behind: {left}")
        t.fork(_compile, folder, kept).ended()


def _compile(folder: Path, found: int | None = None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that they cannot be kept
        work.compile_small(folder, found)


WHERE = "a tmpfs of random size, or `RLIMIT_FSIZE`"
FAULTS = (
    Fault("Full disk: a sweep with a store", WHERE, "all that the store says it has is there; no line is cut", 4, 40, stores),
    Fault("Full disk: `fastinit init`", WHERE, "an error; the old file stays, no other is left", 4, 40, files(work.init, ".npy", 30_000)),
    Fault("Full disk: `save`", WHERE, "an error; the old file stays, no other is left", 4, 40, files(work.save, ".json", 80)),
    Fault("Full disk: `plot`", WHERE, "an error; the old file stays, no other is left", 2, 20, files(work.plot, ".png", 120)),
    Fault("Full disk: a checkpoint", WHERE, "an error; files are whole or absent", 4, 40, checkpoints),
    Fault("Full disk: the first compile", WHERE, "the kernels run; what is kept is whole", 3, 30, caches),
)  # fmt: skip
