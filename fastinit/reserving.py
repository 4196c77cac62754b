"""Large files of a known size: their room is taken first, their bytes are written in any order."""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from .files import path_name

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_EXACT = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# The answers of a file system that has no locks, and of one that cannot take room beforehand.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_NO_ROOM_KEPT = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


@contextmanager
def reserved(path: str | os.PathLike[str], size: int) -> Iterator[BinaryIO]:
    """Open a new file of a known size, whose bytes may be written in any order; it appears when the block succeeds.

    The disk's room is taken before the block begins, so that a full one is an error then and there. The bytes lie in
    a hidden file in the same folder that belongs to `path` and is locked while somebody writes it: whoever comes next
    takes over what a killed process left, and no more than one can be left.

    Parameters
    ----------
    path
        The file; one that is there is replaced.
    size
        Bytes.

    Raises
    ------
    OSError
        Of the file, naming `path`; BlockingIOError while another process writes it.
    ValueError, TypeError
        `path` cannot be one.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with reserved(f"{folder}/a", 8) as file:
    ...         _ = file.seek(4), file.write(b"last"), file.seek(0), file.write(b"1st,")
    ...         before = os.path.exists(f"{folder}/a")
    ...     before, open(f"{folder}/a", "rb").read(), os.listdir(folder)
    (False, b'1st,last', ['a'])
    """
    name = path_name(path)
    target = os.path.realpath(name)
    try:
        if os.path.exists(target) and not os.path.isfile(target):
            raise IsADirectoryError(errno.EISDIR, "Not a regular file", name)
        with _hidden(target) as (handle, temporary):
            try:
                with open(handle, "r+b", closefd=False) as file:
                    _allocate(handle, size)
                    yield file
                    file.flush()
                os.fsync(handle)
                os.replace(temporary, target)
                _sync_folder(os.path.dirname(target))
            finally:
                _remove(handle, temporary)
    except OSError as error:
        if error.errno is None or (error.filename is not None and ".fastinit-" not in str(error.filename)):
            raise
        raise type(error)(error.errno, error.strerror, name) from error


@contextmanager
def _hidden(target: str) -> Iterator[tuple[int, str]]:
    """Open and lock the hidden file of `target`; it is removed before the lock is given back."""
    digest = hashlib.blake2b(os.fsencode(os.path.basename(target)), digest_size=8).hexdigest()
    if fcntl is None:
        digest = secrets.token_hex(8)  # without locks each has one of his own
    temporary = os.path.join(os.path.dirname(target), f".fastinit-{digest}.tmp")
    while True:
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | _EXACT, 0o666)
        try:
            if _is_ours(handle, temporary):
                try:
                    yield handle, temporary
                finally:
                    _remove(handle, temporary)
                return
        finally:
            os.close(handle)


def _is_ours(handle: int, temporary: str) -> bool:
    """Lock a hidden file; False if its name has gone to another meanwhile: whoever had the lock has finished."""
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(error.errno, "Another process is writing this file", temporary) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
    own = os.fstat(handle)
    if not _is_named(own, temporary):
        return False
    if not stat.S_ISREG(own.st_mode) or own.st_nlink > 1 or (hasattr(os, "geteuid") and own.st_uid != os.geteuid()):
        raise PermissionError(errno.EPERM, "A file of somebody else's is in the way", temporary)
    return True


def _is_named(own: os.stat_result, temporary: str) -> bool:
    try:
        there = os.stat(temporary, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, own)


def _remove(handle: int, temporary: str) -> None:
    """Remove a hidden file that is ours; once it has the target's name, the hidden one may be another's."""
    with suppress(OSError):
        if _is_named(os.fstat(handle), temporary):
            os.unlink(temporary)


def _allocate(handle: int, size: int) -> None:
    """Take the disk's room for a file, or at least its size where the system cannot."""
    os.ftruncate(handle, 0)  # what a killed process left there
    if size and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:
            if error.errno not in _NO_ROOM_KEPT:
                raise
    os.ftruncate(handle, size)


def _sync_folder(folder: str) -> None:
    """Bring a folder's names to the disk, where a folder can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
