"""Little memory: an error that says what asks for it, and never the end of the process."""

import sys

import pytest

import fastinit as fi
from fastinit.words import fitting

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space as Linux counts it")

LIMIT = """
import re, resource, sys
import fastinit_kernels.fill.dense, fastinit_kernels.probe.run
import fastinit as fi

def limit(mebibytes):
    now = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (now + (mebibytes << 20), resource.RLIM_INFINITY))
"""

CALLS = {
    "fill": ("fi.normal(100, seed=1)", ""),
    "probe": ("fi.probe(depth=2, width=8, batch=4)", ""),
    "sweep": ("fi.sweep(depth=1, width=8, batch=4, seed=range(8))", "point 0 "),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_room_to_load_a_kernel_is_an_error(python, call):
    # LLVM aborts, or never comes back.
    code = """
for room in (8, 40, 100, 200):
    limit(room)
    try:
        eval(sys.argv[1])
    except (MemoryError, fi.SweepError) as error:
        print(error)
limit(4096)
eval(sys.argv[1])
"""
    words, begin = CALLS[call]
    said = python(LIMIT + code, words).splitlines()
    assert len(said) == 4
    assert all(line.startswith(begin) and "256 MiB of address space must be free" in line for line in said)


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_no_room_for_threads_means_one_thread(python, layer):
    # OpenMP ends the process where it cannot start a thread.
    pytest.importorskip(f"numba.np.ufunc.{'omppool' if layer == 'omp' else layer}", exc_type=ImportError)
    code = """
from numba.np.ufunc import parallel
x = fi.uniform(1000, seed=1), fi.probe(depth=2, width=8, batch=4)
limit(40)
few = fi.uniform(1_000_000, seed=1)
fi.sweep(depth=1, width=8, batch=4, seed=range(8))
print(parallel._is_initialized)
limit(4096)
print((few == fi.uniform(1_000_000, seed=1)).all(), parallel._is_initialized)
"""
    where = {"NUMBA_NUM_THREADS": "4", "NUMBA_THREADING_LAYER": layer}
    assert python(LIMIT + code, **where).split() == ["False", "True", "True"]


HUGE = 1 << 40  # elements: beyond any machine's memory, within NumPy's sizes
REFUSED = {
    "shape": (lambda: fi.normal(HUGE, seed=1), rf"argument 'shape' must leave room in memory, got \({HUGE},\): Unable"),
    "shape of a scheme": (
        lambda: fi.init("he_normal", (HUGE, 2), seed=1),
        "argument 'shape' must leave room in memory",
    ),
    "region": (
        lambda: fi.init("zeros", (HUGE, 2), region=(slice(0, HUGE), slice(0, 1)), seed=1),
        rf"argument 'region' must leave room in memory, got \({HUGE}, 1\)",
    ),
}


@pytest.fixture
def limited():
    """At most 64 GiB for this process, whose system may promise more than there is."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (64 << 30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("argument", REFUSED)
def test_what_does_not_fit_is_refused_by_name(limited, argument):
    call, words = REFUSED[argument]
    with pytest.raises(MemoryError, match=words):
        call()


def test_a_network_that_does_not_fit_is_refused_by_its_larger_axis(python):
    code = """
small = {"depth": 3, "width": 64, "batch": 128}
fi.probe(**small)
limit(200)
for large in ({"batch": 1_000_000}, {"width": 20_000}):
    try:
        fi.probe(**{**small, **large})
    except MemoryError as error:
        print(error)
"""
    first, second = python(LIMIT + code, NUMBA_NUM_THREADS="1").splitlines()
    assert first.startswith("argument 'batch' must leave room in memory, got 1000000: Unable to allocate")
    assert second.startswith("argument 'width' must leave room in memory, got 20000: Unable")


def test_of_two_names_the_innermost_is_told():
    words = r"^argument 'shape' must leave room in memory, got 3: there is none$"
    with pytest.raises(MemoryError, match=words), fitting("batch", 4), fitting("shape", 3):
        raise MemoryError
