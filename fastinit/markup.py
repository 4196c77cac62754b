"""HTML of results for notebooks and reports: every text is escaped, whatever it holds."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from .words import number, printable


def escaped(value: object) -> str:
    """Return a text as a page shows it, in one line and without a tag of its own.

    Examples
    --------
    >>> escaped("<script>")
    '&lt;script&gt;'
    """
    return html.escape(printable(value if isinstance(value, str) else str(value)))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "", kind: str = "") -> str:
    """Return a table; `kind` is its class."""
    heads = "".join(f'<th scope="col">{escaped(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>" for row in rows)
    words = f"<caption>{escaped(caption)}</caption>" if caption else ""
    named = f' class="{escaped(kind)}"' if kind else ""
    return f"<table{named}>{words}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def named_tuple(values: Any) -> str:
    """Return the fields of a named tuple as a table: one row of numbers, or a row an entry of its arrays."""
    cells = [_cells(value) for value in values]
    count = max(map(len, cells), default=1)
    if count == 1:
        return table(values._fields, [[cell[0] for cell in cells]], type(values).__name__)
    shown = sorted({round(k * (count - 1) / (min(count, 24) - 1)) for k in range(min(count, 24))})
    rows = [[str(k), *(cell[k] if len(cell) == count else cell[0] for cell in cells)] for k in shown]
    return table(("layer", *values._fields), rows, type(values).__name__)


def _cells(value: Any) -> list[str]:
    if getattr(value, "ndim", 0) == 1:
        return [number(float(x), 4) for x in value] or ["-"]
    return [number(value, 6) if isinstance(value, float) else str(value)]
