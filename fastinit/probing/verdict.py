"""What the figures of a probe mean, in one word and one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..words import number
from . import causes
from .evidence import ALIKE, Change, Evidence, Figures, rate
from .layers import Layer
from .network import Network

VERDICTS = (
    "healthy", "fading", "growing", "vanishing", "exploding", "saturated", "dead", "symmetric", "nonfinite",
)  # fmt: skip

# A signal or a gradient that changes by more than this factor from one end of the network to the other is lost to
# training: the layers at the two ends would need learning rates a thousand times apart.
LOST = 1000.0

# One that changes by more than this is on its way there. 16 is 1000^0.4: under a constant factor a layer, a network of
# two and a half times the depth would be lost. Ten ReLU layers under 1/sqrt(n) end at 1/32, the textbooks' failure;
# fifty tanh layers under Xavier's weights, at 1/10, and fifty under He's, whose gradient grows by 8, still learn. In
# ReLU layers that are as they should be, chance has a standard deviation of sqrt(5 L / (4 n)) in the logarithm: 2.8 are
# three and a half of those at L = n / 2. It serves for the size itself, too: logits of rms 16 are a softmax that is
# certain of one class before it has learned anything.
FADING = 16.0

# More than half of a layer on the flat part: most of its units pass next to no gradient. N(0, 1) weights put 60 to 90
# % of tanh and sigmoid units there, He's weights under tanh 15 % in the first layer.
SATURATED = 0.5

# Units that are 0 for every input learn nothing. Deep ReLU networks make all inputs alike, so that up to half
# of the units of a healthy one are off for the whole batch; nine in ten never are.
DEAD = 0.9

# Preactivations of this many times the type's smallest number: below, some of them are 0 by rounding.
UNDERFLOW = 1e4

# Units of a layer that stay equal to others: from half of them on, the layer is but half as wide as it seems.
COPIES = 0.5

# The largest number that each type stores.
LARGEST = {
    "float16": 65504.0,
    "bfloat16": float.fromhex("0x1.fep127"),
    "float32": float.fromhex("0x1.fffffep127"),
    "float64": float.fromhex("0x1.fffffffffffffp1023"),
}

# The smallest one: below, the half has only 0 (the others' is where the probe's own numbers end).
SMALLEST = {"float16": 2.0**-24}

Finding = tuple[str, str]


def judge(network: Network, figures: Figures, input_q: float) -> Finding:
    """Judge the figures of a probe.

    Parameters
    ----------
    network
        The network they were measured on.
    figures
        The per-layer arrays of a `ProbeResult`, by name.
    input_q
        Mean square of the network's input.

    Returns
    -------
    verdict, reason
        One of `VERDICTS`, and why.

    Notes
    -----
    The checks run from the cause to the symptom: a symmetric or saturated network also loses its gradient,
    and is told so in terms of what to change.
    """
    with np.errstate(all="ignore"):
        evidence = Evidence(network, figures, input_q)
        for check in _CHECKS:
            finding = check(evidence)
            if finding:
                return finding
        return "healthy", _healthy(evidence)


def _symmetric(e: Evidence) -> Finding | None:
    """Units of a layer that start equal and get equal gradients: swapping them changes nothing, at no step."""
    f, units = e.figures, np.array(e.network.widths[1:])
    if (f["weight_distinct"] > COPIES * units).all():
        return None
    # Where no gradient was measured, or none arrived, the weights that lead on must be all equal, too. What a skip
    # brings differs from unit to unit, and the loss tells the outputs apart.
    gradient = f["weight_gradient_std"]
    stuck = np.append(f["weight_std"][1:] == 0, False) & ~e.skips
    left = np.where(stuck, np.where(gradient == 0, 0, f["distinct"]), units)
    left = np.where(gradient > 0, f["updated_distinct"], np.maximum(f["weight_distinct"], left))
    layer = _first((np.cumsum(f["nonfinite"]) == 0) & (units > 1) & (left <= COPIES * units))
    if layer is None:
        return None
    n, kept = units[layer], int(left[layer])
    who = (
        f"all {n} units of layer {layer}" if kept == 1 else f"{n - kept} of {n} units of layer {layer} are copies: they"
    )
    same = "the same weights" + ", 0," * (e.gain[layer] == 0)
    how = "get the same gradient" if gradient[layer] >= 0 else "the same activations (no gradient is known)"
    return "symmetric", f"{who} have {same} and {how}, so they stay equal for ever; draw the weights at random"


def _nonfinite(e: Evidence) -> Finding | None:
    """Infinities and NaNs: given with the weights, made by the activation, or an overflow."""
    bad = e.figures["nonfinite"] + e.figures["weight_nonfinite"] > 0
    bad |= np.array([_bad_biases(e, layer) > 0 for layer in range(e.last + 1)])
    layer = _first(bad)
    if layer is None:
        return None
    for count, what in ((int(e.figures["weight_nonfinite"][layer]), "weights"), (_bad_biases(e, layer), "biases")):
        if count:
            return "nonfinite", (
                f"{count} of the {what} of layer {layer} are infinite or not a number, and they were before anything "
                f"was computed ({_type(e, layer)} ends at {number(LARGEST[_type(e, layer)])})"
            )
    count, q = int(e.figures["nonfinite"][layer]), e.at("q", layer)
    if q < LOST**2:  # where one preactivation overflows, the others are not of an ordinary size
        return "nonfinite", (
            f"{count} activations of layer {layer} are infinite or not a number for preactivations of rms "
            f"{number(math.sqrt(q))}: it is the activation, {e.network.layers[layer].phi.name}, that makes them so"
        )
    before = Change(math.inf, -1, layer, rate(e.size[:layer]))
    return "exploding", (
        f"layer {layer} has {count} activations that are infinite or not a number{_pace(before)}; "
        f"{causes.of_size(e, before, LARGEST[e.network.compute_dtype])}"
    )


def _dead(e: Evidence) -> Finding | None:
    f = e.figures
    # Where preactivations are 0, or end there, nothing arrived, or the weights are 0: that is no unit's fault.
    there = f["q"] > (UNDERFLOW * float(np.finfo(e.network.compute_dtype).tiny)) ** 2
    dead = (f["dead"] > DEAD) & there
    dead[e.end + 1 :] = False
    layer = _first(dead)
    if layer is not None:
        share = _percent(f["dead"][layer])
        return "dead", (
            f"{share} of the units of layer {layer} are 0 for every input of the batch and can learn nothing; "
            f"{causes.of_dead(e, layer)}"
        )
    layer = _first((f["chi"] == 0) & there & (f["weight_std"] > 0) & (f["preactivation_mean"] < 0))
    if layer is None or not _has_dead_half(e.network.layers[layer]):
        return None
    return "dead", (
        f"the branch of layer {layer} is 0 for every input of the batch and can learn nothing; "
        f"{causes.of_dead(e, layer)}"
    )


def _saturated(e: Evidence) -> Finding | None:
    # Where phi is 0 on one side, of what is on the other.
    layer = _first(e.figures["saturated"] > SATURATED * (1 - e.figures["zero"]))
    if layer is None:
        return None
    reason = (
        f"{_percent(e.figures['saturated'][layer])} of the activations of layer {layer} lie on the flat part of "
        f"{e.network.layers[layer].phi.name}; {causes.of_large(e, layer)}"
    )
    ratio = e.figures["gradient_std"][0] / e.figures["gradient_std"][-1]
    if e.last and np.isfinite(ratio):
        reason += f"; layer 0 gets {number(float(ratio))} times the gradient of layer {e.last}"
    return "saturated", reason


def _no_input(e: Evidence) -> Finding | None:
    return ("vanishing", "the inputs are all 0: there is no signal to keep") if e.input == 0 else None


def _beyond_the_type(e: Evidence) -> Finding | None:
    """Activations or gradients that the network's type cannot hold, though what it is computed in can."""
    f, most = e.figures, np.array([LARGEST[layer.dtype] for layer in e.network.layers])
    largest = np.maximum(-f["min"], f["max"])
    layer = _first(largest > most)
    if layer is not None:
        change = Change(e.size[layer] / e.input, -1, layer, rate(e.size[: layer + 1]))
        return "exploding", (
            f"the activations of layer {layer} reach {number(float(largest[layer]))}, and {_type(e, layer)} ends at "
            f"{number(most[layer])}{_pace(change)}; {causes.of_size(e, change, e.size[layer])}"
        )
    bad = (f["gradient_nonfinite"] > 0) | (f["gradient_max"] > most)
    if not bad.any():
        return None
    layer = int(np.flatnonzero(bad)[-1])
    change = Change(math.inf, e.end, layer, rate(f["gradient_std"][e.end : layer : -1].tolist()))
    return "exploding", (
        f"the gradient overflows in layer {layer}: {_type(e, layer)} ends at {number(most[layer])}{_pace(change)}; "
        f"{causes.of_change(e, change)}"
    )


