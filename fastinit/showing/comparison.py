"""Fills of one tensor by fastinit and by the libraries that are installed, timed in turns."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

from ..words import number

LAWS = ("normal", "uniform", "truncated_normal")
DTYPES = ("float32", "float64", "float16", "bfloat16")
# Seconds that one library takes at least in a round: shorter calls are repeated.
_SHORTEST = 0.01

Work = Callable[[], object]


def _fastinit(law: str, dtype: str, size: int, seed: int) -> Work:
    import fastinit as fi

    draw, out = getattr(fi, law), fi.init("zeros", size, dtype=dtype)
    return lambda: draw(size, seed=seed, dtype=dtype, out=out)


def _numpy(law: str, dtype: str, size: int, seed: int) -> Work | None:
    import numpy as np

    if law == "truncated_normal" or dtype not in ("float32", "float64"):
        return None
    generator, out = np.random.default_rng(seed), np.zeros(size, dtype)
    draw: Any = generator.standard_normal if law == "normal" else generator.random
    return lambda: draw(dtype=out.dtype, out=out)


def _torch(law: str, dtype: str, size: int, seed: int) -> Work:
    torch = importlib.import_module("torch")
    generator, out = torch.Generator().manual_seed(seed), torch.zeros(size, dtype=getattr(torch, dtype))
    if law == "truncated_normal":
        return lambda: torch.nn.init.trunc_normal_(out, generator=generator)
    draw = out.normal_ if law == "normal" else out.uniform_
    return lambda: draw(generator=generator)


def _jax(law: str, dtype: str, size: int, seed: int) -> Work | None:
    jax = importlib.import_module("jax")
    if dtype == "float64" and not jax.config.jax_enable_x64:
        return None
    bounds = (-2.0, 2.0) if law == "truncated_normal" else ()
    key = jax.random.key(seed)
    draw = jax.jit(lambda key: getattr(jax.random, law)(key, *bounds, shape=(size,), dtype=dtype))
    return lambda: draw(key).block_until_ready()


def _mkl_random(law: str, dtype: str, size: int, seed: int) -> Work | None:
    if law == "truncated_normal" or dtype != "float64":
        return None
    state = importlib.import_module("mkl_random").MKLRandomState(seed, brng="SFMT19937")
    return (lambda: state.standard_normal(size)) if law == "normal" else (lambda: state.random_sample(size))


def _randompack(law: str, dtype: str, size: int, seed: int) -> Work | None:
    import numpy as np

    if law == "truncated_normal" or dtype not in ("float32", "float64"):
        return None
    generator, out = importlib.import_module("randompack").Rng(), np.zeros(size, dtype)
    generator.seed(seed)
    draw = generator.normal if law == "normal" else generator.unif
    return lambda: draw(out=out)


# Module -> what prepares its work, or None where it cannot draw that.
LIBRARIES: dict[str, Callable[[str, str, int, int], Work | None]] = {
    "fastinit": _fastinit, "numpy": _numpy, "torch": _torch, "jax": _jax, "mkl_random": _mkl_random,
    "randompack": _randompack,
}  # fmt: skip


def missing() -> list[str]:
    """Return the libraries that are not installed."""
    return [name for name in LIBRARIES if importlib.util.find_spec(name) is None]


def measure(law: str, dtype: str, size: int, repeats: int, seed: int, progress: Any) -> list[dict[str, Any]]:
    """Time a tensor's fills in turns; return rows of library, version, median seconds, rate and ratio to ours."""
    works: dict[str, Work] = {}
    absent = missing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what another library warns of while it is loaded is its own affair
        for name in LIBRARIES:
            work = None if name in absent else _prepared(name, law, dtype, size, seed)
            if work is not None:
                works[name] = work
    names = [*works]
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            progress.say(name)
            taken[name].append(_seconds(works[name]))
        progress.advance()
    return [
        {
            "library": name,
            "version": _version(name),
            "seconds": median(taken[name]),
            "rate": size / median(taken[name]),
            "ratio": median(theirs / ours for theirs, ours in zip(taken[name], taken["fastinit"], strict=True)),
        }
        for name in names
    ]


def _prepared(name: str, law: str, dtype: str, size: int, seed: int) -> Work | None:
    """Return a library's work after a first call, which compiles and touches pages; None where it cannot do it."""
    try:
        work = LIBRARIES[name](law, dtype, size, seed)
        if work is not None:
            work()
    except (ImportError, RuntimeError, MemoryError):
        if name == "fastinit":
            raise
        return None
    return work


def _seconds(work: Work) -> float:
    calls, started = 0, time.perf_counter()
    while True:
        work()
        calls += 1
        seconds = time.perf_counter() - started
        if seconds >= _SHORTEST:
            return seconds / calls


def _version(name: str) -> str:
    from .. import __version__

    if name == "fastinit":
        return __version__
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def draw(rows: list[dict[str, Any]], title: str, path: str | os.PathLike[str]) -> None:
    """Draw a bar a library, as long as its rate, with its time as a multiple of ours."""
    from .style import new_figure, plain_frame, save

    figure = new_figure(7.0, 1.2 + 0.45 * len(rows))
    axes = figure.subplots()
    rates = [row["rate"] / 1e9 for row in rows]
    bars = axes.barh([row["library"] for row in rows], rates, color=["#0072b2"] + ["#999999"] * (len(rows) - 1))
    words = [f"{number(rate, 3)} ({row['ratio']:.2f} x the time)" for rate, row in zip(rates, rows, strict=True)]
    axes.bar_label(bars, words, padding=4)
    axes.set_xlim(0.0, 1.5 * max(rates))
    axes.invert_yaxis()
    axes.set_xlabel("10⁹ elements per second")
    axes.set_title(title, loc="left", fontsize=10)
    plain_frame(axes, "top", "right")
    save(figure, path)
