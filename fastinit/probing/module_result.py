"""What a probe of somebody else's network found, and what it means."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files import replacing
from ..showing.tables import Table, choose, written
from ..words import in_short, needs, number, writable
from .drawn import DrawnModule
from .figures import FIGURES
from .observed import OBSERVED, LayerRecord
from .result import plain
from .verdict import DEAD, FADING, LOST, SATURATED

if TYPE_CHECKING:
    import pandas

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class ModuleResult(DrawnModule):
    """Figures of a real network's layers before training, in the order in which they were called.

    Attributes
    ----------
    title
        The network in a few words.
    names, kinds, shapes
        Of each layer: the module's name and class, the output's shape.
    figures
        Name of a figure -> an array of one entry a layer; NaN where there is none. `result.std` is short for
        `result.figures["std"]`.
    fan_in, weights
        Connections into a unit of a layer with a weight, and the number of its weights; else 0.
    histogram, bin_edges
        Of the outputs, (layers, bins) and (layers, bins + 1).
    loss, expected_loss
        The loss, and ln(classes), what a network that knows nothing has; NaN where there is none.
    verdict, reason
        As of `ProbeResult`.
    unused
        Parameters without a gradient.
    seconds
        Wall-clock time.
    """

    title: str
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    figures: dict[str, Array]
    fan_in: Array
    weights: Array
    histogram: Array
    bin_edges: Array
    loss: float
    expected_loss: float
    unused: tuple[str, ...]
    seconds: float
    verdict: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        verdict, reason = judge(self)
        object.__setattr__(self, "verdict", verdict)
        object.__setattr__(self, "reason", reason)

    def __getattr__(self, name: str) -> Array:
        if name in OBSERVED:
            return self.figures[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.names)

    @property
    def backward(self) -> bool:
        """Whether gradients were measured."""
        return bool(np.isfinite(self.figures["gradient_std"]).any())

    @property
    def gain(self) -> Array:
        """Return the rms of each layer's weight times sqrt(fan_in), mean-field theory's sigma_w."""
        rms = np.hypot(self.figures["weight_mean"], self.figures["weight_std"])
        return np.where(self.fan_in > 0, rms * np.sqrt(self.fan_in), np.nan)

    def __repr__(self) -> str:
        return writable(f"ModuleResult({self.title}, {self.depth} layers: {self.verdict})")

    def __str__(self) -> str:
        return writable(f"{self.title}: {self.verdict} ({self.reason})")

    def table(self, layers: int | None = 40) -> Table:
        """Return the figures as a table; of more layers about so many, evenly chosen."""
        names = [
            n for n in _COLUMNS if np.isfinite(self.figures[n]).any() and (n != "nonfinite" or self.nonfinite.any())
        ]
        rows = []
        for i in choose(self.depth, layers):
            cells = (written(self.figures[name][i], name) for name in names)
            gain = self.gain[i]
            rows.append((self.names[i], self.kinds[i], "-" if math.isnan(gain) else number(gain, 3), *cells))
        headings = ("layer", "kind", "sigma_w", *(FIGURES[name].heading or name for name in names))
        note = f"{self.verdict}: {self.reason}"
        return Table(self.title, headings, tuple(rows), note, left=frozenset({"layer", "kind"}))

    def to_pandas(self) -> pandas.DataFrame:
        """Return a data frame with one row a layer."""
        with needs("pandas", extra="data"):
            import pandas
        return pandas.DataFrame(
            {"layer": self.names, "kind": self.kinds, "fan_in": self.fan_in, "gain": self.gain, **self.figures}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings; NaN as None, infinities as "inf" and "-inf"."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything as JSON; the file appears whole or not at all."""
        content = json.dumps(self.to_dict(), allow_nan=False) + "\n"
        with replacing(path) as file:
            file.write(content.encode())


_COLUMNS = (
    "mean", "std", "saturated", "dead", "distinct", "nonfinite", "correlation", "gradient_std", "weight_std",
    "weight_gradient_std",
)  # fmt: skip


def result_of(
    title: str,
    records: Sequence[LayerRecord],
    *,
    loss: float,
    classes: int | None,
    unused: Sequence[str],
    seconds: float,
) -> ModuleResult:
    """Put the records of layers together, and judge them."""
    columns = {name: np.array([r.figures.get(name, math.nan) for r in records]) for name in OBSERVED}
    return ModuleResult(
        title=in_short(title, 80),
        names=tuple(r.name for r in records),
        kinds=tuple(r.kind for r in records),
        shapes=tuple(r.shape for r in records),
        figures=columns,
        fan_in=np.array([r.fan_in for r in records], np.float64),
        weights=np.array([r.weights for r in records], np.float64),
        histogram=np.array([r.histogram for r in records]),
        bin_edges=np.array([r.bin_edges for r in records]),
        loss=loss,
        expected_loss=math.log(classes) if classes else math.nan,
        unused=tuple(unused),
        seconds=seconds,
    )


