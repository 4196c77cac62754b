"""`add=`: out += add * draw, one fused multiply-add an element, in any type, region and memory."""

import math
from fractions import Fraction

import golden
import ml_dtypes
import numpy as np
import pytest
import twin

import fastinit as fi
from fastinit.weights import adding

NARROW = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}
TYPES = {"float32": np.float32, "float64": np.float64, **NARROW}
SHAPE = (37, 130)


def exact_of(dtype):
    return "float64" if dtype == "float64" else "float32"


def old(dtype, shape=SHAPE):
    return np.random.default_rng(4).normal(size=shape).astype(TYPES[dtype])


def summed(before, drawn, factor, dtype):
    """The sums, each rounded once to the type of the computation, and from there to the dtype."""
    kind = TYPES[exact_of(dtype)]
    factor = Fraction(float(kind(factor)))
    total = [
        twin.rounded(Fraction(x) + factor * Fraction(y), kind)
        for x, y in zip(before.astype(float).ravel().tolist(), drawn.astype(float).ravel().tolist(), strict=True)
    ]
    return np.array(total, kind).reshape(before.shape).astype(TYPES[dtype])


def bits(x):
    return np.ascontiguousarray(x).view(f"u{x.itemsize}")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("factor", [0.1, -1e-3, 1, np.float32(2.5)])
def test_the_sum_is_rounded_once(dtype, factor):
    out = old(dtype)
    expected = summed(out, fi.normal(SHAPE, std=0.7, seed=3, name="w", dtype=exact_of(dtype)), float(factor), dtype)
    assert fi.normal(SHAPE, std=0.7, seed=3, name="w", dtype=dtype, out=out, add=factor) is out
    np.testing.assert_array_equal(bits(out), bits(expected))


def test_true_is_one_and_what_is_drawn_comes_back():
    out = np.zeros(SHAPE, np.float32)
    fi.init("he_normal", SHAPE, seed=3, out=out, add=True)
    np.testing.assert_array_equal(out, fi.init("he_normal", SHAPE, seed=3))
    fi.init("he_normal", SHAPE, seed=3, out=out, add=-1)
    assert (out == 0).all()


@pytest.mark.parametrize("scheme", fi.schemes())
def test_every_scheme(scheme):
    params = {"constant": {"value": 0.5}}.get(scheme, {})
    shape = golden.shape_for(scheme, 20, 32)
    drawn = fi.init(scheme, shape, seed=3, name="w", **params)
    for dtype in ("float32", "bfloat16"):
        out = fi.normal(shape, seed=8, dtype=dtype)
        expected = summed(out, drawn, 0.25, dtype)
        fi.init(scheme, shape, seed=3, name="w", dtype=dtype, out=out, add=0.25, **params)
        np.testing.assert_array_equal(bits(out), bits(expected))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("scheme", ["uniform", "sparse", "positive_unitball", "sinusoids"])
def test_a_region_is_the_slice_of_the_whole_and_blocks_do_not_show(scheme, dtype, monkeypatch):
    whole, part = old(dtype), old(dtype)
    fi.init(scheme, SHAPE, seed=3, dtype=dtype, out=whole, add=-0.5)
    region = (slice(3, 30), slice(9, 120))
    untouched = part.copy()
    monkeypatch.setattr(adding, "_AT_A_TIME", 100)
    fi.init(scheme, SHAPE, seed=3, dtype=dtype, region=region, out=part[region], add=-0.5)
    np.testing.assert_array_equal(bits(part[region]), bits(whole[region]))
    part[region] = untouched[region]
    np.testing.assert_array_equal(bits(part), bits(untouched))


