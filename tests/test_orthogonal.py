"""Orthogonal weights: against reflections one by one, the exact laws of Haar's measure, and both frameworks' shapes."""

import itertools
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
import twin
from hypothesis import given, settings
from hypothesis import strategies as st
from optional import library
from scipy import stats

import fastinit as fi
from fastinit.weights import orthogonal
from fastinit.weights.reflections import orthonormal

EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
COMMON = settings(max_examples=120, deadline=None, derandomize=True, database=None)


def drawn(shape, scheme="orthogonal", **arguments):
    return fi.init(scheme, shape, **{"seed": 7, "name": "w", **arguments})


def error(q):
    """How far the shorter side's vectors of each matrix of a stack are from orthonormal."""
    q = np.asarray(q, np.float64)
    q = q if q.shape[-2] >= q.shape[-1] else np.swapaxes(q, -1, -2)
    return np.abs(np.swapaxes(q, -1, -2) @ q - np.eye(q.shape[-1])).max()


# --- what it is made of ---


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize(
    "shape", [(1, 1), (5, 1), (1, 7), (2, 2), (40, 30), (128, 128), (129, 129), (300, 131), (131, 300), (257, 256)]
)
def test_equals_the_twins_reflections_one_by_one(shape, dtype):
    normals = fi.normal(shape, seed=7, name="w", dtype=dtype).astype(np.float64)
    expected = twin.orthogonal(normals) if shape[0] >= shape[1] else twin.orthogonal(normals.T).T
    # A reflection is rounded to some eps, and no later one enlarges that: errors of a few hundred add up by chance.
    np.testing.assert_allclose(drawn(shape, dtype=dtype), expected, rtol=0, atol=20 * EPS[dtype])


def test_the_twin_is_the_q_of_a_qr():
    """Of the matrix that the twin's reflections lead back to: R has the lengths on its diagonal."""
    rng = np.random.default_rng(1)
    q = twin.orthogonal(rng.standard_normal((9, 6)))
    r = np.triu(rng.standard_normal((6, 6)), 1) + np.diag(rng.uniform(1, 2, 6))
    found, upper = np.linalg.qr(q @ r)
    np.testing.assert_allclose(found * np.sign(np.diag(upper)), q, rtol=0, atol=1e-13)


def test_only_the_lower_trapezoid_counts():
    for shape in ((20, 9), (300, 200)):
        a = np.random.default_rng(2).standard_normal(shape)
        b = np.where(np.tri(*shape, dtype=bool), a, np.nan)
        orthonormal(a)
        orthonormal(b)
        assert np.array_equal(a, b)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("shape", [(700, 700), (1500, 300), (300, 1500)])
def test_orthogonal_to_rounding(shape, dtype):
    """NumPy's own QR, in float64, comes to 4 to 8 eps, LAPACK's in PyTorch to 6 to 9."""
    assert error(drawn(shape, dtype=dtype)) < 10 * EPS[dtype]


def test_zeros_have_a_direction():
    for shape in ((1, 1), (4, 3), (200, 150)):
        zeros = np.zeros(shape)
        orthonormal(zeros)
        assert error(zeros) < 1e-14
        assert (np.abs(zeros).max(axis=0) == 1).all()


# --- Haar ---

MANY, N = 20_000, 5


@pytest.fixture(scope="module")
def matrices():
    """A stack of independent square matrices."""
    return drawn((MANY, N, N), layout="bio", dtype="float64")


def cdf(rows):
    """Of an element of a column that is uniform on the sphere of so many dimensions: its square has a beta law."""
    return lambda q: 0.5 + 0.5 * np.sign(q) * stats.beta.cdf(q * q, 0.5, (rows - 1) / 2)


def within(values, expected, errors=5.0):
    return abs(values.mean() - expected) < errors * values.std() / len(values) ** 0.5


def test_each_element_has_its_exact_law(matrices):
    """The sign fix shows at [0, 0] and at the last element; without it those have another law."""
    for i, j in itertools.product(range(N), repeat=2):
        assert stats.kstest(matrices[:, i, j], cdf(N)).pvalue > 1e-4, (i, j)


