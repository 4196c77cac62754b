"""The table of activations against mpmath, SciPy and PyTorch's published gains."""

import math
import subprocess
import sys
import warnings

import mpmath as mp
import numpy as np
import pytest
from formulas import FORMULAS, SELU_ALPHA, SELU_SCALE
from scipy import integrate

import fastinit as fi
from fastinit.activations import ACTIVATIONS, ALIASES, get_activation
from fastinit.words import check_finite, check_integer, check_string, unknown

# Each definition once more, from the literature, in 50 digits.
ORACLE = {name: formula.exact for name, formula in FORMULAS.items()}
POINTS = np.array([-30.0, -8.0, -3.3, -1.7, -0.6, -1e-3, -1e-9, 1e-9, 1e-3, 0.4, 0.9, 1.2, 2.5, 5.5, 7.0, 30.0])
PARAMS = {"leaky_relu": (0.01, 0.3), "elu": (1.0, 0.5), "prelu": (0.25, -0.5), "celu": (1.0, 0.3)}
CASES = [(name, p) for name in ORACLE for p in PARAMS.get(name, (0.0,))]


def test_table_has_every_promised_activation():
    assert set(ACTIVATIONS) == set(ORACLE)
    assert all(row.name == name and row.formula for name, row in ACTIVATIONS.items())
    assert all((row.parameter is None) == (row.default is None) for row in ACTIVATIONS.values())


@pytest.mark.parametrize(("name", "p"), CASES)
def test_function_is_that_of_the_literature(name, p):
    with mp.workdps(50):
        exact = np.array([float(ORACLE[name](mp.mpf(z), mp.mpf(p))) for z in POINTS])
    # exp(-z^2 / 2) turns the rounding of z into one of z^2: 900 eps at |z| = 30.
    np.testing.assert_allclose(ACTIVATIONS[name].function(POINTS, p), exact, rtol=1000 * 2.3e-16, atol=1e-300)


