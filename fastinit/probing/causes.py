"""Why a network does what its figures show: weights, inputs, biases, activation, width, depth or the head.

Every sentence names one of these words, and numbers that were measured.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from ..words import number
from .evidence import Change, Evidence, drift, homogeneous, median, noise, usual_gains, variances

# Biases, inputs or weights are the cause of a thing when they make up more than half of it.
HALF = 0.5
# A factor of a layer this near 1 is none that could be bettered: it is the number of layers that makes it large.
NEAR_ONE = 0.06
# Weights that make up this much of a change are named where nothing else explains it.
PART = 0.25
# How much of a change the random walk of finite width has to reach to be its explanation.
MOST = 0.75
# Logarithm of where numbers end, at either side: what an overflow or a 0 has come through at least.
_MOST_IN_FLOAT32 = 88.0


def of_large(e: Evidence, layer: int) -> str:
    """Say what makes a layer's preactivations too large for its activation."""
    of, x, gain = e.network.layers[layer], e.entering(layer), e.gain[layer]
    _, high = usual_gains(of.phi, of.parameter)
    if e.bias_share(layer) > HALF:
        return _biases(e, layer)
    if _mean_counts(e, layer):
        return _means(e, layer)
    by_weights, by_inputs = gain / high, x if layer == 0 else e.input
    if max(by_weights, by_inputs) < 1.0 + PART:
        return _activation(e, (layer,))
    if by_weights >= by_inputs or of.normalize:
        return _weights(e, (layer,))
    return _inputs(e) + (f", and {_weights(e, (layer,))}" if by_weights > 3 else "")


def of_dead(e: Evidence, layer: int) -> str:
    """Say why all units of a layer are off."""
    mean, units = e.at("preactivation_mean", layer), e.network.widths[layer + 1]
    bias = e.biases(layer)[0]
    if bias < 0 and 2 * bias < mean:
        return f"the bias of {number(bias)} holds its preactivations, of mean {number(mean)}, below 0"
    if _mean_counts(e, layer):
        return _means(e, layer)
    of = e.network.layers[layer]
    if not of.phi.function(np.array([0.5, 1.0, 3.0]), of.parameter).any():
        return f"it is the activation: {of.phi.name} is 0 there, above 0 as well as below"
    low, _ = usual_gains(of.phi, of.parameter)
    if e.gain[layer] < HALF * low:
        return _weights(e, (layer,))
    return f"with a width of {units} it takes no more than chance: a unit is off for like inputs with probability 1/2"


def of_nothing(e: Evidence) -> str:
    """Say why no weight gets a gradient."""
    phi = e.network.layers[e.last].phi.name
    if e.network.branch_scale == 0 and any(e.network.skips):
        return "branch_scale=0 takes every branch away, its weights' gradients with it, for as long as it stays 0"
    if not any(e.gain):
        return f"all weights are 0, and so are the slopes of {phi} there"
    if e.gain[-1] == 0:
        return f"the weights of the head (layer {e.last}) are 0, and so is the slope of {phi} there"
    return f"the activation is the cause: {phi} has slope 0 wherever the last layer is"


def of_small(e: Evidence, layer: int) -> str:
    """Say why a layer's gradient is small, though none is lost on the way to it."""
    if e.skips[layer] and abs(e.network.branch_scale) < 1.0:
        return f"branch_scale={number(e.network.branch_scale)} is a factor of every branch's"
    return of_change(e, Change(e.at("gradient_std", layer), e.end, layer, math.nan))


def of_size(e: Evidence, change: Change, size: float) -> str:
    """Say why activations are large or small as such, whatever they were at the input."""
    if e.bias_share(0) > HALF:
        return _biases(e, 0)
    if abs(log(e.input)) >= HALF * abs(log(size)):
        return _inputs(e)
    return of_change(e, change)


