"""Pictures of probes: histograms a layer, and the signal against depth.

Every picture is a `Figure` of its own, drawn without pyplot: nothing global changes, no window opens, and
threads may draw at the same time.
"""

import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from fastinit_kernels.numeric.integers import ceil_div

from ..activations import ACTIVATIONS
from ..files import path_name, replacing
from ..probing.layers import each
from ..theory.limits import collapsed
from ..words import needs, number, shown
from .tables import choose

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..probing.module_result import ModuleResult
    from ..probing.result import ProbeResult

# Okabe and Ito's colours, told apart by the colour-blind; line styles and markers tell them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (6, 2)),
    (0, (3, 1, 1, 1)),
    (0, (1, 1)),
    (0, (8, 2, 2, 2)),
    (0, (4, 4)),
    "-",
)
MARKERS = "osD^vPX"
INK, GREY, GRID = "#222222", "#666666", "#dddddd"
# Dark enough for small letters.
_VERDICT_COLOURS = {
    "healthy": "#007A5A",
    "fading": "#6B7300",
    "growing": "#A3580F",
    "vanishing": "#8A6A00",
    "exploding": "#B84A00",
    "saturated": "#9B3F78",
    "dead": "#555555",
    "symmetric": "#005A93",
    "nonfinite": "#222222",
}

# A signal beyond these is lost anyway; without the limits one exploding network flattens every other line.
_SIGNAL_LIMITS = (1e-9, 1e5)
_MOST_PANELS = 10
_PER_ROW = 5


def plot_probe(result: "ProbeResult", path: str | os.PathLike[str]) -> None:
    """Draw the histograms of (at most ten) layers above the signal and the gradient against depth.

    Parameters
    ----------
    result
        The probe.
    path
        File to write; its suffix (.png, .svg, .pdf) is the format.
    """
    layers = choose(result.depth, _MOST_PANELS)
    columns = min(_PER_ROW, len(layers))
    rows = ceil_div(len(layers), columns)
    figure = new_figure(10.5, 1.75 * rows + 4.1)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.75 * rows + 0.9, 3.2))
    top, bottom = parts
    heading(top, result)
    panels = top.subplots(rows, columns, squeeze=False).ravel()
    for panel, layer in zip(panels, layers, strict=False):
        draw_histogram(panel, result, layer, f"layer {layer}\n{histogram_words(result, layer)}")
    for panel in panels[len(layers) :]:
        panel.set_axis_off()
    _ends(bottom.subplots(1, 3), result)
    save(figure, path)


def plot_histograms(
    results: Mapping[str, "ProbeResult"], path: str | os.PathLike[str], *, title: str, layers: int = 5
) -> None:
    """Draw one row of histograms a probe, under its label, one column a layer.

    Parameters
    ----------
    results
        Label -> probe; all of one depth.
    path
        File to write.
    title
        Heading of the figure.
    layers
        Draw this many layers, evenly chosen.
    """
    shown = choose(next(iter(results.values())).depth, layers)
    figure = new_figure(2.0 * len(shown) + 1.7, 1.3 * len(results) + 0.9)
    figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left", weight="bold")
    panels = figure.subplots(len(results), len(shown), squeeze=False)
    for row, (label, result) in zip(panels, results.items(), strict=True):
        for panel, layer in zip(row, shown, strict=True):
            draw_histogram(panel, result, layer, histogram_words(result, layer))
        for height, words, size, colour in (
            (0.62, label, 9, INK),
            (0.38, result.verdict, 8, _VERDICT_COLOURS[result.verdict]),
        ):
            place = {"transform": row[0].transAxes, "ha": "right", "va": "center"}
            row[0].text(-0.06, height, words, fontsize=size, color=colour, **place)
    for panel, layer in zip(panels[0], shown, strict=True):
        panel.set_title(f"layer {layer}\n{panel.get_title()}", fontsize=8, color=GREY)
    save(figure, path)


