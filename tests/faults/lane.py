"""Trials in processes of their own, forked from one that has the kernels loaded and no threads."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from faults.trial import Fault, Trial

# Seconds for a whole trial.
PATIENCE = 400


@dataclass
class Row:
    """What came of a fault: how often it was tried, and what was lost."""

    fault: Fault
    tried: int = 0
    lost: list[str] = field(default_factory=list)
    missing: str = ""

    @property
    def survived(self) -> int:
        """How often nothing was lost."""
        return self.tried - len(self.lost)


def try_out(faults: Sequence[Fault], lane: str, seed: int, jobs: int) -> Iterator[Row]:
    """Try the faults, and yield each one's row when it is finished."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ThreadPoolExecutor(jobs) as pool:
        context = _context()
        rows, futures = [], []
        for fault in faults:
            rows.append(Row(fault, missing=fault.needs()))
            tries = 0 if rows[-1].missing else getattr(fault, lane)
            futures.append([pool.submit(_try, context, fault, seed, i, Path(folder)) for i in range(tries)])
        for row, trials in zip(rows, futures, strict=True):
            row.tried = len(trials)
            row.lost = [words for trial in trials if (words := trial.result())]
            yield row


def _context() -> multiprocessing.context.ForkServerContext:
    """Processes forked from one that has done no more than load the kernels."""
    # It starts with this process's environment: a pool of BLAS's would be threads, too.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": str(os.cpu_count())}
    # Numba's locks have names in these processes, which a killed one cannot take back.
    os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker:UserWarning"
    here = str(Path(__file__).resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    subprocess.run([sys.executable, "-c", "from faults import work; work.warm()"], check=True)  # compiles what is new
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faults.warm"])
    return context


def _try(context: multiprocessing.context.ForkServerContext, fault: Fault, seed: int, number: int, root: Path) -> str:
    """Try a fault once; return what was lost, "" if nothing."""
    folder = Path(tempfile.mkdtemp(dir=root))
    told = folder / "told"
    process = context.Process(target=_run, args=(fault.name, seed, number, folder))
    process.start()
    process.join(PATIENCE)
    hangs = process.exitcode is None
    _kill_group(process.pid)
    process.join()
    words = told.read_text() if told.exists() else ""
    if hangs:
        words = f"hangs {words}"
    elif process.exitcode or not told.exists():
        words = f"the trial ended with {process.exitcode} {words}"
    shutil.rmtree(folder, ignore_errors=True)
    return words


def _kill_group(pid: int | None) -> None:
    try:
        os.killpg(pid or 0, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        time.sleep(0)


def _run(name: str, seed: int, number: int, folder: Path) -> None:
    from faults.table import FAULTS

    os.setsid()
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    words = run(fault, seed, number, folder)
    (folder / "told").write_text(words)


def run(fault: Fault, seed: int, number: int, folder: Path) -> str:
    """Try a fault once, in this process; return what was lost, "" if nothing."""
    (folder / "trial").mkdir()
    trial = Trial(folder / "trial", random.Random(f"{seed} {fault.name} {number}"), number)
    try:
        fault.trial(trial)
    except Exception as error:
        return f"try {number}: {''.join(traceback.format_exception_only(error)).strip()}"
    return ""
