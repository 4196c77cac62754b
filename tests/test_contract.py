"""The contract: golden values, and every law against the twin, element by element."""

import golden
import ml_dtypes
import numpy as np
import pytest
import twin
from fastinit_kernels.fill.draw import parameters_function
from fastinit_kernels.machine.jit import compiled, place_of
from fastinit_kernels.numeric import rounding
from fastinit_kernels.numeric.laws import uniform_f32

import fastinit as fi
from fastinit.weights.laws import Uniform
from fastinit.weights.logarithmic import InverseSoftplus, LogOfUniform, LogUniform
from fastinit.weights.sampled import toward
from fastinit.weights.truncated import TruncatedNormal

SEED, NAME = 0xFEDCBA9876543210, "block.7/weight"
N = 100_000
EPS = {np.float32: np.longdouble(2.0**-23), np.float64: np.longdouble(2.0**-52)}
KINDS = [np.float32, np.float64]
NARROW = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}


def bits(x):
    return x.view(f"u{x.itemsize}")


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
    assert set(fi.schemes()) - golden.UNPROMISED <= set(stored["schemes"])
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


INTERVALS = [
    (-1.0, 1.0), (0.0, 1.0), (-0.25, 0.75), (3.0, 3.5), (-(2.0**100), 2.0**100), (0.5, 1.5), (1.0, 2.0), (-3.0, -1.0),
    (-2.0, 1.0), (1.0, 1.0 + 3 * 2.0**-23),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_uniform_equals_the_twin(kind, low, high):
    index = np.arange(3000, dtype=np.uint64)
    got = fi.uniform(index.size, low=low, high=high, seed=SEED, name=NAME, dtype=kind)
    expected = twin.uniform(index, low, high, kind, SEED, NAME)
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("dtype", golden.DTYPES)
@pytest.mark.parametrize(
    ("low", "high"),
    # Bounds that are no number of the type and whose mean is none either, or that only a few numbers lie between.
    [(0.0, 1.0), (0.1, 0.3), (-1e-3, 1 / 3), (-0.3, 0.3), (1.0, 1.02), (-60000.0, 65504.0), (-0.1, 0.0), (-2.0, 2.0)],
)
def test_uniform_holds_low_and_not_high(dtype, low, high):
    most = float(ml_dtypes.finfo(NARROW.get(dtype, dtype)).max)
    low, high = max(low, -most), min(high, most)
    x = fi.uniform(N, low=low, high=high, seed=3, dtype=dtype).astype(np.float64)
    assert low <= x.min()
    assert x.max() < high
    # 2^23 of the float32 words give the last two steps below `high`.
    kind = NARROW.get(dtype, np.dtype(dtype).type if dtype.startswith("float") else None)
    below = np.nextafter(kind(high), kind(-most)) if float(kind(high)) >= high else kind(high)
    assert x.max() <= float(below)


@pytest.mark.parametrize(("low", "high"), [(-3e38, 3e38), (1e30, 1.1e30)])
def test_uniform_of_huge_numbers(low, high):
    for kind in KINDS:
        x = fi.uniform(N, low=low, high=high, seed=3, dtype=kind)
        assert kind(low) <= x.min()
        assert x.max() < kind(high)


def test_uniform_never_gives_one():
    # 2^28 draws of (0, 1): float32's exact 1.0 would come 16 times, bfloat16's for one word in 512.
    for dtype, count in (("float32", 1 << 28), ("bfloat16", 1 << 22), ("float16", 1 << 22)):
        most = max(
            fi.uniform((count,), seed=3, dtype=dtype, region=(slice(i, i + (1 << 22)),)).max()
            for i in range(0, count, 1 << 22)
        )
        assert most < 1


def every_word(low, high):
    """What all 2^24 words of the float32 law become."""
    law, parameters = fi.get_scheme("uniform", low=low, high=high).law(fi.Fans(1, 1)).recipe("float32")
    load = parameters_function(law, "float32")

    @compiled
    def values(out, parameters):
        p = load(parameters)
        for w in range(out.size):
            out[w] = uniform_f32(np.uint32(np.uint64(w) << np.uint64(8)), p)

    out = np.empty(1 << 24, np.float32)
    values(out, place_of(parameters))
    return out


STEPS = [(0.5, 1.5), (1.0, 2.0), (1.0, 3.0), (0.0, 0.3)]


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-0.25, 0.75), *(pytest.param(*x, marks=pytest.mark.ci) for x in STEPS)]
)
def test_uniform_reaches_every_value_as_fine_as_its_steps(low, high):
    x = every_word(low, high)
    width = float(np.float32(high)) - low
    # Numbers of the type no closer to each other than the steps are all reached.
    distinct = np.unique(x)
    fine = np.spacing(np.abs(distinct)) < 0.999 * width * 2.0**-24
    coarse = distinct[~fine]
    gaps = np.diff(coarse.astype(np.float64)) / np.spacing(np.maximum(np.abs(coarse[:-1]), np.abs(coarse[1:])))
    across_zero = (coarse[:-1] < 0) & (coarse[1:] > 0)
    assert gaps[~across_zero].max() <= 1.0
    # As often as each other, but for the steps' own pattern.
    counts = np.bincount(((x.astype(np.float64) - low) / width * 4096).astype(int), minlength=4096)[:4096]
    assert abs(counts - 4096).max() <= 4
    mean = np.mean(x, dtype=np.float64)
    assert abs(mean - (low + width / 2)) <= 1.01 * width * 2.0**-25