def test_traces_and_determinants(matrices):
    """Diaconis and Shahshahani 1994: moments of the trace are the normal's, up to order 2n."""
    trace = np.trace(matrices, axis1=1, axis2=2)
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3), (6, 15)):
        assert within(trace**power, moment), power
    square = np.trace(matrices @ matrices, axis1=1, axis2=2)
    assert within(square, 1)
    assert within((square - 1) ** 2, 2)
    determinant = np.linalg.det(matrices)
    np.testing.assert_allclose(np.abs(determinant), 1, rtol=1e-13)
    assert within(determinant, 0)
    assert within(determinant * trace, 0)


def test_products_of_elements(matrices):
    """Weingarten's function of the orthogonal group, order 4 (Collins and Sniady 2006)."""
    a, b, c, d = matrices[:, 0, 0], matrices[:, 0, 4], matrices[:, 4, 0], matrices[:, 4, 4]
    assert within(a**4, 3 / (N * (N + 2)))
    assert within(a**2 * b**2, 1 / (N * (N + 2)))
    assert within(a**2 * c**2, 1 / (N * (N + 2)))
    assert within(a**2 * d**2, (N + 1) / (N * (N - 1) * (N + 2)))
    assert within(a * b * c * d, -1 / (N * (N - 1) * (N + 2)))


def test_matrices_of_a_stack_are_independent(matrices):
    first, second = matrices[::2].reshape(-1, N * N), matrices[1::2].reshape(-1, N * N)
    correlation = N * first.T @ second / len(first)
    assert np.abs(correlation).max() < 5 / len(first) ** 0.5


@pytest.mark.parametrize(("shape", "rows"), [((6000, 7, 3), 7), ((6000, 3, 7), 7), ((6000, 150, 2), 150)])
def test_rectangular_ones_are_uniform_too(shape, rows):
    q = drawn(shape, layout="bio", dtype="float64")
    for i, j in ((0, 0), (0, -1), (-1, 0), (-1, -1), (1, 1)):
        assert stats.kstest(q[:, i, j], cdf(rows)).pvalue > 1e-4, (i, j)
    assert within(q[:, 0, 0] ** 2 * q[:, 1, 1] ** 2, (rows + 1) / (rows * (rows - 1) * (rows + 2)))


def test_beyond_one_block():
    """Elements of large matrices, of every pair of blocks."""
    n, blocks = 300, (slice(0, 128), slice(128, 256), slice(256, 300))
    q = drawn((6, n, n), layout="bio", dtype="float64")
    for i, j in itertools.product(blocks, repeat=2):
        assert stats.kstest(q[:, i, j].ravel()[::7], cdf(n)).pvalue > 1e-4


# --- what the matrices are ---


def as_matrices(w, layout, groups=1, transposed=False):
    """(matrix, inputs·taps, outputs) of a weight, written anew: axes by letters."""
    batch, inputs, outputs = ([a for a, c in enumerate(layout) if c in letters] for letters in ("be", "i", "o"))
    space = [a for a in range(w.ndim) if a not in (*batch, *inputs, *outputs)]
    outer = "o" if "o" in (layout.strip("be")[0], layout.strip("be")[-1]) else "i"
    found = []
    for index in np.ndindex(*(w.shape[a] for a in batch)):
        one = w[tuple(index[batch.index(a)] if a in batch else slice(None) for a in range(w.ndim))]
        letters = layout.replace("b", "").replace("e", "")
        for part in np.split(one, groups, axis=letters.index(outer)):
            i, o = letters.index("i"), letters.index("o")
            taps = [a for a in range(one.ndim) if a not in (i, o)]
            order = (i, o, *taps) if transposed else (i, *taps, o)
            rows = part.shape[i] if transposed else part.size // part.shape[o]
            found.append(part.transpose(order).reshape(rows, -1))
    assert len(space) == w.ndim - len(batch) - 2
    return np.array(found)


