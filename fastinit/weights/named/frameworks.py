"""What single frameworks draw and the others have no name for, in the framework's own words."""

from __future__ import annotations

import math
from fractions import Fraction

from ...activations import gain as activation_gain
from ...words import check_choice, check_finite, check_integer, plain_number
from ..laws import Normal, toward
from ..registry import scheme
from ..rules import Counting, Fixed, Rule, VarianceScaling
from ..structured import Kept
from ..truncated import TruncatedNormal

# MXNet's words for the modes and the distributions.
_FACTORS = {"avg": "fan_avg", "in": "fan_in", "out": "fan_out"}
_KINDS = {"uniform": "uniform", "gaussian": "normal"}


@scheme("torch_default", "U(-a, a), a = gain/sqrt(fan_in): PyTorch's layers, kaiming_uniform_(a=sqrt(5))")
def _torch_default(*, gain: float = 1.0) -> Rule:
    return VarianceScaling(1.0 / 3.0, gain, "fan_in", "uniform")


@scheme("trunc_normal", "N(mean, std²) between a and b, both absolute; std: before truncation: PyTorch's trunc_normal_")
def _trunc_normal(*, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Rule:
    middle, spread = check_finite("mean", mean), check_finite("std", std, above=0)
    low, high = (_bound(word, value) for word, value in (("a", a), ("b", b)))
    if not low < high:
        raise ValueError(f"argument 'b' must be > a = {low!r}, got {high!r}")
    lower, upper = (_in_units(bound, middle, spread, below=bound == high) for bound in (low, high))
    if not lower < upper:
        raise ValueError(f"argument 'std' must leave room between a = {low!r} and b = {high!r}, got {spread!r}")
    return Fixed(TruncatedNormal(middle, spread, lower, upper))


def _bound(word: str, value: object) -> float:
    number = plain_number(value)
    return number if isinstance(number, float) and math.isinf(number) else check_finite(word, value)


def _in_units(bound: float, mean: float, std: float, *, below: bool) -> float:
    """Return the bound in units of std, rounded to the inside, so that no value lies beyond it."""
    if math.isinf(bound):
        return bound
    return toward((Fraction(bound) - Fraction(mean)) / Fraction(std), "float64", below=below)


@scheme("mxnet_xavier", "U(-s, s) or N(0, s²), s = sqrt(magnitude/n), n = fan_avg: MXNet's Xavier")
def _mxnet_xavier(*, magnitude: float = 3.0, factor_type: str = "avg", rnd_type: str = "uniform") -> Rule:
    scale = check_finite("magnitude", magnitude, minimum=0)
    mode = _FACTORS[check_choice("factor_type", factor_type, _FACTORS)]
    kind = check_choice("rnd_type", rnd_type, _KINDS)
    # The magnitude is that of the bound in one case and of the standard deviation in the other.
    return VarianceScaling(scale / 3.0 if kind == "uniform" else scale, 1.0, mode, _KINDS[kind])


@scheme("msra_prelu", "N(0, 2/((1 + slope²)·n)), n = fan_avg: MXNet's MSRAPrelu")
def _msra_prelu(*, factor_type: str = "avg", slope: float = 0.25) -> Rule:
    mode = _FACTORS[check_choice("factor_type", factor_type, _FACTORS)]
    return VarianceScaling(1.0, activation_gain("leaky_relu", check_finite("slope", slope)), mode, "normal")


@scheme("caffe_gaussian", "N(mean, std²), each kept with probability sparse/outputs, else 0: Caffe's GaussianFiller")
def _caffe_gaussian(*, mean: float = 0.0, std: float = 1.0, sparse: int | None = None) -> Rule:
    if sparse is None:
        return Fixed(Normal(mean, std))
    numbers = check_finite("mean", mean), check_finite("std", std, minimum=0)
    return Counting(Kept, (*numbers, check_integer("sparse", sparse, minimum=0)), ("outputs",))
