"""Integrals against a Gaussian, to rounding error, even of functions with kinks and under a wide Gaussian.

Gauss-Hermite rules converge slowly at a kink (ReLU) and miss a step much narrower than the Gaussian (tanh
behind large weights). So the line is cut into panels, at the kinks and at distances 1, 2, 4, ... from each
feature of the integrand, and each panel gets a Gauss-Legendre rule.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACH = 10.0  # standard deviations covered: the density beyond is below 1e-22 of its peak
PANEL = 2.0  # width of the widest panel, in standard deviations
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)


def edges(std: float, features: Array) -> Array:
    """Return the sorted panel edges for N(0, std^2), one row for each row of `features`.

    `features`, of shape (..., n), holds the points around which the integrand varies on the scale 1.
    """
    uniform = std * np.linspace(-REACH, REACH, round(2 * REACH / PANEL) + 1)
    octaves = 2.0 ** np.arange(max(0, np.ceil(np.log2(2 * PANEL * std))) if std > 0 else 0)
    offsets = np.concatenate([-octaves[::-1], [0.0], octaves])
    near = (features[..., None] + offsets).reshape(*features.shape[:-1], -1)
    every = np.concatenate([np.broadcast_to(uniform, (*near.shape[:-1], uniform.size)), near], axis=-1)
    return np.sort(np.clip(every, uniform[0], uniform[-1]), axis=-1)


def rule(std: float, features: Array, *, half: bool = False) -> tuple[Array, Array]:
    """Return nodes x and weights w, so that sum(w f(x)) is E[f(x)] for x from N(0, std^2), row by row.

    With `half`, f is even: only x >= 0 is visited, with doubled weights.
    """
    if std == 0.0:
        ones = np.ones((*features.shape[:-1], 1))
        return 0.0 * ones, ones
    cuts = edges(std, features)
    if half:
        cuts = np.maximum(cuts, 0.0)
    width = np.diff(cuts, axis=-1)[..., None]
    x = cuts[..., :-1, None] + width * (0.5 + 0.5 * _NODES)
    density = np.exp(-0.5 * (x / std) ** 2) / (std * np.sqrt(2.0 * np.pi))
    w = width * (0.5 * _WEIGHTS) * density * (2.0 if half else 1.0)
    shape = (*features.shape[:-1], -1)
    return x.reshape(shape), w.reshape(shape)


def gaussian_mean(f: Callable[[Array], Array], std: float, features: tuple[float, ...] = (0.0,)) -> float:
    """Return E[f(u)] for u from N(0, std^2)."""
    x, w = rule(std, np.array(features))
    return float(w @ f(x))
