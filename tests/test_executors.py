"""Sweeps on other people's executors: Dask's, MPI's, processes; the figures are those of single probes, bit for bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sweeps
from optional import library

import fastinit as fi

EXAMPLES = Path(__file__).parent.parent / "examples" / "cluster"

# As JSON can hold it; sparse weights are no law's, and come as arrays.
GRID = {**sweeps.GRID, "scheme": ["he_normal", "sparse"], "seed": [0, 1]}

# The grid comes as an argument, the figures go to a file: what the libraries print is their affair.
PROGRAM = """
import json, sys
import fastinit as fi

def report(executor):
    grid, path = json.loads(sys.argv[1]), sys.argv[2]
    grid["scheme"] = [fi.get_scheme(name) for name in grid["scheme"]]
    swept = fi.sweep(executor=executor, **grid)
    with open(path, "w") as file:
        json.dump([result.to_dict() for _, result in swept], file)
"""

DASK = """
from distributed import Client

if __name__ == "__main__":
    with Client(processes=%s, n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        with client.get_executor() as executor:
            report(executor)
"""

MPI = """
from mpi4py.futures import MPIPoolExecutor

if __name__ == "__main__":
    with MPIPoolExecutor() as executor:
        assert executor.num_workers == 2
        report(executor)
"""


def without_time(values):
    return {name: value for name, value in values.items() if name != "seconds"}


@pytest.fixture(scope="module")
def singles():
    points = fi.sweep(**GRID).points
    return [without_time(json.loads(json.dumps(fi.probe(**point).to_dict()))) for point in points]


def run(tmp_path, code, *command):
    """Run a program of its own, as users do, and return its figures."""
    program, figures = tmp_path / "program.py", tmp_path / "figures.json"
    program.write_text(PROGRAM + code)
    done = subprocess.run(
        [*command, program, json.dumps(GRID), figures], capture_output=True, text=True, timeout=100, cwd=tmp_path
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return [without_time(values) for values in json.loads(figures.read_text())]


@pytest.mark.parametrize("processes", [False, True], ids=["threads", "processes"])
def test_a_dask_client(tmp_path, singles, processes):
    library("distributed")
    assert run(tmp_path, DASK % processes, sys.executable) == singles


def mpi():
    """Command that runs a program on three processes of MPI."""
    library("mpi4py")
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if mpiexec is None:
        (pytest.fail if os.environ.get("FASTINIT_REQUIRE_OPTIONAL") == "1" else pytest.skip)("mpiexec is missing")
    return mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures"


def test_an_mpi_pool(tmp_path, singles):
    assert run(tmp_path, MPI, *mpi()) == singles


def dask():
    """Command that runs a program that imports Dask."""
    library("distributed")
    return (sys.executable,)


@pytest.mark.parametrize(("name", "command"), [("sweep_dask.py", dask), ("sweep_mpi.py", mpi)])
def test_example(tmp_path, name, command):
    program = EXAMPLES / name
    done = subprocess.run([*command(), program], capture_output=True, text=True, timeout=100, cwd=tmp_path)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    head, *rows = done.stdout.splitlines()
    assert head == "SweepResult(activation 2 x sigma_w 3 x depth 2: 12 points)"
    assert rows[0] == "tanh 1.0 5 healthy"
    assert len((tmp_path / "sweep.jsonl").read_text().splitlines()) == len(rows) + 1 == 13


# A pool whose workers take their time, and fail at one point or never.
POOL = """
import multiprocessing, os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
from fastinit.probing.sweep import Job, SweepError, sweep

def begin(bad, how):
    run = Job.run
    def slowly(self):
        time.sleep(0.15)
        if self.networks[0].seed == bad and how == "raises":
            raise MemoryError("none left")
        if self.networks[0].seed == bad:
            os.kill(os.getpid(), signal.SIGKILL)
        return run(self)
    Job.run = slowly

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    path, bad, count, how, on_error = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]
    with ProcessPoolExecutor(2, mp_context=spawn, initializer=begin, initargs=(bad, how)) as executor:
        try:
            grid = {"depth": 1, "width": 4, "batch": 3, "seed": range(count)}
            swept = sweep(executor=executor, store=path, on_error=on_error, **grid)
        except SweepError as error:
            swept = error.result
            print(error, file=sys.stderr)
        print(len(swept), swept.complete, swept, *swept.errors, sep="|")
"""


@pytest.fixture
def pool(tmp_path):
    program = tmp_path / "pool.py"
    program.write_text(POOL)
    return [sys.executable, str(program), str(tmp_path / "sweep.jsonl")]


def resumed(tmp_path, count):
    """Go on with the store here: nothing is lost, nothing done twice."""
    path = tmp_path / "sweep.jsonl"
    before = path.read_bytes()
    swept = fi.sweep(store=path, depth=1, width=4, batch=3, seed=range(count))
    assert swept.complete
    assert path.read_bytes().startswith(before)
    assert path.read_bytes().count(b"\n") == count + 1
    for point, result in swept:
        assert without_time(result.to_dict()) == without_time(fi.probe(**point).to_dict())


def swept(tmp_path, pool, how, on_error):
    """Sweep twelve points of which the sixth fails; return how many are done, which failed, and what is said."""
    done = subprocess.run([*pool, "5", "12", how, on_error], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    count, complete, name, *errors = done.stdout.strip().split("|")
    assert complete == "False"
    assert name == f"SweepResult(seed 12: {count} of 12 points, {len(errors)} errors)"
    assert (tmp_path / "sweep.jsonl").read_bytes().count(b"\n") == int(count) + 1
    return int(count), list(map(int, errors)), done.stderr


def test_an_error_in_a_worker_keeps_what_is_done(tmp_path, pool):
    count, errors, said = swept(tmp_path, pool, "raises", "raise")
    assert 1 <= count < 11
    assert errors == [5]
    assert "point 5 (seed=5) failed: MemoryError: none left" in said
    resumed(tmp_path, 12)


def test_a_sweep_can_go_on_after_an_error_in_a_worker(tmp_path, pool):
    count, errors, said = swept(tmp_path, pool, "raises", "skip")
    assert (count, errors) == (11, [5])
    assert said == ""
    resumed(tmp_path, 12)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_killed_worker_keeps_what_is_done(tmp_path, pool, on_error):
    count, errors, said = swept(tmp_path, pool, "is killed", on_error)
    assert 1 <= count < 12
    assert 5 in errors
    assert count + len(errors) == 12  # of none that is missing it is not said why
    assert ("BrokenProcessPool" in said) == (on_error == "raise")
    resumed(tmp_path, 12)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_keeps_what_is_done(tmp_path, pool):
    path = tmp_path / "sweep.jsonl"
    child = subprocess.Popen(
        [*pool, "-1", "60", "raises", "raise"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (path.exists() and path.read_bytes().count(b"\n") > 4):
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to the workers, too
        output, error = child.communicate(timeout=60)
    finally:
        child.kill()
        child.communicate()
    lines = path.read_bytes().count(b"\n") - 1
    assert 4 <= lines < 60, error
    assert output.split("|")[:2] == [str(lines), "False"], error
    assert f"{lines} of 60 points" in output
    resumed(tmp_path, 60)
