"""Patterns of parameter names: globs with captured numbers, or regular expressions."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

from ..words import plain_string, shown
from .costs import MOST_WORK, work

# Between the parts of a name: "layers.0.weight" of PyTorch, "layers/0/kernel" of JAX and Keras.
SEPARATORS = "./"
MOST_CHARACTERS = 400
# Whole numbers: a star before them takes none of their digits.
_NUMBER = r"(?<![0-9])[0-9]{1,18}+(?![0-9])"
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
            text = f"re:{_flags(text)}{text.pattern}"
        plain = plain_string(text)
        if plain is None:
            raise TypeError(f"argument 'rules' must begin each rule with a pattern, a string, got {shown(text)}")
        self.text = plain
        if len(plain) > MOST_CHARACTERS:
            raise self._refusal(f"at most {MOST_CHARACTERS} characters long")
        self._regex = self._compiled(plain[3:]) if plain.startswith("re:") else self._glob(plain)
        self.captures = tuple(self._regex.groupindex)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def match(self, name: str) -> dict[str, str] | None:
        """Return what is captured, None where the name does not match."""
        found = self._regex.fullmatch(name)
        return None if found is None else {k: v for k, v in found.groupdict().items() if v is not None}

    def _refusal(self, rule: str) -> ValueError:
        return ValueError(f"argument 'rules' must have patterns that are {rule}, got {shown(self.text)}")

    def _compiled(self, source: str) -> re.Pattern[str]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                regex, cost = _regex(source)
        except (re.error, ValueError, RecursionError, OverflowError, MemoryError) as error:
            raise self._refusal(f"a glob or 're:' and a regular expression ({error})") from None
        if cost > MOST_WORK:
            raise self._refusal(
                "quick to match: with few stars, or other repetitions, that may end in many places, and none within "
                "another"
            )
        return regex

    def _glob(self, text: str) -> re.Pattern[str]:
        pieces: list[str] = []
        seen: set[str] = set()
        for token in _TOKEN.finditer(text):
            kind, value = token.lastgroup, token[token.lastgroup or 0]
            if kind == "braces":
                pieces.append(self._braces(value, seen))
            elif kind == "set":
                pieces.append(_set(value[1:-1]))
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
            return f"(?<![0-9])(?P={inside})(?![0-9])"
        seen.add(inside)
        return f"(?P<{inside}>{_NUMBER})"


_GLOBS = {"start": r"(?:.*[./])?", "any": ".*", "part": "[^./]*", "one": "[^./]"}


def _set(inside: str) -> str:
    """Return the regular expression of a set: characters and ranges, or with `!` all others but the separators."""
    negated = inside.startswith("!") and len(inside) > 1
    text = re.sub(r"[\\\[^&~|]", r"\\\g<0>", inside[negated:])
    return f"[^{text}{SEPARATORS}]" if negated else f"[{text}]"


def _flags(pattern: re.Pattern[str]) -> str:
    letters = "".join(c for c, flag in (("i", re.I), ("m", re.M), ("x", re.X)) if pattern.flags & flag)
    return f"(?{letters})" if letters else ""


@lru_cache(maxsize=1024)
def _regex(source: str) -> tuple[re.Pattern[str], int]:
    compiled = re.compile(source, _FLAGS)
    return compiled, work(source, _FLAGS)


_FLAGS = re.ASCII | re.DOTALL
