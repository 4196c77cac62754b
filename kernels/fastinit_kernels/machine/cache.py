"""Compiled kernels on disk, addressed by everything that went into them, where nobody else can write.

What is loaded is executed. So the folder and each file must belong to this user, or to root, who can do anything
anyhow, and nobody else may be able to write to them; what does not pass is neither read nor repaired.
"""

import errno
import hashlib
import os
import pickle
import re
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import serialize
from numba.core.compiler import CompileResult
from numba.core.registry import cpu_target

from .internals import ready_to_load

if sys.platform != "win32":
    import pwd

# Settings of Numba's that leave the code alone: places of files, numbers of threads, GPUs, what is printed. Every
# other one is part of a kernel's address, those of Numba's next versions, too.
_BESIDE_THE_CODE = re.compile("CACHE|THREAD|CUDA|GDB|WARN|COLOR|HELP|HIGHLIGHT")

# Seconds after which a temporary file is a killed process's: writing one takes a fraction of a second.
_LEFT_BEHIND = 3600


class _UnsafeError(OSError):
    """Somebody else may have written there."""


class Store:
    """The compiled forms of one kernel, to be asked as Numba asks a cache of its own.

    Numba's own cache looks at the one file a function stands in, so it serves old code after a helper in another
    file has changed, and two processes that compile at once can swap each other's files. Here the name of a file is
    the hash of all the kernels' sources, the versions, the CPU, Numba's settings and the signature; a file is renamed
    into place whole. Nothing is ever stale, and nothing needs an index.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def cache_path(self) -> str:
        return str(cache_folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        ready_to_load(target_context)
        folder = cache_folder()
        if folder is None:
            return None
        key = self._key(sig, target_context)
        try:
            stored = _read(folder / self._file(key))
            if _checksum(key, stored[32:]) != stored[:32]:
                return None  # damaged, or another kernel's: LLVM would abort the process on it
            return CompileResult._rebuild(target_context, *pickle.loads(stored[32:]))
        except Exception:  # absent, unreadable, or anything that a pickle can raise: compile again
            return None

    def holds(self, signature: Any) -> bool:
        """Whether a file stands where this kernel's would; what is in it is seen when it is loaded."""
        folder = cache_folder()
        return folder is not None and (folder / self._file(self._key(signature, cpu_target.target_context))).exists()

    def save_overload(self, sig: Any, data: Any) -> None:
        folder = cache_folder()
        if folder is None or data.library.has_dynamic_globals or _digest() not in (None, _SOURCES):
            return  # edited or upgraded since they were imported: what was compiled may be a mixture
        key = self._key(sig, data.target_context)
        payload = serialize.dumps(data._reduce())
        try:
            _claim(folder.parent)
            _write(folder / self._file(key), _checksum(key, payload) + payload)
        except OSError as error:
            warn_once(
                f"fastinit cannot keep its compiled kernels in {folder} ({error.strerror or error}); they will be "
                "compiled again in each process. Set NUMBA_CACHE_DIR to a writable folder."
            )

    def _key(self, signature: Any, target: Any) -> bytes:
        settings = {k: v for k, v in vars(numba.config).items() if k.isupper() and not _BESIDE_THE_CODE.search(k)}
        machine = target.codegen().magic_tuple()
        return repr((_SOURCES, self._name, str(signature), machine, sorted(settings.items()))).encode()

    def _file(self, key: bytes) -> str:
        return f"{self._name}-{hashlib.sha256(key).hexdigest()[:24]}.bin"

    def enable(self) -> None: ...

    def disable(self) -> None: ...

    def flush(self) -> None: ...


