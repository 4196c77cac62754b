"""A tensor measured piece by piece: figures of what a law drew, elements that should have a value of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from fastinit_kernels.machine.forks import whole as whole_imports
from numpy.typing import NDArray

from ..weights.dtypes import DTYPES
from ..weights.expected import Expected, expected
from ..weights.laws import Constant
from ..weights.regions import Region, blocks
from .check_statistics import BLOCK, Prints, Sample, twins, without_zeros
from .held import NUMBERS, Held
from .pieces import Assignment, Piece

# Of laws that look at whole tensors, larger blocks are drawn: each costs as much as all.
_WHOLE_BLOCK = 1 << 22
Advance = Callable[[int], None]


@dataclass
class Measured:
    """What was found of a piece.

    Attributes
    ----------
    expected
        What its law says.
    sample
        Figures of the law's own elements.
    digest, signs
        Equal for equal tensors, and for those drawn by the same random numbers; empty where they tell nothing.
    equal_rows, equal_columns
        (how many are copies, one of them, and what it is a copy of).
    zero_rows
        How many are 0 throughout, the first, and how many elements they have.
    wrong
        Elements off the one value that the law has for them, and the largest difference.
    differing
        Elements that are not those of the seed, None where nobody asked.
    """

    piece: Piece
    expected: Expected
    sample: Sample = field(default_factory=Sample)
    digest: bytes = b""
    signs: bytes = b""
    equal_rows: tuple[int, int, int] = (0, -1, -1)
    equal_columns: tuple[int, int, int] = (0, -1, -1)
    zero_rows: tuple[int, int, int] = (0, -1, 0)
    wrong: int = 0
    largest: float = 0.0
    differing: int | None = None

    @property
    def rest(self) -> Sample:
        """The sample without rows that are 0 throughout, which are told as such; nothing of a piece that is 0."""
        is_zero = self.sample.low == self.sample.high == 0
        return without_zeros(self.sample, self.sample.finite if is_zero else self.zero_rows[2])


@dataclass
class Whole:
    """What was found of a tensor: its pieces, and for each `set` how many elements lack its value."""

    assignment: Assignment
    pieces: list[Measured]
    wrong_sets: list[int]


def measure(assignment: Assignment, held: Held, seed: int | None, advance: Advance) -> Whole:
    """Return what a tensor is like, read block by block."""
    with whole_imports:
        from fastinit_kernels.machine.threads import alone
    array = held.array()
    found = Whole(replace(assignment, dtype=held.dtype), [], [0] * len(assignment.sets))
    with alone():  # a block is not worth the threads
        for piece in assignment.pieces:
            found.pieces.append(_piece(found, piece, array, seed, advance))
    return found


def _piece(whole: Whole, piece: Piece, array: NDArray[Any], seed: int | None, advance: Advance) -> Measured:
    assignment, kind = whole.assignment, whole.assignment.dtype
    measured = Measured(piece, expected(piece.law, piece.tensor(kind if kind in DTYPES else "float32", 0)))
    is_fixed, prints = measured.expected.is_fixed, Prints(piece.shape)
    initial = None if seed is None else _drawn(assignment, piece, kind, seed)
    fixed = _fixed(assignment, piece) if is_fixed else None
    measured.differing = None if initial is None else 0
    in_parts = getattr(piece.law, "elementwise", False) or not (initial or fixed)
    for region in blocks(piece.box, BLOCK if in_parts else _WHOLE_BLOCK):
        block = array[_slices(region)]
        owner = _owners(assignment.sets, region)
        if owner is not None:
            _check_sets(whole, block, owner)
        if initial is not None:
            measured.differing = (measured.differing or 0) + _unlike(block, initial(region))
        if fixed is not None:
            _deviate(measured, block, fixed(region), owner)
        _take(measured, None if is_fixed else prints, block, region, owner)
        advance(block.nbytes)
    if not is_fixed:
        _sum_up(measured, prints, array.dtype)
    return measured


def _take(
    measured: Measured, prints: Prints | None, block: NDArray[Any], region: Region, owner: NDArray[np.int16] | None
) -> None:
    """Take a block of the parameter in: into the sample what is the law's own, into the prints all."""
    piece = measured.piece
    stacked = len(piece.box) - len(piece.shape)
    cut = (*(0,) * stacked, ...)
    for part in blocks(tuple((0, n) for _, n in region), BLOCK):
        here = block[_slices(part)]
        if measured.expected.offset and here.dtype.kind == "c":
            with np.errstate(all="ignore"):  # a mean that the type cannot hold
                here = here - here.dtype.type(measured.expected.offset)
        counted = None if owner is None else owner[_slices(part)] < 0
        measured.sample.add(here if counted is None else here[counted])
        if prints is not None:
            starts = [s + p - b for (s, _), (p, _), (b, _) in zip(region, part, piece.box, strict=True)]
            own = tuple((s, n) for s, (_, n) in zip(starts, part, strict=True))[stacked:]
            prints.add(here[cut], own, measured.expected.mean, None if counted is None else counted[cut])


