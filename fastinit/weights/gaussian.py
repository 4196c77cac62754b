"""The normal law in decimal arithmetic: the same float64 on every machine, which a libm does not promise.

Everything about one tail is relative to its nearer bound, so that bounds 10 or 10^4 standard deviations out keep their
precision; by symmetry that tail is the upper one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, getcontext, localcontext
from functools import lru_cache
from typing import NamedTuple

_DIGITS = 50
# Beyond this, e^-x is 0 whatever it is divided by.
_MOST = Decimal(10) ** 15
_HALF, _ONE, _TWO = Decimal("0.5"), Decimal(1), Decimal(2)


@contextmanager
def precise(lower: float, upper: float) -> Iterator[None]:
    """Compute with as many digits as differences between these bounds lose, and fifty more."""
    finite = [abs(x) for x in (lower, upper) if math.isfinite(x)]
    size = max((math.log10(x) for x in finite if x > 1), default=0.0)
    gap = float(min(Decimal(upper) - Decimal(lower), _ONE))
    lost = 4 * size - 3 * math.log10(max(gap, 5e-324))
    with localcontext(Context(prec=_DIGITS + math.ceil(lost), Emin=MIN_EMIN, Emax=MAX_EMAX)):
        yield


@lru_cache(maxsize=16)
def _root_2_pi(digits: int) -> Decimal:
    """sqrt(2 pi) by Machin's formula for pi."""
    with localcontext(Context(prec=digits + 10)):

        def arctangent(n: int) -> Decimal:
            power, k, total = _ONE / n, 1, _ONE / n
            while abs(power) > Decimal(10) ** -(digits + 10):
                power, k = -power / (n * n), k + 2
                total += power / k
            return total

        return (2 * (16 * arctangent(5) - 4 * arctangent(239))).sqrt()


def density(x: Decimal) -> Decimal:
    """The density of the standard normal; 0 far out."""
    square = x * x / 2
    return Decimal(0) if square > _MOST else (-square).exp() / _root_2_pi(getcontext().prec)


def mills(x: Decimal) -> Decimal:
    """(1 - Phi(x)) / density(x) for x >= 0."""
    digits = getcontext().prec
    if x.is_infinite():
        return Decimal(0)
    if x > 5:  # Laplace's continued fraction, which converges fast out here
        fraction = x
        for k in range(50 + int((0.9 * digits / float(min(x, _MOST))) ** 2), 0, -1):
            fraction = x + k / fraction
        return 1 / fraction
    term = total = x  # Phi(x) - 1/2 = density(x) * (x + x^3/3 + x^5/15 + …)
    k = 1
    while term > total * Decimal(10) ** -digits:
        k += 2
        term *= x * x / k
        total += term
    return _HALF / density(x) - total


def tail(x: Decimal) -> Decimal:
    """1 - Phi(x); 0 far out."""
    if x.is_infinite():
        return Decimal(0 if x > 0 else 1)
    return mills(x) * density(x) if x >= 0 else 1 - tail(-x)


def survival(x: Decimal, bound: Decimal) -> Decimal:
    """(1 - Phi(x)) / (1 - Phi(bound)) for x >= bound >= 0."""
    return mills(x) / mills(bound) * _decay(x, bound)


def _decay(x: Decimal, bound: Decimal) -> Decimal:
    """density(x) / density(bound) for x >= bound >= 0."""
    power = (x - bound) * (x + bound) / 2 if not x.is_infinite() else x
    return Decimal(0) if power > _MOST else (-power).exp()


def upper_side(lower: float, upper: float) -> tuple[Decimal, Decimal, bool]:
    """The bounds, mirrored where that brings them to the upper side, and whether they were."""
    a, b = Decimal(lower), Decimal(upper)
    return (-b, -a, True) if b <= 0 else (a, b, False)


class Truncation(NamedTuple):
    """What the kernels need of a standard normal between two bounds; probabilities in units of exp(-offset)."""

    below: float
    above: float
    width: float
    offset: float


@lru_cache(maxsize=256)
def truncation(lower: float, upper: float) -> Truncation:
    """Return the probabilities below, above and between the bounds, the nearer of which is within 38 of 0."""
    with precise(lower, upper):
        a, b = Decimal(lower), Decimal(upper)
        left, right = tail(-a), tail(b)
        width = tail(a) - right if a > 0 else tail(-b) - left
        # In one tail everything is relative to its nearer bound's probability; across the middle to 1.
        unit = tail(a) if a > 0 else tail(-b) if b < 0 else _ONE
        # `left` or `right` may be the other, overwhelming tail: any large number says so.
        below, above = (float(min(p / unit, Decimal(10) ** 30)) for p in (left, right))
        return Truncation(below, above, float(width / unit), float(-unit.ln()))


