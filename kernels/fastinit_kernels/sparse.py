"""Exactly k incoming connections a neuron, each neuron drawn by itself, so that any region can be written alone.

The positions of a neuron are a uniform k-subset of its connections by Floyd's algorithm (Bentley, "Programming
pearls: a sample of brilliance", CACM 30(9), 1987): k draws, no rejection. Draw j of neuron m takes word pair j % 2 of
block m * ceil(k / 2) + j // 2 of the position stream.
"""

from functools import cache
from typing import Any

import numpy as np

from .draw import group_function, group_size, load_key, parameters_function, stored_type
from .intrinsics import stack_array
from .jit import Tiled, inline
from .philox import philox

# Neurons a tile.
TILE = 64

_EMPTY = np.int64(-1)


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
def _place(number: Any, axes: Any) -> Any:
    """Where a number counted over axes lies: (inside the region?, flat index, out offset)."""
    inside = True
    index = np.int64(0)
    offset = np.int64(0)
    for a in range(axes.shape[0] - 1, -1, -1):
        rest = number // axes[a, 2]
        digit = number - rest * axes[a, 2]
        inside &= axes[a, 0] <= digit < axes[a, 0] + axes[a, 1]
        index += digit * axes[a, 3]
        offset += (digit - axes[a, 0]) * axes[a, 4]
        number = rest
    return inside, index, offset


@cache
def sparse_kernel(dtype: str) -> Tiled:
    """The kernel `(out, neurons, connections, k, fan_in, key, position_key, parameters)`.

    `neurons` and `connections` are int64 arrays with a row an axis: (start, length, size, flat-index stride, out
    stride), the slowest first; `neurons` has one more row in front, whose start is the out offset and whose size is
    the number of neurons in the region. `out` holds zeros.
    """
    groups, load_parameters = group_function("normal", dtype), parameters_function("normal", dtype)
    size, stored = group_size(dtype), stored_type(dtype)

    @inline
    def tile(
        t: Any,
        out: Any,
        neurons: Any,
        connections: Any,
        k: Any,
        fan_in: Any,
        key: Any,
        position_key: Any,
        parameters: Any,
    ) -> None:
        key_words = load_key(key)
        k0, k1, s0, s1 = load_key(position_key)
        p = load_parameters(parameters)
        scratch = stack_array(size, stored)
        slots = 16
        while slots < 2 * k:
            slots *= 2
        table = np.empty(slots, np.int64)
        axes = neurons[1:]
        for local in range(t * TILE, min(t * TILE + TILE, neurons[0, 2])):
            # From the neuron's number in the region to its number in the tensor.
            rest = local
            neuron = np.int64(0)
            weight = np.int64(1)
            for a in range(axes.shape[0] - 1, -1, -1):
                digit = axes[a, 0] + rest % axes[a, 1]
                rest //= axes[a, 1]
                neuron += digit * weight
                weight *= axes[a, 2]
            _, first, start = _place(neuron, axes)
            table[:] = _EMPTY
            for j in range(k):
                block = np.uint64(neuron) * np.uint64((k + 1) // 2) + np.uint64(j // 2)
                w0, w1, w2, w3 = philox(np.uint32(block), np.uint32(block >> np.uint64(32)), s0, s1, k0, k1)
                last = fan_in - k + j
                connection = _below(last + 1, w2, w3) if j % 2 else _below(last + 1, w0, w1)
                if not _insert(table, connection):
                    connection = last
                    _insert(table, connection)
                inside, index, offset = _place(connection, connections)
                if inside:
                    i = first + index
                    groups(scratch, np.uint64(i // size), np.uint64(1), key_words, p)
                    out[neurons[0, 0] + start + offset] = scratch[i % size]

    return Tiled(f"sparse-{dtype}", tile)


def sparse(
    dtype: str,
    out: Any,
    neurons: Any,
    connections: Any,
    k: int,
    fan_in: int,
    key: Any,
    position_key: Any,
    parameters: Any,
) -> None:
    """Write the kept connections of the region's neurons to `out`, a flat array of zeros of the stored type."""
    count = int(neurons[0, 2])
    # A kept connection costs about a group of elements.
    sparse_kernel(dtype)(
        -(-count // TILE), count * k * 64, out, neurons, connections, k, fan_in, key, position_key, parameters
    )
