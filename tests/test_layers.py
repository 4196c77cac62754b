"""Networks whose layers differ: lists with one entry a layer, and layers listed, against the twin and autograd."""

import json
from itertools import pairwise

import llvmlite.binding as llvm
import numba
import numpy as np
import probe_twin as twin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import same_on_any_threads
from optional import library

import fastinit as fi
from fastinit.probing.resolve import resolve
from fastinit.probing.result import FIGURES

SEED = 11
MIXED = {
    "widths": [40, 70, 70, 33, 10],
    "scheme": ["he_normal", "xavier_uniform", "orthogonal", "normal"],
    "std": 0.2,
    "activation": ["relu", "tanh", "sigmoid", "linear"],
    "bias": ["zeros", 0.1, np.linspace(-1, 1, 33), 0.0],
    "sigma_b": [0.0, 0.3, 0.0, 0.2],
    "normalize": [None, "layer", "rms", None],
    "batch": 130,
    "seed": SEED,
}
LISTED = [
    fi.Dense(70, scheme="he_normal", activation="relu"),
    fi.Dense(70, scheme="xavier_uniform", activation="tanh", bias=0.1, sigma_b=0.3, normalize="layer"),
    fi.Dense(33, scheme="orthogonal", activation="sigmoid", bias=np.linspace(-1, 1, 33), normalize="rms"),
    fi.Dense(10, scheme="normal", std=0.2, activation="linear", sigma_b=0.2),
]


def each(value, depth):
    return value if isinstance(value, list) else [value] * depth


def drawn(words, dtype="float64"):
    """Weights, biases, input and cotangent of a probe by the names of its tensors."""
    widths = words["widths"]
    depth = len(widths) - 1
    said = {"scheme": "he_normal", "bias": 0.0, "sigma_b": 0.0} | words
    scheme, bias, sigma_b = (each(said[word], depth) for word in ("scheme", "bias", "sigma_b"))
    weights, biases = [], []
    for layer in range(depth):
        params = {"std": words["std"]} if scheme[layer] == "normal" else {}
        shape = (widths[layer], widths[layer + 1])
        weights.append(fi.init(scheme[layer], shape, seed=SEED, name=f"layer.{layer}.weight", dtype=dtype, **params))
        constant = 0.0 if isinstance(bias[layer], str) else bias[layer]
        if np.ndim(constant) == 0:
            where = {"seed": SEED, "name": f"layer.{layer}.bias", "dtype": dtype}
            constant = fi.normal(shape[1], mean=constant, std=sigma_b[layer], **where)
        biases.append(np.asarray(constant))
    x, g = (fi.normal((words["batch"], n), seed=SEED, name=name, dtype=dtype)
            for n, name in ((widths[0], "input"), (widths[-1], "cotangent")))  # fmt: skip
    return weights, biases, x, g


def options_of(words):
    widths, depth = words["widths"], len(words["widths"]) - 1
    residual = words.get("residual", False)
    return {
        "normalize": each(words.get("normalize"), depth),
        "skips": [residual and n == m for n, m in pairwise(widths)],
        "branch_scale": words.get("branch_scale", 1.0),
    }


def check(words):
    """Every figure and gradient is the twin's, in float64 to 1e-10 of its size."""
    got = fi.probe(**words, dtype="float64")
    weights, biases, x, g = drawn(words)
    activation, options = each(words["activation"], len(weights)), options_of(words)
    layers = twin.forward(activation, weights, biases, x, **options)
    deltas = twin.gradients(activation, weights, layers, x, g, **options)
    for index, (_, z, a) in enumerate(layers):
        for name, value in twin.figures(activation[index], weights[index], z, a).items():
            size = 1.0 if name == "correlation" else max(np.abs(a).max(), np.abs(z).max())
            np.testing.assert_allclose(getattr(got, name)[index], value, 1e-10, 1e-10 * size, err_msg=f"{name} {index}")
        flat = twin.ACTIVATIONS[activation[index]][2]
        f = twin.ACTIVATIONS[activation[index]][0](z)
        expected = np.nan if flat is None else ((f < flat[0]) | (f > flat[1])).mean()
        np.testing.assert_allclose(got.saturated[index], expected, atol=1.5 / a.size)
        counted, _ = np.histogram(a, got.bin_edges[index])
        assert np.abs(counted - got.histogram[index]).sum() <= 2
        delta, dw = deltas[index]
        for name, value in (("gradient_std", delta), ("weight_gradient_std", dw)):
            np.testing.assert_allclose(getattr(got, name)[index], value.std(), 1e-10, err_msg=f"{name} {index}")
    return got


