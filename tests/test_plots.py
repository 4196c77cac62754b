"""Pictures: written whole, without pyplot, their text in place."""

import functools
import subprocess
import sys

import numpy as np
import pytest
from optional import library

import fastinit as fi
from fastinit.probing.figures import FIGURES
from fastinit.showing import charts, pages, plots, style

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
    monkeypatch.setattr(pages, "save", lambda figure, path: figures.append(figure))
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
        (pages.probe_page, (deep,), {}),
        (pages.probe_page, (huge,), {}),
        (pages.histogram_grid, ({"Xavier": result, "N(0, 0.01²)": result},), {"title": "Activations"}),
        (pages.histogram_grid, ({"He": tiny, "Xavier": tiny},), {"title": "Activations"}),
        (pages.histogram_grid, ({"constant": huge},), {"title": "Activations"}),
        (pages.signal_page, ({"tanh": {"Xavier": result}, "relu": {"He": result}},), {"title": "Signal"}),
    ):
        assert overlaps(drawn(monkeypatch, draw, *arguments, **keywords)) == []


def test_the_overlap_test_can_fail(result, monkeypatch):
    figure = drawn(monkeypatch, pages.probe_page, result)
    figure.text(0.5, 0.5, "one")
    figure.text(0.5, 0.5, "two")
    assert ("one", "two") in overlaps(figure)


def test_the_histogram_shows_the_counts(result, monkeypatch):
    figure = drawn(monkeypatch, pages.probe_page, result)
    axes = figure.findobj(matplotlib.axes.Axes)
    stairs = axes[0].patches[0].get_data()
    np.testing.assert_array_equal(stairs.values, result.histogram[0])
    np.testing.assert_array_equal(stairs.edges, result.bin_edges[0])


def test_a_histograms_heading_says_what_it_leaves_out(monkeypatch):
    inputs = np.zeros((10, 4, 4, 1))
    inputs[:5, :2], inputs[5] = 3e-10, 1e30  # of 160 positions 40 outside, 16 infinite
    layer = {"weights": [np.full((1, 1, 1, 1), 1e10)], "conv": 1, "image": 4, "activation": "linear"}
    images = fi.probe(**layer, inputs=inputs, range=(-2, 2), backward=False)
    heading = drawn(monkeypatch, pages.probe_page, images).findobj(matplotlib.axes.Axes)[0].get_title()
    assert heading.endswith("std 1.3, 10% inf/NaN, 25% outside")


def legends(figure):
    return [text.get_text() for legend in figure.findobj(matplotlib.legend.Legend) for text in legend.get_texts()]


def words(figure):
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_what_is_not_drawn_is_not_promised(monkeypatch):
    zero = fi.probe(scheme="zeros", activation="sigmoid", depth=3, width=20, batch=30)
    figure = drawn(monkeypatch, pages.probe_page, zero)
    assert legends(figure) == ["dL/dz", "dL/dW", "saturated", "zero", "dead", "gradient zero"]
    assert "pre-activations: all 0" in words(figure)
    assert "dL/dz: 0 in 2 layers, 0 to 1" in words(figure)


def test_an_overflow_is_not_called_zero(monkeypatch):
    lost = fi.probe(weights=[np.full((4, 3), np.inf)], activation="linear", batch=6)
    figure = drawn(monkeypatch, pages.probe_page, lost)
    assert "activations: inf or NaN" in words(figure)
    assert not {"pre-activations", "activations"} & {*legends(figure)}


KINDS = ("histograms", "signal", "gradient", "shares", "correlation", "correlation_map")
NETWORKS = {
    "usual": {"activation": "tanh", "depth": 6},
    "single": {"depth": 1},
    "zero": {"scheme": "zeros", "activation": "sigmoid"},
    "exploding": {"scheme": "normal", "std": 1e6, "depth": 20},
    "float64": {"scheme": "normal", "std": 1e20, "depth": 12, "dtype": "float64"},
    "vanishing": {"scheme": "normal", "std": 1e-20, "depth": 12, "dtype": "float64"},
    "one row": {"batch": 1, "backward": False},
}
# Like another of them to most plots: for CI.
LESS = ("float64", "vanishing")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.ci if name in LESS else ()) for name in NETWORKS]
)
@pytest.mark.parametrize("kind", KINDS)
def test_every_plot_takes_axes_and_returns_them(name, kind):
    """On axes of one's own or of a new figure; a legend names lines that are there, layers are whole numbers."""
    result = probed(name)
    ours = style.new_figure(5, 4).subplots()
    plot = getattr(result, f"plot_{kind}")
    assert plot(ours) is ours
    for axes in (ours, plot(), plot(layers=2), plot(layers=[0, -1])):
        axes.figure.draw_without_rendering()
        lines = {line.get_label() for line in axes.get_lines() if np.isfinite(line.get_ydata()).any()}
        assert {*legends(axes.figure)} <= lines
        assert axes.has_data() or any(text.get_text() for text in axes.texts)
        if axes.get_xlabel().startswith("layer"):
            low, high = axes.get_xlim()
            ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
            assert ticks
            assert all(tick == int(tick) and 0 <= tick < result.depth for tick in ticks)


