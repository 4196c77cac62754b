"""What mean-field theory predicts for a network with weights of its own scale, skips and normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from fastinit_kernels.numeric.constants import NORM_EPSILON
from numpy.typing import ArrayLike, NDArray

from ..activations import ActivationLike
from ..markup import named_tuple
from ..words import check_finite, check_integer, in_layer, plain_array, shown
from .limits import MOST_LAYERS, Entries, check_normalize
from .meanfield import Layer, make_layer

Array = NDArray[np.float64]


class Prediction(NamedTuple):
    """Per layer: preactivation variance, the outputs' mean and standard deviation, the preactivations' correlation."""

    q: Array
    mean: Array
    std: Array
    correlation: Array

    def _repr_html_(self) -> str:
        return named_tuple(self)


@dataclass
class _Signal:
    """What enters a layer: mean, variance and mean square over the units, half the mean squared distance of a pair."""

    mean: float
    variance: float
    second: float
    distance: float

    def normalized(self, normalize: str | None) -> tuple[float, float]:
        """Return mean square and distance of what the weights see."""
        if normalize is None:
            return self.second, self.distance
        size = self.variance if normalize == "layer" else self.second
        return size / (size + NORM_EPSILON), self.distance / (size + NORM_EPSILON)

    def plus(self, f: _Signal, scale: float) -> _Signal:
        """Return the sum with scale * f, whose units have fresh weights: their signs are independent of ours."""
        mean, variance = self.mean + scale * f.mean, self.variance + scale * (scale * f.variance)
        return _Signal(mean, variance, variance + mean * mean, self.distance + scale * (scale * f.distance))


def predict(
    activation: ActivationLike | Sequence[ActivationLike],
    *,
    sigma_w: ArrayLike,
    sigma_b: float | Sequence[float] = 0.0,
    second_moment: float = 1.0,
    depth: int,
    param: float | Sequence[float | None] | None = None,
    mean: float = 0.0,
    correlation: float | None = None,
    residual: bool | ArrayLike = False,
    branch_scale: float = 1.0,
    normalize: str | Sequence[str | None] | None = None,
) -> Prediction:
    r"""Return the size of the signal in each layer of a given network.

    This is :func:`fastinit.theory.variance_map` for layers with weights of their own scale, started from the
    input, with the activations' mean and standard deviation as well, and for networks with skip connections and
    normalisation:

    .. math::
        z_l = h_l W_l + b_l, \quad a_l = x_l + s \, \varphi(z_l), \quad x_{l+1} = a_l,

    where x_0 is the input, h is x or x normalised, and without a skip connection a is phi(z). Over the units of a
    wide layer, x has a mean m and a mean square p, and phi(z) is independent of x, so that

    .. math::
        q_l &= \sigma_w^2 E[h_l^2] + \sigma_b^2 \\
        m_{l+1} &= m_l + s E[\varphi(z)], \quad
        p_{l+1} = p_l + 2 s m_l E[\varphi(z)] + s^2 E[\varphi(z)^2], \quad z \sim N(0, q_l)

    Parameters
    ----------
    activation : str or compiled function
        The name of an activation, or a function of one's own compiled with ``@numba.njit``; or a list of them, one a
        layer. `param`, `sigma_b` and `normalize` may be lists, too.
    sigma_w : array_like
        Standard deviation of a layer's weights times sqrt(fan_in); one for all layers, or one a layer.
    sigma_b : float
        Standard deviation of the biases.
    second_moment, mean : float
        Mean square and mean of the network's input.
    depth : int
        Number of layers.
    param : float, optional
        The parameter of the activation.
    correlation : float, optional
        Correlation of two inputs, about 0: follow it, too.
    residual : bool or array_like of bool
        Whether layers have a skip connection; one for all, or one a layer.
    branch_scale : float
        The factor s on what is added to a skip connection.
    normalize : {"layer", "rms"}, optional
        What a layer does to its input, row by row: "layer" subtracts the mean and divides by
        sqrt(variance + 1e-5), "rms" divides by sqrt(mean square + 1e-5).

    Returns
    -------
    Prediction
        Named tuple of arrays (q, mean, std, correlation) with one entry a layer: q and correlation of z, mean and
        std of a. The correlation is NaN if it was not asked for, or where q is 0 or inf. inf and NaN appear where
        the signal overflows; there is no warning.

    Raises
    ------
    ValueError, TypeError
        As :func:`fastinit.theory.variance_map`, if sigma_w or residual has neither one entry nor one a layer, for
        a correlation outside [-1, 1], or a mean whose square exceeds second_moment. An infinite or NaN sigma_w is
        accepted, as it may come from measured weights.

    Examples
    --------
    Glorot's recipe for tanh, and what is left of a unit signal:

    >>> predict("tanh", sigma_w=1.0, depth=3).std.round(3)
    array([0.628, 0.486, 0.408])

    The signal of a residual network grows exponentially, unless its branches are scaled down:

    >>> predict("relu", sigma_w=2**0.5, depth=3, residual=True).q.round(3)
    array([2.   , 4.   , 9.801])
    >>> predict("relu", sigma_w=2**0.5, depth=3, residual=True, branch_scale=3**-0.5).q.round(3)
    array([2.   , 2.667, 4.046])
    """
    count = check_integer("depth", depth, minimum=1, maximum=MOST_LAYERS)
    scales = _per_layer("sigma_w", sigma_w, "fiu", "a number, or one a layer", count)
    if any(w < 0.0 for w in scales):
        raise ValueError(f"argument 'sigma_w' must be >= 0, got {shown(sigma_w)}")
    skips = _per_layer("residual", residual, "b", "True or False, or one of them a layer", count)
    scale = check_finite("branch_scale", branch_scale)
    norms = Entries.of("normalize", normalize).checked(check_normalize).spread(count)
    maps = _maps(activation, sigma_b, param, count)
    x = _input(second_moment, mean, correlation)
    figures = []
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(count):
            layer = maps[i]
            size, distance = x.normalized(norms[i])
            q = scales[i] * (scales[i] * size) + layer.bias
            f = _Signal(*layer.moments(q), math.nan)
            c = math.nan
            if correlation is not None and 0.0 < q < math.inf:
                gap = scales[i] * (scales[i] * distance) / q
                c, f.distance = 1.0 - gap, layer.distance(q, gap)
            x = x.plus(f, scale) if skips[i] else f
            figures.append((q, x.mean, math.sqrt(x.variance), c))
    return Prediction(*np.array(figures).T.copy())


def _maps(activation: Any, sigma_b: Any, param: Any, depth: int) -> list[Layer]:
    """Return the maps of each layer; those of layers that are alike are one."""
    said = [Entries.of(*pair) for pair in (("activation", activation), ("sigma_b", sigma_b), ("param", param))]
    several = any(entry.several for entry in said)
    known: dict[tuple[int, ...], Layer] = {}
    maps = []
    for index, (phi, spread, p) in enumerate(zip(*(entry.spread(depth) for entry in said), strict=True)):
        key = id(phi), id(spread), id(p)
        if key not in known:
            with in_layer(index if several else None):
                known[key] = make_layer(phi, 0.0, spread, p)
        maps.append(known[key])
    return maps


def _per_layer(argument: str, given: ArrayLike, kinds: str, rule: str, depth: int) -> list[Any]:
    values = plain_array(given)
    if values.dtype.kind not in kinds:
        raise TypeError(f"argument '{argument}' must be {rule}, got {shown(given)}")
    if values.shape not in ((), (1,), (depth,)):
        raise ValueError(
            f"argument '{argument}' must have one entry or one for each of {depth} layers, got shape {values.shape}"
        )
    numbers = values.astype(np.float64) if values.dtype.kind != "b" else values
    return numbers.tolist() if values.shape == (depth,) else [numbers.item()] * depth


def _input(second_moment: float, mean: float, correlation: float | None) -> _Signal:
    second = check_finite("second_moment", second_moment, minimum=0.0)
    center = check_finite("mean", mean)
    if center * center > second * (1.0 + 1e-6):  # a measured pair may miss by its rounding
        raise ValueError(f"argument 'mean' must be between the roots of second_moment = {second!r}, got {shown(mean)}")
    c = 1.0 if correlation is None else check_finite("correlation", correlation, minimum=-1.0, maximum=1.0)
    return _Signal(center, max(second - center * center, 0.0), second, second * (1.0 - c))
