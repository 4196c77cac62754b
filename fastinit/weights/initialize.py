"""Weights from a scheme's name: check everything, resolve fans to a law, allocate, hand over to the kernel."""

from __future__ import annotations

import inspect
import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..words import apart, fitting, printable, shown
from .adding import add_drawn, check_add, exact
from .dtypes import DTYPES, check_dtype
from .fans import Fans, Layout, LayoutLike, StrideLike, Wiring, check_fan, check_wiring
from .foreign import count_change, is_tensor, tensor_memory
from .indexed import Indexed
from .regions import RegionLike, Shape, ShapeLike, check_region, check_shape, overlaps_itself
from .sampled import Law, Tensor, check_law
from .schemes import Scheme, SchemeLike, resolve_scheme, scheme_words
from .streams import check_name, check_seed


def init(
    scheme: SchemeLike,
    shape: ShapeLike,
    *,
    seed: int | None = None,
    name: str = "",
    dtype: DTypeLike = "float32",
    layout: LayoutLike = "io",
    groups: int = 1,
    stride: StrideLike = 1,
    transposed: bool = False,
    region: RegionLike | None = None,
    out: NDArray[Any] | None = None,
    add: float | None = None,
    fan_in: float | None = None,
    fan_out: float | None = None,
    **params: Any,
) -> NDArray[Any]:
    """Return a weight tensor, or a region of one, drawn by a named scheme.

    Element i (flat C-order index in the global shape) is law(Philox4x32-10(key = seed, counter = (block(i),
    stream(name)))): the same bytes for any number of threads, any region, any memory layout and any machine.

    Parameters
    ----------
    scheme
        A name of `schemes()`, or what `get_scheme` or `recommend` returned.
    shape
        The global shape, sizes >= 0, fewer than 2^63 elements. Nothing of this size is allocated if `region` is given.
    seed
        0 <= seed < 2^64; None takes fresh entropy from the operating system.
    name
        The tensor's name; tensors of different names are independent.
    dtype
        "float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64" or "complex128", or
        anything that NumPy takes for one of them. The types of 16 and 8 bits are the float32 values rounded once to
        nearest even, within the law's bounds if it has any; complex numbers are JAX's laws (docs/dtypes.md).
    layout, groups, stride, transposed
        Where the input and output axes are, the groups and the stride of a convolution, and whether it is a transposed
        one: see `fans`, and docs/fans.md for what to write for each layer of PyTorch, Keras and JAX.
    region
        A tuple of slices start:stop, one an axis, of the global shape; None for all of it. Fans always come from
        the global shape, so the parts of a sharded tensor are those of the whole.
    out
        A writable array of the region's shape and of `dtype`, contiguous or not, to fill and return: a view, a memory
        map, a field of a structured array, a tensor of PyTorch in the CPU's memory. It may have neither a mask nor
        elements that share memory.
    add
        A finite number, or True for 1: `out`, which must be given, becomes out + add·draw instead, block by block
        without a copy. The draw has the type of the computation (float32 for those of 16 and 8 bits), and so has the
        sum, one fused multiply-add that is rounded to `dtype` once; what is beyond its range becomes infinite, in
        float8_e4m3fn NaN.
    fan_in, fan_out
        Fans to use instead of those of the shape; numbers > 0. A scheme needs only those that its mode names: with
        fan_in=784, he_normal fills a bias or any other shape.
    **params
        The scheme's parameters: see `get_scheme`.

    Returns
    -------
    ndarray
        `out`, or a new C-contiguous array.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, the rule and the value; raised before anything is allocated or written.

    Notes
    -----
    Salmon et al. 2011 (Philox); Box and Muller 1958 (normal). The schemes' sources stand at `get_scheme`.

    Examples
    --------
    >>> import fastinit as fi
    >>> w = fi.init("he_normal", (784, 512), seed=0, name="layer.0.weight")
    >>> w.shape, w.dtype
    ((784, 512), dtype('float32'))
    >>> part = fi.init("he_normal", (784, 512), seed=0, name="layer.0.weight", region=(slice(100, 200), slice(0, 512)))
    >>> bool((part == w[100:200]).all())
    True

    A step of evolution strategies, or of MeZO: noise is never stored, and the same seed takes it back. Here the slope
    along it of the sum of all weights, by an antithetic pair.

    >>> noise = {"seed": 17, "name": "layer.0.weight"}
    >>> losses = []
    >>> for step in (1e-3, -2e-3):  # to w + 0.001 z, from there to w - 0.001 z
    ...     _ = fi.normal(w.shape, out=w, add=step, **noise)
    ...     losses.append(w.sum(dtype="float64"))
    >>> slope = (losses[0] - losses[1]) / 2e-3
    >>> _ = fi.normal(w.shape, out=w, add=1e-3 - 1e-6 * slope, **noise)  # back, and a step down
    >>> bool(abs(slope / fi.normal(w.shape, **noise).sum(dtype="float64") - 1) < 1e-3)
    True
    """
    resolved = resolve_scheme(scheme, params)
    whole = check_shape(shape)
    part = check_region(region, whole)
    kind = check_dtype(dtype)
    wiring = check_wiring(layout, whole, groups, stride, transposed)
    law, axes = _resolve_law(resolved, whole, wiring, fan_in, fan_out)
    factor = check_add(add, out, kind)
    tensor = Tensor(whole, kind, check_seed(seed), check_name(name), axes)
    check_law(law, tensor if factor is None else exact(tensor))
    sizes = tuple(length for _, length in part)
    with fitting("out" if out is not None else "shape" if region is None else "region", sizes):
        target = fill_target(out, sizes, kind)
        if factor is None:
            law.fill(tensor, part, target)
        else:
            add_drawn(law, tensor, part, target, factor)
    return target if out is None else out


