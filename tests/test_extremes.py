"""Sigmas of any size that a float has: right where there is a closed form, and never an exception or a warning."""

import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fastinit as fi
from fastinit import theory
from fastinit.activations import ACTIVATIONS

HUGE = [1e8, 1e20, 1e50, 1e100, 1e150]


@pytest.mark.parametrize("sigma_w", HUGE)
def test_a_step_is_what_is_left_of_tanh(sigma_w):
    # E[tanh^2] = 1 - 2 / sqrt(2 pi q), E[sech^4] = (4/3) / sqrt(2 pi q), and the arcsine law for correlations.
    point = theory.fixed_point("tanh", sigma_w=sigma_w)
    assert point.q / sigma_w / sigma_w == pytest.approx(1 - 2 / math.sqrt(2 * math.pi) / sigma_w, rel=1e-13)
    assert point.chi1 / sigma_w == pytest.approx(4 / 3 / math.sqrt(2 * math.pi), rel=1e-7 if sigma_w < 1e9 else 1e-12)
    assert (point.c, point.kind, point.stable) == (0.0, "attracting", True)
    q0 = sigma_w * sigma_w
    (c,) = theory.correlation_map("tanh", sigma_w=sigma_w, q0=q0, c0=0.5, depth=1)
    assert c == pytest.approx(2 / math.pi * math.asin(0.5), rel=1e-8)
    # c' = 2 / pi asin(c) has the slope 2 / pi at 0.
    assert theory.depth_scales("tanh", sigma_w=sigma_w).xi_c == pytest.approx(-1 / math.log(2 / math.pi), rel=1e-7)


@pytest.mark.parametrize("sigma_b", [1e-160, 1e-150, 1e-20, 1e20, 1e100, 1e150])
def test_relu_with_biases_of_any_size_has_its_closed_fixed_point(sigma_b):
    point = theory.fixed_point("relu", sigma_w=1.2, sigma_b=sigma_b)
    # 1e-320 has four digits.
    assert point.q == pytest.approx(sigma_b**2 / (1 - 0.72), rel=1e-3 if sigma_b < 1e-155 else 1e-12)
    assert point.chi1 == pytest.approx(0.72, rel=1e-13)
    assert point.stable


def test_what_is_no_float_is_inf_or_zero():
    assert theory.fixed_point("tanh", sigma_w=1e200)[:2] == (math.inf, 1.0)
    assert theory.fixed_point("relu", sigma_w=1e-200).q == 0.0
    assert theory.fixed_point("tanh", sigma_w=0.5, sigma_b=1e-170).q == 0.0
    assert theory.fixed_point("tanh", sigma_w=1.0, sigma_b=1e200).q == math.inf
    # The square of 1e200 is none, that of 1e200 * 1e-150 is.
    (q,) = theory.variance_map("linear", sigma_w=1e200, q0=1e-300, depth=1)
    assert q == pytest.approx(1e100, rel=1e-12)
    (q,) = theory.variance_map("relu", sigma_w=1e-200, q0=1e300, depth=1)
    assert q == pytest.approx(0.5e-100, rel=1e-12)
    for sigma_w in (1e-160, 1e-300, 1e160, 1e300):  # the likeness of two inputs does not depend on the scale
        (c,) = theory.correlation_map("relu", sigma_w=sigma_w, q0=1.0, c0=0.0, depth=1)
        assert c == pytest.approx(1 / math.pi, rel=1e-12)
    np.testing.assert_allclose(theory.predict("linear", sigma_w=[1e-200, 1e200], depth=2).q, [0.0, 0.0])
    np.testing.assert_allclose(theory.predict("linear", sigma_w=[1e-100, 1e200], depth=2).q, [1e-200, 1e200])


