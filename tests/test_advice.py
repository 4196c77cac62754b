"""Advice: the ranking against probes made one by one, the known winners, the words and the errors."""

import contextlib
import dataclasses
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest

import fastinit as fi
from fastinit.probing import advice, candidates
from fastinit.probing.advice import Candidate, Recommendation, recommend

SMALL = {"depth": 12, "width": 48, "batch": 32}


def factors(result):
    """The factors a layer, from the definition."""
    steps = len(result.mean) - 1
    rms = [math.sqrt(m**2 + s**2) for m, s in zip(result.mean, result.std, strict=True)]
    return (rms[-1] / rms[0]) ** (1 / steps), (result.gradient_std[0] / result.gradient_std[-1]) ** (1 / steps)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_the_ranking_is_that_of_single_probes(activation):
    names = ["xavier_uniform", "he_normal", ("normal", {"std": 0.01}), ("normal", {"std": 0.5}),
             ("he_normal", {"scale": 0.8})]  # fmt: skip
    found = recommend(activation=activation, candidates=names, sigma_b=0.05, seed=4, **SMALL)
    best = [math.log(factor) for factor in found.at_best]
    for candidate in found:
        single = fi.probe(scheme=candidate.scheme, activation=activation, sigma_b=0.05, seed=4, **SMALL)
        forward, backward = factors(single)
        assert candidate.forward == pytest.approx(forward, rel=1e-12)
        assert candidate.backward == pytest.approx(backward, rel=1e-12)
        score = abs(math.log(forward) - best[0]) + abs(math.log(backward) - best[1])
        assert candidate.score == pytest.approx(score, rel=1e-9)
        assert (candidate.verdict, candidate.reason) == (single.verdict, single.reason)
        np.testing.assert_array_equal(candidate.results[0].q, single.q)
    grades = {"healthy": 0, "fading": 1, "growing": 1}
    order = [(grades.get(c.verdict, 2), c.score) for c in found]
    assert order == sorted(order)
    assert len(found) == len(names)


# sigma_w of the winner over 30 layers, from theory: He's for ReLU; for tanh between 1, whose signal dies as 1/l, and
# 5/3, whose gradient explodes by sqrt(1.21) a layer; for SELU 1, its fixed point (0, 1); for linear layers 1.
@pytest.mark.parametrize(
    ("activation", "low", "high"),
    [("relu", 1.41, 1.42), ("tanh", 1.2, 1.6), ("selu", 0.99, 1.01), ("linear", 0.99, 1.01)],
)
def test_the_known_winners_win(activation, low, high):
    found = recommend(activation=activation, depth=30, width=128, batch=48, seed=range(2))
    law = found.best.scheme.law(fi.Fans(100, 100))
    assert low < math.sqrt(100 * law.variance) < high
    assert found.best.verdict == "healthy"


def test_several_seeds_average_the_logarithms():
    one, two = (recommend(candidates=["he_normal"], seed=s, **SMALL).best for s in (1, 2))
    both = recommend(candidates=["he_normal"], seed=[1, 2], **SMALL)
    assert both.best.forward == pytest.approx(math.sqrt(one.forward * two.forward), rel=1e-12)
    assert both.best.backward == pytest.approx(math.sqrt(one.backward * two.backward), rel=1e-12)
    assert both.seeds == (1, 2)
    assert [r.seed for r in both.best.results] == [1, 2]


def test_healthy_only_if_healthy_under_every_seed(monkeypatch):
    measure = advice.measure

    def sick(network):
        result = measure(network)
        return dataclasses.replace(result, verdict="dead", reason="so said") if network.seed == 3 else result

    monkeypatch.setattr(advice, "measure", sick)
    assert recommend(candidates=["he_normal"], seed=[1, 2], **SMALL).best.verdict == "healthy"
    found = recommend(candidates=["he_normal"], seed=[1, 2, 3], **SMALL).best
    assert (found.verdict, found.reason) == ("dead", "so said")


def test_the_same_arguments_give_the_same_words():
    first, second = (recommend(activation="tanh", **SMALL) for _ in range(2))
    assert str(first) == str(second)
    assert [c.score for c in first] == [c.score for c in second]


