"""How long a regular expression may take: what it may try on a name, counted before it is used.

Python's `re` goes back and tries again, and a pattern like `(a|a)*b` tries 2^n ways on a name of n characters. Plans
come from anybody, so what may take long is refused when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

MOST_IN_NAME = 512
# Characters looked at: less than a second of them.
MOST_WORK = 1 << 26

_ENDLESS = 1 << 80
# (ways to match from one place on, characters looked at to find them all); what never ends has _ENDLESS of both.
Cost = tuple[int, int]
_parser: Any = re._parser  # type: ignore[attr-defined]
_SINGLE = ("LITERAL", "NOT_LITERAL", "ANY", "IN")


def work(source: str, flags: int) -> int:
    """Return an upper bound of the characters that a regular expression looks at to match a name, or fail to."""
    parsed = _parser.parse(source, flags)
    # With letters of either case the shortcuts below do not hold.
    exact = not parsed.state.flags & re.IGNORECASE and "(?" not in re.sub(r"\(\?[:P<=!>#(]", "", source)
    parts = list(parsed)
    if parts and str(parts[-1][0]) == "MAX_REPEAT" and _takes_all(*parts[-1][1]):
        parts.pop()  # what ends with any text is never tried again
    return _of_sequence(parts, None, exact)[1]


def _of_sequence(parts: Sequence[tuple[Any, Any]], after: Any, exact: bool) -> Cost:
    ways, looks = 1, 0
    for i, (kind, argument) in enumerate(parts):
        follows = parts[i + 1] if i + 1 < len(parts) else after
        more, own = _of_part(str(kind), argument, follows, exact)
        looks = min(_ENDLESS, looks + ways * own)
        ways = min(_ENDLESS, ways * more)
    return ways, looks


def _of_part(kind: str, argument: Any, after: Any, exact: bool) -> Cost:
    match kind:
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, inside = argument
            ways, looks = _of_repeat(least, most, inside, after, exact)
            return (1 if kind == "POSSESSIVE_REPEAT" and ways < _ENDLESS else ways), looks
        case "SUBPATTERN":
            return _of_sequence(list(argument[-1]), after, exact)
        case "BRANCH":
            return _of_branches([list(branch) for branch in argument[1]], after, exact)
        case "GROUPREF_EXISTS":
            return _of_branches([list(branch or ()) for branch in argument[1:]], after, False)
        case "ASSERT" | "ASSERT_NOT" | "ATOMIC_GROUP":
            # Nobody goes back into these: they take their time, and multiply nobody's.
            return 1, _of_sequence(list(argument if kind == "ATOMIC_GROUP" else argument[-1]), None, exact)[1]
        case "GROUPREF":
            return 1, MOST_IN_NAME
    return 1, 1


def _of_repeat(least: int, most: int, inside: Any, after: Any, exact: bool) -> Cost:
    body = list(inside)
    ways, looks = _of_sequence(body, body[0] if body and most > 1 else after, exact)
    if most <= 1:
        return ways + (least == 0), looks + 1
    times = min(int(most), MOST_IN_NAME)
    if ways > 1:  # to the power of the repetitions
        return _ENDLESS, _ENDLESS
    ends = 1 if exact and len(body) == 1 and _stops(body[0], after) else times - min(int(least), times) + 1
    return ends, min(_ENDLESS, times * looks)


def _of_branches(branches: list[list[Any]], after: Any, exact: bool) -> Cost:
    costs = [_of_sequence(branch, after, exact) for branch in branches]
    first = [branch[0][1] for branch in branches if branch and str(branch[0][0]) == "LITERAL"]
    # Of branches that begin with different characters one alone can match.
    apart = exact and len({*first}) == len(branches)
    ways = [ways for ways, _ in costs]
    return (max(ways) if apart else min(_ENDLESS, sum(ways))), min(_ENDLESS, sum(looks for _, looks in costs))


def _takes_all(least: int, most: int, inside: Any) -> bool:
    return least == 0 and most >= MOST_IN_NAME and [str(kind) for kind, _ in inside] == ["ANY"]


def _stops(part: tuple[Any, Any], after: Any) -> bool:
    """Whether repetitions of `part` can end in one place only: before a character that is none of its own."""
    if after is None or str(after[0]) != "LITERAL" or str(part[0]) not in _SINGLE:
        return False
    return not _accepts(str(part[0]), part[1], after[1])


def _accepts(kind: str, argument: Any, character: int) -> bool:
    if kind == "LITERAL":
        return bool(argument == character)
    if kind == "NOT_LITERAL":
        return bool(argument != character)
    if kind == "RANGE":
        return bool(argument[0] <= character <= argument[1])
    if kind == "IN":
        items = [(str(k), a) for k, a in argument]
        found = any(_accepts(k, a, character) for k, a in items if k != "NEGATE")
        return found is not any(k == "NEGATE" for k, _ in items)
    return True  # any character, or a category: taken to be one of them
