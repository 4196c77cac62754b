"""The names that every framework has: constants, the three plain laws, and one variance-scaling engine."""

from __future__ import annotations

from ...activations import gain as activation_gain
from ...words import check_finite, check_flag, check_integer, plain_string, shown
from ..laws import Constant, Normal, Uniform
from ..registry import scheme
from ..rules import Fixed, PerNeuron, Rule, VarianceScaling
from ..structured import PositiveUnitBall, sparse_count, sparse_share
from ..truncated import TruncatedNormal


def _normal_or_truncated(truncated: object) -> str:
    return "truncated_normal" if check_flag("truncated", truncated) else "normal"


def _he_gain(nonlinearity: str, negative_slope: float | None) -> float:
    leaky = plain_string(nonlinearity) == "leaky_relu"
    if leaky:  # He et al. derive the leaky case; slope 0 is the plain rectifier
        slope = 0.0 if negative_slope is None else check_finite("negative_slope", negative_slope)
        return activation_gain("leaky_relu", slope)
    if negative_slope is not None:
        raise ValueError(
            f"argument 'negative_slope' must be left out for nonlinearity {shown(nonlinearity)}, "
            f"got {shown(negative_slope)}"
        )
    return activation_gain(nonlinearity)


@scheme("zeros", "0")
def _zeros() -> Rule:
    return Fixed(Constant(0.0))


@scheme("ones", "1")
def _ones() -> Rule:
    return Fixed(Constant(1.0))


@scheme("constant", "value")
def _constant(*, value: float = 0.0) -> Rule:
    return Fixed(Constant(value))


@scheme("normal", "N(mean, std²)", "gaussian")
def _normal(*, mean: float = 0.0, std: float = 1.0) -> Rule:
    return Fixed(Normal(mean, std))


@scheme("uniform", "U(low, high)")
def _uniform(*, low: float = 0.0, high: float = 1.0) -> Rule:
    return Fixed(Uniform(low, high))


@scheme("truncated_normal", "N(mean, std²) between mean + lower·std and mean + upper·std; std: before truncation")
def _truncated_normal(*, mean: float = 0.0, std: float = 1.0, lower: float = -2.0, upper: float = 2.0) -> Rule:
    return Fixed(TruncatedNormal(mean, std, lower, upper))


@scheme("variance_scaling", "variance gain²·scale/n, n = fan_in, fan_out or fan_avg")
def _variance_scaling(
    *, scale: float = 1.0, gain: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal"
) -> Rule:
    return VarianceScaling(scale, gain, mode, distribution)


@scheme("xavier_uniform", "U(-a, a), a = gain·sqrt(3·scale/n), n = fan_avg: Glorot and Bengio 2010", "glorot_uniform")
def _xavier_uniform(*, gain: float = 1.0, scale: float = 1.0, mode: str = "fan_avg") -> Rule:
    return VarianceScaling(scale, gain, mode, "uniform")


@scheme("xavier_normal", "N(0, gain²·scale/n), n = fan_avg: Glorot and Bengio 2010", "glorot_normal")
def _xavier_normal(*, gain: float = 1.0, scale: float = 1.0, mode: str = "fan_avg", truncated: bool = False) -> Rule:
    return VarianceScaling(scale, gain, mode, _normal_or_truncated(truncated))


@scheme("he_uniform", "U(-a, a), a = gain(nonlinearity)·sqrt(3·scale/n), n = fan_in: He 2015", "kaiming_uniform")
def _he_uniform(
    *, mode: str = "fan_in", nonlinearity: str = "leaky_relu", negative_slope: float | None = None, scale: float = 1.0
) -> Rule:
    return VarianceScaling(scale, _he_gain(nonlinearity, negative_slope), mode, "uniform")


@scheme("he_normal", "N(0, gain(nonlinearity)²·scale/n), n = fan_in: He 2015", "kaiming_normal", "msra")
def _he_normal(
    *,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    negative_slope: float | None = None,
    scale: float = 1.0,
    truncated: bool = False,
) -> Rule:
    return VarianceScaling(scale, _he_gain(nonlinearity, negative_slope), mode, _normal_or_truncated(truncated))


@scheme("lecun_uniform", "U(-a, a), a = gain·sqrt(3·scale/n), n = fan_in: LeCun et al. 1998")
def _lecun_uniform(*, gain: float = 1.0, scale: float = 1.0, mode: str = "fan_in") -> Rule:
    return VarianceScaling(scale, gain, mode, "uniform")


@scheme("lecun_normal", "N(0, gain²·scale/n), n = fan_in: LeCun et al. 1998")
def _lecun_normal(*, gain: float = 1.0, scale: float = 1.0, mode: str = "fan_in", truncated: bool = False) -> Rule:
    return VarianceScaling(scale, gain, mode, _normal_or_truncated(truncated))


@scheme("positive_unitball", "U(0, 1), each neuron's incoming weights divided by their sum")
def _positive_unitball() -> Rule:
    return PerNeuron(PositiveUnitBall)


@scheme("sparse", "N(0, std²) on k incoming connections of each neuron, 0 elsewhere; k = nonzeros, std = 1/sqrt(k)")
def _sparse(
    *,
    nonzeros: int | None = None,
    sparsity: float | None = None,
    density: float | None = None,
    std: float | None = None,
) -> Rule:
    given = {"nonzeros": nonzeros, "sparsity": sparsity, "density": density}
    words = [word for word, value in given.items() if value is not None]
    if len(words) > 1:
        raise ValueError(f"argument '{words[1]}' must be left out beside {words[0]!r}, got {shown(given[words[1]])}")
    spread = None if std is None else check_finite("std", std, minimum=0)
    shares = [
        None if value is None else check_finite(word, value, minimum=0, maximum=1)
        for word, value in given.items()
        if word != "nonzeros"
    ]
    if words and words[0] != "nonzeros":
        return PerNeuron(sparse_share, (*shares, spread))
    kept = check_integer("nonzeros", 10 if nonzeros is None else nonzeros, minimum=0)
    return PerNeuron(sparse_count, (kept, spread))
