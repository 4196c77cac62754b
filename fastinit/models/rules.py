"""A rule of a plan: whom it is for, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .expressions import Expression
from .patterns import Pattern


@dataclass(frozen=True)
class Draw:
    """How a tensor, or a part of one, is drawn.

    Attributes
    ----------
    scheme, params
        The scheme's name, and its parameters: words, or expressions in place of numbers.
    wiring
        `layout`, `groups` …, as `init` takes them; numbers are expressions.
    fans_of
        Template of the parameter whose fans are meant.
    name
        Template of the stream's name, None for the parameter's own.
    sets
        (index in NumPy's writing, expression): elements that get a value of their own.
    axis, segments
        Parts along an axis, each drawn by itself.
    """

    scheme: str | None
    params: Mapping[str, Any]
    wiring: Mapping[str, Any]
    fans_of: str | None = None
    name: str | None = None
    sets: tuple[tuple[tuple[Any, ...], Expression], ...] = ()
    axis: int = 0
    segments: tuple[tuple[Expression | None, Draw], ...] = ()


@dataclass(frozen=True)
class Rule:
    """A pattern with conditions, and what is done with a parameter that has both.

    Attributes
    ----------
    written
        The rule as it was written, in plain types: what is saved.
    draw
        None for parameters that the plan leaves alone, and tied ones.
    """

    pattern: Pattern
    written: Any
    ndim: tuple[int, ...] | None = None
    role: Pattern | None = None
    when: Expression | None = None
    dtype: str | None = None
    stack: tuple[str, ...] = ()
    ties: tuple[str, ...] = ()
    lr: Expression | None = None
    note: str = ""
    draw: Draw | None = None

    @property
    def label(self) -> str:
        """The pattern, and the role that it asks for: what tables and refusals call the rule."""
        return self.pattern.text if self.role is None else f"{self.pattern.text} ({self.role.text})"
