"""What the verdict on a probe is about: its figures beside the network they were measured on, and what follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from fastinit_kernels.numeric.constants import NORM_EPSILON
from numpy.typing import NDArray

from ..activations import Activation
from ..activations.quadrature import gaussian_mean, rule
from .network import Network

Array = NDArray[Any]
Figures = Mapping[str, Any]

# A last layer whose weights are so much smaller than those of the others is a head that is meant to start quiet
# (0, or 0.001 of the usual): the network behind it is judged without it, as it will be once the head has learned.
QUIET = 1 / 16
# Of fewer units the std says little: a single ReLU is off for most inputs as often as not. What comes through them is
# seen in the layers behind.
FEW = 8
# Inputs of this correlation are one, but for rounding.
ALIKE = 1 - 1e-6


class Change(NamedTuple):
    """How far a signal, a gradient or a difference has come on its way through the network."""

    factor: float
    """Where it has come, over where it started."""
    first: int
    """Layer where it is measured first; -1: the input."""
    last: int
    """Layer where it has come to `factor`."""
    rate: float
    """The factor of one layer between two layers, NaN if there is but one."""

    @property
    def log(self) -> float:
        """Natural logarithm of the factor; 0 where there is none."""
        if not self.factor > 0:
            return -math.inf if self.factor == 0 else 0.0
        return math.log(self.factor)


class Evidence:
    """Figures of a probe, and the network's own numbers in the same units."""

    def __init__(self, network: Network, figures: Figures, input_q: float) -> None:
        self.network, self.figures = network, figures
        self.input = math.sqrt(input_q)
        self.skips = np.array(network.skips)
        self.last = network.depth - 1
        largest = np.maximum(-figures["min"], figures["max"])
        # Where squares overflow, the largest number is the size.
        size = np.where(np.isnan(figures["std"]), largest, np.hypot(figures["mean"], figures["std"]))
        self.size: list[float] = size.tolist()
        # Mean-field theory's sigma_w, as measured.
        weight = np.hypot(figures["weight_mean"], figures["weight_std"])
        weight[np.isnan(weight) & (figures["weight_nonfinite"] == 0)] = np.inf
        self.gain: list[float] = (np.sqrt(network.fan_in) * weight).tolist()
        self.quiet_head = self.last > 0 and self.gain[-1] < QUIET * median(self.gain[:-1]) and not self.skips[-1]
        self.end = self.last - self.quiet_head
        units = network.widths[1 : self.end + 2]
        # Layers whose std is a measure of the signal.
        self.wide = [layer for layer, n in enumerate(units) if n >= min(FEW, max(units))]
        # Whether the gradient that goes through the layers was measured: none comes through a head of zeros.
        self.measured = network.backward and (not self.quiet_head or figures["gradient_std"][self.end] > 0)

    def at(self, name: str, layer: int) -> float:
        """Return one figure of one layer."""
        return float(self.figures[name][layer])

    @property
    def depth(self) -> int:
        """Number of layers that are judged."""
        return self.end + 1

    def entering(self, layer: int) -> float:
        """Return the root mean square of what meets the layer's weights."""
        if self.network.layers[layer].normalize:
            return 1.0
        return float(self.size[layer - 1]) if layer else self.input

    def biases(self, layer: int) -> tuple[float, float]:
        """Return the mean and the root mean square of a layer's biases."""
        of = self.network.layers[layer]
        if isinstance(of.bias, float):
            return of.bias, math.hypot(of.bias, of.sigma_b)
        b = of.bias.astype(np.float64)
        return float(b.mean()), float(np.sqrt(np.square(b).mean()))

    def bias_share(self, layer: int) -> float:
        """Return the biases' part of q."""
        q, (_, rms) = self.at("q", layer), self.biases(layer)
        return rms * rms / q if q > 0 else 0.0

    @property
    def signal(self) -> tuple[str, list[float]]:
        """The measure of a signal that falls, and its values: the std, or the rms where a layer is a single number."""
        single = self.network.rows * max(self.network.widths[1:]) == 1
        return ("rms", self.size) if single else ("std", self.figures["std"].tolist())

    def shrinking(self) -> Change:
        """How the signal falls, to where it is least."""
        (_, values), n = self.signal, self.network
        # Large inputs of an activation that has a size of its own are no measure of what comes out.
        start = self.input if homogeneous(n) else min(self.input, 1.0)
        return _change(values, values[self.wide[0]] if n.layers[0].normalize else start, min, self.wide)

    def growing(self) -> Change:
        """How the activations' root mean square grows, to where it is greatest."""
        start = max(self.input, 1.0) if self.network.layers[0].normalize else self.input
        return _change(self.size, start, max, range(self.depth))

    def gradients(self) -> tuple[Change, ...]:
        """How the gradient falls and how it grows on its way back."""
        if self.measured:
            back = gradient_norms(self.figures["gradient_std"].tolist(), self.network)[self.end :: -1]
        else:
            back = self._expected_norms()
        falls, grows = (_change(back, back[0], extreme, range(self.depth)) for extreme in (min, max))
        return tuple(Change(c.factor, self.end, self.end - c.last, c.rate) for c in (falls, grows))

    def _expected_norms(self) -> list[float]:
        """What chi says of the gradient where it was not measured, or where a quiet head lets none through."""
        norms, n = [1.0], self.network
        for layer in range(self.end, 0, -1):
            branch = n.branch_scale if self.skips[layer] else 1.0
            square = branch * branch * self.at("chi", layer)
            how = n.layers[layer].normalize
            if how:
                divisor = self.at("std", layer - 1) if how == "layer" else self.size[layer - 1]
                square /= divisor * divisor + NORM_EPSILON
            norms.append(norms[-1] * math.sqrt(square + self.skips[layer]))
        return norms

    def spread(self) -> float:
        """How far two inputs are still apart in the last layer, over how far they were in the first.

        A sigmoid network under tiny weights keeps its activations near 1/2 with a constant std: units differ from
        one another, but not with the input. Only q (1 - c), the mean square of the differences between rows, tells.
        """
        if self.figures["correlation"][0] > ALIKE:
            return math.nan
        apart = [self.at("q", layer) * max(1 - self.at("correlation", layer), 0.0) for layer in (0, self.end)]
        return math.sqrt(apart[1] / apart[0]) if apart[0] > 0 else math.nan


