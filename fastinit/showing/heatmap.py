"""Heat maps of a sweep, and its figures against depth with bands over seeds."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from fastinit_kernels.numeric.integers import ceil_div

from ..activations import label
from ..probing.figures import FIGURES
from ..theory.limits import MOST_LAYERS
from ..words import check_choice, check_integer, number, shown
from .style import (
    COLOUR_MAP,
    GREY,
    INK,
    axes_of,
    finish,
    headline,
    layer_axis,
    line_style,
    log_axes,
    new_figure,
    plain_frame,
    positive,
    save,
)  # fmt: skip
from .tables import chosen_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..probing.result import ProbeResult
    from ..probing.swept import SweepResult

_MOST_PANELS = 12
_MOST_LINES = 14
# chi strays by about 1 / sqrt(width) from seed to seed; a line of chi = 1 lies between cells further off than so often.
_BEYOND_CHANCE = 3.0


@dataclass(frozen=True)
class View:
    """What a heat map shows: a figure over two arguments, in one layer of each network."""

    figure: str
    x: str
    y: str
    layer: int

    @classmethod
    def of(cls, sweep: SweepResult, figure: str, x: str | None, y: str | None, layer: int) -> View:
        """Return a checked one; the arguments that are not named are the first with several numbers."""
        figure = check_choice("figure", figure, FIGURES)
        layer = check_integer("layer", layer, minimum=-MOST_LAYERS, maximum=MOST_LAYERS)
        return cls(figure, *_axes(sweep, x, y), layer)

    @property
    def title(self) -> str:
        """The layer in words."""
        return "last layer" if self.layer == -1 else f"layer {self.layer}"

    @property
    def unit(self) -> str:
        """The figure and its unit."""
        return FIGURES[self.figure].axis(self.figure)


@dataclass(frozen=True)
class Map:
    """Cells (y, x) of a figure and of chi, medians over the seeds; `chance` is chi's spread, in its logarithm."""

    values: Any
    chi: Any
    chance: float

    @property
    def crosses(self) -> bool:
        """Whether chi passes through 1 between cells that are further from it than by chance."""
        if min(self.chi.shape) < 2:
            return False
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(self.chi)
        far = _BEYOND_CHANCE * self.chance
        return bool((logs < -far).any() and (logs > far).any())


def plot_sweep(
    sweep: SweepResult, path: str | os.PathLike[str], *, figure: str, x: str | None, y: str | None, layer: int
) -> None:
    """Draw one figure of a sweep over two of its arguments, a panel for what else varies; see `SweepResult.plot`."""
    view = View.of(sweep, figure, x, y, layer)
    rest = _rest(sweep, view.x, view.y)
    panels = list(itertools.product(*(sweep.grid[name] for name in rest)))
    if len(panels) > _MOST_PANELS:
        raise ValueError(
            f"argument 'path' must take at most {_MOST_PANELS} panels, got {len(panels)} of {', '.join(rest)}"
        )
    maps = [map_of(sweep, view, dict(zip(rest, values, strict=True))) for values in panels]
    limits = _limits([m.values for m in maps], view.figure)
    columns = min(4, len(panels))
    rows = ceil_div(len(panels), columns)
    page = new_figure(3.2 * columns + 1.4, 2.9 * rows + 0.5)
    axes = page.subplots(rows, columns, squeeze=False).ravel()
    headline(page, f"{view.figure}, {view.title}")
    mesh: Any = None
    for panel, values, grid in zip(axes, panels, maps, strict=False):
        title = ", ".join(f"{name} {label(value)}" for name, value in zip(rest, values, strict=True))
        mesh = _panel(panel, sweep, view, grid, limits, title)
    for panel in axes[len(panels) :]:
        panel.remove()
    page.colorbar(mesh, ax=list(axes[: len(panels)]), shrink=0.9, label=view.unit)
    save(page, path)


def plot_map(
    sweep: SweepResult, ax: Axes | None, view: tuple[str, str | None, str | None, int], where: Mapping[str, Any]
) -> Axes:
    """Draw one heat map on the axes; see `SweepResult.plot_map`."""
    seen = View.of(sweep, *view)
    chosen = _where(sweep, where)
    open_names = [name for name in _rest(sweep, seen.x, seen.y) if name not in chosen]
    if open_names:
        raise ValueError(f"argument 'where' must choose a value of {', '.join(open_names)}, got {shown(dict(where))}")
    axes = axes_of(ax)
    grid = map_of(sweep, seen, chosen)
    title = ", ".join([f"{seen.figure}, {seen.title}", *(f"{name} {label(v)}" for name, v in chosen.items())])
    mesh = _panel(axes, sweep, seen, grid, _limits([grid.values], seen.figure), title)
    figure: Any = axes.figure
    figure.colorbar(mesh, ax=axes, label=seen.unit)
    return axes


def plot_lines(sweep: SweepResult, ax: Axes | None, figure: str, layers: Any, where: Mapping[str, Any]) -> Axes:
    """Draw a figure against depth, a line for what varies, with bands over seeds; see `SweepResult.plot_lines`."""
    name = check_choice("figure", figure, FIGURES)
    groups = _groups(sweep, _where(sweep, where))
    if not 0 < len(groups) <= _MOST_LINES:
        raise ValueError(f"argument 'where' must leave 1 to {_MOST_LINES} lines, got {len(groups)}")
    axes, notes = axes_of(ax, 6.2, 4.0), []
    size, factor = FIGURES[name].is_size, FIGURES[name].factor
    for index, (words, results) in enumerate(groups.items()):
        at = chosen_layers(results[0].depth, layers)
        values = factor * np.array([np.asarray(getattr(r, name), float)[at] for r in results])
        values = positive(values) if size else values
        low, middle, high = _spread(values)
        if not np.isfinite(middle).any():
            notes.append(f"{words}: nothing that this axis shows")
            continue
        axes.plot(at, middle, label=words, **line_style(index, len(at)))
        if len(results) > 1:
            axes.fill_between(at, low, high, color=line_style(index, 1)["color"], alpha=0.18, lw=0)
    if size:
        log_axes(axes)
    layer_axis(axes, max(results[0].depth for results in groups.values()))
    seeds = len(sweep.grid.get("seed", ()))
    title = f"{name}: median and range of {seeds} seeds" if seeds > 1 else name
    finish(axes, title, "layer", FIGURES[name].axis(name), notes)
    return axes


