"""Exactly k incoming connections a neuron, each neuron drawn by itself, so that any region can be written alone.

The positions of a neuron are a uniform k-subset of its connections by Floyd's algorithm (Bentley, "Programming
pearls: a sample of brilliance", CACM 30(9), 1987): k draws, no rejection. Draw j of neuron m takes word pair j % 2 of
block m * ceil(k / 2) + j // 2 of the position stream.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..machine.ahead import family
from ..machine.jit import Kernel, inline, kernel, place_of
from ..machine.modes import use_widest_vectors
from ..machine.pointers import pointers, stack_array
from ..machine.records import Table
from ..machine.threads import run_tiles
from ..numeric.integers import ceil_div
from ..numeric.philox import philox
from .draw import STORES, group_function, group_size, load_key, parameters_function, stored_type

# Neurons a tile.
TILE = 64

_EMPTY = np.int64(-1)

_AXIS = Table(("start", "length", "size", "index_stride", "out_stride"))
_SPARSE = Table(
    ("out", "neurons", "offset", "neuron_axes", "neuron_dims", "connection_axes", "connection_dims", "k", "fan_in")
    + ("key", "position_key", "parameters")
)
_axis_at, _sparse_at = _AXIS.at, _SPARSE.at


@inline
def _below(n: Any, low: Any, high: Any) -> Any:
    """floor(u * n / 2^64) of the 64-bit word u = (low, high), n < 2^32: uniform on 0 … n-1 up to n / 2^64."""
    wide = np.uint64(n)
    return np.int64((np.uint64(high) * wide + ((np.uint64(low) * wide) >> np.uint64(32))) >> np.uint64(32))


@inline
def _insert(table: Any, value: Any) -> Any:
    """Put `value` in an open-addressed set whose size is a power of two; False if it was there."""
    mask = np.int64(len(table) - 1)
    slot = np.int64(np.uint64(np.uint64(value) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while table[slot] != _EMPTY:
        if table[slot] == value:
            return False
        slot = (slot + np.int64(1)) & mask
    table[slot] = value
    return True


@inline
def _place(number: Any, axes: Any, count: Any) -> Any:
    """Where a number counted over axes lies: (inside the region?, flat index, out offset)."""
    inside = True
    index = np.int64(0)
    offset = np.int64(0)
    for a in range(count - 1, -1, -1):
        axis = _axis_at(axes, np.int64(a))
        rest = number // axis.size
        digit = number - rest * axis.size
        inside &= axis.start <= digit < axis.start + axis.length
        index += digit * axis.index_stride
        offset += (digit - axis.start) * axis.out_stride
        number = rest
    return inside, index, offset


@inline
def _neuron(local: Any, axes: Any, count: Any) -> Any:
    """From a neuron's number in the region to its number in the tensor."""
    neuron = np.int64(0)
    weight = np.int64(1)
    for a in range(count - 1, -1, -1):
        axis = _axis_at(axes, np.int64(a))
        neuron += (axis.start + local % axis.length) * weight
        local //= axis.length
        weight *= axis.size
    return neuron


@family(STORES)
def sparse_kernel(dtype: str) -> Kernel:
    """The kernel of a dtype: tile t of the neurons that a `_SPARSE` record describes."""
    groups, load_parameters = group_function("normal", dtype), parameters_function("normal", dtype)
    size, stored = group_size(dtype), stored_type(dtype)
    out_at = pointers(stored)

    @kernel(f"sparse-{dtype}", cost=1.0)
    def tile(t: Any, launch_address: Any) -> int:
        use_widest_vectors()
        launch = _sparse_at(launch_address, np.int64(0))
        key_words = load_key(launch.key)
        k0, k1, s0, s1 = load_key(launch.position_key)
        p = load_parameters(launch.parameters)
        out = out_at(launch.out, np.int64(0))
        scratch = stack_array(size, stored)
        k = launch.k
        slots = 16
        while slots < 2 * k:
            slots *= 2
        table = np.empty(slots, np.int64)
        for local in range(t * TILE, min(t * TILE + TILE, launch.neurons)):
            neuron = _neuron(np.int64(local), launch.neuron_axes, launch.neuron_dims)
            _, first, start = _place(neuron, launch.neuron_axes, launch.neuron_dims)
            table[:] = _EMPTY
            for j in range(k):
                block = np.uint64(neuron) * np.uint64((k + 1) // 2) + np.uint64(j // 2)
                w0, w1, w2, w3 = philox(np.uint32(block), np.uint32(block >> np.uint64(32)), s0, s1, k0, k1)
                last = launch.fan_in - k + j
                connection = _below(last + 1, w2, w3) if j % 2 else _below(last + 1, w0, w1)
                if not _insert(table, connection):
                    connection = last
                    _insert(table, connection)
                inside, index, offset = _place(connection, launch.connection_axes, launch.connection_dims)
                if inside:
                    i = first + index
                    groups(scratch, np.uint64(i // size), np.uint64(1), key_words, p)
                    out[launch.offset + start + offset] = scratch[i % size]
        return 0

    return tile


class Axes(NamedTuple):
    """A region of neurons, or of their connections.

    Parameters
    ----------
    axes
        int64, a row an axis: (start, length, size, flat-index stride, out stride), the slowest first.
    total
        Numbers in the region.
    offset
        Where its first is in the output.
    """

    axes: NDArray[np.int64]
    total: int
    offset: int = 0


class Keys(NamedTuple):
    """Streams of the values and of the positions, uint32[4] each."""

    values: NDArray[np.uint32]
    positions: NDArray[np.uint32]


def sparse(
    dtype: str, out: Any, neurons: Axes, connections: Axes, k: int, fan_in: int, keys: Keys, parameters: Any
) -> None:
    """Write the kept connections of the region's neurons to `out`, a flat array of zeros of the stored type."""
    launch = _SPARSE.record(
        out=place_of(out),
        neurons=neurons.total,
        offset=neurons.offset,
        neuron_axes=place_of(neurons.axes),
        neuron_dims=len(neurons.axes),
        connection_axes=place_of(connections.axes),
        connection_dims=len(connections.axes),
        k=k,
        fan_in=fan_in,
        key=place_of(keys.values),
        position_key=place_of(keys.positions),
        parameters=place_of(parameters),
    )
    # A kept connection costs about a group of elements.
    run_tiles(sparse_kernel(dtype), place_of(launch), ceil_div(neurons.total, TILE), neurons.total * k * 64)
