"""Laws of the complex plane that are no pairs of real numbers: a radius from one word, an angle from the other.

A complex number takes the words of two real ones, its own and the next; the radius is drawn by inversion, the angle
is a fraction of a turn.
"""

from typing import Any

import numpy as np

from ..machine.intrinsics import fma, sqrt
from ..machine.jit import inline
from .elementary import cos_sin_turn_f32, cos_sin_turn_f64, log_f32, log_f64
from .laws import unit_f32, unit_f64


@inline
def _turned_f32(radius: Any, w: Any) -> Any:
    cosine, sine = cos_sin_turn_f32(w)
    return radius * cosine, radius * sine


@inline
def _turned_f64(radius: Any, low: Any, high: Any) -> Any:
    cosine, sine = cos_sin_turn_f64(np.uint64(low) | (np.uint64(high) << np.uint64(32)))
    return radius * cosine, radius * sine


# the uniform disk: p = (radius,)


@inline
def disk_f32(a: Any, b: Any, p: Any) -> Any:
    """Real and imaginary part of p[0] sqrt(u) at the angle b."""
    return _turned_f32(p[0] * sqrt(unit_f32(a)), b)


@inline
def disk_f64(a: Any, a_high: Any, b: Any, b_high: Any, p: Any) -> Any:
    """As `disk_f32` with 53 bits."""
    return _turned_f64(p[0] * sqrt(unit_f64(a, a_high)), b, b_high)


# the complex normal within a radius: p = (std, share beyond the radius, 1 minus that)


@inline
def plane_normal_f32(a: Any, b: Any, p: Any) -> Any:
    """Parts of p[0] sqrt(-ln s) at the angle b; s, the share beyond this radius, is uniform from p[1] to 1."""
    return _turned_f32(p[0] * sqrt(-log_f32(fma(p[2], unit_f32(a), p[1]))), b)


@inline
def plane_normal_f64(a: Any, a_high: Any, b: Any, b_high: Any, p: Any) -> Any:
    """As `plane_normal_f32` with 53 bits."""
    return _turned_f64(p[0] * sqrt(-log_f64(fma(p[2], unit_f64(a, a_high), p[1]))), b, b_high)
