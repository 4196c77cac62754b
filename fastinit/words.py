"""Words for people: what every refusal says, numbers, and what to install.

A refusal names the argument, the rule and the value received.

A value may run code of its caller's as soon as it is looked at: its repr, its length, its conversion to a number. What
fails there is refused like any value that does not fit; so values are turned into Python's own here, and nowhere else.
"""

from __future__ import annotations

import difflib
import itertools
import math
import numbers
import operator
import reprlib
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from fastinit_kernels.machine.forks import whole
from fastinit_kernels.machine.memory import NoRoomError
from numpy.typing import NDArray

Array = NDArray[Any]

# Of a message, what shows the value.
_MOST_SHOWN = 160
# Python writes integers of up to 4300 digits, and nobody reads as many as 40.
_LONG = 10**40
_BYTES = (str, bytes, bytearray, memoryview)
_PLAIN = {int, float, str, bool, type(None)}


class _Shown(reprlib.Repr):
    """A repr that is short, whatever the value's size and depth."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxstring = self.maxother = 120
        self.maxtuple = self.maxlist = 12

    def repr1(self, value: Any, level: int) -> str:
        if isinstance(value, np.ndarray) and (value.ndim > 1 or value.size > self.maxlist):
            return f"an array of shape {value.shape}, {value.dtype}"
        return super().repr1(value, level)

    def repr_int(self, value: int, level: int) -> str:
        return repr(value) if abs(value) < _LONG else f"an integer of {value.bit_length()} bits"

    def repr_slice(self, value: slice, level: int) -> str:
        return f"slice({', '.join(self.repr1(end, level - 1) for end in (value.start, value.stop, value.step))})"


_SHOWN = _Shown()


def printable(text: str) -> str:
    r"""Return a text as no terminal obeys it: in one line, with escapes for control characters and lone surrogates.

    Examples
    --------
    >>> print(printable("a\x1b[2J b\n"))
    a\x1b[2J b\n
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def in_short(text: str, most: int = 1000) -> str:
    """Return a text in one line that a terminal can show, without its middle if it is longer than `most`."""
    line = printable(text if text.isprintable() else " ".join(text.split()))
    half = (most - 3) // 2
    return line if len(line) <= most else f"{line[:half]}...{line[-half:]}"


def shown(value: object) -> str:
    """Return the value as a message shows it: its repr, cut if long, and in words where there is none."""
    try:
        text = str.__str__(_SHOWN.repr(value))
    except Exception:  # a __repr__ of the caller's
        text = f"a {type(value).__name__}"
    return in_short(text, _MOST_SHOWN)


def unknown(argument: str, value: object, choices: Iterable[str]) -> ValueError:
    """Return the error for a name that is none of `choices`, with the nearest one if any is near."""
    names = sorted(choices)
    return ValueError(
        f"argument '{argument}' must be one of {', '.join(names)}, got {shown(value)}{nearest(value, names)}"
    )


def nearest(value: object, names: Iterable[str]) -> str:
    """Return words on the name that may have been meant, if any is near, or on those that go on from it."""
    text, known = (plain_string(value) or "")[:80].lower(), list(names)
    near = [name for name in known if text and name.lower() == text]
    near = near or [name for name in known if text and name.startswith(f"{text}_")][:3]
    near = near or difflib.get_close_matches(text, known, n=1)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def tied(kind: str, places: Mapping[str, Iterable[str]]) -> None:
    """Refuse to load what stands in one place and is missing in another.

    Parameters
    ----------
    kind
        What the names are names of.
    places
        "what it is there: the file" -> the names that stand there; all must be the same.

    Raises
    ------
    ImportError
        Naming what is missing, and the file that lacks it.
    """
    found = {place: {*names} for place, names in places.items()}
    every = set().union(*found.values())
    for place, names in found.items():
        if names != every:
            raise ImportError(f"{kind} {min(every - names)!r} has no {place}")


def apart(parameters: Iterable[str], function: str, arguments: Iterable[str]) -> None:
    """Refuse to load parameters, of schemes or activations, that nobody could give beside a function's arguments."""
    both = {*parameters} & {*arguments}
    if both:
        raise ImportError(f"parameter {min(both)!r} has the name of an argument of {function}")


class fitting:  # noqa: N801 - read as a word: with fitting("shape", …)
    """Name the argument that asks for more memory than there is; in the block nothing but its size does."""

    def __init__(self, argument: str, value: object) -> None:
        self._argument, self._value = argument, value

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, MemoryError) or isinstance(error, NoRoomError):
            return
        words = str(error)
        if words.startswith("argument "):  # of a part, which has a name of its own
            return
        raise MemoryError(
            f"argument '{self._argument}' must leave room in memory, got {shown(self._value)}: "
            f"{words or 'there is none'}"
        ) from error


