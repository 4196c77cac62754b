"""From a checked network to its figures: tensors by name, the kernels, the verdict."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _numpy_engine
from .initialize import init, normal
from .laws import Constant, Law, Normal, Sampled
from .network import Network
from .result import COUNTS, FIGURES, ProbeResult
from .schemes import Scheme
from .streams import philox_key
from .verdict import judge

if TYPE_CHECKING:
    from fastinit_kernels.sources import Source

# Activations of a layer that are in memory at a time (256 MiB in float32): a larger batch goes in blocks of rows.
_ACTIVATIONS = 1 << 26


def measure(network: Network) -> ProbeResult:
    """Draw, multiply, activate and measure a checked network."""
    start = time.perf_counter()
    figures = _forward(network)
    if network.backward:
        figures |= _backward(network)
    else:
        figures |= dict.fromkeys(("gradient_std", "weight_gradient_std"), np.full(network.depth, np.nan))
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


def _forward(network: Network) -> dict[str, Any]:
    from fastinit_kernels import forward
    from fastinit_kernels.gemm import CHUNK

    ranges = network.ranges()
    phi = network.activation
    layers = [
        forward.Layer(
            n_in=network.widths[layer],
            n_out=network.widths[layer + 1],
            weight=_weight(network, layer, law),
            bias=_bias(network, layer),
            parameter=network.parameter,
            saturation=phi.saturation or (np.nan, np.nan),
            range=ranges[layer],
        )
        for layer, law in enumerate(network.laws())
    ]
    dtype = np.dtype(network.compute_dtype)
    rows = max(1, _ACTIVATIONS // max(network.widths) // CHUNK) * CHUNK
    plan = forward.Plan(layers, _input(network), network.batch, network.bins, dtype, block_rows=rows)
    plan.run(forward.forward_kernel(phi.name, dtype))
    figures = plan.figures()
    figures["bin_edges"] = np.array([np.linspace(low, high, network.bins + 1) for low, high in ranges])
    return {name: values.astype(np.int64) if name in COUNTS else values for name, values in figures.items()}


def _input(network: Network) -> Source:
    from fastinit_kernels.sources import Source

    if network.inputs is not None:
        return Source(array=network.inputs)
    return _drawn(network, Normal(0.0, 1.0), "input")


def _weight(network: Network, layer: int, law: Law | Any) -> Source:
    """Return where a layer's weights come from: drawn on the way where elements are independent, or an array."""
    from fastinit_kernels.sources import Source

    name = f"layer.{layer}.weight"
    source = _source(network, law, name)
    if source is not None:
        return replace(source, rounding=network.dtype if network.dtype in ("bfloat16", "float16") else None)
    return Source(array=_weights_of(network, layer))


def _source(network: Network, law: Law | Any, name: str) -> Source | None:
    """Return the source of a tensor whose elements are independent of each other."""
    from fastinit_kernels.sources import Source

    if isinstance(law, Constant):
        return Source.constant(law.value)
    return _drawn(network, law, name) if isinstance(law, Sampled) else None


def _drawn(network: Network, law: Sampled, name: str) -> Source:
    from fastinit_kernels.sources import Source

    return Source(law.kernel, philox_key(network.seed, name), law.parameters(network.compute_dtype))


def _bias(network: Network, layer: int) -> Source | None:
    from fastinit_kernels.sources import Source

    if not isinstance(network.bias, float):
        return Source(array=network.bias[layer])
    if network.sigma_b > 0:
        return _drawn(network, Normal(network.bias, network.sigma_b), f"layer.{layer}.bias")
    return Source.constant(network.bias) if network.bias else None


def _weights_of(network: Network, layer: int) -> Any:
    """Return a layer's weights as an array of the compute type."""
    weights = network.weights[layer]
    if isinstance(weights, Scheme):
        shape = network.widths[layer : layer + 2]
        name = f"layer.{layer}.weight"
        weights = init(weights, shape, seed=network.seed, name=name, dtype=network.dtype)
    return np.ascontiguousarray(weights, dtype=network.compute_dtype)


def _inputs_of(network: Network) -> Any:
    if network.inputs is not None:
        return network.inputs
    return normal((network.batch, network.widths[0]), seed=network.seed, name="input", dtype=network.compute_dtype)


def _backward(network: Network) -> dict[str, Any]:
    seed, dtype, n = network.seed, network.compute_dtype, network.widths
    cotangent = normal((network.batch, n[-1]), seed=seed, name="cotangent", dtype=dtype)
    biases: list[Any] = []
    for layer in range(network.depth):
        if not isinstance(network.bias, float):
            biases.append(network.bias[layer])
        elif network.sigma_b > 0:
            name, std = f"layer.{layer}.bias", network.sigma_b
            biases.append(normal((n[layer + 1],), mean=network.bias, std=std, seed=seed, name=name, dtype=dtype))
        else:
            biases.append(np.dtype(dtype).type(network.bias))
    weights = [_weights_of(network, layer) for layer in range(network.depth)]
    return _numpy_engine.gradients(network, weights, biases, _inputs_of(network), cotangent)
