"""The critical line of :mod:`fastinit.theory`: weights and biases under which gradients neither vanish nor explode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from ..activations import ActivationLike
from ..markup import named_tuple
from ..words import check_finite, check_flag, shown
from .fixedpoints import POINTS, Stability, precision, stability
from .meanfield import Layer, make_layer
from .roots import zeros


class _Scales(NamedTuple):
    sigma_w: float
    sigma_b: float

    def _repr_html_(self) -> str:
        return named_tuple(self)


class CriticalPoint(_Scales):
    """A point of the critical line: the pair (sigma_w, sigma_b), with its variance `q` and its `stability`."""

    q: float
    stability: Stability

    def __new__(cls, sigma_w: float, sigma_b: float, q: float, stability: Stability) -> CriticalPoint:
        point = super().__new__(cls, sigma_w, sigma_b)
        point.q, point.stability = q, stability
        return point

    def __reduce__(self) -> Any:
        return CriticalPoint, (self.sigma_w, self.sigma_b, self.q, self.stability)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, q={self.q!r}, kind={self.kind!r})"

    @property
    def kind(self) -> str:
        """The kind of the point: see `Stability`."""
        return self.stability.kind


def edge_of_chaos(
    activation: ActivationLike, q: float | None = None, *, repelling: bool = False, param: float | None = None
) -> CriticalPoint:
    r"""Return the (sigma_w, sigma_b) for which q is a fixed point and chi1 = 1: gradients neither vanish nor explode.

    .. math:: \sigma_w^2 = 1 / E[\varphi'(\sqrt q z)^2], \quad
              \sigma_b^2 = q - \sigma_w^2 E[\varphi(\sqrt q z)^2]

    There a signal and its gradients reach deepest, if the signal stays: a network at a q that repels does not keep it.
    q = 0, 0.1, ... runs along the critical line. Without q it is the point where the variance, too, neither comes back
    nor runs away exponentially, dq'/dq = 1: q = 0 for tanh and its like, ReLU's line, a half-stable point for GELU and
    SiLU.

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own (see :func:`fastinit.gain`).
    q : float, optional
        The variance of the preactivations.
    repelling : bool
        Return a point that repels, too.
    param : float, optional
        The parameter of the activation.

    Returns
    -------
    CriticalPoint
        The pair (sigma_w, sigma_b), with ``q``, ``kind`` and ``stability`` (see
        :class:`fastinit.theory.Stability`).

    Raises
    ------
    ValueError
        If no biases make q a fixed point with chi1 = 1 (sigma_b^2 would be negative), or it repels. An unknown
        activation, q negative or not finite; an activation that has no such point, if q is not given.

    See Also
    --------
    critical_points : by sigma_w or sigma_b.

    References
    ----------
    Schoenholz et al. 2017, sections 3 and 4; Hayou et al. 2019; Roberts, Yaida and Hanin 2022, "The Principles of Deep
    Learning Theory", section 5.3, for the points with dq'/dq = 1.

    Examples
    --------
    >>> sigma_w, sigma_b = edge_of_chaos("relu", 3.0)
    >>> round(sigma_w**2, 12), sigma_b
    (2.0, 0.0)
    >>> sigma_w, sigma_b = edge_of_chaos("tanh", 0.5)
    >>> round(sigma_w**2, 4), round(sigma_b**2, 5)
    (1.688, 0.03804)

    GELU's points attract from q = 3.56 on, where they are half-stable:

    >>> point = edge_of_chaos("gelu")
    >>> round(point.q, 4), point.kind, point.stability.attracts_from
    (3.5616, 'half-stable', ('above',))
    """
    layer = make_layer(activation, 1.0, 0.0, param)
    repelling = check_flag("repelling", repelling)
    name = layer.activation.name
    points: tuple[CriticalPoint, ...]
    if q is None:
        argument, value = "activation", repr(name)
        rule = "one with a critical point where dq'/dq = 1, too"
        points = critical_points(activation, param=param)
    else:
        argument, value = "q", shown(q)
        rule = f"a variance at which {name!r} can be critical, sigma_b^2 = q - E[phi^2] / E[phi'^2] >= 0"
        points = tuple(filter(None, [_point(layer, check_finite("q", q, minimum=0.0))]))
    for point in points:
        if repelling or point.kind != "repelling":
            return point
    if points:
        rule = f"{rule}, and which does not repel (dq'/dq = {points[0].stability.slope:.8g}) unless repelling=True"
    raise ValueError(f"argument '{argument}' must be {rule}, got {value}")


def critical_points(
    activation: ActivationLike,
    *,
    sigma_w: float | None = None,
    sigma_b: float | None = None,
    param: float | None = None,
) -> tuple[CriticalPoint, ...]:
    """Return every point of the critical line with that sigma_w or sigma_b; with neither, those where dq'/dq = 1.

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own (see :func:`fastinit.gain`).
    sigma_w, sigma_b : float, optional
        The scale of the weights, whose biases are asked for, or the other way round.
    param : float, optional
        The parameter of the activation.

    Returns
    -------
    tuple of CriticalPoint
        By increasing q, those that repel included; empty if there is none. For a piecewise linear function, to which
        every q is the same, q = 1 stands for all.

    Raises
    ------
    ValueError, TypeError
        An unknown activation, sigma_w or sigma_b negative or not finite, or both given.

    See Also
    --------
    edge_of_chaos : by q.

    References
    ----------
    Roberts, Yaida and Hanin 2022, "The Principles of Deep Learning Theory", section 5.3.

    Examples
    --------
    Which biases make GELU critical, given its weights?

    >>> for point in critical_points("gelu", sigma_w=1.405):
    ...     print(f"sigma_b = {point.sigma_b:.4f}, q = {point.q:.3f}, {point.kind}")
    sigma_b = 0.4373, q = 4.163, attracting
    sigma_b = 0.9383, q = 64.310, attracting
    """
    if sigma_w is not None and sigma_b is not None:
        raise ValueError(
            f"argument 'sigma_w' must stand alone, without sigma_b, got {shown(sigma_w)} and {shown(sigma_b)}"
        )
    layer = make_layer(activation, 1.0, 0.0, param)
    if sigma_w is not None:
        sigma_w = check_finite("sigma_w", sigma_w, minimum=0.0)
        excess = _excess_of_chi(replace(layer, sigma_w=sigma_w))
    elif sigma_b is not None:
        sigma_b = check_finite("sigma_b", sigma_b, minimum=0.0)
        excess = _excess_of_bias(layer, sigma_b)
    else:
        excess = _excess_of_slope(layer)
    return tuple(filter(None, (_point(layer, q, sigma_w, sigma_b) for q in _along_the_line(excess, precision(layer)))))


def _point(layer: Layer, q: float, sigma_w: float | None = None, sigma_b: float | None = None) -> CriticalPoint | None:
    """Return the point of the line at variance q, if there is one; a scale it was found by keeps its digits."""
    slope, rounding = layer.chi1(q), precision(layer) * q
    if not slope > 0.0:
        return None
    bias = q - layer.second_moment(q) / slope
    if not bias >= -rounding:  # exactly 0 for the piecewise linear ones
        return None
    if sigma_w is None:
        sigma_w = 1.0 / math.sqrt(slope)
    if sigma_b is None:
        sigma_b = math.sqrt(bias) if bias > rounding else 0.0
    return CriticalPoint(sigma_w, sigma_b, q, stability(replace(layer, sigma_w=sigma_w, sigma_b=sigma_b), q))


def _along_the_line(excess: Callable[[float], float], rest: float) -> Iterator[float]:
    """Yield the variances at which `excess` is zero."""
    if abs(excess(POINTS[0])) <= rest:
        if abs(excess(1.0)) <= rest:
            yield 1.0
            return
        yield 0.0
    yield from zeros(excess, POINTS, rest=rest)


def _excess_of_chi(layer: Layer) -> Callable[[float], float]:
    return lambda q: _bounded(layer.chi1(q) - 1.0)


def _excess_of_bias(layer: Layer, sigma_b: float) -> Callable[[float], float]:
    def excess(q: float) -> float:
        slope, wanted = layer.chi1(q), sigma_b * sigma_b
        return _bounded((q - layer.second_moment(q) / slope - wanted) / max(q, wanted)) if slope > 0.0 else -1.0

    return excess


def _excess_of_slope(layer: Layer) -> Callable[[float], float]:
    def excess(q: float) -> float:
        slope = layer.chi1(q)
        return _bounded(layer.variance_slope(q) / slope - 1.0) if slope > 0.0 else -1.0

    return excess


def _bounded(x: float) -> float:
    return min(max(x, -1.0), 1.0) if not math.isnan(x) else -1.0
