"""The deep forward probe: draw, multiply, activate and measure, layer after layer, in one launch.

    z_l = h_l W_l + b_l,    a_l = phi(z_l)    or    a_l = x_l + s phi(z_l),    x_{l+1} = a_l

where h_l is x_l or its normalised rows, and of images their patches. Two groups of tasks a layer. First W_l's
columns, as many as a fixed budget of memory holds, are drawn from the counters into panels, while the statistics of
layer l - 1 are merged. Then each chunk of rows meets each panel: the product is formed in registers, the activation
applied and every figure taken while the tile is in L1.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from ..machine.intrinsics import fma
from ..machine.jit import inline, place_of
from ..machine.lanes import panel_width
from ..machine.pointers import data_of, keep, moved, pointers, stack_array
from ..machine.schedule import Program, run_program
from ..numeric.integers import ceil_div
from . import columns, merging
from .arrangement import Arrangement
from .epilogue import Tile, epilogue_function
from .gemm import CHUNK
from .images import operand_function, pack_images_function, product_function
from .lines import SCRATCH
from .merging import Partial
from .normalize import normalize_kernel
from .records import LAYER_RECORD, SOURCE, VALUE_RECORD
from .sources import PART_COLUMNS, Part, pack_function, parts
from .tasks import Body, ceiling, task
from .workspace import Workspace

_source_at = SOURCE.at


@inline
def padded_rows(rows: Any) -> Any:
    """Rows of a panel of weights: an odd number, or the panels' like rows would meet in one set of the cache."""
    return rows | 1


@inline
def part_of(t: Any, phase: Any, n: Any, first_row: Any, all_rows: Any) -> Any:
    """Part t of a matrix of n columns, and of `all_rows` rows from `first_row` on."""
    across = ceiling(phase.stop - phase.start, PART_COLUMNS)
    down = t // across
    left = phase.start + (t - down * across) * PART_COLUMNS
    right = min(phase.stop, left + PART_COLUMNS)
    return Part(n, first_row + down * CHUNK, min(CHUNK, all_rows - down * CHUNK), left, right)


