"""The truncated normal between any bounds: exact quantiles, the law to the last float, peers' own test cases."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
import twin
from fastinit_kernels.fill.draw import LAWS, parameters_function
from fastinit_kernels.machine.jit import compiled, place_of
from fastinit_kernels.numeric.rounding import identity
from scipy import stats

import fastinit as fi
from fastinit.weights.gaussian import truncated_std

SEED, NAME = 0xFEDCBA9876543210, "block.7/weight"
INF = math.inf
KINDS = [np.float32, np.float64]
EPS = {np.float32: 2.0**-23, np.float64: 2.0**-52}
DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def recipe(lower, upper, dtype="float32"):
    return fi.get_scheme("truncated_normal", lower=lower, upper=upper).law(fi.Fans(1, 1)).recipe(dtype)


# --- which formula draws what ---

FORMULAS = {
    "truncated_centre": [(-2.0, 2.0), (-2.5, 2.5), (0.0, 2.0), (-1.0, 2.5), (1.0, 2.0), (1.5, 2.5), (-2.5, -1.0)],
    "truncated_wide": [(-3.0, 3.0), (-1.0, 3.0), (-INF, INF), (0.0, INF), (-INF, 0.3), (-9.0, 0.5), (-100.0, 100.0)],
    "truncated_series": [
        (-1e-6, 1e-6), (0.0, 1e-4), (0.6, 0.6001), (2.0, 2.5), (-0.3, 0.7), (8.0, 8.01), (-2.5, -2.4), (-1e-30, 2e-30),
    ],
    "truncated_far": [
        (5.0, 6.0), (20.0, INF), (1.0, INF), (2.0, 4.0), (39.0, 40.0), (100.0, 101.0), (10000.0, 10001.0),
        (-INF, -37.9), (-6.0, -5.0),
    ],
}  # fmt: skip
BOUNDS = [bounds for all_of_one in FORMULAS.values() for bounds in all_of_one]


@pytest.mark.parametrize(("formula", "bounds"), [(f, b) for f, all_of_one in FORMULAS.items() for b in all_of_one])
def test_the_formula_for_each_pair_of_bounds(formula, bounds):
    # What follows tests each formula where it is used: this says where.
    assert recipe(*bounds).formula == formula


# --- each element against many digits ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bounds", BOUNDS)
def test_elements_equal_many_digits(kind, bounds):
    index = np.arange(40, dtype=np.uint64)
    u = twin.unit(index, kind, SEED, NAME)
    exact = [twin.truncated_exact(exactly(x), *bounds) for x in u]
    got = fi.truncated_normal(index.size, lower=bounds[0], upper=bounds[1], seed=SEED, name=NAME, dtype=kind)
    nearest = np.array([float(z) for z in exact])
    # float64 from the nearer tail: ln Q, about z²/2, is known to half an ulp, so z to a quarter of one, or to one
    # near 1; the tail function adds 1e-15. Elsewhere a few roundings; `series` and `far` in float32 have one only.
    one_rounding = kind is np.float32 and recipe(*bounds).formula in ("truncated_series", "truncated_far")
    scale = np.abs(nearest) if one_rounding else np.maximum(np.abs(nearest), min(1, bounds[1] - bounds[0]))
    allowed = (0.51 if one_rounding else 6) * EPS[kind] * scale
    # An element beyond the outermost value within the bounds has been moved there.
    inside = np.clip(got.astype(np.float64), *bounds)
    assert np.all(got == inside)
    error = np.array([abs(float(twin.mp.mpf(float(x)) - z)) for x, z in zip(got, exact, strict=True)])
    ulp = np.spacing(np.abs(got)).astype(np.float64)
    assert np.all((error <= allowed) | ((error < ulp) & at_a_bound(got, bounds, kind)))


def at_a_bound(x, bounds, kind):
    """Whether x is the first or the last value of its type within the bounds."""
    beyond = [np.nextafter(x, kind(side)).astype(np.float64) for side in (-INF, INF)]
    return (beyond[0] < bounds[0]) | (beyond[1] > bounds[1])


def exactly(x):
    """A longdouble in mpmath."""
    mantissa, exponent = np.frexp(x)
    return twin.mp.mpf(int(np.ldexp(mantissa, 64))) * twin.mp.mpf(2) ** (int(exponent) - 64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (-1.0, 3.0), (0.0, INF), (-3.0, -2.9), (-5.0, 5.0), (0.0, 2.0)])
@pytest.mark.parametrize("std", [1.0, 0.02])
def test_many_elements_equal_scipy(kind, bounds, std):
    n = 100_000
    u, v = (twin.unit(np.arange(n, dtype=np.uint64), kind, SEED, NAME, mirrored=m) for m in (False, True))
    z = twin.truncated(u, v, *bounds)
    got = fi.truncated_normal(n, std=std, lower=bounds[0], upper=bounds[1], seed=SEED, name=NAME, dtype=kind)
    # SciPy's ndtri is good to a few eps of float64; std is not a number of float32.
    allowed = (3 if kind is np.float32 else 12) * EPS[kind] * np.maximum(np.abs(z), 1)
    assert np.all(np.abs(got / np.float64(std) - z) <= allowed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (5.0, 6.0), (-3.0, -2.9), (-3.0, 3.0), (20.0, INF)])
def test_values_rise_with_the_word(kind, bounds):
    n = 1 << 18
    order = np.argsort(twin.unit(np.arange(n), kind, 5, ""), kind="stable")
    x = fi.truncated_normal(n, lower=bounds[0], upper=bounds[1], seed=5, dtype=kind)
    # Down by no more than the rounding of the last operations.
    assert np.diff(x[order]).min() >= -4 * EPS[kind] * max(np.abs(x).max(), 1)


@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (-3.0, 3.0), (-INF, INF), (-1e-6, 1e-6)])
def test_symmetric_bounds_give_symmetric_values(bounds):
    # ~w stands for 1 - u as w does for u.
    law, parameters = recipe(*bounds)
    batch, load, count = LAWS[law].single(identity), parameters_function(law, "float32"), np.uint64(4)
    words = np.random.default_rng(4).integers(0, 2**32, 256, dtype=np.uint64).astype(np.uint32)

    @compiled
    def values(out, words, parameters):
        batch(out, words, count, load(parameters))

    one, other = np.empty(256, np.float32), np.empty(256, np.float32)
    values(one, words, place_of(parameters))
    values(other, ~words, place_of(parameters))
    assert np.array_equal(one, -other)


# --- the law, float by float ---

N = 10_000_000
CELL = 100


def key_of(x):
    """Integers in the order of float32 values, one step apart where the values are neighbours."""
    bits = x.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def value_of(key):
    """The float32 values of such integers, in float64."""
    return np.copysign(np.abs(key).astype(np.int32).view(np.float32), key).astype(np.float64)


def expected_distinct(density, lower, upper, n):
    """Mean and variance of the number of distinct float32 values among n, binade by binade."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    mean = variance = once = 0.0
    for exponent in range(-60, 15):
        for sign in (-1, 1):
            ends = sorted((sign * 2.0**exponent, sign * 2.0 ** (exponent + 1)))
            a, b = max(ends[0], lower), min(ends[1], upper)
            if a >= b:
                continue
            spacing = 2.0 ** (exponent - 23)
            for low, high in zip(
                *(np.linspace(a, b, 17)[part] for part in (slice(0, -1), slice(1, None))), strict=True
            ):
                x, w = low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2 / spacing
                rate = n * density(x) * spacing
                mean += np.sum(w * -np.expm1(-rate))
                variance += np.sum(w * np.exp(-rate) * -np.expm1(-rate))
                once += np.sum(w * rate * np.exp(-rate))
    return mean, variance - once**2 / n