def test_a_law_is_tried_once_by_default():
    square = [c.label for c in recommend(**SMALL)]
    assert sorted(square) == [
        "he_normal", "he_normal(truncated=True)", "he_uniform", "xavier_normal", "xavier_uniform",
    ]  # fmt: skip
    other = [c.label for c in recommend(widths=[40, 20, 60, 30], batch=16)]
    assert {"he_normal", "he_normal(mode=fan_out)", "lecun_normal", "xavier_normal"} <= set(other)


def test_the_critical_gain_is_among_the_defaults():
    """On the critical line of tanh, (sigma_w^2, sigma_b^2) = (1.688, 0.03804) at q = 0.5."""
    sigma_w, sigma_b = fi.theory.edge_of_chaos("tanh", 0.5)
    found = recommend(activation="tanh", sigma_b=sigma_b, **SMALL)
    gains = [c.scheme.params["gain"] for c in found if c.scheme.name == "variance_scaling"]
    assert min(abs(gain - sigma_w) for gain in gains) < 1e-9


@pytest.mark.parametrize(
    ("activation", "sigma_b", "expected"),
    [
        ("tanh", 0.0, 1.0),
        ("relu", 0.0, math.sqrt(2)),
        ("relu", 0.1, None),  # critical only at (2, 0)
        ("gelu", 0.0, None),  # chi_1 = 1 at q = 0, where sigma_w = 2, but q runs away from there
        ("sigmoid", 0.0, 10.149263710019527),  # at q = 45.6242778, by scipy.integrate.quad
    ],
)
def test_critical_gains(activation, sigma_b, expected):
    assert candidates._critical(activation, None, sigma_b) == (
        expected if expected is None else pytest.approx(expected)
    )


def test_the_activations_parameter_reaches_scheme_and_activation():
    found = recommend(activation="leaky_relu", negative_slope=0.5, candidates=["he_normal", "xavier_normal"], **SMALL)
    he = next(c for c in found if c.scheme.name == "he_normal")
    assert he.scheme.law(fi.Fans(10, 10)).variance == pytest.approx(2 / (1 + 0.25) / 10)
    single = fi.probe(scheme="he_normal", activation="leaky_relu", negative_slope=0.5, **SMALL)
    np.testing.assert_array_equal(he.results[0].q, single.q)
    assert (
        recommend(activation="elu", alpha=0.5, candidates=["he_normal"], **SMALL).best.results[0].params["alpha"] == 0.5
    )


def test_the_best_scheme_is_ready_for_init():
    best = recommend(candidates=["xavier_normal", "he_normal"], **SMALL).best
    np.testing.assert_array_equal(fi.init(best.scheme, (8, 8), seed=1), fi.init("he_normal", (8, 8), seed=1))


def test_ruined_networks_come_last_and_have_no_score():
    wild = ("normal", {"std": 1e30})
    found = recommend(candidates=[wild, "zeros", "he_normal"], **SMALL)
    assert found.best.label == "he_normal"
    assert [c.score for c in found][1:] == [math.inf, math.inf]
    assert {c.verdict for c in found.candidates[1:]} == {"exploding", "symmetric"}
    assert "inf" in str(found)
    recommend(candidates=[wild, "zeros"], **SMALL)  # no finite score at all: still words, no warning


def test_the_words():
    relu = recommend(activation="relu", depth=12, width=128, batch=32)
    best = relu.best
    assert relu.why.startswith(
        f"{best.label} keeps the signal best: a layer multiplies the activations by {best.forward:.3f} and the "
        f"gradient by {best.backward:.3f}. In theory its sigma_w = "
    )
    assert "sigma_w = 1.414 has q* = 1 and chi_1 = 1, the edge of chaos" in relu.why
    # sqrt(5/4 / width / layers) by the fourth moment of the half normal: 3/2 over the square of 1/2, less 1.
    moved = 100 * math.sqrt(1.25 / 128 / 11 / 3)
    assert f"12 layers on 128 units chance moves a factor by about {moved:.2g} % in the mean of 3 seeds" in relu.why
    assert "chaotic" in recommend(activation="tanh", candidates=["he_normal"], **SMALL).why
    assert "ordered" in recommend(activation="tanh", candidates=[("lecun_normal", {"gain": 0.9})], **SMALL).why
    assert "unstable" in recommend(candidates=[("lecun_normal", {"gain": 1.6})], **SMALL).why
    sigmoid = recommend(activation="sigmoid", depth=30, width=32, batch=16)
    assert sigmoid.why.startswith("No candidate keeps the signal through 30 layers; ")
    assert "In theory" not in recommend(bias=0.1, **SMALL).why


