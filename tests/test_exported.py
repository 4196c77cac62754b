"""What results are handed on as: HTML in notebooks, CSV, Parquet, TensorBoard and Weights & Biases."""

import csv
import html.parser
import math
import sys
import types

import numpy as np
import pytest
from optional import library

import fastinit as fi
from fastinit import theory

RESULT = fi.probe(activation="tanh", depth=3, width=8, batch=16, seed=1)
SWEPT = fi.sweep(depth=[1, 2], sigma_w=[0.5, 2.0], width=8, batch=16)
SHOWN = {
    "Scheme": (fi.get_scheme("normal", std=0.5), ["std", "0.5"]),
    "Plan": (fi.Plan([("**<b>", "zeros"), ("**", "he_normal")]), ["&lt;b&gt;", "he_normal"]),
    "ProbeResult": (RESULT, ["layer", "healthy", f"{RESULT.std[2]:.3g}"]),
    "SweepResult": (SWEPT, ["sigma_w", "depth", "verdict"]),
    "Recommendation": (
        fi.recommend(depth=2, width=8, batch=8, candidates=["he_normal", "zeros"]),
        ["he_normal", "zeros"],
    ),
    "FixedPoint": (theory.fixed_point("tanh", sigma_w=1.5), ["chi1", "q"]),
    "CriticalPoint": (theory.edge_of_chaos("gelu"), ["sigma_b"]),
    "DepthScales": (theory.depth_scales("tanh", sigma_w=1.5), ["xi_q"]),
    "Prediction": (theory.predict("relu", sigma_w=1.4, depth=4), ["correlation", "layer"]),
    "Curvature": (theory.curvature_map("tanh", sigma_w=1.4, q0=1.0, depth=4), ["kappa"]),
    "FiniteWidth": (theory.finite_width("relu", sigma_w=1.4, widths=[5, 6]), ["drift"]),
    "Moments": (theory.moments("relu"), ["second"]),
}


class Balanced(html.parser.HTMLParser):
    """Says whether tags are closed in their order, and what stands in cells."""

    def __init__(self):
        super().__init__()
        self.open, self.rows = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append(0)
        elif tag in ("td", "th"):
            self.rows[-1] += 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", SHOWN)
def test_a_notebook_gets_a_table(kind):
    value, words = SHOWN[kind]
    assert type(value).__name__ == kind
    text = value._repr_html_()
    page = Balanced()
    page.feed(text)
    assert page.open == []
    assert len(page.rows) >= 2
    assert len({*page.rows}) == 1  # as many cells in each row
    assert all(word in text for word in words), text
    assert "<b>" not in text


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_csv_has_the_data_frames_rows(tmp_path):
    RESULT.to_csv(tmp_path / "p.csv")
    head, *body = rows(tmp_path / "p.csv")
    frame = RESULT.to_pandas()
    assert head == list(frame.columns)
    for name in ("layer", "std", "gradient_std", "nonfinite"):
        assert [float(row[head.index(name)]) for row in body] == frame[name].tolist()
    forward = fi.probe(depth=1, width=4, batch=4, backward=False)
    forward.to_csv(tmp_path / "p.csv")
    head, row = rows(tmp_path / "p.csv")
    assert row[head.index("gradient_std")] == ""
    SWEPT.to_csv(tmp_path / "s.csv")
    head, *body = rows(tmp_path / "s.csv")
    assert [row[: len(SWEPT.to_pandas().columns)] for row in body]
    assert len(body) == len(SWEPT.to_pandas()) == 2 * (1 + 2)
    with pytest.raises(OSError, match="nowhere"):
        RESULT.to_csv(tmp_path / "nowhere" / "p.csv")


def test_parquet_is_read_by_pandas(tmp_path):
    library("pyarrow")
    pandas = library("pandas")
    for result in (RESULT, SWEPT):
        result.to_parquet(tmp_path / "r.parquet")
        found = pandas.read_parquet(tmp_path / "r.parquet")
        pandas.testing.assert_frame_equal(found, result.to_pandas(), check_dtype=False)


def test_without_pyarrow_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install .fastinit-kernels\[parquet\]"):
        RESULT.to_parquet(tmp_path / "r.parquet")
    assert list(tmp_path.iterdir()) == []


class Writer:
    """What a SummaryWriter is asked."""

    def __init__(self):
        self.scalars, self.histograms = {}, []

    def add_scalar(self, tag, value, step):
        self.scalars[tag, step] = value

    def add_histogram_raw(self, tag, **words):
        self.histograms.append((tag, words))


def test_tensorboard_gets_every_figure_and_the_histograms():
    writer = Writer()
    RESULT.to_tensorboard(writer, prefix="init")
    assert [writer.scalars["init/std", layer] for layer in range(3)] == RESULT.std.tolist()
    assert not any(math.isnan(value) for value in writer.scalars.values())
    for layer, (tag, words) in enumerate(writer.histograms):
        assert (tag, words["global_step"]) == ("init/activations", layer)
        assert words["bucket_counts"] == RESULT.histogram[layer].tolist()
        assert words["num"] == RESULT.histogram[layer].sum()
        # From the middles of bins: half a bin's width off at most.
        width = np.diff(RESULT.bin_edges[layer]).max()
        assert abs(words["sum"] / words["num"] - RESULT.mean[layer]) <= width / 2
    with pytest.raises(TypeError, match="argument 'writer' must be a SummaryWriter or a folder, got 3"):
        RESULT.to_tensorboard(3)


def test_wandb_gets_them_too(monkeypatch):
    class Histogram:
        def __init__(self, np_histogram):
            self.counts = np_histogram[0]

    class Run(list):
        def define_metric(self, name, step_metric):
            assert (name, step_metric) == ("fastinit/*", "fastinit/layer")

        log = list.append

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(Histogram=Histogram))
    run = Run()
    RESULT.to_wandb(run)
    assert [values["fastinit/layer"] for values in run] == [0, 1, 2]
    assert [values["fastinit/std"] for values in run] == RESULT.std.tolist()
    assert run[1]["fastinit/activations"].counts.tolist() == RESULT.histogram[1].tolist()
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"fastinit-kernels\[wandb\]"):
        RESULT.to_wandb(run)
    with pytest.raises(TypeError, match="argument 'run' must be a run of wandb, got None"):
        RESULT.to_wandb(None)
