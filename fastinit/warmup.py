"""Compiling ahead of use: for images of containers, and for nodes that share a cache."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from fastinit_kernels.machine.forks import whole
from fastinit_kernels.machine.notice import told

from .words import check_integer


def warmup(processes: int | None = None, progress: Callable[[int, int], None] | None = None) -> int:
    """Compile every kernel into the cache, so that nothing has to be compiled when it is first used.

    What is in the cache already stays. The cache lies below NUMBA_CACHE_DIR, or else in the user's own (`fastinit info`
    names the folder); it serves the same versions of fastinit, Numba and NumPy on the same kind of CPU. An activation
    of the user's own is compiled when it is used.

    Parameters
    ----------
    processes
        How many compile side by side, this one included, at least 1; None: one for each CPU that this process may use.
    progress
        Called with the number of kernels that are done and of all, whenever one is.

    Returns
    -------
    int
        Kernels that were missing.

    Raises
    ------
    ValueError, TypeError
        `processes` is no integer >= 1, or `progress` nothing to call.

    Examples
    --------
    >>> import fastinit as fi
    >>> fi.warmup() >= 0  # doctest: +SKIP
    True
    """
    count = None if processes is None else check_integer("processes", processes, minimum=1)
    if progress is not None and not callable(progress):
        raise TypeError(f"argument 'progress' must be a function of (done, total), got {progress!r}")
    with whole:
        from fastinit_kernels.warmup import warm_up

    with told(progress) if progress else nullcontext():
        return warm_up(count)
