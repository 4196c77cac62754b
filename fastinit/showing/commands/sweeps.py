"""The command that probes a grid of networks."""

import importlib
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ...activations import label
from ...files import replacing
from ...probing.figures import FIGURES
from ...probing.result import plain
from ...probing.swept import SweepResult
from ...words import needs, number, shown, unknown
from ..progress import is_quiet
from ..tables import Table
from .answering import OUTPUT, Answer, command, in_csv
from .arguments import grid_options, read_grid
from .probes import GROUP, layer_rows
from .reading import Force
from .targets import PICTURES, check_target

_EXECUTORS = "threads|processes|dask://HOST:PORT"


@command(
    GROUP,
    "fastinit sweep --activation tanh --depth 2,5,10 --sigma-w 0.5:3:0.1 --store sweep.jsonl",
    options=grid_options(),
    table=True,
)
def sweep(
    store: Annotated[
        Path | None,
        typer.Option(help="Append finished points to this file, and take those that it has.", rich_help_panel=OUTPUT),
    ] = None,
    executor: Annotated[str, typer.Option(help="What runs the points.", metavar=_EXECUTORS)] = "threads",
    on_error: Annotated[str, typer.Option(help="When a point fails.", metavar="raise|stop|skip")] = "raise",
    save: Annotated[
        Path | None,
        typer.Option(help="Write a row a point and layer to this .csv or .json file.", rich_help_panel=OUTPUT),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw a heat map into this .png, .svg or .pdf file.", rich_help_panel=OUTPUT)
    ] = None,
    figure: Annotated[
        str, typer.Option(help=f"The figure of the heat map: {', '.join(FIGURES)}.", rich_help_panel=OUTPUT)
    ] = "std",
    x: Annotated[
        str | None, typer.Option(help="Argument along its x axis; else the first of numbers.", rich_help_panel=OUTPUT)
    ] = None,
    y: Annotated[
        str | None, typer.Option(help="Argument along its y axis; else the next of numbers.", rich_help_panel=OUTPUT)
    ] = None,
    force: Force = False,
    **words: Any,
) -> Answer:
    """Probe every combination of lists and ranges of arguments.

    VALUES are separated by commas; START:STOP:STEP is a range with both its ends. Of --widths and --range, which have
    commas of their own, a semicolon separates the values.
    """  # fmt: skip
    from ... import sweep as run

    check_target("--save", save, (".csv", ".json"), force)
    check_target("--plot", plot, PICTURES, force)
    if figure not in FIGURES:
        raise unknown("figure", figure, FIGURES)
    grid = read_grid(words)
    axes: dict[str, Any] = {"figure": figure, "x": _undashed(x), "y": _undashed(y)}
    if plot is not None:
        _check_picture(grid, axes)
    with _executor(executor) as pool:
        swept = run(
            executor=pool, store=store, on_error=on_error, progress=sys.stderr.isatty() and not is_quiet(), **grid
        )
    if not swept.complete and not swept.errors:
        raise KeyboardInterrupt
    names = [name for name, values in swept.grid.items() if len(values) > 1]
    rows = [
        {**{name: _plain(value) for name, value in point.items()}, **row, "verdict": result.verdict}
        for point, result in swept
        for row in layer_rows(result)
    ]
    record = [
        {"point": {name: _plain(value) for name, value in point.items()}, **result.to_dict()} for point, result in swept
    ]
    if save is not None:
        text = in_csv(rows) if save.suffix.lower() == ".csv" else json.dumps(plain(record), allow_nan=False) + "\n"
        with replacing(save) as file:
            file.write(text.encode())
    if plot is not None:
        swept.plot(plot, **axes)
    errors = [f"point {index} failed: {error}" for index, error in swept.errors.items()]
    written = [str(path) for path in (save, plot) if path is not None]
    return Answer(record, [_table(swept, names)], rows, [*errors, *written], status=1 if errors else 0)


def _check_picture(grid: dict[str, Any], axes: dict[str, Any]) -> None:
    """Refuse a heat map that this grid has not: that of an empty result is drawn into nothing."""
    values = {name: tuple(value) if isinstance(value, list) else (value,) for name, value in grid.items()}
    SweepResult(values, (None,) * math.prod(map(len, values.values()))).plot(os.devnull, **axes)


def _undashed(name: str | None) -> str | None:
    return None if name is None else name.removeprefix("--").replace("-", "_")


def _table(swept: Any, names: list[str]) -> Table:
    rows = tuple(
        (
            *(str(_plain(point[name])) for name in names),
            number(r.std[0]), number(r.std[-1]), number(r.gradient_std[0]), number(r.gradient_std[-1]), r.verdict,
        )
        for point, r in swept
    )  # fmt: skip
    columns = (*names, "std first", "std last", "gradient first", "gradient last", "verdict")
    return Table(repr(swept), columns, rows, left=frozenset({"scheme", "activation", "verdict"}))


def _plain(value: Any) -> Any:
    value = label(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


@contextmanager
def _executor(word: str) -> Iterator[Any]:
    """Yield what runs the points: None is the sweep's own threads."""
    if word == "threads":
        yield None
    elif word == "processes":
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        # Spawned: a fork of a process with threads may hang.
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            yield pool
    elif word.startswith("dask://"):
        with needs("distributed", extra="dask"):
            distributed: Any = importlib.import_module("distributed")
        address = word.removeprefix("dask://")
        try:
            client = distributed.Client(f"tcp://{address}" if address else None, timeout=10)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"argument '--executor' must name a scheduler that answers, got {shown(word)}: {error}"
            ) from None
        with client:
            yield client.get_executor()
    else:
        raise ValueError(f"argument '--executor' must be threads, processes or dask://HOST:PORT, got {shown(word)}")
