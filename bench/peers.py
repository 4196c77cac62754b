"""Who is measured: fastinit and the libraries one would use instead.

Each function prepares a piece of work (allocates, compiles, seeds) and returns a call without arguments that
does it once. Optional libraries are imported only when their work is prepared.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

import fastinit as fi

Work = Callable[[], object]

LAWS = ("normal", "uniform", "truncated_normal")
DTYPES = ("float32", "bfloat16", "float16", "float64")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
OPTIONAL = ("torch", "jax", "mkl_random", "randompack")


@dataclass(frozen=True)
class Peer:
    """A library that fills a tensor: `prepare(law, dtype, size, threads)` returns the work."""

    name: str
    module: str
    offers: Mapping[str, tuple[str, ...]]  # law -> dtypes
    prepare: Callable[[str, str, int, int], Work]
    one_thread: bool = True  # can be held to one thread
    many_threads: bool = False  # can use several

    def can(self, law: str, dtype: str, threads: int) -> bool:
        return dtype in self.offers.get(law, ()) and (self.one_thread if threads == 1 else self.many_threads)


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def load(module: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what another library warns of while it is imported is its own affair
        return importlib.import_module(module)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Hold everything loaded in this process that has threads to `count` of them."""
    import numba

    with ExitStack() as undo:
        undo.callback(numba.set_num_threads, numba.get_num_threads())
        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
        if torch := sys.modules.get("torch"):
            undo.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(count)
        if installed("threadpoolctl"):
            undo.enter_context(load("threadpoolctl").threadpool_limits(count, user_api="blas"))
        yield


