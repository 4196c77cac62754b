"""The backward pass of the probe: gradients of a random loss, layer after layer, W drawn again instead of stored.

    delta_l = g_l * s phi'(z_l),    dW_l = h_l^T delta_l,    g_{l-1} = N(delta_l W_l^T) + (g_l past a skip)

with g_l = dL/da_l, g_L the cotangent, and N the way back through the normalisation. W_l^T is drawn into panels like
W_l, row runs turned on the way.
"""

from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..machine.jit import Kernel, inline, place_of
from ..machine.lanes import lanes_of, panel_width
from ..machine.pointers import data_of, keep, pointers, stack_array
from ..machine.schedule import Program, run_program
from ..numeric.integers import ceil_div
from . import columns, merging
from .arrangement import Allocator, Arrangement, padded_columns
from .figures import gradient_figures
from .forward import padded_rows, part_of
from .gemm import CHUNK
from .images import operand_function, pack_images_function, product_function
from .lines import SCRATCH
from .merging import Partial
from .normalize import unnormalize_kernel
from .records import LAYER, SOURCE, VALUE_RECORD, empty
from .sources import PART_COLUMNS, Part, Source, pack_transposed_function, source_table
from .tasks import Body, ceiling, task
from .weight_gradient import weight_gradient_kernel
from .workspace import Workspace

# Columns of W turned at a time: their place in a panel fits L1.
_TURNED_COLUMNS = 256

_source_at = SOURCE.at


@inline
def delta_of(launch: Any, index: Any) -> Any:
    """The place of dL/dz of a layer."""
    return launch.delta1 if index & 1 else launch.delta0


@inline
def stream_of(launch: Any, index: Any) -> Any:
    """The place of dL/da of a layer."""
    return launch.stream1 if index & 1 else launch.stream0


