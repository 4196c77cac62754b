"""What turns fans into a law: one variance-scaling engine, laws that no fans change, of whole neurons and matrices."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..words import check_choice, check_finite, check_integer
from .fans import Fans, Layout, Wiring
from .gaussian import truncated_std
from .laws import Law, Normal, Uniform
from .matrices import Matrix
from .regions import Shape
from .truncated import TruncatedNormal


class Mode(NamedTuple):
    """What variance is divided by: a function of these fans."""

    fans: tuple[str, ...]
    n: Callable[..., float]


def _the_fan(fan: float) -> float:
    return fan / 1


def _mean(fan_in: float, fan_out: float) -> float:
    return fan_in / 2 + fan_out / 2


def _geometric_mean(fan_in: float, fan_out: float) -> float:
    return math.sqrt(fan_in) * math.sqrt(fan_out)


def _square(fan_in: float) -> float:
    return float(fan_in) * fan_in


def _spectral(fan_in: float, fan_out: float) -> float:
    return fan_in * max(1.0, fan_in / (fan_out or 1.0))


MODES = {
    "fan_in": Mode(("fan_in",), _the_fan),
    "fan_out": Mode(("fan_out",), _the_fan),
    "fan_avg": Mode(("fan_in", "fan_out"), _mean),
    "fan_geo_avg": Mode(("fan_in", "fan_out"), _geometric_mean),
}
# Of single schemes, no words of theirs: bounds that fall like 1/fan_in, and the spectral condition.
SQUARE = Mode(("fan_in",), _square)
SPECTRAL = Mode(("fan_in", "fan_out"), _spectral)
DISTRIBUTIONS = ("normal", "truncated_normal", "uniform")


class Rule(ABC):
    """How a scheme gets from fans to a law."""

    needs_layout = False

    @property
    def needs(self) -> tuple[str, ...]:
        """The fans that `law` reads."""
        return ()

    @abstractmethod
    def law(self, fans: Fans) -> Law:
        """Return the law for a weight with these fans; those not needed may be NaN."""

    def resolve(
        self, wiring: Wiring, shape: Shape, fan_in: int | float | None = None, fan_out: int | float | None = None
    ) -> tuple[Law, Layout | None]:
        """Return the law of a weight, given fans before its own, and its axes by role if the law looks at them."""
        layout = wiring.neurons(shape) if self.needs_layout else None
        return self.law(wiring.fans(shape, self.needs, fan_in, fan_out)), layout


@dataclass(frozen=True)
class VarianceScaling(Rule):
    """The engine: variance = gain² · scale / n, n = fan_in, fan_out, a mean of both, or what a `Mode` makes of them.

    A normal is cut at ± `cut` standard deviations, if that is given, and not widened for it.
    """

    scale: float
    gain: float
    mode: str | Mode
    distribution: str
    cut: float | None = None
    needs_layout = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_finite("scale", self.scale, minimum=0))
        object.__setattr__(self, "gain", check_finite("gain", self.gain, minimum=0))
        if not isinstance(self.mode, Mode):
            object.__setattr__(self, "mode", check_choice("mode", self.mode, MODES))
        object.__setattr__(self, "distribution", check_choice("distribution", self.distribution, DISTRIBUTIONS))

    @property
    def _mode(self) -> Mode:
        return MODES[self.mode] if isinstance(self.mode, str) else self.mode

    @property
    def needs(self) -> tuple[str, ...]:
        """The fans that the mode names."""
        return self._mode.fans

    def law(self, fans: Fans) -> Law:
        """Return the law with the variance that the fans ask for."""
        counts = [getattr(fans, fan) for fan in self.needs]
        # A weight with no connections has no elements either, and needs no law of its own.
        n = self._mode.n(*counts) or (0.0 if all(counts) else 1.0)
        std = self.gain * math.sqrt(self.scale / n) if n else math.inf
        if not math.isfinite(2.0 * std):
            raise ValueError(
                f"argument 'scale' must keep gain·sqrt(scale/n) a float, got {self.scale!r} for gain {self.gain!r} "
                f"and n = {n!r}"
            )
        if self.distribution == "uniform":
            limit = math.sqrt(3) * std
            return Uniform(-limit, limit, std)
        if self.distribution == "normal":
            return cut_normal(std, self.cut)
        # Widened so that what is left between -2 and 2 has the variance asked for.
        return TruncatedNormal(0.0, std / truncated_std(-2.0, 2.0), -2.0, 2.0, std)


@dataclass(frozen=True)
class Fixed(Rule):
    """A law that does not look at the fans."""

    fixed: Law
    needs = ()
    needs_layout = False

    def law(self, fans: Fans) -> Law:
        """Return the law."""
        return self.fixed


def cut_normal(std: float, cut: float | None) -> Law:
    """Return N(0, std²), cut at ± `cut` standard deviations unless that is None; std is that before the cut."""
    return Normal(0.0, std) if cut is None else TruncatedNormal(0.0, std, -cut, cut)


@dataclass(frozen=True)
class PerNeuron(Rule):
    """A law that needs to know which weights come into one neuron: `kind` of its own numbers and the fan_in."""

    kind: Callable[..., Law]
    numbers: tuple[float | None, ...] = ()
    needs = ("fan_in",)
    needs_layout = True

    def law(self, fans: Fans) -> Law:
        """Return the law for neurons with these fans."""
        return self.kind(*self.numbers, fans.fan_in)


@dataclass(frozen=True)
class PerMatrix(Rule):
    """A law of the matrices that a weight is made of: `kind` of its own numbers and a matrix's sizes.

    Those follow from the layout: fans that are given change nothing.
    """

    kind: Callable[..., Law]
    numbers: tuple[Any, ...] = ()
    needs_layout = True

    def law(self, fans: Fans) -> Law:
        """Return the law for a dense layer with these fans."""
        fan_in, fan_out = (check_integer(fan, getattr(fans, fan), minimum=0) for fan in Fans._fields)
        return self.kind(*self.numbers, Matrix(fan_in, fan_out))

    def resolve(
        self, wiring: Wiring, shape: Shape, fan_in: int | float | None = None, fan_out: int | float | None = None
    ) -> tuple[Law, Layout | None]:
        """Return the law for the weight's matrices, and where they lie."""
        layout = wiring.matrices(shape)
        return self.kind(*self.numbers, Matrix.of(shape, layout)), layout


