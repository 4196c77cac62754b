"""The verdict on networks whose behaviour is known, and what no verdict may say beside its own figures."""

import itertools
import math
import re

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastinit as fi
from fastinit.probing.verdict import VERDICTS
from fastinit.showing.pages import VERDICT_COLOURS
from fastinit.showing.tables import STYLES
from fastinit.words import number

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (64, 196)).astype(np.float32)  # of images that nobody normalised
NORMAL = RNG.standard_normal((64, 196)).astype(np.float32)


def drawn(*widths, scheme="he_normal", scales=None):
    """Given weights, those of layer l times scales[l]."""
    pairs, scales = list(itertools.pairwise(widths)), scales or {}
    return [fi.init(scheme, pair, seed=0, name=f"{k}") * np.float32(scales.get(k, 1.0)) for k, pair in enumerate(pairs)]


def filled(weights, layer, value):
    return [np.full_like(w, value) if k == layer else w for k, w in enumerate(weights)]


def copied(weights, layer):
    """Every unit of a layer twice, with half of the weights that lead on: Net2Net without noise."""
    w = list(weights)
    w[layer] = np.tile(w[layer], (1, 2))
    w[layer + 1] = np.tile(w[layer + 1], (2, 1)) / 2
    return w


@numba.njit
def logarithm(z):
    return math.log(z)


@numba.njit
def step(z):
    return 1.0 if z > 0 else 0.0


def small(depth, width, **arguments):
    return {"depth": depth, "width": width, "batch": 64, **arguments}


TANH, SIGMOID, LINEAR = {"activation": "tanh"}, {"activation": "sigmoid"}, {"activation": "linear"}
XAVIER, LECUN = {"scheme": "xavier_normal"}, {"scheme": "lecun_normal"}
TINY, LARGE = {"scheme": "normal", "std": 0.01}, {"scheme": "normal", "std": 1.0}

