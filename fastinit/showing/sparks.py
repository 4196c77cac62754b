"""Histograms and lines of a few characters, for terminals and for text."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..words import number
from .tables import Table

if TYPE_CHECKING:
    from ..probing.result import ProbeResult

_BLOCKS, _ASCII = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
# Characters of a histogram, and of a line over the layers.
_WIDTH = 30
# Square roots, as a rectifier's zeros would leave nothing to see of the others.
_HEADING = "histogram, root of counts"


def spark(values: Any) -> str:
    """Return a character a value, as high as its share of the greatest; what is not finite is a "?".

    Examples
    --------
    >>> len(spark([0.0, 1.0, 2.0]))
    3
    """
    heights = np.asarray(values, np.float64)
    top = max(heights[np.isfinite(heights)], default=0.0)
    levels = _levels()
    steps = len(levels) - 1

    def character(height: float) -> str:
        if not np.isfinite(height):
            return "?"
        return levels[0] if height <= 0 or top <= 0 else levels[max(1, round(steps * height / top))]

    return "".join(character(height) for height in heights)


def _levels() -> str:
    try:
        _BLOCKS.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return _ASCII
    return _BLOCKS


def histogram_table(result: "ProbeResult", layers: Sequence[int]) -> Table:
    """Return the histograms of these layers' activations, and below them std and gradient over all layers."""
    rows = [_row(str(layer), result.bin_edges[layer], np.sqrt(_fewer(result.histogram[layer], np.sum)))
            for layer in layers]  # fmt: skip
    for name, values in (("std", result.std), ("grad std", result.gradient_std)):
        if result.depth > 1 and np.any(np.isfinite(values)):
            rows.append(_row(name, values, _fewer(values, np.mean)))
    return Table("", ("layer", "from … to", _HEADING), tuple(rows), left=frozenset({_HEADING}))


def _row(name: str, ends: Any, heights: Any) -> tuple[str, str, str]:
    return name, f"{number(ends[0])} … {number(ends[-1])}", spark(heights)


def _fewer(values: "np.ndarray", merge: object) -> list[float]:
    """Return the values, merged to as many as a line has characters."""
    parts = np.array_split(np.asarray(values, np.float64), min(_WIDTH, len(values)))
    with np.errstate(all="ignore"):
        return [float(merge(part)) for part in parts]  # type: ignore[operator]
