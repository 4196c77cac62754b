"""Moments by blocks, prints of rows and columns, what laws say of their samples, and tests against exact ones."""

import math

import numpy as np
import pytest
import scipy.stats as st

import fastinit as fi
from fastinit.models.check_scores import Precision, Score, holm, judge, scores
from fastinit.models.check_statistics import BLOCK, Prints, Sample, twins, without_zeros
from fastinit.weights.expected import expected, truncated_moments
from fastinit.weights.laws import Constant, Normal, Tensor, Uniform
from fastinit.weights.regions import blocks
from fastinit.weights.structured import PositiveUnitBall, Sparse
from fastinit.weights.truncated import TruncatedNormal

EXACT = Precision(0.0, 0.0)


def tensor(shape=(64, 64), dtype="float32"):
    return Tensor(shape, dtype, 0, "")


def sliced(region):
    return *(slice(start, start + n) for start, n in region), ...


def sample_of(values, most=BLOCK):
    found = Sample()
    for region in blocks(tuple((0, n) for n in values.shape), most):
        found.add(values[sliced(region)])
    return found


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7, 0, 3), (1000,), (3, 5, 7), (2, 1000), (1000, 2), (1, 1, 64)])
@pytest.mark.parametrize("most", [1, 7, 100, 10**6])
def test_blocks_are_the_elements_in_their_order(shape, most):
    everything = np.arange(math.prod(shape)).reshape(shape)
    parts = [everything[sliced(region)] for region in blocks(tuple((0, n) for n in shape), most)]
    assert all(part.size <= max(1, most) for part in parts)
    assert [x for part in parts for x in part.ravel()] == everything.ravel().tolist()


@pytest.mark.parametrize("most", [1, 100, 10**6])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_moments_are_those_of_all_elements_at_once(most, dtype):
    x = np.random.default_rng(1).exponential(size=(40, 50)).astype(dtype)
    x[3, 4] = 0
    found, y = sample_of(x, most), x.astype(np.float64).ravel()
    assert (found.count, found.nonfinite, found.zeros) == (2000, 0, 1)
    assert (found.low, found.high) == (y.min(), y.max())
    assert found.mean == pytest.approx(y.mean(), rel=1e-13)
    assert found.std == pytest.approx(y.std(), rel=1e-13)
    assert found.variance == pytest.approx(y.var(ddof=1), rel=1e-13)
    assert found.m3 / 2000 == pytest.approx(st.moment(y, 3), rel=1e-11)
    assert found.kurtosis == pytest.approx(st.kurtosis(y) + 3, rel=1e-12)


def test_moments_far_from_zero_keep_their_digits():
    x = 1e8 + np.random.default_rng(2).normal(size=300_000)
    found = sample_of(x)
    assert found.std == pytest.approx(np.std(x - 1e8), rel=1e-7)
    assert found.kurtosis == pytest.approx(st.kurtosis(x - 1e8) + 3, rel=1e-6)


def test_zeros_are_taken_out_again():
    x = np.random.default_rng(3).normal(0.3, 2.0, 500)
    found, wanted = without_zeros(sample_of(np.concatenate([x, np.zeros(200)])), 200), sample_of(x)
    assert (found.count, found.zeros) == (500, 0)
    for name in ("mean", "m2", "m3", "m4", "std", "kurtosis"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=1e-11)
    assert without_zeros(wanted, 0) is wanted


def test_what_is_not_finite_is_counted_and_left_out():
    x = np.array([1.0, math.nan, math.inf, -math.inf, -math.inf, 3.0])
    found = sample_of(x, 2)
    assert (found.nan, found.above, found.below, found.nonfinite, found.finite) == (1, 1, 2, 4, 2)
    assert (found.mean, found.std, found.low, found.high) == (2.0, 1.0, 1.0, 3.0)
    nothing = sample_of(np.array([math.nan]))
    assert (nothing.finite, math.isnan(nothing.std), math.isnan(nothing.kurtosis)) == (0, True, True)


def test_numbers_whose_powers_are_no_floats_make_no_noise():
    found = sample_of(np.array([1e300, -1e300, 1e200, 5e-324]), 2)
    assert (found.high, found.count) == (1e300, 4)
    assert found.kurtosis != 1


