"""What a file says is checked before it is believed: JSON, single values, arrays; each refusal names the field."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..theory.limits import MOST_LAYERS, check_normalize
from ..weights.dtypes import check_dtype
from ..words import check_choice, check_finite, check_flag, check_integer, check_string, entries, plain_string, shown
from .arguments import check_limits
from .given import PROBED
from .verdict import VERDICTS

Array = NDArray[Any]

LARGEST = float(np.finfo(np.float64).max)

# As JSON, which has neither, spells them here.
_SPELLED = {None: np.nan, "inf": np.inf, "-inf": -np.inf}
_MOST_DIGITS = 20  # those of 2^64
_ANY = (-np.inf, np.inf)


def read_json(content: bytes) -> Any:
    """Return what JSON in UTF-8 says, or raise a ValueError that says what the bytes are instead."""
    try:
        return json.loads(content.decode(), parse_int=_integer, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg}, character {error.pos}") from None


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:  # Python refuses thousands of digits, or takes its time over them
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def check_single(field: str, value: Any) -> Any:
    """Return one value that a message and a terminal can show: no list, no endless digits, no control characters."""
    if not (value is None or isinstance(value, str | int | float)):
        raise TypeError(f"field '{field}' must be a single value, got {type(value).__name__}")
    if isinstance(value, int) and value.bit_length() > 64:
        raise ValueError(f"field '{field}' must be within 64 bits, got an integer of {value.bit_length()}")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"field '{field}' must be printable, got {shown(value)}")
    return value


def check_numbers(field: str, value: Any, shape: tuple[int, ...], limits: tuple[float, float] = _ANY) -> Array:
    """Return floats within limits, or NaN."""
    rows = _rows(field, value, shape)
    for row in rows:
        if {*map(type, row)} != {float}:
            row[:] = [_number(field, element) for element in row]
    array = np.array(rows).reshape(shape)
    low, high = limits
    outside = array[(array < low) | (array > high)]
    if outside.size:
        raise ValueError(f"field '{field}' must hold numbers in [{low:g}, {high:g}], got {outside[0]}")
    return array


def check_counts(field: str, value: Any, shape: tuple[int, ...], most: Sequence[int]) -> Array:
    """Return counts, in layer l of at most `most[l]` things."""
    rows = _rows(field, value, shape)
    for row in rows:
        for element in (min(row), max(row)) if {*map(type, row)} == {int} else row:
            _check_count(field, element)
    array = np.array(rows, np.int64).reshape(shape)
    for layer, limit in zip(array, most, strict=True):
        if layer.max() > limit:
            raise ValueError(f"field '{field}' must hold integers in [0, {limit}], got {layer.max()}")
    return array


def _rows(field: str, value: Any, shape: tuple[int, ...]) -> list[list[Any]]:
    """Return lists of that shape; what has one dimension is one row."""
    values = value.tolist() if isinstance(value, np.ndarray) else value
    rows = _list(values, shape[0]) or () if len(shape) == 2 else [values]
    lists = [row for row in (_list(row, shape[-1]) for row in rows) if row is not None]
    if len(lists) != (shape[0] if len(shape) == 2 else 1):
        raise ValueError(f"field '{field}' must be a list of shape {shape}, got another or none")
    return lists


def _list(value: Any, length: int) -> list[Any] | None:
    found = entries(value, length, (list, tuple))
    return found if found is not None and len(found) == length else None


def _number(field: str, value: Any) -> float:
    check_single(field, value)
    word = plain_string(value)
    if value is None or word in _SPELLED.keys() - {None}:
        return _SPELLED[word]
    if isinstance(value, bool) or word is not None:
        raise TypeError(f"field '{field}' must hold numbers, got {shown(value)}")
    return float(value)


def _check_count(field: str, value: Any) -> None:
    check_single(field, value)
    if type(value) is not int:
        raise TypeError(f"field '{field}' must hold integers, got {shown(value)}")
    if not 0 <= value < 1 << 63:
        raise ValueError(f"field '{field}' must hold integers in [0, 2**63), got {value}")


def check_layers(restored: dict[str, Any], depth: int) -> None:
    """Refuse a field, or a parameter, with entries for more layers than there are, or for less."""
    params = {f"params' / '{word}": value for word, value in restored["params"].items()}
    for field, value in {**{field: restored[field] for field in _OF_LAYERS}, **params}.items():
        if isinstance(value, tuple) and len(value) != depth:
            raise ValueError(f"field '{field}' must hold one entry for each of {depth} layers, got {len(value)}")


def _of_layers(field: str, rule: Callable[[str, Any], Any], *, none: bool = False) -> Callable[[Any], Any]:
    """Return what checks a value of all layers, or a list with one a layer."""
    single = _single(field, rule, none=none)

    def check(value: Any) -> Any:
        several = entries(value, MOST_LAYERS, (list, tuple))
        return single(value) if several is None else tuple(map(single, several))

    return check


def _single(field: str, rule: Callable[[str, Any], Any], *, none: bool = False) -> Callable[[Any], Any]:
    """Return what checks one value, which may be None."""

    def check(value: Any) -> Any:
        check_single(field, value)
        return None if none and value is None else rule(field, value)

    return check


def _one_of(*words: str) -> Callable[[str, Any], str]:
    return lambda field, value: check_choice(field, value, words)


def _integer_from(minimum: int) -> Callable[[str, Any], int]:
    return lambda field, value: check_integer(field, value, minimum=minimum)


def _finite_from(minimum: float) -> Callable[[str, Any], float]:
    return lambda field, value: check_finite(field, value, minimum=minimum)


def _bias(field: str, value: Any) -> str | float:
    return _one_of("zeros", "biases")(field, value) if isinstance(value, str) else check_finite(field, value)


def _mean_square(field: str, value: Any) -> float:
    return float(check_numbers(field, [value], (1,), (0.0, np.inf))[0])


def _widths(value: Any) -> tuple[int, ...]:
    sizes = entries(value, MOST_LAYERS + 1, (list, tuple)) or ()
    if not 2 <= len(sizes) <= MOST_LAYERS + 1:
        raise ValueError("field 'widths' must be a list of at least two sizes, got another or none")
    return tuple(_single("widths", _integer_from(1))(n) for n in sizes)


def _range(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    ends = _list(value, 2)
    if ends is None:
        raise ValueError("field 'range' must be a list of two numbers, got another or none")
    return check_limits([check_single("range", x) for x in ends])


def _params(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"field 'params' must be a dict, got {type(value).__name__}")
    one = _of_layers("params", lambda _, x: x)
    params = {check_string("params", check_single("params", word)): one(x) for word, x in value.items()}
    return {word: tuple(map(_spelt, x)) if isinstance(x, tuple) else _spelt(x) for word, x in params.items()}


def _spelt(value: Any) -> Any:
    """Return a parameter; bounds may be infinite, and no parameter is NaN, and None is one."""
    return _SPELLED[value] if isinstance(value, str) and value in _SPELLED else value


# What may differ from layer to layer.
_OF_LAYERS = ("scheme", "activation", "bias", "sigma_b", "normalize", "dtype")

# What a result records that is no figure, each with its rule.
RECORDED: dict[str, Callable[[Any], Any]] = {
    "widths": _widths,
    "range": _range,
    "params": _params,
    **{field: _of_layers(field, check_string) for field in ("scheme", "activation")},
    "reason": _single("reason", check_string),
    **{field: _single(field, check_flag) for field in ("backward", "residual")},
    **{field: _single(field, _integer_from(1)) for field in ("batch", "bins")},
    **{field: _single(field, _integer_from(1), none=True) for field in ("conv", "image")},
    "seconds": _single("seconds", _finite_from(0.0)),
    "sigma_b": _of_layers("sigma_b", _finite_from(0.0)),
    "seed": _single("seed", _integer_from(0)),
    "bias": _of_layers("bias", _bias),
    "inputs": _single("inputs", _one_of("N(0, 1)", "given")),
    "dtype": _of_layers("dtype", lambda _, value: check_dtype(value, PROBED)),
    "branch_scale": _single("branch_scale", check_finite),
    "normalize": _of_layers("normalize", lambda _, value: check_normalize(value), none=True),
    "input_correlation": _single(
        "input_correlation", lambda field, c: check_finite(field, c, minimum=-1, maximum=1), none=True
    ),
    "input_q": _single("input_q", _mean_square),
    "verdict": _single("verdict", _one_of(*VERDICTS)),
}
