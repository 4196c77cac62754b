"""The maps of variance and correlation from layer to layer, and how fast they come to rest."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..activations import ActivationLike
from ..markup import named_tuple
from ..words import check_finite, check_integer
from .fixedpoints import resting_point, resting_variance
from .limits import MOST_LAYERS
from .meanfield import make_layer
from .roots import AT_REST

Array = NDArray[np.float64]


class DepthScales(NamedTuple):
    """The layers over which the variance and the correlation approach their fixed points by a factor of e."""

    xi_q: float
    xi_c: float

    def _repr_html_(self) -> str:
        return named_tuple(self)


def variance_map(
    activation: ActivationLike,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
    q0: float,
    depth: int,
    param: float | None = None,
) -> Array:
    r"""Return the preactivation variances of the layers that follow one with variance q0.

    .. math:: q_l = \sigma_w^2 E[\varphi(\sqrt{q_{l-1}} z)^2] + \sigma_b^2, \quad z \sim N(0, 1)

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own (see :func:`fastinit.gain`).
    sigma_w, sigma_b : float
        Weights have variance sigma_w^2 / fan_in, biases sigma_b^2.
    q0 : float
        The variance of the preactivations to start from.
    depth : int
        How many layers to follow.
    param : float, optional
        The parameter of the activation, as in :func:`fastinit.gain`.

    Returns
    -------
    ndarray
        q_1 ... q_depth, float64; inf once the variance has overflowed.

    Raises
    ------
    ValueError, TypeError
        An unknown activation, sigma_w, sigma_b or q0 negative or not finite, depth not a positive integer.

    References
    ----------
    Poole et al. 2016, sections 2 and 3.

    Examples
    --------
    With He's sigma_w^2 = 2, ReLU keeps the variance; with half of it, each layer halves it.

    >>> variance_map("relu", sigma_w=2**0.5, q0=3.0, depth=4).round(12)
    array([3., 3., 3., 3.])
    >>> variance_map("relu", sigma_w=1.0, q0=1.0, depth=4).round(12)
    array([0.5   , 0.25  , 0.125 , 0.0625])
    """
    layer = make_layer(activation, sigma_w, sigma_b, param)
    q = check_finite("q0", q0, minimum=0.0)
    result = np.empty(check_integer("depth", depth, minimum=1, maximum=MOST_LAYERS))
    for i in range(result.size):
        result[i] = q = layer.variance(q)
    return result


def correlation_map(
    activation: ActivationLike,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
    q0: float,
    c0: float,
    depth: int,
    param: float | None = None,
) -> Array:
    r"""Return the correlations of two inputs in the layers after one with variance q0 and correlation c0.

    .. math:: q_l c_l = \sigma_w^2 E[\varphi(u) \varphi(v)] + \sigma_b^2

    with u, v from N(0, q_{l-1}) with correlation c_{l-1}, and q_l as in :func:`variance_map`: both evolve
    together. 1 - c is what is carried from layer to layer, so that correlations near 1 keep their precision.

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own (see :func:`fastinit.gain`).
    sigma_w, sigma_b : float
        Weights have variance sigma_w^2 / fan_in, biases sigma_b^2.
    q0, c0 : float
        Variance and correlation of the preactivations to start from; -1 <= c0 <= 1.
    depth : int
        How many layers to follow.
    param : float, optional
        The parameter of the activation.

    Returns
    -------
    ndarray
        c_1 ... c_depth, float64. Where the variance underflows to 0 or overflows, c is its limit; NaN if a
        layer is constantly 0 (sigma_w = sigma_b = 0).

    Raises
    ------
    ValueError, TypeError
        As :func:`variance_map`, and for c0 outside [-1, 1].

    References
    ----------
    Poole et al. 2016, sections 2 and 3.

    Examples
    --------
    A deep ReLU network makes all inputs alike, slowly: 1 - c falls as 9 pi^2 / (2 l^2).

    >>> correlation_map("relu", sigma_w=2**0.5, q0=1.0, c0=0.0, depth=3).round(4)
    array([0.3183, 0.4937, 0.6048])
    """
    layer = make_layer(activation, sigma_w, sigma_b, param)
    q = check_finite("q0", q0, minimum=0.0)
    gap = 1.0 - check_finite("c0", c0, minimum=-1.0, maximum=1.0)
    result = np.empty(check_integer("depth", depth, minimum=1, maximum=MOST_LAYERS))
    for i in range(result.size):
        gap = layer.gap(q, gap)
        q = layer.variance(q)
        result[i] = 1.0 - gap
    return result


def chi1(
    activation: ActivationLike,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
    q: float | None = None,
    param: float | None = None,
) -> float:
    r"""Return the mean squared singular value of a layer's Jacobian.

    .. math:: \chi_1 = \sigma_w^2 E[\varphi'(\sqrt q z)^2], \quad z \sim N(0, 1)

    A gradient's mean square is multiplied by it in every layer, and so is the squared distance between two
    nearly equal inputs.

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own (see :func:`fastinit.gain`).
    sigma_w, sigma_b : float
        Weights have variance sigma_w^2 / fan_in, biases sigma_b^2.
    q : float, optional
        The variance of the preactivations; if not given, the fixed point for sigma_w and sigma_b.
    param : float, optional
        The parameter of the activation.

    Returns
    -------
    float
        For q = 0, the limit as q approaches 0.

    Raises
    ------
    ValueError, TypeError
        An unknown activation, sigma_w, sigma_b or q negative or not finite.

    References
    ----------
    Poole et al. 2016, sections 2 and 3; Schoenholz et al. 2017, sections 3 and 4.

    Examples
    --------
    >>> round(chi1("relu", sigma_w=2**0.5), 12)
    1.0
    >>> round(chi1("tanh", sigma_w=1.0, q=1.0), 4)
    0.4644
    """
    layer = make_layer(activation, sigma_w, sigma_b, param)
    return layer.chi1(resting_variance(layer) if q is None else check_finite("q", q, minimum=0.0))


def depth_scales(
    activation: ActivationLike, *, sigma_w: float, sigma_b: float = 0.0, param: float | None = None
) -> DepthScales:
    r"""Return over how many layers the variance and the correlation forget the input.

    .. math::
        |q_l - q^*| \sim e^{-l / \xi_q}, \quad
            1 / \xi_q = -\log(\chi_1 + \sigma_w^2 E[\varphi''(u) \varphi(u)]) \
        |c_l - c^*| \sim e^{-l / \xi_c}, \quad
            1 / \xi_c = -\log(\sigma_w^2 E[\varphi'(u) \varphi'(v)])

    with u, v from N(0, q*) with correlation c*. Networks deeper than a few xi_c cannot be trained: by then
    all that the signal said about the input is gone.

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
    DepthScales
        The named tuple (xi_q, xi_c). inf where nothing decays exponentially: xi_c at the edge of chaos,
        xi_q along ReLU's line of fixed points, both where the variance diverges. Where q* = 0, xi_c is the
        scale on which the covariance, not the correlation, decays.

    Raises
    ------
    ValueError, TypeError
        An unknown activation, sigma_w or sigma_b negative or not finite.

    References
    ----------
    Schoenholz et al. 2017, sections 3 and 4.

    Examples
    --------
    >>> xi = depth_scales("tanh", sigma_w=1.5, sigma_b=0.3)
    >>> round(xi.xi_q, 3), round(xi.xi_c, 3)
    (1.167, 19.916)
    """
    layer = make_layer(activation, sigma_w, sigma_b, param)
    point = resting_point(layer)
    if point.q == math.inf:
        return DepthScales(math.inf, math.inf)
    slope = point.chi1 if point.c == 1.0 else layer.chi(point.q, 1.0 - point.c)
    return DepthScales(_scale(point.stability.slope), _scale(slope))


def _scale(slope: float) -> float:
    if abs(slope) >= 1.0 - AT_REST:
        return math.inf
    return -1.0 / math.log(abs(slope)) if slope else 0.0
