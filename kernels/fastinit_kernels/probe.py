"""The driver of the deep forward probe: one call runs all layers, forward and backward."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import backward as backward_pass
from .forward import Layer, Plan
from .gemm import CHUNK
from .sources import Source

__all__ = ["Layer", "Source", "run"]

# Bytes of activations above which a forward-only probe takes its rows in blocks.
ACTIVATION_BUDGET = 1 << 30


def run(
    activation: str,
    layers: Sequence[Layer],
    inputs: Source,
    batch: int,
    *,
    bins: int,
    dtype: Any = np.float32,
    cotangent: Source | None = None,
    block_rows: int | None = None,
) -> dict[str, NDArray[Any]]:
    """Send a batch through the layers and return every figure by name, one entry a layer.

    Parameters
    ----------
    activation
        Name of phi.
    layers
        Sizes and sources of every layer; each one's n_in is the n_out of the one before.
    inputs
        Where the input (batch, n_0) comes from.
    batch
        Rows of the input.
    bins
        Bins of each histogram.
    dtype
        The compute type, float32 or float64; arrays of the sources must have it.
    cotangent
        Where dL/da_last (batch, n_last) comes from; None: no backward pass.
    block_rows
        Forward only: rows that go through the network together; None: as many as fit a gigabyte. The figures do not
        depend on it beyond the rounding of float64.

    Returns
    -------
    dict of array
        float64 (depth,) by figure; histogram int64 (depth, bins), underflow and overflow int64.
    """
    if cotangent is None and block_rows is None:
        row = 2 * np.dtype(dtype).itemsize * max(max(layer.n_in, layer.n_out) for layer in layers)
        block_rows = ACTIVATION_BUDGET // row
    if cotangent is not None or block_rows is None or block_rows >= batch:
        block_rows = batch
    else:
        block_rows = max(1, block_rows // CHUNK) * CHUNK
    plan = Plan(layers, inputs, batch, bins, dtype, keep=cotangent is not None, block_rows=block_rows)
    plan.run(activation)
    figures = plan.figures()
    gradients = {name: np.full(len(layers), np.nan) for name in backward_pass.FIGURES}
    if cotangent is not None:
        gradients = backward_pass.run(plan, cotangent)
    return figures | gradients
