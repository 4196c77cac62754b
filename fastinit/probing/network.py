"""A network to probe, and what follows from its arguments before anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..theory import predict
from ..theory.limits import Entries, collapsed
from ..weights.dtypes import arithmetic
from ..weights.initialize import law_and_layout
from ..weights.laws import Law, mean_square
from ..weights.schemes import Scheme
from .arguments import widened
from .layers import Layer, rms
from .settings import Settings

Array = NDArray[Any]

# Without a range of its own, an activation's histogram shows the images of this many predicted standard
# deviations of z: all but about one in 10^4 of them.
_SPAN = np.linspace(-4.0, 4.0, 161)
# Predicted standard deviations whose histograms have edges that float32 tells apart.
_SCALES = (1e-30, 1e30)
# Squares of numbers beyond this are none, and every range ends long before.
_LARGE = 1e150


@dataclass(frozen=True, eq=False, kw_only=True)
class Network(Settings):
    """A network to probe; `resolve` makes it."""

    layers: tuple[Layer, ...]
    x: Array | None
    """The input that is given."""
    _known: dict[str, Any] = field(init=False, repr=False, default_factory=dict)
    """What has been computed, of all seeds."""

    def __getstate__(self) -> dict[str, Any]:
        # What is known holds addresses, which are those of this process.
        return {**self.__dict__, "_known": {}}

    def with_seed(self, seed: int) -> Network:
        """Return the network with tensors of that seed; what a result hands out of it is its own."""
        other = object.__new__(Network)
        other.__dict__.update(self.__dict__, seed=seed, params=dict(self.params))
        return other

    def remembered(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return what is the same for all seeds, computed once."""
        known = self._known.get(name)
        # Of two threads that compute it the first wins.
        return self._known.setdefault(name, compute()) if known is None else known

    @property
    def rows(self) -> int:
        """Inputs, or positions of all input images."""
        return self.batch * (self.image or 1) ** 2

    @property
    def work(self) -> int:
        """Multiplications of the forward pass."""
        return self.rows * (self.conv or 1) ** 2 * sum(n * m for n, m in pairwise(self.widths))

    @property
    def memory(self) -> int:
        """About how many activations are in memory at a time: two layers', or all for a backward pass."""
        return self.rows * (sum(self.widths) if self.backward else 2 * max(self.widths))

    def shape(self, layer: int) -> tuple[int, ...]:
        """Return the shape of W_l."""
        return weight_shape(self.conv, self.widths[layer : layer + 2])

    @property
    def fan_in(self) -> Array:
        """Each layer's fan_in."""
        return np.array(self.widths[:-1]) * (self.conv or 1) ** 2

    @property
    def skips(self) -> list[bool]:
        """Whether each layer has a skip: where its input and its output have the same size."""
        return [layer.skip for layer in self.layers]

    @property
    def compute_dtype(self) -> str:
        """Type of the arithmetic: weights of 16 bits are rounded to them and used as float32."""
        return arithmetic(self.layers[0].dtype)

    @property
    def plain(self) -> bool:
        """Whether there is nothing but products and activations, which the maps of mean-field theory describe."""
        return not any(layer.normalize or layer.skip for layer in self.layers)

    @property
    def kinds(self) -> list[Layer]:
        """Of the layers with one activation the first, for each activation that there is."""
        return list({(layer.phi, layer.parameter): layer for layer in reversed(self.layers)}.values())

    def sigma_w(self) -> Array:
        """Return each layer's sqrt(fan_in * mean square of a weight), mean-field theory's sigma_w."""
        with np.errstate(over="ignore"):
            squares = np.array([mean_square_of(layer.law) for layer in self.layers])
            return np.asarray(np.sqrt(squares * self.fan_in))

    def input_q(self) -> float:
        """Return the input's mean square; 1 for one that is yet to be drawn."""
        with np.errstate(over="ignore"):
            return 1.0 if self.x is None else float(np.mean(np.square(self.x, dtype=np.float64)))

    def ranges(self) -> list[tuple[float, float]]:
        """Return the range of each layer's histogram."""
        return list(self.remembered("ranges", self._chosen_ranges))

    def _chosen_ranges(self) -> list[tuple[float, float]]:
        if self.range:
            return [self.range] * self.depth
        fixed = [layer.phi.range for layer in self.layers if layer.phi.range and not layer.skip]
        ranges = fixed if len(fixed) == self.depth else self._predicted_ranges()
        return [widened(*limits, self.bins, self.compute_dtype) for limits in ranges]

    def _predicted_ranges(self) -> list[tuple[float, float]]:
        with np.errstate(over="ignore", invalid="ignore"):
            given = [layer.bias for layer in self.layers if isinstance(layer.bias, np.ndarray)]
            of_given = rms(np.concatenate(given)) if given else 0.0
            mean = 0.0 if self.x is None else float(self.x.mean(dtype=np.float64))
            mean = 0.0 if math.isnan(mean) else mean  # sums of either sign that have overflowed
        biases = [layer.bias if isinstance(layer.bias, float) else of_given for layer in self.layers]
        sigma_b = [
            min(math.hypot(bias, layer.sigma_b), _LARGE) for bias, layer in zip(biases, self.layers, strict=True)
        ]
        return _predicted_ranges(
            collapsed([layer.phi for layer in self.layers]),
            collapsed([layer.parameter if layer.phi.parameter else None for layer in self.layers]),
            tuple(self.sigma_w()),
            sigma_b=collapsed(sigma_b),
            second_moment=min(self.input_q(), _LARGE * _LARGE),
            mean=min(max(mean, -_LARGE), _LARGE),
            residual=tuple(self.skips),
            branch_scale=self.branch_scale,
            normalize=self.normalize,
        )


def weight_shape(conv: int | None, pair: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a weight between two widths: a matrix, or a kernel."""
    return (conv, conv, *pair) if conv else pair


def law_of(scheme: Scheme, conv: int | None, pair: tuple[int, ...]) -> Law:
    """Return the law of such a weight."""
    return law_and_layout(scheme, weight_shape(conv, pair))[0]


@lru_cache(maxsize=1024)  # a sweep asks again for every seed
def _predicted_ranges(
    phi: Any, param: Any, sigma_w: tuple[float, ...], residual: tuple[bool, ...], **options: Any
) -> list[tuple[float, float]]:
    """Return a range for each layer; phi, param and some options are one for all layers, or a tuple."""
    depth = len(sigma_w)
    phis, params = Entries.of("activation", phi).spread(depth), Entries.of("param", param).spread(depth)
    predicted = predict(phi, param=param, sigma_w=sigma_w, depth=depth, residual=residual, **options)
    scales = np.clip(np.nan_to_num(np.sqrt(predicted.q), nan=_SCALES[1]), *_SCALES)
    scales[predicted.q == 0] = 1.0
    ranges = []
    for layer, scale in enumerate(scales):
        if residual[layer]:
            spread = 4.0 * float(np.clip(np.nan_to_num(predicted.std[layer], nan=_SCALES[1]), *_SCALES))
            middle = float(np.clip(np.nan_to_num(predicted.mean[layer]), -_SCALES[1], _SCALES[1]))
            ranges.append((middle - spread, middle + spread))
        else:
            one = phis[layer]
            ranges.append(one.range or one.image(scale * _SPAN, one.resolve(params[layer])))
    return ranges


def mean_square_of(law: Law | Array) -> float:
    """Return the mean square of a weight that is drawn or given."""
    if not isinstance(law, np.ndarray):
        return float(mean_square(law))
    root = rms(law)
    return root * root
