"""The command that holds a checkpoint against its plan."""

import json
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console

from .options import Variables, read_plan
from .progress import BytesBar


def check(
    path: Annotated[
        str, typer.Argument(help="A safetensors file, an index of several, or their folder.", show_default=False)
    ],
    plan: Annotated[
        str | None,
        typer.Option(help="A plan's .toml or .json file, or the name of a preset; else the plan that the files hold."),
    ] = None,
    param: Variables = None,
    shapes: Annotated[
        str | None, typer.Option(help="What should be there: a JSON file, a checkpoint, a config.json.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Tell which tensors hold its bytes; else the seed that the files hold.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of parameters for which the plan says nothing else, e.g. bfloat16.")
    ] = None,
    level: Annotated[float, typer.Option(help="Probability of a false alarm.")] = 0.01,
    rows: Annotated[int, typer.Option(help="Show at most so many rows of figures.", min=0)] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Hold a checkpoint against its plan's laws: wrong scales and fans, copies, zeros, garbage, trained tensors.

    Status 0 if all is as declared, 1 if not.

    Example: fastinit check model.safetensors --plan plan.toml
    """
    from .. import check as run

    if param and plan is None:
        raise ValueError("argument '--param' must come with a --plan, got none")
    rules = None if plan is None else read_plan(plan, param)
    with BytesBar("checking") as progress:
        found = run(path, rules, shapes=shapes, seed=seed, dtype=dtype, level=level, progress=progress)
    if as_json:
        print(json.dumps(found.to_dict(), indent=1))
    else:
        print(found)
        if rows and found.rows:
            table = replace(found.table(rows), title="")
            print()
            if Console().is_terminal:
                Console().print(table)
            else:
                print(table)
    if not found.ok:
        raise typer.Exit(1)
