"""Mean-field theory against closed forms, SciPy's quadrature, iteration, and published values."""

import inspect
import itertools
import math
import warnings

import numpy as np
import pytest
from formulas import FORMULAS
from scipy import integrate, special

import fastinit as fi
from fastinit import theory

SQRT2 = math.sqrt(2.0)


# The definitions once more: (phi, phi', kinks).
TWINS = {name: (f.phi, f.slope, f.kinks) for name, f in FORMULAS.items() if name not in ("gelu_tanh", "mish")}


def expectation(f, q, kinks=()):
    """E[f(u)] for u from N(0, q), by SciPy, piece by piece around the kinks and the core."""
    s = math.sqrt(q)
    core = [sign * 5.0**i for sign in (-1, 1) for i in range(9)]
    cuts = np.unique(np.clip([0.0, *kinks, *core, *np.linspace(-12 * s, 12 * s, 13)], -12 * s, 12 * s))

    def integrand(u):
        return float(f(np.float64(u))) * math.exp(-u * u / (2 * q)) / (s * math.sqrt(2 * math.pi))

    pieces = [integrate.quad(integrand, a, b, epsabs=1e-30, epsrel=1e-12) for a, b in itertools.pairwise(cuts)]
    return sum(p[0] for p in pieces)


@pytest.mark.parametrize("q", [1e-4, 0.3, 2.0, 50.0, 1e4])
@pytest.mark.parametrize("activation", [a for a in TWINS if a != "sin"])
def test_expectations_are_those_of_adaptive_quadrature(activation, q):
    phi, slope, kinks = TWINS[activation]
    (variance,) = theory.variance_map(activation, sigma_w=1.5, sigma_b=0.2, q0=q, depth=1)
    assert variance == pytest.approx(2.25 * expectation(lambda u: phi(u) ** 2, q, kinks) + 0.04, rel=1e-11)
    chi = theory.chi1(activation, sigma_w=1.5, q=q)
    assert chi == pytest.approx(2.25 * expectation(lambda u: slope(u) ** 2, q, kinks), rel=1e-11)


@pytest.mark.parametrize("q", [1e-4, 0.3, 2.0, 50.0, 1e6])
def test_sine_has_its_closed_forms(q):
    c0 = 0.7
    (variance,) = theory.variance_map("sin", sigma_w=1.0, q0=q, depth=1)
    assert variance == pytest.approx(-math.expm1(-2 * q) / 2, rel=1e-13)
    assert theory.chi1("sin", sigma_w=1.0, q=q) == pytest.approx((1 + math.exp(-2 * q)) / 2, rel=1e-13)
    (c,) = theory.correlation_map("sin", sigma_w=1.0, q0=q, c0=c0, depth=1)
    exact = (math.exp(-q * (1 - c0)) - math.exp(-q * (1 + c0))) / -math.expm1(-2 * q)
    assert c == pytest.approx(exact, rel=1e-12, abs=1e-14)


def arccosine(c):
    return (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi


@pytest.mark.parametrize("q0", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("c0", [-1.0, -0.999, -0.5, 0.0, 0.3, 0.999])
def test_relu_follows_the_arc_cosine_kernel(q0, c0):
    expected, c = [], c0
    for _ in range(30):
        c = arccosine(c)
        expected.append(c)
    measured = theory.correlation_map("relu", sigma_w=SQRT2, q0=q0, c0=c0, depth=30)
    np.testing.assert_allclose(measured, expected, rtol=0, atol=2e-14)


@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6])
def test_relu_keeps_the_precision_of_correlations_near_one(gap):
    # Series of the arc-cosine kernel at c = 1: gap' = gap - 2 sqrt(2) / (3 pi) gap^1.5 + O(gap^2.5).
    (c,) = theory.correlation_map("relu", sigma_w=SQRT2, q0=1.0, c0=1 - gap, depth=1)
    assert 1 - c == pytest.approx(gap - 2 * SQRT2 / (3 * math.pi) * gap**1.5, abs=0.1 * gap**2.5 + 3e-16)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "gelu", "silu", "softplus"])
