"""Integrals against a Gaussian, to rounding error, even of functions with kinks and under a wide Gaussian.

Gauss-Hermite rules converge slowly at a kink (ReLU) and miss a step much narrower than the Gaussian (tanh
behind large weights). So the line is cut into panels, at the kinks and at distances 1, 2, 4, ... from each
feature of the integrand, and each panel gets a Gauss-Legendre rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACH = 10.0  # standard deviations covered: the density beyond is below 1e-21 of its peak
PANEL = 2.0  # width of the widest panel, in standard deviations
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def _edges(std: float, features: Array, scale: float, octaves: int) -> Array:
    """Return the sorted panel edges for N(0, std^2), one row for each row of `features`."""
    uniform = std * np.linspace(-REACH, REACH, round(2 * REACH / PANEL) + 1)
    widest = 2 * PANEL * std
    count = min(octaves, max(0, int(np.ceil(np.log2(widest / scale)))))
    distances = widest * 0.5 ** np.arange(1, count + 1)
    offsets = np.concatenate([-distances, [0.0], distances])
    near = (features[..., None] + offsets).reshape(*features.shape[:-1], -1)
    everywhere = np.broadcast_to(uniform, (*near.shape[:-1], uniform.size))
    return np.sort(np.clip(np.concatenate([everywhere, near], axis=-1), uniform[0], uniform[-1]), axis=-1)


def rule(
    std: float, features: Array, *, scale: float = 1.0, octaves: int = 60, half: bool = False
) -> tuple[Array, Array]:
    """Return nodes x and weights w so that sum(w f(x)) is E[f(x)] for x from N(0, std^2).

    The last axis of `features` lists the points around which f varies on the length `scale`; panels shrink
    towards them by up to `octaves` halvings. The result has one row of nodes for each row of features. With
    `half`, f is even: only x >= 0 is visited, with doubled weights.
    """
    rows = features.shape[:-1]
    if std == 0.0:
        return np.zeros((*rows, 1)), np.ones((*rows, 1))
    edges = _edges(std, features, scale, octaves)
    if half:
        edges = np.maximum(edges, 0.0)
    if not rows:
        edges = np.unique(edges)  # a panel of no width costs as much as any
    width = np.diff(edges)[..., None]
    x = edges[..., :-1, None] + width * (0.5 + 0.5 * _NODES)
    density = np.exp(-0.5 * (x / std) ** 2) * ((2.0 if half else 1.0) / np.sqrt(2.0 * np.pi))
    w = (width / std) * (0.5 * _WEIGHTS) * density
    return x.reshape(*rows, -1), w.reshape(*rows, -1)


def gaussian_mean(f: Callable[[Array], Array], std: float, features: Sequence[float] = (0.0,)) -> float:
    """Return E[f(u)] for u from N(0, std^2)."""
    x, w = rule(std, np.array(features))
    return float(w @ f(x))


def pair_mean(
    f: Callable[[Array, Array], Array],
    q: float,
    gap: float,
    kinks: Sequence[float] = (),
    widest: float = np.inf,
) -> float:
    """Return E[f(u, v)] of a symmetric f for jointly Gaussian u, v of variance q and correlation 1 - gap.

    Half the sum m and half the difference d of u and v are independent, so the integral is one over d of
    one over m. As d shrinks with the gap, nearly equal inputs cost no precision. f is smooth except where u
    or v is at a kink, and varies on the length 1. The variances of m and d are cut off at `widest`.
    """
    wide = np.sqrt(min(0.5 * q * (2.0 - gap), widest))
    narrow = np.sqrt(min(0.5 * q * gap, widest))
    points = np.unique([0.0, *kinks])
    # At a kink of both u and v the mean over m is a kink in d, rounded off over the spread of m.
    crossings = np.unique(0.5 * np.abs(points[:, None] - points))
    rounding = min(1.0, wide) if kinks and wide > 0.0 else 1.0
    d, w = rule(narrow, crossings, scale=rounding, octaves=20, half=True)
    m, v = rule(wide, np.concatenate([points + d[:, None], points - d[:, None]], axis=-1), octaves=20)
    return float(w @ np.sum(v * f(m + d[:, None], m - d[:, None]), axis=-1))
