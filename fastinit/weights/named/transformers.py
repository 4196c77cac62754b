"""Transformers: standard deviations by the size of the model, by its depth, by the width of a smaller one."""

from __future__ import annotations

import math

from ...words import check_choice, check_finite, shown
from ..fans import Fans
from ..registry import scheme
from ..rules import SQUARE, Fixed, Rule, VarianceScaling, cut_normal
from .numbers import check_count, power

_SIDES = ("encoder", "decoder")
_PARTS = ("embedding", "hidden", "output", "vector")


def _check_cut(cut: object) -> float | None:
    return None if cut is None else check_finite("cut", cut, above=0)


def _of_dim(rule: VarianceScaling, dim: int | None) -> Rule:
    """Return a rule by fan_in as it is, or fixed to the law of a fan_in of `dim`."""
    if dim is None:
        return rule
    width = check_count("dim", dim)
    return Fixed(rule.law(Fans(width, width)))


def _depth_gain(layers: int | None, layer: int | None) -> float:
    """Return 1/sqrt(2·layers), or 1/sqrt(2·(layer + 1)); layer counts from 0."""
    if layers is not None and layer is not None:
        raise ValueError(f"argument 'layer' must be left out beside 'layers', got {shown(layer)}")
    if layers is not None:
        return 1.0 / math.sqrt(2.0 * check_count("layers", layers))
    return 1.0 / math.sqrt(2.0 * (check_count("layer", 0 if layer is None else layer, minimum=0) + 1))


@scheme("small_init", "N(0, 2/(5·dim)), dim = fan_in: Nguyen and Salazar 2019")
def _small_init(*, dim: int | None = None, gain: float = 1.0) -> Rule:
    return _of_dim(VarianceScaling(0.4, gain, "fan_in", "normal"), dim)


@scheme("wang_init", "N(0, std²), std = 2/(layers·sqrt(dim)), dim = fan_in: GPT-NeoX, after Wang's mesh transformer")
def _wang_init(*, layers: int = 1, dim: int | None = None, gain: float = 1.0) -> Rule:
    whole = check_finite("gain", gain, minimum=0)
    return _of_dim(VarianceScaling(1.0, whole * (2.0 / check_count("layers", layers)), "fan_in", "normal"), dim)


@scheme("mitchell", "N(0, gain²/dim) cut at ±cut·std, / sqrt(2·(layer + 1)) if layer is given; dim = fan_in: OLMo")
def _mitchell(*, dim: int | None = None, layer: int | None = None, gain: float = 1.0, cut: float | None = 3.0) -> Rule:
    whole = check_finite("gain", gain, minimum=0) * (1.0 if layer is None else _depth_gain(None, layer))
    return _of_dim(VarianceScaling(1.0, whole, "fan_in", "normal", _check_cut(cut)), dim)


@scheme("depth_scaled", "N(0, std²/(2·layers)), or N(0, std²/(2·(layer + 1))): GPT-2's residual projections")
def _depth_scaled(
    *, std: float = 0.02, layers: int | None = None, layer: int | None = None, cut: float | None = None
) -> Rule:
    spread = check_finite("std", std, minimum=0) * _depth_gain(layers, layer)
    return Fixed(cut_normal(spread, _check_cut(cut)))


@scheme("deepnorm", "Xavier with gain (8·layers)^-1/4, or by other_layers the encoder-decoder's: Wang et al. 2022")
def _deepnorm(
    *, layers: int = 1, other_layers: int | None = None, side: str = "decoder", distribution: str = "normal"
) -> Rule:
    own, decodes = check_count("layers", layers), check_choice("side", side, _SIDES) == "decoder"
    other = None if other_layers is None else check_count("other_layers", other_layers)
    if other is None:
        gain = power(8 * own, -1, 4)
    else:
        gain = power(12 * own, -1, 4) if decodes else 0.87 * power(own**4 * other, -1, 16)
    return VarianceScaling(1.0, gain, "fan_avg", distribution)


@scheme(
    "t_fixup", "Xavier with gain (9·layers)^-1/4 in the decoder, 0.67·layers^-1/4 in the encoder: Huang et al. 2020"
)
def _t_fixup(*, layers: int = 1, side: str = "decoder", distribution: str = "uniform") -> Rule:
    own, decodes = check_count("layers", layers), check_choice("side", side, _SIDES) == "decoder"
    gain = power(9 * own, -1, 4) if decodes else 0.67 * power(own, -1, 4)
    return VarianceScaling(1.0, gain, "fan_avg", distribution)


@scheme("mup", "N(0, s²), s = std; hidden std·sqrt(base_width/fan_in); output std·base_width/fan_in: Yang et al. 2022")
def _mup(
    *,
    part: str = "hidden",
    std: float = 0.02,
    base_width: int = 256,
    layers: int | None = None,
    cut: float | None = None,
) -> Rule:
    spread = check_finite("std", std, minimum=0)
    if layers is not None:
        spread *= _depth_gain(layers, None)
    return _of_part(part, spread, base_width, cut)


@scheme("completep", "as mup, whose residual branches are scaled in the forward pass alone: Dey et al. 2025")
def _completep(*, part: str = "hidden", std: float = 0.02, base_width: int = 256, cut: float | None = None) -> Rule:
    return _of_part(part, check_finite("std", std, minimum=0), base_width, cut)


def _of_part(part: str, std: float, base_width: int, cut: float | None) -> Rule:
    kind, base = check_choice("part", part, _PARTS), check_count("base_width", base_width)
    limit = _check_cut(cut)
    if kind == "hidden":
        return VarianceScaling(float(base), std, "fan_in", "normal", limit)
    if kind == "output":
        return VarianceScaling(float(base) * base, std, SQUARE, "normal", limit)
    return Fixed(cut_normal(std, limit))