@cache
def cache_folder() -> Path | None:
    """Return the folder of kernels compiled from exactly these sources, or None: they are not kept.

    It lies below NUMBA_CACHE_DIR, or else in the user's cache; where that cannot be had, below a folder of this
    user's among the temporary files.
    """
    problem: Exception | str = "the kernels' sources cannot be read"
    passed_over: Exception | None = None
    for place in (_place, _private_place) if _SOURCES else ():
        try:
            root = place()
            if root is None:
                continue
            folder = _claim(root)
        except (OSError, ValueError) as error:
            problem = passed_over = passed_over or error
            continue
        if passed_over and (numba.config.CACHE_DIR or isinstance(passed_over, _UnsafeError)):
            warn_once(
                f"fastinit keeps its compiled kernels in {folder}, because of {passed_over}. Remove what is in the "
                "way, or set NUMBA_CACHE_DIR to a folder that you alone can write to."
            )
        return folder
    warn_once(
        f"fastinit cannot keep its compiled kernels ({problem}); they will be compiled again in each process. "
        "Set NUMBA_CACHE_DIR to a folder that you alone can write to."
    )
    return None


def _place() -> Path | None:
    """Return where the user wants the kernels, None for a user without a home, as containers have them."""
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR).absolute() / "fastinit"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser(r"~\AppData\Local")
    elif sys.platform == "darwin":
        base = os.path.join(_home(), "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # which the specification says to ignore
            base = os.path.join(_home(), ".cache")
    return Path(base) / "fastinit" if os.path.isabs(base) else None


def _home() -> str:
    try:
        return os.environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""


def _private_place() -> Path:
    user = "" if sys.platform == "win32" else f"-{os.geteuid()}"
    return Path(tempfile.gettempdir()) / f"fastinit{user}"


def _claim(root: Path) -> Path:
    """Make the folder of these sources below `root`, for this user alone, or see that nobody else can write to it."""
    root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = root / str(_SOURCES)
    for made in (root, folder):
        if not os.path.lexists(made):
            with suppress(FileExistsError):
                os.mkdir(made, 0o700)
        _check(os.lstat(made), made, stat.S_ISDIR)
    return folder


def _check(status: os.stat_result, path: Path, is_right_kind: Any) -> None:
    """Raise unless only this user, or root, can have written it. On Windows the folder's own permissions say so."""
    if not is_right_kind(status.st_mode):
        raise _UnsafeError(errno.EPERM, "a link, or something else in the way", str(path))
    if sys.platform == "win32":
        return
    if status.st_uid not in (0, os.geteuid()):
        raise _UnsafeError(errno.EPERM, f"a folder of user {status.st_uid}", str(path))
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _UnsafeError(errno.EPERM, "a folder that others can write to", str(path))


def _read(path: Path) -> bytes:
    # A link, or a pipe that nobody writes to, is no file of ours.
    extra = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | extra)) as file:
        _check(os.fstat(file.fileno()), path, stat.S_ISREG)
        return file.read()


def _write(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _remove_leftovers(path.parent.parent)


@cache
def _remove_leftovers(root: Path) -> None:
    """Remove what killed processes left behind."""
    with suppress(OSError):
        for left in root.glob("*/*.tmp"):
            if time.time() - left.lstat().st_mtime > _LEFT_BEHIND:
                left.unlink()


def _checksum(key: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(key).digest() + payload).digest()


def _digest() -> str | None:
    """Return the hash of all sources and versions; None where the sources cannot be read, as in a frozen program.

    They are asked for as the package's resources, since they may lie in a zip file, or be byte code alone.
    """
    digest = hashlib.sha256(repr((numba.__version__, llvmlite.__version__, np.__version__, sys.version)).encode())
    try:
        sources = list(_sources(resources.files(__package__.split(".")[0]), ""))
        for name, content in sources:
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    except Exception:  # each kind of loader has errors of its own
        return None
    return digest.hexdigest()[:16] if sources else None


def _sources(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.name.endswith((".py", ".pyc")):
            yield prefix + item.name, item.read_bytes()
        elif item.is_dir() and item.name != "__pycache__":
            yield from _sources(item, f"{prefix}{item.name}/")


# Read when the kernels are imported, not when the first is compiled: a file edited in between belongs to another.
_SOURCES = _digest()

_warned = False


def warn_once(message: str) -> None:
    """Say what becomes of compiled kernels, unless something has been said."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(message, RuntimeWarning, stacklevel=2)
