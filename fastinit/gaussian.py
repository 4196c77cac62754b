"""Tails of the normal law in decimal arithmetic: the same float64 on every machine, which a libm does not promise."""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

_DIGITS = 60
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
# Beyond this the kernels' inverse CDF is not fitted (exp(-l) with l up to 800).
FARTHEST = 38.0


class Truncation(NamedTuple):
    """What the kernels need of a standard normal between two bounds; probabilities in units of exp(-offset)."""

    below: float
    above: float
    width: float
    offset: float
    std: float


def _density(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / (2 * _PI).sqrt()


def _tail(x: Decimal) -> Decimal:
    """1 - Phi(x) to about 50 digits, relatively, for any x."""
    if x.is_infinite():
        return Decimal(0 if x > 0 else 1)
    if x < 0:
        return 1 - _tail(-x)
    if x > 5:  # Laplace's continued fraction, which converges fast out here
        fraction = x
        for k in range(200, 0, -1):
            fraction = x + k / fraction
        return _density(x) / fraction
    term = total = x  # Phi(x) - 1/2 = density(x) * (x + x^3/3 + x^5/15 + …)
    k = 1
    while term > total * Decimal(10) ** -_DIGITS:
        k += 2
        term *= x * x / k
        total += term
    return Decimal("0.5") - _density(x) * total


@lru_cache(maxsize=256)
def truncation(lower: float, upper: float) -> Truncation:
    """Return the probabilities below, above and between the bounds, and the standard deviation there."""
    with localcontext(Context(prec=_DIGITS)):
        a, b = Decimal(lower), Decimal(upper)
        left, right = _tail(-a), _tail(b)
        width = _tail(a) - right if a > 0 else _tail(-b) - left
        # In one tail everything is relative to its nearer bound's probability; across the middle to 1.
        unit = _tail(a) if a > 0 else _tail(-b) if b < 0 else Decimal(1)
        at_a, at_b = (Decimal(0) if x.is_infinite() else _density(x) for x in (a, b))
        first = (at_a - at_b) / width
        second = sum((x * d for x, d in ((a, at_a), (-b, at_b)) if d), Decimal(0)) / width
        variance = 1 + second - first * first
        # `left` or `right` may be the other, overwhelming tail: any large number says so.
        below, above = (float(min(p / unit, Decimal(10) ** 30)) for p in (left, right))
        return Truncation(below, above, float(width / unit), float(-unit.ln()), math.sqrt(float(variance)))
