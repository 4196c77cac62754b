"""What one run of the probe computes with: the layers, the input, and the buffers, each at its place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..machine.jit import Kernel, place_of
from .activate import activation_kernel
from .arrangement import CACHE_LINE, Batch, Sizes, arrangement_of
from .bins import bins_of
from .histogram import needs_counters, singly_kernel
from .images import patches_kernel
from .records import LAYER_RECORD, VALUE_RECORD, empty
from .sources import Source, source_table

_NO_BIAS = Source.constant(0.0)


class Layer(NamedTuple):
    """One layer z = h W + b, a = phi(z) or a = x + branch_scale * phi(z); x is the layer's input, h = x or normalised.

    Parameters
    ----------
    n_in, n_out
        Units (of images: channels) below and of this layer.
    weight, bias
        Where W (window^2 * n_in, n_out) and b (n_out,) come from; no bias: None.
    activation, parameter
        What `activation_kernel` takes, the name of phi or a user's functions, and phi's parameter.
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
    activation: Any = "linear"
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
    window
        Side of the square window of a convolution, stride 1, borders filled up with zeros.
    """

    source: Source
    batch: int
    correlation: float = 0.0
    side: int = 1
    window: int = 1

    @property
    def shape(self) -> Batch:
        """What there is of them."""
        return Batch(self.batch, self.side, self.window)


class Stack:
    """A network in tables: all that does not change from one seed to the next.

    Parameters
    ----------
    layers, inputs, bins, dtype
        As `run.run` takes them.
    slab_rows
        Rows that go through the network together.
    keep
        Whether a backward pass will need what the forward pass computes.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        inputs: Inputs,
        bins: int,
        dtype: Any,
        slab_rows: int,
        keep: bool,
    ) -> None:
        self.layers, self.dtype = layers, np.dtype(dtype)
        self.type_name = self.dtype.name  # which NumPy makes up each time
        sizes = Sizes(
            batch=inputs.shape,
            widths=(layers[0].n_in, *(layer.n_out for layer in layers)),
            skips=tuple(layer.branch_scale is not None for layer in layers),
            normalize=tuple(layer.normalize for layer in layers),
            bins=bins,
            dtype=self.type_name,
            slab_rows=inputs.shape.slab(slab_rows),
            keep=keep,
        )
        self.arrangement = arrangement_of(sizes)
        self.biased = any(layer.bias is not None for layer in layers)
        self._sources = [inputs.source]
        for layer in layers:
            self._sources += [layer.weight, layer.bias or _NO_BIAS]
        real = self.dtype.type
        # What comes in kinds, by the launch's fields.
        self.functions: dict[str, Kernel] = {}
        if inputs.shape.taps > 1:
            self.functions["patches"] = patches_kernel(real)
        if needs_counters(bins, self.dtype):
            self.functions["count_singly"] = singly_kernel(real)
        self._correlation = inputs.correlation
        phis = {layer.activation for layer in layers}
        self._activations = {phi: activation_kernel(phi, self.type_name) for phi in phis}
        self.layer_table = self._layer_table()
        self._ready: dict[str, Any] = {}

    def _layer_table(self) -> Any:
        table, layers = self.arrangement.table.copy(), self.layers
        bins = bins_of(tuple(layer.range for layer in layers), self.arrangement.sizes.bins, self.type_name)
        for name, value in zip(("low", "high", "pivot", "first_bin", "bins_a_unit"), bins, strict=True):
            table[name] = value
        table["parameter"] = [layer.parameter for layer in layers]
        table["least"], table["most"] = np.array([layer.saturation for layer in layers]).T
        table["branch"] = [1.0 if layer.branch_scale is None else layer.branch_scale for layer in layers]
        return table

    def kernels(self) -> list[Kernel]:
        """What its launches call by themselves; first of all to be compiled."""
        functions = [*self._activations.values(), *self.functions.values()]
        return [*functions, *(source.kernel(self.type_name) for source in self._sources)]

    def sources(self, seed: int | None) -> Any:
        """The records of all sources; a seed takes the place of their own."""
        if "sources" not in self._ready:
            self._ready["sources"] = source_table(self._sources, self.type_name)
        table = self._ready["sources"].copy()
        if seed is not None:
            table["key0"], table["key1"] = seed & 0xFFFFFFFF, seed >> 32
        return table

    def launch(self) -> Any:
        """The record that all launches begin with."""
        if "launch" not in self._ready:
            launch, c = self.arrangement.launch.copy(), self._correlation
            launch["like"], launch["fresh"] = c, math.sqrt((1 - c) * (1 + c))
            for name, function in self.functions.items():
                launch[name] = function.address
            # Only now: what has no address yet is compiled for it.
            addresses = {phi: kernel.address for phi, kernel in self._activations.items()}
            self.layer_table["activation"] = [addresses[layer.activation] for layer in self.layers]
            launch["layers"] = place_of(self.layer_table)
            self._ready["launch"] = launch
        return self._ready["launch"].copy()


class Workspace:
    """Buffers of the passes over slabs of rows; with the stack's `keep`, what a backward pass needs stays."""

    def __init__(self, stack: Stack, seed: int | None = None) -> None:
        self.stack, self.dtype, self.type_name = stack, stack.dtype, stack.type_name
        arrangement = self.arrangement = stack.arrangement
        self.memory = _zeros(arrangement.elements, self.dtype)
        units, records = int(arrangement.units[-1]), int(arrangement.record[-1])
        self.buffers = {
            "partial": np.empty(arrangement.partial, self.dtype),
            "histogram": np.zeros((arrangement.copies, arrangement.counters), np.int64),
            "records": empty(LAYER_RECORD, records),
            "weight_records": empty(VALUE_RECORD, records),
            "zeros": np.zeros(units, np.int64),
            "hashes": np.zeros(units, np.uint64),
            "weight_hashes": np.zeros(units, np.uint64),
        }
        self._seed = seed
        self._base: Any = None

    def _first_launch(self) -> Any:
        self.buffers["sources"] = self.stack.sources(self._seed)
        launch = self.stack.launch()
        for name, buffer in self.buffers.items():
            launch[name] = place_of(buffer)
        return launch

    def rows_from(self, row: int) -> int:
        """Rows of the slab that starts at `row`."""
        return min(self.arrangement.slab_rows, self.arrangement.rows - row)

    def grow(self, elements: int) -> None:
        """Make room for so many numbers, before any is written."""
        if elements > self.memory.size:
            self.memory = _zeros(elements, self.dtype)

    def launch(self, **values: Any) -> Any:
        """The record of a launch, with some of its fields."""
        if self._base is None:
            self._base = self._first_launch()
        launch = self._base.copy()
        launch["memory"] = place_of(self.memory)
        for name, value in values.items():
            launch[name] = value
        return launch


def _zeros(elements: int, dtype: Any) -> Any:
    """Zeros that start where a line of the cache does: no register is loaded from two of them."""
    spare = CACHE_LINE // dtype.itemsize
    memory = np.zeros(elements + spare, dtype)
    start = -place_of(memory) % CACHE_LINE // dtype.itemsize
    return memory[start : start + elements]
