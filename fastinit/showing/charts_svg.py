"""Small charts in SVG for reports: colours are the page's, and every point says its value when it is pointed at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastinit_kernels.numeric.integers import ceil_div

from ..markup import escaped
from ..words import number

_WIDTH, _HEIGHT = 460, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 40
# Of matplotlib's cividis, at even steps.
_CIVIDIS = ((0, 34, 78), (53, 69, 108), (102, 105, 112), (148, 142, 119), (200, 184, 102), (254, 232, 56))
_MOST_TICKS = 6


def line_chart(title: str, lines: Mapping[str, tuple[Sequence[int], Any]], unit: str, logarithmic: bool) -> str:
    """Return a chart of lines against layers; nothing where no value can be shown."""
    known = {}
    for label, (layers, given) in lines.items():
        values = np.asarray(given, float)
        fits = np.isfinite(values) & ((values > 0) | (not logarithmic))
        if fits.any():
            known[label] = ([layer for layer, fit in zip(layers, fits, strict=True) if fit], values[fits])
    if not known:
        return ""
    every = np.concatenate([values for _, values in known.values()])
    y = _Scale.of(every, logarithmic, _HEIGHT - _BOTTOM, _TOP)
    last = max(layers[-1] for layers, _ in lines.values())
    x = _Scale(-0.5 if last < 10 else 0.0, max(last, 0.5), False, _LEFT, _WIDTH - _RIGHT)
    parts = [_frame(x, y, _layer_ticks(last), "layer", unit)]
    for index, (label, (layers, values)) in enumerate(known.items()):
        points = [(x.place(layer), y.place(value)) for layer, value in zip(layers, values, strict=True)]
        path = " ".join(f"{'ML'[k > 0]}{px:.1f} {py:.1f}" for k, (px, py) in enumerate(points))
        parts.append(f'<path class="line c{index}" d="{path}"/>')
        parts += [
            f'<circle class="c{index}" cx="{px:.1f}" cy="{py:.1f}" r="3.5" '
            f'data-tip="{escaped(f"{label}, layer {layer}: {number(float(value), 4)}")}"/>'
            for (px, py), layer, value in zip(points, layers, values, strict=True)
        ]
    legend = "".join(f'<li class="c{index}">{escaped(label)}</li>' for index, label in enumerate(known))
    return _figure(title, _svg(title, parts), f'<ul class="legend">{legend}</ul>')


def ridge(title: str, rows: Sequence[tuple[str, Any, Any]], unit: str) -> str:
    """Return histograms above each other: (words, heights from 0 to 1, edges) each."""
    if not rows:
        return ""
    low, high = min(float(e[0]) for _, _, e in rows), max(float(e[-1]) for _, _, e in rows)
    x = _Scale(low, high if high > low else low + 1, False, _LEFT + 60, _WIDTH - _RIGHT)
    step = (_HEIGHT - _TOP - _BOTTOM) / (len(rows) + 0.5)
    parts = []
    for row, (words, heights, edges) in enumerate(rows):
        base = _TOP + step * (row + 1.5)
        path = f"M{x.place(edges[0]):.1f} {base:.1f}"
        for k, height in enumerate(heights):
            top = base - 1.4 * step * float(height)
            path += f"L{x.place(edges[k]):.1f} {top:.1f}L{x.place(edges[k + 1]):.1f} {top:.1f}"
        parts.append(
            f'<path class="ridge" d="{path}L{x.place(edges[-1]):.1f} {base:.1f}Z" data-tip="{escaped(words)}"/>'
        )
        parts.append(f'<text class="y" x="{_LEFT + 52}" y="{base:.1f}">{escaped(words.partition(",")[0])}</text>')
    for tick in x.ticks():
        parts.append(f'<text class="x" x="{x.place(tick):.1f}" y="{_HEIGHT - 24}">{number(tick, 3)}</text>')
    parts.append(f'<text class="x" x="{_WIDTH / 2}" y="{_HEIGHT - 6}">{escaped(unit)}</text>')
    return _figure(title, _svg(title, parts), "")


def heat_map(title: str, columns: tuple[str, list[str]], rows: tuple[str, list[str]], values: Any, unit: str) -> str:
    """Return a map of cells; (name, labels) of both axes. Sizes over more than two decades have logarithmic colours."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ""
    logarithmic = bool((finite > 0).all() and finite.max() > 100 * finite.min())
    scale = _Scale.of(finite, logarithmic, 0.0, 1.0, margin=0.0)
    width = (_WIDTH - _LEFT - _RIGHT) / len(columns[1])
    height = (_HEIGHT - _TOP - _BOTTOM) / len(rows[1])
    parts = []
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            words = f"{columns[0]} {columns[1][j]}, {rows[0]} {rows[1][i]}: {number(float(value), 4)}"
            left, top = _LEFT + j * width, _HEIGHT - _BOTTOM - (i + 1) * height
            parts.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.2f}" height="{height:.2f}" '
                f'fill="{_colour(scale.place(value))}" data-tip="{escaped(words)}"/>'
            )
    for j in _some(len(columns[1])):
        place = _LEFT + (j + 0.5) * width
        parts.append(f'<text class="x" x="{place:.1f}" y="{_HEIGHT - 24}">{escaped(columns[1][j])}</text>')
    for i in _some(len(rows[1])):
        place = _HEIGHT - _BOTTOM - (i + 0.5) * height + 4
        parts.append(f'<text class="y" x="{_LEFT - 6}" y="{place:.1f}">{escaped(rows[1][i])}</text>')
    parts.append(f'<text class="x" x="{_WIDTH / 2}" y="{_HEIGHT - 6}">{escaped(columns[0])}</text>')
    parts.append(_turned(rows[0]))
    ends = f"{number(float(finite.min()), 3)} (dark) to {number(float(finite.max()), 3)} (bright)"
    key = f'<p class="key">{escaped(unit)}: {ends}{", logarithmic" if logarithmic else ""}</p>'
    return _figure(title, _svg(title, parts), key)


