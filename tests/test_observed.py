"""Figures of arrays of somebody else's network mean what those of `probe` mean."""

import json
import math

import numpy as np
import pytest

import fastinit as fi
from fastinit.probing.coordinates import Coordinate, coordinates
from fastinit.probing.module_result import result_of
from fastinit.probing.observed import (
    OBSERVED,
    LayerRecord,
    gradient_figures,
    histogram,
    output_figures,
    weight_figures,
)


def test_every_figure_has_its_row():
    from fastinit.probing.figures import FIGURES

    assert {*OBSERVED} <= {*FIGURES}


def test_the_figures_are_those_of_a_probe():
    """A layer computed by NumPy from the same tensors."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 24)).astype(np.float32)
    w = rng.standard_normal((24, 32)).astype(np.float32) / 4
    w[:, 7] = w[:, 3]
    w[:, 5] = -np.abs(w[:, 5])
    result = fi.probe(weights=[w], inputs=np.abs(x), activation="tanh", backward=False)
    a = np.tanh(np.abs(x) @ w)
    found = output_figures(a, 1, (-0.97, 0.97))
    for name in ("mean", "std", "min", "max", "saturated", "zero", "dead", "distinct", "nonfinite"):
        assert found[name] == pytest.approx(getattr(result, name)[0], rel=1e-5, abs=1e-6), name
    z = output_figures(np.abs(x) @ w, 1)
    assert z["correlation"] == pytest.approx(result.correlation[0], rel=1e-5)
    mine = weight_figures(w, None, 1)
    for name in ("weight_mean", "weight_std", "weight_distinct", "weight_nonfinite"):
        assert mine[name] == pytest.approx(getattr(result, name)[0], rel=1e-5), name
    assert mine["weight_distinct"] == 31


def test_infinities_and_nothing_are_told():
    values = np.array([[1.0, np.inf], [np.nan, 3.0]])
    assert output_figures(values, 1)["nonfinite"] == 2
    assert output_figures(values, 1)["mean"] == 2.0
    assert gradient_figures(np.array([np.nan, -4.0, 0.0]))["gradient_max"] == 4.0
    assert gradient_figures(np.array([np.nan, -4.0, 0.0]))["gradient_zero"] == 0.5
    assert gradient_figures(np.full(3, np.nan)) == {"gradient_nonfinite": 3.0}


def test_the_channel_axis():
    images = np.zeros((4, 3, 2, 2))
    images[:, 1] = np.random.default_rng(0).standard_normal((4, 2, 2))
    found = output_figures(images, 1)
    assert (found["distinct"], found["dead"]) == (2.0, pytest.approx(2 / 3))


def test_a_histogram_counts_what_lies_outside():
    counts, edges, below, above = histogram(np.array([-3.0, -1.0, 0.0, 1.0, 5.0, np.nan]), 2, (-1.0, 1.0))
    assert (counts.tolist(), edges.tolist(), below, above) == ([1, 2], [-1.0, 0.0, 1.0], 1, 1)
    assert histogram(np.full(5, 2.0), 4, None)[0].sum() == 5
    assert histogram(np.full(5, np.nan), 4, None)[0].sum() == 0


def record(name="l", fan_in=16.0, **figures):
    usual = {"mean": 0.0, "std": 1.0, "dead": 0.0, "nonfinite": 0.0, "distinct": 16.0, "weight_std": 0.25,
             "weight_mean": 0.0, "weight_distinct": 16.0, "updated_distinct": 16.0, "weight_gradient_std": 1.0,
             "gradient_std": 1.0, "gradient_zero": 0.1, "weight_nonfinite": 0.0}  # fmt: skip
    kept = {k: v for k, v in (usual | figures).items() if fan_in or not k.startswith(("weight", "updated"))}
    counts, edges = np.ones(3, np.int64), np.linspace(-1, 1, 4)
    return LayerRecord(name, "Linear", (8, 16), kept, fan_in, int(16 * fan_in), counts, edges)


CASES = {
    "healthy": [record("a"), record("b")],
    "nonfinite": [record("a", weight_nonfinite=3.0)],
    "exploding": [record("a"), record("b", std=1e5)],
    "growing": [record("a"), record("b", std=30.0)],
    "fading": [record("a", std=1.0), record("b", std=0.05)],
    "vanishing": [record("a", weight_gradient_std=1e-4), record("b")],
    "saturated": [record("a"), record("t", fan_in=0, saturated=0.8)],
    "dead": [record("a"), record("r", fan_in=0, dead=0.95)],
    "symmetric": [record("a", weight_distinct=1.0, updated_distinct=1.0), record("b")],
}


@pytest.mark.parametrize("verdict", CASES)
def test_verdicts(verdict):
    result = result_of("net", CASES[verdict], loss=math.nan, classes=None, unused=(), seconds=0.0)
    assert result.verdict == verdict, result.reason
    if verdict != "healthy":
        assert any(f" {r.name}" in result.reason for r in CASES[verdict])


def test_a_zero_head_is_not_symmetric():
    records = [record("a"), record("head", weight_distinct=1.0, weight_std=0.0, updated_distinct=16.0, std=0.0)]
    assert result_of("net", records, loss=math.nan, classes=None, unused=(), seconds=0.0).verdict == "healthy"


def test_a_certain_softmax_is_told():
    result = result_of("net", CASES["healthy"], loss=60.0, classes=100, unused=(), seconds=0.0)
    assert result.verdict == "growing"
    assert "ln(classes) = 4.605" in result.reason


def test_results_are_shown_and_kept(tmp_path):
    result = result_of("net", CASES["healthy"], loss=2.3, classes=10, unused=("x",), seconds=0.5)
    assert str(result.table()).splitlines()[1].split()[:3] == ["layer", "kind", "sigma_w"]
    assert result.to_pandas()["std"].tolist() == [1.0, 1.0]
    result.save(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["names"] == ["a", "b"]
    for name in ("r.png", "r.svg"):
        result.plot(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 10_000
    with pytest.raises(AttributeError):
        result.nothing  # noqa: B018


def rows(exponents, noise=0.0):
    return [
        Coordinate(width, seed, step, layer, (width / 64) ** (p if step else 0.0) * (1 + noise * seed))
        for width in (64, 128, 256)
        for seed in (0, 1)
        for step in (0, 1)
        for layer, p in exponents.items()
    ]


def test_coordinates_have_the_exponents_that_they_were_made_with(tmp_path):
    result = coordinates("m", rows({"a": 0.5, "b": -0.125, "c": 0.0}))
    assert [result.slope(layer, 1) for layer in "abc"] == pytest.approx([0.5, -0.125, 0.0])
    assert [result.slope(layer, 0) for layer in "abc"] == pytest.approx([0.0, 0.0, 0.0])
    assert (result.verdict, "outputs of a go like width^0.50" in result.reason) == ("growing", True)
    assert coordinates("m", rows({"a": -0.5})).verdict == "shrinking"
    assert coordinates("m", rows({"a": 0.2}, noise=0.1)).verdict == "stable"
    lost = [*rows({"a": 0.0}), Coordinate(64, 0, 1, "z", math.inf)]
    assert coordinates("m", lost).verdict == "nonfinite"
    assert len(result.to_pandas()) == 36
    assert "exponent, step 1" in str(result.table())
    result.save(tmp_path / "c.json")
    result.plot(tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 10_000
