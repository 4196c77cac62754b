"""From merged records to the figures of a probe, one entry a layer."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .merging import combine
from .records import LAYER_RECORD, VALUE_RECORD
from .workspace import Workspace

GRADIENTS = (
    "gradient_std", "gradient_max", "gradient_zero", "gradient_nonfinite", "weight_gradient_std", "updated_distinct",
)  # fmt: skip


def forward_figures(space: Workspace) -> dict[str, NDArray[Any]]:
    """All that the forward pass measures."""
    layout, buffers = space.layout, space.buffers
    records = combine(LAYER_RECORD, buffers["records"], layout.record)
    weights = combine(VALUE_RECORD, buffers["weight_records"], layout.record)
    a, z = records["a"], records["z"]
    histogram = buffers["histogram"].sum(axis=0).reshape(layout.depth, -1)
    widths, nan = np.array(layout.widths), np.full(layout.depth, np.nan)
    with np.errstate(all="ignore"):
        z_std, w_std = std(z), std(weights)
        saturable = not np.isnan(space.layers[0].saturation[0])  # one activation has one rule
        # Rows 2m and 2m + 1 are neighbours in one image, where images have no partners.
        paired = layout.batch.side == 1 or layout.batch.together == 2
        return {
            "mean": a["mean"].copy(),
            "std": std(a),
            "min": a["minimum"].copy(),
            "max": a["maximum"].copy(),
            "preactivation_mean": z["mean"].copy(),
            "preactivation_std": z_std,
            "q": z_std**2 + z["mean"] ** 2,
            "saturated": records["saturated"] / a["count"] if saturable else nan.copy(),
            "zero": a["zeros"] / a["count"],
            "dead": _by_layer(_dead, buffers["zeros"] == layout.rows, layout.units),
            "nonfinite": layout.rows * widths[1:] - a["count"],
            "distinct": _by_layer(_distinct, buffers["hashes"], layout.units),
            "correlation": records["pairs"] / records["pair_squares"] if paired else nan,
            "chi": records["slopes"] / z["count"] * (layout.taps * widths[:-1]) * w_std**2,
            "weight_mean": weights["mean"].copy(),
            "weight_std": w_std,
            "weight_nonfinite": weights["nonfinite"].copy(),
            "weight_distinct": _by_layer(_distinct, buffers["weight_hashes"], layout.units),
            "histogram": histogram[:, :-3].copy(),
            "underflow": histogram[:, -1].copy(),
            "overflow": histogram[:, -3].copy(),
        }


def _by_layer(figure: Any, values: NDArray[Any], starts: NDArray[Any]) -> NDArray[Any]:
    """Apply `figure`, a function along the last axis, to each layer's part of `values`."""
    sizes = np.diff(starts)
    if (sizes == sizes[0]).all():
        return np.asarray(figure(values.reshape(len(sizes), -1)), np.float64)
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
    delta, weights = (
        combine(VALUE_RECORD, kind, np.concatenate([[0], end])) for kind, end in zip(records, ends.T, strict=True)
    )
    bad = nonfinite[: len(ends)] > 0
    lost = np.logical_or.accumulate(bad[::-1])[::-1]
    with np.errstate(all="ignore"):
        figures = {
            "gradient_std": std(delta),
            "gradient_max": np.maximum(-delta["minimum"], delta["maximum"]),
            "gradient_zero": delta["zeros"] / delta["count"],
            "gradient_nonfinite": delta["nonfinite"].copy(),
            "weight_gradient_std": std(weights),
            "updated_distinct": _by_layer(_distinct, hashes, units),
        }
    for values in figures.values():
        values[lost] = np.nan
    figures["weight_gradient_std"][1:][bad[:-1]] = np.nan  # dW is of the activations below, too
    return figures