@pytest.mark.parametrize("most", [3, 64, 10**6])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", "complex64", "complex128"])
def test_prints_find_equal_rows_and_columns_and_no_others(dtype, most):
    rng = np.random.default_rng(3)
    x = (rng.integers(1, 250, (30, 4, 20)) if dtype == "uint8" else rng.normal(size=(30, 4, 20))).astype(dtype)
    x[17], x[20] = x[4], 0
    x[..., 9] = x[..., 3]
    prints = Prints(x.shape)
    for region in blocks(tuple((0, n) for n in x.shape), most):
        prints.add(x[sliced(region)], region, 0.0, None)
    assert twins(prints.rows) == (1, 4, 17)
    assert twins(prints.columns) == (1, 3, 9)
    assert np.flatnonzero(prints.rows == 0).tolist() == [20]
    if "complex" not in dtype:
        assert prints.signs.tolist() == np.sign(x.ravel()[:256].astype(float)).tolist()


def test_the_first_copy_is_told():
    x = np.random.default_rng(4).normal(size=(50, 6))
    x[40], x[30], x[35], x[12] = x[2], x[9], x[9], x[10]
    prints = Prints(x.shape)
    prints.add(x, ((0, 50), (0, 6)), 0.0, None)
    assert twins(prints.rows) == (4, 10, 12)


def test_rows_that_are_set_are_no_twins():
    x = np.random.default_rng(4).normal(size=(6, 10))
    x[[0, 3]] = 5.0
    counted = np.ones(x.shape, bool)
    counted[[0, 3]] = False
    prints = Prints(x.shape)
    prints.add(x, ((0, 6), (0, 10)), 0.0, counted)
    assert twins(prints.rows) == (0, -1, -1)
    assert prints.in_rows.tolist() == [0, 10, 10, 0, 10, 10]


BOUNDS = [(-2.0, 2.0), (-3.0, 3.0), (-math.inf, math.inf), (1.0, 2.0), (-1.0, math.inf), (-8.0, 0.001), (4.0, 5.0)]


@pytest.mark.parametrize("bounds", BOUNDS)
def test_moments_of_truncated_normals(bounds):
    low, high = (min(12.0, max(-12.0, bound)) for bound in bounds)
    node, weight = np.polynomial.legendre.leggauss(150)
    x = (low + high) / 2 + (high - low) / 2 * node
    weight = weight * np.exp(-(x * x - min(x * x)) / 2)
    weight /= weight.sum()
    mean = (weight * x).sum()
    std = math.sqrt((weight * (x - mean) ** 2).sum())
    for order, moment in zip(range(3, 9), truncated_moments(*bounds), strict=True):
        assert moment == pytest.approx((weight * ((x - mean) / std) ** order).sum(), rel=1e-9, abs=1e-9)


def test_moments_of_narrow_and_remote_bounds():
    assert truncated_moments(0.5, 0.500001)[1] == pytest.approx(1.8, rel=1e-6)  # a uniform law
    assert truncated_moments(1e4, math.inf)[1] == pytest.approx(9.0, rel=1e-6)  # an exponential one
    assert truncated_moments(-math.inf, -1e4)[0] == pytest.approx(-2.0, rel=1e-6)


LAWS = {
    "normal": (Normal(0.1, 2.0), st.norm(0.1, 2.0)),
    "uniform": (Uniform(-1.0, 3.0), st.uniform(-1.0, 4.0)),
    "truncated": (TruncatedNormal(0.5, 2.0, -1.0, 2.0), st.truncnorm(-1.0, 2.0, 0.5, 2.0)),
}


@pytest.mark.parametrize("name", LAWS)
def test_what_a_law_says_of_its_samples(name):
    law, density = LAWS[name]
    found = expected(law, tensor())
    mean, variance, skew, kurtosis = (float(x) for x in density.stats("mvsk"))
    assert (found.mean, found.std) == (pytest.approx(mean), pytest.approx(math.sqrt(variance)))
    assert found.moments[0] == pytest.approx(skew, abs=1e-9)
    assert found.kurtosis == pytest.approx(kurtosis + 3)
    assert (found.low, found.high) == pytest.approx(density.support())
    for x in density.ppf([0.001, 0.3, 0.9, 0.9999]):
        assert found.above(x) == pytest.approx(density.sf(x), rel=1e-9)
    # The delta method's variance of the kurtosis, against samples of the law.
    n, rng = 2000, np.random.default_rng(5)
    seen = st.kurtosis(density.ppf(rng.uniform(size=(1000, n))), axis=1).var() * n
    assert found.kurtosis_variance == pytest.approx(seen, rel=0.15)


