"""What a sample of a law should look like: its moments, its bounds, and how far figures of a sample stray from them.

A law tells by its row here. One without a row is asked: some of its elements are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, singledispatch

import numpy as np

from .dtypes import compute_type, is_complex, part_of
from .laws import Constant, Law, Normal, Sampled, Tensor, Uniform
from .regions import Region, Shape
from .structured import PositiveUnitBall, Sparse
from .truncated import TruncatedNormal

# Standardised central moments of the standard normal, the third to the eighth.
_NORMAL = (0.0, 3.0, 0.0, 15.0, 0.0, 105.0)
_UNIFORM = (0.0, 9 / 5, 0.0, 27 / 7, 0.0, 9.0)
_UNKNOWN = (math.nan,) * 6
# Elements that a law without a row is asked for: its kurtosis, whose error is of no account beside that of a sample.
_ASKED = 1 << 18
# Of a law that looks at the whole tensor for each region no larger one is drawn only to be asked.
_MOST_WHOLE = 1 << 20
_FEW_ZEROS = 1e-3
# Two seeds that nobody else takes for a sample.
_SEEDS = 0x5EED_0F_A_5A3B1E, 0xA_5EC07D_5EED


@dataclass(frozen=True)
class Expected:
    """Figures of a law, and how those of n of its elements stray.

    Attributes
    ----------
    mean, std
        Of an element.
    moments
        Standardised central moments, the third to the eighth; NaN where nobody knows.
    low, high
        No element lies outside.
    spread
        n times the squared relative error of the variance of n elements: kurtosis - 1 where they are independent.
    zeros
        Share of elements that are exactly 0 before any rounding.
    above
        x -> the probability of an element beyond x, None where nobody knows.
    family
        In words.
    is_fixed
        Whether each element has one value, whatever the seed.
    offset
        What the real parts of complex numbers have beside: the other figures are those of a part without it.
    """

    mean: float
    std: float
    moments: tuple[float, ...] = _UNKNOWN
    low: float = -math.inf
    high: float = math.inf
    spread: float = math.nan
    zeros: float = 0.0
    above: Callable[[float], float] | None = None
    family: str = ""
    is_fixed: bool = False
    offset: float = 0.0

    @property
    def kurtosis(self) -> float:
        """Fourth standardised moment: 3 of a normal law."""
        return self.moments[1]

    @property
    def kurtosis_variance(self) -> float:
        """Return n times the variance of the kurtosis of n elements, for many of them.

        Kendall and Stuart, The Advanced Theory of Statistics, volume 1, section 10.15, by the delta method.
        """
        m3, m4, m5, m6, _, m8 = self.moments
        return m8 - 4 * m4 * m6 - 8 * m3 * m5 + 4 * m4**3 - m4**2 + 16 * m3**2 * m4 + 16 * m3**2


def expected(law: Law, tensor: Tensor) -> Expected:
    """Return what elements of a law should look like; a law without a row here is drawn for it, as that tensor is."""
    plane = law.in_plane() if is_complex(tensor.dtype) and isinstance(law, Sampled) else None
    if plane is not None:
        return replace(expected(plane.parts, tensor._replace(dtype=part_of(tensor.dtype))), offset=plane.mean)
    found = _row(law)
    if found is not None:
        return found
    return _asked(law, tensor._replace(seed=0, name=""))  # type: ignore[arg-type]


@singledispatch
def _row(law: Law) -> Expected | None:
    return None


@_row.register
def _(law: Constant) -> Expected:
    return Expected(law.value, 0.0, low=law.value, high=law.value, family="constant", is_fixed=True)


def _degenerate(value: float) -> Expected:
    return Expected(value, 0.0, low=value, high=value, family="constant", is_fixed=True)


@_row.register
def _(law: Normal) -> Expected:
    if not law.std:
        return _degenerate(law.mean)
    scale = law.std * math.sqrt(2)
    return Expected(
        law.mean, law.std, _NORMAL, spread=2.0, above=lambda x: math.erfc((x - law.mean) / scale) / 2, family="normal"
    )


@_row.register
def _(law: Uniform) -> Expected:
    if law.low == law.high:
        return _degenerate(law.low)
    width = law.high - law.low
    std = math.sqrt(law.variance)
    return Expected(
        law.expectation, std, _UNIFORM, law.low, law.high, _UNIFORM[1] - 1,
        above=lambda x: min(1.0, max(0.0, (law.high - x) / width)), family="uniform",
    )  # fmt: skip


@_row.register
def _(law: TruncatedNormal) -> Expected:
    if not law.std:
        return _degenerate(law.mean)
    moments = truncated_moments(law.lower, law.upper)
    return Expected(
        law.expectation, math.sqrt(law.variance), moments, law.mean + law.std * law.lower,
        law.mean + law.std * law.upper, moments[1] - 1, above=_above(law), family="truncated normal",
    )  # fmt: skip


def _above(law: TruncatedNormal) -> Callable[[float], float] | None:
    """Return the probability beyond x, for bounds that leave enough of the normal to be told in floats."""
    upper = _tail(law.upper)
    width = _tail(law.lower) - upper
    if width < 1e-6:
        return None
    return lambda x: min(1.0, max(0.0, (_tail((x - law.mean) / law.std) - upper) / width))


def _tail(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2


@_row.register
def _(law: Sparse) -> Expected:
    if not law.nonzeros or not law.std:
        return _degenerate(0.0)
    # Of the elements a share is exactly 0, so what strays is what the kept ones do.
    rare = max(1, law.fan_in) / law.nonzeros
    moments = tuple(m * rare**k for m, k in zip(_NORMAL, (0.5, 1, 1.5, 2, 2.5, 3), strict=True))
    return Expected(0.0, math.sqrt(law.variance), moments, spread=2 * rare, zeros=1 - 1 / rare, family="sparse")


@_row.register
def _(law: PositiveUnitBall) -> Expected:
    n = max(1, law.fan_in)
    if n == 1:
        return _degenerate(1.0)
    spread, moments = _of_shares(n)
    return Expected(law.expectation, math.sqrt(law.variance), moments, 0.0, 1.0, spread, family="shares of a sum")


@lru_cache(maxsize=64)
def _of_shares(n: int) -> tuple[float, tuple[float, ...]]:
    """Return spread and moments of n shares of a sum, each of U(0, 1), as many neurons have them.

    What divides a neuron's weights is one number, so that their squares stray together.
    """
    u = np.random.default_rng(n).random((max(64, min(1 << 14, (1 << 21) // n)), n))
    u /= u.sum(1, keepdims=True)
    u -= 1 / n
    squares = (u * u).mean(1)
    variance = float(squares.mean())
    third, fourth = (float((u**k).mean()) / variance ** (k / 2) for k in (3, 4))
    return n * float(squares.var()) / variance**2, (third, fourth, *_UNKNOWN[2:])


@lru_cache(maxsize=256)
def truncated_moments(lower: float, upper: float) -> tuple[float, ...]:
    """Return the standardised central moments, the third to the eighth, of a standard normal between two bounds.

    By quadrature about the likeliest point c: of the density at c + t what differs is exp(-t (c + t / 2)), so that
    neither narrow intervals nor those far out lose digits.
    """
    c = min(max(lower, 0.0), upper)
    far = 40.0 / max(1.0, abs(c)) if c else 12.0
    edges = np.linspace(max(lower - c, -far), min(upper - c, far), 33)
    nodes, weights = np.polynomial.legendre.leggauss(32)
    half = np.diff(edges)[:, None] / 2
    t = edges[:-1, None] + half * (1 + nodes)
    density = half * weights * np.exp(-t * (c + t / 2))
    density /= density.sum()
    t = t - (density * t).sum()
    t /= math.sqrt((density * t * t).sum())
    return tuple(float((density * t**k).sum()) for k in range(3, 9))


@lru_cache(maxsize=256)
def _asked(law: Law, tensor: Tensor) -> Expected:
    """Return what some elements of a law tell; errors of a sample are then those of independent elements.

    Laws that hold a neuron's weights together, by their norm or their sum, stray less than that.
    """
    mean, variance = law.expectation, law.variance
    std = math.sqrt(variance)
    first, second = (_draw(law, tensor._replace(seed=seed)) for seed in _SEEDS)
    if first is None or second is None:
        return Expected(mean, std, spread=_NORMAL[1] - 1)
    if np.array_equal(first, second):
        return Expected(mean, std, family="fixed", is_fixed=True)
    x = np.concatenate([first, second])
    zeros = float((x == 0).mean())
    zeros = zeros if zeros > _FEW_ZEROS else 0.0  # those of rounding
    x = (x - x.mean()) / (x.std() or 1.0)
    third, fourth = float((x**3).mean()), float((x**4).mean())
    moments = (third, fourth, *(math.nan,) * 4)
    return Expected(mean, std, moments, spread=max(fourth - 1, 0.0), zeros=zeros)


def _draw(law: Law, tensor: Tensor) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    region = _first(tensor.shape, _ASKED)
    if not getattr(law, "elementwise", isinstance(law, Sampled)) and math.prod(tensor.shape) > _MOST_WHOLE:
        return None
    kind = np.dtype(compute_type(tensor.dtype))
    drawn = np.empty(tuple(n for _, n in region), kind)
    law.fill(tensor._replace(dtype=kind.name), region, drawn)
    return drawn.reshape(-1).astype(np.float64)


def _first(shape: Shape, most: int) -> Region:
    """Return a region at the start of a shape with at most that many elements."""
    region = []
    for size in reversed(shape):
        length = min(size, max(1, most))
        region.append((0, length))
        most //= max(1, length)
    return tuple(reversed(region))
