"""The initializers of `jax.nn.initializers`, by its names and in its form, drawn by fastinit.

Each name makes a function (key, shape, dtype) -> array. The key is the seed: `jax.random.key(42)` gives what
`fastinit.init(…, seed=42)` does, the same key always the same values, whatever is traced, compiled or sharded. With a
key that is known the array is drawn at once, without a copy on CPUs and without a compilation; under `jax.jit`,
`jax.vmap` or `jax.eval_shape` the compiled program calls back for it, and under `jax.eval_shape` nothing is drawn.

Where a name's argument would change how something is drawn, it means what it means in JAX: `he_normal` and its
siblings are truncated at two standard deviations, `uniform(scale)` is U(0, scale).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..weights.dtypes import DTYPES, check_dtype
from ..weights.initialize import init
from ..weights.regions import Shape, check_shape
from ..weights.schemes import Scheme, get_scheme
from ..words import check_finite, check_integer, entries, needs, shown
from .placing import Slices, check_fits, check_sharding, is_traced, place, seed_of, seed_words, trace

with needs("JAX", extra="jax"):
    import jax
    from jax.nn.initializers import Initializer as Initializer
    from jax.nn.initializers import constant as constant  # nothing is drawn for these three: they are JAX's own
    from jax.nn.initializers import ones as ones
    from jax.nn.initializers import zeros as zeros

Axes = int | Sequence[int]
# Of a weight's shape, what `fastinit.init` needs to know of its axes; raises for a shape that has none.
Wiring = Callable[[Shape], dict[str, Any]]


@dataclass(frozen=True)
class Drawn:
    """An initializer: a scheme, how the axes are read, and the dtype where a call gives none.

    Two with the same arguments are equal, so a function that is compiled for one serves the other.
    """

    scheme: Scheme
    wiring: Any
    dtype: str | None = None

    def __call__(self, key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> Any:
        """Return an array.

        Parameters
        ----------
        key
            A key of `jax.random`.
        shape
            Sizes >= 0.
        dtype
            A dtype that `fastinit.init` has; None for the initializer's own, or JAX's default.
        out_sharding
            A NamedSharding, or a PartitionSpec under `jax.set_mesh`: each device has its part drawn. None for the
            default device.

        Returns
        -------
        jax.Array
            The same values on any sharding.

        Raises
        ------
        ValueError, TypeError
            Naming the argument.
        """
        whole = check_shape(shape)
        kind = _canonical(self.dtype if dtype is None else dtype)
        given = self.wiring(whole)

        def fill(seed: int, region: Slices, out: NDArray[Any]) -> None:
            init(self.scheme, whole, seed=seed, dtype=kind, region=region, out=out, **given)

        # An empty region is checked like any other, and nothing is drawn.
        nothing = (0,) * len(whole)
        fill(0, (slice(0, 0),) * len(whole), np.empty(nothing, DTYPES[kind]))
        words = seed_words(key)
        if is_traced(words):
            return trace(words, whole, kind, out_sharding, fill)
        sharding = check_sharding("out_sharding", out_sharding)
        if sharding is not None:
            check_fits("out_sharding", sharding, whole)
        seed = seed_of(np.asarray(words))
        return place(whole, kind, sharding, lambda region, out: fill(seed, region, out))


def _canonical(dtype: Any) -> str:
    name = check_dtype(jax.numpy.result_type(float) if dtype is None else dtype)
    return str(jax.dtypes.canonicalize_dtype(DTYPES[name]).name)


def _made(scheme: Scheme, wiring: Wiring, dtype: Any) -> Initializer:
    return Drawn(scheme, wiring, None if dtype is None else check_dtype(dtype))


def _no_axes(shape: Shape) -> dict[str, Any]:
    return {}


def uniform(scale: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Return an initializer of U(0, scale).

    Parameters
    ----------
    scale
        A number >= 0.
    dtype
        Of arrays whose call gives none.

    Examples
    --------
    >>> import jax
    >>> from fastinit.jax import initializers
    >>> x = initializers.uniform(0.5)(jax.random.key(0), (1000,))
    >>> bool((x >= 0).all() and (x < 0.5).all())
    True
    """
    return _made(get_scheme("uniform", low=0.0, high=check_finite("scale", scale, minimum=0)), _no_axes, dtype)


