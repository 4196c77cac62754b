"""Numbers as callers have them: small NumPy types, arrays without dimensions, two zeros; and what laws make of them."""

import fractions
import math

import ml_dtypes
import mpmath as mp
import numpy as np
import pytest

import fastinit as fi

SMALL = [np.float16, ml_dtypes.bfloat16, np.float32]


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("scheme", ["lecun_normal", "he_normal", "xavier_uniform", "variance_scaling"])
def test_a_small_type_does_not_narrow_the_arithmetic(scheme, kind):
    # 0.01 / 10^6 is 0 in float16, and 10^-8 there is.
    scale = kind(0.01)
    law = fi.get_scheme(scheme, scale=scale).law(fi.Fans(10**6, 10**6))
    assert law.variance == fi.get_scheme(scheme, scale=float(scale)).law(fi.Fans(10**6, 10**6)).variance > 0
    assert isinstance(law.variance, float)


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.longdouble, np.int8, int])
def test_a_number_of_any_type_is_that_number(kind):
    expected = fi.normal(50, mean=2.0, std=3.0, seed=1)
    for mean, std in ((kind(2), kind(3)), (np.array(kind(2)), np.array(kind(3)))):
        np.testing.assert_array_equal(fi.normal(50, mean=mean, std=std, seed=1), expected)


@pytest.mark.parametrize(
    "number", [np.array(0.5), np.float16(0.5), fractions.Fraction(1, 2), np.array(0.5, np.float16)]
)
def test_every_parameter_takes_them(number):
    same = [
        (fi.uniform, {"low": 0.5, "high": 2.0}, "low"),
        (fi.uniform, {"low": 0.0, "high": 0.5}, "high"),
        (fi.truncated_normal, {"lower": 0.5, "upper": 2.0}, "lower"),
        (fi.truncated_normal, {"std": 0.5}, "std"),
    ]
    for function, params, name in same:
        np.testing.assert_array_equal(function(50, seed=1, **{**params, name: number}), function(50, seed=1, **params))
    for scheme, name in [("he_normal", "scale"), ("xavier_normal", "gain"), ("constant", "value"), ("sparse", "std")]:
        np.testing.assert_array_equal(
            fi.init(scheme, (20, 30), seed=1, **{name: number}), fi.init(scheme, (20, 30), seed=1, **{name: 0.5})
        )
    leaky = {"nonlinearity": "leaky_relu", "negative_slope": number}
    assert fi.get_scheme("he_normal", **leaky).law(fi.Fans(9, 9)).std == math.sqrt(2 / (1 + 0.25) / 9)
    assert fi.gain("leaky_relu", number) == fi.gain("leaky_relu", 0.5)


@pytest.mark.parametrize("integer", [np.int8(3), np.uint64(3), np.array(3), np.array(3, np.int16)])
def test_integers_take_them(integer):
    expected = fi.init("sparse", (3, 9), nonzeros=3, seed=3)
    np.testing.assert_array_equal(fi.init("sparse", (integer, 9), nonzeros=integer, seed=integer), expected)
    assert fi.normal(integer, seed=1).shape == (3,)


@pytest.mark.parametrize(
    "odd",
    [np.timedelta64(3), np.timedelta64(3, "ns"), np.datetime64(3, "D"), np.bool_(True), True, "3", 3j, np.complex64(3),
     np.array([3]), np.array([]), None, [3], np.array("3"), np.array(None)],
)  # fmt: skip
def test_what_is_no_number_is_refused_by_name(odd):
    for name, call in [
        ("std", lambda: fi.normal(5, std=odd)),
        ("high", lambda: fi.uniform(5, high=odd)),
        ("upper", lambda: fi.truncated_normal(5, upper=odd)),
        ("value", lambda: fi.init("constant", 5, value=odd)),
        ("gain", lambda: fi.init("xavier_normal", (5, 5), gain=odd)),
        ("nonzeros", lambda: fi.init("sparse", (5, 5), nonzeros=odd)),
        ("groups", lambda: fi.fans((6, 6), groups=odd)),
    ]:
        if odd is None and name == "nonzeros":  # left out
            continue
        with pytest.raises(TypeError, match=f"^argument '{name}' must be an? (finite number|integer)"):
            call()


