"""The vectorised activations against mpmath: formulas written here, derivatives also by numerical differentiation."""

import math
import platform
import re
from functools import cache

import mpmath as mp
import numpy as np
import pytest
from fastinit_kernels.machine.jit import compiled
from fastinit_kernels.numeric.activations import NAMES, activation_both
from formulas import FORMULAS, SELU_ALPHA, SELU_SCALE

DTYPES = ["float32", "float64"]
BOUND = 3  # of the module's docstring, in eps max(1, |value|)
PARAMETERS = {"leaky_relu": 0.01, "elu": 1.5, "prelu": 0.25, "celu": 1.5}
PIECEWISE_LINEAR = {"linear", "relu", "leaky_relu", "prelu", "hard_tanh", "relu6", "hard_sigmoid"}


@cache
def loop(name, dtype):
    both = activation_both(name, dtype)

    @compiled
    def run(z, p, value, slope):
        for i in range(z.size):
            value[i], slope[i] = both(z[i], p)

    return run


def evaluate(name, z):
    value, slope = np.empty_like(z), np.empty_like(z)
    loop(name, z.dtype.name)(z, z.dtype.type(PARAMETERS.get(name, 0)), value, slope)
    return value, slope


def exactly(name, z):
    """(phi, phi') as mpmath numbers, at the very parameter that the kernel was given."""
    p = mp.mpf(float(z.dtype.type(PARAMETERS.get(name, 0))))
    phi, slope, *_ = FORMULAS[name]
    with mp.workdps(50):
        return [phi(mp.mpf(float(v)), p) for v in z], [mp.mpf(slope(mp.mpf(float(v)), p)) for v in z]


def errors(got, exact):
    return np.array([abs(float(mp.mpf(float(g)) - e)) for g, e in zip(got, exact, strict=True)])


def points(dtype):
    r = np.random.default_rng(7)
    special = [0, 1, -1, 6, -6, 1e-30, -1e-30, 86.9, -86.9, 88, -88, 104, -104, 700, -700, 710, -710]
    scales = (r.normal(0, s, n) for s, n in ((1, 500), (8, 300), (1e-3, 100), (300, 100)))
    return np.concatenate([*scales, special]).astype(dtype)


def test_every_name_has_a_formula():
    assert set(FORMULAS) == set(NAMES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_value_and_derivative(name, dtype):
    z = points(dtype)
    for got, exact in zip(evaluate(name, z), exactly(name, z), strict=True):
        scale = np.maximum(1, [abs(float(e)) for e in exact])
        assert (errors(got, exact) / scale).max() <= BOUND * np.finfo(dtype).eps


# Those that have no zero except at 0 keep the relative precision of small results.
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "elu", "selu", "softplus", "softsign"])
def test_small_results_are_precise_too(name, dtype):
    z = points(dtype)
    z = z[np.abs(z) < 40]  # tanh's derivative, which goes with exp(-2 |z|), is a normal float32 there
    for got, exact in zip(evaluate(name, z), exactly(name, z), strict=True):
        size = np.array([abs(float(e)) for e in exact])
        assert (errors(got, exact) <= 5 * np.finfo(dtype).eps * size).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_derivative_is_that_of_the_value(name):
    z = np.random.default_rng(8).normal(0, 3, 60)
    phi = FORMULAS[name][0]
    with mp.workdps(50):
        p = mp.mpf(PARAMETERS.get(name, 0))
        numerical = [mp.diff(lambda x, p=p: mp.mpf(phi(x, p)), mp.mpf(float(v)), h=mp.mpf("1e-15")) for v in z]
    _, slope = evaluate(name, z)
    np.testing.assert_allclose(slope, np.array(numerical, dtype=float), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_infinities_and_nan(name, dtype):
    value, slope = evaluate(name, np.array([np.inf, -np.inf, np.nan], dtype))
    p = float(np.dtype(dtype).type(PARAMETERS.get(name, 0)))
    scale, alpha = float(SELU_SCALE), float(SELU_ALPHA)
    limits = {  # (phi(inf), phi(-inf)), (phi'(inf), phi'(-inf))
        "linear": ((math.inf, -math.inf), (1, 1)),
        "sigmoid": ((1, 0), (0, 0)),
        "tanh": ((1, -1), (0, 0)),
        "leaky_relu": ((math.inf, -math.inf), (1, p)),
        "prelu": ((math.inf, -math.inf), (1, p)),
        "relu_squared": ((math.inf, 0), (math.inf, 0)),
        "elu": ((math.inf, -p), (1, 0)),
        "celu": ((math.inf, -p), (1, 0)),
        "log_sigmoid": ((0, -math.inf), (0, 1)),
        "hard_sigmoid": ((1, 0), (0, 0)),
        "selu": ((math.inf, -scale * alpha), (scale, 0)),
        "softsign": ((1, -1), (0, 0)),
        "hard_tanh": ((1, -1), (0, 0)),
        "relu6": ((6, 0), (0, 0)),
        "sin": ((math.nan, math.nan), (math.nan, math.nan)),
    }.get(name, ((math.inf, 0), (1, 0)))
    info = np.finfo(dtype)
    for got, expected in zip((value, slope), limits, strict=True):
        np.testing.assert_allclose(got[:2], expected, rtol=2 * info.eps, atol=1e-34)
    assert np.isnan(value[2])
    assert np.isnan(slope[2]) or name in PIECEWISE_LINEAR


@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_at_the_kinks_are_those_of_torch(dtype):
    expected = {
        "relu": ([0, -0.0], [0, 0]),
        "leaky_relu": ([0, -0.0], [0.01, 0.01]),
        "elu": ([0, -0.0], [1.5, 1.5]),
        "selu": ([0], [float(SELU_SCALE * SELU_ALPHA)]),
        "hard_tanh": ([-1, 1], [0, 0]),
        "relu6": ([0, 6], [0, 0]),
        "prelu": ([0, -0.0], [0.25, 0.25]),
        "relu_squared": ([0, -0.0], [0, 0]),
        "celu": ([0, -0.0], [1, 1]),
        "hard_sigmoid": ([-3, 3], [0, 0]),
        "hard_swish": ([-3, 3], [0, 1]),
    }
    for name, (z, slopes) in expected.items():
        np.testing.assert_allclose(evaluate(name, np.array(z, dtype))[1], slopes, rtol=np.finfo(dtype).eps)


X86_PACKED, ARM_PACKED = r"\tv(?:f\w*madd\w+|mul|cmp\w*|min|max)p{}\s", r"\t(?:fmla|fmul|fcm\w+|fm\w+)(?:\s+v|\.)"
PACKED = {"x86_64": X86_PACKED, "AMD64": X86_PACKED, "aarch64": ARM_PACKED, "arm64": ARM_PACKED}
LIBM = re.compile(r"\$(?:fmaf?|logf?|log1pf?|expf?|expm1f?|sinf?|cosf?|tanhf?|erfc?f?|powf?)\b")


@pytest.mark.skipif(platform.machine() not in PACKED, reason="knows x86 and ARM")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "linear"])
def test_a_loop_over_both_vectorises(name, dtype):
    run, z = loop(name, dtype), np.zeros(8, dtype)
    run(z, z.dtype.type(0), z.copy(), z.copy())
    (code,) = run.inspect_asm().values()
    letter = "s" if dtype == "float32" else "d"
    assert re.search(PACKED[platform.machine()].format(letter), code)
    assert not LIBM.search(code)
