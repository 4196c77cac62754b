"""Keras's initializers, by its names, with its parameters, configurations and seeds, drawn by fastinit on any backend.

```python
import keras
from fastinit.keras import HeNormal, scope

keras.layers.Dense(64, kernel_initializer=HeNormal(seed=1))
with scope():  # every initializer that is named by a string, the layers' own defaults among them
    model = keras.Sequential([keras.layers.Dense(64, kernel_initializer="he_normal")])
```

Each class is derived from Keras's own of that name, from which it has everything but the values: parameters, their
checks, `get_config`, `clone`, serialization, and what a seed means. An initializer with an integer, or without a seed,
gives the same values at each call; one with a `keras.random.SeedGenerator` gives new ones. Seed s is `seed=s` of
`fastinit.init`, so the values are the same on every backend, and in NumPy, PyTorch and JAX beside it.

`Zeros`, `Ones`, `Constant`, `Identity` and `STFT` draw nothing and are Keras's own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from fastinit_kernels.machine.forks import whole
from numpy.typing import NDArray

from .weights.dtypes import check_dtype
from .weights.initialize import init
from .weights.regions import Shape, check_shape
from .words import check_finite, needs, plain_string, shown

with needs("Keras", extra="keras"):
    import keras
    from keras.initializers import STFT as STFT
    from keras.initializers import Constant as Constant
    from keras.initializers import Identity as Identity
    from keras.initializers import IdentityInitializer as IdentityInitializer
    from keras.initializers import Initializer as Initializer
    from keras.initializers import Ones as Ones
    from keras.initializers import STFTInitializer as STFTInitializer
    from keras.initializers import Zeros as Zeros
    from keras.initializers import constant as constant
    from keras.initializers import deserialize as deserialize
    from keras.initializers import identity as identity
    from keras.initializers import ones as ones
    from keras.initializers import serialize as serialize
    from keras.initializers import stft as stft
    from keras.initializers import zeros as zeros

_registered = keras.saving.register_keras_serializable(package="fastinit")


class _Drawn(keras.initializers.Initializer):
    """What turns one of Keras's initializers into one of ours: a call draws `_scheme` of `fastinit.init`."""

    seed: Any

    def _scheme(self, shape: Shape) -> tuple[str, dict[str, Any]]:
        """Return a scheme's name, and its parameters and axes for a shape."""
        raise NotImplementedError

    def __call__(self, shape: Any, dtype: Any = None, layout: Any = None) -> Any:
        """Return a tensor of Keras's backend.

        Parameters
        ----------
        shape
            Sizes >= 0.
        dtype
            A floating dtype; None for `keras.config.floatx()`.
        layout
            A `keras.distribution.TensorLayout` or the backend's own: with JAX each device has its part drawn.

        Returns
        -------
        tensor
            On CPUs with NumPy, PyTorch and JAX the memory that was drawn to.

        Raises
        ------
        ValueError, TypeError
            Naming the argument.
        """
        checked = check_shape(shape)
        kind = _dtype_of(dtype)
        scheme, words = self._scheme(checked)

        def fill(seed: int, region: Any, out: NDArray[Any] | None) -> NDArray[Any]:
            return init(scheme, checked, seed=seed, dtype=kind, region=region, out=out, **words)

        fill(0, (slice(0, 0),) * len(checked), None)  # a law that cannot be is refused before a seed is used up
        here = getattr(layout, "backend_layout", layout)
        if keras.backend.backend() == "jax":
            return _jax(_seed_words(self.seed), checked, kind, here, fill)
        drawn = fill(_seed(_seed_words(self.seed)), None, None)
        tensor = _TAKEN.get(keras.backend.backend(), keras.ops.convert_to_tensor)(drawn)
        return tensor if layout is None else keras.distribution.distribute_tensor(tensor, layout)


def _dtype_of(dtype: Any) -> str:
    try:
        named = keras.backend.standardize_dtype(dtype)
    except Exception:  # what Keras does not know is refused in our words
        named = dtype
    return check_dtype(named)


def _seed_words(seed: Any) -> Any:
    """Return two words: an integer and 0, or those of the generator, which goes on."""
    if isinstance(seed, keras.random.SeedGenerator):
        return seed.next()
    return np.array([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF], np.uint32)  # of any size, as in Keras


def _seed(words: Any) -> int:
    low, high = (int(word) & 0xFFFFFFFF for word in words.tolist())
    return low | high << 32


def _jax(words: Any, shape: Shape, dtype: str, layout: Any, fill: Any) -> Any:
    """Return an array on the devices of a layout; of a generator that JAX traces, by a call back."""
    with whole:
        from .jax import placing

    if placing.is_traced(words):  # as a key, the word that counts for more comes first
        return placing.trace(words[::-1].astype("uint32"), shape, dtype, layout, fill)
    seed = _seed(words)
    sharding = placing.check_sharding("layout", layout)
    if sharding is not None:
        placing.check_fits("layout", sharding, shape)
    return placing.place(shape, dtype, sharding, lambda region, out: fill(seed, region, out))


