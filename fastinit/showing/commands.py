"""The commands of the command line, one function each."""

import math
import os
import platform
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .. import __version__
from ..words import printable, shown
from .check_command import check
from .machine import cpu_name
from .model_commands import checkpoint, explain, verify
from .options import Params, Seed, read_parameters, read_sizes, read_value
from .progress import bar
from .tables import SHORT, Table, layer_table, summary_table

app = typer.Typer(
    name="fastinit",
    help="Neural-network weights at memory speed, and a probe that shows what they do to a deep network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Elements drawn and written between two steps of the progress bar: a few tens of milliseconds.
_BLOCK = 1 << 25


# Columns of a terminal that takes a table of every figure.
_WIDE = 110


def _show(table: Table) -> None:
    """Print for a person in a terminal, or whole lines for a file and a pipe."""
    if Console().is_terminal:
        Console().print(table)
    else:
        print(table, end="\n\n")


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


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("fastinit-demo"),
    seed: Seed = 0,
    pictures: Annotated[bool, typer.Option(help="Write the pictures.")] = True,
) -> None:
    """Run the founding experiments: zero, constant, tiny, large, Xavier's and He's weights in deep networks.

    Each network is a stack of sigmoid, tanh or ReLU layers, 5 of 100 units and 50 of 500, over 1000 inputs
    from N(0, 1). Prints what every layer does to the signal and its gradient, with a verdict, and draws the
    histograms.
    """
    from .demo import EXPERIMENTS, draw

    results = []
    with bar("probing", len(EXPERIMENTS)) as progress:
        for experiment in EXPERIMENTS:
            progress.say(f"{experiment.activation}, {experiment.label}")
            results.append((experiment, experiment.run(seed)))
            progress.advance()
    for _, result in results:
        _show(layer_table(result, layers=6, figures=SHORT))
    _show(summary_table((experiment.label, result) for experiment, result in results))
    print(f"{len(results)} networks probed in {sum(r.seconds for _, r in results):.1f} s")
    if pictures:
        for path in draw(results, output):
            print(printable(str(path)))


@app.command()
def schemes() -> None:
    """List every scheme with its formula."""
    from .. import schemes as all_schemes

    rows = tuple(all_schemes().items())
    _show(Table("", ("scheme", "formula"), rows, left=frozenset({"scheme", "formula"})))


@app.command()
def init(
    scheme: Annotated[str, typer.Argument(help="Name of the scheme; `fastinit schemes` lists them.")],
    shape: Annotated[str, typer.Option(help="Sizes of the axes, e.g. 4096,4096.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .npy.")],
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, float8_e4m3fn, complex64 ...")] = "float32",
    seed: Seed = 0,
    name: Annotated[str, typer.Option(help="Name of the tensor; another name, other values.")] = "",
    layout: Annotated[str, typer.Option(help='"io" (in, out) or "oi" (out, in), or a letter an axis.')] = "io",
    groups: Annotated[int, typer.Option(help="Groups of a grouped convolution.")] = 1,
    stride: Annotated[str, typer.Option(help="Stride of a convolution, or one an axis, e.g. 2,1.")] = "1",
    transposed: Annotated[bool, typer.Option("--transposed", help="The layer is a transposed convolution.")] = False,
    fan_in: Annotated[float | None, typer.Option(help="Instead of the shape's.")] = None,
    fan_out: Annotated[float | None, typer.Option(help="Instead of the shape's.")] = None,
    param: Params = None,
) -> None:
    """Write one weight tensor to a .npy file, which appears whole or not at all.

    The .npy format has neither bfloat16 nor float8: their bits are stored
    as uint16 and uint8, and np.load(FILE).view(ml_dtypes.bfloat16) reads
    them back.
    """
    if output.suffix != ".npy":
        raise ValueError(f"argument '--output' must end in .npy, got {shown(str(output))}")
    sizes = read_sizes("--shape", shape)
    steps = read_sizes("--stride", stride)
    arguments: dict[str, Any] = {
        "seed": seed, "name": name, "dtype": dtype, "layout": layout, "groups": groups,
        "stride": steps[0] if len(steps) == 1 else steps, "transposed": transposed, "fan_in": fan_in,
        "fan_out": fan_out, **read_parameters(param),
    }  # fmt: skip
    kind, stored = _write(output, scheme, sizes, arguments)
    print(printable(f"{output}: {scheme} {'x'.join(map(str, sizes))} {dtype}, seed {seed}"))
    if kind != stored:
        print(printable(f'read it with: np.load("{output}").view(ml_dtypes.{kind.name})'))


def _write(path: Path, scheme: str, shape: tuple[int, ...], arguments: dict[str, Any]) -> tuple[Any, Any]:
    """Draw block by block into one buffer; return the dtype and that of the file, which knows NumPy's own alone.

    Nothing is mapped: a full disk is an error then, and not a signal.
    """
    import numpy as np
    from numpy.lib import format as npy

    from .. import init as initialise
    from ..files import replacing
    from ..weights.regions import blocks, whole_region

    empty = initialise(scheme, shape, region=tuple(slice(0, 0) for _ in shape), **arguments)  # checks everything
    dtype = empty.dtype
    stored = dtype if dtype.isbuiltin == 1 else np.dtype(f"u{dtype.itemsize}")
    header = {"descr": npy.dtype_to_descr(stored), "fortran_order": False, "shape": shape}
    buffer = np.empty(min(_BLOCK, math.prod(shape)), dtype)
    with replacing(path) as file, bar("drawing", math.prod(shape)) as progress:
        npy.write_array_header_1_0(file, header)
        for starts in blocks(whole_region(shape), _BLOCK):
            sizes = tuple(length for _, length in starts)
            region = tuple(slice(start, start + length) for start, length in starts)
            block = buffer[: math.prod(sizes)]
            initialise(scheme, shape, region=region, out=block.reshape(sizes), **arguments)
            file.write(block.view(np.uint8).data)
            progress.advance(block.size)
    return dtype, stored


