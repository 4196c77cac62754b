"""The one place that knows Numba's options; `cache` keeps what is compiled, `threads` runs it.

A kernel's arithmetic is promised bit for bit, so nothing here allows LLVM to change it: no fastmath, no contraction.
The order of evaluation is what the source says.

A kernel takes numbers and addresses (int64) and returns an int64. So one signature is known beforehand, nothing has to
be found out of arguments when it is called, and another kernel can call it by its address: a piece that many share, or
that comes in many kinds, is compiled once, and only if somebody needs it.
"""

import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

import numba
import numpy.ma  # noqa: F401 - Numba would at the first array, while another thread may fork
from numba import types

from .cache import Store, warn_once
from .internals import HELPER_OPTIONS, keep_on_disk
from .memory import check_room_to_compile

F = TypeVar("F", bound=Callable[..., Any])

# error_model="numpy": a float division is one instruction, without Python's branch on zero.
_OPTIONS = {"error_model": "numpy", "fastmath": False}

# Signals that ask a process to end.
_ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def inline(function: F) -> F:
    """Compile a helper that is always inlined into its callers: a call left in a loop stops vectorisation."""
    return numba.njit(  # type: ignore[no-any-return]
        forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **HELPER_OPTIONS, **_OPTIONS
    )(function)


def compiled(function: F, *, parallel: bool = False) -> F:
    """Compile a function for whatever it is given, without the interpreter's lock, and keep it in this process only."""
    if numba.config.DISABLE_JIT:
        raise RuntimeError("fastinit's kernels exist only compiled: unset NUMBA_DISABLE_JIT")
    dispatcher = numba.njit(nogil=True, parallel=parallel, **_OPTIONS)(function)
    compile_now = dispatcher.compile

    def compile_whole(signature: Any) -> Any:
        check_room_to_compile()
        with _interrupts_held():
            return compile_now(signature)

    dispatcher.compile = compile_whole
    return dispatcher  # type: ignore[no-any-return]


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


class Kernel:
    """A function of numbers, compiled when it is first needed.

    Parameters
    ----------
    name
        Key of the disk cache, unique among the kernels; None: not kept. It is the function's symbol, too: code that two
        processes cached may meet in a third.
    function
        Its source.
    signature
        Types of its arguments; int64 all of them unless given.
    parallel
        Whether Numba's threads run its loops.
    cost
        About how many seconds it takes to compile; what takes longest is begun first.
    """

    def __init__(
        self, name: str | None, function: Callable[..., int], signature: Any, parallel: bool, cost: float
    ) -> None:
        self.name, self._parallel = name, parallel
        if name is not None:
            function.__qualname__ = name.replace("-", "_")
        self._function = function
        arguments = function.__code__.co_argcount
        self._signature = types.int64(*(signature or (types.int64,) * arguments))
        self.cost = cost
        self.origin: tuple[Callable[..., Kernel], tuple[Any, ...]] | None = None
        self._store = Store(name) if name is not None else None
        self._kept = False
        self._ready: dict[str, Any] = {}

    def __reduce__(self) -> Any:
        """Another process makes it by its origin, or finds it in its module."""
        if self.origin is not None:
            return self.origin
        module = sys.modules[self._function.__module__]
        name = next((name for name, value in vars(module).items() if value is self), None)
        if name is None:
            raise TypeError(f"kernel {self.name} is no name of {module.__name__}, and of no family")
        return _kernel_in, (module.__name__, name)

    def is_loaded(self) -> bool:
        """Whether it can be called at once."""
        return "dispatcher" in self._ready

    def is_compiled(self) -> bool:
        """Whether it is loaded, or in the cache."""
        if self._store is not None and not self._kept and not self.is_loaded():
            self._kept = self._store.holds(self._signature)
        return self._kept or self.is_loaded()

    def load(self) -> None:
        """Compile it, or read it from the cache."""
        self.dispatcher  # noqa: B018

    @property
    def dispatcher(self) -> Any:
        """Numba's object, which has compiled it."""
        ready = self._ready.get("dispatcher")
        if ready is None:
            dispatcher: Any = compiled(self._function, parallel=self._parallel)
            if self._store is not None and not keep_on_disk(dispatcher, self._store):
                warn_once(
                    "fastinit cannot keep its compiled kernels with this version of Numba; they will be compiled again "
                    "in each process."
                )
            dispatcher.compile(self._signature)
            # Of two threads that compile at once the first wins: code lives no longer than its dispatcher.
            ready = self._ready.setdefault("dispatcher", dispatcher)
        return ready

    @property
    def address(self) -> int:
        """Where another kernel calls it (`pointers.call_at`)."""
        at = self._ready.get("address")
        if at is None:
            code = self.dispatcher.overloads[self._signature.args]
            at = int(code.library.get_pointer_to_function(code.fndesc.llvm_cfunc_wrapper_name))
            self._ready["address"] = at
        return int(at)

    def __call__(self, *numbers: Any) -> int:
        """Call it."""
        return int(self.dispatcher(*numbers))


def _kernel_in(module: str, name: str) -> Kernel:
    found: Kernel = getattr(import_module(module), name)
    return found


def kernel(
    name: str | None, signature: tuple[Any, ...] | None = None, *, parallel: bool = False, cost: float = 0.2
) -> Callable[[Callable[..., int]], Kernel]:
    """Make a `Kernel` of the function below."""
    return lambda function: Kernel(name, function, signature, parallel, cost)


def place_of(array: Any) -> int:
    """The address of an array's first element; whoever hands it on holds the array."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # a quarter of the time of the other
    except (TypeError, ValueError):  # read-only, empty, or of a type that buffers do not know
        return int(array.ctypes.data)