@pytest.mark.parametrize(("name", "p"), CASES)
def test_derivative_is_that_of_the_function(name, p):
    with mp.workdps(50):
        exact = np.array(
            [float(mp.diff(lambda t: ORACLE[name](t, mp.mpf(p)), mp.mpf(z), h=mp.mpf(10) ** -15)) for z in POINTS]
        )
    np.testing.assert_allclose(ACTIVATIONS[name].derivative(POINTS, p), exact, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize(
    ("name", "z", "slope"),
    [
        ("relu", 0.0, 0.0),
        ("leaky_relu", 0.0, 0.01),
        ("elu", 0.0, 1.0),
        ("selu", 0.0, float(SELU_SCALE * SELU_ALPHA)),
        ("hard_tanh", 1.0, 0.0),
        ("hard_tanh", -1.0, 0.0),
        ("relu6", 0.0, 0.0),
        ("relu6", 6.0, 0.0),
        ("softsign", 0.0, 1.0),
        ("prelu", 0.0, 0.25),
        ("relu_squared", 0.0, 0.0),
        ("celu", 0.0, 1.0),
        ("hard_sigmoid", -3.0, 0.0),
        ("hard_sigmoid", 3.0, 0.0),
        ("hard_swish", -3.0, 0.0),
        ("hard_swish", 3.0, 1.0),
    ],
)
def test_derivative_at_a_kink_is_that_of_automatic_differentiation(name, z, slope):
    row = ACTIVATIONS[name]
    assert row.derivative(np.array([z]), row.resolve())[0] == slope


FLAT = {  # limits of phi at -inf, and of phi' at -inf and inf; phi(inf) is inf unless listed
    "sigmoid": (0, 0, 0),
    "tanh": (-1, 0, 0),
    "relu": (0, 0, 1),
    "gelu": (0, 0, 1),
    "gelu_tanh": (0, 0, 1),
    "silu": (0, 0, 1),
    "elu": (-1, 0, 1),
    "selu": (-float(SELU_SCALE * SELU_ALPHA), 0, float(SELU_SCALE)),
    "softplus": (0, 0, 1),
    "softsign": (-1, 0, 0),
    "hard_tanh": (-1, 0, 0),
    "relu6": (0, 0, 0),
    "mish": (0, 0, 1),
    "celu": (-1, 0, 1),
    "hard_sigmoid": (0, 0, 0),
    "hard_swish": (0, 0, 1),
}
CEILING = {"sigmoid": 1, "tanh": 1, "softsign": 1, "hard_tanh": 1, "relu6": 6, "hard_sigmoid": 1}


@pytest.mark.parametrize("name", ORACLE)
def test_huge_and_infinite_inputs_pass_without_a_warning(name):
    row, z = ACTIVATIONS[name], np.array([-np.inf, -1e300, -750.0, 750.0, 1e300, np.inf, np.nan])
    with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("error")
        f, d = row.function(z, row.resolve()), row.derivative(z, row.resolve())
    assert f.dtype == d.dtype == np.float64
    assert np.isnan(f[-1])
    if name in FLAT:
        low, slope_low, slope_high = FLAT[name]
        np.testing.assert_allclose(f[:2], low, rtol=1e-15)
        np.testing.assert_allclose(d[:2], slope_low, atol=1e-15)
        np.testing.assert_allclose(d[4:6], slope_high, rtol=1e-15, atol=1e-15)
        assert f[5] == CEILING.get(name, np.inf)


def test_saturation_rules():
    assert {name for name, row in ACTIVATIONS.items() if row.saturation} == {
        "sigmoid", "tanh", "softsign", "hard_tanh", "relu6", "hard_sigmoid"
    }  # fmt: skip
    for name, inside, outside in [
        ("tanh", [-0.97, 0.0, 0.97], [-0.971, 0.971]),
        ("softsign", [-0.97, 0.97], [-0.98, 0.98]),
        ("sigmoid", [0.03, 0.97], [0.029, 0.971]),
        ("hard_tanh", [-0.9999999, 0.0, 0.9999999], [-1.0, 1.0]),
        ("relu6", [0.0, 5.999999], [6.0]),
        ("hard_sigmoid", [1e-30, 0.9999999], [0.0, 1.0]),
        ("relu", [0.0, 1e9], []),
    ]:
        low, high = ACTIVATIONS[name].saturation or (-np.inf, np.inf)
        for dtype in (np.float32, np.float64):
            assert all(low <= a <= high for a in np.array(inside, dtype))
            assert not any(low <= a <= high for a in np.array(outside, dtype))


def test_histogram_ranges():
    ranges = {name: row.range for name, row in ACTIVATIONS.items() if row.range}
    assert ranges.pop("sigmoid") == ranges.pop("hard_sigmoid") == (0.0, 1.0)
    assert ranges == dict.fromkeys(["tanh", "hard_tanh", "softsign", "sin"], (-1.0, 1.0))


@pytest.mark.parametrize("name", ORACLE)
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e30])
def test_images_are_ranges_of_a_histogram_in_float32(name, scale):
    row, z = ACTIVATIONS[name], (math.sqrt(scale) if name == "relu_squared" else scale) * np.linspace(-4, 4, 161)
    low, high = row.image(z, row.resolve())
    values = row.function(z, row.resolve())
    assert low <= values.min() <= values.max() <= high
    edges = np.linspace(low, high, 31).astype(np.float32)
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()
    if scale == 1.0:
        assert (low, high) == (values.min(), values.max())


@pytest.mark.parametrize(
    ("name", "param", "value"),
    [
        ("linear", None, 1.0),
        *[(f"conv{t}{d}d", None, 1.0) for t in ("", "_transpose") for d in (1, 2, 3)],
        ("sigmoid", None, 1.0),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / 1.0001)),
        ("leaky_relu", 0.2, math.sqrt(2 / 1.04)),
        ("leaky_relu", math.sqrt(5), math.sqrt(1 / 3)),
        ("selu", None, 0.75),
    ],
)
def test_gain_is_that_of_pytorchs_table(name, param, value):
    assert fi.gain(name, param) == pytest.approx(value, rel=4e-16)


@pytest.mark.parametrize(
    ("name", "digits"),
    [("gelu", 1.5335), ("silu", 1.6765), ("elu", 1.2452), ("softplus", 1.0419)],
)
def test_gain_by_second_moment_has_the_known_digits(name, digits):
    assert round(fi.gain(name), 4) == digits


SECOND_MOMENT = [n for n in ORACLE if n not in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "prelu", "selu")]


