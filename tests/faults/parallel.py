"""64 Python threads at once in fills and probes, on each of Numba's threading layers."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable

from faults.trial import Fault, Trial, require

LAYERS = {"omp": "omppool", "workqueue": "workqueue", "tbb": "tbbpool"}

CODE = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
import numba
from faults import check, work
import fastinit as fi

layer, warm = sys.argv[1], sys.argv[2] == "1"
words = {"depth": 3, "width": 150, "batch": 260, "seed": 3}
numba.set_num_threads(1)
right = check.figures(fi.probe(**words))
numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
if warm:
    work.draw()
together = threading.Barrier(64)
def one(i):
    together.wait()
    for turn in range(2):
        work.draw((work.DRAWS[(i + turn) % len(work.DRAWS)],))
        if (i + turn) % 8 == 0:
            assert check.figures(fi.probe(**words)) == right, "a probe's figures differ"
with ThreadPoolExecutor(64) as pool:
    list(pool.map(one, range(64)))
assert numba.threading_layer() == layer, numba.threading_layer()
"""


def missing(layer: str) -> str:
    """Why a layer cannot be had."""
    try:
        importlib.import_module(f"numba.np.ufunc.{LAYERS[layer]}")
    except ImportError:
        return f"{layer} is not installed"
    return ""


def trial_of(layer: str) -> Callable[[Trial], None]:
    def trial(t: Trial) -> None:
        threads = t.random.choice(("2", "4", "16", "64"))
        done = subprocess.run(
            [sys.executable, "-W", "error", "-X", "faulthandler", "-c", CODE, layer, str(t.number % 2)],
            env={**os.environ, "NUMBA_NUM_THREADS": threads, "NUMBA_THREADING_LAYER": layer},
            capture_output=True,
            text=True,
            timeout=200,
        )
        require(done.returncode == 0, f"{threads} threads: ended with {done.returncode}: {done.stderr[-3000:]}")

    return trial


FAULTS = tuple(
    Fault(
        f"64 Python threads on {layer}",
        "2 to 64 threads of Numba's; every other time before they have started",
        "golden bytes, equal figures",
        1,
        6,
        trial_of(layer),
        lambda layer=layer: missing(layer),  # type: ignore[misc]
    )
    for layer in LAYERS
)
