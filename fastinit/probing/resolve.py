"""From the arguments of a probe to a network: every rule, before anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from ..activations import Activation, get_activation
from ..theory.limits import check_normalize, collapsed
from ..weights.dtypes import arithmetic, check_dtype, compute_type
from ..weights.initialize import law_and_layout
from ..weights.laws import Law, Tensor
from ..weights.schemes import Scheme, SchemeLike, as_scheme, get_scheme, resolve_scheme, scheme_defaults
from ..weights.streams import check_seed
from ..words import PlainWords, check_finite, check_flag, check_integer, in_layer, plain_value, shown
from .arguments import (
    check_bins,
    check_branch_scale,
    check_drawn,
    check_fits,
    check_image,
    check_input_correlation,
    check_range,
    check_sizes,
)
from .given import PROBED, check_arithmetic, check_bias, check_inputs, check_weights, check_widths
from .layers import Layer, Words
from .network import Network, weight_shape
from .settings import Arguments


def resolve(words: dict[str, Any]) -> Network:
    """Check every argument of `probe`, given by name, and complete them; asked for a further seed, only that."""
    plain = PlainWords.of({word: value for word, value in words.items() if word != "seed"})
    if plain is None:
        return _resolve(words)
    return _cached_network(plain).with_seed(check_seed(words.get("seed", Arguments.seed)))


@lru_cache(maxsize=64)
def _cached_network(words: PlainWords) -> Network:
    return _resolve(words.words())


def _resolve(words: dict[str, Any]) -> Network:
    given, params = Arguments.of(words)
    said = Words.of(given, {word: plain_value(value) for word, value in params.items()})
    dtypes = said.entries["dtype"].checked(lambda dtype: check_dtype(dtype, PROBED))
    compute = compute_type(check_arithmetic(dtypes))
    conv = None if given.conv is None else check_integer("conv", given.conv, minimum=1)
    matrices = None if given.weights is None else check_weights(given.weights, dtypes, conv)
    x = None if given.inputs is None else check_inputs(given.inputs, compute, conv is not None)
    sizes = check_widths(given, said.units, x, matrices)
    images = check_integer("batch", given.batch, minimum=1) if x is None else len(x)
    side = check_image(given.image, conv, x)
    check_sizes(sizes, images * (side or 1) ** 2, conv, _sizes_argument(given))
    counted = check_bins(given.bins, len(sizes) - 1)
    residual = check_flag("residual", given.residual)
    layers, own = _layers(said, sizes, matrices, conv, residual)
    computed = arithmetic(layers[0].dtype)
    scale = check_branch_scale(given.branch_scale, residual, len(sizes) - 1)
    return Network(
        layers=layers,
        scheme=collapsed([layer.scheme for layer in layers]),
        activation=collapsed([layer.phi.name for layer in layers]),
        params={word: collapsed([_recorded(p.get(word)) for p in own]) for p in own for word in p},
        widths=sizes,
        batch=images,
        inputs="N(0, 1)" if x is None else "given",
        x=x,
        bias=collapsed([layer.bias_word for layer in layers]),
        sigma_b=collapsed([layer.sigma_b for layer in layers]),
        backward=check_flag("backward", given.backward),
        bins=counted,
        range=None if given.range is None else check_range(given.range, counted, computed),
        seed=check_seed(given.seed),
        dtype=collapsed([layer.dtype for layer in layers]),
        residual=residual,
        branch_scale=check_fits("branch_scale", scale, computed),
        normalize=collapsed([layer.normalize for layer in layers]),
        conv=conv,
        image=side,
        input_correlation=check_input_correlation(given.input_correlation, conv, images, x),
    )


def _sizes_argument(given: Arguments) -> str:
    """Return the argument that has the layers' sizes."""
    return "network" if given.network is not None else "width" if given.widths is None else "widths"


class _Said(NamedTuple):
    """What is said of one layer, in part checked."""

    scheme: SchemeLike
    phi: Activation
    bias: Any
    sigma_w: float | None
    sigma_b: float
    normalize: str | None
    dtype: str
    own: dict[str, Any]
    matrix: Any


def _layers(
    said: Words, sizes: tuple[int, ...], matrices: Any, conv: int | None, residual: bool
) -> tuple[tuple[Layer, ...], list[dict[str, Any]]]:
    """Return the layers, and the parameters that each has of its scheme and of its activation."""
    depth = len(sizes) - 1
    checks: dict[str, Callable[[Any], Any]] = {
        "scheme": _check_scheme,
        "activation": get_activation,
        "bias": lambda bias: bias,
        "sigma_w": lambda sigma: None if sigma is None else check_finite("sigma_w", sigma, minimum=0),
        "sigma_b": lambda sigma: check_finite("sigma_b", sigma, minimum=0),
        "normalize": check_normalize,
        "dtype": lambda dtype: check_dtype(dtype, PROBED),
    }
    columns = [said.entries[word].checked(check).spread(depth) for word, check in checks.items()]
    rows = [_Said(*row) for row in zip(*columns, said.own.spread(depth), matrices or [None] * depth, strict=True)]
    shared = _shared(said, rows)
    known: dict[Any, tuple[Layer, dict[str, Any]]] = {}  # most networks have but one or two kinds of layers
    made = []
    for index, (row, pair) in enumerate(zip(rows, pairwise(sizes), strict=True)):
        key = *map(id, row), pair, id(shared[index])
        if key not in known:
            with in_layer(index if said.several else None):
                known[key] = _layer(row, shared[index] | row.own, pair, conv, residual)
        made.append(known[key])
    return tuple(layer for layer, _ in made), [params for _, params in made]