def test_laws_of_whole_neurons_are_asked_or_tell():
    found = expected(Sparse(10, 0.5, 200), tensor((200, 300)))
    assert (found.zeros, found.std) == (0.95, pytest.approx(0.5 * math.sqrt(0.05)))
    drawn = np.stack([fi.init("sparse", (200, 50), nonzeros=10, std=0.5, seed=seed) for seed in range(400)])
    strayed = drawn.var(axis=(1, 2)) / found.std**2
    assert strayed.var() * 10_000 == pytest.approx(found.spread, rel=0.25)
    assert found.kurtosis == pytest.approx(st.kurtosis(drawn.ravel()) + 3, rel=0.02)
    ball = expected(PositiveUnitBall(50), tensor((50, 20))._replace(layout=fi_layout((50, 20))))
    drawn = fi.init("positive_unitball", (50, 4000), seed=1)
    assert ball.kurtosis == pytest.approx(st.kurtosis(drawn.ravel()) + 3, rel=0.1)
    assert not ball.is_fixed
    drawn = np.stack([fi.init("positive_unitball", (50, 40), seed=seed) for seed in range(400)]).astype(np.float64)
    assert drawn.var(axis=(1, 2)).var() / ball.std**4 * 2000 == pytest.approx(ball.spread, rel=0.3)
    assert ball.spread > 1.3 * (ball.kurtosis - 1)  # a neuron's weights are divided by one number


def fi_layout(shape):
    plan = fi.Plan([("w", "positive_unitball")])
    return plan.resolve({"w": shape})["w"].pieces[0].layout


def test_a_law_without_spread_is_fixed():
    for law in (Constant(2.0), Normal(2.0, 0.0), Uniform(2.0, 2.0), TruncatedNormal(2.0, 0.0, -1.0, 1.0)):
        found = expected(law, tensor())
        assert (found.is_fixed, found.mean, found.std) == (True, 2.0, 0.0)


# The tests of a row against exact ones.


@pytest.mark.parametrize("n", [5, 20, 1000])
@pytest.mark.parametrize("ratio", [0.7, 0.97, 1.0, 1.05, 1.6])
def test_the_standard_deviation_of_a_normal_sample_is_chi_squares(n, ratio):
    x = st.norm.ppf((np.arange(n) + 0.5) / n)
    x *= ratio / x.std(ddof=1)
    score = scores(sample_of(x), expected(Normal(0.0, 1.0), tensor()), EXACT)["std"]
    below = st.chi2(n - 1).cdf((n - 1) * ratio**2)
    exact = 2 * min(below, 1 - below) if below < 1 - 1e-13 else 2 * st.chi2(n - 1).sf((n - 1) * ratio**2)
    if exact > 1e-6:
        assert score.p == pytest.approx(exact, rel=0.2)
    else:
        assert score.p < 2e-6
    assert (score.z > 0) == (below > 0.5)


def test_the_mean_of_a_sample_is_normal_or_a_skewed_laws():
    n, rng = 400, np.random.default_rng(6)
    x = rng.normal(0.2, 1.0, n)
    found = scores(sample_of(x), expected(Normal(0.0, 1.0), tensor()), EXACT)["mean"]
    assert found == pytest.approx(Score(x.mean() * 20, 2 * st.norm.sf(abs(x.mean()) * 20)), rel=1e-9)
    # 16 exponential elements: the sum is a gamma, whose tails differ by a factor of ten at 3 standard errors.
    law = expected(TruncatedNormal(-1e4, 1.0, 1e4, math.inf), tensor())
    for mean in (0.5, 0.8, 1.5, 2.0):
        x = (1e4 + np.array([mean] * 16) / 1e4) - 1e4
        p = scores(sample_of(x), law, EXACT)["mean"].p
        below = st.gamma(16).cdf(16 * mean)
        assert p == pytest.approx(2 * min(below, 1 - below), rel=0.1)