apart(scheme_words(), "init", inspect.signature(init).parameters)


def normal(
    shape: ShapeLike,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    seed: int | None = None,
    name: str = "",
    dtype: DTypeLike = "float32",
    region: RegionLike | None = None,
    out: NDArray[Any] | None = None,
    add: float | None = None,
) -> NDArray[Any]:
    """Return draws of N(mean, std²).

    z = sqrt(-2 ln u) cos(2πv), or sin for the second of a pair; value = std·z + mean, rounded once.

    Parameters
    ----------
    shape, seed, name, dtype, region, out, add
        As in `init`.
    mean, std
        Finite; std >= 0.

    Returns
    -------
    ndarray
        `out`, or a new array. |z| reaches 6.76 in float32 and 8.65 in float64.

    Raises
    ------
    ValueError, TypeError
        As in `init`.

    Notes
    -----
    Box and Muller, "A note on the generation of random normal deviates", 1958.

    Examples
    --------
    >>> import fastinit as fi
    >>> x = fi.normal(100_000, std=0.02, seed=1)
    >>> bool(abs(x.std() / 0.02 - 1) < 0.01)
    True
    """
    return init("normal", shape, mean=mean, std=std, seed=seed, name=name, dtype=dtype, region=region, out=out, add=add)


def uniform(
    shape: ShapeLike,
    *,
    low: float = 0.0,
    high: float = 1.0,
    seed: int | None = None,
    name: str = "",
    dtype: DTypeLike = "float32",
    region: RegionLike | None = None,
    out: NDArray[Any] | None = None,
    add: float | None = None,
) -> NDArray[Any]:
    """Return draws of U(low, high).

    value = low + k · (high - low) · 2^-24, k = 0 … 2^24 - 1; on (-a, a), and on intervals far from 0, centred:
    k + 1/2 in place of k. (float64: 2^-53.)

    Parameters
    ----------
    shape, seed, name, dtype, region, out, add
        As in `init`.
    low, high
        Finite, low <= high.

    Returns
    -------
    ndarray
        `out`, or a new array. low <= value < high in every dtype: rounding never carries a value to `high`. All are
        `low` where both are equal.

    Raises
    ------
    ValueError, TypeError
        As in `init`.

    Examples
    --------
    >>> import fastinit as fi
    >>> x = fi.uniform(1000, seed=1, dtype="bfloat16")
    >>> bool(((0 <= x) & (x < 1)).all())
    True
    """
    return init(
        "uniform", shape, low=low, high=high, seed=seed, name=name, dtype=dtype, region=region, out=out, add=add
    )


