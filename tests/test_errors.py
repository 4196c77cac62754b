"""Every refusal: its type, its whole text, and that `out` was not touched."""

# ruff: noqa: E501 (a case is a row, however long)

import math
import re

import numpy as np
import pytest

import fastinit as fi

FLOATS = "bfloat16, complex128, complex64, float16, float32, float64, float8_e4m3fn, float8_e5m2"
SHAPE = (4, 6)


def out(**changes):
    return np.full(changes.pop("shape", SHAPE), 7, changes.pop("dtype", np.float32))


def read_only():
    array = out()
    array.flags.writeable = False
    return array


# call, arguments, the error, its whole text (a regular expression)
TABLE = {
    # scheme
    "unknown scheme": ("he_norml", {}, ValueError, r"argument 'scheme' must be one of .*, zeros, got 'he_norml'; did you mean 'he_normal'\?"),
    "the beginning of two": ("he", {}, ValueError, r"argument 'scheme' must be one of .*, got 'he'; did you mean 'he_normal' or 'he_uniform'\?"),
    "Keras's word": ("normal", {"stddev": 0.1}, ValueError, r"argument 'stddev' must be .* got 0.1; did you mean 'std'\?"),
    "PyTorch's word": ("he_normal", {"a": 0.1}, ValueError, r"argument 'a' must be .* did you mean 'negative_slope'\?"),
    "PyTorch's bound": ("uniform", {"b": 0.1}, ValueError, r"argument 'b' must be .* did you mean 'high'\?"),
    "JAX's word": ("uniform", {"minval": 0.1}, ValueError, r"argument 'minval' must be .* did you mean 'low'\?"),
    "a std of its own": ("xavier_normal", {"std": 0.1}, ValueError, r"argument 'std' must be .* did you mean 'gain'\?"),
    "upper case": ("He_Normal", {}, ValueError, r"argument 'scheme' must be one of .*, got 'He_Normal'; did you mean 'he_normal'\?"),
    "nothing near": ("qqqqqqqq", {}, ValueError, r"argument 'scheme' must be one of .*, zeros, got 'qqqqqqqq'"),
    "scheme of another type": (3, {}, TypeError, r"argument 'scheme' must be a string, got 3"),
    "unhashable scheme": (["normal"], {}, TypeError, r"argument 'scheme' must be a string, got \['normal'\]"),
    # parameters
    "unknown parameter": ("normal", {"sigma": 1.0}, ValueError, r"argument 'sigma' must be a parameter of scheme 'normal' \(mean, std\), got 1\.0; did you mean 'std'\?"),
    "parameter of none": ("zeros", {"std": 1.0}, ValueError, r"argument 'std' must be a parameter of scheme 'zeros' \(none\), got 1\.0"),
    "negative std": ("normal", {"std": -1.0}, ValueError, r"argument 'std' must be a finite number >= 0, got -1\.0"),
    "nan std": ("normal", {"std": math.nan}, ValueError, r"argument 'std' must be a finite number >= 0, got nan"),
    "infinite std": ("truncated_normal", {"std": math.inf}, ValueError, r"argument 'std' must be a finite number >= 0, got inf"),
    "infinite mean": ("normal", {"mean": -math.inf}, ValueError, r"argument 'mean' must be a finite number, got -inf"),
    "text as std": ("normal", {"std": "1"}, TypeError, r"argument 'std' must be a finite number >= 0, got '1'"),
    "bool as std": ("normal", {"std": True}, TypeError, r"argument 'std' must be a finite number >= 0, got True"),
    "array as std": ("normal", {"std": [1.0]}, TypeError, r"argument 'std' must be a finite number >= 0, got \[1\.0\]"),
    "std beyond float32": ("normal", {"std": 1e39}, ValueError, r"argument 'std' must keep mean ± 6\.77 std within ±3\.403e\+38, the range of float32, got 1e\+39"),
    "low above high": ("uniform", {"low": 2.0, "high": 1.0}, ValueError, r"argument 'low' must be <= high, got low=2\.0, high=1\.0"),
    "nan low": ("uniform", {"low": math.nan}, ValueError, r"argument 'low' must be a finite number, got nan"),
    "infinite high": ("uniform", {"high": math.inf}, ValueError, r"argument 'high' must be a finite number, got inf"),
    "equal bounds": ("truncated_normal", {"lower": 1.0, "upper": 1.0}, ValueError, r"argument 'lower' must be < upper, got lower=1\.0, upper=1\.0"),
    "nan bound": ("truncated_normal", {"lower": math.nan}, ValueError, r"argument 'lower' must be a finite number, got nan"),
    "truncated beyond float16": ("truncated_normal", {"std": 4e4, "dtype": "float16"}, ValueError,
                                 r"argument 'std' must keep the values within ±6\.55e\+04, the range of float16, between -2\.0 and 2\.0 std "
                                 r"around the mean 0\.0, got 40000\.0"),
    "normal beyond float16": ("normal", {"mean": 5e4, "std": 1e4, "dtype": "float16"}, ValueError,
                              r"argument 'std' must keep mean ± 6\.77 std within ±6\.55e\+04, the range of float16, got 10000\.0"),
    "bound not in float16": ("uniform", {"high": 1e5, "dtype": "float16"}, ValueError,
                             r"argument 'high' must be within ±6\.55e\+04, the range of float16, got 100000\.0"),
    "no bfloat16 between": ("uniform", {"low": 1.001, "high": 1.002, "dtype": "bfloat16"}, ValueError,
                            r"argument 'high' must leave room for a bfloat16 from low = 1\.001 on, got 1\.002"),
    "no float32 between": ("truncated_normal", {"mean": 1.0, "std": 1e-9, "lower": 0.5}, ValueError,
                           r"argument 'std' must leave room for a float32 between the bounds 0\.5 and 2\.0 around the mean 1\.0, got 1e-09"),
    "value beyond float16": ("constant", {"value": 1e5, "dtype": "float16"}, ValueError,
                             r"argument 'value' must be within ±6\.55e\+04, the range of float16, got 100000\.0"),
    "nan value": ("constant", {"value": math.nan}, ValueError, r"argument 'value' must be a finite number, got nan"),
    "unknown mode": ("he_normal", {"mode": "fanin"}, ValueError,
                     r"argument 'mode' must be one of fan_avg, fan_geo_avg, fan_in, fan_out, got 'fanin'; did you mean 'fan_in'\?"),
    "mode of another type": ("he_normal", {"mode": 1}, TypeError, r"argument 'mode' must be a string, got 1"),
    "unknown distribution": ("variance_scaling", {"distribution": "cauchy"}, ValueError,
                             r"argument 'distribution' must be one of normal, truncated_normal, uniform, got 'cauchy'"),
    "unknown nonlinearity": ("he_normal", {"nonlinearity": "rellu"}, ValueError, r"argument 'nonlinearity' must be one of .*, got 'rellu'; did you mean 'relu'\?"),
    "slope without leak": ("he_normal", {"nonlinearity": "tanh", "negative_slope": 0.1}, ValueError,
                           r"argument 'negative_slope' must be left out for nonlinearity 'tanh', got 0\.1"),
    "truncated of another type": ("he_normal", {"truncated": 1}, TypeError, r"argument 'truncated' must be True or False, got 1"),
    "negative scale": ("lecun_normal", {"scale": -1.0}, ValueError, r"argument 'scale' must be a finite number >= 0, got -1\.0"),
    "nan gain": ("xavier_uniform", {"gain": math.nan}, ValueError, r"argument 'gain' must be a finite number >= 0, got nan"),
    "too many nonzeros": ("sparse", {"nonzeros": 5}, ValueError, r"argument 'nonzeros' must be at most fan_in = 4, got 5"),
    "negative nonzeros": ("sparse", {"nonzeros": -1}, ValueError, r"argument 'nonzeros' must be an integer >= 0, got -1"),
    "fractional nonzeros": ("sparse", {"nonzeros": 1.5}, TypeError, r"argument 'nonzeros' must be an integer >= 0, got 1\.5"),
    "sparse with another fan_in": ("sparse", {"nonzeros": 2, "fan_in": 9}, ValueError,
                                   r"argument 'fan_in' must be the layout's 4 for a scheme of whole neurons, got 9"),
    # shape
    "float size": ("normal", {"shape": (4.0, 6)}, TypeError, r"argument 'shape' must hold integers >= 0, got \(4\.0, 6\)"),
    "float shape": ("normal", {"shape": 4.0}, TypeError, r"argument 'shape' must hold integers >= 0, got 4\.0"),
    "bool size": ("normal", {"shape": (True, 6)}, TypeError, r"argument 'shape' must hold integers >= 0, got \(True, 6\)"),
    "text shape": ("normal", {"shape": "46"}, TypeError, r"argument 'shape' must hold integers >= 0, got '46'"),
    "no shape": ("normal", {"shape": None}, TypeError, r"argument 'shape' must hold integers >= 0, got None"),
    "negative size": ("normal", {"shape": (4, -6)}, ValueError, r"argument 'shape' must hold integers >= 0, got \(4, -6\)"),
    "too large": ("normal", {"shape": (2**32, 2**31)}, ValueError, r"argument 'shape' must have a product, zeros left out, < 2\*\*63, got \(4294967296, 2147483648\)"),
    "one axis, fans needed": ("he_normal", {"shape": (24,)}, ValueError,
                              r"argument 'shape' must have at least 2 dimensions for its fan_in to be known, got \(24,\); give fan_in= \(a bias has its weight's\)"),
    "no axes, fans needed": ("he_normal", {"shape": ()}, ValueError, r"argument 'shape' must have at least 2 dimensions .*, got \(\); .*"),
    # fans
    "zero fan_in": ("he_normal", {"fan_in": 0}, ValueError, r"argument 'fan_in' must be a finite number > 0, got 0"),
    "fan_out a word": ("he_normal", {"fan_out": "2"}, TypeError, r"argument 'fan_out' must be a finite number > 0, got '2'"),
    "groups that do not divide": ("he_normal", {"groups": 4}, ValueError, r"argument 'groups' must divide the 6 output channels of shape \(4, 6\), got 4"),
    "zero groups": ("he_normal", {"groups": 0}, ValueError, r"argument 'groups' must be an integer >= 1, got 0"),
    "float groups": ("he_normal", {"groups": 1.0}, TypeError, r"argument 'groups' must be an integer >= 1, got 1\.0"),
    "layout of another rank": ("he_normal", {"layout": "hwio"}, ValueError,
                               r"argument 'layout' must be 'io', 'oi' or one letter for each of the 2 axes of shape \(4, 6\), got 'hwio'"),
    "layout without roles": ("he_normal", {"layout": "hw"}, ValueError, r"argument 'layout' must name an input axis 'i' or an output axis 'o', got 'hw'"),
    "layout of another type": ("he_normal", {"layout": 1}, TypeError, r"argument 'layout' must be 'io', 'oi', a letter for each axis or a tuple of axes, got 1"),
    "layout axis outside": ("he_normal", {"layout": (0, 2)}, ValueError,
                            r"argument 'layout' must be \(input axes, output axes\[, batch axes\]\), different axes of 2, got \(0, 2\)"),
    "layout axis twice": ("he_normal", {"layout": (0, 0)}, ValueError, r"argument 'layout' must be \(input axes, .* different axes of 2, got \(0, 0\)"),
    "layout of one axis": ("he_normal", {"layout": (0,)}, ValueError, r"argument 'layout' must be \(input axes, .* different axes of 2, got \(0,\)"),
    # region
    "region outside": ("normal", {"region": (slice(0, 5), slice(0, 6))}, ValueError,
                       r"argument 'region' must hold slices start:stop with 0 <= start <= stop <= 4 and no step, got \(slice\(0, 5, None\), slice\(0, 6, None\)\)"),
    "region with a step": ("normal", {"region": (slice(0, 4, 2), slice(0, 6))}, ValueError,
                           r"argument 'region' must hold slices .* no step, got \(slice\(0, 4, 2\), slice\(0, 6, None\)\)"),
    "region from the end": ("normal", {"region": (slice(-2, None), slice(0, 6))}, ValueError,
                            r"argument 'region' must hold slices .* no step, got \(slice\(-2, None, None\), slice\(0, 6, None\)\)"),
    "region backwards": ("normal", {"region": (slice(3, 1), slice(0, 6))}, ValueError, r"argument 'region' must hold slices .*, got \(slice\(3, 1, None\), .*\)"),
    "region of floats": ("normal", {"region": (slice(0, 4.0), slice(0, 6))}, TypeError, r"argument 'region' must hold slices .*, got \(slice\(0, 4\.0, None\), .*\)"),
    "region of another rank": ("normal", {"region": (slice(0, 4),)}, ValueError,
                               r"argument 'region' must have one slice for each of the 2 axes of shape \(4, 6\), got \(slice\(0, 4, None\),\)"),
    "region of indices": ("normal", {"region": (1, 2)}, TypeError, r"argument 'region' must be a tuple of slices, got \(1, 2\)"),
    # out
    "out of another shape": ("normal", {"out": lambda: out(shape=(6, 4))}, ValueError, r"argument 'out' must have the region's shape \(4, 6\), got \(6, 4\)"),
    "out not of the region's shape": ("normal", {"region": (slice(0, 2), slice(0, 6))}, ValueError, r"argument 'out' must have the region's shape \(2, 6\), got \(4, 6\)"),
    "out of another dtype": ("normal", {"out": lambda: out(dtype=np.float64)}, ValueError,
                             r"argument 'out' must have dtype float32 in native byte order, got dtype\('float64'\)"),
    "out byte-swapped": ("normal", {"out": lambda: out(dtype=np.dtype(np.float32).newbyteorder())}, ValueError,
                         r"argument 'out' must have dtype float32 in native byte order, got dtype\('[<>]f4'\)"),
    "out read-only": ("normal", {"out": read_only}, ValueError, r"argument 'out' must be writable, got a read-only array"),
    "out broadcast": ("normal", {"out": lambda: np.lib.stride_tricks.as_strided(out(), SHAPE, (0, 4))}, ValueError,
                      r"argument 'out' must not share memory among its elements, got strides \(0, 4\)"),
    "out a list": ("normal", {"out": lambda: [[0.0] * 6] * 4}, TypeError, r"argument 'out' must be a NumPy array, got list"),
    # the rest
    "negative seed": ("normal", {"seed": -1}, ValueError, r"argument 'seed' must be an integer >= 0, got -1"),
    "seed too large": ("normal", {"seed": 2**64}, ValueError, r"argument 'seed' must be an integer in \[0, 2\*\*64\), got 18446744073709551616"),
    "seed a float": ("normal", {"seed": 1.0}, TypeError, r"argument 'seed' must be an integer >= 0, got 1\.0"),
    "seed a bool": ("normal", {"seed": True}, TypeError, r"argument 'seed' must be an integer >= 0, got True"),
    "name of bytes": ("normal", {"name": b"w"}, TypeError, r"argument 'name' must be a string, got b'w'"),
    "name that UTF-8 refuses": ("normal", {"name": "\ud800"}, ValueError, r"argument 'name' must be a string that UTF-8 can encode, got '\\ud800'"),
    "integer dtype": ("normal", {"dtype": "int32"}, ValueError, rf"argument 'dtype' must be one of {FLOATS}, got 'int32'"),
    "integer class": ("normal", {"dtype": np.int64}, ValueError, rf"argument 'dtype' must be one of {FLOATS}, got <class 'numpy\.int64'>"),
    "misspelt dtype": ("normal", {"dtype": "bf16"}, ValueError, rf"argument 'dtype' must be one of {FLOATS}, got 'bf16'; did you mean 'bfloat16'\?"),
    "swapped dtype": ("normal", {"dtype": np.dtype(np.float32).newbyteorder()}, ValueError, rf"argument 'dtype' must be one of {FLOATS}, got dtype\('[<>]f4'\)"),
    "no dtype": ("normal", {"dtype": None}, TypeError, rf"argument 'dtype' must be one of {FLOATS}, got None"),
    "dtype a number": ("normal", {"dtype": 32}, TypeError, rf"argument 'dtype' must be one of {FLOATS}, got 32"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_refusals(case):
    scheme, arguments, kind, text = TABLE[case]
    arguments = {"shape": SHAPE, "seed": 1, "out": out, **arguments}
    target = arguments["out"]()
    before = np.copy(target)
    arguments["out"] = target
    with pytest.raises(kind) as caught:
        fi.init(scheme, **arguments)
    assert type(caught.value) is kind
    assert re.fullmatch(text, str(caught.value), re.DOTALL), str(caught.value)
    assert np.array_equal(np.asarray(target), before)


def test_a_refused_call_allocates_nothing():
    # 2^62 elements: any attempt to allocate them raises MemoryError instead.
    with pytest.raises(ValueError, match="argument 'seed'"):
        fi.normal(2**62, seed=-1)
    with pytest.raises(ValueError, match="argument 'std'"):
        fi.normal(2**62, std=-1)


@pytest.mark.parametrize("function", [fi.normal, fi.uniform, fi.truncated_normal])
def test_the_laws_refuse_alike(function):
    target = out()
    with pytest.raises(ValueError, match=r"^argument 'seed' must be an integer >= 0, got -1$"):
        function(SHAPE, seed=-1, out=target)
    with pytest.raises(TypeError, match="unexpected keyword argument 'layout'"):
        function(SHAPE, layout="io", out=target)
    assert (target == 7).all()


def test_a_prepared_scheme_takes_no_parameters():
    with pytest.raises(
        ValueError, match=r"^argument 'std' must be given to get_scheme, not beside its result, got 1\.0$"
    ):
        fi.init(fi.get_scheme("normal"), SHAPE, std=1.0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"shape": (5,)}, r"argument 'shape' must have at least 2 dimensions .*"),
        (
            {"shape": (4, 6), "groups": 4},
            r"argument 'groups' must divide the 6 output channels of shape \(4, 6\), got 4",
        ),
        (
            {"shape": (4, 6), "layout": "oihw"},
            r"argument 'layout' must be 'io', 'oi' or one letter for each of the 2 axes .*, got 'oihw'",
        ),
    ],
)
def test_fans_refuses_alike(arguments, text):
    with pytest.raises(ValueError, match=f"^{text}$"):
        fi.fans(**arguments)


def test_gain_names_what_it_knows():
    with pytest.raises(
        ValueError, match=r"argument 'nonlinearity' must be one of .*, got 'rellu'; did you mean 'relu'\?"
    ):
        fi.gain("rellu")


def test_numpy_scalars_are_numbers():
    a = fi.init("normal", np.array([4, 6]), std=np.float32(0.5), seed=np.uint64(2**64 - 1), dtype=np.float32)
    assert a.tobytes() == fi.init("normal", [4, 6], std=0.5, seed=2**64 - 1).tobytes()