ROUNDED = [(100.0, 101.0), (40.0, INF), (2.0, 2.5)]
EXACT = [(-1e-6, 1e-6), (0.0, 1e-4), (0.6, 0.6001), (5.0, 6.0), (-6.0, -5.0), (8.0, 8.01), (20.0, INF), (39.0, 40.0)]


@pytest.mark.parametrize(
    ("lower", "upper"),
    [*EXACT[1::2], (-2.0, 2.0), *(pytest.param(*b, marks=pytest.mark.ci) for b in (*EXACT[::2], *ROUNDED))],
)
def test_no_test_tells_the_draws_from_the_rounded_law(lower, upper):
    # Kolmogorov and Smirnov's; counts in cells of a hundred neighbouring floats, those expected below 5 in one; and
    # how many different values there are.
    cdf, density = twin.truncated_law(lower, upper)
    x = np.sort(fi.truncated_normal(N, lower=lower, upper=upper, seed=9))
    p = cdf(x.astype(np.float64))
    distance = max(np.max(np.arange(1, N + 1) / N - p), np.max(p - np.arange(N) / N))
    # Rounding to float32 moves each value by up to half a float.
    slack = float(np.max(density(x[::1000].astype(np.float64)) * np.spacing(np.abs(x[::1000])))) / 2
    assert stats.kstwobign.sf(max(distance - slack, 0) * math.sqrt(N)) > 1e-4

    keys = key_of(x)
    cells, counts = np.unique(keys // CELL, return_counts=True)
    edges = np.concatenate([cells, cells[-1:] + 1]) * CELL
    between = (value_of(edges) + value_of(edges - 1)) / 2
    inside = np.clip(between, lower, upper)
    expected = N * (cdf(np.append(inside[1:-1], inside[-1])) - cdf(inside[:-1]))
    whole = np.diff(edges) == CELL  # a cell whose neighbour was never hit is as wide as the gap: it is not counted
    common = whole & (expected >= 5)
    statistic = np.sum((counts[common] - expected[common]) ** 2 / expected[common])
    rest = N - counts[common].sum(), N - expected[common].sum()
    statistic += (rest[0] - rest[1]) ** 2 / rest[1] if rest[1] >= 5 else 0.0
    assert common.sum() > 15
    assert stats.chi2.sf(statistic, common.sum() - (rest[1] < 5)) > 1e-4

    distinct = 1 + np.count_nonzero(np.diff(keys))
    mean, variance = expected_distinct(density, lower, upper, N)
    if recipe(lower, upper).formula in ("truncated_series", "truncated_far"):
        assert abs(distinct - mean) < 4.5 * math.sqrt(max(variance, 1))
    else:  # three roundings on the way leave out one value in three hundred
        assert 0.995 * mean < distinct <= mean + 4.5 * math.sqrt(variance)


# --- what peers test ---

# SciPy, TestTruncnorm: the bounds of its cases, and moments as given there.
SCIPY_BOUNDS = [
    (-11.0, -10.0), (10.0, 11.0), (100.0, 101.0), (1000.0, 1001.0), (10000.0, 10001.0), (-10001.0, -10000.0),
    (3.0, 4.0), (-4.0, -3.0), (39.0, 40.0), (-40.0, -39.0), (10.0, 15.0), (-10.0, -5.0), (-INF, 5.0), (-5.0, INF),
    (-INF, 40.0), (-INF, -40.0), (-45.0, 40.0), (-45.0, -40.0), (40.0, 45.0), (-10.0, INF), (40.0, INF),
    (-1e100, 1e100),
]  # fmt: skip
SCIPY_MOMENTS = [
    (-30.0, 30.0, 0.0, 1.0),
    (-10.0, 10.0, 0.0, 1.0),
    (-3.0, 3.0, 0.0, 0.9733369246625415),
    (-2.0, 2.0, 0.0, 0.7737413035499232),
    (0.0, INF, 0.7978845608028654, 0.3633802276324187),
    (-INF, 0.0, -0.7978845608028654, 0.3633802276324187),
    (-1.0, 3.0, 0.282786110727154, 0.6161417353578293),
    (-3.0, 1.0, -0.282786110727154, 0.6161417353578293),
    (-10.0, -9.0, -9.108456288012409, 0.011448805821636248),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("lower", "upper"), [*SCIPY_BOUNDS, (-0.3, 0.3), (-2.0, 2.0)])
def test_values_stay_within_bounds(lower, upper, dtype):
    if dtype == "bfloat16" and 1e4 in (lower, -upper):  # between 9984 and 10048 it has no value
        with pytest.raises(ValueError, match="argument 'std' must leave room for a bfloat16 between the bounds"):
            fi.truncated_normal(10, lower=lower, upper=upper, dtype=dtype)
        return
    x = fi.truncated_normal(10_000, lower=lower, upper=upper, seed=7, dtype=dtype)
    assert np.all(np.isfinite(x))
    assert lower <= x.astype(np.float64).min()
    assert x.astype(np.float64).max() <= upper


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("std", [1e-3, 0.1, 0.15, 3.0])
@pytest.mark.parametrize("mean", [0.0, -7.0, 1e3])
def test_scaled_values_stay_within_bounds(mean, std, dtype):
    low, high = (Fraction(mean) + Fraction(std) * z for z in (-2, 2))
    if not any(low <= Fraction(float(x)) <= high for x in neighbours(mean, DTYPES[dtype])):
        with pytest.raises(ValueError, match=f"argument 'std' must leave room for a {dtype} between the bounds"):
            fi.truncated_normal(10, mean=mean, std=std, dtype=dtype)
        return
    x = fi.truncated_normal(10_000, mean=mean, std=std, seed=7, dtype=dtype)
    assert low <= Fraction(float(x.min())) <= Fraction(float(x.max())) <= high


def neighbours(x, kind):
    near = kind(x)
    return [np.nextafter(near, kind(-INF)), near, np.nextafter(near, kind(INF))]


@pytest.mark.parametrize(("lower", "upper", "mean", "variance"), SCIPY_MOMENTS)
def test_moments_are_those_of_scipys_cases(lower, upper, mean, variance):
    x = fi.truncated_normal(1_000_000, lower=lower, upper=upper, seed=3).astype(np.float64)
    assert abs(x.mean() - mean) < 4.5 * math.sqrt(variance / x.size)
    fourth = np.mean((x - mean) ** 4)
    assert abs(np.mean((x - mean) ** 2) - variance) < 4.5 * math.sqrt((fourth - variance**2) / x.size)
    assert truncated_std(lower, upper) ** 2 == pytest.approx(variance, rel=1e-14)


@pytest.mark.parametrize(("lower", "upper"), [(100.0, 101.0), (1e4, INF), (1e8, INF), (2.0, 2.0 + 1e-9), (-1e-9, 1e-9)])
def test_std_where_floats_would_cancel(lower, upper):
    with twin.mp.workdps(80):
        a = twin.mp.mpf(lower)
        b = twin.mp.mpf(upper) if upper < INF else a + 60 / a
        scale = twin.mp.quad(lambda t: twin.mp.exp(-(t - a) * (t + a) / 2), twin.mp.linspace(a, b, 9))
        m1, m2 = (
            twin.mp.quad(lambda t, k=k: (t - a) ** k * twin.mp.exp(-(t - a) * (t + a) / 2), twin.mp.linspace(a, b, 9))
            / scale
            for k in (1, 2)
        )
        expected = float(twin.mp.sqrt(m2 - m1**2))
    assert truncated_std(lower, upper) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("seed", range(5))
def test_the_absolute_bounds_of_torch(dtype, seed):
    # Bounds within 2 std on either side of the mean, as its own test draws them.
    r = np.random.default_rng(seed)
    mean, std = r.uniform(-3, 3), r.uniform(0.01, 1)
    a, b = r.uniform(mean - 2 * std, mean), r.uniform(mean, mean + 2 * std)
    lower, upper = (a - mean) / std, (b - mean) / std
    x = fi.truncated_normal(2000, mean=mean, std=std, lower=lower, upper=upper, seed=seed, dtype=dtype)
    x = x.astype(np.float64)
    assert a - 1e-15 <= x.min() <= x.max() <= b + 1e-15
    if dtype == "float32":
        assert stats.kstest(x, stats.truncnorm(lower, upper, mean, std).cdf).pvalue > 1e-4


@pytest.mark.parametrize("std", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_bound_beyond_the_type_times_std_is_none(sign, std):
    near, far = ("lower", "upper") if sign > 0 else ("upper", "lower")
    x, y = (
        fi.truncated_normal(1000, std=std, **{near: -sign, far: sign * bound}, seed=3, dtype="float64")
        for bound in (1.7e308, INF)
    )
    assert np.array_equal(x, y)


def test_a_bound_beyond_the_type_is_none():
    for unbounded in ({"upper": 1e39}, {"upper": 3e38, "std": 2.0}, {"upper": INF}):
        std = unbounded.get("std", 1.0)
        x = fi.truncated_normal(1000, lower=1.0, seed=1, **unbounded)
        np.testing.assert_array_equal(x / std, fi.truncated_normal(1000, lower=1.0, upper=INF, seed=1))