def empty(size: int, dtype: str) -> np.ndarray:
    """A buffer whose pages are there: the first touch of fresh memory costs more than any fill."""
    out = np.empty(size, ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    out.fill(0)
    return out


def _fastinit(law: str, dtype: str, size: int, threads: int) -> Work:
    draw, out = getattr(fi, law), empty(size, dtype)
    return lambda: draw(size, seed=0, dtype=dtype, out=out)


def _fill(law: str, dtype: str, size: int, threads: int) -> Work:
    out, value = empty(size, dtype), 1
    if dtype == "bfloat16":  # through that dtype of ml_dtypes it would take several times as long
        out, value = out.view(np.uint16), 0x3F80
    return lambda: out.fill(value)


def _numpy(law: str, dtype: str, size: int, threads: int) -> Work:
    draw, out = _numpy_draw(np.random.default_rng(0), law), empty(size, dtype)
    if dtype == "bfloat16":
        return _upper_halves(draw, out)
    return lambda: draw(dtype=dtype, out=out)


def _upper_halves(draw: Callable[..., Any], out: np.ndarray) -> Work:
    # NumPy draws no bfloat16. Quicker than its casts: the upper halves of float32 values that are still in cache,
    # through views as whole numbers, cut off and not rounded.
    bits, block = out.view(np.uint16), np.empty(1 << 14, np.float32)
    halves = block.view(np.uint16)[sys.byteorder == "little" :: 2]

    def work() -> None:
        for first in range(0, len(bits), len(block)):
            part = bits[first : first + len(block)]
            draw(dtype=np.float32, out=block[: len(part)])
            part[:] = halves[: len(part)]

    return work


def _numpy_threads(law: str, dtype: str, size: int, threads: int) -> Work:
    # The recipe of NumPy's manual, "Multithreaded generation": a generator and a slice of `out` a thread.
    out = empty(size, dtype)
    seeds = np.random.SeedSequence(0).spawn(threads)
    draws = [_numpy_draw(np.random.default_rng(seed), law) for seed in seeds]
    slices = np.array_split(out, threads)
    pool = ThreadPoolExecutor(threads)

    def work() -> None:
        jobs = [pool.submit(draw, dtype=dtype, out=part) for draw, part in zip(draws, slices, strict=True)]
        for job in jobs:
            job.result()

    return work


def _numpy_draw(generator: np.random.Generator, law: str) -> Callable[..., Any]:
    return generator.standard_normal if law == "normal" else generator.random


def _torch(law: str, dtype: str, size: int, threads: int) -> Work:
    torch = load("torch")
    out = torch.zeros(size, dtype=getattr(torch, dtype))
    if law == "truncated_normal":
        return lambda: torch.nn.init.trunc_normal_(out)
    return out.normal_ if law == "normal" else out.uniform_  # type: ignore[no-any-return]


def _jax(law: str, dtype: str, size: int, threads: int) -> Work:
    jax = load("jax")
    key = jax.random.key(0)
    bounds = (-2.0, 2.0) if law == "truncated_normal" else ()
    draw = jax.jit(lambda key: getattr(jax.random, law)(key, *bounds, shape=(size,), dtype=dtype))
    return lambda: draw(key).block_until_ready()


def _mkl_random(law: str, dtype: str, size: int, threads: int) -> Work:
    # It has no `out`: blocks that stay in cache and are copied are faster than one fresh array of this size.
    state = load("mkl_random").MKLRandomState(0, brng="SFMT19937")
    out, block = empty(size, dtype), 1 << 14

    def work() -> None:
        for first in range(0, size, block):
            part = out[first : first + block]
            if law == "normal":
                part[:] = state.standard_normal(len(part), method="ICDF")
            else:
                part[:] = state.random_sample(len(part))

    return work


def _randompack(law: str, dtype: str, size: int, threads: int) -> Work:
    generator, out = load("randompack").Rng(), empty(size, dtype)  # its own choice of generator: the fastest
    generator.seed(0)
    draw = generator.normal if law == "normal" else generator.unif
    return lambda: draw(out=out)


_EVERY = dict.fromkeys(LAWS, DTYPES)
_PLAIN = dict.fromkeys(("normal", "uniform"), ("float32", "float64"))

PEERS = {
    peer.name: peer
    for peer in (
        Peer("fastinit", "fastinit", _EVERY, _fastinit, many_threads=True),
        Peer("ndarray.fill", "numpy", {"normal": DTYPES}, _fill),
        Peer("NumPy", "numpy", dict.fromkeys(_PLAIN, ("float32", "float64", "bfloat16")), _numpy),
        Peer("NumPy's thread recipe", "numpy", _PLAIN, _numpy_threads, one_thread=False, many_threads=True),
        Peer("torch", "torch", _EVERY, _torch, many_threads=True),
        Peer("JAX", "jax", dict.fromkeys(LAWS, ("float32", "bfloat16", "float16")), _jax, one_thread=False,
             many_threads=True),
        Peer("mkl_random", "mkl_random", dict.fromkeys(("normal", "uniform"), ("float64",)), _mkl_random),
        Peer("randompack", "randompack", _PLAIN, _randompack),
    )
}  # fmt: skip


def fill_grid(sizes: Sequence[int], threads: int) -> list[tuple[str, str, str, int, int]]:
    """Every (peer, law, dtype, size, threads) there is."""
    grid = itertools.product(PEERS, LAWS, DTYPES, sizes, range(1, threads + 1))
    return [point for point in grid if PEERS[point[0]].can(point[1], point[2], point[4])]


# Probes: `depth` layers of a batch x width @ width x width, tanh.


def fastinit_probe(batch: int, width: int, depth: int, backward: bool = False, **options: int) -> Work:
    return lambda: fi.probe(
        scheme="xavier_normal", activation="tanh", depth=depth, width=width, batch=batch, backward=backward, seed=0,
        **options,
    )  # fmt: skip


def bare_products(batch: int, width: int, depth: int, backward: bool = False) -> Work:
    """The matrix products alone, weights drawn beforehand: one a layer forward, two more backward."""
    rng = np.random.default_rng(0)
    std = np.float32(width**-0.5)
    start, *free = rng.standard_normal((3, batch, width), np.float32)
    weights = rng.standard_normal((depth, width, width), np.float32) * std
    gradient = np.empty_like(weights[0])

    def work() -> None:
        a = start  # each time: over many calls the signal would overflow, or become subnormal and slow
        for layer, w in enumerate(weights):
            z = free[layer % 2]
            np.matmul(a, w, out=z)
            if backward:
                np.matmul(a.T, z, out=gradient)
                np.matmul(a, w.T, out=z)
            a = z

    return work


def numpy_probe(batch: int, width: int, depth: int) -> Work:
    """The loop that everyone writes."""
    rng = np.random.default_rng(0)
    std = np.float32(width**-0.5)

    def work() -> list[Any]:
        a = rng.standard_normal((batch, width), np.float32)
        figures = []
        for _ in range(depth):
            a = np.tanh(a @ (rng.standard_normal((width, width), np.float32) * std))
            figures.append((a.mean(), a.std(), (np.abs(a) > 0.97).mean(), np.histogram(a, 30, (-1, 1))))
        return figures

    return work


def torch_probe(batch: int, width: int, depth: int, conv: int = 0, image: int = 0) -> Work:
    """The same in torch, of layers or of convolutions."""
    torch = load("torch")
    inputs, weights = (batch, width) + 2 * (image,) * bool(conv), (width, width) + 2 * (conv,) * bool(conv)
    product = partial(torch.nn.functional.conv2d, padding="same") if conv else torch.matmul
    std = math.prod(weights[1:]) ** -0.5

    def work() -> list[Any]:
        a = torch.randn(inputs)
        figures = []
        for _ in range(depth):
            a = torch.tanh(product(a, torch.randn(weights) * std))
            saturated = (a.abs() > 0.97).float().mean()
            figures.append((a.mean(), a.std(), saturated, torch.histc(a, 30, -1, 1)))
        return figures

    return work


def jax_histogram(a: Any, bins: int) -> Any:
    """Counts in JAX: below -1, in each of the bins from -1 to 1, and above 1."""
    jnp = load("jax").numpy
    place = jnp.clip(1 + jnp.floor((a + 1) * (bins / 2)).astype(jnp.int32), 0, bins + 1)
    place = jnp.where(a == 1, bins, place)  # the last bin holds its upper edge
    return jnp.zeros(bins + 2, jnp.int32).at[place.ravel()].add(1)


def jax_probe(batch: int, width: int, depth: int, seeds: int = 1, *, histogram: bool = True) -> Work:
    """The same in JAX: one function, a scan over the layers, vectorised over the seeds and compiled as a whole.

    It takes what a forward probe takes but for the counts of distinct units and of infinities and NaNs, and the
    verdict; the histogram, by a scatter, counts what lies outside of its range, too. Returns the figures by name,
    (seeds, depth).
    """
    jax = load("jax")
    jnp, bins, std = jax.numpy, 30, width**-0.5

    def layer(a: Any, key: Any) -> tuple[Any, dict[str, Any]]:
        w = std * jax.random.normal(key, (width, width))
        z = a @ w
        a = jnp.tanh(z)
        first, second = z[::2], z[1::2]
        q = jnp.square(z).mean()
        figures = {
            "mean": a.mean(), "std": a.std(), "min": a.min(), "max": a.max(),
            "preactivation_mean": z.mean(), "preactivation_std": z.std(), "q": q,
            "saturated": (jnp.abs(a) > 0.97).mean(), "zero": (a == 0).mean(), "dead": (a == 0).all(axis=0).mean(),
            "correlation": (first * second).mean() / q,
            "chi": jnp.square(1 - a * a).mean() * width * w.var(),
            "weight_mean": w.mean(), "weight_std": w.std(),
        }  # fmt: skip
        if histogram:
            counts = jax_histogram(a, bins)
            figures |= {"underflow": counts[0], "histogram": counts[1:-1], "overflow": counts[-1]}
        return a, figures

    def probe(seed: Any) -> Any:
        first, *keys = jax.random.split(jax.random.key(seed), depth + 1)
        return jax.lax.scan(layer, jax.random.normal(first, (batch, width)), jnp.stack(keys))[1]

    all_seeds, probes = jnp.arange(seeds), jax.jit(jax.vmap(probe))
    return lambda: jax.block_until_ready(probes(all_seeds))
