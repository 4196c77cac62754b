"""What a layer does to a curve of inputs: how it stretches it, and how it bends it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..activations import ActivationLike
from ..markup import named_tuple
from ..words import check_finite, check_integer
from .fixedpoints import resting_variance
from .limits import MOST_LAYERS
from .meanfield import Layer, make_layer

Array = NDArray[np.float64]


class Curvature(NamedTuple):
    """Per layer: the curve's length against that at the start, and its curvature."""

    stretch: Array
    kappa: Array

    def _repr_html_(self) -> str:
        return named_tuple(self)


def chi2(
    activation: ActivationLike,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
    q: float | None = None,
    param: float | None = None,
) -> float:
    r"""Return how much a layer bends what was straight.

    .. math:: \chi_2 = \sigma_w^2 E[\varphi''(\sqrt q z)^2], \quad z \sim N(0, 1)

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
        inf for an activation whose derivative jumps, as ReLU's does: its curves have corners.

    Raises
    ------
    ValueError, TypeError
        An unknown activation, sigma_w, sigma_b or q negative or not finite.

    References
    ----------
    Poole et al. 2016, section 3.

    Examples
    --------
    >>> round(chi2("sin", sigma_w=1.0, q=0.5), 6)  # (1 - exp(-2 q)) / 2
    0.31606
    >>> chi2("relu", sigma_w=1.0, q=0.5)
    inf
    """
    layer = make_layer(activation, sigma_w, sigma_b, param)
    return layer.chi2(resting_variance(layer) if q is None else check_finite("q", q, minimum=0.0))


def curvature_map(
    activation: ActivationLike,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
    q0: float,
    depth: int,
    kappa0: float | None = None,
    param: float | None = None,
) -> Curvature:
    r"""Follow a curve of inputs through the layers: its length, and its extrinsic curvature.

    .. math::
        g_l = \chi_1 g_{l-1}, \quad
        \kappa_l^2 = \frac{3 \chi_2}{\chi_1^2} + \frac{\kappa_{l-1}^2}{\chi_1}

    with chi_1 and chi_2 at the variance q_{l-1}, which moves as in :func:`variance_map`, and the curve's length
    proportional to the square root of g. The inputs lie on a sphere, so that q is the same all along the curve, and
    lengths are per root of the width, as standard deviations are. In a chaotic network (chi_1 > 1) both the length
    and the total curvature grow exponentially with depth; in an ordered one the curve shrinks to a point, and what is
    left of it bends ever more sharply.

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own (see :func:`fastinit.gain`).
    sigma_w, sigma_b : float
        Weights have variance sigma_w^2 / fan_in, biases sigma_b^2.
    q0 : float
        The variance of the preactivations to start from, > 0.
    depth : int
        How many layers to follow.
    kappa0 : float, optional
        The curvature to start from, >= 0; if not given, that of a great circle, 1 / sqrt(q0).
    param : float, optional
        The parameter of the activation.

    Returns
    -------
    Curvature
        The named tuple of arrays (stretch, kappa), one entry a layer: sqrt(g_l / g_0), and kappa_l, in units of one
        over a preactivation; inf where the activation's derivative jumps.

    Raises
    ------
    ValueError, TypeError
        As :func:`variance_map`, for a q0 that is not > 0, or a kappa0 that is negative.

    References
    ----------
    Poole et al. 2016, section 3, equation 8.

    Examples
    --------
    A straight network keeps a circle as it is:

    >>> curvature_map("linear", sigma_w=1.0, q0=4.0, depth=2).kappa.tolist()
    [0.5, 0.5]

    A chaotic one stretches it, and bends it more than it would be by its radius:

    >>> found = curvature_map("tanh", sigma_w=4.0, sigma_b=0.3, q0=12.0, depth=4)
    >>> found.stretch.round(2), found.kappa.round(2)
    (array([1.56, 2.4 , 3.69, 5.68]), array([1.  , 1.19, 1.26, 1.29]))
    """
    layer = make_layer(activation, sigma_w, sigma_b, param)
    q = check_finite("q0", q0, above=0.0)
    bend = 1.0 / q if kappa0 is None else check_finite("kappa0", kappa0, minimum=0.0) ** 2
    length, found = 1.0, []
    for _ in range(check_integer("depth", depth, minimum=1, maximum=MOST_LAYERS)):
        length, bend, q = _step(layer, q, length, bend)
        found.append((math.sqrt(length), math.sqrt(bend)))
    return Curvature(*np.array(found).T.copy())


def _step(layer: Layer, q: float, length: float, bend: float) -> tuple[float, float, float]:
    """Return g, kappa^2 and q of the next layer."""
    chi1 = layer.chi1(q)
    with np.errstate(all="ignore"):
        own = np.float64(3.0 * layer.chi2(q)) / chi1 / chi1
        return length * chi1, float(own + np.float64(bend) / chi1), layer.variance(q)
