"""The comparisons, with their targets: one table that the suites run and the report measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import peers
import processes
from peers import PEERS, Work

import fastinit as fi
from fastinit.probing.sweep import sweep


@dataclass(frozen=True)
class Target:
    """What a comparison must reach: a factor, or a limit in seconds or bytes where there is no peer."""

    bound: float
    stretch: float | None = None


@dataclass(frozen=True)
class Case:
    """Our work beside a peer's.

    Parameters
    ----------
    what, versus
        The work and the peer, in words.
    ours, theirs
        Prepare the work of each side; `theirs` None: `target` is an absolute limit.
    faster
        The factor is "times faster" and must be at least the target; else "times the peer's time", at most.
    elements
        Times are given for one of so many elements.
    measured
        "s" or "B": the work itself returns its figure, the time it took in a process of its own or its memory.
    one_thread
        Both sides are held to one thread.
    headline
        Stands in the README's short table.
    """

    what: str
    versus: str
    ours: Callable[[], Work]
    theirs: Callable[[], Work] | None = None
    target: Target | None = None
    faster: bool = True
    elements: int = 1
    measured: str = ""
    repeats: int = 0
    module: str = "numpy"
    one_thread: bool = False
    headline: bool = False

    @property
    def name(self) -> str:
        return f"{self.what} | {self.versus}"


def fills(small: bool, threads: int) -> list[Case]:
    """One law, one dtype, one peer; 2^25 elements, fewer where the peer is slow."""

    def case(
        law: str, dtype: str, peer: str, target: float | None = None, stretch: float | None = None, *,
        log2: int = 25, one_thread: bool = False, headline: bool = False,
    ) -> Case:  # fmt: skip
        size, count = 1 << (16 if small else log2), 1 if one_thread else threads
        what = f"{law.replace('_', ' ')} {dtype}, 2^{log2}" + (", 1 thread" if one_thread else "")
        return Case(
            what, peer,
            partial(PEERS["fastinit"].prepare, law, dtype, size, count),
            partial(PEERS[peer].prepare, law, dtype, size, count),
            None if target is None else Target(target, stretch),
            faster=peer != "ndarray.fill", elements=size, module=PEERS[peer].module, one_thread=one_thread,
            headline=headline,
        )  # fmt: skip

    return [
        case("normal", "float32", "ndarray.fill", 2.5, 2.0, headline=True),
        case("uniform", "float32", "ndarray.fill", 1.5, 1.25),
        case("normal", "bfloat16", "ndarray.fill"),
        case("normal", "float32", "NumPy", 20, 25, headline=True),
        case("normal", "float32", "NumPy's thread recipe", 11, headline=True),
        case("normal", "float32", "NumPy", one_thread=True),
        case("uniform", "float32", "NumPy"),
        case("normal", "float64", "NumPy", 8, 12, log2=24),
        case("normal", "float32", "torch", 8, 10, headline=True),
        case("normal", "bfloat16", "torch", 10),
        case("uniform", "float32", "torch"),
        case("truncated_normal", "float32", "torch", 80, 150, log2=22, headline=True),
        case("normal", "float32", "JAX", log2=22),
        case("uniform", "float32", "JAX", log2=22),
        case("truncated_normal", "float32", "JAX", log2=22),
        case("normal", "float64", "mkl_random", log2=24),
    ]


def calls(small: bool, threads: int) -> list[Case]:
    """Small calls, regions, imports, first calls."""
    side = 1 << (8 if small else 13)
    rows = (slice(side // 8, side // 4), slice(0, side))
    scheme = "zeros" if small else "he_normal"  # zeros need no compiler
    first = f'fi.init("{scheme}", (1024, 1024), seed=0)'

    def tensor(region: tuple[slice, slice]) -> Work:
        out = peers.empty(side * side, "float32").reshape(side, side)[: region[0].stop - region[0].start]
        out = np.ascontiguousarray(out[:, : region[1].stop - region[1].start])
        return lambda: fi.init("he_normal", (side, side), seed=0, region=region, out=out)

    def whole() -> Work:
        return tensor((slice(0, side), slice(0, side)))

    def own(shape: tuple[int, ...]) -> Work:
        return lambda: fi.init("normal", shape, std=0.1, seed=0)

    def numpys(shape: tuple[int, ...]) -> Work:
        rng, std = np.random.default_rng(0), np.float32(0.1)
        return lambda: rng.standard_normal(shape, np.float32) * std

    return [
        Case("100 x 100, whole call", "NumPy's standard_normal * std", lambda: own((100, 100)),
             lambda: numpys((100, 100)), Target(1)),
        Case("10 elements, whole call", "15 us", lambda: own((10,)), target=Target(15e-6)),
        Case("10 elements, whole call", "NumPy's standard_normal * std", lambda: own((10,)),
             lambda: numpys((10,))),
        Case("1/8 of the rows of 8192 x 8192", "the whole", lambda: tensor(rows), whole,
             Target(1.15 / 8), faster=False),
        Case("1/8 of the columns of 8192 x 8192", "the whole", lambda: tensor(rows[::-1]), whole,
             Target(1.15 / 8), faster=False),
        Case("import fastinit, beyond NumPy's import", "0.3 s", lambda: processes.import_time,
             target=Target(0.3), measured="s"),
        Case("first call, nothing compiled", "3 s", lambda: processes.first_call_cold(first),
             target=Target(3), measured="s", repeats=3),
        Case("first call, kernels cached", "0.6 s", lambda: processes.first_call_cached(first),
             target=Target(0.6), measured="s"),
    ]  # fmt: skip


def probes(small: bool, threads: int) -> list[Case]:
    """Whole probes, tanh, every figure of every layer, against the products alone and against loops."""
    sizes = [(1024, 1024, 10), (1024, 256, 10), (1000, 100, 5)]
    bare = [Target(1.15, 1.0), Target(1.5, 1.15), Target(2.0, 1.3)]
    loop = [Target(2), Target(4), Target(7)]
    shrink = 16 if small else 1
    cases = []
    for (batch, width, depth), products, numpys in zip(sizes, bare, loop, strict=True):
        size = (batch // shrink, width // shrink, depth)
        what = f"probe, {depth} layers {batch} x {width} x {width}"
        ours = partial(peers.fastinit_probe, *size)
        cases += [
            Case(what, "bare matrix products", ours, partial(peers.bare_products, *size), products, faster=False,
                 headline=width == 1024),
            Case(what, "the loop in NumPy", ours, partial(peers.numpy_probe, *size), numpys,
                 headline=width == 100),
            Case(what, "the loop in torch", ours, partial(peers.torch_probe, *size), module="torch"),
        ]  # fmt: skip
    size, images = ((8, 8, 2), {"conv": 3, "image": 4}) if small else ((64, 64, 10), {"conv": 3, "image": 16})
    cases.append(
        Case("probe, 10 convolutions 3 x 3 of 64 channels, 64 images 16 x 16", "the loop in torch",
             partial(peers.fastinit_probe, *size, **images), partial(peers.torch_probe, *size, **images),
             module="torch")
    )  # fmt: skip
    size = (1024 // shrink, 1024 // shrink, 10)
    cases.append(
        Case("probe with gradients, 10 layers 1024 x 1024 x 1024", "three bare products a layer",
             partial(peers.fastinit_probe, *size, backward=True),
             partial(peers.bare_products, *size, backward=True), Target(1.2), faster=False)
    )  # fmt: skip
    wide = 512 if small else 65536
    # Without gradients where it is small: a minute less to compile.
    memory = partial(processes.probe_memory, wide, 16, 2, backward=not small, limit=8 << 30)
    cases.append(
        Case("peak memory of a probe with gradients, 2 layers 16 x 65536 x 65536", "2 GiB", memory,
             target=Target(2 << 30), measured="B", repeats=1)
    )  # fmt: skip
    first = 'fi.probe(scheme="xavier_normal", activation="tanh", seed=0)'
    if small:
        return cases
    return cases + [
        Case("first probe with gradients, nothing compiled", "-", partial(processes.first_call_cold, first),
             measured="s", repeats=1),
        Case("first probe with gradients, kernels cached", "-", partial(processes.first_call_cached, first),
             measured="s", repeats=3),
    ]  # fmt: skip


def sweeps(small: bool, threads: int) -> list[Case]:
    """Many small networks, a time a point, against a loop over the loop in NumPy."""
    batch, width, depth, seeds = (64, 32, 4, 2) if small else (256, 100, 10, 64)
    depths = list(range(1, depth + 1))

    def ours(depths: Sequence[int], seeds: int) -> Work:
        return lambda: sweep(
            scheme="xavier_normal", activation="tanh", width=width, batch=batch, backward=False, depth=depths,
            seed=range(seeds),
        )  # fmt: skip

    def loop(depths: Sequence[int], seeds: int) -> Work:
        points = [peers.numpy_probe(batch, width, depth) for depth in depths for _ in range(seeds)]
        return lambda: [point() for point in points]

    def case(what: str, depths: Sequence[int], seeds: int, headline: bool) -> Case:
        return Case(
            f"a point of a sweep, 256 x 100 x 100, {what}", "the loop in NumPy", partial(ours, depths, seeds),
            partial(loop, depths, seeds), elements=seeds * len(depths), headline=headline,
        )  # fmt: skip

    return [
        case("10 layers, 64 seeds", [depth], seeds, headline=True),
        case("1 to 10 layers, 8 seeds", depths, max(seeds // 8, 1), headline=False),
    ]


def orthogonal(small: bool, threads: int) -> list[Case]:
    """LAPACK's work on both sides, but ours draws faster and forms less."""
    if "orthogonal" not in fi.schemes():
        return []
    side = 64 if small else 2048

    def torchs() -> Work:
        torch = peers.load("torch")
        out = torch.zeros(side, side)
        return lambda: torch.nn.init.orthogonal_(out)

    def jaxs() -> Work:
        jax = peers.load("jax")
        key = jax.random.key(0)
        draw = jax.jit(partial(jax.nn.initializers.orthogonal(), shape=(side, side), dtype="float32"))
        return lambda: draw(key).block_until_ready()

    def ours() -> Work:
        return lambda: fi.init("orthogonal", (side, side), seed=0)

    return [
        Case("orthogonal 2048 x 2048", "torch", ours, torchs, Target(1, 2), module="torch", repeats=5),
        Case("orthogonal 2048 x 2048", "JAX", ours, jaxs, Target(1, 2), module="jax", repeats=5),
    ]


GROUPS = {"fill": fills, "calls": calls, "probe": probes, "sweep": sweeps, "orthogonal": orthogonal}


def cases(*, small: bool, threads: int) -> list[Case]:
    return [case for group in GROUPS.values() for case in group(small, threads)]
