"""The formulas of activations, which every test of them takes from one table, against each other."""

import ast
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from formulas import FORMULAS

from fastinit.activations import ACTIVATIONS

# What another library computes is no copy of ours.
APART = {"formulas.py", "test_torch.py", "test_layers.py"}
P = {"leaky_relu": 0.01, "elu": 1.0, "prelu": 0.25, "celu": 1.0}


@pytest.mark.parametrize("name", FORMULAS)
def test_both_ways_to_write_a_formula_say_the_same(name):
    formula, z = FORMULAS[name], np.array([-8.0, -3.3, -1.7, -0.6, -1e-3, 0.3, 0.9, 1.2, 2.5, 5.5, 7.0])
    with mp.workdps(40):
        p = mp.mpf(P.get(name, 0.0))
        value, slope = ([float(f(mp.mpf(x), p)) for x in z] for f in (formula.exact, formula.exact_slope))
    # Of numbers below 10 a few sums and products lose a few hundred eps at most, as 1 + tanh does far below 0.
    np.testing.assert_allclose(formula.phi(z), value, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(formula.slope(z), slope, rtol=1e-12, atol=1e-14)


def is_function(node):
    return isinstance(node, ast.Lambda | ast.Attribute) or (
        isinstance(node, ast.Tuple) and any(map(is_function, node.elts))
    )


def tables(tree):
    """Yield the lines of dictionaries from names of activations to functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            named = [v for k, v in pairs if isinstance(k, ast.Constant) and k.value in ACTIVATIONS and is_function(v)]
            if len(named) > 1 and any(isinstance(x, ast.Lambda) for v in named for x in ast.walk(v)):
                yield node.lineno


def test_they_stand_in_one_table():
    assert set(FORMULAS) == set(ACTIVATIONS)
    assert list(tables(ast.parse("{'tanh': np.tanh, 'relu': lambda z: z}"))) == [1]
    found = {file.name for file in Path(__file__).parent.glob("*.py") if [*tables(ast.parse(file.read_text()))]}
    assert found <= APART