WEIGHTS = [
    ((40, 30), "io", {}),
    ((30, 40), "oi", {}),
    ((3, 3, 8, 16), "hwio", {}),
    ((3, 3, 2, 50), "hwio", {}),
    ((16, 8, 3, 3), "oihw", {}),
    ((16, 3, 3, 8), "ohwi", {}),
    ((8, 3, 3, 16), "ihwo", {}),
    ((8, 16, 3, 3), "iohw", {}),
    ((3, 8, 3, 16), "hiwo", {}),
    ((8, 16, 3, 3), "iohw", {"transposed": True}),
    ((8, 16, 2, 2), "iohw", {"transposed": True, "stride": 2}),
    ((3, 3, 16, 8), "hwoi", {"transposed": True}),
    ((3, 3, 8, 16), "hwio", {"transposed": True}),
    ((4, 20, 30), "eio", {}),
    ((20, 4, 30), "ieo", {}),
    ((20, 30, 4), "ioe", {}),
    ((2, 20, 3, 30), "eibo", {}),
    ((20, 90), "io", {"groups": 3}),
    ((90, 20), "oi", {"groups": 3}),
    ((4, 90, 20), "eoi", {"groups": 3}),
    ((16, 2, 3, 3), "oihw", {"groups": 4, "stride": 2}),
    ((3, 3, 2, 16), "hwio", {"groups": 4}),
    ((16, 2, 3, 3), "iohw", {"groups": 4, "transposed": True}),
    ((16, 3, 3, 2), "ihwo", {"groups": 2}),
    ((3, 3, 2, 16), "hwoi", {"groups": 4, "transposed": True}),
    ((3, 3, 2, 16), "hwoi", {"groups": 4}),
    ((3, 3, 2, 16), "hwio", {"groups": 4, "transposed": True}),
    ((16, 2, 3, 3), "oihw", {"groups": 4, "transposed": True}),
    ((6, 1, 5, 5), "oihw", {"groups": 6}),
]


@pytest.mark.parametrize(("shape", "layout", "wiring"), WEIGHTS)
def test_every_matrix_of_every_layout_is_orthogonal(shape, layout, wiring):
    for gain in (1.0, 2.5):
        w = drawn(shape, layout=layout, dtype="float64", gain=gain, **wiring)
        found = as_matrices(w, layout, wiring.get("groups", 1), wiring.get("transposed", False))
        assert error(found / gain) < 1e-14
        law = fi.get_scheme("orthogonal", gain=gain).rule
        variance = fi.weights.initialize.law_and_layout(
            fi.get_scheme("orthogonal", gain=gain), shape, layout=layout, **wiring
        )[0].variance
        assert law.law(fi.Fans(3, 7)).variance == gain**2 / 7
        assert np.square(w).mean() == pytest.approx(variance, rel=1e-13)


def test_packed_axes_and_none():
    w = drawn((4, 5, 6), layout="iio", dtype="float64").reshape(20, 6)
    assert error(w) < 1e-14
    assert error(drawn((6, 4, 5), layout="ioo", dtype="float64").reshape(6, 20)) < 1e-14
    assert error(drawn((6, 4, 6), layout="ioo", groups=3, dtype="float64").reshape(6, 3, 8).transpose(1, 0, 2)) < 1e-14
    assert error(drawn((3, 3, 5, 2), layout="hwbo", dtype="float64").transpose(2, 0, 1, 3).reshape(5, 9, 2)) < 1e-14
    assert np.linalg.norm(drawn(50, layout="i", dtype="float64")) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_keeps_lengths(transposed):
    """Patches that do not overlap: more outputs than there are in a patch hold all of it."""
    torch = library("torch")
    shape, kind = ((2, 40, 4, 4), torch.nn.functional.conv_transpose2d) if transposed else (
        (40, 2, 4, 4), torch.nn.functional.conv2d)  # fmt: skip
    layout = "iohw" if transposed else "oihw"
    w = torch.from_numpy(drawn(shape, layout=layout, transposed=transposed, stride=4, dtype="float64"))
    x = torch.randn(3, 2, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x[:, :, :4, :4] if transposed else x
    assert torch.linalg.norm(kind(x, w, stride=4)) == pytest.approx(float(torch.linalg.norm(x)), rel=1e-13)


@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (16, 8, 3, 3), (100, 8, 3, 3)])
def test_orthogonal_as_torchs_and_jaxs_are(shape):
    torch, jax = library("torch"), library("jax")
    theirs = torch.nn.init.orthogonal_(torch.empty(shape), gain=1.5).numpy()
    ours = drawn(shape, layout="oi", gain=1.5)
    for w in (theirs, ours):
        assert error(w.reshape(shape[0], -1) / 1.5) < 2e-6
    shape = (*shape[2:], shape[1], shape[0])
    theirs = np.asarray(jax.nn.initializers.orthogonal(1.5)(jax.random.key(0), shape, "float32"))
    ours = drawn(shape, gain=1.5)
    for w in (theirs, ours):
        assert error(w.reshape(-1, shape[-1]) / 1.5) < 2e-6


