"""Draws of a given norm, and Gaussians that are kept by chance: against the twin, exactly, and by any region."""

import math
import tracemalloc
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
import twin
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import fastinit as fi
from fastinit.probing.network import law_of
from fastinit.weights import normalized
from fastinit.weights.initialize import law_and_layout
from fastinit.weights.regions import parts

SEED, NAME = 0xFEDCBA9876543210, "block.7/weight"
HALVES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
DTYPES = ("float32", "float64", *HALVES)
PER = ("output", "input", "matrix", "tensor")
DRAWN = {
    "normal": lambda shape, **where: fi.normal(shape, **where),
    "uniform": lambda shape, **where: fi.uniform(shape, low=-1, high=1, **where),
    "truncated_normal": lambda shape, **where: fi.truncated_normal(shape, **where),
}
# shape, layout -> the axes that are scaled together.
AXES = {
    ((6, 11), "io"): {"output": (0,), "input": (1,), "matrix": (0, 1), "tensor": (0, 1)},
    ((6, 11), "oi"): {"output": (1,), "input": (0,), "matrix": (0, 1), "tensor": (0, 1)},
    ((3, 6, 11), "eio"): {"output": (1,), "input": (2,), "matrix": (1, 2), "tensor": (0, 1, 2)},
    ((2, 3, 4, 5), "hwio"): {"output": (0, 1, 2), "input": (0, 1, 3), "matrix": (0, 1, 2, 3), "tensor": (0, 1, 2, 3)},
    ((4, 3, 2, 5), "ilko"): {"output": (0, 2), "input": (2, 3), "matrix": (0, 2, 3), "tensor": (0, 1, 2, 3)},
    ((1, 9), "io"): {"output": (0,), "input": (1,), "matrix": (0, 1), "tensor": (0, 1)},
}


def drawn(shape, **arguments):
    return fi.init("normalized", shape, seed=SEED, name=NAME, **arguments)


