"""Rules as people write them: each part is read and held against what is known, and refused by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

from ..weights.dtypes import check_dtype
from ..weights.schemes import Scheme, as_scheme, get_scheme, offered, scheme_defaults, scheme_words
from ..words import apart, check_finite, check_integer, entries, nearest, plain_number, plain_string, printable, shown
from .expressions import CONSTANTS, FUNCTIONS, Expression, Number
from .patterns import Pattern
from .rules import Draw, Rule

# Names that an expression may use beside variables, captures and indices.
TENSOR_NAMES = ("shape", "ndim", "size", "fan_in", "fan_out")
# Texts that a template may use beside these.
TEXT_NAMES = ("name", "parent", "leaf")

_CONDITIONS = ("ndim", "role", "when")
_WIRING = ("layout", "groups", "stride", "transposed", "fan_in", "fan_out", "fans_of")
_ONCE = ("dtype", "stack", "tie", "lr", "note")
_PART = ("scheme", "name", "set", "segments", "axis", *_WIRING)
KEYS = (*_CONDITIONS, *_ONCE, *_PART)
_SEGMENT = ("size", "scheme", "name", *_WIRING)

apart(scheme_words(), "a rule", (*KEYS, "size"))

SKIP = "skip"
MOST_RULES = 10_000
_DEEPEST = 8
_MOST_BITS = 64
_MOST_IN_WORD = 64


def read_rules(rules: Any, variables: Mapping[str, Number]) -> tuple[Rule, ...]:
    """Return the rules of (pattern, what) pairs."""
    pairs = entries(rules, MOST_RULES)
    if pairs is None:
        raise TypeError(
            f"argument 'rules' must be a sequence of (pattern, scheme or dict or 'skip'), got {shown(rules)}"
        )
    if len(pairs) > MOST_RULES:
        raise ValueError(f"argument 'rules' must hold at most {MOST_RULES} rules, got more")
    return tuple(_rule(pair, variables) for pair in pairs)


def read_variables(variables: Any) -> dict[str, Number]:
    """Return the variables as plain numbers; one given by an expression may use those before it."""
    if variables is None:
        return {}
    if not isinstance(variables, Mapping):
        raise TypeError(f"argument 'variables' must be a mapping of names to numbers, got {shown(variables)}")
    found: dict[str, Number] = {}
    for key, value in dict(variables).items():
        name = plain_string(key) or ""
        if not _is_name(name):
            raise ValueError(
                f"argument 'variables' must have names like n_layers, none of {', '.join(sorted(_TAKEN))}, "
                f"got {shown(key)}"
            )
        text = plain_string(value)
        if text is not None:
            expression = Expression(text, f"argument 'variables[{name}]'")
            expression.check_names(found)
            found[name] = expression.value(found)
            continue
        number = plain_number(value)
        if number is None and isinstance(value, bool):
            number = value
        if number is None:
            raise TypeError(f"argument 'variables' must hold numbers, got {name} = {shown(value)}")
        if isinstance(number, int) and number.bit_length() > _MOST_BITS:
            raise ValueError(
                f"argument 'variables' must hold integers of at most {_MOST_BITS} bits, got {name} = {shown(number)}"
            )
        found[name] = number
    return found


_TAKEN = {*TENSOR_NAMES, *TEXT_NAMES, *FUNCTIONS, *CONSTANTS}


def _is_name(word: str) -> bool:
    return len(word) <= _MOST_IN_WORD and word.isidentifier() and word.isascii() and word not in _TAKEN


def _rule(pair: Any, variables: Mapping[str, Number]) -> Rule:
    parts = entries(pair, 2)
    if parts is None or len(parts) != 2:
        raise TypeError(f"argument 'rules' must hold (pattern, scheme or dict or 'skip') pairs, got {shown(pair)}")
    pattern = Pattern(parts[0])
    try:
        return _Reader(pattern, variables).rule(parts[1])
    except (TypeError, ValueError) as error:
        if str(error).startswith("argument 'rules'"):
            raise
        raise type(error)(f"{error} (rule {printable(pattern.text)})") from None


class _Reader:
    """Reads the parts of one rule, and names it in refusals."""

    def __init__(self, pattern: Pattern, variables: Mapping[str, Number]) -> None:
        self._pattern, self._variables = pattern, variables
        taken = {*pattern.captures} & _TAKEN
        if taken:
            raise ValueError(
                f"argument 'rules' must not capture {min(taken)!r}, which has a meaning, got {pattern.text!r}"
            )
        self._names = {*variables, *pattern.captures, *TENSOR_NAMES}

    def rule(self, what: Any) -> Rule:
        written = _plain(what)
        if written == SKIP:
            return Rule(self._pattern, written)
        record = {"scheme": written} if isinstance(written, str) else written
        if not isinstance(record, dict):
            raise TypeError(self._words("", f"a scheme's name, a dict or {SKIP!r}", what))
        self._check_keys(record, KEYS)
        stack = self._stack(record)
        ties = self._ties(record)
        skipped = record.get("scheme") == SKIP
        if (not ties) == (not skipped and "scheme" not in record and "segments" not in record):
            raise ValueError(self._words("", "either a scheme (or segments) or a tie", record))
        return Rule(
            self._pattern,
            written,
            ndim=self._ndim(record),
            role=Pattern(record["role"]) if "role" in record else None,
            when=self._number(record, "when"),
            dtype=check_dtype(record["dtype"]) if "dtype" in record else None,
            stack=stack,
            ties=ties,
            lr=self._number(record, "lr"),
            note=self._note(record),
            draw=None if skipped or ties else self._draw(record),
        )

    def _ties(self, record: dict[str, Any]) -> tuple[str, ...]:
        """Return templates of names, of which the first that there is counts."""
        if "tie" not in record:
            return ()
        given = record["tie"] if isinstance(record["tie"], list) else [record["tie"]]
        found = [self._template({**record, "tie": name}, "tie") for name in given[:64]]
        if not found or len(given) > 64:
            raise ValueError(self._words("tie", "the name of a parameter, or several, at most 64", record["tie"]))
        return tuple(name for name in found if name is not None)

    def _note(self, record: dict[str, Any]) -> str:
        note = plain_string(record.get("note", ""))
        if note is None:
            raise TypeError(self._words("note", "words", record["note"]))
        return note

    def _draw(self, record: dict[str, Any]) -> Draw:
        segments = self._segments(record)
        scheme = record.get("scheme")
        params = {k: v for k, v in record.items() if k not in (*KEYS, "size")}
        if scheme is not None:
            scheme = plain_string(scheme)
            if scheme is None:
                raise TypeError(self._words("scheme", "a scheme's name", record["scheme"]))
            params = self._params(scheme, params)
        elif not segments:
            raise ValueError(self._words("", "a scheme for each segment", record))
        wiring = {key: self._wire(record, key) for key in _WIRING if key in record and key != "fans_of"}
        return Draw(
            scheme,
            params,
            wiring,
            fans_of=self._template(record, "fans_of"),
            name=self._template(record, "name"),
            sets=self._sets(record),
            axis=check_integer("axis", record.get("axis", 0), minimum=-64, maximum=63),
            segments=segments,
        )

    def _segments(self, record: dict[str, Any]) -> tuple[tuple[Expression | None, Draw], ...]:
        """Return the size and the rule of each segment: what it does not say itself is the whole rule's."""
        if "segments" not in record:
            return ()
        given = entries(record["segments"], 1024)
        if not given or len(given) > 1024 or not all(isinstance(part, dict) for part in given):
            raise TypeError(self._words("segments", "a list of dicts, at most 1024", record["segments"]))
        found = []
        for part in given:
            self._check_keys(part, _SEGMENT)
            if "name" not in part:
                raise ValueError(self._words("segments", "dicts with a name each", part))
            # Another scheme takes over none of the parameters of the rule's own.
            kept = (*_WIRING, "name") if "scheme" in part else (*_WIRING, "name", "scheme", *scheme_words())
            whole = {**{k: v for k, v in record.items() if k in kept}, **part}
            found.append((self._number(part, "size"), self._draw(whole)))
        return tuple(found)

    def _params(self, scheme: str, params: dict[str, Any]) -> dict[str, Any]:
        defaults = scheme_defaults(scheme)
        found: dict[str, Any] = {}
        for word, value in params.items():
            text = plain_string(value)
            is_word = isinstance(defaults.get(word), str)
            if text is None or is_word or word not in defaults:
                found[word] = value
            else:
                found[word] = self._expression(text, word)
        fixed = {k: v for k, v in found.items() if not isinstance(v, Expression)}
        get_scheme(scheme, **fixed) if len(fixed) == len(found) else _known(scheme, params)
        return found

    def _wire(self, record: dict[str, Any], key: str) -> Any:
        value = record[key]
        text = plain_string(value)
        if key in ("fan_in", "fan_out", "groups", "stride") and text is not None:
            return self._expression(text, key)
        if key in ("fan_in", "fan_out"):
            return check_finite(key, value, above=0)
        return value

    def _ndim(self, record: dict[str, Any]) -> tuple[int, ...] | None:
        if "ndim" not in record:
            return None
        several = entries(record["ndim"], 65)
        return tuple(check_integer("ndim", n, minimum=0, maximum=64) for n in several or [record["ndim"]])

    def _stack(self, record: dict[str, Any]) -> tuple[str, ...]:
        if "stack" not in record:
            return ()
        names = entries(record["stack"], 8)
        names = [record["stack"]] if names is None else names
        for name in names:
            word = plain_string(name) or ""
            if not _is_name(word):
                raise ValueError(self._words("stack", "names for the indices along the first axes, as 'layer'", name))
        self._names |= {*names}
        return tuple(names)

    def _sets(self, record: dict[str, Any]) -> tuple[tuple[tuple[Any, ...], Expression], ...]:
        if "set" not in record:
            return ()
        given = record["set"]
        if not isinstance(given, dict):
            raise TypeError(self._words("set", "a dict of indices, as '[0]' or '[:, 1]', to numbers", given))
        return tuple((tuple(self._index(index)), self._as_number(value, "set")) for index, value in given.items())

    def _index(self, text: Any) -> list[Any]:
        """Return one expression, (start, stop) or None (the whole axis) for each axis that is written."""
        word = (plain_string(text) or "").strip()
        if not (word.startswith("[") and word.endswith("]") and len(word) > 2):
            raise ValueError(self._words("set", "a dict with indices like '[0]', '[:, 1]' or '[10:]'", text))
        axes: list[Any] = []
        for part in word[1:-1].split(","):
            ends = part.split(":")
            if len(ends) > 2:
                raise ValueError(self._words("set", "a dict with indices without steps", text))
            numbers = [self._expression(end, "set") if end.strip() else None for end in ends]
            axes.append(numbers[0] if len(ends) == 1 and numbers[0] is not None else tuple((*numbers, None)[:2]))
        return axes

    def _number(self, record: dict[str, Any], key: str) -> Expression | None:
        return self._as_number(record[key], key) if key in record else None

    def _as_number(self, value: Any, key: str) -> Expression:
        text = plain_string(value)
        if text is None and plain_number(value) is None and not isinstance(value, bool):
            raise TypeError(self._words(key, "a number or arithmetic with one", value))
        return self._expression(repr(plain_number(value)) if text is None else text, key)

    def _expression(self, text: str, key: str) -> Expression:
        expression = Expression(text, f"argument 'rules' ({self._pattern.text}: {key})")
        expression.check_names(self._names)
        return expression

    def _template(self, record: dict[str, Any], key: str) -> str | None:
        if key not in record:
            return None
        text = plain_string(record[key])
        known = {*self._names} - {*TENSOR_NAMES} | {*TEXT_NAMES}
        try:
            fields = None if text is None else [(name, spec, how) for _, name, spec, how in Formatter().parse(text)]
        except ValueError:
            fields = None
        if fields is None or any(spec or how or (name is not None and name not in known) for name, spec, how in fields):
            rule = f"a text with {{…}} around {', '.join(sorted(known))}"
            raise ValueError(self._words(key, rule, record[key]))
        return text

    def _check_keys(self, record: dict[Any, Any], keys: Sequence[str]) -> None:
        words = {*keys, *scheme_words()}
        for key in record:
            if key not in words:
                raise ValueError(
                    f"argument 'rules' ({self._pattern.text}) must have keys among {', '.join(keys)} and the scheme's "
                    f"parameters, got {shown(key)}{nearest(key, words)}"
                )

    def _words(self, key: str, rule: str, value: object) -> str:
        return f"argument 'rules' ({self._pattern.text}{key and ': ' + key}) must have {rule}, got {shown(value)}"


