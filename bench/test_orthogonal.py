"""Orthogonal matrices beside torch and JAX: both give some, and none of them gives none."""

from __future__ import annotations

from collections.abc import Callable

from cases import Case

GROUP = "orthogonal"


def test_orthogonal(run: Callable[..., None], require: Callable[[str], None], case: Case, side: str) -> None:
    require(case.module)
    run(getattr(case, side)(), rounds=case.repeats)
