"""Single arguments of a probe, each checked by its rule."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..weights.dtypes import arithmetic, largest
from ..weights.laws import NORMAL_REACH
from ..words import check_finite, check_integer, entries, plain_string, shown

Array = NDArray[Any]

# Bins of a histogram, and counters of all layers: 128 MB. Beyond, float32 has no numbers between two edges in (-1, 1).
MOST_BINS, MOST_COUNTERS = 1 << 20, 1 << 24
# Activations in all layers, whose counts and places are far from the ends of 64 bits.
MOST_NUMBERS = 1 << 56
# Pixels along a side of the images of a convolution whose inputs are not given.
IMAGE = 16


def check_branch_scale(scale: Any, residual: bool, depth: int) -> float:
    """Return the factor of a branch, as a number."""
    word = plain_string(scale)
    if word not in (None, "1/sqrt(depth)"):
        raise ValueError(f"argument 'branch_scale' must be a finite number or '1/sqrt(depth)', got {shown(scale)}")
    value = 1.0 / math.sqrt(depth) if word else check_finite("branch_scale", scale)
    if not residual and (word or value != 1.0):
        raise ValueError(f"argument 'branch_scale' must go with residual=True, got {shown(scale)} without")
    return value


def check_image(image: Any, conv: int | None, inputs: Array | None) -> int | None:
    """Return the side of the images of a convolution."""
    if conv is None:
        if image is not None:
            raise ValueError(f"argument 'image' must go with conv, got {shown(image)} without")
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
        raise ValueError(f"argument 'input_correlation' must go with drawn inputs, got {shown(c)} beside inputs")
    if batch < 2 or (conv and batch % 2):
        rule = "an even batch of images" if conv else "a batch of at least 2"
        raise ValueError(f"argument 'input_correlation' must go with {rule}, got batch {batch}")
    return likeness


def check_sizes(sizes: tuple[int, ...], rows: int, conv: int | None, width: str) -> None:
    """Refuse networks whose numbers 64 bits do not count; `width` is the argument with the sizes."""
    if max(n * m for n, m in pairwise(sizes)) * (conv or 1) ** 2 >= 1 << 63:
        kernels = "" if conv is None else f" with conv = {shown(conv)}"
        rule = f"give weights of fewer than 2**63 numbers{kernels}"
        raise ValueError(f"argument '{width}' must {rule}, got {_sizes(sizes)}")
    if rows * sum(sizes) > MOST_NUMBERS:
        rule = f"give at most 2**{MOST_NUMBERS.bit_length() - 1} activations in all layers"
        raise ValueError(f"argument 'batch' must {rule}, got {shown(rows)} rows of {_sizes(sizes)} units")


def _sizes(sizes: tuple[int, ...]) -> str:
    return shown(sizes if len({*sizes}) > 1 else sizes[0])


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
    ends = entries(limits, 2)
    if ends is None or len(ends) != 2:
        raise ValueError(rule)
    try:
        low, high = (check_finite("range", x) for x in ends)
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
    reach = NORMAL_REACH[arithmetic(dtype)]
    if not abs(mean) + reach * std <= largest(dtype):
        rule = (
            f"keep all that is drawn, {reach:g} std to either side, within ±{largest(dtype):.4g}, the range of {dtype}"
        )
        raise ValueError(f"argument '{argument}' must {rule}, got {shown(value)}")
    return value
