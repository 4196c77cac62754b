"""What nobody should pass and somebody will: odd values, and what a call may answer to them."""

import math
import os
import re
import sys
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

LONG = os.environ.get("FASTINIT_FUZZ") == "long"


def lane(short, long):
    """Return the settings of a fuzz: the same examples in every run, few of them unless FASTINIT_FUZZ=long."""
    return settings(max_examples=long if LONG else short, derandomize=True, database=None, deadline=None)


class Hostile:
    """Fails at every look."""

    def _fail(self, *_):
        raise RuntimeError("looked at")

    __repr__ = __str__ = __len__ = __iter__ = __getitem__ = __float__ = __int__ = __index__ = __bool__ = _fail
    __eq__ = __hash__ = __fspath__ = __array__ = __call__ = __format__ = _fail

    @property
    def shape(self):
        self._fail()

    scheme = dtype = submit = py_func = shape


class HostileList(list):
    __iter__ = __len__ = __getitem__ = __repr__ = Hostile._fail


class LongInt(int):
    __repr__ = __str__ = __format__ = Hostile._fail

    def __index__(self):
        return 10**6000


class Word(str):
    """A string that says another thing of itself."""

    __repr__ = __str__ = lambda self: "\x1b[2J\n"
    __eq__ = __hash__ = Hostile._fail


class Endless:
    """Claims to be a number, and is none."""

    def __float__(self):
        return "one"

    __index__ = __int__ = __float__


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


# No size between some dozens and 2^59: such an array could be had, and would be drawn.
INTEGERS = [-(10**5000), -(2**63), -1, 0, 1, 2, 3, 64, 65, 2**59, 2**60, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64]
INTEGERS += [10**39, 10**400, 10**5000]
FLOATS = [-math.inf, -1e308, -1.0, -0.0, 0.0, 5e-324, 1e-300, 0.5, 1.0, 2.0, 3.5, 1e39, 1e154, 1e200, 1e308, math.inf]
FLOATS += [math.nan, sys.float_info.max, sys.float_info.min]
WORDS = [
    "",
    " ",
    ",",
    "1",
    "None",
    "he_normal",
    "relu",
    "\x1b[2J",
    "a\nb",
    "\x00",
    "\ud800",
    "é²",
    "\u202e",
    "a" * 5000,
]
NUMPY = [
    np.float16(0.01), np.float32(2.5), np.float64("nan"), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True),
    np.timedelta64(3, "s"), np.timedelta64("NaT"), np.datetime64("2020-01-01"), np.complex64(1j), np.str_("io"),
    np.bytes_(b"io"), np.array(3), np.array(2.5), np.array("io"), np.array(b"x"), np.array(None), np.array([]),
    np.array([2, 3]), np.array([2.0, 3.0]), np.array(["a"]), np.array([True]), np.zeros((2, 3)), np.zeros((0, 2)),
    np.full((2, 2), np.nan), np.full(3, "x", object), np.ma.masked, np.ma.masked_array([1, 2], [0, 1]),
    np.zeros(2, [("a", "f4")]), np.float32, np.dtype(">f4"),
]  # fmt: skip
OTHERS = [
    None, True, False, 1j, Decimal("1e400"), Decimal(3), Fraction(10**400), Fraction(1, 3), b"io", b"", bytearray(b"1"),
    memoryview(b"ab"), [], (), {}, set(), frozenset({1}), [3, 4], (3, -4), (3.0, 4), (2**32, 2**32), (0, 2**63),
    [[3], [4]], [[3, 4], [5]], (True, 2), ("a", "b"), [None], [math.nan], [1e308, 1e308], {"a": 1}, range(3),
    range(70_000), range(0), slice(0, 2), slice(None, None, -1), slice("a", 10**400), (slice(0, 1),), Ellipsis,
    NotImplemented, object, int, len, print, lambda z: z, (len, len), (len, None), Path("a"), Path("\x00"),
    ValueError("x"), sys, 3 * (10**5000,),
]  # fmt: skip
ODD = {f"{kind} {index}": value for kind, values in (
    ("integer", INTEGERS), ("float", FLOATS), ("word", WORDS), ("numpy", NUMPY), ("other", OTHERS)
) for index, value in enumerate(values)}  # fmt: skip
MADE = {
    "hostile": Hostile, "hostile list": lambda: HostileList([1, 2]), "long int": lambda: LongInt(3),
    "word": lambda: Word("he_normal"), "endless": Endless, "object": object, "generator": lambda: iter((3, 4)),
    "deep": lambda: nested(100), "deeper": lambda: nested(100_000), "hostile inside": lambda: [Hostile(), 3],
    "hostile pair": lambda: (Hostile(), Hostile()), "class": lambda: type("\x1b", (), {}), "many": lambda: [1] * 70_000,
    "itself": lambda: [value := [], value.append(value)][:1],
}  # fmt: skip

labels = st.sampled_from([*ODD, *MADE])


def made(label):
    """Return the odd value of a label: an example is told by its labels, as the values need not have a repr."""
    return MADE[label]() if label in MADE else ODD[label]


_NAMED = re.compile(
    r"(argument|field) '[^']*'( \(.*\))? must .*, got .*"
    r"|file '.*' must be a saved ProbeResult: .*"
    r"|file '.*' must (be|hold|have|name) .*"
    r"|(probe|recommend)\(\) (has no|decides) argument .*"
    r"|(ProbeResult|SweepResult|[a-z_.]+)\(?.*\)? (got an unexpected|missing|takes) .*",
)
MOST = 1200


def answers(call, also=()):
    """Return what a call returns, or None where it refuses, as it should: by name, in one line, without a warning."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return call()
    except also:
        return None
    except (ValueError, TypeError, MemoryError) as error:
        refusal = error
    assert type(refusal) in (ValueError, TypeError, MemoryError), repr(refusal)
    message = str(refusal)
    assert _NAMED.fullmatch(message), message
    assert message.isprintable(), repr(message)
    assert len(message) <= MOST, message
    return None