def of_change(e: Evidence, change: Change) -> str:
    """Say why a signal or a gradient changes on its way through the layers."""
    n, total = e.network, min(max(change.log, -_MOST_IN_FLOAT32), _MOST_IN_FLOAT32)
    layers = range(min(change.first, change.last) + 1, max(change.first, change.last) + 1)
    if _head_counts(e, change):
        return _head(e)
    share = _excess(e, layers) * len(layers) / total if n.plain and total else 0.0
    if share > HALF:
        return _weights(e, layers)
    if not homogeneous(n) and not n.layers[0].normalize and e.input > 4.0:
        return _inputs(e)
    shares = [e.bias_share(layer) for layer in range(e.depth)]
    if float(np.median(shares)) > HALF or (total > 0 and shares[0] > HALF):
        return _biases(e, int(np.argmax(shares)))
    if n.conv and _border(e) * len(layers) / total > HALF:
        return _borders(e)
    if n.plain and _by_chance(e, total, len(layers)):
        return _width(e)
    if any(n.skips) and total > 0:
        return (
            f"every layer adds its branch to the stream, and over a depth of {n.depth} that adds up: "
            "a smaller branch_scale, or normalize, keeps it in bounds"
        )
    if share > PART:
        return _weights(e, layers)
    if math.isfinite(change.rate) and abs(log(change.rate)) < NEAR_ONE:
        return f"it is the depth: {number(change.rate, 3)} a layer is near 1, but there are {e.depth} of them"
    return _activation(e, range(e.depth))


def of_a_deeper_network(e: Evidence, lost: float) -> Iterator[str]:
    """Say of a healthy network when a deeper one would be lost, if its weights tell: they change all layers alike."""
    n, layers = e.network, range(e.depth)
    if not e.end or not homogeneous(n) or not n.plain or len(n.kinds) > 1:
        return
    excess = _excess(e, layers)
    centred = (4.0 * np.abs(e.figures["weight_mean"]) < e.figures["weight_std"]).all()
    if abs(excess) < NEAR_ONE or not centred or max(e.gain) > (1.0 + PART) * min(e.gain):
        return
    yield (
        f"{_weights(e, layers)}, so that a layer multiplies by {number(math.exp(excess), 3)}, which makes "
        f"{'1/1000' if excess < 0 else '1000 times'} after {math.log(lost) / abs(excess):.0f} layers"
    )


def _inputs(e: Evidence) -> str:
    size = "large" if e.input > 1 else "small"
    return f"the inputs are too {size} (rms {number(e.input)}, where about 1 is usual)"


def _excess(e: Evidence, layers: Sequence[int]) -> float:
    """How far the weights' gain in these layers is beyond those in use, in its logarithm, on average."""
    gain, (low, high) = _typical_gain(e, layers), _usual(e, layers)
    return log(gain) - log(min(max(gain, low), high))


def _usual(e: Evidence, layers: Sequence[int]) -> tuple[float, float]:
    """Return the least and the greatest gain in use, on average over layers of several activations."""
    every = e.network.remembered("usual gains", lambda: [usual_gains(x.phi, x.parameter) for x in e.network.layers])
    found = {every[layer] for layer in layers}
    if len(found) == 1:
        only: tuple[float, float] = found.pop()
        return only
    low, high = (math.exp(math.fsum(log(every[layer][end]) for layer in layers) / len(layers)) for end in (0, 1))
    return low, high


def _weights(e: Evidence, layers: Sequence[int]) -> str:
    """Say that the weights of these layers are too large or too small, or those of the one that makes most of it."""
    excess = [_excess(e, (layer,)) for layer in layers]
    worst = max(range(len(layers)), key=lambda i: abs(excess[i]))
    whose, gain = "the weights", _typical_gain(e, layers)
    if _differs(e, layers[worst]) and abs(excess[worst]) > HALF * abs(math.fsum(excess)):
        layer, layers = layers[worst], (layers[worst],)
        gain = e.gain[layer]
        whose += f" of the head, layer {layer}," if layer == e.last else f" of layer {layer}"
    if gain == 0:
        return f"{whose} are 0"
    low, high = (number(x, 3) for x in _usual(e, layers))
    phis = [*dict.fromkeys(e.network.layers[layer].phi.name for layer in layers)]
    need = f"{phis[0]} needs" if len(phis) == 1 else f"{', '.join(phis[:-1])} and {phis[-1]} need on average"
    return (
        f"{whose} are too {'large' if _excess(e, layers) > 0 else 'small'}: their rms times sqrt(fan_in) is "
        f"{number(gain, 3)}, {need} {low if low == high else f'{low} to {high}'}"
    )


def _biases(e: Evidence, layer: int) -> str:
    return (
        f"the biases (rms {number(e.biases(layer)[1])}) make up {100 * min(e.bias_share(layer), 1):.0f} % of q "
        f"in layer {layer}"
    )


def _means(e: Evidence, layer: int) -> str:
    return (
        f"the mean of the weights is {number(e.at('weight_mean', layer))} instead of 0, which over a fan_in of "
        f"{int(e.network.fan_in[layer])} adds up to preactivations of mean {number(e.at('preactivation_mean', layer))}"
    )


