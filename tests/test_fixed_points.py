"""Fixed points and critical points: published values, mpmath, other root finders, and the networks themselves."""

import copy
import math
import pickle

import mpmath as mp
import numpy as np
import pytest
import theory_twin as twin
from formulas import FORMULAS, SELU_ALPHA, SELU_SCALE
from scipy import integrate, optimize

import fastinit as fi
from fastinit import theory


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(25):
        yield


# Roberts, Yaida and Hanin 2022, section 5.3.4: K*, C_W and C_b of the half-stable points, with their digits.
PUBLISHED = {"gelu": (3.5616, 1.98305826, 0.17292239), "silu": (14.32, 1.98800468, 0.55514317)}


@pytest.mark.parametrize("activation", PUBLISHED)
def test_the_half_stable_points_are_the_published_ones(activation):
    q, w, b = PUBLISHED[activation]
    point = theory.edge_of_chaos(activation)
    assert (round(point.sigma_w**2, 8), round(point.sigma_b**2, 8)) == (w, b)
    assert point.q == pytest.approx(q, abs=0.0005 if q > 10 else 0.00005)
    assert point.kind == "half-stable"
    # Also by the published variance, to its digits or fewer.
    for rounded in (q, round(q, 2)):
        near = theory.edge_of_chaos(activation, rounded)
        assert near == pytest.approx((math.sqrt(w), math.sqrt(b)), rel=2e-4)
        assert near.kind == "half-stable"


HALF_STABLE = ["gelu", "gelu_tanh", "silu", "mish"]


@pytest.mark.parametrize("activation", HALF_STABLE)
def test_half_stable_points_are_double_roots_that_attract_from_the_side_that_is_told(activation):
    sigma_w, sigma_b = point = theory.edge_of_chaos(activation)
    assert abs(twin.drift(activation, point.q, sigma_w, sigma_b)) < 1e-14 * point.q
    assert abs(twin.chi1(activation, point.q, sigma_w) - 1) < 1e-14
    assert abs(twin.variance_slope(activation, point.q, sigma_w) - 1) < 1e-12
    below, above = (twin.drift(activation, point.q * f, sigma_w, sigma_b) for f in (0.995, 1.005))
    assert min(abs(below), abs(above)) > 1e-10  # far above the quadrature's error
    assert point.stability.attracts_from == ("below",) * (below > 0) + ("above",) * (above < 0)
    assert len(point.stability.attracts_from) == 1


REPELLING = [
    ("silu", 1e-3), ("silu", 1.0), ("silu", 10.0), ("silu", 14.0), ("gelu", 0.01), ("gelu", 1.0), ("gelu", 3.0),
    ("gelu", 3.5), ("gelu_tanh", 0.3), ("gelu_tanh", 3.0), ("mish", 0.1), ("mish", 1.5),
]  # fmt: skip


@pytest.mark.parametrize(("activation", "q"), REPELLING)
def test_points_that_repel_are_refused(activation, q):
    with pytest.raises(ValueError, match=rf"'q' must be .* does not repel \(dq'/dq = 1\.\d+\) .*, got {q}"):
        theory.edge_of_chaos(activation, q)
    sigma_w, sigma_b = point = theory.edge_of_chaos(activation, q, repelling=True)
    assert (point.kind, point.q, point.stability.attracts_from) == ("repelling", q, ())
    assert float(twin.variance_slope(activation, q, sigma_w)) == pytest.approx(point.stability.slope, rel=1e-9)
    assert twin.drift(activation, q * 0.99, sigma_w, sigma_b) < 0 < twin.drift(activation, q * 1.01, sigma_w, sigma_b)


ATTRACTING = [("silu", 15.0), ("silu", 20.0), ("gelu", 4.0), ("gelu", 50.0), ("gelu_tanh", 6.0), ("mish", 2.0),
              ("tanh", 1e-3), ("tanh", 0.5), ("sigmoid", 60.0)]  # fmt: skip


