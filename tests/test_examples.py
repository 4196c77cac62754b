"""Every example runs, and says what it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SAYS = {
    "five_layers.py": "too large: saturated",
    "write_checkpoint.py": "changed       1  ",
    "shards.py": "the shards are the tensor: True",
    "edge_of_chaos.py": "edge_of_chaos.png",
    "which_scheme.py": "keeps the signal best",
    "whole_model.py": "a part is the whole's: True",
    "residual_depth.py": "linear  1/sqrt(L)           2.6",
}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name], capture_output=True, text=True, cwd=tmp_path,
        env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert SAYS.get(name, "") in done.stdout