def _torch(array: NDArray[Any]) -> Any:
    """Return a tensor of PyTorch's that shares the array's memory; PyTorch takes none of NumPy's 16-bit bfloat16."""
    torch = sys.modules["torch"]
    plain = array if array.dtype.kind in "fc" else array.view(f"i{array.itemsize}")
    return keras.ops.convert_to_tensor(torch.from_numpy(plain).view(getattr(torch, array.dtype.name)))


# Backend -> how its tensor takes over an array; `keras.ops.convert_to_tensor` copies where it need not.
_TAKEN = {"numpy": lambda array: array, "torch": _torch}


@_registered
class RandomNormal(_Drawn, keras.initializers.RandomNormal):
    """N(mean, stddev²).

    Parameters
    ----------
    mean, stddev
        Finite; stddev >= 0.
    seed
        An integer, a `keras.random.SeedGenerator`, or None for one at random.

    Examples
    --------
    >>> import fastinit as fi, keras
    >>> from fastinit.keras import RandomNormal
    >>> w = RandomNormal(stddev=0.02, seed=3)((4, 5))
    >>> bool((keras.ops.convert_to_numpy(w) == fi.normal((4, 5), std=0.02, seed=3)).all())
    True
    """

    def _scheme(self, shape: Shape) -> tuple[str, dict[str, Any]]:
        std = check_finite("stddev", self.stddev, minimum=0)
        return "normal", {"mean": check_finite("mean", self.mean), "std": std}


@_registered
class TruncatedNormal(_Drawn, keras.initializers.TruncatedNormal):
    """N(mean, stddev²) between mean ± 2 stddev; stddev: before truncation.

    Parameters
    ----------
    mean, stddev
        Finite; stddev >= 0.
    seed
        An integer, a `keras.random.SeedGenerator`, or None for one at random.
    """

    def _scheme(self, shape: Shape) -> tuple[str, dict[str, Any]]:
        std = check_finite("stddev", self.stddev, minimum=0)
        return "truncated_normal", {"mean": check_finite("mean", self.mean), "std": std}


@_registered
class RandomUniform(_Drawn, keras.initializers.RandomUniform):
    """U(minval, maxval), minval included and maxval not.

    Parameters
    ----------
    minval, maxval
        Finite, minval <= maxval.
    seed
        An integer, a `keras.random.SeedGenerator`, or None for one at random.
    """

    def _scheme(self, shape: Shape) -> tuple[str, dict[str, Any]]:
        return "uniform", {"low": check_finite("minval", self.minval), "high": check_finite("maxval", self.maxval)}


class _Scaled(_Drawn):
    """One whose law follows from the fans."""

    _name: str
    _truncated = True

    def _scheme(self, shape: Shape) -> tuple[str, dict[str, Any]]:
        return self._name, {**({"truncated": True} if self._truncated else {}), **self._fans(shape)}

    def _fans(self, shape: Shape) -> dict[str, Any]:
        """Return what says the fans as Keras counts them; those of vectors and scalars are its own."""
        inputs, outputs = (getattr(self, f"{end}_axes", None) for end in ("input", "output"))
        if inputs is not None and outputs is not None:
            named = {axis % max(1, len(shape)) for axis in (*inputs, *outputs)}
            return {"layout": (list(inputs), list(outputs), [a for a in range(len(shape)) if a not in named])}
        if len(shape) < 2:
            return dict.fromkeys(("fan_in", "fan_out"), max(1, *shape, 1))
        return {"layout": "io"}


@_registered
class VarianceScaling(_Scaled, keras.initializers.VarianceScaling):
    """Variance scale / n, n = fan_in, fan_out or their mean.

    Parameters
    ----------
    scale
        A number > 0.
    mode
        "fan_in", "fan_out" or "fan_avg".
    distribution
        "truncated_normal" (at two standard deviations, and widened to keep its variance; "normal" means the same),
        "untruncated_normal" or "uniform".
    seed
        An integer, a `keras.random.SeedGenerator`, or None for one at random.
    input_axes, output_axes
        Axes of inputs and of outputs (in Keras's versions that have them); those in neither count for nothing.

    Examples
    --------
    >>> import fastinit as fi, keras
    >>> from fastinit.keras import VarianceScaling
    >>> w = VarianceScaling(2.0, "fan_in", "untruncated_normal", seed=3)((3, 3, 4, 5))
    >>> expected = fi.init("variance_scaling", (3, 3, 4, 5), scale=2.0, distribution="normal", seed=3)
    >>> bool((keras.ops.convert_to_numpy(w) == expected).all())
    True
    """

    def _scheme(self, shape: Shape) -> tuple[str, dict[str, Any]]:
        distribution = "normal" if self.distribution == "untruncated_normal" else self.distribution
        words = {"scale": self.scale, "mode": self.mode, "distribution": distribution}
        return "variance_scaling", {**words, **self._fans(shape)}


