"""Fills: laws x dtypes x sizes x threads, fastinit beside ndarray.fill, NumPy, torch, JAX and mkl_random."""

from __future__ import annotations

from collections.abc import Callable

import peers
from peers import PEERS


def test_fill(
    run: Callable[..., None], require: Callable[[str], None], peer: str, law: str, dtype: str, size: int, threads: int
) -> None:
    require(PEERS[peer].module)
    work = PEERS[peer].prepare(law, dtype, size, threads)
    with peers.threads(threads):
        run(work)
