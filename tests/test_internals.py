"""What hangs on Numba's insides: without any of them the same bytes and figures, said once, and no abort."""

import importlib.util
import os
import sys

import numba
import pytest
from fastinit_kernels.machine import cache, internals, jit
from numba import _dynfunc
from numba.core import codegen
from numba.core.codegen import CodeLibrary, CPUCodeLibrary, JITCodeLibrary
from numba.np.ufunc import parallel

# Draws, and a probe there and back, of whatever has a kernel of its own.
WORK = """
import hashlib, os, threading, warnings
import numpy as np

def fills():
    import fastinit as fi
    drawn = fi.init("truncated_normal", (300, 701), seed=1, dtype="bfloat16"), fi.normal((300, 701), seed=2)
    return hashlib.sha256(b"".join(x.tobytes() for x in drawn)).hexdigest()

def found():
    import fastinit as fi
    result = fi.probe(depth=3, width=70, batch=150, activation="gelu", sigma_b=0.1, normalize="layer", residual=True)
    figures = {name: np.asarray(value).tolist() for name, value in result.to_dict().items() if name != "seconds"}
    return hashlib.sha256(repr(sorted(figures.items(), key=str)).encode()).hexdigest()
"""

SAID = """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(fills(), found())
from fastinit_kernels.machine import internals
print(bool(internals.HELPER_OPTIONS), internals.threads_are_known(), len(caught))
print(*[warning.category.__name__ + ": " + str(warning.message) for warning in caught])
"""

# Fills by several Python threads at once, in a forked child beside them and afterwards, and in its own child.
UNSAFE = """
warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads, and we of what is not kept
first = fills()
together, digests = threading.Barrier(5), []

def fill():
    together.wait()
    digests.extend(fills() for _ in range(5))

def fork(depth=2):
    child = os.fork()
    if child == 0:
        right = fills() == first and (depth == 1 or fork(depth - 1) == 0)
        os._exit(0 if right else 3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

threads = [threading.Thread(target=fill) for _ in range(4)]
for thread in threads:
    thread.start()
together.wait()
codes = [fork() for _ in range(3)]
for thread in threads:
    thread.join()
codes.append(fork())
print(first, {*digests} == {first}, codes, fills() == first)
"""


# Without the others, and without processes that compile for this one: there is nowhere they could leave anything.
FORCED = {"FASTINIT_FALLBACKS": "1", "FASTINIT_COMPILE_PROCESSES": "0"}


@pytest.fixture(scope="module")
def usual(python):
    """The digests (of what is drawn, of what is found) with all that Numba has."""
    digests, state, *_ = python(WORK + SAID).splitlines()
    assert state == "True True 0"
    return digests.split()


@pytest.mark.ci
def test_the_same_bytes_and_figures_and_one_warning(python, usual, tmp_path):
    digests, state, *said = python(WORK + SAID, **FORCED, NUMBA_CACHE_DIR=str(tmp_path)).splitlines()
    assert digests.split() == usual
    assert state == "False False 1"
    (message,) = said
    assert message.startswith("RuntimeWarning: fastinit cannot keep its compiled kernels with this version of Numba")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.ci
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_threads_and_forks_abort_nothing(python, usual, layer):
    pytest.importorskip(f"numba.np.ufunc.{'omppool' if layer == 'omp' else layer}", exc_type=ImportError)
    threads = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    assert python(WORK + UNSAFE, **FORCED, **threads).split("\n")[0] == f"{usual[0]} True [0, 0, 0, 0] True"


@pytest.fixture
def load():
    """Import the module afresh, as a process would whose Numba is the one of now."""

    def module():
        spec = importlib.util.spec_from_file_location("fastinit_kernels.machine.afresh", internals.__file__)
        fresh = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(fresh)
        return fresh

    return module


def test_here_nothing_is_missing(load):
    assert load().HELPER_OPTIONS.keys() == {"pipeline_class"}


@pytest.mark.parametrize(("value", "forced"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_the_variable_that_forces_the_fallbacks(load, monkeypatch, value, forced):
    monkeypatch.setenv("FASTINIT_FALLBACKS", value)
    fresh = load()
    assert (fresh.HELPER_OPTIONS == {}) == forced
    assert fresh.threads_are_known() != forced


class Bound:
    """A method that is no function of Python's, as compiled ones are."""

    def __get__(self, instance, owner):
        return self


# What another version of Numba may lack, or have otherwise.
MISSING = {
    "_dynfunc": lambda patch: (patch.delattr(numba, "_dynfunc"), patch.setitem(sys.modules, "numba._dynfunc", None)),
    "_dynfunc.make_function": lambda patch: patch.delattr(_dynfunc, "make_function"),
    "JITCodeLibrary": lambda patch: patch.delattr(codegen, "JITCodeLibrary"),
    "finalize": lambda patch: [patch.delattr(owner, "finalize") for owner in (CPUCodeLibrary, CodeLibrary)],
    "finalize of other names": lambda patch: patch.setattr(JITCodeLibrary, "finalize", lambda self: 0, raising=False),
    "finalize not of Python": lambda patch: patch.setattr(JITCodeLibrary, "finalize", Bound(), raising=False),
    "_raise_if_finalized": lambda patch: (
        patch.delattr(CodeLibrary, "_raise_if_finalized"),
        patch.setattr(CPUCodeLibrary, "finalize", CodeLibrary.finalize),
    ),
    "_get_module_for_linking": lambda patch: (
        patch.delattr(CPUCodeLibrary, "_get_module_for_linking"),
        patch.setattr(CPUCodeLibrary, "finalize", CodeLibrary.finalize),
    ),
}


@pytest.mark.parametrize("piece", MISSING)
def test_without_its_pieces_helpers_are_compiled_as_numba_does(load, monkeypatch, piece):
    with monkeypatch.context() as patch:
        MISSING[piece](patch)
        assert load().HELPER_OPTIONS == {}
    assert load().HELPER_OPTIONS != {}


def test_a_dispatcher_without_a_cache_is_left_as_it_is(load):
    class Dispatcher:
        __slots__ = ()

    assert not load().keep_on_disk(Dispatcher(), cache.Store("name"))


def test_a_dispatcher_with_a_cache_gets_ours(load):
    store, dispatcher = cache.Store("name"), numba.njit(lambda x: x)
    assert load().keep_on_disk(dispatcher, store)
    assert dispatcher._cache is store


def test_kernels_that_cannot_be_kept_run_and_say_so_once(monkeypatch):
    monkeypatch.setattr(cache, "_warned", False)
    monkeypatch.setattr(jit, "keep_on_disk", lambda dispatcher, store: False)
    successors = [jit.kernel(f"successor-{i}")(lambda x: x + 1) for i in range(3)]
    with pytest.warns(RuntimeWarning, match="cannot keep its compiled kernels") as caught:
        assert [successor(i) for i, successor in enumerate(successors)] == [1, 2, 3]
    assert len(caught) == 1


@pytest.mark.parametrize("started", [True, False])
def test_the_state_of_numbas_threads(load, monkeypatch, started):
    fresh = load()
    monkeypatch.setattr(parallel, "_is_initialized", started)
    assert (fresh.threads_are_known(), fresh.threads_are_started()) == (True, started)
    monkeypatch.delattr(parallel, "_is_initialized")
    assert (fresh.threads_are_known(), fresh.threads_are_started()) == (False, True)
