"""The arguments of a probe, checked and completed before anything is drawn."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .activations import Activation, get_activation
from .errors import check_finite, check_integer, unknown
from .fans import Fans, Layout
from .initialize import DTYPES
from .laws import Constant, Law, Tensor, Uniform
from .schemes import Scheme, get_scheme
from .streams import check_seed
from .theory import predict

Array = NDArray[Any]

ARGUMENTS = (
    "scheme", "activation", "depth", "width", "batch", "widths", "bias", "sigma_b", "inputs", "backward",
    "bins", "range", "seed", "dtype", "weights", "sigma_w",
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

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.widths) - 1

    @property
    def work(self) -> int:
        """Multiplications of the forward pass."""
        return self.batch * sum(n * m for n, m in pairwise(self.widths))

    @property
    def memory(self) -> int:
        """About how many activations are in memory at a time: two layers', or all for a backward pass."""
        return self.batch * (sum(self.widths) if self.backward else 2 * max(self.widths))

    @property
    def compute_dtype(self) -> str:
        """Type of the arithmetic: weights of 16 bits are rounded to them and used as float32."""
        return "float64" if self.dtype == "float64" else "float32"

    @cached_property
    def laws(self) -> list[Law | Array]:
        """Each layer's law, or its array."""
        known: dict[Any, Law] = {}  # most networks have but one or two shapes of layers
        laws: list[Law | Array] = []
        for weights, shape in zip(self.weights, pairwise(self.widths), strict=True):
            if isinstance(weights, np.ndarray):
                laws.append(weights)
                continue
            key = id(weights), shape
            if key not in known:
                known[key] = weights.law(Fans(*shape))
            laws.append(known[key])
        return laws

    def sigma_w(self) -> Array:
        """Return each layer's sqrt(fan_in * mean square of a weight), mean-field theory's sigma_w."""
        squares = np.array([_mean_square(law) for law in self.laws])
        return np.sqrt(squares * self.widths[:-1])

    def input_q(self) -> float:
        """Return the input's mean square; 1 for one that is yet to be drawn."""
        return 1.0 if self.inputs is None else float(np.mean(np.square(self.inputs, dtype=np.float64)))

    def ranges(self) -> list[tuple[float, float]]:
        """Return the range of each layer's histogram."""
        fixed = self.range or self.activation.range
        if fixed:
            return [fixed] * self.depth
        bias = self.bias if isinstance(self.bias, float) else _rms(np.concatenate(self.bias))
        param = self.parameter if self.activation.parameter else None
        spread = min(math.hypot(bias, self.sigma_b), 1e150)
        return _predicted_ranges(self.activation.name, param, tuple(self.sigma_w()), spread, self.input_q())

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
            "params": self.params,
        }


@lru_cache(maxsize=1024)  # a sweep asks again for every seed
def _predicted_ranges(
    name: str, param: float | None, sigma_w: tuple[float, ...], sigma_b: float, input_q: float
) -> list[tuple[float, float]]:
    phi = get_activation(name)
    q = predict(name, sigma_w=sigma_w, sigma_b=sigma_b, second_moment=input_q, depth=len(sigma_w), param=param).q
    scales = np.clip(np.nan_to_num(np.sqrt(q), nan=_SCALES[1]), *_SCALES)
    scales[q == 0] = 1.0
    values = [phi.function(scale * _SPAN, phi.resolve(param)) for scale in scales]
    return [(float(v.min()), float(v.max())) for v in values]


