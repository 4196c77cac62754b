"""The commands that probe one network, or a few."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ...files import replacing
from ...probing.figures import FIGURES
from ...words import needs, printable
from ..progress import bar, waiting
from ..sparks import histogram_table
from ..tables import SHORT, choose, layer_table, summary_table
from .answering import OUTPUT, Answer, command, in_csv
from .arguments import probe_options, read_probe
from .reading import Force, Seed, read_values
from .targets import PICTURES, check_new_folder, check_target

GROUP = "Networks"
# Columns of a terminal that takes a table of every figure.
_WIDE = 110


@command(GROUP, "fastinit demo -o pictures", table=True)
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("fastinit-demo"),
    seed: Seed = 0,
    pictures: Annotated[bool, typer.Option(help="Write the pictures.")] = True,
    force: Force = False,
) -> Answer:
    """Run the founding experiments: zero, constant, tiny, large, Xavier's and He's weights in deep networks.

    Each network is a stack of sigmoid, tanh or ReLU layers, 5 of 100 units and 50 of 500, over 1000 inputs
    from N(0, 1). Prints what every layer does to the signal and its gradient, with a verdict, and draws the
    histograms.
    """
    from .. import demo as founding

    if pictures:
        check_new_folder(output)
        with needs("matplotlib", extra="plot"):
            import matplotlib  # noqa: F401
        for name in founding.picture_names():
            if (output / name).exists():
                check_target("--output", output / name, PICTURES, force)
    results = []
    with bar("probing", len(founding.EXPERIMENTS)) as progress:
        for experiment in founding.EXPERIMENTS:
            progress.say(f"{experiment.activation}, {experiment.label}")
            results.append((experiment, experiment.run(seed)))
            progress.advance()
    shown: list[Any] = [layer_table(result, layers=6, figures=SHORT) for _, result in results]
    shown.append(summary_table((experiment.label, result) for experiment, result in results))
    notes = [f"{len(results)} networks probed in {sum(r.seconds for _, r in results):.1f} s"]
    if pictures:
        notes += map(str, founding.draw(results, output))
    return Answer(
        [{"experiment": experiment.label, **result.to_dict()} for experiment, result in results],
        shown,
        [{"experiment": e.label, "network": r.title, **row} for e, r in results for row in layer_rows(r)],
        notes,
    )


@command(
    GROUP, "fastinit probe --scheme xavier_normal --activation tanh --depth 20", options=probe_options(), table=True
)
def probe(
    layers: Annotated[int, typer.Option(help="Show about this many layers.", min=1, rich_help_panel=OUTPUT)] = 12,
    plot: Annotated[
        Path | None, typer.Option(help="Draw into this .png, .svg or .pdf file.", rich_help_panel=OUTPUT)
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write every figure to this .json or .csv file.", rich_help_panel=OUTPUT)
    ] = None,
    force: Force = False,
    **words: Any,
) -> Answer:
    """Probe one deep network: every layer's signal, saturation, symmetry and gradient, with a verdict."""
    from ... import probe as run

    check_target("--save", save, (".json", ".csv"), force)
    check_target("--plot", plot, PICTURES, force)
    arguments = read_probe(words)
    with waiting("probing"):
        result = run(**arguments)
    rows = layer_rows(result)
    if save is not None and save.suffix.lower() == ".csv":
        with replacing(save) as file:
            file.write(in_csv(rows).encode())
    elif save is not None:
        result.save(save)
    if plot is not None:
        result.plot(plot)
    figures = SHORT if Console().is_terminal and Console().width < _WIDE else None
    shown = [layer_table(result, layers, figures), histogram_table(result, choose(result.depth, layers))]
    return Answer(result.to_dict(), shown, rows, [str(path) for path in (save, plot) if path is not None])


def layer_rows(result: Any) -> list[dict[str, Any]]:
    """Return a row a layer, with every figure."""
    return [
        {"layer": layer, **{name: getattr(result, name)[layer] for name in FIGURES}} for layer in range(result.depth)
    ]


@command(
    GROUP,
    "fastinit recommend --activation gelu --depth 30 --seed 0:4",
    options=[
        option.replace(default=512) if option.name == "batch" else option
        for option in probe_options(without=("scheme", "sigma_w", "backward", "seed"))
    ],
    table=True,
)
def recommend(
    candidates: Annotated[
        str | None, typer.Option(help="Schemes to rank, e.g. he_normal,xavier_normal; else the usual ones.")
    ] = None,
    seed: Annotated[str, typer.Option(help="Seeds, e.g. 0,1,2 or 0:9.", metavar="VALUES")] = "0,1,2",
    **words: Any,
) -> Answer:
    """Rank schemes by how well a network keeps signal and gradient, and say why."""
    from ... import recommend as run

    chosen: dict[str, Any] = read_probe(words) | {"seed": read_values("--seed", seed)}
    if candidates is not None:
        chosen["candidates"] = [name.strip() for name in candidates.split(",")]
    with waiting("probing candidates"):
        advice = run(**chosen)
    rows = [
        {"rank": rank, "scheme": c.label, "forward": c.forward, "backward": c.backward, "score": c.score,
         "spread": c.spread, "verdict": c.verdict}
        for rank, c in enumerate(advice, 1)
    ]  # fmt: skip
    record = {
        "activation": advice.activation, "widths": advice.widths, "seeds": advice.seeds, "at_best": advice.at_best,
        "why": printable(advice.why), "candidates": rows,
    }  # fmt: skip
    return Answer(record, [advice.table()], rows)
