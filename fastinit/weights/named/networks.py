"""Sinusoids, residual networks without norms, the spectral condition, weights of a given norm."""

from __future__ import annotations

from ...words import check_choice, check_finite, check_flag
from ..normalized import PER, Normalized
from ..registry import scheme
from ..rules import SPECTRAL, SQUARE, Counting, Rule, VarianceScaling
from .numbers import check_count, power


@scheme("siren", "U(-a, a), a = sqrt(6/fan_in)/omega; first: 1/fan_in: Sitzmann et al. 2020")
def _siren(*, first: bool = False, omega: float = 30.0) -> Rule:
    frequency = check_finite("omega", omega, above=0)
    if check_flag("first", first):
        return VarianceScaling(1.0 / 3.0, 1.0, SQUARE, "uniform")
    return VarianceScaling(2.0, 1.0 / frequency, "fan_in", "uniform")


@scheme("spectral", "N(0, std²), std = gain/sqrt(fan_in)·min(1, sqrt(fan_out/fan_in)): Yang et al. 2023")
def _spectral(*, gain: float = 1.0) -> Rule:
    return VarianceScaling(1.0, gain, SPECTRAL, "normal")


@scheme("fixup", "N(0, std²), std = sqrt(2/fan_out)·layers^(-1/(2·branch - 2)): Zhang et al. 2019")
def _fixup(*, layers: int = 1, branch: int = 2) -> Rule:
    blocks, weights = check_count("layers", layers), check_count("branch", branch, minimum=2)
    return VarianceScaling(2.0, power(blocks, -1, 2 * weights - 2), "fan_out", "normal")


@scheme("normalized", "x·radius/norm(x), x from N(0, 1), the norm per output, input, matrix or tensor: nGPT, hyperball")
def _normalized(*, per: str = "output", radius: float = 1.0, distribution: str = "normal") -> Rule:
    return Counting(Normalized, (distribution, per, radius), PER[check_choice("per", per, PER)])
