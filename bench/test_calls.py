"""Small calls, regions, imports and first calls."""

from __future__ import annotations

from collections.abc import Callable

from cases import Case

GROUP = "calls"


def test_calls(run: Callable[..., None], require: Callable[[str], None], case: Case, side: str) -> None:
    require(case.module)
    run(getattr(case, side)(), rounds=case.repeats)
