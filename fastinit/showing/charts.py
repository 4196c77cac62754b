"""Charts of measured times: bars of factors, and curves of how a time scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..words import check_finite, shown
from .style import COLOURS, GREY, GRID, INK, axes_of, finish, line_style, plain_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Factor(NamedTuple):
    """How many times as fast we are: the median, and the quartiles it lies between."""

    middle: float
    low: float
    high: float


def plot_bars(factors: Mapping[str, Factor | float], ax: Axes | None = None, *, against: str = "the other") -> Axes:
    """Draw a bar for each comparison, on a logarithmic axis about 1: to the right we are faster.

    Parameters
    ----------
    factors
        Words on a comparison -> its `Factor`, or the factor alone: the other's time over ours.
    ax
        Axes to draw on; None: those of a new figure.
    against
        Whom we are compared with, for the axis.

    Returns
    -------
    Axes
        With a bar, its whisker from quartile to quartile and its number for each comparison, the first on top.

    Raises
    ------
    ValueError, TypeError
        There is no comparison, or a factor is no number above 0.

    Examples
    --------
    >>> axes = plot_bars({"normal, 2^24": Factor(3.1, 2.9, 3.3), "uniform, 2^24": 0.8}, against="NumPy")
    >>> [round(float(bar.get_width()), 1) for bar in axes.patches]
    [2.1, -0.2]
    """
    if not isinstance(factors, Mapping) or not factors:
        raise ValueError(f"argument 'factors' must hold at least one comparison, got {shown(factors)}")
    given = {str(words): _factor(value) for words, value in factors.items()}
    axes = axes_of(ax, 6.4, 0.9 + 0.42 * len(given))
    axes.set_xscale("log")
    for row, factor in enumerate(given.values()):
        colour = COLOURS[0] if factor.middle >= 1 else COLOURS[1]
        axes.barh(-row, factor.middle - 1, left=1, height=0.62, color=colour)
        axes.plot([factor.low, factor.high], [-row, -row], color=INK, lw=1.2)
        words = f"{factor.middle:.3g}x" if factor.middle >= 1 else f"{1 / factor.middle:.3g}x slower"
        place: Any = {"va": "center", "fontsize": 8, "color": INK, "clip_on": False}
        axes.annotate(f" {words}", (max(factor.high, 1.0), -row), xytext=(3, 0), textcoords="offset points", **place)
    ends = [x for factor in given.values() for x in factor]
    axes.set_xlim(min(0.8, 0.85 * min(ends)), max(1.25, max(ends)) * (max(ends) / min(*ends, 1.0)) ** 0.25)
    axes.set_yticks([-row for row in range(len(given))], list(given))
    axes.axvline(1, color=GREY, lw=0.8)
    _numbers(axes.xaxis)
    axes.grid(True, axis="x", color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    plain_frame(axes, "right", "top", "left")
    axes.tick_params(axis="y", length=0, labelsize=8, labelcolor=INK)
    finish(axes, "", f"time of {against} over ours (1: as fast; to the right we are faster)", "")
    return axes


def plot_scaling(
    curves: Mapping[str, Mapping[float, float | Sequence[float]]],
    ax: Axes | None = None,
    *,
    x: str = "threads",
    y: str = "time, s",
    ideal: bool = False,
) -> Axes:
    """Draw how a time, or a rate, changes with a size: a line each, with a band over repetitions.

    Parameters
    ----------
    curves
        Name of a line -> {size: measurement, or several of which the median and the range are shown}.
    ax
        Axes to draw on; None: those of a new figure.
    x, y
        What the axes show, with units.
    ideal
        Draw the time of the first line's first size, divided by what the size has grown by.

    Raises
    ------
    ValueError, TypeError
        There is no line or no point, or a number is none above 0.

    Examples
    --------
    >>> axes = plot_scaling({"normal": {1: [0.9, 1.0, 1.2], 2: [0.5], 4: [0.3]}}, ideal=True)
    >>> [line.get_label() for line in axes.lines]
    ['normal', 'ideal']
    """
    if not isinstance(curves, Mapping) or not curves:
        raise ValueError(f"argument 'curves' must hold at least one line, got {shown(curves)}")
    read = {str(name): _curve(points) for name, points in curves.items()}
    axes = axes_of(ax)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for index, (name, points) in enumerate(read.items()):
        sizes = list(points)
        low, middle, high = np.array([np.quantile(points[size], (0, 0.5, 1)) for size in sizes]).T
        axes.plot(sizes, middle, label=name, **{**line_style(index, 1), "markevery": 1})
        axes.fill_between(sizes, low, high, color=line_style(index, 1)["color"], alpha=0.18, lw=0)
    if ideal:
        points = next(iter(read.values()))
        first, grown = next(iter(points)), np.array(list(points))
        axes.plot(grown, float(np.median(points[first])) * first / grown, color=GREY, lw=1, ls=":", label="ideal")
    sizes = sorted({size for points in read.values() for size in points})
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.minorticks_off()
    _numbers(axes.yaxis)
    axes.grid(True, color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    plain_frame(axes, "right", "top")
    finish(axes, "", x, y)
    return axes


def _numbers(axis: Any) -> None:
    """Write a logarithmic axis's numbers out, a few a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(10, (1, 2, 5), numticks=10))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _factor(value: Any) -> Factor:
    numbers = tuple(value) if isinstance(value, Sequence) and len(value) == 3 else (value, value, value)
    return Factor(*(check_finite("factors", x, above=0.0) for x in numbers))


def _curve(points: Any) -> dict[float, list[float]]:
    if not isinstance(points, Mapping) or not points:
        raise ValueError(f"argument 'curves' must give each line at least one size, got {shown(points)}")
    found = {}
    for size, times in points.items():
        given = list(times) if isinstance(times, Sequence | np.ndarray) and not isinstance(times, str) else [times]
        found[check_finite("curves", size, above=0.0)] = [check_finite("curves", t, above=0.0) for t in given]
    return dict(sorted(found.items()))
