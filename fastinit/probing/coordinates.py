"""How the size of what goes through a network depends on its width: muP's coordinate check."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from fastinit_kernels.machine.forks import whole

from ..files import replacing
from ..showing.tables import Table
from ..words import needs, number, writable
from .result import plain

if TYPE_CHECKING:
    import pandas

# A size that changes like width^0.25 changes by 4 from 64 to 16384 units; chance and the corrections of finite widths
# stay below. Standard parametrisations end at 0.5 and 1.
STEEP = 0.25


class Coordinate(NamedTuple):
    """The size of a layer's output, after some steps of training."""

    width: int
    seed: int
    step: int
    layer: str
    size: float
    """Mean of the absolute values."""


@dataclass(frozen=True, eq=False, repr=False)
class CoordResult:
    """Sizes of the outputs of layers at several widths, before and after some steps of training.

    Attributes
    ----------
    title
        What was trained.
    rows
        One entry a width, seed, step and layer.
    """

    title: str
    rows: tuple[Coordinate, ...]

    @property
    def layers(self) -> list[str]:
        """Names of the layers, in their order."""
        return list(dict.fromkeys(row.layer for row in self.rows))

    @property
    def steps(self) -> list[int]:
        """Numbers of the steps, 0 before any."""
        return sorted({row.step for row in self.rows})

    @property
    def widths(self) -> list[int]:
        """The widths."""
        return sorted({row.width for row in self.rows})

    def sizes(self, layer: str, step: int) -> dict[int, float]:
        """Return width -> mean size over the seeds."""
        found: dict[int, list[float]] = {}
        for row in self.rows:
            if row.layer == layer and row.step == step:
                found.setdefault(row.width, []).append(row.size)
        return {width: float(np.mean(values)) for width, values in sorted(found.items())}

    def slope(self, layer: str, step: int) -> float:
        """Return the exponent p of size ~ width^p by least squares on logarithms; NaN where sizes are 0 or infinite."""
        sizes = self.sizes(layer, step)
        if len(sizes) < 2 or not all(0 < size < math.inf for size in sizes.values()):
            return math.nan
        x, y = np.log(list(sizes)), np.log(list(sizes.values()))
        return float(np.polyfit(x, y, 1)[0])

    @property
    def verdict(self) -> str:
        """How sizes go with the width: "stable", "growing", "shrinking" or "nonfinite"."""
        return self._finding()[0]

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self._finding()[1]

    def _finding(self) -> tuple[str, str]:
        last = self.steps[-1]
        lost = [row for row in self.rows if not math.isfinite(row.size)]
        if lost:
            r = lost[0]
            return (
                "nonfinite",
                f"the outputs of {r.layer} are infinite or not a number at width {r.width}, step {r.step}",
            )
        slopes = {layer: self.slope(layer, last) for layer in self.layers}
        known = {layer: slope for layer, slope in slopes.items() if math.isfinite(slope)}
        if not known:
            return "stable", "nothing changes with the width"
        worst = max(known, key=lambda layer: abs(known[layer]))
        what = f"after {last} steps the outputs of {worst} go like width^{known[worst]:.2f}"
        if abs(known[worst]) <= STEEP:
            return "stable", f"{what}, and no layer's change more"
        return ("growing" if known[worst] > 0 else "shrinking"), what

    def __repr__(self) -> str:
        return writable(f"CoordResult({self.title}: {self.verdict})")

    def __str__(self) -> str:
        return writable(f"{self.title}: {self.verdict} ({self.reason})")

    def table(self) -> Table:
        """Return a table of the sizes after the last step, and the exponents after the first and the last."""
        first, last = self.steps[0], self.steps[-1]
        rows = []
        for layer in self.layers:
            sizes = self.sizes(layer, last)
            ends = (f"{self.slope(layer, first):.2f}", f"{self.slope(layer, last):.2f}")
            rows.append((layer, *(number(sizes.get(width, math.nan), 3) for width in self.widths), *ends))
        heads = ("layer", *map(str, self.widths), f"exponent, step {first}", f"exponent, step {last}")
        return Table(self.title, heads, tuple(rows), f"{self.verdict}: {self.reason}", left=frozenset({"layer"}))

    def to_pandas(self) -> pandas.DataFrame:
        """Return a data frame with one row a width, seed, step and layer."""
        with needs("pandas", extra="data"):
            import pandas
        return pandas.DataFrame(self.rows, columns=Coordinate._fields)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings."""
        return {"title": self.title, "rows": plain([list(row) for row in self.rows])}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything as JSON; the file appears whole or not at all."""
        with replacing(path) as file:
            file.write((json.dumps(self.to_dict(), allow_nan=False) + "\n").encode())

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw size against width, a panel a step and a line a layer, into a PNG, SVG or PDF file."""
        with whole:
            from ..showing.coordinate_plots import plot_coordinates

        plot_coordinates(self, path)


def coordinates(title: str, rows: Iterable[Coordinate]) -> CoordResult:
    """Return the result of these rows."""
    return CoordResult(title, tuple(rows))
