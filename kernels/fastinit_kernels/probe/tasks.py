"""A task of the probe: a kernel that the scheduler calls with the task's number, its phase and its launch."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..machine.ahead import family
from ..machine.jit import Kernel, inline, kernel
from ..machine.modes import use_widest_vectors
from ..machine.schedule import PHASE
from ..numeric.integers import ceil_div
from .records import LAUNCH, LAYER

_phase_at, _launch_at, _layer_at = PHASE.at, LAUNCH.at, LAYER.at

Body = Callable[..., None]

REALS = (np.float32, np.float64)
"""The types that the probe computes in."""


def task_kernel(name: str, body: Body, cost: float = 0.2) -> Kernel:
    """The kernel of `body(t, phase, layer, launch)`."""
    work = inline(body)

    @kernel(name, cost=cost)
    def run(t: Any, phase_address: Any, launch_address: Any) -> int:
        use_widest_vectors()
        phase, launch = _phase_at(phase_address, np.int64(0)), _launch_at(launch_address, np.int64(0))
        work(t, phase, _layer_at(launch.layers, phase.layer), launch)
        return 0

    return run


def task(name: str, cost: float) -> Callable[[Callable[[Any], Body]], Callable[[Any], Kernel]]:
    """Turn a factory of bodies by the compute type into one of kernels; `cost` as `jit.Kernel` takes it."""

    def decorate(factory: Callable[[Any], Body]) -> Callable[[Any], Kernel]:
        @family(REALS)
        @wraps(factory)
        def make(dtype: Any) -> Kernel:
            return task_kernel(f"{name}-{np.dtype(dtype).name}", factory(dtype), cost)

        return make

    return decorate


ceiling = inline(ceil_div)
"""`ceil_div` in kernels."""
