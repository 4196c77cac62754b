"""Options of several commands, and how their words are read."""

from typing import Annotated, Any

import typer

from ..words import shown

Seed = Annotated[int, typer.Option(help="Seed of every tensor, 0 to 2^64 - 1.")]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="Parameter of the scheme, e.g. -p std=0.02. Repeatable."),
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="Variable of the plan, e.g. -p n_layers=22. Repeatable."),
]


def read_sizes(option: str, text: str) -> tuple[int, ...]:
    """Return integers separated by commas."""
    try:
        return tuple(int(part) for part in text.replace("x", ",").split(",") if part.strip())
    except ValueError:
        raise ValueError(f"argument '{option}' must be integers separated by commas, got {shown(text)}") from None


def read_parameters(pairs: list[str] | None) -> dict[str, Any]:
    """Return what NAME=VALUE words say."""
    parameters: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise ValueError(f"argument '--param' must have the form NAME=VALUE, got {shown(pair)}")
        parameters[name] = read_value(text)
    return parameters


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


def read_plan(name: str, pairs: list[str] | None) -> Any:
    """Return the plan of a file or a preset, with variables of one's own."""
    from .. import Plan

    variables = read_parameters(pairs)
    if not name.lower().endswith((".toml", ".json")):
        return Plan.preset(name, **variables)
    plan = Plan.load(name)
    return Plan(plan, variables=variables) if variables else plan