class _Scale:
    """From values to places along an axis."""

    def __init__(self, low: float, high: float, logarithmic: bool, start: float, end: float) -> None:
        self.low, self.high, self.logarithmic, self.start, self.end = low, high, logarithmic, start, end

    @classmethod
    def of(cls, values: Any, logarithmic: bool, start: float, end: float, margin: float = 0.04) -> _Scale:
        """Return one that all values fit on, in logarithms of 10 if asked for."""
        shown = np.log10(values) if logarithmic else values
        low, high = float(shown.min()), float(shown.max())
        if high - low < 1e-9 * max(abs(high), 1.0):
            low, high = low - 0.5, high + 0.5
        return cls(low - margin * (high - low), high + margin * (high - low), logarithmic, start, end)

    def place(self, value: float) -> float:
        """Return where the value lies."""
        shown = math.log10(value) if self.logarithmic else float(value)
        return self.start + (shown - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return a few round values."""
        span = self.high - self.low
        step = 10.0 ** math.floor(math.log10(span / 3))
        step *= next((k for k in (1, 2, 5, 10) if span / (k * step) <= _MOST_TICKS), 10)
        if self.logarithmic:
            step = max(step, 1.0) if span >= 1 else step
        found = np.arange(math.ceil(self.low / step), math.floor(self.high / step) + 1) * step
        return [10.0 ** float(t) if self.logarithmic else float(t) for t in found]


def _layer_ticks(last: int) -> list[int]:
    step = next(k * 10**e for e in range(9) for k in (1, 2, 5) if last / (k * 10**e) <= _MOST_TICKS)
    return list(range(0, last + 1, step))


def _frame(x: _Scale, y: _Scale, layers: Sequence[int], across: str, up: str) -> str:
    parts = []
    for value in y.ticks():
        place = y.place(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {place:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="y" x="{_LEFT - 6}" y="{place + 4:.1f}">{number(value, 3)}</text>')
    for layer in layers:
        parts.append(f'<text class="x" x="{x.place(layer):.1f}" y="{_HEIGHT - 24}">{layer}</text>')
    parts.append(f'<text class="x" x="{_WIDTH / 2}" y="{_HEIGHT - 6}">{escaped(across)}</text>')
    return "".join([*parts, _turned(up)])


def _turned(words: str) -> str:
    return f'<text class="x" transform="translate(13 {_HEIGHT / 2 - 14}) rotate(-90)">{escaped(words)}</text>'


def _svg(title: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escaped(title)}">'
    return f"{head}{''.join(parts)}</svg>"


def _figure(title: str, picture: str, below: str) -> str:
    return f"<figure><figcaption>{escaped(title)}</figcaption>{picture}{below}</figure>"


def _some(count: int) -> range:
    return range(0, count, ceil_div(count, 8))


def _colour(share: float) -> str:
    at = min(max(share, 0.0), 1.0) * (len(_CIVIDIS) - 1)
    k = min(int(at), len(_CIVIDIS) - 2)
    mixed = (round(a + (at - k) * (b - a)) for a, b in zip(_CIVIDIS[k], _CIVIDIS[k + 1], strict=True))
    return f"#{''.join(f'{c:02x}' for c in mixed)}"
