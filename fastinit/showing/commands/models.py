"""The commands for whole models: a checkpoint of initial weights, what a plan says, and what is there."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ...words import printable
from ..progress import BytesBar
from .answering import Answer, command
from .reading import Seed, Variables, read_plan, read_sizes

GROUP = "Models"

Source = Annotated[
    str,
    typer.Argument(
        help="Where names and shapes come from: a JSON file, a checkpoint, or a Hugging Face config.json; "
        "or a folder with one.",
        show_default=False,
    ),
]
PlanName = Annotated[
    str, typer.Option("--plan", help="A plan's .toml or .json file, or the name of a preset.", show_default=False)
]
DType = Annotated[str, typer.Option(help="Of parameters for which the plan says nothing else, e.g. bfloat16.")]
Stored = Annotated[
    str, typer.Argument(help="The checkpoint: a safetensors file, an index, or their folder.", show_default=False)
]
Declared = Annotated[
    str | None,
    typer.Option("--plan", help="A plan's file, or the name of a preset; else the plan that the files hold."),
]
Expected = Annotated[str | None, typer.Option(help="What should be there: a JSON file, a checkpoint, a config.json.")]
# What save_pretrained writes into one file.
_SHARD = "5GB"


@command(GROUP, "fastinit checkpoint config.json -o model --plan plan.toml --dtype bfloat16")
def checkpoint(
    source: Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder, or a .safetensors file.", show_default=False)],
    plan: PlanName,
    dtype: DType = "float32",
    seed: Seed = 0,
    max_shard_size: Annotated[
        str | None, typer.Option(help=f"Most bytes of a file, e.g. 500MB. In a folder {_SHARD}.", show_default=False)
    ] = None,
    hosts: Annotated[str, typer.Option(help="This host's number and how many, e.g. 0,4: each writes its files.")] = "",
    store_tied: Annotated[bool, typer.Option("--store-tied", help="Store tied parameters, too.")] = False,
    force: Annotated[
        bool, typer.Option("--force", "--overwrite", help="Replace files that are something else.")
    ] = False,
    param: Variables = None,
) -> Answer:
    """Write a model's initial weights as safetensors files, which Hugging Face's loaders read.

    Files appear whole or not at all; the same command goes on where it was ended. A config.json is copied.
    """
    from ... import checkpoint as module
    from ...models.sources import copy_config

    single = output.suffix == ".safetensors"
    shapes, rules = module.shapes(source), read_plan(plan, param)
    with BytesBar("writing") as progress:
        written = module.write(
            output, shapes, rules, seed=seed, dtype=dtype, store_tied=store_tied, overwrite=force,
            max_shard_size=max_shard_size if max_shard_size or single else _SHARD,
            hosts=_pair(hosts), progress=progress,
        )  # fmt: skip
    files = [*written.files, *([] if single else copy_config(source, output))]
    return Answer(
        asdict(written) | {"files": files}, [printable(path) for path in files], notes=[f"{written}, seed {seed}"]
    )


@command(GROUP, "fastinit explain model.safetensors --plan plan.toml", table=True)
def explain(source: Source, plan: PlanName, dtype: DType = "float32", param: Variables = None) -> Answer:
    """Show what a plan says of each parameter: rule, fans, law, standard deviation, stream."""
    from ... import checkpoint as module

    told = read_plan(plan, param).explain(module.shapes(source), dtype=dtype)
    rows = [{name: _word(value) for name, value in row.items()} for row in told.rows]
    return Answer({"rows": rows, "unused": told.unused}, [told], rows)


def _word(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


@command(GROUP, "fastinit verify model")
def verify(
    path: Stored,
    plan: Declared = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the seed that the files hold.")] = None,
    shapes: Expected = None,
    dtype: Annotated[str | None, typer.Option(help="Instead of the dtype that the files hold.")] = None,
    param: Variables = None,
) -> Answer:
    """Tell which tensors of a checkpoint have their initial weights: they are drawn again.

    Status 0 if all have, 1 if not.
    """
    from ... import checkpoint as module

    rules = _declared(plan, param)
    with BytesBar("verifying") as progress:
        found = module.verify(path, rules, seed=seed, shapes=shapes, dtype=dtype, progress=progress)
    record = asdict(found) | {"ok": found.ok}
    return Answer(record, [found], status=0 if found.ok else 1)


@command(GROUP, "fastinit check model.safetensors --plan plan.toml", table=True)
def check(
    path: Stored,
    plan: Declared = None,
    param: Variables = None,
    shapes: Expected = None,
    seed: Annotated[
        int | None, typer.Option(help="Tell which tensors hold its bytes; else the seed that the files hold.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Of parameters for which the plan says nothing else.")] = None,
    level: Annotated[float, typer.Option(help="Probability of a false alarm.")] = 0.01,
    rows: Annotated[int, typer.Option(help="Show at most so many rows of figures.", min=0)] = 40,
) -> Answer:
    """Hold a checkpoint against its plan's laws: wrong scales and fans, copies, zeros, garbage, trained tensors.

    Status 0 if all is as declared, 1 if not.
    """
    from ... import check as run

    rules = _declared(plan, param)
    with BytesBar("checking") as progress:
        found = run(path, rules, shapes=shapes, seed=seed, dtype=dtype, level=level, progress=progress)
    shown: list[Any] = [found]
    if rows and found.rows:
        shown += ["", replace(found.table(rows), title="")]
    record = found.to_dict()
    cells = [{name: _word(value) for name, value in row.items()} for row in record["rows"]]
    return Answer(record, shown, cells, status=0 if found.ok else 1)


def _declared(plan: str | None, param: list[str] | None) -> Any:
    if param and plan is None:
        raise ValueError("argument '--param' must come with a --plan, got none")
    return None if plan is None else read_plan(plan, param)


def _pair(text: str) -> Any:
    return read_sizes("--hosts", text) if text else None