def same_results(one, other):
    one, other = one.to_dict(), other.to_dict()
    for values in (one, other):
        del values["seconds"]
    assert json.dumps(one) == json.dumps(other)


def test_layers_that_differ_are_the_twins():
    check(MIXED)
    check(MIXED | {"residual": True, "branch_scale": 0.7})


NAMES = ("relu", "tanh", "sigmoid", "gelu", "linear")


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_random_networks_are_the_twins(data):
    depth = data.draw(st.integers(1, 5))

    def a_list(*values):
        return data.draw(st.lists(st.sampled_from(values), min_size=depth, max_size=depth))

    check({
        "widths": data.draw(st.lists(st.sampled_from((3, 17, 32, 70)), min_size=depth + 1, max_size=depth + 1)),
        "activation": a_list(*NAMES),
        "scheme": a_list("he_normal", "xavier_uniform", "lecun_normal", "torch_default"),
        "bias": a_list(0.0, 0.1, -0.5),
        "sigma_b": a_list(0.0, 0.3),
        "normalize": a_list(None, None, "layer", "rms"),
        "residual": data.draw(st.booleans()),
        "batch": data.draw(st.sampled_from((2, 97, 200))),
        "seed": SEED,
    })  # fmt: skip


def test_gradients_are_those_of_autograd():
    torch = library("torch")
    functional = torch.nn.functional
    words = MIXED | {"residual": True}
    weights, biases, x, g = (
        [torch.tensor(t) for t in part] if isinstance(part, list) else torch.tensor(part) for part in drawn(words)
    )
    for tensor in weights:
        tensor.requires_grad_()
    phi = {"linear": lambda z: z, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
    options, a, preactivations = options_of(words), x, []
    for index, (w, b) in enumerate(zip(weights, biases, strict=True)):
        how = options["normalize"][index]
        norm = {None: lambda h: h, "layer": lambda h: functional.layer_norm(h, h.shape[-1:], eps=1e-5),
                "rms": lambda h: functional.rms_norm(h, h.shape[-1:], eps=1e-5)}[how]  # fmt: skip
        z = norm(a) @ w + b
        z.retain_grad()
        preactivations.append(z)
        f = phi[words["activation"][index]](z)
        a = a + f if options["skips"][index] else f
    a.backward(g)
    got = fi.probe(**words, dtype="float64")
    for index, (w, z) in enumerate(zip(weights, preactivations, strict=True)):
        np.testing.assert_allclose(got.weight_gradient_std[index], w.grad.numpy().std(), 1e-10)
        np.testing.assert_allclose(got.gradient_std[index], z.grad.numpy().std(), 1e-10)
        np.testing.assert_allclose(got.gradient_max[index], z.grad.abs().max().item(), 1e-10)


def test_layers_that_are_listed_are_those_of_lists():
    given = {"batch": 130, "seed": SEED}
    same_results(fi.probe(**MIXED), fi.probe(network=LISTED, width=40, **given))
    x = np.random.default_rng(0).standard_normal((20, 40))
    words = {word: value for word, value in MIXED.items() if word != "batch"}
    same_results(fi.probe(**words, inputs=x), fi.probe(network=LISTED, inputs=x, seed=SEED))


def test_a_layer_says_what_the_call_does_not():
    called = {"activation": "tanh", "sigma_w": 1.5, "normalize": "rms", "width": 20, "batch": 30}
    listed = fi.probe(network=[fi.Dense(20), fi.Dense(20, activation="relu", normalize=None, scheme="ones")], **called)
    spelt = called | {"activation": ["tanh", "relu"], "normalize": ["rms", None], "scheme": ["normal", "ones"],
                      "sigma_w": [1.5, None]}  # fmt: skip
    same_results(listed, fi.probe(depth=2, **spelt))
    assert listed.params == {"sigma_w": (1.5, None)}
    # A parameter of each of two activations, and one of a scheme that only one layer has.
    other = fi.probe(
        network=[fi.Dense(9, activation="leaky_relu", negative_slope=0.3), fi.Dense(9, activation="elu", alpha=2.0),
                 fi.Dense(9, scheme="normal", std=0.1)], width=9, batch=5)  # fmt: skip
    assert other.params == {"negative_slope": (0.3, None, None), "alpha": (None, 2.0, None), "std": (None, None, 0.1)}
    layers = resolve({"network": LISTED, "width": 40}).layers
    assert [layer.phi.name for layer in layers] == ["relu", "tanh", "sigmoid", "linear"]


@pytest.mark.parametrize("options", [{}, {"residual": True, "normalize": "layer", "dtype": "bfloat16", "sigma_b": 0.1}])
def test_lists_of_one_value_are_the_plain_stack(options):
    plain = {"depth": 3, "width": 50, "batch": 97, "activation": "tanh", "scheme": "lecun_normal", **options}
    of_layers = plain.keys() - {"depth", "width", "batch", "residual"}
    lists = {word: [value] * 3 if word in of_layers else value for word, value in plain.items()}
    same_results(fi.probe(**plain), fi.probe(**lists))
    of_words = {w: v for w, v in plain.items() if w != "depth"}
    same_results(fi.probe(**plain), fi.probe(network=[fi.Dense(50)] * 3, **of_words))


def test_each_layers_weights_are_stored_in_its_type():
    words = {"widths": [30, 40, 40, 20], "batch": 50, "seed": SEED, "activation": "tanh"}
    dtypes = ["bfloat16", "float32", "float16"]
    weights = [
        fi.init("he_normal", shape, seed=SEED, name=f"layer.{index}.weight", dtype=dtype).astype(np.float32)
        for index, (shape, dtype) in enumerate(zip(pairwise(words["widths"]), dtypes, strict=True))
    ]
    got, expected = fi.probe(**words, dtype=dtypes), fi.probe(**words, weights=weights)
    assert got.dtype == tuple(dtypes)
    for name in FIGURES:
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)
    matrices = fi.probe(**words, dtype=dtypes, weights=weights)
    np.testing.assert_array_equal(matrices.weight_std, got.weight_std)


