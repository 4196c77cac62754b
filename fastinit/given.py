"""Arrays that a caller gives a probe: inputs, weights, biases, checked and made contiguous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arguments import check_fits
from .dtypes import DTYPES
from .errors import check_finite

Array = NDArray[Any]


def check_inputs(inputs: Any, compute: Any, conv: bool) -> Array:
    """Return the input (batch, features), of a convolution (batch, side, side, channels)."""
    x = numbers("inputs", inputs, compute)
    if conv and (x.ndim != 4 or not x.size or x.shape[1] != x.shape[2]):
        rule = "images (batch, side, side, channels), none of them 0"
        raise ValueError(f"argument 'inputs' must be {rule}, got shape {x.shape}")
    if not conv and (x.ndim != 2 or not x.size):
        raise ValueError(f"argument 'inputs' must have shape (batch, features), neither of them 0, got {x.shape}")
    bad = int(x.size - np.isfinite(x).sum())
    if bad:
        raise ValueError(f"argument 'inputs' must be finite in {np.dtype(compute).name}, got {bad} values that are not")
    return x


def check_weights(weights: Any, dtype: str, conv: int | None) -> tuple[Array, ...]:
    """Return the weights of all layers: matrices, or the kernels of convolutions of that size."""
    rule = f"({conv}, {conv}, n_in, n_out)" if conv else "(n_in, n_out)"
    if not isinstance(weights, Sequence) or isinstance(weights, str) or not weights:
        raise TypeError(f"argument 'weights' must be a list of arrays {rule}, got {type(weights).__name__}")
    matrices = tuple(numbers("weights", w, DTYPES[dtype]) for w in weights)
    for layer, w in enumerate(matrices):
        if not w.size or w.shape[:-2] != ((conv, conv) if conv else ()) or w.ndim < 2:
            raise ValueError(f"argument 'weights' must hold arrays {rule}, got shape {w.shape} in layer {layer}")
        if layer and w.shape[-2] != matrices[layer - 1].shape[-1]:
            raise ValueError(
                f"argument 'weights' must chain: layer {layer} needs n_in = {matrices[layer - 1].shape[-1]}, "
                f"got shape {w.shape}"
            )
    return matrices


def check_bias(bias: Any, sizes: tuple[int, ...], compute: Any) -> float | tuple[Array, ...]:
    """Return the constant of all biases, or an array a layer."""
    if isinstance(bias, str):
        if bias != "zeros":
            raise ValueError(f"argument 'bias' must be 'zeros', a finite number or a list of arrays, got {bias!r}")
        return 0.0
    if not isinstance(bias, Sequence):
        return check_fits("bias", check_finite("bias", bias), np.dtype(compute).name)
    vectors = tuple(numbers("bias", b, compute) for b in bias)
    shapes = [b.shape for b in vectors]
    if shapes != [(n,) for n in sizes[1:]]:
        raise ValueError(
            f"argument 'bias' must hold one array a layer, of {list(sizes[1:])} units, got shapes {shapes}"
        )
    return vectors


def numbers(argument: str, value: Any, compute: Any) -> Array:
    """Return real numbers as a contiguous array of the type of the arithmetic."""
    x = np.asarray(value)
    if x.dtype.kind not in "fiub" and x.dtype.name not in DTYPES:
        raise TypeError(f"argument '{argument}' must hold real numbers, got dtype {x.dtype}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(x, dtype=compute)
