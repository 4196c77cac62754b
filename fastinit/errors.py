"""What every refusal says: the argument, the rule and the value received."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable


def unknown(argument: str, value: object, choices: Iterable[str]) -> ValueError:
    """Return the error for a name that is none of `choices`, with the nearest one if any is near."""
    names = sorted(choices)
    near = difflib.get_close_matches(str(value).lower(), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ValueError(f"argument '{argument}' must be one of {', '.join(names)}, got {value!r}{hint}")


def check_string(argument: str, value: object) -> str:
    """Return `value` if it is a string."""
    if not isinstance(value, str):
        raise TypeError(f"argument '{argument}' must be a string, got {value!r}")
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
    if type(value) is float and minimum <= value <= maximum and above < value < math.inf:
        return value  # the usual case; the bounds refuse -inf and NaN
    rule = "a finite number"
    if above > -math.inf:
        rule += f" > {above:g}"
    elif minimum > -math.inf and maximum < math.inf:
        rule += f" in [{minimum:g}, {maximum:g}]"
    elif minimum > -math.inf:
        rule += f" >= {minimum:g}"
    elif maximum < math.inf:
        rule += f" <= {maximum:g}"
    message = f"argument '{argument}' must be {rule}, got {value!r}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(message)
    try:
        number = float(value)
    except OverflowError:  # an int beyond float64
        number = math.inf
    if not (math.isfinite(number) and minimum <= number <= maximum and number > above):
        raise ValueError(message)
    return number


def check_integer(argument: str, value: object, *, minimum: int) -> int:
    """Return `value` as an int if it is an integer (of Python's or NumPy's) >= minimum."""
    if type(value) is int and value >= minimum:  # the usual case, an order faster than asking the abstract class
        return value
    message = f"argument '{argument}' must be an integer >= {minimum}, got {value!r}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(message)
    if value < minimum:
        raise ValueError(message)
    return int(value)
