"""Where a function of one positive number is zero: simple roots, and double ones, where it only touches zero."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

Function = Callable[[float], float]

# Below this a value is zero to rounding.
AT_REST = 4e-14
# A function that comes this near to zero and turns back touches it. Parameters printed with nine digits miss a double
# root by less, and no network is deep enough to tell.
_TOUCHING = 1e-8
# A function that is not as near to zero at two neighbouring points does not get there between them.
_NEAR = 0.3
# Points at which a function is looked at more closely between two others: silu's turns twice within 1 %.
_CLOSER = 65


def root(f: Function, a: float, b: float) -> float:
    """Return x between a and b, 0 < a < b, where f changes its sign, by Ridders' method.

    A root at an end may have lost its change of sign to rounding: then that end is returned.
    """
    fa, fb = f(a), f(b)
    while b > 4.0 * a and fa * fb < 0.0:  # far apart, halve the exponents first
        middle = math.sqrt(a) * math.sqrt(b)
        fm = f(middle)
        a, fa, b, fb = (middle, fm, b, fb) if fa * fm > 0.0 else (a, fa, middle, fm)
    x = a
    while b - a > 4e-16 * b and fa * fb < 0.0:
        last, middle = x, 0.5 * (a + b)
        fm = f(middle)
        if fm == 0.0:
            return middle
        x = middle + (middle - a) * math.copysign(1.0, fa) * fm / math.sqrt(fm * fm - fa * fb)
        if abs(x - last) <= 1e-11 * x:  # the error of x is about the square of the step
            return x
        known = sorted([(a, fa), (middle, fm), (x, f(x)), (b, fb)])
        # The function changes its sign between two neighbours of the four: they are the next bracket.
        (a, fa), (b, fb) = next(pair for pair in itertools.pairwise(known) if pair[0][1] * pair[1][1] <= 0.0)
    return a if abs(fa) < abs(fb) else b


def zeros(
    f: Function, points: Sequence[float], turning: Function | None = None, *, rest: float = AT_REST
) -> Iterator[float]:
    """Yield the zeros of f along `points`, which rise or fall, in their order; up to `rest` f is zero to rounding.

    Double ones are found where `turning`, a function with the sign of f', is given. Where f is zero from the first
    point on, or up to the last one, that is no root but the caller's to judge.
    """
    f, turning = functools.cache(f), turning and functools.cache(turning)
    last, resting = math.nan, False
    for x in points:
        if abs(f(x)) <= rest:
            resting = True
            continue
        if not math.isnan(last) and (resting or f(last) * f(x) < 0.0 or _turns(f, turning, last, x)):
            yield from _between(f, turning, last, x, rest)
        last, resting = x, False


def _turns(f: Function, turning: Function | None, a: float, b: float) -> bool:
    """Return whether f turns between two points near enough to zero to matter."""
    return turning is not None and min(abs(f(a)), abs(f(b))) < _NEAR and turning(a) * turning(b) < 0.0


def _between(f: Function, turning: Function | None, first: float, last: float, rest: float) -> Iterator[float]:
    """Yield the zeros between two points: at most one between two places where f turns, and those places."""
    closer = np.geomspace(first, last, _CLOSER).tolist()
    closer[0], closer[-1] = first, last  # to the last bit, so that f is known there
    if turning is not None:
        turns = [root(turning, *sorted(pair)) for pair in itertools.pairwise(closer) if _sign_changes(turning, *pair)]
        closer = [first, *turns, last]
    known = [i for i, x in enumerate(closer) if abs(f(x)) > rest]
    for i, j in itertools.pairwise(known):
        before, after = closer[i], closer[j]
        if _sign_changes(f, before, after):
            yield root(f, *sorted((before, after)))
        elif j > i + 1:
            yield min(closer[i + 1 : j], key=lambda x: abs(f(x)))
        elif j + 1 < len(closer) and abs(f(after)) <= min(_TOUCHING, abs(f(before)), abs(f(closer[j + 1]))):
            yield after


def _sign_changes(f: Function, a: float, b: float) -> bool:
    return f(a) * f(b) < 0.0