def _spread(values: Any) -> tuple[Any, Any, Any]:
    """Return least, median and greatest over the first axis, NaN where there is none."""
    known = np.isfinite(values).any(axis=0)
    found = np.full((3, values.shape[1]), np.nan)
    if known.any():
        found[:, known] = np.nanquantile(values[:, known], (0, 0.5, 1), axis=0)
    return found[0], found[1], found[2]


def _rest(sweep: SweepResult, *shown_names: str) -> list[str]:
    """Return the arguments that vary and are neither shown nor taken the median over."""
    return [name for name in sweep.grid if name not in (*shown_names, "seed") and len(sweep.grid[name]) > 1]


def _where(sweep: SweepResult, where: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are chosen of some arguments, as the grid has them."""
    chosen = {}
    for name, value in where.items():
        values = sweep.grid[check_choice("where", name, sweep.grid)]
        found = [v for v in values if _same(v, value) or label(v) == value]
        if not found:
            words = ", ".join(str(label(v)) for v in values[:_MOST_LINES])
            raise ValueError(f"argument 'where' must choose one of {words} for {name}, got {shown(value)}")
        chosen[name] = found[0]
    return chosen


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    same = a == b
    return isinstance(same, bool) and same


def _matching(sweep: SweepResult, where: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], ProbeResult]]:
    for point, result in sweep:
        if all(_same(point[name], value) for name, value in where.items()):
            yield point, result


def _groups(sweep: SweepResult, where: Mapping[str, Any]) -> dict[str, list[ProbeResult]]:
    """Words on what varies -> the results of all seeds."""
    names = [name for name in _rest(sweep) if name not in where]
    groups: dict[str, list[ProbeResult]] = {}
    for point, result in _matching(sweep, where):
        words = ", ".join(f"{name} {tick(point[name])}" for name in names)
        groups.setdefault(words, []).append(result)
    return groups


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


def map_of(sweep: SweepResult, view: View, where: Mapping[str, Any]) -> Map:
    """Return the median over seeds of the figure, and of chi, at (y, x)."""
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    places = {name: {id(v): k for k, v in enumerate(sweep.grid[name])} for name in (view.x, view.y)}
    chance = 0.0
    for point, result in _matching(sweep, where):
        at = view.layer if view.layer >= 0 else result.depth + view.layer
        if 0 <= at < result.depth:
            key = places[view.y][id(point[view.y])], places[view.x][id(point[view.x])]
            cells.setdefault(key, []).append((getattr(result, view.figure)[at], result.chi[at]))
            chance = max(chance, min(result.widths) ** -0.5)
    values = np.full((2, len(sweep.grid[view.y]), len(sweep.grid[view.x])), np.nan)
    for (i, j), pairs in cells.items():
        values[:, i, j] = np.median(np.array(pairs, float), axis=0)
    seeds = min(map(len, cells.values()), default=1)
    return Map(values[0] * FIGURES[view.figure].factor, values[1], chance / seeds**0.5)


def _limits(maps: list[Any], figure: str) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    values = np.concatenate([grid.ravel() for grid in maps])
    finite = values[np.isfinite(values)]
    if FIGURES[figure].is_size and np.any(finite > 0):
        # A millionth of the median on either side, or less: the rest is lost to training, and would eat the colours.
        finite = finite[finite > 0]
        middle = np.median(finite)
        low, high = max(finite.min(), 1e-6 * middle), min(finite.max(), 1e6 * middle)
        return LogNorm(low, high if high > low else 10 * low, clip=True)
    return Normalize(*((finite.min(), finite.max()) if finite.size else (0, 1)))


def _panel(axes: Any, sweep: SweepResult, view: View, grid: Map, limits: Any, title: str) -> Any:
    mesh = axes.pcolormesh(grid.values, norm=limits, cmap=COLOUR_MAP)
    columns, rows = (np.arange(n) + 0.5 for n in grid.values.shape[::-1])
    if grid.crosses:
        _chi_line(axes, columns, rows, grid.chi)
    for set_ticks, places, name in ((axes.set_xticks, columns, view.x), (axes.set_yticks, rows, view.y)):
        labels = sweep.grid[name]
        step = ceil_div(len(labels), 8)
        set_ticks(places[::step], [tick(value) for value in labels[::step]])
    finish(axes, title, view.x, view.y)
    axes.title.set_color(GREY)
    plain_frame(axes)
    return mesh


def _chi_line(axes: Any, columns: Any, rows: Any, chi: Any) -> None:
    from matplotlib.patheffects import withStroke

    lines = axes.contour(columns, rows, chi, levels=[1.0], colors="white", linewidths=1.6)
    # The brightest colours hide what is white.
    lines.set_path_effects([withStroke(linewidth=3, foreground=INK)])
    for words in axes.clabel(lines, fmt={1.0: "chi = 1"}, fontsize=8):
        words.set_path_effects([withStroke(linewidth=1.2, foreground=INK)])


def tick(value: Any) -> str:
    """Return a value of an argument as an axis has it."""
    return number(value, 3) if isinstance(value, float) else str(label(value))
