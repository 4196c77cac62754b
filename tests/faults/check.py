"""What must be there afterwards: stores, files, compiled kernels, bytes."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import golden
from faults import work
from faults.trial import Lost, require

import fastinit as fi

# How the hidden files of a killed process are called: those beside files, and those among the compiled kernels.
LEFT_BY_KILLS = (".fastinit-*.tmp", "*.tmp")


def figures(result: Any) -> dict[str, Any]:
    """All that a probe found, without its time."""
    return {**result.to_dict(), "seconds": 0}


@cache
def fresh(count: int = work.POINTS) -> tuple[dict[str, Any], ...]:
    """The figures of the grid's points, each probed alone, without a store."""
    return tuple(figures(fi.probe(**{**work.GRID, "seed": seed})) for seed in range(count))


def same_points(swept: Any) -> None:
    """All points of the grid are there, and each is what a fresh computation gives."""
    require(swept.complete, f"{len(swept)} of {work.POINTS} points")
    for seed, (_, result) in enumerate(swept):
        require(figures(result) == fresh()[seed], f"point {seed} differs from the fresh computation")


def store(path: Path, finished: Iterable[int], damaged: int = 0) -> None:
    """Every point that was finished is in the file, which opens, and gives the rest.

    Parameters
    ----------
    finished
        The points of which somebody was told that they are stored.
    damaged
        At most so many lines are none of a sweep.
    """
    whole = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    there, odd, points = set(), 0, 0
    for line in whole:
        entry = parsed(line)
        if "point" in entry:
            there.add(entry["point"])
            points += 1
            values = {**entry["result"], "seconds": 0}
            require(values == fresh()[entry["point"]], f"the store's point {entry['point']} has wrong figures")
        elif "fastinit_sweep" not in entry:
            odd += 1
    require(odd <= damaged, f"{odd} damaged lines, {damaged} expected")
    lost = set(finished) - there
    require(not lost, f"finished points are not in the store: {sorted(lost)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the line that was cut
        same_points(fi.sweep(store=path, **work.SWEEP))
    after = path.read_bytes().split(b"\n")[:-1]
    added = [line for line in after if "point" in parsed(line)]
    require(after[: len(whole)] == whole, "a line has changed when the store was opened again")
    require({parsed(line)["point"] for line in added} == {*range(work.POINTS)}, "the store is not complete afterwards")
    require(len(added) == points + work.POINTS - len(there), "points were computed again that were there")


def parsed(line: bytes) -> dict[str, Any]:
    """A line's object; empty if it is none."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def file(path: Path, contents: Iterable[bytes | None]) -> None:
    """The file has one of the contents, None if it may be absent."""
    found = path.read_bytes() if path.exists() else None
    if found not in tuple(contents):
        size = "absent" if found is None else f"of {len(found)} bytes"
        raise Lost(f"{path.name} is {size}, and neither the old nor the new file")


def checkpoint(folder: Path, whole: Path, complete: bool = False) -> None:
    """Each file of a checkpoint is whole; `complete`: all are there, and no other."""
    right = {path.name: path.read_bytes() for path in whole.iterdir()}
    found = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
    hidden = [name for name in found if Path(name).match(LEFT_BY_KILLS[0])]
    for name in found.keys() - {*hidden}:
        require(found[name] == right.get(name), f"{name}, of {len(found[name])} bytes, is not what it has to be")
    require(len(hidden) <= 1, f"left behind: {sorted(hidden)}")
    require(not complete or found == right, f"not complete, or something is left behind: {sorted(found)}")


def alone(folder: Path, names: Iterable[str], killed: bool = False) -> None:
    """Nothing else is in the folder; a killed process may have left one hidden file there."""
    left = sorted(set(os.listdir(folder)) - set(names))
    hidden = [name for name in left if any(Path(name).match(pattern) for pattern in LEFT_BY_KILLS)]
    require(len(hidden) == len(left) and len(left) <= int(killed), f"left behind: {left}")


def compiled(folder: Path, run: Callable[..., Any], killed: int = 0) -> None:
    """Each kernel kept in a cache is whole: a process that finds it executes it, without compiling, and it is right.

    `run` runs a function in a process of its own; so many killed processes may have left temporary files.
    """
    kept = sorted(folder.rglob("*.bin"))
    left = [path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".bin"]
    require(len(left) <= killed and all(name.endswith(".tmp") for name in left), f"left behind: {left}")
    run(work.compile_small, folder, len(kept)).ended()
    require(len(list(folder.rglob("*.bin"))) >= work.KERNELS, "kernels are not kept afterwards")


@cache
def right_bytes() -> dict[str, Any]:
    """The contract's golden values."""
    return golden.stored()["laws"]


def drawn(case: str, values: Any) -> None:
    """A draw has the contract's bytes."""
    require(golden._entry(values) == right_bytes()[case], f"wrong bytes: {case}")
