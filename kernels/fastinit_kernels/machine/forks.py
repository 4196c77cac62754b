"""Forks: a child begins with no lock held, and with nothing that another thread had half done.

A forked child has one thread. A lock that another thread held at the fork is held for ever there, and what that
thread was about (a module half imported, a kernel half compiled) stays so. A fork therefore waits until no other
thread holds any of these, and holds them for its time:

- `whole`, for what must not be cut in two, above all an import within a function: Python has a lock a module, and
  leaves it held in the child;
- Numba's and LLVM's locks, where Numba is loaded, be it by us or not.

And it waits for collections of garbage, and lets none begin: the finalizers of LLVM's objects take LLVM's lock in
whatever thread a collection runs, whichever locks that has, those of other modules that a fork takes after ours among
them.

The last to register is the first whose locks are taken at a fork. Python's modules that do the same are imported here
because our locks have to be taken before theirs: Numba logs while it compiles.
"""

import concurrent.futures.thread  # noqa: F401
import gc
import logging  # noqa: F401
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

whole = threading.RLock()
"""``with whole: import …`` is what a fork in another thread does not cut in two."""

# The outermost first: who compiles may start the threads, and either calls LLVM.
_NUMBA = (
    ("numba.core.compiler_lock", "global_compiler_lock"),
    ("numba.np.ufunc.parallel", "_backend_init_thread_lock"),
    ("llvmlite.binding.ffi", "lib._lock"),
)

_held = ExitStack()

# Threads that collect garbage now.
_collecting: list[int] = []


def _follow(phase: str, info: Any) -> None:
    thread = threading.get_ident()
    if phase == "start":
        _collecting.append(thread)
    elif thread in _collecting:
        _collecting.remove(thread)


gc.callbacks.append(_follow)


def _locks() -> Iterator[Any]:
    for module, name in _NUMBA:
        lock: Any = sys.modules.get(module)
        for part in name.split("."):
            lock = getattr(lock, part, None)
        if lock is not None:
            yield lock


def _before() -> None:
    global _held
    whole.acquire()  # first of all: whoever has it has `_held`, too, and the say over collections
    _held = stack = ExitStack()
    stack.callback(whole.release)
    if gc.isenabled():
        gc.disable()
        stack.callback(gc.enable)
    while any(thread != threading.get_ident() for thread in tuple(_collecting)):
        time.sleep(0.001)
    for lock in _locks():
        stack.enter_context(lock)


def _after() -> None:
    _held.close()


def _after_in_child() -> None:
    _collecting.clear()
    _after()
    threads: Any = sys.modules.get("numba.np.ufunc.parallel")
    if hasattr(threads, "_backend_init_process_lock"):
        # Numba takes it at each look at its threads, and another thread of our parent may just have had it.
        threads._backend_init_process_lock = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
