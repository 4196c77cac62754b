"""Scheme names: one variance-scaling engine, each named scheme a few lines on top of it, and the registry."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol

from ..activations import gain as activation_gain
from ..words import (
    attribute,
    check_finite,
    check_flag,
    check_integer,
    check_string,
    plain_string,
    plain_value,
    shown,
    unknown,
)
from .fans import Fans
from .laws import Constant, Law, Normal, Uniform
from .rules import Fixed, PerNeuron, Rule, VarianceScaling
from .structured import PositiveUnitBall, Sparse
from .truncated import TruncatedNormal


@dataclass(frozen=True)
class Scheme:
    """A named scheme with its parameters filled in.

    Attributes
    ----------
    name
        The canonical name.
    formula
        The distribution in one line.
    params
        Every parameter with its value.
    rule
        What turns fans into a law.

    Examples
    --------
    >>> import fastinit as fi
    >>> scheme = fi.get_scheme("he_normal", mode="fan_out")
    >>> print(scheme)
    he_normal(mode='fan_out', nonlinearity='leaky_relu', negative_slope=None, scale=1.0, truncated=False)
    >>> scheme.law(fi.Fans(fan_in=100, fan_out=200))
    Normal(mean=0.0, std=0.1)
    """

    name: str
    formula: str
    params: Mapping[str, Any] = field(hash=False)
    rule: Rule

    def __post_init__(self) -> None:
        for argument in ("name", "formula"):
            object.__setattr__(self, argument, check_string(argument, getattr(self, argument)))
        if not isinstance(self.params, Mapping):
            raise TypeError(f"argument 'params' must be a mapping, got {shown(self.params)}")
        if not callable(attribute(self.rule, "law")):
            raise TypeError(f"argument 'rule' must have a method law(fans), got {shown(self.rule)}")
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def __reduce__(self) -> tuple[Any, ...]:
        # A proxy cannot be pickled, and a sweep hands schemes to other processes.
        return Scheme, (self.name, self.formula, dict(self.params), self.rule)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={shown(v)}' for k, v in self.params.items())})"

    def law(self, fans: Fans) -> Law:
        """Return the law, with the numbers handed to the kernel, of a weight with these fans.

        Raises
        ------
        ValueError, TypeError
            They are no `Fans`, one that the scheme reads is no number >= 0, or nothing can be drawn with them.
        """
        if not isinstance(fans, Fans):
            raise TypeError(f"argument 'fans' must be Fans(fan_in, fan_out), got {shown(fans)}")
        for fan in self.rule.needs:
            check_finite(fan, getattr(fans, fan), minimum=0)
        return self.rule.law(Fans(*map(plain_value, fans)))


class Advised(Protocol):
    """What has a scheme to offer: the advice of `fastinit.recommend`, and each of its candidates."""

    @property
    def scheme(self) -> Scheme: ...


SchemeLike = str | Scheme | Advised


@dataclass(frozen=True)
class _Entry:
    name: str
    formula: str
    build: Callable[..., Rule]
    defaults: Mapping[str, Any]


_REGISTRY: dict[str, _Entry] = {}
# The types of values that a key of a cache may hold.
_HASHED = {int, float, str, bool, type(None)}


def _scheme(name: str, formula: str, *aliases: str) -> Callable[[Callable[..., Rule]], Callable[..., Rule]]:
    def register(build: Callable[..., Rule]) -> Callable[..., Rule]:
        defaults = {p.name: p.default for p in inspect.signature(build).parameters.values()}
        entry = _Entry(name, formula, build, defaults)
        for word in (name, *aliases):
            if word in _REGISTRY:
                raise ValueError(f"scheme {word!r} is registered already, as {_REGISTRY[word].name!r}")
        _REGISTRY.update(dict.fromkeys((name, *aliases), entry))
        return build

    return register


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


@_scheme("zeros", "0")
def _zeros() -> Rule:
    return Fixed(Constant(0.0))


@_scheme("ones", "1")
def _ones() -> Rule:
    return Fixed(Constant(1.0))


@_scheme("constant", "value")
def _constant(*, value: float = 0.0) -> Rule:
    return Fixed(Constant(value))


@_scheme("normal", "N(mean, std²)", "gaussian")
def _normal(*, mean: float = 0.0, std: float = 1.0) -> Rule:
    return Fixed(Normal(mean, std))


@_scheme("uniform", "U(low, high)")
def _uniform(*, low: float = 0.0, high: float = 1.0) -> Rule:
    return Fixed(Uniform(low, high))


@_scheme("truncated_normal", "N(mean, std²) between mean + lower·std and mean + upper·std; std: before truncation")
def _truncated_normal(*, mean: float = 0.0, std: float = 1.0, lower: float = -2.0, upper: float = 2.0) -> Rule:
    return Fixed(TruncatedNormal(mean, std, lower, upper))


@_scheme("variance_scaling", "variance gain²·scale/n, n = fan_in, fan_out or fan_avg")
def _variance_scaling(
    *, scale: float = 1.0, gain: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal"
) -> Rule:
    return VarianceScaling(scale, gain, mode, distribution)


@_scheme("xavier_uniform", "U(-a, a), a = gain·sqrt(3·scale/n), n = fan_avg: Glorot and Bengio 2010", "glorot_uniform")
def _xavier_uniform(*, gain: float = 1.0, scale: float = 1.0, mode: str = "fan_avg") -> Rule:
    return VarianceScaling(scale, gain, mode, "uniform")


@_scheme("xavier_normal", "N(0, gain²·scale/n), n = fan_avg: Glorot and Bengio 2010", "glorot_normal")
def _xavier_normal(*, gain: float = 1.0, scale: float = 1.0, mode: str = "fan_avg", truncated: bool = False) -> Rule:
    return VarianceScaling(scale, gain, mode, _normal_or_truncated(truncated))


@_scheme("he_uniform", "U(-a, a), a = gain(nonlinearity)·sqrt(3·scale/n), n = fan_in: He 2015", "kaiming_uniform")
def _he_uniform(
    *, mode: str = "fan_in", nonlinearity: str = "leaky_relu", negative_slope: float | None = None, scale: float = 1.0
) -> Rule:
    return VarianceScaling(scale, _he_gain(nonlinearity, negative_slope), mode, "uniform")


@_scheme("he_normal", "N(0, gain(nonlinearity)²·scale/n), n = fan_in: He 2015", "kaiming_normal", "msra")
def _he_normal(
    *,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    negative_slope: float | None = None,
    scale: float = 1.0,
    truncated: bool = False,
) -> Rule:
    return VarianceScaling(scale, _he_gain(nonlinearity, negative_slope), mode, _normal_or_truncated(truncated))


@_scheme("lecun_uniform", "U(-a, a), a = gain·sqrt(3·scale/n), n = fan_in: LeCun et al. 1998")
def _lecun_uniform(*, gain: float = 1.0, scale: float = 1.0, mode: str = "fan_in") -> Rule:
    return VarianceScaling(scale, gain, mode, "uniform")


@_scheme("lecun_normal", "N(0, gain²·scale/n), n = fan_in: LeCun et al. 1998")
def _lecun_normal(*, gain: float = 1.0, scale: float = 1.0, mode: str = "fan_in", truncated: bool = False) -> Rule:
    return VarianceScaling(scale, gain, mode, _normal_or_truncated(truncated))


@_scheme("positive_unitball", "U(0, 1), each neuron's incoming weights divided by their sum")
def _positive_unitball() -> Rule:
    return PerNeuron(PositiveUnitBall)


@_scheme("sparse", "N(0, std²) on `nonzeros` incoming connections of each neuron, 0 elsewhere; std = 1/sqrt(nonzeros)")
def _sparse(*, nonzeros: int = 10, std: float | None = None) -> Rule:
    kept = check_integer("nonzeros", nonzeros, minimum=0)
    spread = 1.0 / math.sqrt(max(1, kept)) if std is None else check_finite("std", std, minimum=0)
    return PerNeuron(Sparse, (kept, spread))


def schemes() -> dict[str, str]:
    """Return every accepted scheme name with its formula in one line.

    Returns
    -------
    dict
        Name to formula; an alias says whose it is.

    Examples
    --------
    >>> import fastinit as fi
    >>> fi.schemes()["normal"]
    'N(mean, std²)'
    >>> fi.schemes()["msra"]
    'he_normal'
    """
    return {name: entry.formula if name == entry.name else entry.name for name, entry in _REGISTRY.items()}


def get_scheme(name: str, **params: Any) -> Scheme:
    """Return a scheme with its parameters filled in and checked.

    Parameters
    ----------
    name
        One of `schemes()`.
    **params
        The scheme's own parameters (`get_scheme(name).params` shows them with their defaults), in the same words
        everywhere: `gain` multiplies the standard deviation, `scale` the variance; `mode` is "fan_in", "fan_out" or
        "fan_avg"; `distribution` "normal", "truncated_normal" or "uniform"; `truncated=True` is the form of JAX and
        Keras, cut at two standard deviations and widened to keep its variance.

    Returns
    -------
    Scheme
        `Scheme.law(fans)` gives the law and the numbers handed to the kernel.

    Raises
    ------
    ValueError, TypeError
        For an unknown name (the nearest one is suggested), a parameter the scheme does not have, or a bad value.

    Notes
    -----
    Glorot and Bengio 2010, section 4.2.1, equation 16; He et al. 2015, section 2.2, equations 10 and 14; LeCun et
    al. 1998, section 4.6; sparse: Martens 2010, section 5.

    Examples
    --------
    >>> import fastinit as fi
    >>> fi.get_scheme("xavier_uniform").law(fi.fans((300, 300)))
    Uniform(low=-0.1, high=0.1)
    """
    entry = _REGISTRY.get(check_string("scheme", name))
    if entry is None:
        raise unknown("scheme", name, _REGISTRY)
    for parameter in params:
        if parameter not in entry.defaults:
            accepted = ", ".join(entry.defaults) or "none"
            raise ValueError(
                f"argument {shown(parameter)} must be a parameter of scheme {shown(name)} ({accepted}), "
                f"got {shown(params[parameter])}"
            )
    values = {**entry.defaults, **{word: plain_value(value) for word, value in params.items()}}
    return Scheme(entry.name, entry.formula, values, entry.build(**values))


def scheme_words() -> set[str]:
    """Return every word that some scheme takes."""
    return {word for entry in _REGISTRY.values() for word in entry.defaults}


def resolve_scheme(value: SchemeLike, params: Mapping[str, Any]) -> Scheme:
    """Return the scheme of a name with its parameters, or the one that `get_scheme` or `recommend` returned."""
    scheme = as_scheme(value)
    if isinstance(scheme, str):
        values = [plain_value(value) for value in params.values()]
        kinds = [type(value) for value in values]
        if not _HASHED.issuperset(kinds):
            return get_scheme(scheme, **params)
        # Of equal values the key tells the types and signs apart: True is no 1, and -0.0 no 0.0.
        told = [value or repr(value) for value in values]
        return _cached_scheme(scheme, tuple(params), tuple(values), tuple(kinds), tuple(told))
    if params:
        first = next(iter(params))
        raise ValueError(
            f"argument {shown(first)} must be given to get_scheme, not beside its result, got {shown(params[first])}"
        )
    return scheme


def as_scheme(value: SchemeLike) -> str | Scheme:
    """Return a name as it is, and what else has a scheme as that; anything else is a TypeError."""
    if isinstance(value, Scheme):
        return value
    name = plain_string(value)
    return (offered(value) or check_string("scheme", value)) if name is None else name


def offered(value: object) -> Scheme | None:
    """Return the scheme that a recommendation or a candidate has to offer, None if there is none."""
    scheme = attribute(value, "scheme")
    return scheme if isinstance(scheme, Scheme) else None


@lru_cache(maxsize=256)
def _cached_scheme(name: str, params: tuple[str, ...], values: tuple[Any, ...], *told_apart: Any) -> Scheme:
    return get_scheme(name, **dict(zip(params, values, strict=True)))
