"""Schemes: what a name and its parameters stand for, and the registry of all names.

The names themselves, a few lines each, are in the modules of `named`, which `schemes` loads.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol

from ..markup import table
from ..words import (
    PlainWords,
    attribute,
    check_finite,
    check_string,
    nearest,
    plain_string,
    plain_value,
    shown,
    unknown,
)
from .fans import Fans
from .laws import Law
from .rules import Rule


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

    def _repr_html_(self) -> str:
        return table(
            ("parameter", "value"), [(k, shown(v)) for k, v in self.params.items()], f"{self.name}: {self.formula}"
        )

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


def scheme(name: str, formula: str, *aliases: str) -> Callable[[Callable[..., Rule]], Callable[..., Rule]]:
    """Register what makes the rule of a scheme; its keywords are the scheme's parameters."""

    def register(build: Callable[..., Rule]) -> Callable[..., Rule]:
        defaults = {p.name: p.default for p in inspect.signature(build).parameters.values()}
        entry = _Entry(name, formula, build, defaults)
        for word in (name, *aliases):
            if word in _REGISTRY:
                raise ValueError(f"scheme {word!r} is registered already, as {_REGISTRY[word].name!r}")
        _REGISTRY.update(dict.fromkeys((name, *aliases), entry))
        return build

    return register


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
        everywhere: `gain` multiplies the standard deviation, `scale` the variance; `mode` is "fan_in", "fan_out",
        "fan_avg" or "fan_geo_avg"; `distribution` "normal", "truncated_normal" or "uniform"; `truncated=True` is the
        form of JAX and Keras, cut at two standard deviations and widened to keep its variance.

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
    al. 1998, section 4.6; sparse: Martens 2010, section 5; orthogonal: Stewart 1980, theorem 3.3; delta_orthogonal:
    Xiao et al. 2018; zero_hadamard: Zhao et al. 2022, algorithms 1 and 2; bilinear: Long et al. 2015, section 3.3.
    Those of the others, who uses them, and which names mean something else in another library: docs/schemes.md.

    Examples
    --------
    >>> import fastinit as fi
    >>> fi.get_scheme("xavier_uniform").law(fi.fans((300, 300)))
    Uniform(low=-0.1, high=0.1)
    """
    name = check_string("scheme", name)  # of a class derived from it, Python's own
    defaults = scheme_defaults(name)
    entry = _REGISTRY[name]
    for parameter in params:
        if parameter not in defaults:
            accepted = ", ".join(defaults) or "none"
            raise ValueError(
                f"argument {shown(parameter)} must be a parameter of scheme {shown(name)} ({accepted}), "
                f"got {shown(params[parameter])}{_meant(parameter, defaults)}"
            )
    values = {**defaults, **{word: plain_value(value) for word, value in params.items()}}
    return Scheme(entry.name, entry.formula, values, entry.build(**values))


# Words of other libraries, and what they may mean here: the first that the scheme has.
_ELSEWHERE = {
    "stddev": ("std",),
    "sigma": ("std",),
    "sd": ("std",),
    "loc": ("mean",),
    "minval": ("low",),
    "maxval": ("high",),
    "a": ("negative_slope", "low", "lower"),
    "b": ("high", "upper"),
    "val": ("value",),
    "fill_value": ("value",),
    "alpha": ("negative_slope",),
    "slope": ("negative_slope",),
    "std": ("gain", "scale"),
    "variance": ("scale",),
}


def _meant(word: str, defaults: Mapping[str, Any]) -> str:
    """Return words on the parameter that another library's word may mean, or a near one."""
    meant = next((name for name in _ELSEWHERE.get(word, ()) if name in defaults), None)
    return f"; did you mean {meant!r}?" if meant else nearest(word, defaults)


def scheme_defaults(name: str) -> Mapping[str, Any]:
    """Return the parameters of a scheme with their defaults."""
    entry = _REGISTRY.get(name)
    if entry is None:
        raise unknown("scheme", name, _REGISTRY)
    return entry.defaults


def scheme_words() -> set[str]:
    """Return every word that some scheme takes."""
    return {word for entry in _REGISTRY.values() for word in entry.defaults}


def resolve_scheme(value: SchemeLike, params: Mapping[str, Any]) -> Scheme:
    """Return the scheme of a name with its parameters, or the one that `get_scheme` or `recommend` returned."""
    scheme = as_scheme(value)
    if isinstance(scheme, str):
        plain = PlainWords.of(params)
        return get_scheme(scheme, **params) if plain is None else _cached_scheme(scheme, plain)
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
def _cached_scheme(name: str, params: PlainWords) -> Scheme:
    return get_scheme(name, **params.words())
