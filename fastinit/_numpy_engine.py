"""The probe's arithmetic in NumPy: stands in until the fused kernels take over, figure for figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .activations import Activation

Array = NDArray[Any]


@dataclass(frozen=True)
class Layer:
    """One layer as the engine sees it."""

    weights: Array
    bias: Array | None
    activation: Activation
    parameter: float
    range: tuple[float, float]


def run(layers: Sequence[Layer], inputs: Array, cotangent: Array | None, bins: int, dtype: Any) -> dict[str, Array]:
    """Return every per-layer figure by name; `cotangent` None: no backward pass."""
    figures: dict[str, list[Any]] = {}
    values: list[tuple[Array, Array]] = []  # a_{l-1} and phi'(z_l) of each layer, for the backward pass
    a = inputs.astype(dtype)
    with np.errstate(all="ignore"):
        for layer in layers:
            w = layer.weights.astype(dtype)
            z = a @ w
            if layer.bias is not None:
                z += layer.bias.astype(dtype)
            slope = layer.activation.derivative(z, layer.parameter)
            values.append((a, slope))
            a = np.asarray(layer.activation.function(z, layer.parameter)).astype(dtype)
            for name, figure in _figures(layer, w, z, a, slope, bins).items():
                figures.setdefault(name, []).append(figure)
        gradients = _backward(layers, values, cotangent, dtype)
    out = {name: np.array(column) for name, column in figures.items()}
    return out | gradients


def _figures(layer: Layer, w: Array, z: Array, a: Array, slope: Array, bins: int) -> dict[str, Any]:
    finite = np.isfinite(a)
    x = a[finite].astype(np.float64)
    u = z[np.isfinite(z)].astype(np.float64)
    low, high = layer.range
    edges = np.linspace(low, high, bins + 1)
    saturated = layer.activation.is_saturated(x).mean() if layer.activation.saturation and x.size else np.nan
    even = len(z) // 2 * 2
    p, r = z[0:even:2].astype(np.float64), z[1:even:2].astype(np.float64)
    pairs = ((p * p + r * r) / 2).sum()
    empty = not x.size
    return {
        "mean": np.nan if empty else x.mean(),
        "std": np.nan if empty else x.std(),
        "min": np.nan if empty else x.min(),
        "max": np.nan if empty else x.max(),
        "preactivation_mean": u.mean() if u.size else np.nan,
        "preactivation_std": u.std() if u.size else np.nan,
        "q": (u * u).mean() if u.size else np.nan,
        "saturated": saturated,
        "zero": np.nan if empty else (x == 0).mean(),
        "dead": (a == 0).all(axis=0).mean(),
        "nonfinite": int((~finite).sum()),
        "distinct": len({column.tobytes() for column in np.ascontiguousarray((a + a.dtype.type(0)).T)}),
        "correlation": (p * r).sum() / pairs if pairs > 0 else np.nan,
        "chi": np.square(slope[np.isfinite(slope)]).mean() * len(w) * w.astype(np.float64).var(),
        "weight_std": w.astype(np.float64).std(),
        "histogram": np.histogram(x, edges)[0],
        "bin_edges": edges,
        "underflow": int((x < low).sum()),
        "overflow": int((x > high).sum()),
    }


def _backward(
    layers: Sequence[Layer], values: list[tuple[Array, Array]], cotangent: Array | None, dtype: Any
) -> dict[str, Array]:
    gradient = np.full(len(layers), np.nan)
    weight_gradient = np.full(len(layers), np.nan)
    upstream = cotangent
    if upstream is not None:
        for index in reversed(range(len(layers))):
            a, slope = values[index]
            delta = (upstream * slope).astype(dtype)
            gradient[index] = _std(delta)
            weight_gradient[index] = _std(a.T @ delta)
            upstream = delta @ layers[index].weights.astype(dtype).T
    return {"gradient_std": gradient, "weight_gradient_std": weight_gradient}


def _std(x: Array) -> float:
    finite = x[np.isfinite(x)].astype(np.float64)
    return float(finite.std()) if finite.size else float("nan")
