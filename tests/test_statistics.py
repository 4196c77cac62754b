"""What is drawn follows the laws it should: SciPy's and mpmath's figures at 10^7 draws, all with fixed seeds.

Every test of a hypothesis is made at a level of about 1e-4; a z-score is held below 4.5 (7e-6).
"""

import math
from fractions import Fraction
from functools import cache

import ml_dtypes
import mpmath as mp
import numpy as np
import pytest
from scipy import stats
from scipy.special import erfcx, ndtr

import fastinit as fi

N = 10_000_000
ALPHA = 1e-4
Z = 4.5
KINDS = ["float32", "float64"]
_samples = {}


def standard(dtype="float32", seed=2024, name=""):
    """10^7 standard normals, drawn once."""
    key = (dtype, seed, name)
    if key not in _samples:
        _samples[key] = fi.normal(N, seed=seed, name=name, dtype=dtype).astype(np.float64)
    return _samples[key]


def kolmogorov(x, cdf):
    """The p-value of the largest distance between the sample's distribution and a CDF."""
    p = cdf(np.sort(x))
    n = p.size
    distance = max(np.max(np.arange(1, n + 1) / n - p), np.max(p - np.arange(n) / n))
    return stats.kstwobign.sf(distance * (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)))


def anderson_darling(x, cdf, sf):
    """A², which weighs the tails; beyond 8.2 with probability 1e-4 (asymptotically, parameters known)."""
    x = np.sort(x)
    weights = (2 * np.arange(1, x.size + 1) - 1) / x.size
    return -x.size - float(np.sum(weights * (np.log(cdf(x)) + np.log(sf(x[::-1])))))


def chi_square(observed, expected, constraints=1):
    """The p-value of counts, those expected below 20 thrown together."""
    rare = expected < 20
    observed, expected = (np.append(a[~rare], a[rare].sum()) for a in (observed, expected))
    keep = expected > 0
    assert not observed[~keep].any()
    statistic = np.sum((observed[keep] - expected[keep]) ** 2 / expected[keep])
    return stats.chi2.sf(statistic, keep.sum() - constraints)


def z_of_moment(x, power, mean, variance):
    """How many standard errors the mean of x^power is off, given the mean and variance of x^power."""
    return abs(np.mean(x**power) - mean) / math.sqrt(variance / x.size)


# --- the normal law ---


