"""The figures of a layer: what each counts, between which limits it is, and how a table writes it.

The kernels measure them by these names (`fastinit_kernels.probe.figures`), `ProbeResult` says what each means; files,
stores, tables and pictures follow from here. What stands in one of the three and not in the others is an error when
`result` is imported, or the kernels are (`bridge`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..words import tied

_SIZE = (0.0, math.inf)
_SHARE = (0.0, 1.0)


@dataclass(frozen=True)
class Figure:
    """One number a layer.

    Attributes
    ----------
    limits
        Between which it is, where it is a number.
    counts
        Of what it is a count: "activations", "units" or "weights"; None: it is no count.
    heading
        That of its column in a table; None: it has none.
    whole
        Whether it is a whole number, though NaN where there is no backward pass.
    """

    limits: tuple[float, float] = (-math.inf, math.inf)
    counts: str | None = None
    heading: str | None = None
    whole: bool = False

    @property
    def is_share(self) -> bool:
        """Whether it is a share of something, written in per cent."""
        return self.limits == _SHARE

    @property
    def is_size(self) -> bool:
        """Whether it is a size that may be of any order of magnitude, and a logarithmic axis is right for it."""
        return self.limits == _SIZE and not self.whole

    @property
    def factor(self) -> float:
        """What a picture multiplies it by: shares are shown in per cent."""
        return 100.0 if self.is_share else 1.0

    def axis(self, name: str) -> str:
        """Return its name and its unit, as an axis has them."""
        unit = ", %" if self.is_share else ", count" if self.counts or self.whole else ""
        return f"{name.replace('_', ' ')}{unit}"


# In the order of `to_pandas`.
FIGURES: dict[str, Figure] = {
    "mean": Figure(heading="mean"),
    "std": Figure(_SIZE, heading="std"),
    "min": Figure(),
    "max": Figure(),
    "preactivation_mean": Figure(),
    "preactivation_std": Figure(_SIZE),
    "q": Figure(_SIZE, heading="q"),
    "saturated": Figure(_SHARE, heading="saturated"),
    "zero": Figure(_SHARE),
    "dead": Figure(_SHARE, heading="dead"),
    "nonfinite": Figure(counts="activations", heading="inf/nan"),
    "distinct": Figure(counts="units", heading="distinct"),
    "correlation": Figure(heading="corr."),
    "gradient_std": Figure(_SIZE, heading="grad std"),
    "gradient_max": Figure(_SIZE),
    "gradient_zero": Figure(_SHARE),
    "gradient_nonfinite": Figure(_SIZE),
    "weight_gradient_std": Figure(_SIZE, heading="dW std"),
    "updated_distinct": Figure(_SIZE, heading="after a step", whole=True),
    "chi": Figure(_SIZE, heading="chi"),
    "weight_mean": Figure(),
    "weight_std": Figure(_SIZE),
    "weight_nonfinite": Figure(counts="weights"),
    "weight_distinct": Figure(counts="units"),
    "underflow": Figure(counts="activations"),
    "overflow": Figure(counts="activations"),
}

# The columns of a table, in their order.
COLUMNS = (
    "mean", "std", "q", "saturated", "dead", "distinct", "updated_distinct", "nonfinite", "correlation", "chi",
    "gradient_std", "weight_gradient_std",
)  # fmt: skip
tied(
    "column",
    {
        "heading: fastinit/probing/figures.py, FIGURES": [name for name, figure in FIGURES.items() if figure.heading],
        "place: fastinit/probing/figures.py, COLUMNS": COLUMNS,
    },
)