def test_the_chance_named_is_the_spread_from_seed_to_seed():
    """The std of 40 logarithms is known within 1 / sqrt(2 * 40) = 11 %; 3.5 of that.

    One row: no averaging over inputs, which would take some of the spread away.
    """
    found = recommend(candidates=["he_normal"], depth=12, width=48, batch=1, seed=range(40))
    logs = [math.log(factors(r)[0]) for r in found.best.results]
    assert np.std(logs, ddof=1) == pytest.approx(math.sqrt(1.25 / 48 / 11), rel=3.5 * 0.11)


def test_equal_laws_stand_in_the_order_of_their_names():
    """xavier_normal and lecun_normal draw the same weights in a square network."""
    for activation, best in (("selu", "lecun_normal"), ("tanh", "xavier_normal")):
        for names in (["xavier_normal", "lecun_normal"], ["lecun_normal", "xavier_normal"]):
            assert recommend(activation=activation, candidates=names, seed=0, **SMALL).best.label == best


def test_schemes_that_differ_by_chance_alone_stand_in_the_order_given():
    """One variance in every layer: the figures of each seed decide nothing between them."""
    alike = ["he_uniform", ("he_normal", {"truncated": True}), "he_normal"]
    for seed in range(4):
        found = recommend(candidates=["xavier_normal", *alike], depth=4, width=64, seed=seed)
        assert [c.label for c in found][:3] == ["he_uniform", "he_normal(truncated=True)", "he_normal"]
        assert "so that another seed may prefer he_normal(truncated=True) or he_normal" in found.why
    assert "another seed" not in recommend(candidates=["he_normal", "zeros"], **SMALL).why


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        ("selu", "lecun_normal"),  # Klambauer et al. 2017, section 2
        ("tanh", "xavier_normal"),  # Glorot and Bengio 2010, section 4.2
        ("linear", "xavier_normal"),
        ("relu", "he_normal"),  # He et al. 2015, section 2.2
        ("leaky_relu", "he_normal"),
    ],
)
def test_of_equal_laws_the_one_of_the_literature_is_tried_and_named(activation, name):
    """In a square network xavier_normal and lecun_normal are one law, and so are the fans' modes."""
    found = recommend(activation=activation, seed=0, **SMALL)
    names = [candidate.label.partition("(negative_slope=0.01")[0] for candidate in found]
    assert name in names
    assert not {"xavier_normal", "lecun_normal"} <= set(names)
    laws = [(type(law := c.scheme.law(fi.Fans(48, 48))), round(law.variance, 12)) for c in found]
    assert len(set(laws)) == len(laws)
    group = {v for k, v in laws if names[laws.index((k, v))] == name}
    assert next(label for label, (_, v) in zip(names, laws, strict=True) if v in group) == name


def test_a_narrow_head_is_the_architectures_not_the_schemes():
    """By the std of a unit's gradient, fan_out would win: He's own keeps the norm, and logits of std 1 with it."""
    for head in (10, 1):
        found = recommend(widths=[784, 256, 256, head], batch=64, seed=range(3))
        assert found.candidates[-1].label == "he_normal(mode=fan_out)"
        he = next(candidate for candidate in found if candidate.label == "he_normal")
        # The norm's factor under He's weights is 1 but for chance: sqrt(5/4 (1/256 + 1/head)) in all, in three seeds.
        assert abs(2 * math.log(he.backward)) < 3 * math.sqrt(1.25 * (2 / 256 + 1 / head) / 3)
        if head == 10:  # a single output is no measure of a signal's size
            assert found.best is he


