"""What can only be measured in a process of its own: imports, first calls, peak memory."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from peers import Work

LONGEST = 240

_FIRST_CALL = """
import time
import fastinit as fi
start = time.perf_counter()
{call}
print(time.perf_counter() - start)
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


def first_call_cold(call: str) -> Work:
    """Seconds of a call right after `import fastinit`, nothing compiled."""

    def work() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return _run(_FIRST_CALL.format(call=call), folder)

    return work


def first_call_cached(call: str) -> Work:
    """The same from the cache of compiled kernels."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    _run(_FIRST_CALL.format(call=call), folder)
    return lambda: _run(_FIRST_CALL.format(call=call), folder)


def probe_memory(width: int, batch: int, depth: int, *, backward: bool = False, limit: int = 0) -> Work:
    """Peak resident bytes of a process that probes, Python and Numba included."""
    script = _PEAK.format(width=width, batch=batch, depth=depth, backward=backward, limit=limit)
    return lambda: _run(script)


def _run(script: str, cache_folder: str | None = None) -> float:
    environment = dict(os.environ)
    if cache_folder is not None:
        environment["NUMBA_CACHE_DIR"] = cache_folder
    command = [sys.executable, "-c", script]
    folder = Path(__file__).parent.parent
    try:
        result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LONGEST, cwd=folder)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"took more than {LONGEST} s") from None
    if result.returncode != 0:
        raise RuntimeError(result.stderr.strip().splitlines()[-1])
    return float(result.stdout)
