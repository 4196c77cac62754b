"""docs/fans.md: every line by a layer's definition, every example run."""

import re

import fans_page
import numpy as np
import pytest
from connections import LAYERS

import fastinit as fi

LINES = fans_page.lines()


def test_page_and_layers_have_the_same_lines():
    found = fans_page.keys()
    assert len(set(found)) == len(found)
    assert set(found) == set(LAYERS)


def fans_of(line):
    """Each fan of the page beside the direction that it keeps."""
    both = (("fan_in", line.fan_in, True), ("fan_out", line.fan_out, False))
    return [(mode, fan, forward) for mode, fan, forward in both if fan is not None]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.label)
def test_of_ones_a_layer_counts_its_connections(line):
    for _, fan, forward in fans_of(line):
        counts = line.layer.counts(line.shape, line.groups, forward)
        assert counts.mean() == pytest.approx(fan, rel=1e-12)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.label)
def test_words_give_the_fans(line):
    counted = {key: word for key, word in line.words.items() if key not in ("fan_in", "fan_out")}
    for name, fan, _ in fans_of(line):
        if name not in line.words:
            got = getattr(fi.fans(line.shape, **counted), name)
            assert got == pytest.approx(fan, rel=1e-12)
            assert isinstance(got, int) == float(fan).is_integer()


@pytest.mark.parametrize(
    "line", [pytest.param(x, marks=pytest.mark.ci if i % 3 else (), id=x.label) for i, x in enumerate(LINES)]
)
def test_signal_and_gradient_keep_their_size(line):
    for mode, fan, forward in fans_of(line):
        z = line.layer.run(line.weight(mode), fans_page.signs, line.groups, forward)
        fans_page.assert_keeps_size(z, line.layer.counts(line.shape, line.groups, forward), fan)


def test_a_wrong_word_is_seen():
    line = next(line for line in LINES if line.label.startswith("PyTorch, ConvTranspose") and line.layer.stride == 2)
    counts = line.layer.counts(line.shape, 4, True)
    for wrong in ({"groups": 1}, {"stride": 1}, {"layout": (1, 0)}):
        other = line._replace(words={**line.words, **wrong})
        z = other.layer.run(other.weight("fan_in"), fans_page.signs, 4, True)
        with pytest.raises(AssertionError):
            fans_page.assert_keeps_size(z, counts, line.fan_in)


def test_no_fans():
    ((head, rows),) = fans_page.tables("No fans")
    assert head == ["weight", "write"]
    shapes = []
    for _, write in rows:
        call = fans_page.code(write)
        w = eval(call, {"fi": fi}, {**fans_page.SIZES, "dim": 3})
        shapes.append(w.shape)
        if "lecun_uniform" in call:  # U(±a), a = 1/sqrt(fan_in), to the last bit
            bound = np.float32(1 / np.sqrt(fans_page.SIZES["inputs"]))
            drawn = eval(call.replace(", (", ", (1000, "), {"fi": fi}, fans_page.SIZES)
            assert 0.999 * bound < abs(drawn).max() <= bound
    assert len(shapes) == len(rows) > 5


def test_examples_run():
    blocks = re.findall(r"^```python\n(.*?)^```", fans_page.PAGE.read_text(encoding="utf-8"), re.M | re.S)
    spaces = []
    for block in blocks:
        spaces.append({})
        exec(block, spaces[-1])
        for call, printed in re.findall(r"^(fi\.fans\(.*\))  # (Fans\(.*\))$", block, re.M):
            assert str(eval(call, spaces[-1])) == printed
    first, packed = spaces
    assert first["w"].shape == (64, 16, 3, 3)
    dim, sizes = packed["dim"], np.diff(packed["rows"])
    for part, size in zip(np.split(packed["weight"], packed["rows"][1:-1]), sizes, strict=True):
        bound = np.float32(np.sqrt(6 / (dim + size)))
        # Of n uniforms the largest lies below 0.999 of the bound with probability 0.999^n: e^-65 for 65536.
        assert 0.999 * bound < abs(part).max() <= bound