@pytest.mark.parametrize("q0", [0.05, 0.8])
@pytest.mark.parametrize("c0", [-0.9, 0.0, 0.6, 0.99])
def test_correlation_of_smooth_activations_by_gauss_hermite(activation, q0, c0):
    phi = TWINS[activation][0]
    z, w = np.polynomial.hermite_e.hermegauss(160)
    w = w / w.sum()
    u = math.sqrt(q0) * z[:, None]
    v = math.sqrt(q0) * (c0 * z[:, None] + math.sqrt(1 - c0 * c0) * z)
    covariance = 1.69 * np.sum(w[:, None] * w * phi(u) * phi(v)) + 0.01
    variance = 1.69 * w @ phi(math.sqrt(q0) * z) ** 2 + 0.01
    (c,) = theory.correlation_map(activation, sigma_w=1.3, sigma_b=0.1, q0=q0, c0=c0, depth=1)
    assert c == pytest.approx(covariance / variance, abs=1e-12)


@pytest.mark.parametrize("activation", ["elu", "selu", "hard_tanh", "relu6", "softsign", "leaky_relu"])
@pytest.mark.parametrize(("q0", "c0"), [(0.7, 0.5), (9.0, -0.8), (2.0, 0.97)])
def test_correlation_of_kinked_activations_by_nested_quadrature(activation, q0, c0):
    phi, _, kinks = TWINS[activation]
    s, r = math.sqrt(q0), math.sqrt(1 - c0 * c0)
    points = [0.0, *kinks]
    t, w = np.polynomial.legendre.leggauss(40)

    def normal_mean(f, cuts):  # panels of at most half a standard deviation, split at the cuts
        edges = np.unique(np.clip([*np.linspace(-9, 9, 37), *cuts], -9, 9))
        x = ((edges[1:, None] + edges[:-1, None]) + (edges[1:, None] - edges[:-1, None]) * t).ravel() / 2
        dx = ((edges[1:, None] - edges[:-1, None]) / 2 * w).ravel()
        return np.sum(dx * np.exp(-x * x / 2) / math.sqrt(2 * math.pi) * f(x))

    def inner(z):
        return normal_mean(lambda y: phi(s * (c0 * z + r * y)), [(k / s - c0 * z) / r for k in points])

    covariance = normal_mean(lambda x: phi(s * x) * np.array([inner(z) for z in x]), [k / s for k in points])
    variance = normal_mean(lambda x: phi(s * x) ** 2, [k / s for k in points])
    (c,) = theory.correlation_map(activation, sigma_w=1.0, q0=q0, c0=c0, depth=1)
    assert c == pytest.approx(covariance / variance, abs=1e-10)


def test_the_maps_evolve_together():
    q = theory.variance_map("tanh", sigma_w=1.6, sigma_b=0.4, q0=5.0, depth=4)
    c = theory.correlation_map("tanh", sigma_w=1.6, sigma_b=0.4, q0=5.0, c0=0.2, depth=4)
    start = [5.0, *q[:-1]], [0.2, *c[:-1]]
    for q0, c0, q1, c1 in zip(*start, q, c, strict=True):
        assert theory.variance_map("tanh", sigma_w=1.6, sigma_b=0.4, q0=q0, depth=1)[0] == q1
        single = theory.correlation_map("tanh", sigma_w=1.6, sigma_b=0.4, q0=q0, c0=c0, depth=1)[0]
        assert single == pytest.approx(c1, abs=1e-15)
    assert (theory.correlation_map("gelu", sigma_w=1.6, q0=5.0, c0=1.0, depth=3) == 1.0).all()


# sigma_w^2, sigma_b^2 of tanh's critical line for some q*.
CRITICAL = {
    0.0: (1.0, 0.0),
    0.1: (1.1776, 0.00083),
    0.2: (1.3264, 0.00478),
    0.5: (1.6880, 0.03804),
    1.0: (2.1533, 0.15096),
    1.5: (2.5325, 0.31407),
    2.0: (2.8612, 0.51226),
}


