"""A checkpoint held against what its plan and seed give: which tensors still have their initial bytes."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..weights.dtypes import DTYPES, check_dtype
from ..weights.streams import CONTRACT, check_seed
from ..words import printable, shown
from .pieces import Assignment
from .plan import Assignments, Plan
from .safetensors import Stored
from .sources import shapes_of
from .stored import Checkpoint
from .streaming import Advance, compare_tensors

SEED, PLAN, DTYPE, VERSION = "fastinit_seed", "fastinit_plan", "fastinit_dtype", "fastinit_contract"

# Of each kind of tensor, those that a text names.
_MOST_LISTED = 20


@dataclass(frozen=True)
class Verification:
    """What a checkpoint has in place of its initial weights.

    Attributes
    ----------
    initial
        Tensors with the bytes that the plan and the seed give.
    changed
        Others, each with words: other values, type or shape.
    missing
        Tensors that should be stored and are not.
    extra
        Tensors that are stored and nobody asked for.
    seed
        The seed.
    """

    initial: tuple[str, ...]
    changed: Mapping[str, str]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    seed: int

    @property
    def ok(self) -> bool:
        """Whether every tensor is there and has its initial bytes, and no other is."""
        return not (self.changed or self.missing or self.extra)

    def _lines(self) -> Iterable[tuple[str, int, str]]:
        changed = [f"{name} ({words})" for name, words in self.changed.items()]
        yield "initial", len(self.initial), ""
        for word, names in (("changed", changed), ("missing", self.missing), ("extra", self.extra)):
            more = len(names) - _MOST_LISTED
            listed = ", ".join(map(printable, names[:_MOST_LISTED])) + (f" and {more} more" if more > 0 else "")
            yield word, len(names), listed

    def __repr__(self) -> str:
        lines = [f"{word:<8} {count:>6}  {listed}".rstrip() for word, count, listed in self._lines()]
        return "\n".join([f"seed {self.seed}: {'initial weights' if self.ok else 'not all as they began'}", *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{word}</td><td>{count}</td><td>{html.escape(listed)}</td></tr>"
            for word, count, listed in self._lines()
        )
        return f"<table><caption>seed {self.seed}</caption><tbody>{rows}</tbody></table>"


def origin(found: Checkpoint, plan: Any, seed: Any) -> tuple[Plan, int]:
    """Return the plan and the seed: those that are given, or else what the files say."""
    if plan is None:
        text = found.said(PLAN)
        if text is None:
            raise ValueError("argument 'plan' must be given for a checkpoint that does not hold its own, got None")
        plan = Plan.from_json(text)
        version = found.said(VERSION)
        if version != str(CONTRACT):
            raise ValueError(
                f"argument 'path' must be a checkpoint of version {CONTRACT} of the contract, got {shown(version)}"
            )
    elif not isinstance(plan, Plan):
        raise TypeError(f"argument 'plan' must be a Plan, got {shown(plan)}")
    if seed is None:
        text = found.said(SEED)
        if text is None or not (text.isascii() and text.isdigit() and len(text) < 21):
            raise ValueError(f"argument 'seed' must be given for a checkpoint that holds none, got {shown(text)}")
        seed = int(text)
    return plan, check_seed(seed)


def verify(path: str, plan: Any, seed: Any, shapes: Any, dtype: Any) -> tuple[Any, int]:
    """Return a function that compares, given what to tell the bytes done, and how many bytes there are."""
    found = Checkpoint(path)
    rules, number = origin(found, plan, seed)
    kind = found.said(DTYPE) if dtype is None else dtype
    wanted = found.parameters() if shapes is None else shapes_of(shapes)
    assigned = rules.resolve(wanted, dtype="float32" if kind is None else check_dtype(kind))
    sources = {name: _source(assigned, a, found.tensors.get(name)) for name, a in assigned.items()}
    expected = {name: source for name, source in sources.items() if source is not None}
    if kind is None:  # each in the type that it is stored in
        expected = {n: _stored_as(a, found.tensors.get(n)) for n, a in expected.items()}
    Assignments(expected).check(number)
    changed = {n: words for n, a in expected.items() if n in found.tensors and (words := _differs(a, found.tensors[n]))}
    compared = [n for n in expected if n in found.tensors and n not in changed]
    names = {*expected, *(found.missing if shapes is None else ())}
    missing = tuple(name for name in names if name not in found.tensors)
    extra = tuple(name for name in found.tensors if name not in expected)

    def compare(advance: Advance) -> Verification:
        for file, header in found.headers.items():
            mine = {name: expected[name] for name in compared if name in header.tensors}
            for name in compare_tensors(file, header, mine, number, advance):
                changed[name] = "other values"
        initial = tuple(name for name in compared if name not in changed)
        return Verification(initial, changed, tuple(sorted(missing)), extra, number)

    return compare, sum(found.tensors[n].end - found.tensors[n].begin for n in compared)


def _source(found: Assignments, assignment: Assignment, stored: Stored | None) -> Assignment | None:
    """Return whose values a parameter must have, None where it need not be stored."""
    if assignment.tie is None:
        return assignment if assignment.is_drawn else None
    return None if stored is None else found[assignment.tie]


def _stored_as(assignment: Assignment, stored: Stored | None) -> Assignment:
    return assignment if stored is None or stored.dtype not in DTYPES else replace(assignment, dtype=stored.dtype)


def _differs(assignment: Assignment, stored: Stored) -> str:
    if assignment.shape != stored.shape:
        return f"shape {stored.shape}, not {assignment.shape}"
    return f"{stored.dtype}, not {assignment.dtype}" if assignment.dtype != stored.dtype else ""
