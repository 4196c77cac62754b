"""Complex tensors: the parts are real draws of twice as many elements, or a radius and an angle; as JAX has them."""

import math

import numpy as np
import pytest
import twin
from optional import library
from scipy import stats

import fastinit as fi

DTYPES = {"complex64": np.float32, "complex128": np.float64}
EPS = {"complex64": 2.0**-23, "complex128": 2.0**-52}
SEED, NAME = 0xFEDCBA9876543210, "block.7/weight"
SHAPE = (60, 70)
# Scheme -> parameters, one for each way in which complex numbers are drawn.
DRAWN = {
    "normal": {"std": 0.3, "mean": 0.25},
    "lecun_normal": {},
    "lecun_uniform": {},
    "variance_scaling": {},
    "truncated_normal": {"std": 0.5, "lower": -1.5, "upper": 1.5},
    "constant": {"value": 0.75},
}


def drawn(scheme, dtype="complex64", **arguments):
    return fi.init(scheme, SHAPE, seed=SEED, name=NAME, dtype=dtype, **DRAWN[scheme], **arguments)


def parts(z):
    return np.ascontiguousarray(z).view(DTYPES[z.dtype.name])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_normal_number_is_two_of_the_real_tensor(dtype):
    kind = DTYPES[dtype]
    z = fi.normal(SHAPE, std=0.3, seed=SEED, name=NAME, dtype=dtype)
    x = fi.normal((*SHAPE, 2), std=0.3 / math.sqrt(2), seed=SEED, name=NAME, dtype=kind)
    np.testing.assert_array_equal(z.real, x[..., 0])
    np.testing.assert_array_equal(z.imag, x[..., 1])
    moved = fi.normal(SHAPE, std=0.3, mean=-2.0, seed=SEED, name=NAME, dtype=dtype)
    np.testing.assert_array_equal(moved, z + kind(-2.0))


def radius_and_angle(dtype, count):
    """(u, cosine, sine) of the first elements: the u of a radius from one word, the angle from the next."""
    kind = DTYPES[dtype]
    index = np.arange(2 * count, dtype=np.uint64)
    u = twin.unit(index[::2], kind, SEED, NAME).astype(kind).astype(np.longdouble)
    bits = 32 if kind is np.float32 else 53
    word = twin.word32(index, SEED, NAME) if bits == 32 else twin.word64(index, SEED, NAME) >> np.uint64(11)
    angle = word[1::2].astype(np.longdouble) * np.longdouble(2.0) ** -bits * 2 * np.arctan2(np.longdouble(0), -1)
    return u, np.cos(angle), np.sin(angle)


