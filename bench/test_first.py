"""First calls beside those of an earlier commit."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import cases
import processes
import pytest
from cases import Case

GROUP = "first"


def _is_here(commit: str) -> bool:
    try:
        return subprocess.run(["git", "-C", processes.ROOT, "cat-file", "-e", commit]).returncode == 0
    except FileNotFoundError:
        return False


def test_first(run: Callable[..., None], require: Callable[[str], None], case: Case, side: str) -> None:
    require(case.module)
    if side == "theirs" and not _is_here(cases.BASELINE):
        pytest.skip(f"no commit {cases.BASELINE}: not a whole clone")
    run(getattr(case, side)(), rounds=case.repeats)


def test_a_commit_that_is_not_here_is_said() -> None:
    with pytest.raises(RuntimeError, match="commit 0000000 is not here"):
        processes.checkout("0000000")
