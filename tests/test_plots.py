"""Pictures: written whole, without pyplot, their text in place."""

import subprocess
import sys

import numpy as np
import pytest
from optional import library

import fastinit as fi
from fastinit.showing import plots

matplotlib = library("matplotlib")


@pytest.fixture(scope="module")
def result():
    return fi.probe(scheme="xavier_normal", activation="tanh", depth=3, width=20, batch=30)


MAGIC = [("", b"\x89PNG"), (".png", b"\x89PNG"), (".SVG", b"<?xml"), (".svg", b"<?xml"), (".pdf", b"%PDF")]


@pytest.mark.parametrize(("suffix", "magic"), MAGIC)
def test_the_suffix_is_the_format(result, tmp_path, suffix, magic):
    path = tmp_path / f"probe{suffix}"
    result.plot(path)
    assert path.read_bytes().startswith(magic)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "arguments",
    [
        {"scheme": "zeros"},
        {"scheme": "normal", "std": 1e30},
        {"scheme": "normal", "std": 1e-30},
        {"backward": False},
        {"depth": 1},
        {"depth": 37},
        {"batch": 1},
        {"widths": [5, 1]},
        {"activation": "softplus", "bias": 0.5, "sigma_b": 0.1},
        {"activation": "leaky_relu", "negative_slope": 0.3},
    ],
    ids=str,
)
def test_every_kind_of_network_can_be_drawn(arguments, tmp_path):
    """Warnings are errors here: no empty axis, no layout that did not converge, no log of 0."""
    fi.probe(**{"depth": 3, "width": 12, "batch": 10, **arguments}).plot(tmp_path / "probe.png")
    assert (tmp_path / "probe.png").stat().st_size > 5000


def test_weights_and_biases_as_arrays_can_be_drawn(tmp_path):
    weights = [np.eye(4), np.full((4, 3), np.nan)]
    fi.probe(weights=weights, bias=[np.ones(4), np.ones(3)], batch=6).plot(tmp_path / "probe.png")


def drawn(monkeypatch, draw, *arguments, **keywords):
    """Return the figure instead of writing it."""
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))
    draw(*arguments, "unused.png", **keywords)
    figures[0].draw_without_rendering()
    return figures[0]


def overlaps(figure):
    """Return pairs of texts that cover each other."""
    beyond = set()  # tick labels outside the view, which are there but not drawn
    for axes in figure.findobj(matplotlib.axes.Axes):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            beyond |= {tick.label1 for tick in ticks if not low <= tick.get_loc() <= high}
    texts = [
        t for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text().strip() and t not in beyond
    ]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    inside = [(words, b) for words, b in boxes if b.width and b.x1 > 0 and b.y1 > 0]
    return [
        (a, b)
        for i, (a, box) in enumerate(inside)
        for b, other in inside[i + 1 :]
        if box.x0 < other.x1 - 1 and other.x0 < box.x1 - 1 and box.y0 < other.y1 - 1 and other.y0 < box.y1 - 1
    ]


def test_no_text_covers_another(result, monkeypatch):
    deep = fi.probe(scheme="normal", std=0.3, depth=30, width=20, batch=30)
    tiny = fi.probe(scheme="normal", std=0.00123, depth=5, width=20, batch=30)
    huge = fi.probe(scheme="constant", value=0.1, activation="relu", depth=24, width=500, range=(0, 1e37))
    for draw, arguments, keywords in (
        (plots.plot_probe, (deep,), {}),
        (plots.plot_probe, (huge,), {}),
        (plots.plot_histograms, ({"Xavier": result, "N(0, 0.01²)": result},), {"title": "Activations"}),
        (plots.plot_histograms, ({"He": tiny, "Xavier": tiny},), {"title": "Activations"}),
        (plots.plot_histograms, ({"constant": huge},), {"title": "Activations"}),
        (plots.plot_signal, ({"tanh": {"Xavier": result}, "relu": {"He": result}},), {"title": "Signal"}),
    ):
        assert overlaps(drawn(monkeypatch, draw, *arguments, **keywords)) == []


