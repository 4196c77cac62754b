"""What can only be measured in a process of its own: imports, first calls, peak memory."""

from __future__ import annotations

import atexit
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path

from peers import Work

LONGEST = 240
ROOT = Path(__file__).parent.parent

_CALL = """
import time
{before}
start = time.perf_counter()
{call}
print(time.perf_counter() - start)
"""

_LISTING = """
from importlib import import_module
module, factory, *arguments = "{kernel}".split(":")
kernel = getattr(import_module("fastinit_kernels." + module), factory)(*arguments)
print("\\n".join(kernel.dispatcher.inspect_asm().values()))
"""

_IMPORT = """
import time
import numpy
start = time.perf_counter()
import fastinit
print(time.perf_counter() - start)
"""

# VmHWM and not ru_maxrss: a child's ru_maxrss starts from what its parent had in memory when it was started.
# The limit on the address space turns an n x n array into a MemoryError instead of a machine out of memory.
_PEAK = """
import resource, sys
import fastinit as fi
fi.probe(depth=2, width=256, batch=64)
if {limit}:
    resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
fi.probe(scheme="xavier_normal", activation="tanh", depth={depth}, width={width}, batch={batch},
         backward={backward})
try:
    status = open("/proc/self/status").read()
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
except FileNotFoundError:
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def import_time() -> float:
    """Seconds of `import fastinit` after `import numpy`."""
    return _run(_IMPORT)


def cold(call: str, before: str = "import fastinit as fi", root: Path = ROOT) -> Work:
    """Seconds of a call after `before`, nothing compiled; of the checkout in the folder `root`."""
    script = _CALL.format(before=before, call=call)

    def work() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return _run(script, folder, root)

    return work


def cached(call: str, before: str = "import fastinit as fi", root: Path = ROOT) -> Work:
    """The same from the cache of compiled kernels."""
    script, folder = _CALL.format(before=before, call=call), tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    _run(script, folder, root)
    return lambda: _run(script, folder, root)


@cache
def checkout(commit: str) -> Path:
    """A folder with the files of an earlier commit, for as long as this process lasts."""
    git = ["git", "-C", str(ROOT), "archive", "--format=tar", commit]
    try:
        done = subprocess.run(git, capture_output=True)
    except FileNotFoundError:
        raise RuntimeError(f"no git to get commit {commit} by") from None
    if done.returncode != 0:
        raise RuntimeError(f"commit {commit} is not here: {done.stderr.decode(errors='replace').strip()}")
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
        files.extractall(folder, filter="data")
    return Path(folder)


def probe_memory(width: int, batch: int, depth: int, *, backward: bool = False, limit: int = 0) -> Work:
    """Peak resident bytes of a process that probes, Python and Numba included."""
    script = _PEAK.format(width=width, batch=batch, depth=depth, backward=backward, limit=limit)
    return lambda: _run(script)


def listing(kernel: str) -> str:
    """Assembly of a kernel, compiled afresh (what comes from the cache brings none): "module:factory:argument:…"."""
    with tempfile.TemporaryDirectory() as folder:
        return _output(_LISTING.format(kernel=kernel), folder)


def _run(script: str, cache_folder: str | None = None, root: Path = ROOT) -> float:
    return float(_output(script, cache_folder, root))


def _output(script: str, cache_folder: str | None = None, root: Path = ROOT) -> str:
    environment = dict(os.environ)
    paths = [str(root), str(root / "kernels"), *environment.get("PYTHONPATH", "").split(os.pathsep)]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    if cache_folder is not None:
        environment["NUMBA_CACHE_DIR"] = cache_folder
    command = [sys.executable, "-c", script]
    try:
        result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LONGEST, cwd=root)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"took more than {LONGEST} s") from None
    if result.returncode != 0:
        raise RuntimeError((result.stderr.strip().splitlines() or ["died"])[-1])
    return result.stdout