def test_histograms_have_the_range_of_each_activation():
    result = fi.probe(activation=["sigmoid", "tanh", "relu"], widths=[50, 60, 60, 60], batch=100)
    ends = result.bin_edges[:, [0, -1]]
    assert ends[:2].tolist() == [[0, 1], [-1, 1]]
    assert ends[2, 0] == 0 < ends[2, 1]
    assert np.isnan(result.saturated).tolist() == [False, False, True]


def test_the_same_bits_on_any_number_of_threads():
    def figures():
        got = fi.probe(**MIXED)
        return {name: getattr(got, name) for name in (*FIGURES, "histogram", "bin_edges")}

    same_on_any_threads(figures)


PROGRAM = """
import os, sys
sys.path.insert(0, os.environ["TESTS"])
import hashlib
import numpy as np
import fastinit as fi
from fastinit.probing.result import FIGURES
from test_layers import MIXED
for dtype in ("float32", "float64"):
    words = MIXED | {"scheme": ["he_normal", "xavier_uniform", "lecun_normal", "normal"], "residual": True}
    got = fi.probe(**words, dtype=dtype)
    print({name: np.ascontiguousarray(getattr(got, name)).tobytes().hex() for name in FIGURES}, got.histogram.tolist())
"""


@pytest.mark.ci
@pytest.mark.parametrize("cpu", ["x86-64-v2", "haswell"])
def test_the_same_bits_whatever_the_vector_width(python, cpu):
    if not llvm.get_host_cpu_features().get("avx2"):
        pytest.skip("this machine cannot run code for both")
    assert python(PROGRAM, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="") == python(PROGRAM)


