"""From a checked network to its figures: every tensor by name, the kernels, the verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .initialize import init
from .laws import Constant, Normal, Sampled
from .network import Network
from .result import COUNTS, ProbeResult
from .schemes import Scheme
from .streams import philox_key
from .verdict import judge

if TYPE_CHECKING:
    from fastinit_kernels.plan import Inputs
    from fastinit_kernels.sources import Source

_STANDARD = Normal(0.0, 1.0)


def measure(network: Network) -> ProbeResult:
    """Draw, multiply, activate and measure a checked network."""
    return measure_depths([network])[0]


def measure_depths(networks: Sequence[Network]) -> list[ProbeResult]:
    """Measure networks that differ in nothing but their depth: all on the way of one forward pass."""
    from fastinit_kernels.probe import Layer, no_gradients, run

    start = time.perf_counter()
    network = max(networks, key=lambda n: n.depth)
    phi, ranges, skips = network.activation, network.ranges(), network.skips
    layers = [
        Layer(
            n_in=network.widths[layer],
            n_out=network.widths[layer + 1],
            weight=_weight(network, layer),
            bias=_bias(network, layer),
            parameter=network.parameter,
            saturation=phi.saturation or (np.nan, np.nan),
            range=ranges[layer],
            branch_scale=network.branch_scale if skips[layer] else None,
            normalize=network.normalize,
        )
        for layer in range(network.depth)
    ]
    cotangent = _drawn(network, _STANDARD, "cotangent")
    forward, gradients = run(
        phi.kernel,
        layers,
        _inputs(network),
        bins=network.bins,
        dtype=np.dtype(network.compute_dtype).type,
        cotangents={n.depth: cotangent for n in networks} if network.backward else {},
    )
    low, high = np.array(ranges).T
    forward["bin_edges"] = np.linspace(low, high, network.bins + 1, axis=1)
    # Counts leave the kernels as float64 sums.
    forward = {name: value.astype(np.int64) if name in COUNTS else value for name, value in forward.items()}
    input_q, seconds = network.input_q(), time.perf_counter() - start
    results = []
    for n in networks:
        figures = {name: value[: n.depth] for name, value in forward.items()}
        results.append(_result(n, figures | (gradients.get(n.depth) or no_gradients(n.depth)), input_q, seconds))
    return results


def _result(network: Network, figures: dict[str, Any], input_q: float, seconds: float) -> ProbeResult:
    verdict, reason = judge(figures, activation=network.activation.name, n_out=network.widths[1:], input_q=input_q)
    return ProbeResult(
        **network.arguments(), **figures, input_q=input_q, verdict=verdict, reason=reason, seconds=seconds
    )


def _inputs(network: Network) -> Inputs:
    from fastinit_kernels.probe import Inputs, Source

    given = network.inputs
    return Inputs(
        _drawn(network, _STANDARD, "input") if given is None else Source(array=given),
        network.batch,
        correlation=network.input_correlation or 0.0,
        side=network.image or 1,
        kernel=network.conv or 1,
    )


def _weight(network: Network, layer: int) -> Source:
    """Return where W_l comes from: drawn on the way where its elements are independent, else an array."""
    from fastinit_kernels.probe import Source

    law, name = network.laws[layer], f"layer.{layer}.weight"
    if isinstance(law, np.ndarray):
        return Source(array=np.ascontiguousarray(law, dtype=network.compute_dtype))
    if isinstance(law, Constant | Sampled):
        source = Source.constant(law.value) if isinstance(law, Constant) else _drawn(network, law, name)
        return replace(source, rounding=network.dtype) if network.dtype in ("bfloat16", "float16") else source
    scheme = network.weights[layer]
    assert isinstance(scheme, Scheme)
    weights = init(scheme, network.shape(layer), seed=network.seed, name=name, dtype=network.dtype)
    return Source(array=np.ascontiguousarray(weights, dtype=network.compute_dtype))


def _bias(network: Network, layer: int) -> Source | None:
    from fastinit_kernels.probe import Source

    if not isinstance(network.bias, float):
        return Source(array=network.bias[layer])
    if network.sigma_b > 0:
        return _drawn(network, Normal(network.bias, network.sigma_b), f"layer.{layer}.bias")
    return Source.constant(network.bias) if network.bias else None


def _drawn(network: Network, law: Sampled, name: str) -> Source:
    from fastinit_kernels.probe import Source

    return Source(law.kernel, philox_key(network.seed, name), law.parameters(network.compute_dtype))
