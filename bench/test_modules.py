"""Whole modules and trees, by us and by the frameworks themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cases import Case

GROUP = "module"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_module(run: Callable[..., None], require: Callable[[str], None], case: Case, side: str) -> None:
    require(case.module)
    run(getattr(case, side)(), rounds=case.repeats)