@pytest.mark.parametrize(("activation", "q"), ATTRACTING)
def test_points_that_attract_are_where_signals_come_to_rest(activation, q):
    sigma_w, sigma_b = point = theory.edge_of_chaos(activation, q)
    assert (point.kind, point.q, point.stability.attracts_from) == ("attracting", q, ("below", "above"))
    assert float(twin.variance_slope(activation, q, sigma_w)) == pytest.approx(point.stability.slope, rel=1e-9)
    assert twin.drift(activation, q * 0.99, sigma_w, sigma_b) > 0 > twin.drift(activation, q * 1.01, sigma_w, sigma_b)
    rest = theory.fixed_point(activation, sigma_w=sigma_w, sigma_b=sigma_b)
    assert rest.q == pytest.approx(q, rel=1e-9)
    assert (rest.kind, rest.stable) == ("attracting", True)


def test_networks_part_around_a_variance_that_repels_and_meet_at_one_that_attracts():
    # The same weights, and inputs of which one has three times the mean square: chance hits both alike, and their ratio
    # becomes in theory 740 and 1.65.
    x = np.random.default_rng(5).standard_normal((16, 1024), np.float32)

    def ratios(point):
        networks = []
        for q in (point.q / math.sqrt(3), point.q * math.sqrt(3)):
            second = (q - point.sigma_b**2) / point.sigma_w**2
            inputs = math.sqrt(second / np.mean(x**2)) * x
            sigmas = {"sigma_w": point.sigma_w, "sigma_b": point.sigma_b}
            networks.append(fi.probe(activation="gelu", depth=60, inputs=inputs, backward=False, seed=2, **sigmas).q)
        return (networks[1] / networks[0])[[0, -1]]

    start, end = ratios(theory.edge_of_chaos("gelu", 1.0, repelling=True))
    assert start == pytest.approx(3.0, rel=0.05)
    assert end > 30.0
    start, end = ratios(theory.edge_of_chaos("gelu", 6.0))
    assert start == pytest.approx(3.0, rel=0.05)
    assert end < 2.5


def test_the_search_does_not_step_over_a_double_root():
    sigma_w, sigma_b = theory.edge_of_chaos("silu")
    point = theory.fixed_point("silu", sigma_w=sigma_w, sigma_b=sigma_b)
    assert round(point.q, 5) == 14.32017
    assert (point.kind, point.stable, point.c) == ("half-stable", False, 1.0)
    # The published constants, nine digits of each, do as well.
    _, w, b = PUBLISHED["silu"]
    point = theory.fixed_point("silu", sigma_w=math.sqrt(w), sigma_b=math.sqrt(b))
    assert round(point.q, 2) == 14.32
    assert point.kind == "half-stable"


def test_a_signal_from_below_stops_before_a_point_that_attracts_from_above():
    # GELU at its half-stable point: from q = 1 the map rises to a root below it, from 3.6 it falls to the double one.
    sigma_w, sigma_b = theory.edge_of_chaos("gelu")
    rest = theory.fixed_point("gelu", sigma_w=sigma_w, sigma_b=sigma_b)
    root = optimize.brentq(lambda q: float(twin.drift("gelu", q, sigma_w, sigma_b)), 2.5, 3.3, xtol=1e-10)
    assert rest.q == pytest.approx(root, rel=1e-7)  # 1e-13 q over a slope of 1 - 1e-4
    assert (rest.kind, rest.stable) == ("attracting", True)
    found = theory.fixed_points("gelu", sigma_w=sigma_w, sigma_b=sigma_b)
    assert [p.kind for p in found] == ["attracting", "half-stable"]
    assert [round(p.q, 4) for p in found] == [round(root, 4), 3.5616]
    assert found[0] == rest


def quick_map(activation, sigma_w, sigma_b):
    """The variance map by Gauss-Hermite quadrature, exact enough for smooth functions at these variances."""
    z, w = np.polynomial.hermite_e.hermegauss(180)
    w = w / w.sum()
    phi = FORMULAS[activation].phi
    return lambda q: sigma_w**2 * w @ phi(math.sqrt(q) * z) ** 2 + sigma_b**2


