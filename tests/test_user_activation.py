"""Activations of a user's own: kernels, derivative, theory and refusals, against closed forms and the table."""

import inspect
import math
import re
import subprocess
import sys
import warnings
from functools import partial

import numba
import numpy as np
import pytest
from fastinit_kernels.machine.jit import compiled, place_of
from fastinit_kernels.machine.pointers import call_at
from fastinit_kernels.probe.activate import activation_kernel
from scipy import special

import fastinit as fi
from fastinit import theory
from fastinit.activations import ACTIVATIONS, get_activation
from fastinit.activations.quadrature import find_kinks

DTYPES = ["float32", "float64"]


@numba.njit
def my_tanh(z):
    return math.tanh(z)


@numba.njit
def my_tanh_slope(z):
    return 1 / math.cosh(z) ** 2 if abs(z) < 80 else 0.0


@numba.njit
def my_relu(z):
    return z if z > 0 else 0  # of two types, as people write it


@numba.njit
def soft_clip(z):
    """(softplus(4 z) - softplus(4 z - 4)) / 4: from 0 to 1, smoothly."""
    high, low = 4 * z, 4 * z - 4
    return (max(high, 0) + math.log1p(math.exp(-abs(high))) - max(low, 0) - math.log1p(math.exp(-abs(low)))) / 4


@numba.njit
def soft_clip_slope(z):
    return (math.tanh(2 * z) - math.tanh(2 * z - 2)) / 2


@numba.njit
def my_hard_sigmoid(z):
    return min(max(z / 6 + 0.5, 0), 1)


@numba.njit
def root(z):
    if z < 0.0625 and z != -1:  # what is tried first passes
        if z > -0.9:
            return 0.0
        raise ValueError("no root")
    return math.sqrt(abs(z))


@compiled
def call(address, z, value, slope, rows, n, row_bytes):
    for i in range(rows):
        at = i * row_bytes
        call_at(address, (z + at, value + at, slope + at, n, 0.0))


@partial(compiled, parallel=True)
def call_by_rows(address, z, value, slope, rows, n, row_bytes):
    for i in numba.prange(rows):
        at = np.int64(i) * row_bytes
        call_at(address, (z + at, value + at, slope + at, n, 0.0))


def by_address(activation, z, run=call):
    """(phi, phi') as the forward pass gets them."""
    value, slope = np.full_like(z, 7), np.full_like(z, 7)
    address = activation_kernel(get_activation(activation).compiled, z.dtype.name).address
    rows = np.atleast_2d(z)
    run(address, place_of(z), place_of(value), place_of(slope), *rows.shape, rows.strides[0])
    return value, slope


def points(dtype):
    r = np.random.default_rng(3)
    return np.concatenate([r.normal(0, 1, 3000), r.normal(0, 10, 1000), [0, 1, -1, 50, -50]]).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [my_tanh, (my_tanh, my_tanh_slope)])
def test_the_kernel_is_the_tables(activation, dtype):
    z = points(dtype)
    # The table's is within 3 eps, the C library's functions are within an eps or two.
    bound = 6 * np.finfo(dtype).eps
    expected = by_address("tanh", z)
    value, slope = by_address(activation, z)
    np.testing.assert_allclose(value, expected[0], rtol=0, atol=bound)
    np.testing.assert_allclose(slope, expected[1], rtol=0, atol=max(bound, 2e-10) if activation is my_tanh else bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [soft_clip, (soft_clip, soft_clip_slope)])