def test_the_overlap_test_can_fail(result, monkeypatch):
    figure = drawn(monkeypatch, plots.plot_probe, result)
    figure.text(0.5, 0.5, "one")
    figure.text(0.5, 0.5, "two")
    assert ("one", "two") in overlaps(figure)


def test_the_histogram_shows_the_counts(result, monkeypatch):
    figure = drawn(monkeypatch, plots.plot_probe, result)
    axes = figure.findobj(matplotlib.axes.Axes)
    stairs = axes[0].patches[0].get_data()
    np.testing.assert_array_equal(stairs.values, result.histogram[0])
    np.testing.assert_array_equal(stairs.edges, result.bin_edges[0])


def test_a_histograms_heading_says_what_it_leaves_out(monkeypatch):
    inputs = np.zeros((10, 4, 4, 1))
    inputs[:5, :2], inputs[5] = 3e-10, 1e30  # of 160 positions 40 outside, 16 infinite
    layer = {"weights": [np.full((1, 1, 1, 1), 1e10)], "conv": 1, "image": 4, "activation": "linear"}
    images = fi.probe(**layer, inputs=inputs, range=(-2, 2), backward=False)
    heading = drawn(monkeypatch, plots.plot_probe, images).findobj(matplotlib.axes.Axes)[0].get_title()
    assert heading.endswith("std 1.3, 10% inf/NaN, 25% outside")


def test_what_is_not_drawn_is_not_promised(monkeypatch):
    zero = fi.probe(scheme="zeros", activation="sigmoid", depth=3, width=20, batch=30)
    figure = drawn(monkeypatch, plots.plot_probe, zero)
    words = [text.get_text() for legend in figure.findobj(matplotlib.legend.Legend) for text in legend.get_texts()]
    assert words == [
        "pre-activations (no line: all 0)", "activations (no line: all 0)", "dL/dz", "dL/dW", "measured"
    ]  # fmt: skip


def test_an_overflow_is_not_called_zero(monkeypatch):
    lost = fi.probe(weights=[np.full((4, 3), np.inf)], activation="linear", batch=6)
    figure = drawn(monkeypatch, plots.plot_probe, lost)
    words = [text.get_text() for legend in figure.findobj(matplotlib.legend.Legend) for text in legend.get_texts()]
    assert "activations (no line: inf or NaN)" in words


def test_the_theory_is_drawn_with_the_signal(monkeypatch):
    wide = fi.probe(activation="tanh", sigma_w=1.5, sigma_b=0.2, depth=8, width=256, batch=256)
    figure = drawn(monkeypatch, plots.plot_probe, wide)
    panels = figure.findobj(matplotlib.axes.Axes)
    lines = {line.get_label(): line.get_ydata() for axes in panels for line in axes.get_lines()}
    # 256 units measure a layer's variance to sqrt(2 / 256), and depth adds such errors up: 15 % on a std is 3 sigma.
    np.testing.assert_allclose(lines["activations, infinite width"], wide.std, rtol=0.15)


def test_a_failed_picture_leaves_the_old_file(result, tmp_path):
    path = tmp_path / "probe.nonsense"
    path.write_text("old")
    with pytest.raises(ValueError, match=r"argument 'path' must end in one of .*\.svg.*, got '.*nonsense'"):
        result.plot(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_nothing_global_is_touched(tmp_path):
    code = (
        "import sys, fastinit as fi\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"fi.probe(depth=2, width=8, batch=8).plot({str(tmp_path / 'a.png')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_matplotlib_is_named(tmp_path):
    code = (
        "import sys; sys.modules['matplotlib.figure'] = None\n"
        "import fastinit as fi\n"
        "try: fi.probe(depth=2, width=8, batch=8).plot('a.png')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == 'this needs matplotlib; install it with: pip install "fastinit-kernels[plot]"'
    assert list(tmp_path.iterdir()) == []