# name: (arguments, verdict, what stands in the reason: the layer and the cause, source)
KNOWN = {
    # Units that never become different: notes on weight initialisation; Goodfellow, Bengio and Courville 2016, 8.4.
    "zeros, tanh": (small(5, 100, scheme="zeros", **TANH), "symmetric", ["layer 0", "weights, 0,", "same gradient"]),
    "zeros, relu": (small(5, 100, scheme="zeros"), "symmetric", ["layer 0", "weights"]),
    "zeros, sigmoid": (small(5, 100, scheme="zeros", **SIGMOID), "symmetric", ["layer 0", "weights"]),
    "a constant": (small(5, 100, scheme="constant", value=0.1, **SIGMOID), "symmetric", ["layer 0", "weights"]),
    "a constant that overflows": (small(50, 100, scheme="constant", value=0.5), "symmetric", ["layer 0", "weights"]),
    "zeros, no gradients": (
        small(5, 100, scheme="zeros", backward=False, **TANH), "symmetric", ["layer 0", "no gradient is known"]),
    "zeros, convolution": (
        {"depth": 3, "width": 8, "batch": 4, "conv": 3, "image": 4, "scheme": "zeros"}, "symmetric", ["layer 0"]),
    # Chen, Goodfellow and Shlens 2016, Net2Net, 2.2: copies need noise, or they stay copies.
    "each unit twice": (
        {"weights": copied(drawn(40, 50, 30), 0), "batch": 64, **TANH}, "symmetric", ["50 of 100 units of layer 0"]),
    # Not symmetric: logistic regression starts at zero and learns; one layer of equal units before random weights, too.
    "one layer of zeros": (small(1, 16, scheme="zeros", **LINEAR), "healthy", ["layer 0", "head"]),
    "a constant layer amid random ones": (
        {"weights": filled(drawn(64, 64, 64, 64), 1, 0.1), "batch": 64, **TANH}, "healthy", ["layer 2"]),
    "a single unit a layer": ({"widths": [8, 1, 1], "scheme": "ones", "batch": 64, **LINEAR}, "healthy", ["layer 1"]),
    "a single row": ({"widths": [8, 64, 64], "batch": 1}, "healthy", ["layer 1"]),
    "an identity": ({"weights": [np.eye(128)] * 3, "batch": 64, **LINEAR}, "healthy", ["layer 2"]),

    # Ten layers of 500: cs231n, lecture on activations and initialisation.
    "tanh under 0.01": (
        small(10, 500, **TINY, **TANH), "vanishing", ["layer 9", "weights are too small", "0.224"]),
    "tanh under 1": (small(10, 500, **LARGE, **TANH), "saturated", ["layer 0", "weights are too large", "22.4"]),
    "tanh under Xavier": (small(10, 500, **XAVIER, **TANH), "healthy", ["layer 9"]),
    "relu under Xavier": (small(10, 500, **XAVIER), "fading", ["layer 9", "weights are too small", "1/1000 after"]),
    "relu under He": (small(10, 500), "healthy", ["layer 9"]),
    # Histograms of five sigmoid layers of 100: Saito 2016, chapter 6.2.
    "sigmoid under 1": (small(5, 100, **LARGE, **SIGMOID), "saturated", ["layer 0", "weights are too large"]),
    "sigmoid under 0.01": (
        small(5, 100, **TINY, **SIGMOID), "vanishing", ["layer 4", "mean activation 0.5", "weights are too small"]),
    # Its activations stay wide, as the histograms show; its slope is at most 1/4 (Glorot and Bengio 2010, section 3).
    "sigmoid under Xavier": (
        small(5, 100, **XAVIER, **SIGMOID), "fading", ["keep a std of 0.12", "layer 0", "it is the activation"]),
    "50 sigmoids": (small(50, 64, **XAVIER, **SIGMOID), "vanishing", ["layer 0", "it is the activation"]),
    "softplus": (small(8, 256, **XAVIER, activation="softplus"), "fading", ["layer 0", "it is the activation"]),
    # A too large W puts z on the flat part: the lecture on random initialisation, here U(0, 1).
    "U(0, 1) on pixels": (
        {"inputs": PIXELS / 255, "widths": [196, 15, 10], "scheme": "uniform", **SIGMOID}, "saturated",
        ["100 % of the activations of layer 0", "mean of the weights is 0.5"]),

    # He et al. 2015, section 2.2 and figure 3: 30 layers learn under their weights and stall under Xavier's.
    "30 relus under He": (small(30, 256), "healthy", ["layer 29"]),
    "30 relus under Xavier": (small(30, 256, **XAVIER), "vanishing", ["layer 29", "weights are too small"]),
    "50 relus under 1": (small(50, 256, **LARGE), "exploding", ["infinite or not a number", "weights are too large"]),
    "5 relus under 1": (small(5, 100, **LARGE), "exploding", ["layer 4", "weights are too large"]),
    # Saxe et al. 2014, 3: a linear layer's factor is its weights' gain.
    "20 linear layers under 1/sqrt(n)": (small(20, 256, **LECUN, **LINEAR), "healthy", ["layer 19"]),
    "20 linear layers under He": (small(20, 256, **LINEAR), "growing", ["layer 19", "weights are too large", "1.41"]),
    "30 linear layers under He": (small(30, 256, **LINEAR), "exploding", ["layer 29", "weights are too large"]),
    # Karpathy 2022, makemore 3: gains of a tanh network.
    "tanh, gain 5/3": (small(6, 100, sigma_w=5 / 3, **TANH), "healthy", ["layer 5"]),
    "tanh, gain 1/2": (small(6, 100, sigma_w=0.5, **TANH), "fading", ["layer 5", "weights are too small"]),
    # Klambauer et al. 2017: (0, 1) is a fixed point of SELU under variance 1/n, and no other variance.
    "selu under 1/n": (small(32, 256, **LECUN, activation="selu"), "healthy", ["layer 31"]),
    "selu under 2/n": (small(32, 256, activation="selu"), "growing", ["layer 31", "weights are too large"]),

    # Schoenholz et al. 2017, 3: ordered, critical and chaotic tanh. Critical: sigma_w^2 1.688, sigma_b^2 0.03804.
    "ordered": (small(40, 200, sigma_w=0.8, sigma_b=0.3, **TANH), "vanishing", ["layer 0", "weights are too small"]),
    "ordered by its biases": (small(30, 200, sigma_w=1.0, sigma_b=2.0, **TANH), "vanishing", ["layer 0", "biases"]),
    "critical": (small(50, 256, sigma_w=1.2992, sigma_b=0.19504, **TANH), "healthy", ["layer 49"]),
    "chaotic": (small(40, 200, sigma_w=2.5, sigma_b=0.3, **TANH), "exploding", ["layer 0", "weights are too large"]),
    # On the critical line at q = 0 a signal falls as 1/sqrt(2 l): 0.1 after 50 layers.
    "50 tanh under Xavier": (small(50, 256, **XAVIER, **TANH), "healthy", ["layer 49"]),
    # chi_1 = 1.106 at sigma_w^2 = 2: a gradient of 1.106^(L/2), 2e4 after 200 layers.
    "200 tanh under He": (small(200, 200, **TANH) | {"batch": 16}, "exploding", ["layer 199", "depth"]),
    "a gradient that overflows": (
        small(60, 64, sigma_w=100.0, activation="sin"), "exploding", ["gradient overflows", "weights are too large"]),

    # Hanin and Rolnick 2018, 3: depth over width; a ReLU layer's drift is exp(-5/(4 n)).
    "10 units, 200 layers": (small(200, 10), "vanishing", ["width", "exp(-5/(4 n)) = 0.882"]),
    "100 units, 5 layers": (small(5, 100), "healthy", ["layer 4"]),
    # Lu et al. 2019, theorem 1: deep narrow ReLU networks are born dead.
    "born dead": (small(60, 2), "dead", ["100 % of the units of layer", "width of 2"]),
    "dead by its bias": (small(3, 24, bias=-20.0), "dead", ["layer 0", "bias of -20"]),
    "dead, though the signal was small": (small(6, 64, **TINY, bias=-0.02), "dead", ["layer 1", "bias of -0.02"]),
    "branches dead by their bias": (small(4, 24, bias=-20.0, residual=True), "dead", ["branch of layer 0", "bias"]),
    "vanished, not dead": (small(9, 24, scheme="normal", std=1e-12), "vanishing", ["layer 3", "weights"]),

    # Zhang, Dauphin and Ma 2019, section 2: skips double the variance a layer.
    "10 skips": (small(10, 256, residual=True, **LECUN, **LINEAR), "growing", ["layer 9", "depth", "branch_scale"]),
    "30 skips": (small(30, 256, residual=True, **LECUN, **LINEAR), "exploding", ["layer 29", "depth", "branch_scale"]),
    # (1 + 1/L)^L < e.
    "100 skips of 1/sqrt(L)": (
        small(100, 64, residual=True, branch_scale="1/sqrt(depth)", **LECUN, **LINEAR), "healthy", ["layer 99"]),
    # De and Smith 2020, SkipInit: the scale is a parameter, and as long as it is 0 nothing else learns.
    "branches times 0": (
        small(10, 64, residual=True, branch_scale=0.0), "vanishing", ["no gradient reaches", "branch_scale=0"]),
    # Goyal et al. 2017, 5.1: branches that start at 0 learn, where phi has a slope there.
    "branches of zeros": (small(10, 64, residual=True, scheme="zeros", **TANH), "healthy", ["layer 9", "branches"]),
    "dead branches of zeros": (
        small(10, 64, residual=True, scheme="zeros"), "vanishing", ["no gradient reaches", "weights are 0"]),
    # Xiong et al. 2020, section 3: pre-norm transformers have bounded gradients without warm-up.
    "24 pre-norm blocks": (small(24, 128, residual=True, normalize="layer"), "healthy", ["layer 23"]),
    # Radford et al. 2019, 2.3: GPT-2.
    "as GPT-2": (
        small(12, 256, residual=True, normalize="layer", branch_scale="1/sqrt(depth)", activation="gelu",
              scheme="normal", std=0.02), "healthy", ["layer 11"]),
    # Normalised ReLUs without skips: a factor of 1/sqrt(1 - 1/pi) = 1.21 a layer (Yang et al. 2019 for batch norm).
    "60 normalised relus": (
        small(60, 128, normalize="layer"), "exploding", ["layer 0", "it is the activation", "normalize='layer'"]),

    # LeCun et al. 1998, 4.3: inputs are to have mean 0 and variance 1.
    "relu on pixels": ({"inputs": PIXELS, "widths": [196, 128, 10]}, "growing", ["layer 1", "inputs", "rms 148"]),
    "relu on rms 6e5": ({"inputs": NORMAL * 6e5, "widths": [196, 128, 10]}, "exploding", ["layer 1", "inputs"]),
    "tanh on pixels": (
        {"inputs": PIXELS, "widths": [196, 128, 10], **XAVIER, **TANH}, "saturated",
        ["layer 0", "inputs are too large (rms 148"]),
    "relu6 on pixels": (
        {"inputs": PIXELS, "widths": [196, 128, 10], "activation": "relu6"}, "saturated", ["layer 0", "inputs"]),
    "tiny inputs": (
        {"inputs": NORMAL * 1e-5, "widths": [196, 64, 64]}, "vanishing", ["layer 1", "inputs are too small"]),
    "no input": ({"inputs": NORMAL * 0, "widths": [196, 64, 64]}, "vanishing", ["inputs are all 0"]),
    # IEEE 754: the largest half is 65504. 76000 is 4 standard deviations of He's z under inputs of rms 14,000.
    "float16 ends": (
        {"inputs": NORMAL * 14e3, "widths": [196, 128], "dtype": "float16"}, "exploding",
        ["layer 0", "65504", "inputs"]),

    # Its smallest number is 2^-24 = 6e-8.
    "float16 begins": (
        small(4, 64, residual=True, branch_scale=1e-8, dtype="float16", **TANH), "vanishing",
        ["layer 0", "6e-08", "branch_scale=1e-08"]),

    # Heads. Zero (Goyal et al. 2017; ViT) or small ones learn first; a single output is no loss of gradient.
    "a head of zeros": (
        {"weights": filled(drawn(64, 64, 64, 64, 10), 3, 0.0), "batch": 64, **TANH}, "healthy", ["layer 2", "head"]),
    "a small head": (
        {"weights": drawn(64, 64, 64, 64, 10, scales={3: 1e-3}), "batch": 64, **TANH}, "healthy", ["layer 2", "head"]),
    "a head that never learns": (
        {"weights": filled(drawn(64, 64, 64, 64, 10), 3, 0.0), "batch": 64}, "vanishing", ["no gradient", "head"]),
    "a head times 100": (
        {"weights": drawn(64, 64, 64, 64, 10, scales={3: 100}), "batch": 64}, "growing", ["layer 3", "head"]),
    "a head times 100 behind skips": (
        {"weights": drawn(64, 64, 64, 64, 10, scales={3: 100}), "batch": 64, "residual": True, "branch_scale": 0.1},
        "growing", ["layer 3", "head"]),
    "one output": ({"widths": [196, 256, 256, 1], "batch": 64}, "healthy", ["layer 2", "by norm"]),
    "fan_out on a narrow head": (
        {"widths": [196, 256, 256, 10], "batch": 64, "mode": "fan_out"}, "healthy", ["layer 2"]),
    "one layer times 100": (
        {"weights": drawn(64, 64, 64, 64, scales={1: 100}), "batch": 64}, "growing",
        ["weights of layer 1 are too large"]),
    "one layer of zeros amid others": (
        {"weights": filled(drawn(64, 64, 64, 64), 1, 0.0), "batch": 64, **TANH}, "vanishing",
        ["weights of layer 1 are 0"]),
    "squares that overflow": (
        {"weights": [NORMAL[:9, :16] * np.float64(1e300)], "batch": 8, "dtype": "float64"}, "exploding",
        ["layer 0", "weights are too large"]),
    "biases of 100": (small(5, 64, bias=100.0), "growing", ["layer 0", "biases"]),

    # What comes in as no number has not exploded.
    "NaN in the weights": (
        {"weights": filled(drawn(16, 16, 16), 1, np.nan), "batch": 8}, "nonfinite", ["256 of the weights of layer 1"]),
    "infinite in float16": (
        {"weights": [np.full((4, 4), 1e5)], "batch": 8, "dtype": "float16"}, "nonfinite",
        ["weights of layer 0", "65504"]),
    "NaN in the biases": (
        {"weights": drawn(16, 16, 16), "bias": [np.zeros(16), np.full(16, np.nan)], "batch": 8}, "nonfinite",
        ["16 of the biases of layer 1"]),
    "a logarithm": (small(3, 16, activation=logarithm), "nonfinite", ["layer 0", "it is the activation, logarithm"]),
    "a step": (small(3, 16, activation=step), "vanishing", ["it is the activation", "step"]),

    # Zeros around 2 x 2 images: 3 x 3 kernels read 4 of 9 pixels, and 0.44^(20/2) is left of 20 layers.
    "3 x 3 on 2 x 2": (
        {"depth": 20, "width": 64, "batch": 8, "conv": 3, "image": 2}, "vanishing",
        ["layer 19", "zeros around", "44 %"]),
    "3 x 3 on 8 x 8": ({"depth": 6, "width": 32, "batch": 8, "conv": 3, "image": 8}, "healthy", ["layer 5"]),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_the_verdict_on_what_is_known(name):
    arguments, verdict, words = KNOWN[name]
    result = fi.probe(**arguments)
    assert result.verdict == verdict, result.reason
    for word in words:
        assert word in result.reason, result.reason


def test_the_table_has_every_verdict():
    assert len(KNOWN) >= 40
    assert {verdict for _, verdict, _ in KNOWN.values()} == set(VERDICTS)


@pytest.mark.parametrize("seed", range(5))
def test_chance_does_not_decide_the_textbooks_cases(seed):
    """ReLU under 1/sqrt(n) loses sqrt(2) a layer, 1/32 in ten; under He a width of 100 strays by 0.25 in five."""
    for width in (100, 256):
        arguments = {"width": width, "batch": 64, "seed": seed}
        assert fi.probe(scheme="lecun_normal", depth=10, **arguments).verdict == "fading"
        assert fi.probe(depth=5, **arguments).verdict == "healthy"
        assert fi.probe(depth=10, **arguments).verdict == "healthy"


def test_the_verdicts_colours_and_styles_are_all_there():
    assert set(VERDICTS) == set(STYLES) == set(VERDICT_COLOURS)


def numbers_after(pattern, reason):
    return [float(x) for x in re.search(pattern, reason).groups()]


@pytest.mark.parametrize(("scheme", "factor"), [("lecun_normal", math.sqrt(0.5)), ("he_normal", 1.0)])
def test_the_factor_a_layer_and_its_horizon_are_those_of_theory(scheme, factor):
    activation, gain = ("relu", 1.0) if scheme == "lecun_normal" else ("linear", 2.0)
    result = fi.probe(scheme=scheme, activation=activation, depth=12, width=400, batch=64)
    expected = factor if activation == "relu" else math.sqrt(gain)
    pattern = r"layer 11 \(([\d.]+) a layer, (?:1/1000|1000 times) after (\d+) layers\)"
    rate, layers = numbers_after(pattern, result.reason)
    # 11 layers of 400 units: the logarithm of the factor a layer has a standard deviation of sqrt(v/(4 n 11)).
    assert abs(math.log(rate / expected)) < 4 * math.sqrt(5 / (4 * 400 * 11))
    assert layers == round(math.log(1000) / abs(math.log(rate))) == pytest.approx(20, abs=2)


def test_a_healthy_network_says_when_a_deeper_one_is_not():
    """Five ReLU layers under Xavier lose 0.707 each: twenty lose a thousand."""
    result = fi.probe(scheme="xavier_normal", depth=5, width=200, batch=64)
    assert result.verdict == "healthy"
    factor, layers = numbers_after(r"multiplies by ([\d.]+), which makes 1/1000 after (\d+) layers", result.reason)
    assert factor == pytest.approx(math.sqrt(0.5), rel=0.01)
    assert layers == 20
    assert "multiplies" not in fi.probe(depth=5, width=200, batch=64).reason


def test_with_and_without_a_backward_pass_the_verdicts_agree():
    for name in ("tanh under Xavier", "sigmoid under Xavier", "50 sigmoids", "chaotic", "ordered", "30 relus under He",
                 "sigmoid under 0.01", "20 linear layers under He", "24 pre-norm blocks", "tanh under 1"):  # fmt: skip
        arguments, verdict, _ = KNOWN[name]
        assert fi.probe(**arguments, backward=False).verdict == verdict, name


SCHEMES = st.one_of(
    st.sampled_from(["he_normal", "xavier_uniform", "lecun_normal", "zeros", "ones", "positive_unitball"]).map(
        lambda name: {"scheme": name}
    ),
    st.floats(-30, 3.9).map(lambda x: {"scheme": "normal", "std": 10.0**x}),
    st.floats(0.3, 4.0).map(lambda gain: {"sigma_w": gain}),
    st.floats(-2, 2).map(lambda value: {"scheme": "constant", "value": value}),
    st.floats(-2, 2).map(lambda low: {"scheme": "uniform", "low": low, "high": low + 0.5}),
)
NETWORKS = st.fixed_dictionaries(
    {"activation": st.sampled_from(["relu", "tanh", "sigmoid", "linear", "selu", "gelu", "relu6", "sin"]),
     "depth": st.integers(1, 40), "width": st.sampled_from([1, 2, 8, 24]), "batch": st.sampled_from([1, 2, 16]),
     "bias": st.sampled_from(["zeros", 0.01, -0.5, 30.0]), "sigma_b": st.sampled_from([0.0, 0.3, 5.0]),
     "backward": st.booleans(), "residual": st.booleans(), "normalize": st.sampled_from([None, "layer", "rms"]),
     "dtype": st.sampled_from(["float32", "float16", "bfloat16"]), "seed": st.integers(0, 3),
     "range": st.just((-4.0, 4.0))},
)  # fmt: skip
# What docs/probe.md says of the verdicts, written apart from the package.
FADING, LOST = math.log(16), math.log(1000)
LARGEST = {"float32": 3.4028235e38, "float16": 65504.0, "bfloat16": 3.3895314e38}
HOMOGENEOUS = ("relu", "linear")


def end_of(r):
    """The last layer that is judged: not a head whose weights are less than 1/16 of the others'."""
    gain = np.hypot(r.weight_mean, r.weight_std) * np.sqrt(r.widths[:-1])
    quiet = r.depth > 1 and not r.residual and gain[-1] < sorted(gain[:-1])[(r.depth - 1) // 2] / 16
    return r.depth - 1 - quiet


def changes(r):
    """Logarithms of what the layers, all of one width, do to the signal, to the gradient and to differences."""
    end, size, input_rms = end_of(r), np.hypot(r.mean, r.std), math.sqrt(r.input_q)
    # A layer of one number has no std.
    std, size = (size if r.batch * r.widths[1] == 1 else r.std)[: end + 1], size[: end + 1]
    with np.errstate(all="ignore"):
        if r.normalize:
            grown = np.log(size.max() / max(input_rms, 1.0))
            found = [
                np.log(std.min() / std[0]),
                grown if grown > LOST else 0.0,
            ]  # a normalisation stands behind the last
        else:
            start = input_rms if r.activation in HOMOGENEOUS else min(input_rms, 1.0)
            found = [np.log(std.min() / start) if r.depth > 1 else 0.0, max(np.log(size.max() / input_rms), 0.0)]
            found.append(max(np.log(size.max()), 0.0))
            if size[end] * 1000 < 1 and (r.depth > 1 or input_rms * 1000 < 1):
                found.append(np.log(size[end]))
        if end == r.depth - 1:  # with gradients or without: chi is no measurement
            found += [np.log(g / r.gradient_std[-1]) for g in (r.gradient_std.min(), r.gradient_std.max())]
        apart = np.sqrt(np.maximum(r.q * (1 - r.correlation), 0))
        spread = np.log(apart[end] / apart[0])
        found.append(spread * (spread < -LOST and r.correlation[0] < 1 - 1e-6))
    return np.nan_to_num(found, neginf=-1e9)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(NETWORKS, SCHEMES, st.sampled_from([1.0, 0.0, 1e-6, 100.0, 1e25]))
def test_no_verdict_contradicts_its_figures(network, scheme, scale):
    inputs = np.random.default_rng(1).standard_normal((network["batch"], network["width"])) * scale
    r = fi.probe(**network, **scheme, inputs=inputs)
    bad = (r.nonfinite > 0).any() or (np.maximum(-r.min, r.max) > LARGEST[r.dtype]).any()
    bad = bad or (r.gradient_nonfinite > 0).any() or (r.gradient_max > LARGEST[r.dtype]).any()
    silent = (r.weight_gradient_std == 0).all() or scale == 0
    measured = r.backward and end_of(r) == r.depth - 1
    logs = changes(r)
    least, most = min(logs.min(), 0.0), max(logs.max(), 0.0)
    if r.verdict == "healthy":
        assert not bad
        assert not silent
        assert max(-least, most) <= FADING + 1e-9
        assert not (r.saturated > 0.5).any()
        assert not ((r.dead > 0.9) & (r.q > 1e-60))[: end_of(r) + 1].any()
    elif r.verdict in ("fading", "growing"):
        assert not bad
        assert max(-least, most) <= LOST + 1e-9
        if measured:
            assert (most if r.verdict == "growing" else -least) > FADING
    elif r.verdict == "vanishing":
        assert silent or (r.gradient_std < 2**-24).any() or -least > LOST or not measured
    elif r.verdict == "exploding":
        assert bad or most > LOST or not measured
    elif r.verdict == "saturated":
        assert (r.saturated > 0.5 * (1 - r.zero)).any()
    elif r.verdict == "dead":
        assert (r.dead > 0.9).any() or (r.chi == 0).any()
    elif r.verdict == "symmetric":
        assert (r.weight_distinct <= 0.5 * np.array(r.widths[1:])).any()
    else:
        assert r.verdict == "nonfinite"
        assert bad or (r.weight_nonfinite > 0).any()


SAID = re.compile(r"the (?P<what>activations' (?:std|rms)|gradient's std) (?:falls|grows) from (?P<a>\S+) in layer "
                  r"(?P<i>\d+) to (?P<b>\S+) in layer (?P<j>\d+)")  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(NETWORKS, SCHEMES)
def test_the_numbers_of_a_reason_are_figures(network, scheme):
    result = fi.probe(**network, **scheme)
    figures = {
        "activations' std": result.std,
        "activations' rms": np.hypot(result.mean, result.std),
        "gradient's std": result.gradient_std,
    }
    for found in SAID.finditer(result.reason):
        values = figures[found["what"]]
        assert found["a"] == number(values[int(found["i"])])
        assert found["b"] == number(values[int(found["j"])])
    share = re.match(r"(\d+) % of the (activations|units) of layer (\d+)", result.reason)
    if share:
        values = result.saturated if share[2] == "activations" else result.dead
        assert share[1] == f"{100 * values[int(share[3])]:.0f}"
    for count, layer in re.findall(r"^(\d+) of the weights of layer (\d+)", result.reason):
        assert int(count) == result.weight_nonfinite[int(layer)]
    for ratio, last in re.findall(r"layer 0 gets (\S+) times the gradient of layer (\d+)", result.reason):
        assert ratio == number(result.gradient_std[0] / result.gradient_std[int(last)])
