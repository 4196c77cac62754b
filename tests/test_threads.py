"""Threads, forks and signals: the same bytes, no abort, nothing of the user's changed."""

import os
import signal
import subprocess
import sys
import time

import pytest
from fastinit_kernels.machine.jit import compiled

LAYERS = ["omp", "workqueue"]

# What every child computes: all laws and dtypes and the structured schemes, above the size that goes parallel.
WORK = """
import hashlib, os, sys, threading, warnings
import numpy as np
import fastinit as fi

DTYPES = ("float32", "float64", "float16", "bfloat16")

def work(kinds=DTYPES):
    digest = hashlib.sha256()
    for dtype in kinds:
        for law in ("uniform", "normal", "truncated_normal", "sparse", "positive_unitball", "normalized"):
            digest.update(fi.init(law, (300, 701), seed=1, dtype=dtype).tobytes())
    return digest.hexdigest()
"""


@pytest.fixture(scope="module")
def serial(python):
    """The right bytes: no threads anywhere."""
    return python(WORK + "print(work(), work(('float32',)))", NUMBA_NUM_THREADS="1").split()


def need(layer):
    pytest.importorskip(f"numba.np.ufunc.{'omppool' if layer == 'omp' else layer}", exc_type=ImportError)


@pytest.mark.parametrize("layer", LAYERS)
def test_any_number_of_threads(python, serial, layer):
    need(layer)
    code = """
import numba
for n in (1, 2, 3, 4):
    numba.set_num_threads(n)
    print(work())
assert numba.threading_layer() == sys.argv[1], numba.threading_layer()
"""
    out = python(WORK + code, layer, NUMBA_NUM_THREADS="4", NUMBA_THREADING_LAYER=layer)
    assert out.split() == [serial[0]] * 4


