"""Single arguments of a probe, each checked by its rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dtypes import compute_type, largest
from .errors import check_finite, check_integer, shown, unknown
from .laws import NORMAL_REACH

Array = NDArray[Any]

NORMALIZATIONS = ("layer", "rms")
# Bins of a histogram, and counters of all layers: 128 MB. Beyond, float32 has no numbers between two edges in (-1, 1).
MOST_BINS, MOST_COUNTERS = 1 << 20, 1 << 24
# Pixels along a side of the images of a convolution whose inputs are not given.
IMAGE = 16


def check_branch_scale(scale: Any, residual: bool, depth: int) -> float:
    """Return the factor of a branch, as a number."""
    if isinstance(scale, str):
        if scale != "1/sqrt(depth)":
            raise ValueError(f"argument 'branch_scale' must be a finite number or '1/sqrt(depth)', got {scale!r}")
        value = 1.0 / math.sqrt(depth)
    else:
        value = check_finite("branch_scale", scale)
    if not residual and (isinstance(scale, str) or value != 1.0):
        raise ValueError(f"argument 'branch_scale' must go with residual=True, got {scale!r} without")
    return value


def check_normalize(how: Any) -> str | None:
    """Return the kind of normalisation."""
    if how is not None and not (isinstance(how, str) and how in NORMALIZATIONS):
        raise unknown("normalize", how, NORMALIZATIONS)
    return how


def check_image(image: Any, conv: int | None, inputs: Array | None) -> int | None:
    """Return the side of the images of a convolution."""
    if conv is None:
        if image is not None:
            raise ValueError(f"argument 'image' must go with conv, got {image!r} without")
        return None
    side = None if image is None else check_integer("image", image, minimum=1)
    if inputs is None:
        return IMAGE if side is None else side
    if side not in (None, inputs.shape[1]):
        raise ValueError(f"argument 'image' must be the side of the inputs, {inputs.shape[1]}, got {side}")
    return int(inputs.shape[1])


def check_input_correlation(c: Any, conv: int | None, batch: int, inputs: Array | None) -> float | None:
    """Return the correlation of input pairs."""
    if c is None:
        return None
    likeness = check_finite("input_correlation", c, minimum=-1, maximum=1)
    if inputs is not None:
        raise ValueError(f"argument 'input_correlation' must go with drawn inputs, got {c!r} beside inputs")
    if batch < 2 or (conv and batch % 2):
        rule = "an even batch of images" if conv else "a batch of at least 2"
        raise ValueError(f"argument 'input_correlation' must go with {rule}, got batch {batch}")
    return likeness


def check_bins(bins: Any, depth: int) -> int:
    """Return the number of a histogram's bins."""
    count = check_integer("bins", bins, minimum=1)
    if count > MOST_BINS or count * depth > MOST_COUNTERS:
        rule = f"at most {MOST_BINS}, and at most {MOST_COUNTERS} in all layers"
        raise ValueError(f"argument 'bins' must be {rule}, got {shown(bins)} in each of {depth}")
    return count


def check_limits(limits: Any) -> tuple[float, float]:
    """Return the lower and the upper limit of histograms."""
    rule = f"argument 'range' must be (low, high), two finite numbers with low < high, got {shown(limits)}"
    if isinstance(limits, str) or not isinstance(limits, Sequence | np.ndarray) or len(limits) != 2:
        raise ValueError(rule)
    try:
        low, high = (check_finite("range", x) for x in limits)
    except (TypeError, ValueError) as error:
        raise type(error)(rule) from None
    if not low < high:
        raise ValueError(rule)
    return low, high


def check_range(limits: Any, bins: int, dtype: str) -> tuple[float, float]:
    """Return the limits of the histograms of activations of that type."""
    low, high = check_limits(limits)
    check_fits("range", max(abs(low), abs(high)), dtype, limits)
    width, (least, most) = (0.5 * high - 0.5 * low) / bins * 2.0, widths_of_bins(low, high, dtype)
    if not least <= width <= most:
        raise ValueError(
            f"argument 'range' must make bins that {dtype} can tell apart, there from {least:.3g} to {most:.3g} wide, "
            f"got {shown(limits)} for {bins} bins of {width:.3g}"
        )
    return low, high


def widths_of_bins(low: float, high: float, dtype: str) -> tuple[float, float]:
    """Return the least and the greatest width of a bin that the kernels can count with in that type and range.

    Bins as wide as four steps from a number to the next one lose nothing to rounding.
    """
    kind = np.finfo(dtype)
    normal, step = float(kind.smallest_normal), float(np.spacing(kind.dtype.type(max(abs(low), abs(high)))))
    return max(normal, 4.0 * step), 1.0 / normal


def widened(low: float, high: float, bins: int, dtype: str) -> tuple[float, float]:
    """Return a range around that one with bins that the type can tell apart."""
    least = 2.0 * bins * widths_of_bins(low, high, dtype)[0]  # twice, as the ends move
    if high - low >= least:
        return low, high
    middle = 0.5 * low + 0.5 * high
    return middle - 0.5 * least, middle + 0.5 * least


def check_fits(argument: str, value: float, dtype: str, given: Any = None) -> float:
    """Return a number if the type of the arithmetic has room for it."""
    if not abs(value) <= largest(dtype):
        got = shown(value if given is None else given)
        raise ValueError(f"argument '{argument}' must be within ±{largest(dtype):.4g}, the range of {dtype}, got {got}")
    return value


def check_drawn(argument: str, value: float, std: float, dtype: str, mean: float = 0.0) -> float:
    """Return an argument if normal numbers of that standard deviation stay in the range of a type."""
    reach = NORMAL_REACH[np.dtype(compute_type(dtype)).name]
    if not abs(mean) + reach * std <= largest(dtype):
        rule = (
            f"keep all that is drawn, {reach:g} std to either side, within ±{largest(dtype):.4g}, the range of {dtype}"
        )
        raise ValueError(f"argument '{argument}' must {rule}, got {shown(value)}")
    return value


def check_flag(argument: str, value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"argument '{argument}' must be True or False, got {value!r}")
    return bool(value)