def normal(stddev: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Return an initializer of N(0, stddev²).

    Parameters
    ----------
    stddev
        A number >= 0.
    dtype
        Of arrays whose call gives none.

    Examples
    --------
    >>> import fastinit as fi, jax
    >>> from fastinit.jax import initializers
    >>> x = initializers.normal(0.02)(jax.random.key(42), (3, 4))
    >>> bool((x == fi.normal((3, 4), std=0.02, seed=42)).all())
    True
    """
    return _made(get_scheme("normal", std=check_finite("stddev", stddev, minimum=0)), _no_axes, dtype)


def truncated_normal(stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0) -> Initializer:
    """Return an initializer of N(0, stddev²) between lower·stddev and upper·stddev; stddev: before truncation.

    Parameters
    ----------
    stddev
        A number >= 0.
    dtype
        Of arrays whose call gives none.
    lower, upper
        lower < upper, in units of stddev.

    Examples
    --------
    >>> import jax
    >>> from fastinit.jax import initializers
    >>> x = initializers.truncated_normal(0.02)(jax.random.key(0), (1000,))
    >>> bool((abs(x) < 0.04).all())
    True
    """
    std = check_finite("stddev", stddev, minimum=0)
    return _made(get_scheme("truncated_normal", std=std, lower=lower, upper=upper), _no_axes, dtype)


@dataclass(frozen=True)
class _Roles:
    """Axes of inputs, of outputs and of independent weights, as JAX names them; all others are space."""

    inputs: Any
    outputs: Any
    batch: Any

    @classmethod
    def of(cls, in_axis: Axes, out_axis: Axes, batch_axis: Axes) -> _Roles:
        """Return them checked, as Python's own integers."""
        return cls(_axes("in_axis", in_axis), _axes("out_axis", out_axis), _axes("batch_axis", batch_axis))

    def __call__(self, shape: Shape) -> dict[str, Any]:
        if len(shape) < 2 and self.inputs == -2:
            raise ValueError(
                f"argument 'shape' must have an input axis. Can't compute input and output sizes of a {len(shape)}"
                f"-dimensional weights tensor. Must be at least 2D, or have in_axis, got {shown(shape)}"
            )
        return {"layout": (self.inputs, self.outputs, self.batch)}


def _axes(argument: str, value: Any) -> Any:
    """Return an axis, or a tuple of axes, of Python's own integers."""
    several = entries(value, 64)
    checked = tuple(check_integer(argument, axis, minimum=-64) for axis in ([value] if several is None else several))
    return checked[0] if several is None else checked


def variance_scaling(
    scale: Any,
    mode: str,
    distribution: str,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """Return an initializer of variance scale / n, n = fan_in, fan_out, or a mean of both.

    Parameters
    ----------
    scale
        A number >= 0.
    mode
        "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
    distribution
        "truncated_normal" (at two standard deviations, and widened to keep its variance), "normal" or "uniform".
    in_axis, out_axis, batch_axis
        An axis, or several: of inputs, of outputs, of independent weights. All others are the taps of a kernel.
    dtype
        Of arrays whose call gives none.

    Examples
    --------
    >>> import fastinit as fi, jax
    >>> from fastinit.jax import initializers
    >>> draw = initializers.variance_scaling(2.0, "fan_in", "normal", in_axis=1, out_axis=2, batch_axis=0)
    >>> x = draw(jax.random.key(42), (8, 16, 32))
    >>> expected = fi.init("variance_scaling", (8, 16, 32), layout="eio", scale=2, distribution="normal", seed=42)
    >>> bool((x == expected).all())
    True
    """
    scheme = get_scheme("variance_scaling", scale=scale, mode=mode, distribution=distribution)
    return _made(scheme, _Roles.of(in_axis, out_axis, batch_axis), dtype)


def _named(name: str, scheme: Scheme, formula: str) -> Callable[..., Initializer]:
    def named(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
        return _made(scheme, _Roles.of(in_axis, out_axis, batch_axis), dtype)

    named.__name__ = named.__qualname__ = name
    named.__doc__ = f"""Return an initializer of {formula}.

    Parameters
    ----------
    in_axis, out_axis, batch_axis, dtype
        As of `variance_scaling`.
    """
    return named


_CUT = {"truncated": True}
_WHERE = "cut at two standard deviations"
glorot_uniform = _named(
    "glorot_uniform",
    get_scheme("xavier_uniform"),
    "U(-a, a), a = sqrt(6 / (fan_in + fan_out)): Glorot and Bengio 2010, equation 16",
)
glorot_normal = _named(
    "glorot_normal",
    get_scheme("xavier_normal", **_CUT),
    f"N(0, 2 / (fan_in + fan_out)), {_WHERE}: Glorot and Bengio 2010",
)
lecun_uniform = _named(
    "lecun_uniform", get_scheme("lecun_uniform"), "U(-a, a), a = sqrt(3 / fan_in): LeCun et al. 1998, section 4.6"
)
lecun_normal = _named(
    "lecun_normal", get_scheme("lecun_normal", **_CUT), f"N(0, 1 / fan_in), {_WHERE}: LeCun et al. 1998, section 4.6"
)
he_uniform = _named(
    "he_uniform", get_scheme("he_uniform"), "U(-a, a), a = sqrt(6 / fan_in): He et al. 2015, equation 10"
)
he_normal = _named(
    "he_normal", get_scheme("he_normal", **_CUT), f"N(0, 2 / fan_in), {_WHERE}: He et al. 2015, equation 10"
)
xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


@dataclass(frozen=True)
class _Columns:
    """One axis of columns; all others together are the rows."""

    column_axis: int

    def __call__(self, shape: Shape) -> dict[str, Any]:
        if not (len(shape) >= 2 and -len(shape) <= self.column_axis < len(shape)):
            raise ValueError(f"argument 'shape' must be at least 2D, with axis {self.column_axis}, got {shown(shape)}")
        column = self.column_axis % len(shape)
        return {"layout": (tuple(a for a in range(len(shape)) if a != column), column)}


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Return an initializer of scale·Q, Q uniform among the matrices of orthonormal columns, or rows if they are fewer.

    Parameters
    ----------
    scale
        A number >= 0.
    column_axis
        The axis of the columns; the others make the rows.
    dtype
        Of arrays whose call gives none.

    Notes
    -----
    Saxe et al. 2014. The last bits are LAPACK's and the machine's.
    """
    axis = check_integer("column_axis", column_axis, minimum=-64)
    return _made(get_scheme("orthogonal", gain=check_finite("scale", scale, minimum=0)), _Columns(axis), dtype)


@dataclass(frozen=True)
class _Kernel:
    """A kernel (…space, in, out) of at most as many inputs as outputs."""

    def __call__(self, shape: Shape) -> dict[str, Any]:
        if not 3 <= len(shape) <= 5 or shape[-1] < shape[-2]:
            rule = "3, 4 or 5 axes (space, inputs, outputs), and at most as many inputs as outputs"
            raise ValueError(f"argument 'shape' must have {rule}, got {shown(shape)}")
        return {"layout": "io"}


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Return an initializer of kernels that are scale·Q at the middle tap, Q orthogonal, and 0 elsewhere.

    Parameters
    ----------
    scale
        A number >= 0.
    column_axis
        As in JAX; the distribution is the same for each.
    dtype
        Of arrays whose call gives none.

    Notes
    -----
    Xiao et al. 2018, section 2.
    """
    check_integer("column_axis", column_axis, minimum=-2, maximum=1)
    return _made(get_scheme("delta_orthogonal", gain=check_finite("scale", scale, minimum=0)), _Kernel(), dtype)
