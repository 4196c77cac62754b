"""Numbers of schemes: counts of layers, and their fractional powers."""

from __future__ import annotations

from decimal import Context, Decimal

from ...words import check_integer

MOST = 1 << 53


def check_count(argument: str, count: object, minimum: int = 1) -> int:
    """Return a number of layers, or a width."""
    return check_integer(argument, count, minimum=minimum, maximum=MOST)


def power(base: int, numerator: int, denominator: int) -> float:
    """Return base^(numerator/denominator), base >= 1: the same float on every machine, as `**` of floats is not."""
    context = Context(prec=60)
    exponent = context.divide(Decimal(numerator), Decimal(denominator))
    return float(context.power(Decimal(base), exponent))
