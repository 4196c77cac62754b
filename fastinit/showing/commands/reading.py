"""Options of several commands, and how their words are read."""

import math
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from ...words import shown
from .answering import OUTPUT

Seed = Annotated[int, typer.Option(help="Seed of every tensor, 0 to 2^64 - 1.")]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="Parameter of the scheme, e.g. -p std=0.02. Repeatable."),
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="Variable of the plan, e.g. -p n_layers=22. Repeatable."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.", rich_help_panel=OUTPUT)]

# Of a range that somebody typed.
_MOST_VALUES = 1 << 20


def read_sizes(option: str, text: str) -> tuple[int, ...]:
    """Return integers separated by commas."""
    try:
        return tuple(int(part) for part in text.replace("x", ",").split(",") if part.strip())
    except ValueError:
        raise ValueError(f"argument '{option}' must be integers separated by commas, got {shown(text)}") from None


def read_layers(option: str, text: str) -> Any:
    """Return a value for all layers, or a list of one for each, separated by commas."""
    values = [read_value(part.strip()) for part in text.split(",")]
    return values if len(values) > 1 else values[0]


def read_limits(option: str, text: str) -> tuple[float, ...]:
    """Return numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"argument '{option}' must be numbers separated by commas, got {shown(text)}") from None


def read_parameters(pairs: list[str] | None) -> dict[str, Any]:
    """Return what NAME=VALUE words say."""
    return {name: read_value(text) for name, text in read_pairs(pairs)}


def read_pairs(pairs: list[str] | None) -> Iterator[tuple[str, str]]:
    """Yield names and values of NAME=VALUE words."""
    for pair in pairs or []:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise ValueError(f"argument '--param' must have the form NAME=VALUE, got {shown(pair)}")
        yield name, text


def read_value(text: str) -> Any:
    """Return a number or a truth value if a word is one, else the word."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def read_values(option: str, text: str) -> list[Any]:
    """Return values separated by commas, among them ranges: 1:4 is 1, 2, 3, 4, and 0.5:3:0.1 goes on to 3."""
    values: list[Any] = []
    for part in text.split(","):
        values += _range(option, part) if ":" in part else [read_value(part.strip())]
    return values


def _range(option: str, text: str) -> list[Any]:
    rule = f"argument '{option}' must be values and ranges START:STOP[:STEP], got {shown(text)}"
    parts = text.split(":")
    try:
        # As decimals: 0.5 + 3 * 0.1 is 0.8 then, and the last one is not missed.
        start, stop, step = (Decimal(part.strip()) for part in (*parts, "1")[:3])
        steps = (stop - start) / step
    except (InvalidOperation, ValueError, ArithmeticError):
        raise ValueError(rule) from None
    if len(parts) > 3 or not steps.is_finite() or not 0 <= steps < _MOST_VALUES:
        raise ValueError(rule)
    whole = all(value == value.to_integral_value() for value in (start, step))
    return [(int if whole else float)(start + k * step) for k in range(math.floor(steps) + 1)]


def read_plan(name: str, pairs: list[str] | None) -> Any:
    """Return the plan of a file or a preset, with variables of one's own."""
    from ... import Plan

    variables = read_parameters(pairs)
    if not name.lower().endswith((".toml", ".json")):
        return Plan.preset(name, **variables)
    plan = Plan.load(name)
    return Plan(plan, variables=variables) if variables else plan