@pytest.mark.parametrize("sigma_b", [1e-12, 1e-38, 1e-100, 1e-161])
def test_at_the_critical_slope_small_biases_hold_a_small_signal(sigma_b):
    # tanh: q = q - 2 q^2 + b, up to where the change of q is rounding; further down every variance is at rest.
    q = theory.fixed_point("tanh", sigma_w=1.0, sigma_b=sigma_b).q
    assert q == pytest.approx(sigma_b / math.sqrt(2), rel=1e-4) if sigma_b == 1e-12 else 0.0 < q < 1e-13
    assert theory.fixed_point("relu", sigma_w=math.sqrt(2), sigma_b=sigma_b).q in (1.0, math.inf)


@pytest.mark.parametrize("q", [1e-250, 1e-300, 1e250, 1e300])
def test_expectations_scale_to_the_ends_of_the_floats(q):
    (relu,) = theory.variance_map("relu", sigma_w=1.0, q0=q, depth=1)
    assert relu == pytest.approx(q / 2, rel=1e-12)
    point = theory.edge_of_chaos("tanh", q)
    if q < 1.0:
        assert point == (1.0, 0.0)
    else:
        assert point.sigma_w**2 == pytest.approx(0.75 * math.sqrt(2 * math.pi * q), rel=1e-12)
        assert point.sigma_b**2 == pytest.approx(q, rel=1e-12)


def test_the_smallest_variances_keep_the_digits_that_they_have():
    for q in (1e-320, 1e-315):
        (relu,) = theory.variance_map("relu", sigma_w=1.0, q0=q, depth=1)
        assert relu == pytest.approx(q / 2, abs=5e-324)
        (softplus,) = theory.variance_map("softplus", sigma_w=1.0, q0=q, depth=1)
        assert softplus == pytest.approx(math.log(2) ** 2, rel=1e-14)


@pytest.mark.parametrize("sigma_w", ["1", [1.0, "2"], [[1.0], [2.0, 3.0]], 10**400, 1j, None, {}])
def test_what_is_no_number_is_refused_by_name(sigma_w):
    with pytest.raises(TypeError, match=r"argument 'sigma_w' must be a number, or one a layer, got"):
        theory.predict("tanh", sigma_w=sigma_w, depth=2)


def test_gains_of_any_size():
    # elu(z) = alpha (e^z - 1) below 0, in whose square alpha is all that matters.
    moment = math.exp(2) * math.erfc(math.sqrt(2)) / 2 - math.exp(0.5) * math.erfc(math.sqrt(0.5)) + 0.5
    for alpha in (1e100, 1e200, 1e300):
        assert fi.gain("elu", alpha) * alpha == pytest.approx(1 / math.sqrt(moment), rel=1e-9)
    assert fi.gain("elu", 1e-200) == pytest.approx(math.sqrt(2), rel=1e-9)
    zero = ACTIVATIONS["linear"].__class__("zero", "0", lambda z, p: 0.0 * z, lambda z, p: 0.0 * z)
    with pytest.raises(ValueError, match=r"'nonlinearity' must have a second moment .* not 0, got 'zero'"):
        fi.gain(zero)


# Ends, squares and roots of the floats' range as often as anything between.
SPECIAL = [
    0.0,
    5e-324,
    1e-308,
    1e-162,
    1e-154,
    1e-45,
    1e-38,
    1e-8,
    1.0,
    2**0.5,
    2.0,
    1e19,
    3.5e38,
    1e154,
    1.4e154,
    1e300,
]
SCALE = st.sampled_from([*SPECIAL, 1.7e308]) | st.floats(0.0, 1.7e308)
SIGNED = SCALE | SCALE.map(lambda x: -x)
CORRELATION = st.sampled_from([-1.0, 0.0, 1.0]) | st.floats(-1.0, 1.0)
NAMES = st.sampled_from(sorted(ACTIVATIONS))


