"""Values of every kind that are none of an argument's: which error, and its whole text; what is missing memory's."""

# ruff: noqa: E501 (a case is a row, however long)

import json
import re

import numpy as np
import pytest
from odd import Endless, Hostile

import fastinit as fi
from fastinit import theory

BEYOND = 10**400
DIGITS = 10**5000
RECORD = fi.probe(depth=3, width=4, batch=4).to_dict()


class Odd(str):
    __eq__ = __hash__ = __repr__ = __len__ = None


def lies(**changed):
    return lambda: fi.ProbeResult.from_dict({**RECORD, **changed})


REFUSED = {
    "fan beyond the floats": (lambda: fi.init("he_normal", (4, 6), fan_in=BEYOND), ValueError,
                              "argument 'fan_in' must be a finite number > 0, got an integer of 1329 bits"),
    "value beyond the floats": (lambda: fi.init("constant", 3, value=BEYOND), ValueError,
                                "argument 'value' must be a finite number, got an integer of 1329 bits"),
    "variance beyond the floats": (lambda: fi.init("variance_scaling", (4, 6), scale=1e308, gain=1e300), ValueError,
                                   "argument 'scale' must keep gain·sqrt(scale/n) a float, got 1e+308 for gain 1e+300 and n = 4.0"),
    "bytes as a shape": (lambda: fi.normal(b"ab"), TypeError, "argument 'shape' must hold integers >= 0, got b'ab'"),
    "array of a word as a shape": (lambda: fi.normal(np.array("a")), TypeError,
                                   "argument 'shape' must hold integers >= 0, got array('a', dtype='<U1')"),
    "zero times 2^63": (lambda: fi.normal((0, 2**63)), ValueError,
                        "argument 'shape' must have a product, zeros left out, < 2**63, got (0, 9223372036854775808)"),
    "size of 5000 digits": (lambda: fi.normal(DIGITS), ValueError,
                            "argument 'shape' must have a product, zeros left out, < 2**63, got an integer of 16610 bits"),
    "65 axes": (lambda: fi.normal((2,) * 65), ValueError,
                "argument 'shape' must have at most 64 axes, got (2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, ...)"),
    "comma": (lambda: fi.normal(3, dtype=","), ValueError,
              "argument 'dtype' must be one of bfloat16, complex128, complex64, float16, float32, float64, float8_e4m3fn, float8_e5m2, got ','"),
    "duration": (lambda: fi.normal(3, std=np.timedelta64(1, "s")), TypeError,
                 "argument 'std' must be a finite number >= 0, got np.timedelta64(1,'s')"),
    "groups of 5000 digits": (lambda: fi.fans((4, 6), groups=DIGITS), ValueError,
                              "argument 'groups' must divide the 6 output channels of shape (4, 6), got an integer of 16610 bits"),
    "axis of 5000 digits": (lambda: fi.fans((4, 6, 3), layout=[DIGITS, 1]), ValueError,
                            "argument 'layout' must be (input axes, output axes[, batch axes]), different axes of 3, "
                            "got [an integer of 16610 bits, 1]"),
    "region of 5000 digits": (lambda: fi.normal(3, region=slice(0, DIGITS)), ValueError,
                              "argument 'region' must hold slices start:stop with 0 <= start <= stop <= 3 and no step, "
                              "got slice(0, an integer of 16610 bits, None)"),
    "word that is not its own": (lambda: fi.init(Odd("he_norml"), 3), ValueError, None),
    "keyword of control characters": (lambda: fi.init("normal", 3, **{"\x1b": 1}), ValueError,
                                      r"argument '\x1b' must be a parameter of scheme 'normal' (mean, std), got 1"),
    "fans that are none": (lambda: fi.get_scheme("he_normal").law((3, 4)), TypeError,
                           "argument 'fans' must be Fans(fan_in, fan_out), got (3, 4)"),
    "a number for widths": (lambda: fi.probe(widths=3, weights=[np.ones((3, 2))]), ValueError,
                            "argument 'widths' must be those of weights, [3, 2], got 3"),
    "width of 2^59": (lambda: fi.probe(width=2**59), ValueError,
                      "argument 'width' must give weights of fewer than 2**63 numbers, got 576460752303423488"),
    "one width of 2^59": (lambda: fi.probe(widths=[2**59, 1], batch=1), ValueError,
                          "argument 'batch' must give at most 2**56 activations in all layers, "
                          "got 1 rows of (576460752303423488, 1) units"),
    "depth of 2^59": (lambda: fi.probe(depth=2**59), ValueError,
                      "argument 'depth' must be an integer <= 16777216, got 576460752303423488"),
    "batch of 2^59": (lambda: fi.probe(batch=2**59, width=4), ValueError,
                      "argument 'batch' must give at most 2**56 activations in all layers, got 576460752303423488 rows of 4 units"),
    "kernel of 2^59": (lambda: fi.probe(conv=2**59, width=4), ValueError,
                       "argument 'width' must give weights of fewer than 2**63 numbers with conv = 576460752303423488, got 4"),
    "image of 2^30": (lambda: fi.probe(conv=3, image=2**30, width=4, batch=1), ValueError,
                      "argument 'batch' must give at most 2**56 activations in all layers, got 1152921504606846976 rows of 4 units"),
    "depth of the theory": (lambda: theory.variance_map("relu", sigma_w=1, q0=1, depth=2**62), ValueError,
                            "argument 'depth' must be an integer <= 16777216, got 4611686018427387904"),
    "more points than can be": (lambda: fi.sweep(seed=range(2**20), depth=range(1, 2**10)), ValueError,
                                "argument 'seed' must give at most 16777216 points in all, got 1072693248"),
    "layers of a table": (lambda: fi.ProbeResult.from_dict(RECORD).table("all"), TypeError,
                          "argument 'layers' must be an integer >= 1, got 'all'"),
    "truth of a point": (lambda: theory.edge_of_chaos("tanh", 1.0, repelling=[]), TypeError,
                         "argument 'repelling' must be True or False, got []"),
    "path no file system has": (lambda: fi.ProbeResult.from_dict(RECORD).save("\ud800"), ValueError,
                                r"argument 'path' must be what the file system can encode, got '\ud800'"),
    "list of another length": (lies(mean=[1.0]), ValueError, "field 'mean' must be a list of shape (3,), got another or none"),
    "a count of 1e300": (lies(nonfinite=[1e300, 0, 0]), TypeError, "field 'nonfinite' must hold integers, got 1e+300"),
    "a count for all": (lies(nonfinite=1e300), ValueError, "field 'nonfinite' must be a list of shape (3,), got another or none"),
    "a scheme that clears the screen": (lies(scheme="\x1b[2J"), ValueError, r"field 'scheme' must be printable, got '\x1b[2J'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_named(case):
    call, kind, text = REFUSED[case]
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert text is None or str(caught.value) == text
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", [Hostile, Endless])
def test_a_value_whose_own_code_fails_is_refused_like_any_other(kind):
    name = kind.__name__
    for argument, call in {
        "std": lambda: fi.normal(3, std=kind()),
        "shape": lambda: fi.normal(kind()),
        "seed": lambda: fi.normal(3, seed=kind()),
        "sigma_w": lambda: theory.chi1("tanh", sigma_w=kind()),
        "scheme": lambda: fi.init(kind(), 3),
        "executor": lambda: fi.sweep(executor=kind(), width=4),
    }.items():
        with pytest.raises(TypeError, match=rf"^argument '{argument}' must .*, got .*{name}"):
            call()


def test_what_numpy_has_for_a_number_is_one():
    expected = fi.normal(5, std=0.5, seed=3)
    assert fi.normal(np.array(5), std=np.array(0.5), seed=np.array(3)).tobytes() == expected.tobytes()


# Beyond the addresses that a process has, 2^47 bytes: no machine's settings let it pass.
MISSING = {
    "shape": lambda: fi.normal(2**59),
    "width": lambda: fi.probe(scheme="sparse", width=2**25, depth=1, batch=1),
    "widths": lambda: fi.probe(widths=[2**46, 1], batch=1),
}


@pytest.mark.parametrize("argument", MISSING)
def test_missing_memory_has_a_name(argument):
    with pytest.raises(MemoryError, match=rf"^argument '{argument}' must leave room in memory, got"):
        MISSING[argument]()


@pytest.mark.parametrize(
    ("activation", "verdict"), [("relu", "nonfinite"), ("linear", "exploding"), ("tanh", "saturated")]
)
def test_a_constant_whose_square_is_no_float_is_a_finding(activation, verdict):
    arguments = dict(activation=activation, dtype="float64", width=4, batch=4, depth=3)
    assert fi.probe(scheme="constant", value=1e200, **arguments).verdict == verdict


def test_a_file_of_brackets_is_no_result(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 200_000)
    with pytest.raises(
        ValueError, match=rf"^file '{re.escape(str(path))}' must be a saved ProbeResult: nested too deeply$"
    ):
        fi.ProbeResult.load(path)


def test_a_store_of_lies_is_computed_again(tmp_path):
    path = tmp_path / "store.jsonl"
    grid = dict(depth=[1, 2], width=4, batch=2)
    fi.sweep(**grid, store=path)
    header, *points = path.read_text().splitlines()
    lying = json.loads(points[0])
    lying["result"]["nonfinite"] = 1e300
    path.write_text("\n".join([header, json.dumps(lying), "[" * 200_000, "\x1b[2J", *points[1:]]) + "\n")
    with pytest.warns(RuntimeWarning, match="nested too deeply") as caught:
        assert fi.sweep(**grid, store=path).complete
    assert str(caught[0].message).isprintable()
