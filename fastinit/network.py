"""The arguments of a probe, checked and completed before anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .activations import Activation, ActivationLike, get_activation
from .arguments import (
    check_bins,
    check_branch_scale,
    check_drawn,
    check_fits,
    check_image,
    check_input_correlation,
    check_normalize,
    check_range,
    check_sizes,
    widened,
)
from .dtypes import check_dtype
from .errors import check_finite, check_flag, check_integer, nearest, plain_value, shown
from .fans import Fans, Layout
from .given import check_bias, check_inputs, check_weights, check_widths
from .laws import Constant, Law, Tensor, Uniform
from .schemes import Scheme, SchemeLike, as_scheme, get_scheme, resolve_scheme
from .streams import check_seed
from .theory import predict

Array = NDArray[Any]

ARGUMENTS = (
    "scheme", "activation", "depth", "width", "batch", "widths", "bias", "sigma_b", "inputs", "backward",
    "bins", "range", "seed", "dtype", "weights", "sigma_w", "residual", "branch_scale", "normalize", "conv", "image",
    "input_correlation",
)  # fmt: skip
# The words that schemes and activations take; which of them a scheme takes, the scheme says.
PARAMETERS = (
    "gain", "scale", "mode", "distribution", "truncated", "nonlinearity", "negative_slope", "mean", "std",
    "low", "high", "lower", "upper", "value", "nonzeros", "alpha",
)  # fmt: skip

# Without a range of its own, an activation's histogram shows the images of this many predicted standard
# deviations of z: all but about one in 10^4 of them.
_SPAN = np.linspace(-4.0, 4.0, 161)
# Predicted standard deviations whose histograms have edges that float32 tells apart.
_SCALES = (1e-30, 1e30)
# Squares of numbers beyond this are none, and every range ends long before.
_LARGE = 1e150


@dataclass(frozen=True, eq=False)
class Network:
    """A network to probe; `resolve` makes it."""

    scheme: str
    weights: tuple[Scheme | Array, ...]
    activation: Activation
    parameter: float
    params: dict[str, Any]
    widths: tuple[int, ...]
    batch: int
    inputs: Array | None
    bias: float | tuple[Array, ...]
    sigma_b: float
    backward: bool
    bins: int
    range: tuple[float, float] | None
    seed: int
    dtype: str
    residual: bool
    branch_scale: float
    normalize: str | None
    conv: int | None
    image: int | None
    input_correlation: float | None
    laws: tuple[Law | Array, ...] = field(init=False)
    """Each layer's law, or its array."""

    def __post_init__(self) -> None:
        known: dict[Any, Law] = {}  # most networks have but one or two shapes of layers
        laws: list[Law | Array] = []
        for weights, pair in zip(self.weights, pairwise(self.widths), strict=True):
            if isinstance(weights, np.ndarray):
                laws.append(weights)
                continue
            key = id(weights), pair
            if key not in known:
                known[key] = weights.rule.law(fans_of(self.conv, pair))
            laws.append(known[key])
        object.__setattr__(self, "laws", tuple(laws))

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.widths) - 1

    @property
    def rows(self) -> int:
        """Inputs, or positions of all input images."""
        return self.batch * (self.image or 1) ** 2

    @property
    def work(self) -> int:
        """Multiplications of the forward pass."""
        return self.rows * (self.conv or 1) ** 2 * sum(n * m for n, m in pairwise(self.widths))

    @property
    def memory(self) -> int:
        """About how many activations are in memory at a time: two layers', or all for a backward pass."""
        return self.rows * (sum(self.widths) if self.backward else 2 * max(self.widths))

    def shape(self, layer: int) -> tuple[int, ...]:
        """Return the shape of W_l."""
        return weight_shape(self.conv, self.widths[layer : layer + 2])

    @property
    def fan_in(self) -> Array:
        """Each layer's fan_in."""
        return np.array(self.widths[:-1]) * (self.conv or 1) ** 2

    @property
    def skips(self) -> list[bool]:
        """Whether each layer has a skip: where its input and its output have the same size."""
        return [self.residual and n == m for n, m in pairwise(self.widths)]

    @property
    def compute_dtype(self) -> str:
        """Type of the arithmetic: weights of 16 bits are rounded to them and used as float32."""
        return "float64" if self.dtype == "float64" else "float32"

    @property
    def plain(self) -> bool:
        """Whether there is nothing but products and activations, which the maps of mean-field theory describe."""
        return self.normalize is None and not any(self.skips)

    def sigma_w(self) -> Array:
        """Return each layer's sqrt(fan_in * mean square of a weight), mean-field theory's sigma_w."""
        with np.errstate(over="ignore"):
            squares = np.array([mean_square(law) for law in self.laws])
            return np.asarray(np.sqrt(squares * self.fan_in))

    def input_q(self) -> float:
        """Return the input's mean square; 1 for one that is yet to be drawn."""
        with np.errstate(over="ignore"):
            return 1.0 if self.inputs is None else float(np.mean(np.square(self.inputs, dtype=np.float64)))

    def ranges(self) -> list[tuple[float, float]]:
        """Return the range of each layer's histogram."""
        if self.range:
            return [self.range] * self.depth
        fixed = None if any(self.skips) else self.activation.range
        ranges = [fixed] * self.depth if fixed else self._predicted_ranges()
        return [widened(*limits, self.bins, self.compute_dtype) for limits in ranges]

    def _predicted_ranges(self) -> list[tuple[float, float]]:
        with np.errstate(over="ignore"):
            bias = self.bias if isinstance(self.bias, float) else _rms(np.concatenate(self.bias))
            mean = 0.0 if self.inputs is None else float(self.inputs.mean(dtype=np.float64))
        return _predicted_ranges(
            self.activation,
            self.parameter if self.activation.parameter else None,
            tuple(self.sigma_w()),
            sigma_b=min(math.hypot(bias, self.sigma_b), _LARGE),
            second_moment=min(self.input_q(), _LARGE * _LARGE),
            mean=min(max(mean, -_LARGE), _LARGE),
            residual=tuple(self.skips),
            branch_scale=self.branch_scale,
            normalize=self.normalize,
        )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments as a `ProbeResult` records them."""
        constant = self.bias if isinstance(self.bias, float) else "biases"
        return {
            "scheme": self.scheme,
            "activation": self.activation.name,
            "widths": self.widths,
            "batch": self.batch,
            "bias": constant or "zeros",
            "sigma_b": self.sigma_b,
            "inputs": "N(0, 1)" if self.inputs is None else "given",
            "backward": self.backward,
            "bins": self.bins,
            "range": self.range,
            "seed": self.seed,
            "dtype": self.dtype,
            "params": {word: _recorded(value) for word, value in self.params.items()},
            "residual": self.residual,
            "branch_scale": self.branch_scale,
            "normalize": self.normalize,
            "conv": self.conv,
            "image": self.image,
            "input_correlation": self.input_correlation,
        }


def _recorded(value: Any) -> Any:
    """Return a parameter as files can hold it: Python's own numbers, functions by their names."""
    return value if value is None or isinstance(value, str | bool | int | float) else get_activation(value).name


