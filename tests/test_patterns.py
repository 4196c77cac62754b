"""Identities, Dirac's, ZerO and bilinear kernels: against PyTorch, SciPy's Hadamard matrix and Caffe's formula."""

import itertools
import math

import golden
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optional import library
from scipy.linalg import hadamard

import fastinit as fi
from fastinit.weights.initialize import law_and_layout

COMMON = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def made(scheme, shape, **arguments):
    return fi.init(scheme, shape, seed=3, **arguments)


# --- identity and dirac ---


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (1, 4), (4, 1), (1, 1)])
def test_identity_is_torchs_eye(shape):
    torch = library("torch")
    expected = torch.nn.init.eye_(torch.empty(shape)).numpy()
    assert np.array_equal(made("identity", shape), expected)
    assert np.array_equal(made("eye", shape, layout="oi", gain=-0.3), expected * np.float32(-0.3))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    "shape", [(8, 2, 3), (4, 8, 5), (8, 8, 3, 3), (8, 3, 4, 5), (4, 2, 1, 2), (8, 4, 3, 3, 3), (4, 6, 2, 3, 4)]
)
def test_dirac_is_torchs(shape, groups):
    torch = library("torch")
    expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    assert np.array_equal(made("dirac", shape, layout="oi", groups=groups), expected)
    # In every other layout the same entries; torch takes a transposed convolution's groups from its inputs.
    front = (*range(2, len(shape)), 1, 0)
    assert np.array_equal(made("dirac", [shape[a] for a in front], groups=groups), expected.transpose(front))
    space = "hwd"[: len(shape) - 2] if len(shape) > 3 else "k"
    arguments = {"layout": f"io{space}", "groups": groups, "transposed": True}
    assert np.array_equal(made("dirac", shape, **arguments), expected)
    moved = expected.transpose(0, *range(2, len(shape)), 1)
    assert np.array_equal(made("dirac", moved.shape, layout=f"o{space}i", groups=groups), moved)


