"""The functions under the activations against mpmath: each bound in the docstring of `Functions` measured anew."""

import re

import mpmath as mp
import numpy as np
import pytest
from fastinit_kernels.machine.jit import compiled
from fastinit_kernels.numeric.transcendental import FUNCTIONS, Functions

DTYPES = ["float32", "float64"]
PAIRS = {"decay", "normal", "cos_sin"}


def evaluate(name, x):
    function = getattr(FUNCTIONS[x.dtype.name], name)

    @compiled
    def one(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    @compiled
    def two(x, first, second):
        for i in range(x.size):
            first[i], second[i] = function(x[i])

    outputs = [np.empty_like(x) for _ in range(2 if name in PAIRS else 1)]
    (two if name in PAIRS else one)(x, *outputs)
    return outputs if name in PAIRS else outputs[0]


def stated(name):
    """The bound that follows the function's name in the docstring."""
    return float(re.search(rf"^    {name}\n.*?within ([\d.]+) ulp", Functions.__doc__, re.M | re.S)[1])


def ulps(got, exact):
    """Largest error in units in the last place of the exact value, an mpmath number."""
    worst = 0.0
    for value, target in zip(got, exact, strict=True):
        spacing = float(np.spacing(np.abs(got.dtype.type(float(target)))))
        worst = max(worst, abs(float(mp.mpf(float(value)) - target)) / spacing)
    return worst


def exactly(function, x):
    with mp.workdps(40):
        return [function(mp.mpf(float(v))) for v in x]


def points(seed, dtype, low, high):
    """Points of [low, high], many of them near 0."""
    r = np.random.default_rng(seed)
    near = np.clip(r.normal(0, 1, 1500) * 10.0 ** r.uniform(-12, 0, 1500), low, high)
    return np.concatenate([r.uniform(low, high, 1500), near]).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_decay(dtype):
    x = points(2, dtype, FUNCTIONS[dtype].lowest, -FUNCTIONS[dtype].lowest)
    x = x[x != 0]
    value, minus_one = evaluate("decay", x)
    assert ulps(value, exactly(lambda v: mp.exp(-abs(v)), x)) <= stated("decay")
    assert ulps(minus_one, exactly(lambda v: mp.expm1(-abs(v)), x)) <= stated("decay")
    value, minus_one = evaluate("decay", np.array([0, np.inf, -np.inf, np.nan], dtype))
    np.testing.assert_array_equal(minus_one, np.array([0, -1, -1, np.nan], dtype))
    np.testing.assert_allclose(value, [1, 0, 0, np.nan], rtol=0, atol=2 * np.finfo(dtype).tiny)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log1p(dtype):
    x = np.concatenate([points(3, dtype, 0, 1), np.array([1, np.finfo(dtype).tiny], dtype)])
    x = x[x > 0]
    assert ulps(evaluate("log1p", x), exactly(mp.log1p, x)) <= stated("log1p")


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal(dtype):
    far = FUNCTIONS[dtype].far
    x = points(4, dtype, -far, far)
    cdf, bell = evaluate("normal", x)
    assert ulps(cdf, exactly(lambda v: mp.erfc(-v / mp.sqrt(2)) / 2, x)) <= stated("normal")
    assert ulps(bell, exactly(lambda v: mp.exp(-v * v / 2), x)) <= stated("normal")
    cdf, bell = evaluate("normal", np.array([-np.inf, np.inf, np.nan, 0], dtype))
    np.testing.assert_allclose(cdf, [0, 1, np.nan, 0.5], rtol=np.finfo(dtype).eps, atol=10 * np.finfo(dtype).tiny)
    np.testing.assert_allclose(bell, [0, 0, np.nan, 1], rtol=0, atol=1000 * np.finfo(dtype).tiny)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reach", [1, 30, 1e4])
def test_cos_sin(dtype, reach):
    multiples = np.arange(-20, 21) * np.pi / 4
    x = np.concatenate([points(5, dtype, -reach, reach), multiples.astype(dtype)])
    bound = stated("cos_sin") * np.finfo(dtype).eps
    for got, function in zip(evaluate("cos_sin", x), (mp.cos, mp.sin), strict=True):
        exact = exactly(function, x)
        error = [abs(float(mp.mpf(float(g)) - e)) for g, e in zip(got, exact, strict=True)]
        assert max(error) <= bound


@pytest.mark.parametrize("dtype", DTYPES)
def test_cos_sin_of_huge_arguments(dtype):
    x = np.array([1e7, -1e9, 1e20, -3e37, np.finfo(dtype).max, np.inf, -np.inf, np.nan], dtype)
    for got in evaluate("cos_sin", x):
        assert (np.abs(got[:5]) <= 1).all()
        assert np.isnan(got[5:]).all()
