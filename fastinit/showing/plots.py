"""Plots of the layers of one network: each takes Matplotlib's axes, or makes some, and returns them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..activations import ACTIVATIONS
from ..probing.figures import FIGURES
from ..probing.layers import each
from ..theory.limits import collapsed
from ..words import check_choice, number
from .style import (
    COLOUR_MAP,
    COLOURS,
    GREY,
    GRID,
    INK,
    axes_of,
    finish,
    layer_axis,
    line_style,
    log_axes,
    plain_frame,
    positive,
)  # fmt: skip
from .tables import chosen_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A `ProbeResult`, or a `ModuleResult`, which has some of its figures.
Result = Any

# Of a line's figure -> what it is called in a legend, and the number of its style.
_FORWARD = {"preactivation_std": ("pre-activations", 0), "std": ("activations", 2)}
_BACKWARD = {"gradient_std": ("dL/dz", 1), "weight_gradient_std": ("dL/dW", 3)}


def plot_signal(result: Result, ax: Axes | None = None, layers: Any = None) -> Axes:
    """Draw the signal's size against depth, with what theory predicts."""
    axes = axes_of(ax)
    at = chosen_layers(result.depth, layers, _MOST_POINTS)
    notes = _lines(axes, result, _FORWARD, at)
    predicted = prediction(result)
    if predicted is not None:
        _theory(axes, predicted, "std", at, "activations, infinite width")
    unit = number(float(np.sqrt(result.input_q)), 3) if hasattr(result, "input_q") else None
    log_axes(axes)
    layer_axis(axes, result.depth)
    finish(axes, "signal", "layer", f"std (the input's rms is {unit})" if unit else "std of the outputs", notes)
    return axes


def plot_gradient(result: Result, ax: Axes | None = None, layers: Any = None) -> Axes:
    """Draw the gradient's size against depth."""
    axes = axes_of(ax)
    notes = _lines(axes, result, _BACKWARD, chosen_layers(result.depth, layers, _MOST_POINTS))
    log_axes(axes)
    layer_axis(axes, result.depth)
    unit = "std (dL/da of the last layer has 1)" if hasattr(result, "input_q") else "std of the gradient"
    finish(axes, "gradient", "layer", unit, notes)
    return axes


def plot_shares(result: Result, ax: Axes | None = None, layers: Any = None) -> Axes:
    """Draw the saturated, zero and dead shares against depth, in per cent."""
    axes = axes_of(ax)
    at = chosen_layers(result.depth, layers, _MOST_POINTS)
    names = [name for name, figure in FIGURES.items() if figure.is_share]
    for index, name in enumerate(names):
        values = _values(result, name, at)
        if np.isfinite(values).any():
            axes.plot(at, 100 * values, label=name.replace("_", " "), **line_style(index, len(at)))
    layer_axis(axes, result.depth)
    axes.set_ylim(-3, 103)
    finish(axes, "saturated and dead", "layer", "share, %", [] if axes.lines else ["none is defined"])
    return axes


def plot_correlation(result: Result, ax: Axes | None = None, layers: Any = None) -> Axes:
    """Draw how alike two inputs are, layer by layer, with what theory predicts."""
    axes = axes_of(ax)
    at = chosen_layers(result.depth, layers, _MOST_POINTS)
    measured = _values(result, "correlation", at)
    if np.isfinite(measured).any():
        axes.plot(at, measured, label="measured", **line_style(5, len(at)))
        predicted = prediction(result) if result.inputs != "given" else None
        if predicted is not None:
            _theory(axes, predicted, "correlation", at, "infinite width")
    layer_axis(axes, result.depth)
    axes.set_ylim(min(-0.05, 1.1 * max(-1.0, np.nanmin([0.0, *measured]))), 1.05)
    notes = [] if axes.lines else ["not defined: no pairs of inputs"]
    finish(axes, "two inputs", "layer", "correlation (1: alike)", notes)
    return axes