@app.command()
def probe(
    scheme: Annotated[str, typer.Option(help="Scheme of the weights.")] = "he_normal",
    activation: Annotated[str, typer.Option(help="sigmoid, tanh, relu, gelu, ...")] = "relu",
    depth: Annotated[int, typer.Option(help="Number of layers.")] = 10,
    width: Annotated[int, typer.Option(help="Units a layer.")] = 512,
    widths: Annotated[str | None, typer.Option(help="Instead: all sizes from the input on, e.g. 784,512,10.")] = None,
    batch: Annotated[int, typer.Option(help="Inputs, drawn from N(0, 1).")] = 1024,
    bias: Annotated[float, typer.Option(help="Constant bias.")] = 0.0,
    sigma_w: Annotated[float | None, typer.Option(help="Short for N(0, sigma_w^2 / fan_in) weights.")] = None,
    sigma_b: Annotated[float, typer.Option(help="Standard deviation of drawn biases.")] = 0.0,
    residual: Annotated[bool, typer.Option(help="Skips around layers that keep the width.")] = False,
    branch_scale: Annotated[str, typer.Option(help="Factor beside a skip: a number, or 1/sqrt(depth).")] = "1.0",
    normalize: Annotated[str | None, typer.Option(help="Normalise what enters a layer: layer or rms.")] = None,
    conv: Annotated[int | None, typer.Option(help="A stack of k x k convolutions; widths are channels.")] = None,
    image: Annotated[int | None, typer.Option(help="Pixels along a side of the images (16).")] = None,
    input_correlation: Annotated[float | None, typer.Option(help="Correlation of pairs of inputs.")] = None,
    backward: Annotated[bool, typer.Option(help="Compute gradients, too.")] = True,
    bins: Annotated[int, typer.Option(help="Bins of the histograms.")] = 30,
    seed: Seed = 0,
    dtype: Annotated[str, typer.Option(help="float32, float64, float16 or bfloat16.")] = "float32",
    param: Params = None,
    layers: Annotated[int, typer.Option(help="Show about this many layers.", min=1)] = 12,
    plot: Annotated[Path | None, typer.Option(help="Draw into this .png, .svg or .pdf file.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write every figure to this .json file.")] = None,
) -> None:
    """Probe one deep network: every layer's signal, saturation, symmetry and gradient, with a verdict."""
    from .. import probe as run

    arguments: dict[str, Any] = read_parameters(param)
    if sigma_w is not None:
        arguments["sigma_w"] = sigma_w
    if widths is not None:
        arguments["widths"] = list(read_sizes("--widths", widths))
    result = run(
        scheme=scheme, activation=activation, depth=depth, width=width, batch=batch, bias=bias or "zeros",
        sigma_b=sigma_b, backward=backward, bins=bins, seed=seed, dtype=dtype, residual=residual,
        branch_scale=read_value(branch_scale), normalize=normalize, conv=conv, image=image,
        input_correlation=input_correlation, **arguments,
    )  # fmt: skip
    figures = SHORT if Console().is_terminal and Console().width < _WIDE else None
    _show(layer_table(result, layers, figures))
    if save is not None:
        result.save(save)
        print(printable(str(save)))
    if plot is not None:
        result.plot(plot)
        print(printable(str(plot)))


@app.command()
def warmup(
    processes: Annotated[
        int | None, typer.Option(help="How many compile side by side (one for each CPU).", min=1)
    ] = None,
) -> None:
    """Compile every kernel ahead of use, once for a machine: for images of containers, and clusters.

    Kernels go into the folder that `fastinit info` names; NUMBA_CACHE_DIR moves it.

    Example: NUMBA_CACHE_DIR=/shared/kernels fastinit warmup
    """
    from .. import warmup as compile_all

    started = time.perf_counter()
    count = compile_all(processes)
    print(f"{count} kernels compiled in {time.perf_counter() - started:.0f} s" if count else "all kernels are compiled")


@app.command()
def info() -> None:
    """Print versions, threads, CPU and the folder of the compiled kernels."""
    import llvmlite
    import llvmlite.binding
    import ml_dtypes
    import numba
    import numpy as np
    from fastinit_kernels.machine.cache import cache_folder

    from .. import normal

    normal((1 << 20,), seed=0)  # Numba names its threading layer once it has run
    facts = {
        "fastinit": __version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "Numba": f"{numba.__version__} (llvmlite {llvmlite.__version__})",
        "ml-dtypes": ml_dtypes.__version__,
        "system": platform.platform(),
        "CPU": f"{cpu_name()} ({llvmlite.binding.get_host_cpu_name()})",
        "threads": f"{numba.get_num_threads()} on {os.cpu_count()} CPUs",
        "threading layer": _threading_layer(),
        "compiled kernels": str(cache_folder() or "not kept"),
    }
    for key, value in facts.items():
        print(printable(f"{key:<17} {value}"))


def _threading_layer() -> str:
    import numba

    try:
        return str(numba.threading_layer())
    except ValueError:
        return "none: one thread"


for command in (checkpoint, explain, verify, check):
    app.command()(command)
