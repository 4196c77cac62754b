"""The commands for whole models: a checkpoint of initial weights, what a plan says, and what is there."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..words import printable
from .options import Seed, Variables, read_plan, read_sizes
from .progress import BytesBar

Source = Annotated[
    str,
    typer.Argument(
        help="Where names and shapes come from: a JSON file, a checkpoint, or a Hugging Face config.json; "
        "or a folder with one.",
        show_default=False,
    ),
]
PlanName = Annotated[str, typer.Option("--plan", help="A plan's .toml or .json file, or the name of a preset.")]
DType = Annotated[str, typer.Option(help="Of parameters for which the plan says nothing else, e.g. bfloat16.")]
# What save_pretrained writes into one file.
_SHARD = "5GB"


def checkpoint(
    source: Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder, or a .safetensors file.")],
    plan: PlanName,
    dtype: DType = "float32",
    seed: Seed = 0,
    max_shard_size: Annotated[
        str | None, typer.Option(help=f"Most bytes of a file, e.g. 500MB. In a folder {_SHARD}.", show_default=False)
    ] = None,
    hosts: Annotated[str, typer.Option(help="This host's number and how many, e.g. 0,4: each writes its files.")] = "",
    store_tied: Annotated[bool, typer.Option("--store-tied", help="Store tied parameters, too.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are something else.")] = False,
    param: Variables = None,
) -> None:
    """Write a model's initial weights as safetensors files that Hugging Face's loaders read.

    Files appear whole or not at all; the same command goes on where it was ended. A config.json is copied.

    Example: fastinit checkpoint config.json -o model --plan plan.toml --dtype bfloat16
    """
    from .. import checkpoint as module
    from ..models.sources import copy_config

    single = output.suffix == ".safetensors"
    shapes, rules = module.shapes(source), read_plan(plan, param)
    with BytesBar("writing") as progress:
        written = module.write(
            output, shapes, rules, seed=seed, dtype=dtype, store_tied=store_tied, overwrite=overwrite,
            max_shard_size=max_shard_size if max_shard_size or single else _SHARD,
            hosts=_pair(hosts), progress=progress,
        )  # fmt: skip
    for path in (*written.files, *([] if single else copy_config(source, output))):
        print(printable(path))
    print(f"{written}, seed {seed}")


def explain(source: Source, plan: PlanName, dtype: DType = "float32", param: Variables = None) -> None:
    """Show what a plan says of each parameter: rule, fans, law, standard deviation, stream.

    Example: fastinit explain model.safetensors --plan plan.toml
    """
    from .. import checkpoint as module

    print(read_plan(plan, param).explain(module.shapes(source), dtype=dtype))


def verify(
    path: Annotated[str, typer.Argument(help="The checkpoint: a folder, an index or a file.", show_default=False)],
    plan: Annotated[str | None, typer.Option(help="Instead of the plan that the files hold.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the seed that the files hold.")] = None,
    shapes: Annotated[str | None, typer.Option(help="What should be there: a source as of `checkpoint`.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Instead of the dtype that the files hold.")] = None,
    param: Variables = None,
) -> None:
    """Draw a checkpoint's initial weights again, and say which tensors still have them: status 0 if all, else 1.

    Example: fastinit verify model
    """
    from .. import checkpoint as module

    if param and plan is None:
        raise ValueError("argument '--param' must come with a --plan, got none")
    rules = None if plan is None else read_plan(plan, param)
    with BytesBar("verifying") as progress:
        found = module.verify(path, rules, seed=seed, shapes=shapes, dtype=dtype, progress=progress)
    print(found)
    if not found.ok:
        raise typer.Exit(1)


def _pair(text: str) -> Any:
    return read_sizes("--hosts", text) if text else None