def resolve(
    *,
    scheme: str | Scheme = "he_normal",
    activation: str = "relu",
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
    **params: Any,
) -> Network:
    """Check every argument of `probe`, with its defaults, and complete them."""
    for word in params:
        check_argument(word)
    phi = get_activation(activation)
    word = phi.parameter or ""
    parameter = phi.resolve(params.get(word) if word else None, argument=word or "param")
    dtype = _dtype(dtype)
    compute = np.float64 if dtype == "float64" else np.float32
    matrices = None if weights is None else _matrices(weights, dtype)
    x = None if inputs is None else _inputs(inputs, compute)
    sizes = _widths(widths, depth, width, x, matrices)
    seed = check_seed(seed)
    own = {key: value for key, value in params.items() if key != word or key in _words_of(scheme)}
    if matrices is not None:
        _check_alone(own, sigma_w)
    drawn = _schemes(scheme, own, sigma_w, sizes, dtype) if matrices is None else ()
    return Network(
        scheme=drawn[0].name if drawn else "weights",
        weights=matrices or drawn,
        activation=phi,
        parameter=parameter,
        params=params if sigma_w is None else {"sigma_w": float(sigma_w), **params},
        widths=sizes,
        batch=check_integer("batch", batch, minimum=1) if x is None else len(x),
        inputs=x,
        bias=_bias(bias, sizes, compute),
        sigma_b=check_finite("sigma_b", sigma_b, minimum=0),
        backward=_flag("backward", backward),
        bins=check_integer("bins", bins, minimum=1),
        range=None if range is None else _range(range),
        seed=seed,
        dtype=dtype,
    )


def check_argument(word: str) -> None:
    """Refuse a keyword that neither `probe` nor any scheme or activation knows."""
    if word in ARGUMENTS or word in PARAMETERS:
        return
    near = difflib.get_close_matches(word, [*ARGUMENTS, *PARAMETERS], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise TypeError(f"probe() has no argument {word!r}{hint}")


def _words_of(scheme: str | Scheme) -> Any:
    """Return the parameters that a scheme takes: one that the activation takes, too, goes to both."""
    return () if isinstance(scheme, Scheme) else get_scheme(scheme).params


def _schemes(
    scheme: str | Scheme, params: dict[str, Any], sigma_w: float | None, sizes: tuple[int, ...], dtype: str
) -> tuple[Scheme, ...]:
    """Return each layer's scheme, its law checked for the layer's shape."""
    if sigma_w is None:
        schemes = (_one_scheme(scheme, params),) * (len(sizes) - 1)
    else:
        sigma_w = check_finite("sigma_w", sigma_w, minimum=0)
        if scheme not in ("he_normal", "normal"):  # the default, or what it is short for
            raise ValueError(f"argument 'sigma_w' must go with scheme 'normal', got scheme {scheme!r}")
        if params:
            raise ValueError(f"argument 'sigma_w' must be the scheme's only parameter, got {', '.join(params)}, too")
        by_fan_in = {n: get_scheme("normal", std=sigma_w / math.sqrt(n)) for n in sizes[:-1]}
        schemes = tuple(by_fan_in[n] for n in sizes[:-1])
    for resolved, shape in set(zip(schemes, pairwise(sizes), strict=True)):
        resolved.law(Fans(*shape)).check(Tensor(shape, dtype, 0, "", Layout((0,), (1,))))
    return schemes


def _one_scheme(scheme: str | Scheme, params: dict[str, Any]) -> Scheme:
    if not isinstance(scheme, Scheme):
        return get_scheme(scheme, **params)
    if params:
        raise ValueError(f"argument '{next(iter(params))}' must be given to get_scheme, not beside its result")
    return scheme


def _check_alone(params: dict[str, Any], sigma_w: float | None) -> None:
    words = [*params, *(["sigma_w"] if sigma_w is not None else [])]
    if words:
        raise ValueError(f"argument 'weights' must stand alone, without parameters of a scheme, got {', '.join(words)}")


def _widths(
    widths: Any, depth: Any, width: Any, inputs: Array | None, matrices: tuple[Array, ...] | None
) -> tuple[int, ...]:
    if matrices is not None:
        sizes = (len(matrices[0]), *(w.shape[1] for w in matrices))
        if widths is not None and tuple(widths) != sizes:
            raise ValueError(f"argument 'widths' must be those of weights, {list(sizes)}, got {widths!r}")
    elif widths is not None:
        if isinstance(widths, str) or not isinstance(widths, Sequence | np.ndarray) or len(widths) < 2:
            raise ValueError(f"argument 'widths' must hold the input's size and that of each layer, got {widths!r}")
        sizes = tuple(check_integer("widths", n, minimum=1) for n in widths)
    else:
        n = check_integer("width", width, minimum=1)
        first = n if inputs is None else inputs.shape[1]
        sizes = (first, *(n,) * check_integer("depth", depth, minimum=1))
    if inputs is not None and inputs.shape[1] != sizes[0]:
        raise ValueError(f"argument 'inputs' must have {sizes[0]} columns, the first of widths, got {inputs.shape[1]}")
    return sizes


def _inputs(inputs: Any, compute: Any) -> Array:
    x = _numbers("inputs", inputs, compute)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"argument 'inputs' must have shape (batch, features), neither of them 0, got {x.shape}")
    bad = int(x.size - np.isfinite(x).sum())
    if bad:
        raise ValueError(f"argument 'inputs' must be finite in {np.dtype(compute).name}, got {bad} values that are not")
    return x