def weight_shape(conv: int | None, pair: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a weight between two widths: a matrix, or a kernel."""
    return (conv, conv, *pair) if conv else pair


def fans_of(conv: int | None, pair: tuple[int, ...]) -> Fans:
    """Return the fans of such a weight."""
    field = (conv or 1) ** 2
    return Fans(pair[0] * field, pair[1] * field)


@lru_cache(maxsize=1024)  # a sweep asks again for every seed
def _predicted_ranges(
    phi: Activation, param: float | None, sigma_w: tuple[float, ...], residual: tuple[bool, ...], **options: Any
) -> list[tuple[float, float]]:
    predicted = predict(phi, param=param, sigma_w=sigma_w, depth=len(sigma_w), residual=residual, **options)
    scales = np.clip(np.nan_to_num(np.sqrt(predicted.q), nan=_SCALES[1]), *_SCALES)
    scales[predicted.q == 0] = 1.0
    ranges = []
    for layer, scale in enumerate(scales):
        if residual[layer]:
            spread = 4.0 * float(np.clip(np.nan_to_num(predicted.std[layer], nan=_SCALES[1]), *_SCALES))
            middle = float(np.clip(np.nan_to_num(predicted.mean[layer]), -_SCALES[1], _SCALES[1]))
            ranges.append((middle - spread, middle + spread))
        else:
            ranges.append(phi.range or phi.image(scale * _SPAN, phi.resolve(param)))
    return ranges


def resolve(
    *,
    scheme: SchemeLike = "he_normal",
    activation: ActivationLike = "relu",
    depth: int = 10,
    width: int = 512,
    batch: int = 1024,
    widths: Sequence[int] | None = None,
    bias: str | float | Sequence[Any] = "zeros",
    sigma_b: float = 0.0,
    inputs: Any = None,
    backward: bool = True,
    bins: int = 30,
    range: tuple[float, float] | None = None,
    seed: int | None = 0,
    dtype: str = "float32",
    weights: Sequence[Any] | None = None,
    sigma_w: float | None = None,
    residual: bool = False,
    branch_scale: float | str = 1.0,
    normalize: str | None = None,
    conv: int | None = None,
    image: int | None = None,
    input_correlation: float | None = None,
    **params: Any,
) -> Network:
    """Check every argument of `probe`, with its defaults, and complete them."""
    for word in params:
        check_argument(word)
    params = {word: plain_value(value) for word, value in params.items()}
    phi = get_activation(activation)
    word = phi.parameter or ""
    parameter = phi.resolve(params.get(word) if word else None, argument=word or "param")
    dtype = check_dtype(dtype)
    compute = np.float64 if dtype == "float64" else np.float32
    conv = None if conv is None else check_integer("conv", conv, minimum=1)
    matrices = None if weights is None else check_weights(weights, dtype, conv)
    x = None if inputs is None else check_inputs(inputs, compute, conv is not None)
    sizes = check_widths(widths, depth, width, x, matrices)
    images = check_integer("batch", batch, minimum=1) if x is None else len(x)
    side = check_image(image, conv, x)
    check_sizes(sizes, images * (side or 1) ** 2, conv, "width" if widths is None else "widths")
    counted, arithmetic = check_bins(bins, len(sizes) - 1), np.dtype(compute).name
    check_fits(word or "param", parameter, arithmetic)
    constant, spread = check_bias(bias, sizes, compute), check_finite("sigma_b", sigma_b, minimum=0)
    residual = check_flag("residual", residual)
    seed = check_seed(seed)
    own = {key: value for key, value in params.items() if key != word or key in _words_of(scheme)}
    if matrices is not None:
        _check_alone(own, sigma_w)
    drawn = _schemes(scheme, own, sigma_w, sizes, dtype, conv) if matrices is None else ()
    return Network(
        scheme=drawn[0].name if drawn else "weights",
        weights=matrices or drawn,
        activation=phi,
        parameter=parameter,
        params=params if sigma_w is None else {"sigma_w": check_finite("sigma_w", sigma_w), **params},
        widths=sizes,
        batch=images,
        inputs=x,
        bias=constant,
        sigma_b=check_drawn("sigma_b", spread, spread, arithmetic, constant if isinstance(constant, float) else 0.0),
        backward=check_flag("backward", backward),
        bins=counted,
        range=None if range is None else check_range(range, counted, arithmetic),
        seed=seed,
        dtype=dtype,
        residual=residual,
        branch_scale=check_fits("branch_scale", check_branch_scale(branch_scale, residual, len(sizes) - 1), arithmetic),
        normalize=check_normalize(normalize),
        conv=conv,
        image=side,
        input_correlation=check_input_correlation(input_correlation, conv, images, x),
    )


def check_argument(word: str) -> None:
    """Refuse a keyword that neither `probe` nor any scheme or activation knows."""
    if word in ARGUMENTS or word in PARAMETERS:
        return
    raise TypeError(f"probe() has no argument {shown(word)}{nearest(word, [*ARGUMENTS, *PARAMETERS])}")


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
    layout = Layout((2,), (3,)) if conv else Layout((0,), (1,))
    for resolved, pair in set(zip(schemes, pairwise(sizes), strict=True)):
        resolved.rule.law(fans_of(conv, pair)).check(Tensor(weight_shape(conv, pair), dtype, 0, "", layout))
    return schemes


def _check_alone(params: dict[str, Any], sigma_w: float | None) -> None:
    words = [*params, *(["sigma_w"] if sigma_w is not None else [])]
    if words:
        raise ValueError(f"argument 'weights' must stand alone, without parameters of a scheme, got {', '.join(words)}")


def mean_square(law: Law | Array) -> float:
    """Return the mean square of a weight."""
    if isinstance(law, np.ndarray):
        root = _rms(law)
        return root * root
    if isinstance(law, Constant):
        return law.value * law.value
    mean = law.low / 2 + law.high / 2 if isinstance(law, Uniform) else getattr(law, "mean", 0.0)
    try:
        return float(law.variance + mean * mean)
    except OverflowError:  # a standard deviation whose square is no float
        return math.inf


def _rms(x: Array) -> float:
    finite = x[np.isfinite(x)].astype(np.float64)
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0
