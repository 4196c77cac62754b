"""A file of lines that several processes append to, any of which may be killed, or find the disk full, in a line."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ..words import shown

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

# Seconds to wait for others; then, as where there are no locks, a line is still one write.
_PATIENCE = 5.0
_PAUSE = 0.002


class SharedFile:
    """The file's path, and how to open it.

    Parameters
    ----------
    argument
        What the caller calls the path, for the errors.
    path
        A regular file, or none yet.

    Raises
    ------
    ValueError, TypeError
        It is no path, or one of something else: a folder, a device, a pipe.
    """

    def __init__(self, argument: str, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            raise TypeError(f"argument '{argument}' must be the path of a file, got {shown(path)}")
        try:
            self.path = os.path.abspath(str.__str__(os.fsdecode(path)))
            mode = os.stat(self.path).st_mode
        except FileNotFoundError:
            return
        except ValueError:  # a NUL, or what the file system's encoding lacks
            raise ValueError(f"argument '{argument}' must be the path of a file, got {shown(path)}") from None
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
            raise ValueError(
                f"argument '{argument}' must be the path of a file, got {shown(self.path)}, which is {what}"
            )

    @contextmanager
    def opened(self) -> Iterator[OpenFile]:
        """Open the file for the block, made if need be, and keep others from writing where the system can."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            locked = _lock(descriptor)
            try:
                yield OpenFile(self.path, descriptor, locked)
            finally:
                if locked:  # closing would do, were there not children that were forked meanwhile
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class OpenFile:
    """The file while it is open; `locked` says whether others are kept from writing."""

    path: str
    descriptor: int
    locked: bool

    def lines(self) -> Iterator[bytes]:
        """Yield the lines with their ends; the last may have none."""
        with open(self.descriptor, "rb", closefd=False) as file:
            yield from file

    def append(self, line: bytes, *, first: bytes = b"") -> None:
        """Append a line in one write, behind `first` if the file is empty; take back what a full disk leaves of it."""
        size = os.lseek(self.descriptor, 0, os.SEEK_END)
        text = line + b"\n"
        if not size:
            text = first + b"\n" + text if first else text
        elif not self._ended(size):  # somebody was killed in a line: it shall not spoil this one
            text = b"\n" + text
        try:
            while text:
                text = text[os.write(self.descriptor, text) :]
        except OSError as error:
            with suppress(OSError):
                self.cut(size)
            words = f"{error.strerror}: this line is taken back, all others are kept"
            raise OSError(error.errno, words, self.path) from error

    def cut(self, size: int) -> None:
        """Take away what stands behind `size` bytes, unless others may be writing it."""
        if self.locked:
            os.ftruncate(self.descriptor, size)

    def _ended(self, size: int) -> bool:
        os.lseek(self.descriptor, size - 1, os.SEEK_SET)
        return os.read(self.descriptor, 1) == b"\n"


def _lock(descriptor: int) -> bool:
    """Keep others from writing; return whether that holds."""
    patient_until = time.monotonic() + _PATIENCE
    while fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > patient_until:
                break
            time.sleep(_PAUSE)
        except OSError:  # a file system without locks
            break
    return False
