"""What a network of finite width does to the size of its signal, beyond the theory of wide ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..activations import ActivationLike
from ..markup import named_tuple
from ..words import check_finite, check_integer, plain_array, shown
from .limits import MOST_LAYERS
from .meanfield import Layer, make_layer

Array = NDArray[np.float64]

# Half the step, in log q, of the differences by which the map's slope and bend are found.
_STEP = 0.01


class FiniteWidth(NamedTuple):
    """Per layer, of log(std of z): how far it is expected from the wide network's, and its std over seeds."""

    drift: Array
    spread: Array

    def _repr_html_(self) -> str:
        return named_tuple(self)


def finite_width(
    activation: ActivationLike,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
    q0: float = 1.0,
    widths: Sequence[int],
    param: float | None = None,
) -> FiniteWidth:
    r"""Return how far the signal of a network with layers of n units strays from that of wide ones.

    The mean square of n activations is that of infinitely many only on average. To first order in 1 / n, what one input
    meets in one network has

    .. math::
        \log q_{l+1} = \log V(q_l) + \epsilon_l, \quad
        \operatorname{Var}[\epsilon_l] = \frac{1}{n_l}
            \left(\frac{\sigma_w^2 E[\varphi^2]}{q_{l+1}}\right)^2 \left(\frac{E[\varphi^4]}{E[\varphi^2]^2} - 1\right),
        \quad E[\epsilon_l] = -\tfrac12 \operatorname{Var}[\epsilon_l]

    with V the map of variances. The spread of log q adds up, times the slope of log V, and a spread about a mean square
    that is right on average pulls the typical one down: in a network of ReLUs with He's weights each layer multiplies
    the typical standard deviation by exp(-5 / (4 n)).

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own (see :func:`fastinit.gain`).
    sigma_w, sigma_b : float
        Weights have variance sigma_w^2 / fan_in, biases sigma_b^2.
    q0 : float
        The variance of the first layer's preactivations, > 0.
    widths : sequence of int
        Units n_l of each layer, in their order.
    param : float, optional
        The parameter of the activation.

    Returns
    -------
    FiniteWidth
        The named tuple of arrays (drift, spread), one entry a layer: mean and standard deviation, over weights, of
        log(std of z) less that of the wide network. Layer 0 has neither: its q0 is given. exp(drift - spread) and
        exp(drift + spread) are the band that two networks of three stay within.

    Raises
    ------
    ValueError, TypeError
        As :func:`variance_map`, and for widths that are not positive integers.

    Notes
    -----
    For one input. The mean over a batch of unlike inputs spreads less in the first layers, where they meet different
    units, and the same once the layers have made them alike.

    References
    ----------
    Hanin and Rolnick 2018, "How to start training: the effect of initialization and architecture", section 3; Hanin
    2018, "Which neural network architectures give rise to exploding and vanishing gradients?"; Roberts, Yaida and
    Hanin 2022, section 4.3.

    Examples
    --------
    >>> found = finite_width("relu", sigma_w=2**0.5, widths=[100] * 4)
    >>> (found.drift * 400 / 5).round(6) + 0.0  # -5 / (4 n) a layer
    array([ 0., -1., -2., -3.])
    >>> (found.spread**2 * 400 / 5).round(6)
    array([0., 1., 2., 3.])
    """
    layer = make_layer(activation, sigma_w, sigma_b, param)
    q = check_finite("q0", q0, above=0.0)
    counts = _widths(widths)
    mean, variance, found = 0.0, 0.0, []
    with np.errstate(all="ignore"):
        for n in counts:
            found.append((0.5 * mean, 0.5 * math.sqrt(variance)))
            slope, bend = _log_slopes(layer, q)
            own = _own(layer, q, n)
            mean = slope * mean + 0.5 * bend * variance - 0.5 * own
            variance = slope * slope * variance + own
            q = layer.variance(q)
    return FiniteWidth(*np.array(found).T.copy())


def _widths(widths: Any) -> list[int]:
    values = plain_array(widths)
    if values.ndim != 1 or not 1 <= values.size <= MOST_LAYERS:
        raise ValueError(f"argument 'widths' must have one entry a layer, got {shown(widths)}")
    return [check_integer("widths", n, minimum=1) for n in values.tolist()]


def _own(layer: Layer, q: float, n: int) -> float:
    """Return the variance of log q that a layer of n units adds."""
    mean_square = np.float64(layer.second_moment(q))
    fourth = layer.fourth_moment(q)
    share = layer.sigma_w * layer.sigma_w * mean_square / layer.variance(q)
    return float(share * share * (fourth / mean_square / mean_square - 1.0) / n)


def _log_slopes(layer: Layer, q: float) -> tuple[float, float]:
    """Return first and second derivative of log V by log q."""
    below, here, above = (math.log(max(layer.variance(q * math.exp(d)), 5e-324)) for d in (-_STEP, 0.0, _STEP))
    return (above - below) / (2.0 * _STEP), (above - 2.0 * here + below) / (_STEP * _STEP)
