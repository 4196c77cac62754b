"""The probe: its figures against NumPy, its verdicts against the founding articles, its errors."""

import dataclasses
import inspect
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from formulas import FORMULAS, is_flat

import fastinit as fi
from fastinit.probing.figures import FIGURES
from fastinit.probing.settings import ARGUMENTS, Arguments
from fastinit.showing.demo import EXPERIMENTS
from fastinit.weights import registry
from fastinit.weights.laws import Normal, Sampled, mean_square
from fastinit.weights.rules import Fixed

SMALL = {"depth": 3, "width": 24, "batch": 40}


# phi and phi', written apart from the package.
PHI = {name: FORMULAS[name][2:4] for name in ("tanh", "sigmoid", "relu", "softplus")}


def twin(scheme, activation, widths, batch, seed, biases=False, sigma_b=0.0, **params):
    """Compute every figure in float64, a layer at a time, from the probe's named tensors."""
    phi, slope = PHI[activation]
    depth = len(widths) - 1
    tensor = {"seed": seed, "dtype": "float64"}
    weights = [
        fi.init(scheme, (widths[k], widths[k + 1]), name=f"layer.{k}.weight", **tensor, **params) for k in range(depth)
    ]
    bias = [
        fi.normal((widths[k + 1],), std=sigma_b, name=f"layer.{k}.bias", **tensor) if sigma_b else 0.0
        for k in range(depth)
    ]
    a = [fi.normal((batch, widths[0]), name="input", **tensor)]
    z = []
    for w, b in zip(weights, bias, strict=True):
        z.append(a[-1] @ w + b)
        a.append(phi(z[-1]))
    delta = [None] * depth
    upstream = fi.normal((batch, widths[-1]), name="cotangent", **tensor)
    for k in reversed(range(depth)):
        delta[k] = upstream * slope(z[k])
        upstream = delta[k] @ weights[k].T
    x = a[1:]
    pairs = [(u[0 : batch // 2 * 2 : 2], u[1::2]) for u in z]
    return {
        "mean": [u.mean() for u in x],
        "std": [u.std() for u in x],
        "min": [u.min() for u in x],
        "max": [u.max() for u in x],
        "preactivation_mean": [u.mean() for u in z],
        "preactivation_std": [u.std() for u in z],
        "q": [(u**2).mean() for u in z],
        "saturated": [is_flat(activation, u).mean() if FORMULAS[activation].flat else np.nan for u in x],
        "zero": [(u == 0).mean() for u in x],
        "dead": [(u == 0).all(0).mean() for u in x],
        "nonfinite": [0] * depth,
        "distinct": [len({tuple(column) for column in u.T}) for u in x],
        "correlation": [2 * (p * r).sum() / (p**2 + r**2).sum() for p, r in pairs],
        "gradient_std": [d.std() for d in delta],
        "weight_gradient_std": [(u.T @ d).std() for u, d in zip(a[:-1], delta, strict=True)],
        "gradient_zero": [(d == 0).mean() for d in delta],
        "chi": [(slope(u) ** 2).mean() * len(w) * w.var() for u, w in zip(z, weights, strict=True)],
        "weight_std": [w.std() for w in weights],
    }, x


@pytest.mark.parametrize("activation", PHI)
@pytest.mark.parametrize(
    ("scheme", "params", "sigma_b"),
    [("he_normal", {}, 0.0), ("xavier_uniform", {"gain": 2.0}, 0.3), ("sparse", {"nonzeros": 4}, 0.0)],
)
def test_every_figure_is_numpys(activation, scheme, params, sigma_b):
    widths, batch, seed = [17, 24, 33, 8], 41, 5
    result = fi.probe(
        scheme=scheme, activation=activation, widths=widths, batch=batch, seed=seed, dtype="float64",
        sigma_b=sigma_b, **params,
    )  # fmt: skip
    expected, activations = twin(scheme, activation, widths, batch, seed, sigma_b=sigma_b, **params)
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(result, name), values, rtol=1e-9, atol=1e-12, err_msg=name)
    for layer, a in enumerate(activations):
        edges = result.bin_edges[layer]
        counts, _ = np.histogram(a, edges)
        np.testing.assert_array_equal(result.histogram[layer], counts)
        assert result.underflow[layer] == (a < edges[0]).sum()
        assert result.overflow[layer] == (a > edges[-1]).sum()


def test_float32_is_near_float64():
    """Rounding: a sum of n products of size s is off by about sqrt(n) s 2^-24, and depth adds such errors up."""
    kwargs = {"activation": "tanh", "scheme": "xavier_normal", "depth": 5, "width": 64, "batch": 128}
    single, double = fi.probe(**kwargs), fi.probe(dtype="float64", **kwargs)
    # Other words make other weights, so only sampling error can be compared: 4 standard errors of a std.
    assert abs(single.std[0] / double.std[0] - 1) < 4 / np.sqrt(2 * 64 * 64)
    given = [fi.init("xavier_normal", (64, 64), seed=k) for k in range(5)]
    x = fi.normal((128, 64), seed=9)
    single = fi.probe(weights=given, inputs=x, activation="tanh", backward=False)
    double = fi.probe(weights=given, inputs=x, activation="tanh", backward=False, dtype="float64")
    np.testing.assert_allclose(single.std, double.std, rtol=5 * np.sqrt(64) * 2**-24)
    np.testing.assert_allclose(single.q, double.q, rtol=5 * np.sqrt(64) * 2**-24)


EXPECTED = {
    # label: verdicts for sigmoid, tanh, relu in 5 layers of 100, then in 50 of 500
    "zero": ["symmetric"] * 6,
    "constant 0.1": ["symmetric"] * 6,
    "N(0, 0.01²)": ["vanishing"] * 6,
    "N(0, 1)": ["saturated", "saturated", "exploding", "saturated", "saturated", "exploding"],
    # The articles look at the activations, which stay wide; the gradient loses a factor of four a sigmoid layer.
    "Xavier": ["fading", "healthy", "healthy", "vanishing", "healthy", "vanishing"],
    "He": ["fading", "healthy", "healthy", "vanishing", "healthy", "healthy"],
}


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: f"{e.label}-{e.activation}-{e.depth}")
def test_the_founding_experiments_get_the_articles_verdicts(experiment):
    column = ("sigmoid", "tanh", "relu").index(experiment.activation) + 3 * (experiment.depth == 50)
    # 100 rows decide as 1000 do: every figure that the verdict reads is far from its threshold.
    result = fi.probe(
        activation=experiment.activation, depth=experiment.depth, width=experiment.width, batch=100,
        **experiment.arguments,
    )  # fmt: skip
    assert result.verdict == EXPECTED[experiment.label][column], result.reason


@pytest.mark.parametrize("seed", range(5))
def test_a_dead_network_is_told_from_a_vanished_one(seed):
    dead = fi.probe(scheme="he_normal", bias=-20.0, seed=seed, **SMALL)
    assert dead.verdict == "dead"
    assert "layer 0" in dead.reason
    vanished = fi.probe(scheme="normal", std=1e-12, seed=seed, depth=9, width=24, batch=40)
    assert vanished.zero[-1] == 1
    assert vanished.verdict == "vanishing"


def test_without_a_backward_pass_alike_outputs_are_vanishing():
    """A sigmoid network under tiny weights keeps its std: only the likeness of the rows tells."""
    result = fi.probe(scheme="normal", std=0.01, activation="sigmoid", depth=5, width=100, backward=False)
    assert result.verdict == "vanishing"
    assert result.std[-1] > 0.1 * result.std[0]
    assert np.isnan(result.gradient_std).all()
    assert np.isnan(result.weight_gradient_std).all()


def test_the_layers_weights_are_named_tensors():
    names = [f"layer.{k}.weight" for k in range(3)]
    weights = [fi.init("he_normal", (24, 24), seed=7, name=name) for name in names]
    x = fi.normal((40, 24), seed=7, name="input")
    # The default range follows the law, or what is known of it from given weights.
    drawn = fi.probe(scheme="he_normal", seed=7, range=(0, 4), **SMALL)
    given = fi.probe(weights=weights, inputs=x, seed=7, range=(0, 4))
    assert figures(drawn) == figures(given)


def figures(result):
    values = result.to_dict()
    return {name: values[name] for name in (*FIGURES, "histogram", "bin_edges", "verdict", "reason")}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_the_same_arguments_give_the_same_figures(dtype):
    kwargs = {"scheme": "he_uniform", "activation": "gelu", "dtype": dtype, **SMALL}
    assert figures(fi.probe(seed=3, **kwargs)) == figures(fi.probe(seed=3, **kwargs))
    assert figures(fi.probe(seed=3, **kwargs)) != figures(fi.probe(seed=4, **kwargs))


def test_sixteen_bit_weights_are_the_rounded_ones():
    rounded = [
        fi.init("he_normal", (24, 24), name=f"layer.{k}.weight", seed=0).astype(np.float16).astype(np.float32)
        for k in range(3)
    ]
    given = fi.probe(weights=rounded, inputs=fi.normal((40, 24), seed=0, name="input"))
    drawn = fi.probe(scheme="he_normal", dtype="float16", **SMALL)
    np.testing.assert_allclose(drawn.weight_std, given.weight_std, rtol=1e-6)
    np.testing.assert_allclose(drawn.std, given.std, rtol=1e-5)


def test_seed_none_is_fresh_and_recorded():
    first, second = fi.probe(seed=None, **SMALL), fi.probe(seed=None, **SMALL)
    assert first.seed != second.seed
    assert figures(fi.probe(seed=first.seed, **SMALL)) == figures(first)


def test_sigma_w_is_short_for_a_normal_law():
    short = fi.probe(sigma_w=1.5, activation="tanh", **SMALL)
    long = fi.probe(scheme="normal", std=1.5 / np.sqrt(24), activation="tanh", **SMALL)
    assert figures(short) == figures(long)
    assert short.scheme == "normal"
    assert short.params == {"sigma_w": 1.5}


def test_parameters_reach_the_activation_and_the_scheme():
    slope = fi.probe(activation="leaky_relu", negative_slope=0.5, scheme="he_normal", **SMALL)
    # fan_in: std = sqrt(2 / (1 + slope^2) / n); 24 x 24 weights know their std to 1 / sqrt(2 n^2), about 3 %.
    np.testing.assert_allclose(slope.weight_std, np.sqrt(2 / 1.25 / 24), rtol=0.12)
    only = fi.probe(activation="leaky_relu", negative_slope=1.0, scheme="xavier_normal", **SMALL)
    linear = fi.probe(activation="linear", scheme="xavier_normal", **SMALL)
    np.testing.assert_allclose(only.std, linear.std, rtol=1e-6)
    assert fi.probe(activation="elu", alpha=0.5, **SMALL).params == {"alpha": 0.5}


def test_biases():
    constant = fi.probe(activation="linear", scheme="zeros", bias=0.25, **SMALL)
    np.testing.assert_array_equal(constant.mean, 0.25)
    drawn = fi.probe(activation="linear", scheme="zeros", bias=1.0, sigma_b=0.5, depth=1, width=4096, batch=2)
    # Mean and std of 4096 normal numbers, within 4 standard errors.
    assert abs(drawn.mean[0] - 1.0) < 4 * 0.5 / np.sqrt(4096)
    assert abs(drawn.std[0] - 0.5) < 4 * 0.5 / np.sqrt(2 * 4096)
    given = fi.probe(weights=[np.zeros((3, 2))], bias=[np.array([1.0, 3.0])], activation="linear", batch=4)
    assert given.mean[0] == 2.0
    assert given.bias == "biases"


def test_default_ranges():
    assert fi.probe(activation="sigmoid", **SMALL).bin_edges[0][[0, -1]].tolist() == [0, 1]
    assert fi.probe(activation="tanh", **SMALL).bin_edges[0][[0, -1]].tolist() == [-1, 1]
    relu = fi.probe(depth=10, width=128, batch=256)
    assert (relu.bin_edges[:, 0] == 0).all()
    # He's weights keep q = 2 from layer to layer: four standard deviations of z.
    np.testing.assert_allclose(relu.bin_edges[:, -1], 4 * np.sqrt(2), rtol=1e-6)
    assert (relu.overflow < 0.01 * 128 * 256).all()
    assert fi.probe(range=(0.0, 0.5), bins=7, **SMALL).histogram.shape == (3, 7)


def test_overflow_and_nan_are_findings_not_errors():
    result = fi.probe(scheme="normal", std=1e20, **SMALL)
    assert result.verdict == "exploding"
    assert result.nonfinite[-1] > 0
    weights = [np.full((4, 4), np.nan), np.eye(4)]
    nan = fi.probe(weights=weights, batch=8)
    assert nan.nonfinite.tolist() == [32, 32]
    assert nan.verdict == "nonfinite"
    infinite = np.eye(4)
    infinite[0, 0] = np.inf
    rest = fi.probe(weights=[infinite], activation="linear", batch=8)
    assert rest.nonfinite[0] >= 8
    assert np.isfinite(rest.std[0])


def test_a_single_row_has_no_correlation():
    result = fi.probe(depth=2, width=8, batch=1)
    assert np.isnan(result.correlation).all()
    assert "corr." not in str(result.table())


REFUSED = [
    ({"depth": 0}, ValueError, "argument 'depth' must be an integer >= 1, got 0"),
    ({"depth": -1}, ValueError, "argument 'depth' must be an integer >= 1, got -1"),
    ({"depth": 2.0}, TypeError, "argument 'depth' must be an integer >= 1, got 2.0"),
    ({"width": 0}, ValueError, "argument 'width' must be an integer >= 1, got 0"),
    ({"batch": 0}, ValueError, "argument 'batch' must be an integer >= 1, got 0"),
    ({"bins": 0}, ValueError, "argument 'bins' must be an integer >= 1, got 0"),
    ({"range": (1.0, 0.0)}, ValueError, "argument 'range' must be (low, high), two finite numbers with low < high"),
    ({"range": (0.0, np.nan)}, ValueError, "argument 'range' must be (low, high), two finite numbers with low < high"),
    ({"range": 3}, ValueError, "argument 'range' must be (low, high), two finite numbers with low < high"),
    ({"activation": "rleu"}, ValueError, "did you mean 'relu'?"),
    ({"scheme": "he_norml"}, ValueError, "did you mean 'he_normal'?"),
    ({"widht": 3}, TypeError, "probe() has no argument 'widht'; did you mean 'width'?"),
    ({"std": 0.1}, ValueError, "argument 'std' must be a parameter of scheme 'he_normal'"),
    ({"scheme": "normal", "std": -1.0}, ValueError, "argument 'std' must be a finite number >= 0, got -1.0"),
    ({"scheme": "normal", "std": 1e39}, ValueError, "argument 'std' must keep mean"),
    ({"scheme": "sparse", "width": 4}, ValueError, "argument 'nonzeros' must be at most fan_in = 4, got 10"),
    ({"widths": [3]}, ValueError, "argument 'widths' must hold the input's size and that of each layer, got [3]"),
    ({"widths": [3, 0]}, ValueError, "argument 'widths' must be an integer >= 1, got 0"),
    ({"widths": 3}, ValueError, "argument 'widths' must hold the input's size and that of each layer, got 3"),
    ({"sigma_b": -1.0}, ValueError, "argument 'sigma_b' must be a finite number >= 0, got -1.0"),
    ({"sigma_w": np.inf}, ValueError, "argument 'sigma_w' must be a finite number >= 0, got inf"),
    ({"sigma_w": 1.0, "scheme": "ones"}, ValueError, "argument 'sigma_w' must go with scheme 'normal', got"),
    ({"sigma_w": 1.0, "gain": 1.0}, ValueError, "argument 'sigma_w' must be the scheme's only parameter, got gain"),
    ({"bias": "ones"}, ValueError, "argument 'bias' must be 'zeros', a finite number or a list of arrays, got 'ones'"),
    ({"bias": np.nan}, ValueError, "argument 'bias' must be a finite number, got nan"),
    ({"bias": [np.zeros(3)]}, ValueError, "argument 'bias' must be one value, or hold one for each of 10"),
    ({"seed": -1}, ValueError, "argument 'seed' must be an integer >= 0, got -1"),
    ({"seed": 2**64}, ValueError, "argument 'seed' must be an integer in [0, 2**64), got 18446744073709551616"),
    ({"dtype": "int8"}, ValueError, "argument 'dtype' must be one of bfloat16, float16, float32, float64, got"),
    ({"backward": "yes"}, TypeError, "argument 'backward' must be True or False, got 'yes'"),
    ({"inputs": np.array([[np.nan, 1.0]])}, ValueError, "argument 'inputs' must be finite in float32, got 1 values"),
    ({"inputs": np.zeros((0, 3))}, ValueError, "argument 'inputs' must have shape (batch, features), neither of them"),
    ({"inputs": np.zeros(3)}, ValueError, "argument 'inputs' must have shape (batch, features), neither of them 0"),
    ({"inputs": [["a"]]}, TypeError, "argument 'inputs' must hold real numbers, got [['a']]"),
    ({"inputs": np.ones((2, 3)), "widths": [4, 4]}, ValueError, "argument 'inputs' must have 4 columns, the first of"),
    ({"weights": []}, TypeError, "argument 'weights' must be a list of arrays (n_in, n_out), got []"),
    ({"weights": np.ones((2, 2))}, TypeError, "argument 'weights' must be a list of arrays (n_in, n_out), got an arr"),
    ({"weights": [np.ones(2)]}, ValueError, "argument 'weights' must hold arrays (n_in, n_out), got shape (2,)"),
    ({"weights": [np.ones((2, 3))] * 2}, ValueError, "argument 'weights' must chain: layer 1 needs n_in = 3, got"),
    ({"weights": [np.ones((2, 2))], "gain": 2.0}, ValueError, "argument 'weights' must stand alone, without"),
    ({"weights": [np.ones((2, 2))], "widths": [2, 3]}, ValueError, "argument 'widths' must be those of weights, [2"),
    ({"residual": 1}, TypeError, "argument 'residual' must be True or False, got 1"),
    ({"branch_scale": 0.5}, ValueError, "argument 'branch_scale' must go with residual=True, got 0.5 without"),
    ({"residual": True, "branch_scale": np.nan}, ValueError, "argument 'branch_scale' must be a finite number"),
    ({"residual": True, "branch_scale": "half"}, ValueError, "must be a finite number or '1/sqrt(depth)', got 'half'"),
    ({"normalize": "batch"}, ValueError, "argument 'normalize' must be one of layer, rms, got 'batch'"),
    ({"normalize": True}, TypeError, "argument 'normalize' must be a string, got True"),
    ({"conv": 0}, ValueError, "argument 'conv' must be an integer >= 1, got 0"),
    ({"conv": (3, 3)}, TypeError, "argument 'conv' must be an integer >= 1, got (3, 3)"),
    ({"conv": 3, "image": 0}, ValueError, "argument 'image' must be an integer >= 1, got 0"),
    ({"image": 8}, ValueError, "argument 'image' must go with conv, got 8 without"),
    ({"conv": 3, "inputs": np.ones((2, 4, 5, 3))}, ValueError, "argument 'inputs' must be images (batch, side, side, "),
    ({"conv": 3, "inputs": np.ones((2, 4))}, ValueError, "argument 'inputs' must be images (batch, side"),
    ({"inputs": np.ones((2, 4, 4, 3))}, ValueError, "argument 'inputs' must have shape (batch, features), neither of"),
    ({"conv": 3, "image": 5, "inputs": np.ones((2, 4, 4, 3))}, ValueError, "argument 'image' must be the side of the"),
    ({"conv": 3, "widths": [4, 4], "inputs": np.ones((2, 4, 4, 3))}, ValueError, "must have 4 channels, the first of"),
    ({"conv": 3, "weights": [np.ones((2, 2))]}, ValueError, "must hold arrays (3, 3, n_in, n_out), got shape (2, 2)"),
    ({"weights": [np.ones((3, 3, 2, 2))]}, ValueError, "must hold arrays (n_in, n_out), got shape (3, 3, 2"),
    ({"input_correlation": 1.5}, ValueError, "'input_correlation' must be a finite number in [-1, 1], got 1.5"),
    ({"input_correlation": 0.5, "batch": 1}, ValueError, "must go with a batch of at least 2, got batch 1"),
    ({"input_correlation": 0.5, "conv": 3, "batch": 3}, ValueError, "must go with an even batch of images, got"),
    ({"input_correlation": 0.5, "inputs": np.ones((2, 3))}, ValueError, "must go with drawn inputs, got 0.5"),
    ({"activation": "leaky_relu", "negative_slope": np.nan}, ValueError, "argument 'negative_slope' must be a finite"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED, ids=lambda x: str(x)[:30])
def test_a_wrong_argument_is_named_before_anything_is_drawn(arguments, error, words, monkeypatch):
    def drawn(*_, **__):
        raise AssertionError("something was drawn")

    monkeypatch.setattr("fastinit.weights.laws.Sampled.fill", drawn)
    with pytest.raises(error) as caught:
        fi.probe(**arguments)
    assert words in str(caught.value)


def test_the_arguments_and_their_defaults_are_those_of_the_one_table():
    ours = {p.name: p.default for p in inspect.signature(fi.probe).parameters.values() if p.name != "params"}
    assert ours == {field.name: field.default for field in dataclasses.fields(Arguments)}
    assert tuple(ours) == ARGUMENTS


def test_a_scheme_with_a_new_word_is_probed_and_swept_with_it(monkeypatch):
    known = dict(registry._REGISTRY)
    monkeypatch.setattr(registry, "_REGISTRY", known)

    @registry.scheme("wobbly", "N(0, wobble^2)")
    def wobbly(wobble=0.5):
        return Fixed(Normal(0.0, wobble))

    result = fi.probe(scheme="wobbly", wobble=0.25, depth=1, width=400, batch=4, backward=False)
    assert abs(result.weight_std[0] / 0.25 - 1) < 4 / np.sqrt(2 * 400**2)
    assert [p["wobble"] for p, _ in fi.sweep(scheme="wobbly", wobble=[0.1, 0.2], depth=1, width=8, batch=4)] == [
        0.1,
        0.2,
    ]
    with pytest.raises(TypeError, match="no argument 'wobbel'; did you mean 'wobble'"):
        fi.probe(wobbel=1.0)


def test_a_result_that_is_changed_changes_no_other():
    first = fi.probe(scheme="normal", std=0.25, depth=1, width=8, batch=4, seed=1)
    first.params["std"] = "changed"
    first.bin_edges[:] = 0
    again = fi.probe(scheme="normal", std=0.25, depth=1, width=8, batch=4, seed=2)
    assert again.params == {"std": 0.25}
    assert again.bin_edges[0, 0] < again.bin_edges[0, -1]


def test_a_law_whose_field_is_not_called_mean_has_one():
    class Shifted(Normal):
        """N(5, 1), its mean under another name."""

        def __init__(self):
            super().__init__(0.0, 1.0)

        @property
        def expectation(self):
            return 5.0

    assert mean_square(Shifted()) == 26.0
    half = fi.get_scheme("truncated_normal", lower=0.0, upper=math.inf).law(fi.Fans(1, 1))
    assert math.isclose(mean_square(half), 1.0, rel_tol=1e-15)  # of |z|, as of z
    assert math.isclose(half.expectation, math.sqrt(2 / math.pi), rel_tol=1e-15)

    class Nameless(Sampled):
        def recipe(self, dtype):
            raise NotImplementedError

    with pytest.raises(TypeError, match="abstract"):
        Nameless()


def test_every_argument_is_recorded():
    result = fi.probe(
        scheme="msra", activation="identity", widths=[3, 4, 5], batch=6, bias=0.5, sigma_b=0.1, backward=False,
        bins=4, range=(-1, 1), seed=11, dtype="float64", scale=2.0,
    )  # fmt: skip
    assert (result.scheme, result.activation, result.widths, result.batch) == ("he_normal", "linear", (3, 4, 5), 6)
    assert (result.bias, result.sigma_b, result.backward, result.bins) == (0.5, 0.1, False, 4)
    assert (result.range, result.seed, result.dtype, result.params) == ((-1.0, 1.0), 11, "float64", {"scale": 2.0})
    assert (result.depth, result.width, result.inputs) == (2, None, "N(0, 1)")
    assert result.seconds > 0
    assert (result.residual, result.normalize, result.conv, result.image) == (False, None, None, None)
    images = fi.probe(
        depth=4, width=3, batch=2, conv=2, image=4, residual=True, branch_scale="1/sqrt(depth)", normalize="rms",
        input_correlation=0.25,
    )  # fmt: skip
    assert (images.residual, images.branch_scale, images.normalize) == (True, 0.5, "rms")
    assert (images.conv, images.image, images.input_correlation) == (2, 4, 0.25)
    assert images.title == "he_normal, relu, 4 x 3, conv 2 x 2 on 4 x 4, residual * 0.5, rms norm"
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.seed = 3


def test_saved_and_loaded_is_the_same(tmp_path):
    for kwargs in (SMALL, {"scheme": "normal", "std": 1e30, "backward": False, **SMALL}):
        result = fi.probe(**kwargs)
        path = tmp_path / "probe.json"
        result.save(path)
        loaded = fi.ProbeResult.load(path)
        assert loaded.to_dict() == result.to_dict()
        assert loaded.histogram.dtype == np.int64
        assert loaded.widths == result.widths
        json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert [p.name for p in tmp_path.iterdir()] == ["probe.json"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "probe.json"
    path.write_text("old")
    result = fi.probe(**SMALL)
    monkeypatch.setattr("fastinit.files.os.replace", lambda *_: 1 / 0)  # killed with the new file written
    with pytest.raises(ZeroDivisionError):
        result.save(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["probe.json"]


def test_loading_something_else_is_refused(tmp_path):
    path = tmp_path / "other.json"
    path.write_text('{"verdict": "healthy"}')
    with pytest.raises(ValueError, match="must have the fields of a ProbeResult"):
        fi.ProbeResult.load(path)


def test_to_pandas_has_a_row_a_layer():
    frame = fi.probe(**SMALL).to_pandas()
    assert list(frame.columns) == ["layer", *FIGURES]
    assert frame["layer"].tolist() == [0, 1, 2]


def test_nothing_is_written_to_stderr_when_it_overflows():
    code = "import fastinit as fi; print(fi.probe(scheme='normal', std=1e30, depth=3, width=16, batch=16).verdict)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("exploding", "")


def test_recommendations_are_for_the_network_at_hand():
    options = {"depth": 4, "width": 16, "batch": 8, "candidates": ["he_normal", "xavier_normal"]}
    for more in ({"residual": True, "branch_scale": "1/sqrt(depth)"}, {"normalize": "rms"}, {"conv": 3, "image": 4}):
        advice = fi.recommend(activation="relu", **options, **more)
        alone = fi.probe(scheme="he_normal", activation="relu", depth=4, width=16, batch=8, **more)
        measured = next(c for c in advice if c.label == "he_normal").results[0]
        np.testing.assert_array_equal(measured.gradient_std, alone.gradient_std)
        assert ("In theory" in advice.why) == ("conv" in more)


@pytest.mark.parametrize("sigma_w", [1e-20, 1e20])
def test_a_histogram_has_a_range_whatever_the_signal(sigma_w):
    result = fi.probe(activation="softplus", sigma_w=sigma_w, **SMALL)
    assert np.all(np.diff(result.bin_edges) > 0)
    np.testing.assert_array_equal(result.histogram.sum(1) + result.underflow + result.overflow + result.nonfinite, 960)
