"""Pages of several plots, written to a file: a probe's, and those of the founding experiments."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from fastinit_kernels.numeric.integers import ceil_div

from .plots import (
    draw_histogram,
    histogram_words,
    plot_correlation,
    plot_gradient,
    plot_shares,
    plot_signal,
    signal_line,
)
from .style import GREY, INK, headline, layer_axis, line_style, log_axes, new_figure, save
from .tables import chosen_layers

if TYPE_CHECKING:
    from ..probing.result import ProbeResult

# Dark enough for small letters.
VERDICT_COLOURS = {
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
_MOST_PANELS = 10
_MOST_GIVEN = 60
_PER_ROW = 5


def probe_page(result: ProbeResult, path: str | os.PathLike[str], layers: Any = None) -> None:
    """Draw the histograms of layers above signal, gradient, shares and correlation against depth.

    Parameters
    ----------
    result
        The probe.
    path
        File to write; its suffix (.png, .svg, .pdf) is the format.
    layers
        Whose histograms: about so many, or a list; None: at most ten.
    """
    chosen = chosen_layers(result.depth, _MOST_PANELS if layers is None else layers, _MOST_GIVEN)
    titles = [f"layer {layer}\n{histogram_words(result, layer)}" for layer in chosen]
    plots = [plot_signal, plot_gradient, plot_shares, plot_correlation]
    there = [True, result.backward, True, bool(np.isfinite(result.correlation).any())]
    draw_page(result, path, chosen, titles, [plot for plot, wanted in zip(plots, there, strict=True) if wanted])


def draw_page(
    result: Any, path: str | os.PathLike[str], layers: Sequence[int], titles: Sequence[str], plots: Sequence[Any]
) -> None:
    """Draw histograms, five a row, above some plots against depth."""
    columns = max(1, min(_PER_ROW, len(layers)))
    rows = ceil_div(len(layers), columns)
    figure = new_figure(12.5, 1.75 * rows + 4.3)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.75 * rows + 0.9, 3.4))
    top, bottom = parts
    headline(top, f"{result.title}: {result.verdict}")
    panels = top.subplots(rows, columns, squeeze=False).ravel()
    for panel, layer, title in zip(panels, layers, titles, strict=False):
        draw_histogram(panel, result, layer, title)
    for panel in panels[len(layers) :]:
        panel.remove()
    for axes, plot in zip(bottom.subplots(1, len(plots), squeeze=False)[0], plots, strict=True):
        plot(result, axes)
    save(figure, path)


def histogram_grid(
    results: Mapping[str, ProbeResult], path: str | os.PathLike[str], *, title: str, layers: Any = 5
) -> None:
    """Draw one row of histograms a probe, under its label and verdict, one column a layer.

    Parameters
    ----------
    results
        Label -> probe; all of one depth.
    path
        File to write.
    title
        Heading of the figure.
    layers
        Draw about this many layers, evenly chosen, or those of a list.
    """
    shown = chosen_layers(next(iter(results.values())).depth, layers)
    figure = new_figure(2.0 * len(shown) + 1.7, 1.3 * len(results) + 0.9)
    headline(figure, title)
    panels = figure.subplots(len(results), len(shown), squeeze=False)
    for row, (label, result) in zip(panels, results.items(), strict=True):
        for panel, layer in zip(row, shown, strict=True):
            draw_histogram(panel, result, layer, histogram_words(result, layer))
        for height, words, size, colour in (
            (0.62, label, 9, INK),
            (0.38, result.verdict, 8, VERDICT_COLOURS[result.verdict]),
        ):
            place = {"transform": row[0].transAxes, "ha": "right", "va": "center"}
            row[0].text(-0.06, height, words, fontsize=size, color=colour, parse_math=False, **place)
    for panel, layer in zip(panels[0], shown, strict=True):
        panel.set_title(f"layer {layer}\n{panel.get_title()}", fontsize=8, color=GREY, parse_math=False)
    for panel in panels[-1]:
        panel.set_xlabel("activation", fontsize=8, color=GREY)
    save(figure, path)


_COMPARED = {"std": "std of the activations", "gradient_std": "std of the gradients dL/dz"}


def signal_page(
    groups: Mapping[str, Mapping[str, ProbeResult]], path: str | os.PathLike[str], *, title: str, layers: Any = None
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
    layers
        Show about this many layers, evenly chosen, or those of a list; None: all.
    """
    labels = list(dict.fromkeys(label for group in groups.values() for label in group))
    figure = new_figure(3.6 * len(groups) + 0.6, 6.4)
    headline(figure, title)
    panels = figure.subplots(2, len(groups), squeeze=False, sharex="col", sharey="row")
    drawn: dict[str, bool] = {}
    for column, (heading, group) in zip(panels.T, groups.items(), strict=True):
        for row, figure_name in enumerate(_COMPARED):
            notes = []
            for label, result in group.items():
                at = chosen_layers(result.depth, layers)
                index = labels.index(label)
                told = signal_line(column[row], getattr(result, figure_name)[at], label, index, at)
                drawn[label] = drawn.get(label, False) or not told or " in " in told[0]
                notes += told
            layer_axis(column[row], max(result.depth for result in group.values()))
            words = [note for note in notes if " in " not in note]
            column[row].set_xlabel("\n".join(["layer"] * row + words), fontsize=8, color=INK, parse_math=False)
        column[0].set_title(heading, fontsize=10, color=INK)
    for row, quantity in zip(panels, _COMPARED.values(), strict=True):
        row[0].set_ylabel(quantity, fontsize=9, color=INK)
        log_axes(*row)
    _legend(figure, [label for label in labels if drawn[label]], labels)
    save(figure, path)


def _legend(figure: Any, drawn: Sequence[str], labels: Sequence[str]) -> None:
    """Name the lines that are there."""
    from matplotlib.lines import Line2D

    if drawn:
        handles = [Line2D([], [], **line_style(labels.index(label), 1)) for label in drawn]
        figure.legend(
            handles, drawn, loc="outside lower center", ncols=min(len(drawn), 6), frameon=False, fontsize=9,
            handlelength=3.5,
        )  # fmt: skip
