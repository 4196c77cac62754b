"""Room in memory: what is not there is told by an error before libraries meet it that end the process.

LLVM aborts where it finds no memory, OpenMP ends the process where a thread cannot be started, and a thread of Python's
that fails to start keeps its starter waiting for ever.
"""

import ctypes
import mmap

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

# What the first kernel takes to be loaded is 130 MiB, most of it for code; a probe with all its kernels compiled takes
# 110 MiB more.
_COMPILING = 256 << 20
# Beside the stack of each thread.
_THREADS = 64 << 20
_USUAL_STACK = 8 << 20
# Bytes from which on NumPy, too, asks for large pages.
_LARGE = 1 << 22


class NoRoomError(MemoryError):
    """There is no room to work in, whatever the sizes of arrays."""


def has_room(size: int) -> bool:
    """Say whether the limit on this process's address space, if there is one, leaves so many bytes."""
    if resource is None or resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return True
    try:
        mmap.mmap(-1, size).close()  # no page of it is touched
    except OSError:
        return False
    return True


def check_room_to_compile() -> None:
    """Raise unless a kernel can be loaded or compiled."""
    if not has_room(_COMPILING):
        raise NoRoomError(
            f"to load or compile a kernel, {_COMPILING >> 20} MiB of address space must be free: raise this process's "
            "limit (ulimit -v)"
        )


def has_room_for_threads(threads: int) -> bool:
    """Say whether so many threads can be started."""
    if resource is None:
        return True
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    return has_room(_THREADS + threads * (_USUAL_STACK if stack == resource.RLIM_INFINITY else stack))


def prefer_large_pages(address: int, size: int) -> None:
    """Ask for large pages of memory that is yet to be written: the first touch of each page costs more than its draws.

    NumPy does so for its own arrays. Where the system has no such wish, or does not grant it, nothing changes.
    """
    if size < _LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return
    first = address + -address % mmap.PAGESIZE
    length = (address + size - first) // mmap.PAGESIZE * mmap.PAGESIZE
    ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), mmap.MADV_HUGEPAGE)