@pytest.mark.parametrize("q", CRITICAL)
def test_edge_of_chaos_of_tanh(q):
    sigma_w, sigma_b = theory.edge_of_chaos("tanh", q)
    assert (round(sigma_w**2, 4), round(sigma_b**2, 5)) == CRITICAL[q]
    point = theory.fixed_point("tanh", sigma_w=sigma_w, sigma_b=sigma_b)
    assert point.q == pytest.approx(q, abs=1e-12)
    assert point.chi1 == pytest.approx(1.0, abs=1e-12)
    assert point.c == 1.0
    assert theory.depth_scales("tanh", sigma_w=sigma_w, sigma_b=sigma_b).xi_c > 1e9


@pytest.mark.parametrize("q", [0.01, 1.0, 100.0])
def test_relu_is_critical_only_with_he_weights(q):
    sigma_w, sigma_b = theory.edge_of_chaos("relu", q)
    assert sigma_w == pytest.approx(SQRT2, rel=1e-14)
    assert sigma_b == 0.0


def test_edge_of_chaos_of_leaky_relu_takes_the_slope():
    assert theory.edge_of_chaos("leaky_relu", 1.0, param=0.3)[0] == pytest.approx(math.sqrt(2 / 1.09), rel=1e-14)


def test_tanh_with_pytorchs_gain_is_slightly_chaotic():
    point = theory.fixed_point("tanh", sigma_w=fi.gain("tanh"))
    assert (round(point.q, 4), round(point.chi1, 4), point.c, point.stable) == (1.1785, 1.2098, 0.0, True)
    assert round(theory.predict("tanh", sigma_w=5 / 3, depth=200).std[-1], 4) == 0.6513


def test_selu_keeps_mean_0_and_variance_1():
    prediction = theory.predict("selu", sigma_w=1.0, depth=20)
    np.testing.assert_allclose(prediction.mean, 0.0, atol=1e-13)
    np.testing.assert_allclose(prediction.std, 1.0, rtol=1e-13)
    point = theory.fixed_point("selu", sigma_w=1.0)
    assert point.q == pytest.approx(1.0, rel=1e-13)
    assert point.stable


def test_he_weights_keep_every_variance_under_relu():
    for q0 in (1e-6, 1.0, 1e6):
        np.testing.assert_allclose(
            theory.variance_map("relu", sigma_w=SQRT2, q0=q0, depth=50), q0, rtol=50 * 4 * 2.3e-16
        )
    point = theory.fixed_point("relu", sigma_w=SQRT2)
    assert point == (1.0, 1.0, pytest.approx(1.0, rel=1e-14), False)
    assert theory.depth_scales("relu", sigma_w=SQRT2) == (math.inf, math.inf)


def test_relu_with_biases_has_its_closed_fixed_point():
    point = theory.fixed_point("relu", sigma_w=1.2, sigma_b=0.3)
    assert point.q == pytest.approx(0.09 / (1 - 0.72), rel=1e-12)
    assert point.chi1 == pytest.approx(0.72, rel=1e-13)
    xi = theory.depth_scales("relu", sigma_w=1.2, sigma_b=0.3)
    assert xi.xi_q == pytest.approx(-1 / math.log(0.72), rel=1e-12)
    assert xi.xi_c == pytest.approx(-1 / math.log(0.72), rel=1e-12)


def test_signals_that_die_and_signals_that_explode():
    assert theory.fixed_point("tanh", sigma_w=0.8)[:2] == (0.0, 1.0)
    assert theory.fixed_point("relu", sigma_w=1.5)[:2] == (math.inf, 1.0)
    assert theory.fixed_point("relu", sigma_w=SQRT2, sigma_b=0.1).q == math.inf
    assert theory.fixed_point("linear", sigma_w=0.0) == (0.0, 1.0, 0.0, True)
    assert theory.fixed_point("linear", sigma_w=0.0, sigma_b=2.0).q == pytest.approx(4.0, rel=1e-14)
    assert theory.depth_scales("relu", sigma_w=1.5) == (math.inf, math.inf)


