"""Stores, results and compiled kernels that were damaged: cut off, bits flipped, foreign lines, lies."""

# ruff: noqa: E501 (a row is a line)

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

from faults import check, work
from faults.trial import Fault, Trial, require

import fastinit as fi


def _whole(t: Trial) -> list[bytes]:
    """The lines of a store that is complete."""
    path = t.outside / "whole.jsonl"
    work.sweep(path)
    return path.read_bytes().splitlines(keepends=True)


def cut(t: Trial) -> None:
    """Cut at every byte of a line, in steps that differ from try to try."""
    lines = _whole(t)
    number = t.random.randrange(1, len(lines))
    before, line = b"".join(lines[:number]), lines[number]
    for length in range(t.number % 40, len(line), 40):
        whole = length == len(line) - 1  # but for its end: nothing is lost
        _opens(t, before + line[:length], number if whole else number - 1)


def cut_header(t: Trial) -> None:
    """Begin a new store; one of a few bytes may be any file's, and is refused."""
    header = _whole(t)[0]
    path = t.folder / "sweep.jsonl"
    for length in range(t.number % 7, len(header), 7):
        if 0 < length < len(b'{"fastinit_sweep": '):
            path.write_bytes(header[:length])
            _refused(path)
        else:
            _opens(t, header[:length], 0)


def _refused(path: Path) -> None:
    """The store is refused by name and left as it is; or all points are there."""
    before = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            swept = fi.sweep(store=path, **work.SWEEP)
    except (ValueError, TypeError) as error:
        require("argument 'store'" in str(error) and str(error).isprintable(), f"refused, but so: {error}")
        require(path.read_bytes() == before, "refused, but changed")
        return
    check.same_points(swept)


def flips(t: Trial) -> None:
    """Flip some bits of the points: the lines hit are computed again, all others are kept."""
    lines = _whole(t)
    hit = set()
    for _ in range(t.random.randrange(1, 6)):
        number = t.random.randrange(1, len(lines))
        line = bytearray(lines[number])
        at = t.random.randrange(len(line) - 1)
        line[at] ^= 1 << t.random.randrange(8)
        if b"\n" not in line[:-1]:
            lines[number] = bytes(line)
            hit.add(number)
    _opens(t, b"".join(lines), len(lines) - 1 - len(hit))


JUNK = {
    "blank lines": lambda t: b"\n" * t.random.randrange(1, 5),
    "junk": lambda t: t.random.randbytes(t.random.randrange(1, 400)).replace(b"\n", b" ") + b"\n",
    "another program's": lambda t: b'{"epoch": 3, "loss": 0.1}\n',
    "nested": lambda t: b"[" * 200_000 + b"]" * 200_000 + b"\n",
    "a long integer": lambda t: b'{"point": ' + b"9" * 5000 + b"}\n",
    "no such point": lambda t: b'{"point": 1000000, "result": {}, "check": "0"}\n',
    "terminal's": lambda t: b"\x1b[2J\x00\xff\n",
}


def foreign(t: Trial) -> None:
    """Put lines among the others that do not belong; one kind is at the end without its newline."""
    lines = _whole(t)
    for kind in t.random.sample(sorted(JUNK), 3):
        lines.insert(t.random.randrange(1, len(lines) + 1), JUNK[kind](t))
    _opens(t, b"".join(lines), work.POINTS)


def lies(t: Trial) -> None:
    """A point's line that claims another seed's result, or the result of another grid."""
    lines = _whole(t)
    first, second = t.random.sample(range(1, len(lines)), 2)
    one, other = json.loads(lines[first]), json.loads(lines[second])
    change = t.random.choice(("result", "point", "check", "figure", "seed"))
    if change == "figure":
        one["result"]["mean"] = [0.125]
    elif change == "seed":
        one["result"]["seed"] = other["result"]["seed"]
    else:
        one[change] = other[change]
    lines[first] = json.dumps(one).encode() + b"\n"
    _opens(t, b"".join(lines), work.POINTS - 1)


HEADERS: tuple[Callable[[dict[str, object]], object], ...] = (
    lambda header: {**header, "fastinit_sweep": 99},
    lambda header: {**header, "fastinit_sweep": "2"},
    lambda header: {**header, "grid": {**header["grid"], "depth": [2]}},  # type: ignore[dict-item]
    lambda header: {**header, "grid": []},
    lambda header: {**header, "grid": {"\x1b[2J": [1]}},
    lambda header: {**header, "more": 1},
    lambda header: [header],
    lambda header: 3,
)


def headers(t: Trial) -> None:
    """A header that lies is refused by name, and the file left as it is, or skipped where points follow."""
    lines = _whole(t)
    path = t.folder / "sweep.jsonl"
    content = json.dumps(HEADERS[t.number % len(HEADERS)](json.loads(lines[0]))).encode() + b"\n"
    path.write_bytes(content + b"".join(lines[1:] if t.number % 3 == 0 else []))
    _refused(path)


def _opens(t: Trial, content: bytes, kept: int) -> None:
    """A store with that content opens, gives every point, and computes only those that are not kept."""
    path = t.folder / "sweep.jsonl"
    path.write_bytes(content)
    finished = t.outside / "finished"
    finished.unlink(missing_ok=True)
    with warnings.catch_warnings(), work.telling(finished):
        warnings.simplefilter("ignore", RuntimeWarning)
        swept = fi.sweep(store=path, **work.SWEEP)
    computed = len(work.told(finished))
    require(computed == work.POINTS - kept, f"{computed} points computed again, {work.POINTS - kept} were missing")
    check.same_points(swept)


def kernels(t: Trial) -> None:
    """Cut off, overwrite, empty, exchange the files of compiled kernels."""
    t.fork(work.compile_small, t.folder).ended()
    kept = sorted(t.folder.rglob("*.bin"))
    sound = {path: path.read_bytes() for path in kept}
    for path in t.random.sample(kept, t.random.randrange(1, len(kept) + 1)):
        path.write_bytes(_spoilt(t, sound[path], sound[t.random.choice(kept)]))
    untouched = sum(path.read_bytes() == sound[path] for path in kept)
    t.fork(work.compile_small, t.folder, untouched).ended()
    check.compiled(t.folder, t.fork)


def _spoilt(t: Trial, whole: bytes, other: bytes) -> bytes:
    at = t.random.randrange(len(whole))
    flipped = bytearray(whole)
    flipped[at] ^= 1 << t.random.randrange(8)
    junk = t.random.randbytes(t.random.randrange(1, 2000))
    return t.random.choice(
        (b"", whole[:at], bytes(flipped), whole + junk, other, whole[:at] + bytes(len(whole) - at), junk)
    )


KEPT = "all other points are kept; those hit are computed again"
FAULTS = (
    Fault("A store cut off within a line", "at each of its bytes, every 40th a try", KEPT, 1, 40, cut),
    Fault("A store cut off within its header", "at each of its bytes, every 7th a try", "a new store; less than 19 bytes are refused", 1, 7, cut_header),
    Fault("Bits of a store flipped", "one to five", KEPT, 4, 50, flips),
    Fault("Foreign lines in a store", "blank, junk, nested 200,000 deep, …", "all points are kept", 4, 40, foreign),
    Fault("Lines of a store that lie", "another point's result, number, seed", KEPT, 4, 40, lies),
    Fault("Headers of a store that lie", "eight kinds", "refused by name and left as it is, or skipped as a line", 8, 24, headers),
    Fault("Files of compiled kernels damaged", "cut, flipped, empty, exchanged", "compiled again; right values", 3, 30, kernels),
)  # fmt: skip
