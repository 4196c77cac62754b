"""Every example runs, and says what it should."""

import os
import re
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
    "jax_tree.py": "the same bytes as in one process: True",
    "same_bytes.py": "PyTorch: True\nJAX: True\nKeras: True",
}
# Examples of a library of an extra.
NEEDS = {
    "torch_transformer.py": "torch",
    "fsdp.py": "torch",
    "torchtitan_param_init.py": "torch",
    "megatron_init_method.py": "torch",
    "huggingface.py": "transformers",
    "jax_tree.py": "jax flax",
    "same_bytes.py": "torch jax keras",
}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example(name, tmp_path):
    if name in NEEDS:
        for needed in NEEDS[name].split():
            library(needed)
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name], capture_output=True, text=True, cwd=tmp_path,
        env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert SAYS.get(name, "") in done.stdout


@pytest.mark.ci
def test_sixteen_hosts_write_one_checkpoint(tmp_path):
    script = EXAMPLES / "cluster" / "sixteen_hosts.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", script, tmp_path / "model", "1"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "gives the same files: True" in done.stdout


@pytest.mark.parametrize(("page", "needed"), [("jax", "jax"), ("keras", "keras"), ("dask", "dask zarr")])
def test_the_examples_of_a_page_run(page, needed, tmp_path):
    for name in needed.split():
        library(name)
    text = (EXAMPLES.parent / "docs" / f"{page}.md").read_text()
    for code in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, "KERAS_BACKEND": "numpy"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        for said in re.findall(r"^print\(.*\)  # (.*)$", code, re.M):
            assert said in done.stdout
