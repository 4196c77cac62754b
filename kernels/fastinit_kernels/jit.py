"""The one place that knows Numba's options and its threads; `cache` keeps what it compiles.

A kernel's arithmetic is promised bit for bit, so nothing here allows LLVM to change it: no fastmath, no
contraction. The order of evaluation is what the source says.

Threads. Every parallel kernel is a `Tiled`: one tile function in a loop that takes the next tile from an atomic
counter, so that a slow core does not hold the rest up. The loop is compiled once; it runs alone, or on each of
Numba's threads. The tile number alone decides what a tile writes, so both give the same bytes, and `Tiled` may run
the loop alone whenever threads would be unsafe: in a forked child (OpenMP kills it), while another Python thread is
inside Numba's workqueue layer (which aborts the process), or without room for their stacks (OpenMP exits).
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.ma  # Numba would at the first array, while another thread may fork
from numba import _dynfunc, types
from numba._dispatcher import compute_fingerprint
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.np.ufunc import parallel as numba_threads

from .cache import Store
from .intrinsics import borrowed, call_at, flush_subnormals, next_tile, restore, use_widest_vectors
from .memory import check_room_to_compile, has_room_for_threads

F = TypeVar("F", bound=Callable[..., Any])

# error_model="numpy": a float division is one instruction, without Python's branch on zero.
_OPTIONS = {"error_model": "numpy", "fastmath": False}

# Below this many elementary steps (about 20 us of work) waking the threads costs more than they save.
PARALLEL_FROM = 1 << 15

# Steps handed over between two looks at pending signals: Ctrl-C is answered within a fraction of a second.
_STEPS_PER_CALL = 1 << 27
# … but never so few tiles that the threads run out of them.
_TILES_PER_CALL = 1 << 7

# Signals that ask a process to end.
_ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class _Linked(JITCodeLibrary):  # type: ignore[misc]
    """The code of a helper, handed to its callers as it was lowered.

    Numba would optimise every helper with all that it calls and make machine code of it, once a level of nesting, and
    use none of that: the kernel at the top is optimised as a whole.
    """

    def finalize(self) -> None:
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._final_module.verify()
        self._finalized = True


class _HelperCompiler(Compiler):  # type: ignore[misc]
    def __init__(self, typing_context: Any, target_context: Any, *rest: Any) -> None:
        super().__init__(typing_context, target_context, *rest)
        self.state.library = _Linked(target_context.codegen(), "helper")
        self.state.targetctx.get_executable = _not_executable


def _not_executable(library: Any, description: Any, environment: Any) -> Any:
    """Return the object by which Numba knows a compiled helper; nothing calls it, so it has no address."""
    return _dynfunc.make_function(description.lookup_module(), description.qualname, "", 0, environment, (library,))


def inline(function: F) -> F:
    """Compile a helper that is always inlined into its callers: a call left in a loop stops vectorisation."""
    return numba.njit(  # type: ignore[no-any-return]
        forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, pipeline_class=_HelperCompiler, **_OPTIONS
    )(function)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Answer Ctrl-C, and what else a program answers with an exception, at the end only.

    Raised in the middle of a compilation, an exception is lost in a callback of LLVM's, or leaves it memory that is
    freed twice, which ends the process.
    """
    handlers = {number: signal.getsignal(number) for number in _ENDING}
    answered = {number: handler for number, handler in handlers.items() if callable(handler)}
    if threading.current_thread() is not threading.main_thread() or not answered:
        yield
        return
    received: list[Any] = []
    for number in answered:
        signal.signal(number, lambda *arguments: received.append(arguments))
    try:
        yield
    finally:
        for number, handler in answered.items():
            signal.signal(number, handler)
        if received:
            answered[received[-1][0]](*received[-1])


def kernel(name: str | None, *, parallel: bool = False) -> Callable[[F], F]:
    """Compile a function that Python calls, without the interpreter's lock.

    `name` keys the disk cache, so it must tell apart the kernels that a factory makes of one source; None: not cached.
    It is the function's symbol, too: code that two processes cached may meet in a third.
    """

    def compile_lazily(function: F) -> F:
        if numba.config.DISABLE_JIT:
            raise RuntimeError("fastinit's kernels exist only compiled: unset NUMBA_DISABLE_JIT")
        if name is not None:
            function.__qualname__ = name.replace("-", "_")
        dispatcher = numba.njit(nogil=True, parallel=parallel, **_OPTIONS)(function)
        if name is not None:
            dispatcher._cache = Store(name)
        compile_now = dispatcher.compile

        def compile_whole(signature: Any) -> Any:
            check_room_to_compile()
            with _interrupts_held():
                return compile_now(signature)

        dispatcher.compile = compile_whole
        return dispatcher  # type: ignore[no-any-return]

    return compile_lazily


