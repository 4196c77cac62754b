"""The `fastinit` command."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

INTERRUPTED = 128 + 2  # as shells number SIGINT
INSTALL = 'pip install "fastinit-kernels[cli]"'


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 Typer or Rich missing, 2 an error, 130 after Ctrl-C, 143 when ended.

    Whichever it is, no half-written file is left behind. (After SIGKILL one may be, under a hidden name.)

    Parameters
    ----------
    arguments
        The words after the program's name; None: those of the process.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    sys.unraisablehook = _once_more
    try:
        status = run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # while the command was still loaded
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    sys.exit(status)


def _end(number: int, frame: Any) -> None:
    """Leave by an exception, so that files are put in order on the way."""
    sys.exit(128 + number)


def _once_more(ignored: Any) -> None:
    """Send a signal again whose exception Python has ignored, as it does in what it calls while it collects garbage."""
    error = ignored.exc_value
    if isinstance(error, KeyboardInterrupt):
        number = int(signal.SIGINT)
    elif isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128:
        number = error.code - 128
    else:
        sys.__unraisablehook__(ignored)
        return
    threading.Timer(0.05, os.kill, (os.getpid(), number)).start()


def run(arguments: list[str]) -> int:
    """Run the command line and return the exit status."""
    if isinstance(sys.stdout, TextIOWrapper):  # a name or a formula that its encoding lacks is no reason to fail
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        import rich  # noqa: F401
        import typer
    except ImportError:
        print(f"the fastinit command needs typer and rich; install them with: {INSTALL}", file=sys.stderr)
        return 1

    from .probing.swept import SweepError
    from .showing.commands import app
    from .showing.commands.refusals import in_own_words
    from .showing.progress import compiling

    try:
        with compiling():
            status = int(app(args=arguments, prog_name="fastinit", standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except (ValueError, TypeError, OSError, ImportError, MemoryError, SweepError) as error:
        return _refuse(in_own_words(str(error) or type(error).__name__, arguments))
    except Exception as error:
        # Typer's own errors: their base class has moved between its versions, the method has not.
        if not hasattr(error, "format_message"):
            raise
        return _refuse(error.format_message())
    if status == INTERRUPTED:  # which newer Typers return, where older ones raise Abort
        print("interrupted", file=sys.stderr)
    return status


def _refuse(message: str) -> int:
    from rich.console import Console
    from rich.text import Text

    from .words import in_short

    line = Text.assemble(("error: ", "bold red"), (in_short(message), "red"))
    Console(stderr=True).print(line, soft_wrap=True)
    return 2