@pytest.mark.parametrize("dtype", KINDS)
def test_normal_cdf(dtype):
    x = standard(dtype)
    assert kolmogorov(x, ndtr) > ALPHA
    assert anderson_darling(x[: N // 2], ndtr, lambda t: ndtr(-t)) < 8.2


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("sigma", [3, 4, 5])
def test_normal_tail_counts(dtype, sigma):
    x = standard(dtype)
    for count in (int((x > sigma).sum()), int((x < -sigma).sum())):
        assert stats.binomtest(count, N, ndtr(-sigma)).pvalue > ALPHA


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_normal_moments(dtype, power):
    # E z^2k = (2k - 1)!!
    mean = 0 if power % 2 else math.prod(range(1, power, 2))
    square = math.prod(range(1, 2 * power, 2))
    assert z_of_moment(standard(dtype), power, mean, square - mean**2) < Z


def test_the_two_of_a_pair_are_uncorrelated_even_in_their_squares():
    x = standard()[: N // 64 * 64].reshape(-1, 4, 16)
    for a, b in [(0, 1), (2, 3), (0, 2), (1, 3)]:
        first, second = x[:, a].ravel(), x[:, b].ravel()
        root = math.sqrt(first.size)
        assert abs(np.mean(first * second)) * root < Z
        assert abs(np.mean((first**2 - 1) * (second**2 - 1))) / 2 * root < Z


@pytest.mark.parametrize("lag", [1, 2, 3, 15, 16, 17, 32, 48, 63, 64, 65, 1024, 16_384])
def test_lag_correlations(lag):
    x = standard()
    n = N - lag
    assert abs(np.dot(x[:-lag], x[lag:])) / math.sqrt(n) < Z
    squares = x**2 - 1
    assert abs(np.dot(squares[:-lag], squares[lag:])) / 2 / math.sqrt(n) < Z


@pytest.mark.parametrize("other", [(2025, ""), (2024 + 2**32, ""), (2024, "a"), (2024, "layer.0.weight")])
def test_other_seeds_and_names_are_uncorrelated(other):
    x, y = standard()[: N // 10], fi.normal(N // 10, seed=other[0], name=other[1]).astype(np.float64)
    assert abs(np.dot(x, y)) / math.sqrt(x.size) < Z
    assert abs(np.dot(x**2 - 1, y**2 - 1)) / 2 / math.sqrt(x.size) < Z


def test_neighbouring_names_and_seeds_are_uncorrelated_among_each_other():
    rows = [fi.normal(20_000, seed=s, name=n) for s in range(6) for n in ("", "layer.0", "layer.1", "layer.10")]
    c = np.corrcoef(np.array(rows, np.float64))[np.triu_indices(len(rows), 1)]
    assert np.abs(c).max() * math.sqrt(20_000) < 5
    assert abs(np.mean(c**2) * 20_000 - 1) < Z * math.sqrt(2 / c.size)


# --- the uniform law ---


@pytest.mark.parametrize("dtype", KINDS)
def test_uniform(dtype):
    x = fi.uniform(N, low=-1, high=1, seed=5, dtype=dtype).astype(np.float64)
    assert kolmogorov(x, lambda t: (t + 1) / 2) > ALPHA
    assert anderson_darling(x[: N // 10], lambda t: (t + 1) / 2, lambda t: (1 - t) / 2) < 8.2
    for power in (1, 2, 3, 4):
        mean = 0 if power % 2 else 1 / (power + 1)
        assert z_of_moment(x, power, mean, 1 / (2 * power + 1) - mean**2) < Z


def test_every_bit_of_the_uniform_is_fair():
    s = fi.uniform(N // 4, low=-1, high=1, seed=6)
    integers = ((s.astype(np.float64) * 2**24).astype(np.int64) - 1) // 2
    for bit in range(24):
        ones = int(((integers >> bit) & 1).sum())
        assert stats.binomtest(ones, integers.size, 0.5).pvalue > ALPHA / 5


# --- 16-bit types: the exactly rounded law ---


@pytest.mark.parametrize(("dtype", "kind"), [("bfloat16", ml_dtypes.bfloat16), ("float16", np.float16)])
def test_code_points_of_halves_against_the_rounded_cdf(dtype, kind):
    x = fi.normal(N, seed=8, dtype=dtype)
    codes = np.arange(1 << 16, dtype=np.uint16).view(kind)
    with np.errstate(invalid="ignore"):  # signalling NaNs among the codes
        finite = np.isfinite(codes)
    values = codes[finite].astype(np.float64)
    points, which = np.unique(values, return_inverse=True)  # +0 and -0 are one point
    edges = (points[1:] + points[:-1]) / 2  # ties have no mass
    # The nearer tail on each side, so that small probabilities are exact.
    expected = np.diff(np.concatenate(([0.0], ndtr(edges), [1.0])))
    upper = np.diff(np.concatenate(([1.0], ndtr(-edges), [0.0]))) * -1
    expected = N * np.where(points > 0, upper, expected)
    observed = np.bincount(which, np.bincount(x.view(np.uint16), minlength=1 << 16)[finite]).astype(np.float64)
    assert observed.sum() == N
    assert (expected > 20).sum() > 1000
    assert chi_square(observed, expected) > ALPHA


def test_truncating_instead_of_rounding_would_be_seen():
    x = fi.normal(N, seed=8)
    cut = (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)
    right = fi.normal(N, seed=8, dtype="bfloat16").astype(np.float64)
    error = math.sqrt(2 / N)
    assert abs(np.mean(right**2) - 1) < Z * error
    assert abs(np.mean(cut**2) - 1) > 2 * Z * error


# --- the truncated normal ---

BOUNDS = [(-2.0, 2.0), (5.0, 6.0), (30.0, 31.0), (0.0, math.inf), (-3.0, -2.9)]


@cache
def truncated_moments(lower, upper):
    """Mean, variance, and the fourth and eighth central moments between the bounds, by quadrature."""
    with mp.workdps(30):
        a, b = mp.mpf(lower), mp.mpf(min(upper, max(lower, 0) + 12))
        # Pieces no longer than the law's own scale there.
        steps = [a + (b - a) * k / 16 for k in range(17)]
        shift = a * a / 2 if a > 0 else b * b / 2 if b < 0 else mp.mpf(0)

        def integral(f):
            return mp.quad(lambda t: f(t) * mp.exp(shift - t * t / 2), steps)

        total = integral(lambda t: mp.mpf(1))
        mean = integral(lambda t: t) / total
        return float(mean), *(float(integral(lambda t, k=k: (t - mean) ** k) / total) for k in (2, 4, 8))


def truncated_cdf(t, lower, upper):
    """The CDF between the bounds, in units of the nearer bound's tail where all lies in one tail."""
    if upper <= 0:
        return 1 - truncated_cdf(-t, -upper, -lower)
    if lower < 0:
        return (ndtr(t) - ndtr(lower)) / (ndtr(upper) - ndtr(lower))

    def tail(x):
        return np.exp((lower - x) * (lower + x) / 2) * erfcx(x / math.sqrt(2)) if x is not math.inf else 0.0

    return (tail(lower) - tail(t)) / (tail(lower) - tail(upper))


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize(
    "std", [pytest.param(1e-3, marks=pytest.mark.ci), 2e-2, pytest.param(1.0, marks=pytest.mark.ci)]
)
@pytest.mark.parametrize(("lower", "upper"), BOUNDS)
def test_truncated_normal(dtype, std, lower, upper):
    n = N if (std, dtype) == (1.0, "float32") else N // 10
    drawn = fi.truncated_normal(n, std=std, lower=lower, upper=upper, seed=9, dtype=dtype)
    lowest, highest = Fraction(float(drawn.min())), Fraction(float(drawn.max()))
    assert Fraction(std) * Fraction(lower) <= lowest
    assert upper == math.inf or highest <= Fraction(std) * Fraction(upper)

    z = drawn.astype(np.float64) / std
    mean, variance, fourth, eighth = truncated_moments(lower, upper)
    # float32 holds the values to half an ulp, about 2^-24 of them, which shifts nothing but the mean, by less.
    slack = 2.0**-24 * abs(mean) if dtype == "float32" else 0.0
    assert abs(z.mean() - mean) < Z * math.sqrt(variance / n) + slack
    central = z - mean
    assert abs(np.mean(central**2) - variance) < Z * math.sqrt((fourth - variance**2) / n)
    kurtosis = np.mean(central**4) / variance**2
    assert abs(kurtosis - fourth / variance**2) < Z * math.sqrt((eighth - fourth**2) / n) / variance**2

    assert kolmogorov(z, lambda t: truncated_cdf(t, lower, upper)) > ALPHA


def test_nothing_is_stuck_at_a_bound():
    # The outermost value may stand for the draws that rounding carries past it: a few ulps' worth, no more.
    for lower, upper in BOUNDS[:3]:
        x = fi.truncated_normal(N, lower=lower, upper=upper, seed=10)
        for edge, density in ((x.min(), lower), (x.max(), upper)):
            spacing = float(np.spacing(np.float32(abs(edge))))
            mass = stats.truncnorm.pdf(density, lower, upper) * 8 * spacing
            assert (x == edge).sum() <= stats.binom.isf(ALPHA, N, min(mass, 1)) + 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_truncated_halves_reach_at_most_the_bound(dtype):
    x = fi.truncated_normal(N // 10, seed=9, dtype=dtype).astype(np.float64)
    assert np.abs(x).max() == 2.0


# --- the schemes' variances ---

FAN_IN, FAN_OUT = 1600, 6400
MODES = {"fan_in": FAN_IN, "fan_out": FAN_OUT, "fan_avg": (FAN_IN + FAN_OUT) / 2}
# scheme -> (gain², default mode)
SCALED = {
    "xavier_uniform": (1, "fan_avg"),
    "xavier_normal": (1, "fan_avg"),
    "he_uniform": (2, "fan_in"),
    "he_normal": (2, "fan_in"),
    "lecun_uniform": (1, "fan_in"),
    "lecun_normal": (1, "fan_in"),
    "variance_scaling": (1, "fan_in"),
}


def variance_and_error(x, expected):
    """The mean square, and the standard error it would have if `expected` were right (z² varies by at most 2)."""
    return np.mean(np.square(x, dtype=np.float64)), expected * math.sqrt(2 / x.size)


@pytest.mark.parametrize("scheme", SCALED)
@pytest.mark.parametrize("mode", [None, *MODES])
@pytest.mark.parametrize("layout", ["io", "oi"])
def test_variance_tells_the_modes_apart(scheme, mode, layout):
    square, default = SCALED[scheme]
    shape = (FAN_IN, FAN_OUT) if layout == "io" else (FAN_OUT, FAN_IN)
    drawn = fi.init(scheme, shape, seed=12, layout=layout, **({"mode": mode} if mode else {}))
    expected = square / MODES[mode or default]
    measured, error = variance_and_error(drawn, expected)
    assert abs(measured - expected) < Z * error
    for other, n in MODES.items():
        if other != (mode or default):
            assert abs(measured - square / n) > 100 * Z * error


@pytest.mark.parametrize("scheme", ["xavier_normal", "he_normal", "lecun_normal"])
def test_truncated_forms_keep_their_variance_and_are_cut(scheme):
    square, mode = SCALED[scheme]
    drawn = fi.init(scheme, (FAN_IN, FAN_OUT), seed=13, truncated=True)
    expected = square / MODES[mode]
    measured, error = variance_and_error(drawn, expected)
    assert abs(measured - expected) < Z * error
    # 0.8796 is the standard deviation left between -2 and 2.
    widest = 2 * math.sqrt(expected) / 0.8796256610342398
    assert 0.999 * widest < np.abs(drawn).max() <= widest * (1 + 1e-6)
    assert abs(measured - expected * 0.8796256610342398**2) > 100 * Z * error


@pytest.mark.parametrize(
    ("arguments", "variance"),
    [
        ({"scheme": "he_normal", "negative_slope": 0.5}, 2 / 1.25 / FAN_IN),
        ({"scheme": "he_uniform", "nonlinearity": "tanh"}, 25 / 9 / FAN_IN),
        ({"scheme": "xavier_uniform", "gain": 2.0}, 4 / MODES["fan_avg"]),
        ({"scheme": "lecun_normal", "scale": 3.0}, 3 / FAN_IN),
        ({"scheme": "variance_scaling", "scale": 2.0, "mode": "fan_out", "distribution": "uniform"}, 2 / FAN_OUT),
        ({"scheme": "normal", "std": 0.01}, 1e-4),
        ({"scheme": "uniform", "low": -0.3, "high": 0.3}, 0.03),
    ],
)
def test_parameters_scale_the_variance(arguments, variance):
    scheme = arguments.pop("scheme")
    drawn = fi.init(scheme, (FAN_IN, FAN_OUT), seed=14, **arguments)
    measured, error = variance_and_error(drawn, variance)
    assert abs(measured - variance) < Z * error
    law = fi.get_scheme(scheme, **arguments).law(fi.Fans(FAN_IN, FAN_OUT))
    assert math.isclose(law.variance, variance, rel_tol=1e-12)


# --- sparse ---


@pytest.mark.parametrize("layout", ["io", "oi"])
def test_sparse_keeps_exactly_k_and_places_them_evenly(layout):
    fan_in, neurons, k = 200, 50_000, 10
    shape = (fan_in, neurons) if layout == "io" else (neurons, fan_in)
    w = fi.init("sparse", shape, seed=15, layout=layout)
    w = w if layout == "io" else w.T
    kept = w != 0
    assert np.all(kept.sum(0) == k)
    # Without replacement the counts of the positions vary less than Poisson's, by (n - k) / (n - 1).
    counts = kept.sum(1).astype(np.float64)
    expected = neurons * k / fan_in
    statistic = np.sum((counts - expected) ** 2) / expected * (fan_in - 1) / (fan_in - k)
    assert ALPHA < stats.chi2.sf(statistic, fan_in - 1) < 1 - ALPHA
    values = w[kept].astype(np.float64) * math.sqrt(k)
    assert kolmogorov(values, ndtr) > ALPHA


def test_every_subset_of_a_sparse_neuron_is_as_likely():
    fan_in, neurons = 8, 100_000
    for k, subsets in [(1, 8), (3, 56), (5, 56), (7, 8)]:
        kept = fi.init("sparse", (fan_in, neurons), nonzeros=k, seed=16) != 0
        codes = np.bincount((kept * (1 << np.arange(fan_in))[:, None]).sum(0), minlength=256)
        assert (codes > 0).sum() == subsets
        assert chi_square(codes[codes > 0].astype(np.float64), np.full(subsets, neurons / subsets)) > ALPHA


def test_dense_and_empty_sparse():
    assert np.all(fi.init("sparse", (10, 1000), nonzeros=10, seed=1) != 0)
    assert not fi.init("sparse", (10, 1000), nonzeros=0, seed=1).any()


# --- positive_unitball ---


@pytest.mark.parametrize("dtype", KINDS)
def test_positive_unitball_sums_to_one(dtype):
    fan_in = 3000
    w = fi.init("positive_unitball", (fan_in, 400), seed=17, dtype=dtype)
    assert w.min() >= 0
    # The divisor and each quotient are rounded: 2^-24 (2^-53) relatively, each, of weights that add up to 1.
    rounding = 1.01 * np.finfo(dtype).eps
    assert np.abs(w.astype(np.longdouble).sum(0) - 1).max() <= rounding
    variance = fi.get_scheme("positive_unitball").law(fi.Fans(fan_in, 400)).variance
    spread = np.mean((w.astype(np.float64) - 1 / fan_in) ** 2)
    assert abs(spread / variance - 1) < 0.01


@pytest.mark.parametrize(
    ("layout", "shape", "axes"),
    [("oi", (40, 3, 5, 5), (1, 2, 3)), ("hwio", (5, 5, 3, 40), (0, 1, 2)), ("bio", (4, 30, 20), (1,))],
)
def test_positive_unitball_sums_over_the_incoming_axes(layout, shape, axes):
    w = fi.init("positive_unitball", shape, seed=18, layout=layout)
    assert np.abs(w.astype(np.float64).sum(axes) - 1).max() < 2e-7
