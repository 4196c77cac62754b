"""Weights as Dask arrays: larger than memory, drawn by chunks on threads, processes or a cluster.

Every chunk is a region of one tensor, so its values do not depend on how the tensor is cut, on which worker draws it,
or on how often: `fastinit.dask.init(…).compute()` is `fastinit.init(…)`, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from fastinit_kernels.machine.forks import whole
from numpy.typing import DTypeLike, NDArray

from .weights.dtypes import DTYPES, check_dtype
from .weights.fans import LayoutLike, StrideLike
from .weights.initialize import init as draw
from .weights.regions import Shape, ShapeLike, check_shape
from .weights.schemes import Scheme, SchemeLike, resolve_scheme
from .weights.streams import check_name, check_seed
from .words import needs, shown

with needs("Dask", extra="dask"):
    import dask.array
    from dask.base import tokenize


@dataclass(frozen=True)
class _Chunks:
    """What draws a chunk by the numbers that it has along the axes."""

    scheme: Scheme
    shape: Shape
    words: dict[str, Any]
    starts: tuple[tuple[int, ...], ...]

    def __call__(self, block_id: tuple[int, ...] = ()) -> NDArray[Any]:
        """Draw a chunk on this thread alone: a worker has as many as it may use."""
        with whole:
            from fastinit_kernels.machine.threads import alone

        ends = [(axis[n], axis[n + 1]) for axis, n in zip(self.starts, block_id, strict=True)]
        with alone():
            return draw(self.scheme, self.shape, region=tuple(slice(*end) for end in ends), **self.words)


def init(
    scheme: SchemeLike,
    shape: ShapeLike,
    *,
    chunks: Any = "auto",
    seed: int | None = None,
    name: str = "",
    dtype: DTypeLike = "float32",
    layout: LayoutLike = "io",
    groups: int = 1,
    stride: StrideLike = 1,
    transposed: bool = False,
    fan_in: float | None = None,
    fan_out: float | None = None,
    **params: Any,
) -> Any:
    """Return a weight tensor as a `dask.array.Array`, of which nothing is drawn before it is asked for.

    Parameters
    ----------
    scheme, shape, seed, name, dtype, layout, groups, stride, transposed, fan_in, fan_out, **params
        As in `fastinit.init`. Fans come from the whole shape.
    chunks
        As everywhere in Dask: "auto", a number, a tuple of them, or all sizes.

    Returns
    -------
    dask.array.Array
        The same values for any chunks, rechunked or not, on any scheduler. Its tasks' names follow from the arguments:
        two arrays of the same arguments are one to Dask; with seed=None none are.

    Raises
    ------
    ValueError, TypeError
        As in `fastinit.init`, when this is called.

    Examples
    --------
    >>> import fastinit as fi, fastinit.dask
    >>> x = fi.dask.init("he_normal", (1000, 600), chunks=(256, 512), seed=0, name="layer.0.weight")
    >>> x.numblocks, x.dtype
    ((4, 2), dtype('float32'))
    >>> bool((x == fi.init("he_normal", (1000, 600), seed=0, name="layer.0.weight")).all().compute())
    True
    """
    resolved = resolve_scheme(scheme, params)
    sizes = check_shape(shape)
    kind = check_dtype(dtype)
    words: dict[str, Any] = {
        "seed": check_seed(seed),
        "name": check_name(name),
        "dtype": kind,
        "layout": layout,
        "groups": groups,
        "stride": stride,
        "transposed": transposed,
        "fan_in": fan_in,
        "fan_out": fan_out,
    }
    draw(resolved, sizes, region=(slice(0, 0),) * len(sizes), **words)  # what cannot be drawn is refused here
    cut = _check_chunks(chunks, sizes, DTYPES[kind])
    blocks = _Chunks(resolved, sizes, words, tuple((0, *accumulate(axis)) for axis in cut))
    token = tokenize(resolved.name, dict(resolved.params), sizes, words, cut)
    return dask.array.map_blocks(
        blocks,
        name=f"fastinit-{resolved.name}-{token}",
        chunks=cut,
        dtype=DTYPES[kind],
        meta=np.empty((0,) * len(sizes), DTYPES[kind]),
    )


def _check_chunks(chunks: Any, shape: Shape, dtype: np.dtype[Any]) -> tuple[tuple[int, ...], ...]:
    try:
        found = dask.array.core.normalize_chunks(chunks, shape=shape, dtype=dtype)
        cut = tuple(tuple(int(n) for n in axis) for axis in found)
        fits = tuple(map(sum, cut)) == shape and all(n >= 0 for axis in cut for n in axis)
    except Exception:  # Dask's refusals have many kinds
        fits = False
    if not fits:
        raise ValueError(f"argument 'chunks' must be chunks, as Dask takes them, of shape {shape}, got {shown(chunks)}")
    return cut


def normal(
    shape: ShapeLike,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    chunks: Any = "auto",
    seed: int | None = None,
    name: str = "",
    dtype: DTypeLike = "float32",
) -> Any:
    """Return draws of N(mean, std²) as a `dask.array.Array`.

    Parameters
    ----------
    shape, mean, std, seed, name, dtype
        As in `fastinit.normal`.
    chunks
        As in `init`.

    Returns
    -------
    dask.array.Array

    Examples
    --------
    >>> import fastinit as fi, fastinit.dask
    >>> x = fi.dask.normal(10**12, seed=1, std=0.02)  # 4 TB, none of which is there
    >>> bool((x[-3:].compute() == fi.normal(10**12, seed=1, std=0.02, region=slice(10**12 - 3, None))).all())
    True
    """
    return init("normal", shape, mean=mean, std=std, chunks=chunks, seed=seed, name=name, dtype=dtype)


def uniform(
    shape: ShapeLike,
    *,
    low: float = 0.0,
    high: float = 1.0,
    chunks: Any = "auto",
    seed: int | None = None,
    name: str = "",
    dtype: DTypeLike = "float32",
) -> Any:
    """Return draws of U(low, high) as a `dask.array.Array`.

    Parameters
    ----------
    shape, low, high, seed, name, dtype
        As in `fastinit.uniform`.
    chunks
        As in `init`.

    Returns
    -------
    dask.array.Array
    """
    return init("uniform", shape, low=low, high=high, chunks=chunks, seed=seed, name=name, dtype=dtype)


def truncated_normal(
    shape: ShapeLike,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    lower: float = -2.0,
    upper: float = 2.0,
    chunks: Any = "auto",
    seed: int | None = None,
    name: str = "",
    dtype: DTypeLike = "float32",
) -> Any:
    """Return draws of N(mean, std²) between mean + lower·std and mean + upper·std as a `dask.array.Array`.

    Parameters
    ----------
    shape, mean, std, lower, upper, seed, name, dtype
        As in `fastinit.truncated_normal`.
    chunks
        As in `init`.

    Returns
    -------
    dask.array.Array
    """
    return init(
        "truncated_normal",
        shape,
        mean=mean,
        std=std,
        lower=lower,
        upper=upper,
        chunks=chunks,
        seed=seed,
        name=name,
        dtype=dtype,
    )