def test_gelu_has_a_repelling_fixed_point():
    def integrand(z):
        return (z * special.ndtr(z)) ** 2 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    # All digits of the gain: the ten of fi.gain lie on the falling side of the fixed point.
    sigma_w = 1 / math.sqrt(integrate.quad(integrand, -12, 12, epsabs=1e-15, epsrel=1e-13, limit=200)[0])
    point = theory.fixed_point("gelu", sigma_w=sigma_w)
    assert point.q == pytest.approx(1.0, rel=1e-12)
    assert not point.stable
    assert theory.variance_map("gelu", sigma_w=sigma_w, q0=1.01, depth=1)[0] > 1.0101
    assert theory.variance_map("gelu", sigma_w=sigma_w, q0=0.99, depth=1)[0] < 0.9899


@pytest.mark.parametrize(
    ("activation", "sigma_w", "sigma_b"),
    [
        ("tanh", 1.2, 0.3),
        ("tanh", 2.0, 0.1),
        ("tanh", 4.0, 1.0),
        ("tanh", 100.0, 3.0),
        ("sigmoid", 1.0, 0.5),
        ("sigmoid", 20.0, 0.5),
        ("gelu", 1.0, 0.3),
        ("hard_tanh", 2.0, 0.2),
        ("relu6", 3.0, 0.5),
        ("sin", 2.0, 0.1),
        ("softsign", 3.0, 0.5),
        ("elu", 1.2, 0.1),
        ("softplus", 1.0, 0.1),
    ],
)
def test_fixed_points_are_where_iteration_ends(activation, sigma_w, sigma_b):
    point = theory.fixed_point(activation, sigma_w=sigma_w, sigma_b=sigma_b)
    q = theory.variance_map(activation, sigma_w=sigma_w, sigma_b=sigma_b, q0=1.0, depth=400)[-1]
    assert point.stable
    assert point.q == pytest.approx(q, rel=1e-10)
    c = theory.correlation_map(activation, sigma_w=sigma_w, sigma_b=sigma_b, q0=point.q, c0=point.c, depth=1)[0]
    assert c == pytest.approx(point.c, abs=1e-12)
    if point.c < 1.0:  # an attracting one: both neighbours move towards it
        for c0, direction in ((point.c - 0.01, 1), (min(point.c + 0.01, 1.0), -1)):
            c1 = theory.correlation_map(activation, sigma_w=sigma_w, sigma_b=sigma_b, q0=point.q, c0=c0, depth=1)[0]
            assert (c1 - c0) * direction > 0


@pytest.mark.parametrize("epsilon", [1e-3, 1e-6, 1e-9])
def test_fixed_points_near_the_edge_of_chaos_do_not_wait_for_iteration(epsilon):
    # E[tanh^2] = q - 2 q^2 + O(q^3), so that for sigma_w^2 = 1 + epsilon the map rests at q = epsilon / 2.
    q = theory.fixed_point("tanh", sigma_w=math.sqrt(1 + epsilon)).q
    assert q == pytest.approx(epsilon / 2, rel=5 * epsilon + 3e-16 / epsilon * 10)


def test_the_signal_dies_algebraically_at_the_tip_of_the_critical_line():
    # q' = q - 2 q^2 + (17/3) q^3 gives 1/q = 2 l + (5/6) log l + ...
    q = theory.variance_map("tanh", sigma_w=1.0, q0=1.0, depth=2000)[-1]
    assert 1 / q == pytest.approx(2 * 2000, rel=0.01)


@pytest.mark.parametrize(
    ("activation", "sigma_w", "sigma_b"), [("tanh", 1.7, 0.3), ("gelu", 1.2, 0.2), ("sin", 1.5, 0.4)]
)
def test_chi1_is_the_slope_of_the_correlation_map_at_one(activation, sigma_w, sigma_b):
    q = theory.fixed_point(activation, sigma_w=sigma_w, sigma_b=sigma_b).q
    for gap in (1e-4, 1e-6):
        (c,) = theory.correlation_map(activation, sigma_w=sigma_w, sigma_b=sigma_b, q0=q, c0=1 - gap, depth=1)
        slope = (1 - c) / gap
        assert theory.chi1(activation, sigma_w=sigma_w, sigma_b=sigma_b) == pytest.approx(slope, rel=5 * gap + 1e-9)