@pytest.mark.parametrize(("name", "p"), [(n, p) for n, p in CASES if n in SECOND_MOMENT])
def test_gain_by_second_moment_keeps_unit_variance(name, p):
    def integrand(z):
        return float(ORACLE[name](mp.mpf(z), p)) ** 2 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    moment, error = integrate.quad(integrand, -12, 12, points=[-1, 0, 1, 6], epsabs=0, epsrel=1e-11, limit=200)
    gain = fi.gain(name, p if p else None)
    # Ten digits are kept, so that weights do not depend on the last ones of a machine's exp and erf.
    assert gain == float(f"{gain:.10g}")
    assert gain == pytest.approx(1 / math.sqrt(moment), rel=2 * error / moment + 5.1e-10)


def test_aliases():
    assert {alias: get_activation(alias).name for alias in ALIASES} == ALIASES
    assert fi.gain("swish") == fi.gain("silu")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            ("rellu",),
            ValueError,
            r"argument 'nonlinearity' must be one of .*, got 'rellu'; did you mean 'relu'\?",
        ),
        (("ReLU",), ValueError, r"got 'ReLU'; did you mean 'relu'\?"),
        (("",), ValueError, r"argument 'nonlinearity' must be one of .*, got ''$"),
        ((None,), TypeError, r"argument 'nonlinearity' must be the name of an activation, a function .*, got None"),
        (
            ("relu", 0.1),
            ValueError,
            r"argument 'param' must be None for 'relu', which has no parameter, got 0.1",
        ),
        (("conv2d", 0.1), ValueError, r"argument 'param' must be None for 'linear'"),
        (("leaky_relu", True), TypeError, r"argument 'param' must be a finite number, got True"),
        (("leaky_relu", "0.1"), TypeError, r"argument 'param' must be a finite number, got '0.1'"),
        (("elu", math.nan), ValueError, r"argument 'param' must be a finite number, got nan"),
        (("elu", math.inf), ValueError, r"argument 'param' must be a finite number, got inf"),
    ],
)
def test_gain_refuses_bad_input(arguments, error, text):
    with pytest.raises(error, match=text):
        fi.gain(*arguments)


def test_activation_lookup_names_the_argument_of_its_caller():
    with pytest.raises(ValueError, match=r"argument 'activation' must be .* did you mean 'tanh'\?"):
        get_activation("tahn")
    with pytest.raises(TypeError, match=r"argument 'phi' must be the name of an activation, a function .*, got 3"):
        get_activation(3, "phi")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: check_finite("std", -1.0, minimum=0), ValueError, "'std' must be a finite number >= 0, got"),
        (lambda: check_finite("std", math.nan), ValueError, "'std' must be a finite number, got nan"),
        (lambda: check_finite("x", 0, above=0), ValueError, "'x' must be a finite number > 0, got 0"),
        (lambda: check_finite("c0", 2, minimum=-1, maximum=1), ValueError, "finite number in [-1, 1], got 2"),
        (lambda: check_finite("x", 2, maximum=1), ValueError, "a finite number <= 1, got 2"),
        (lambda: check_finite("x", 10**400), ValueError, "'x' must be a finite number, got an integer of 1329 bits"),
        (lambda: check_finite("x", 1j), TypeError, "'x' must be a finite number, got 1j"),
        (lambda: check_integer("depth", 0, minimum=1), ValueError, "'depth' must be an integer >= 1, got 0"),
        (lambda: check_integer("depth", 2.0, minimum=1), TypeError, "must be an integer >= 1, got 2.0"),
        (lambda: check_integer("depth", True, minimum=1), TypeError, "must be an integer >= 1, got True"),
        (lambda: check_string("name", b"x"), TypeError, "argument 'name' must be a string, got b'x'"),
    ],
)  # fmt: skip
def test_checks_name_argument_rule_and_value(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith("argument '")
    assert text in str(caught.value)


def test_checks_pass_numbers_of_numpy():
    assert check_finite("x", np.float32(0.5), minimum=0.5, maximum=0.5) == 0.5
    assert check_integer("n", np.int64(3), minimum=3) == 3
    assert str(unknown("mode", "fan_inn", ["fan_out", "fan_in"])) == (
        "argument 'mode' must be one of fan_in, fan_out, got 'fan_inn'; did you mean 'fan_in'?"
    )


def test_importing_the_table_and_the_theory_loads_nothing_heavy():
    code = (
        "import sys, fastinit.activations, fastinit.theory\n"
        "print([m for m in ('numba', 'llvmlite', 'matplotlib', 'scipy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