def _matrices(weights: Any, dtype: str) -> tuple[Array, ...]:
    if not isinstance(weights, Sequence) or isinstance(weights, str) or not weights:
        raise TypeError(f"argument 'weights' must be a list of arrays (n_in, n_out), got {type(weights).__name__}")
    matrices = tuple(_numbers("weights", w, DTYPES[dtype]) for w in weights)
    for layer, w in enumerate(matrices):
        if w.ndim != 2 or not w.size:
            raise ValueError(f"argument 'weights' must hold arrays (n_in, n_out), got shape {w.shape} in layer {layer}")
        if layer and len(w) != matrices[layer - 1].shape[1]:
            raise ValueError(
                f"argument 'weights' must chain: layer {layer} needs n_in = {matrices[layer - 1].shape[1]}, "
                f"got shape {w.shape}"
            )
    return matrices


def _bias(bias: Any, sizes: tuple[int, ...], compute: Any) -> float | tuple[Array, ...]:
    if isinstance(bias, str):
        if bias != "zeros":
            raise ValueError(f"argument 'bias' must be 'zeros', a finite number or a list of arrays, got {bias!r}")
        return 0.0
    if not isinstance(bias, Sequence):
        return check_finite("bias", bias)
    vectors = tuple(_numbers("bias", b, compute) for b in bias)
    shapes = [b.shape for b in vectors]
    if shapes != [(n,) for n in sizes[1:]]:
        raise ValueError(
            f"argument 'bias' must hold one array a layer, of {list(sizes[1:])} units, got shapes {shapes}"
        )
    return vectors


def _numbers(argument: str, value: Any, compute: Any) -> Array:
    x = np.asarray(value)
    if x.dtype.kind not in "fiub" and x.dtype.name not in DTYPES:
        raise TypeError(f"argument '{argument}' must hold real numbers, got dtype {x.dtype}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(x, dtype=compute)


def _range(limits: Any) -> tuple[float, float]:
    rule = f"argument 'range' must be (low, high), two finite numbers with low < high, got {limits!r}"
    if isinstance(limits, str) or not isinstance(limits, Sequence | np.ndarray) or len(limits) != 2:
        raise ValueError(rule)
    try:
        low, high = (check_finite("range", x) for x in limits)
    except (TypeError, ValueError) as error:
        raise type(error)(rule) from None
    if not low < high or not math.isfinite(high - low):
        raise ValueError(rule)
    return low, high


def _dtype(dtype: Any) -> str:
    try:
        name = np.dtype(dtype).name if not isinstance(dtype, str) else dtype
    except TypeError:
        name = str(dtype)
    if name not in DTYPES:
        raise unknown("dtype", name, DTYPES)
    return name


def _flag(argument: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"argument '{argument}' must be True or False, got {value!r}")
    return bool(value)


def _mean_square(law: Law | Array) -> float:
    if isinstance(law, np.ndarray):
        return _rms(law) ** 2
    if isinstance(law, Constant):
        return law.value**2
    mean = (law.low + law.high) / 2 if isinstance(law, Uniform) else getattr(law, "mean", 0.0)
    return float(law.variance + mean**2)


def _rms(x: Array) -> float:
    finite = x[np.isfinite(x)].astype(np.float64)
    return float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0