@pytest.mark.parametrize(
    ("activation", "sigma_w", "sigma_b", "param"),
    [("tanh", 1.3, 0.5, None), ("tanh", 2.0, 0.3, None), ("sigmoid", 2.0, 0.3, None), ("sin", 1.7, 0.3, None),
     ("elu", 1.1, 0.2, 0.5), ("hard_tanh", 1.8, 0.4, None)],
)  # fmt: skip
def test_depth_scales_are_those_on_which_the_maps_decay(activation, sigma_w, sigma_b, param):
    common = {"sigma_w": sigma_w, "sigma_b": sigma_b, "param": param}
    point = theory.fixed_point(activation, **common)
    xi = theory.depth_scales(activation, **common)
    push = 1e-5
    q = theory.variance_map(activation, q0=point.q * (1 + push), depth=1, **common)[0]
    assert (q / point.q - 1) / push == pytest.approx(math.exp(-1 / xi.xi_q), rel=1e-4)
    c = theory.correlation_map(activation, q0=point.q, c0=point.c - push, depth=1, **common)[0]
    # A kink adds a term of order push^1.5 at c = 1.
    assert (point.c - c) / push == pytest.approx(math.exp(-1 / xi.xi_c), rel=1e-2 if point.c == 1 else 1e-4)


def test_variance_scale_agrees_with_the_form_of_the_paper():
    # 1 / xi_q = -log(chi_1 + sigma_w^2 E[phi'' phi]), with tanh'' = -2 tanh (1 - tanh^2).
    q = theory.fixed_point("tanh", sigma_w=1.5, sigma_b=0.3).q
    curvature = expectation(lambda u: -2 * np.tanh(u) ** 2 / np.cosh(u) ** 2, q)
    slope = theory.chi1("tanh", sigma_w=1.5, sigma_b=0.3) + 2.25 * curvature
    assert theory.depth_scales("tanh", sigma_w=1.5, sigma_b=0.3).xi_q == pytest.approx(-1 / math.log(slope), rel=1e-9)


def test_prediction_is_the_variance_map_with_its_moments():
    scales = np.array([0.5, 2.0, 1.0, 3.0])
    prediction = theory.predict("gelu", sigma_w=scales, sigma_b=0.2, second_moment=4.0, depth=4)
    second = 4.0
    assert np.isnan(prediction.correlation).all()
    for w, q, mean, std in zip(scales, *prediction[:3], strict=True):
        assert q == pytest.approx(w * w * second + 0.04, rel=1e-12)
        assert mean == pytest.approx(expectation(TWINS["gelu"][0], q), rel=1e-10)
        second = expectation(lambda u: TWINS["gelu"][0](u) ** 2, q)
        assert std == pytest.approx(math.sqrt(second - mean**2), rel=1e-9)


def test_prediction_follows_an_overflow_without_a_warning():
    with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("error")
        relu = theory.predict("relu", sigma_w=1e20, depth=12)
        tanh = theory.predict("tanh", sigma_w=1e200, depth=3)
        bad = theory.predict("tanh", sigma_w=[1.0, math.nan, 1.0, math.inf], depth=4)
        none = theory.predict("relu", sigma_w=0.0, depth=2)
    np.testing.assert_allclose(relu.q[:7], 2.0 * (1e40 / 2) ** np.arange(1, 8), rtol=1e-12)
    assert np.isinf(relu.q[-1])
    assert np.isinf(tanh.q).all()
    np.testing.assert_allclose(tanh.std, 1.0, rtol=1e-12)
    assert np.isfinite(bad.std[0])
    assert np.isnan(bad.std[1:]).all()
    assert not none.q.any() and not none.std.any()  # noqa: PT018


