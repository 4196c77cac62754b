"""Where everything is that a launch of the probe reads: the buffers' places, and the tables that the kernels index.

Every matrix of activations is stored in panels of `panel_width` columns (see `gemm`), one row an example; of images,
one row a position and one column a channel, the two images of a pair interleaved, so that rows (2m, 2m + 1) are the
same position of two inputs.

All of it follows from a network's shape, so the points of a sweep over seeds or scales share one arrangement.
"""

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..machine.lanes import panel_width
from ..machine.threads import available_threads
from ..numeric.integers import ceil_div
from . import columns, merging
from .gemm import CHUNK
from .records import LAUNCH, LAYER, NORMALIZATIONS
from .sources import PART_COLUMNS

# Bytes of drawn weights that exist at a time.
WEIGHT_BUDGET = 1 << 24

# Bytes that every buffer's place is a multiple of.
CACHE_LINE = 64
_STEP = CACHE_LINE // 4

# Panels of columns that one task takes, where that leaves every thread a few tasks: whoever computed a chunk of rows
# then often goes on with it in the next layer, and finds it in its own cache.
_PANELS, _TASKS_A_THREAD = 4, 4

# Rows of a buffer come in multiples of this, so that every tile fits in whole.
_ROW_MULTIPLE = 24

# Copies of the histograms' counters: two threads that add to one at the same time wait for each other.
_COPIES, _FEW_COUNTERS = 8, 1 << 20


