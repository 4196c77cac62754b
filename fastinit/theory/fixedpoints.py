"""Where the maps of :mod:`fastinit.theory` come to rest, and whether a signal stays there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..activations import ActivationLike
from ..markup import named_tuple
from .meanfield import Layer, make_layer
from .roots import AT_REST, root, zeros

# Variances between which a fixed point is looked for: fine where they lie, coarse far out, up to where floats end.
_STEPS = 2.0 ** np.concatenate([np.arange(0.0, 10.5, 0.5), np.arange(12.0, 42.0, 2.0), np.arange(60.0, 1021.0, 96.0)])
POINTS: list[float] = np.concatenate([1.0 / _STEPS[:0:-1], _STEPS]).tolist()
_MIDDLE = len(_STEPS) - 1
# How well the slope is known of a function of one's own, which is differentiated numerically.
_NUMERICAL = 1e-9
# The attracting and the repelling part of a double root count as one within about 5 %, as little as chance moves q by.
_APART = 0.025
# Beyond this distance of the slope from 1 there is no double root: slopes do not bend that much.
_NEARLY = 0.1
# Changes of the slope, over a factor of e in q, that are no change.
_STRAIGHT = 1e-6


class Stability(NamedTuple):
    """What becomes of a variance near a fixed point.

    Attributes
    ----------
    kind : str
        "attracting", "repelling", "half-stable" (it attracts from one side and repels on the other), "neutral" (every
        variance near it stays where it is) or "diverging" (q is inf).
    slope : float
        The derivative of the variance map there, by which a small deviation is multiplied in every layer.
    attracts_from : tuple of str
        The sides from which it attracts: "below", "above".
    """

    kind: str
    slope: float
    attracts_from: tuple[str, ...]


class _FixedPoint(NamedTuple):
    q: float
    c: float
    chi1: float
    stable: bool

    def _repr_html_(self) -> str:
        return named_tuple(self)


class FixedPoint(_FixedPoint):
    """Where the maps of :func:`fixed_point` come to rest: (q, c, chi1, stable), with its `stability`."""

    stability: Stability

    def __new__(cls, q: float, c: float, chi1: float, stability: Stability) -> FixedPoint:
        stable = stability.kind == "attracting" and abs(stability.slope) < 1.0 - AT_REST
        point = super().__new__(cls, q, c, chi1, stable)
        point.stability = stability
        return point

    def __reduce__(self) -> Any:
        return FixedPoint, (self.q, self.c, self.chi1, self.stability)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, kind={self.kind!r})"

    @property
    def kind(self) -> str:
        """The kind of the point: see `Stability`."""
        return self.stability.kind


def fixed_point(
    activation: ActivationLike, *, sigma_w: float, sigma_b: float = 0.0, param: float | None = None
) -> FixedPoint:
    """Return where variance and correlation settle in a deep network.

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own (see :func:`fastinit.gain`).
    sigma_w, sigma_b : float
        Weights have variance sigma_w^2 / fan_in, biases sigma_b^2.
    param : float, optional
        The parameter of the activation.

    Returns
    -------
    FixedPoint
        A named tuple.

        - ``q``: the limit of the variance map from q = 1. 0 if the signal dies out, inf if it explodes.
        - ``c``: the correlation that two different inputs tend to: 1 if chi1 <= 1, also where q is 0 or inf.
        - ``chi1``: slope of the covariance map at c = 1, that is the mean squared singular value of a layer's
          Jacobian. Below 1 the network is ordered (inputs become alike, gradients vanish), above 1 chaotic
          (inputs part, gradients explode), at 1 it is critical. Where q is inf, the limit for large q.
        - ``stable``: whether q comes back exponentially after a push, |dq'/dq| < 1.

        Beside these four, ``kind`` and ``stability`` say what becomes of a variance near q: see :class:`Stability`.

    Raises
    ------
    ValueError, TypeError
        An unknown activation, sigma_w or sigma_b negative or not finite.

    See Also
    --------
    fixed_points : all of them.

    Notes
    -----
    Some maps have more than one fixed point. ReLU with (sigma_w^2, sigma_b) = (2, 0), He's initialisation, keeps every
    variance: q = 1, where the search starts, stands for the whole line, which is "neutral". GELU, SiLU and their
    like without biases have a repelling fixed point between 0 and inf, with biases up to three.

    Near the edge of chaos iteration would need ever more layers; here q and c are roots of the maps, so they keep their
    precision, except that c is reported as 1 for chi1 - 1 below 1e-12. A variance map that comes within 1e-8 q of the
    diagonal and turns back counts as touching it: a network of fewer than 10^4 layers does not get past.

    A variance map that falls with q, as that of a cosine does, may have its signal alternate about q for ever, which
    then is "repelling".

    References
    ----------
    Poole et al. 2016, sections 2 and 3; Schoenholz et al. 2017, sections 3 and 4; for half-stable points Roberts, Yaida
    and Hanin 2022, "The Principles of Deep Learning Theory", section 5.3.4.

    Examples
    --------
    PyTorch's gain for tanh, 5/3, is slightly chaotic:

    >>> point = fixed_point("tanh", sigma_w=5 / 3)
    >>> round(point.q, 4), point.c, round(point.chi1, 4), point.stable
    (1.1785, 0.0, 1.2098, True)
    """
    return resting_point(make_layer(activation, sigma_w, sigma_b, param))


def fixed_points(
    activation: ActivationLike, *, sigma_w: float, sigma_b: float = 0.0, param: float | None = None
) -> tuple[FixedPoint, ...]:
    """Return every finite variance that a deep network can keep, from the smallest to the greatest.

    Where the variance map rises with q, as that of every named activation does, a signal moves to the next of them in
    its direction, or to inf: between two attracting ones lies one that repels, and parts their basins.

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own (see :func:`fastinit.gain`).
    sigma_w, sigma_b : float
        Weights have variance sigma_w^2 / fan_in, biases sigma_b^2.
    param : float, optional
        The parameter of the activation.

    Returns
    -------
    tuple of FixedPoint
        As :func:`fixed_point` describes them; none where every signal explodes.

    Raises
    ------
    ValueError, TypeError
        As :func:`fixed_point`.

    References
    ----------
    Poole et al. 2016, section 2; Roberts, Yaida and Hanin 2022, section 5.3.

    Examples
    --------
    SiLU with a gain of 1.7 and no biases: a signal either dies out or explodes.

    >>> for point in fixed_points("silu", sigma_w=1.7):
    ...     print(f"{point.q:.4f} {point.kind}")
    0.0000 attracting
    0.8508 repelling
    """
    layer = make_layer(activation, sigma_w, sigma_b, param)
    return tuple(point_at(layer, q) for q in _resting_variances(layer))


def resting_point(layer: Layer) -> FixedPoint:
    """Return the fixed point that is reached from q = 1."""
    return point_at(layer, resting_variance(layer))


def point_at(layer: Layer, q: float) -> FixedPoint:
    """Return the fixed point of that variance."""
    slope = layer.chi1(q)
    return FixedPoint(q, resting_correlation(layer, q, slope), slope, stability(layer, q))


def resting_variance(layer: Layer) -> float:
    """Return the fixed point of the variance map that its iteration from q = 1 runs into, or inf."""
    start = _growth(layer, 1.0)
    if abs(start) <= AT_REST:
        return 1.0
    # Iterating would crawl where the slope is nearly 1. The map increases: its limit is the next fixed point.
    points = POINTS[_MIDDLE:] if start > 0.0 else POINTS[_MIDDLE::-1]
    return next(_zeros(layer, points), math.inf if start > 0.0 else _lowest(layer))


def _resting_variances(layer: Layer) -> Iterator[float]:
    line = abs(_growth(layer, 1.0)) <= AT_REST and not layer.sigma_b
    if line and abs(_growth(layer, POINTS[0])) <= AT_REST:
        yield 1.0
        return
    if not layer.variance(0.0) or _growth(layer, POINTS[0]) <= AT_REST:
        yield _lowest(layer)
    yield from _zeros(layer, POINTS)


def _lowest(layer: Layer) -> float:
    """Return the fixed point that is next to nothing, if it is not nothing."""
    lowest, falls = layer.variance(0.0), 1.0 - layer.variance_slope(0.0)
    return lowest / falls if falls > AT_REST else lowest


def _growth(layer: Layer, q: float) -> float:
    return min(layer.variance(q) / q, 2.0) - 1.0


def _zeros(layer: Layer, points: list[float]) -> Iterator[float]:
    return zeros(lambda q: _growth(layer, q), points, lambda q: layer.variance_slope(q) - layer.variance(q) / q)


def precision(layer: Layer) -> float:
    """Return to what share slopes are known."""
    return AT_REST if layer.activation.user is None else _NUMERICAL


def stability(layer: Layer, q: float) -> Stability:
    """Return what becomes of variances near the fixed point q."""
    if q == math.inf:
        return Stability("diverging", layer.variance_slope(q), ("below",))
    slope, known = layer.variance_slope(q), precision(layer)
    if q == 0.0:
        return _at_zero(layer, slope, known)
    if abs(slope - 1.0) < _NEARLY:
        bend = (layer.variance_slope(1.01 * q) - layer.variance_slope(0.99 * q)) / 0.02
        if abs(bend) > _STRAIGHT and abs(slope - 1.0) <= _APART * abs(bend):
            return Stability("half-stable", slope, ("below",) if bend > 0.0 else ("above",))
    if abs(abs(slope) - 1.0) <= known:
        return Stability("neutral", slope, ())
    return Stability("attracting", slope, ("below", "above")) if abs(slope) < 1.0 else Stability("repelling", slope, ())


def _at_zero(layer: Layer, slope: float, known: float) -> Stability:
    """Return what becomes of small variances; where the slope is 1, they move in higher order."""
    growth = slope - 1.0
    for q in (1e-4, 1e-2, 1.0):
        if abs(growth) > known:
            break
        growth = _growth(layer, q)
    if abs(growth) <= known:
        return Stability("neutral", slope, ())
    return Stability("attracting", slope, ("above",)) if growth < 0.0 else Stability("repelling", slope, ())


def resting_correlation(layer: Layer, q: float, chi1: float) -> float:
    """Return the attracting fixed point of the correlation map at variance q."""
    # As a function of c >= 0 the map is convex, passes (1, 1) with slope chi1 and starts at or above 0: for a
    # slope up to 1 it stays above the diagonal, else it crosses it once. Towards q = 0 or inf the activation
    # is piecewise linear, and relative to a changing q the slope is 1.
    if q in (0.0, math.inf) or chi1 <= 1.0 + 1e-12:
        return 1.0

    def growth(gap: float) -> float:
        return layer.gap(q, gap) / gap - 1.0

    far = 1.0
    if growth(far) >= -AT_REST:
        return 0.0  # an odd activation without biases keeps uncorrelated inputs uncorrelated
    while far > 1e-13:
        near = far / 4.0
        if growth(near) > 0.0:
            return 1.0 - root(growth, near, far)
        far = near
    return 1.0
