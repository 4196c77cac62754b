"""Large files of a known size: their room is taken first, their bytes are written in any order."""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO

from .files import path_name

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
# The answers of a file system that has no locks, and of one that cannot take room beforehand.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_NO_ROOM_KEPT = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


@contextmanager
def reserved(path: str | os.PathLike[str], size: int) -> Iterator[FileIO]:
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
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a"
    ...     with reserved(path, 8) as file:
    ...         _ = file.seek(4), file.write(b"last"), file.seek(0), file.write(b"1st,")
    ...         before = path.exists()
    ...     before, path.read_bytes()
    (False, b'1st,last')
    """
    name = path_name(path)
    target = os.path.realpath(name)
    try:
        if os.path.exists(target):
            if not os.path.isfile(target):
                raise IsADirectoryError(errno.EISDIR, "Not a regular file", name)
            open(target, "r+b").close()  # raises what open(path, "wb") would
        with _hidden(target) as file:
            _allocate(file.fileno(), size)
            yield file
            os.fsync(file.fileno())
            if fcntl is None:  # Windows renames no open file, and has no lock to keep
                file.close()
            os.replace(file.name, target)
            _sync_folder(os.path.dirname(target))
    except OSError as error:
        if error.errno is None or (error.filename is not None and ".fastinit-" not in str(error.filename)):
            raise
        raise type(error)(error.errno, error.strerror, name) from error


@contextmanager
def _hidden(target: str) -> Iterator[FileIO]:
    """Open and lock the hidden file of `target`; it is removed before the lock is given back."""
    digest = hashlib.blake2b(os.fsencode(os.path.basename(target)), digest_size=8).hexdigest()
    if fcntl is None:
        digest = secrets.token_hex(8)  # without locks each has one of his own
    temporary = os.path.join(os.path.dirname(target), f".fastinit-{digest}.tmp")
    own = _Own(temporary)
    # Ctrl-C may come at any step, the first of the clean-up among them: what it keeps one from doing, the other does.
    try:
        try:
            yield own.opened()
            own.finished = True
        finally:
            own.put_in_order()
    finally:
        own.put_in_order()


class _Own:
    """A hidden file while it is written."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._file: FileIO | None = None
        self.finished = False

    def opened(self) -> FileIO:
        """Return it, locked."""
        while True:
            self._file = open(self._name, "r+b", buffering=0, opener=_new)  # noqa: SIM115
            if _is_ours(self._file.fileno(), self._name):
                return self._file
            self._file.close()

    def put_in_order(self) -> None:
        """Close it, and remove it unless it has its name, or somebody else has taken it over meanwhile."""
        if self._file is not None:
            self._file.close()
        if self.finished:
            return
        if fcntl is None:
            with suppress(OSError):
                os.unlink(self._name)
        else:
            with suppress(OSError), open(self._name, "r+b", buffering=0, opener=_old) as file:
                if _is_ours(file.fileno(), self._name):
                    os.unlink(self._name)


def _new(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CREAT | _NO_LINKS, 0o666)


def _old(name: str, flags: int) -> int:
    return os.open(name, flags | _NO_LINKS)


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