@dataclass(frozen=True)
class Counting(Rule):
    """A law of weights that belong together: `kind` of its own numbers and of how many those are.

    They lie along the axes of some roles, of "inputs", "outputs", "space" and "batch". Fans that are given change
    nothing.
    """

    kind: Callable[..., Law]
    numbers: tuple[Any, ...]
    roles: tuple[str, ...]
    needs_layout = True

    @property
    def needs(self) -> tuple[str, ...]:
        """The fans that count them in a dense layer."""
        fans = {"inputs": "fan_in", "outputs": "fan_out"}
        return tuple(fans[role] for role in self.roles if role in fans)

    def law(self, fans: Fans) -> Law:
        """Return the law for a dense layer with these fans."""
        return self.kind(*self.numbers, math.prod(getattr(fans, fan) for fan in self.needs))

    def resolve(
        self, wiring: Wiring, shape: Shape, fan_in: int | float | None = None, fan_out: int | float | None = None
    ) -> tuple[Law, Layout | None]:
        """Return the law for a shape, and its axes by role with the groups that share them."""
        layout = replace(wiring.neurons(shape), groups=wiring.groups)
        wiring.fans(shape, self.needs, fan_in, fan_out)  # refuses groups, strides and axes that do not fit
        return self.kind(*self.numbers, math.prod(shape[a] for a in layout.of_roles(shape, self.roles))), layout