class Stack(Protocol):
    """What a network and the result of its probe both tell."""

    @property
    def widths(self) -> tuple[int, ...]: ...
    @property
    def residual(self) -> bool: ...
    @property
    def branch_scale(self) -> float: ...


def gradient_norms(gradient_std: Sequence[float], stack: Stack) -> list[float]:
    """Return the norm of dL/da that reaches each layer, for one input, but for the layer's own slopes.

    The std of a single unit's gradient depends on how many units share it: a head of one unit after 512 has a
    gradient sqrt(512) times as large under weights that are exactly right. The norm does not; and delta_l of a
    branch has the factor branch_scale in it.
    """
    norms, scale = [], abs(stack.branch_scale)
    for std, (n, m) in zip(gradient_std, pairwise(stack.widths), strict=True):
        norm = std * math.sqrt(m)
        norms.append(_ratio(norm, scale) if stack.residual and n == m else norm)
    return norms


def median(values: Sequence[float]) -> float:
    """Return the middle one of some numbers, of an even count the larger one."""
    return sorted(values)[len(values) // 2]


def _change(values: Sequence[float], start: float, extreme: Callable[..., int], layers: Sequence[int]) -> Change:
    """How values change from `start` to the least or the greatest of those layers."""
    known = [layer for layer in layers if not math.isnan(values[layer])]
    if not known:
        return Change(math.nan, -1, layers[-1], math.nan)
    last = extreme(known, key=values.__getitem__)
    return Change(_ratio(values[last], start), -1, last, rate(values[known[0] : last + 1]))


def rate(values: Sequence[float]) -> float:
    """Return the factor from one value to the next, on average; NaN of less than two."""
    return _ratio(values[-1], values[0]) ** (1 / (len(values) - 1)) if len(values) > 1 else math.nan


def _ratio(x: float, y: float) -> float:
    return x / y if y else math.inf if x else math.nan


@lru_cache(maxsize=256)
def usual_gains(phi: Activation, parameter: float) -> tuple[float, float]:
    """Return the least and the greatest sigma_w in use for an activation.

    They are PyTorch's, the one that keeps a variance of 1 and, for a squashing function through 0, the one that keeps
    a small signal.
    """
    zero = np.zeros(1)
    with np.errstate(all="ignore"):
        gains = [1.0 / np.sqrt(gaussian_mean(lambda z: phi.function(z, parameter) ** 2, 1.0, (0.0, *phi.kinks)))]
        if phi.table_gain:
            gains.append(phi.table_gain(parameter))
        if phi.saturation and phi.function(zero, parameter)[0] == 0:
            gains.append(1.0 / phi.derivative(zero, parameter)[0])
    known = [float(gain) for gain in gains if math.isfinite(gain) and gain > 0]
    return (min(known), max(known)) if known else (0.0, math.inf)


@lru_cache(maxsize=256)
def is_homogeneous(phi: Activation, parameter: float) -> bool:
    """Say whether phi(2 z) = 2 phi(z), as for ReLU: then nothing pulls a signal back to a size of its own."""
    z = np.array([-3.0, -1.0, -1e-3, 1e-3, 1.0, 3.0])
    with np.errstate(over="ignore"):
        return bool(np.array_equal(phi.function(2 * z, parameter), 2 * phi.function(z, parameter)))


def homogeneous(network: Network) -> bool:
    """Say whether that holds in all layers."""
    return all(is_homogeneous(layer.phi, layer.parameter) for layer in network.kinds)


def variances(phi: Activation, parameter: float, q: float) -> tuple[float, float]:
    """Return v of the signal and of the gradient: a layer of n units changes a mean square by chance, variance v/n.

    The signal's is E[phi^4] / E[phi^2]^2 - 1, the gradient's 3 E[phi'^4] / E[phi'^2]^2 - 1: 5 for ReLU, 2 for linear
    layers, both ways.
    """
    if not 0.0 < q < math.inf:
        return math.nan, math.nan
    z, weights = rule(math.sqrt(q), (0.0, *phi.kinks))
    with np.errstate(all="ignore"):
        square, slope = np.square(phi.function(z, parameter)), np.square(phi.derivative(z, parameter))
        ratios = [weights @ x**2 / np.square(weights @ x) for x in (square, slope)]
    return float(ratios[0]) - 1.0, 3.0 * float(ratios[1]) - 1.0


def drift(v: float, widths: Sequence[int]) -> float:
    """Return the mean of the logarithm of a layer's factor by chance: the factor is exp(-v / (4 n)) in n units."""
    return -0.25 * v * float(np.mean(1.0 / np.asarray(widths[1:])))


def noise(v: float, widths: Sequence[int], steps: int) -> float:
    """Return the standard deviation of the logarithm of the factor a layer, over `steps` layers."""
    return math.sqrt(max(v, 0.0) * float(np.mean(1.0 / np.asarray(widths[1:]))) / (4.0 * max(steps, 1)))
