"""The commands about this machine and its compiled kernels."""

import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from ... import __version__
from ...words import printable
from ..machine import cpu_name
from ..progress import bar
from .answering import Answer, command

GROUP = "This machine"

Processes = Annotated[int | None, typer.Option(help="How many compile side by side (one for each CPU).", min=1)]


@command(GROUP, "NUMBA_CACHE_DIR=/shared/kernels fastinit warmup")
def warmup(processes: Processes = None) -> Answer:
    """Compile every kernel ahead of use, once for a machine: for images of containers, and clusters.

    Kernels go into the folder that `fastinit info` names; NUMBA_CACHE_DIR moves it.
    """
    count, seconds = _compile_all(processes)
    words = f"{count} kernels compiled in {seconds:.0f} s" if count else "all kernels are compiled"
    return Answer({"compiled": count, "seconds": seconds}, [words])


def _compile_all(processes: int | None) -> tuple[int, float]:
    from ... import warmup as compile_all

    started = time.perf_counter()
    return compile_all(processes), time.perf_counter() - started


@command(GROUP, "fastinit info --json")
def info() -> Answer:
    """Show what fastinit runs on: versions, threads, CPU and the folder of the compiled kernels."""
    import llvmlite
    import llvmlite.binding
    import ml_dtypes
    import numba
    import numpy as np
    from fastinit_kernels.machine.cache import cache_folder

    from ... import normal

    normal((1 << 20,), seed=0)  # Numba names its threading layer once it has run
    facts = {
        "fastinit": __version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "Numba": f"{numba.__version__} (llvmlite {llvmlite.__version__})",
        "ml-dtypes": ml_dtypes.__version__,
        "system": platform.platform(),
        "CPU": f"{cpu_name()} ({llvmlite.binding.get_host_cpu_name()})",
        "threads": f"{numba.get_num_threads()} on {os.cpu_count()} CPUs",
        "threading layer": _threading_layer(),
        "compiled kernels": str(cache_folder() or "not kept"),
    }
    return Answer(facts, _lines(facts))


def _lines(facts: dict[str, Any]) -> list[str]:
    return [printable(f"{key:<17} {value}") for key, value in facts.items()]


def _threading_layer() -> str:
    import numba

    try:
        return str(numba.threading_layer())
    except ValueError:
        return "none: one thread"


@command(GROUP, "fastinit cache --clear --warm")
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove every kernel, of other versions, too.")] = False,
    warm: Annotated[bool, typer.Option("--warm", help="Compile every kernel that is missing.")] = False,
    processes: Processes = None,
) -> Answer:
    """Show the compiled kernels on disk and their size; remove or compile them.

    With both --clear and --warm in this order.
    """
    from fastinit_kernels.machine.cache import cache_folder

    folder = cache_folder()
    facts: dict[str, Any] = {"folder": str(folder or "not kept")}
    if clear and folder:
        facts["removed"] = _clear(folder)
    if warm:
        facts["compiled"] = _compile_all(processes)[0]
    kept = _kernels(folder.parent) if folder else []
    own = [path for path in kept if path.parent == folder]
    facts |= {"kernels": len(own), "bytes": _size(own), "of other versions": len(kept) - len(own),
              "their bytes": _size(kept) - _size(own)}  # fmt: skip
    lines = {name: f"{value / 1e6:.1f} MB" if "bytes" in name else value for name, value in facts.items()}
    return Answer(facts, _lines({name.replace("bytes", "size"): value for name, value in lines.items()}))


def _kernels(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.bin"))


def _size(paths: list[Path]) -> int:
    total = 0
    for path in paths:
        with suppress(OSError):  # removed by another process
            total += path.stat().st_size
    return total


def _clear(folder: Path) -> int:
    """Remove the kernels in this folder and in those beside it; what is not a kernel stays."""
    paths = _kernels(folder.parent)
    with bar("removing kernels", len(paths)) as progress:
        for path in paths:
            path.unlink(missing_ok=True)
            progress.advance()
    for beside in {path.parent for path in paths} - {folder}:
        with suppress(OSError):  # something else is in it
            beside.rmdir()
    return len(paths)
