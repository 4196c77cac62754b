"""Figures of the layers of somebody else's network: from arrays of what goes through it.

The kernels of `probe` measure networks that they compute themselves. What another library computes comes here as
arrays; a figure means the same, wherever it exists (`FIGURES`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Figures of an output, of its gradient, and of the layer's weight.
OUTPUT = ("mean", "std", "min", "max", "saturated", "zero", "dead", "nonfinite", "distinct", "correlation")
GRADIENT = ("gradient_std", "gradient_max", "gradient_zero", "gradient_nonfinite")
WEIGHT = ("weight_mean", "weight_std", "weight_nonfinite", "weight_distinct", "weight_gradient_std", "updated_distinct")
HISTOGRAM = ("underflow", "overflow")
OBSERVED = (*OUTPUT, *GRADIENT, *WEIGHT, *HISTOGRAM)


@dataclass
class LayerRecord:
    """What was observed of one layer, or of one call of a layer that is called several times.

    Attributes
    ----------
    name
        The module's, with the number of the call from the second on.
    kind
        The module's class.
    shape
        Of the output.
    figures
        By their names in `FIGURES`; those that are missing are NaN.
    fan_in, weights
        Connections into a unit, and the number of weights; 0 without any.
    histogram, bin_edges
        Of the output's values.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    figures: dict[str, float] = field(default_factory=dict)
    fan_in: float = 0.0
    weights: int = 0
    histogram: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    bin_edges: Array = field(default_factory=lambda: np.zeros(1))


def output_figures(values: Array, units: int, saturation: tuple[float, float] | None = None) -> dict[str, float]:
    """Return the figures of an output.

    Parameters
    ----------
    values
        Of any shape, the batch first.
    units
        The axis that numbers the units (features or channels); all others number rows.
    saturation
        Values outside are saturated; None: there is no such rule.
    """
    rows = np.moveaxis(values, units, -1).reshape(-1, values.shape[units]).astype(np.float64)
    finite = np.isfinite(rows)
    known = rows[finite]
    figures = {"nonfinite": float(rows.size - known.size), "distinct": float(_distinct(rows))}
    if not known.size:
        return figures
    with np.errstate(all="ignore"):
        figures |= {
            "mean": float(known.mean()),
            "std": float(known.std()),
            "min": float(known.min()),
            "max": float(known.max()),
            "zero": float(np.mean(known == 0)),
            "dead": float(np.mean((rows == 0).all(axis=0))),
            "correlation": _correlation(values),
        }
    if saturation is not None:
        figures["saturated"] = float(np.mean((known < saturation[0]) | (known > saturation[1])))
    return figures


def gradient_figures(gradient: Array) -> dict[str, float]:
    """Return the figures of a gradient that comes to an output."""
    values = gradient.astype(np.float64).ravel()
    known = values[np.isfinite(values)]
    figures = {"gradient_nonfinite": float(values.size - known.size)}
    if known.size:
        with np.errstate(all="ignore"):
            zero = float(np.mean(known == 0))
            figures |= {"gradient_std": float(known.std()), "gradient_max": float(np.abs(known).max())}
            figures["gradient_zero"] = zero
    return figures


def weight_figures(weight: Array, gradient: Array | None, units: int) -> dict[str, float]:
    """Return the figures of a weight, and of its gradient; `units` is the axis that numbers the units."""
    columns = np.moveaxis(weight, units, -1).reshape(-1, weight.shape[units]).astype(np.float64)
    known = columns[np.isfinite(columns)]
    figures = {
        "weight_nonfinite": float(columns.size - known.size),
        "weight_distinct": float(_distinct(columns)),
    }
    if known.size:
        with np.errstate(all="ignore"):
            figures |= {"weight_mean": float(known.mean()), "weight_std": float(known.std())}
    if gradient is not None:
        changes = np.moveaxis(gradient, units, -1).reshape(columns.shape).astype(np.float64)
        with np.errstate(all="ignore"):
            figures["weight_gradient_std"] = float(changes.std())
        figures["updated_distinct"] = float(_distinct(np.concatenate([columns, changes])))
    return figures


def histogram(values: Array, bins: int, limits: tuple[float, float] | None) -> tuple[Array, Array, int, int]:
    """Return counts, edges, and how many values lie below and above."""
    known = values[np.isfinite(values)].astype(np.float64).ravel()
    low, high = limits or ((float(known.min()), float(known.max())) if known.size else (-1.0, 1.0))
    if not low < high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(known, bins, (low, high))
    return counts.astype(np.int64), edges, int((known < low).sum()), int((known > high).sum())


def _distinct(columns: Array) -> int:
    contiguous = np.ascontiguousarray(columns.T)
    if not contiguous.size:
        return 0
    return len({row.tobytes() for row in contiguous})


def _correlation(values: Array) -> float:
    """Of the pairs (2m, 2m + 1) of inputs: the sum of their products over that of their squares."""
    pairs = values[: len(values) // 2 * 2].astype(np.float64).reshape(len(values) // 2, 2, -1)
    if not pairs.size:
        return math.nan
    a, b = pairs[:, 0], pairs[:, 1]
    total = float((a * a).sum() + (b * b).sum()) / 2
    return float((a * b).sum()) / total if 0 < total < math.inf else math.nan