def plot_signal(groups: Mapping[str, Mapping[str, "ProbeResult"]], path: str | os.PathLike[str], *, title: str) -> None:
    """Draw the std of the activations (above) and of the gradients (below) against depth.

    Parameters
    ----------
    groups
        Heading of a column -> label of a line -> probe. Equal labels share a colour across the columns.
    path
        File to write.
    title
        Heading of the figure.
    """
    labels = list(dict.fromkeys(label for group in groups.values() for label in group))
    figure = new_figure(3.6 * len(groups) + 0.6, 6.2)
    figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left", weight="bold")
    panels = figure.subplots(2, len(groups), squeeze=False, sharex="col", sharey="row")
    for column, (heading, group) in zip(panels.T, groups.items(), strict=True):
        for label, result in group.items():
            style = _style(labels.index(label), result.depth)
            column[0].plot(_positive(result.std), **style)
            column[1].plot(_positive(result.gradient_std), **style)
        column[0].set_title(heading, fontsize=10, color=INK)
        column[1].set_xlabel("layer", fontsize=9, color=INK)
    for row, quantity in zip(panels, ("std of the activations", "std of the gradients dL/dz"), strict=True):
        row[0].set_ylabel(quantity, fontsize=9, color=INK)
        log_axes(*row)
    handles, words = _legend(groups, labels)
    columns = min(len(labels), 6)
    figure.legend(
        handles, words, loc="outside lower center", ncols=columns, frameon=False, fontsize=9, handlelength=3.5
    )
    save(figure, path)


def _legend(groups: Mapping[str, Mapping[str, "ProbeResult"]], labels: Sequence[str]) -> tuple[list[Any], list[str]]:
    """Return a line and its words for each label; those that no logarithmic axis can show say so."""
    from matplotlib.lines import Line2D

    words = []
    for label in labels:
        results = [group[label] for group in groups.values() if label in group]
        words.append(_named(label, [line for r in results for line in (r.std, r.gradient_std)], points=2))
    return [Line2D([], [], **_style(index, 1)) for index in range(len(labels))], words


def _ends(panels: Any, result: "ProbeResult") -> None:
    """Draw the signal and the likeness of two inputs, with the theory's, and the gradients of one probe."""
    forward, backward, likeness = panels
    signal_line(forward, result.preactivation_std, "pre-activations", 0)
    signal_line(forward, result.std, "activations", 2)
    predicted = _prediction(result)
    if predicted is not None:
        forward.plot(_positive(predicted.std), color=INK, lw=1, ls=":", label="activations, infinite width")
        if result.inputs != "given":
            likeness.plot(predicted.correlation, color=INK, lw=1, ls=":", label="infinite width")
    likeness.plot(result.correlation, label="measured", **_style(5, result.depth))
    likeness.set_ylim(min(-0.05, 1.1 * max(-1.0, np.nanmin([0.0, *result.correlation]))), 1.05)
    signal_line(backward, result.gradient_std, "dL/dz", 1)
    signal_line(backward, result.weight_gradient_std, "dL/dW", 3)
    for axes, title in ((forward, "signal, std"), (backward, "gradient, std"), (likeness, "correlation of two inputs")):
        axes.set_title(title, fontsize=9, color=INK)
        axes.set_xlabel("layer", fontsize=9, color=INK)
        axes.legend(frameon=False, fontsize=8, handlelength=3)
    log_axes(forward)
    log_axes(backward)
    _layer_axis(likeness)
    if not result.backward:
        backward.clear()
        backward.set_axis_off()


def signal_line(axes: "Axes", values: Any, label: str, index: int, layers: Any = None) -> None:
    """Draw a line of one entry a layer, or for each of some layers, on a logarithmic axis."""
    axes.plot(
        range(len(values)) if layers is None else layers,
        _positive(values),
        label=_named(label, [values]),
        **_style(index, len(values)),
    )


def _named(label: str, lines: Sequence[Any], points: int = 1) -> str:
    """Return the words for lines on a logarithmic axis; where no line has so many points that can be seen, why."""
    if any(np.sum(line > 0) >= points for line in lines):
        return label
    lost = any(np.isnan(line).any() for line in lines)
    return f"{label} (no line: {'inf or NaN' if lost else 'all 0'})"


def _prediction(result: "ProbeResult") -> Any:
    """Return what mean-field theory predicts for the signal, given the weights' spread; None: it cannot.

    The theory is that of weights of mean 0: equal ones are none of them.
    """
    from ..theory import predict

    # Of a user's function the result has but the name.
    activations = [ACTIVATIONS[name] for name in each(result.activation, result.depth) if name in ACTIVATIONS]
    biases = [0.0 if bias == "zeros" else bias for bias in each(result.bias, result.depth)]
    if len(activations) < result.depth or "biases" in biases:
        return None
    widths = np.array(result.widths)
    sigma_w = result.weight_std * np.sqrt(widths[:-1]) * (result.conv or 1)
    # Skips and normalisation ask for the mean of the input, too, which the result has of drawn inputs only.
    unknown_mean = result.inputs == "given" and (result.residual or result.normalize)
    if unknown_mean or not np.all(np.isfinite(sigma_w)) or np.any(sigma_w == 0):
        return None
    params = [each(result.params.get(phi.parameter or ""), result.depth)[i] for i, phi in enumerate(activations)]
    return predict(
        collapsed(activations),
        sigma_w=sigma_w,
        sigma_b=collapsed(np.hypot(biases, each(result.sigma_b, result.depth)).tolist()),
        second_moment=result.input_q,
        depth=result.depth,
        param=collapsed(params),
        correlation=result.input_correlation or 0.0,
        residual=(widths[1:] == widths[:-1]) & result.residual,
        branch_scale=result.branch_scale,
        normalize=result.normalize,
    )