# --- delta-orthogonal ---


@pytest.mark.parametrize("shape", [(4, 8, 8), (3, 4, 3, 7), (3, 3, 3, 4, 4)])
def test_delta_orthogonal_has_jaxs_structure(shape):
    jax = library("jax")
    theirs = np.asarray(jax.nn.initializers.delta_orthogonal(2.0)(jax.random.key(0), shape, "float32"))
    ours = drawn(shape, "delta_orthogonal", gain=2.0)
    assert np.array_equal(ours != 0, theirs != 0)
    for w in (theirs, ours):
        matrix = w[w.any(axis=(-1, -2))]
        assert matrix.shape == (1, *shape[-2:])
        assert error(matrix[0] / 2) < 1e-6
    # The same for any layout, and made of the normals that stand there.
    torchs = drawn((*shape[:-3:-1], *shape[:-2]), "delta_orthogonal", gain=2.0, layout="oi", dtype="float64")
    middle = torchs[(..., *((n - 1) // 2 for n in shape[:-2]))]
    assert error(middle / 2) < 1e-14
    assert np.count_nonzero(torchs) == middle.size
    normals = fi.normal(torchs.shape, seed=7, name="w", dtype="float64")[(..., *((n - 1) // 2 for n in shape[:-2]))]
    np.testing.assert_allclose(middle, 2 * twin.orthogonal(normals), rtol=0, atol=1e-14)
    assert np.square(torchs).mean() == pytest.approx(4 / (shape[-1] * np.prod(shape[:-2])), rel=1e-14)


def test_delta_orthogonal_in_groups_and_stacks():
    w = drawn((3, 16, 2, 3, 5), "delta_orthogonal", layout="eoihw", groups=4, dtype="float64")
    assert error(as_matrices(w[..., 1:2, 2:3], "eoihw", 4)) < 1e-14
    assert np.count_nonzero(w) == 3 * 16 * 2


# --- regions, types, memory ---


@st.composite
def weights_and_regions(draw):
    shape, layout, wiring = draw(st.sampled_from(WEIGHTS))
    scheme = draw(st.sampled_from(("orthogonal", "delta_orthogonal")))
    if scheme == "delta_orthogonal":
        shape, layout, wiring = draw(st.sampled_from([w for w in WEIGHTS if {*"hw"} <= {*w[1]}]))
        inputs, outputs = (shape[layout.index(c)] for c in "io")
        if inputs >= outputs:
            scheme = "orthogonal"
    cuts = [sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    return scheme, shape, {"layout": layout, **wiring}, tuple(slice(a, b) for a, b in cuts)


@COMMON
@given(weights_and_regions(), st.sampled_from(("float32", "float64", "float16", "bfloat16")), st.booleans())
def test_a_region_is_the_slice_of_the_whole(case, dtype, strided):
    scheme, shape, arguments, region = case
    whole = drawn(shape, scheme, dtype=dtype, **arguments)
    out = None
    if strided:
        sizes = [s.stop - s.start for s in region]
        out = np.empty([2 * n + 1 for n in reversed(sizes)], whole.dtype).T[tuple(slice(1, None, 2) for _ in sizes)]
    part = drawn(shape, scheme, dtype=dtype, region=region, out=out, **arguments)
    assert part is out or out is None
    assert np.ascontiguousarray(part).tobytes() == np.ascontiguousarray(whole[region]).tobytes()


@pytest.mark.parametrize("layout", ["bio", "boi", "ibo"])
@pytest.mark.parametrize("sides", [(3, 3), (1, 4), (6, 1), (200, 140)])
def test_any_part_of_a_stack_has_the_same_bits(layout, sides):
    """However many matrices are made together."""
    many = 300 if max(sides) < 10 else 5
    shape = tuple({"b": many, "i": sides[0], "o": sides[1]}[c] for c in layout)
    whole = drawn(shape, layout=layout)
    axis = layout.index("b")
    for start, stop in ((0, 1), (many - 1, many), (1, 4), (many // 3, many)):
        region = tuple(slice(start, stop) if a == axis else slice(None) for a in range(3))
        assert drawn(shape, layout=layout, region=region).tobytes() == whole[region].tobytes()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_are_float32_rounded_once(dtype):
    single = drawn((150, 90), gain=0.3)
    half = drawn((150, 90), gain=0.3, dtype=dtype)
    assert np.array_equal(half.view(np.uint16), single.astype(half.dtype).view(np.uint16))
    assert np.array_equal(single, drawn((150, 90)) * np.float32(0.3))


def test_a_region_makes_only_the_matrices_that_it_meets():
    shape, region = (2**30, 40, 30), (slice(2**29 + 5, 2**29 + 7), slice(3, 9), slice(0, 30))
    part = drawn(shape, layout="bio", region=region, dtype="float64")
    for k in range(2):
        at = slice(2**29 + 5 + k, 2**29 + 6 + k), slice(0, 40), slice(0, 30)
        normals = fi.normal(shape, seed=7, name="w", dtype="float64", region=at)[0]
        np.testing.assert_allclose(part[k], twin.orthogonal(normals)[3:9], rtol=0, atol=1e-14)
    # Groups are matrices, too.
    shape, region = (20, 2**30), (slice(2, 5), slice(2**20 * 7 + 3, 2**20 * 7 + 8))
    wide = drawn(shape, groups=2**26, region=region, dtype="float64")
    at = slice(0, 20), slice(2**20 * 7, 2**20 * 7 + 16)
    normals = fi.normal(shape, seed=7, name="w", dtype="float64", region=at)
    np.testing.assert_allclose(wide, twin.orthogonal(normals)[2:5, 3:8], rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", [(3000, 2000), (2000, 3000)])
def test_takes_little_memory_beside_the_matrix(shape):
    drawn((5, 4))
    out = np.empty(shape, np.float32)
    tracemalloc.start()
    drawn(shape, out=out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A block's vectors, their product with the rest, and the panel: half of the matrix.
    assert peak < 4 * (5 * 128 * 3000 + 2**20)


@pytest.mark.parametrize(("shape", "layout"), [((700, 500), "io"), ((6, 300, 200), "eio")])
def test_is_added_a_matrix_at_a_time(shape, layout, monkeypatch):
    made = []
    monkeypatch.setattr(orthogonal, "orthonormal", lambda stack: made.append(stack.shape) or orthonormal(stack))
    out = fi.normal(shape, seed=1)
    expected = out + np.float32(-0.5) * drawn(shape, layout=layout).astype(np.float64)
    made.clear()
    drawn(shape, layout=layout, out=out, add=-0.5)
    assert np.array_equal(out, expected.astype(np.float32))
    assert sum(stack[0] for stack in made) == (6 if layout == "eio" else 1)


def test_a_stack_is_rounded_part_by_part():
    """Of 2^20 elements, in float32, beside 4 MiB of bfloat16."""
    shape = (1024, 128, 16)
    drawn((2, 5, 4), layout="eio", dtype="bfloat16")
    out = np.empty(shape, ml_dtypes.bfloat16)
    tracemalloc.start()
    drawn(shape, layout="eio", out=out, dtype="bfloat16")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The matrices, their reflections, and products of those.
    assert peak < 4 * (4 * 2**20)


def test_the_largest_gain_stays_finite():
    """Rounding carries elements beyond 1: about one in 40000 of 2 x 2 matrices."""
    shape = (100_000, 2, 2)
    assert np.abs(drawn(shape, layout="bio")).max() > 1
    assert np.isfinite(drawn(shape, layout="bio", gain=float(np.finfo(np.float32).max))).all()


def test_small_ends():
    for shape in ((0, 5), (5, 0), (0, 0)):
        assert drawn(shape).shape == shape
    assert drawn((3, 3, 0, 4), "delta_orthogonal").shape == (3, 3, 0, 4)
    assert drawn((0, 3, 4, 4), "delta_orthogonal").shape == (0, 3, 4, 4)
    assert {float(drawn((1, 1), seed=seed)[0, 0]) for seed in range(20)} == {-1.0, 1.0}
    assert not drawn((5, 4), gain=0).any()
    assert drawn((8, 8), region=(slice(3, 3), slice(0, 8))).shape == (0, 8)
    with np.errstate(all="raise"):
        drawn((300, 200), gain=1e-300, dtype="float64")
        drawn((300, 200), gain=1e-44)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_probe_of_orthogonal_layers_keeps_a_linear_signal(threads):
    result = fi.probe(scheme="orthogonal", activation="linear", depth=3, width=60, batch=40, seed=threads)
    np.testing.assert_allclose(result.preactivation_std, result.preactivation_std[0], rtol=0.02)
    np.testing.assert_allclose(result.q, result.q[0], rtol=1e-5)
    np.testing.assert_allclose(result.weight_std, 60**-0.5, rtol=0.01)
    conv = fi.probe(scheme="orthogonal", activation="linear", depth=2, width=9, batch=4, conv=3, image=6)
    np.testing.assert_allclose(conv.weight_std, 81**-0.5, rtol=0.1)


def test_advice_weighs_orthogonal_weights():
    advice = fi.recommend(
        activation="tanh", depth=4, width=40, batch=40, candidates=["orthogonal", ("normal", {"std": 1.0})]
    )
    assert advice.scheme.name == "orthogonal"


# --- refusals ---

REFUSED = [
    ("orthogonal", (5,), {},
     "argument 'shape' must have at least 2 dimensions for a scheme of whole matrices, got (5,)"),
    ("orthogonal", (5, 4), {"gain": -1}, "argument 'gain' must be a finite number >= 0, got -1"),
    ("orthogonal", (5, 4), {"gain": np.nan}, "argument 'gain' must be a finite number >= 0, got nan"),
    ("orthogonal", (5, 4), {"gain": 7e4, "dtype": "float16"},
     "argument 'gain' must be within ±6.55e+04, the range of float16, got 70000.0"),
    ("orthogonal", (5, 4), {"groups": 3}, "argument 'groups' must divide the 4 output channels of shape (5, 4), got 3"),
    ("orthogonal", (5, 4, 3), {"layout": "oiw", "stride": (1, 2)},
     "argument 'stride' must be 1 or one integer for each of the 1 spatial axes of shape (5, 4, 3), got (1, 2)"),
    ("orthogonal", (5, 4, 3, 3), {"transposed": True},
     "argument 'layout' must name each axis of a transposed convolution"),
    ("delta_orthogonal", (5, 4), {"layout": "oi"},
     "argument 'layout' must have axes of space for delta_orthogonal, which is a convolution's, got "
     "((1,), (0,)) for shape (5, 4)"),
    ("delta_orthogonal", (3, 5, 4), {},
     "argument 'layout' must give delta_orthogonal at most as many inputs as outputs, got 5 and 4"),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "shape", "arguments", "message"), REFUSED)
def test_refused_by_name_before_anything_is_written(scheme, shape, arguments, message):
    out = np.full(shape, 7, arguments.get("dtype", "float32"))
    with pytest.raises(ValueError, match=r"^argument") as refused:
        drawn(shape, scheme, out=out, **arguments)
    assert str(refused.value).startswith(message)
    assert (out == 7).all()


@pytest.mark.parametrize("fans", [fi.Fans(2.5, 3), fi.Fans(3, np.nan), fi.Fans(-1, 3), fi.Fans("a", 3)])
def test_sizes_of_a_matrix_are_integers(fans):
    with pytest.raises((ValueError, TypeError), match=r"^argument 'fan_(in|out)' must be an integer >= 0, got "):
        fi.get_scheme("orthogonal").law(fans)


def test_fans_that_are_given_change_nothing():
    assert drawn((5, 4), fan_in=3, fan_out=9).tobytes() == drawn((5, 4)).tobytes()