@pytest.mark.parametrize(
    ("activation", "sigma_w", "sigma_b"),
    [("silu", 1.7, 0.0), ("silu", 1.418245, 0.66521), ("gelu", 1.5, 0.2), ("gelu", 1.6, 0.0), ("mish", 1.45, 0.2),
     ("tanh", 1.5, 0.0), ("tanh", 1.5, 0.3), ("tanh", 0.9, 0.0)],
)  # fmt: skip
def test_all_fixed_points_are_found(activation, sigma_w, sigma_b):
    q = np.geomspace(1e-3, 30, 4000)
    step = quick_map(activation, sigma_w, sigma_b)
    drift = np.array([step(x) - x for x in q])
    rising = np.flatnonzero(drift[:-1] * drift[1:] < 0)
    expected = [] if sigma_b else [(0.0, "repelling" if drift[0] > 0 else "attracting")]
    expected += [(math.sqrt(q[i] * q[i + 1]), "attracting" if drift[i] > 0 else "repelling") for i in rising]
    found = [p for p in theory.fixed_points(activation, sigma_w=sigma_w, sigma_b=sigma_b) if p.q < 30]
    assert [p.kind for p in found] == [kind for _, kind in expected]
    assert [p.q for p in found] == pytest.approx([x for x, _ in expected], rel=2e-3)
    # Between them a signal moves to the next one that attracts.
    x = 1.0
    for _ in range(3000):
        x = min(step(x), 1e6)
    rest = theory.fixed_point(activation, sigma_w=sigma_w, sigma_b=sigma_b)
    assert min(rest.q, 1e6) == pytest.approx(x, rel=1e-6, abs=1e-6)


def test_piecewise_linear_functions_keep_every_variance():
    for activation, sigma_w in (("linear", 1.0), ("relu", math.sqrt(2)), ("leaky_relu", math.sqrt(2 / 1.0001))):
        point = theory.edge_of_chaos(activation)
        assert point == pytest.approx((sigma_w, 0.0), rel=1e-14)
        assert (point.q, point.kind, point.stability.attracts_from) == (1.0, "neutral", ())
        assert theory.critical_points(activation, sigma_b=0.0) == (point,)
        assert [p.q for p in theory.critical_points(activation, sigma_w=point.sigma_w)] == [1.0]
        assert theory.critical_points(activation, sigma_w=1.2) == ()
        assert theory.critical_points(activation, sigma_b=0.1) == ()
        assert theory.edge_of_chaos(activation, 7.0).kind == "neutral"
        (rest,) = theory.fixed_points(activation, sigma_w=point.sigma_w)
        assert (rest.q, rest.kind, rest.stable) == (1.0, "neutral", False)


@pytest.mark.parametrize("activation", ["tanh", "sin", "elu", "softsign", "hard_tanh", "relu6", "selu"])
def test_what_bends_down_is_critical_where_the_signal_dies(activation):
    # q' = q - a q^p with a > 0: the slope is 1 at 0 alone, where small variances shrink algebraically.
    point = theory.edge_of_chaos(activation)
    slope = {"relu6": 0.5, "selu": float(SELU_SCALE**2 * (1 + SELU_ALPHA**2) / 2)}.get(activation, 1.0)
    assert point == pytest.approx((1 / math.sqrt(slope), 0.0), rel=1e-14)
    assert (point.q, point.kind, point.stability.attracts_from) == (0.0, "attracting", ("above",))
    rest = theory.fixed_point(activation, sigma_w=point.sigma_w)
    assert (rest.q, rest.kind, rest.stable) == (0.0, "attracting", False)


@pytest.mark.parametrize("activation", HALF_STABLE)
def test_what_bends_up_repels_from_zero(activation):
    first, second = theory.critical_points(activation)
    phi = twin.PHI[activation]
    assert first == pytest.approx((float(1 / mp.diff(phi, 0)), 0.0), rel=1e-14)
    assert (first.q, first.kind) == (0.0, "repelling")
    assert second == theory.edge_of_chaos(activation)
    assert theory.fixed_point(activation, sigma_w=first.sigma_w).q == math.inf
    assert theory.fixed_point(activation, sigma_w=first.sigma_w).kind == "diverging"


