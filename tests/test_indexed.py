"""Laws of an index against NumPy, mpmath, and the projects' own lines, in every type and region."""

import math

import ml_dtypes
import mpmath as mp
import numpy as np
import pytest

import fastinit as fi
from fastinit.weights import indexed

NARROW = [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]
SCHEMES = {
    "log_arange": {"start": 0.5},
    "linspace": {"low": 3.0, "high": 6.0},
    "power_ramp": {"offset": -5.5, "slope": 6.0, "power": 1.3, "zigzag": 2.5, "period": 16},
    "polynomial": {"coefficients": [0.5, -1.0, 2.0]},
    "sinusoids": {"columns": 5},
    "rotary_frequencies": {"base": 500_000.0},
}


def double(scheme, shape, **params):
    return fi.init(scheme, shape, dtype="float64", **params)


def exact(function, *arrays):
    """An array of function of each element, in mpmath, rounded once."""
    with mp.workdps(40):
        return np.array(
            [float(function(*map(mp.mpf, x))) for x in zip(*(a.ravel().tolist() for a in arrays), strict=True)]
        )


def test_log_arange():
    # mamba_simple.py: log(arange(1, d_state + 1)), repeated for every channel.
    got = double("log_arange", (7, 16))
    np.testing.assert_array_max_ulp(got, np.tile(exact(mp.log, np.arange(1, 17)), (7, 1)), maxulp=1)
    assert (got[:, 0] == 0).all()
    np.testing.assert_array_equal(double("log_arange", (16, 7), along=0), got.T)
    far = fi.init("log_arange", 2**40, dtype="float64", region=slice(2**39, 2**39 + 5))
    np.testing.assert_array_max_ulp(far, exact(mp.log, 2.0**39 + 1 + np.arange(5)), maxulp=1)


def test_linspace():
    for low, high, n in [(3.0, 6.0, 4), (1.15, 1.05, 12), (-1e-3, 7.0, 1001), (0.0, 99.0, 100), (-1e290, 1e290, 50)]:
        got = double("linspace", n, low=low, high=high)
        expected = exact(lambda i, low=low, high=high, n=n: low + (mp.mpf(high) - low) * i / (n - 1), np.arange(n))
        np.testing.assert_allclose(got, expected, rtol=0, atol=2.0**-52 * max(abs(low), abs(high)))
        assert (got[0], got[-1]) == (low, high)
        open_end = double("linspace", n, low=low, high=high, endpoint=False)
        np.testing.assert_allclose(
            open_end, np.linspace(low, high, n, endpoint=False), rtol=0, atol=2.0**-51 * max(abs(low), abs(high))
        )
    np.testing.assert_array_equal(double("linspace", 100, low=0, high=99), np.arange(100))  # whole numbers come whole
    assert double("linspace", 1, low=2.0, high=5.0) == 2.0


@pytest.mark.parametrize("layer", [0, 5, 11])
def test_the_decay_of_rwkv_7(layer):
    # RWKV-v7 model.py: www + 0.5 + zigzag * 2.5; zigzag * 0.3 + linear * 0.4 - 0.19; 0.73 - linear * 0.4.
    channels, head, ratio = 768, 64, layer / 11
    n = np.arange(channels)
    linear = n / (channels - 1) - 0.5
    zigzag = ((n % head) - ((head - 1) / 2)) / ((head - 1) / 2)
    zigzag = zigzag * np.abs(zigzag)
    www = -6 + 6 * (n / (channels - 1)) ** (1 + ratio**0.3)
    shape = (1, 1, channels)
    got = double("power_ramp", shape, offset=-5.5, slope=6, power=1 + ratio**0.3, zigzag=2.5, period=head)
    np.testing.assert_allclose(got[0, 0], www + 0.5 + zigzag * 2.5, rtol=0, atol=4e-15)
    got = double("power_ramp", shape, offset=-0.39, slope=0.4, zigzag=0.3, period=head)
    np.testing.assert_allclose(got[0, 0], zigzag * 0.3 + linear * 0.4 - 0.19, rtol=0, atol=4e-16)
    # x_r = 1 - (i / C)^(0.2 (1 - l / L))
    got = double("power_ramp", channels, offset=1, slope=-1, power=0.2 * (1 - layer / 12), endpoint=False)
    np.testing.assert_allclose(got, 1 - (n / channels) ** (0.2 * (1 - layer / 12)), rtol=0, atol=4e-16)
    assert got[0] == 1.0


