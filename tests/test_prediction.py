"""The prediction for residual and normalised networks against wide networks, drawn and run here, and closed forms."""

import math

import numpy as np
import pytest
from formulas import FORMULAS

from fastinit import theory

PHI = {name: FORMULAS[name].phi for name in ("tanh", "relu")}
DEPTH, WIDTH, NETWORKS, PAIRS = 5, 400, 12, 4


def normalized(x, kind):
    if kind == "layer":
        centered = x - x.mean(axis=1, keepdims=True)
        return centered / np.sqrt((centered**2).mean(axis=1, keepdims=True) + 1e-5)
    return x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-5) if kind == "rms" else x


def simulate(phi, sigma_w, sigma_b, correlation, mean, std, skips, scale, kind):
    """(NETWORKS, 4, DEPTH): q, mean and std of a, correlation of z, of networks of their own weights."""
    figures = []
    for seed in range(NETWORKS):
        r = np.random.default_rng(seed)
        first, rest = r.normal(size=(2, PAIRS, WIDTH))
        second = correlation * first + math.sqrt(1 - correlation**2) * rest
        x, rows = mean + std * np.concatenate([first, second]), []
        for w, skip in zip(sigma_w, skips, strict=True):
            weights = r.standard_normal((WIDTH, WIDTH), np.float32) * (w / math.sqrt(WIDTH))
            z = normalized(x, kind) @ weights + sigma_b * r.normal(size=WIDTH)
            x = x + scale * phi(z) if skip else phi(z)
            likeness = np.mean(z[:PAIRS] * z[PAIRS:]) / np.mean(z**2)
            rows.append((np.mean(z**2), x.mean(), x.std(), likeness))
        figures.append(np.transpose(rows))
    return np.array(figures)


CASES = [
    (activation, {"normalize": kind, "residual": skip, "branch_scale": scale})
    for activation in PHI
    for kind in (None, "layer", "rms")
    for skip, scale in ((False, 1.0), (True, 1.0), (True, DEPTH**-0.5))
] + [
    ("relu", {"residual": [True, False, True, True, False], "branch_scale": 2.0, "normalize": "layer"}),
    ("tanh", {"residual": [False, True, True, False, True], "branch_scale": -0.7, "mean": 0.5, "second_moment": 2.0}),
    ("relu", {"residual": True, "normalize": "layer", "mean": 2.0, "second_moment": 5.0}),
    ("relu", {"residual": True, "normalize": "rms", "mean": 2.0, "second_moment": 5.0}),
]


@pytest.mark.parametrize(("activation", "network"), CASES)
def test_wide_networks_do_what_is_predicted(activation, network):
    sigma_w, sigma_b = [1.5, 1.0, 1.3, 0.8, 1.4], 0.3
    mean, second = network.get("mean", 0.0), network.get("second_moment", 1.0)
    # Of the whole inputs, mean and all: the simulation's is about the mean.
    likeness = 0.6
    correlation = (mean**2 + likeness * (second - mean**2)) / second
    expected = np.array(
        theory.predict(activation, sigma_w=sigma_w, sigma_b=sigma_b, depth=DEPTH, correlation=correlation, **network)
    )
    skips = np.broadcast_to(network["residual"], DEPTH)
    measured = simulate(
        PHI[activation], sigma_w, sigma_b, likeness, mean, math.sqrt(second - mean**2), skips,
        network.get("branch_scale", 1.0), network.get("normalize"),
    )  # fmt: skip
    error = 5 * measured.std(axis=0) / math.sqrt(NETWORKS - 1)
    # A finite width moves each layer's figures by a few parts in WIDTH, too.
    bias = 4 * np.arange(1, DEPTH + 1) / WIDTH * np.maximum(1, np.abs(expected))
    assert (np.abs(measured.mean(axis=0) - expected) <= error + bias).all()


def test_a_residual_relu_network_has_a_closed_form():
    s, p, m, expected = 0.7, 1.0, 0.0, []
    for _ in range(30):
        q = 1.21 * p + 0.04
        f = math.sqrt(q / (2 * math.pi))
        p, m = p + 2 * s * m * f + s * s * q / 2, m + s * f
        expected.append((q, m, math.sqrt(p - m * m)))
    predicted = theory.predict("relu", sigma_w=1.1, sigma_b=0.2, depth=30, residual=True, branch_scale=s)
    np.testing.assert_allclose(np.transpose(predicted[:3]), expected, rtol=1e-12)


@pytest.mark.parametrize("normalize", ["layer", "rms"])
def test_a_normalised_linear_network_keeps_its_size_to_epsilon(normalize):
    q = theory.predict("linear", sigma_w=2.0, depth=40, normalize=normalize, second_moment=7.0).q
    np.testing.assert_allclose(q[0], 4 * 7 / 7.00001, rtol=1e-14)
    np.testing.assert_allclose(q[-1], q[-1] * 4 / (q[-1] + 1e-5), rtol=1e-14)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
@pytest.mark.parametrize("c", [-0.5, 0.0, 0.9, 1.0])
def test_the_correlation_of_a_plain_network_is_that_of_the_map(activation, c):
    predicted = theory.predict(activation, sigma_w=1.3, sigma_b=0.4, depth=6, correlation=c)
    start = (1.69 * c + 0.16) / (1.69 + 0.16)
    assert predicted.correlation[0] == pytest.approx(start, rel=1e-15)
    mapped = theory.correlation_map(
        activation, sigma_w=1.3, sigma_b=0.4, q0=predicted.q[0], c0=predicted.correlation[0], depth=5
    )
    np.testing.assert_allclose(predicted.correlation[1:], mapped, rtol=0, atol=1e-14)


def test_all_flags_false_is_no_residual_network():
    plain = theory.predict("gelu", sigma_w=1.3, depth=4)
    flagged = theory.predict("gelu", sigma_w=1.3, depth=4, residual=[False] * 4, branch_scale=3.0)
    np.testing.assert_array_equal(plain, flagged)


def test_the_correlation_is_followed_as_far_as_the_signal():
    vanishing = theory.predict("relu", sigma_w=0.0, depth=2, correlation=0.5)
    exploding = theory.predict("relu", sigma_w=1e100, depth=4, correlation=0.5)
    assert np.isnan(vanishing.correlation).all()
    assert np.isfinite(exploding.correlation[0])
    assert np.isnan(exploding.correlation[-1])
