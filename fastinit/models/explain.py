"""What a plan says of each parameter, as a table."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

from ..weights.laws import Law
from ..words import number, printable
from .pieces import Assignment, Piece

_COLUMNS = ("parameter", "shape", "dtype", "rule", "fan_in", "fan_out", "law", "std", "lr", "stream")
_RIGHT = {"fan_in", "fan_out", "std", "lr"}
# Lines of a parameter in many pieces.
_MOST_PIECES = 4


class Explanation:
    """What a plan says of each parameter: printed as a table, in notebooks too.

    Attributes
    ----------
    rows
        A dict for each parameter, and each piece of one that is drawn in pieces. Beside what is printed: the rule's
        `note`. Factors of the learning rate are printed where one differs from 1.
    unused
        Patterns that no parameter matched.
    """

    def __init__(self, found: Mapping[str, Assignment], patterns: Sequence[str]) -> None:
        self.rows = [row for assignment in found.values() for row in _rows(assignment)]
        used = {assignment.rule for assignment in found.values()}
        self.unused = [pattern for i, pattern in enumerate(patterns) if i not in used]

    @property
    def _columns(self) -> list[str]:
        told = any(row["lr"] != 1.0 for row in self.rows)
        return [column for column in _COLUMNS if told or column != "lr"]

    def _cells(self) -> list[dict[str, str]]:
        return [{column: _cell(row[column]) for column in self._columns} for row in self.rows]

    def __repr__(self) -> str:
        columns = self._columns
        cells = [dict(zip(columns, columns, strict=True)), *self._cells()]
        widths = {column: max(len(row[column]) for row in cells) for column in columns}
        lines = ["  ".join(_justified(row[c], widths[c], c) for c in columns).rstrip() for row in cells]
        if self.unused:
            lines += ["", f"rules that matched nothing: {', '.join(self.unused)}"]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        heads = "".join(f"<th>{column}</th>" for column in self._columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells.values()) + "</tr>"
            for cells in self._cells()
        )
        unused = f"<p>rules that matched nothing: {html.escape(', '.join(self.unused))}</p>" if self.unused else ""
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{unused}"


def _rows(assignment: Assignment) -> list[dict[str, Any]]:
    base = {
        "parameter": assignment.name,
        "shape": assignment.shape,
        "dtype": assignment.dtype,
        "rule": assignment.pattern,
        "lr": assignment.lr,
        "note": assignment.note,
    }
    if not assignment.is_drawn:
        law = "skip" if assignment.tie is None else f"tied to {assignment.tie}"
        return [{**base, "fan_in": math.nan, "fan_out": math.nan, "law": law, "std": math.nan, "stream": ""}]
    rows = [{**base, **_of_piece(piece)} for piece in assignment.pieces[:_MOST_PIECES]]
    more = len(assignment.pieces) - _MOST_PIECES
    if more > 0:
        rows.append(
            {**rows[-1], **_of_piece(assignment.pieces[-1]), "stream": f"… {more} more, {assignment.pieces[-1].name}"}
        )
    if assignment.sets:
        rows[-1]["law"] += f", {len(assignment.sets)} set"
    return rows


def _of_piece(piece: Piece) -> dict[str, Any]:
    fan_in, fan_out = piece.fans
    return {"fan_in": fan_in, "fan_out": fan_out, "law": law_words(piece.law), "std": piece.std, "stream": piece.name}


def law_words(law: Law) -> str:
    """Return a law with its numbers, to four digits."""
    numbers = {f.name: getattr(law, f.name) for f in fields(cast(Any, law)) if f.repr}
    words = (f"{k}={number(v, 4) if isinstance(v, float) else v}" for k, v in numbers.items())
    return f"{type(law).__name__}({', '.join(words)})"


def _cell(value: Any) -> str:
    if isinstance(value, float | int):
        return "-" if value != value else number(float(value), 4)
    return printable(str(value))


def _justified(text: str, width: int, column: str) -> str:
    return text.rjust(width) if column in _RIGHT else text.ljust(width)
