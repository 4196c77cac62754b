"""The backward pass in NumPy, until the kernels have theirs: the forward pass again, keeping every layer's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .network import Network

Array = NDArray[Any]


def gradients(
    network: Network, weights: Sequence[Array], biases: Sequence[Any], inputs: Array, cotangent: Array
) -> dict[str, Array]:
    """Return the standard deviations of dL/dz_l and dL/dW_l."""
    phi, p = network.activation, network.parameter
    values, slopes = [inputs], []
    with np.errstate(all="ignore"):
        for w, b in zip(weights, biases, strict=True):
            z = values[-1] @ w + b
            slopes.append(phi.derivative(z, p).astype(z.dtype))
            values.append(np.asarray(phi.function(z, p)).astype(z.dtype))
        upstream = cotangent
        gradient, weight_gradient = np.empty(network.depth), np.empty(network.depth)
        for layer in reversed(range(network.depth)):
            delta = upstream * slopes[layer]
            gradient[layer] = _std(delta)
            weight_gradient[layer] = _std(values[layer].T @ delta)
            upstream = delta @ weights[layer].T
    return {"gradient_std": gradient, "weight_gradient_std": weight_gradient}


def _std(x: Array) -> float:
    finite = x[np.isfinite(x)].astype(np.float64)
    return float(finite.std()) if finite.size else float("nan")