def truncated_std(lower: float, upper: float) -> float:
    """Return the standard deviation of a standard normal between the bounds."""
    return _moments(lower, upper)[1]


def truncated_mean(lower: float, upper: float) -> float:
    """Return the mean of a standard normal between the bounds."""
    return _moments(lower, upper)[0]


@lru_cache(maxsize=256)
def _moments(lower: float, upper: float) -> tuple[float, float]:
    """Mean and standard deviation."""
    with precise(lower, upper):
        a, b, mirrored = upper_side(lower, upper)
        if a >= 0:  # in units of the density at a
            ratio = _decay(b, a)
            at_a, width = _ONE, mills(a) - ratio * mills(b)
        else:
            at_a, ratio, width = density(a), density(b), 1 - tail(-a) - tail(b)
        first = (at_a - ratio) / width
        second = sum((x * d for x, d in ((a, at_a), (-b, ratio)) if d), Decimal(0)) / width
        return float(-first if mirrored else first), math.sqrt(float(1 + second - first * first))


def quantile(u: Decimal, a: Decimal, b: Decimal) -> Decimal:
    """The x between bounds a < b, b > 0, below which the share u of the truncated law lies."""
    if a >= 0:
        return at_survival(1 - u * (1 - survival(b, a)), a)
    left = tail(-a)
    p = left + u * (1 - tail(b) - left)
    if p > _HALF:
        return at_survival(2 * (1 - p), Decimal(0))
    return -at_survival(2 * p, Decimal(0))


def at_survival(s: Decimal, bound: Decimal) -> Decimal:
    """The x >= bound >= 0 with survival(x, bound) = s, 0 < s <= 1, by Newton's method on the logarithm."""
    log, start = s.ln(), mills(bound)

    def excess(x: Decimal) -> Decimal:
        return (mills(x) / start).ln() - (x - bound) * (x + bound) / 2 - log

    x = max(bound, (bound * bound - 2 * log).sqrt() - _HALF) if log < -3 else bound - log * start
    limit = Decimal(10) ** -(getcontext().prec - 12)
    for _ in range(100):
        step = excess(x) * mills(x)
        x = max(bound, x + step)
        if abs(step) <= limit * max(x, _ONE):
            return x
    raise ArithmeticError(f"no quantile for survival {s} beyond {bound}")


# Chebyshev's nodes on (-1, 1), cut to 30 bits so that they are the same on every machine.
def _nodes(count: int) -> list[Decimal]:
    return [Decimal(round(math.cos(math.pi * (2 * j + 1) / (2 * count)) * 2**30)) / 2**30 for j in range(count)]


def fit(f: Callable[[Decimal], Decimal], low: Decimal, high: Decimal, terms: int) -> tuple[list[Decimal], Decimal]:
    """Return coefficients c0, c1, … of a polynomial that meets f at Chebyshev's nodes in [low, high], and its error.

    The error is the largest at a few points between the nodes.
    """
    middle, half = (low + high) / 2, (high - low) / 2
    x = [middle + half * node for node in _nodes(terms)]
    # Newton's divided differences, then the powers multiplied out.
    table = [f(point) for point in x]
    for order in range(1, terms):
        for i in range(terms - 1, order - 1, -1):
            table[i] = (table[i] - table[i - 1]) / (x[i] - x[i - order])
    c = [table[-1]]
    for i in range(terms - 2, -1, -1):
        c = [low_ - x[i] * high_ for low_, high_ in zip([Decimal(0), *c], [*c, Decimal(0)], strict=True)]
        c[0] += table[i]
    between = [(x[i] + x[i + 1]) / 2 for i in (0, terms // 3, terms - 2)] + [low + half / 1000, high - half / 1000]
    return c, max(abs(f(point) - horner(c, point)) for point in between)


def horner(c: list[Decimal], x: Decimal) -> Decimal:
    """The polynomial c0 + c1 x + c2 x^2 + … at x."""
    value = Decimal(0)
    for coefficient in reversed(c):
        value = value * x + coefficient
    return value
