"""The file of a sweep: one JSON line a finished point, so that a killed sweep goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .activations import get_activation
from .result import ProbeResult, plain

FORMAT = 1


class Store:
    """A JSONL file: a header that says which grid it belongs to, then a line a point, in any order.

    A line is appended in one write, so that a killed process leaves whole lines, or one cut-off line at the end,
    which is taken away with a warning.

    Parameters
    ----------
    path
        File to go on with, or to begin.
    grid
        Argument -> values, as `Sweep` knows them.

    Raises
    ------
    ValueError
        The file is no store, is damaged before its last line, or was written by another grid. It is left as it is.
    """

    def __init__(self, path: str | os.PathLike[str], grid: Mapping[str, Sequence[Any]]) -> None:
        self._path = Path(path)
        self._header = {"fastinit_sweep": FORMAT, "grid": {name: _fingerprints(name, v) for name, v in grid.items()}}
        self.done: dict[int, ProbeResult] = {}
        if self._path.exists() and self._path.stat().st_size:
            self._read()
        else:
            self._append(self._header)

    def add(self, index: int, result: ProbeResult) -> None:
        """Append a finished point."""
        self._append({"point": index, "result": result.to_dict()})
        self.done[index] = result

    def _append(self, value: Any) -> None:
        line = json.dumps(value, allow_nan=False) + "\n"
        with open(self._path, "ab", buffering=0) as file:
            file.write(line.encode())

    def _read(self) -> None:
        content = self._path.read_bytes()
        *lines, rest = content.split(b"\n")
        if not lines:
            raise ValueError(f"argument 'store' must be a sweep's file, got {str(self._path)!r}, which is not")
        self._check_header(lines[0])
        for number, line in enumerate(lines[1:], start=2):
            try:
                entry = json.loads(line)
                self.done[entry["point"]] = ProbeResult.from_dict(entry["result"])
            except (ValueError, KeyError, TypeError) as error:
                if number < len(lines) or rest:
                    raise ValueError(
                        f"argument 'store' must be undamaged before its last line, got {str(self._path)!r} "
                        f"with line {number} unreadable ({error})"
                    ) from None
                rest = line + b"\n"
        if rest:
            self._cut(len(content) - len(rest))

    def _check_header(self, line: bytes) -> None:
        try:
            header = json.loads(line)
            written = header["grid"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"argument 'store' must be a sweep's file, got {str(self._path)!r}, which is not"
            ) from None
        ours: Any = self._header["grid"]
        if header != self._header:
            names = sorted(name for name in {*written, *ours} if written.get(name) != ours.get(name))
            raise ValueError(
                f"argument 'store' must belong to this grid, got {str(self._path)!r}, "
                f"written with other values of {', '.join(names) or 'the format'}"
            )

    def _cut(self, size: int) -> None:
        warnings.warn(
            f"the last line of {str(self._path)!r} was cut off; it is taken away and its point computed again",
            RuntimeWarning,
            stacklevel=5,
        )
        os.truncate(self._path, size)


def _fingerprints(name: str, values: Sequence[Any]) -> list[Any]:
    """Return what tells an argument's values apart: activations by their names, a user's by their code, too."""
    if name == "activation":
        values = [value if isinstance(value, str) else get_activation(value).fingerprint for value in values]
    return [_fingerprint(value) for value in values]


def _fingerprint(value: Any) -> Any:
    """Return what tells a grid's values apart, in JSON: arrays by their hash."""
    if isinstance(value, np.ndarray) and value.ndim:
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"shape": list(value.shape), "dtype": value.dtype.name, "sha256": digest}
    if isinstance(value, list | tuple | range):
        return [_fingerprint(item) for item in value]
    simple = plain(value)
    return simple if isinstance(simple, str | int | float | bool | None) else repr(simple)
