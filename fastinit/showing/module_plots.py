"""Pictures of a probe of a real module."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from .pages import draw_page
from .plots import histogram_words, plot_shares, short, signal_line
from .style import axes_of, finish, layer_axis, log_axes
from .tables import chosen_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..probing.module_result import ModuleResult

_MOST_PANELS, _MOST_GIVEN = 15, 60


def module_page(result: ModuleResult, path: str | os.PathLike[str], layers: Any = None) -> None:
    """Draw the histograms of at most fifteen layers above signal, gradient, shares and weights against depth."""
    chosen = chosen_layers(result.depth, _MOST_PANELS if layers is None else layers, _MOST_GIVEN)
    titles = [
        f"{short(result.names[layer])}  {result.kinds[layer]}\n{histogram_words(result, layer)}" for layer in chosen
    ]
    plots = [
        plot_module_signal if np.isfinite(result.std).any() else None,
        plot_module_gradient if result.backward else None,
        plot_shares if result.depth else None,
        plot_module_weights if np.isfinite(result.gain).any() else None,
    ]
    draw_page(result, path, chosen, titles, [plot for plot in plots if plot])


def plot_module_signal(result: ModuleResult, ax: Axes | None = None, layers: Any = None) -> Axes:
    """Draw the outputs' size against depth."""
    weighted = np.where(result.fan_in > 0, result.std, np.nan)
    lines = {"outputs": (result.std, 2), "of layers with weights": (weighted, 0)}
    return _known_lines(result, ax, layers, lines, ("signal", "std of the output"))


def plot_module_gradient(result: ModuleResult, ax: Axes | None = None, layers: Any = None) -> Axes:
    """Draw the gradients' size against depth."""
    lines = {"dL/d(output)": (result.gradient_std, 1), "dL/dW": (result.weight_gradient_std, 3)}
    return _known_lines(result, ax, layers, lines, ("gradient", "std of the gradient"))


def plot_module_weights(result: ModuleResult, ax: Axes | None = None, layers: Any = None) -> Axes:
    """Draw the weights' size against depth, as mean-field theory's sigma_w."""
    return _known_lines(result, ax, layers, {"": (result.gain, 4)}, ("sigma_w", "rms of W times sqrt(fan_in)"))


def _known_lines(
    result: ModuleResult, ax: Axes | None, layers: Any, lines: dict[str, tuple[Any, int]], words: tuple[str, str]
) -> Axes:
    """Draw what is known, from one known layer to the next."""
    axes, notes = axes_of(ax), []
    at = np.array(chosen_layers(result.depth, layers), int)
    for label, (values, index) in lines.items():
        known = at[np.isfinite(values[at])]
        if known.size:
            notes += signal_line(axes, values[known], label, index, known)
    log_axes(axes)
    layer_axis(axes, result.depth)
    finish(axes, words[0], "call of a layer", words[1], notes)
    return axes
