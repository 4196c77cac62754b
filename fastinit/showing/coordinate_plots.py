"""Pictures of coordinate checks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .style import GREY, GRID, INK, new_figure, plain_frame, save
from .tables import choose

if TYPE_CHECKING:
    from ..probing.coordinates import CoordResult

_MOST_PANELS = 4
_MOST_NAMED = 14


def plot_coordinates(result: CoordResult, path: str | os.PathLike[str]) -> None:
    """Draw size against width, a panel a step, a line a layer, from the first layer (dark) to the last (light)."""
    import matplotlib

    steps = [result.steps[i] for i in choose(len(result.steps), _MOST_PANELS)]
    figure = new_figure(3.1 * len(steps) + 2.4, 3.9)
    figure.suptitle(f"{result.title}: {result.verdict}", fontsize=12, color=INK, x=0.01, ha="left", weight="bold")
    panels = figure.subplots(1, len(steps), sharey=True, squeeze=False)[0]
    layers, colours = result.layers, matplotlib.colormaps["viridis"]
    for axes, step in zip(panels, steps, strict=True):
        for i, layer in enumerate(layers):
            sizes = {width: size for width, size in result.sizes(layer, step).items() if size > 0}
            axes.plot(
                list(sizes), list(sizes.values()), color=colours(i / max(len(layers) - 1, 1) * 0.9), marker="o", ms=3,
                lw=1.4, label=f"{layer} ({result.slope(layer, step):+.2f})",
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(result.widths, [str(width) for width in result.widths])
        axes.minorticks_off()
        axes.set_title(f"after {step} step{'s' * (step > 1)}" if step else "before training", fontsize=9, color=INK)
        axes.set_xlabel("width", fontsize=9, color=INK)
        axes.grid(True, color=GRID, lw=0.6)
        plain_frame(axes, "right", "top")
    panels[0].set_ylabel("mean |output|", fontsize=9, color=INK)
    handles, words = panels[-1].get_legend_handles_labels()
    chosen = choose(len(words), _MOST_NAMED)
    figure.legend(
        [handles[i] for i in chosen], [words[i] for i in chosen], loc="outside right center", frameon=False, fontsize=8,
        title="layer (exponent)", title_fontsize=8, labelcolor=GREY,
    )  # fmt: skip
    save(figure, path)
