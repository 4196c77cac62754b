"""Every example runs, and says what it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from optional import library

EXAMPLES = Path(__file__).parent.parent / "examples"
SAYS = {
    "five_layers.py": "too large: saturated",
    "write_checkpoint.py": "changed       1  ",
    "shards.py": "the shards are the tensor: True",
    "edge_of_chaos.py": "edge_of_chaos.png",
    "which_scheme.py": "keeps the signal best",
    "whole_model.py": "a part is the whole's: True",
    "residual_depth.py": "linear  1/sqrt(L)           2.6",
    "torch_transformer.py": "it learns: True",
    "huggingface.py": "each is its name's: True",
    "fsdp.py": "four processes equal one: True",
    "torchtitan_param_init.py": "the same from NumPy: True",
    "megatron_init_method.py": "four ranks have one layer: True",
}
# Examples of a library of an extra.
NEEDS = {
    "torch_transformer.py": "torch",
    "fsdp.py": "torch",
    "torchtitan_param_init.py": "torch",
    "megatron_init_method.py": "torch",
    "huggingface.py": "transformers",
}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example(name, tmp_path):
    if name in NEEDS:
        library(NEEDS[name])
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name], capture_output=True, text=True, cwd=tmp_path,
        env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert SAYS.get(name, "") in done.stdout
