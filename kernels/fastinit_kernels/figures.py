"""From merged records to the figures of a probe, one entry a layer."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import merging
from .plan import Plan

GRADIENTS = ("gradient_std", "weight_gradient_std", "gradient_zero")


def forward_figures(plan: Plan) -> dict[str, NDArray[Any]]:
    """All that the forward pass measures."""
    depth = len(plan.layers)
    records, weights = np.empty((depth, merging.LAYER_RECORD)), np.empty((depth, merging.RECORD))
    merging.combine(plan.records, plan.record, records)
    merging.combine(plan.weight_records, plan.record, weights)
    histogram = plan.histogram.sum(axis=0).reshape(depth, -1)
    saturable = np.array([not np.isnan(layer.saturation[0]) for layer in plan.layers])
    with np.errstate(all="ignore"):
        a_std, z_std, w_std = (std(table) for table in (records, records[:, merging.Z_RECORD :], weights))
        some, z_count = records[:, merging.COUNT], records[:, merging.Z_RECORD + merging.COUNT]
        z_mean = records[:, merging.Z_RECORD + merging.MEAN]
        elements = np.array([plan.rows * layer.n_out for layer in plan.layers])
        fan_in = np.array([plan.inputs.taps * layer.n_in for layer in plan.layers])
        return {
            "mean": np.where(some > 0, records[:, merging.MEAN], np.nan),
            "std": a_std,
            "min": np.where(some > 0, records[:, merging.MINIMUM], np.nan),
            "max": np.where(some > 0, records[:, merging.MAXIMUM], np.nan),
            "preactivation_mean": np.where(z_count > 0, z_mean, np.nan),
            "preactivation_std": z_std,
            "q": z_std**2 + z_mean**2,
            "saturated": np.where(saturable, records[:, merging.SATURATED_COUNT] / some, np.nan),
            "zero": records[:, merging.ZEROS] / some,
            "dead": _by_layer(_dead, plan.zeros == plan.rows, plan.units),
            "nonfinite": elements - some,
            "distinct": _by_layer(_distinct, plan.hashes, plan.units),
            "correlation": _correlation(plan, records),
            "chi": records[:, merging.SLOPE_SUM] / z_count * fan_in * w_std**2,
            "weight_std": w_std,
            "histogram": histogram[:, :-3].copy(),
            "underflow": histogram[:, -1].copy(),
            "overflow": histogram[:, -3].copy(),
        }


def _correlation(plan: Plan, records: NDArray[Any]) -> NDArray[Any]:
    if plan.inputs.side > 1 and plan.inputs.together == 1:
        return np.full(len(records), np.nan)  # rows 2m and 2m + 1 are neighbours in one image
    return np.asarray(records[:, merging.PAIR_SUM] / records[:, merging.PAIR_SQUARE_SUM])


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
    """Return the standard deviations of records, NaN where nothing was counted."""
    count = records[:, merging.COUNT]
    return np.where(count > 0, np.sqrt(records[:, merging.M2] / count), np.nan)


def gradient_figures(records: NDArray[Any], weight_records: NDArray[Any], ends: NDArray[np.int64]) -> dict[str, Any]:
    """What the backward pass measures; `ends`: where each layer's records of either kind end."""
    merged = np.empty((2, len(ends), merging.RECORD))
    for out, flat, end in zip(merged, (records, weight_records), ends.T, strict=True):
        merging.combine(flat, np.concatenate([[0], end]), out)
    with np.errstate(all="ignore"):
        return {
            "gradient_std": std(merged[0]),
            "weight_gradient_std": std(merged[1]),
            "gradient_zero": merged[0][:, merging.ZEROS] / merged[0][:, merging.COUNT],
        }