def test_what_the_width_takes_is_said_and_not_held_against_a_scheme():
    """E ln of a mean of n squares is below ln E by half their variance over n: exp(-5/(4 n)) a ReLU layer."""
    found = recommend(width=10, depth=200, batch=16, candidates=["xavier_normal", "he_normal"])
    assert found.at_best == pytest.approx((math.exp(-5 / 40),) * 2)
    assert "chance alone takes a factor of exp(-5/(4 n)) = 0.8825 a layer, 1.4e-11 over all 200" in found.why
    assert "that is the width's, and no scheme changes it" in found.why
    assert found.best.label == "he_normal"
    assert found.best.verdict == "vanishing"
    assert "width" in found.best.reason
    # Weights that make up for the drift would let the mean square explode: they are no better.
    wide = recommend(width=512, depth=4, batch=16, candidates=["he_normal"])
    assert wide.at_best[0] > 0.997
    assert "width's" not in wide.why
    linear = recommend(activation="linear", width=16, depth=4, batch=16, candidates=["lecun_normal"], seed=0)
    assert linear.at_best == pytest.approx((math.exp(-2 / 64),) * 2)
    tanh = recommend(activation="tanh", width=16, depth=4, batch=16, candidates=["lecun_normal"], seed=0)
    assert tanh.at_best[0] == 1.0


def test_the_spread_is_that_of_the_scores_of_single_seeds():
    several = recommend(candidates=["he_normal"], seed=range(4), **SMALL)
    scores = [recommend(candidates=["he_normal"], seed=seed, **SMALL).best.score for seed in range(4)]
    assert several.best.spread == pytest.approx(np.std(scores, ddof=1), rel=1e-9)
    assert math.isnan(recommend(candidates=["he_normal"], seed=0, **SMALL).best.spread)
    assert recommend(candidates=["he_normal"], **SMALL).seeds == (0, 1, 2)


def test_advice_goes_straight_into_init_probe_and_sweep():
    found = recommend(activation="tanh", candidates=[("variance_scaling", {"gain": 1.5}), "zeros"], seed=0, **SMALL)
    scheme = found.best.scheme
    expected = fi.init(scheme, (8, 9), seed=3)
    for taken in (found, found.best):
        np.testing.assert_array_equal(fi.init(taken, (8, 9), seed=3), expected)
        measured = fi.probe(scheme=taken, activation="tanh", **SMALL)
        np.testing.assert_array_equal(measured.q, found.best.results[0].q)
        swept = fi.sweep(scheme=taken, activation="tanh", seed=[0, 1], **SMALL)
        np.testing.assert_array_equal(swept.results[0].q, measured.q)
        assert swept.grid["scheme"] == (scheme,)
    both = fi.sweep(scheme=list(found), activation="tanh", **SMALL)
    assert both.grid["scheme"] == tuple(c.scheme for c in found)
    assert [r.scheme for _, r in both] == ["variance_scaling", "zeros"]
    again = recommend(activation="tanh", candidates=list(found), seed=0, **SMALL)
    assert [c.scheme for c in again] == [c.scheme for c in found]
    with pytest.raises(ValueError, match="argument 'gain' must be given to get_scheme, not beside its result"):
        fi.init(found, (8, 9), gain=2.0)
    with pytest.raises(ValueError, match="argument 'scheme' must not repeat a value"):
        fi.sweep(scheme=[found, found.best], **SMALL)
    with pytest.raises(TypeError, match="argument 'scheme' must be a string, got ProbeResult"):
        fi.init(found.best.results[0], (8, 9))