def plot_correlation_map(result: Result, ax: Axes | None = None, layers: Any = None) -> Axes:
    """Draw a layer's correlation against that of the layer before: the map whose fixed points decide."""
    axes = axes_of(ax, 4.2, 4.2)
    at = np.array(chosen_layers(result.depth, layers, _MOST_POINTS))
    before, after = result.correlation[at[at > 0] - 1], result.correlation[at[at > 0]]
    known = np.isfinite(before) & np.isfinite(after)
    curve = _correlation_curve(result) if known.any() else None
    if curve is not None:
        axes.plot(*curve, color=INK, lw=1, ls=":", label="infinite width, last layer")
    if known.any():
        axes.plot([-1, 1], [-1, 1], color=GREY, lw=0.8, label="no change")
        points = {**line_style(5, 1), "ls": "none"}
        axes.plot(before[known], after[known], label="measured, a layer each", **points)
    low = min(-0.05, *(1.1 * x[known].min() for x in (before, after))) if known.any() else -0.05
    axes.set_xlim(low, 1.05)
    axes.set_ylim(low, 1.05)
    axes.set_aspect("equal")
    _grid(axes)
    notes = [] if known.any() else ["no two layers have a correlation"]
    finish(axes, "correlation map", "correlation of two inputs in a layer", "in the next layer", notes)
    return axes


def plot_figure(result: Result, figure: str, ax: Axes | None = None, layers: Any = None) -> Axes:
    """Draw any figure against depth, on the scale that its kind asks for."""
    name = check_choice("figure", figure, [f for f in FIGURES if getattr(result, f, None) is not None])
    axes = axes_of(ax)
    at = chosen_layers(result.depth, layers, _MOST_POINTS)
    values = _values(result, name, at)
    notes = []
    if FIGURES[name].is_size:
        notes = signal_line(axes, values, name, 0, at)
        log_axes(axes)
    else:
        axes.plot(at, values * FIGURES[name].factor, **line_style(0, len(at)))
    layer_axis(axes, result.depth)
    finish(axes, name.replace("_", " "), "layer", FIGURES[name].axis(name), notes)
    legend = axes.get_legend()
    if legend is not None:  # of one line the title says it
        legend.remove()
    return axes


def plot_histograms(result: Result, ax: Axes | None = None, layers: Any = None) -> Axes:
    """Draw the layers' histograms above each other over one axis, from the first layer down to the last.

    Where the layers' sizes differ by more than a factor of thirty, each is in units of its own std, which stands beside
    it. Each histogram has its own height; a bar that would flatten the others is cut off.
    """
    from matplotlib import colormaps

    axes = axes_of(ax, 5.6, 5.2)
    at = [k for k in chosen_layers(result.depth, layers, _MOST_RIDGES) if result.histogram[k].sum()]
    divisors = units([float(np.abs(result.bin_edges[k]).max()) for k in at], [float(result.std[k]) for k in at])
    colours = colormaps[COLOUR_MAP]
    for row, (layer, unit) in enumerate(zip(at, divisors, strict=True)):
        counts, edges = result.histogram[layer], result.bin_edges[layer] / unit
        heights = _RIDGE * np.minimum(counts / histogram_height(counts), 1.0)
        colour = colours(row / max(len(at) - 1, 1) * 0.85)
        axes.stairs(heights - row, edges, baseline=-row, fill=True, color=colour, lw=0, zorder=row + 2)
        axes.stairs(heights - row, edges, baseline=None, color="white", lw=0.7, zorder=row + 2.5)
    names = getattr(result, "names", None)
    words = [short(names[k]) if names else str(k) for k in at]
    unit_words = "activation"
    if len({*divisors}) > 1:
        unit_words = "activation, in units of the layer's std"
        words = [f"{word} (std {number(float(result.std[k]))})" for word, k in zip(words, at, strict=True)]
    axes.set_yticks([-row for row in range(len(at))], words)
    axes.set_ylim(-max(len(at), 1) + 0.7, _RIDGE + 0.15)
    axes.margins(x=0.01)
    _grid(axes, axis="x")
    finish(axes, "histograms", unit_words, "layer", [] if at else ["no activation is finite"])
    return axes


