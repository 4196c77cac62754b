"""What one run of the probe computes with: the layers, the input, and the buffers that a layout gives places in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from . import merging
from .activations import activation_address
from .bins import bins_of
from .layout import ACTIVATION_ADDRESS, CACHE_LINE, Batch, Shape, layout_of
from .sources import Source

_NO_BIAS = Source.constant(0.0)


class Layer(NamedTuple):
    """One layer z = h W + b, a = phi(z) or a = x + branch_scale * phi(z); x is the layer's input, h = x or normalised.

    Parameters
    ----------
    n_in, n_out
        Units (of images: channels) below and of this layer.
    weight, bias
        Where W (kernel^2 * n_in, n_out) and b (n_out,) come from; no bias: None.
    parameter
        The activation's parameter.
    saturation
        phi(z) outside [low, high] is saturated; NaN where the activation has no such rule.
    range
        Of the histogram.
    branch_scale
        Factor of the branch beside a skip; None: no skip. A skip needs n_in = n_out.
    normalize
        "layer", "rms" or None: how the rows of x are normalised.
    """

    n_in: int
    n_out: int
    weight: Source
    bias: Source | None = None
    parameter: float = 0.0
    saturation: tuple[float, float] = (np.nan, np.nan)
    range: tuple[float, float] = (-1.0, 1.0)
    branch_scale: float | None = None
    normalize: str | None = None


@dataclass(frozen=True)
class Inputs:
    """What enters the network.

    Parameters
    ----------
    source
        Where the input comes from: (batch, n_0), or (batch, side, side, n_0).
    batch
        Number of inputs.
    correlation
        c: every second row x' becomes c x + sqrt(1 - c^2) x', x the row before it.
    side
        Of square images; 1: there are none.
    kernel
        Side of the square kernels of a convolution, stride 1, borders filled up with zeros.
    """

    source: Source
    batch: int
    correlation: float = 0.0
    side: int = 1
    kernel: int = 1

    @property
    def shape(self) -> Batch:
        """What there is of them."""
        return Batch(self.batch, self.side, self.kernel)


class Plan:
    """Layers, input and buffers of the passes over blocks of rows; with `keep`, what a backward pass needs stays."""

    def __init__(
        self,
        activation: Any,
        layers: Sequence[Layer],
        inputs: Inputs,
        bins: int,
        dtype: Any,
        block_rows: int,
        keep: bool,
    ) -> None:
        self.layers, self.dtype = layers, np.dtype(dtype)
        shape = Shape(
            batch=inputs.shape,
            widths=(layers[0].n_in, *(layer.n_out for layer in layers)),
            skips=tuple(layer.branch_scale is not None for layer in layers),
            normalize=tuple(layer.normalize for layer in layers),
            bins=bins,
            dtype=self.dtype.name,
            block_rows=block_rows,
            keep=keep,
        )
        layout = self.layout = layout_of(shape)
        self.sizes = layout.sizes.copy()
        self.sizes[ACTIVATION_ADDRESS] = activation_address(activation, self.dtype.name)
        self.memory = _zeros(layout.elements, self.dtype)
        self.partial = np.empty(layout.partial, dtype)
        self.records = merging.empty_records(int(layout.record[-1]), merging.LAYER_RECORD)
        self.weight_records = merging.empty_records(int(layout.record[-1]), merging.RECORD)
        units = int(layout.units[-1])
        self.zeros, self.hashes = np.zeros(units, np.int64), np.zeros(units, np.uint64)
        self.weight_hashes = np.zeros(units, np.uint64)
        self.histogram = np.zeros((layout.copies, layout.counters), np.int64)
        c = inputs.correlation
        pair = c, math.sqrt((1 - c) * (1 + c))
        counted = zip(*bins_of(tuple(layer.range for layer in layers), bins, self.dtype.name), strict=True)
        self.reals = np.array([_reals(layer, of) + pair for layer, of in zip(layers, counted, strict=True)], dtype)
        self.sources = [inputs.source]
        for layer in layers:
            self.sources += [layer.weight, layer.bias or _NO_BIAS]

    def grow(self, elements: int) -> None:
        """Make room for so many numbers, before any is written."""
        if elements > self.memory.size:
            self.memory = _zeros(elements, self.dtype)

    def source_tables(self, *more: Source) -> tuple[Any, Any]:
        """The tables of all sources, and of some more."""
        sources = [*self.sources, *more]
        numbers = np.array([source.numbers(self.dtype.name) for source in sources], np.int64)
        return numbers, np.array([source.parameters for source in sources], np.float64)


def _zeros(elements: int, dtype: Any) -> Any:
    """Zeros that start where a line of the cache does: no register is loaded from two of them."""
    spare = CACHE_LINE // dtype.itemsize
    block = np.zeros(elements + spare, dtype)
    start = -block.__array_interface__["data"][0] % CACHE_LINE // dtype.itemsize
    return block[start : start + elements]


def _reals(layer: Layer, bins: tuple[float, ...]) -> tuple[float, ...]:
    """A row of the table of real numbers, up to BRANCH."""
    branch = 1.0 if layer.branch_scale is None else layer.branch_scale
    return layer.parameter, *layer.saturation, *bins, branch
