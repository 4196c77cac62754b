"""Tables of sines and cosines that tell positions apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

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
    positions: int = field(default=2, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "base", check_finite("base", self.base, minimum=1.0, maximum=1e300))
        for name in ("interleaved", "endpoint"):
            object.__setattr__(self, name, check_flag(name, getattr(self, name)))
        if self.columns is not None:
            object.__setattr__(self, "columns", check_integer("columns", self.columns, minimum=1, maximum=1 << 53))

    def sized(self, shape: Shape) -> Sinusoids:
        """Return the law that knows the size of its table, and so its moments."""
        known = super().sized(shape)
        others = [n for a, n in enumerate(shape) if a != self.along % len(shape)]
        object.__setattr__(known, "positions", math.prod(others))
        return known

    def values(self, index: Array, size: int) -> Array:
        """Return the table at some channels of, evenly spaced, at most 64 of all positions."""
        rows = np.floor(np.linspace(0.0, max(self.positions - 1, 0), max(1, min(self.positions, 64))))
        return self._table(index, rows[:, None], size)

    def check_values(self, size: int, dtype: str) -> None:
        """Sines fit in every type."""

    def block(self, shape: Shape, part: Region) -> Array:
        """Return the values of a part."""
        axis = self.along % len(shape)
        position = np.zeros([1] * len(shape))
        others = [a for a in range(len(shape)) if a != axis]
        for place, a in enumerate(others):
            position = position + indices(part, a) * float(math.prod(shape[b] for b in others[place + 1 :]))
        return self._table(indices(part, axis), position, shape[axis])

    def _table(self, channel: Array, position: Array, size: int) -> Array:
        if self.columns is None:
            return self._wave(channel, position, size)
        columns, half = float(self.columns), (size + 1) // 2
        first = self._wave(channel, np.fmod(position, columns), half)
        second = self._wave(np.abs(channel - half), np.floor(position / columns), size - half)
        return np.where(channel < half, first, second)

    def _wave(self, channel: Array, position: Array, size: int) -> Array:
        waves = (size + 1) // 2  # of an odd number of channels the last cosine is missing
        steps = float(max(waves - 1 if self.endpoint else waves, 1))
        number = np.floor(channel / 2.0) if self.interleaved else np.where(channel < waves, channel, channel - waves)
        is_sine = np.fmod(channel, 2.0) == 0.0 if self.interleaved else channel < waves
        angle = position * frequencies(self.base, np.clip(number, 0.0, max(waves - 1.0, 0.0)), steps)
        return np.where(is_sine, elementary("sin", angle), elementary("cos", angle))
