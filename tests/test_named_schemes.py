"""Schemes by formula: each law's very numbers against the formula written down again, and against the frameworks."""

# ruff: noqa: E501 (a refusal is a row, however long)

import math
from fractions import Fraction

import numpy as np
import pytest
from optional import library
from scipy import stats

import fastinit as fi

# x @ W of 48 inputs and 80 outputs; a convolution of 16 to 24 channels, 3 x 5.
MATRIX, KERNEL = fi.fans((48, 80)), fi.fans((3, 5, 16, 24))
IN, OUT = 48, 80
SQRT = math.sqrt

# scheme, parameters -> (kind, std or bound), of the matrix.
FORMULAS = [
    ("variance_scaling", {"mode": "fan_geo_avg", "distribution": "normal"}, "N", (IN * OUT) ** -0.25),
    ("xavier_uniform", {"mode": "fan_geo_avg", "gain": 2.0}, "U", 2 * SQRT(3) * (IN * OUT) ** -0.25),
    ("torch_default", {}, "U", 1 / SQRT(IN)),
    ("torch_default", {"gain": 0.5}, "U", 0.5 / SQRT(IN)),
    ("mxnet_xavier", {}, "U", SQRT(3 / 64)),
    ("mxnet_xavier", {"magnitude": 2.34, "factor_type": "in"}, "U", SQRT(2.34 / IN)),
    ("mxnet_xavier", {"rnd_type": "gaussian"}, "N", SQRT(3 / 64)),
    ("mxnet_xavier", {"rnd_type": "gaussian", "factor_type": "out", "magnitude": 1}, "N", SQRT(1 / OUT)),
    ("msra_prelu", {}, "N", SQRT(2 / (1 + 0.0625) / 64)),
    ("msra_prelu", {"slope": 0, "factor_type": "in"}, "N", SQRT(2 / IN)),
    ("caffe_gaussian", {"std": 0.01}, "N", 0.01),
    ("siren", {"first": True}, "U", 1 / IN),
    ("siren", {}, "U", SQRT(6 / IN) / 30),
    ("siren", {"omega": 1.5}, "U", SQRT(6 / IN) / 1.5),
    ("spectral", {}, "N", 1 / SQRT(IN)),
    ("spectral", {"gain": 3.0}, "N", 3 / SQRT(IN)),
    ("fixup", {"layers": 8}, "N", SQRT(2 / OUT) * 8**-0.5),
    ("fixup", {"layers": 16, "branch": 3}, "N", SQRT(2 / OUT) * 16**-0.25),
    ("small_init", {}, "N", SQRT(2 / (5 * IN))),
    ("small_init", {"dim": 512, "gain": 2.0}, "N", 2 * SQRT(2 / (5 * 512))),
    ("wang_init", {"layers": 12}, "N", 2 / 12 / SQRT(IN)),
    ("wang_init", {"layers": 12, "dim": 768}, "N", 2 / 12 / SQRT(768)),
    ("mitchell", {}, "T3", 1 / SQRT(IN)),
    ("mitchell", {"dim": 1024, "layer": 0}, "T3", 1 / SQRT(2 * 1024)),
    ("mitchell", {"layer": 7, "gain": 0.5, "cut": None}, "N", 0.5 / SQRT(IN) / SQRT(2 * 8)),
    ("depth_scaled", {}, "N", 0.02 / SQRT(2)),
    ("depth_scaled", {"layers": 12}, "N", 0.02 / SQRT(24)),
    ("depth_scaled", {"layer": 5, "std": 0.006}, "N", 0.006 / SQRT(12)),
    ("depth_scaled", {"layers": 12, "cut": 3}, "T3", 0.02 / SQRT(24)),
    ("deepnorm", {"layers": 100}, "N", 800**-0.25 / SQRT(64)),
    ("deepnorm", {"layers": 100, "side": "encoder"}, "N", 800**-0.25 / SQRT(64)),
    ("deepnorm", {"layers": 100, "other_layers": 6}, "N", 1200**-0.25 / SQRT(64)),
    ("deepnorm", {"layers": 10, "other_layers": 6, "side": "encoder"}, "N", 0.87 * 60000 ** (-1 / 16) / SQRT(64)),
    ("deepnorm", {"layers": 2, "distribution": "uniform"}, "U", 16**-0.25 * SQRT(3 / 64)),
    ("t_fixup", {"layers": 6}, "U", 54**-0.25 * SQRT(3 / 64)),
    ("t_fixup", {"layers": 6, "side": "encoder"}, "U", 0.67 * 6**-0.25 * SQRT(3 / 64)),
    ("mup", {}, "N", 0.02 * SQRT(256 / IN)),
    ("mup", {"base_width": 12, "std": 0.1, "layers": 8}, "N", 0.1 * 0.5 / 4),
    ("mup", {"part": "output", "base_width": 12}, "N", 0.02 / 4),
    ("mup", {"part": "output", "base_width": 12, "cut": 3.0}, "T3", 0.02 / 4),
    ("mup", {"part": "embedding"}, "N", 0.02),
    ("mup", {"part": "vector", "cut": 3}, "T3", 0.02),
    ("completep", {"base_width": 12}, "N", 0.01),
    ("completep", {"part": "output", "base_width": 12}, "N", 0.005),
    ("completep", {"part": "embedding", "std": 1.0}, "N", 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "params", "kind", "number"), FORMULAS)