def test_uniform_of_a_symmetric_interval_has_a_mean_of_exactly_zero():
    x = every_word(-0.7, 0.7)
    assert np.array_equal(np.sort(x), np.sort(-x))
    assert np.array_equal(every_word(-1.0, 1.0)[:4] * 2.0**24, [1.0, 3.0, 5.0, 7.0])


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
    u = np.maximum(twin.uniform(np.arange(31 * 13), 0.0, 1.0, np.float32, SEED, NAME), np.float32(2.0**-25))
    u = u.reshape(shape)
    total = np.array([np.float32(float(sum(map(twin.Fraction, column.tolist())))) for column in u.T])
    got = fi.init("positive_unitball", shape, seed=SEED, name=NAME)
    assert np.array_equal(got, u / total)


# --- 16- and 8-bit types ---


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("scheme", sorted(fi.schemes()))
def test_narrow_types_are_float32_rounded_once(scheme, dtype):
    shape = golden.shape_for(scheme, 68, 132)
    single = fi.init(scheme, shape, seed=SEED, name=NAME)
    half = fi.init(scheme, shape, seed=SEED, name=NAME, dtype=dtype)
    assert half.dtype == NARROW[dtype]
    expected = single.astype(NARROW[dtype])
    law = fi.get_scheme(scheme).law(fi.fans(shape))
    if isinstance(
        law, Uniform | TruncatedNormal | LogUniform | LogOfUniform | InverseSoftplus
    ):  # whose bounds hold after it, too
        first, last = law.recipe(dtype).parameters[:2]
        expected = np.clip(expected.astype(np.float32), first, last).astype(expected.dtype)
    assert np.array_equal(bits(half), bits(expected))


@pytest.mark.parametrize(
    ("dtype", "std"),
    [
        ("float16", 1e-8),
        ("float16", 3e-5),
        ("float16", 9e3),
        ("bfloat16", 1e-8),
        ("bfloat16", 3e-5),
        ("bfloat16", 1e30),
        ("float8_e4m3fn", 1e-3),
        ("float8_e4m3fn", 66.0),
        ("float8_e5m2", 1e-5),
        ("float8_e5m2", 8e3),
    ],
)
def test_narrow_types_of_tiny_and_huge_values(dtype, std):
    single = fi.normal(N, std=std, seed=SEED)
    with np.errstate(over="ignore"):
        expected = single.astype(NARROW[dtype])
    assert np.array_equal(bits(fi.normal(N, std=std, seed=SEED, dtype=dtype)), bits(expected))


@pytest.mark.parametrize("dtype", NARROW)
def test_rounding_of_every_upper_half_word(dtype):
    # All 2^16 upper halves of a float32, so every sign, exponent and kept bit, with lower halves at and around every
    # tie of either type (a power of two, or the bits below a subnormal's last place) and some at random.
    powers = [1 << k for k in range(16)]
    lower = {0, 0xFFFF, *powers, *(p - 1 for p in powers), *(p + 1 for p in powers), *(0x8000 | p for p in powers)}
    lower |= set(np.random.default_rng(2).integers(0, 1 << 16, 30).tolist())
    function = getattr(rounding, f"{dtype}_bits")

    @compiled
    def round_all(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    upper = np.arange(1 << 16, dtype=np.uint32) << np.uint32(16)
    for low in sorted(lower):
        x = (upper | np.uint32(low & 0xFFFF)).view(np.float32)
        x = x[~np.isnan(x)]
        out = np.empty(x.size, f"u{np.dtype(NARROW[dtype]).itemsize}")
        round_all(x, out)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            assert np.array_equal(out, bits(x.astype(NARROW[dtype]))), hex(low)


@pytest.mark.parametrize("dtype", NARROW)
def test_every_pattern_is_the_value_that_it_is(dtype):
    patterns = np.arange(1 << (8 * np.dtype(NARROW[dtype]).itemsize)).astype(f"u{np.dtype(NARROW[dtype]).itemsize}")
    function = getattr(rounding, f"{dtype}_value")

    @compiled
    def values(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    out = np.empty(patterns.size, np.float32)
    values(patterns, out)
    expected = patterns.view(NARROW[dtype]).astype(np.float32)
    np.testing.assert_array_equal(out, expected)
    assert np.array_equal(np.signbit(out), np.signbit(expected))


@pytest.mark.parametrize("dtype", NARROW)
def test_the_next_value_of_a_type(dtype):
    patterns = np.arange(1 << (8 * np.dtype(NARROW[dtype]).itemsize)).astype(f"u{np.dtype(NARROW[dtype]).itemsize}")
    with np.errstate(invalid="ignore"):  # signalling NaNs
        values = patterns.view(NARROW[dtype]).astype(np.float64)
    values = np.unique(values[np.isfinite(values)])
    middles = (values[1:] + values[:-1]) / 2
    asked = [*values[:: max(1, len(values) // 40)], *middles[:: max(1, len(values) // 40)], values[0], values[-1]]
    for x in [*asked, 1e39, -1e39, values[-1] * 1.01, values[0] * 1.01]:
        for strict in (False, True):
            below = values[values < x] if strict else values[values <= x]
            above = values[values > x] if strict else values[values >= x]
            assert toward(twin.Fraction(x), dtype, below=True, strict=strict) == max(below, default=-np.inf)
            assert toward(twin.Fraction(x), dtype, below=False, strict=strict) == min(above, default=np.inf)