def _below_the_type(e: Evidence) -> Finding | None:
    """Gradients that the network's type does not know from 0."""
    gradient, least = e.figures["gradient_std"], np.array([SMALLEST.get(x.dtype, 0.0) for x in e.network.layers])
    layer = _first((gradient > 0) & (gradient < least))
    if layer is None:
        return None
    return "vanishing", (
        f"the gradient's std in layer {layer} is {number(float(gradient[layer]))}, below the smallest number of "
        f"{_type(e, layer)}, {number(least[layer])}; {causes.of_small(e, layer)}"
    )


def _no_gradient(e: Evidence) -> Finding | None:
    """No gradient for any weight, or for those of the branches, though signals come through."""
    nothing, branches = e.figures["weight_gradient_std"] == 0, e.skips & (e.network.branch_scale == 0)
    if not nothing.all() and not branches.any():
        return None
    where = "any layer" if nothing.all() else f"layer {_first(branches)}"
    return "vanishing", f"no gradient reaches the weights of {where}; {causes.of_nothing(e)}"


class _Symptom(NamedTuple):
    """One way in which a network changes what goes through it."""

    log: float
    words: Callable[[], str]
    cause: Callable[[], str]
    of_signal: bool = True


def _changes(e: Evidence) -> Finding | None:
    """Signal, gradient and difference between inputs, from one end to the other: the worst of them decides."""
    down, up, spread = e.shrinking(), e.growing(), e.spread()
    found = [
        *_of_the_signal(e, down, up),
        *(_of_the_gradient(e, change, spread) for change in e.gradients()),
        _of_the_spread(e, spread if spread < 1 / LOST <= down.factor else 1.0),
    ]
    symptoms = [symptom for symptom in found if abs(symptom.log) > math.log(FADING)]
    if not symptoms:
        return None
    worst = max(symptoms, key=lambda symptom: abs(symptom.log))
    lost = abs(worst.log) > math.log(LOST)
    verdict = ("vanishing" if lost else "fading") if worst.log < 0 else ("exploding" if lost else "growing")
    told = [s for s in symptoms if s.log * worst.log > 0 and (abs(s.log) > math.log(LOST) or not lost)]
    words = ", and ".join(symptom.words() for symptom in told)
    if not any(symptom.of_signal for symptom in symptoms):
        words = f"the activations keep a std of {number(e.at('std', e.end))}, but {words}"
    # What has come down to nothing says least about how.
    telling = max(told, key=lambda symptom: (math.isfinite(symptom.log), abs(symptom.log)))
    return verdict, f"{words}; {telling.cause()}"


