"""Results from files and dicts: what was saved comes back exactly, what no probe can have found is refused by name."""

import dataclasses
import json
from fractions import Fraction

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastinit as fi
from fastinit.probing.figures import FIGURES
from fastinit.probing.result import _BINNED

SMALL = {"depth": 3, "width": 6, "batch": 4}


@numba.njit
def cubic(z):
    return z**3


NETWORKS = {
    "plain": {},
    "no gradients": {"backward": False},
    "an overflow": {"scheme": "normal", "std": 1e30},
    "an overflow in float64": {"scheme": "normal", "std": 1e150, "dtype": "float64"},
    "nothing": {"scheme": "zeros"},
    "constant": {"scheme": "constant", "value": 0.1, "activation": "tanh"},
    "NaN": {"weights": [np.full((6, 6), np.nan)], "depth": 1},
    "infinite": {"weights": [np.full((6, 6), np.inf, np.float32)] * 2},
    "one number": {"depth": 1, "width": 1, "batch": 1},
    "float16": {"dtype": "float16", "bias": 0.1, "sigma_b": 0.2},
    "biases": {"bias": [np.ones(6)] * 3},
    "inputs": {"inputs": np.ones((4, 6)), "range": (-1, 2), "bins": 3},
    "large inputs": {"inputs": np.full((4, 6), 1e38)},
    "subnormal": {"sigma_w": 1e-20, "activation": "tanh"},
    "images": {"conv": 3, "image": 4, "residual": True, "branch_scale": "1/sqrt(depth)", "normalize": "rms"},
    "pairs": {"input_correlation": -0.5, "activation": "gelu"},
    "widths": {"widths": [5, 4, 1], "activation": "softplus"},
    "numbers": {"scheme": "normal", "std": Fraction(1, 3), "mean": np.float32(0.1)},
    "a function": {"activation": cubic, "scheme": "he_normal", "nonlinearity": cubic},
    "words": {"scheme": "variance_scaling", "mode": "fan_out", "distribution": "uniform", "scale": 2},
}


def same(first, second):
    assert type(first) is type(second)
    if isinstance(first, np.ndarray):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)
    else:
        assert repr(first) == repr(second)  # -0.0 is not 0.0


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_what_is_saved_comes_back_exactly(tmp_path, network):
    result = fi.probe(**{**SMALL, **network})
    result.save(tmp_path / "a.json")
    loaded = fi.ProbeResult.load(tmp_path / "a.json")
    for field in dataclasses.fields(result):
        same(getattr(result, field.name), getattr(loaded, field.name))
    loaded.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (str(loaded), str(loaded.table())) == (str(result), str(result.table()))


def test_infinite_parameters_come_back_as_numbers(tmp_path):
    result = dataclasses.replace(fi.probe(**SMALL), params={"lower": -np.inf, "upper": np.inf, "negative_slope": None})
    result.save(tmp_path / "a.json")
    assert fi.ProbeResult.load(tmp_path / "a.json").params == result.params


def test_a_dict_of_arrays_is_a_result_too():
    result = fi.probe(**SMALL)
    again = fi.ProbeResult.from_dict(dataclasses.asdict(result))
    for field in dataclasses.fields(result):
        same(getattr(result, field.name), getattr(again, field.name))