@pytest.mark.parametrize("dtype", [*TYPES, "complex64", "complex128"])
@pytest.mark.parametrize("memory", ["transposed", "every other", "backwards", "field", "packed field"])
def test_any_memory(dtype, memory):
    kind = np.dtype(TYPES.get(dtype, dtype))
    start = np.arange(math.prod(SHAPE)).reshape(SHAPE).astype(np.float32) / 8192
    plain = start.astype(kind)
    fi.normal(SHAPE, seed=3, dtype=dtype, out=plain, add=2.0)
    out = {
        "transposed": lambda: np.empty(SHAPE[::-1], kind).T,
        "every other": lambda: np.zeros((74, 260), kind)[::2, ::2],
        "backwards": lambda: np.empty(SHAPE, kind)[::-1, ::-1],
        "field": lambda: np.empty(SHAPE, [("a", kind), ("b", kind)])["b"],
        "packed field": lambda: np.empty(SHAPE, [("a", "u1"), ("b", kind)])["b"],
    }[memory]()
    out[...] = start.astype(kind)
    fi.normal(SHAPE, seed=3, dtype=dtype, out=out, add=2.0)
    np.testing.assert_array_equal(np.ascontiguousarray(out).view(np.uint8), plain.view(np.uint8))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_added_part_by_part(dtype):
    kind = "float32" if dtype == "complex64" else "float64"
    out, x = np.ones(SHAPE, dtype), np.zeros((*SHAPE, 2), kind)
    x[..., 0] = 1
    fi.normal(SHAPE, seed=3, dtype=dtype, out=out, add=-0.3)
    fi.normal((*SHAPE, 2), std=1 / math.sqrt(2), seed=3, dtype=kind, out=x, add=-0.3)
    np.testing.assert_array_equal(out.view(kind).reshape(x.shape), x)


@pytest.mark.parametrize("dtype", NARROW)
def test_what_is_not_finite_stays_so(dtype):
    out = np.array([math.nan, -math.nan, math.inf, -math.inf, 0.0, 448.0], np.float32).astype(TYPES[dtype])
    expected = summed_of_any(out, dtype)
    fi.init("constant", 6, value=1.0, dtype=dtype, out=out, add=100.0)
    np.testing.assert_array_equal(out.astype(np.float32), expected)


def summed_of_any(out, dtype):
    with np.errstate(over="ignore", invalid="ignore"):
        return (out.astype(np.float32) + np.float32(100)).astype(TYPES[dtype]).astype(np.float32)


def test_the_range_is_that_of_the_computation():
    """What is drawn may be more than a narrow type holds: its share is added."""
    out = np.zeros(1000, ml_dtypes.float8_e4m3fn)
    fi.normal(1000, std=1e4, seed=1, dtype="float8_e4m3fn", out=out, add=1e-3)
    expected = (fi.normal(1000, std=1e4, seed=1) * np.float32(1e-3)).astype(ml_dtypes.float8_e4m3fn)
    np.testing.assert_array_equal(bits(out), bits(expected))


def test_antithetic_pairs_meet_in_the_middle():
    weights = fi.init("he_normal", (64, 64), seed=0, dtype="float64")
    plus, minus = weights.copy(), weights.copy()
    for seed in range(4):
        fi.normal((64, 64), seed=seed, dtype="float64", out=plus, add=0.01)
        fi.normal((64, 64), seed=seed, dtype="float64", out=minus, add=-0.01)
    np.testing.assert_allclose((plus + minus) / 2, weights, rtol=0, atol=1e-15)
    assert np.abs(plus - minus).std() > 0.01


def test_a_large_tensor_takes_no_copy_of_itself(python):
    code = """
import resource, numpy as np, fastinit as fi
out = np.zeros(1 << 24, np.float32)
fi.normal(1 << 10, seed=1, out=out[: 1 << 10], add=1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fi.normal(1 << 24, seed=1, out=out, add=1.0)
out[:] = 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    assert int(python(code)) < (1 << 16) + (1 << 14)  # 64 MiB are its own pages, touched for the first time


REFUSED = {
    "no out": ({"add": 1.0, "out": None}, ValueError, "must come with out, the array to add to, got 1.0"),
    "false": ({"add": False}, TypeError, "must be a finite number, got False"),
    "word": ({"add": "1"}, TypeError, "must be a finite number, got '1'"),
    "nan": ({"add": math.nan}, ValueError, "must be a finite number, got nan"),
    "beyond": ({"add": 1e39}, ValueError, r"must be within ±3.403e\+38, the range of float32, got 1e\+39"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_the_array(case):
    arguments, kind, text = REFUSED[case]
    out = np.full(5, 7.0, np.float32)
    for call in (fi.normal, fi.uniform, fi.truncated_normal):
        with pytest.raises(kind, match=f"^argument 'add' {text}$"):
            call(5, seed=1, **{"out": out, **arguments})
    assert (out == 7).all()
