"""Sweeps beside a loop over the loop."""

from __future__ import annotations

from collections.abc import Callable

from cases import Case

GROUP = "sweep"


def test_sweep(run: Callable[..., None], require: Callable[[str], None], case: Case, side: str) -> None:
    require(case.module)
    run(getattr(case, side)(), rounds=case.repeats)
