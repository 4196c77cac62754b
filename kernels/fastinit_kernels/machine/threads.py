"""Tiles of a kernel on Numba's threads, or on none.

The tiles are taken one after the other from an atomic counter, so that a slow core does not hold the rest up. The loop
is compiled once for all kernels; it runs alone, or on each of Numba's threads. The tile number alone decides what a
tile writes, so both give the same bytes, and `run_tiles` may run the loop alone whenever threads would be unsafe: in a
forked child (OpenMP kills it), while another Python thread is inside Numba's workqueue layer (which aborts the
process), or without room for their stacks (OpenMP exits).
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

from .ahead import prepare
from .internals import threads_are_known, threads_are_started
from .jit import Kernel, inline, kernel, place_of
from .memory import has_room_for_threads
from .modes import flush_subnormals, restore
from .pointers import call_at, next_of

# Below this many elementary steps (about 20 us of work) waking the threads costs more than they save.
PARALLEL_FROM = 1 << 15

# Steps handed over between two looks at pending signals: Ctrl-C is answered within a fraction of a second.
_STEPS_PER_CALL = 1 << 27
# … but never so few tiles that the threads run out of them.
_TILES_PER_CALL = 1 << 7


@inline
def _work(function: Any, launch: Any, counter: Any, last: Any, flush: Any) -> None:
    """Take tiles until there are no more.

    LLVM, which knows nothing of the mode, cannot move the arithmetic behind an address to where it does not hold.
    """
    mode = np.int64(0)
    if flush:
        mode = flush_subnormals()
    t = next_of(counter)
    while t < last:
        call_at(function, (t, launch))
        t = next_of(counter)
    if flush:
        restore(mode)


@kernel("serial", cost=0.1)
def _serial(function: Any, launch: Any, counter: Any, last: Any, flush: Any) -> int:
    _work(function, launch, counter, last, flush)
    return 0


@kernel("parallel", parallel=True, cost=0.4)
def _parallel(workers: Any, function: Any, launch: Any, counter: Any, last: Any, flush: Any) -> int:
    for _ in numba.prange(workers):
        _work(function, launch, counter, last, flush)
    return 0


DRIVERS = (_serial, _parallel)
"""What runs every kernel's tiles."""


def run_tiles(function: Kernel, launch: int, tiles: int, steps: int, *, flush: bool = False) -> None:
    """Run `function(t, launch)` for `tiles` tiles of altogether about `steps` elementary steps.

    Parameters
    ----------
    function
        Writes what tile number t alone owns.
    launch
        Address of all that it needs.
    flush
        Subnormal numbers count as 0 in the tiles, and nowhere else: x86 computes with them ten to fifty times slower.
    """
    if not function.is_loaded():
        prepare((function, _serial, _parallel) if steps >= PARALLEL_FROM else (function, _serial))
    address, mode = function.address, int(flush)
    counter = np.zeros(1, np.int64)
    at = place_of(counter)
    if steps < PARALLEL_FROM:
        _serial(address, launch, at, tiles, mode)
        return
    threaded = tiles > 1 and _pool.enter()
    try:
        workers = min(numba.get_num_threads(), tiles) if threaded else 1
        per_call = max(_TILES_PER_CALL, tiles * _STEPS_PER_CALL // max(steps, 1))
        for first in range(0, tiles, per_call):
            counter[0], last = first, min(first + per_call, tiles)
            if workers > 1:
                _parallel(workers, address, launch, at, last, mode)
            else:
                _serial(address, launch, at, last, mode)
    finally:
        if threaded:
            _pool.leave()


class _Pool:
    """Says whether this Python thread may use Numba's threads now."""

    def __init__(self) -> None:
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _reset(self) -> None:
        self._lock = threading.Lock()  # held while in a layer that is not, or not known to be, thread-safe
        self._held = threading.local()
        self.lost = False  # the pool was started by our parent: its threads do not exist here

    def _after_fork(self) -> None:
        lost = self.lost or threads_are_started()
        self._reset()
        self.lost = lost

    def enter(self) -> bool:
        threads = numba.config.NUMBA_NUM_THREADS
        if self.lost or threads == 1 or getattr(_own, "alone", 0) or not has_room_for_threads(threads):
            return False
        self._held.lock = not _thread_safe_layer()
        return not self._held.lock or self._lock.acquire(blocking=False)

    def leave(self) -> None:
        if self._held.lock:
            self._lock.release()


_own = threading.local()


@contextmanager
def alone() -> Iterator[None]:
    """Run this Python thread's kernels without Numba's threads: for one of several that share the CPUs."""
    _own.alone = getattr(_own, "alone", 0) + 1
    try:
        yield
    finally:
        _own.alone -= 1


def _thread_safe_layer() -> bool:
    """True once Numba has started a layer that several Python threads may use at the same time."""
    return threads_are_known() and threads_are_started() and numba.threading_layer() != "workqueue"


_pool = _Pool()


def available_threads() -> int:
    """Threads that a kernel may use in this Python thread, found out without starting them."""
    if _pool.lost or getattr(_own, "alone", 0) > 0:
        return 1
    started = threads_are_known() and threads_are_started()
    return int(numba.get_num_threads() if started else numba.config.NUMBA_NUM_THREADS)
