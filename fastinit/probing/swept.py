"""What a sweep found: the probes of a grid, as far as they came, and the error that tells of the others."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..activations import label
from ..markup import table
from ..words import needs, shown
from .drawn import DrawnSweep
from .exported import Tabular
from .figures import FIGURES
from .result import ProbeResult
from .store import read

if TYPE_CHECKING:
    import xarray

_MOST_SHOWN = 100


@dataclass(frozen=True, eq=False, repr=False)
class SweepResult(DrawnSweep, Tabular):
    """The probes of a grid; iterate over it for (arguments, probe) pairs.

    Parameters
    ----------
    grid
        Argument -> its values.
    results
        A probe for each point, in the order of `itertools.product` over the grid; None where it failed or the sweep
        was stopped.
    errors
        Index of a point -> why it has no result, or why the store does not have it.
    """

    grid: dict[str, tuple[Any, ...]]
    results: tuple[ProbeResult | None, ...]
    errors: dict[int, Exception] = field(default_factory=dict)

    @property
    def points(self) -> list[dict[str, Any]]:
        """The arguments of each point."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]

    @property
    def complete(self) -> bool:
        """Whether every point is done."""
        return None not in self.results

    def __len__(self) -> int:
        """Number of points that are done."""
        return sum(result is not None for result in self.results)

    def __iter__(self) -> Iterator[tuple[dict[str, Any], ProbeResult]]:
        for point, result in zip(self.points, self.results, strict=True):
            if result is not None:
                yield point, result

    def __repr__(self) -> str:
        axes = " x ".join(f"{name} {len(values)}" for name, values in self.grid.items() if len(values) > 1)
        count = f"{len(self)} points" if self.complete else f"{len(self)} of {len(self.results)} points"
        errors = f", {len(self.errors)} errors" if self.errors else ""
        return f"SweepResult({axes + ': ' if axes else ''}{count}{errors})"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SweepResult:
        """Read the store of a sweep: nothing is computed.

        Points that are not there are None. Arrays and functions of the grid are words.

        Raises
        ------
        ValueError
            The file is no store, or of a later format; names the file.
        OSError
            The file cannot be read.

        Warns
        -----
        RuntimeWarning
            Lines of the file do not belong; they are skipped.
        """
        grid, results = read(path)
        return cls(grid, tuple(results))

    def _columns(self) -> dict[str, Any]:
        """A row a point and layer: the grid's columns, `layer`, every figure, `verdict`."""
        done = list(self)
        depths = [result.depth for _, result in done]
        columns: dict[str, Any] = {
            name: _repeat([label(point[name]) for point, _ in done], depths) for name in self.grid
        }
        columns["layer"] = np.concatenate([np.arange(depth) for depth in depths] or [np.arange(0)])
        for name in FIGURES:
            columns[name] = np.concatenate([getattr(result, name) for _, result in done] or [np.zeros(0)])
        columns["verdict"] = _repeat([result.verdict for _, result in done], depths)
        return columns

    def _repr_html_(self) -> str:
        names = [name for name, values in self.grid.items() if len(values) > 1]
        rows = [(*(label(point[name]) for name in names), result.verdict, result.reason) for point, result in self]
        words = repr(self) if len(rows) <= _MOST_SHOWN else f"{self!r}, of which the first {_MOST_SHOWN}"
        return table((*names, "verdict", "reason"), rows[:_MOST_SHOWN], words)

    def to_xarray(self) -> xarray.Dataset:
        """Return a dataset with an axis for each argument of several values and one for the layers.

        NaN stands where there is no such layer, or where the point is not done.
        """
        with needs("xarray", extra="data"):
            import xarray
        dims = tuple(name for name, values in self.grid.items() if len(values) > 1)
        shape = tuple(len(self.grid[name]) for name in dims)
        layers = max((result.depth for _, result in self), default=0)
        figures = {name: np.full((len(self.results), layers), np.nan) for name in FIGURES}
        verdicts = np.full(len(self.results), "", dtype=object)
        for index, result in enumerate(self.results):
            if result is not None:
                verdicts[index] = result.verdict
                for name, values in figures.items():
                    values[index, : result.depth] = getattr(result, name)
        variables: dict[str, Any] = {
            name: ((*dims, "layer"), values.reshape(*shape, layers)) for name, values in figures.items()
        }
        variables["verdict"] = (dims, verdicts.reshape(shape))
        coordinates: dict[str, Any] = {
            name: [label(value) for value in values] if name in dims else label(values[0])
            for name, values in self.grid.items()
        }
        return xarray.Dataset(variables, {**coordinates, "layer": np.arange(layers)})


class SweepError(RuntimeError):
    """A point of a sweep failed; `result` has what is done, the cause is the first failure."""

    result: SweepResult
    """All finished points; its `errors` are the failures."""

    @classmethod
    def of(cls, swept: SweepResult) -> SweepError:
        """Return the error that names the first point that failed."""
        index, cause = next(iter(swept.errors.items()))
        several = {name: label(swept.points[index][name]) for name, values in swept.grid.items() if len(values) > 1}
        words = ", ".join(f"{name}={shown(value)}" for name, value in several.items())
        others = len(swept.errors) - 1
        error = cls(
            f"point {index}{f' ({words})' if words else ''}{f' and {others} more' if others else ''} failed: "
            f"{type(cause).__name__}: {cause}; {len(swept)} of {len(swept.results)} points are done, and in this "
            "error's `result`"
        )
        error.result = swept
        return error


def _repeat(values: list[Any], times: list[int]) -> list[Any]:
    return [value for value, count in zip(values, times, strict=True) for _ in range(count)]
