"""docs/fans.md as data, and what a right line means: of ones a layer counts connections, of signs it keeps the size."""

import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from connections import LAYERS

import fastinit as fi

PAGE = Path(__file__).parent.parent / "docs" / "fans.md"
SECTIONS = ("PyTorch", "Keras 3", "JAX: Flax, Equinox, MaxText")
HEAD = ["layer", "weight", "shape", "write", "fan_in", "fan_out"]

# What the words of the page stand for, unless a layer says otherwise.
SIZES = {
    "inputs": 48, "outputs": 64, "others": 12, "groups": 4, "stride": 2, "multiplier": 3, "k": 3, "hidden": 64,
    "state": 60, "dim": 60, "heads": 6, "kv_heads": 2, "head_dim": 16, "experts": 3, "layers": 5, "batch": 3,
    "rows": 60, "columns": 4, "count": 8, "gates": 4, "kernel": (),
}  # fmt: skip


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(section):
    """The tables of a section, each a list of rows of cells."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    for table in re.findall(r"^\|.*?(?=\n\n|\Z)", text, re.M | re.S):
        head, rule, *rows = (cells(line) for line in table.strip().splitlines())
        assert set("".join(rule)) == {"-"}
        yield head, rows


def code(cell):
    """The expressions of a cell, without the back quotes."""
    return re.sub("`", "", cell)


class Line(NamedTuple):
    """A line of the page for one layer's sizes: everything that it says, evaluated."""

    label: str
    layer: object
    shape: tuple
    words: dict
    groups: int
    fan_in: float | None
    fan_out: float | None

    def weight(self, mode, seed=0):
        """What the page's words draw, of variance 1/fan."""
        scheme = {"mode": mode, "distribution": "normal", "scale": 1}
        return fi.init(
            "variance_scaling", self.shape, seed=seed, name=self.label, dtype="float64", **scheme, **self.words
        )


def evaluate(row, layer):
    key, shape, words, *fans = row
    sizes = {**SIZES, **layer.sizes}
    sizes |= {"taps": math.prod(sizes["kernel"]), "steps": sizes["stride"] ** len(sizes["kernel"])}

    def value(cell):
        return eval(cell, {"__builtins__": {}, "dict": dict}, sizes)

    numbers = [value(cell) if cell else None for cell in fans]
    shape = tuple(int(n) for n in value(shape))
    label = f"{key[0]}, {key[1]}, {key[2]}" + (f", {layer.sizes}" if layer.sizes else "")
    return Line(label, layer, shape, value(f"dict({words})"), sizes["groups"], *numbers)


def lines():
    """Every line of the page with every layer that the tests know for it."""
    found = []
    for section in SECTIONS:
        for head, rows in tables(section):
            assert head == HEAD
            for name, weight, *rest in rows:
                key = (section.split(":")[0], code(name), code(weight))
                found += [evaluate((key, *map(code, rest)), layer) for layer in LAYERS[key]]
    return found


def keys():
    """The page's lines, as the tests name them."""
    return [
        (section.split(":")[0], code(row[0]), code(row[1]))
        for section in SECTIONS for _, rows in tables(section) for row in rows
    ]  # fmt: skip


def signs(shape):
    """Inputs whose square is 1 everywhere: what is left to chance is the weight."""
    return np.random.default_rng(0).choice([-1.0, 1.0], shape)


def assert_keeps_size(z, counts, fan):
    """Mean of z² is 1 for signs and weights N(0, 1/fan), z of shape (positions, units).

    A z with c connections has variance c/fan. Two positions of one unit share at most min(c, c') weights, each with a
    random sign, so the square of their covariance is at most c/fan² on average; units share none. With P positions and
    U units, the variance of the mean of z² is then at most 2 mean((c/fan)²)/(P U) + 2 (1 - 1/P)/(U fan).
    """
    positions, units = z.shape
    spread = math.sqrt(2 * np.mean((counts / fan) ** 2) / z.size + 2 * (1 - 1 / positions) / (units * fan))
    assert spread < 0.05  # 5 of them tell a factor of 4/3
    assert abs(np.mean(z**2) - 1) < 5 * spread