def test_theory_goes_through_each_layers_map():
    q0, sigma_w, sigma_b = 1.3, [1.2, 0.8, 1.5], [0.1, 0.0, 0.4]
    got = fi.theory.predict(["relu", "linear", "relu"], sigma_w=sigma_w, sigma_b=sigma_b, second_moment=q0, depth=3)
    first = sigma_w[0] ** 2 * q0 + sigma_b[0] ** 2  # E[relu(z)^2] = q / 2
    second = sigma_w[1] ** 2 * first / 2
    third = sigma_w[2] ** 2 * second + sigma_b[2] ** 2
    np.testing.assert_allclose(got.q, [first, second, third], 1e-12)
    np.testing.assert_allclose(got.mean, [np.sqrt(first / (2 * np.pi)), 0, np.sqrt(third / (2 * np.pi))], 1e-12, 1e-15)
    np.testing.assert_allclose(got.std[1], np.sqrt(second), 1e-12)
    # A normalised layer meets rows of size 1, whatever came before; the second of these has no normalisation.
    normed = fi.theory.predict("linear", sigma_w=2.0, depth=2, second_moment=9.0, normalize=["rms", None])
    np.testing.assert_allclose(normed.q, [4 * 9 / (9 + 1e-5), 16 * 9 / (9 + 1e-5)], 1e-12)
    slopes = fi.theory.predict("leaky_relu", sigma_w=1.0, depth=2, param=[0.5, 0.0])
    np.testing.assert_allclose(slopes.q, [1.0, (1 + 0.25) / 2], 1e-12)
    np.testing.assert_allclose(slopes.std[1], np.sqrt(0.625 * (1 / 2 - 1 / (2 * np.pi))), 1e-12)


def test_a_wide_network_is_where_theory_has_it():
    words = {"widths": [1000, 1000, 1000, 1000], "activation": ["relu", "tanh", "linear"], "sigma_w": [1.4, 1.1, 0.9],
             "sigma_b": [0.0, 0.2, 0.3], "batch": 400}  # fmt: skip
    result = fi.probe(**words, backward=False)
    told = fi.theory.predict(words["activation"], sigma_w=words["sigma_w"], sigma_b=words["sigma_b"], depth=3)
    # Of 1000 units the mean square strays by about sqrt(5 / 1000) a layer.
    np.testing.assert_allclose(result.q, told.q, 4 * np.sqrt(3 * 5 / 1000))


@numba.njit
def bent(z):
    return z if z > 0 else 0.1 * z