NESTED = "[" * 200_000 + "]" * 200_000
FILES = {
    "nested": (NESTED, "nested too deeply"),
    "nested in a field": ('{"seed": ' + NESTED + "}", "nested too deeply"),
    "nested less": ('{"seed": ' + "[" * 800 + "]" * 800 + "}", "must have the fields of a ProbeResult"),
    "a long integer": ('{"seed": ' + "9" * 5000 + "}", "an integer of 5000 digits"),
    "no JSON": ("hello", "no JSON: Expecting value, character 0"),
    "nothing": ("", "no JSON"),
    "NUL": ("\0" * 10, "no JSON"),
    "NaN": ('{"seed": NaN}', "NaN is no number"),
    "no UTF-8": (b"\xff{}", "no UTF-8: invalid start byte at byte 0"),
    "a number": ("3", "argument 'values' must be a dict, got int"),
    "a list": ("[]", "argument 'values' must be a dict, got list"),
    "no fields": ("{}", "must have the fields of a ProbeResult"),
    "an odd field": ('{"\\u001b[2J": 1}', "'\\x1b[2J'"),
}


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES)
def test_a_file_of_something_else_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((ValueError, TypeError)) as caught:
        fi.ProbeResult.load(path)
    assert str(caught.value).startswith(f"file {str(path)!r} must be a saved ProbeResult: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 2000
    assert str(caught.value).isprintable()


@pytest.fixture(scope="module")
def values():
    return json.dumps(fi.probe(**SMALL).to_dict())


ESCAPE = "\x1b[2J\x1b[31m"
LIES = [
    ("mean", [], "field 'mean' must be a list of shape (3,)"),
    ("mean", [0.0] * 4, "field 'mean' must be a list of shape (3,)"),
    ("mean", 3.0, "field 'mean' must be a list of shape (3,)"),
    ("mean", [0.0, "1", 0.0], "field 'mean' must hold numbers, got '1'"),
    ("mean", [0.0, True, 0.0], "field 'mean' must hold numbers, got True"),
    ("mean", [0.0, [0.0], 0.0], "field 'mean' must be a single value, got list"),
    ("mean", [0.0, 10**400, 0.0], "field 'mean' must be within 64 bits"),
    ("std", [0.0, -1.0, 0.0], "field 'std' must hold numbers in [0, inf], got -1.0"),
    ("saturated", [0.0, 1.5, 0.0], "field 'saturated' must hold numbers in [0, 1], got 1.5"),
    ("nonfinite", [0, 1e300, 0], "field 'nonfinite' must hold integers, got 1e+300"),
    ("nonfinite", [0, None, 0], "field 'nonfinite' must hold integers, got None"),
    ("nonfinite", [0, -1, 0], "field 'nonfinite' must hold integers in [0, 2**63), got -1"),
    ("nonfinite", [0, 25, 0], "field 'nonfinite' must hold integers in [0, 24], got 25"),
    ("distinct", [6, 6, 7], "field 'distinct' must hold integers in [0, 6], got 7"),
    ("nonfinite", [0, 2**63, 0], "field 'nonfinite' must hold integers in [0, 2**63), got 9223372036854775808"),
    ("nonfinite", [0, 10**5000, 0], "field 'nonfinite' must be within 64 bits"),
    ("histogram", [[0] * 30] * 2, "field 'histogram' must be a list of shape (3, 30)"),
    ("histogram", [[0] * 30, [0] * 30, [0] * 29], "field 'histogram' must be a list of shape (3, 30)"),
    ("histogram", [[[0] * 30]] * 3, "field 'histogram' must be a list of shape (3, 30)"),
    ("bin_edges", [[0.0] * 30] * 3, "field 'bin_edges' must be a list of shape (3, 31)"),
    ("bin_edges", [[None] * 31] * 3, "field 'bin_edges' must hold numbers that do not decrease"),
    ("bin_edges", [list(range(31, 0, -1))] * 3, "field 'bin_edges' must hold numbers that do not decrease"),
    ("bin_edges", [["inf"] * 31] * 3, "field 'bin_edges' must hold numbers in [-1.79769e+308, 1.79769e+308], got inf"),
    ("widths", [6], "field 'widths' must be a list of at least two sizes"),
    ("widths", "66", "field 'widths' must be a list of at least two sizes"),
    ("widths", [6, 6, 0, 6], "argument 'widths' must be an integer >= 1, got 0"),
    ("widths", [6, 6.5, 6, 6], "argument 'widths' must be an integer >= 1, got 6.5"),
    ("widths", [[6]] * 4, "field 'widths' must be a single value, got list"),
    ("batch", 0, "argument 'batch' must be an integer >= 1, got 0"),
    ("bins", 1e9, "argument 'bins' must be an integer >= 1, got 1000000000.0"),
    ("bins", 2**64, "field 'bins' must be within 64 bits"),
    ("seed", -1, "argument 'seed' must be an integer >= 0, got -1"),
    ("seed", None, "argument 'seed' must be an integer >= 0, got None"),
    ("seed", [[]], "field 'seed' must be a single value, got list"),
    ("dtype", "int8", "argument 'dtype' must be one of"),
    ("dtype", ",", "argument 'dtype' must be one of"),
    ("backward", 1, "argument 'backward' must be True or False, got 1"),
    ("bias", "ones", "argument 'bias' must be one of biases, zeros, got 'ones'"),
    ("bias", None, "argument 'bias' must be a finite number, got None"),
    ("sigma_b", -0.5, "argument 'sigma_b' must be a finite number >= 0, got -0.5"),
    ("range", [1, 0], "argument 'range' must be (low, high)"),
    ("range", [1], "field 'range' must be a list of two numbers"),
    ("inputs", "mine", "argument 'inputs' must be one of N(0, 1), given, got 'mine'"),
    ("input_q", -1.0, "field 'input_q' must hold numbers in [0, inf], got -1.0"),
    ("input_correlation", 2, "argument 'input_correlation' must be a finite number in [-1, 1], got 2"),
    ("normalize", "batch", "argument 'normalize' must be one of"),
    ("conv", 0, "argument 'conv' must be an integer >= 1, got 0"),
    ("verdict", "fine", "argument 'verdict' must be one of"),
    ("verdict", ["healthy"], "field 'verdict' must be a single value, got list"),
    ("seconds", -1, "argument 'seconds' must be a finite number >= 0, got -1"),
    ("seconds", "inf", "argument 'seconds' must be a finite number >= 0, got 'inf'"),
    ("params", [], "field 'params' must be a dict, got list"),
    ("params", {"std": [1.0]}, "field 'params' / 'std' must hold one entry for each of 3 layers, got 1"),
    ("params", {ESCAPE: 1.0}, "field 'params' must be printable, got '\\x1b[2J\\x1b[31m'"),
    ("params", {"mode": ESCAPE}, "field 'params' must be printable"),
    *[(name, ESCAPE, f"field '{name}' must be printable") for name in ("scheme", "activation", "reason", "verdict")],
    ("reason", "a\nb", "field 'reason' must be printable, got 'a\\nb'"),
    ("reason", "\ud800", "field 'reason' must be printable, got '\\ud800'"),
    ("reason", "\u202e", "field 'reason' must be printable, got '\\u202e'"),
    ("reason", 3, "argument 'reason' must be a string, got 3"),
]


@pytest.mark.parametrize(("field", "value", "words"), LIES, ids=range(len(LIES)))
def test_a_field_that_lies_is_refused_by_name(values, field, value, words):
    lie = {**json.loads(values), field: value}
    with pytest.raises((ValueError, TypeError)) as caught:
        fi.ProbeResult.from_dict(lie)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


HOSTILE = {
    "deep lists": deep(100_000),
    "a deep dict": {"a": deep(100_000)},
    "5000 digits": 10**5000,
    "an object": object(),
    "bytes": b"x",
    "a terminal's": ESCAPE,
}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(fi.ProbeResult)])
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_field_takes_what_is_hostile(values, field, value):
    with pytest.raises((ValueError, TypeError), match=f"'{field}'"):
        fi.ProbeResult.from_dict({**json.loads(values), field: value})


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["inf", "-inf", "zeros"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_whatever_a_field_says_is_taken_or_refused(values, data):
    lie = json.loads(values)
    field = data.draw(st.sampled_from(sorted(lie)))
    if field in FIGURES or field in _BINNED:
        lie[field][data.draw(st.integers(0, 2))] = data.draw(ANYTHING)
    else:
        lie[field] = data.draw(ANYTHING)
    result, refusal = None, ""
    try:
        result = fi.ProbeResult.from_dict(lie)
    except (ValueError, TypeError) as error:
        refusal = str(error)
    if result is None:
        # What a field says may be at odds with the sizes of others.
        assert any(f"'{name}'" in refusal for name in (field, *FIGURES, *_BINNED))
        return
    shown = f"{result}{result!r}{result.table()}"
    assert shown.replace("\n", "").isprintable()
    assert fi.ProbeResult.from_dict(json.loads(json.dumps(result.to_dict()))).to_dict() == result.to_dict()


@pytest.mark.parametrize("value", [None, "inf", "-inf", 1e308, -1e308, 5e-324, 0.0])
def test_what_is_taken_can_be_shown_and_drawn(values, tmp_path, value):
    odd = json.loads(values)
    for name in {name for name, figure in FIGURES.items() if not figure.counts}:
        low, high = (FIGURES | _BINNED)[name].limits
        if value is None or low <= float(value) <= high:
            odd[name] = [value] * 3
    odd |= {"scheme": "$", "activation": "a_{$x^{", "reason": "$\\frac{$", "params": {"mode": "$\\foo$"}}
    result = fi.ProbeResult.from_dict(odd)
    assert str(result.table(layers=None)).isprintable() or "\n" in str(result.table())
    result.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 3000