def test_powers_of_all_sizes():
    n = 257
    t = np.arange(n) / (n - 1)
    for p in (0.0, 1e-3, 0.5, 1.0, 2.0, 7.3, 200.0, 1e6):
        expected = exact(lambda x, p=p: x**p if x or not p else mp.mpf(0), t)
        got = double("power_ramp", n, power=p)
        np.testing.assert_allclose(got, expected, rtol=(3 + p * math.log(n)) * 2.0**-52, atol=1e-304)
    whole = double("power_ramp", 9, slope=0.0, zigzag=1.0)  # one period: the whole axis
    s = np.arange(-8, 9, 2) / 8
    np.testing.assert_array_equal(whole, s * np.abs(s))


def test_polynomial():
    c = [0.5, -1.0, 0.25, 3.0]
    t = np.arange(33) / 32
    np.testing.assert_allclose(double("polynomial", 33, coefficients=c), np.polyval(c[::-1], t), rtol=1e-15)
    np.testing.assert_array_equal(double("polynomial", 33, coefficients=(7,)), np.full(33, 7.0))
    t = np.arange(33) / 33
    got = double("polynomial", (33, 2), coefficients=c, endpoint=False, along=-2)
    np.testing.assert_allclose(got[:, 1], np.polyval(c[::-1], t), rtol=1e-15)


@pytest.mark.parametrize("base", [10_000.0, 500_000.0, 1e-3])
def test_rotary_frequencies(base):
    got = double("rotary_frequencies", 64, base=base)
    with mp.workdps(40):
        expected = exact(lambda i: mp.mpf(base) ** (-i / 64), np.arange(64))
    np.testing.assert_allclose(got, expected, rtol=2.0**-48)
    assert got[0] == 1.0