def _shared(said: Words, rows: list[_Said]) -> list[dict[str, Any]]:
    """Return which of the call's parameters each layer gets: all of them, or where layers differ those it knows."""
    if not said.several:
        return [said.params] * len(rows)
    known: dict[Any, dict[str, Any]] = {}
    shared = []
    for row in rows:
        key = id(row.scheme), id(row.phi), row.sigma_w is None
        if key not in known:
            taken = {row.phi.parameter, *(_words_of(row.scheme) if row.sigma_w is None else ())}
            known[key] = {word: value for word, value in said.params.items() if word in taken}
        shared.append(known[key])
    # What no layer knows is the first one's to refuse.
    lost = {word: value for word, value in said.params.items() if not any(word in own for own in known.values())}
    return [lost | shared[0], *shared[1:]] if lost else shared


def _layer(
    row: _Said, params: dict[str, Any], pair: tuple[int, int], conv: int | None, residual: bool
) -> tuple[Layer, dict[str, Any]]:
    """Return one layer, and its parameters."""
    computed, word = arithmetic(row.dtype), row.phi.parameter or ""
    parameter = row.phi.resolve(params.get(word) if word else None, argument=word or "param")
    check_fits(word or "param", parameter, computed)
    bias = check_bias(row.bias, pair[1], compute_type(row.dtype))
    # A word that the activation takes goes to the scheme, too, if that has it.
    of_scheme = {key: value for key, value in params.items() if key != word or key in _words_of(row.scheme)}
    if row.matrix is not None:
        _check_alone(of_scheme, row.sigma_w)
        name, weights, law = "weights", row.matrix, row.matrix
    else:
        weights = _scheme(row, of_scheme, pair[0] * (conv or 1) ** 2)
        name, law = weights.name, _law(weights, weight_shape(conv, pair), row.dtype)
    layer = Layer(
        n_in=pair[0],
        n_out=pair[1],
        scheme=name,
        weights=weights,
        law=law,
        phi=row.phi,
        parameter=parameter,
        bias=bias,
        sigma_b=check_drawn("sigma_b", row.sigma_b, row.sigma_b, computed, bias if isinstance(bias, float) else 0.0),
        normalize=row.normalize,
        dtype=row.dtype,
        skip=residual and pair[0] == pair[1],
    )
    return layer, params if row.sigma_w is None else {"sigma_w": row.sigma_w, **params}


def _recorded(value: Any) -> Any:
    """Return a parameter as files can hold it: Python's own numbers, functions by their names."""
    return value if value is None or isinstance(value, str | bool | int | float) else get_activation(value).name


def _check_scheme(scheme: Any) -> SchemeLike:
    """Return a scheme, or a name that is known."""
    named = as_scheme(scheme)
    if isinstance(named, str):
        scheme_defaults(named)
    return named


def _words_of(scheme: SchemeLike) -> Any:
    """Return the parameters that a scheme takes."""
    return get_scheme(scheme).params if isinstance(scheme, str) else ()


def _scheme(row: _Said, params: dict[str, Any], fan_in: int) -> Scheme:
    """Return a layer's scheme."""
    if row.sigma_w is None:
        return resolve_scheme(row.scheme, params)
    if row.scheme not in ("he_normal", "normal"):  # the default, or what it is short for
        raise ValueError(f"argument 'sigma_w' must go with scheme 'normal', got scheme {shown(row.scheme)}")
    if params:
        raise ValueError(f"argument 'sigma_w' must be the scheme's only parameter, got {', '.join(params)}, too")
    std = row.sigma_w / math.sqrt(fan_in)
    check_drawn("sigma_w", row.sigma_w, std, row.dtype)
    return get_scheme("normal", std=std)


def _law(scheme: Scheme, shape: tuple[int, ...], dtype: str) -> Law:
    """Return a scheme's law for a shape, whose numbers the type can hold."""
    law, layout = law_and_layout(scheme, shape)
    law.check(Tensor(shape, dtype, 0, "", layout))
    return law


def _check_alone(params: dict[str, Any], sigma_w: float | None) -> None:
    words = [*params, *(["sigma_w"] if sigma_w is not None else [])]
    if words:
        raise ValueError(f"argument 'weights' must stand alone, without parameters of a scheme, got {', '.join(words)}")