def test_the_two_zeros_are_two_constants_in_any_order():
    for first, second in ((0.0, -0.0), (-0.0, 0.0), (np.float32(0.0), np.float32(-0.0)), (0, -0.0)):
        for value in (first, second, first):
            x = fi.init("constant", 4, value=value)
            assert np.all(np.signbit(x) == (math.copysign(1, value) < 0)), value
    assert fi.get_scheme("constant", value=-0.0) != fi.get_scheme("constant", value=0.0)
    # Elsewhere the sign of a zero means nothing.
    for zero in (-0.0, 0.0, -0.0):
        assert not np.signbit(fi.normal(64, mean=zero, std=0.0, seed=1)).any()
        assert not np.signbit(fi.uniform(64, low=zero, high=0.0, seed=1)).any()
        np.testing.assert_array_equal(fi.uniform(64, low=zero, seed=1), fi.uniform(64, seed=1))


def test_values_and_types_equal_for_a_cache_are_told_apart():
    assert fi.init("sparse", (5, 5), nonzeros=1, seed=1).astype(bool).sum() == 5
    with pytest.raises(TypeError, match="argument 'nonzeros' must be an integer"):
        fi.init("sparse", (5, 5), nonzeros=1.0, seed=1)
    with pytest.raises(TypeError, match="argument 'nonzeros' must be an integer"):
        fi.init("sparse", (5, 5), nonzeros=True, seed=1)


# --- the range of a dtype ---

LARGEST = {"float16": 65504.0, "bfloat16": float(ml_dtypes.finfo(ml_dtypes.bfloat16).max), "float32": 3.4028234e38}
LARGEST |= {"float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}


@pytest.mark.parametrize("dtype", LARGEST)
def test_what_a_dtype_cannot_hold_is_refused_and_the_rest_is_finite(dtype):
    most = LARGEST[dtype]
    with pytest.raises(ValueError, match=f"argument 'std' must keep mean ± 6.77 std within .*, the range of {dtype}"):
        fi.normal(10, std=most / 6, dtype=dtype)
    with pytest.raises(ValueError, match="argument 'std' must keep mean"):
        fi.normal(10, mean=-0.9 * most, std=most / 50, dtype=dtype)
    for law, params in [
        ("normal", {"std": most / 7}),
        ("normal", {"mean": 0.9 * most, "std": most / 70}),
        ("uniform", {"low": -most, "high": most}),
        ("truncated_normal", {"std": 0.49 * most}),
        ("truncated_normal", {"std": most / 7, "lower": -math.inf, "upper": math.inf}),
        ("truncated_normal", {"std": most / 25, "lower": 20.0, "upper": math.inf}),
        ("constant", {"value": most}),
    ]:
        assert np.isfinite(fi.init(law, 100_000, seed=1, dtype=dtype, **params)).all(), (law, params)
    for law, params in [
        ("uniform", {"high": 1.1 * most}),
        ("truncated_normal", {"std": 0.51 * most}),
        ("truncated_normal", {"std": most / 20, "lower": 20.0, "upper": math.inf}),
        ("xavier_normal", {"gain": 20 * most}),
    ]:
        with pytest.raises(ValueError, match=r"^argument '\w+' must .*within ±"):
            fi.init(law, (100, 100), seed=1, dtype=dtype, **params)


# --- the variance of a share ---


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1000])
def test_the_variance_of_positive_unitball(n):
    # By another integral: 1/S is that of exp(-t S), and 1/S^2 that of t exp(-t S), over t > 0; u^2 by its own.
    with mp.workdps(30):
        mean = lambda t: -mp.expm1(-t) / t  # noqa: E731
        square = lambda t: mp.gammainc(3, 0, t) / t**3  # noqa: E731
        pieces = [
            0,
            mp.mpf(1) / n,
            mp.mpf(4) / n,
            mp.mpf(20) / n,
            mp.mpf(200) / n,
            mp.mpf(10**4) / n,
            mp.mpf(10**7) / n,
        ]
        moment = 1 if n == 1 else mp.quad(lambda t: t * square(t) * mean(t) ** (n - 1), pieces)
        expected = float(moment - mp.mpf(1) / n**2)
    law = fi.get_scheme("positive_unitball").law(fi.Fans(n, 1))
    assert law.variance == pytest.approx(expected, rel=1e-6, abs=1e-15)
    w = fi.init("positive_unitball", (n, 10**6 // n), seed=4, dtype="float64")
    spread = (w - 1 / n) ** 2
    assert abs(spread.mean() - expected) <= 4.5 * spread.std() / math.sqrt(w.size / n) + 1e-15


def test_a_neuron_of_one_connection_has_the_weight_one():
    # u = 0 is drawn once in 2^24: 0 / 0 in its time.
    w = fi.init("positive_unitball", (1, 1 << 25), seed=2)
    assert np.all(w == 1)