@functools.cache
def probed(name):
    return fi.probe(**{"depth": 3, "width": 12, "batch": 10, **NETWORKS[name]})


@pytest.mark.parametrize("name", ["exploding", "float64", "vanishing"])
def test_the_axes_show_the_whole_of_a_lost_network(name):
    result = probed(name)
    low, high = result.plot_signal().get_ylim()
    known = result.std[np.isfinite(result.std) & (result.std > 0)]
    assert known.max() / known.min() > 1e20
    assert low < known.min() < known.max() < high


def test_a_plot_shows_the_layers_that_it_is_asked_for():
    result = probed("usual")
    (line,) = [line for line in result.plot_figure("std", layers=[-1, 0, 2]).get_lines()]
    np.testing.assert_array_equal(line.get_xdata(), [0, 2, 5])
    np.testing.assert_array_equal(line.get_ydata(), result.std[[0, 2, 5]])
    assert [t.get_text() for t in result.plot_histograms(layers=[1, 3]).get_yticklabels()] == ["1", "3"]
    for layers, rule in ((0, ">= 1"), ([6], "<= 5"), ([-7], ">= -6"), ([], "at least one"), ("all", ">= 1")):
        with pytest.raises((ValueError, TypeError), match=f"argument 'layers' must .*{rule}"):
            result.plot_signal(layers=layers)
    with pytest.raises(TypeError, match="argument 'ax' must be Matplotlib's Axes or None, got 3"):
        result.plot_signal(3)


def test_a_very_deep_network_has_room():
    axes = fi.probe(depth=10_000, width=2, batch=2, backward=False).plot_histograms()
    axes.figure.draw_without_rendering()
    rows = [text.get_text().split()[0] for text in axes.get_yticklabels()]
    assert rows[0] == "0"
    assert 1 < len(rows) <= 12
    assert overlaps(axes.figure) == []


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_can_be_plotted(figure):
    axes = probed("usual").plot_figure(figure)
    axes.figure.draw_without_rendering()
    assert figure.split("_")[0] in axes.get_title()


def test_a_band_of_the_theory_is_drawn_where_there_is_one():
    class Predicted:
        std = np.ones(3)
        std_band = (np.full(3, 0.5), np.full(3, 2.0))

    axes = style.new_figure(4, 3).subplots()
    plots._theory(axes, Predicted, "std", [0, 2], "theory")
    (band,) = axes.collections
    assert {(0.0, 0.5), (2.0, 2.0)} <= {tuple(v) for v in band.get_paths()[0].vertices.tolist()}


def test_bars_and_curves():
    axes = charts.plot_bars({"a": charts.Factor(2, 1.5, 3), "b": 0.5}, against="NumPy")
    axes.figure.draw_without_rendering()
    assert overlaps(axes.figure) == []
    assert [bar.get_x() + bar.get_width() for bar in axes.patches] == [2, 0.5]
    axes = charts.plot_scaling({"a": {1: [1, 3, 2], 4: 0.5}}, ideal=True)
    axes.figure.draw_without_rendering()
    measured, ideal = axes.get_lines()
    assert [*measured.get_ydata()] == [2, 0.5]
    assert [*ideal.get_ydata()] == [2, 0.5]
    for draw, argument, given in ((charts.plot_bars, "factors", {"a": 0}), (charts.plot_scaling, "curves", {"a": {}})):
        for wrong in ({}, given):
            with pytest.raises(ValueError, match=f"argument '{argument}' must"):
                draw(wrong)


def test_the_theory_is_drawn_with_the_signal(monkeypatch):
    wide = fi.probe(activation="tanh", sigma_w=1.5, sigma_b=0.2, depth=8, width=256, batch=256)
    figure = drawn(monkeypatch, pages.probe_page, wide)
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
        "fi.probe(depth=2, width=8, batch=8).plot_signal()\n"
        "fi.sweep(depth=[2, 3], width=[4, 8], batch=8).plot_map()\n"
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
