"""Several kernels compiled side by side, by this process and by helpers that write to the cache.

Numba compiles one function at a time in a process. Helpers are processes of their own, started afresh and never by a
fork: each asks for one kernel after the other, so that none waits for another, and compiles it into the cache, from
which it is loaded here. A helper that cannot start, or ends, costs nothing but the time: what it leaves is compiled
here. Set FASTINIT_COMPILE_PROCESSES=0 where no process may be started, or to the number of helpers.
"""

import base64
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, wraps
from itertools import product
from typing import Any, TypeVar

from .cache import cache_folder
from .internals import KEEPS_ON_DISK
from .jit import Kernel
from .notice import Notice

F = TypeVar("F", bound=Callable[..., Kernel])

# Seconds of compilation that a helper must save, which takes about one to start.
_WORTH_A_HELPER = 2.0
_MOST_HELPERS = 3
# Seconds that one kernel may take a helper.
_PATIENCE = 120.0

_HELPER = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {0} import serve; serve()"


# Factories of kernels, for each of their arguments all that it may be, and which combinations there are.
_FAMILIES: list[tuple[Callable[..., Kernel], tuple[Iterable[Any], ...], Callable[..., bool]]] = []


def family(*axes: Iterable[Any], only: Callable[..., bool] = lambda *_: True) -> Callable[[F], F]:
    """Make a factory's kernels once each, and so that another process can.

    `axes` are all values of its arguments; `only` says of which combinations there is a kernel.
    """

    def decorate(factory: F) -> F:
        @cache
        @wraps(factory)
        def make(*arguments: Any) -> Kernel:
            made = factory(*arguments)
            made.origin = make, arguments
            return made

        _FAMILIES.append((make, axes, only))
        return make  # type: ignore[return-value]

    return decorate


def everything() -> list[Kernel]:
    """Every kernel that there is, of the modules that are imported."""
    return [make(*a) for make, axes, only in _FAMILIES for a in product(*axes) if only(*a)]


def prepare(kernels: Iterable[Kernel], *, helpers: int | None = None) -> None:
    """Compile what is neither loaded nor in the cache, side by side where that is worth it.

    Parameters
    ----------
    kernels
        The kernels, each of a `family` or a name in a module.
    helpers
        Processes beside this one; None: as many as there are CPUs for, and work.
    """
    missing = [kernel for kernel in dict.fromkeys(kernels) if not kernel.is_compiled()]
    if not missing:
        return
    # A user's function has no name that another process would know.
    tasks = deque(sorted((k for k in missing if k.name is not None), key=lambda kernel: -kernel.cost))
    with Notice(len(missing)) as notice:
        team = [_Helper(tasks, notice) for _ in range(_number(tasks, helpers))]
        try:
            with suppress(IndexError):  # when nothing is left
                while True:
                    tasks.popleft().load()
                    notice.advance()
            for helper in team:
                helper.join()
        finally:
            for helper in team:
                helper.stop()
        for kernel in missing:
            kernel.load()


def _number(tasks: Iterable[Kernel], wanted: int | None) -> int:
    """How many helpers are worth it and can be had."""
    if not sys.executable or getattr(sys, "frozen", False) or not KEEPS_ON_DISK or cache_folder() is None:
        return 0
    setting = os.environ.get("FASTINIT_COMPILE_PROCESSES", "")
    if setting.isdecimal():
        wanted = int(setting) if wanted is None else min(wanted, int(setting))
    if wanted is not None:
        return wanted
    work = sum(kernel.cost for kernel in tasks)
    return max(0, min(_MOST_HELPERS, cpus() - 1, int(work / _WORTH_A_HELPER) - 1))


def cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Helper:
    """A process, and a thread that hands it one task after the other."""

    def __init__(self, tasks: deque[Kernel], notice: Notice) -> None:
        self._tasks, self._notice = tasks, notice
        self._busy = False
        code = _HELPER.format(__name__)
        try:
            self._process: Any = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", code, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._process = None
            return
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        process = self._process
        try:
            while process.stdout.readline():  # it is ready for more
                if self._busy:
                    self._notice.advance()
                self._busy = False
                task = self._tasks.popleft()
                self._busy = True
                process.stdin.write(base64.b64encode(pickle.dumps(task)) + b"\n")
                process.stdin.flush()
        except (IndexError, OSError, TypeError):  # nothing is left, nobody to do it, or what another cannot make
            pass
        finally:
            with suppress(OSError):
                process.stdin.close()

    def join(self) -> None:
        """Wait until it has done what it took, if it does."""
        end = time.monotonic() + _PATIENCE
        while self._busy and self._process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)

    def stop(self) -> None:
        """End it, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._thread.join(1.0)
            if not self._thread.is_alive():  # else somebody else has the pipe, and closing would wait for him
                self._process.stdout.close()


def serve() -> None:
    """Compile what comes in, a line each, until nothing does: the helper's side."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the parent that answers
    while True:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        line = sys.stdin.buffer.readline()
        if not line:
            return
        kernel: Kernel = pickle.loads(base64.b64decode(line))
        kernel.load()