def test_formula(scheme, params, kind, number):
    law = fi.get_scheme(scheme, **params).law(MATRIX)
    near = {"rel": 2e-15}
    if kind == "U":
        assert (type(law).__name__, law.low) == ("Uniform", -law.high)
        assert law.high == pytest.approx(number, **near)
    elif kind == "N":
        assert (type(law).__name__, law.mean) == ("Normal", 0.0)
        assert law.std == pytest.approx(number, **near)
    else:
        assert (type(law).__name__, law.mean, law.lower, law.upper) == ("TruncatedNormal", 0.0, -3.0, 3.0)
        assert law.std == pytest.approx(number, **near)
    # And drawn with it, whether the scheme reads fans or not.
    drawn = fi.init(scheme, (48, 80), seed=2, name="w", **params)
    plain = {
        "U": lambda: fi.uniform((48, 80), low=-number, high=number, seed=2, name="w"),
        "N": lambda: fi.normal((48, 80), std=number, seed=2, name="w"),
        "T3": lambda: fi.truncated_normal((48, 80), std=number, lower=-3, upper=3, seed=2, name="w"),
    }[kind]()
    np.testing.assert_allclose(drawn, plain, rtol=2**-22)


def test_fans_of_a_kernel():
    field = 15
    assert (16 * field, 24 * field) == KERNEL
    for scheme, params, number in [
        ("fixup", {"layers": 4}, SQRT(2 / (24 * field)) / 2),
        ("spectral", {}, 1 / SQRT(16 * field)),
        ("small_init", {}, SQRT(0.4 / (16 * field))),
    ]:
        assert fi.get_scheme(scheme, **params).law(KERNEL).std == pytest.approx(number, rel=1e-15)


@pytest.mark.parametrize(("n_in", "n_out"), [(64, 1024), (1024, 64), (7, 7)])
def test_the_spectral_condition(n_in, n_out):
    law = fi.get_scheme("spectral", gain=1.5).law(fi.Fans(n_in, n_out))
    assert law.std == pytest.approx(1.5 / SQRT(n_in) * min(1, SQRT(n_out / n_in)), rel=1e-15)


def test_the_norm_that_the_spectral_condition_is_for():
    # |W| of a Gaussian matrix is about std (sqrt(n_in) + sqrt(n_out)); the condition: of the order of sqrt(n_out/n_in).
    for n_in, n_out in ((100, 1600), (1600, 100)):
        w = fi.init("spectral", (n_in, n_out), seed=1, dtype="float64")
        expected = 1.25 if n_in < n_out else 1.25 * SQRT(n_out / n_in)
        assert np.linalg.norm(w, 2) / (expected * SQRT(max(n_out / n_in, 1))) == pytest.approx(1, rel=0.03)