class Batch(NamedTuple):
    """Inputs of a network: how many, the side of square images (1: no images) and of the window over them."""

    inputs: int
    side: int = 1
    window: int = 1

    @property
    def rows(self) -> int:
        """Rows of the operands: inputs, or positions of all images."""
        return self.inputs * self.side**2

    @property
    def interleaved(self) -> int:
        """Images whose rows are interleaved: pairs, if all have a partner."""
        return 2 if self.side > 1 and self.inputs % 2 == 0 else 1

    @property
    def taps(self) -> int:
        """Positions under a window."""
        return self.window**2

    def slab(self, most: int) -> int:
        """Rows that go through the network together: all, or whole chunks of whole groups of images, about `most`."""
        unit = math.lcm(CHUNK, self.side**2 * self.interleaved) if self.side > 1 else CHUNK
        return self.rows if self.rows <= most else min(self.rows, max(1, most // unit) * unit)


class Sizes(NamedTuple):
    """What an arrangement follows from.

    Parameters
    ----------
    batch
        The inputs.
    widths
        Units (of images: channels) of the input and of each layer.
    skips, normalize
        Whether each layer has a skip, and how it normalises its input.
    bins
        Of each histogram.
    dtype
        The compute type's name.
    slab_rows
        Rows that go through the network together.
    keep
        What a backward pass needs stays.
    """

    batch: Batch
    widths: tuple[int, ...]
    skips: tuple[bool, ...]
    normalize: tuple[str | None, ...]
    bins: int
    dtype: str
    slab_rows: int
    keep: bool


class Allocator:
    """Gives away places in one array of numbers."""

    def __init__(self, elements: int = 0) -> None:
        self.elements = elements

    def take(self, sizes: Any) -> Any:
        """Places of buffers of so many numbers each; float32 or wider."""
        sizes = ceil_div(np.asarray(sizes), _STEP) * _STEP
        ends = self.elements + np.cumsum(sizes)
        self.elements = int(ends[-1])
        return ends - sizes


def padded_columns(columns: int, width: int) -> int:
    """Columns of whole panels."""
    return int(ceil_div(columns, width) * width)


def arrangement_of(sizes: Sizes) -> "Arrangement":
    """Return the arrangement for these sizes."""
    return _arrangement(sizes, WEIGHT_BUDGET, available_threads())


@lru_cache(maxsize=64)
def _arrangement(sizes: Sizes, budget: int, threads: int) -> "Arrangement":
    return Arrangement(sizes, budget, threads)


class Arrangement:
    """Places and tables of the passes over slabs of rows; nothing here is written to, no figure depends on it."""

    def __init__(self, sizes: Sizes, budget: int, threads: int) -> None:
        self.sizes, self.budget = sizes, budget
        self.dtype: Any = np.dtype(sizes.dtype)
        self.batch, self.widths, self.depth = sizes.batch, sizes.widths, len(sizes.widths) - 1
        self.rows, self.slab_rows, self.taps = sizes.batch.rows, sizes.slab_rows, sizes.batch.taps
        self.width = panel_width(self.dtype.type)
        self.chunks = ceil_div(self.slab_rows, CHUNK)
        self.padded_rows = ceil_div(self.slab_rows, _ROW_MULTIPLE) * _ROW_MULTIPLE
        self.panels = self._panels(threads)
        self.columns = [self.fitting(self.taps * n, m) for n, m in pairwise(self.widths)]
        # First record and first unit of each layer, and the end.
        self.record = np.concatenate([[0], np.cumsum([ceil_div(n, merging.RECORD_COLUMNS) for n in self.widths[1:]])])
        self.units = np.concatenate([[0], np.cumsum(self.widths[1:])])
        self.counters = self.depth * (sizes.bins + 3)
        self.copies = _COPIES if self.counters < _FEW_COUNTERS else 1
        # About how many elementary steps a layer takes on average: between two layers the threads must meet.
        rows = self.slab_rows
        steps = sum((self.taps * n * (rows // 32 + 2) + 3 * rows) * m for n, m in pairwise(self.widths))
        self.work = steps // self.depth
        memory = Allocator()
        self.launch, self.table = LAUNCH.zeros(1), LAYER.zeros(self.depth)
        self._place(memory)
        self.elements = memory.elements
        self._fill_launch()
        self._fill_table()

    def _panels(self, threads: int) -> int:
        """Panels that a task takes: of a convolution all, for which it has gathered a chunk's patches."""
        widest = int(ceil_div(max(self.widths), self.width))
        if self.taps > 1:
            return widest
        return _PANELS if self.chunks * ceil_div(widest, _PANELS) >= _TASKS_A_THREAD * threads else 1

    def _place(self, memory: Allocator) -> None:
        """Give every buffer its place in memory."""
        keep = self.sizes.keep
        panels = np.array([padded_columns(n, self.width) for n in self.widths]) * self.padded_rows
        normalized = [how is not None for how in self.sizes.normalize]
        # A backward pass reads each layer's operand and slopes; whatever else there is takes turns in two buffers.
        kept = keep and not all(normalized)
        self.signals = memory.take(panels) if kept else memory.take([panels.max()] * 2)[np.arange(self.depth + 1) % 2]
        self.operands = self.signals[:-1].copy()
        if any(normalized):
            sizes = np.where(normalized, panels[:-1], 0)
            own = memory.take(sizes) if keep else np.full(self.depth, memory.take([sizes.max()])[0])
            self.operands[normalized] = own[normalized]
        self.inverses = memory.take(np.where(normalized, self.padded_rows, 0))
        self.slopes = memory.take(panels[1:]) if keep else np.full(self.depth, -1)
        weights = [
            (self.taps * n | 1) * padded_columns(c, self.width)
            for n, c in zip(self.widths[:-1], self.columns, strict=True)
        ]
        biases = max(padded_columns(n, PART_COLUMNS) for n in self.widths[1:])
        self.launch[["weights", "biases", "zero_row"]] = tuple(memory.take([max(weights), biases, self.width]))

    def _fill_launch(self) -> None:
        batch = self.batch
        layer_partial = self.chunks * padded_columns(max(self.widths[1:]), self.width) * len(columns.OF_LAYER)
        weight_partial = max(
            ceil_div(self.taps * n, CHUNK) * padded_columns(c, self.width)
            for n, c in zip(self.widths[:-1], self.columns, strict=True)
        )
        self.partial = layer_partial + weight_partial * len(columns.OF_MARKED)
        values = {
            "padded_rows": self.padded_rows, "panels": self.panels, "weight_partial": layer_partial,
            "bins": self.sizes.bins, "copies": self.copies, "counters": self.counters,
            # Without images all rows are as one image's: they follow each other as they are.
            "positions": batch.side**2 if batch.side > 1 else self.rows,
            "interleaved": batch.interleaved, "side": batch.side, "window": batch.window, "taps": batch.taps,
        }  # fmt: skip
        for name, value in values.items():
            self.launch[name] = value

    def _fill_table(self) -> None:
        every, bins = np.arange(self.depth), self.sizes.bins
        squares = np.array(
            [[ceil_div(m, merging.RECORD_COLUMNS), self.gradient_squares(n, m)] for n, m in pairwise(self.widths)]
        )
        self.gradient_ends = np.cumsum(squares, axis=0)
        starts = self.gradient_ends - squares
        values = {
            "n_in": self.widths[:-1], "n_out": self.widths[1:],
            "signal": self.signals[:-1], "output": self.signals[1:],
            "operand": self.operands, "inverses": self.inverses, "slopes": self.slopes,
            "weight": 2 * every + 1, "bias": 2 * every + 2,
            "skip": self.sizes.skips, "normalize": [NORMALIZATIONS[how] for how in self.sizes.normalize],
            "histogram": every * (bins + 3), "unit": self.units[:-1], "record": self.record[:-1],
            "delta_record": starts[:, 0], "gradient_record": starts[:, 1],
        }  # fmt: skip
        for name, value in values.items():
            self.table[name] = value

    def gradient_squares(self, n_in: int, n_out: int) -> int:
        """Tasks of a layer's dW."""
        return self.taps * int(ceil_div(n_in, merging.RECORD_COLUMNS) * ceil_div(n_out, merging.RECORD_COLUMNS))

    def fitting(self, rows: int, columns: int) -> int:
        """Columns of a matrix of that shape drawn at a time."""
        fitting = self.budget // (rows * self.dtype.itemsize) // PART_COLUMNS * PART_COLUMNS
        return int(min(columns, max(PART_COLUMNS, fitting)))

    def panel_tasks(self, rows: int, columns: int) -> int:
        """Tasks of chunks of rows by panels of columns."""
        return int(ceil_div(rows, CHUNK) * ceil_div(columns, self.panels * self.width))