_MOST_RIDGES, _MOST_POINTS = 12, 500
_RIDGE = 1.6  # height of a histogram, in those of a row
_ALIKE = 30.0  # sizes that one axis shows


def units(sizes: Sequence[float], spreads: Sequence[float]) -> list[float]:
    """Return what each layer's activations are divided by: 1, or their std where the sizes differ much."""
    if not sizes or max(sizes) <= _ALIKE * min(sizes):
        return [1.0] * len(sizes)
    return [min(std, size) if std > 0 else size or 1.0 for size, std in zip(sizes, spreads, strict=True)]


def draw_histogram(axes: Axes, result: Result, layer: int, title: str) -> None:
    """Draw one layer's histogram, over its own range."""
    edges, counts = result.bin_edges[layer], result.histogram[layer]
    axes.set_title(title, fontsize=7.5, color=GREY, pad=3, parse_math=False)
    if not counts.sum():  # the title says why
        axes.set_axis_off()
        return
    axes.stairs(counts, edges, fill=True, color=COLOURS[0], lw=0)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, histogram_height(counts))
    axes.set_yticks([])
    axes.set_xticks([edges[0], (edges[0] + edges[-1]) / 2, edges[-1]])
    axes.set_xticklabels([number(tick) for tick in axes.get_xticks()])
    # The outer labels stand inside the panel's width, away from the neighbour's.
    first, _, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    plain_frame(axes, "left", "right", "top")


def histogram_height(counts: Any) -> float:
    """Return the height of a histogram's panel: half of a ReLU layer is exactly 0, and that bar is cut off."""
    highest, second = np.sort(np.append(counts, 0))[:-3:-1]
    return float(max(2.5 * second if highest > 4 * second > 0.01 * highest else 1.05 * highest, 1))


def histogram_words(result: Result, layer: int) -> str:
    """Describe what a histogram cannot show: the spread in numbers, and what stands outside it."""
    if np.isnan(result.std[layer]):
        return "all inf or NaN"
    outside, bad = result.underflow[layer] + result.overflow[layer], result.nonfinite[layer]
    elements = result.histogram[layer].sum() + outside + bad
    zero = result.zero[layer] if 0.05 < result.zero[layer] < 1 else 0.0
    shares = {"inf/NaN": bad / elements, "outside": outside / elements, "zero": zero}
    words = [f"{100 * share:.0f}% {what}" for what, share in shares.items() if share > 0.005]
    # There is room for two.
    return ", ".join([f"std {number(result.std[layer])}", *words[:2]])


def signal_line(axes: Axes, values: Any, label: str, index: int, layers: Any) -> list[str]:
    """Draw a line on a logarithmic axis; return words on the layers that it cannot show."""
    values, layers = np.asarray(values, float), np.asarray(layers)
    if np.isnan(values).all():
        return [f"{label}: inf or NaN"]
    if not (values > 0).any():
        return [f"{label}: all 0"]
    axes.plot(layers, positive(values), label=label, **line_style(index, len(values)))
    gaps = {"inf or NaN": ~np.isfinite(values), "0": values == 0}
    return [f"{label}: {words} in {_where(layers[gap])}" for words, gap in gaps.items() if gap.any()]


def _where(layers: Any) -> str:
    return f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} layers, {layers[0]} to {layers[-1]}"


def _lines(axes: Axes, result: Result, figures: dict[str, tuple[str, int]], at: list[int]) -> list[str]:
    known = {name: words for name, words in figures.items() if getattr(result, name, None) is not None}
    return [note for name, words in known.items() for note in signal_line(axes, _values(result, name, at), *words, at)]


def _values(result: Result, name: str, at: list[int]) -> Any:
    values = getattr(result, name, None)
    return np.full(len(at), np.nan) if values is None else np.asarray(values, float)[at]


