"""The results as docs/reliability.md."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby, takewhile

from faults.lane import Row

import fastinit as fi


def page(rows: Sequence[Row], seed: int, seconds: float) -> str:
    """The whole page."""
    tried = [row for row in rows if row.tried]
    counts = {"tried": sum(row.tried for row in tried), "survived": sum(row.survived for row in tried)}
    table = [["fault", "how", "what must hold", "tried", "survived"], ["---", "---", "---", "--:", "--:"]]
    table += [
        _cells(list(group)) for _, group in groupby(rows, lambda row: (row.fault.what, row.fault.holds, row.missing))
    ]
    lines = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    end = _END.format(seed=seed, minutes=seconds / 60, version=fi.__version__, date=datetime.now(UTC).date())
    return f"{_INTRODUCTION.format(faults=len(tried), **counts)}\n{lines}\n{end}"


def _cells(rows: Sequence[Row]) -> list[str]:
    """A line of the table, for faults that differ in their names only."""
    fault, missing = rows[0].fault, rows[0].missing
    numbers = [str(sum(row.tried for row in rows)), str(sum(row.survived for row in rows))]
    return [
        _together([row.fault.name for row in rows]),
        fault.what,
        fault.holds,
        *(["-", missing] if missing else numbers),
    ]


def _together(names: Sequence[str]) -> str:
    """Names in one, with what they begin or end with alike said once."""
    if len(names) == 1:
        return names[0]
    words = [name.split() for name in names]
    first, last = _alike(words), _alike([row[::-1] for row in words])
    first, last = (first, 0) if first > last else (0, last)
    parts = [" ".join(row[first : len(row) - last]) for row in words]
    colon = ":" if parts[0].endswith(":") else ""
    middle = ", ".join(part.rstrip(":") for part in parts) + colon
    return " ".join([*words[0][:first], middle, *words[0][len(words[0]) - last :]])


def _alike(rows: Sequence[Sequence[str]]) -> int:
    """How many words all begin with."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))


_INTRODUCTION = """\
# What it survives

{faults} faults, {tried} tries, {survived} survived. Each is real: a process that is killed, a file system that is full,
a limit of the system's. Afterwards the data are looked at: stores are opened and each point compared with a fresh
computation, files are whole or absent, draws have the contract's golden bytes; no process may abort, hang, or end by
SIGSEGV or SIGBUS.
"""

_END = """
`python tests/faults/run.py --lane full --write` writes this page; the lane `short` runs in CI. Moments are random, from
a fixed seed ({seed}). {minutes:.0f} minutes, fastinit {version}, {date}.

**Not promised.** A process that is killed outright may leave one hidden file, `.fastinit-*.tmp` beside what it was
writing, or `*.tmp` in the cache (removed there after an hour). Files are brought to the disk before they are renamed,
the lines of a store are not: a power cut, unlike a kill, may take the last ones. Where there is no `flock`, two writers
may leave a blank line. A device, a pipe, or a file that cannot be replaced is written in place, so that a part may
stand there. Damage that an attacker makes to fit a store's hashes is not told from a result. Below some megabytes of
free address space Python itself, or a library, may fail.
"""
