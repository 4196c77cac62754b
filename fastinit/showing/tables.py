"""Tables that print with or without Rich."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..markup import escaped, table
from ..probing.figures import COLUMNS, FIGURES
from ..probing.layers import in_runs
from ..theory.limits import MOST_LAYERS
from ..words import check_integer, entries, number, writable

if TYPE_CHECKING:
    import rich.table

    from ..probing.result import ProbeResult

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

    def html(self) -> str:
        """Return it in HTML, every text escaped."""
        note = f"<p>{escaped(self.note)}</p>" if self.note else ""
        return table(self.columns, self.rows, self.title) + note

    _repr_html_ = html

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
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 2, 0, 0),
            pad_edge=False,
        )
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


# What the founding experiments are read by.
SHORT = ("mean", "std", "saturated", "distinct", "gradient_std")


def layer_table(result: "ProbeResult", layers: int | None = 12, figures: tuple[str, ...] | None = None) -> Table:
    """Return the per-layer figures of a probe, without the columns that say nothing."""
    chosen = choose(result.depth, None if layers is None else check_integer("layers", layers, minimum=1))
    names = [name for name in COLUMNS if figures is None or name in figures]
    names = [name for name in names if _says_something(name, getattr(result, name), result.widths)]
    rows = tuple((str(layer), *(written(getattr(result, name)[layer], name) for name in names)) for layer in chosen)
    note = f"{result.verdict}: {result.reason}"
    return Table(result.title, ("layer", *(FIGURES[name].heading or name for name in names)), rows, note)


def summary_table(results: Iterable[tuple[str, "ProbeResult"]]) -> Table:
    """Return one line a labelled probe: both ends of its signal and of its gradient, and its verdict."""
    rows = tuple(
        (
            label,
            f"{f'{r.depth}x{r.width}' if r.width else r.widths} {in_runs(r.activation)}",
            f"{number(r.std[0])} → {number(r.std[-1])}",
            f"{number(r.gradient_std[0])} ← {number(r.gradient_std[-1])}",
            r.verdict,
        )
        for label, r in results
    )
    columns = ("scheme", "network", "std, first → last", "gradient, first ← last", "verdict")
    return Table("Summary", columns, rows, left=frozenset({"scheme", "network", "verdict"}))


def choose(depth: int, count: int | None) -> list[int]:
    """Return at most `count` of `depth` layers, evenly spaced, the first and the last among them."""
    if count is None or depth <= count:
        return list(range(depth))
    return sorted({round(x) for x in np.linspace(0, depth - 1, max(count, 2))})


def chosen_layers(depth: int, layers: Any, most: int | None = None) -> list[int]:
    """Return the layers that a picture shows.

    Parameters
    ----------
    depth
        How many there are.
    layers
        A number: about so many, evenly chosen; a list: those, negative ones from the last; None: at most `most`.
    most
        How many there is room for.
    """
    if layers is None:
        return choose(depth, most)
    given = entries(layers, MOST_LAYERS)
    if given is None:
        count = check_integer("layers", layers, minimum=1)
        return choose(depth, count if most is None else min(count, most))
    if not given:
        raise ValueError("argument 'layers' must name at least one layer, got an empty list")
    chosen = sorted({check_integer("layers", x, minimum=-depth, maximum=depth - 1) % depth for x in given})
    if most is not None and len(chosen) > most:
        raise ValueError(f"argument 'layers' must name at most {most} layers here, got {len(chosen)}")
    return chosen


def _says_something(name: str, values: Any, widths: tuple[int, ...]) -> bool:
    if name == "nonfinite":
        return bool(np.any(values > 0))
    if name == "updated_distinct":
        return bool(np.any(values < widths[1:]))
    return not bool(np.all(np.isnan(values)))


def written(value: Any, name: str) -> str:
    """Return one figure as a table writes it."""
    if np.isnan(value):
        return "-"
    figure = FIGURES[name]
    if figure.is_share:
        return f"{100 * value:.1f}%"
    return f"{int(value)}" if figure.counts or figure.whole else number(value, 3)