@pytest.mark.parametrize("activation", ["sigmoid", "softplus"])
def test_what_is_never_critical_both_ways_is_refused(activation):
    # Roberts et al. 2022, section 5.3.3: no such point for sigmoid and softplus.
    with pytest.raises(ValueError, match=f"'activation' must be one with a critical point .*, got '{activation}'"):
        theory.edge_of_chaos(activation)


def mean(f, q):
    def integrand(z):
        return f(math.sqrt(q) * z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    return integrate.quad(integrand, -12, 12, points=[-1, 0, 1], epsabs=1e-15, epsrel=1e-13, limit=200)[0]


SLOPES = {name: FORMULAS[name][2:4] for name in ("tanh", "gelu")}


def bias(activation, q):
    phi, slope = SLOPES[activation]
    return q - mean(lambda z: phi(z) ** 2, q) / mean(lambda z: slope(z) ** 2, q)


def weight(activation, q):
    return 1 / mean(lambda z: SLOPES[activation][1](z) ** 2, q)


@pytest.mark.parametrize(("activation", "sigma_b", "bracket"), [("tanh", 0.2, (0.1, 2)), ("gelu", 0.5, (3.6, 20))])
def test_weights_that_are_critical_with_given_biases(activation, sigma_b, bracket):
    q = optimize.brentq(lambda q: bias(activation, q) - sigma_b**2, *bracket, xtol=1e-13)
    (point,) = theory.critical_points(activation, sigma_b=sigma_b)
    assert point.q == pytest.approx(q, rel=1e-10)
    assert point.sigma_w == pytest.approx(math.sqrt(weight(activation, q)), rel=1e-11)
    assert (point.sigma_b, point.kind) == (sigma_b, "attracting")


def test_biases_that_are_critical_with_given_weights():
    (point,) = theory.critical_points("tanh", sigma_w=1.3)
    q = optimize.brentq(lambda q: weight("tanh", q) - 1.69, 0.1, 2, xtol=1e-13)
    assert (point.q, point.sigma_b) == pytest.approx((q, math.sqrt(bias("tanh", q))), rel=1e-10)
    assert point.sigma_w == 1.3
    # sigma_w^2 of GELU falls to a minimum of 1.9557 and rises to 2: most values are met twice, a larger one once.
    points = theory.critical_points("gelu", sigma_w=1.405)
    brackets = [(3.6, 8), (20, 100)]
    expected = [optimize.brentq(lambda q: weight("gelu", q) - 1.405**2, *ends, xtol=1e-12) for ends in brackets]
    assert [p.q for p in points] == pytest.approx(expected, rel=1e-9)
    assert [p.sigma_b for p in points] == pytest.approx([math.sqrt(bias("gelu", q)) for q in expected], rel=1e-8)
    assert [p.kind for p in points] == ["attracting", "attracting"]
    assert [p.kind for p in theory.critical_points("gelu", sigma_w=1.6)] == ["repelling"]
    assert theory.critical_points("gelu", sigma_w=1.3) == ()  # below the minimum


def test_biases_too_small_for_a_point_that_attracts():
    (point,) = theory.critical_points("gelu", sigma_b=0.2)
    assert (point.kind, point.sigma_b) == ("repelling", 0.2)
    assert bias("gelu", point.q) == pytest.approx(0.04, rel=1e-9)
    with pytest.raises(ValueError, match=r"'sigma_w' must stand alone, without sigma_b, got 1\.4 and 0\.2"):
        theory.critical_points("gelu", sigma_w=1.4, sigma_b=0.2)


@pytest.mark.parametrize("point", [theory.edge_of_chaos("tanh", 0.5), theory.fixed_point("tanh", sigma_w=1.5)])
def test_points_are_tuples_that_keep_their_kind(point):
    for twin_ in (copy.copy(point), copy.deepcopy(point), pickle.loads(pickle.dumps(point))):
        assert twin_ == point
        assert (type(twin_), twin_.kind, twin_.stability) == (type(point), point.kind, point.stability)
    assert point == tuple(point)
    assert len(point) in (2, 4)
