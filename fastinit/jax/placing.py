"""Memory that JAX takes over as it is, blocks of arrays on their devices, and draws while JAX traces."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..weights.dtypes import DTYPES
from ..weights.regions import Shape
from ..weights.streams import stream
from ..words import needs, shown

with needs("JAX", extra="jax"):
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

Slices = tuple[slice, ...]
# Writes the region of a tensor to an array of its shape; of a tensor that a seed has part in, the seed comes first.
Fill = Callable[[Slices, NDArray[Any]], Any]
SeededFill = Callable[[int, Slices, NDArray[Any]], Any]

_ALIGNMENT = 64
"""Bytes. XLA on CPUs takes over memory that begins at a multiple of them, and copies any other."""


def aligned(shape: Shape, dtype: str) -> NDArray[Any]:
    """Return memory that JAX takes over without a copy."""
    kind = DTYPES[dtype]
    size = math.prod(shape) * kind.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    made: NDArray[Any] = memory[start : start + size].view(kind).reshape(shape)
    return made


def check_sharding(argument: str, value: Any) -> Sharding | None:
    """Return a sharding of real devices; that of a PartitionSpec is over the mesh of `jax.set_mesh`."""
    if value is None or (isinstance(value, Sharding) and not _is_abstract(value)):
        return value
    spec = value.spec if isinstance(value, NamedSharding) else value
    if not isinstance(spec, PartitionSpec):
        raise TypeError(f"argument '{argument}' must be a jax.sharding.Sharding or a PartitionSpec, got {shown(value)}")
    mesh = jax.sharding.get_mesh()
    if mesh.empty:
        raise ValueError(f"argument '{argument}' must have a mesh, by jax.set_mesh or its own, got {shown(value)}")
    return NamedSharding(mesh, spec)


def _is_abstract(sharding: Sharding) -> bool:
    return isinstance(sharding, NamedSharding) and not isinstance(sharding.mesh, Mesh)


def check_fits(argument: str, sharding: Sharding, shape: Shape, of: str = "") -> None:
    """Refuse a sharding that does not divide the shape."""
    try:
        sharding.shard_shape(shape)
        if isinstance(sharding, NamedSharding) and len(sharding.spec) > len(shape):
            raise ValueError(f"{len(sharding.spec)} axes are divided")
    except Exception as error:
        rule = f"a sharding whose parts divide shape {shape}{of}"
        raise ValueError(f"argument '{argument}' must be {rule}, got {shown(sharding)}: {shown(str(error))}") from None


def place(shape: Shape, dtype: str, sharding: Sharding | None, fill: Fill) -> Any:
    """Return an array of which each device of this process that has a part has it drawn.

    Nothing is compiled. On CPUs the array is the memory that was drawn to.
    """

    def block(index: Slices) -> NDArray[Any]:
        region = tuple(slice(*part.indices(size)) for part, size in zip(index, shape, strict=True))
        memory = aligned(tuple(part.stop - part.start for part in region), dtype)
        fill(region, memory)
        return memory

    if sharding is None:
        return jax.device_put(block((slice(None),) * len(shape)))
    return jax.make_array_from_callback(shape, sharding, block)


def trace(words: Any, shape: Shape, dtype: str, out_sharding: Any, fill: SeededFill) -> Any:
    """Return what `place` would, of a seed that is known when the compiled program runs: by a call back.

    Under `vmap` each seed's tensor is drawn by itself. Under `out_sharding` each device asks for its own part.
    """

    def draw(block: Shape, words: Any, starts: Any) -> NDArray[Any]:
        keys, firsts = np.asarray(words), np.asarray(starts)
        memory = aligned((*keys.shape[:-1], *block), dtype)
        for index in np.ndindex(keys.shape[:-1]):
            first = firsts[index].tolist()
            fill(seed_of(keys[index]), tuple(slice(a, a + n) for a, n in zip(first, block, strict=True)), memory[index])
        return memory

    def ask(block: Shape, words: Any, starts: Any) -> Any:
        result = jax.ShapeDtypeStruct(block, DTYPES[dtype])
        return jax.pure_callback(lambda *a: draw(block, *a), result, words, starts, vmap_method="broadcast_all")

    if out_sharding is None:
        return ask(shape, words, np.zeros(len(shape), np.int32))
    sharding = out_sharding if isinstance(out_sharding, NamedSharding) else None
    spec = out_sharding if sharding is None else sharding.spec
    mesh = jax.sharding.get_abstract_mesh() if sharding is None else sharding.mesh
    if not isinstance(spec, PartitionSpec) or mesh.empty:
        raise ValueError(
            f"argument 'out_sharding' must be a NamedSharding, or a PartitionSpec under jax.set_mesh, got "
            f"{shown(out_sharding)}"
        )
    check_fits("out_sharding", NamedSharding(mesh, spec), shape)
    block = NamedSharding(mesh, spec).shard_shape(shape)

    def part(words: Any) -> Any:
        axes = (*spec, *(None,) * (len(shape) - len(spec)))
        firsts = [n * jax.lax.axis_index(names) if names else 0 for names, n in zip(axes, block, strict=True)]
        return ask(block, words, jax.numpy.array(firsts, np.int32))

    return jax.shard_map(part, mesh=mesh, in_specs=PartitionSpec(), out_specs=spec, check_vma=False)(words)


def seed_words(key: Any) -> Any:
    """Return the bits of a key as an array of 32-bit words, abstract while JAX traces."""
    refusal = f"argument 'key' must be a key of jax.random, got {shown(key)}"
    try:
        typed = jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
        single = key if typed else jax.random.wrap_key_data(key)
        words = jax.random.key_data(single)
    except Exception:  # no array, or one that is no key
        raise TypeError(refusal) from None
    if single.shape:
        raise ValueError(
            f"argument 'key' must be one key, got {single.shape} of them: jax.vmap takes one after another"
        )
    return words


def is_traced(words: Any) -> bool:
    """Say whether a value is not known yet."""
    return isinstance(words, jax.core.Tracer)


def seed_of(words: NDArray[Any]) -> int:
    """Return the seed that a key stands for: 42 for `jax.random.key(42)`."""
    high, low = map(int, words[:2])
    if len(words) > 2:  # keys of "rbg": two that differ anywhere differ here
        rest = np.asarray(words[2:], "<u4").tobytes()
        return (high << 32 | low) ^ stream(rest.hex())
    return high << 32 | low
