"""Which schemes `recommend` tries: the caller's, or those that the literature has for an activation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from ..activations import Activation
from ..theory import critical_points, fixed_point, variance_map
from ..weights.laws import mean_square
from ..weights.schemes import Scheme, get_scheme, offered, resolve_scheme
from ..weights.schemes import schemes as known_schemes
from ..words import check_choice, entries, plain_string, shown
from .network import Network, law_of

# Of candidates.
_MOST = 1 << 16
# A chi_1 this near 1 is critical: it takes as many layers to matter.
CRITICAL = 1e-6
# Whose scheme an activation has in the literature: of laws that come to the same, that one gives the name. Klambauer
# et al. 2017 derive SELU for LeCun's weights; Glorot and Bengio 2010 look at squashing functions around their linear
# part; He et al. 2015 at rectifiers.
_LECUN = ("lecun", "xavier", "he")
_GLOROT = ("xavier", "lecun", "he")
_HE = ("he", "xavier", "lecun")
_FAMILIES = {"selu": _LECUN} | dict.fromkeys(("linear", "sigmoid", "tanh", "softsign", "hard_tanh", "sin"), _GLOROT)


def chosen(candidates: Any, phi: Activation, arguments: dict[str, Any]) -> list[Scheme]:
    """Return the caller's candidates as schemes."""
    given = None if isinstance(candidates, Scheme) else entries(candidates, _MOST, Iterable)
    if given is None:
        raise TypeError(f"argument 'candidates' must be a list of schemes, got {shown(candidates)}")
    if not 0 < len(given) <= _MOST:
        raise ValueError(f"argument 'candidates' must hold from 1 to {_MOST} schemes, got {shown(candidates)}")
    return [_scheme(candidate, phi, arguments) for candidate in given]


def _scheme(candidate: Any, phi: Activation, arguments: dict[str, Any]) -> Scheme:
    alone = plain_string(candidate) or offered(candidate)
    scheme, params = (alone, {}) if alone is not None else _pair(candidate)
    if isinstance(scheme, str):
        check_choice("candidates", scheme, known_schemes())
        # As in `probe`, a word that scheme and activation share (negative_slope) goes to both.
        shared = {w: arguments[w] for w in get_scheme(scheme).params if w == phi.parameter and w in arguments}
        params = shared | params
    return resolve_scheme(scheme, params)


def _pair(candidate: Any) -> tuple[str, dict[str, Any]]:
    pair = entries(candidate, 2) or ()
    if len(pair) == 2:
        name, params = plain_string(pair[0]), pair[1]
        if name is not None and isinstance(params, dict) and all(isinstance(word, str) for word in params):
            return name, dict(params)
    raise TypeError(
        f"argument 'candidates' must hold scheme names, pairs (name, parameters) or schemes, got {shown(candidate)}"
    )


def sensible(phi: Activation, network: Network) -> list[Scheme]:
    """Return the default candidates, each law once: in a square network fan_in and fan_out are the same."""
    layer = network.layers[0]
    parameter = layer.parameter if phi.parameter else None
    slope = {"negative_slope": layer.parameter} if phi.parameter == "negative_slope" else {}
    named: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "he": [("he_normal", slope), ("he_uniform", slope), ("he_normal", slope | {"truncated": True}),
               ("he_normal", slope | {"mode": "fan_out"})],
        "xavier": [("xavier_normal", {}), ("xavier_uniform", {})],
        "lecun": [("lecun_normal", {}), ("lecun_uniform", {})],
    }  # fmt: skip
    given = [pair for family in _FAMILIES.get(phi.name, _HE) for pair in named[family]]
    given += [
        ("variance_scaling", {"gain": gain, "distribution": "normal"}) for gain in _gains(phi, parameter, layer.sigma_b)
    ]
    laws: dict[Any, Scheme] = {}
    for name, params in given:
        scheme = get_scheme(name, **params)
        kinds = tuple(type(law_of(scheme, network.conv, pair)) for pair in pairwise(network.widths))
        laws.setdefault((kinds, moments(scheme, network)), scheme)
    return list(laws.values())


def by_name(scheme: Scheme, phi: Activation) -> int:
    """Return the rank of a scheme's name for an activation, by the literature; other names come last."""
    family, order = scheme.name.partition("_")[0], _FAMILIES.get(phi.name, _HE)
    return order.index(family) if family in order else len(order)


def moments(scheme: Scheme, network: Network) -> tuple[str, ...]:
    """Return what laws that come to the same have in common: variance and mean square of each layer's weights."""
    laws = [law_of(scheme, network.conv, pair) for pair in pairwise(network.widths)]
    return tuple(f"{law.variance:.9g}, {mean_square(law):.9g}" for law in laws)


def _gains(phi: Activation, parameter: float | None, sigma_b: float) -> list[float]:
    """Return the sigma_w of PyTorch's table, the one that keeps a variance of 1, and the critical one."""
    gains = [phi.table_gain(parameter or 0.0)] if phi.table_gain else []
    moment = float(variance_map(phi, sigma_w=1.0, q0=1.0, depth=1, param=parameter)[0])
    gains += [math.sqrt((1.0 - sigma_b**2) / moment)] if sigma_b < 1.0 else []
    critical = _critical(phi, parameter, sigma_b)
    return gains + ([critical] if critical is not None else [])


def _critical(activation: Activation, parameter: float | None, sigma_b: float) -> float | None:
    """Return the least sigma_w that is critical with these biases, or None."""
    for point in critical_points(activation, sigma_b=sigma_b, param=parameter):
        if point.kind == "repelling":
            continue
        # GELU has chi_1 = 1 at q = 0, too, but never comes to rest there: the signal runs away.
        rest = fixed_point(activation, sigma_w=point.sigma_w, sigma_b=sigma_b, param=parameter)
        if abs(rest.chi1 - 1.0) < CRITICAL:
            return point.sigma_w
    return None
