"""Progress bars, on stderr: of work in a loop, and of kernels that are being compiled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from fastinit_kernels.machine.notice import told

from ..words import needs, number

# A terminal has room for one display: what begins while another is shown becomes a line of that.
_displays: list[Any] = []
# Whether nobody wants to see any, and since when there is one: a stack, as commands may call commands.
_quiet = [False]


@contextmanager
def quietly(quiet: bool) -> Iterator[None]:
    """Show no progress in this block, if `quiet`."""
    _quiet.append(quiet)
    try:
        yield
    finally:
        _quiet.pop()


def is_quiet() -> bool:
    """Say whether nobody wants to see progress."""
    return _quiet[-1]


class Bar:
    """A task's progress: `say` names what is being done, `advance` and `reach` count what is."""

    def __init__(self, display: Any, words: str, total: int | None) -> None:
        self._display, self._task = display, display.add_task(words, total=total)

    def say(self, words: str) -> None:
        """Name what is being done."""
        self._display.update(self._task, description=words)

    def advance(self, steps: int = 1) -> None:
        """Count some steps more."""
        self._display.advance(self._task, steps)

    def reach(self, done: int) -> None:
        """Say how many steps are done."""
        self._display.update(self._task, completed=done)

    def remove(self) -> None:
        """Take the line away."""
        self._display.remove_task(self._task)


@contextmanager
def bar(words: str, total: int | None, *, always: bool = False, of_bytes: bool = False) -> Iterator[Bar]:
    """Show a bar until the work is done; only where somebody looks, unless `always`, which leaves it standing.

    Rate, time so far and time left stand beside it. With `of_bytes` the steps are bytes; without a `total` nobody knows
    how many there are.
    """
    if _displays:
        line = Bar(_displays[-1], words, total)
        try:
            yield line
        finally:
            line.remove()
        return
    with needs("rich", extra="cli"):
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
    console = Console(stderr=True)

    class Steps(ProgressColumn):
        """What is done of how much, and how much in a second."""

        def render(self, task: Any) -> str:
            if task.total is None:
                return ""
            speed = task.finished_speed or task.speed
            return f"{task.completed:g}/{task.total:g}" + (f"  {number(speed)}/s" if speed else "")

    counts = (DownloadColumn(), TransferSpeedColumn()) if of_bytes else (Steps(),)
    columns = TextColumn("{task.description:<24}"), BarColumn(), *counts, TimeElapsedColumn(), TimeRemainingColumn()
    hidden = is_quiet() or not (console.is_terminal or always)
    with Progress(*columns, console=console, transient=not always, disable=hidden) as display:
        _displays.append(display)
        try:
            yield Bar(display, words, total)
        finally:
            _displays.remove(display)


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Show that something is being done, and for how long."""
    with bar(words, None):
        yield


class BytesBar:
    """A bar that begins when it is first told how many bytes there are."""

    def __init__(self, words: str) -> None:
        self._words, self._context, self._bar = words, None, None  # type: tuple[str, Any, Any]

    def __enter__(self) -> BytesBar:
        return self

    def __call__(self, done: int, total: int) -> None:
        if self._context is None:
            self._context = bar(self._words, total, of_bytes=True)
            self._bar = self._context.__enter__()
        self._bar.reach(done)

    def __exit__(self, *error: Any) -> None:
        if self._context is not None:
            self._context.__exit__(*error)


@contextmanager
def compiling() -> Iterator[None]:
    """Show a bar while kernels are compiled, in place of the line that says so; none where nobody looks."""
    lock, stack = threading.Lock(), ExitStack()
    current: list[Bar] = []

    def listener(done: int, total: int) -> None:
        with lock:  # those that compile beside this process tell, too
            if not current:
                current.append(stack.enter_context(bar("compiling kernels", total)))
            current[0].reach(done)
            if done >= total:
                stack.close()
                current.clear()

    with stack, told(listener):
        yield
