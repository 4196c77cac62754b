"""Draws added to what is there: out += factor * draw in one fused multiply-add, rounded to the stored type once."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..machine.ahead import family
from ..machine.intrinsics import fma, select
from ..machine.jit import Kernel, inline, kernel, place_of
from ..machine.modes import use_widest_vectors
from ..machine.pointers import pointers
from ..machine.records import Table
from ..machine.threads import run_tiles
from ..numeric.integers import ceil_div
from .dense import TILE, walk_function
from .draw import STORES, is_double

_ADD = Table(("out", "geometry", "length", "drawn"), ("factor",))
_add_at, _words_at = _ADD.at, pointers(np.int64)


@cache
def _run_function(dtype: str) -> Callable[..., None]:
    """`run(out, offset, stride, i, n, drawn, factor)`: factor * drawn[i : i + n] added to out[offset::stride]."""
    stored = STORES[dtype]
    load, store, kind = stored.load, stored.store, stored.kind
    rounded, nan = stored.nan is not None, kind(stored.nan or 0)

    @inline
    def added(old: Any, drawn: Any, factor: Any) -> Any:
        total = fma(factor, drawn, load(old))
        if rounded:
            return select(total == total, store(total), nan)
        return total

    @inline
    def run(out: Any, offset: Any, stride: Any, i: Any, n: Any, drawn: Any, factor: Any) -> None:
        if stride == 1:
            for k in range(n):
                out[offset + k] = added(out[offset + k], drawn[i + k], factor)
        else:
            for k in range(n):
                out[offset + k * stride] = added(out[offset + k * stride], drawn[i + k], factor)

    return run


@family(STORES)
def adding_kernel(dtype: str) -> Kernel:
    """The kernel of a dtype: tile t of the region that an `_ADD` record describes."""
    walk = walk_function(_run_function(dtype))
    real = np.float64 if is_double(dtype) else np.float32
    out_at, drawn_at = pointers(STORES[dtype].kind), pointers(real)

    @kernel(f"add-{dtype}", cost=0.5)
    def tile(t: Any, launch_address: Any) -> int:
        use_widest_vectors()
        launch = _add_at(launch_address, np.int64(0))
        out, geometry = out_at(launch.out, np.int64(0)), _words_at(launch.geometry, np.int64(0))
        walk(t, geometry, launch.length, out, drawn_at(launch.drawn, np.int64(0)), real(launch.factor))
        return 0

    return tile


def add(dtype: str, out: Any, geometry: Any, drawn: Any, factor: float) -> None:
    """Add factor * drawn, C-contiguous and of the type of the computation, to the region `geometry` of `out`.

    Flat indices of the region are places in `drawn`; `out` is a flat array of the stored type.
    """
    elements = int(geometry[0])
    launch = _ADD.record(
        out=place_of(out), geometry=place_of(geometry), length=len(geometry), drawn=place_of(drawn), factor=factor
    )
    run_tiles(adding_kernel(dtype), place_of(launch), ceil_div(elements, TILE), elements)
