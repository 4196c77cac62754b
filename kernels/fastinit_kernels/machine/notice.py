"""Saying that something is being compiled, where somebody is looking and it takes longer than a second."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PATIENCE = 1.0

Listener = Callable[[int, int], None]

# What is told of the kernels that are done, and of how many there are; None: a line on stderr.
_listener: Listener | None = None


@contextmanager
def told(listener: Listener) -> Iterator[None]:
    """Have `listener(done, total)` called instead of a line being written, as a progress bar wants it."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


class Notice:
    """One line for a while in which kernels are compiled."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._said = total, 0, False
        self._start = time.perf_counter()
        self._lock = threading.Lock()
        self._timer = threading.Timer(_PATIENCE, self._say)
        self._timer.daemon = True

    def __enter__(self) -> "Notice":
        if _listener:
            _listener(0, self._total)
        elif _is_watched():
            self._timer.start()
        return self

    def advance(self) -> None:
        """One more is done."""
        self._done += 1
        if _listener:
            _listener(self._done, self._total)

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        if _listener and self._done < self._total:  # a helper ended with what it had taken
            _listener(self._total, self._total)
        with self._lock:
            if self._said:
                _write(f" {time.perf_counter() - self._start:.0f} s\n")
            self._said = True

    def _say(self) -> None:
        with self._lock:
            if not self._said:
                self._said = True
                _write("fastinit: compiling kernels, once for this machine …")


def _is_watched() -> bool:
    if os.environ.get("FASTINIT_QUIET", "") not in ("", "0") or sys.stderr is None:
        return False
    try:
        return sys.stderr.isatty() or "ipykernel" in sys.modules
    except (AttributeError, ValueError):  # closed, or something in its place
        return False


def _write(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError, UnicodeError, AttributeError):
        pass  # nobody sees it
