"""Elementary functions of arrays, the same bits on every CPU, for what is a function of an index and not of words."""

from typing import Any

import numpy as np

from ..machine.ahead import family
from ..machine.jit import Kernel, inline, kernel, place_of
from ..machine.modes import use_widest_vectors
from ..machine.pointers import pointers
from ..machine.records import Table
from ..machine.threads import run_tiles
from ..numeric.elementary import log_f64
from ..numeric.integers import ceil_div
from ..numeric.transcendental import FUNCTIONS

TILE = 1 << 14

_APPLY = Table(("x", "out", "elements"))
_apply_at, _real_at = _APPLY.at, pointers(np.float64)
_cos_sin = FUNCTIONS["float64"].cos_sin


@inline
def _cos(x: Any) -> Any:
    return _cos_sin(x)[0]


@inline
def _sin(x: Any) -> Any:
    return _cos_sin(x)[1]


# log of positive normal numbers, exp from -708 to 708.
ELEMENTWISE = {"log": log_f64, "exp": FUNCTIONS["float64"].exp, "cos": _cos, "sin": _sin}


@family(ELEMENTWISE)
def elementwise_kernel(function: str) -> Kernel:
    """The kernel of a function: tile t of the array that an `_APPLY` record describes."""
    value = ELEMENTWISE[function]

    @kernel(f"elementwise-{function}", cost=0.3)
    def tile(t: Any, launch_address: Any) -> int:
        use_widest_vectors()
        launch = _apply_at(launch_address, np.int64(0))
        x, out = _real_at(launch.x, np.int64(0)), _real_at(launch.out, np.int64(0))
        first = t * TILE
        for i in range(first, min(first + TILE, launch.elements)):
            out[i] = value(x[i])
        return 0

    return tile


def apply(function: str, x: Any) -> Any:
    """A float64 array of function(x), for a float64 array x."""
    x = np.ascontiguousarray(x)
    out = np.empty_like(x)
    if x.size:
        launch = _APPLY.record(x=place_of(x), out=place_of(out), elements=x.size)
        run_tiles(elementwise_kernel(function), place_of(launch), ceil_div(x.size, TILE), x.size * 4)
    return out
