"""The driver of the deep forward probe: one launch a slab of rows runs all layers forward, one more backward."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..machine.ahead import prepare
from ..machine.jit import Kernel
from . import forward
from .backward import Backward
from .figures import BACKWARD, forward_figures
from .merging import COMBINERS
from .sources import Source
from .workspace import Inputs, Layer, Stack, Workspace

__all__ = ["Inputs", "Layer", "Source", "Stack", "run", "run_stack", "stack_of"]

# Bytes of activations above which the rows go through the network in slabs.
ACTIVATION_BUDGET = 1 << 30

Figures = dict[str, NDArray[Any]]


def run(
    layers: Sequence[Layer],
    inputs: Inputs,
    *,
    bins: int,
    dtype: Any = np.float32,
    cotangents: Mapping[int, Source] | None = None,
    slab_rows: int | None = None,
) -> tuple[Figures, dict[int, Figures]]:
    """Send a batch through the layers and return every figure by name, one entry a layer.

    Parameters
    ----------
    layers
        Sizes, sources and activation of every layer; each one's n_in is the n_out of the one before.
    inputs
        What enters.
    bins
        Bins of each histogram.
    dtype
        The compute type, float32 or float64; arrays of the sources must have it.
    cotangents
        Depth -> where dL/da (batch, n_out) of the last of so many layers comes from: a backward pass for each.
    slab_rows
        Rows that go through the network together; None: as many as fit a gigabyte. The figures do not depend on it
        beyond the rounding of float64.

    Returns
    -------
    forward
        float64 (depth,) by figure; histogram int64 (depth, bins), underflow and overflow int64.
    gradients
        Depth -> float64 (depth,) by figure.
    """
    keep = bool(cotangents)
    if slab_rows is None:
        slab_rows = _fitting_rows(layers, inputs, np.dtype(dtype).itemsize, keep)
    return run_stack(Stack(layers, inputs, bins, dtype, slab_rows, keep), cotangents)


def stack_of(layers: Sequence[Layer], inputs: Inputs, *, bins: int, dtype: Any, keep: bool) -> Stack:
    """Return the stack that `run` would run."""
    rows = _fitting_rows(layers, inputs, np.dtype(dtype).itemsize, keep)
    return Stack(layers, inputs, bins, dtype, rows, keep)


def run_stack(
    stack: Stack, cotangents: Mapping[int, Source] | None = None, seed: int | None = None
) -> tuple[Figures, dict[int, Figures]]:
    """Do the same with a stack that may be run again; a seed takes the place of that of its sources."""
    space = Workspace(stack, seed)
    passes = {depth: Backward(space, depth, cotangent) for depth, cotangent in (cotangents or {}).items()}
    prepare([*stack.kernels(), *forward.program_of(space, 0).kernels(), *COMBINERS, *_all(passes)])
    for row in range(0, space.arrangement.rows, space.arrangement.slab_rows):
        forward.run(space, row)
        for backward in passes.values():
            backward.run(row)
    figures = forward_figures(space)
    return figures, {depth: backward.figures(figures["nonfinite"]) for depth, backward in passes.items()}


def _all(passes: Mapping[int, Backward]) -> list[Kernel]:
    return [kernel for backward in passes.values() for kernel in backward.kernels()]


def no_gradients(depth: int) -> Figures:
    """The gradients' figures where there is no backward pass."""
    return {name: np.full(depth, np.nan) for name in BACKWARD}


def _fitting_rows(layers: Sequence[Layer], inputs: Inputs, itemsize: int, keep: bool) -> int:
    """Rows whose activations fit the budget; all of them where what slabs would cost in memory is more."""
    widths = [layers[0].n_in, *(layer.n_out for layer in layers)]
    normalized = any(layer.normalize for layer in layers)
    # A backward pass needs each layer's operand and slopes; without one, two signals take turns.
    row = itemsize * (2 * sum(widths) if keep else (3 if normalized else 2) * max(widths))
    rows = inputs.shape.rows
    # The sums of dW that must then stay from slab to slab.
    gradients = itemsize * inputs.shape.taps * sum(n * m for n, m in pairwise(widths)) if keep else 0
    return rows if rows * row <= ACTIVATION_BUDGET + gradients else ACTIVATION_BUDGET // row