def test_results_are_kept_and_shown(tmp_path):
    words = MIXED | {"activation": ["relu", bent, "sigmoid", "linear"]}
    result = fi.probe(**words)
    result.save(tmp_path / "result.json")
    loaded = fi.ProbeResult.load(tmp_path / "result.json")
    same_results(loaded, result)
    assert loaded.activation == ("relu", "bent", "sigmoid", "linear")
    assert loaded.normalize == (None, "layer", "rms", None)
    assert loaded.bias == ("zeros", 0.1, "biases", "zeros")
    title = (
        "ProbeResult(he_normal + xavier_uniform + orthogonal + normal(std=0.2), relu + bent + sigmoid + linear, "
        "40-70-70-33-10, None + layer + rms + None norm: "
    )
    assert repr(result).startswith(title)
    assert str(result.table()).startswith(title[len("ProbeResult(") : -2])
    for field, value, words in (
        ("activation", ["relu"], "field 'activation' must hold one entry for each of 4 layers, got 1"),
        ("normalize", ["layer", "rms", "batch", None], "argument 'normalize' must be one of layer, rms"),
        ("params", {"std": [0.1, None]}, "must hold one entry for each of 4 layers, got 2"),
        ("dtype", ["float32"] * 3 + ["int8"], "argument 'dtype' must be one of"),
        ("bias", ["zeros", 0.1, "ones", 0.0], "argument 'bias' must be one of biases, zeros, got 'ones'"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            fi.ProbeResult.from_dict(result.to_dict() | {field: value})


def test_a_picture_has_the_prediction_of_each_layer():
    from fastinit.showing.plots import prediction

    result = fi.probe(widths=[300] * 4, activation=["relu", "tanh", "linear"], sigma_b=[0.0, 0.5, 0.0], batch=200)
    told = prediction(result)
    assert told.q.shape == (3,)
    np.testing.assert_allclose(result.q, told.q, 4 * np.sqrt(3 * 5 / 300))
    assert prediction(fi.probe(widths=[9, 9, 9], activation=["relu", bent], batch=4)) is None


def test_a_sweep_tells_a_list_of_values_from_a_value_that_is_a_list(tmp_path):
    small = {"widths": [20, 20, 20], "batch": 16, "backward": False}
    heads = [["relu", "linear"], ["relu", "relu"], "tanh"]
    store = tmp_path / "store.jsonl"
    swept = fi.sweep(**small, activation=heads, seed=[0, 1], store=store)
    assert [(p["activation"], r.activation) for p, r in swept][::2] == [
        (heads[0], ("relu", "linear")), (heads[1], "relu"), ("tanh", "tanh"),
    ]  # fmt: skip
    for point, result in swept:
        same_results(result, fi.probe(**point))
    lines = store.read_bytes()
    again = fi.sweep(**small, activation=heads, seed=[0, 1], store=store)
    assert store.read_bytes() == lines
    for (_, one), (_, other) in zip(swept, again, strict=True):
        same_results(one, other)
    assert len(fi.sweep(**small, activation=["relu", "linear"])) == 2  # as before: two networks
    networks = [[fi.Dense(20, activation=bent), fi.Dense(5)], [fi.Dense(20)]]
    listed = fi.sweep(network=networks, width=20, batch=8, store=tmp_path / "other.jsonl")
    assert [result.widths for _, result in listed] == [(20, 20, 5), (20, 20)]
    assert len(fi.sweep(network=networks, width=20, batch=8, store=tmp_path / "other.jsonl")) == 2
    assert len(fi.sweep(network=networks[0], width=20, batch=8)) == 1


REFUSED = [
    ({"activation": ["relu", "rleu", "relu"]}, ValueError,
     "got 'rleu' for layer 1; did you mean 'relu'?"),
    ({"activation": ["relu", 3, "relu"]}, TypeError,
     "argument 'activation' must be the name of an activation"),
    ({"activation": ["relu", "relu"]}, ValueError,
     "argument 'activation' must be one value, or hold one for each of 3 layers, got 2"),
    ({"activation": []}, ValueError,
     "argument 'activation' must be one value, or hold one for each layer, got []"),
    ({"scheme": ["ones", "ones", "he_norml"]}, ValueError,
     "got 'he_norml' for layer 2; did you mean 'he_normal'?"),
    ({"scheme": ["ones", "normal", "ones"], "std": -1.0}, ValueError,
     "argument 'std' must be a finite number >= 0, got -1.0 for layer 1"),
    ({"scheme": ["ones", "zeros", "ones"], "std": 1.0}, ValueError,
     "argument 'std' must be a parameter of scheme 'ones'"),
    ({"scheme": ["ones", "he_normal", "ones"], "sigma_w": [None, 1.0, 1.0]}, ValueError,
     "argument 'sigma_w' must go with scheme 'normal', got scheme 'ones' for layer 2"),
    ({"sigma_w": [1.0, 1.0, -1.0]}, ValueError,
     "argument 'sigma_w' must be a finite number >= 0, got -1.0 for layer 2"),
    ({"sigma_b": [1.0, np.nan, 1.0]}, ValueError,
     "argument 'sigma_b' must be a finite number >= 0, got nan for layer 1"),
    ({"bias": ["zeros", "ones", 0.0]}, ValueError,
     "argument 'bias' must be 'zeros', a finite number or a list of arrays, got 'ones' for layer 1"),
    ({"bias": ["zeros", 0.0, np.zeros(4)]}, ValueError,
     "argument 'bias' must hold arrays of as many numbers as units, 8, got (4,) for layer 2"),
    ({"normalize": [None, "layer", "batch"]}, ValueError,
     "argument 'normalize' must be one of layer, rms, got 'batch' for layer 2"),
    ({"dtype": ["float32", "bfloat16", "int8"]}, ValueError,
     "got 'int8' for layer 2"),
    ({"dtype": ["float32", "bfloat16", "float64"]}, ValueError,
     "argument 'dtype' must be computed in one type, which is float32 for layer 0, got 'float64' for layer 2"),
    ({"network": [fi.Dense(3)]}, ValueError,
     "argument 'widths' must go without network, got [8, 8, 8, 8]"),
    ({"network": [fi.Dense(3)], "widths": None, "depth": 4}, ValueError,
     "argument 'depth' must go without network, got 4"),
    ({"network": [], "widths": None}, TypeError,
     "argument 'network' must be a list of layers such as Dense(512), got []"),
    ({"network": [fi.Dense(3), 3], "widths": None}, TypeError,
     "argument 'network' must hold layers such as Dense(512), got 3 for layer 1"),
    ({"network": [fi.Dense(3), fi.Dense(0)], "widths": None}, ValueError,
     "argument 'units' must be an integer >= 1, got 0 for layer 1"),
    ({"network": [fi.Dense(3), fi.Dense(3, std=0.1)], "widths": None}, ValueError,
     "(mode, nonlinearity, negative_slope, scale, truncated), got 0.1 for layer 1"),
    ({"weights": [np.ones((8, 8))] * 3, "dtype": ["float32"] * 2, "widths": None}, ValueError,
     "argument 'dtype' must be one value, or hold one for each of 3 layers, got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "error", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_is_wrong_with_a_layer_names_it(words, error, message):
    with pytest.raises(error) as caught:
        fi.probe(**({"widths": [8, 8, 8, 8], "batch": 4} | words))
    assert message in str(caught.value)


def test_a_layers_word_that_nobody_knows():
    with pytest.raises(TypeError, match=r"Dense\(\) has no argument 'activaton'; did you mean 'activation'\?"):
        fi.Dense(3, activaton="relu")


def test_verdicts_name_the_layer_and_what_it_is_made_of():
    flat = fi.probe(widths=[100] * 4, activation=["relu", "tanh", "relu"], sigma_w=[1.4, 50.0, 1.4], batch=50)
    assert flat.verdict == "saturated"
    assert "of layer 1 lie on the flat part of tanh; the weights of layer 1 are too large" in flat.reason
    small = {"widths": [100] * 4, "batch": 50, "scheme": "normal", "std": 300.0, "activation": "relu"}
    over = fi.probe(**small, dtype=["float32", "float16", "float32"])
    assert over.verdict == "exploding"
    assert "of layer 1 reach" in over.reason
    assert "and float16 ends at" in over.reason
    weak = fi.probe(widths=[100] * 13, activation=["relu"] * 11 + ["linear"], sigma_w=0.7, batch=50)
    assert weak.verdict == "vanishing"
    assert "relu and linear need on average" in weak.reason
    head = fi.probe(widths=[100, 100, 100, 10], activation=["relu", "relu", "linear"], batch=50)
    assert head.verdict == "healthy"
