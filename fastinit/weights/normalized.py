"""Draws scaled to a norm: of each row, of each column, of each matrix or of the whole tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..words import check_choice, check_finite, shown
from .dtypes import compute_type
from .laws import Law, Normal, Tensor, Uniform, check_range
from .regions import Region, parts, within
from .sampled import layout_of
from .truncated import TruncatedNormal

DRAWN: dict[str, Law] = {
    "normal": Normal(0.0, 1.0),
    "truncated_normal": TruncatedNormal(0.0, 1.0, -2.0, 2.0),
    "uniform": Uniform(-1.0, 1.0),
}
# What has a norm of its own -> the roles of the axes that it goes along.
PER = {
    "output": ("inputs", "space"),
    "input": ("outputs", "space"),
    "matrix": ("inputs", "outputs", "space"),
    "tensor": ("inputs", "outputs", "space", "batch"),
}

# Elements drawn at a time for the norms, whose squares stay in a core's cache, and for the values.
_SQUARED_AT_A_TIME = 1 << 16
_DRAWN_AT_A_TIME = 1 << 17
# A square is below 2^7. It is cut into digits: multiples of 2^-26, of 2^-59 and of 2^-92. Of 2^16 elements the sum of
# either digit is below 2^50 units, exact in float64 and so the same in any order; between blocks they are integers.
_DIGITS = (26, 33, 33)
_ENOUGH_FOR_TWO = 64
_MOST = 1 << 35
_NORMS_AT_A_TIME = 1 << 16


@dataclass(frozen=True)
class Normalized:
    """Independent draws of a symmetric law, scaled so that what `per` names has the Euclidean norm `radius`."""

    distribution: str
    per: str
    radius: float
    count: float
    """Elements to a norm."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "distribution", check_choice("distribution", self.distribution, DRAWN))
        object.__setattr__(self, "per", check_choice("per", self.per, PER))
        object.__setattr__(self, "radius", check_finite("radius", self.radius, above=0))

    @property
    def expectation(self) -> float:
        """Mean of an element: 0."""
        return 0.0

    @property
    def variance(self) -> float:
        """Variance of an element."""
        return self.radius / max(1, self.count) * self.radius

    def check(self, tensor: Tensor) -> None:
        """Refuse a radius that the dtype cannot hold, and norms that groups would cut."""
        check_range("radius", self.radius, tensor.dtype)
        groups = layout_of(tensor).groups
        if groups > 1 and self.per != "output":
            raise ValueError(f"argument 'groups' must be 1 for norms per {self.per}, got {groups}")
        if self.count > _MOST:
            raise ValueError(f"argument 'shape' must have at most 2**35 elements to a norm, got {shown(tensor.shape)}")

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Add up the squares of what is scaled together, wherever it lies, then draw the region and scale it."""
        if not out.size:
            return
        summed = layout_of(tensor).of_roles(tensor.shape, PER[self.per])
        kept = tuple(a for a in range(len(region)) if a not in summed)
        for norms in parts(tuple(axis if a in kept else (0, 1) for a, axis in enumerate(region)), _NORMS_AT_A_TIME):
            block = tuple(n if a in kept else axis for a, (n, axis) in enumerate(zip(norms, region, strict=True)))
            self._fill_block(tensor, block, kept, out[within(block, region)])

    def _fill_block(self, tensor: Tensor, region: Region, kept: tuple[int, ...], out: NDArray[Any]) -> None:
        needed = tuple(region[a] if a in kept else (0, size) for a, size in enumerate(tensor.shape))
        address = tensor._replace(dtype=np.dtype(compute_type(tensor.dtype)).name, layout=None)
        norms = np.sqrt(_sums(self.distribution, address, needed, kept))
        for part in parts(region, _DRAWN_AT_A_TIME):
            here = within(part, region)
            divisors = norms[_along(kept, part, region)]
            # In float64, so that the value is rounded once to float32; the rounded quotient may be just beyond 1.
            share = np.clip(_drawn(self.distribution, address, part) / divisors, -1.0, 1.0)
            out[here] = (share * self.radius).astype(address.dtype)


def _along(kept: tuple[int, ...], part: Region, region: Region) -> tuple[Any, ...]:
    """Return where a part's norms lie among those of a region, which have length 1 along the axes not kept."""
    return within(
        tuple(axis if a in kept else (0, 1) for a, axis in enumerate(part)),
        tuple(axis if a in kept else (0, 1) for a, axis in enumerate(region)),
    )


def _drawn(distribution: str, tensor: Tensor, region: Region) -> NDArray[np.float64]:
    """Return a region's draws in float64."""
    drawn = np.empty([n for _, n in region], tensor.dtype)
    DRAWN[distribution].fill(tensor, region, drawn)
    wide = drawn.astype(np.float64)
    # In place of 0 a number that no law draws: weights that are all 0 have no direction.
    wide[drawn == 0] = 2.0**-40
    return wide


@lru_cache(maxsize=16)  # a tensor is often written in parts, each of which needs the same norms
def _sums(distribution: str, tensor: Tensor, region: Region, kept: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the sums of squares over all axes but those kept, which are the same whatever else is in the region."""
    others = tuple(a for a in range(len(region)) if a not in kept)
    digits = _DIGITS[: 2 if math.prod(region[a][1] for a in others) >= _ENOUGH_FOR_TWO else 3]
    totals = np.zeros((len(digits), *(n if a in kept else 1 for a, (_, n) in enumerate(region))), np.int64)
    for part in parts(region, _SQUARED_AT_A_TIME):
        here = _along(kept, part, region)
        rest = _drawn(distribution, tensor, part)
        rest *= rest
        for total, bits in zip(totals, digits, strict=True):
            rest *= 2.0**bits
            whole = np.floor(rest)
            rest -= whole
            total[here] += whole.sum(others, keepdims=True).astype(np.int64)
        _carry(totals, digits, here)
    result = np.zeros(totals.shape[1:])
    for total, bits in zip(totals[::-1], digits[::-1], strict=True):
        result = (result + total) * 2.0**-bits
    return result


def _carry(totals: NDArray[np.int64], digits: tuple[int, ...], here: tuple[slice, ...]) -> None:
    """Move what a digit holds beyond its size to the one above it."""
    for place in range(len(digits) - 1, 0, -1):
        digit, above = totals[place][here], totals[place - 1][here]
        above += digit >> digits[place]
        digit &= (1 << digits[place]) - 1
