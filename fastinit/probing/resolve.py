"""From the arguments of a probe to a network: every rule, before anything is drawn."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any

from ..activations import get_activation
from ..theory.limits import check_normalize
from ..weights.dtypes import arithmetic, check_dtype, compute_type
from ..weights.initialize import law_and_layout
from ..weights.laws import Tensor
from ..weights.schemes import Scheme, SchemeLike, as_scheme, get_scheme, resolve_scheme
from ..weights.streams import check_seed
from ..words import PlainWords, check_finite, check_flag, check_integer, plain_value, shown
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
from .given import PROBED, check_bias, check_inputs, check_weights, check_widths
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
    params = {word: plain_value(value) for word, value in params.items()}
    phi = get_activation(given.activation)
    word = phi.parameter or ""
    parameter = phi.resolve(params.get(word) if word else None, argument=word or "param")
    dtype = check_dtype(given.dtype, PROBED)
    compute, computed = compute_type(dtype), arithmetic(dtype)
    conv = None if given.conv is None else check_integer("conv", given.conv, minimum=1)
    matrices = None if given.weights is None else check_weights(given.weights, dtype, conv)
    x = None if given.inputs is None else check_inputs(given.inputs, compute, conv is not None)
    sizes = check_widths(given.widths, given.depth, given.width, x, matrices)
    images = check_integer("batch", given.batch, minimum=1) if x is None else len(x)
    side = check_image(given.image, conv, x)
    check_sizes(sizes, images * (side or 1) ** 2, conv, "width" if given.widths is None else "widths")
    counted = check_bins(given.bins, len(sizes) - 1)
    check_fits(word or "param", parameter, computed)
    biases, spread = check_bias(given.bias, sizes, compute), check_finite("sigma_b", given.sigma_b, minimum=0)
    constant = biases if isinstance(biases, float) else 0.0
    residual = check_flag("residual", given.residual)
    seed = check_seed(given.seed)
    own = {key: value for key, value in params.items() if key != word or key in _words_of(given.scheme)}
    if matrices is not None:
        _check_alone(own, given.sigma_w)
    drawn = _schemes(given.scheme, own, given.sigma_w, sizes, dtype, conv) if matrices is None else ()
    if given.sigma_w is not None:
        params = {"sigma_w": check_finite("sigma_w", given.sigma_w), **params}
    scale = check_branch_scale(given.branch_scale, residual, len(sizes) - 1)
    return Network(
        scheme=drawn[0].name if drawn else "weights",
        weights=matrices or drawn,
        activation=phi.name,
        phi=phi,
        parameter=parameter,
        params={word: _recorded(value) for word, value in params.items()},
        widths=sizes,
        batch=images,
        inputs="N(0, 1)" if x is None else "given",
        x=x,
        bias=(biases or "zeros") if isinstance(biases, float) else "biases",
        biases=biases,
        sigma_b=check_drawn("sigma_b", spread, spread, computed, constant),
        backward=check_flag("backward", given.backward),
        bins=counted,
        range=None if given.range is None else check_range(given.range, counted, computed),
        seed=seed,
        dtype=dtype,
        residual=residual,
        branch_scale=check_fits("branch_scale", scale, computed),
        normalize=check_normalize(given.normalize),
        conv=conv,
        image=side,
        input_correlation=check_input_correlation(given.input_correlation, conv, images, x),
    )


def _recorded(value: Any) -> Any:
    """Return a parameter as files can hold it: Python's own numbers, functions by their names."""
    return value if value is None or isinstance(value, str | bool | int | float) else get_activation(value).name


def _words_of(scheme: SchemeLike) -> Any:
    """Return the parameters that a scheme takes: one that the activation takes, too, goes to both."""
    named = as_scheme(scheme)
    return get_scheme(named).params if isinstance(named, str) else ()


def _schemes(
    scheme: SchemeLike,
    params: dict[str, Any],
    sigma_w: float | None,
    sizes: tuple[int, ...],
    dtype: str,
    conv: int | None,
) -> tuple[Scheme, ...]:
    """Return each layer's scheme, its law checked for the layer's shape."""
    if sigma_w is None:
        schemes = (resolve_scheme(scheme, params),) * (len(sizes) - 1)
    else:
        sigma_w = check_finite("sigma_w", sigma_w, minimum=0)
        if as_scheme(scheme) not in ("he_normal", "normal"):  # the default, or what it is short for
            raise ValueError(f"argument 'sigma_w' must go with scheme 'normal', got scheme {shown(scheme)}")
        if params:
            raise ValueError(f"argument 'sigma_w' must be the scheme's only parameter, got {', '.join(params)}, too")
        stds = {n: sigma_w / math.sqrt(n * (conv or 1) ** 2) for n in sizes[:-1]}
        check_drawn("sigma_w", sigma_w, max(stds.values()), dtype)
        by_fan_in = {n: get_scheme("normal", std=std) for n, std in stds.items()}
        schemes = tuple(by_fan_in[n] for n in sizes[:-1])
    for resolved, pair in set(zip(schemes, pairwise(sizes), strict=True)):
        shape = weight_shape(conv, pair)
        law, layout = law_and_layout(resolved, shape)
        law.check(Tensor(shape, dtype, 0, "", layout))
    return schemes


def _check_alone(params: dict[str, Any], sigma_w: float | None) -> None:
    words = [*params, *(["sigma_w"] if sigma_w is not None else [])]
    if words:
        raise ValueError(f"argument 'weights' must stand alone, without parameters of a scheme, got {', '.join(words)}")
