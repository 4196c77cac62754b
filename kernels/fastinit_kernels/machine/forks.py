"""Forks: a child begins with no lock held, and with nothing that another thread had half done.

A forked child has one thread. A lock that another thread held at the fork is held for ever there, and what that
thread was about (a module half imported, a kernel half compiled) stays so. A fork therefore waits until no other
thread holds any of these, and holds them for its time:

- `whole`, for what must not be cut in two, above all an import within a function: Python has a lock a module, and
  leaves it held in the child;
- Numba's and LLVM's locks, where Numba is loaded, be it by us or not.

The last to register is the first whose locks are taken at a fork. Python's modules that do the same are imported here
because our locks have to be taken before theirs: Numba logs while it compiles.

LLVM's lock is the exception. Whoever has one of Python's may make an object there, which sets off the collection of
garbage, and LLVM's modules that are garbage take its lock. So before it is taken no collection begins any more, and
those that had begun under Python's locks are over.
"""

import _imp
import concurrent.futures.thread
import gc
import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

whole = threading.RLock()
"""``with whole: import …`` is what a fork in another thread does not cut in two."""

# (module, name) of locks, the outermost first: who compiles may start the threads, and either calls LLVM.
_NUMBA = (
    ("numba.core.compiler_lock", "global_compiler_lock"),
    ("numba.np.ufunc.parallel", "_backend_init_thread_lock"),
)
_PYTHON = ((concurrent.futures.thread.__name__, "_global_shutdown_lock"), (logging.__name__, "_lock"))
_LLVM = (("llvmlite.binding.ffi", "lib._lock"),)

_held = ExitStack()


def _locks(names: Iterable[tuple[str, str]]) -> Iterator[Any]:
    for module, name in names:
        lock: Any = sys.modules.get(module)
        for part in name.split("."):
            lock = getattr(lock, part, None)
        if lock is not None:
            yield lock


def _before() -> None:
    global _held
    whole.acquire()  # first of all: whoever has it has `_held`, too
    _held = stack = ExitStack()
    stack.callback(whole.release)
    for lock in _locks(_NUMBA):
        stack.enter_context(lock)
    if gc.isenabled():
        gc.disable()
        stack.callback(gc.enable)
    for lock in _locks(_PYTHON):
        with lock:
            pass
    _imp.acquire_lock()  # that of imports, the last that a fork takes
    _imp.release_lock()
    for lock in _locks(_LLVM):
        stack.enter_context(lock)


def _after() -> None:
    _held.close()


def _after_in_child() -> None:
    _after()
    threads: Any = sys.modules.get("numba.np.ufunc.parallel")
    if hasattr(threads, "_backend_init_process_lock"):
        # Numba takes it at each look at its threads, and another thread of our parent may just have had it.
        threads._backend_init_process_lock = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
