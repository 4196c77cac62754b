"""Probes beside bare matrix products and the loops that everyone writes."""

from __future__ import annotations

from collections.abc import Callable

from cases import Case

GROUP = "probe"


def test_probe(run: Callable[..., None], require: Callable[[str], None], case: Case, side: str) -> None:
    require(case.module)
    run(getattr(case, side)(), rounds=case.repeats)
