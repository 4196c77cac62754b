"""The file of a sweep: one JSON line a finished point, so that a killed sweep goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..activations import get_activation, is_function
from ..files import path_name
from ..words import shown
from .fields import read_json
from .layers import Dense
from .result import ProbeResult, plain
from .shared import OpenFile, SharedFile

FORMAT = 2
MOST_POINTS = 1 << 24

# How the lines begin: what a kill may leave of one.
_BEGINNINGS = (b'{"fastinit_sweep": ', b'{"point": ')
_MOST_NAMED = 8


class Store:
    """A JSONL file: a header that says which grid it belongs to, then a line a point, in any order.

    A point's line carries a hash of the header and of itself, so that it is believed or not by itself. A line that
    does not belong is left as it is, told in a warning, and its point computed again. Several processes may share
    the file: they append whole lines, and a point that two computed stands in it twice.

    Parameters
    ----------
    path
        File to go on with, or to begin.
    grid
        Argument -> values, as `sweep` knows them.
    expected
        What each point's result must have recorded, by the names of its fields.

    Raises
    ------
    ValueError, TypeError
        The path is not that of a file, or the file is no store, or another grid's. It is left as it is.
    OSError
        The file cannot be read and written.
    """

    def __init__(
        self, path: str | os.PathLike[str], grid: Mapping[str, Sequence[Any]], expected: Sequence[Mapping[str, Any]]
    ) -> None:
        self._file = SharedFile("store", path)
        self._sizes = {name: len(values) for name, values in grid.items()}
        self._grid = {name: [_fingerprint(value) for value in values] for name, values in grid.items()}
        self._expected = expected
        self.done: dict[int, ProbeResult] = {}
        self._set_order(list(grid))
        with self._file.opened() as file:
            header, trouble = self._read(file)
            if not header:
                file.append(self._header)
        if trouble:
            warnings.warn(trouble, RuntimeWarning, stacklevel=3)

    def add(self, index: int, result: ProbeResult) -> None:
        """Append a finished point."""
        number, values = self._number_of[index], result.to_dict()
        line = _line({"point": number, "result": values, "check": self._check(number, values)})
        with self._file.opened() as file:
            file.append(line, first=self._header)

    def _set_order(self, names: list[str]) -> None:
        """Count the points as a header with the arguments in this order does."""
        given = np.arange(len(self._expected)).reshape(tuple(self._sizes.values()))
        self._index_of = given.transpose([list(self._sizes).index(name) for name in names]).ravel().tolist()
        self._number_of = {index: number for number, index in enumerate(self._index_of)}
        self._header = _line({"fastinit_sweep": FORMAT, "grid": {name: self._grid[name] for name in names}})

    def _check(self, number: int, values: Any) -> str:
        return _hash(self._header, number, values)

    def _read(self, file: OpenFile) -> tuple[bool, str]:
        """Take in the file's lines; return whether it has its header, and words on the lines that do not belong."""
        header, unread = False, dict[int, str]()
        number, start, size, line = 0, 0, 0, b""
        for number, line in enumerate(file.lines(), 1):
            start, size = size, size + len(line)
            try:
                entry = read_json(line)
                if not (isinstance(entry, dict) and "fastinit_sweep" in entry):
                    self._take(entry)
                    continue
                difference = self._difference(entry)
            except (ValueError, TypeError, RecursionError) as error:
                unread[number] = str(error)
                continue
            if difference and not header:
                raise ValueError(f"argument 'store' must belong to this grid, got {shown(file.path)}, {difference}")
            if difference:
                unread[number] = f"another header, {difference}"
            elif not header:
                header = True
                self._set_order(list(entry["grid"]))
        known = header or bool(self.done)
        cut = number in unread and not line.endswith(b"\n") and self._may_begin_with(line, known)
        if size and not known and not (cut and number == 1):
            raise ValueError(f"argument 'store' must be a sweep's file, got {shown(file.path)}, which is not")
        if cut and file.locked:
            file.cut(start)
            unread[number] = "cut off, and taken away"
        return header, _told(file.path, unread)

    def _take(self, entry: Any) -> None:
        """Take in a point, if the line says what only this sweep can have written."""
        if not isinstance(entry, dict) or entry.keys() != {"point", "result", "check"}:
            raise ValueError("no point of a sweep")
        number = entry["point"]
        if type(number) is not int or not 0 <= number < len(self._index_of):
            raise ValueError(f"a point that is none of 0 to {len(self._index_of) - 1}")
        result, index = ProbeResult.from_dict(entry["result"]), self._index_of[number]
        for name, value in self._expected[index].items():
            if plain(getattr(result, name)) != plain(value):
                raise ValueError(f"another {name} than that of point {number}")
        if entry["check"] != self._check(number, entry["result"]):
            raise ValueError("changed after it was written")
        self.done.setdefault(index, result)

    def _difference(self, header: dict[str, Any]) -> str:
        """Say where a header differs from this sweep's; nothing if it does not."""
        version, grid = header["fastinit_sweep"], header.get("grid")
        if type(version) is not int or not isinstance(grid, dict) or len(header) != 2:
            raise ValueError("no header of a sweep")
        if version != FORMAT:
            return f"written in format {version}, not {FORMAT}"
        names = sorted(name for name in {*grid, *self._grid} if _line(grid.get(name)) != _line(self._grid.get(name)))
        words = ", ".join(name if name.isidentifier() else shown(name) for name in names[:_MOST_NAMED])
        return f"written with other values of {words}" if names else ""

    def _may_begin_with(self, line: bytes, known: bool) -> bool:
        """Say whether a kill in the middle of one of this sweep's lines leaves that."""
        if not known:
            return line.startswith(_BEGINNINGS[0]) and self._header.startswith(line)
        return any(line[: len(begin)] == begin[: len(line)] for begin in _BEGINNINGS)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, tuple[Any, ...]], list[ProbeResult | None]]:
    """Return the grid of a sweep's file, as its header has it, and the results that are there.

    Of arrays and functions the grid has words only. Lines that do not belong are skipped with a warning, as by `Store`.

    Raises
    ------
    ValueError
        The file has no header of a sweep, or one of a later format.
    OSError
        The file cannot be read.
    """
    name = path_name(path)
    with open(name, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    header: dict[str, Any] | None = None
    results: list[ProbeResult | None] = []
    begun, unread = b"", dict[int, str]()
    for number, line in enumerate(lines, 1):
        try:
            entry = read_json(line)
            if header is None:
                header, begun = _header(entry), line.rstrip(b"\n")
                results = [None] * math.prod(map(len, header.values()))
            elif "fastinit_sweep" not in entry:
                index, result = _point(entry, begun, len(results))
                results[index] = results[index] or result
        except (ValueError, TypeError, RecursionError) as error:
            unread[number] = str(error)
            if header is None:
                raise ValueError(f"file {name!r} must be a sweep's store: {error}") from None
    if header is None:
        raise ValueError(f"file {name!r} must be a sweep's store, got an empty file")
    if unread:
        warnings.warn(_told(name, unread), RuntimeWarning, stacklevel=3)
    return {argument: tuple(map(_worded, values)) for argument, values in header.items()}, results


def _header(entry: Any) -> dict[str, list[Any]]:
    """Return the grid of a header, if this version can read what follows it."""
    if not isinstance(entry, dict) or entry.keys() != {"fastinit_sweep", "grid"}:
        raise ValueError("no header of a sweep")
    version, grid = entry["fastinit_sweep"], entry["grid"]
    if type(version) is not int or not 2 <= version <= FORMAT:
        raise ValueError(f"written in format {shown(version)}, and this version reads 2 to {FORMAT}")
    if not isinstance(grid, dict) or not all(isinstance(values, list) and values for values in grid.values()):
        raise ValueError("no header of a sweep")
    if math.prod(map(len, grid.values())) > MOST_POINTS:
        raise ValueError(f"a grid of more than {MOST_POINTS} points")
    return grid


def _point(entry: Any, header: bytes, count: int) -> tuple[int, ProbeResult]:
    """Return a point that is what was written: number and result."""
    if not isinstance(entry, dict) or entry.keys() != {"point", "result", "check"}:
        raise ValueError("no point of a sweep")
    number = entry["point"]
    if type(number) is not int or not 0 <= number < count:
        raise ValueError(f"a point that is none of 0 to {count - 1}")
    if entry["check"] != _hash(header, number, entry["result"]):
        raise ValueError("changed after it was written")
    return number, ProbeResult.from_dict(entry["result"])


def _worded(value: Any) -> Any:
    """Return a value of a grid that can stand in a table: a list as a tuple, what an array was in words."""
    if isinstance(value, dict):
        return f"array {value.get('shape')} {str(value.get('sha256'))[:8]}" if "sha256" in value else str(value)
    return tuple(map(_worded, value)) if isinstance(value, list) else value


def _hash(header: bytes, number: int, values: Any) -> str:
    """Return the hash that only this result of this point in this grid has."""
    return hashlib.sha256(header + _line([number, values])).hexdigest()[:16]


def _told(path: str, unread: Mapping[int, str]) -> str:
    """Return words on lines that do not belong; none if there are none."""
    if not unread:
        return ""
    words = [f"line {number} ({reason[:200]})" for number, reason in unread.items()]
    more = [f"and {len(words) - _MOST_NAMED} more"] if len(words) > _MOST_NAMED else []
    named = ", ".join(words[:_MOST_NAMED] + more)
    return (
        f"{shown(path)} has lines that do not belong; they are skipped, and what is missing is computed again: {named}"
    )


def _line(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _fingerprint(value: Any) -> Any:
    """Return what tells a grid's values apart, in JSON: arrays by their hash."""
    if isinstance(value, np.ndarray) and value.ndim:
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"shape": list(value.shape), "dtype": value.dtype.name, "sha256": digest}
    if is_function(value):
        return get_activation(value).fingerprint
    if isinstance(value, Dense):
        words = {"units": value.units, **value.said, **value.params}
        return {word: _fingerprint(x) for word, x in words.items()}
    if isinstance(value, list | tuple | range):
        return [_fingerprint(item) for item in value]
    simple = plain(value)
    return simple if isinstance(simple, str | int | float | bool | None) else repr(simple)