def judge(result: ModuleResult) -> tuple[str, str]:
    """Judge the figures of a module: the cause before the symptom, as `verdict.judge` does."""
    for check in (_nonfinite, _symmetric, _dead, _saturated, _signal, _gradient, _head):
        finding = check(result)
        if finding:
            return finding
    seen = [i for i in range(result.depth) if math.isfinite(result.figures["std"][i])]
    weighted = [i for i in seen if result.fan_in[i] > 0] or seen
    words = "nothing was measured"
    if weighted:
        ends = " to ".join(
            f"{number(result.figures['std'][i])} ({result.names[i]})" for i in (weighted[0], weighted[-1])
        )
        words = f"the outputs have a std of {ends}"
    if math.isfinite(result.loss) and math.isfinite(result.expected_loss):
        words += f"; the loss is {number(result.loss, 4)}, ln(classes) is {number(result.expected_loss, 4)}"
    return "healthy", words


def _weighted(result: ModuleResult) -> list[int]:
    return [i for i in range(result.depth) if result.fan_in[i] > 0]


def _nonfinite(r: ModuleResult) -> tuple[str, str] | None:
    bad = np.nan_to_num(r.figures["weight_nonfinite"]) > 0
    if bad.any():
        i = int(bad.argmax())
        return (
            "nonfinite",
            f"{int(r.figures['weight_nonfinite'][i])} weights of {r.names[i]} are infinite or not a number",
        )
    bad = np.nan_to_num(r.figures["nonfinite"]) > 0
    if bad.any():
        i = int(bad.argmax())
        return "exploding", f"{int(r.figures['nonfinite'][i])} outputs of {r.names[i]} are infinite or not a number"
    return None


def _symmetric(r: ModuleResult) -> tuple[str, str] | None:
    """Units that start equal and get equal gradients stay so."""
    for i in _weighted(r):
        updated = r.figures["updated_distinct"][i]
        start = r.figures["weight_distinct"][i]
        count = _units(r, i)
        if count > 1 and start == 1 and (updated == 1 or (math.isnan(updated) and r.figures["distinct"][i] == 1)):
            arrives = r.figures["weight_gradient_std"][i]
            if arrives == 0:  # a zero head gives the layers below it no gradient yet
                continue
            return "symmetric", f"all {count} units of {r.names[i]} have the same weights and the same gradient"
    return None


def _units(r: ModuleResult, i: int) -> int:
    shape = r.shapes[i]
    return int(shape[1] if len(shape) > 3 else shape[-1]) if len(shape) > 1 else 1


def _dead(r: ModuleResult) -> tuple[str, str] | None:
    share = np.nan_to_num(r.figures["dead"])
    bad = [i for i in range(r.depth) if share[i] > DEAD and not r.fan_in[i] > 0 and r.figures["gradient_zero"][i] != 0]
    if not bad:
        return None
    i = bad[0]
    return "dead", f"{100 * share[i]:.0f} % of the units of {r.names[i]} are 0 for every input of the batch"


def _saturated(r: ModuleResult) -> tuple[str, str] | None:
    share = np.nan_to_num(r.figures["saturated"])
    if not (share > SATURATED).any():
        return None
    i = int((share > SATURATED).argmax())
    return "saturated", f"{100 * share[i]:.0f} % of the outputs of {r.names[i]} ({r.kinds[i]}) lie on its flat part"


def _signal(r: ModuleResult) -> tuple[str, str] | None:
    """The outputs of layers with weights, from the first on."""
    layers = [i for i in _weighted(r) if _positive(r.figures["std"][i])]
    return _change(r, layers, r.figures["std"], "the outputs' std")


def _gradient(r: ModuleResult) -> tuple[str, str] | None:
    """The norms of dL/dW, from the last on: what a layer learns by, whatever the size of images and maps."""
    norms = r.figures["weight_gradient_std"] * np.sqrt(r.weights)
    layers = [i for i in _weighted(r) if _positive(norms[i])]
    return _change(r, layers[::-1], norms, "the norm of dL/dW")


def _positive(value: float) -> bool:
    return 0 < value < math.inf


def _change(r: ModuleResult, layers: Sequence[int], values: Array, what: str) -> tuple[str, str] | None:
    """Say how values change most from the first of these layers."""
    if len(layers) < 2:
        return None
    logs = [math.log(values[i] / values[layers[0]]) for i in layers]
    worst = max(range(len(layers)), key=lambda k: abs(logs[k]))
    if abs(logs[worst]) <= math.log(FADING):
        return None
    lost, falls = abs(logs[worst]) > math.log(LOST), logs[worst] < 0
    verdict = ("vanishing" if lost else "fading") if falls else ("exploding" if lost else "growing")
    ends = " to ".join(f"{number(float(values[i]))} in {r.names[i]}" for i in (layers[0], layers[worst]))
    return verdict, f"{what} {'falls' if falls else 'grows'} from {ends}"


def _head(r: ModuleResult) -> tuple[str, str] | None:
    """A softmax that is certain of one class before it has learned anything."""
    if math.isfinite(r.loss) and math.isfinite(r.expected_loss) and r.loss > 2 * max(r.expected_loss, 1.0):
        size = number(float(r.figures["std"][-1]))
        return "growing", (
            f"the loss is {number(r.loss, 4)} where ln(classes) = {number(r.expected_loss, 4)}: "
            f"the head's outputs have a std of {size}"
        )
    return None
