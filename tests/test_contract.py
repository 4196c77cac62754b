"""The contract: golden values, and every law against the twin, element by element."""

import golden
import ml_dtypes
import numpy as np
import pytest
import twin
from fastinit_kernels import rounding
from fastinit_kernels.jit import kernel

import fastinit as fi

SEED, NAME = 0xFEDCBA9876543210, "block.7/weight"
N = 100_000
EPS = {np.float32: np.longdouble(2.0**-23), np.float64: np.longdouble(2.0**-52)}
KINDS = [np.float32, np.float64]
HALVES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


# --- golden values ---


@pytest.fixture(scope="module")
def stored():
    return golden.stored()


@pytest.mark.parametrize("part", ["laws", "schemes"])
def test_golden_values(stored, part):
    drawn = {"laws": golden.law_entries, "schemes": golden.scheme_entries}[part]()
    changed = {name: entry for name, entry in drawn.items() if entry != stored[part].get(name)}
    assert not changed, f"a changed value is a new version of the contract: {changed}"


def test_every_scheme_and_law_has_a_golden_value(stored):
    assert set(fi.schemes()) <= set(stored["schemes"])
    assert set(stored["laws"]) == {f"{law} {dtype}" for law in golden.LAWS for dtype in golden.DTYPES}
    assert {law for law, _ in golden.LAWS.values()} == {fi.uniform, fi.normal, fi.truncated_normal}


# --- the address ---


def test_empty_name_is_stream_zero_and_names_are_streams():
    for name in ("", NAME, "größe"):
        got = fi.uniform(64, low=-1, high=1, seed=SEED, name=name)
        assert np.array_equal(got, twin.uniform(np.arange(64), -1, 1, np.float32, SEED, name))


def test_every_bit_of_the_seed_counts():
    seen = {fi.uniform(4, seed=1 << bit).tobytes() for bit in range(64)}
    assert len(seen) == 64


def test_a_scheme_is_its_law():
    shape = (30, 50)
    expected = {
        "he_normal": fi.normal(shape, std=np.sqrt(2 / 30), seed=SEED, name=NAME),
        "xavier_uniform": fi.uniform(shape, low=-np.sqrt(6 / 80), high=np.sqrt(6 / 80), seed=SEED, name=NAME),
    }
    for scheme, values in expected.items():
        np.testing.assert_array_max_ulp(fi.init(scheme, shape, seed=SEED, name=NAME), values, maxulp=1)


# --- uniform ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0), (-0.25, 0.75), (3.0, 3.5), (-(2.0**100), 2.0**100)])
def test_uniform_equals_the_twin(kind, low, high):
    index = np.arange(3000, dtype=np.uint64)
    got = fi.uniform(index.size, low=low, high=high, seed=SEED, name=NAME, dtype=kind)
    expected = twin.uniform(index, low, high, kind, SEED, NAME)
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_uniform_is_symmetric_and_stays_inside(kind):
    # Bounds that are no float32 and whose mean is none either: the values may not leave [low, high] in either type.
    for low, high in [(0.1, 0.3), (-1e-3, 1 / 3), (1.0, np.nextafter(1.0, 2.0)), (1e30, 1.1e30), (-3e38, 3e38)]:
        x = fi.uniform(N, low=low, high=high, seed=3, dtype=kind)
        assert kind(low) <= x.min()
        assert x.max() <= kind(high)


@pytest.mark.parametrize("dtype", golden.DTYPES)
def test_laws_without_width_are_constants(dtype):
    constant = fi.init("constant", 1000, value=0.1, dtype=dtype)
    for drawn in (
        fi.uniform(1000, low=0.1, high=0.1, dtype=dtype),
        fi.normal(1000, mean=0.1, std=0, dtype=dtype),
        fi.truncated_normal(1000, mean=0.1, std=0, dtype=dtype),
    ):
        assert drawn.tobytes() == constant.tobytes()


# --- normal ---