def _of_the_signal(e: Evidence, down: Change, up: Change) -> Iterator[_Symptom]:
    normalized = e.network.layers[e.end].normalize is not None
    if e.last:  # of a single layer small outputs are no fault: nothing is lost on the way to it
        words = partial(_signal, e, down, "falls")
        yield _Symptom(min(down.log, 0.0), words, partial(causes.of_change, e, down))
    # Behind the last layer of a normalised network stands a normalisation, too: a stream may grow.
    if up.factor > (LOST if normalized else FADING):
        yield _Symptom(up.log, partial(_signal, e, up, "grows"), partial(causes.of_change, e, up))
    layer = e.end if e.size[e.end] > FADING else up.last
    if not normalized and e.size[layer] > up.factor:
        cause = partial(causes.of_size, e, up, e.size[layer])
        yield _Symptom(max(causes.log(e.size[layer]), 0.0), partial(_large, e, layer), cause)
    least = e.size[e.end]
    told = down.factor * LOST < 1 if e.last else e.input * LOST >= 1
    if not normalized and least * LOST < 1 and not told:
        yield _Symptom(causes.log(least), partial(_large, e, e.end), partial(causes.of_size, e, down, least))


def _of_the_gradient(e: Evidence, change: Change, spread: float) -> _Symptom:
    # Where it was not measured, chi speaks of directions that leave the signal's own: a second witness is needed.
    believed = e.measured or change.log > 0 or spread < 1 / FADING
    words, cause = partial(_gradient, e, change), partial(causes.of_change, e, change)
    return _Symptom(change.log if believed else 0.0, words, cause, of_signal=False)


def _of_the_spread(e: Evidence, spread: float) -> _Symptom:
    change = Change(spread, -1, e.end, math.nan)
    return _Symptom(change.log, partial(_alike, e, spread), partial(causes.of_change, e, change), of_signal=False)


