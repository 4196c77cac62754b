"""What every command has: a place in the help, an example, `--json`, `--csv`, `--quiet`; and how answers are shown.

A command is a function that returns an `Answer`; `command` gives it the rest.
"""

import csv
import inspect
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console

from ... import __version__
from ...probing.result import plain
from ...words import printable
from ..progress import quietly
from ..tables import Table
from .overview import Overview

app = typer.Typer(
    name="fastinit",
    cls=Overview,
    help="Neural-network weights at memory speed, and a probe of what they do.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"fastinit {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


OUTPUT = "Output"
"""The group of options about what is printed and written."""


@dataclass(frozen=True)
class Answer:
    """What a command found, in each of the forms that it may be asked for."""

    record: Any
    """For `--json`."""
    shown: Sequence[Any] = ()
    """For people: tables, and lines."""
    rows: Sequence[Mapping[str, Any]] = ()
    """For `--csv`."""
    notes: Sequence[str] = ()
    """What is worth a word beside it, on stderr."""
    status: int = 0
    """The exit status."""

    def show(self, as_json: bool, as_csv: bool, quiet: bool) -> None:
        """Print it in one of its forms."""
        if as_json:
            print(json.dumps(plain(self.record), allow_nan=False))
        elif as_csv:
            print(in_csv(self.rows), end="")
        else:
            for index, part in enumerate(self.shown):
                _print(part, index + 1 < len(self.shown))
        for note in () if quiet else self.notes:
            print(printable(note), file=sys.stderr)


def _print(part: Any, more: bool) -> None:
    """Print for a person in a terminal, or whole lines for a file and a pipe."""
    if not isinstance(part, Table):
        print(part)
    elif Console().is_terminal:
        Console().print(part)
    else:
        print(part, end="\n\n" if more else "\n")


def in_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV under the names of their columns, in the order in which they first come."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain(dict(row)) for row in rows)
    return text.getvalue()


_FORMS: dict[str, Any] = {
    "as_json": Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)],
    "as_csv": Annotated[bool, typer.Option("--csv", help="Print CSV.", rich_help_panel=OUTPUT)],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes.", rich_help_panel=OUTPUT)],
}


def command(
    group: str, example: str, *, options: Sequence[inspect.Parameter] = (), table: bool = False
) -> Callable[[Callable[..., Answer]], Callable[..., None]]:
    """Make a function a command of that name.

    Parameters
    ----------
    group
        Where the help lists it.
    example
        Words that work.
    options
        Options that the function takes as `**words`.
    table
        Whether the answer has rows, for `--csv`.
    """

    def add(function: Callable[..., Answer]) -> Callable[..., None]:
        forms = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
            for name, annotation in _FORMS.items()
            if table or name != "as_csv"
        ]
        own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*options, *own, *forms)]

        def run(**words: Any) -> None:
            as_json, as_csv, quiet = (words.pop(name, False) for name in _FORMS)
            if as_json and as_csv:
                raise ValueError("argument '--csv' must stand without --json, got both")
            with quietly(quiet):
                answer = function(**words)
            answer.show(as_json, as_csv, quiet)
            if answer.status:
                raise typer.Exit(answer.status)

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__doc__, run.__name__ = function.__doc__, function.__name__
        app.command(function.__name__, rich_help_panel=group, epilog=f"Example: {example}")(run)
        return run

    return add