@pytest.mark.parametrize("kind", KINDS)
def test_normal_equals_the_twin(kind):
    index = np.arange(N, dtype=np.uint64)
    radius, direction = twin.normal_pairs(index, kind, SEED, NAME)
    got = fi.normal(N, seed=SEED, name=NAME, dtype=kind)
    # The logarithm's 1.5 ulp become 0.75 of the radius, the root and the product add half each, and the direction
    # is within 9e-8 = 0.76 eps (2e-16 = 0.9 eps).
    error = np.abs(got - radius * direction) / (EPS[kind] * radius)
    assert error.max() < 2.7


@pytest.mark.parametrize("kind", KINDS)
def test_mean_and_std_are_one_fused_multiply_add(kind):
    z = fi.normal(N, seed=SEED, dtype=kind)
    mean, std = kind(0.3), kind(0.02)
    got = fi.normal(N, mean=0.3, std=0.02, seed=SEED, dtype=kind)
    wide = np.float64(std) * z + np.float64(mean) if kind is np.float32 else np.longdouble(std) * z + mean
    np.testing.assert_array_max_ulp(got, wide.astype(kind), maxulp=1 if kind is np.float64 else 0)


def test_normal_of_extreme_words():
    # Tail values are rare: ask for the elements whose radius is extreme, wherever in the first 2^22 they stand.
    index = np.arange(1 << 22)
    index = index[index % 32 < 16]  # their own word gives the radius
    words = twin.word32(index, SEED, NAME)
    for extreme in (int(index[words.argmin()]), int(index[words.argmax()])):
        group = np.arange(extreme // 64 * 64, extreme // 64 * 64 + 64, dtype=np.uint64)
        radius, direction = twin.normal_pairs(group, np.float32, SEED, NAME)
        part = (slice(int(group[0]), int(group[0]) + 64),)
        got = fi.normal(1 << 22, seed=SEED, name=NAME, region=part)
        assert np.all(np.abs(got - radius * direction) <= 2.7 * EPS[np.float32] * radius)


# --- truncated normal ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (-1.0, 3.0), (0.0, np.inf), (-3.0, -2.9), (2.0, 4.0), (-5.0, 5.0)])
def test_truncated_normal_equals_the_twin(kind, bounds):
    lower, upper = bounds
    index = np.arange(N, dtype=np.uint64)
    u, v = (twin.unit(index, kind, SEED, NAME, mirrored=m) for m in (False, True))
    z = twin.truncated(u, v, lower, upper)
    got = fi.truncated_normal(N, lower=lower, upper=upper, seed=SEED, name=NAME, dtype=kind)
    # Near the centre an error of one ulp in the probability moves z by sqrt(2 pi) p eps < 1.3 eps; the tail function
    # adds 4e-7 = 3.4 eps, or 1e-15 = 4.5 eps, of max(|z|, 1); the twin's own ndtri is good to a few eps of float64.
    allowed = (6 if kind is np.float32 else 12) * float(EPS[kind]) * np.maximum(np.abs(z), 1)
    assert np.all(np.abs(got - z) <= allowed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bounds", [(5.0, 6.0), (30.0, 31.0), (-38.0, -37.0), (37.9, np.inf), (-1.0, 1.0), (-9.0, 0.5)])
def test_truncated_normal_far_out_equals_many_digits(kind, bounds):
    lower, upper = bounds
    index = np.arange(40, dtype=np.uint64)
    u = twin.unit(index, kind, SEED, NAME)
    exact = np.array([twin.truncated_exact(exactly(x), lower, upper) for x in u])
    got = fi.truncated_normal(index.size, lower=lower, upper=upper, seed=SEED, name=NAME, dtype=kind)
    # ln Q is about z²/2, known to half an ulp, and dz = d(ln Q) / z: another quarter of an ulp of z, or one near 1.
    allowed = 6 * float(EPS[kind]) * np.maximum(np.abs(exact), 1)
    assert np.all(np.abs(got - exact) <= allowed)


def exactly(x):
    """A longdouble in mpmath."""
    mantissa, exponent = np.frexp(x)
    return twin.mp.mpf(int(np.ldexp(mantissa, 64))) * twin.mp.mpf(2) ** (int(exponent) - 64)


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_normal_is_monotone_in_the_word(kind):
    n = 1 << 20
    u = twin.unit(np.arange(n), kind, 5, "")
    for lower, upper in [(-2.0, 2.0), (5.0, 6.0), (-3.0, -2.9)]:
        x = fi.truncated_normal(n, lower=lower, upper=upper, seed=5, dtype=kind)
        steps = np.diff(x[np.argsort(u, kind="stable")])
        # Down by no more than the rounding of the last operations.
        assert steps.min() >= -4 * EPS[kind] * max(np.abs(x).max(), 1)


# --- sparse, positive_unitball ---


def test_sparse_equals_the_twin():
    shape, k = (23, 17), 5
    got = fi.init("sparse", shape, nonzeros=k, seed=SEED, name=NAME)
    dense = fi.normal(shape, std=5**-0.5, seed=SEED, name=NAME)
    for neuron in range(shape[1]):
        kept = twin.sparse_positions(neuron, k, shape[0], SEED, NAME)
        assert sorted(kept) == np.flatnonzero(got[:, neuron]).tolist()
        assert np.array_equal(got[kept, neuron], dense[kept, neuron])


def test_positive_unitball_equals_the_twin():
    shape = (31, 13)
    u = twin.uniform(np.arange(31 * 13), 0.0, 1.0, np.float32, SEED, NAME).reshape(shape)
    total = np.array([np.float32(float(sum(map(twin.Fraction, column.tolist())))) for column in u.T])
    got = fi.init("positive_unitball", shape, seed=SEED, name=NAME)
    assert np.array_equal(got, u / total)


# --- 16-bit types ---


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("scheme", sorted(fi.schemes()))
def test_halves_are_float32_rounded_once(scheme, dtype):
    shape = (67, 129)
    single = fi.init(scheme, shape, seed=SEED, name=NAME)
    half = fi.init(scheme, shape, seed=SEED, name=NAME, dtype=dtype)
    assert half.dtype == HALVES[dtype]
    assert np.array_equal(half.view(np.uint16), single.astype(HALVES[dtype]).view(np.uint16))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("std", [1e-8, 3e-5, 1e30])
def test_halves_of_tiny_and_huge_values(dtype, std):
    single = fi.normal(N, std=std, seed=SEED)
    with np.errstate(over="ignore"):
        expected = single.astype(HALVES[dtype])
    assert np.array_equal(fi.normal(N, std=std, seed=SEED, dtype=dtype).view(np.uint16), expected.view(np.uint16))


@pytest.mark.parametrize("dtype", HALVES)
def test_rounding_of_every_upper_half_word(dtype):
    # All 2^16 upper halves of a float32, so every sign, exponent and kept bit, with lower halves at and around every
    # tie of either type (a power of two, or the bits below a subnormal's last place) and some at random.
    powers = [1 << k for k in range(16)]
    lower = {0, 0xFFFF, *powers, *(p - 1 for p in powers), *(p + 1 for p in powers), *(0x8000 | p for p in powers)}
    lower |= set(np.random.default_rng(2).integers(0, 1 << 16, 30).tolist())
    function = getattr(rounding, f"{dtype}_bits")

    @kernel(None)
    def round_all(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    upper = np.arange(1 << 16, dtype=np.uint32) << np.uint32(16)
    for low in sorted(lower):
        x = (upper | np.uint32(low & 0xFFFF)).view(np.float32)
        x = x[~np.isnan(x)]
        out = np.empty(x.size, np.uint16)
        round_all(x, out)
        with np.errstate(over="ignore", under="ignore"):
            assert np.array_equal(out, x.astype(HALVES[dtype]).view(np.uint16)), hex(low)
