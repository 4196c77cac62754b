"""What an activation makes of a Gaussian."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..activations import ActivationLike
from ..markup import named_tuple
from ..words import check_finite
from .meanfield import make_layer


class Moments(NamedTuple):
    """Of phi(z) for Gaussian z: mean, standard deviation, and mean square."""

    mean: float
    std: float
    second: float

    def _repr_html_(self) -> str:
        return named_tuple(self)


def moments(activation: ActivationLike, *, q: float = 1.0, param: float | None = None) -> Moments:
    r"""Return mean, standard deviation and mean square of the activations of Gaussian preactivations.

    .. math:: E[\varphi(z)], \quad \sqrt{E[\varphi(z)^2] - E[\varphi(z)]^2}, \quad E[\varphi(z)^2], \quad z \sim N(0, q)

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own (see :func:`fastinit.gain`).
    q : float
        Variance of the preactivations, >= 0.
    param : float, optional
        The parameter of the activation.

    Returns
    -------
    Moments
        The named tuple (mean, std, second). ``1 / sqrt(second)`` at q = 1 is :func:`fastinit.gain` where PyTorch's
        table has no entry, ``1 / std`` is ``fastinit.gain(activation, centred=True)``.

    Raises
    ------
    ValueError, TypeError
        An unknown activation, or a q that is negative or not finite.

    References
    ----------
    Brock, De and Smith 2021, "Characterizing signal propagation to close the performance gap in unnormalized ResNets",
    section 4, whose gamma is 1 / std at q = 1.

    Examples
    --------
    >>> mean, std, second = moments("relu")
    >>> round(mean, 4), round(1 / std, 4), round(second, 4)
    (0.3989, 1.7129, 0.5)
    """
    mean, variance, second = make_layer(activation, 0.0, 0.0, param).moments(check_finite("q", q, minimum=0.0))
    return Moments(mean, math.sqrt(variance), second)
