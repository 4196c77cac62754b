"""What the suites share. In a plain test run (--benchmark-disable) each piece of work is done once, and small."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the suites import their tables as plain modules

import cases
import peers
from peers import Work
from timing import settle

THREADS = min(2, peers.CORES)
SIZES = (10, 1_000, 100_000, 10_000_000, 30_000_000)


def disabled(config: pytest.Config) -> bool:
    return bool(config.getoption("benchmark_disable") and not config.getoption("benchmark_enable"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test the table that its arguments ask for."""
    small = disabled(metafunc.config)
    if "peer" in metafunc.fixturenames:
        # Not run for its time, one size says all: large enough for threads, small enough for every peer.
        grid = peers.fill_grid((40_000,) if small else SIZES, THREADS)
        metafunc.parametrize(("peer", "law", "dtype", "size", "threads"), grid)
    if "case" in metafunc.fixturenames:
        table = cases.GROUPS[metafunc.module.GROUP](small, THREADS)
        sides = [(case, side) for case in table for side in ("ours", "theirs") if getattr(case, side)]
        metafunc.parametrize(("case", "side"), sides, ids=[f"{case.name} | {side}" for case, side in sides])


@pytest.fixture
def require() -> Callable[[str], None]:
    """Skip without an optional library; with FASTINIT_REQUIRE_OPTIONAL=1, as in CI, fail."""

    def check(module: str) -> None:
        if not peers.installed(module):
            missing = pytest.fail if os.environ.get("FASTINIT_REQUIRE_OPTIONAL") == "1" else pytest.skip
            missing(f"{module} is not installed")

    return check


@pytest.fixture
def run(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Benchmark a piece of work, after the thread pools of whoever ran before have gone to sleep."""

    def measure(work: Work, *, rounds: int = 0) -> None:
        if disabled(request.config):
            work()
        else:
            settle()
            work()
        if rounds:
            benchmark.pedantic(work, rounds=rounds)
        else:
            benchmark(work)

    return measure
