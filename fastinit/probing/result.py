"""What a probe found."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files import path_name, replacing
from ..showing.tables import layer_table
from ..words import shown, tied, writable
from .drawn import DrawnProbe
from .exported import Tabular, Tracked
from .fields import LARGEST, RECORDED, check_counts, check_layers, check_numbers, read_json
from .figures import FIGURES, Figure
from .layers import each, in_runs
from .settings import Settings

if TYPE_CHECKING:
    from ..showing.tables import Table

Array = NDArray[Any]

_SHOWN_LAYERS = 12

# Those of each bin.
_BINNED = {"histogram": Figure(counts="activations"), "bin_edges": Figure((-LARGEST, LARGEST))}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ProbeResult(DrawnProbe, Tabular, Tracked, Settings):
    """Per-layer figures of one deep network before training: arrays with one entry a layer, layers from 0.

    z_l = a_{l-1} W_l + b_l are the pre-activations of layer l, a_l = phi(z_l) its activations, delta_l =
    dL/dz_l its gradients. With `normalize`, W_l meets the normalised rows of a_{l-1}; with `residual`, a_l =
    a_{l-1} + branch_scale phi(z_l) in layers that keep the width. Of images every position is a row and every
    channel a unit. Figures that the activation or the arguments do not define are NaN.

    See Also
    --------
    fastinit.probe : makes it.
    """

    input_q: float
    """Mean square of the input; 1 where it is drawn."""
    mean: Array
    """Mean of a_l over batch and units."""
    std: Array
    """Standard deviation of a_l."""
    min: Array
    """Least a_l."""
    max: Array
    """Greatest a_l."""
    preactivation_mean: Array
    """Mean of z_l."""
    preactivation_std: Array
    """Standard deviation of z_l."""
    q: Array
    """Mean of z_l squared, the q of mean-field theory."""
    saturated: Array
    """Share of phi(z_l) on the flat part (tanh: |phi| > 0.97; sigmoid: outside 0.03 to 0.97), or NaN."""
    zero: Array
    """Share of activations that are exactly 0."""
    dead: Array
    """Share of units that are 0 for the whole batch."""
    nonfinite: Array
    """Count of infinities and NaNs among the activations; the other figures are over the finite ones."""
    distinct: Array
    """Number of distinct units (columns of a_l), of those that say different things of this batch."""
    correlation: Array
    """Correlation c of the pre-activations of input pairs (2m, 2m + 1): sum of z z' over the sum of (z^2 + z'^2) / 2.
    Not a cosine, but one where both have the same size. NaN for a single input or an odd number of images."""
    gradient_std: Array
    """Standard deviation of delta_l, where dL/da_last is drawn from N(0, 1). Every figure of a gradient is NaN without
    `backward`, and where an activation on its way is not finite."""
    gradient_max: Array
    """Greatest |delta_l|."""
    gradient_zero: Array
    """Share of delta_l that is exactly 0."""
    gradient_nonfinite: Array
    """Count of infinities and NaNs in delta_l; the other figures are over the finite ones."""
    weight_gradient_std: Array
    """Standard deviation of dL/dW_l."""
    updated_distinct: Array
    """Number of units that differ after a step of gradient descent: distinct columns of W_l, b_l and dL/dW_l taken
    together; 1 where the units of a layer start equal and stay so."""
    chi: Array
    """Mean of phi'(z_l)^2 times fan_in times var(W_l): the mean squared singular value of the Jacobian of phi(h W + b),
    h what W meets. With a skip, 1 + branch_scale^2 chi is that of the layer."""
    weight_mean: Array
    """Mean of W_l."""
    weight_std: Array
    """Standard deviation of W_l."""
    weight_nonfinite: Array
    """Count of infinities and NaNs in W_l."""
    weight_distinct: Array
    """Number of units that start different: distinct columns of W_l and b_l taken together."""
    histogram: Array
    """Counts of a_l, (depth, bins)."""
    bin_edges: Array
    """Edges of the bins, (depth, bins + 1): bin k holds edge k <= a < edge k + 1, the last bin its last edge, too."""
    underflow: Array
    """Count of activations below the first edge."""
    overflow: Array
    """Count of activations above the last edge."""

    verdict: str
    """"healthy", "fading", "growing", "vanishing", "exploding", "saturated", "dead", "symmetric" or "nonfinite"."""
    reason: str
    """Why, in words: the layer, the numbers and the cause."""
    seconds: float
    """Wall-clock time of the probe."""

    @property
    def width(self) -> int | None:
        """Units a layer, where all layers (and the input) have the same; else None."""
        return self.widths[0] if len(set(self.widths)) == 1 else None

    def __repr__(self) -> str:
        return writable(f"ProbeResult({self.title}: {self.verdict})")

    def __str__(self) -> str:
        return writable(f"{self.title}: {self.verdict} ({self.reason})")

    @property
    def title(self) -> str:
        """The network in a few words."""
        size = f"{self.depth} x {self.width}" if self.width else "-".join(map(str, self.widths))
        words = [self._schemes, in_runs(self.activation), size]
        if self.conv:
            words.append(f"conv {self.conv} x {self.conv} on {self.image} x {self.image}")
        if self.residual:
            words.append("residual" if self.branch_scale == 1 else f"residual * {self.branch_scale:.4g}")
        if self.normalize:
            words.append(f"{in_runs(self.normalize)} norm")
        return ", ".join(words)

    @property
    def _schemes(self) -> str:
        """The layers' schemes, each with the parameters of its own, and those of all."""
        apart = {key: value for key, value in self.params.items() if isinstance(value, tuple)}
        shared = _in_brackets((key, value) for key, value in self.params.items() if key not in apart)
        if not (apart or isinstance(self.scheme, tuple)):
            return f"{self.scheme}{shared}"
        names = each(self.scheme, self.depth)
        own = ([(key, value[i]) for key, value in apart.items() if value[i] is not None] for i in range(self.depth))
        return in_runs(tuple(f"{name}{_in_brackets(words)}" for name, words in zip(names, own, strict=True))) + shared

    def table(self, layers: int | None = 12) -> "Table":
        """Return the figures as a table, for `print` or for Rich.

        Parameters
        ----------
        layers
            Show about this many layers, evenly chosen; None: all.
        """
        return layer_table(self, layers)

    def _columns(self) -> dict[str, Any]:
        return {"layer": np.arange(self.depth), **{name: getattr(self, name) for name in FIGURES}}

    def _repr_html_(self) -> str:
        return layer_table(self, _SHOWN_LAYERS).html()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings; NaN as None, infinities as "inf" and "-inf"."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ProbeResult":
        """Rebuild a result from `to_dict`.

        Raises
        ------
        ValueError, TypeError
            A field is missing or unknown, or is not what a probe can have found there.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict):
            raise TypeError(f"argument 'values' must be a dict, got {type(values).__name__}")
        if values.keys() != known:
            unknown, missing = values.keys() - known, known - values.keys()
            names = shown([*sorted(map(str, unknown)), *sorted(missing)])
            raise ValueError(f"argument 'values' must have the fields of a ProbeResult, got {names} unknown or missing")
        restored = {name: rule(values[name]) for name, rule in RECORDED.items()}
        widths, bins = restored["widths"], restored["bins"]
        check_layers(restored, len(widths) - 1)
        rows, field = restored["batch"] * (restored["image"] or 1) ** 2, (restored["conv"] or 1) ** 2
        most = {
            "activations": [rows * n for n in widths[1:]],
            "units": widths[1:],
            "weights": [field * n * m for n, m in pairwise(widths)],
        }
        further = {"histogram": (bins,), "bin_edges": (bins + 1,)}
        for name, figure in (FIGURES | _BINNED).items():
            shape = (len(widths) - 1, *further.get(name, ()))
            if figure.counts:
                restored[name] = check_counts(name, values[name], shape, most[figure.counts])
            else:
                restored[name] = check_numbers(name, values[name], shape, figure.limits)
        edges = restored["bin_edges"]
        if not np.all(edges[:, :-1] <= edges[:, 1:]):  # beside a NaN, too
            raise ValueError("field 'bin_edges' must hold numbers that do not decrease, got others")
        return cls(**restored)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything as JSON. The file appears whole or not at all; a link or a device is written through."""
        content = json.dumps(self.to_dict(), allow_nan=False) + "\n"
        with replacing(path) as file:
            file.write(content.encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ProbeResult":
        """Read what `save` wrote.

        Raises
        ------
        ValueError, TypeError
            The file is no result, or has a field that no probe can have found; names the file and the field.
        """
        name = path_name(path)
        with open(name, "rb") as file:
            content = file.read()
        try:
            return cls.from_dict(read_json(content))
        except (ValueError, TypeError) as error:
            raise type(error)(f"file {name!r} must be a saved ProbeResult: {error}") from None


def _in_brackets(params: Iterable[tuple[str, Any]]) -> str:
    words = ", ".join(f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in params)
    return f"({words})" if words else ""


def plain(value: Any) -> Any:
    """Return arrays and NumPy numbers as what JSON knows. JSON has no NaN and no infinity."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    return value


tied(
    "field",
    {
        "field: fastinit/probing/result.py": [field.name for field in fields(ProbeResult)],
        "rule: fastinit/probing/figures.py, or fields.py": [*RECORDED, *FIGURES, *_BINNED],
    },
)