@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_hands_channels_on(groups):
    torch = library("torch")
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    w = torch.from_numpy(made("dirac", (4, 4 // groups, 3, 5), layout="oi", groups=groups))
    assert torch.equal(torch.nn.functional.conv2d(x, w, padding="same", groups=groups), x)


def test_packed_matrices_are_identities_by_themselves():
    assert np.array_equal(made("identity", (4, 12), groups=3), np.tile(np.eye(4), 3))
    assert np.array_equal(made("identity", (12, 4), groups=3, layout="oi"), np.tile(np.eye(4), 3).T)
    assert np.array_equal(made("identity", (5, 3, 4), layout="eio"), np.broadcast_to(np.eye(3, 4), (5, 3, 4)))
    assert np.array_equal(made("identity", (3, 5, 4), layout="ieo"), np.stack([np.eye(3, 4)] * 5, 1))
    assert np.array_equal(made("identity", (6, 2, 3), layout="ioo"), np.eye(6).reshape(6, 2, 3))
    assert np.array_equal(made("identity", (2, 3, 6), layout="iio"), np.eye(6).reshape(2, 3, 6))
    assert np.array_equal(made("identity", (6, 3, 2), layout=(0, (2, 1))), np.eye(6).reshape(6, 2, 3).swapaxes(1, 2))
    assert np.array_equal(made("dirac", (3, 5, 1), layout="kbo"), [[[0]] * 5, [[1]] * 5, [[0]] * 5])


# --- ZerO ---


@pytest.mark.parametrize(
    ("outputs", "inputs"), [(4, 4), (4, 9), (9, 4), (8, 3), (5, 1), (2, 1), (1, 1), (33, 32), (64, 3)]
)
def test_zero_hadamard_is_the_papers_algorithm(outputs, inputs):
    """Zhao, Schaefer and Anandkumar 2022, algorithm 1."""
    if outputs <= inputs:
        expected = np.eye(outputs, inputs)
    else:
        order = math.ceil(math.log2(outputs))
        size = 2**order
        scaled = (hadamard(size) / np.sqrt(np.longdouble(2) ** order)).astype(np.float64)
        expected = np.eye(outputs, size) @ scaled @ np.eye(size, inputs)
    for dtype in ("float32", "float64"):
        got = made("zero_hadamard", (outputs, inputs), layout="oi", dtype=dtype)
        assert np.array_equal(got, expected.astype(dtype))
        assert np.array_equal(made("zero_hadamard", (inputs, outputs), dtype=dtype), got.T)
    # Of a kernel the middle; of groups each.
    kernel = made("zero_hadamard", (2 * outputs, inputs, 3, 4), layout="oi", groups=2, dtype="float64")
    assert np.array_equal(kernel[:outputs, :, 1, 2], expected)
    assert np.array_equal(kernel[outputs:, :, 1, 2], expected)
    assert np.count_nonzero(kernel) == 2 * np.count_nonzero(expected)
    assert np.array_equal(made("zero_hadamard", (3, inputs, outputs), layout="eio", dtype="float64")[2], expected.T)


def test_zero_hadamard_of_packed_axes():
    plain = made("zero_hadamard", (6, 24))
    assert np.array_equal(made("zero_hadamard", (2, 3, 24), layout="iio"), plain.reshape(2, 3, 24))
    assert np.array_equal(made("zero_hadamard", (6, 4, 6), layout="ioo"), plain.reshape(6, 4, 6))
    grouped = made("zero_hadamard", (6, 4, 12), layout="ioo", groups=2).reshape(6, 2, 24)
    assert np.array_equal(grouped[:, 0], plain)
    assert np.array_equal(grouped[:, 1], plain)
    turned = made("zero_hadamard", (6, 24, 3), layout="iok", groups=3, transposed=True)
    assert np.array_equal(turned[2:4, :, 1], made("zero_hadamard", (2, 24)))


def test_a_large_zero_hadamard_is_made_in_parts():
    shape, region = (3000, 2**13), (slice(1000, 1600), slice(2**12 - 300, 2**12 + 700))
    i, o = np.ogrid[region]
    signs = np.array([1 - 2 * (bin(v).count("1") & 1) for v in range(2**13)], np.float32)
    expected = signs[i & o] * np.float32(2**-6.5)
    assert np.array_equal(made("zero_hadamard", shape, region=region), expected)


# --- bilinear ---


def caffes(k):
    """The factors of Caffe's BilinearFiller along an axis of k taps, in fractions of integers."""
    f = math.ceil(k / 2)
    c = (2 * f - 1 - f % 2) / (2 * f)
    return np.array([1 - abs(x / f - c) for x in range(k)])


@pytest.mark.parametrize("k", range(1, 10))
def test_bilinear_is_caffes_filler(k):
    expected = np.outer(caffes(k), caffes(k))
    got = made("bilinear", (3, 2, k, k), layout="oi", dtype="float64")
    np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), rtol=0, atol=2**-52)
    assert np.array_equal(made("bilinear", (k, k, 2, 3), dtype="float64"), got.transpose(2, 3, 1, 0))


def test_linear_and_trilinear():
    got = made("bilinear", (4, 2, 5), layout="oi", dtype="float64")
    np.testing.assert_allclose(got, np.broadcast_to(caffes(5), got.shape), rtol=0, atol=2**-52)
    got = made("bilinear", (2, 3, 6, 1, 2), dtype="float64")
    expected = np.einsum("i,j,k", caffes(2), caffes(3), caffes(6))[..., None, None]
    np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), rtol=0, atol=2**-52)


def test_bilinear_enlarges_a_ramp():
    """A transposed convolution of stride f and kernel 2f - f mod 2: inside, linear functions stay linear."""
    torch = library("torch")
    for f in (2, 3, 4):
        k = 2 * f - f % 2
        w = torch.from_numpy(made("bilinear", (1, 1, k, k), layout="iohw", transposed=True, dtype="float64"))
        ramp = torch.arange(8, dtype=torch.float64).repeat(8, 1)[None, None]
        row = torch.nn.functional.conv_transpose2d(ramp, w, stride=f)[0, 0, 4 * f, 2 * f : -2 * f]
        np.testing.assert_allclose(np.diff(row), 1 / f, rtol=1e-12)


# --- all of them ---

