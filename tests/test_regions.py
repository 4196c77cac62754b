"""Any region of any shape, into any memory: the slice of the whole tensor, byte for byte."""

import math
import os
from itertools import pairwise

import numpy as np
import pytest
import twin
from hypothesis import given, settings
from hypothesis import strategies as st

import fastinit as fi
from fastinit.weights.regions import blocks, whole_region

DTYPES = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
SCHEMES = ("normal", "uniform", "truncated_normal", "he_normal", "constant", "sparse", "positive_unitball")
SCHEMES += ("normalized", "caffe_gaussian")
SCHEMES += ("log_of_uniform", "inverse_softplus", "power_ramp", "sinusoids")
LAWS = ("normal", "uniform", "truncated_normal")
EXAMPLES = 200 if os.environ.get("FASTINIT_CI") == "1" else 80
COMMON = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)


def drawn(scheme, shape, **arguments):
    params = {"sparse": {"nonzeros": 2}, "constant": {"value": 0.5}, "caffe_gaussian": {"sparse": 1}}.get(scheme, {})
    return fi.init(scheme, shape, seed=7, name="w", **params, **arguments)


def bits(x):
    return x.view(f"u{x.itemsize}")


@st.composite
def shapes_and_regions(draw, min_dims=2, max_side=40):
    shape = draw(st.lists(st.integers(1, max_side), min_size=min_dims, max_size=4))
    while np.prod(shape) > 200_000:
        shape[shape.index(max(shape))] //= 2
    cuts = [sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    return tuple(shape), tuple(slice(a, b) for a, b in cuts)


@st.composite
def layouts_of_memory(draw, shape, dtype):
    """An array of that shape somewhere in larger memory: axes permuted, steps up to 3, some backwards."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from((1, 1, 2, 3, -1, -2))) for _ in shape]
    pads = [draw(st.integers(0, 2)) for _ in shape]
    memory = np.full([shape[a] * abs(steps[a]) + pads[a] for a in order], 77, dtype)
    view = memory.transpose(np.argsort(order))
    index = tuple(
        slice(pads[a], pads[a] + n * steps[a], steps[a]) if steps[a] > 0 else slice(n * -steps[a] - 1, None, steps[a])
        for a, n in enumerate(shape)
    )
    out = view[index]
    return memory, out[tuple(slice(0, n) for n in shape)]


@COMMON
@given(shapes_and_regions(), st.sampled_from(SCHEMES), st.sampled_from(DTYPES), st.sampled_from(("io", "oi")))
def test_a_region_is_the_slice_of_the_whole(case, scheme, dtype, layout):
    shape, region = case
    axes = (len(shape) - 2, len(shape) - 1) if layout == "io" else (1, 0)
    if scheme == "sparse" and twin.fans(shape, axes[:1], axes[1:])[0] < 2:
        return
    whole = drawn(scheme, shape, dtype=dtype, layout=layout)
    part = drawn(scheme, shape, dtype=dtype, layout=layout, region=region)
    assert part.flags.c_contiguous
    assert np.array_equal(bits(part), bits(whole)[region])


@COMMON
@given(st.data(), shapes_and_regions(max_side=20), st.sampled_from(SCHEMES), st.sampled_from(DTYPES))
def test_any_memory_layout_gets_the_same_values_and_nothing_else_is_touched(data, case, scheme, dtype):
    shape, region = case
    if scheme == "sparse" and twin.fans(shape, (len(shape) - 2,), (len(shape) - 1,))[0] < 2:
        return
    plain = drawn(scheme, shape, dtype=dtype, region=region)
    memory, out = data.draw(layouts_of_memory(plain.shape, plain.dtype))
    untouched = memory.copy()
    assert drawn(scheme, shape, dtype=dtype, region=region, out=out) is out
    assert np.array_equal(bits(np.ascontiguousarray(out)), bits(plain))
    out[...] = 77
    assert np.array_equal(bits(memory), bits(untouched))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("memory", ["transposed", "fortran", "every other", "backwards", "field", "packed field"])
def test_large_strided_outputs(scheme, dtype, memory):
    shape = (300, 301)
    plain = drawn(scheme, shape, dtype=dtype)
    kind = plain.dtype
    out = {
        "transposed": lambda: np.empty(shape[::-1], kind).T,
        "fortran": lambda: np.empty(shape, kind, order="F"),
        "every other": lambda: np.empty((600, 602), kind)[::2, ::2],
        "backwards": lambda: np.empty(shape, kind)[::-1, ::-1],
        "field": lambda: np.empty(shape, [("a", kind), ("b", kind)])["b"],
        "packed field": lambda: np.empty(shape, [("a", "u1"), ("b", kind)])["b"],  # strides odd, unaligned
    }[memory]()
    drawn(scheme, shape, dtype=dtype, out=out)
    assert np.array_equal(bits(np.ascontiguousarray(out)), bits(plain))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_pieces_of_any_size_make_the_whole(law, dtype):
    n = 50_000
    whole = drawn(law, n, dtype=dtype)
    edges = [0, 1, 15, 16, 17, 63, 64, 65, 127, 300, 16_384, 16_385, 40_000, n]
    pieces = [drawn(law, n, dtype=dtype, region=(slice(a, b),)) for a, b in pairwise(edges)]
    assert np.array_equal(bits(np.concatenate(pieces)), bits(whole))


# --- far out: the block number needs more than 32 bits from element 2^34 on ---

FAR = [2**32 - 70, 2**34 - 70, 2**40 + 5, 2**62, 2**63 - 201]


@pytest.mark.parametrize("start", FAR)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_far_elements_equal_the_twin(start, kind):
    index = np.arange(start, start + 200, dtype=np.uint64)
    arguments = {"seed": 11, "name": "far", "dtype": kind, "region": (slice(start, start + 200),)}
    shape = (2**63 - 1,)
    got = fi.uniform(shape, low=-1, high=1, **arguments)
    assert np.array_equal(got, twin.uniform(index, -1, 1, kind, 11, "far"))
    radius, direction = twin.normal_pairs(index, kind, 11, "far")
    error = np.abs(fi.normal(shape, **arguments) - radius * direction)
    assert np.all(error <= 2.7 * np.finfo(kind).eps * radius)


def test_far_rows_of_a_matrix_equal_the_twin():
    shape, row, columns = (2**31, 2**20), 2**30 + 3, slice(2**19 - 40, 2**19 + 40)
    got = fi.uniform(shape, low=-1, high=1, seed=11, region=(slice(row, row + 2), columns))
    for r in range(2):
        index = (row + r) * 2**20 + np.arange(columns.start, columns.stop)
        assert np.array_equal(got[r], twin.uniform(index, -1, 1, np.float32, 11))


def test_far_neurons_of_a_sparse_matrix_equal_the_twin():
    fan_in, neurons, first = 50, 2**40, 2**39 + 9
    got = fi.init("sparse", (fan_in, neurons), seed=11, region=(slice(0, fan_in), slice(first, first + 5)))
    for n in range(5):
        assert np.flatnonzero(got[:, n]).tolist() == sorted(twin.sparse_positions(first + n, 10, fan_in, 11))


def test_far_part_of_positive_unitball_is_made_of_its_own_rows():
    shape, row = (2**40, 30), 2**39 + 1
    got = fi.init("positive_unitball", shape, seed=11, layout="oi", region=(slice(row, row + 3), slice(0, 30)))
    for r in range(3):
        u = twin.uniform((row + r) * 30 + np.arange(30), 0, 1, np.float32, 11)
        assert np.array_equal(got[r], u / np.float32(u.astype(np.longdouble).sum()))


# --- the small ends ---


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("law", LAWS)
def test_no_axes_one_axis_and_nothing(law, dtype):
    point = drawn(law, (), dtype=dtype)
    assert point.shape == ()
    assert bits(point) == bits(drawn(law, 5, dtype=dtype))[0]
    assert bits(drawn(law, (), dtype=dtype, region=())) == bits(point)
    for shape in (0, (0,), (3, 0), (0, 5), (2, 0, 4)):
        empty = drawn(law, shape, dtype=dtype)
        assert empty.shape == (shape if isinstance(shape, tuple) else (shape,))
    assert drawn(law, 10, dtype=dtype, region=(slice(4, 4),)).shape == (0,)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_empty_matrices(scheme):
    for shape in ((2, 0), (0, 3)):
        if scheme == "sparse" and shape[0] == 0:
            continue  # a neuron without connections cannot keep two
        assert drawn(scheme, shape).shape == shape
    assert drawn(scheme, (8, 8), region=(slice(3, 3), slice(0, 8))).shape == (0, 8)


def test_order_of_calls_does_not_matter():
    shapes = [(40, 50), (7, 9), (100,), (300, 300)]
    forward = [drawn("normal", s).tobytes() for s in shapes]
    backward = [drawn("normal", s).tobytes() for s in reversed(shapes)]
    assert forward == backward[::-1]


def test_a_single_slice_serves_one_axis():
    assert np.array_equal(drawn("normal", 10, region=slice(2, 5)), drawn("normal", 10)[2:5])


@pytest.mark.parametrize("shape", [(), (7,), (0,), (3, 0), (0, 3), (5, 4), (3, 5, 7), (2, 1, 9, 3), (1, 1, 50)])
@pytest.mark.parametrize("most", [1, 2, 7, 20, 10_000])
def test_blocks_are_the_whole_in_order(shape, most):
    indices = np.arange(math.prod(shape)).reshape(shape)
    found = [indices[tuple(slice(s, s + n) for s, n in block)].ravel() for block in blocks(whole_region(shape), most)]
    assert all(block.size <= most for block in found)
    assert np.array_equal(np.concatenate([indices.ravel()[:0], *found]), indices.ravel())
