"""What theory says of curves, of moments and of finite widths: closed forms, NumPy's networks, and many seeds."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from formulas import FORMULAS
from scipy import integrate

import fastinit as fi
from fastinit import theory

# --- curves ---


@pytest.mark.parametrize("q", [1e-3, 0.5, 3.0, 40.0])
def test_chi2_in_closed_form(q):
    near = {"rel": 1e-8}
    assert theory.chi2("sin", sigma_w=2.0, q=q) == pytest.approx(-2 * math.expm1(-2 * q), **near)
    assert theory.chi2("relu_squared", sigma_w=2.0, q=q) == pytest.approx(8.0, **near)
    assert theory.chi2("linear", sigma_w=2.0, q=q) == 0
    # phi'' of elu is exp(z) below 0: E[exp(2 z); z < 0] = exp(2 q) Phi(-2 sqrt q).
    elu = math.exp(2 * q) * float(mp.ncdf(-2 * math.sqrt(q))) if q < 30 else None
    if elu is not None:
        assert theory.chi2("elu", sigma_w=1.0, q=q) == pytest.approx(elu, rel=1e-7)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "silu", "softplus", "mish"])
def test_chi2_by_mpmaths_second_derivative(name):
    q, std = 1.7, math.sqrt(1.7)
    bend = lambda z: float(mp.diff(lambda t: FORMULAS[name].exact_slope(t, 0), z, h=mp.mpf(10) ** -8))  # noqa: E731
    z = np.linspace(-9, 9, 181)
    with mp.workdps(30):
        squares = np.array([bend(mp.mpf(float(std * x))) for x in z]) ** 2
    expected = integrate.simpson(squares * np.exp(-z * z / 2), x=z) / math.sqrt(2 * math.pi)
    assert theory.chi2(name, sigma_w=1.0, q=q) == pytest.approx(expected, rel=2e-7)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "selu", "hard_tanh", "relu6", "hard_swish", "prelu"])
def test_a_derivative_that_jumps_makes_corners(name):
    assert theory.chi2(name, sigma_w=1.0, q=1.0) == math.inf
    found = theory.curvature_map(name, sigma_w=1.0, q0=1.0, depth=2)
    assert (found.kappa == np.inf).all()
    assert theory.chi2(name, sigma_w=0.0, q=1.0) == 0


def test_a_curve_by_the_derivatives_of_the_covariance():
    # Of sin all is known: C -> sigma_w^2 exp(-q) sinh(C) + sigma_b^2. Along the curve, by its parameter t, C(0) - C(t)
    # is half the squared distance, so that C'' = -g and C'''' = g^2 kappa^2 at 0, through any number of layers.
    sigma_w, sigma_b, q = 1.8, 0.4, 1.3
    with mp.workdps(60):
        covariance, variance = lambda t: mp.mpf(q) * mp.cos(t), mp.mpf(q)
        found = theory.curvature_map("sin", sigma_w=sigma_w, sigma_b=sigma_b, q0=q, depth=4)
        for layer in range(4):
            scale, bias = mp.mpf(sigma_w) ** 2 * mp.exp(-variance), mp.mpf(sigma_b) ** 2
            covariance = lambda t, c=covariance, s=scale, b=bias: s * mp.sinh(c(t)) + b  # noqa: E731
            variance = covariance(mp.mpf(0))
            _, _, second, _, fourth = mp.taylor(covariance, 0, 4)
            second, fourth = 2 * second, 24 * fourth
            assert found.stretch[layer] == pytest.approx(float(mp.sqrt(-second / q)), rel=1e-9)
            assert found.kappa[layer] == pytest.approx(float(mp.sqrt(fourth) / -second), rel=1e-9)


def test_a_circle_through_a_wide_network_of_numpy():
    n, sigma_w, sigma_b, q = 3000, 2.0, 0.3, 1.0
    generator = np.random.default_rng(3)
    t = np.arange(-3, 4) * 0.02
    u, v = (generator.standard_normal(n) for _ in range(2))
    h = math.sqrt(q) * (np.cos(t)[:, None] * u + np.sin(t)[:, None] * v)
    expected = theory.curvature_map("tanh", sigma_w=sigma_w, sigma_b=sigma_b, q0=q, depth=2)
    first = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60 / 0.02  # sixth order
    second = np.array([2, -27, 270, -490, 270, -27, 2]) / 180 / 0.02**2
    for layer in range(2):
        w = generator.standard_normal((n, n)) * (sigma_w / math.sqrt(n))
        h = np.tanh(h) @ w + sigma_b * generator.standard_normal(n)
        velocity, acceleration = first @ h, second @ h
        speed = velocity @ velocity
        normal = acceleration - velocity * (velocity @ acceleration) / speed
        # Each mean over n units, of n layers' chances, is good to a few 1/sqrt(n).
        assert math.sqrt(speed / n / q) == pytest.approx(expected.stretch[layer], rel=0.06)
        assert math.sqrt(normal @ normal * n) / speed == pytest.approx(expected.kappa[layer], rel=0.06)


def test_where_poole_et_al_see_order_and_chaos():
    # Section 3: at the fixed point a chaotic network's length and curvature grow, an ordered one's length falls.
    for sigma_w, grows in ((4.0, True), (0.8, False)):
        q = theory.fixed_point("tanh", sigma_w=sigma_w, sigma_b=0.3).q
        chi = theory.chi1("tanh", sigma_w=sigma_w, sigma_b=0.3)
        found = theory.curvature_map("tanh", sigma_w=sigma_w, sigma_b=0.3, q0=q, depth=12)
        np.testing.assert_allclose(found.stretch, chi ** (np.arange(1, 13) / 2), rtol=1e-8)
        assert (found.stretch[-1] > 1) == grows
        if grows:  # kappa comes to rest at 3 chi2 / chi1^2 / (1 - 1 / chi1)
            bend = 3 * theory.chi2("tanh", sigma_w=sigma_w, sigma_b=0.3) / chi**2 / (1 - 1 / chi)
            assert found.kappa[-1] == pytest.approx(math.sqrt(bend), rel=0.02)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"q0": 0.0}, "argument 'q0' must be a finite number > 0, got 0.0"),
        ({"kappa0": -1.0}, "argument 'kappa0' must be a finite number >= 0, got -1.0"),
        ({"depth": 0}, "argument 'depth' must be an integer >= 1"),
        ({"sigma_w": -1.0}, "argument 'sigma_w' must be a finite number >= 0"),
    ],
)
def test_what_a_curve_cannot_have(words, message):
    with pytest.raises(ValueError, match=message):
        theory.curvature_map("tanh", **{"sigma_w": 1.0, "q0": 1.0, "depth": 1, **words})


# --- moments and gains ---


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("q", [0.3, 1.0, 4.0])
def test_moments_by_simpsons_rule(name, q):
    kinks = [float(k) / math.sqrt(q) for k in FORMULAS[name].kinks]
    parts = np.unique([-12.0, *kinks, 12.0])
    sums = np.zeros(2)
    for left, right in itertools.pairwise(parts):
        z = np.linspace(left, right, 4001)
        a = FORMULAS[name].phi(math.sqrt(q) * z)
        density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        sums += [integrate.simpson(a * density, x=z), integrate.simpson(a * a * density, x=z)]
    found = theory.moments(name, q=q)
    assert found.mean == pytest.approx(sums[0], rel=1e-8, abs=1e-10)
    assert found.second == pytest.approx(sums[1], rel=1e-8)
    assert found.std == pytest.approx(math.sqrt(sums[1] - sums[0] ** 2), rel=1e-7)


def test_centred_gains():
    # Brock, De and Smith 2021: constants of NF-nets' code, estimated from samples, hence 1e-3.
    published = {
        "gelu": 1.7015043497085571,
        "silu": 1.7881293296813965,
        "relu": 1.7139588594436646,
        "tanh": 1.5939117670059204,
    }
    published |= {"elu": 1.2716004848480225, "leaky_relu": 1.70590341091156, "sigmoid": 4.803835391998291}
    published |= {"selu": 1.0008515119552612, "softplus": 1.9203323125839233, "softsign": 2.338853120803833}
    published |= {
        "relu6": 1.7131484746932983,
        "log_sigmoid": 1.9193484783172607,
        "linear": 1.0,
        "celu": 1.270926833152771,
    }
    for name, gamma in published.items():
        assert fi.gain(name, centred=True) == pytest.approx(gamma, rel=2e-3), name
    assert fi.gain("relu", centred=True) == pytest.approx((0.5 - 0.5 / math.pi) ** -0.5, rel=1e-9)
    assert fi.gain("leaky_relu", 0.2, centred=True) == pytest.approx(
        1 / theory.moments("leaky_relu", param=0.2).std, rel=1e-9
    )
    with pytest.raises(TypeError, match="argument 'centred' must be True or False, got 1"):
        fi.gain("relu", centred=1)


# --- chance ---

N, SEEDS = 48, 1000


@pytest.mark.parametrize(
    ("activation", "sigma_w", "sigma_b"),
    [("relu", math.sqrt(2), 0.0), ("tanh", 1.7, 0.4), ("gelu", 1.6, 0.2), ("linear", 1.0, 0.0)],
)
def test_what_many_seeds_do(activation, sigma_w, sigma_b):
    depth, x = 5, np.ones((1, N))
    results = fi.sweep(
        activation=activation, sigma_w=sigma_w, sigma_b=sigma_b, inputs=x, width=N, depth=depth, seed=range(SEEDS),
        backward=False, bins=1, dtype="float64",
    ).results  # fmt: skip
    # The variance of z, given the layer below, is that of the weights times the mean square of what enters.
    squares = np.array([r.std**2 + r.mean**2 for r in results])
    q = np.concatenate(
        [np.full((SEEDS, 1), sigma_w**2 + sigma_b**2), sigma_w**2 * squares[:, :-1] + sigma_b**2], axis=1
    )
    wide = np.concatenate(
        [q[0, :1], theory.variance_map(activation, sigma_w=sigma_w, sigma_b=sigma_b, q0=q[0, 0], depth=depth - 1)]
    )
    strays = 0.5 * np.log(q / wide)
    found = theory.finite_width(activation, sigma_w=sigma_w, sigma_b=sigma_b, q0=q[0, 0], widths=[N] * depth)
    assert (found.drift[0], found.spread[0]) == (0, 0)
    error = strays.std(axis=0)[1:] / math.sqrt(SEEDS)
    # What is left out is of the second order in 1/n, a layer.
    slack = 3 * found.spread[1:] ** 2 * np.arange(1, depth) / N * 4
    assert (np.abs(strays.mean(axis=0) - found.drift)[1:] < 4.5 * error + slack).all()
    np.testing.assert_allclose(strays.std(axis=0)[1:], found.spread[1:], rtol=4.5 / math.sqrt(2 * SEEDS) + 3 / N)


def test_layers_of_their_own_widths_add_up():
    found = theory.finite_width("relu", sigma_w=math.sqrt(2), widths=[10, 20, 40, 80])
    np.testing.assert_allclose(found.spread**2, 1.25 * np.cumsum([0, 1 / 10, 1 / 20, 1 / 40]), rtol=1e-9)
    for widths in ([], [[3]], [0], [2.5], 3):
        with pytest.raises((ValueError, TypeError), match="argument 'widths' must"):
            theory.finite_width("relu", sigma_w=1.0, widths=widths)
