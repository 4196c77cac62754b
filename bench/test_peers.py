"""Peers do the work that they are compared in: the figures of JAX's probe, what fills leave in their buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import peers
import pytest
from peers import PEERS

import fastinit as fi

FIGURES = (
    "mean", "std", "min", "max", "preactivation_mean", "preactivation_std", "q", "saturated", "chi", "correlation",
    "weight_mean", "weight_std",
)  # fmt: skip


def test_jaxs_probe_has_our_figures_up_to_sampling(require: Callable[[str], None]) -> None:
    require("jax")
    batch, width, depth, seeds = 64, 32, 4, 64
    theirs: Any = peers.jax_probe(batch, width, depth, seeds)()
    ours = [
        fi.probe(scheme="xavier_normal", activation="tanh", depth=depth, width=width, batch=batch, backward=False,
                 seed=1000 + seed)
        for seed in range(seeds)
    ]  # fmt: skip
    for name in FIGURES:
        a, b = np.array([getattr(result, name) for result in ours]), np.asarray(theirs[name], np.float64)
        assert b.shape == (seeds, depth)
        # The means of two samples of 64 seeds: five standard errors, some 50 comparisons.
        error = np.sqrt((a.var(axis=0, ddof=1) + b.var(axis=0, ddof=1)) / seeds)
        assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) < 5 * error).all(), name
    a, b = np.array([result.histogram for result in ours]), np.asarray(theirs["histogram"])
    assert (b.sum(axis=-1) == batch * width).all()
    assert not np.any([theirs["underflow"], theirs["overflow"]])
    error = np.sqrt((a.var(axis=0, ddof=1) + b.var(axis=0, ddof=1)) / seeds)
    assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) < 5 * error).all()


def test_jaxs_histogram_is_numpys(require: Callable[[str], None]) -> None:
    require("jax")
    jnp = peers.load("jax").numpy
    a = np.array([-1.5, -1, -0.99, -0.5, 0, 0.31, 0.99, 1, 1.0001, 7], np.float32)
    counts = np.asarray(peers.jax_histogram(jnp.asarray(a), 30))
    inside = np.histogram(a, 30, (-1, 1))[0]
    assert counts.tolist() == [1, *inside.tolist(), 2]


@pytest.mark.parametrize("name", ["fastinit", "NumPy", "NumPy's thread recipe", "mkl_random", "randompack"])
def test_peers_fill_with_what_they_say(require: Callable[[str], None], name: str) -> None:
    peer, size = PEERS[name], 1 << 16
    require(peer.module)
    buffers: list[np.ndarray] = []
    empty = peers.empty

    def seen(size: int, dtype: str) -> np.ndarray:
        buffers.append(empty(size, dtype))
        return buffers[-1]

    moments = {"normal": (0.0, 1.0), "uniform": (0.5, 12**-0.5)}
    for law in moments.keys() & peer.offers.keys():
        for dtype in peer.offers[law]:
            buffers.clear()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(peers, "empty", seen)
                peer.prepare(law, dtype, size, 1)()
            values, (mean, std) = buffers[0].astype(np.float64), moments[law]
            # Five standard errors, and the last bit of the coarsest type, cut off.
            coarse = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
            assert abs(values.mean() - mean) < 5 * std / size**0.5 + coarse * std, (law, dtype)
            assert abs(values.std() / std - 1) < 5 / size**0.5 + 2 * coarse, (law, dtype)
