"""The probe's arguments as options: their types and defaults from the probe's own, their help from here."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Annotated, Any, NamedTuple

import typer

from ...activations import ACTIVATIONS
from ...probing.settings import Arguments
from .reading import read_layers, read_limits, read_pairs, read_parameters, read_sizes, read_value, read_values

NETWORK, MEASURED, OTHER = "Network", "Inputs and figures", "Options"


class Word(NamedTuple):
    """How an argument is told of, and how a word becomes its value."""

    panel: str
    help: str
    metavar: str | None = None
    read: Callable[[str, str], Any] | None = None


def _value(option: str, text: str) -> Any:
    return read_value(text)


WORDS = {
    "scheme": Word(NETWORK, "Scheme of the weights; `fastinit schemes` lists them.", "NAME[,...]", read_layers),
    "activation": Word(NETWORK, f"One of {', '.join(ACTIVATIONS)}; or one a layer.", "NAME[,...]", read_layers),
    "depth": Word(NETWORK, "Number of layers."),
    "width": Word(NETWORK, "Units a layer."),
    "widths": Word(NETWORK, "Instead: all sizes from the input on, e.g. 784,512,10.", "N,N,...", read_sizes),
    "bias": Word(NETWORK, "zeros, or a number.", "zeros|NUMBER[,...]", read_layers),
    "sigma_w": Word(NETWORK, "Short for N(0, sigma_w^2 / fan_in) weights.", "NUMBER[,...]", read_layers),
    "sigma_b": Word(NETWORK, "Standard deviation of drawn biases.", "NUMBER[,...]", read_layers),
    "residual": Word(NETWORK, "Skips around layers that keep the width."),
    "branch_scale": Word(NETWORK, "Factor beside a skip.", "NUMBER|1/sqrt(depth)", _value),
    "normalize": Word(NETWORK, "Normalise what enters a layer.", "layer|rms[,...]", read_layers),
    "conv": Word(NETWORK, "A stack of k x k convolutions; widths are channels.", "K"),
    "image": Word(NETWORK, "Pixels along a side of the images (16).", "N"),
    "dtype": Word(NETWORK, "Type of the weights.", "float32|float64|float16|bfloat16[,...]", read_layers),
    "batch": Word(MEASURED, "Inputs, drawn from N(0, 1)."),
    "input_correlation": Word(MEASURED, "Correlation of pairs of inputs, -1 to 1."),
    "backward": Word(MEASURED, "Compute gradients, too."),
    "bins": Word(MEASURED, "Bins of the histograms."),
    "range": Word(MEASURED, "Ends of the histograms, e.g. --range=-2,2.", "LOW,HIGH", read_limits),
    "seed": Word(MEASURED, "Seed of every tensor, 0 to 2^64 - 1."),
}
"""Argument -> how the command line has it."""

_PARAMS = Annotated[
    list[str] | None,
    typer.Option(
        "--param", "-p", metavar="NAME=VALUE", rich_help_panel=NETWORK,
        help="Parameter of scheme or activation, e.g. -p std=0.02. Repeatable.",
    ),
]  # fmt: skip

# Arrays and layers, which nobody types.
UNTYPED = ("inputs", "weights", "network")
_KINDS = {"int": int, "float": float, "bool": bool}


def probe_options(without: Collection[str] = ()) -> list[inspect.Parameter]:
    """Return the probe's arguments, each as an option of one value."""
    options = []
    for field in _typed(without):
        word = _word(field.name)
        kind = str if word.read else _KINDS.get(str(field.type).removesuffix(" | None"), str)
        default = field.default if kind is not str or field.default is None else str(field.default)
        names = [f"--{_dashed(field.name)}"]
        if kind is bool:
            names = [f"{names[0]}/--no-{_dashed(field.name)}"]
        options.append(_option(field.name, kind, default, names, word))
    return [*options, _parameter("param", _PARAMS, None)]


def grid_options(without: Collection[str] = (), defaults: Mapping[str, str] | None = None) -> list[inspect.Parameter]:
    """Return the probe's arguments, each as an option of a list of values; not given, it is the probe's own value."""
    options = [
        _option(
            field.name, str, (defaults or {}).get(field.name), [f"--{_dashed(field.name)}"],
            _word(field.name)._replace(metavar="VALUES"),
        )
        for field in _typed(without)
    ]  # fmt: skip
    return [*options, _parameter("param", _PARAMS, None)]


def read_probe(words: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `probe_options` as arguments of `fastinit.probe`."""
    parameters = read_parameters(words.pop("param"))
    given = {name: value for name, value in words.items() if value is not None}
    for name, value in given.items():
        read = _word(name).read
        if read:
            given[name] = read(f"--{_dashed(name)}", value)
    return given | parameters


def read_grid(words: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `grid_options` as arguments of `fastinit.sweep`."""
    grid: dict[str, Any] = {}
    pairs = read_pairs(words.pop("param"))
    for name, text in words.items():
        if text is None:
            continue
        option, read = f"--{_dashed(name)}", _word(name).read
        if read in (read_sizes, read_limits) or (read is read_layers and ";" in text):  # a value has commas of its own
            grid[name] = [read(option, one) for one in text.split(";")]
        else:
            grid[name] = _one_or_all(read_values(option, text))
    return grid | {name: _one_or_all(read_values("--param", text)) for name, text in pairs}


def _one_or_all(values: list[Any]) -> Any:
    return values if len(values) != 1 else values[0]


def _typed(without: Collection[str]) -> list[Any]:
    shown = {field.name: field for field in fields(Arguments) if field.name not in (*UNTYPED, *without)}
    order = [name for name in WORDS if name in shown]
    return [shown[name] for name in (*order, *(name for name in shown if name not in WORDS))]


def _word(name: str) -> Word:
    return WORDS.get(name, Word(OTHER, "", None, _value))


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _option(name: str, kind: type, default: Any, names: list[str], word: Word) -> inspect.Parameter:
    told = typer.Option(*names, help=word.help, metavar=word.metavar, rich_help_panel=word.panel)
    return _parameter(name, Annotated[kind | None if default is None else kind, told], default)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
