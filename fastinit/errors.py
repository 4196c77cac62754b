"""What every refusal says: the argument, the rule and the value received."""

from __future__ import annotations

import difflib
import math
import numbers
import reprlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
from fastinit_kernels.memory import NoRoomError

# What a message shows of a value, however large, deep or odd that is.
_SHOWN = reprlib.Repr()
_SHOWN.maxlevel = 4
_SHOWN.maxstring = _SHOWN.maxother = 120
_SHOWN.maxtuple = _SHOWN.maxlist = 12


def shown(value: object) -> str:
    """Return the value as a message shows it: its repr, cut if long, and in words where there is none."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return f"an integer of {value.bit_length()} bits"  # Python writes no more than 4300 digits
    try:
        return _SHOWN.repr(value)
    except Exception:  # a __repr__ of the caller's
        return f"a {type(value).__name__}"


def unknown(argument: str, value: object, choices: Iterable[str]) -> ValueError:
    """Return the error for a name that is none of `choices`, with the nearest one if any is near."""
    names = sorted(choices)
    near = difflib.get_close_matches(str(value)[:80].lower(), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ValueError(f"argument '{argument}' must be one of {', '.join(names)}, got {shown(value)}{hint}")


@contextmanager
def fitting(argument: str, value: object) -> Iterator[None]:
    """Name the argument that asks for more memory than there is; in the block nothing but its size does."""
    try:
        yield
    except NoRoomError:
        raise
    except MemoryError as error:
        words = str(error)
        if words.startswith("argument "):  # of a part, which has a name of its own
            raise
        raise MemoryError(
            f"argument '{argument}' must leave room in memory, got {shown(value)}: {words or 'there is none'}"
        ) from error


def plain_number(value: object) -> object:
    """Return a number of NumPy's or of a framework's, a scalar or an array without dimensions, as Python's.

    Arithmetic in a small type would lose what float64 has: 1e-6 is 0 in float16. What NumPy and Python count among the
    numbers but nobody means, truth values and durations, becomes None.
    """
    if isinstance(value, bool | np.bool_ | np.timedelta64):
        return None
    if getattr(value, "shape", None) != ():
        return value
    item = getattr(value, "item", None)
    plain = item() if callable(item) else value
    return None if isinstance(plain, bool) else plain


def check_string(argument: str, value: object) -> str:
    """Return `value` if it is a string."""
    if not isinstance(value, str):
        raise TypeError(f"argument '{argument}' must be a string, got {shown(value)}")
    return value


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
    if not isinstance(plain, numbers.Real):
        raise TypeError(message)
    try:
        number = float(plain) + 0.0  # of two zeros the positive one
    except OverflowError:  # an int beyond float64
        number = math.inf
    if not (math.isfinite(number) and minimum <= number <= maximum and number > above):
        raise ValueError(message)
    return number


def check_integer(argument: str, value: object, *, minimum: int) -> int:
    """Return `value` as an int if it is an integer (of Python's or NumPy's) >= minimum."""
    if type(value) is int and value >= minimum:  # the usual case, an order faster than asking the abstract class
        return value
    message = f"argument '{argument}' must be an integer >= {minimum}, got {shown(value)}"
    plain = plain_number(value)
    if not isinstance(plain, numbers.Integral):
        raise TypeError(message)
    if plain < minimum:
        raise ValueError(message)
    return int(plain)