@st.composite
def calls(draw):
    """A call of one of the theory's functions, whose arguments are all allowed."""
    activation, sigmas = draw(NAMES), {"sigma_w": draw(SCALE), "sigma_b": draw(SCALE)}
    row = ACTIVATIONS[activation]
    if row.parameter:
        sigmas["param"] = draw(SIGNED.filter(lambda x: x >= row.least) | st.none())
    more = {
        "variance_map": {"q0": SCALE, "depth": st.just(4)},
        "correlation_map": {"q0": SCALE, "c0": CORRELATION, "depth": st.just(2)},
        "chi1": {"q": SCALE | st.none()},
        "fixed_point": {},
        "depth_scales": {},
        "predict": {
            "second_moment": SCALE, "depth": st.just(3), "correlation": CORRELATION | st.none(),
            "residual": st.booleans(), "branch_scale": SIGNED, "normalize": st.sampled_from([None, "layer", "rms"]),
        },
    }  # fmt: skip
    name = draw(st.sampled_from(sorted(more)))
    return name, activation, sigmas | {key: draw(value) for key, value in more[name].items()}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(calls())
@example(("fixed_point", "silu", {"sigma_w": 1e160, "sigma_b": 0.0}))
@example(("depth_scales", "sigmoid", {"sigma_w": 1e200, "sigma_b": 1e-200}))
@example(("correlation_map", "relu", {"sigma_w": 1e100, "sigma_b": 1e155, "q0": 1.7e308, "c0": -1.0, "depth": 2}))
@example(("predict", "elu", {"sigma_w": 1e200, "param": -1e300, "correlation": -1.0, "depth": 3}))
def test_the_theory_answers_for_every_float(call):
    name, activation, arguments = call
    result = getattr(theory, name)(activation, **arguments)
    # Only what has no size has no likeness, and what is inf - inf no mean.
    if name not in ("correlation_map", "predict"):
        assert not np.isnan(np.asarray(result, np.float64)).any()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(NAMES, SCALE, st.sampled_from(["q", "sigma_w", "sigma_b"]))
@example("sigmoid", 1e-162, "q")
@example("tanh", 1.7e308, "sigma_w")
@example("gelu", 1e300, "sigma_b")
def test_the_critical_line_answers_for_every_float(activation, value, by):
    if by == "q":
        try:
            points = [theory.edge_of_chaos(activation, value, repelling=True)]
        except ValueError as error:
            assert str(error).startswith("argument 'q' must be a variance at which")  # noqa: PT017
            points = []
    else:
        points = theory.critical_points(activation, **{by: value})
    for point in points:
        assert getattr(point, by) == value
        assert np.isfinite(point).all()
        assert point.kind in ("attracting", "repelling", "half-stable", "neutral")
        assert theory.chi1(activation, sigma_w=point.sigma_w, q=point.q) == pytest.approx(1.0, rel=1e-9)


SHAPE = {"depth": 3, "width": 6}
TINY, LARGEST = float(np.finfo(np.float32).smallest_normal), float(np.finfo(np.float32).max)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.fixed_dictionaries(
        {"activation": NAMES, "dtype": st.sampled_from(["float32", "float64", "float16", "bfloat16"])},
        optional={
            "sigma_w": SCALE,
            "sigma_b": SCALE,
            "bias": SIGNED,
            "branch_scale": SIGNED,
            "normalize": st.sampled_from(["layer", "rms"]),
            "inputs": SIGNED.map(lambda x: np.clip(np.linspace(-2, 2, 24).reshape(4, 6) * (x / 2), -1e308, 1e308)),
        },
    )
)
@example({"activation": "gelu", "dtype": "float64", "sigma_w": 1.7e308})
@example({"activation": "relu", "dtype": "float64", "bias": 1e300, "branch_scale": 1e300, "sigma_w": 1e200})
@example({"activation": "silu", "dtype": "float64", "inputs": np.full((4, 6), 1e200)})
@example({"activation": "relu", "dtype": "float64", "inputs": np.repeat([1e308, -1e308], 12).reshape(4, 6)})
def test_a_probe_finds_or_refuses_by_name(arguments):
    arguments = SHAPE | arguments | ({"residual": True} if "branch_scale" in arguments else {})
    arguments |= {} if "inputs" in arguments else {"batch": 4}
    try:
        result = fi.probe(**arguments)
    except ValueError as error:
        refused = str(error).split("'")[1]
        assert refused in ("std", *arguments)
        assert "got" in str(error)  # noqa: PT017
        return
    counted = result.histogram.sum(1) + result.underflow + result.overflow + result.nonfinite
    np.testing.assert_array_equal(counted, 24)
    assert (np.diff(result.bin_edges) > 0).all()


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize(
    "scheme",
    [
        {"scheme": "normal", "std": 1e200},
        {"scheme": "normal", "std": 1.0, "mean": 1e300},
        {"scheme": "constant", "value": 1e200},
        {"scheme": "he_uniform", "scale": 1e305},
        {"scheme": "xavier_normal", "gain": 1e160},
    ],
)
def test_weights_whose_squares_are_no_floats_overflow_in_the_network(scheme, activation):
    result = fi.probe(dtype="float64", activation=activation, depth=3, width=6, batch=4, **scheme)
    assert result.nonfinite[-1] > 0