@pytest.mark.ci
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("warm", [False, True], ids=["at once", "after a call"])
def test_eight_python_threads_at_once(python, serial, layer, warm):
    need(layer)
    code = """
from concurrent.futures import ThreadPoolExecutor
if sys.argv[1] == "True":
    work(("float32",))
together = threading.Barrier(8)
def one(_):
    together.wait()
    return [work(("float32",)) for _ in range(20)]
with ThreadPoolExecutor(8) as pool:
    print(*{digest for digests in pool.map(one, range(8)) for digest in digests})
"""
    out = python(WORK + code, warm, NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER=layer)
    assert out.split() == [serial[1]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_forked_child_of_a_parallel_parent(python, serial, layer):
    need(layer)
    code = """
print(work(("float32",)), flush=True)
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads: that is the point
for _ in range(2):
    child = os.fork()
    if child == 0:
        print(work(("float32",)), flush=True)
        grandchild = os.fork()
        if grandchild == 0:
            print(work(("float32",)), flush=True)
            os._exit(0)
        os._exit(os.waitpid(grandchild, 0)[1])
    print(os.waitpid(child, 0)[1])
print(work(("float32",)), flush=True)
"""
    out = python(WORK + code, NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER=layer).split()
    right = serial[1]
    assert out == [right, right, right, "0", right, right, "0", right]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_fork_while_another_thread_fills(python, serial, layer):
    need(layer)
    code = """
work(("float32",))
warnings.simplefilter("ignore", DeprecationWarning)
stop = threading.Event()
def busy():
    while not stop.is_set():
        fi.normal(1_000_000, seed=1)
thread = threading.Thread(target=busy)
thread.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if work(("float32",)) == sys.argv[1] else 3)
    print(os.waitpid(child, 0)[1])
stop.set()
thread.join()
"""
    out = python(WORK + code, serial[1], NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER=layer)
    assert out.split() == ["0"] * 5


def test_the_users_settings_are_left_as_found(python):
    code = """
import numba
numba.config.THREADING_LAYER = "workqueue"
numba.set_num_threads(2)
work(("float32",))
print(numba.get_num_threads(), numba.config.THREADING_LAYER, numba.threading_layer())
numba.set_num_threads(1)
work(("float32",))
print(numba.get_num_threads(), threading.active_count())
"""
    assert python(WORK + code, NUMBA_NUM_THREADS="3").split() == ["2", "workqueue", "workqueue", "1", "1"]


def test_one_thread_starts_no_pool(python):
    code = """
import numba
from numba.np.ufunc import parallel
fi.normal(1_000_000, seed=1)
fi.probe(depth=2, width=8, batch=8)
print(parallel._is_initialized)
"""
    assert python(WORK + code, NUMBA_NUM_THREADS="1").split() == ["False"]


def test_import_compiles_nothing_and_starts_no_pool(python):
    code = """
import gc, importlib, pkgutil
import fastinit_kernels
for module in pkgutil.walk_packages(fastinit_kernels.__path__, "fastinit_kernels."):
    importlib.import_module(module.name)
from fastinit_kernels.fill.dense import fill_kernel
from fastinit_kernels.machine.jit import Kernel
from numba.np.ufunc import parallel
from numba.core.dispatcher import Dispatcher
print(parallel._is_initialized, fill_kernel.cache_info().currsize)
ours = [d for d in gc.get_objects() if isinstance(d, Dispatcher) and d.py_func.__module__.startswith("fastinit")]
print(len(ours) > 10, sum(len(d.overloads) for d in ours))
kernels = [k for k in gc.get_objects() if isinstance(k, Kernel)]
print(len(kernels) > 3, sum(k.is_loaded() for k in kernels))
if os.path.isdir("/proc/self/task"):
    assert len(os.listdir("/proc/self/task")) <= int(sys.argv[1]) + 1, os.listdir("/proc/self/task")
"""
    # NumPy's BLAS may have a pool of its own: held to one thread here.
    out = python(WORK + code, 1, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    assert out.split() == ["False", "0", "True", "0", "True", "0"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a child differ there")
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("last", [1, 8], ids=["long runs", "runs of one"])
def test_ctrl_c_leaves_a_huge_fill(threads, last):
    # 10^11 draws, minutes of work, into overlapping rows, which `out` may not be: no memory to speak of is touched.
    code = """
import sys
import numpy as np
import fastinit as fi
from fastinit.weights.laws import Normal, Tensor
fi.normal((300, 1000), seed=1)
memory = np.empty(2_000_000, np.float32)
last = int(sys.argv[1])
rows = np.lib.stride_tricks.as_strided(memory, (100_000, 1_000_000, 1), (4, 4, 4))
part = (0, 100_000), (0, 1_000_000), (0, 1)
print("ready", flush=True)
Normal(0.0, 1.0).fill(Tensor((100_000, 1_000_000, last), "float32", 1, ""), part, rows)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(last)],
        env={**os.environ, "NUMBA_NUM_THREADS": threads},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        time.sleep(0.7)
        assert child.poll() is None
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
        waited = time.monotonic() - sent
    finally:
        child.kill()
        child.communicate()
    assert "KeyboardInterrupt" in stderr
    assert child.returncode in (-signal.SIGINT, 1, 130)
    # The target is a second on a free machine; a loaded one may be three times slower.
    assert waited < 3


@pytest.mark.skipif(sys.platform == "win32", reason="signals to oneself differ there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_waits_for_the_end_of_a_compilation(number):
    class Interrupting:
        def load_overload(self, signature, target):
            os.kill(os.getpid(), number)

        def save_overload(self, signature, result): ...

    @compiled
    def successor(x):
        return x + 1

    successor._cache = Interrupting()
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            successor(1)
        assert len(successor.signatures) == 1
        assert successor(1) == 2
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("layer", LAYERS)
def test_alone_is_without_numbas_threads(python, serial, layer):
    need(layer)
    code = """
import numba.np.ufunc.parallel as pool
from fastinit_kernels.machine.threads import alone
with alone():
    with alone():
        print(work())
    print(work())
assert not pool._is_initialized
thread = threading.Thread(target=lambda: print(work()))
thread.start()
thread.join()
assert pool._is_initialized
"""
    out = python(WORK + code, NUMBA_NUM_THREADS="4", NUMBA_THREADING_LAYER=layer)
    assert out.split() == [serial[0]] * 3