@task("cotangent", 0.5)
def cotangent_kernel(dtype: Any) -> Body:
    """A part of dL/da of the last layer into panels."""
    width = np.int64(panel_width(dtype))
    real, real_at = np.dtype(dtype).type, pointers(dtype)
    pack = pack_images_function(dtype)

    def draw(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        scratch = stack_array(SCRATCH, real)
        part = part_of(t, phase, layer.n_out, launch.first_row, launch.rows)
        step = launch.padded_rows * width
        here = part.left // width * step + (part.row - launch.first_row) * width
        out = real_at(launch.memory, stream_of(launch, phase.layer) + here)
        pack(launch, _source_at(launch.cotangent, np.int64(0)), part, out, step, scratch)

    return draw


@task("turn", 0.7)
def turn_kernel(dtype: Any) -> Body:
    """A part of W's columns, turned, into a panel of W^T."""
    width = np.int64(panel_width(dtype))
    real, real_at = np.dtype(dtype).type, pointers(dtype)
    turn, most = pack_transposed_function(dtype), np.int64(_TURNED_COLUMNS)

    def draw(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        scratch = stack_array(SCRATCH, real)
        n_out, taps = layer.n_out, launch.taps
        across = ceiling(n_out, most)
        panel, tap = t // (across * taps), t // across % taps
        left = t % across * most
        row = phase.start + panel * width
        part = Part(n_out, tap * layer.n_in + row, min(width, phase.stop - row), left, min(n_out, left + most))
        to = launch.weights + ((panel * taps + tap) * padded_rows(n_out) + left) * width
        turn(_source_at(launch.sources, layer.weight), part, real_at(launch.memory, to), scratch)

    return draw


@cache
def _delta_function(dtype: Any) -> Any:
    """`delta(layer, launch, index, at, tile, z)`: a tile of g_l becomes one of delta_l, and its figures.

    The tile (chunk, rows, column, columns) of layer `index` lies `at` behind the start of each of its matrices.
    """
    width, lanes = np.int64(panel_width(dtype)), lanes_of(dtype)
    real_at, statistics = pointers(dtype), columns.value_statistics(dtype)
    figures = np.int64(len(columns.OF_VALUES))

    @inline
    def delta(layer: Any, launch: Any, index: Any, at: Any, tile: Any, z: Any) -> None:
        chunk, rows, column, count = tile
        to = real_at(launch.memory, delta_of(launch, index) + at)
        slopes = real_at(launch.memory, layer.slopes + at)
        for i in range(np.uint64(rows * width)):
            to[i] = z[i] * slopes[i]
        place = (chunk * ceiling(layer.n_out, width) + column // width) * figures * width
        registers = np.int64(2) if count > lanes else np.int64(1)
        statistics(to, rows, registers, real_at(launch.partial, place))

    return delta


@task("scale", 0.4)
def scale_kernel(dtype: Any) -> Body:
    """A chunk of rows of a few panels of g_l becomes delta_l."""
    width, real_at, delta = np.int64(panel_width(dtype)), pointers(dtype), _delta_function(dtype)

    def scale(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        across = ceiling(layer.n_out, width)
        groups = ceiling(across, launch.panels)
        chunk = t // groups
        first = (t - chunk * groups) * launch.panels
        rows = min(CHUNK, launch.rows - chunk * CHUNK)
        for panel in range(first, min(across, first + launch.panels)):
            column = panel * width
            at = panel * launch.padded_rows * width + chunk * CHUNK * width
            g = real_at(launch.memory, stream_of(launch, phase.layer) + at)
            delta(layer, launch, phase.layer, at, (chunk, rows, column, min(width, layer.n_out - column)), g)

    return scale


@task("back", 1.5)
def back_kernel(dtype: Any) -> Body:
    """A chunk of rows of a few panels of g_{l-1} = delta_l W_l^T, and of delta_{l-1}; or of dL/dh alone."""
    width = np.int64(panel_width(dtype))
    real, real_at = np.dtype(dtype).type, pointers(dtype)
    operand, product, delta = operand_function(dtype), product_function(dtype), _delta_function(dtype)
    elements = CHUNK * panel_width(dtype)
    layer_at = LAYER.at

    def back(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        index, taps, k = phase.layer, launch.taps, layer.n_out
        below = layer_at(launch.layers, index - 1)
        across = ceiling(phase.stop - phase.start, width)
        groups = ceiling(across, launch.panels)
        chunk = t // groups
        first = (t - chunk * groups) * launch.panels
        rows = min(CHUNK, launch.rows - chunk * CHUNK)
        patches = np.empty(taps * ceiling(k, width) * elements if taps > 1 else 0, real)
        a = operand(launch, -1, delta_of(launch, index), k, chunk * CHUNK, rows, data_of(patches))
        zeros = real_at(launch.memory, launch.zero_row)
        z, tile = stack_array(elements, real), np.uint64(rows * width)
        for panel in range(first, min(across, first + launch.panels)):
            column = phase.start + panel * width
            count = min(width, layer.n_in - column)
            at = column // width * launch.padded_rows * width + chunk * CHUNK * width
            w_step = padded_rows(k) * width
            product(taps, a, k, real_at(launch.memory, launch.weights + panel * taps * w_step), w_step, count, zeros, z)
            if layer.skip and layer.normalize == 0:
                past = real_at(launch.memory, stream_of(launch, index) + at)
                for i in range(tile):
                    z[i] += past[i]
            if launch.stream0 != launch.delta0:
                stream = real_at(launch.memory, stream_of(launch, index - 1) + at)
                for i in range(tile):
                    stream[i] = z[i]
            if layer.normalize == 0:
                delta(below, launch, index - 1, at, (chunk, rows, column, count), z)
        keep(patches)

    return back


@task("merge-delta", 0.4)
def merge_kernel(dtype: Any) -> Body:
    """The figures of a record's columns of delta, all their chunks, into a record."""
    width, most = np.int64(panel_width(dtype)), np.int64(merging.RECORD_COLUMNS)
    merge_values, real_at, record_at = merging.merge_values(dtype), pointers(dtype), VALUE_RECORD.at
    figures = np.int64(len(columns.OF_VALUES))

    def merge(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        left, rows, step = t * most, launch.rows, figures * width
        first = real_at(launch.partial, left // width * step)
        chunk, chunks = ceiling(layer.n_out, width) * step, ceiling(rows, CHUNK)
        partial = Partial(first, step, chunk, chunks, min(most, layer.n_out - left), rows, np.int64(0))
        record = record_at(launch.delta_records, layer.delta_record + t)
        merge_values(partial, record, stack_array(1, np.float64), np.int64(0))

    return merge


class Backward:
    """The backward pass from one layer down to the first, over the slabs of rows of a forward pass.

    Parameters
    ----------
    space
        A workspace with `keep`; each slab of rows is run forward before it is run here.
    depth
        Layers the pass goes through: dL/da of layer depth - 1 is the cotangent.
    cotangent
        Where that comes from.
    """

    def __init__(self, space: Workspace, depth: int, cotangent: Source) -> None:
        self.space, self.cotangent = space, cotangent
        arrangement = self.arrangement = _arrangement(space.arrangement, depth)
        space.grow(arrangement.elements)
        dtype = space.dtype
        self.ends = space.arrangement.gradient_ends[:depth]
        deltas, gradients = (int(n) for n in self.ends[-1])
        self.buffers = {
            "partial": np.empty(arrangement.partial, dtype),
            "delta_records": empty(VALUE_RECORD, deltas),
            "gradient_records": empty(VALUE_RECORD, gradients),
            "sums": np.empty(arrangement.sums, dtype),
            "updated_hashes": np.zeros(int(space.arrangement.units[depth]), np.uint64),
        }
        self._fields: dict[str, Any] = {}

    def _places(self) -> dict[str, Any]:
        self.buffers["cotangent"] = source_table([self.cotangent], self.space.type_name)
        places = {name: place_of(buffer) for name, buffer in self.buffers.items()}
        return {**self.arrangement.places, **places}

    def run(self, row: int) -> None:
        """Run the slab of rows that starts at `row`, whose forward pass has just been run."""
        if not self._fields:
            self._fields = self._places()
        rows = self.space.rows_from(row)
        last = row + rows == self.space.arrangement.rows
        launch = self.space.launch(rows=rows, first_row=row, first_pass=row == 0, last_pass=last, **self._fields)
        run_program(_program(self.arrangement, rows), place_of(launch), 2 * self.space.arrangement.work)

    def kernels(self) -> list[Kernel]:
        """All that it calls."""
        return [
            self.cotangent.kernel(self.space.type_name),
            *_program(self.arrangement, self.space.rows_from(0)).kernels(),
        ]

    def figures(self, nonfinite: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The gradients' figures, one entry a layer; `nonfinite`: counts of what is not finite among its a."""
        units = self.space.arrangement.units[: self.arrangement.depth + 1]
        hashes = merging.joined(self.space.buffers["weight_hashes"][: units[-1]], self.buffers["updated_hashes"])
        records = self.buffers["delta_records"], self.buffers["gradient_records"]
        return gradient_figures(records, self.ends, hashes, units, nonfinite)


class BackwardArrangement:
    """The places of a backward pass from a layer down, behind those of the forward pass."""

    def __init__(self, forward: Arrangement, depth: int) -> None:
        self.forward, self.depth = forward, depth
        width, taps, sizes = forward.width, forward.taps, forward.sizes
        pairs = list(pairwise(forward.widths[: depth + 1]))
        self.columns = [forward.fitting(taps * n_out, n_in) for n_in, n_out in pairs]
        widest = max(padded_columns(n_out, width) for _, n_out in pairs)
        weights = max(
            taps * (n_out | 1) * padded_columns(c, width) for (_, n_out), c in zip(pairs, self.columns, strict=True)
        )
        memory = Allocator(forward.elements)
        matrix = widest * forward.padded_rows
        deltas, weights_at = memory.take([matrix] * 2), memory.take([weights])[0]
        # In a plain stack g_l is but a product on the way to delta_l and takes no memory of its own.
        plain = not any(sizes.skips[:depth]) and not any(sizes.normalize[:depth])
        streams = deltas if plain else memory.take([matrix] * 2)
        names = ("delta0", "delta1", "stream0", "stream1", "weights")
        self.places = dict(zip(names, map(int, (*deltas, *streams, weights_at)), strict=True))
        self.elements = memory.elements
        self.partial = forward.chunks * widest * len(columns.OF_VALUES)
        squares = [forward.gradient_squares(n_in, n_out) for n_in, n_out in pairs]
        self.sums = 0 if forward.slab_rows == forward.rows else sum(squares) * merging.RECORD_COLUMNS**2


@lru_cache(maxsize=64)
def _arrangement(forward: Arrangement, depth: int) -> BackwardArrangement:
    return BackwardArrangement(forward, depth)


@lru_cache(maxsize=64)
def _program(arrangement: BackwardArrangement, rows: int) -> Program:
    """The tasks of a slab of rows."""
    forward, last, chunks, real = (
        arrangement.forward,
        arrangement.depth - 1,
        ceil_div(rows, CHUNK),
        arrangement.forward.dtype.type,
    )
    program = Program()
    n = forward.widths[arrangement.depth]
    program.add(cotangent_kernel(real), last, chunks * ceil_div(n, PART_COLUMNS), 0, n)
    program.barrier()
    program.add(scale_kernel(real), last, forward.panel_tasks(rows, n))
    program.barrier()
    for index in range(last, -1, -1):
        n_in, n_out = forward.widths[index : index + 2]
        program.add(merge_kernel(real), index, ceil_div(n_out, merging.RECORD_COLUMNS))
        program.add(weight_gradient_kernel(real), index, forward.gradient_squares(n_in, n_out))
        if index == 0:
            break
        for start in range(0, n_in, arrangement.columns[index]):
            stop = min(n_in, start + arrangement.columns[index])
            turned = ceil_div(stop - start, forward.width) * forward.taps * ceil_div(n_out, _TURNED_COLUMNS)
            program.add(turn_kernel(real), index, turned, start, stop)
            program.barrier()
            program.add(back_kernel(real), index, forward.panel_tasks(rows, stop - start), start, stop)
            program.barrier()
        if forward.sizes.normalize[index]:
            program.add(unnormalize_kernel(real), index, chunks)
            program.barrier()
            program.add(scale_kernel(real), index - 1, forward.panel_tasks(rows, n_in))
            program.barrier()
    return program