def _theory(axes: Axes, predicted: Any, name: str, at: list[int], label: str) -> None:
    """Draw what theory predicts, and the band of what a finite width makes of it, where it says so."""
    values = np.asarray(getattr(predicted, name), float)[at]
    if name == "std":
        values = positive(values)
    if not np.isfinite(values).any():
        return
    point: Any = {"marker": "_", "ms": 12} if len(at) == 1 else {}
    axes.plot(at, values, color=INK, lw=1, ls=":", label=label, **point)
    band = getattr(predicted, f"{name}_band", None)
    if band is not None:
        low, high = np.asarray(band, float)
        axes.fill_between(at, low[at], high[at], color=INK, alpha=0.12, lw=0, label="finite width, theory")


def _correlation_curve(result: Result) -> tuple[Any, Any] | None:
    """Return the map of the last layer, as theory has it: the correlation after it against that before."""
    from ..theory import correlation_map

    layers, predicted = _layers(result), prediction(result)
    if layers is None or predicted is None or result.residual or result.normalize or result.depth < 2:
        return None
    q, scale = float(predicted.q[-2]), float(sigma_w(result)[-1])
    if not (0 < q < np.inf):
        return None
    inputs, (activation, spread, param) = np.linspace(-1, 1, 41), (values[-1] for values in layers)
    words: Any = {"activation": activation, "sigma_w": scale, "sigma_b": spread, "q0": q, "param": param}
    return inputs, np.array([correlation_map(c0=float(c), depth=1, **words)[0] for c in inputs])


def sigma_w(result: Result) -> Any:
    """Return the standard deviation of each layer's weights times the root of its connections."""
    return result.weight_std * np.sqrt(np.array(result.widths[:-1])) * (result.conv or 1)


def _layers(result: Result) -> tuple[list[Any], list[float], list[Any]] | None:
    """Return each layer's activation, sigma_b with a constant bias, and parameter; None: not all is known."""
    # Of a user's function the result has but the name.
    activations = [ACTIVATIONS.get(name) for name in each(getattr(result, "activation", ""), result.depth)]
    biases = each(getattr(result, "bias", ""), result.depth)
    if None in activations or any(isinstance(bias, str) and bias != "zeros" for bias in biases):
        return None
    constants = [0.0 if bias == "zeros" else bias for bias in biases]
    spreads = np.hypot(constants, each(result.sigma_b, result.depth)).tolist()
    given = [each(result.params.get(phi.parameter or ""), result.depth) for phi in activations if phi]
    return activations, spreads, [values[i] for i, values in enumerate(given)]


def prediction(result: Result) -> Any:
    """Return what mean-field theory predicts for the signal, given the weights' spread; None: it cannot.

    The theory is that of weights of mean 0: equal ones are none of them.
    """
    from ..theory import predict

    layers = _layers(result)
    if layers is None:
        return None
    widths, scales = np.array(result.widths), sigma_w(result)
    # Skips and normalisation ask for the mean of the input, too, which the result has of drawn inputs only.
    unknown_mean = result.inputs == "given" and (result.residual or result.normalize)
    if unknown_mean or not np.all(np.isfinite(scales)) or np.any(scales == 0):
        return None
    activations, spreads, params = map(collapsed, layers)
    return predict(
        activations,
        sigma_w=scales,
        sigma_b=spreads,
        second_moment=result.input_q,
        depth=result.depth,
        param=params,
        correlation=result.input_correlation or 0.0,
        residual=(widths[1:] == widths[:-1]) & result.residual,
        branch_scale=result.branch_scale,
        normalize=result.normalize,
    )


def _grid(axes: Axes, axis: Literal["both", "x", "y"] = "both") -> None:
    axes.grid(True, axis=axis, color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    plain_frame(axes, "right", "top")


_SHORTEST = 26  # characters of a layer's name


def short(name: str) -> str:
    """Return a layer's name, its end if it is long."""
    return name if len(name) <= _SHORTEST else f"…{name[1 - _SHORTEST :]}"
