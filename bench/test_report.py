"""The report: tables from figures, and one comparison measured end to end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import report
from cases import Case, Target, cases
from timing import Result


def _case(**changes: object) -> Case:
    return Case("work", "peer", lambda: lambda: None, lambda: lambda: None, **changes)  # type: ignore[arg-type]


FAST = (_case(target=Target(3, 5)), Result([1.0, 1.0, 1.0], [3.9, 4.0, 5.0]))
SLOW = (_case(target=Target(1.5), faster=False), Result([2.0, 2.0, 2.0], [1.0, 1.0, 1.0]))


def test_cells_say_factor_target_and_whether_it_is_met() -> None:
    assert report.cells(FAST) == ("work", "1 s", "peer", "4 s", "4x faster", "3.95 - 4.5", ">= 3x (5x)", "yes")
    assert report.cells(SLOW)[4:] == ("2x its time", "2 - 2", "<= 1.5x", "no")
    behind = (_case(), Result([1e-7], [5e-8]))
    assert report.cells(behind) == ("work", "100 ns", "peer", "50 ns", "2x slower", "0.5 - 0.5", "-", "-")
    limit = Case("work", "limit", lambda: lambda: 0, target=Target(2 << 30, 1 << 30), measured="B")
    assert report.cells((limit, Result([1 << 29])))[1] == "0.50 GiB"
    assert report.cells((limit, Result([1 << 29])))[-1] == "yes, stretch too"


def test_a_case_that_failed_is_a_miss_and_a_missing_library_is_not() -> None:
    target = _case(target=Target(3))
    assert report.cells((target, Result(note="MemoryError: no")))[-1] == "no"
    assert report.cells((target, Result(note="torch is not installed")))[-1] == "-"
    assert report.cells((target, Result(note="commit 0000000 is not here")))[-1] == "-"


def test_a_limit_of_our_own_figure_may_stand_beside_a_peer() -> None:
    case = _case(target=Target(3, 0.5, absolute=True))
    assert report.cells((case, Result([1.0], [0.1])))[4:] == ("10x slower", "0.1 - 0.1", "<= 3 s (500 ms)", "yes")
    assert report.cells((case, Result([4.0], [9.0])))[-1] == "no"


def test_the_short_table_shows_the_worst_miss() -> None:
    headline = (_case(target=Target(3), headline=True), FAST[1])
    table = report.readme_table([headline, FAST, SLOW], "machine.")
    assert "2x its time | <= 1.5x, missed" in table
    assert table.count("\n| work |") == 2


def test_replace_table_keeps_everything_else() -> None:
    page = f"a\n{report.BEGIN}\nold\n{report.END}\nb\n"
    assert report.replace_table(page, "new") == f"a\n{report.BEGIN}\nnew\n{report.END}\nb\n"
    assert report.replace_table("no markers", "new") is None


def test_one_comparison_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    before = report.RESULTS.read_text() if report.RESULTS.exists() else None
    assert report.main(["--small", "--repeats", "1", "--only", "10 elements, whole call | NumPy"]) == 0
    assert "10 elements, whole call" in capsys.readouterr().out
    assert before == (report.RESULTS.read_text() if report.RESULTS.exists() else None)


def test_no_such_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["--only", "nothing of the kind"]) == 2
    assert "nothing of the kind" in capsys.readouterr().err


def test_a_missing_library_is_skipped_or_refused(
    require: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FASTINIT_REQUIRE_OPTIONAL", raising=False)
    with pytest.raises(pytest.skip.Exception):
        require("no_such_library")
    monkeypatch.setenv("FASTINIT_REQUIRE_OPTIONAL", "1")
    with pytest.raises(pytest.fail.Exception, match="no_such_library is not installed"):
        require("no_such_library")


def test_names_are_unique() -> None:
    names = [case.name for case in cases(small=True, threads=1)]
    assert len(names) == len(set(names))