# --- PyTorch ---


@pytest.fixture
def asked(monkeypatch):
    """What PyTorch's layers and functions ask its generators for."""
    torch = library("torch")
    found = []
    for name in ("uniform_", "normal_"):

        def draw(tensor, a, b, *, generator=None, name=name):
            found.append((name, tuple(tensor.shape), a, b))
            return tensor

        monkeypatch.setattr(torch.Tensor, name, draw)
    return torch, found


def test_torch_default_is_what_its_layers_ask_for(asked):
    torch, found = asked
    torch.nn.Linear(48, 80)
    torch.nn.Conv2d(16, 24, (3, 5), groups=4)
    weights = [call for call in found if len(call[1]) > 1]
    for (_, shape, low, high), groups in zip(weights, (1, 4), strict=True):
        law = fi.get_scheme("torch_default").law(fi.fans(shape, layout="oi", groups=groups))
        assert (law.low, law.high) == pytest.approx((low, high), rel=1e-15)
    # And the biases: the fan_in of their weights.
    for (_, shape, _, high), fan_in in zip([c for c in found if len(c[1]) == 1], (48, 60), strict=True):
        drawn = fi.init("torch_default", shape, fan_in=fan_in, seed=0)
        assert drawn.tobytes() == fi.uniform(shape, low=-high, high=high, seed=0).tobytes()


