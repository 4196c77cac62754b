"""log_uniform, log_of_uniform and inverse_softplus against mpmath, element by element; their moments; their ends."""

import math

import ml_dtypes
import mpmath as mp
import numpy as np
import pytest
import twin
from scipy import stats

import fastinit as fi

SEED, NAME = 0xFEDCBA9876543210, "block.7/dt_bias"
KINDS = [np.float32, np.float64]
NARROW = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}


def log_uniform(low, high):
    return lambda u: mp.exp(mp.log(low) + (mp.log(high) - mp.log(low)) * u)


def log_of_uniform(low, high):
    return lambda u: mp.log(mp.mpf(low) + (mp.mpf(high) - low) * u)


def inverse_softplus(low, high, floor):
    step = log_uniform(low, high)
    return lambda u: mp.log(mp.expm1(max(step(u), mp.mpf(floor))))


FORMULAS = {"log_uniform": log_uniform, "log_of_uniform": log_of_uniform, "inverse_softplus": inverse_softplus}
CASES = [
    ("log_uniform", {"low": 1e-3, "high": 0.1}),
    ("log_uniform", {"low": 1e-30, "high": 1e30}),
    ("log_uniform", {"low": 3.0, "high": 3.0001}),
    ("log_of_uniform", {"low": 1.0, "high": 16.0}),
    ("log_of_uniform", {"low": 0.0, "high": 16.0}),
    ("log_of_uniform", {"low": 0.0, "high": 1e-30}),
    ("inverse_softplus", {"low": 1e-3, "high": 0.1, "floor": 1e-4}),
    ("inverse_softplus", {"low": 1e-3, "high": 0.1, "floor": 0.01}),
    ("inverse_softplus", {"low": 1e-6, "high": 300.0, "floor": 0.0}),
]
IDS = [f"{scheme} {list(params.values())}" for scheme, params in CASES]


@pytest.mark.parametrize(("scheme", "params"), CASES, ids=IDS)
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_twin(scheme, params, kind):
    n = 400
    got = fi.init(scheme, n, seed=SEED, name=NAME, dtype=kind, **params)
    expected = twin.logarithmic(np.arange(n, dtype=np.uint64), FORMULAS[scheme](**params), kind, SEED, NAME)
    if kind is np.float32:  # computed in float64: the rounding of the exact number, but for ties within 2^-50 or so
        assert (got != expected).sum() <= 1
        np.testing.assert_array_max_ulp(got, expected, maxulp=1)
    else:
        # The exponent's own rounding, times its size, and 1.5 ulp of each function; near 0 a sum of parts of size 1.
        size = max(1.0, *(abs(math.log(x)) for x in params.values() if x))
        np.testing.assert_allclose(
            got, expected, rtol=(3 + size) * 2.0**-52, atol=2.0**-51 if scheme != CASES[0][0] else 0
        )


def test_a_float32_computed_in_float32_would_be_seen():
    low, high, n = np.float32(1e-3), np.float32(0.1), 400
    u = twin.unit(np.arange(n, dtype=np.uint64), np.float32, SEED, NAME).astype(np.float32)
    single = np.exp(np.log(low) + (np.log(high) - np.log(low)) * u)
    assert (single != fi.init("log_uniform", n, seed=SEED, name=NAME)).sum() > 40


@pytest.mark.parametrize(("scheme", "params"), CASES, ids=IDS)
def test_moments(scheme, params):
    n = 1_000_000
    x = fi.init(scheme, n, seed=5, dtype="float64", **params)
    law = fi.get_scheme(scheme, **params).law(fi.Fans(1, 1))
    spread = np.square(x - x.mean())
    assert abs(x.mean() - law.expectation) <= 4.5 * math.sqrt(law.variance / n)
    assert abs(spread.mean() - law.variance) <= 4.5 * spread.std() / math.sqrt(n)
    with mp.workdps(30):
        formula = FORMULAS[scheme](**params)
        pieces = [mp.mpf(k) / 32 for k in range(33)]
        if params.get("floor"):
            bend = mp.log(params["floor"] / params["low"]) / mp.log(params["high"] / params["low"])
            pieces = sorted([*pieces, bend]) if 0 < bend < 1 else pieces
        mean = mp.quad(formula, pieces)
        variance = mp.quad(lambda u: (formula(u) - mean) ** 2, pieces)
    assert law.expectation == pytest.approx(float(mean), rel=1e-9)
    assert law.variance == pytest.approx(float(variance), rel=1e-7)


