"""The commands that make pictures and pages: a comparison with other libraries, a report of saved results."""

from pathlib import Path
from typing import Annotated

import typer
from fastinit_kernels.machine.forks import whole

from ...files import replacing
from ...words import check_choice, number
from ..progress import bar
from ..tables import Table
from .answering import OUTPUT, Answer, command, in_csv
from .machines import GROUP
from .probes import GROUP as NETWORKS
from .reading import Force
from .targets import PICTURES, check_target


@command(GROUP, "fastinit compare --law normal --elements 100000000 --plot bars.png", table=True)
def compare(
    law: Annotated[str, typer.Option(help="What is drawn.", metavar="normal|uniform|truncated_normal")] = "normal",
    dtype: Annotated[
        str, typer.Option(help="Type of the elements.", metavar="float32|float64|float16|bfloat16")
    ] = "float32",
    elements: Annotated[int, typer.Option(help="Elements of the tensor.", min=1)] = 1 << 24,
    repeats: Annotated[int, typer.Option(help="Rounds; in each, every library has its turn.", min=1, max=10_000)] = 7,
    seed: Annotated[int, typer.Option(help="Seed of every library, 0 to 2^32 - 1.", min=0, max=2**32 - 1)] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw bars into this .png, .svg or .pdf file.", rich_help_panel=OUTPUT)
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the table to this .csv file.", rich_help_panel=OUTPUT)
    ] = None,
    force: Force = False,
) -> Answer:
    """Time fastinit against the libraries that are installed here, on this machine.

    NumPy, PyTorch, JAX, mkl_random and randompack, as far as they are there and draw that type; as they come, on as
    many threads as they take. The libraries take turns, so that all meet the same state of the machine. Medians, and
    the median over the rounds of each one's time to fastinit's.
    """
    from .. import comparison

    check_choice("law", law, comparison.LAWS)
    check_choice("dtype", dtype, comparison.DTYPES)
    check_target("--plot", plot, PICTURES, force)
    check_target("--save", save, (".csv",), force)
    with bar("preparing", repeats) as progress:
        rows = comparison.measure(law, dtype, elements, repeats, seed, progress)
    title = f"{elements} elements, {law}, {dtype}: median of {repeats}"
    if save is not None:
        with replacing(save) as file:
            file.write(in_csv(rows).encode())
    if plot is not None:
        comparison.draw(rows, title, plot)
    cells = tuple(
        (row["library"], row["version"], f"{1e3 * row['seconds']:.3g}", number(row["rate"] / 1e9, 3),
         f"{row['ratio']:.2f}")
        for row in rows
    )  # fmt: skip
    columns = ("library", "version", "ms", "10^9 elements/s", "time / fastinit's")
    table = Table(title, columns, cells, left=frozenset({"library", "version"}))
    notes = [f"not installed: {', '.join(comparison.missing())}"] if comparison.missing() else []
    return Answer(rows, [table], rows, [*notes, *(str(path) for path in (save, plot) if path is not None)])


@command(NETWORKS, "fastinit report probe.json sweep.jsonl -o report.html")
def report(
    sources: Annotated[
        list[Path], typer.Argument(help="Saved probes, stores of sweeps, or folders of such.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page, .html.")] = Path("report.html"),
    force: Force = False,
) -> Answer:
    """Make one page of saved results: tables, pictures, findings, and what to do about them."""
    check_target("--output", output, (".html", ".htm"), force)
    for source in sources:
        source.stat()  # names the one that is not there
    with whole:
        from ..report import write
    write(sources, output)
    return Answer({"file": str(output)}, notes=[str(output)])