def test_it_prints_and_iterates():
    found = recommend(candidates=["he_normal", ("normal", {"std": 0.25})], **SMALL)
    assert isinstance(found, Recommendation)
    assert all(isinstance(c, Candidate) for c in found)
    lines = str(found).splitlines()
    assert lines[0] == "relu, 12 x 48: factors a layer"
    assert lines[1].split() == ["scheme", "forward", "backward", "score", "±", "verdict"]
    assert lines[2].split()[:2] == ["1", found.best.label]
    assert lines[4].split() == ["at", "best", *(f"{factor:.4f}" for factor in found.at_best), "0.0000"]
    single = recommend(candidates=["he_normal"], seed=0, **SMALL).table()
    assert single.columns == ("", "scheme", "forward", "backward", "score", "verdict")
    assert lines[-1] == found.why
    assert repr(found) == f"Recommendation(relu, 12 x 48: {found.best.label})"
    assert repr(found.best).startswith(f"Candidate({found.best.label}: {found.best.verdict}, score ")
    assert "normal(std=0.25)" in str(found)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.activation = "tanh"


def test_nothing_loads_numba_before_it_draws(python):
    assert python("import sys, fastinit.probing.advice; print('numba' in sys.modules)").strip() == "False"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"activation": "rleu"}, ValueError, "did you mean 'relu'"),
        ({"depth": 1}, ValueError, "argument 'depth' must be an integer >= 2 .* got 1"),
        ({"depth": 0}, ValueError, "argument 'depth'"),
        ({"depth": -3}, ValueError, "argument 'depth'"),
        ({"depth": 2.5}, TypeError, "argument 'depth'"),
        ({"widths": [10, 10]}, ValueError, "argument 'depth' .* got 1"),
        ({"width": 0}, ValueError, "argument 'width'"),
        ({"batch": 0}, ValueError, "argument 'batch'"),
        ({"sigma_b": -1}, ValueError, "argument 'sigma_b'"),
        ({"bias": "ones"}, ValueError, "argument 'bias'"),
        ({"seed": -1}, ValueError, "argument 'seed'"),
        (
            {"seed": []},
            ValueError,
            r"argument 'seed' must be an integer in \[0, 2\*\*64\), or from 1 to 65536 of them, got \[\]",
        ),
        ({"seed": "0"}, TypeError, "argument 'seed'"),
        ({"seed": None}, TypeError, "argument 'seed'"),
        ({"seed": [0, 2**64]}, ValueError, "argument 'seed'"),
        ({"candidates": []}, ValueError, r"argument 'candidates' must hold from 1 to 65536 schemes, got \[\]"),
        ({"candidates": "he_normal"}, TypeError, "argument 'candidates' must be a list of schemes, got 'he_normal'"),
        ({"candidates": 3}, TypeError, "argument 'candidates' must be a list of schemes, got 3"),
        ({"candidates": ["he_norml"]}, ValueError, "argument 'candidates' .* did you mean 'he_normal'"),
        ({"candidates": ["he_normal", 7]}, TypeError, "argument 'candidates' must hold scheme names, pairs"),
        ({"candidates": [("he_normal", 2)]}, TypeError, "argument 'candidates' must hold scheme names, pairs"),
        ({"candidates": [("normal", {"sd": 1})]}, ValueError, "argument 'sd' must be a parameter of scheme 'normal'"),
        ({"candidates": [("normal", {"std": -1})]}, ValueError, "std"),
        ({"scheme": "he_normal"}, TypeError, "recommend.. decides argument 'scheme' itself"),
        ({"sigma_w": 1.0}, TypeError, "recommend.. decides argument 'sigma_w' itself"),
        ({"backward": False}, TypeError, "recommend.. decides argument 'backward' itself"),
        ({"dtpye": "float32"}, TypeError, "recommend.. has no argument 'dtpye'; did you mean 'dtype'"),
        ({"gain": 2.0}, TypeError, "recommend.. has no argument 'gain'"),
        ({"dtype": "int8"}, ValueError, "argument 'dtype'"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_drawn(arguments, error, words, monkeypatch):
    def never(network):
        raise AssertionError("drawn")

    monkeypatch.setattr(advice, "measure", never)
    with pytest.raises(error, match=words):
        recommend(**arguments)


def test_the_page_shows_what_its_code_prints():
    page = (Path(__file__).parent.parent / "docs" / "probe.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```\n```\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == page.count("```python") > 0
    names = {}
    for code, shown in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        assert printed.getvalue().split() == shown.split()
