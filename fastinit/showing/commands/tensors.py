"""The commands for one tensor and its schemes."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from ..progress import bar
from ..tables import Table
from .answering import Answer, command
from .reading import Force, Params, Seed, read_parameters, read_sizes
from .targets import check_target

GROUP = "Weights"

# Elements drawn and written between two steps of the progress bar: a few tens of milliseconds.
_BLOCK = 1 << 25


@command(GROUP, "fastinit init he_normal --shape 4096,4096 --dtype bfloat16 -o w.npy")
def init(
    scheme: Annotated[
        str, typer.Argument(help="Name of the scheme; `fastinit schemes` lists them.", show_default=False)
    ],
    shape: Annotated[str, typer.Option(help="Sizes of the axes, e.g. 4096,4096.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .npy.", show_default=False)],
    dtype: Annotated[
        str,
        typer.Option(help="float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2, complex64 or complex128."),
    ] = "float32",
    seed: Seed = 0,
    name: Annotated[str, typer.Option(help="Name of the tensor; another name, other values.")] = "",
    layout: Annotated[str, typer.Option(help='"io" (in, out) or "oi" (out, in), or a letter an axis.')] = "io",
    groups: Annotated[int, typer.Option(help="Groups of a grouped convolution.")] = 1,
    stride: Annotated[str, typer.Option(help="Stride of a convolution, or one an axis, e.g. 2,1.")] = "1",
    transposed: Annotated[bool, typer.Option("--transposed", help="The layer is a transposed convolution.")] = False,
    fan_in: Annotated[float | None, typer.Option(help="Instead of the shape's.")] = None,
    fan_out: Annotated[float | None, typer.Option(help="Instead of the shape's.")] = None,
    param: Params = None,
    force: Force = False,
) -> Answer:
    """Write one weight tensor to a .npy file, which appears whole or not at all.

    The .npy format has neither bfloat16 nor float8: their bits are stored
    as uint16 and uint8, and np.load(FILE).view(ml_dtypes.bfloat16) reads
    them back.
    """  # fmt: skip
    check_target("--output", output, (".npy",), force)
    sizes = read_sizes("--shape", shape)
    steps = read_sizes("--stride", stride)
    arguments: dict[str, Any] = {
        "seed": seed, "name": name, "dtype": dtype, "layout": layout, "groups": groups,
        "stride": steps[0] if len(steps) == 1 else steps, "transposed": transposed, "fan_in": fan_in,
        "fan_out": fan_out, **read_parameters(param),
    }  # fmt: skip
    kind, stored = _write(output, scheme, sizes, arguments)
    notes = [f"{output}: {scheme} {'x'.join(map(str, sizes))} {dtype}, seed {seed}"]
    if kind != stored:
        notes.append(f'read it with: np.load("{output}").view(ml_dtypes.{kind.name})')
    record = {"file": str(output), "scheme": scheme, "shape": sizes, "dtype": kind.name, "stored": stored.name,
              "seed": seed, "name": name}  # fmt: skip
    return Answer(record, notes=notes)


def _write(path: Path, scheme: str, shape: tuple[int, ...], arguments: dict[str, Any]) -> tuple[Any, Any]:
    """Draw block by block into one buffer; return the dtype and that of the file, which knows NumPy's own alone.

    Nothing is mapped: a full disk is an error then, and not a signal.
    """
    import numpy as np
    from numpy.lib import format as npy

    from ... import init as initialise
    from ...files import replacing
    from ...weights.regions import blocks, whole_region

    empty = initialise(scheme, shape, region=tuple(slice(0, 0) for _ in shape), **arguments)  # checks everything
    dtype = empty.dtype
    stored = dtype if dtype.isbuiltin == 1 else np.dtype(f"u{dtype.itemsize}")
    header = {"descr": npy.dtype_to_descr(stored), "fortran_order": False, "shape": shape}
    buffer = np.empty(min(_BLOCK, math.prod(shape)), dtype)
    total = dtype.itemsize * math.prod(shape)
    with replacing(path) as file, bar("drawing", total, of_bytes=True) as progress:
        npy.write_array_header_1_0(file, header)
        for starts in blocks(whole_region(shape), _BLOCK):
            sizes = tuple(length for _, length in starts)
            region = tuple(slice(start, start + length) for start, length in starts)
            block = buffer[: math.prod(sizes)]
            initialise(scheme, shape, region=region, out=block.reshape(sizes), **arguments)
            file.write(block.view(np.uint8).data)
            progress.advance(block.nbytes)
    return dtype, stored


@command(GROUP, "fastinit schemes xavier", table=True)
def schemes(
    part: Annotated[str, typer.Argument(help="Only those with this in their name.", show_default=False)] = "",
) -> Answer:
    """List every scheme with its formula."""
    from ... import schemes as all_schemes
    from ...words import unknown

    known = all_schemes()
    found = {name: formula for name, formula in known.items() if part.lower() in name}
    if not found:
        raise unknown("part", part, known)
    table = Table("", ("scheme", "formula"), tuple(found.items()), left=frozenset({"scheme", "formula"}))
    return Answer(found, [table], [{"scheme": name, "formula": formula} for name, formula in found.items()])