def waves(length, channels, base, steps):
    """(sines, cosines) of positions times base^(-k / steps), in mpmath."""
    k = np.arange(channels // 2)
    position, k = (x.ravel() for x in np.meshgrid(np.arange(length), k, indexing="ij"))
    with mp.workdps(40):
        angle = lambda p, i: p * mp.mpf(base) ** (-i / steps)  # noqa: E731
        sines, cosines = (exact(lambda p, i, f=f: f(angle(p, i)), position, k) for f in (mp.sin, mp.cos))
    return sines.reshape(length, -1), cosines.reshape(length, -1)


def test_sinusoids_of_whisper_and_of_transformers():
    length, channels = 150, 24
    # The angle is within some 2^-49 of itself.
    near = {"rtol": 0, "atol": length * 2.0**-49}
    sines, cosines = waves(length, channels, 10_000, channels // 2 - 1)
    np.testing.assert_allclose(
        double("sinusoids", (length, channels), endpoint=True), np.hstack([sines, cosines]), **near
    )
    sines, cosines = waves(length, channels, 10_000, channels // 2)
    np.testing.assert_allclose(double("sinusoids", (length, channels)), np.hstack([sines, cosines]), **near)
    pairs = np.stack([sines, cosines], -1).reshape(length, channels)
    np.testing.assert_allclose(double("sinusoids", (length, channels), interleaved=True), pairs, **near)
    np.testing.assert_array_equal(
        double("sinusoids", (channels, length), along=0), double("sinusoids", (length, channels)).T
    )
    np.testing.assert_array_equal(
        double("sinusoids", (1, length, channels))[0], double("sinusoids", (length, channels))
    )


def test_sinusoids_of_a_grid():
    # MAE and DiT: of a grid of patches the column's table in the first half of the channels, the row's in the second.
    rows, columns, channels = 5, 7, 16
    sines, cosines = waves(max(rows, columns), channels // 2, 10_000, channels // 4)
    one = np.hstack([sines, cosines])
    row, column = (x.ravel() for x in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    expected = np.hstack([one[column], one[row]])
    got = double("sinusoids", (rows * columns, channels), columns=columns)
    np.testing.assert_allclose(got, expected, rtol=0, atol=2.0**-46)


def test_positions_far_out():
    position = 10**6
    got = fi.init("sinusoids", (2**40, 4), dtype="float64", region=(slice(position, position + 3), slice(0, 4)))
    with mp.workdps(40):
        expected = [
            [float(f(p * mp.mpf(10_000) ** (-mp.mpf(k) / 2))) for f in (mp.sin, mp.cos) for k in (0, 1)]
            for p in range(position, position + 3)
        ]
    np.testing.assert_allclose(got, expected, rtol=0, atol=position * 2.0**-49)


def test_an_odd_number_of_channels_lacks_the_last_cosine():
    for params in ({}, {"interleaved": True}):
        even = double("sinusoids", (9, 6), **params)
        odd = double("sinusoids", (9, 5), **params)
        np.testing.assert_array_equal(odd, even[:, :5])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_type_is_rounded_once(scheme):
    wide = double(scheme, (35, 48), **SCHEMES[scheme])
    single = fi.init(scheme, (35, 48), **SCHEMES[scheme])
    np.testing.assert_array_equal(single, wide.astype(np.float32))
    for kind in NARROW:
        got = fi.init(scheme, (35, 48), dtype=kind, **SCHEMES[scheme])
        assert got.tobytes() == single.astype(kind).tobytes()


@pytest.mark.parametrize("along", [0, 1, -1, 2])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_region_is_the_slice_of_the_whole_and_blocks_do_not_show(scheme, along, monkeypatch):
    shape = (11, 12, 13)
    whole = fi.init(scheme, shape, along=along, **SCHEMES[scheme])
    monkeypatch.setattr(indexed, "_AT_A_TIME", 37)
    for region in [
        (slice(0, 11), slice(0, 12), slice(0, 13)),
        (slice(3, 9), slice(5, 6), slice(1, 13)),
        (slice(10, 11), slice(0, 0), slice(1, 13)),
    ]:
        np.testing.assert_array_equal(
            fi.init(scheme, shape, along=along, region=region, **SCHEMES[scheme]), whole[region]
        )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_moments_are_those_of_the_tensor(scheme):
    scheme_of = fi.get_scheme(scheme, **SCHEMES[scheme])
    law = scheme_of.law(fi.Fans(1, 1)).sized((60, 48))
    x = double(scheme, (60, 48), **SCHEMES[scheme])
    assert law.expectation == pytest.approx(x.mean(), rel=1e-12, abs=1e-15)
    assert law.variance == pytest.approx(x.var(), rel=1e-12)
    assert math.isfinite(scheme_of.law(fi.Fans(1, 1)).variance)


def test_neither_seed_nor_name_matters():
    for scheme, params in SCHEMES.items():
        np.testing.assert_array_equal(
            fi.init(scheme, (6, 8), seed=1, name="a", **params), fi.init(scheme, (6, 8), seed=2, **params)
        )


def test_a_plan_draws_them():
    plan = fi.Plan(
        [
            ("layers.{layer}.A_log", {"scheme": "log_arange"}),
            (
                "layers.{layer}.w0",
                {"scheme": "power_ramp", "slope": 6, "offset": -6, "power": "1 + (layer / 11) ** 0.3"},
            ),
        ]
    )
    drawn = plan.init({"layers.3.A_log": (8, 16), "layers.3.w0": (1, 1, 32)}, seed=0)
    np.testing.assert_array_equal(drawn["layers.3.A_log"], fi.init("log_arange", (8, 16)))
    expected = fi.init("power_ramp", (1, 1, 32), slope=6, offset=-6, power=1 + (3 / 11) ** 0.3)
    np.testing.assert_array_equal(drawn["layers.3.w0"], expected)


REFUSED = [
    ("linspace", (4, 5), {"along": 2}, ValueError, r"'along' must be an axis of shape \(4, 5\), from -2 to 1, got 2"),
    ("linspace", (), {}, ValueError, r"'along' must be an axis of shape \(\), from 0 to -1, got -1"),
    ("linspace", (4,), {"along": 1.5}, TypeError, "'along' must be an integer >= -64, got 1.5"),
    ("linspace", (4,), {"high": 1e39}, ValueError, "'high' must be within"),
    ("linspace", (4,), {"endpoint": 1}, TypeError, "'endpoint' must be True or False, got 1"),
    (
        "log_arange",
        (4,),
        {"start": 0.0},
        ValueError,
        r"'start' must be a finite number in \[1e-300, 1e\+300\], got 0.0",
    ),
    ("power_ramp", (4,), {"power": -1.0}, ValueError, "'power' must be a finite number"),
    ("power_ramp", (4,), {"period": 0}, ValueError, "'period' must be an integer >= 1, got 0"),
    ("power_ramp", (4,), {"slope": 1e39}, ValueError, "'slope' must be within"),
    ("polynomial", (4,), {"coefficients": []}, ValueError, "'coefficients' must be a list of 1 to 64 numbers"),
    ("polynomial", (4,), {"coefficients": 3.0}, TypeError, "'coefficients' must be a list of 1 to 64 numbers"),
    ("polynomial", (4,), {"coefficients": ["a"]}, TypeError, "'coefficients' must be a finite number"),
    ("sinusoids", (4, 4), {"columns": 0}, ValueError, "'columns' must be an integer >= 1, got 0"),
    ("sinusoids", (4, 4), {"base": 0.5}, ValueError, "'base' must be a finite number in"),
    ("rotary_frequencies", (4,), {"base": 1e-39}, ValueError, "'base' must be within"),
]


@pytest.mark.parametrize(("scheme", "shape", "params", "kind", "text"), REFUSED)
def test_what_is_refused(scheme, shape, params, kind, text):
    with pytest.raises(kind, match=f"^argument {text}"):
        fi.init(scheme, shape, **params)
