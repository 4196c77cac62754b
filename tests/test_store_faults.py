"""Stores under real faults: writers that race, kills in the middle of a line, full disks; in processes of their own."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes and limits of POSIX")

# Points that cost little, of lines of several pages: a kill leaves parts of one.
CODE = """
import errno, multiprocessing, os, pathlib, resource, signal, sys, time, warnings
import fastinit as fi
from fastinit.probing import shared

GRID = {"depth": 1, "width": 4, "batch": 3, "bins": 300, "seed": range(40)}
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads

def figures(swept):
    return [{**result.to_dict(), "seconds": 0} for _, result in swept]

alone = fi.sweep(**GRID)
fork = multiprocessing.get_context("fork")

def check(path):
    '''All points are there, and nothing else is.'''
    before = path.read_bytes()
    again = fi.sweep(store=path, **GRID)
    assert again.complete
    assert figures(again) == figures(alone)
    assert path.read_bytes() == before
    return before.count(b"\\n")
"""


@pytest.mark.parametrize(
    "locks", [pytest.param(True, id="locks"), pytest.param(False, id="no locks", marks=pytest.mark.ci)]
)
def test_writers_that_begin_one_store_at_once(python, tmp_path, locks):
    code = """
together, folder = fork.Barrier(3), pathlib.Path(sys.argv[1])
GRID |= {"bins": 1, "seed": range(10)}
alone = fi.sweep(**GRID)
if sys.argv[2] == "False":  # as on Windows, and on file systems without
    shared.fcntl = None
    # A writer that saw another in the middle of its line ended it: a line is blank, and the third may read it.
    warnings.filterwarnings("ignore", "[^(]*(line [0-9]+ .no JSON: Expecting value, character 1.(, )?)+$")

def write():
    for race in range(40):
        together.wait(60)  # a writer that failed keeps nobody waiting
        assert fi.sweep(store=folder / str(race), **GRID).complete

writers = [fork.Process(target=write) for _ in range(3)]
for writer in writers:
    writer.start()
for writer in writers:
    writer.join()
    assert writer.exitcode == 0
lines = [check(path) for path in folder.iterdir()]
assert len(lines) == 40 and min(lines) >= 11, lines
print(max(lines) > 11)  # they did work at the same time
"""
    assert python(CODE + code, tmp_path, locks) == "True\n"


def test_somebody_who_keeps_the_lock_stops_nobody(python, tmp_path):
    code = """
import fcntl
path = pathlib.Path(sys.argv[1]) / "sweep.jsonl"
shared._PATIENCE = 0.01
signal.alarm(100)
with open(path, "wb") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    assert fi.sweep(store=path, **GRID).complete
print(check(path))
"""
    assert python(CODE + code, tmp_path) == "41\n"


def test_kills_lose_no_line(python, tmp_path):
    code = """
path = pathlib.Path(sys.argv[1]) / "sweep.jsonl"
GRID |= {"bins": 2000, "seed": range(60)}
alone = fi.sweep(**GRID)
cut = 0
for kill in range(40):
    before = path.read_bytes() if path.exists() else b""
    writer = fork.Process(target=lambda: warnings.simplefilter("ignore") or fi.sweep(store=path, **GRID))
    writer.start()
    time.sleep(0.004 * (kill % 13))
    writer.kill()
    writer.join()
    after = path.read_bytes() if path.exists() else b""
    assert after.startswith(before[: before.rfind(b"\\n") + 1])
    cut += not after.endswith(b"\\n")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", RuntimeWarning)
    fi.sweep(store=path, **GRID)
assert check(path) == 61
print(cut)
"""
    python(CODE + code, tmp_path)


@pytest.fixture(params=["limit", "disk"])
def small(request, tmp_path):
    """A folder whose files find no room beyond 100 KiB: by the process's limit, or on a disk of that size."""
    if request.param == "limit":
        yield tmp_path
        return
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", folder], capture_output=True).returncode:
        pytest.skip("only root may mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_loses_no_result(python, small):
    code = """
path = pathlib.Path(sys.argv[1]) / "sweep.jsonl"
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, limit[1]))
try:
    fi.sweep(store=path, **GRID)
except fi.SweepError as error:
    told, words = error.result, str(error)
    assert isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.EFBIG, errno.ENOSPC)
kept = path.read_bytes()
assert kept.endswith(b"\\n")
stored = kept.count(b"\\n") - 1
assert 3 < stored < len(told), (stored, len(told))
assert len(told) == stored + len(told.errors)
index = min(told.errors)
assert f"point {index} (seed={index})" in words and str(path) in words and "are kept" in words, words
for result, right in zip(told.results, alone.results):
    assert result is None or figures([(0, result)]) == figures([(0, right)])

# The room that is left is not enough for any line: all are computed, none is lost to the caller.
on = fi.sweep(store=path, on_error="skip", **GRID)
assert on.complete and figures(on) == figures(alone)
assert len(on.errors) == 40 - stored and repr(on) == f"SweepResult(seed 40: 40 points, {40 - stored} errors)"
assert path.read_bytes() == kept
stopped = fi.sweep(store=path, on_error="stop", **GRID)
assert stored < len(stopped) and stopped.errors

resource.setrlimit(resource.RLIMIT_FSIZE, limit)

print(stored)
"""
    assert int(python(CODE + code, small)) > 3
