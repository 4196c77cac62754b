"""One try of a fault: processes that are harmed, and what is said of them when they do not end as they may."""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

# Seconds after which a process hangs: none of them has work for more than a few, compiling apart.
PATIENCE = 100

# Held back until a child can say what became of it.
_ENDING = {signal.SIGINT, signal.SIGTERM}


class Lost(Exception):  # noqa: N818 (no error of a program: what the trial has found)
    """What must hold does not."""


def require(holds: object, words: str) -> None:
    """Raise `Lost` unless that holds. An `assert` may be switched off."""
    if not holds:
        raise Lost(words)


@dataclass
class Child:
    """A forked process that runs a function, and what it printed."""

    pid: int
    log: Path
    _code: int | None = None

    def send(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self._poll() is None:
            os.kill(self.pid, number)

    def _poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def ended(self, allowed: Container[int] = (0,), patience: float = PATIENCE) -> int:
        """Wait for its exit code, a signal's number negative; any that is not allowed, or none, is a loss."""
        until = time.monotonic() + patience
        while self._poll() is None:
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGUSR2)  # prints where it hangs
                time.sleep(1)
                os.kill(self.pid, signal.SIGKILL)
                raise Lost(f"hangs: {self.said}")
            time.sleep(0.001)
        code = self._poll() or 0
        require(code in allowed, f"ended with {code}: {self.said}")
        return code

    @property
    def said(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-3000:]


@dataclass
class Trial:
    """A try, in a process of its own that has no threads: its folder, and its random numbers."""

    folder: Path
    random: random.Random
    number: int
    children: list[Child] = field(default_factory=list)

    def fork(self, function: Callable[..., Any], *arguments: Any) -> Child:
        """Run a function in a child, which answers signals as a program does that a shell has started."""
        log = self.folder.with_name(f"{self.folder.name}.{len(self.children)}.log")
        log.touch()
        sys.stdout.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        pid = os.fork()
        if pid == 0:
            self._run(log, function, arguments)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        self.children.append(Child(pid, log))
        return self.children[-1]

    def _run(self, log: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        code = 1
        try:
            handle = os.open(log, os.O_WRONLY | os.O_APPEND)
            for stream in (1, 2):
                os.dup2(handle, stream)
            faulthandler.enable(sys.__stderr__)
            faulthandler.register(signal.SIGUSR2, sys.__stderr__)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
            function(*arguments)
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            for printed in (sys.stdout, sys.stderr):
                printed.flush()
            os._exit(code)

    def undisturbed(self, function: Callable[..., Any], *arguments: Any) -> float:
        """Run a function in a child to its end, and return the seconds."""
        started = time.monotonic()
        self.fork(function, *arguments).ended()
        return time.monotonic() - started

    def moment(self, seconds: float) -> None:
        """Wait for a random moment of what takes so long, or a little longer."""
        time.sleep(self.random.uniform(0, 1.1 * seconds))

    @cached_property
    def outside(self) -> Path:
        """A folder beside the one that is looked at."""
        path = self.folder.with_name(self.folder.name + ".outside")
        path.mkdir()
        return path


@dataclass(frozen=True)
class Fault:
    """A row of the report.

    Parameters
    ----------
    name, what, holds
        The row's words: its name, what is done, what must hold afterwards.
    short, full
        Tries in each lane.
    trial
        One try; raises if something is lost.
    needs
        Returns why it cannot be tried here, or "".
    """

    name: str
    what: str
    holds: str
    short: int
    full: int
    trial: Callable[[Trial], None]
    needs: Callable[[], str] = str