def _signal(e: Evidence, change: Change, verb: str) -> str:
    figure, values = e.signal if verb == "falls" else ("rms", e.size)
    start = next(layer for layer in (e.wide if verb == "falls" else range(e.depth)) if not math.isnan(values[layer]))
    first = f"{number(values[start])} in layer {start}" if change.last > start else f"{number(e.input)} at the input"
    last = f"{number(values[change.last])} in layer {change.last}"
    return f"the activations' {figure} {verb} from {first} to {last}{_pace(change)}"


def _pace(change: Change) -> str:
    """The factor a layer, and how many layers make a thousand of it."""
    if not (0 < change.rate < math.inf) or change.rate == 1:
        return ""
    layers = math.log(LOST) / abs(math.log(change.rate))
    goal = f", {'1/1000' if change.rate < 1 else '1000 times'} after {layers:.0f} layers" if layers > 1.5 else ""
    return f" ({number(change.rate, 3)} a layer{goal})"


def _large(e: Evidence, layer: int) -> str:
    return f"the activations have an rms of {number(e.size[layer])} in layer {layer}, where about 1 is wanted"


def _gradient(e: Evidence, change: Change) -> str:
    if not e.measured:
        return f"chi lets expect {number(change.factor)} times the gradient in layer {change.last}{_pace(change)}"
    start, stop = (f"{number(e.at('gradient_std', layer))} in layer {layer}" for layer in (change.first, change.last))
    return f"the gradient's std {'falls' if change.log < 0 else 'grows'} from {start} to {stop}{_pace(change)}"


def _alike(e: Evidence, spread: float) -> str:
    differ = f"differ {number(spread)} times as much as in layer 0" if spread > 0 else "no longer differ"
    return (
        f"layer {e.end} says nearly the same whatever the input: two inputs {differ}, all near the mean activation "
        f"{number(e.at('mean', e.end))}"
    )


def _healthy(e: Evidence) -> str:
    f, end = e.figures, e.end
    words = [f"layer {end} has activations of std {number(f['std'][end])} for an input of rms {number(e.input)}"]
    ratio = float(f["gradient_std"][0] / f["gradient_std"][end])
    if end and math.isfinite(ratio):
        words[0] += f", and layer 0 gets {number(ratio)} times the gradient of layer {end}"
        units = e.network.widths[1] / e.network.widths[end + 1]
        if units != 1:
            words[0] += f" ({number(ratio * math.sqrt(units))} times by norm)"
    if e.quiet_head or (e.last == 0 and e.gain[0] == 0):
        quiet = f"the head, layer {e.last}, starts with weights of std {number(f['weight_std'][-1])} and learns first"
        learns = f": its dL/dW has std {number(f['weight_gradient_std'][-1])}" if e.network.backward else ""
        words.append(quiet + learns)
    elif not any(e.gain):
        words.append("the branches start at 0, as all weights are, and learn from the first step on")
    elif (e.network.widths[1:] > f["updated_distinct"]).any():
        copies = np.array(e.network.widths[1:]) - f["updated_distinct"]
        layer = int(np.nanargmax(copies))
        words.append(
            f"{copies[layer]:.0f} of {e.network.widths[layer + 1]} units of layer {layer} are copies of others"
        )
    if f["correlation"][0] > ALIKE:
        words.append("the inputs are all alike, so that nothing can be said of how they differ")
    return "; ".join([*words, *causes.of_a_deeper_network(e, LOST)])


_CHECKS: tuple[Callable[[Evidence], Finding | None], ...] = (
    _symmetric, _nonfinite, _no_input, _dead, _saturated, _beyond_the_type, _changes, _below_the_type, _no_gradient,
)  # fmt: skip


def _bad_biases(e: Evidence, layer: int) -> int:
    bias = e.network.layers[layer].bias
    return 0 if isinstance(bias, float) else int(bias.size - np.isfinite(bias).sum())


def _type(e: Evidence, layer: int) -> str:
    return e.network.layers[layer].dtype


def _has_dead_half(layer: Layer) -> bool:
    """Whether phi is 0 below 0, and not flat above."""
    phi, p, below, above = layer.phi, layer.parameter, np.array([-1.0, -10.0]), np.ones(1)
    nothing = not phi.function(below, p).any() and not phi.derivative(below, p).any()
    return nothing and bool(phi.derivative(above, p)[0])


def _first(mask: Any) -> int | None:
    return int(mask.argmax()) if mask.any() else None


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
