"""Heat maps of a sweep."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from fastinit_kernels.numeric.integers import ceil_div

from ..activations import label
from ..probing.figures import FIGURES
from ..theory.limits import MOST_LAYERS
from ..words import check_choice, check_integer, number, shown
from .plots import GREY, INK, new_figure, plain_frame, save

if TYPE_CHECKING:
    from ..probing.swept import SweepResult

_MOST_PANELS = 12
_LOGARITHMIC = ("std", "q", "preactivation_std", "gradient_std", "weight_gradient_std", "chi", "weight_std")


def plot_sweep(
    sweep: SweepResult, path: str | os.PathLike[str], *, figure: str, x: str | None, y: str | None, layer: int
) -> None:
    """Draw one figure of a sweep over two of its arguments; see `SweepResult.plot`."""
    figure = check_choice("figure", figure, FIGURES)
    layer = check_integer("layer", layer, minimum=-MOST_LAYERS, maximum=MOST_LAYERS)
    x, y = _axes(sweep, x, y)
    rest = [name for name in sweep.grid if name not in (x, y, "seed") and len(sweep.grid[name]) > 1]
    panels = list(itertools.product(*(sweep.grid[name] for name in rest)))
    if len(panels) > _MOST_PANELS:
        raise ValueError(
            f"argument 'path' must take at most {_MOST_PANELS} panels, got {len(panels)} of {', '.join(rest)}"
        )
    maps = [_map(sweep, figure, x, y, layer, dict(zip(rest, values, strict=True))) for values in panels]
    limits = _limits(maps, figure)
    columns = min(4, len(panels))
    rows = ceil_div(len(panels), columns)
    page = new_figure(3.2 * columns + 1.4, 2.9 * rows + 0.5)
    axes = page.subplots(rows, columns, squeeze=False).ravel()
    which = "last layer" if layer == -1 else f"layer {layer}"
    page.suptitle(f"{figure}, {which}", fontsize=12, color=INK, x=0.01, ha="left", weight="bold")
    mesh: Any = None
    for panel, values, grid in zip(axes, panels, maps, strict=False):
        title = ", ".join(f"{name} {label(value)}" for name, value in zip(rest, values, strict=True))
        mesh = _panel(panel, sweep, x, y, grid, limits, title)
    for panel in axes[len(panels) :]:
        panel.set_axis_off()
    page.colorbar(mesh, ax=list(axes), shrink=0.9, label=figure)
    save(page, path)


def _axes(sweep: SweepResult, x: str | None, y: str | None) -> tuple[str, str]:
    free = [name for name in sweep.grid if len(sweep.grid[name]) > 1 and name not in ("seed", x, y)]
    numbers = [name for name in free if all(isinstance(v, int | float) for v in sweep.grid[name])]
    chosen = []
    for argument, name in (("x", x), ("y", y)):
        if name is None:
            if not numbers:
                raise ValueError(
                    f"argument '{argument}' must name an argument with several numbers, got none in {list(sweep.grid)}"
                )
            name = numbers.pop(0)
        chosen.append(check_choice(argument, name, sweep.grid))
    if chosen[0] == chosen[1]:
        raise ValueError(f"argument 'y' must differ from x, got {shown(chosen[1])}")
    return chosen[0], chosen[1]


def _map(sweep: SweepResult, figure: str, x: str, y: str, layer: int, where: dict[str, Any]) -> tuple[Any, Any]:
    """Return the median over seeds of the figure, and of chi, at (y, x)."""
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for point, result in sweep:
        if all(point[name] is value or point[name] == value for name, value in where.items()):
            at = layer if layer >= 0 else result.depth + layer
            if 0 <= at < result.depth:
                key = sweep.grid[y].index(point[y]), sweep.grid[x].index(point[x])
                cells.setdefault(key, []).append((getattr(result, figure)[at], result.chi[at]))
    values = np.full((2, len(sweep.grid[y]), len(sweep.grid[x])), np.nan)
    for (i, j), pairs in cells.items():
        values[:, i, j] = np.median(np.array(pairs), axis=0)
    return values[0], values[1]


def _limits(maps: list[tuple[Any, Any]], figure: str) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    values = np.concatenate([grid.ravel() for grid, _ in maps])
    finite = values[np.isfinite(values)]
    if figure in _LOGARITHMIC and np.any(finite > 0):
        # A thousandth of the median on either side, or less: the rest is lost to training, and would eat the colours.
        finite = finite[finite > 0]
        middle = np.median(finite)
        low, high = max(finite.min(), 1e-6 * middle), min(finite.max(), 1e6 * middle)
        return LogNorm(low, high if high > low else 10 * low, clip=True)
    return Normalize(*((finite.min(), finite.max()) if finite.size else (0, 1)))


def _panel(axes: Any, sweep: SweepResult, x: str, y: str, grid: tuple[Any, Any], limits: Any, title: str) -> Any:
    from matplotlib.patheffects import withStroke

    values, chi = grid
    mesh = axes.pcolormesh(values, norm=limits, cmap="cividis")
    columns, rows = np.arange(values.shape[1]) + 0.5, np.arange(values.shape[0]) + 0.5
    if min(chi.shape) > 1 and (chi < 1).any() and (chi > 1).any():
        lines = axes.contour(columns, rows, chi, levels=[1.0], colors="white", linewidths=1.6)
        # The brightest colours hide what is white.
        lines.set_path_effects([withStroke(linewidth=3, foreground=INK)])
        for words in axes.clabel(lines, fmt={1.0: "chi = 1"}, fontsize=8):
            words.set_path_effects([withStroke(linewidth=1.2, foreground=INK)])
    for set_ticks, places, name in ((axes.set_xticks, columns, x), (axes.set_yticks, rows, y)):
        labels = sweep.grid[name]
        step = ceil_div(len(labels), 8)
        set_ticks(places[::step], [_tick(value) for value in labels[::step]])
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.set_title(title, fontsize=9, color=GREY)
    plain_frame(axes)
    return mesh


def _tick(value: Any) -> str:
    return number(value, 3) if isinstance(value, float) else str(label(value))