@pytest.mark.parametrize(
    "numbers",
    [{}, {"std": 0.02}, {"mean": 0.5, "std": 0.3, "a": 0.1, "b": 0.9}, {"mean": 1.0, "std": 2.0, "a": 2.0, "b": 5.0}],
)
def test_trunc_normal_is_that_of_torch_and_scipy(numbers):
    torch = library("torch")
    mean, std, a, b = ({"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0} | numbers).values()
    ours = fi.init("trunc_normal", (100_000,), seed=3, dtype="float64", **numbers)
    law = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    assert stats.kstest(ours, law.cdf).pvalue > 1e-3
    assert a <= ours.min()
    assert ours.max() <= b
    found = fi.get_scheme("trunc_normal", **numbers).law(MATRIX)
    assert (found.expectation, found.variance) == pytest.approx((law.mean(), law.var()), rel=1e-9, abs=1e-12)
    theirs = torch.nn.init.trunc_normal_(torch.empty(100_000, dtype=torch.float64), **numbers, generator=seeded(torch))
    assert stats.ks_2samp(ours, theirs.numpy()).pvalue > 1e-3


def seeded(torch):
    generator = torch.Generator()
    generator.manual_seed(5)
    return generator


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_absolute_bounds_hold_in_every_dtype(dtype):
    # Bounds that are no numbers of the types, and that (a - mean)/std · std + mean misses.
    rng = np.random.default_rng(0)
    for _ in range(50):
        mean, std, a = rng.normal(), rng.uniform(0.1, 0.4), rng.normal()
        b = a + rng.uniform(0.5, 1.0)
        law = fi.get_scheme("trunc_normal", mean=mean, std=std, a=a, b=b).law(MATRIX)
        reached = [Fraction(mean) + Fraction(std) * Fraction(bound) for bound in (law.lower, law.upper)]
        assert reached[0] >= a
        assert reached[1] <= b
        w = fi.init("trunc_normal", 3000, mean=mean, std=std, a=a, b=b, seed=1, dtype=dtype).astype(float)
        assert a <= w.min()
        assert w.max() <= b


def test_infinite_bounds_are_none():
    plain = fi.truncated_normal(1000, std=0.5, lower=-math.inf, upper=1.0, seed=1)
    np.testing.assert_array_equal(fi.init("trunc_normal", 1000, std=0.5, a=-math.inf, b=0.5, seed=1), plain)


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.25, 1 / 3, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("rows", [1, 9, 30])
def test_sparsity_counts_as_torch_does(sparsity, rows):
    torch = library("torch")
    theirs = torch.nn.init.sparse_(torch.empty(rows, 5, dtype=torch.float64), sparsity)
    # Its columns: neurons of x @ W, and inputs of PyTorch's own weights.
    ours = fi.init("sparse", (rows, 5), sparsity=sparsity, std=0.01, seed=0)
    counts = (ours == 0).sum(0)
    assert np.all(counts == math.ceil(sparsity * rows))
    np.testing.assert_array_equal(counts, (theirs == 0).sum(0).numpy())
    by_row = fi.init("sparse", (5, rows), sparsity=sparsity, layout="oi", seed=0)
    assert np.all((by_row == 0).sum(1) == math.ceil(sparsity * rows))


@pytest.mark.parametrize(("density", "fan_in"), [(0.1, 30), (0.1, 9), (0.29, 100), (0.57, 100), (1.0, 7), (0.0, 7)])
def test_density_counts_as_lasagne_does(density, fan_in):
    w = fi.init("sparse", (fan_in, 40), density=density, seed=0)
    kept = int(density * fan_in)
    assert np.all((w != 0).sum(0) == kept)
    law = fi.get_scheme("sparse", density=density).law(fi.Fans(fan_in, 40))
    assert law.std == 1 / SQRT(max(kept, 1))
    # The same connections and values as the same number of them.
    np.testing.assert_array_equal(w, fi.init("sparse", (fan_in, 40), nonzeros=kept, seed=0))


# --- JAX ---


def test_fan_geo_avg_is_jaxs():
    jax = library("jax")
    key, shape = jax.random.key(0), (48, 80)
    initializer = jax.nn.initializers.variance_scaling(2.0, "fan_geo_avg", "normal")
    std = np.median(np.asarray(initializer(key, shape)) / np.asarray(jax.random.normal(key, shape)))
    law = fi.get_scheme("variance_scaling", scale=2.0, mode="fan_geo_avg", distribution="normal").law(MATRIX)
    assert law.std == pytest.approx(float(std), rel=1e-6)


def test_flax_embeddings_are_lecun_by_their_dimension():
    jax, linear = library("jax"), library("flax.linen.linear")
    key, shape = jax.random.key(0), (50, 16)
    std = np.median(np.asarray(linear.default_embed_init(key, shape)) / np.asarray(jax.random.normal(key, shape)))
    law = fi.get_scheme("lecun_normal").law(fi.fans(shape, layout="oi"))
    assert law.std == pytest.approx(float(std), rel=1e-6)


# --- refusals ---

REFUSED = {
    "two of sparse": ("sparse", {"sparsity": 0.5, "density": 0.5}, r"'density' must be left out beside 'sparsity', got 0\.5"),
    "ten and a share": ("sparse", {"nonzeros": 10, "sparsity": 0.5}, r"'sparsity' must be left out beside 'nonzeros', got 0\.5"),
    "sparsity beyond 1": ("sparse", {"sparsity": 1.5}, r"'sparsity' must be a finite number in \[0, 1\], got 1\.5"),
    "density below 0": ("sparse", {"density": -0.1}, r"'density' must be a finite number in \[0, 1\], got -0\.1"),
    "sparse beyond outputs": ("caffe_gaussian", {"sparse": 81}, r"'sparse' must be at most the 80 outputs, got 81"),
    "negative sparse": ("caffe_gaussian", {"sparse": -1}, r"'sparse' must be an integer >= 0, got -1"),
    "bounds exchanged": ("trunc_normal", {"a": 1.0, "b": -1.0}, r"'b' must be > a = 1\.0, got -1\.0"),
    "bound NaN": ("trunc_normal", {"a": math.nan}, r"'a' must be a finite number, got nan"),
    "std 0": ("trunc_normal", {"std": 0.0}, r"'std' must be a finite number > 0, got 0\.0"),
    "bounds in one": ("trunc_normal", {"std": 1e300, "a": 0.0, "b": 5e-324}, r"'std' must leave room between a = 0\.0 and b = 5e-324, got 1e\+300"),
    "factor": ("mxnet_xavier", {"factor_type": "fan_in"}, r"'factor_type' must be one of avg, in, out, got 'fan_in'.*"),
    "rnd": ("mxnet_xavier", {"rnd_type": "normal"}, r"'rnd_type' must be one of gaussian, uniform, got 'normal'.*"),
    "magnitude": ("mxnet_xavier", {"magnitude": -3}, r"'magnitude' must be a finite number >= 0, got -3"),
    "omega": ("siren", {"omega": 0}, r"'omega' must be a finite number > 0, got 0"),
    "first": ("siren", {"first": 1}, r"'first' must be True or False, got 1"),
    "dim": ("small_init", {"dim": 0}, r"'dim' must be an integer >= 1, got 0"),
    "layers": ("wang_init", {"layers": 0}, r"'layers' must be an integer >= 1, got 0"),
    "many layers": ("wang_init", {"layers": 10**400}, r"'layers' must be an integer <= \d+, got an integer of .* bits"),
    "both depths": ("depth_scaled", {"layers": 3, "layer": 1}, r"'layer' must be left out beside 'layers', got 1"),
    "layer": ("depth_scaled", {"layer": -1}, r"'layer' must be an integer >= 0, got -1"),
    "cut": ("mitchell", {"cut": 0.0}, r"'cut' must be a finite number > 0, got 0\.0"),
    "side": ("deepnorm", {"side": "both"}, r"'side' must be one of decoder, encoder, got 'both'"),
    "branch": ("fixup", {"branch": 1}, r"'branch' must be an integer >= 2, got 1"),
    "part": ("mup", {"part": "input"}, r"'part' must be one of embedding, hidden, output, vector, got 'input'.*"),
    "base_width": ("mup", {"base_width": 0}, r"'base_width' must be an integer >= 1, got 0"),
    "per": ("normalized", {"per": "row"}, r"'per' must be one of input, matrix, output, tensor, got 'row'"),
    "radius": ("normalized", {"radius": 0.0}, r"'radius' must be a finite number > 0, got 0\.0"),
    "radius of float16": ("normalized", {"radius": 1e6, "dtype": "float16"}, r"'radius' must be within ±6\.55e\+04, the range of float16, got 1000000\.0"),
    "groups": ("normalized", {"per": "matrix", "groups": 2}, r"'groups' must be 1 for norms per matrix, got 2"),
    "groups that do not divide": ("normalized", {"groups": 7}, r"'groups' must divide the 80 output channels of shape \(48, 80\), got 7"),
    "no outputs": ("normalized", {"per": "input", "layout": "ii"}, r"'layout' must name an output axis 'o' for fan_out to be known, got 'ii'; give fan_out="),
    "no outputs to keep": ("caffe_gaussian", {"sparse": 3, "layout": "ii"}, r"'layout' must name an output axis 'o' for fan_out .*"),
    "stride without space": ("normalized", {"per": "input", "stride": 2}, r"'stride' must be 1 or one integer for each of the 0 spatial axes .*, got 2"),
    "mup without fans": ("mup", {"shape": (5,)}, r"'shape' must have at least 2 dimensions for its fan_in to be known, .*"),
}  # fmt: skip


def test_a_name_of_a_class_of_its_own_is_that_name():
    class Name(str):
        __eq__ = __hash__ = None

    assert fi.get_scheme(Name("siren")) == fi.get_scheme("siren")


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_by_name(case):
    scheme, arguments, text = REFUSED[case]
    arguments = {"shape": (48, 80), "seed": 0, **arguments}
    with pytest.raises((ValueError, TypeError), match=f"^argument {text}$"):
        fi.init(scheme, **arguments)