class in_layer:  # noqa: N801 - read as a word: with in_layer(3)
    """Name the layer in what is refused in the block, behind the value received; None: there is none to name."""

    def __init__(self, layer: int | None) -> None:
        self._layer = layer

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._layer is None or not isinstance(error, ValueError | TypeError):
            return
        words, hint, meant = str(error).partition("; did you mean")
        refusal = ValueError if isinstance(error, ValueError) else TypeError
        raise refusal(f"{words} for layer {self._layer}{hint}{meant}") from None


def attribute(value: object, name: str) -> Any:
    """Return an attribute, None where there is none or the code behind it fails."""
    try:
        return getattr(value, name, None)
    except Exception:
        return None


def plain_number(value: object) -> int | float | None:
    """Return a number of anybody's, a scalar or an array without dimensions, as Python's; None for what is none.

    Arithmetic in a small type would lose what float64 has: 1e-6 is 0 in float16. What NumPy and Python count among the
    numbers but nobody means, truth values and durations, is none here.
    """
    if type(value) is int or type(value) is float:
        return value
    try:
        return _number(value)
    except Exception:  # its conversion, or a look at it
        return None


def _number(value: Any) -> int | float | None:
    if getattr(value, "shape", None) == ():
        if getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M") or np.ma.is_masked(value):
            return None
        value = value.item()
    if isinstance(value, bool):
        return None
    # The types' own conversions: those of a class derived from them may be anything.
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, numbers.Integral):
        return operator.index(value)
    if not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except OverflowError:  # a fraction beyond the floats
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


def plain_string(value: object) -> str | None:
    """Return a string, or one of a class derived from it, as Python's; None for what is none."""
    if type(value) is str:
        return value
    return str.__str__(value) if isinstance(value, str) else None


def plain_array(value: Any) -> Array:
    """Return what NumPy makes of a value; an array of objects, for which every caller has a refusal, where it fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            array = np.asarray(value)
    except Exception:  # lists of different lengths, nested too deeply, or code of the caller's
        return np.asarray(None)
    return np.asarray(None) if np.ma.is_masked(value) else array.view(np.ndarray)


def plain_value(value: Any) -> Any:
    """Return a number, a string or a truth value of anybody's as Python's; anything else as it is."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    for plain in (plain_string(value), plain_number(value)):
        if plain is not None:
            return plain
    return value


class PlainWords(NamedTuple):
    """Arguments that a cache may have as its key: numbers, strings and truth values, told apart where they are equal.

    True is no 1, and -0.0 no 0.0.
    """

    names: tuple[str, ...]
    values: tuple[Any, ...]
    kinds: tuple[type, ...]
    told: tuple[Any, ...]

    @classmethod
    def of(cls, words: Mapping[str, Any]) -> PlainWords | None:
        """Return the words with their values as Python's own; None if one is something else."""
        values = [plain_value(value) for value in words.values()]
        kinds = [type(value) for value in values]
        if not _PLAIN.issuperset(kinds):
            return None
        told = [value or repr(value) for value in values]
        return cls(tuple(words), tuple(values), tuple(kinds), tuple(told))

    def words(self) -> dict[str, Any]:
        """Return them by name."""
        return dict(zip(self.names, self.values, strict=True))


