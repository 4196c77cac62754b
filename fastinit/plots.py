"""Pictures of probes: histograms a layer, and the signal against depth.

Every picture is a `Figure` of its own, drawn without pyplot: nothing global changes, no window opens, and
threads may draw at the same time.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .files import replacing
from .report import choose, needs
from .verdict import VERDICTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .result import ProbeResult

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
_VERDICT_COLOURS = dict(
    zip(VERDICTS, ("#009E73", "#B8860B", "#D55E00", "#CC79A7", "#555555", "#0072B2"), strict=True)
)

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
    rows = -(-len(layers) // columns)
    figure = _figure(10.5, 1.75 * rows + 4.1)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.75 * rows + 0.9, 3.2))
    top, bottom = parts
    _heading(top, result)
    panels = top.subplots(rows, columns, squeeze=False).ravel()
    for panel, layer in zip(panels, layers, strict=False):
        _histogram(panel, result, layer, f"layer {layer}, {_spread(result, layer)}")
    for panel in panels[len(layers) :]:
        panel.set_axis_off()
    _ends(bottom.subplots(1, 2), result)
    _save(figure, path)


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
    figure = _figure(2.0 * len(shown) + 1.7, 1.3 * len(results) + 0.9)
    figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left", weight="bold")
    panels = figure.subplots(len(results), len(shown), squeeze=False)
    for row, (label, result) in zip(panels, results.items(), strict=True):
        for panel, layer in zip(row, shown, strict=True):
            _histogram(panel, result, layer, _spread(result, layer))
        row[0].set_ylabel(f"{label}\n", rotation=0, ha="right", va="center", fontsize=9, color=INK)
        row[0].text(-0.12, 0.3, result.verdict, transform=row[0].transAxes, ha="right", va="center",
        fontsize=8,
                    color=_VERDICT_COLOURS[result.verdict])  # fmt: skip
    for panel, layer in zip(panels[0], shown, strict=True):
        panel.set_title(f"layer {layer}\n{panel.get_title()}", fontsize=8, color=GREY)
    _save(figure, path)


def plot_signal(
    groups: Mapping[str, Mapping[str, "ProbeResult"]], path: str | os.PathLike[str], *, title: str
) -> None:
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
    figure = _figure(3.6 * len(groups) + 0.6, 6.2)
    figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left", weight="bold")
    panels = figure.subplots(2, len(groups), squeeze=False, sharex="col", sharey="row")
    lines: dict[str, Any] = {}
    for column, (heading, group) in zip(panels.T, groups.items(), strict=True):
        for label, result in group.items():
            style = _style(labels.index(label), result.depth)
            (lines[label],) = column[0].plot(_positive(result.std), **style)
            column[1].plot(_positive(result.gradient_std), **style)
        column[0].set_title(heading, fontsize=10, color=INK)
        column[1].set_xlabel("layer", fontsize=9, color=INK)
    for row in panels:
        _log_axes(*row)
    panels[0, 0].set_ylabel("std of the activations", fontsize=9, color=INK)
    panels[1, 0].set_ylabel("std of the gradients dL/dz", fontsize=9, color=INK)
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=min(len(lines), 6),
                  frameon=False, fontsize=9, handlelength=3.5)  # fmt: skip
    _save(figure, path)


def _ends(panels: Any, result: "ProbeResult") -> None:
    """Draw the forward signal, with the theory's, and the gradients of one probe."""
    forward, backward = panels
    forward.plot(_positive(result.preactivation_std), label="pre-activations", **_style(0, result.depth))
    forward.plot(_positive(result.std), label="activations", **_style(2, result.depth))
    predicted = _prediction(result)
    if predicted is not None:
        forward.plot(_positive(predicted), color=INK, lw=1, ls=":", label="activations, infinite width")
    backward.plot(_positive(result.gradient_std), label="dL/dz", **_style(1, result.depth))
    backward.plot(_positive(result.weight_gradient_std), label="dL/dW", **_style(3, result.depth))
    for axes, title in ((forward, "signal, std"), (backward, "gradient, std")):
        axes.set_title(title, fontsize=9, color=INK)
        axes.set_xlabel("layer", fontsize=9, color=INK)
        _log_axes(axes)
        axes.legend(frameon=False, fontsize=8, handlelength=3)
    if not result.backward:
        backward.clear()
        backward.set_axis_off()


def _prediction(result: "ProbeResult") -> Any:
    return None


def _histogram(axes: "Axes", result: "ProbeResult", layer: int, title: str) -> None:
    edges, counts = result.bin_edges[layer], result.histogram[layer]
    outside = result.underflow[layer] + result.overflow[layer]
    total = counts.sum() + outside
    axes.bar(edges[:-1], counts / max(total, 1), np.diff(edges), align="edge", color=COLOURS[0], lw=0)
    if outside > 0.005 * total:
        title += f", {100 * outside / total:.0f}% outside"
    axes.set_title(title, fontsize=7.5, color=GREY, pad=3)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_yticks([])
    axes.set_xticks([edges[0], (edges[0] + edges[-1]) / 2, edges[-1]])
    axes.set_xticklabels([f"{tick:.2g}" for tick in axes.get_xticks()])
    # The outer labels stand inside the panel's width, away from the neighbour's.
    first, _, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    _plain_frame(axes, "left", "right", "top")


def _spread(result: "ProbeResult", layer: int) -> str:
    return f"std {result.std[layer]:.2g}"


def _heading(figure: Any, result: "ProbeResult") -> None:
    figure.suptitle(
        f"{result.title}: {result.verdict}", fontsize=12, color=INK, x=0.01, ha="left", weight="bold"
    )


def _style(index: int, depth: int) -> dict[str, Any]:
    k = index % len(COLOURS)
    return {"color": COLOURS[k], "ls": DASHES[k], "marker": MARKERS[k], "ms": 4, "lw": 1.6,
            "markevery": max(1, depth // 10)}  # fmt: skip


def _log_axes(*panels: "Axes") -> None:
    """Give panels one logarithmic scale: at least two decades high, and no higher than what matters."""
    lines = [np.asarray(line.get_ydata(), dtype=float) for axes in panels for line in axes.get_lines()]
    values = np.concatenate(lines)
    values = np.clip(values[np.isfinite(values)], *_SIGNAL_LIMITS)
    low, high = (values.min(), values.max()) if values.size else (0.1, 10.0)
    margin = max(10 / np.sqrt(high / low), 1.5)
    from matplotlib.ticker import MaxNLocator

    for axes in panels:
        axes.set_yscale("log")
        axes.set_ylim(low / margin, high * margin)
        axes.grid(True, color=GRID, lw=0.6)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _plain_frame(axes, "right", "top")


def _plain_frame(axes: "Axes", *hidden: str) -> None:
    for side in hidden:
        axes.spines[side].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(GREY)
    axes.tick_params(labelsize=7.5, colors=GREY, length=2.5)


def _positive(values: Any) -> Any:
    """Leave out what a logarithmic axis cannot show."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _figure(width: float, height: float) -> "Figure":
    with needs("matplotlib", extra="plot"):
        from matplotlib.figure import Figure
    return Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")


def _save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary)
