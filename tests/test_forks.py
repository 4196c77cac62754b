"""Forks: whatever another thread was about, the child can draw and probe, and the parent goes on."""

import os

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

# What hangs ends itself with a traceback.
FORK = """
import faulthandler, os, signal, sys, threading, time, warnings
import fastinit as fi

warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads: that is the point

def work():
    fi.init("he_normal", (20, 30), seed=0)
    fi.init("sparse", (20, 30), nonzeros=2, seed=0)
    fi.sweep(depth=[1, 2], width=8, batch=4)

def fork():
    signal.alarm(120)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

faulthandler.register(signal.SIGALRM, chain=True)
"""


@pytest.fixture(scope="module", autouse=True)
def compiled(python):
    """All kernels on disk, so that what takes long hangs."""
    python(FORK + "work()")


def test_at_every_function_that_another_thread_enters(python):
    code = """
work()
known, entered, forked = set(), threading.Event(), threading.Event()

def stop(frame, event, argument):
    if event == "call" and "fastinit" in frame.f_code.co_filename and frame.f_code not in known:
        known.add(frame.f_code)
        entered.set()
        forked.wait(0.2)  # a fork that waits for this thread has to be let through
        forked.clear()

threading.settrace(stop)
thread = threading.Thread(target=work, daemon=True)
thread.start()
threading.settrace(None)
codes = set()
while thread.is_alive() and codes <= {0}:
    if entered.wait(0.05):
        entered.clear()
        codes.add(fork())
        forked.set()
print(codes, len(known) > 100)
"""
    assert python(FORK + code).split() == ["{0}", "True"]


def test_every_import_is_one_that_forks_wait_for(python):
    code = """
from fastinit_kernels.machine.forks import whole

class Watch:
    alone = []

    def find_spec(self, name, *_):
        lock = sys.modules.get("numba.core.compiler_lock")
        threads = sys.modules.get("numba.np.ufunc.parallel")
        held = [whole._is_owned()]
        if lock and hasattr(lock, "global_compiler_lock"):
            held.append(lock.global_compiler_lock.is_locked())
        if threads and hasattr(threads, "_backend_init_thread_lock"):
            held.append(threads._backend_init_thread_lock._is_owned())
        if not any(held):
            self.alone.append(name)

sys.meta_path.insert(0, Watch())
work()
fi.recommend(depth=2, width=8, batch=4)
fi.probe(depth=2, width=3, batch=8, conv=3, image=4).to_pandas()
print(Watch.alone, "numba" in sys.modules)
"""
    assert python(FORK + code) == "[] True\n"


def test_while_another_thread_imports_the_kernels(python):
    code = """
thread = threading.Thread(target=work)
thread.start()
while "numba" not in sys.modules:
    time.sleep(0.001)
codes = [fork()]
while thread.is_alive():
    time.sleep(0.2)
    codes.append(fork())
thread.join()
print({*codes})
"""
    assert python(FORK + code) == "{0}\n"


def test_while_another_thread_compiles(python):
    code = """
from fastinit_kernels.machine.jit import compiled

inside = threading.Event()

class Slow:
    def load_overload(self, signature, target):
        inside.set()
        time.sleep(1)

    def save_overload(self, signature, result): ...

@compiled
def successor(x):
    return x + 1

successor._cache = Slow()
thread = threading.Thread(target=successor, args=(1,))
thread.start()
inside.wait()
before = work
def work():
    before()
    assert successor(1) == 2
print(fork())
thread.join()
"""
    assert python(FORK + code) == "0\n"


LOCKS = (
    "parallel._backend_init_process_lock",  # which Numba takes for a moment at each look at its threads
    "parallel._backend_init_thread_lock",
    "compiler_lock.global_compiler_lock",
    "llvmlite.binding.ffi.lib._lock",
    "forks.whole",
)


def test_while_another_thread_has_a_lock(python):
    code = """
import llvmlite.binding, numba
from fastinit_kernels.machine import forks
from numba.core import compiler_lock
from numba.np.ufunc import parallel

numba.get_num_threads()
for name in sys.argv[1:]:
    held = threading.Event()

    def hold():
        with eval(name):
            held.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    print(name, fork(), flush=True)
    thread.join()
    numba.get_num_threads()
    work()
"""
    assert python(FORK + code, *LOCKS) == "".join(f"{name} 0\n" for name in LOCKS)


def test_while_another_thread_collects_garbage(python):
    # It has a lock that a fork takes after ours, as that of a module imported before, and finalizers that call LLVM.
    code = """
import gc
import llvmlite.binding

lock, begun = threading.Lock(), threading.Event()
late.lock = lock

class Finalized:
    def __del__(self):
        begun.set()
        time.sleep(0.3)
        with llvmlite.binding.ffi.lib._lock:
            pass

def collect():
    with lock:
        garbage = Finalized()
        garbage.cycle = garbage
        del garbage
        gc.collect()

work()
thread = threading.Thread(target=collect)
thread.start()
begun.wait()
print(fork(), gc.isenabled())
thread.join()
"""
    before = """
import os
class Late:
    lock = None
    def before(self): self.lock and self.lock.acquire()
    def after(self): self.lock and self.lock.release()
late = Late()
os.register_at_fork(before=late.before, after_in_parent=late.after, after_in_child=late.after)
"""
    assert python(before + FORK + code) == "0 True\n"


def test_while_garbage_of_llvms_is_collected_in_a_locked_place(python):
    # Python starts a thread of a pool, logs and imports under locks that a fork takes, too; whatever it makes there may
    # set off the collection of somebody's modules, which LLVM's lock guards.
    code = """
import concurrent.futures, gc, llvmlite.binding as llvm, logging
import fastinit_kernels.machine.forks

stop = threading.Event()

def litter():
    for _ in range(3):
        circle = [llvm.parse_assembly("")]
        circle.append(circle)

def in_pools():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        litter()
        pool.submit(int)

def in_logs():
    litter()
    logging.getLogger(f"name {time.perf_counter()}")

def again_and_again(function):
    while not stop.is_set():
        function()

gc.set_threshold(1, 1, 1)
threads = [threading.Thread(target=again_and_again, args=(function,)) for function in (in_pools, in_logs)]
for thread in threads:
    thread.start()
work, codes = lambda: None, []
forking = [threading.Thread(target=lambda: codes.extend(fork() for _ in range(100))) for _ in range(2)]
for thread in forking:
    thread.start()
for thread in forking:
    thread.join()
print({*codes}, len(codes), gc.isenabled())
stop.set()
for thread in threads:
    thread.join()
"""
    assert python(FORK + code) == "{0} 200 True\n"


def test_two_threads_fork_at_once(python):
    code = """
work()
codes = []
threads = [threading.Thread(target=lambda: codes.extend(fork() for _ in range(6))) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(codes), {*codes})
"""
    assert python(FORK + code).split() == ["24", "{0}"]


@pytest.mark.ci
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_again_and_again_while_threads_probe(python, layer):
    pytest.importorskip(f"numba.np.ufunc.{'omppool' if layer == 'omp' else layer}", exc_type=ImportError)
    code = """
stop = threading.Event()

def busy():
    while not stop.is_set():
        fi.probe(depth=2, width=64, batch=64)
        fi.sweep(depth=[1, 2], width=8, batch=4, seed=range(4))

threads = [threading.Thread(target=busy) for _ in range(3)]
for thread in threads:
    thread.start()
print({fork() for _ in range(15)})
stop.set()
for thread in threads:
    thread.join()
"""
    assert python(FORK + code, NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER=layer) == "{0}\n"
