"""From a checked network to its figures: tensors by name, the engine, the verdict."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from . import _numpy_engine as engine
from .initialize import init, normal
from .network import Network
from .result import FIGURES, ProbeResult
from .schemes import Scheme
from .verdict import judge


def measure(network: Network) -> ProbeResult:
    """Draw, multiply, activate and measure a checked network."""
    start = time.perf_counter()
    dtype = network.compute_dtype
    n = network.widths
    inputs = network.inputs
    if inputs is None:
        inputs = normal((network.batch, n[0]), seed=network.seed, name="input", dtype=dtype)
    cotangent = None
    if network.backward:
        cotangent = normal((network.batch, n[-1]), seed=network.seed, name="cotangent", dtype=dtype)
    layers = [
        engine.Layer(_weight(network, layer), _bias(network, layer), network.activation, network.parameter, limits)
        for layer, limits in enumerate(network.ranges())
    ]
    figures: dict[str, Any] = engine.run(layers, inputs, cotangent, network.bins, np.dtype(dtype))
    input_q = float(np.mean(np.square(inputs, dtype=np.float64)))
    return _result(network, figures, input_q, time.perf_counter() - start)


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


def _weight(network: Network, layer: int) -> Any:
    weights = network.weights[layer]
    if not isinstance(weights, Scheme):
        return weights
    shape = network.widths[layer : layer + 2]
    return init(weights, shape, seed=network.seed, name=f"layer.{layer}.weight", dtype=network.dtype)


def _bias(network: Network, layer: int) -> Any:
    if not isinstance(network.bias, float):
        return network.bias[layer]
    units = network.widths[layer + 1]
    if network.sigma_b > 0:
        return normal((units,), mean=network.bias, std=network.sigma_b, seed=network.seed,
                      name=f"layer.{layer}.bias", dtype=network.compute_dtype)  # fmt: skip
    return np.full(units, network.bias) if network.bias else None
