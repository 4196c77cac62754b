"""Checkpoints beside torch with safetensors, and dd."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import checkpoint
import models
import pytest
from cases import Case

GROUP = "checkpoint"


def test_checkpoint(run: Callable[..., None], require: Callable[[str], None], case: Case, side: str) -> None:
    require(case.module)
    run(getattr(case, side)(), rounds=case.repeats)


def test_the_model_is_tinyllama() -> None:
    assert models.size(small=False) == 1_100_048_384
    real = Path(__file__).parent.parent / "examples" / "shapes" / "tinyllama.json"
    ours = {name: list(shape) for name, shape in models.shapes(small=False).items()}
    assert ours == {name: entry["shape"] for name, entry in json.loads(real.read_text()).items()}


def test_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert checkpoint.main(["--quick", "--repeats", "1"]) == 0
    out = capsys.readouterr().out
    assert "dd's zeros" in out
    assert "GB/s at best" in out
