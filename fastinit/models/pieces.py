"""A parameter of a model as its plan resolves it: pieces that are tensors of their own, and how a region is filled."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ..weights.fans import Layout
from ..weights.regions import Region, Shape, intersection, within
from ..weights.sampled import Law, Tensor, check_law
from ..weights.streams import stream


@dataclass(frozen=True)
class Piece:
    """A box of a parameter that is drawn as a tensor of its own.

    Attributes
    ----------
    name
        Of its stream.
    scheme
        In words.
    law, layout
        What is drawn, and where a law of whole neurons has them.
    fans
        Those that the law was made from, NaN where nobody asked.
    box
        Where it lies in the parameter.
    shape
        Its own: that of the box, without the axes of a stack.
    wiring
        `layout`, `groups` … as the rule says, for whoever asks for other fans.
    """

    name: str
    scheme: str
    law: Law
    layout: Layout | None
    fans: tuple[float, float]
    box: Region
    shape: Shape
    wiring: tuple[tuple[str, Any], ...] = ()

    @property
    def std(self) -> float:
        """The standard deviation of an element, infinity where its square is no float."""
        try:
            return math.sqrt(self.law.variance)
        except OverflowError:
            return math.inf

    def tensor(self, dtype: str, seed: int) -> Tensor:
        """Return the address of its elements."""
        return Tensor(self.shape, dtype, seed, self.name, self.layout)


@dataclass(frozen=True)
class Assignment:
    """A parameter, and all that its plan says of it.

    Attributes
    ----------
    name, shape, dtype
        Of the parameter.
    rule
        The number of its rule in the plan, from 0.
    pattern
        The rule's pattern, and the role that it asks for.
    pieces
        They cover the parameter and do not overlap.
    sets
        (box, value): elements that get a value of their own in the end.
    tie
        The parameter whose values these are, None for most.
    skip
        Whether the plan leaves it alone.
    lr
        Factor of the learning rate that belongs to it, 1 for most.
    note
        The rule's.
    """

    name: str
    shape: Shape
    dtype: str
    rule: int
    pattern: str
    pieces: tuple[Piece, ...] = ()
    sets: tuple[tuple[Region, float], ...] = ()
    tie: str | None = None
    skip: bool = False
    lr: float = 1.0
    note: str = field(default="", compare=False)

    @property
    def is_drawn(self) -> bool:
        """Whether it has values of its own: it is neither skipped nor tied."""
        return self.tie is None and not self.skip

    def check(self, seed: int) -> None:
        """Raise if a law cannot be drawn in the dtype."""
        for law, piece in {piece.law: piece for piece in self.pieces}.items():
            check_law(law, piece.tensor(self.dtype, seed))

    @property
    def elementwise(self) -> bool:
        """Whether a region takes no more time and memory than its share."""
        return all(getattr(law, "elementwise", False) for law in {piece.law for piece in self.pieces})

    @property
    def stack(self) -> Shape:
        """The axes of which each index has pieces of its own, one index after the other."""
        return self.shape[: len(self.shape) - len(self.pieces[0].shape)] if self.pieces else ()

    def fill(self, region: Region, out: NDArray[Any], seed: int) -> None:
        """Write a region to `out`, of its shape and of `dtype`."""
        for piece in self._near(region):
            common = intersection(piece.box, region)
            if common is None:
                continue
            stacked = len(self.shape) - len(piece.shape)
            view = out[within(common, region)][(*(0,) * stacked, ...)]
            own = tuple((c - b, n) for (c, n), (b, _) in zip(common[stacked:], piece.box[stacked:], strict=True))
            piece.law.fill(piece.tensor(self.dtype, seed), own, view)
        for box, value in self.sets:
            common = intersection(box, region)
            if common is not None:
                out[within(common, region)] = value

    def _near(self, region: Region) -> tuple[Piece, ...]:
        """Return pieces with all those in it that a region meets: of a stack of thousands, few."""
        first, last, indices = 0, 0, math.prod(self.stack)
        for size, (start, length) in zip(self.stack, region, strict=False):
            first, last = first * size + start, last * size + start + max(0, length - 1)
        each = len(self.pieces) // max(1, indices)
        return self.pieces[first * each : (last + 1) * each]

    def streams(self) -> Iterator[tuple[int, str]]:
        """Yield the stream and the name of each piece that draws."""
        for piece in self.pieces:
            if piece.std:
                yield stream(piece.name), piece.name