def exact_norms(x, axes):
    """The norm of each slice along the axes, from an exact sum of squares."""
    moved = np.moveaxis(x.astype(float), axes, range(len(axes)))
    flat = moved.reshape(math.prod(moved.shape[: len(axes)]), -1)
    norms = [math.sqrt(sum((Fraction(v) ** 2 for v in column), Fraction(0))) for column in flat.T.tolist()]
    return np.expand_dims(np.array(norms).reshape(moved.shape[len(axes) :]), axes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize(("shape", "layout"), AXES)
def test_normalized_equals_the_twin(shape, layout, per, dtype):
    for distribution, draw in DRAWN.items():
        x = draw(shape, seed=SEED, name=NAME, dtype=dtype)
        expected = 3.0 * x.astype(float) / exact_norms(x, AXES[shape, layout][per])
        got = drawn(shape, layout=layout, per=per, radius=3.0, distribution=distribution, dtype=dtype)
        np.testing.assert_array_max_ulp(got, expected.astype(dtype), maxulp=1 if dtype == "float32" else 3)


@pytest.mark.parametrize("dtype", HALVES)
def test_halves_are_float32_rounded_once(dtype):
    for per in PER:
        single = drawn((60, 90), per=per)
        assert drawn((60, 90), per=per, dtype=dtype).tobytes() == single.astype(HALVES[dtype]).tobytes()


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(st.data(), st.sampled_from([*AXES]), st.sampled_from(PER), st.sampled_from(DTYPES))
def test_a_region_is_the_slice_of_the_whole(data, case, per, dtype):
    shape, layout = case
    cuts = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    region = tuple(slice(a, b) for a, b in cuts)
    whole = drawn(shape, layout=layout, per=per, dtype=dtype)
    assert drawn(shape, layout=layout, per=per, dtype=dtype, region=region).tobytes() == whole[region].tobytes()


@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("most", [64, 1000, 1 << 16])
def test_norms_do_not_depend_on_how_they_are_added_up(per, most, monkeypatch):
    shape = (70, 90)
    whole = drawn(shape, per=per, dtype="float64")
    normalized._sums.cache_clear()
    monkeypatch.setattr(normalized, "_SQUARED_AT_A_TIME", most)
    monkeypatch.setattr(normalized, "_DRAWN_AT_A_TIME", most)
    monkeypatch.setattr(normalized, "_NORMS_AT_A_TIME", 7 if most == 64 else 1 << 16)
    assert drawn(shape, per=per, dtype="float64").tobytes() == whole.tobytes()
    normalized._sums.cache_clear()
    # Backwards, too: what is added up does not know the order of its parts.
    monkeypatch.setattr(normalized, "parts", lambda region, n: reversed([*parts(region, n)]))
    assert drawn(shape, per=per, dtype="float64").tobytes() == whole.tobytes()
    normalized._sums.cache_clear()


def test_digits_are_carried_exactly():
    rng = np.random.default_rng(0)
    totals = rng.integers(0, 1 << 60, (3, 4, 1))
    totals[0] >>= 8
    weights = [Fraction(1, 2**26), Fraction(1, 2**59), Fraction(1, 2**92)]

    def values():
        return [sum(w * int(t) for w, t in zip(weights, column, strict=True)) for column in totals[:, :, 0].T]

    before = values()
    normalized._carry(totals, (26, 33, 33), (slice(1, 3), slice(None)))
    assert values() == before
    assert (totals[1:, 1:3] < 1 << 33).all()
    assert (totals[1:, [0, 3]] > 1 << 33).any()


def test_experts_are_what_they_would_be_without_the_others():
    shape = (5, 30, 40)
    whole = drawn(shape, layout="eio", per="matrix", radius=2.0)
    for e in range(5):
        raw = fi.normal(shape, seed=SEED, name=NAME, region=(slice(e, e + 1), slice(None), slice(None)))[0]
        np.testing.assert_allclose(whole[e], 2.0 * raw / np.linalg.norm(raw.astype(float)), rtol=2e-7)
        assert np.linalg.norm(whole[e].astype(float)) == pytest.approx(2.0, rel=1e-7)


def test_norms_are_as_exact_as_float64():
    for shape in ((1, 200), (2, 200), (65, 200), (5000, 8)):
        w = drawn(shape, dtype="float64")
        assert abs(exact_norms(w, (0,)) - 1).max() < 4e-16 * math.sqrt(max(shape))


def test_one_connection_keeps_its_sign_alone():
    w = drawn((1, 1 << 16), radius=0.3)
    raw = fi.normal((1, 1 << 16), seed=SEED, name=NAME)
    np.testing.assert_array_equal(w, np.copysign(np.float32(0.3), raw))


def test_nothing_drawn_is_still_a_direction(monkeypatch):
    # The 0 that a Box-Muller pair gives once in 2^31 would be 0 / 0.
    law = type("Zero", (), {"fill": lambda self, tensor, region, out: out.fill(0)})()
    monkeypatch.setitem(normalized.DRAWN, "normal", law)
    normalized._sums.cache_clear()
    np.testing.assert_allclose(drawn((4, 6)), 0.5, rtol=1e-7)
    normalized._sums.cache_clear()


def test_rows_are_uniform_on_the_sphere():
    n = 5
    w = drawn((n, 40_000), dtype="float64")
    for axis in range(n):  # x1² of a uniform direction is Beta(1/2, (n - 1)/2)
        assert stats.kstest(w[axis] ** 2, stats.beta(0.5, (n - 1) / 2).cdf).pvalue > 1e-3
    assert stats.kstest(np.arctan2(w[0], w[1]), stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("shape", "layout"), AXES)
def test_the_variance_is_that_of_the_norm(shape, layout):
    for per, axes in AXES[shape, layout].items():
        law, _ = law_and_layout(fi.get_scheme("normalized", per=per, radius=2.0), shape, layout=layout)
        assert law.variance == pytest.approx(4.0 / math.prod(shape[a] for a in axes), rel=1e-15)
        assert law.expectation == 0.0
    assert fi.get_scheme("normalized", per="matrix").law(fi.Fans(4, 5)).variance == 1 / 20


def test_a_probe_has_the_law_of_its_kernels():
    assert law_of(fi.get_scheme("normalized", per="matrix"), 3, (4, 5)).variance == 1 / (9 * 4 * 5)
    result = fi.probe(scheme="normalized", per="matrix", radius=3.0, depth=2, conv=3, image=4, width=5, batch=3)
    np.testing.assert_allclose(result.weight_std**2 + result.weight_mean**2, 9 / (9 * 5 * 5), rtol=1e-5)


def test_packed_matrices_have_rows_but_no_columns():
    plain = drawn((12, 5), layout="oi")
    assert drawn((12, 5), layout="oi", groups=3).tobytes() == plain.tobytes()
    for per in ("input", "matrix", "tensor"):
        with pytest.raises(ValueError, match=f"^argument 'groups' must be 1 for norms per {per}, got 3$"):
            drawn((12, 5), layout="oi", groups=3, per=per)


def test_far_rows_of_a_large_matrix():
    shape, row = (2**40, 30), 2**39 + 1
    got = drawn(shape, layout="oi", region=(slice(row, row + 3), slice(0, 30)))
    for r in range(3):
        radius, direction = twin.normal_pairs((row + r) * 30 + np.arange(30), np.float32, SEED, NAME)
        z = (radius * direction).astype(float)
        np.testing.assert_allclose(got[r], z / np.linalg.norm(z), rtol=1e-6)


def test_a_part_takes_the_memory_of_a_part():
    shape, region = (1000, 2000), (slice(17, 18), slice(5, 1000))
    drawn((300, 400), per="matrix")
    tracemalloc.start()
    drawn(shape, per="matrix", region=region)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 << 20  # of 16 MB in float64


# --- Caffe's sparse Gaussian ---


def kept(shape, share, seed=SEED, name=NAME):
    """Where a word of the second stream, as a number in [0, 1), is below the share."""
    u = twin.uniform(np.arange(math.prod(shape)), 0, 1, np.float64, seed, name + "\x00keep")
    return (u < share).reshape(shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "layout", "outputs"), [((23, 17), "io", 17), ((23, 17), "oi", 23), ((8, 3, 2, 5), "oihw", 8)]
)
def test_caffe_gaussian_equals_the_twin(shape, layout, outputs, dtype):
    got = fi.init(
        "caffe_gaussian", shape, layout=layout, sparse=5, std=0.5, mean=3.0, dtype=dtype, seed=SEED, name=NAME
    )
    dense = fi.normal(shape, std=0.5, mean=3.0, dtype=dtype, seed=SEED, name=NAME)
    mask = kept(shape, 5 / outputs)
    assert 0 < mask.sum() < mask.size
    np.testing.assert_array_equal(got != 0, mask)
    np.testing.assert_array_equal(got, np.where(mask, dense, dense.dtype.type(0)))


