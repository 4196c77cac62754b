"""Integrals against a Gaussian, to rounding error, even of functions with kinks and under a wide Gaussian.

Gauss-Hermite rules converge slowly at a kink (ReLU) and miss a step much narrower than the Gaussian (tanh
behind large weights). So the line is cut into panels, at the kinks and at ever smaller distances from each
feature of the integrand, and each panel gets a Gauss-Legendre rule.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACH = 10.0  # standard deviations covered: the density beyond is below 1e-21 of its peak
PANEL = 2.0  # width of the widest panel, in standard deviations
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
# Takes values at the nodes to the coefficients of their Legendre series.
_SERIES = np.polynomial.legendre.legvander(_NODES, 15) * _WEIGHTS[:, None] * (np.arange(16) + 0.5)


def _panels(points: Array, octaves: int, half: bool = False) -> tuple[Array, Array]:
    """Return nodes and weights for N(0, 1), a row for each row of `points`.

    Panels shrink towards the points by `octaves` halvings. With `half`, only x >= 0 is covered, twice.
    """
    distances = PANEL * 0.5 ** np.arange(octaves)
    offsets = np.concatenate([-distances, [0.0], distances])
    near = (points[..., None] + offsets).reshape(*points.shape[:-1], -1)
    uniform = np.linspace(-REACH, REACH, round(2 * REACH / PANEL) + 1)
    everywhere = np.broadcast_to(uniform, (*near.shape[:-1], uniform.size))
    edges = np.clip(np.concatenate([everywhere, near], axis=-1), 0.0 if half else -REACH, REACH)
    # Panels of no width cost as much as any, but every row must have the same number.
    edges = np.unique(edges) if points.ndim == 1 else np.sort(edges, axis=-1)
    width = np.diff(edges)[..., None]
    x = edges[..., :-1, None] + width * (0.5 + 0.5 * _NODES)
    density = np.exp(-0.5 * x * x) * ((2.0 if half else 1.0) / math.sqrt(2.0 * math.pi))
    w = width * (0.5 * _WEIGHTS) * density
    return x.reshape(*points.shape[:-1], -1), w.reshape(*points.shape[:-1], -1)


@functools.lru_cache(maxsize=256)
def _line(points: tuple[float, ...], octaves: int, half: bool) -> tuple[Array, Array]:
    return _panels(np.array(points), octaves, half)


def _octaves(std: float, scale: float, most: int) -> int:
    """Return how many halvings lead from the widest panel to `scale`, at most `most`."""
    return min(most, max(0, math.ceil(math.log2(2.0 * PANEL * std / scale))))


def rule(
    std: float, features: Sequence[float], *, scale: float = 1.0, octaves: int = 1100, half: bool = False
) -> tuple[Array, Array]:
    """Return nodes x and weights w so that sum(w f(x)) is E[f(x)] for x from N(0, std^2).

    `features` are the points around which f varies on the length `scale`; they include its kinks. Panels
    shrink towards them by up to `octaves` halvings, enough by default for every float. With `half`, f is even: only
    x >= 0 is visited.
    """
    if not std > 0.0:  # 0, or NaN that passes through
        return np.array([std]), np.ones(1)
    points = tuple(min(max(x / std, -REACH), REACH) for x in features)
    x, w = _line(points, _octaves(std, scale, octaves), half)
    return std * x, w


def gaussian_mean(f: Callable[[Array], Array], std: float, features: Sequence[float] = (0.0,)) -> float:
    """Return E[f(u)] for u from N(0, std^2)."""
    x, w = rule(std, features)
    return float(w @ f(x))


def pair_mean(
    f: Callable[[Array, Array], Array],
    q: float,
    gap: float,
    kinks: Sequence[float] = (),
    widest: float = math.inf,
) -> float:
    """Return E[f(u, v)] of a symmetric f for jointly Gaussian u, v of variance q and correlation 1 - gap.

    Half the sum m and half the difference d of u and v are independent, so the integral is one over d of one
    over m. As d shrinks with the gap, nearly equal inputs cost no precision. f is smooth except where u or v
    is at a kink, and varies on the length 1. The variances of m and d are cut off at `widest`.
    """
    gap = min(max(gap, 0.0), 2.0)  # rounding carries correlations of 1 and -1 beyond
    wide = math.sqrt(min(0.5 * q * (2.0 - gap), widest))
    narrow = math.sqrt(min(0.5 * q * gap, widest))
    points = np.unique([0.0, *kinks])
    # At a kink of both u and v the mean over m is a kink in d, rounded off over the spread of m.
    crossings = np.unique(0.5 * np.abs(points[:, None] - points))
    rounding = min(1.0, wide) if kinks and wide > 0.0 else 1.0
    d, w = rule(narrow, crossings.tolist(), scale=rounding, octaves=20, half=True)
    if wide == 0.0:
        return float(w @ f(d, -d))
    d = d[:, None]
    m, v = _panels(np.concatenate([points + d, points - d], axis=-1) / wide, _octaves(wide, 1.0, 20))
    return float(w @ np.sum(v * f(wide * m + d, wide * m - d), axis=-1))


def find_kinks(f: Callable[[Array], Array], *, reach: float = 16.0, most: int = 16) -> tuple[float, ...]:
    """Return where f is not smooth between -reach and reach; () if that is in more than `most` places.

    Intervals on which the Legendre series of f has not converged are halved. One that is left at a width of 2^-8
    holds a kink, a jump or something as steep; it is followed into the half with the slower series.
    """

    def tails(left: Array, degree: int) -> tuple[Array, Array]:
        # A tenth wider than the interval, as a kink between its end and the outermost node would not be seen.
        values = f(left[:, None] + width * (0.5 + 0.55 * _NODES))
        return np.max(np.abs(values @ _SERIES[:, degree:]), axis=-1), np.max(np.abs(values), axis=-1)

    typical = float(np.mean(np.abs(f(np.linspace(-1.0, 1.0, 65)))))
    left, width = np.arange(-reach, reach), 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        while width > 2.0**-8:
            width *= 0.5
            left = np.concatenate([left, left + width])
            tail, size = tails(left, 14)
            left = left[tail > 1e-13 * np.maximum(size, typical)]
        while left.size and width > 1e-12:
            width *= 0.5
            left = np.where(tails(left + width, 8)[0] > tails(left, 8)[0], left + width, left)
    places = sorted({round(float(x), 10) + 0.0 for x in left})
    # Neighbouring intervals may both have seen the same one.
    kinks = tuple(x for i, x in enumerate(places) if i == 0 or x - places[i - 1] > 1e-6)
    return kinks if len(kinks) <= most else ()