_OF_SEED = """

    Parameters
    ----------
    seed
        An integer, a `keras.random.SeedGenerator`, or None for one at random.
    input_axes, output_axes
        As of `VarianceScaling`.
    """


@_registered
class GlorotUniform(_Scaled, keras.initializers.GlorotUniform):
    __doc__ = "U(-a, a), a = sqrt(6 / (fan_in + fan_out)): Glorot and Bengio 2010, equation 16." + _OF_SEED
    _name = "xavier_uniform"
    _truncated = False


@_registered
class GlorotNormal(_Scaled, keras.initializers.GlorotNormal):
    __doc__ = "N(0, 2 / (fan_in + fan_out)), cut at two standard deviations: Glorot and Bengio 2010." + _OF_SEED
    _name = "xavier_normal"


@_registered
class LecunUniform(_Scaled, keras.initializers.LecunUniform):
    __doc__ = "U(-a, a), a = sqrt(3 / fan_in): LeCun et al. 1998, section 4.6." + _OF_SEED
    _name = "lecun_uniform"
    _truncated = False


@_registered
class LecunNormal(_Scaled, keras.initializers.LecunNormal):
    __doc__ = "N(0, 1 / fan_in), cut at two standard deviations: LeCun et al. 1998, section 4.6." + _OF_SEED
    _name = "lecun_normal"


@_registered
class HeUniform(_Scaled, keras.initializers.HeUniform):
    __doc__ = "U(-a, a), a = sqrt(6 / fan_in): He et al. 2015, equation 10." + _OF_SEED
    _name = "he_uniform"
    _truncated = False


@_registered
class HeNormal(_Scaled, keras.initializers.HeNormal):
    __doc__ = "N(0, 2 / fan_in), cut at two standard deviations: He et al. 2015, equation 10." + _OF_SEED
    _name = "he_normal"


@_registered
class Orthogonal(_Drawn, keras.initializers.Orthogonal):
    """gain·Q, Q uniform among the matrices (all axes but the last, the last) with orthonormal columns, or rows.

    Parameters
    ----------
    gain
        A number >= 0.
    seed
        An integer, a `keras.random.SeedGenerator`, or None for one at random.
    """

    def _scheme(self, shape: Shape) -> tuple[str, dict[str, Any]]:
        if len(shape) < 2:
            raise ValueError(f"argument 'shape' must have at least two axes, got {shown(shape)}")
        layout = tuple(range(len(shape) - 1)), len(shape) - 1
        return "orthogonal", {"gain": check_finite("gain", self.gain, minimum=0), "layout": layout}


_CLASSES = (
    RandomNormal, TruncatedNormal, RandomUniform, VarianceScaling, GlorotUniform, GlorotNormal, LecunUniform,
    LecunNormal, HeUniform, HeNormal, Orthogonal,
)  # fmt: skip
glorot_uniform, glorot_normal, orthogonal, OrthogonalInitializer = GlorotUniform, GlorotNormal, Orthogonal, Orthogonal
he_uniform, he_normal, lecun_uniform, lecun_normal = HeUniform, HeNormal, LecunUniform, LecunNormal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling = VarianceScaling

# Every word by which Keras knows an initializer that draws -> ours.
_NAMES: Mapping[str, Any] = {
    word: thing
    for word, thing in {**globals(), "uniform": RandomUniform, "normal": RandomNormal}.items()
    if isinstance(thing, type) and thing in _CLASSES
}


def get(identifier: Any) -> Any:
    """Return the initializer of a name, a configuration or a tensor, as `keras.initializers.get` does; ours by name.

    Parameters
    ----------
    identifier
        A name that Keras has, such as "he_normal" or "HeNormal", or whatever else its `get` takes.

    Returns
    -------
    keras.initializers.Initializer or callable

    Examples
    --------
    >>> from fastinit.keras import get, HeNormal
    >>> isinstance(get("he_normal"), HeNormal)
    True
    """
    ours = _NAMES.get(plain_string(identifier) or "")
    return keras.initializers.get(identifier) if ours is None else ours()


def scope() -> Any:
    """Return a context in which Keras takes our initializers for its names: layers' defaults, strings, old models.

    Returns
    -------
    context manager

    Examples
    --------
    >>> import keras
    >>> from fastinit.keras import GlorotUniform, scope
    >>> with scope():
    ...     layer = keras.layers.Dense(3)
    >>> isinstance(layer.kernel_initializer, GlorotUniform)
    True
    """
    return keras.saving.custom_object_scope(dict(_NAMES))
