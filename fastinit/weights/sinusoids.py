"""Tables of sines and cosines that tell positions apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..words import check_finite, check_flag, check_integer
from .indexed import Array, Indexed, elementary, frequencies, indices
from .regions import Region, Shape


@dataclass(frozen=True)
class Sinusoids(Indexed):
    """sin(p·base^(-k/h)) and the cosine of h = n/2 frequencies along the axis, p the position along all others.

    With `columns` positions are places of a grid of so many columns: the first half of the axis tells the column, the
    second the row.
    """

    base: float
    interleaved: bool
    endpoint: bool
    columns: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "base", check_finite("base", self.base, minimum=1.0, maximum=1e300))
        for name in ("interleaved", "endpoint"):
            object.__setattr__(self, name, check_flag(name, getattr(self, name)))
        if self.columns is not None:
            object.__setattr__(self, "columns", check_integer("columns", self.columns, minimum=1, maximum=1 << 53))

    def values(self, index: Array, size: int) -> Array:
        """Return the table's row of position 1: that of position 0 would tell nothing."""
        return self._waves(index, np.ones_like(index), np.ones_like(index), size)

    def check_values(self, size: int, dtype: str) -> None:
        """Sines fit in every type."""

    def block(self, shape: Shape, part: Region) -> Array:
        """Return the values of a part."""
        axis = self.along % len(shape)
        position = np.zeros([1] * len(shape))
        others = [a for a in range(len(shape)) if a != axis]
        for place, a in enumerate(others):
            position = position + indices(part, a) * float(math.prod(shape[b] for b in others[place + 1 :]))
        channel = indices(part, axis)
        if self.columns is None:
            return self._waves(channel, position, position, shape[axis])
        columns = float(self.columns)
        return self._waves(channel, np.fmod(position, columns), np.floor(position / columns), shape[axis])

    def _waves(self, channel: Array, first: Array, second: Array, size: int) -> Array:
        """Return the waves of two coordinates, or of one alone, at these channels."""
        if self.columns is None:
            return self._wave(channel, first, size)
        half = (size + 1) // 2
        inside = channel < half
        one, other = self._wave(channel, first, half), self._wave(np.abs(channel - half), second, size - half)
        return np.where(inside, one, other)

    def _wave(self, channel: Array, position: Array, size: int) -> Array:
        waves = (size + 1) // 2  # of an odd number of channels the last cosine is missing
        steps = float(max(waves - 1 if self.endpoint else waves, 1))
        number = np.floor(channel / 2.0) if self.interleaved else np.where(channel < waves, channel, channel - waves)
        is_sine = np.fmod(channel, 2.0) == 0.0 if self.interleaved else channel < waves
        angle = position * frequencies(self.base, np.clip(number, 0.0, max(waves - 1.0, 0.0)), steps)
        return np.where(is_sine, elementary("sin", angle), elementary("cos", angle))
