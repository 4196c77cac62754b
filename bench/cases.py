"""The comparisons, with their targets: one table that the suites run and the report measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import models
import modules
import numpy as np
import peers
import processes
import ranks
from peers import PEERS, Work

import fastinit as fi
from fastinit.probing.sweep import sweep


@dataclass(frozen=True)
class Target:
    """What a comparison must reach: a factor, or a limit in seconds or bytes (always so where there is no peer)."""

    bound: float
    stretch: float | None = None
    absolute: bool = False


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

    @property
    def limited(self) -> bool:
        """Whether the target is a limit of our own figure."""
        return self.target is not None and (self.target.absolute or self.theirs is None)


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
        case("uniform", "float32", "ndarray.fill", one_thread=True),
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
        case("normal", "bfloat16", "NumPy"),
        case("normal", "float64", "mkl_random", log2=24),
        case("normal", "float32", "randompack", one_thread=True),
        case("uniform", "float32", "randompack", one_thread=True),
        case("normal", "float64", "randompack", log2=24, one_thread=True),
    ]


def calls(small: bool, threads: int) -> list[Case]:
    """Small calls, regions, imports."""
    side = 1 << (8 if small else 13)
    rows = (slice(side // 8, side // 4), slice(0, side))

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
    ]  # fmt: skip


# What `import fastinit` is to JAX: what it computes with is imported, nothing is compiled.
JAX = "import sys; sys.path.insert(0, 'bench'); import jax, peers"

# What this is compared with as a whole: the same calls in a checkout of this commit.
BASELINE = "266a1e4"


def first(small: bool, threads: int, baseline: str = BASELINE) -> list[Case]:
    """First calls of fresh processes: with nothing compiled after `import fastinit`, with all after `import numba`."""
    probe = 'fi.probe(scheme="xavier_normal", activation="tanh", seed=0, {})'
    calls: dict[str, tuple[str, Target | None]] = {
        "fi.init": ('fi.init("he_normal", (1024, 1024), seed=0)', Target(3, 1, absolute=True)),
        "probe, forward": (probe.format("backward=False"), Target(4, absolute=True)),
        "probe with gradients": (probe.format(""), Target(0.5)),
        "float64 probe with gradients": (probe.format('dtype="float64"'), None),
    }
    if small:  # zeros need no compiler
        calls = {"fi.init": ('fi.init("zeros", (8, 8))', None)}

    def sides(prepare: Callable[..., Work], *arguments: str) -> tuple[Callable[[], Work], Callable[[], Work]]:
        return (lambda: prepare(*arguments)), (lambda: prepare(*arguments, root=processes.checkout(baseline)))

    cases = [
        Case(f"first {what}, nothing compiled", f"commit {baseline}", *sides(processes.cold, call), target,
             faster=False, measured="s", repeats=3 if target else 1)
        for what, (call, target) in calls.items()
    ]  # fmt: skip
    cases += [
        Case(f"first {what}, kernels cached, beyond import numba", f"commit {baseline}",
             *sides(processes.cached, "import fastinit as fi; " + call, "import numba"), Target(0.5, absolute=True),
             faster=False, measured="s", repeats=3)
        for what, (call, _) in calls.items()
    ]  # fmt: skip
    if small:
        return cases
    call, _ = calls["fi.init"]
    cases.append(
        Case("first fi.init, kernels cached", "0.6 s", lambda: processes.cached(call), target=Target(0.6, 0.4),
             measured="s", repeats=5)
    )  # fmt: skip
    call, _ = calls["probe, forward"]
    cases.append(
        Case("first probe, forward, nothing compiled", "JAX, jit and its first call", lambda: processes.cold(call),
             lambda: processes.cold("peers.jax_probe(1024, 512, 10)()", JAX), faster=False, measured="s", repeats=1,
             module="jax")
    )  # fmt: skip
    return cases


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
    cases += [
        Case(f"probe with gradients, {depth} layers {batch} x {width} x {width}", "three bare products a layer",
             partial(peers.fastinit_probe, batch // shrink, width // shrink, depth, backward=True),
             partial(peers.bare_products, batch // shrink, width // shrink, depth, backward=True), target,
             faster=False)
        for batch, width, depth, target in ((1024, 1024, 10, Target(1.2)), (1000, 100, 5, None))
    ]  # fmt: skip
    wide = 512 if small else 65536
    # Without gradients where it is small: a minute less to compile.
    memory = partial(processes.probe_memory, wide, 16, 2, backward=not small, limit=8 << 30)
    cases.append(
        Case("peak memory of a probe with gradients, 2 layers 16 x 65536 x 65536", "2 GiB", memory,
             target=Target(2 << 30), measured="B", repeats=1)
    )  # fmt: skip
    return cases


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

    def case(what: str, versus: str, theirs: Callable[[], Work], **options: Any) -> Case:
        what = f"a point of a sweep, 256 x 100 x 100, {what}"
        return Case(
            what, versus, theirs=theirs, **({"ours": partial(ours, [depth], seeds), "elements": seeds} | options)
        )

    def earlier() -> Work:
        return processes.cached(point, warm, root=processes.checkout(BASELINE))

    # Beside another checkout each side is a process of its own, which has swept once before.
    warm = (
        f"import fastinit as fi; points = lambda n: fi.sweep(scheme='xavier_normal', activation='tanh', width={width}, "
        f"batch={batch}, depth={depth}, backward=False, seed=range(n)); points({seeds})"
    )
    point, jitted, fewer = f"points({seeds})", partial(peers.jax_probe, batch, width, depth, seeds), max(seeds // 8, 1)
    cases = [
        case("10 layers, 64 seeds", "the loop in NumPy", partial(loop, [depth], seeds), headline=True),
        case("10 layers, 64 seeds", "JAX, jit and vmap", jitted, target=Target(3.5), module="jax", headline=True),
        case("10 layers, 64 seeds", "JAX, jit and vmap, without the histogram", partial(jitted, histogram=False),
             module="jax"),
        case("1 to 10 layers, 8 seeds", "the loop in NumPy", partial(loop, depths, fewer),
             ours=partial(ours, depths, fewer), elements=fewer * depth),
    ]  # fmt: skip
    if not small:
        cases.append(
            case("10 layers, 64 seeds", f"commit {BASELINE}", earlier, ours=lambda: processes.cached(point, warm),
                 target=Target(1.5), measured="s")
        )  # fmt: skip
    return cases


def orthogonal(small: bool, threads: int) -> list[Case]:
    """Matrix products on our side, a factorisation and its Q on the others'."""
    shrink = 16 if small else 1

    def torchs(shape: tuple[int, int]) -> Work:
        torch = peers.load("torch")
        out = torch.zeros(shape)
        return lambda: torch.nn.init.orthogonal_(out)

    def jaxs(shape: tuple[int, int]) -> Work:
        jax = peers.load("jax")
        key = jax.random.key(0)
        draw = jax.jit(partial(jax.nn.initializers.orthogonal(), shape=shape, dtype="float32"))
        return lambda: draw(key).block_until_ready()

    def ours(shape: tuple[int, int]) -> Work:
        return lambda: fi.init("orthogonal", shape, seed=0)

    found = []
    for rows, columns in ((2048, 2048), (4096, 1024)):
        shape, headline = (rows // shrink, columns // shrink), rows == columns
        for peer, theirs in (("torch", torchs), ("JAX", jaxs)):
            found.append(
                Case(f"orthogonal {rows} x {columns}", peer, partial(ours, shape), partial(theirs, shape),
                     Target(2, 4) if headline else None, module=peer.lower(), repeats=5, headline=headline)
            )  # fmt: skip
    return found


def checkpoints(small: bool, threads: int) -> list[Case]:
    """A model of 1.1 B parameters in bfloat16, to a file in memory."""
    what = "checkpoint, 1.1 B bfloat16, to tmpfs"
    ours, repeats = partial(models.ours, small), 5
    return [
        Case(what, "torch init, safetensors' save", ours, partial(models.torchs, small), Target(5),
             measured="s", module="safetensors", repeats=repeats),
        Case(what, "dd's zeros", ours, partial(models.zeros, small), Target(0.6), measured="s", repeats=repeats),
        Case("memory of a checkpoint, 1.1 B bfloat16", "64 MiB", partial(models.memory, small),
             target=Target(64 << 20), measured="B", repeats=1),
    ]  # fmt: skip


def whole_modules(small: bool, threads: int) -> list[Case]:
    """Modules, trees and arrays of other libraries, initialised by fastinit and by themselves."""
    found = []
    for dtype in ("float32", "bfloat16"):
        found += [
            Case(f"GPT-2 124 M from its config, {dtype}", "transformers", partial(modules.gpt2, small, dtype),
                 partial(modules.transformers_gpt2, small, dtype), Target(5), module="transformers", repeats=5),
            Case(f"Llama 1.1 B, meta to CPU, {dtype}", "torch.nn.init", partial(modules.llama, small, dtype),
                 partial(modules.torch_llama, small, dtype), Target(5), module="torch", repeats=3),
        ]  # fmt: skip
    return [
        *found,
        Case("GPT-2's parameters under fully_shard, 4 processes", "torch.nn.init",
             partial(ranks.sharded, small, "ours"), partial(ranks.sharded, small, "torch"), Target(5), measured="s",
             module="torch", repeats=5),
        Case("GPT-2's tree, 124 M", "JAX, jit and its compilation", partial(modules.tree, small),
             partial(modules.jax_tree, small), module="jax", repeats=3),
        Case("8 dense layers of 2048, built", "Keras", partial(modules.keras_layers, small, True),
             partial(modules.keras_layers, small, False), module="keras", repeats=5),
        Case("normal float64, 2^26 in 64 chunks", "dask.array.random", partial(modules.dask_normal, small, True),
             partial(modules.dask_normal, small, False), module="dask", repeats=5),
    ]  # fmt: skip


GROUPS = {
    "module": whole_modules,
    "checkpoint": checkpoints,
    "fill": fills,
    "calls": calls,
    "first": first,
    "probe": probes,
    "sweep": sweeps,
    "orthogonal": orthogonal,
}


def cases(*, small: bool, threads: int) -> list[Case]:
    return [case for group in GROUPS.values() for case in group(small, threads)]