def _known(scheme: str, params: Mapping[str, Any]) -> None:
    defaults = scheme_defaults(scheme)
    for word in params:
        if word not in defaults:
            get_scheme(scheme, **{word: 0.0})  # raises, with the words of its own


def _plain(what: Any, depth: int = 0) -> Any:
    """Return a rule in types that JSON and TOML have; a scheme as its name and parameters."""
    if depth > _DEEPEST:
        raise TypeError(f"argument 'rules' must be nested at most {_DEEPEST} deep, got {shown(what)}")
    if isinstance(what, Scheme) or offered(what) is not None:
        scheme = as_scheme(what)
        assert isinstance(scheme, Scheme)
        defaults = scheme_defaults(scheme.name)
        return {"scheme": scheme.name, **{k: v for k, v in scheme.params.items() if v != defaults[k]}}
    if isinstance(what, Mapping):
        given = {k: _plain(v, depth + 1) for k, v in dict(what).items()}
        if isinstance(given.get("scheme"), dict):
            given = {**given, **given["scheme"]}
        return given
    if isinstance(what, bool):
        return what
    text, number = plain_string(what), plain_number(what)
    if isinstance(number, int) and number.bit_length() > _MOST_BITS:
        raise ValueError(f"argument 'rules' must hold integers of at most {_MOST_BITS} bits, got {shown(number)}")
    if text is not None or number is not None:
        return number if text is None else text
    several = entries(what, 1024)
    if several is None and what is not None:
        raise TypeError(f"argument 'rules' must be made of texts, numbers, lists and dicts, got {shown(what)}")
    return None if several is None else [_plain(part, depth + 1) for part in several]