def test_the_range_has_its_exact_probability():
    law = expected(Normal(0.0, 1.0), tensor())
    x = np.linspace(-1.5, 1.4, 50)
    found = scores(sample_of(x), law, EXACT)
    assert found["high"].p == pytest.approx(2 * st.norm.cdf(1.4) ** 50, rel=1e-5)
    assert found["low"].p == pytest.approx(2 * st.norm.cdf(1.5) ** 50, rel=1e-5)
    x[0] = -7.0
    assert scores(sample_of(x), law, EXACT)["low"].p == pytest.approx(100 * st.norm.sf(7.0), rel=1e-3)
    # Generators of 24 bits end at 5.8 standard deviations, however many elements there are.
    wide = Sample(count=10**10, low=-5.5, high=5.5, m2=1e10, m4=3e10)
    assert scores(wide, law, EXACT)["high"].p == 1.0


@pytest.mark.parametrize("n", [1000, 20_000])
def test_the_kurtosis_of_a_normal_sample_is_scipys(n):
    rng = np.random.default_rng(7)
    for x in (rng.normal(size=n), rng.standard_t(9, size=n), rng.uniform(size=n)):
        found = scores(sample_of(x), expected(Normal(0.0, 1.0), tensor()), EXACT)["kurtosis"]
        assert found.z == pytest.approx(st.kurtosistest(x).statistic, rel=1e-9)


def test_rounding_is_no_deviation():
    """On the grid of a type the figures of a law are off by what the grid does to them."""
    rng, law = np.random.default_rng(8), expected(Normal(0.0, 1.0), tensor())
    x = np.round(rng.normal(size=400_000) * 2) / 2  # steps of half a standard deviation
    coarse = scores(sample_of(x), law, Precision(0.0, 0.5))
    assert min(coarse[name].p for name in ("mean", "std")) > 1e-3
    assert scores(sample_of(x), law, EXACT)["std"].p < 1e-6


def holm_by_hand(probabilities):
    order = np.argsort(probabilities)
    found, worst = [0.0] * len(order), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, probabilities[i] * (len(order) - rank)))
        found[i] = worst
    return found


def test_holm():
    p = np.random.default_rng(9).uniform(size=40) ** 3
    assert holm([*p]) == holm_by_hand(p)
    assert holm([0.01, math.nan, 0.5])[0] == 0.02
    assert math.isnan(holm([0.01, math.nan])[1])


def test_a_row_counts_its_tests():
    law, rng = expected(Normal(0.0, 1.0), tensor()), np.random.default_rng(10)
    parts = [sample_of(rng.normal(size=2000)) for _ in range(4)]
    whole = Sample()
    for part in parts:
        whole.merge(part)
    verdict = judge(whole, parts, law, EXACT)
    assert {*verdict.whole} == {"mean", "std", "low", "high", "kurtosis"}
    assert [{*found} for found in verdict.pieces] == [{"mean", "std"}] * 4
    assert verdict.factors == (10, 16)
    smallest = [score.p * 10 for score in verdict.whole.values()]
    smallest += [score.p * 16 for found in verdict.pieces for score in found.values()]
    assert verdict.p == min(1.0, *smallest)
    assert judge(whole, [whole], law, EXACT).factors == (5, 2)


DRAWS = {
    Normal(0.0, 1.0): lambda rng, n: rng.normal(size=n),
    Uniform(-1.0, 1.0): lambda rng, n: rng.uniform(-1, 1, n),
    TruncatedNormal(0.0, 1.0, -2.0, 2.0): lambda rng, n: st.truncnorm.ppf(rng.uniform(size=n), -2, 2),
}


@pytest.mark.parametrize("law", DRAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize(("n", "repeats"), [(4, 3000), (60, 2000), (2000, 1000)])
def test_probabilities_are_no_smaller_than_they_say(law, n, repeats):
    """Each test errs at most as often as its probability says, within four standard errors of the count."""
    rng, what = np.random.default_rng(n), expected(law, tensor())
    found = {}
    for _ in range(repeats):
        for name, score in scores(sample_of(DRAWS[law](rng, n)), what, EXACT).items():
            found.setdefault(name, []).append(score.p)
    for name, p in found.items():
        for level in (0.1, 0.01):
            most = repeats * level * 1.3 + 4 * math.sqrt(repeats * level)
            assert sum(x <= level for x in p) <= most, (name, level)
        if name in ("mean", "std") and n > 4:  # and not much seldomer
            assert sum(x <= 0.1 for x in p) >= 0.7 * 0.1 * repeats, name