@task("input", 0.8)
def input_kernel(dtype: Any) -> Body:
    """A part of the input into panels; rows of a pair of correlation c are mixed."""
    width = np.int64(panel_width(dtype))
    real, real_at = np.dtype(dtype).type, pointers(dtype)
    pack = pack_images_function(dtype)

    def draw(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        scratch = stack_array(SCRATCH, real)
        part = part_of(t, phase, layer.n_in, launch.first_row, launch.rows)
        step = launch.padded_rows * width
        out = real_at(launch.memory, layer.signal + part.left // width * step + (part.row - launch.first_row) * width)
        pack(launch, _source_at(launch.sources, np.int64(0)), part, out, step, scratch)
        like, fresh = real(launch.like), real(launch.fresh)
        if like != real(0):
            for panel in range(ceiling(part.right - part.left, width)):
                for pair in range(part.rows // 2):
                    first = moved(out, panel * step + 2 * pair * width)
                    second = moved(first, width)
                    for j in range(np.uint64(width)):
                        second[j] = fma(like, first[j], fresh * second[j])

    return draw


@task("weights", 0.5)
def weights_kernel(dtype: Any) -> Body:
    """A part of W into panels, and in the first pass its figures."""
    width = np.int64(panel_width(dtype))
    real, real_at = np.dtype(dtype).type, pointers(dtype)
    pack, statistics = pack_function(dtype), columns.value_statistics(dtype, marked=True)
    figures = np.int64(len(columns.OF_MARKED))

    def draw(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        scratch = stack_array(SCRATCH, real)
        rows = launch.taps * layer.n_in
        part = part_of(t, phase, layer.n_out, np.int64(0), rows)
        step = padded_rows(rows) * width
        panel = (part.left - phase.start) // width
        out = real_at(launch.memory, launch.weights + panel * step + part.row * width)
        pack(_source_at(launch.sources, layer.weight), part, out, width, step, scratch)
        if launch.first_pass:
            place = part.row // CHUNK * ceiling(phase.stop - phase.start, width) + panel
            to = real_at(launch.partial, launch.weight_partial + place * figures * width)
            for i in range(ceiling(part.right - part.left, width)):
                statistics(moved(out, i * step), part.rows, np.int64(2), moved(to, i * figures * width))

    return draw


@task("biases", 0.3)
def biases_kernel(dtype: Any) -> Body:
    """A part of b."""
    width = np.int64(panel_width(dtype))
    real, real_at = np.dtype(dtype).type, pointers(dtype)
    pack = pack_function(dtype)

    def draw(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        scratch = stack_array(SCRATCH, real)
        part = part_of(t, phase, layer.n_out, np.int64(0), np.int64(1))
        out = real_at(launch.memory, launch.biases + part.left)
        pack(_source_at(launch.sources, layer.bias), part, out, width, width, scratch)

    return draw


@task("layer", 2.1)
def layer_kernel(dtype: Any) -> Body:
    """A chunk of rows of z = h W + b, phi and all figures.

    A few panels of columns; of a convolution all of them, for which the chunk's patches are gathered once.
    """
    width = np.int64(panel_width(dtype))
    real, real_at = np.dtype(dtype).type, pointers(dtype)
    operand, product, epilogue = operand_function(dtype), product_function(dtype), epilogue_function(dtype)
    elements = CHUNK * panel_width(dtype)

    def layer_task(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        n_in, taps = layer.n_in, launch.taps
        across = ceiling(phase.stop - phase.start, width)
        groups = ceiling(across, launch.panels)
        chunk = t // groups
        first = (t - chunk * groups) * launch.panels
        rows = min(CHUNK, launch.rows - chunk * CHUNK)
        patches = np.empty(taps * ceiling(n_in, width) * elements if taps > 1 else 0, real)
        a = operand(launch, 1, layer.operand, n_in, chunk * CHUNK, rows, data_of(patches))
        z = stack_array(elements, real)
        for panel in range(first, min(across, first + launch.panels)):
            column = phase.start + panel * width
            count = min(width, layer.n_out - column)
            w = real_at(launch.memory, launch.weights + panel * padded_rows(taps * n_in) * width)
            product(taps, a, n_in, w, n_in * width, count, real_at(launch.memory, launch.biases + column), z)
            epilogue(layer, launch, Tile(chunk, rows, column, count), z)
        keep(patches)

    return layer_task


@task("merge-layer", 0.8)
def merge_kernel(dtype: Any) -> Body:
    """The figures of a record's columns of a and z, all their chunks, into a record, and what identifies a unit."""
    width, most = np.int64(panel_width(dtype)), np.int64(merging.RECORD_COLUMNS)
    merge_values, merge_units = merging.merge_values(dtype), merging.merge_units(dtype)
    real_at, count_at, hash_at = pointers(dtype), pointers(np.int64), pointers(np.uint64)
    record_at, figures = LAYER_RECORD.at, np.int64(len(columns.OF_LAYER))
    of_z = np.int64(columns.OF_LAYER.index("z_low"))

    def merge(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        left, rows = t * most, launch.rows
        step = figures * width
        first = real_at(launch.partial, left // width * step)
        shape = ceiling(layer.n_out, width) * step, ceiling(rows, CHUNK), min(most, layer.n_out - left)
        of_a = Partial(first, step, *shape, rows, rows & 1)
        record = record_at(launch.records, layer.record + t)
        sums = merging.sums_of(record)
        merge_values(of_a, record.a, sums, np.int64(1))
        merge_values(Partial(moved(first, of_z * width), step, *shape, rows, rows & 1), record.z, sums, np.int64(0))
        unit = layer.unit + left
        merge_units(of_a, count_at(launch.zeros, unit), hash_at(launch.hashes, unit))

    return merge


@task("merge-weights", 0.8)
def merge_weights_kernel(dtype: Any) -> Body:
    """The figures of a record's columns of W, all their chunks, into a record, and a hash of each unit's W and b."""
    width, most = np.int64(panel_width(dtype)), np.int64(merging.RECORD_COLUMNS)
    merge_values, merge_units = merging.merge_values(dtype), merging.merge_weight_units(dtype)
    real_at, hash_at = pointers(dtype), pointers(np.uint64)
    record_at, figures = VALUE_RECORD.at, np.int64(len(columns.OF_MARKED))

    def merge(t: Any, phase: Any, layer: Any, launch: Any) -> None:
        left, rows, step = t * most, launch.taps * layer.n_in, figures * width
        count = phase.stop - phase.start
        first = real_at(launch.partial, launch.weight_partial + left // width * step)
        chunk, chunks = ceiling(count, width) * step, ceiling(rows, CHUNK)
        partial = Partial(first, step, chunk, chunks, min(most, count - left), rows, np.int64(0))
        record = record_at(launch.weight_records, layer.record + phase.start // most + t)
        merge_values(partial, record, stack_array(1, np.float64), np.int64(0))
        column = phase.start + left
        biases = real_at(launch.memory, launch.biases + column)
        merge_units(partial, biases, hash_at(launch.weight_hashes, layer.unit + column))

    return merge


@lru_cache(maxsize=64)
def _program(arrangement: Arrangement, rows: int, first_pass: bool, biased: bool) -> Program:
    widths, chunks, real = arrangement.widths, ceil_div(rows, CHUNK), arrangement.dtype.type
    program = Program()
    program.add(input_kernel(real), 0, chunks * ceil_div(widths[0], PART_COLUMNS), 0, widths[0])
    for index, (n_in, n_out) in enumerate(pairwise(widths)):
        if arrangement.sizes.normalize[index]:
            if index == 0:  # the signals of later layers stand complete after the last barrier
                program.barrier()
            program.add(normalize_kernel(real), index, chunks)
        for start in range(0, n_out, arrangement.columns[index]):
            stop = min(n_out, start + arrangement.columns[index])
            down, across = parts(arrangement.taps * n_in, stop - start)
            program.add(weights_kernel(real), index, down * across, start, stop)
            if start == 0 and biased:
                program.add(biases_kernel(real), index, ceil_div(n_out, PART_COLUMNS), 0, n_out)
            program.barrier()
            program.add(layer_kernel(real), index, arrangement.panel_tasks(rows, stop - start), start, stop)
            if first_pass:
                tasks = ceil_div(stop - start, merging.RECORD_COLUMNS)
                program.add(merge_weights_kernel(real), index, tasks, start, stop)
            program.barrier()
        program.add(merge_kernel(real), index, ceil_div(n_out, merging.RECORD_COLUMNS))
    return program


def program_of(space: Workspace, row: int) -> Program:
    """The tasks of the slab of rows that starts at `row`."""
    return _program(space.arrangement, space.rows_from(row), row == 0, space.stack.biased)


def run(space: Workspace, row: int) -> None:
    """Run the slab of rows that starts at `row`."""
    launch = space.launch(rows=space.rows_from(row), first_row=row, first_pass=row == 0)
    run_program(program_of(space, row), place_of(launch), space.arrangement.work)