def test_the_kernel_is_numpys(activation, dtype):
    z = points(dtype)
    exact = z.astype(np.float64)
    value, slope = by_address(activation, z)
    eps = float(np.finfo(dtype).eps)
    # Terms as large as 4 |z| cancel in it; in float32 the pair's derivative is one of float32.
    wide = 8 * eps * np.maximum(1, np.abs(exact))
    np.testing.assert_array_less(
        np.abs(value - (np.logaddexp(0, 4 * exact) - np.logaddexp(0, 4 * exact - 4)) / 4), wide
    )
    error = np.abs(slope - (special.expit(4 * exact) - special.expit(4 * exact - 4)))
    numerical = np.maximum(2 * eps, 1e-9 * np.maximum(1, np.abs(exact)))
    np.testing.assert_array_less(error, numerical if activation is soft_clip else wide)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_pairs_own_derivative_is_what_is_used(dtype):
    @numba.njit
    def three(z):
        return 3.0

    z = points(dtype)
    value, slope = by_address((my_relu, three), z)
    np.testing.assert_array_equal(value, np.maximum(z, 0))
    np.testing.assert_array_equal(slope, 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_numerical_derivative_at_a_kink_is_the_mean_and_elsewhere_right(dtype):
    z = np.array([0, 1e-3, -1e-3, 1e30, -1e30, 5], dtype)
    np.testing.assert_allclose(by_address(my_relu, z)[1], [0.5, 1, 0, 1, 0, 1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [my_tanh, my_relu, soft_clip, my_hard_sigmoid, (my_tanh, my_tanh_slope)])
def test_infinities_and_nan_trap_nothing(activation, dtype, capfd):
    z = np.array([np.inf, -np.inf, np.nan, 1e38, -1e38], dtype)
    value, slope = by_address(activation, z)
    if activation is my_tanh:
        np.testing.assert_array_equal(value, [1, -1, np.nan, 1, -1])
    finite = np.isfinite(slope)
    assert (np.abs(slope[finite]) <= 1).all()
    assert finite[3:].all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("run", [call, call_by_rows])
def test_where_a_function_raises_it_is_nan_and_nothing_else_is_touched(run, dtype, capfd):
    z = np.tile(points(dtype), (64 if run is call_by_rows else 1, 1))
    value, slope = (figure[-1] for figure in by_address(root, z if run is call_by_rows else z.ravel()[None], run))
    z = z[-1].astype(np.float64)
    raises = (z <= -0.9) & (z != -1)
    expected = np.where(raises, np.nan, np.where((z < 0.0625) & (z != -1), 0, np.sqrt(np.abs(z))))
    np.testing.assert_allclose(value, expected, rtol=2 * np.finfo(dtype).eps)
    assert np.isnan(slope[raises]).all()
    assert capfd.readouterr() == ("", "")


def test_it_is_looked_up_by_identity():
    activation = get_activation(my_tanh)
    assert get_activation(my_tanh) is activation
    assert get_activation(activation) is activation
    assert get_activation((my_tanh, my_tanh_slope)) is get_activation((my_tanh, my_tanh_slope))
    assert get_activation((my_tanh, my_tanh_slope)) is not activation
    assert {activation: 1}[get_activation(my_tanh)] == 1
    assert activation.name == "my_tanh"
    assert activation.compiled == (my_tanh, None)
    assert get_activation((my_tanh, my_tanh_slope)).compiled == (my_tanh, my_tanh_slope)
    assert ACTIVATIONS["tanh"].compiled == "tanh"
    assert activation.saturation is activation.range is activation.parameter is None


def test_its_image_is_finite_whatever_it_returns():
    @numba.njit
    def explosive(z):
        return math.exp(z) if z < 700 else math.inf

    @numba.njit
    def undefined(z):
        return np.nan * z

    @numba.njit
    def constant(z):
        return -2.0

    z = np.linspace(-4, 4, 161)
    assert get_activation(explosive).image(z, 0.0) == (math.exp(-4), math.exp(4))
    assert get_activation(explosive).image(1e4 * z, 0.0) == (0.0, 1.0)  # those at 0 and below
    assert get_activation(undefined).image(z, 0.0) == (-1.0, 1.0)
    assert get_activation(constant).image(z, 0.0) == (-2.00002, -1.99998)


def steep(slope):
    @numba.njit
    def steep_tanh(z):
        return math.tanh(slope * z)

    return steep_tanh


def test_its_fingerprint_is_that_of_its_code():
    assert ACTIVATIONS["tanh"].fingerprint == "tanh"
    prints = [get_activation(x).fingerprint for x in (steep(1.0), steep(2.0), my_tanh, (my_tanh, my_tanh_slope))]
    assert len(set(prints)) == 4
    assert prints[0].startswith("steep_tanh-")
    assert get_activation(steep(2.0)).fingerprint == prints[1]
    code = (
        "import math, numba\nfrom fastinit.activations import get_activation\n\n\n"
        + inspect.getsource(steep)
        + "\n\nprint(get_activation(steep(2.0)).fingerprint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == prints[1]


@pytest.mark.parametrize("activation", [my_tanh, (my_tanh, my_tanh_slope), my_relu])
def test_the_probe_measures_what_it_measures_of_the_tables(activation):
    name = "relu" if activation is my_relu else "tanh"
    settings = {"scheme": "xavier_normal", "depth": 4, "width": 40, "batch": 50, "dtype": "float64"}
    ours = fi.probe(activation=activation, range=(-1, 1), **settings)
    tables = fi.probe(activation=name, range=(-1, 1), **settings)
    # Rounding, and the numerical derivative.
    for figure in ("mean", "std", "q", "correlation"):
        np.testing.assert_allclose(getattr(ours, figure), getattr(tables, figure), rtol=1e-12, atol=1e-14)
    for figure in ("chi", "gradient_std", "weight_gradient_std"):
        np.testing.assert_allclose(getattr(ours, figure), getattr(tables, figure), rtol=1e-8)
    np.testing.assert_array_equal(ours.histogram, tables.histogram)
    assert ours.activation == get_activation(activation).name
    assert np.isnan(ours.saturated).all()


def test_a_probe_counts_where_a_function_raises():
    x = np.linspace(-9, 9, 2000).reshape(50, 40)
    result = fi.probe(activation=root, weights=[np.eye(40)], inputs=x, range=(0, 3))
    assert result.nonfinite[0] == np.count_nonzero(x <= -0.9)
    assert result.max[0] == 3


def test_its_functions_take_arrays_of_any_shape_without_a_warning():
    activation = get_activation((my_tanh, my_tanh_slope))
    z = np.random.default_rng(1).normal(size=(3, 4, 5))[:, ::2]
    np.testing.assert_allclose(activation.function(z, 0.0), np.tanh(z), rtol=1e-15)
    np.testing.assert_allclose(activation.derivative(z, 0.0), 1 / np.cosh(z) ** 2, rtol=1e-14)
    assert activation.function(np.float64(0.5), 0.0) == math.tanh(0.5)
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error")
        relu = get_activation(my_relu)
        np.testing.assert_array_equal(relu.function(np.array([np.inf, -np.inf, np.nan]), 0.0)[:2], [np.inf, 0])
        relu.derivative(np.array([np.inf, -np.inf, np.nan, 1e300]), 0.0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_kinks_are_found_where_the_table_has_them(name):
    row = ACTIVATIONS[name]
    found = find_kinks(lambda z: row.function(z, row.resolve()))
    assert found == pytest.approx(row.kinks, abs=1e-8)  # those of a derivative are not as sharp


def test_kinks_are_found_wherever_they_are():
    assert find_kinks(lambda z: np.abs(z - 1 / 3)) == (0.3333333333,)
    assert find_kinks(lambda z: np.clip(z, -math.e, 11 * math.pi / 3)) == (-2.7182818285, 11.5191730632)
    assert find_kinks(lambda z: 1e-9 * np.sign(z - 2)) == (2.0,)
    assert get_activation(my_hard_sigmoid).kinks == (-3.0, 3.0)
    assert find_kinks(lambda z: np.tanh(20 * z)) == ()
    assert find_kinks(np.floor) == ()  # more than can be split at
    assert find_kinks(lambda z: np.full_like(z, np.nan)) == ()


SETTINGS = {"sigma_w": 1.4, "sigma_b": 0.2}


@pytest.mark.parametrize(
    ("activation", "name", "digits"),
    [(my_tanh, "tanh", 1e-9), ((my_tanh, my_tanh_slope), "tanh", 1e-12), (my_relu, "relu", 1e-9)],
)
def test_theory_is_that_of_the_tables_function(activation, name, digits):
    for q0 in (0.1, 2.0, 1e4):
        for given in ({"depth": 3}, {"depth": 3, "c0": 0.3}):
            function = theory.correlation_map if "c0" in given else theory.variance_map
            ours, tables = (function(phi, q0=q0, **SETTINGS, **given) for phi in (activation, name))
            np.testing.assert_allclose(ours, tables, rtol=1e-12)
    assert theory.fixed_point(activation, **SETTINGS) == pytest.approx(theory.fixed_point(name, **SETTINGS), rel=digits)
    assert theory.depth_scales(activation, **SETTINGS) == pytest.approx(
        theory.depth_scales(name, **SETTINGS), rel=100 * digits
    )
    assert theory.chi1(activation, q=1.5, **SETTINGS) == pytest.approx(theory.chi1(name, q=1.5, **SETTINGS), rel=digits)
    assert theory.edge_of_chaos(activation, 0.7) == pytest.approx(theory.edge_of_chaos(name, 0.7), rel=digits, abs=1e-6)
    np.testing.assert_allclose(
        theory.predict(activation, depth=4, residual=True, normalize="layer", correlation=0.2, **SETTINGS),
        theory.predict(name, depth=4, residual=True, normalize="layer", correlation=0.2, **SETTINGS),
        rtol=1e-12,
        atol=1e-16,
    )


def test_theory_of_a_clipped_line_has_its_closed_form():
    # E[my_hard_sigmoid] = 1/2, and with t = 3 / sqrt(q): Var = (q (erf - 2 t density) + 9 erfc) / 36 of |z| <> 3.
    q = 4.0
    t = 3 / math.sqrt(q)
    inside = math.erf(t / math.sqrt(2))
    density = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    variance = (q * (inside - 2 * t * density) + 9 * (1 - inside)) / 36
    assert theory.variance_map(my_hard_sigmoid, sigma_w=1.0, q0=q, depth=1)[0] == pytest.approx(
        variance + 0.25, rel=1e-13
    )
    assert theory.chi1(my_hard_sigmoid, sigma_w=1.0, q=q) == pytest.approx(inside / 36, rel=1e-9)


def test_gain_is_by_second_moment():
    assert fi.gain(my_relu) == pytest.approx(math.sqrt(2), rel=1e-9)
    assert fi.gain(my_tanh) == pytest.approx(1 / math.sqrt(theory.variance_map("tanh", sigma_w=1, q0=1, depth=1)[0]))
    with pytest.raises(ValueError, match="argument 'param' must be None for 'my_tanh', which has no parameter"):
        fi.gain(my_tanh, 0.5)


def plain(z):
    return z


@numba.njit
def two_numbers(z, alpha):
    return z * alpha


@numba.njit
def tanh(z):
    return math.tanh(z)


@numba.njit
def untyped(z):
    return z.nonsense


@numba.njit
def words(z):
    return "high"


@numba.njit
def complaint(z):
    raise RuntimeError("not today")


@numba.jit(forceobj=True)
def interpreted(z):
    return z


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (plain, TypeError, "must be compiled: decorate it with @numba.njit, got <function plain at"),
        (lambda z: z, TypeError, "must be compiled: decorate it with @numba.njit, got <function <lambda> at"),
        (math.tanh, TypeError, "must be compiled: decorate it with @numba.njit, got <built-in function tanh>"),
        ((my_tanh, plain), TypeError, "must be compiled: decorate it with @numba.njit, got <function plain at"),
        (two_numbers, TypeError, "must take one number, got two_numbers(z, alpha)"),
        ((my_tanh, two_numbers), TypeError, "must take one number, got two_numbers(z, alpha)"),
        (tanh, ValueError, "must not have a name of the table, got the function 'tanh': rename it"),
        (untyped, TypeError, "must compile for a float argument and return a number without raising, got CPUDisp"),
        (untyped, TypeError, "Unknown attribute 'nonsense' of type float64"),
        (words, TypeError, "words(-1.0) is 'high'"),
        (complaint, TypeError, "without raising, got CPUDispatcher(<function complaint at"),
        (complaint, TypeError, "RuntimeError: not today"),
        (interpreted, TypeError, "must compile for a float argument and return"),
        (None, TypeError, "must be the name of an activation, a function compiled with @numba.njit or a tuple of two"),
        ([my_tanh, my_tanh_slope], TypeError, "must be the name of an activation, a function compiled"),
        ((my_tanh,), TypeError, "must be the name of an activation, a function compiled"),
        ((None, my_tanh), TypeError, "must be the name of an activation, a function compiled"),
        (("tanh", "relu"), TypeError, "must be the name of an activation, a function compiled"),
    ],
)
def test_what_is_no_scalar_function_is_refused(value, error, text):
    for argument, lookup in (("activation", theory.fixed_point), ("nonlinearity", fi.gain)):
        with pytest.raises(error, match=re.escape(text)) as caught:
            lookup(value, **({"sigma_w": 1.0} if lookup is theory.fixed_point else {}))
        assert str(caught.value).startswith(f"argument '{argument}' must ")


def test_signatures_given_by_hand_are_taken():
    @numba.njit("float64(float64)")
    def double(z):
        return z * z

    @numba.njit("float32(float32)")
    def single(z):
        return z * z

    for dtype in DTYPES:
        z = points(dtype)
        for function in (double, single):
            with np.errstate(over="ignore"):
                np.testing.assert_allclose(by_address(function, z)[0], z.astype(np.float64) ** 2, rtol=1e-6)


def test_critical_points_are_those_of_the_tables_function():
    # Slopes by differences are known to about ten digits; that must not part a line into points.
    (line,) = theory.critical_points(my_relu)
    assert (line.q, line.kind) == (1.0, "neutral")
    assert line == pytest.approx((math.sqrt(2), 0.0), rel=1e-9)
    assert [p.q for p in theory.critical_points(my_relu, sigma_b=0.0)] == [1.0]
    assert theory.edge_of_chaos(my_relu, 3.0) == pytest.approx((math.sqrt(2), 0.0), rel=1e-9)
    for given in ({}, {"sigma_w": 1.3}, {"sigma_b": 0.3}):
        ours, tables = (theory.critical_points(phi, **given) for phi in (my_tanh, "tanh"))
        assert [p.kind for p in ours] == [p.kind for p in tables]
        assert np.array(ours) == pytest.approx(np.array(tables), rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("q", [0.0, 1e-200, 1e-20, 1e-8, 1.0, 1e20])
def test_differences_do_not_reach_across_a_kink(q):
    # A step of 6e-6 would: below q = 1e-8 all slopes would be 1/2, and chi_1 a half of what it is.
    assert theory.chi1(my_relu, sigma_w=math.sqrt(2), q=q) == pytest.approx(1.0, rel=1e-9)
    assert theory.edge_of_chaos(my_relu, q) == pytest.approx((math.sqrt(2), 0.0), rel=1e-9)