def _head(e: Evidence) -> str:
    others = median(e.gain[:-1])
    return (
        f"it is the head, layer {e.last}, that does it: its weights' rms times sqrt(fan_in) is "
        f"{number(e.gain[-1], 3)}, in the other layers {number(others, 3)}"
    )


def _width(e: Evidence) -> str:
    v, n = _chance(e), 1.0 / float(np.mean(1.0 / np.array(e.network.widths[1:])))
    factor = math.exp(drift(v, e.network.widths))
    return (
        f"it is the width, too small for the depth: in {number(n)} units chance alone changes a layer's signal by "
        f"exp(-{number(v)}/(4 n)) = {number(factor, 3)} on average, whatever the scheme"
    )


def _activation(e: Evidence, layers: Sequence[int]) -> str:
    """Say it of the activation of these layers; of several that of most of them."""
    counts = Counter(e.network.layers[layer].phi for layer in layers)
    phi = max(counts, key=counts.__getitem__)
    same = [layer for layer in range(e.depth) if e.network.layers[layer].phi == phi]
    std, fan_in = e.figures["weight_std"][same], e.network.fan_in[same]
    slopes = e.figures["chi"][same] / (fan_in * std**2)
    slope = float(np.median(slopes[np.isfinite(slopes)])) if np.isfinite(slopes).any() else math.nan
    if math.isnan(slope):
        return f"it is the activation, {phi.name}"
    how = e.network.layers[layers[0]].normalize
    normalized = f" behind normalize={how!r}" if how else ""
    return f"it is the activation: the slopes of {phi.name}{normalized} have a mean square of {number(slope)}"


def _borders(e: Evidence) -> str:
    n = e.network
    return (
        f"it is the zeros around the images: of {n.conv} x {n.conv} pixels a kernel reads on average "
        f"{number(100 * math.exp(2 * _border(e)))} % inside {n.image} x {n.image}"
    )


def _mean_counts(e: Evidence, layer: int) -> bool:
    """Whether the weights' mean, beyond what a sample has by chance, makes up most of q."""
    mean, std = e.at("weight_mean", layer), e.at("weight_std", layer)
    elements = math.prod(e.network.shape(layer))
    coherent = abs(e.at("preactivation_mean", layer)) > e.at("preactivation_std", layer)
    return coherent and abs(mean) * math.sqrt(elements) > 4.0 * std


def _differs(e: Evidence, layer: int) -> bool:
    """Whether a layer's weights are of another size than those of most layers."""
    return abs(log(e.gain[layer]) - log(median(e.gain))) > math.log(2.0)


def _head_counts(e: Evidence, change: Change) -> bool:
    """Whether the last layer's own weights make the change."""
    if e.end < e.last or not e.last or not _differs(e, e.last):
        return False
    own = log(e.gain[-1]) - log(median(e.gain[:-1]))
    return own / change.log > HALF if change.log else False


def _typical_gain(e: Evidence, layers: Sequence[int]) -> float:
    gains = [e.gain[layer] for layer in layers]
    return math.exp(math.fsum(map(log, gains)) / len(gains)) if gains and all(gains) else 0.0


def _border(e: Evidence) -> float:
    """Return the logarithm of the share of a kernel's taps that lie inside the images, per axis: of a layer's rms."""
    k, side = e.network.conv or 1, e.network.image or 1
    below = np.arange(k) - (k - 1) // 2
    return math.log(float(np.maximum(side - np.abs(below), 0).sum()) / (k * side))


def _chance(e: Evidence) -> float:
    q = e.figures["q"][: e.depth]
    q = q[(q > 0) & np.isfinite(q)]
    middle = float(np.median(q)) if q.size else 1.0
    every = [v for layer in e.network.kinds for v in variances(layer.phi, layer.parameter, middle)]
    return max((v for v in every if math.isfinite(v)), default=0.0)


def _by_chance(e: Evidence, total: float, steps: int) -> bool:
    """Whether the drift of a random walk and two of its standard deviations explain a change."""
    v, widths = _chance(e), e.network.widths
    mean, deviation = steps * drift(v, widths), steps * noise(v, widths, steps)
    return math.copysign(mean, mean * total) + 2.0 * deviation > MOST * abs(total)


def log(x: float) -> float:
    return math.log(x) if x > 0 else -700.0 if x == 0 else 0.0