CASES = [
    ("identity", (5, 9), {"gain": 1.5}),
    ("identity", (3, 2), {"gain": 1 + 2**-11 + 2**-30}),  # rounded to float32 a tie of float16
    ("identity", (9, 5), {"layout": "oi", "gain": 1.5}),
    ("identity", (4, 6, 9), {"layout": "eio", "groups": 3}),
    ("identity", (9, 4, 6), {"layout": "oei", "groups": 3}),
    ("identity", (2, 3, 6), {"layout": "iio"}),
    ("dirac", (4, 3, 6, 5), {"gain": 0.7}),
    ("dirac", (6, 3, 4, 2), {"layout": "oi", "groups": 3}),
    ("dirac", (2, 3, 6, 3), {"layout": "eiok", "groups": 3, "transposed": True}),
    ("zero_hadamard", (5, 37), {}),
    ("zero_hadamard", (37, 5), {}),
    ("zero_hadamard", (32, 3, 3, 4), {"layout": "oi", "groups": 2}),
    ("zero_hadamard", (3, 5, 2, 6), {"layout": "keio", "groups": 2}),
    ("zero_hadamard", (3, 4, 5), {"layout": "ioo"}),
    ("bilinear", (4, 3, 2, 5), {}),
    ("bilinear", (3, 2, 6), {"layout": "oi"}),
    ("bilinear", (2, 4, 2, 3, 3), {"layout": "eoihw", "groups": 2}),
]


@COMMON
@given(st.data(), st.sampled_from(CASES), st.sampled_from(golden.DTYPES), st.booleans())
def test_a_region_is_the_slice_of_the_whole(data, case, dtype, strided):
    scheme, shape, arguments = case
    whole = made(scheme, shape, dtype=dtype, **arguments)
    single = made(scheme, shape, dtype="float64" if dtype == "float64" else "float32", **arguments)
    assert whole.tobytes() == single.astype(whole.dtype).tobytes()
    cuts = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    region, sizes = tuple(slice(a, b) for a, b in cuts), [b - a for a, b in cuts]
    out = None
    if strided:
        out = np.full([2 * n + 1 for n in reversed(sizes)], 7, whole.dtype).T[tuple(slice(1, None, 2) for _ in sizes)]
    part = made(scheme, shape, dtype=dtype, region=region, out=out, **arguments)
    assert np.ascontiguousarray(part).tobytes() == np.ascontiguousarray(whole[region]).tobytes()


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize(("scheme", "shape", "arguments"), CASES)
def test_complex_and_narrow_numbers(scheme, shape, arguments, dtype):
    exact = made(scheme, shape, dtype="float64" if dtype == "complex128" else "float32", **arguments)
    got = made(scheme, shape, dtype=dtype, **arguments)
    assert got.tobytes() == exact.astype(got.dtype).tobytes()


@pytest.mark.parametrize(("scheme", "shape", "arguments"), CASES)
def test_mean_and_variance_are_those_of_the_elements(scheme, shape, arguments):
    params = {k: v for k, v in arguments.items() if k == "gain"}
    wiring = {k: v for k, v in arguments.items() if k != "gain"}
    law, _ = law_and_layout(fi.get_scheme(scheme, **params), shape, **wiring)
    whole = made(scheme, shape, dtype="float64", **arguments)
    assert law.expectation == pytest.approx(whole.mean(), rel=1e-13, abs=1e-16)
    assert law.variance == pytest.approx(whole.var(), rel=1e-13)
    # Of fans alone: a matrix of these sizes.
    if len(shape) == 2 and not wiring:
        assert fi.get_scheme(scheme, **params).law(fi.Fans(*shape)) == law


@pytest.mark.parametrize(("rows", "columns"), [*itertools.product((1, 2, 3, 7, 8, 9, 20), repeat=2)])
def test_the_mean_of_any_corner_of_hadamards_matrix(rows, columns):
    if columns > rows:
        law = fi.get_scheme("zero_hadamard").law(fi.Fans(rows, columns))
        order = math.ceil(math.log2(columns))
        assert law.expectation == pytest.approx(hadamard(32)[:rows, :columns].mean() / 2 ** (order / 2), rel=1e-14)


