"""From merged records to the figures of a probe, one entry a layer: FORWARD and BACKWARD hold each one's formula."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .merging import combine
from .records import LAYER_RECORD, VALUE_RECORD
from .workspace import Workspace


class ForwardRecords:
    """What the forward pass leaves: merged records of each layer's a, z and W, and counts and hashes of its units.

    `both` has the sums over a and z that `records.SUMS` names.
    """

    def __init__(self, space: Workspace) -> None:
        self.arrangement, self.buffers = space.arrangement, space.buffers
        self.both = combine(LAYER_RECORD, self.buffers["records"], self.arrangement.record)
        self.a, self.z = self.both["a"], self.both["z"]
        self.weights = combine(VALUE_RECORD, self.buffers["weight_records"], self.arrangement.record)
        self.histogram = self.buffers["histogram"].sum(axis=0).reshape(self.arrangement.depth, -1)
        self.z_std, self.weight_std = std(self.z), std(self.weights)
        self.n_in, self.n_out = np.array(self.arrangement.widths[:-1]), np.array(self.arrangement.widths[1:])
        self.saturable = ~np.isnan(space.stack.layer_table["least"])  # the layers whose activation has a rule
        # Rows 2m and 2m + 1 are neighbours in one image, where images have no partners.
        self.paired = self.arrangement.batch.side == 1 or self.arrangement.batch.interleaved == 2

    def undefined(self) -> NDArray[Any]:
        """A figure that there is not."""
        return np.full(self.arrangement.depth, np.nan)


FORWARD: dict[str, Callable[[ForwardRecords], Any]] = {
    "mean": lambda f: f.a["mean"].copy(),
    "std": lambda f: std(f.a),
    "min": lambda f: f.a["minimum"].copy(),
    "max": lambda f: f.a["maximum"].copy(),
    "preactivation_mean": lambda f: f.z["mean"].copy(),
    "preactivation_std": lambda f: f.z_std,
    "q": lambda f: f.z_std**2 + f.z["mean"] ** 2,
    "saturated": lambda f: np.where(f.saturable, f.both["saturated"] / f.a["count"], np.nan),
    "zero": lambda f: f.a["zeros"] / f.a["count"],
    "dead": lambda f: _by_layer(_dead, f.buffers["zeros"] == f.arrangement.rows, f.arrangement.units),
    "nonfinite": lambda f: f.arrangement.rows * f.n_out - f.a["count"],
    "distinct": lambda f: _by_layer(_distinct, f.buffers["hashes"], f.arrangement.units),
    "correlation": lambda f: f.both["pairs"] / f.both["pair_squares"] if f.paired else f.undefined(),
    "chi": lambda f: f.both["slopes"] / f.z["count"] * (f.arrangement.taps * f.n_in) * f.weight_std**2,
    "weight_mean": lambda f: f.weights["mean"].copy(),
    "weight_std": lambda f: f.weight_std,
    "weight_nonfinite": lambda f: f.weights["nonfinite"].copy(),
    "weight_distinct": lambda f: _by_layer(_distinct, f.buffers["weight_hashes"], f.arrangement.units),
    "histogram": lambda f: f.histogram[:, :-3].copy(),
    "underflow": lambda f: f.histogram[:, -1].copy(),
    "overflow": lambda f: f.histogram[:, -3].copy(),
}


class BackwardRecords:
    """What the backward pass leaves: merged records of each layer's delta and dW, and hashes of its units."""

    def __init__(
        self, records: tuple[Any, Any], ends: NDArray[np.int64], hashes: NDArray[np.uint64], units: NDArray[np.int64]
    ) -> None:
        self.delta, self.weights = (
            combine(VALUE_RECORD, kind, np.concatenate([[0], end])) for kind, end in zip(records, ends.T, strict=True)
        )
        self.hashes, self.units = hashes, units


BACKWARD: dict[str, Callable[[BackwardRecords], Any]] = {
    "gradient_std": lambda b: std(b.delta),
    "gradient_max": lambda b: np.maximum(-b.delta["minimum"], b.delta["maximum"]),
    "gradient_zero": lambda b: b.delta["zeros"] / b.delta["count"],
    "gradient_nonfinite": lambda b: b.delta["nonfinite"].copy(),
    "weight_gradient_std": lambda b: std(b.weights),
    "updated_distinct": lambda b: _by_layer(_distinct, b.hashes, b.units),
}


def forward_figures(space: Workspace) -> dict[str, NDArray[Any]]:
    """All that the forward pass measures."""
    with np.errstate(all="ignore"):
        found = ForwardRecords(space)
        return {name: formula(found) for name, formula in FORWARD.items()}


def _by_layer(figure: Any, values: NDArray[Any], starts: NDArray[Any]) -> NDArray[Any]:
    """Apply `figure`, a function along the last axis, to each layer's part of `values`."""
    depth, first = len(starts) - 1, int(starts[1] - starts[0])
    if values.size == depth * first and (starts[:-1] == np.arange(0, values.size, first or 1)).all():
        return np.asarray(figure(values.reshape(depth, -1)), np.float64)
    return np.array([figure(values[a:b]) for a, b in pairwise(starts)], np.float64)


def _dead(dead: NDArray[Any]) -> Any:
    return dead.mean(axis=-1)


def _distinct(hashes: NDArray[Any]) -> Any:
    ordered = np.sort(hashes, axis=-1)
    return 1 + np.count_nonzero(ordered[..., 1:] != ordered[..., :-1], axis=-1)


def std(records: Any) -> NDArray[Any]:
    """Return the standard deviations of records."""
    return np.asarray(np.sqrt(records["m2"] / records["count"]))


def gradient_figures(
    records: tuple[Any, Any],
    ends: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    units: NDArray[np.int64],
    nonfinite: NDArray[Any],
) -> dict[str, Any]:
    """What the backward pass measures.

    Parameters
    ----------
    records
        Of delta and of dW, and `ends`: where each layer's records of either kind end.
    hashes
        Of each unit's weights and their gradients, and `units`: each layer's first unit, and the end.
    nonfinite
        Counts of infinities and NaNs among each layer's activations: whatever passes through such a layer is lost.
    """
    bad = nonfinite[: len(ends)] > 0
    lost = np.logical_or.accumulate(bad[::-1])[::-1]
    with np.errstate(all="ignore"):
        found = BackwardRecords(records, ends, hashes, units)
        figures = {name: formula(found) for name, formula in BACKWARD.items()}
    for values in figures.values():
        values[lost] = np.nan
    figures["weight_gradient_std"][1:][bad[:-1]] = np.nan  # dW is of the activations below, too
    return figures
