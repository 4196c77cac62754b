"""Pictures of a probe of a real module."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from fastinit_kernels.numeric.integers import ceil_div

from .plots import INK, draw_histogram, heading, histogram_words, log_axes, new_figure, save, signal_line
from .tables import choose

if TYPE_CHECKING:
    from ..probing.module_result import ModuleResult

_MOST_PANELS = 15
_PER_ROW = 5
_SHORTEST = 26  # characters of a layer's name above a histogram


def plot_module(result: ModuleResult, path: str | os.PathLike[str]) -> None:
    """Draw the histograms of at most fifteen layers above signal, gradient and weights against depth."""
    layers = choose(result.depth, _MOST_PANELS)
    columns = min(_PER_ROW, max(1, len(layers)))
    rows = ceil_div(len(layers), columns)
    figure = new_figure(11.5, 1.75 * rows + 4.1)
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.75 * rows + 0.9, 3.2))
    top, bottom = parts
    heading(top, result)
    panels = top.subplots(rows, columns, squeeze=False).ravel()
    for panel, layer in zip(panels, layers, strict=False):
        name = f"{_short(result.names[layer])}  {result.kinds[layer]}"
        draw_histogram(panel, result, layer, f"{name}\n{histogram_words(result, layer)}")
    for panel in panels[len(layers) :]:
        panel.set_axis_off()
    forward, backward, weights = bottom.subplots(1, 3)
    _line(forward, result.std, "outputs", 2)
    _line(forward, np.where(result.fan_in > 0, result.std, np.nan), "of layers with weights", 0)
    _line(backward, result.gradient_std, "dL/d(output)", 1)
    _line(backward, result.weight_gradient_std, "dL/dW", 3)
    _line(weights, result.gain, "rms of W times sqrt(fan_in)", 4)
    for axes, title in ((forward, "signal, std"), (backward, "gradient, std"), (weights, "sigma_w")):
        axes.set_title(title, fontsize=9, color=INK)
        axes.set_xlabel("call of a layer", fontsize=9, color=INK)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8, handlelength=3)
            log_axes(axes)
        else:
            axes.clear()
            axes.set_axis_off()
    save(figure, path)


def _line(axes: Any, values: Any, label: str, index: int) -> None:
    """Draw what is known, from one known layer to the next."""
    known = np.flatnonzero(np.isfinite(values))
    if known.size:
        signal_line(axes, values[known], label, index, known)


def _short(name: str) -> str:
    return name if len(name) <= _SHORTEST else f"…{name[1 - _SHORTEST :]}"