def test_far_regions_take_no_memory_of_the_whole():
    n = 2**31
    at = n - 7
    got = made("identity", (n, n), region=(slice(at, at + 4), slice(at - 1, at + 6)))
    assert np.array_equal(got, np.eye(4, 7, 1))
    assert not made("identity", (n, n), region=(slice(at, at + 4), slice(0, 6))).any()
    got = made("identity", (2**20, 2**40), groups=2**20, region=(slice(5, 8), slice(3 * 2**20 + 4, 3 * 2**20 + 9)))
    assert np.array_equal(got, np.eye(3, 5, 1))
    got = made("zero_hadamard", (2**29, 2**33), region=(slice(2**28 + 1, 2**28 + 3), slice(2**32 + 1, 2**32 + 4)))
    signs = [[1 - 2 * (bin(i & o).count("1") % 2) for o in range(2**32 + 1, 2**32 + 4)] for i in (2**28 + 1, 2**28 + 2)]
    assert np.array_equal(got, np.float32(2**-16.5) * np.array(signs, np.float32))
    got = made("bilinear", (2**20, 2, 2**30), layout="kio", region=(slice(5, 7), slice(0, 1), slice(2**29, 2**29 + 2)))
    assert np.array_equal(got[:, 0, 0], np.float32(np.array([5.5, 6.5]) / 2**19))


@pytest.mark.parametrize("scheme", ["identity", "dirac", "zero_hadamard", "bilinear"])
def test_nothing_of_every_kind(scheme):
    kernel = (3,) * (scheme in ("dirac", "bilinear"))
    for shape in ((*kernel, 0, 5), (*kernel, 5, 0), (*kernel, 0, 0)):
        assert made(scheme, shape).shape == shape
    assert made(scheme, (*kernel, 4, 5), region=(*(slice(0, 0),) * len(kernel), slice(1, 1), slice(0, 5))).size == 0
    law = fi.get_scheme(scheme).law(fi.Fans(0, 0))
    assert (law.variance, law.expectation) in {(0, 0), (1, 0), (0, 1)}


REFUSED = [
    ("identity", (5,), {}, "argument 'shape' must have at least 2 dimensions for a scheme of whole matrices, got (5,)"),
    ("identity", (3, 3, 5, 4), {"layout": "hwio"},
     "argument 'layout' must have no axes of space for identity (that of a convolution is dirac), "
     "got 'hwio' for shape (3, 3, 5, 4)"),
    ("identity", (5, 4), {"gain": np.inf}, "argument 'gain' must be a finite number, got inf"),
    ("identity", (5, 4), {"gain": 1e5, "dtype": "float16"},
     "argument 'gain' must be within ±6.55e+04, the range of float16, got 100000.0"),
    ("dirac", (5, 4), {"layout": "OI"},
     "argument 'layout' must have axes of space for dirac, which is a convolution's, got ((1,), (0,)) "
     "for shape (5, 4)"),
    ("dirac", (5, 4, 3), {"layout": "oi", "groups": 2},
     "argument 'groups' must divide the 5 output channels of shape (5, 4, 3), got 2"),
    ("dirac", (5, 4, 3), {"layout": "eio"},
     "argument 'layout' must have axes of space for dirac, which is a convolution's, got 'eio' for shape (5, 4, 3)"),
    ("bilinear", (5, 4), {}, "argument 'layout' must have axes of space for bilinear, which is a convolution's, "
     "got ((0,), (1,)) for shape (5, 4)"),
    ("zero_hadamard", 5, {}, "argument 'shape' must have at least 2 dimensions"),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "shape", "arguments", "message"), REFUSED)
def test_refused_by_name_before_anything_is_written(scheme, shape, arguments, message):
    out = np.full(shape, 7, arguments.get("dtype", "float32"))
    with pytest.raises(ValueError, match=r"^argument") as refused:
        made(scheme, shape, out=out, **arguments)
    assert str(refused.value).startswith(message)
    assert (out == 7).all()


def test_a_probe_takes_matrices_and_refuses_what_needs_a_kernel():
    result = fi.probe(scheme="identity", activation="linear", depth=3, width=20, batch=10)
    np.testing.assert_allclose(result.std, result.std[0], rtol=1e-6)
    assert result.weight_std[0] == pytest.approx(math.sqrt(1 / 20 - 1 / 400), rel=1e-6)
    assert fi.probe(scheme="dirac", conv=3, image=5, depth=2, width=4, batch=3, activation="linear").std.shape == (2,)
    with pytest.raises(ValueError, match=r"^argument 'layout' must have axes of space for dirac"):
        fi.probe(scheme="dirac", depth=2, width=4, batch=3)
