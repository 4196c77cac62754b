"""Patterns of parameter names: globs with captured numbers, or regular expressions."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from ..words import plain_string, shown

# Between the parts of a name: "layers.0.weight" of PyTorch, "layers/0/kernel" of JAX and Keras.
SEPARATORS = "./"
MOST_CHARACTERS = 400
# Each open repetition may end at each character of a name: with many of them matching would take for ever.
_MOST_REPEATS, _MOST_WIDE = 8, 3
MOST_IN_NAME = 512

_NUMBER = r"[0-9]{1,18}"
_TOKEN = re.compile(
    r"(?P<start>\A\*\*[./])|(?P<any>\*\*)|(?P<part>\*)|(?P<one>\?)|(?P<set>\[!?[^\]]+\])|\{(?P<braces>[^{}]*)\}|(?P<text>.)",
    re.DOTALL,
)


class Pattern:
    """A pattern that a whole name must match.

    Parameters
    ----------
    text
        A glob: `*` is any text within a part of a name, `**` any text with separators (`.` and `/`), `**.` at the
        start also none, `?` one character, `[ab]` one of several, `{layer}` a number that is captured under that name,
        `{q,k,v}` one of several words. Or "re:" and a regular expression, in which named groups capture.

    Attributes
    ----------
    captures
        Names of what is captured.
    """

    def __init__(self, text: object) -> None:
        if isinstance(text, re.Pattern) and isinstance(text.pattern, str):
            text = f"re:{text.pattern}"
        plain = plain_string(text)
        if plain is None:
            raise TypeError(f"argument 'rules' must begin each rule with a pattern, a string, got {shown(text)}")
        self.text = plain
        if len(plain) > MOST_CHARACTERS:
            raise self._refusal(f"at most {MOST_CHARACTERS} characters long")
        self._regex = self._expression(plain[3:]) if plain.startswith("re:") else self._glob(plain)
        self.captures = tuple(self._regex.groupindex)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def match(self, name: str) -> dict[str, str] | None:
        """Return what is captured, None where the name does not match."""
        found = self._regex.fullmatch(name)
        return None if found is None else {k: v for k, v in found.groupdict().items() if v is not None}

    def _refusal(self, rule: str) -> ValueError:
        return ValueError(f"argument 'rules' must have patterns that are {rule}, got {shown(self.text)}")

    def _expression(self, source: str) -> re.Pattern[str]:
        regex = self._compiled(source)
        # Each repetition within another multiplies the ways to match a name: none of them ends on a hostile one.
        parser: Any = re._parser  # type: ignore[attr-defined]
        repeats, wide = _repeats(parser.parse(source), nested=False)
        if repeats > _MOST_REPEATS or wide > _MOST_WIDE:
            raise self._refusal(
                f"free of repetitions within repetitions, of at most {_MOST_REPEATS} of them, {_MOST_WIDE} of any text"
            )
        return regex

    def _compiled(self, source: str) -> re.Pattern[str]:
        try:
            return _regex(source)
        except (re.error, RecursionError, OverflowError, MemoryError) as error:
            raise self._refusal(f"a glob or 're:' and a regular expression ({error})") from None

    def _glob(self, text: str) -> re.Pattern[str]:
        stars = re.findall(r"\*+", text)
        if len(stars) > _MOST_REPEATS or sum(len(star) > 1 for star in stars) > _MOST_WIDE:
            raise self._refusal(f"globs of at most {_MOST_REPEATS} stars, {_MOST_WIDE} of them double")
        pieces: list[str] = []
        seen: set[str] = set()
        for token in _TOKEN.finditer(text):
            kind, value = token.lastgroup, token[token.lastgroup or 0]
            if kind == "braces":
                pieces.append(self._braces(value, seen))
            elif kind == "set":
                pieces.append("[" + value[1:].replace("!", "^", 1) if value[1] == "!" else _escaped_set(value))
            elif kind == "text":
                if value in "{}":
                    raise self._refusal("globs with braces around a name or words, as {layer} or {q,k,v}")
                pieces.append(re.escape(value))
            else:
                pieces.append(_GLOBS[str(kind)])
        return self._compiled("".join(pieces))

    def _braces(self, inside: str, seen: set[str]) -> str:
        words = inside.split(",")
        if len(words) > 1:
            return "(?:" + "|".join(map(re.escape, words)) + ")"
        if not (inside.isidentifier() and inside.isascii()):
            raise self._refusal("globs with braces around a name or words, as {layer} or {q,k,v}")
        if inside in seen:
            return f"(?P={inside})"
        seen.add(inside)
        return f"(?P<{inside}>{_NUMBER})"


_GLOBS = {"start": r"(?:.*[./])?", "any": ".*", "part": "[^./]*", "one": "[^./]"}


def _escaped_set(text: str) -> str:
    return "[" + text[1:-1].replace("\\", r"\\").replace("^", r"\^") + "]"


@lru_cache(maxsize=1024)
def _regex(source: str) -> re.Pattern[str]:
    return re.compile(source, re.ASCII | re.DOTALL)


def _repeats(parsed: Any, *, nested: bool) -> tuple[int, int]:
    """Count the open repetitions, and those of any text; one within another counts as too many."""
    repeats = wide = 0
    for kind, argument in parsed:
        name = str(kind)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _, most, inside = argument
            is_open = most > _MOST_BOUNDED
            repeats += _TOO_MANY if is_open and nested else is_open
            wide += is_open and any(str(k) in ("ANY", "NOT_LITERAL") or "NEGATE" in str(a) for k, a in inside)
            branches = [inside]
            deeper = nested or is_open
        else:
            deeper = nested
            branches = _branches(name, argument)
        for branch in branches:
            more, wider = _repeats(branch, nested=deeper)
            repeats, wide = repeats + more, wide + wider
    return repeats, wide


def _branches(kind: str, argument: Any) -> list[Any]:
    """Return what stands within a group or beside a bar."""
    match kind:
        case "SUBPATTERN":
            return [argument[-1]]
        case "ATOMIC_GROUP":
            return [argument]
        case "BRANCH":
            return list(argument[1])
        case "ASSERT" | "ASSERT_NOT":
            return [argument[1]]
        case "GROUPREF_EXISTS":
            return [branch for branch in argument[1:] if branch is not None]
    return []


_MOST_BOUNDED = 64
_TOO_MANY = 1 << 10
