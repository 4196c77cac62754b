"""Single arguments of a probe, each checked by its rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import check_finite, check_integer, unknown

Array = NDArray[Any]

NORMALIZATIONS = ("layer", "rms")
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


def check_range(limits: Any) -> tuple[float, float]:
    """Return the limits of the histograms."""
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


def check_flag(argument: str, value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"argument '{argument}' must be True or False, got {value!r}")
    return bool(value)
