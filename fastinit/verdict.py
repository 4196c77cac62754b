"""What the figures of a probe mean, in one word and one sentence."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .report import number

# A signal or a gradient that changes by more than this factor from one end of the network to the other is
# lost to training: the layers at the two ends would need learning rates a thousand times apart. Five sigmoid
# layers under Xavier (0.25 a layer for the gradient, 0.004 in all), which the literature calls good, must
# still pass.
VANISHING = 1e-3
EXPLODING = 1e3

# More than half of a layer on the flat part: most of its units pass no gradient. N(0, 1) weights put 60 to 90
# % of tanh and sigmoid units there, He's weights under tanh 15 % in the first layer.
SATURATED = 0.5

# Units that are 0 for every input learn nothing. Deep ReLU networks make all inputs alike, so that up to half
# of the units of a healthy one are off for the whole batch; nine in ten never are.
DEAD = 0.9

VERDICTS = ("healthy", "vanishing", "exploding", "saturated", "dead", "symmetric")

Figures = Mapping[str, Any]


def judge(figures: Figures, *, activation: str, n_out: Sequence[int], input_q: float) -> tuple[str, str]:
    """Judge the figures of a probe.

    Parameters
    ----------
    figures
        The per-layer arrays of a `ProbeResult`, by name.
    activation
        The activation's name, for the words.
    n_out
        Units of each layer.
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
        for verdict, check in _CHECKS:
            reason = check(figures, activation, n_out, float(np.sqrt(input_q)))
            if reason:
                return verdict, reason
        return "healthy", _healthy(figures, float(np.sqrt(input_q)))


def _symmetric(f: Figures, activation: str, n_out: Sequence[int], scale: float) -> str | None:
    # Equal units are a fault of the weights. Units that are all 0 are equal too, but by dying or by underflow,
    # unless the weights themselves are all the same. After an overflow all NaNs look alike.
    equal = (f["distinct"] == 1) & (np.array(n_out) > 1) & (np.cumsum(f["nonfinite"]) == 0)
    layer = _first(equal & ((f["dead"] < 1) | (f["weight_std"] == 0)))
    if layer is None:
        return None
    return (
        f"all {n_out[layer]} units of layer {layer} compute the same function, so they get the same gradient "
        "and stay equal for ever; draw the weights at random"
    )


def _overflowed(f: Figures, activation: str, n_out: Sequence[int], scale: float) -> str | None:
    layer = _first(f["nonfinite"] > 0)
    if layer is None:
        return None
    return f"layer {layer} has {int(f['nonfinite'][layer])} activations that are infinite or not a number"


def _dead(f: Figures, activation: str, n_out: Sequence[int], scale: float) -> str | None:
    layer = _first(f["dead"] > DEAD)
    if layer is None:
        return None
    before = f["std"][layer - 1] / scale if layer else 1.0
    if before < VANISHING:
        return None  # nothing arrived there: the signal had vanished before
    return (
        f"{_percent(f['dead'][layer])} of the units of layer {layer} are 0 for every input of the batch "
        "and can learn nothing"
    )


def _saturated(f: Figures, activation: str, n_out: Sequence[int], scale: float) -> str | None:
    layer = _first(f["saturated"] > SATURATED)
    if layer is None:
        return None
    return (
        f"{_percent(f['saturated'][layer])} of the activations of layer {layer} lie on the flat part of "
        f"{activation}, where hardly any gradient passes; the weights are too large"
    )


def _vanishing(f: Figures, activation: str, n_out: Sequence[int], scale: float) -> str | None:
    last = len(n_out) - 1
    forward, backward, spread = f["std"][-1] / scale, _backward(f), _spread(f)
    if forward < VANISHING:
        return (
            f"the activations' std falls from {number(f['std'][0])} in layer 0 to "
            f"{number(f['std'][-1])} in layer {last}"
        )
    if backward < VANISHING:
        return (
            f"the gradient's std falls from {number(f['gradient_std'][-1])} in layer {last} to "
            f"{number(f['gradient_std'][0])} in layer 0, so the first layers hardly learn" + _alike(f, spread)
        )
    if spread < VANISHING:
        return f"layer {last} says nearly the same whatever the input" + _alike(f, spread)
    return None


def _exploding(f: Figures, activation: str, n_out: Sequence[int], scale: float) -> str | None:
    last = len(n_out) - 1
    if f["std"][-1] / scale > EXPLODING:
        return (
            f"the activations' std grows from {number(f['std'][0])} in layer 0 to "
            f"{number(f['std'][-1])} in layer {last}"
        )
    if _backward(f) > EXPLODING:
        return (
            f"the gradient's std grows from {number(f['gradient_std'][-1])} in layer {last} to "
            f"{number(f['gradient_std'][0])} in layer 0"
        )
    return None


def _healthy(f: Figures, scale: float) -> str:
    last = len(f["std"]) - 1
    words = f"layer {last} has activations of std {number(f['std'][-1])} for an input of rms {number(scale)}"
    if np.isfinite(_backward(f)):
        words += f", and layer 0 gets {number(_backward(f))} times the gradient of layer {last}"
    return words


_CHECKS: tuple[tuple[str, Callable[[Figures, str, Sequence[int], float], str | None]], ...] = (
    ("symmetric", _symmetric),
    ("exploding", _overflowed),
    ("dead", _dead),
    ("saturated", _saturated),
    ("vanishing", _vanishing),
    ("exploding", _exploding),
)


def _backward(f: Figures) -> float:
    """Gradient of the first layer over that of the last: what the layers between them do."""
    return float(f["gradient_std"][0] / f["gradient_std"][-1])


def _spread(f: Figures) -> float:
    """How far two inputs are still apart in the last layer, over how far they were in the first.

    A sigmoid network under tiny weights keeps its activations near 1/2 with a constant std: units differ from
    one another, but not with the input. Only q (1 - c), the mean square of the differences between rows,
    tells.
    """
    apart = np.sqrt(np.maximum(f["q"] * (1 - f["correlation"]), 0))
    return float(apart[-1] / apart[0])


def _alike(f: Figures, spread: float) -> str:
    if not spread < VANISHING:
        return ""
    differ = f"differ {number(spread)} times as much as in layer 0" if spread > 0 else "no longer differ"
    return f"; in layer {len(f['std']) - 1} two inputs {differ}, all near the mean activation {number(f['mean'][-1])}"


def _first(mask: Any) -> int | None:
    found = np.flatnonzero(mask)
    return int(found[0]) if found.size else None


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
