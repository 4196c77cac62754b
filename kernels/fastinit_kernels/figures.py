"""From merged records to the figures of a probe, one entry a layer."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import merging
from .plan import Plan

_Z = merging.Z_RECORD
GRADIENTS = (
    "gradient_std", "gradient_max", "gradient_zero", "gradient_nonfinite", "weight_gradient_std", "updated_distinct",
)  # fmt: skip


def forward_figures(plan: Plan) -> dict[str, NDArray[Any]]:
    """All that the forward pass measures."""
    layout = plan.layout
    records = _combined(plan.records, layout.record, merging.LAYER_RECORD)
    weights = _combined(plan.weight_records, layout.record, merging.RECORD)
    histogram = plan.histogram.sum(axis=0).reshape(layout.depth, -1)
    widths = np.array(layout.widths)
    with np.errstate(all="ignore"):
        some, z_some, z_mean = records[merging.COUNT], records[_Z + merging.COUNT], records[_Z + merging.MEAN]
        z_std, w_std = std(records[_Z:]), std(weights)
        saturable = not np.isnan(plan.layers[0].saturation[0])  # one activation has one rule
        # Rows 2m and 2m + 1 are neighbours in one image, where images have no partners.
        pairs = layout.batch.side == 1 or layout.batch.together == 2
        return {
            "mean": records[merging.MEAN],
            "std": std(records),
            "min": records[merging.MINIMUM],
            "max": records[merging.MAXIMUM],
            "preactivation_mean": z_mean,
            "preactivation_std": z_std,
            "q": z_std**2 + z_mean**2,
            "saturated": records[merging.SATURATED_COUNT] / some if saturable else np.full(layout.depth, np.nan),
            "zero": records[merging.ZEROS] / some,
            "dead": _by_layer(_dead, plan.zeros == layout.rows, layout.units),
            "nonfinite": layout.rows * widths[1:] - some,
            "distinct": _by_layer(_distinct, plan.hashes, layout.units),
            "correlation": (
                records[merging.PAIR_SUM] / records[merging.PAIR_SQUARE_SUM] if pairs else np.full(layout.depth, np.nan)
            ),
            "chi": records[merging.SLOPE_SUM] / z_some * (layout.taps * widths[:-1]) * w_std**2,
            "weight_mean": weights[merging.MEAN],
            "weight_std": w_std,
            "weight_nonfinite": weights[merging.NONFINITE],
            "weight_distinct": _by_layer(_distinct, plan.weight_hashes, layout.units),
            "histogram": histogram[:, :-3].copy(),
            "underflow": histogram[:, -1].copy(),
            "overflow": histogram[:, -3].copy(),
        }


def _combined(records: NDArray[Any], starts: NDArray[np.int64], length: int) -> NDArray[Any]:
    """Merge each layer's records: one row a number of the record, one column a layer, NaN where nothing was counted."""
    table = np.empty((len(starts) - 1, length))
    merging.combine(records, starts, table)
    columns = np.ascontiguousarray(table.T)
    for at in range(0, length - merging.RECORD + 1, merging.RECORD):
        nothing = columns[at + merging.COUNT] == 0
        if nothing.any():
            columns[at + merging.MEAN : at + merging.MAXIMUM + 1, nothing] = np.nan
    return columns


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


def std(records: NDArray[Any]) -> NDArray[Any]:
    """Return the standard deviations of records, one a column."""
    return np.asarray(np.sqrt(records[merging.M2] / records[merging.COUNT]))


def gradient_figures(
    records: NDArray[Any],
    weight_records: NDArray[Any],
    ends: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    units: NDArray[np.int64],
    nonfinite: NDArray[Any],
) -> dict[str, Any]:
    """What the backward pass measures.

    Parameters
    ----------
    records, weight_records
        Of delta and of dW, and `ends`: where each layer's records of either kind end.
    hashes
        Of each unit's weights and their gradients, and `units`: each layer's first unit, and the end.
    nonfinite
        Counts of infinities and NaNs among each layer's activations: whatever passes through such a layer is lost.
    """
    delta, weights = (
        _combined(flat, np.concatenate([[0], end]), merging.RECORD)
        for flat, end in zip((records, weight_records), ends.T, strict=True)
    )
    bad = nonfinite[: len(ends)] > 0
    lost = np.logical_or.accumulate(bad[::-1])[::-1]
    with np.errstate(all="ignore"):
        figures = {
            "gradient_std": std(delta),
            "gradient_max": np.maximum(-delta[merging.MINIMUM], delta[merging.MAXIMUM]),
            "gradient_zero": delta[merging.ZEROS] / delta[merging.COUNT],
            "gradient_nonfinite": delta[merging.NONFINITE].copy(),
            "weight_gradient_std": std(weights),
            "updated_distinct": _by_layer(_distinct, hashes, units),
        }
    for values in figures.values():
        values[lost] = np.nan
    figures["weight_gradient_std"][1:][bad[:-1]] = np.nan  # dW is of the activations below, too
    return figures
