"""What a launch of the probe reads: the layers, the buffers, and the tables that the kernels index.

Every matrix of activations is stored in panels of `panel_width` columns (see `gemm`), one row an example; of images,
one row a position and one column a channel, the two images of a pair interleaved, so that rows (2m, 2m + 1) are the
same position of two inputs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from . import merging, moments
from .activations import activation_address
from .gemm import CHUNK
from .lanes import panel_width
from .lines import GROUP, LINE, line_address
from .sources import BLOCK_COLUMNS, Source

# Bytes of drawn weights that exist at a time.
WEIGHT_BUDGET = 1 << 24

# A task's scratch line: as long as the longest run, and a group at either end.
SCRATCH = LINE + 2 * GROUP

# Rows of a buffer come in multiples of this, so that every tile fits in whole.
_ROW_MULTIPLE = 24

# Columns of the table of layers. A_IN and A_OUT: the signal that enters and leaves; OPERAND: what meets W, A_IN or
# its normalised rows; INVERSES: 1 / std of the rows; -1 where there is none.
(N_IN, N_OUT, A_IN, A_OUT, OPERAND, INVERSES, SLOPES, WEIGHT, BIAS_SOURCE, HISTOGRAM, UNIT, RECORD, SKIP, NORMALIZE) = (
    range(14)
)
RMS_NORM, LAYER_NORM = 1, 2
_NORMALIZATIONS = {None: 0, "rms": RMS_NORM, "layer": LAYER_NORM}

# Columns of the table of a layer's real numbers: phi's parameter, saturation limits, the histogram's range and bins
# a unit, the factor on the branch beside a skip, and c and sqrt(1 - c^2) for input pairs of correlation c.
PARAMETER, LOW, HIGH, FROM, TO, BINS_A_UNIT, BRANCH, LIKE, FRESH = range(9)

# The sizes of a launch. Two places each for the gradients by z and by a, taken in turn by the layers' parity.
(
    ROWS, FIRST_ROW, PADDED_ROWS, FIRST_PASS, LAST_PASS, BINS, POSITIONS, TOGETHER, SIDE, KERNEL, LINE_ADDRESS,
    ACTIVATION_ADDRESS, WEIGHTS, BIASES, WEIGHT_PARTIAL, ZERO_ROW, COPIES,
) = range(17)  # fmt: skip
DELTA, STREAM = 17, 19
_SIZES = 21

# Copies of the histograms' counters: two threads that add to one at the same time wait for each other.
_COPIES, _FEW_COUNTERS = 8, 1 << 20

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
    def positions(self) -> int:
        """Rows an input."""
        return self.side**2

    @property
    def together(self) -> int:
        """Images whose rows are interleaved: pairs, if all have a partner."""
        return 2 if self.side > 1 and self.batch % 2 == 0 else 1

    @property
    def taps(self) -> int:
        """Positions that a kernel reads."""
        return self.kernel**2

    def blocks(self, most: int) -> int:
        """Rows that go through the network together: all, or whole chunks of whole groups of images, about `most`."""
        rows = self.batch * self.positions
        unit = math.lcm(CHUNK, self.positions * self.together) if self.side > 1 else CHUNK
        return rows if rows <= most else min(rows, max(1, most // unit) * unit)


def padded_columns(columns: int, width: int) -> int:
    """Columns of whole panels."""
    return -(-columns // width) * width


class Plan:
    """The buffers and tables of the passes over blocks of rows; with `keep`, what a backward pass needs stays."""

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
        self.layers, self.inputs, self.bins, self.dtype = layers, inputs, bins, np.dtype(dtype)
        self.rows, self.block_rows = inputs.batch * inputs.positions, block_rows
        self.width = panel_width(dtype)
        self.chunks = -(-block_rows // CHUNK)
        self.padded_rows = -(-block_rows // _ROW_MULTIPLE) * _ROW_MULTIPLE
        self.widths = [layers[0].n_in] + [layer.n_out for layer in layers]
        self.columns = [self.fitting(inputs.taps * layer.n_in, layer.n_out) for layer in layers]
        self.elements = 0
        self.sizes = np.zeros(_SIZES, np.int64)
        self._place(keep)
        self.memory = np.zeros(self.elements, dtype)
        self._fill_sizes(activation)
        self.records = merging.empty_records(int(self.record[-1]), merging.LAYER_RECORD)
        self.weight_records = merging.empty_records(int(self.record[-1]), merging.RECORD)
        self.zeros = np.zeros(sum(self.widths[1:]), np.int64)
        self.hashes = np.zeros(sum(self.widths[1:]), np.uint64)
        counters = len(layers) * (bins + 3)
        self.sizes[COPIES] = _COPIES if counters < _FEW_COUNTERS else 1
        self.histogram = np.zeros((int(self.sizes[COPIES]), counters), np.int64)
        self._tables()

    def _place(self, keep: bool) -> None:
        """Give every buffer its place in memory."""
        depth = len(self.layers)
        panels = np.array([padded_columns(n, self.width) for n in self.widths]) * self.padded_rows
        normalized = [layer.normalize is not None for layer in self.layers]
        # A backward pass reads each layer's operand and slopes; whatever else there is takes turns in two buffers.
        kept = keep and not all(normalized)
        self.signals = self.take(panels) if kept else self.take([panels.max()] * 2)[np.arange(depth + 1) % 2]
        self.operands = self.signals[:-1].copy()
        if any(normalized):
            sizes = np.where(normalized, panels[:-1], 0)
            self.operands[normalized] = (self.take(sizes) if keep else np.full(depth, self.take([sizes.max()])[0]))[
                normalized
            ]
        self.inverses = self.take(np.where(normalized, self.padded_rows, 0))
        self.slopes = self.take(panels[1:]) if keep else np.full(depth, -1)
        taps = self.inputs.taps
        weights = [
            (taps * layer.n_in | 1) * padded_columns(c, self.width)
            for layer, c in zip(self.layers, self.columns, strict=True)
        ]
        biases = max(padded_columns(n, BLOCK_COLUMNS) for n in self.widths[1:])
        self.sizes[[WEIGHTS, BIASES, ZERO_ROW]] = self.take([max(weights), biases, self.width])

    def take(self, sizes: Any) -> Any:
        """Places of buffers of so many numbers each."""
        ends = self.elements + np.cumsum(sizes)
        self.elements = int(ends[-1])
        return ends - sizes

    def grow(self) -> None:
        """Make room for what `take` has given away."""
        if self.elements > self.memory.size:
            self.memory.resize(self.elements, refcheck=False)

    def _fill_sizes(self, activation: Any) -> None:
        taps, sizes, inputs = self.inputs.taps, self.sizes, self.inputs
        layer_partial = self.chunks * padded_columns(max(self.widths[1:]), self.width) * moments.LAYER_ROWS
        weight_partial = max(
            -(-taps * layer.n_in // CHUNK) * padded_columns(c, self.width)
            for layer, c in zip(self.layers, self.columns, strict=True)
        )
        self.partial = np.empty(layer_partial + weight_partial * moments.VALUE_ROWS, self.dtype)
        sizes[[PADDED_ROWS, BINS, WEIGHT_PARTIAL]] = self.padded_rows, self.bins, layer_partial
        # Without images all rows are as one image's: they follow each other as they are.
        sizes[POSITIONS] = inputs.positions if inputs.side > 1 else self.rows
        sizes[[TOGETHER, SIDE, KERNEL]] = inputs.together, inputs.side, inputs.kernel
        sizes[LINE_ADDRESS] = line_address(self.dtype.type)
        sizes[ACTIVATION_ADDRESS] = activation_address(activation, self.dtype.name)

    def _tables(self) -> None:
        layers, depth = self.layers, len(self.layers)
        every = np.arange(depth)
        widths = np.array(self.widths)
        table = self.table = np.empty((depth, 14), np.int64)
        table[:, N_IN], table[:, N_OUT] = widths[:-1], widths[1:]
        table[:, A_IN], table[:, A_OUT] = self.signals[:-1], self.signals[1:]
        table[:, OPERAND], table[:, INVERSES], table[:, SLOPES] = self.operands, self.inverses, self.slopes
        table[:, WEIGHT], table[:, BIAS_SOURCE] = 2 * every + 1, 2 * every + 2
        table[:, HISTOGRAM] = every * (self.bins + 3)
        table[:, UNIT], table[:, RECORD] = self.units[:-1], self.record[:-1]
        table[:, SKIP] = [layer.branch_scale is not None for layer in layers]
        table[:, NORMALIZE] = [_NORMALIZATIONS[layer.normalize] for layer in layers]
        c = self.inputs.correlation
        pair = c, math.sqrt((1 - c) * (1 + c))
        self.reals = np.array(
            [
                (n.parameter, *n.saturation, *n.range, self.bins / (n.range[1] - n.range[0]), _branch(n), *pair)
                for n in layers
            ],
            self.dtype,
        )
        self.sources = [self.inputs.source]
        for layer in layers:
            self.sources += [layer.weight, layer.bias or _NO_BIAS]

    @cached_property
    def record(self) -> Any:
        """First record of each layer, and the end."""
        return np.concatenate([[0], np.cumsum([-(-n // merging.BLOCK) for n in self.widths[1:]])])

    @cached_property
    def units(self) -> Any:
        """First unit of each layer, and the end."""
        return np.concatenate([[0], np.cumsum(self.widths[1:])])

    def fitting(self, rows: int, columns: int) -> int:
        """Columns of a matrix of that shape drawn at a time."""
        fitting = WEIGHT_BUDGET // (rows * self.dtype.itemsize) // BLOCK_COLUMNS * BLOCK_COLUMNS
        return int(min(columns, max(BLOCK_COLUMNS, fitting)))

    def panel_tasks(self, rows: int, columns: int) -> int:
        """Tasks of chunks of rows by panels of columns; of a convolution a chunk's patches meet them all."""
        return -(-rows // CHUNK) * (1 if self.inputs.taps > 1 else -(-columns // self.width))

    def source_tables(self, *more: Source) -> tuple[Any, Any]:
        """The tables of all sources, and of some more."""
        sources = [*self.sources, *more]
        numbers = np.array([source.numbers() for source in sources], np.int64)
        parameters = np.concatenate([source.parameters for source in sources]).reshape(len(sources), -1)
        return numbers, parameters.astype(self.dtype)

    def work(self) -> int:
        """About how many elementary steps a layer takes on average: between two layers the threads must meet."""
        rows, taps = self.block_rows, self.inputs.taps
        steps = sum((taps * n * (rows // 32 + 2) + 3 * rows) * m for n, m in pairwise(self.widths))
        return steps // len(self.layers)


def _branch(layer: Layer) -> float:
    return 1.0 if layer.branch_scale is None else layer.branch_scale
