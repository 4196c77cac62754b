"""The scripts that look into a comparison: a run of each, and how a listing is read."""

from __future__ import annotations

import platform
import re

import first
import narrow
import philox
import pytest
from cases import BASELINE

LISTING = """
f:
	xorl	%eax, %eax
.LBB0_1:
	vpaddq	%ymm0, %ymm1, %ymm1
.LBB0_2:
	vpmuludq	%ymm6, %ymm7, %ymm10
	vpsrlq	$32, %ymm10, %ymm7
	vpxor	(%rsp), %ymm7, %ymm11
	vmovdqa	%ymm11, (%rdi)
	addq	$32, %rdi
	jne	.LBB0_2
	incq	%r10
	jne	.LBB0_1
	retq
"""


def test_the_innermost_loop_is_counted() -> None:
    (loop,) = philox.loops(LISTING)
    assert loop.bits == 256
    assert loop.counts == {"multiply": 1, "shift": 1, "logic": 1, "other": 3}
    assert philox.words_loop(LISTING) == loop
    assert philox.turns(loop) == 72
    with pytest.raises(ValueError, match="no loop of vpmuludq"):
        philox.words_loop(LISTING.replace("vpmuludq", "vpaddq"))


def test_pipes_bound_what_only_they_take() -> None:
    pipes = philox.Pipes("two", {"multiply": "0", "shift": "1", "logic": "01"}, wide=2)
    assert pipes.cycles({"multiply": 6, "shift": 1, "logic": 2, "other": 9}, 256) == 6
    assert pipes.cycles({"multiply": 3, "shift": 3, "logic": 4}, 256) == 5
    assert pipes.cycles({"multiply": 3, "shift": 3, "logic": 4}, 512) == 10


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads listings of x86-64 alone")
def test_philox_counts_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(philox, "group_time", lambda law: 1e-7)
    monkeypatch.setattr(philox, "clock", lambda: 3e9)
    text = "\n".join(philox.account("uniform"))
    needed, counted = map(int, re.findall(r"^multiplications .*?(\d+)$", text, re.M))
    assert needed <= counted <= 1.1 * needed


def test_narrow_accounts_for_every_kind_of_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert narrow.main(["--small", "--repeats", "1", "--threads", "1"]) == 0
    text = capsys.readouterr().out
    pieces = ("input", "weights", "layer", "merge-layer", "weight-gradient", "back")
    for name in ("bare products", "of which outside", *pieces):
        assert re.search(rf"^ +{name}.* us", text, re.M), name


def test_first_measures_both_checkouts(capsys: pytest.CaptureFixture[str]) -> None:
    assert first.main(["--small", "--repeats", "1", "--only", "nothing compiled"]) == 0
    assert re.search(rf"first fi.init, nothing compiled +\S+ \w+ +commit {BASELINE}", capsys.readouterr().out)
