"""From a checked network to its figures: every tensor by name, the kernels, the verdict."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .initialize import init
from .laws import Constant, Normal, Sampled
from .network import Network
from .result import COUNTS, FIGURES, ProbeResult
from .schemes import Scheme
from .streams import philox_key
from .verdict import judge

if TYPE_CHECKING:
    from fastinit_kernels.sources import Source

_STANDARD = Normal(0.0, 1.0)


def measure(network: Network) -> ProbeResult:
    """Draw, multiply, activate and measure a checked network."""
    start = time.perf_counter()
    from fastinit_kernels.probe import Layer, Source, run

    phi, ranges = network.activation, network.ranges()
    layers = [
        Layer(
            n_in=network.widths[layer],
            n_out=network.widths[layer + 1],
            weight=_weight(network, layer),
            bias=_bias(network, layer),
            parameter=network.parameter,
            saturation=phi.saturation or (np.nan, np.nan),
            range=ranges[layer],
        )
        for layer in range(network.depth)
    ]
    given = network.inputs
    figures = run(
        phi.name,
        layers,
        _drawn(network, _STANDARD, "input") if given is None else Source(array=given),
        network.batch,
        bins=network.bins,
        dtype=np.dtype(network.compute_dtype).type,
        cotangent=_drawn(network, _STANDARD, "cotangent") if network.backward else None,
    )
    low, high = np.array(ranges).T
    figures["bin_edges"] = np.linspace(low, high, network.bins + 1, axis=1)
    # Counts leave the kernels as float64 sums.
    figures = {name: value.astype(np.int64) if name in COUNTS else value for name, value in figures.items()}
    return _result(network, figures, network.input_q(), time.perf_counter() - start)


def shorten(whole: ProbeResult, network: Network) -> ProbeResult:
    """Read the probe of a shallower network, without gradients, off that of a deeper one."""
    depth = network.depth
    figures: dict[str, Any] = {name: getattr(whole, name)[:depth] for name in (*FIGURES, "histogram", "bin_edges")}
    return _result(network, figures, whole.input_q, whole.seconds)


def _result(network: Network, figures: dict[str, Any], input_q: float, seconds: float) -> ProbeResult:
    verdict, reason = judge(figures, activation=network.activation.name, n_out=network.widths[1:], input_q=input_q)
    return ProbeResult(
        **network.arguments(), **figures, input_q=input_q, verdict=verdict, reason=reason, seconds=seconds
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
    shape, scheme = network.widths[layer : layer + 2], network.weights[layer]
    assert isinstance(scheme, Scheme)
    weights = init(scheme, shape, seed=network.seed, name=name, dtype=network.dtype)
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
