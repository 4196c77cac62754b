"""Files that appear whole or not at all, and whatever else a path may name."""

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, BinaryIO

from .words import shown

# The answers of a folder that takes no new file, though one that is there may be written to.
_TAKES_NO_FILE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG}
_MOST_LINKS = 40  # as many as Linux follows
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def path_name(path: Any) -> str:
    """Return `path` as a string."""
    try:
        name = str.__str__(os.fsdecode(path))
    except Exception:  # a path's own code
        raise TypeError(f"argument 'path' must be a string or a path, got {shown(path)}") from None
    if "\0" in name:
        raise ValueError(f"argument 'path' must not hold a null character, got {shown(path)}")
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        raise ValueError(f"argument 'path' must be what the file system can encode, got {shown(path)}") from None
    return name


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing bytes that changes only when the block succeeds.

    The bytes go to a hidden file in the same folder, which is brought to the disk and takes the other's place when the
    block ends, or is removed when it fails. A process that is killed outright (SIGKILL, power) leaves the old file or
    none, and the hidden `.fastinit-*.tmp`.

    A symbolic link stays one: what it points to is written. Mode, owner and extended attributes stay, and a new file
    has those of any other. What `open(path, "wb")` would refuse, such as a file without the right to write, is
    refused; what it would write to is written to, if need be as it would, so that a failure may leave a part:

    - devices, pipes and this process's streams (`/dev/stdout` goes on where the stream is);
    - a file in a folder that takes no other;
    - by a copy when the block has succeeded: a file with further names (hard links), or whose owner we cannot give to
      another, or that may not be replaced (a mount point, others' files in /tmp).

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OSError
        Of the file, naming `path`.
    ValueError, TypeError
        `path` cannot be one.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as file:
    ...         _ = file.write(b"whole")
    ...     [(file.name, file.read_text()) for file in Path(folder).iterdir()]
    [('a.txt', 'whole')]
    """
    name = path_name(path)
    try:
        with _open(name) as file:
            yield file
    except OSError as error:
        named = error.filename is not None and ".fastinit-" not in str(error.filename)
        if named or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, name) from error  # a write's, or the hidden file's


def _open(name: str) -> AbstractContextManager[BinaryIO]:
    stream = _stream(name)
    if stream is not None:
        for printed in filter(None, (sys.stdout, sys.stderr)):
            printed.flush()
        return open(os.dup(stream), "wb")
    try:
        status = os.stat(name)
    except FileNotFoundError:
        if not os.path.basename(name):
            raise
        return _beside(os.path.realpath(name), None)
    if not stat.S_ISREG(status.st_mode):
        return open(name, "wb")
    with _in_place(name):  # raises what open(name, "wb") would
        return _beside(os.path.realpath(name), status)


def _stream(name: str) -> int | None:
    """Return the descriptor of this process's that `name` leads to.

    Opened by name it would be a second file on Linux: cut off at the start, and overwritten by what the stream prints
    next.
    """
    folders = {os.path.realpath(folder) for folder in ("/dev/fd", "/proc/self/fd")}
    for _ in range(_MOST_LINKS):
        folder, last = os.path.split(name)
        folder = os.path.realpath(folder)
        if folder in folders and last.isdecimal():
            return int(last)
        try:
            name = os.path.join(folder, os.readlink(os.path.join(folder, last)))
        except OSError:
            return None
    return None


@contextmanager
def _beside(target: str, status: os.stat_result | None) -> Iterator[BinaryIO]:
    """Write a hidden file beside `target`, whose status is `status` if it exists, and put it in its place."""
    temporary = os.path.join(os.path.dirname(target), f".fastinit-{secrets.token_hex(8)}.tmp")
    # Ctrl-C may come at any step, the first of the clean-up among them: what it keeps one from doing, the other does.
    try:
        try:
            yield from _written(temporary, target, status)
        finally:
            _remove(temporary)
    finally:
        _remove(temporary)


def _written(temporary: str, target: str, status: os.stat_result | None) -> Iterator[BinaryIO]:
    mode = 0o666 if status is None else stat.S_IMODE(status.st_mode)
    try:
        handle = os.open(temporary, _NEW, mode)
    except OSError as error:
        if error.errno not in _TAKES_NO_FILE:
            raise
        with open(target, "wb") as file:
            yield file
        return
    with open(handle, "wb") as file:
        copied = status is not None and (status.st_nlink > 1 or not _make_alike(temporary, target, status))
        yield file
        file.flush()
        os.fsync(file.fileno())
    if not copied:
        try:
            os.replace(temporary, target)
        except OSError:
            if status is None:
                raise
            copied = True
    if copied:
        _copy(temporary, target)


def _remove(path: str) -> None:
    with suppress(OSError):  # it is not there, or has the target's name
        os.unlink(path)


def _make_alike(temporary: str, target: str, status: os.stat_result) -> bool:
    """Give a new file the other's owner, mode and attributes; False if that may not be."""
    made = os.stat(temporary)
    try:
        if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
            os.chown(temporary, status.st_uid, status.st_gid)
        shutil.copystat(target, temporary)
    except OSError:
        return False
    return True


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as new, _in_place(target) as old:
        shutil.copyfileobj(new, old)
        old.truncate()
        old.flush()
        os.fsync(old.fileno())


def _in_place(name: str) -> BinaryIO:
    """Open a file that exists, as it is."""
    return open(name, "wb", opener=lambda name, flags: os.open(name, flags & ~(os.O_TRUNC | os.O_CREAT)))
