"""Tables that print with or without Rich."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from fastinit_kernels.machine.forks import whole

from .errors import check_integer, printable

if TYPE_CHECKING:
    import rich.table

    from .result import ProbeResult

STYLES = {
    "healthy": "green",
    "fading": "yellow",
    "growing": "yellow",
    "vanishing": "red",
    "exploding": "red",
    "saturated": "magenta",
    "dead": "red",
    "symmetric": "red",
    "nonfinite": "red",
}


_IN_ASCII = str.maketrans({"→": "->", "←": "<-", "²": "^2", "·": "*", "×": "x", "±": "+-", "…": "..."})


def writable(text: str) -> str:
    """Return a text as stdout can write it and no terminal obeys it: in ASCII where its encoding lacks a character.

    Examples
    --------
    >>> writable("plain")
    'plain'
    """
    text = printable(text)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return text.translate(_IN_ASCII).encode("ascii", "backslashreplace").decode()
    return text


@dataclass(frozen=True)
class Table:
    """A table of words: `print` gives aligned plain text, Rich its own rendering.

    Examples
    --------
    >>> print(Table("Fans", ("layer", "fan_in"), (("0", "784"), ("1", "100"))))
    Fans
    layer  fan_in
        0     784
        1     100
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    left: frozenset[str] = frozenset()
    """Columns of words, aligned left."""

    def __str__(self) -> str:
        title, columns, rows, note = self._written()
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]

        def line(cells: Iterable[str]) -> str:
            return "  ".join(
                cell.ljust(width) if name in self.left else cell.rjust(width)
                for cell, width, name in zip(cells, widths, self.columns, strict=True)
            ).rstrip()

        return "\n".join(filter(None, (title, line(columns), *map(line, rows), note)))

    def _written(self) -> tuple[str, list[str], list[list[str]], str]:
        """Return title, columns, rows and note as stdout can write them."""
        rows = [[writable(cell) for cell in row] for row in (self.columns, *self.rows)]
        return writable(self.title), rows[0], rows[1:], writable(self.note)

    def __rich__(self) -> "rich.table.Table":
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        title, columns, rows, note = self._written()
        table = RichTable(
            title=Text(title) if title else None,
            caption=_coloured(note) if note else None,
            title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False,
        )  # fmt: skip
        for name, heading in zip(self.columns, columns, strict=True):
            table.add_column(heading, justify="left" if name in self.left else "right", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
        return table


def _coloured(note: str) -> Any:
    from rich.text import Text

    text = Text(note)
    verdict = note.partition(":")[0]
    if verdict in STYLES:
        text.stylize(f"bold {STYLES[verdict]}", 0, len(verdict))
    return text


# Figure, its heading, and how to write it.
_COLUMNS = (
    ("mean", "mean", "number"),
    ("std", "std", "number"),
    ("q", "q", "number"),
    ("saturated", "saturated", "share"),
    ("dead", "dead", "share"),
    ("distinct", "distinct", "count"),
    ("updated_distinct", "after a step", "count"),
    ("nonfinite", "inf/nan", "count"),
    ("correlation", "corr.", "number"),
    ("chi", "chi", "number"),
    ("gradient_std", "grad std", "number"),
    ("weight_gradient_std", "dW std", "number"),
)
# What the founding experiments are read by.
SHORT = ("mean", "std", "saturated", "distinct", "gradient_std")


def layer_table(result: "ProbeResult", layers: int | None = 12, figures: tuple[str, ...] | None = None) -> Table:
    """Return the per-layer figures of a probe, without the columns that say nothing."""
    chosen = choose(result.depth, None if layers is None else check_integer("layers", layers, minimum=1))
    columns = [column for column in _COLUMNS if figures is None or column[0] in figures]
    columns = [column for column in columns if _says_something(column[0], getattr(result, column[0]), result.widths)]
    rows = tuple(
        (str(layer), *(_write(getattr(result, name)[layer], kind) for name, _, kind in columns)) for layer in chosen
    )
    note = f"{result.verdict}: {result.reason}"
    return Table(result.title, ("layer", *(heading for _, heading, _ in columns)), rows, note)


def summary_table(results: Iterable[tuple[str, "ProbeResult"]]) -> Table:
    """Return one line a labelled probe: both ends of its signal and of its gradient, and its verdict."""
    rows = tuple(
        (
            label, f"{r.depth}x{r.width} {r.activation}" if r.width else f"{r.widths} {r.activation}",
            f"{number(r.std[0])} → {number(r.std[-1])}",
            f"{number(r.gradient_std[0])} ← {number(r.gradient_std[-1])}", r.verdict,
        )
        for label, r in results
    )  # fmt: skip
    columns = ("scheme", "network", "std, first → last", "gradient, first ← last", "verdict")
    return Table("Summary", columns, rows, left=frozenset({"scheme", "network", "verdict"}))


def choose(depth: int, count: int | None) -> list[int]:
    """Return at most `count` of `depth` layers, evenly spaced, the first and the last among them."""
    if count is None or depth <= count:
        return list(range(depth))
    return sorted({round(x) for x in np.linspace(0, depth - 1, max(count, 2))})


def number(value: float, digits: int = 2) -> str:
    """Write a number with that many significant digits, and whole where that is shorter than an exponent.

    Examples
    --------
    >>> [number(x) for x in (0.01234, 5.84, 584.0, 58432.0, 584321.0, 1e-7)]
    ['0.012', '5.8', '584', '58432', '5.8e+05', '1e-07']
    """
    return f"{value:.0f}" if 10**digits <= abs(value) < 1e5 else f"{value:.{digits}g}"


def _says_something(name: str, values: Any, widths: tuple[int, ...]) -> bool:
    if name == "nonfinite":
        return bool(np.any(values > 0))
    if name == "updated_distinct":
        return bool(np.any(values < widths[1:]))
    return not bool(np.all(np.isnan(values)))


def _write(value: Any, kind: str) -> str:
    if np.isnan(value):
        return "-"
    if kind == "share":
        return f"{100 * value:.1f}%"
    return f"{int(value)}" if kind == "count" else number(value, 3)


@contextmanager
def needs(package: str, *, extra: str) -> Iterator[None]:
    """Say what to install when an optional package is missing."""
    try:
        with whole:
            yield
    except ImportError as error:
        raise ImportError(f'this needs {package}; install it with: pip install "fastinit-kernels[{extra}]"') from error