def _slices(region: Region) -> tuple[Any, ...]:
    return *(slice(start, start + n) for start, n in region), ...


def _owners(sets: Sequence[tuple[Region, float]], region: Region) -> NDArray[np.int16] | None:
    """Return for each element the last `set` that it is of, -1 for the law's own; None where all are."""
    owner = None
    for number, (box, _) in enumerate(sets):
        spans = [(max(s, b) - s, min(s + n, b + k) - s) for (s, n), (b, k) in zip(region, box, strict=True)]
        if all(first < last for first, last in spans):
            if owner is None:
                owner = np.full([n for _, n in region], -1, np.int16)
            owner[tuple(slice(*span) for span in spans)] = number
    return owner


def _check_sets(whole: Whole, block: NDArray[Any], owner: NDArray[np.int16]) -> None:
    for number, (_, value) in enumerate(whole.assignment.sets):
        here = block[owner == number]
        whole.wrong_sets[number] += int((here != np.asarray(value).astype(here.dtype)).sum())


def _drawn(assignment: Assignment, piece: Piece, kind: str, seed: int) -> Callable[[Region], NDArray[Any]] | None:
    """Return what draws a region as the plan does, None where it cannot in this type."""
    if kind not in DTYPES:
        return None
    alone = replace(assignment, dtype=kind, pieces=(piece,))
    try:
        alone.check(seed)
    except (TypeError, ValueError):  # numbers that the type cannot hold: it holds others
        return None

    def draw(region: Region) -> NDArray[Any]:
        out = np.empty([n for _, n in region], DTYPES[kind])
        alone.fill(region, out, seed)
        return out

    return draw


def _fixed(assignment: Assignment, piece: Piece) -> Callable[[Region], NDArray[Any]]:
    """Return what gives the values of a law that leaves nothing to chance, in the tensor's type or in float64."""
    kind = assignment.dtype
    draw = _drawn(assignment, piece, kind, 0) or _drawn(assignment, piece, "float64", 0)
    if draw is None:  # a constant beyond every type is refused by the law itself
        return lambda region: np.full([n for _, n in region], piece.law.expectation)
    return draw


def _unlike(block: NDArray[Any], drawn: NDArray[Any]) -> int:
    unsigned = f"u{min(8, block.dtype.itemsize)}"
    a, b = (np.ascontiguousarray(x).reshape(-1).view(unsigned) for x in (block, drawn))
    different = a != b
    return int(different.sum()) if different.any() else 0


def _deviate(measured: Measured, block: NDArray[Any], values: NDArray[Any], owner: NDArray[np.int16] | None) -> None:
    """Count elements that differ by more than other formulas for the same value do: a few last places."""
    complex_ones = block.dtype.kind == "c" or values.dtype.kind == "c"
    kind = np.complex128 if complex_ones else np.float64
    with np.errstate(all="ignore"):
        x, y = block.astype(kind), values.astype(kind)
        off = np.abs(x - y)
        same = isinstance(measured.piece.law, Constant)
        size = np.abs(y) if same else np.abs(y).max(initial=0.0)
        wrong = ~(off <= 4 * spacing(block.dtype)[0] * size)
    if owner is not None:
        wrong &= owner < 0
    if wrong.any():
        measured.wrong += int(wrong.sum())
        measured.largest = max(measured.largest, float(np.nan_to_num(off[wrong], nan=math.inf).max()))


def spacing(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return (spacing at 1, least number above 0) of a type; (0, 1) of integers."""
    import ml_dtypes

    if dtype.kind in "biu":
        return 0.0, 1.0
    info = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    return float(info.eps), float(info.smallest_subnormal)


# Elements that a row must have so that equal ones are no accident, by the bytes of its type.
_TELLING = {1: 32, 2: 12, 4: 4, 8: 2, 16: 1}
# Signs that do: two tensors of a million have equal ones by accident once in 2^24 models.
_LEAST_SIGNS = 64


def _sum_up(measured: Measured, prints: Prints, dtype: np.dtype[Any]) -> None:
    shape = measured.piece.shape
    size = math.prod(shape)
    least = _TELLING[dtype.itemsize]
    several = len(shape) > 1
    if prints.rows.size and size >= least and measured.sample.low != measured.sample.high:
        measured.digest = prints.digest
    if size >= _LEAST_SIGNS and prints.signs.min() < 0 < prints.signs.max():
        measured.signs = prints.signs.tobytes()
    if several and shape[0] and size // shape[0] >= least:
        measured.equal_rows = twins(prints.rows)
    if several and shape[-1] and size // shape[-1] >= least:
        measured.equal_columns = twins(prints.columns)
    if several and not measured.expected.zeros:
        zero = np.flatnonzero((prints.rows == 0) & (prints.in_rows > 0))
        if zero.size:
            measured.zero_rows = int(zero.size), int(zero[0]), int(prints.in_rows[zero].sum())


assert {dtype.itemsize for dtype in NUMBERS.values()} <= {*_TELLING}
