"""Arrays that a caller gives a probe: inputs, weights, biases, checked and made contiguous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..theory.limits import MOST_LAYERS, Entries
from ..weights.dtypes import DTYPES, arithmetic
from ..words import check_finite, check_integer, entries, fitting, plain_array, plain_string, shown
from .arguments import check_fits
from .settings import Arguments

Array = NDArray[Any]

# The types in which a network is probed, of those that weights may have.
PROBED = {name: DTYPES[name] for name in ("float32", "float64", "float16", "bfloat16")}


def check_inputs(inputs: Any, compute: Any, conv: bool) -> Array:
    """Return the input (batch, features), of a convolution (batch, side, side, channels)."""
    x = numbers("inputs", inputs, compute)
    if conv and (x.ndim != 4 or not x.size or x.shape[1] != x.shape[2]):
        rule = "images (batch, side, side, channels), none of them 0"
        raise ValueError(f"argument 'inputs' must be {rule}, got shape {shown(x.shape)}")
    if not conv and (x.ndim != 2 or not x.size):
        raise ValueError(
            f"argument 'inputs' must have shape (batch, features), neither of them 0, got {shown(x.shape)}"
        )
    bad = int(x.size - np.isfinite(x).sum())
    if bad:
        raise ValueError(f"argument 'inputs' must be finite in {np.dtype(compute).name}, got {bad} values that are not")
    return x


def check_arithmetic(dtypes: Entries) -> str:
    """Return one of the types of the layers, which are all computed in one type."""
    first = dtypes.values[0]
    for layer, dtype in enumerate(dtypes.values):
        if arithmetic(dtype) != arithmetic(first):
            raise ValueError(
                f"argument 'dtype' must be computed in one type, which is {arithmetic(first)} for layer 0, "
                f"got {shown(dtype)} for layer {layer}"
            )
    return str(first)


def check_weights(weights: Any, dtypes: Entries, conv: int | None) -> tuple[Array, ...]:
    """Return the weights of all layers: matrices, or the kernels of convolutions of that size."""
    rule = f"({conv}, {conv}, n_in, n_out)" if conv else "(n_in, n_out)"
    given = entries(weights, MOST_LAYERS, Sequence)
    if not given or len(given) > MOST_LAYERS:
        raise TypeError(f"argument 'weights' must be a list of arrays {rule}, got {shown(weights)}")
    kinds = dtypes.spread(len(given))
    matrices = tuple(numbers("weights", w, PROBED[dtype]) for w, dtype in zip(given, kinds, strict=True))
    for layer, w in enumerate(matrices):
        if not w.size or w.shape[:-2] != ((conv, conv) if conv else ()) or w.ndim < 2:
            raise ValueError(f"argument 'weights' must hold arrays {rule}, got shape {w.shape} in layer {layer}")
        if layer and w.shape[-2] != matrices[layer - 1].shape[-1]:
            raise ValueError(
                f"argument 'weights' must chain: layer {layer} needs n_in = {matrices[layer - 1].shape[-1]}, "
                f"got shape {w.shape}"
            )
    return matrices


def check_bias(bias: Any, units: int, compute: Any) -> float | Array:
    """Return the constant of all biases of a layer, or their array."""
    word = plain_string(bias)
    if word not in (None, "zeros"):
        raise ValueError(f"argument 'bias' must be 'zeros', a finite number or a list of arrays, got {shown(bias)}")
    if word or entries(bias, 1) is None:
        return 0.0 if word else check_fits("bias", check_finite("bias", bias), np.dtype(compute).name)
    vector = numbers("bias", bias, compute)
    if vector.shape != (units,):
        raise ValueError(f"argument 'bias' must hold arrays of as many numbers as units, {units}, got {vector.shape}")
    return vector


def numbers(argument: str, value: Any, compute: Any) -> Array:
    """Return real numbers as a contiguous array of the type of the arithmetic."""
    x = plain_array(value)
    if x.dtype.kind == "c" or (x.dtype.kind not in "fiub" and x.dtype.name not in DTYPES):
        raise TypeError(f"argument '{argument}' must hold real numbers, got {shown(value)}")
    with np.errstate(over="ignore", invalid="ignore"), fitting(argument, x.shape):
        return np.ascontiguousarray(x, dtype=compute)


def check_widths(
    said: Arguments, units: list[int] | None, inputs: Array | None, matrices: tuple[Array, ...] | None
) -> tuple[int, ...]:
    """Return the size of the input and of each layer; `units`: those of layers that are listed."""
    widths = said.widths
    if matrices is not None:
        sizes = (matrices[0].shape[-2], *(w.shape[-1] for w in matrices))
        if widths is not None and entries(widths, len(sizes)) != [*sizes]:
            raise ValueError(f"argument 'widths' must be those of weights, {shown([*sizes])}, got {shown(widths)}")
    elif widths is not None:
        given = entries(widths, MOST_LAYERS + 1) or ()
        if not 2 <= len(given) <= MOST_LAYERS + 1:
            rule = "hold the input's size and that of each layer"
            raise ValueError(f"argument 'widths' must {rule}, got {shown(widths)}")
        sizes = tuple(check_integer("widths", n, minimum=1) for n in given)
    else:
        n = check_integer("width", said.width, minimum=1)
        first = n if inputs is None else inputs.shape[-1]
        sizes = (first, *(units or (n,) * check_integer("depth", said.depth, minimum=1, maximum=MOST_LAYERS)))
    if inputs is not None and inputs.shape[-1] != sizes[0]:
        what = "columns" if inputs.ndim == 2 else "channels"
        rule = f"have {shown(sizes[0])} {what}, the first of widths"
        raise ValueError(f"argument 'inputs' must {rule}, got {inputs.shape[-1]}")
    return sizes
