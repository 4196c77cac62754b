"""What turns fans into a law: one variance-scaling engine, laws that no fans change, laws of whole neurons."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..words import check_choice, check_finite
from .fans import Fans
from .gaussian import truncated_std
from .laws import Law, Normal, Uniform
from .truncated import TruncatedNormal

# The fans whose mean is n.
MODES = {"fan_in": ("fan_in",), "fan_out": ("fan_out",), "fan_avg": ("fan_in", "fan_out")}
DISTRIBUTIONS = ("normal", "truncated_normal", "uniform")


class Rule(Protocol):
    """How a scheme gets from fans to a law."""

    needs_layout: bool

    @property
    def needs(self) -> tuple[str, ...]:
        """The fans that `law` reads."""

    def law(self, fans: Fans) -> Law:
        """Return the law for a weight with these fans; those not needed may be NaN."""


@dataclass(frozen=True)
class VarianceScaling:
    """The engine: variance = gain² · scale / n, n = fan_in, fan_out or their mean."""

    scale: float
    gain: float
    mode: str
    distribution: str
    needs_layout = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_finite("scale", self.scale, minimum=0))
        object.__setattr__(self, "gain", check_finite("gain", self.gain, minimum=0))
        object.__setattr__(self, "mode", check_choice("mode", self.mode, MODES))
        object.__setattr__(self, "distribution", check_choice("distribution", self.distribution, DISTRIBUTIONS))

    @property
    def needs(self) -> tuple[str, ...]:
        """The fans that the mode names."""
        return MODES[self.mode]

    def law(self, fans: Fans) -> Law:
        """Return the law with the variance that the fans ask for."""
        n = sum(getattr(fans, fan) / len(self.needs) for fan in self.needs)
        # A weight with no connections has no elements either, and needs no law of its own.
        std = self.gain * math.sqrt(self.scale / (n or 1.0))
        if not math.isfinite(2.0 * std):
            raise ValueError(
                f"argument 'scale' must keep gain·sqrt(scale/n) a float, got {self.scale!r} for gain {self.gain!r} "
                f"and n = {n!r}"
            )
        if self.distribution == "uniform":
            limit = math.sqrt(3) * std
            return Uniform(-limit, limit, std)
        if self.distribution == "normal":
            return Normal(0.0, std)
        # Widened so that what is left between -2 and 2 has the variance asked for.
        return TruncatedNormal(0.0, std / truncated_std(-2.0, 2.0), -2.0, 2.0, std)


@dataclass(frozen=True)
class Fixed:
    """A law that does not look at the fans."""

    fixed: Law
    needs = ()
    needs_layout = False

    def law(self, fans: Fans) -> Law:
        """Return the law."""
        return self.fixed


@dataclass(frozen=True)
class PerNeuron:
    """A law that needs to know which weights come into one neuron: `kind` of its own numbers and the fan_in."""

    kind: Callable[..., Law]
    numbers: tuple[float, ...] = ()
    needs = ("fan_in",)
    needs_layout = True

    def law(self, fans: Fans) -> Law:
        """Return the law for neurons with these fans."""
        return self.kind(*self.numbers, fans.fan_in)