def entries(value: Any, most: int, kind: Any = (Sequence, np.ndarray)) -> list[Any] | None:
    """Return what a list, an array or another sequence holds, of more than `most` entries one more; None for others.

    Text and bytes are none: nobody means their characters.
    """
    if not isinstance(value, kind) or isinstance(value, _BYTES):
        return None
    try:
        return list(itertools.islice(value, most + 1))
    except Exception:  # an array without dimensions, or a sequence of the caller's
        return None


def check_string(argument: str, value: object) -> str:
    """Return `value` if it is a string."""
    text = plain_string(value)
    if text is None:
        raise TypeError(f"argument '{argument}' must be a string, got {shown(value)}")
    return text


def check_choice(argument: str, value: object, choices: Iterable[str]) -> str:
    """Return `value` if it is one of these strings."""
    names = list(choices)
    text = check_string(argument, value)
    if text not in names:
        raise unknown(argument, value, names)
    return text


def check_flag(argument: str, value: object) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"argument '{argument}' must be True or False, got {shown(value)}")
    return bool(value)


def check_finite(
    argument: str,
    value: object,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    above: float = -math.inf,
) -> float:
    """Return `value` as a float if it is a finite number, minimum <= value <= maximum and value > above."""
    if type(value) is float and minimum <= value <= maximum and above < value < math.inf and value > -math.inf:
        return value + 0.0  # the usual case
    rule = "a finite number"
    if above > -math.inf:
        rule += f" > {above:g}"
    elif minimum > -math.inf and maximum < math.inf:
        rule += f" in [{minimum:g}, {maximum:g}]"
    elif minimum > -math.inf:
        rule += f" >= {minimum:g}"
    elif maximum < math.inf:
        rule += f" <= {maximum:g}"
    message = f"argument '{argument}' must be {rule}, got {shown(value)}"
    plain = plain_number(value)
    if plain is None:
        raise TypeError(message)
    try:
        number = float(plain) + 0.0  # of two zeros the positive one
    except OverflowError:  # an int beyond float64
        number = math.inf
    if not (math.isfinite(number) and minimum <= number <= maximum and number > above):
        raise ValueError(message)
    return number


def check_integer(argument: str, value: object, *, minimum: int, maximum: int | None = None) -> int:
    """Return `value` as an int if it is an integer (of Python's or NumPy's), minimum <= value <= maximum."""
    plain = value if type(value) is int else plain_number(value)
    if type(plain) is int and minimum <= plain and (maximum is None or plain <= maximum):
        return plain
    rule = f"<= {maximum}" if type(plain) is int and plain >= minimum else f">= {minimum}"
    kind = ValueError if type(plain) is int else TypeError
    raise kind(f"argument '{argument}' must be an integer {rule}, got {shown(value)}")


_IN_ASCII = str.maketrans({"→": "->", "←": "<-", "²": "^2", "·": "*", "×": "x", "±": "+-", "…": "..."})


def writable(text: str) -> str:
    """Return a text as stdout can write it and no terminal obeys it: in ASCII where its encoding lacks a character.

    Examples
    --------
    >>> writable("plain")
    'plain'
    """
    text = printable(text)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return text.translate(_IN_ASCII).encode("ascii", "backslashreplace").decode()
    return text


def number(value: float, digits: int = 2) -> str:
    """Write a number with that many significant digits, and whole where that is shorter than an exponent.

    Examples
    --------
    >>> [number(x) for x in (0.01234, 5.84, 584.0, 58432.0, 584321.0, 1e-7)]
    ['0.012', '5.8', '584', '58432', '5.8e+05', '1e-07']
    """
    return f"{value:.0f}" if 10**digits <= abs(value) < 1e5 else f"{value:.{digits}g}"


@contextmanager
def needs(package: str, *, extra: str) -> Iterator[None]:
    """Say what to install when an optional package is missing."""
    try:
        with whole:
            yield
    except ImportError as error:
        raise ImportError(f'this needs {package}; install it with: pip install "fastinit-kernels[{extra}]"') from error
