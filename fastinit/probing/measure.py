"""From a checked network to its figures: every tensor by name, the kernels, the verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from fastinit_kernels.machine.forks import whole
from numpy.typing import NDArray

from ..weights.dtypes import is_rounded
from ..weights.initialize import init
from ..weights.laws import Constant, Normal, Recipe, Sampled
from ..weights.schemes import Scheme
from ..weights.streams import philox_words
from ..words import fitting
from .figures import FIGURES
from .network import Network
from .result import ProbeResult
from .verdict import judge

if TYPE_CHECKING:
    from .bridge import Inputs, Source, Stack

Array = NDArray[Any]

_STANDARD = Normal(0.0, 1.0)


def measure(network: Network) -> ProbeResult:
    """Draw, multiply, activate and measure a checked network."""
    return measure_depths([network])[0]


def measure_depths(networks: Sequence[Network]) -> list[ProbeResult]:
    """Measure networks that differ in nothing but their depth: all on the way of one forward pass."""
    network = max(networks, key=lambda n: n.depth)
    with fitting(*_largest(network)):
        return _measure_depths(network, networks)


def _largest(network: Network) -> tuple[str, Any]:
    """Return the argument that asks for most memory: of the matrices' axes the larger one is to blame."""
    if network.batch > max(network.widths):
        return "batch", network.batch
    return ("width", network.widths[0]) if len({*network.widths}) == 1 else ("widths", network.widths)


def _measure_depths(network: Network, networks: Sequence[Network]) -> list[ProbeResult]:
    """Measure the deepest network, and the others on the way."""
    with whole:
        from .bridge import edges, no_gradients, run_stack

    start = time.perf_counter()
    tensors = _Tensors(network)
    make = partial(_stack, network, tensors)
    stack = network.remembered("stack", make) if tensors.are_drawn else make()
    cotangent = tensors.drawn(_STANDARD, "cotangent") if network.backward else None
    forward, gradients = run_stack(
        stack,
        {n.depth: cotangent for n in networks} if cotangent else {},
        network.seed if tensors.are_drawn else None,
    )
    forward["bin_edges"] = edges(tuple(network.ranges()), network.bins, network.compute_dtype)
    # Counts leave the kernels as float64 sums.
    counts = {name for name, figure in FIGURES.items() if figure.counts}
    forward = {name: value.astype(np.int64) if name in counts else value for name, value in forward.items()}
    input_q, seconds = network.input_q(), time.perf_counter() - start
    results = []
    for n in networks:
        figures = {name: value[: n.depth] for name, value in forward.items()}
        results.append(_result(n, figures | (gradients.get(n.depth) or no_gradients(n.depth)), input_q, seconds))
    return results


def _stack(network: Network, tensors: _Tensors) -> Stack:
    """Return the network in the kernels' tables."""
    with whole:
        from .bridge import Layer, stack_of

    ranges, no_rule = network.ranges(), (np.nan, np.nan)
    layers = [
        Layer(
            n_in=layer.n_in,
            n_out=layer.n_out,
            weight=tensors.weight(index),
            bias=tensors.bias(index),
            activation=layer.phi.compiled,
            parameter=layer.parameter,
            saturation=layer.phi.saturation or no_rule,
            range=ranges[index],
            branch_scale=network.branch_scale if layer.skip else None,
            normalize=layer.normalize,
        )
        for index, layer in enumerate(network.layers)
    ]
    kind = np.dtype(network.compute_dtype).type
    keep = network.backward
    return stack_of(layers, tensors.inputs(), bins=network.bins, dtype=kind, keep=keep)


def _result(network: Network, figures: dict[str, Any], input_q: float, seconds: float) -> ProbeResult:
    verdict, reason = judge(network, figures, input_q)
    return ProbeResult(
        **network.settings(), **figures, input_q=input_q, verdict=verdict, reason=reason, seconds=seconds
    )


class _Tensors:
    """Where the tensors of a network come from, by their names."""

    def __init__(self, network: Network) -> None:
        with whole:
            from .bridge import Inputs, Source

        self.network, self.inputs_type, self.source = network, Inputs, Source
        self.bias_laws: dict[tuple[float, float], Normal] = {}
        # By the identity of the law: most layers share one, and it lives as long.
        self.recipes: dict[tuple[int, str | None], Recipe] = {}

    @property
    def are_drawn(self) -> bool:
        """Whether the kernels draw all that is random, and so from any seed."""
        network = self.network
        drawn = (isinstance(x.law, Sampled | Constant) and isinstance(x.bias, float) for x in network.layers)
        return network.x is None and all(drawn)

    def inputs(self) -> Inputs:
        network, given = self.network, self.network.x
        return self.inputs_type(
            self.drawn(_STANDARD, "input") if given is None else self.source(array=given),
            network.batch,
            correlation=network.input_correlation or 0.0,
            side=network.image or 1,
            window=network.conv or 1,
        )

    def weight(self, index: int) -> Source:
        """Return where W_l comes from: drawn on the way where its elements are independent, else an array."""
        network, name, layer = self.network, f"layer.{index}.weight", self.network.layers[index]
        law, rounding = layer.law, layer.dtype if is_rounded(layer.dtype) else None
        if isinstance(law, np.ndarray):
            return self.source(array=np.ascontiguousarray(law, dtype=network.compute_dtype))
        if isinstance(law, Constant):
            return self.source.constant(law.value)._replace(rounding=rounding)
        if isinstance(law, Sampled):
            return self.drawn(law, name, rounding)
        assert isinstance(layer.weights, Scheme)
        try:
            weights = init(layer.weights, network.shape(index), seed=network.seed, name=name, dtype=layer.dtype)
        except MemoryError as error:
            raise MemoryError from error  # a shape is no argument of a probe
        return self.source(array=np.ascontiguousarray(weights, dtype=network.compute_dtype))

    def bias(self, index: int) -> Source | None:
        """Return where b_l comes from; None: there is none."""
        layer = self.network.layers[index]
        if not isinstance(layer.bias, float):
            return self.source(array=layer.bias)
        if layer.sigma_b > 0:
            law = self.bias_laws.setdefault((layer.bias, layer.sigma_b), Normal(layer.bias, layer.sigma_b))
            return self.drawn(law, f"layer.{index}.bias")
        return self.source.constant(layer.bias) if layer.bias else None

    def drawn(self, law: Sampled, name: str, rounding: str | None = None) -> Source:
        recipe = self.recipes.get((id(law), rounding))
        if recipe is None:
            recipe = self.recipes[id(law), rounding] = law.recipe(rounding or self.network.compute_dtype)
        key = philox_words(self.network.seed, name)
        return self.source(recipe.formula, key, recipe.parameters, rounding=rounding)
