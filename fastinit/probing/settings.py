"""The arguments of a probe: as they are given, and as a network and a result record them.

Each stands here once; `probe` spells them again, with what they mean, and takes its defaults from nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..activations import ACTIVATIONS, ActivationLike
from ..weights.schemes import SchemeLike, scheme_words
from ..words import apart, nearest, shown


@dataclass(frozen=True, eq=False, kw_only=True)
class Arguments:
    """What a caller gives, unchecked; `fastinit.probe` says what each means."""

    scheme: SchemeLike | Sequence[SchemeLike] = "he_normal"
    activation: ActivationLike | Sequence[ActivationLike] = "relu"
    depth: int = 10
    width: int = 512
    batch: int = 1024
    widths: Sequence[int] | None = None
    bias: str | float | Sequence[Any] = "zeros"
    sigma_b: float | Sequence[float] = 0.0
    inputs: Any = None
    backward: bool = True
    bins: int = 30
    range: tuple[float, float] | None = None
    seed: int | None = 0
    dtype: str | Sequence[str] = "float32"
    weights: Sequence[Any] | None = None
    sigma_w: float | Sequence[float | None] | None = None
    residual: bool = False
    branch_scale: float | str = 1.0
    normalize: str | Sequence[str | None] | None = None
    conv: int | None = None
    image: int | None = None
    input_correlation: float | None = None
    network: Sequence[Any] | None = None

    @classmethod
    def of(cls, words: dict[str, Any]) -> tuple[Arguments, dict[str, Any]]:
        """Return a call's words as arguments, and those that are parameters of the scheme or of the activation."""
        params = {word: value for word, value in words.items() if word not in ARGUMENTS}
        for word in params:
            check_argument(word)
        return cls(**{word: value for word, value in words.items() if word in ARGUMENTS}), params


ARGUMENTS = tuple(field.name for field in fields(Arguments))
"""The arguments' names, in their order."""

PER_LAYER = ("scheme", "activation", "bias", "sigma_w", "sigma_b", "normalize", "dtype")
"""Those that may be a list with one entry for each layer."""


def parameter_names() -> set[str]:
    """Return every word that some scheme or activation takes."""
    return scheme_words() | {row.parameter for row in ACTIVATIONS.values() if row.parameter}


apart(parameter_names(), "probe", ARGUMENTS)


def check_argument(word: str) -> None:
    """Refuse a keyword that neither `probe` nor any scheme or activation knows."""
    if word not in ARGUMENTS and word not in parameter_names():
        near = nearest(word, sorted({*ARGUMENTS, *parameter_names()}))
        raise TypeError(f"probe() has no argument {shown(word)}{near}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Settings:
    """The arguments of a probe, checked and completed, in words that a file can hold.

    What the layers differ in is a tuple with one entry a layer.
    """

    scheme: str | tuple[str, ...]
    """Name of the scheme that gave the weights; "weights" if they were given as arrays."""
    activation: str | tuple[str, ...]
    """Name of the activation."""
    widths: tuple[int, ...]
    """n_0 of the input, then the units of each layer."""
    batch: int
    """Rows of the input."""
    bias: str | float | tuple[str | float, ...]
    """"zeros", the constant, or "biases" if they were given as arrays."""
    sigma_b: float | tuple[float, ...]
    """Standard deviation of the drawn biases (0: none drawn)."""
    inputs: str
    """"N(0, 1)", or "given" for an array."""
    backward: bool
    """Whether gradients were computed."""
    bins: int
    """Bins of each histogram."""
    range: tuple[float, float] | None
    """Range of the histograms; None: chosen for each layer."""
    seed: int
    """Seed of every tensor."""
    dtype: str | tuple[str, ...]
    """Type of the weights, and of the arithmetic unless it is one of 16 bits."""
    params: dict[str, Any]
    """Parameters of the scheme and of the activation; in a tuple None where a layer has no such."""
    residual: bool
    """Whether layers that keep the width have a skip."""
    branch_scale: float
    """Factor of the branch beside a skip."""
    normalize: str | tuple[str | None, ...] | None
    """How the rows that enter a layer are normalised: "layer", "rms" or None."""
    conv: int | None
    """Side of the kernels of a stack of convolutions; None: a stack of matrices."""
    image: int | None
    """Pixels along a side of the images."""
    input_correlation: float | None
    """Correlation of the input's row pairs (2m, 2m + 1); None: independent."""

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.widths) - 1

    def settings(self) -> dict[str, Any]:
        """Return these arguments by their names."""
        return {name: getattr(self, name) for name in SETTINGS}


SETTINGS = tuple(field.name for field in fields(Settings))
"""Their names, in their order."""