def draw_histogram(axes: "Axes", result: "ProbeResult | ModuleResult", layer: int, title: str) -> None:
    edges, counts = result.bin_edges[layer], result.histogram[layer]
    axes.stairs(counts, edges, fill=True, color=COLOURS[0], lw=0)
    axes.set_xlim(edges[0], edges[-1])
    highest, second = np.sort(np.append(counts, 0))[:-3:-1]
    # Half of a ReLU layer is exactly 0: that bar is cut off, or it would flatten all others.
    axes.set_ylim(0, max(2.5 * second if highest > 4 * second > 0.01 * highest else 1.05 * highest, 1))
    axes.set_title(title, fontsize=7.5, color=GREY, pad=3)
    axes.set_yticks([])
    axes.set_xticks([edges[0], (edges[0] + edges[-1]) / 2, edges[-1]])
    axes.set_xticklabels([number(tick) for tick in axes.get_xticks()])
    # The outer labels stand inside the panel's width, away from the neighbour's.
    first, _, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    plain_frame(axes, "left", "right", "top")


def histogram_words(result: "ProbeResult | ModuleResult", layer: int) -> str:
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


def heading(figure: Any, result: "ProbeResult | ModuleResult") -> None:
    place = {"x": 0.01, "ha": "left", "parse_math": False}  # the words may be a file's
    figure.suptitle(f"{result.title}: {result.verdict}", fontsize=12, color=INK, weight="bold", **place)


def _style(index: int, depth: int) -> dict[str, Any]:
    k = index % len(COLOURS)
    return {
        "color": COLOURS[k],
        "ls": DASHES[k],
        "marker": MARKERS[k],
        "ms": 4,
        "lw": 1.6,
        "markevery": max(1, depth // 10),
    }


def log_axes(*panels: "Axes") -> None:
    """Give panels one logarithmic scale: at least two decades high, and no higher than what matters."""
    lines = [np.asarray(line.get_ydata(), dtype=float) for axes in panels for line in axes.get_lines()]
    values = np.concatenate(lines)
    values = np.clip(values[np.isfinite(values)], *_SIGNAL_LIMITS)
    low, high = (values.min(), values.max()) if values.size else (0.1, 10.0)
    margin = max(10 / np.sqrt(high / low), 1.5)
    for axes in panels:
        axes.set_ylim(low / margin, high * margin)  # first: Matplotlib's own limits overflow near the largest float
        axes.set_yscale("log")
        _layer_axis(axes)


def _layer_axis(axes: "Axes") -> None:
    """Whole numbers of layers below, and a grid."""
    from matplotlib.ticker import MaxNLocator

    axes.grid(True, color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    plain_frame(axes, "right", "top")


def plain_frame(axes: "Axes", *hidden: str) -> None:
    """Leave out the frame's sides that say nothing, and make the others unobtrusive."""
    for side in hidden:
        axes.spines[side].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(GREY)
    axes.tick_params(labelsize=7.5, colors=GREY, length=2.5)


def _positive(values: Any) -> Any:
    """Leave out what a logarithmic axis cannot show."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of that size in inches."""
    with needs("matplotlib", extra="plot"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    return figure


def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Write the figure as its path's suffix says, else as PNG; the file appears whole or not at all."""
    suffix = os.path.splitext(path_name(path))[1].lower() or ".png"
    known = [f".{name}" for name in figure.canvas.get_supported_filetypes()]
    if suffix not in known:
        raise ValueError(f"argument 'path' must end in one of {', '.join(sorted(known))}, got {shown(path_name(path))}")
    picture = io.BytesIO()
    figure.savefig(picture, format=suffix[1:])
    with replacing(path) as file:
        file.write(picture.getbuffer())