def test_log_uniform_is_uniform_in_its_logarithm():
    x = np.log(fi.init("log_uniform", 200_000, seed=5, dtype="float64"))
    assert stats.kstest((x - math.log(1e-3)) / math.log(100), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("dtype", NARROW)
def test_no_head_is_dead(dtype):
    """The logarithm of a bfloat16 of U(0, 16) is -inf for one in five hundred."""
    x = fi.init("log_of_uniform", 1 << 22, low=0.0, high=16.0, seed=1, dtype=dtype).astype(np.float32)
    assert np.isfinite(x).all()
    assert x.min() < -10
    assert x.max() <= math.log(16)
    u = fi.uniform(1 << 22, high=16.0, seed=1).astype(ml_dtypes.bfloat16).astype(np.float32)
    assert u.size == x.size


@pytest.mark.parametrize("dtype", [*NARROW, "float32", "float64"])
@pytest.mark.parametrize(("low", "high"), [(0.3, 0.7), (1e-2, 0.3), (1.0, 3.3)])
def test_values_stay_within_the_bounds(dtype, low, high):
    for scheme, first, last in [
        ("log_uniform", mp.mpf(low), mp.mpf(high)),
        ("log_of_uniform", mp.log(low), mp.log(high)),
        ("inverse_softplus", mp.log(mp.expm1(low)), mp.log(mp.expm1(high))),
    ]:
        x = fi.init(scheme, 50_000, low=low, high=high, seed=2, dtype=dtype).astype(np.float64)
        assert first <= x.min()
        assert x.max() <= last
        step = (x.max() - x.min()) / 20  # and come close to both
        assert x.min() - first < step or dtype.startswith("float8")


def test_a_softplus_takes_it_back():
    x = fi.init("inverse_softplus", 10_000, seed=3, dtype="float64", low=1e-3, high=0.1, floor=1e-2)
    step = np.log1p(np.exp(x))
    expected = np.maximum(fi.init("log_uniform", 10_000, seed=3, dtype="float64", low=1e-3, high=0.1), 1e-2)
    np.testing.assert_allclose(step, expected, rtol=1e-13)
    assert 0.4 < (step < 0.0100001).mean() < 0.6


@pytest.mark.parametrize("scheme", FORMULAS)
def test_without_width_all_are_the_same(scheme):
    for dtype in [*NARROW, "float32", "float64"]:
        x = fi.init(scheme, 100, low=0.3, high=0.3, seed=1, dtype=dtype)
        assert np.unique(x.astype(np.float64)).size == 1
    assert fi.get_scheme(scheme, low=0.3, high=0.3).law(fi.Fans(1, 1)).variance == pytest.approx(0, abs=1e-30)


REFUSED = [
    ("log_uniform", {"low": 0.0}, "'low' must be a finite number >= 9.33264e-302, got 0.0"),
    ("log_uniform", {"low": 2.0, "high": 1.0}, "'low' must be <= high, got low=2.0, high=1.0"),
    ("log_uniform", {"high": 1e39}, r"'high' must be within ±3.403e\+38, the range of float32, got 1e\+39"),
    ("log_of_uniform", {"low": -1.0}, "'low' must be a finite number >= 0, got -1.0"),
    ("log_of_uniform", {"low": 0.0, "high": 0.0}, "'high' must be >= 9.33e-302, got 0.0"),
    ("inverse_softplus", {"floor": -1.0}, "'floor' must be a finite number >= 0, got -1.0"),
    ("inverse_softplus", {"low": 1e-300, "dtype": "float8_e4m3fn", "floor": 0.0}, "'low' must be within ±448"),
    ("log_uniform", {"low": 1.001, "high": 1.002, "dtype": "bfloat16"}, "'high' must leave room for a bfloat16"),
]


@pytest.mark.parametrize(("scheme", "params", "text"), REFUSED)
def test_what_is_refused(scheme, params, text):
    with pytest.raises(ValueError, match=f"^argument {text}"):
        fi.init(scheme, 5, seed=1, **params)
