"""What all pictures share: figures without pyplot, colours, axes of layers and of sizes, and how a file is written.

Every picture is a `Figure` of its own: nothing global changes, no window opens, and threads may draw at the same time.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import path_name, replacing
from ..words import needs, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
# From dark to light, monotone in grey and the same to the colour-blind.
COLOUR_MAP = "cividis"
# Matplotlib computes beyond the limits of an axis, and there is nothing beyond the largest float.
_LOG_LIMITS = (1e-300, 1e300)


def axes_of(ax: Axes | None, width: float = 5.6, height: float = 3.7) -> Axes:
    """Return the caller's axes, or those of a new figure of that size in inches."""
    if ax is None:
        axes: Axes = new_figure(width, height).subplots()
        return axes
    with needs("matplotlib", extra="plot"):
        from matplotlib.axes import Axes
    if not isinstance(ax, Axes):
        raise TypeError(f"argument 'ax' must be Matplotlib's Axes or None, got {shown(ax)}")
    return ax


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches."""
    with needs("matplotlib", extra="plot"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write the figure as its path's suffix says, else as PNG; the file appears whole or not at all."""
    suffix = os.path.splitext(path_name(path))[1].lower() or ".png"
    known = [f".{name}" for name in figure.canvas.get_supported_filetypes()]
    if suffix not in known:
        raise ValueError(f"argument 'path' must end in one of {', '.join(sorted(known))}, got {shown(path_name(path))}")
    picture = io.BytesIO()
    figure.savefig(picture, format=suffix[1:])
    with replacing(path) as file:
        file.write(picture.getbuffer())


def headline(figure: Any, words: str) -> None:
    """Write a figure's heading; the words may be a file's, and no formula."""
    figure.suptitle(words, fontsize=12, color=INK, weight="bold", x=0.01, ha="left", parse_math=False)


def line_style(index: int, points: int) -> dict[str, Any]:
    """Return colour, dashes and marker of the line of that number."""
    k = index % len(COLOURS)
    return {
        "color": COLOURS[k],
        "ls": DASHES[k],
        "marker": MARKERS[k],
        "ms": 4,
        "lw": 1.6,
        "markevery": max(1, points // 10),
    }


def finish(axes: Axes, title: str, x: str, y: str, notes: Sequence[str] = ()) -> None:
    """Name axes and lines; what cannot be drawn is told below, and no line is promised for it."""
    axes.set_title(title, fontsize=9, color=INK, parse_math=False)
    if not axes.has_data():
        axes.set_axis_off()
        place: Any = {"transform": axes.transAxes, "ha": "center", "va": "center", "parse_math": False}
        axes.text(0.5, 0.5, "\n".join(notes), fontsize=8, color=GREY, **place)
        return
    axes.set_xlabel("\n".join([x, *notes]), fontsize=8, color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=8, color=INK, parse_math=False)
    handles, words = axes.get_legend_handles_labels()
    if handles:
        legend = axes.legend(
            handles, words, fontsize=7.5, handlelength=3, facecolor="white", edgecolor="none", framealpha=0.8
        )
        for text in legend.get_texts():
            text.set_parse_math(False)


def layer_axis(axes: Axes, depth: int) -> None:
    """Let the axis below show all layers, at whole numbers, and draw a grid."""
    from matplotlib.ticker import MaxNLocator

    axes.grid(True, color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    margin = max(0.5, 0.03 * depth)
    axes.set_xlim(-margin, depth - 1 + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    plain_frame(axes, "right", "top")


def log_axes(*panels: Axes) -> None:
    """Give panels one logarithmic scale of at least two decades, with all that their lines have."""
    lines = [np.asarray(line.get_ydata(), dtype=float) for axes in panels for line in axes.get_lines()]
    values = np.concatenate([*lines, np.zeros(0)])
    values = np.clip(values[np.isfinite(values) & (values > 0)], *_LOG_LIMITS)
    low, high = (values.min(), values.max()) if values.size else (0.1, 10.0)
    margin = max(10 / np.sqrt(high / low), 1.5, (high / low) ** 0.03)
    for axes in panels:
        # The limits first: Matplotlib's own overflow near the largest float.
        axes.set_ylim(max(low / margin, _LOG_LIMITS[0] / 10), min(high * margin, 10 * _LOG_LIMITS[1]))
        axes.set_yscale("log")


def plain_frame(axes: Axes, *hidden: str) -> None:
    """Leave out the frame's sides that say nothing, and make the others unobtrusive."""
    for side in hidden:
        axes.spines[side].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(GREY)
    axes.tick_params(labelsize=7.5, colors=GREY, length=2.5)


def positive(values: Any) -> Any:
    """Leave out what a logarithmic axis cannot show."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)