@pytest.mark.parametrize(
    ("argument", "value", "more"),
    [
        ("bias", 1e39, {}),
        ("bias", -1e39, {}),
        ("branch_scale", 1e39, {"residual": True}),
        ("negative_slope", 1e39, {"activation": "leaky_relu"}),
        ("alpha", -1e39, {"activation": "elu"}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_what_the_arithmetic_cannot_hold_is_refused(argument, value, more, dtype):
    arguments = {argument: value, "dtype": dtype} | more
    text = f"argument '{argument}' must be within ±3.403e+38, the range of float32, got {value}"
    with pytest.raises(ValueError, match=re.escape(text)):
        fi.probe(**SHAPE, batch=4, **arguments)
    fi.probe(**SHAPE, batch=4, **arguments | {"dtype": "float64"})
    fi.probe(**SHAPE, batch=4, **arguments | {argument: math.copysign(3.4e38, value)})


@pytest.mark.parametrize(
    "arguments",
    [
        {"activation": "tanh", "bias": 1e-100, "inputs": np.zeros((4, 6))},
        {"activation": "leaky_relu", "sigma_b": 1e-8, "negative_slope": 1e154},
        {"activation": "elu", "alpha": 1.7e308, "sigma_b": 1e155},
        {"activation": "relu", "sigma_b": 1e200},
        {"activation": "elu", "sigma_b": 1e-38, "alpha": 2**0.5},
        {"activation": "leaky_relu", "residual": True, "branch_scale": 1e39, "negative_slope": 1e300},
    ],
)
def test_a_recommendation_has_a_reason_whatever_the_size(arguments):
    arguments |= {} if "inputs" in arguments else {"batch": 4}
    found = fi.recommend(**SHAPE, dtype="float64", **arguments)
    assert len(found) > 1
    assert found.why.endswith(".")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("argument", ["sigma_w", "sigma_b"])
def test_what_would_be_drawn_beyond_the_type_is_refused_by_the_name_it_was_given(argument, dtype):
    # Draws reach 6.77 std; weights of 4 inputs have half of sigma_w and the type that they are stored in, biases the
    # type of the arithmetic.
    stored = argument == "sigma_w" and dtype == "float16"
    most = (65504.0 if stored else LARGEST) * (2.0 if argument == "sigma_w" else 1.0)
    kind = "float16" if stored else "float32"
    text = rf"'{argument}' must keep all that is drawn, 6\.77 std .*, the range of {kind}, got"
    with pytest.raises(ValueError, match=text):
        fi.probe(depth=1, width=4, batch=4, dtype=dtype, **{argument: most / 6.5})
    fi.probe(depth=1, width=4, batch=4, dtype=dtype, **{argument: most / 7.0})
    with pytest.raises(ValueError, match=r"'sigma_b' must keep all that is drawn"):
        fi.probe(depth=1, width=4, batch=4, dtype=dtype, bias=LARGEST, sigma_b=1e36)