def address(function: Any, *arguments: Any) -> int:
    """Compile a kernel for arguments of these types and return where another kernel can call it (`call_at`).

    A piece that many kernels share, or that comes in many kinds, is compiled once or alone; it returns an int64.
    """
    signature = types.int64(*arguments)
    function.compile(signature)
    compiled = function.overloads[signature.args]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name))


class Tiled:
    """A kernel over independent tiles: `tile(t, *args)` writes what tile number t alone owns.

    Parameters
    ----------
    name
        Key of the disk cache (None: do not cache), unique among the kernels.
    tile
        An `inline` function of the tile number (int64) and the arguments given to `__call__`.
    flush
        Subnormal numbers count as 0 in the tiles, and nowhere else: x86 computes with them ten to fifty times slower.
    """

    def __init__(self, name: str | None, tile: Callable[..., None], *, flush: bool = False) -> None:
        @kernel(name and f"{name}.work")
        def work(counter: Any, last: int, *args: Any) -> int:
            use_widest_vectors()
            arguments = borrowed(args)
            t = next_tile(counter)
            while t < last:
                tile(t, *arguments)
                t = next_tile(counter)
            return 0

        # Called by its address, the work is compiled once, and LLVM, which knows nothing of the mode, cannot move its
        # arithmetic to where the mode does not hold.
        @kernel(name and f"{name}.serial")
        def serial(work: int, counter: Any, last: int, *args: Any) -> None:
            mode = flush_subnormals() if flush else 0
            call_at(work, (counter, last, args))
            if flush:
                restore(mode)

        @kernel(name and f"{name}.parallel", parallel=True)
        def parallel(workers: int, work: int, counter: Any, last: int, *args: Any) -> None:
            for _ in numba.prange(workers):
                mode = flush_subnormals() if flush else 0
                call_at(work, (counter, last, args))
                if flush:
                    restore(mode)

        self.work = work
        self._serial = serial
        self._parallel = parallel
        self._addresses: dict[Any, int] = {}

    def __call__(self, tiles: int, steps: int, *args: Any) -> None:
        """Run `tiles` tiles of altogether about `steps` elementary steps."""
        work = self._address(args)
        if steps < PARALLEL_FROM:
            self._serial(work, np.zeros(1, np.int64), tiles, *args)
            return
        threaded = tiles > 1 and _pool.enter()
        try:
            workers = min(numba.get_num_threads(), tiles) if threaded else 1
            per_call = max(_TILES_PER_CALL, tiles * _STEPS_PER_CALL // max(steps, 1))
            for first in range(0, tiles, per_call):
                counter, last = np.array([first]), min(first + per_call, tiles)
                if workers > 1:
                    self._parallel(workers, work, counter, last, *args)
                else:
                    self._serial(work, counter, last, *args)
        finally:
            if threaded:
                _pool.leave()

    def _address(self, args: tuple[Any, ...]) -> int:
        """Where the work for arguments of these types is; their fingerprints cost a fraction of their types."""
        key = tuple(map(compute_fingerprint, args))
        known = self._addresses.get(key)
        if known is None:
            rest = types.StarArgTuple.from_types(tuple(numba.typeof(x) for x in args))
            known = self._addresses[key] = address(self.work, types.Array(types.int64, 1, "C"), types.int64, rest)
        return known


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
        lost = self.lost or numba_threads._is_initialized
        self._reset()
        self.lost = lost

    def enter(self) -> bool:
        threads = numba.config.NUMBA_NUM_THREADS
        if self.lost or threads == 1 or not has_room_for_threads(threads):
            return False
        self._held.lock = not _thread_safe_layer()
        return not self._held.lock or self._lock.acquire(blocking=False)

    def leave(self) -> None:
        if self._held.lock:
            self._lock.release()


def _thread_safe_layer() -> bool:
    """True once Numba has started a layer that several Python threads may use at the same time."""
    return bool(numba_threads._is_initialized) and numba.threading_layer() != "workqueue"


_pool = _Pool()


def available_threads() -> int:
    """Threads that a kernel may use in this Python thread, found out without starting them."""
    if _pool.lost:
        return 1
    return int(numba.get_num_threads() if numba_threads._is_initialized else numba.config.NUMBA_NUM_THREADS)