def test_maps_pass_overflow_and_underflow_without_a_warning():
    with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("error")
        q = theory.variance_map("relu", sigma_w=1e30, q0=1.0, depth=10)
        c = theory.correlation_map("relu", sigma_w=1e30, q0=1.0, c0=0.0, depth=10)
        faint = theory.correlation_map("relu", sigma_w=1e-30, q0=1.0, c0=0.0, depth=10)
        silent = theory.correlation_map("relu", sigma_w=0.0, q0=1.0, c0=0.0, depth=2)
        wide = theory.fixed_point("tanh", sigma_w=1e200)
    assert q[-1] == math.inf
    expected = [arccosine(0.0)]
    for _ in range(9):
        expected.append(arccosine(expected[-1]))
    np.testing.assert_allclose(c, expected, atol=1e-12)
    np.testing.assert_allclose(faint, expected, atol=1e-12)
    assert np.isnan(silent).all()
    assert wide.q == math.inf


GOOD = {"activation": "tanh", "sigma_w": 1.0, "q0": 1.0, "c0": 0.5, "q": 1.0, "depth": 2}


@pytest.mark.parametrize(
    ("function", "bad", "error", "text"),
    [
        ("fixed_point", {"activation": "tahn"}, ValueError, "one of .*, got 'tahn'; did you mean 'tanh'"),
        ("fixed_point", {"activation": 1}, TypeError, "the name of an activation, a function .*, got 1"),
        ("fixed_point", {"sigma_w": -1.0}, ValueError, "a finite number >= 0, got -1.0"),
        ("fixed_point", {"param": 1.0}, ValueError, "None for 'tanh', which has no parameter, got 1.0"),
        ("chi1", {"sigma_w": "1"}, TypeError, "a finite number >= 0, got '1'"),
        ("chi1", {"q": -1.0}, ValueError, "a finite number >= 0, got -1.0"),
        ("depth_scales", {"sigma_b": math.nan}, ValueError, "a finite number >= 0, got nan"),
        ("variance_map", {"q0": -1.0}, ValueError, "a finite number >= 0, got -1.0"),
        ("variance_map", {"depth": 0}, ValueError, "an integer >= 1, got 0"),
        ("variance_map", {"depth": 2.0}, TypeError, "an integer >= 1, got 2.0"),
        ("correlation_map", {"c0": 1.1}, ValueError, r"a finite number in \[-1, 1\], got 1.1"),
        ("correlation_map", {"c0": -1.1}, ValueError, r"a finite number in \[-1, 1\], got -1.1"),
        ("edge_of_chaos", {"q": math.inf}, ValueError, "a finite number >= 0, got inf"),
        ("predict", {"sigma_w": [1, -2]}, ValueError, r">= 0, got \[1, -2\]"),
        ("predict", {"second_moment": -1}, ValueError, "a finite number >= 0, got -1"),
        ("predict", {"mean": 1.1}, ValueError, r"between the roots of second_moment = 1.0, got 1.1"),
        ("predict", {"correlation": 1.1}, ValueError, r"a finite number in \[-1, 1\], got 1.1"),
        ("predict", {"branch_scale": math.inf}, ValueError, "a finite number, got inf"),
        ("predict", {"normalize": "batch"}, ValueError, "one of layer, rms, got 'batch'"),
        ("predict", {"residual": "yes"}, TypeError, "True or False, or one of them a layer, got 'yes'"),
    ],
)
def test_bad_input_is_refused(function, bad, error, text):
    call = getattr(theory, function)
    arguments = {name: GOOD[name] for name in inspect.signature(call).parameters if name in GOOD}
    call(**arguments)
    with pytest.raises(error, match=f"argument '{next(iter(bad))}' must be {text}"):
        call(**arguments | bad)


def test_one_sigma_w_or_one_a_layer():
    with pytest.raises(ValueError, match=r"'sigma_w' must have one entry or one for each of 3 layers, got shape"):
        theory.predict("tanh", sigma_w=[1.0, 2.0], depth=3)
    with pytest.raises(ValueError, match=r"'residual' must have one entry or one for each of 2 layers, got shape"):
        theory.predict("tanh", sigma_w=1.0, depth=2, residual=[True] * 3)


def test_a_variance_without_a_critical_point_is_refused():
    # sigma_b^2 = q - E[sigmoid^2] / E[sigmoid'^2] is negative: 1 - 0.293 / 0.045.
    with pytest.raises(ValueError, match=r"'q' must be a variance at which 'sigmoid' can be critical, .*got 1.0"):
        theory.edge_of_chaos("sigmoid", 1.0)
