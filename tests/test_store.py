"""The store of a sweep: a rerun goes on where it stopped, and no damage loses or invents a point."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sweeps import GRID, figures

import fastinit as fi
from fastinit.sweep import Job, sweep


def count_jobs(monkeypatch):
    jobs = []
    run = Job.run
    monkeypatch.setattr(Job, "run", lambda self: jobs.append(self.indices) or run(self))
    return jobs


def test_a_rerun_reads_the_store(tmp_path, monkeypatch):
    path = tmp_path / "sweep.jsonl"
    first = sweep(store=path, **GRID)
    jobs = count_jobs(monkeypatch)
    second = sweep(store=path, **GRID)
    assert jobs == []
    assert [figures(r) for _, r in second] == [figures(r) for _, r in first]
    lines = path.read_text().splitlines()
    assert len(lines) == 17
    assert all(json.loads(line) for line in lines)


@pytest.mark.parametrize("cut", [1, 10, 1000])
def test_a_cut_off_last_line_is_repaired(tmp_path, monkeypatch, cut):
    path = tmp_path / "sweep.jsonl"
    first = sweep(store=path, **GRID)
    os.truncate(path, path.stat().st_size - cut)
    jobs = count_jobs(monkeypatch)
    with pytest.warns(RuntimeWarning, match=r"the last line of .* was cut off") as caught:
        second = sweep(store=path, **GRID)
    assert caught[0].filename == __file__
    assert len(jobs) == 1
    assert [figures(r) for _, r in second] == [figures(r) for _, r in first]
    assert [figures(r) for _, r in sweep(store=path, **GRID)] == [figures(r) for _, r in first]


def test_a_whole_but_senseless_last_line_is_repaired(tmp_path):
    path = tmp_path / "sweep.jsonl"
    sweep(store=path, **GRID)
    with open(path, "a") as file:
        file.write('{"point": 1, "resu\n')
    with pytest.warns(RuntimeWarning, match="was cut off"):
        assert sweep(store=path, **GRID).complete


def test_damage_in_the_middle_is_an_error_that_changes_nothing(tmp_path):
    path = tmp_path / "sweep.jsonl"
    sweep(store=path, **GRID)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3][:50] + b"\n"
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"undamaged before its last line, got .* with line 4 unreadable"):
        sweep(store=path, **GRID)
    assert path.read_bytes() == before


def test_another_grids_store_is_an_error_that_changes_nothing(tmp_path):
    path = tmp_path / "sweep.jsonl"
    sweep(store=path, **GRID)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"must belong to this grid, got .*, written with other values of seed"):
        sweep(store=path, **{**GRID, "seed": range(3)})
    with pytest.raises(ValueError, match="written with other values of sigma_b"):
        sweep(store=path, **GRID, sigma_b=0.1)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"hello\n", b"hello", b"{}\n", b"[1]\n", b"\x00\xff\n"])
def test_a_file_that_is_no_store_is_left_alone(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="argument 'store' must be a sweep's file"):
        sweep(store=path, **GRID)
    assert path.read_bytes() == content


def test_an_arrays_content_is_part_of_the_grid(tmp_path):
    path = tmp_path / "sweep.jsonl"
    x = np.ones((3, 4))
    sweep(store=path, inputs=x, depth=1, width=3)
    sweep(store=path, inputs=x.copy(), depth=1, width=3)
    with pytest.raises(ValueError, match="other values of inputs"):
        sweep(store=path, inputs=2 * x, depth=1, width=3)


SLOW = """
import sys, time
from fastinit.sweep import Job, sweep
run = Job.run
def slow(self):
    time.sleep(0.2)
    return run(self)
Job.run = slow
result = sweep(store=sys.argv[1], depth=1, width=4, batch=3, seed=range(40))
print(len(result), result.complete, repr(result))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_sweep_loses_no_point(tmp_path, number):
    path = tmp_path / "sweep.jsonl"
    process = subprocess.Popen([sys.executable, "-c", SLOW, path], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (path.exists() and path.read_bytes().count(b"\n") > 4):
        time.sleep(0.02)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=60)
    done = path.read_bytes().count(b"\n") - 1
    assert 4 <= done < 40
    if number == signal.SIGINT:
        assert process.returncode == 0
        assert output.split()[1] == "False"
        assert int(output.split()[0]) == done
        assert f"{done} of 40 points" in output
    resumed = sweep(store=path, depth=1, width=4, batch=3, seed=range(40))
    assert resumed.complete
    assert [figures(r) for _, r in resumed] == [figures(fi.probe(**p)) for p, _ in resumed]