def truncated_normal(
    shape: ShapeLike,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    lower: float = -2.0,
    upper: float = 2.0,
    seed: int | None = None,
    name: str = "",
    dtype: DTypeLike = "float32",
    region: RegionLike | None = None,
    out: NDArray[Any] | None = None,
    add: float | None = None,
) -> NDArray[Any]:
    """Return draws of N(mean, std²) kept between mean + lower·std and mean + upper·std.

    z = Φ⁻¹(Φ(lower) + u·(Φ(upper) - Φ(lower))), value = std·z + mean: no rejection, one word an element, monotone in
    it, and with the dtype's own spacing between any bounds, close to each other or far out.

    Parameters
    ----------
    shape, seed, name, dtype, region, out, add
        As in `init`.
    mean, std
        Finite, std >= 0: those of the normal before truncation (between -2 and 2 the standard deviation that is
        left is 0.8796 std).
    lower, upper
        Bounds in units of std, lower < upper, as in JAX, Keras and SciPy (PyTorch's are absolute: give
        (a - mean) / std). Either may be infinite; one that the dtype cannot hold is.

    Returns
    -------
    ndarray
        `out`, or a new array. Values lie within the bounds; rounding may carry one onto a bound that is a number of
        the dtype.

    Raises
    ------
    ValueError, TypeError
        As in `init`.

    Examples
    --------
    >>> import fastinit as fi
    >>> x = fi.truncated_normal(1000, std=0.02, seed=1)
    >>> bool((abs(x) < 0.04).all())
    True
    """
    return init(
        "truncated_normal",
        shape,
        mean=mean,
        std=std,
        lower=lower,
        upper=upper,
        seed=seed,
        name=name,
        dtype=dtype,
        region=region,
        out=out,
        add=add,
    )


def law_and_layout(
    scheme: Scheme,
    shape: Shape,
    *,
    layout: LayoutLike = "io",
    groups: int = 1,
    stride: StrideLike = 1,
    transposed: bool = False,
    fan_in: float | None = None,
    fan_out: float | None = None,
) -> tuple[Law, Layout | None]:
    """Return the law of a weight of that shape, and its axes by role where the law looks at them."""
    return _resolve_law(scheme, shape, check_wiring(layout, shape, groups, stride, transposed), fan_in, fan_out)


def _resolve_law(
    scheme: Scheme, shape: Shape, wiring: Wiring, fan_in: object, fan_out: object
) -> tuple[Law, Layout | None]:
    given_in = None if fan_in is None else check_fan("fan_in", fan_in)
    given_out = None if fan_out is None else check_fan("fan_out", fan_out)
    if not (scheme.rule.needs or scheme.rule.needs_layout):
        # Not by the cache, for which the constants 0.0 and -0.0 are one scheme.
        law = scheme.rule.law(Fans(math.nan, math.nan))
        return (law.sized(shape) if isinstance(law, Indexed) else law), None
    return _cached_law(scheme, shape, wiring, given_in, given_out)


@lru_cache(maxsize=1024)
def _cached_law(
    scheme: Scheme, shape: Shape, wiring: Wiring, fan_in: float | None, fan_out: float | None
) -> tuple[Law, Layout | None]:
    return scheme.rule.resolve(wiring, shape, fan_in, fan_out)


def fill_target(out: object, shape: Shape, kind: str) -> NDArray[Any]:
    """Return the memory to fill: that of `out` if it can take the region, a new array's if there is none."""
    dtype = DTYPES[kind]
    if out is None:
        if math.prod(n for n in shape if n) * dtype.itemsize >= 1 << 63:
            raise ValueError(f"argument 'shape' must be that of an array below 2**63 bytes, got {shown(shape)}")
        return np.empty(shape, dtype)
    if isinstance(out, np.ma.MaskedArray):
        raise TypeError("argument 'out' must be an array without a mask, got a MaskedArray: pass its .data")
    # Of a matrix or a memory map a view: neither reshapes or slices like an array.
    memory = out.view(np.ndarray) if isinstance(out, np.ndarray) else tensor_memory(out)
    if memory is None:
        raise TypeError(
            f"argument 'out' must be a NumPy array, got {printable(type(out).__name__)}"
            f"{' without plain memory of the CPU' if is_tensor(out) else ''}"
        )
    if memory.shape != shape:
        raise ValueError(f"argument 'out' must have the region's shape {shown(shape)}, got {shown(memory.shape)}")
    if memory.dtype != dtype or not memory.dtype.isnative:
        raise ValueError(f"argument 'out' must have dtype {dtype.name} in native byte order, got {shown(memory.dtype)}")
    if not memory.flags.writeable:
        raise ValueError("argument 'out' must be writable, got a read-only array")
    if overlaps_itself(memory):
        raise ValueError(
            f"argument 'out' must not share memory among its elements, got strides {shown(memory.strides)}"
        )
    if not isinstance(out, np.ndarray):
        count_change(out)
    return memory