def test_caffe_keeps_each_by_itself():
    law = fi.get_scheme("caffe_gaussian", sparse=20, std=0.5, mean=1.0).law(fi.Fans(300, 200))
    w = fi.init("caffe_gaussian", (300, 200), sparse=20, std=0.5, mean=1.0, seed=4).astype(float)
    counts = (w != 0).sum(1)  # of one input: binomial, not a number that is always the same
    assert stats.kstest(stats.binom.cdf(counts - 1, 200, 0.1), "uniform").statistic < 0.15
    assert 0.8 < counts.var() / (200 * 0.1 * 0.9) < 1.25
    assert law.expectation == pytest.approx(0.1)
    assert law.variance == pytest.approx(0.1 * 1.25 - 0.01)
    assert abs(w.mean() - 0.1) < 5 * math.sqrt(law.variance / w.size)
    assert abs(w.var() / law.variance - 1) < 0.05


def test_caffe_all_and_none():
    dense = fi.normal((30, 20), seed=1)
    np.testing.assert_array_equal(fi.init("caffe_gaussian", (30, 20), sparse=20, seed=1), dense)
    np.testing.assert_array_equal(fi.init("caffe_gaussian", (30, 20), seed=1), dense)
    assert not fi.init("caffe_gaussian", (30, 20), sparse=0, seed=1).any()
