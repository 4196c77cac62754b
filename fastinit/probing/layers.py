"""Layers: as a caller lists them, and as a checked network has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..activations import Activation, ActivationLike, is_function, label
from ..theory.limits import MOST_LAYERS, Entries
from ..weights.laws import Law
from ..weights.schemes import Scheme, SchemeLike
from ..words import check_integer, entries, in_layer, nearest, plain_value, shown
from .settings import PER_LAYER, Arguments, parameter_names

Array = NDArray[Any]


class _Unsaid:
    """What a layer leaves to the network's own words; None says that there is nothing."""

    def __repr__(self) -> str:
        return "UNSAID"


UNSAID: Any = _Unsaid()


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Dense:
    r"""A dense layer of a network that is listed: :math:`z = h W + b, \quad a = \varphi(z)`.

    `fastinit.probe` takes a list of them, ``network=[Dense(...), ...]``. What a layer does not say is as the
    probe's own argument of that name says it.

    Parameters
    ----------
    units : int
        Units of the layer, >= 1.
    scheme, activation, bias, sigma_w, sigma_b, normalize, dtype
        As `fastinit.probe` takes them, for this layer alone; `bias` may be an array (units,).
    **params
        Parameters of the layer's scheme and of its activation (std, gain, negative_slope, ...).

    Raises
    ------
    TypeError
        A word that neither a layer nor any scheme or activation knows. All else is checked by `fastinit.probe`,
        which names the layer.

    See Also
    --------
    fastinit.probe : probes them.

    Examples
    --------
    A classifier whose head is linear and starts small:

    >>> import fastinit as fi
    >>> head = fi.Dense(10, scheme="normal", std=0.01, activation="linear")
    >>> head
    Dense(10, scheme='normal', activation='linear', std=0.01)
    >>> fi.probe(network=[fi.Dense(64), fi.Dense(64), head], width=100, batch=50)
    ProbeResult(2 he_normal + normal(std=0.01), 2 relu + linear, 100-64-64-10: healthy)
    """

    units: int
    said: Mapping[str, Any]
    """The words that the layer says."""
    params: Mapping[str, Any]
    """Parameters of the scheme and of the activation."""

    def __init__(
        self,
        units: int,
        *,
        scheme: SchemeLike = UNSAID,
        activation: ActivationLike = UNSAID,
        bias: str | float | Array = UNSAID,
        sigma_w: float | None = UNSAID,
        sigma_b: float = UNSAID,
        normalize: str | None = UNSAID,
        dtype: str = UNSAID,
        **params: Any,
    ) -> None:
        words = locals()
        known = parameter_names()
        for word in params:
            if word not in known:
                raise TypeError(f"Dense() has no argument {shown(word)}{nearest(word, sorted({*PER_LAYER, *known}))}")
        said = {word: words[word] for word in PER_LAYER if words[word] is not UNSAID}
        params = {word: plain_value(value) for word, value in params.items()}
        for name, value in {"units": units, "said": said, "params": params}.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        said = {**self.said, **self.params}
        words = [f"{word}={label(value) if is_function(value) else shown(value)}" for word, value in said.items()]
        return f"Dense({', '.join([shown(self.units), *words])})"


class Words(NamedTuple):
    """What is said of the layers, unchecked."""

    entries: Mapping[str, Entries]
    """By each argument."""
    params: dict[str, Any]
    """Parameters of schemes and activations, of whatever layer has them."""
    own: Entries
    """Those of single layers."""
    units: list[int] | None
    """Of the layers, where they are listed."""

    @classmethod
    def of(cls, given: Arguments, params: dict[str, Any]) -> Words:
        """Return the words of a call; those of a listed layer come before the call's own."""
        every = {word: Entries.of(word, getattr(given, word)) for word in PER_LAYER}
        if given.network is None:
            return cls(every, params, Entries("params", [{}], False), None)
        layers = check_network(given)
        merged = {
            word: Entries(word, [_word(word, layer, own) for layer, own in zip(layers, said, strict=True)], True)
            for word, said in ((word, entry.spread(len(layers))) for word, entry in every.items())
        }
        units = []
        for index, layer in enumerate(layers):
            with in_layer(index):
                units.append(check_integer("units", layer.units, minimum=1))
        return cls(merged, params, Entries("params", [layer.params for layer in layers], True), units)

    @property
    def several(self) -> bool:
        """Whether layers may differ in more than their sizes."""
        return any(said.several for said in self.entries.values())


def _word(name: str, layer: Dense, otherwise: Any) -> Any:
    """Return what a layer says by that name, or what is said of all layers."""
    # Of scheme and sigma_w whoever says the one has said the other.
    other = {"scheme": "sigma_w", "sigma_w": "scheme"}.get(name)
    return layer.said.get(name, getattr(Arguments, name) if other in layer.said else otherwise)


def check_network(given: Arguments) -> list[Dense]:
    """Return the layers that a caller lists, and refuse what says the same in other words."""
    layers = entries(given.network, MOST_LAYERS, Sequence)
    if not layers or len(layers) > MOST_LAYERS:
        raise TypeError(f"argument 'network' must be a list of layers such as Dense(512), got {shown(given.network)}")
    for index, layer in enumerate(layers):
        if not isinstance(layer, Dense):
            raise TypeError(
                f"argument 'network' must hold layers such as Dense(512), got {shown(layer)} for layer {index}"
            )
    for word in ("widths", "weights"):
        if getattr(given, word) is not None:
            raise ValueError(f"argument '{word}' must go without network, got {shown(getattr(given, word))}")
    if check_integer("depth", given.depth, minimum=1) not in (Arguments.depth, len(layers)):
        raise ValueError(f"argument 'depth' must go without network, got {shown(given.depth)}")
    return layers


class Layer(NamedTuple):
    """One layer of a checked network; layers that are alike in all this are one object."""

    n_in: int
    n_out: int
    scheme: str
    """Name of the scheme that gave the weights; "weights" if they were given as arrays."""
    weights: Scheme | Array
    law: Law | Array
    """The scheme's law, or the array."""
    phi: Activation
    parameter: float
    """That of phi."""
    bias: float | Array
    """The constant, or the array."""
    sigma_b: float
    normalize: str | None
    dtype: str
    skip: bool
    """Whether its input is added to its output."""

    @property
    def bias_word(self) -> str | float:
        """The bias as a file has it."""
        return (self.bias or "zeros") if isinstance(self.bias, float) else "biases"


def each(value: Any, depth: int) -> list[Any]:
    """Return what a setting, or a parameter, is in each layer: a tuple has an entry for each."""
    return list(value) if isinstance(value, tuple) else [value] * depth


def in_runs(values: Any) -> str:
    """Return what is said of the layers in short.

    Examples
    --------
    >>> in_runs("relu"), in_runs(("relu", "relu", "linear"))
    ('relu', '2 relu + linear')
    """
    return " + ".join(_runs(values)) if isinstance(values, tuple) else str(values)


def _runs(values: tuple[Any, ...]) -> Iterator[str]:
    start = 0
    for end in range(1, len(values) + 1):
        if end == len(values) or values[end] != values[start]:
            count = end - start
            yield f"{count} {values[start]}" if count > 1 else str(values[start])
            start = end


def rms(x: Array) -> float:
    """Return the root mean square of what is finite in an array."""
    finite = x[np.isfinite(x)].astype(np.float64)
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0
