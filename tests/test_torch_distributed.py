"""Real processes of gloo: what each has of a distributed tensor is its part of what one process draws, bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from optional import library

torch = library("torch")

from fastinit.torch.sharding import held  # noqa: E402

RANKS = Path(__file__).parent / "torch_ranks.py"


@pytest.mark.parametrize("world", [2, 4, pytest.param(8, marks=pytest.mark.ci)])
def test_every_mesh_and_placement(world):
    if not torch.distributed.is_gloo_available():
        pytest.skip("this PyTorch has no gloo")
    done = subprocess.run(
        [sys.executable, RANKS, str(world)], capture_output=True, text=True, timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "TORCH_LOGS": "-all"},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.count("right") == world * {2: 3, 4: 6, 8: 5}[world]


class Sharded:
    """A placement along axis 0, strided if a factor is given."""

    def __init__(self, factor=None):
        self.dim = 0
        if factor is not None:
            self.split_factor = factor

    def is_replicate(self):
        return False

    def is_partial(self):
        return False


@pytest.mark.parametrize("size", [0, 1, 5, 9, 12, 37])
@pytest.mark.parametrize("mesh", [(1, 1), (2, 2), (4, 2), (3, 5)])
@pytest.mark.parametrize("factors", [(None, None), (2, None), (None, 3), (3, 2)])
def test_chunks_are_torchs(size, mesh, factors):
    placements = [Sharded(factor) for factor in factors]
    for here in [(i, j) for i in range(mesh[0]) for j in range(mesh[1])]:
        rows = torch.arange(size)
        for factor, count, index in zip(factors, mesh, here, strict=True):
            outer = list(rows.chunk(factor or 1)) if len(rows) else [rows]
            cut = [list(part.chunk(count)) + [part[:0]] * count for part in outer]
            rows = torch.cat([parts[index] for parts in cut])
        spans = held(size, 0, placements, mesh, here)
        assert [i for start, stop in spans for i in range(start, stop)] == rows.tolist()
        assert held(size, 1, placements, mesh, here) == [(0, size)]