def assert_near(z, radius, cosine, sine, dtype):
    error = np.maximum(np.abs(z.real - radius * cosine), np.abs(z.imag - radius * sine))
    assert (error / (EPS[dtype] * radius)).max() < 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_is_a_disk(dtype):
    n = 20_000
    z = fi.init("lecun_uniform", (8, n // 8), seed=SEED, name=NAME, dtype=dtype).ravel()
    u, cosine, sine = radius_and_angle(dtype, n)
    assert_near(z, np.sqrt(2 * u / 8), cosine, sine, dtype)
    assert stats.kstest(np.abs(z) ** 2 * 4, "uniform").pvalue > 1e-4  # of a radius of sqrt(2 / 8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("upper", "std"), [(2.0, 0.4), (0.3, 1.0), (math.inf, 1.0)])
def test_truncated_normal_is_cut_at_a_radius(dtype, upper, std):
    n = 20_000
    z = fi.truncated_normal(n, std=std, lower=-upper, upper=upper, seed=SEED, name=NAME, dtype=dtype)
    u, cosine, sine = radius_and_angle(dtype, n)
    beyond = math.exp(-(upper**2))
    # s from `beyond` to 1 is rounded to the type before the logarithm, which loses what is near 1.
    kind = DTYPES[dtype]
    s = (kind(beyond).astype(np.longdouble) + kind(1 - beyond).astype(np.longdouble) * u).astype(kind)
    radius = std * np.sqrt(-np.log(s.astype(np.longdouble)))
    near = np.flatnonzero(s < 1 - 8 * EPS[dtype])  # the fused sum here may round the other way
    assert near.size > 0.99 * n
    loss = 1 + 0.3 / np.abs(np.log(s[near].astype(float)))
    error = np.maximum(np.abs(z.real - radius * cosine), np.abs(z.imag - radius * sine))[near]
    assert (error / (EPS[dtype] * radius[near] * loss)).max() < 3
    assert np.abs(z).max() <= std * upper * (1 + 3 * EPS[dtype])


@pytest.mark.parametrize("scheme", ["lecun_normal", "lecun_uniform", "variance_scaling"])
def test_the_variance_is_the_one_asked_for(scheme):
    n = 400_000
    z = fi.init(scheme, (4, n // 4), seed=3, dtype="complex64").ravel().astype(np.complex128)
    # JAX divides the truncated one by 0.95311 where 0.96196 would be the standard deviation that is left.
    wanted = 0.25 * ((1 - 4 / math.expm1(4)) / 0.95311164380491208**2 if scheme == "variance_scaling" else 1)
    square = np.abs(z) ** 2
    assert abs(square.mean() - wanted) < 4.5 * square.std() / math.sqrt(n)
    for other in (z.mean(), (z * z).mean()):  # of no direction
        assert abs(other) < 4.5 * math.sqrt(np.mean(square**2)) / math.sqrt(n)
    assert abs(wanted / 0.25 - 1) > 4.5 * square.std() / math.sqrt(n) or scheme != "variance_scaling"


@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated_normal"])
def test_the_law_is_that_of_jax(distribution):
    jax = library("jax")
    n = 200_000
    theirs = jax.nn.initializers.variance_scaling(2.0, "fan_in", distribution)(
        jax.random.key(5), (4, n // 4), "complex64"
    )
    ours = fi.init("variance_scaling", (4, n // 4), scale=2.0, distribution=distribution, seed=5, dtype="complex64")
    theirs, ours = np.asarray(theirs).ravel(), ours.ravel()
    for figure in (np.abs, np.angle, np.real, np.imag):
        assert stats.ks_2samp(figure(theirs), figure(ours)).pvalue > 1e-4
    wider = ours * np.complex64(0.96196 / 0.95311164380491208)
    if distribution == "truncated_normal":
        assert stats.ks_2samp(np.abs(theirs), np.abs(wider)).pvalue < 1e-4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scheme", DRAWN)
def test_a_region_is_the_slice_of_the_whole(scheme, dtype):
    whole = drawn(scheme, dtype)
    for region in [(slice(3, 50), slice(7, 8)), (slice(0, 1), slice(1, 69)), (slice(17, 17), slice(0, 70))]:
        part = drawn(scheme, dtype, region=region)
        np.testing.assert_array_equal(part, whole[region])
    rows = [drawn(scheme, dtype, region=(slice(i, i + 1), slice(0, 70))) for i in range(60)]
    np.testing.assert_array_equal(np.concatenate(rows), whole)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scheme", DRAWN)
@pytest.mark.parametrize("memory", ["transposed", "every other", "backwards", "field", "packed field"])
def test_any_memory(scheme, dtype, memory):
    guard = 7 + 5j
    out = {
        "transposed": lambda: np.full(SHAPE[::-1], guard, dtype).T,
        "every other": lambda: np.full((120, 140), guard, dtype)[::2, ::2],
        "backwards": lambda: np.full(SHAPE, guard, dtype)[::-1, ::-1],
        "field": lambda: np.full(SHAPE, guard, [("a", dtype), ("b", dtype)])["b"],
        "packed field": lambda: np.zeros(SHAPE, [("a", "u1"), ("b", dtype)])["b"],
    }[memory]()
    assert drawn(scheme, dtype, out=out) is out
    np.testing.assert_array_equal(out, drawn(scheme, dtype))
    beside = out.base if isinstance(out.base, np.ndarray) and out.base.size > out.size else None
    if beside is not None and beside.dtype == out.dtype:
        assert (beside[1::2] == guard).all()
        assert (beside[:, 1::2] == guard).all()


def test_the_small_ends():
    assert fi.normal((), seed=1, dtype="complex64") == fi.normal(3, seed=1, dtype="complex64")[0]
    assert fi.normal((0, 3), dtype="complex128").shape == (0, 3)
    far = fi.normal(2**62 - 1, seed=1, dtype="complex64", region=slice(2**61 + 7, 2**61 + 9))
    pairs = fi.normal((2**62 - 1, 2), std=2**-0.5, seed=1, region=(slice(2**61 + 7, 2**61 + 9), slice(0, 2)))
    np.testing.assert_array_equal(parts(far), pairs.ravel())


LEFT_OUT = {
    "uniform": ({}, r"'dtype' must be real for the law Uniform\(low=0.0, high=1.0\), got 'complex64'"),
    "truncated_normal": ({"upper": 3.0}, "'dtype' must be real for the law TruncatedNormal"),
    "sparse": ({}, "'dtype' must be real for the law Sparse"),
    "positive_unitball": ({}, "'dtype' must be real for the law PositiveUnitBall"),
    "log_uniform": ({}, "'dtype' must be real for the law LogUniform"),
    "linspace": ({}, "'dtype' must be real for the law Linspace"),
    "normal": ({"std": 1e38}, r"'std' must keep mean ± 6.77 std within ±3.403e\+38"),
    "constant": ({"value": 1e39}, "'value' must be within"),
}


@pytest.mark.parametrize("scheme", LEFT_OUT)
def test_laws_without_complex_numbers_say_so(scheme):
    params, text = LEFT_OUT[scheme]
    out = np.full((40, 40), 7, np.complex64)
    with pytest.raises(ValueError, match=f"^argument {text}"):
        fi.init(scheme, (40, 40), dtype="complex64", out=out, **params)
    assert (out == 7).all()
    with pytest.raises(ValueError, match=f"^argument {text}"):
        fi.Plan([("w", {"scheme": scheme, **params})]).init({"w": (40, 40)}, seed=1, dtype="complex64")


def test_a_shape_must_leave_room_for_the_parts():
    for shape in ((1,) * 64, (2**62,)):
        with pytest.raises(
            ValueError, match=r"^argument 'shape' must have less than 64 axes and 2.* if they are complex"
        ):
            fi.normal(shape, dtype="complex64")


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "float8_e4m3fn", "float8_e5m2"])
def test_a_probe_says_which_types_it_takes(dtype):
    text = "^argument 'dtype' must be one of bfloat16, float16, float32, float64, got"
    with pytest.raises(ValueError, match=text):
        fi.probe(dtype=dtype, depth=1, width=4, batch=4)
    with pytest.raises(ValueError, match=text):
        fi.probe(dtype=fi.normal(1, dtype=dtype).dtype, depth=1, width=4, batch=4)
    with pytest.raises(ValueError, match=text):
        fi.sweep(dtype=["float32", dtype], depth=1, width=4, batch=4)


def test_complex_inputs_of_a_probe_are_refused():
    with pytest.raises(TypeError, match=r"^argument 'inputs' must hold real numbers"):
        fi.probe(inputs=np.ones((4, 4), np.complex64), depth=1, width=4)
