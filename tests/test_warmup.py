"""Kernels compiled ahead and side by side: all of them, by helpers that may fail, with a word to who is waiting."""

import os
import pickle
import subprocess
import sys

import pytest
from fastinit_kernels.machine import ahead, notice
from fastinit_kernels.machine.ahead import everything, prepare
from fastinit_kernels.machine.jit import Kernel
from fastinit_kernels.machine.schedule import Program
from fastinit_kernels.probe import run
from fastinit_kernels.probe.merging import COMBINERS
from fastinit_kernels.warmup import warm_up

import fastinit as fi

KERNELS = [*Program().kernels(), *COMBINERS, *everything()]

# Probes and fills of every kind, in a process whose cache holds what the argument says.
USES = """
import sys
import numpy as np
import fastinit as fi
from fastinit_kernels.machine.jit import Kernel
loaded = []
whole = Kernel.dispatcher.fget
Kernel.dispatcher = property(lambda self: (self.is_loaded() or loaded.append(self), whole(self))[1])
fi.probe(depth=2, width=20, batch=30, residual=True, normalize="layer", bins=40, sigma_b=0.1)
fi.probe(depth=2, width=4, batch=30, conv=3, image=4, dtype=sys.argv[1], activation="gelu")
fi.init("sparse", (30, 20), seed=1)
misses = [kernel.name for kernel in loaded if sum(kernel.dispatcher.stats.cache_misses.values())]
print(len(loaded), *misses)
"""


@pytest.mark.parametrize("kernel", KERNELS, ids=[kernel.name for kernel in KERNELS])
def test_another_process_makes_the_same_kernel(kernel):
    assert pickle.loads(pickle.dumps(kernel)) is kernel


def test_every_kernel_has_a_name_of_its_own():
    names = [kernel.name for kernel in KERNELS]
    assert len(set(names)) == len(names) > 100
    assert "line-truncated_far-float64" in names


@pytest.fixture(scope="module")
def warmed(tmp_path_factory, python):
    """A cache that `fastinit warmup` has filled, and what it said."""
    folder = tmp_path_factory.mktemp("warmed")
    code = "from fastinit.cli import main; main(['warmup'])"
    return folder, python(code, NUMBA_CACHE_DIR=str(folder))


@pytest.mark.ci
def test_after_a_warmup_nothing_is_compiled(warmed, python):
    folder, said = warmed
    assert said.startswith(f"{len(KERNELS)} kernels compiled in ")
    before = sorted(folder.rglob("*"))
    for dtype in ("float32", "float64"):
        number, *misses = python(USES, dtype, NUMBA_CACHE_DIR=str(folder)).split()
        assert int(number) > 20
        assert misses == []
    assert sorted(folder.rglob("*")) == before


@pytest.mark.ci
def test_a_second_warmup_has_nothing_to_do(warmed, python):
    code = "from fastinit.cli import main; main(['warmup'])"
    assert python(code, NUMBA_CACHE_DIR=str(warmed[0])) == "all kernels are compiled\n"


def test_what_is_there_is_not_compiled_again(monkeypatch):
    monkeypatch.setattr(Kernel, "is_compiled", lambda self: True)
    monkeypatch.setattr(ahead, "_Helper", None)
    assert warm_up(3) == 0
    assert fi.warmup(processes=2) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"processes": 0}, ValueError, "'processes' must be an integer >= 1, got 0"),
        ({"processes": 1.5}, TypeError, "'processes' must be an integer >= 1, got 1.5"),
        ({"progress": 7}, TypeError, "'progress' must be a function"),
    ],
)
def test_a_wrong_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        fi.warmup(**arguments)


# Two kernels, one of which a helper makes; prints who made which, and what was told.
TWO = """
import json, sys
from fastinit_kernels.machine import ahead
from fastinit_kernels.machine.notice import told
from fastinit_kernels.probe.activate import activation_kernel
if sys.argv[1] == "broken":
    sys.executable = sys.argv[2]
kernels = [activation_kernel(name, "float32") for name in ("relu", "linear", "leaky_relu", "hard_tanh")]
heard = []
with told(lambda done, total: heard.append((done, total))):
    ahead.prepare(kernels, helpers=1)
assert all(kernel.is_loaded() for kernel in kernels)
hits = [sum(kernel.dispatcher.stats.cache_hits.values()) for kernel in kernels]
print(json.dumps([hits, heard]))
"""


def two(python, folder, how, executable=""):
    import json

    hits, heard = json.loads(python(TWO, how, executable, NUMBA_CACHE_DIR=str(folder)))
    assert heard[0] == [0, 4]
    assert heard[-1] == [4, 4]
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    return hits


def test_a_helper_compiles_into_the_cache(python, tmp_path):
    # This process is busy with one kernel while a helper starts and takes another, or is quicker with all of them.
    assert len(two(python, tmp_path, "usual")) == 4
    assert len(list(tmp_path.rglob("activation-*.bin"))) == 4


@pytest.mark.ci
@pytest.mark.parametrize(
    "script", [None, "exit 1", "exec sleep 100", "sleep 5; sleep 5", "echo ready; sleep 0.2; exit 1"]
)
def test_a_helper_that_cannot_help_costs_nothing(python, tmp_path, script):
    # Missing; gone at once; alive and never ready; gone with what it was given.
    helper = tmp_path / "helper"
    if script:
        helper.write_text(f"#!/bin/sh\n{script}\n")
        helper.chmod(0o755)
    assert two(python, tmp_path, "broken", helper) == [0, 0, 0, 0]


def test_processes_can_be_forbidden(monkeypatch):
    kernels = [kernel for kernel in KERNELS if "float32" in str(kernel.name)]
    monkeypatch.setattr(ahead, "cpus", lambda: 8)
    monkeypatch.setenv("FASTINIT_COMPILE_PROCESSES", "0")
    assert ahead._number(kernels, None) == ahead._number(kernels, 5) == 0
    monkeypatch.setenv("FASTINIT_COMPILE_PROCESSES", "2")
    assert (ahead._number(kernels, None), ahead._number(kernels, 5)) == (2, 2)
    monkeypatch.delenv("FASTINIT_COMPILE_PROCESSES")
    assert ahead._number(kernels, None) == 3
    assert ahead._number(kernels[:1], None) == 0  # not worth one
    assert ahead._number(kernels, 5) == 5
    monkeypatch.setattr(ahead, "cpus", lambda: 1)
    assert ahead._number(kernels, None) == 0
    monkeypatch.setattr(sys, "executable", "")
    assert ahead._number(kernels, 5) == 0


# Says what is written to stderr, a terminal or not, while something takes a while.
LINE = """
import sys, time
from fastinit_kernels.machine import notice
notice._PATIENCE = 0.05
if sys.argv[1] == "terminal":
    sys.stderr.isatty = lambda: True
for pause in (0.0, 0.3):
    with notice.Notice(2) as told:
        time.sleep(pause)
        told.advance()
"""


@pytest.mark.parametrize(("where", "quiet", "lines"), [("terminal", "", 1), ("terminal", "1", 0), ("pipe", "", 0)])
def test_a_line_for_who_waits(where, quiet, lines):
    env = {**os.environ, "FASTINIT_QUIET": quiet}
    done = subprocess.run([sys.executable, "-c", LINE, where], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == "fastinit: compiling kernels, once for this machine … 0 s\n" * lines


def test_a_stderr_that_is_gone_is_no_reason_to_fail(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with notice.Notice(1):
        pass
    monkeypatch.setattr(sys, "stderr", object())
    notice._write("lost")
    prepare([])
    assert run.no_gradients(1)["gradient_std"].size == 1
