"""The uniform and the normal law: words of a Philox block become float32 or float64 values.

A law is a function of words (uint32) and of a tuple of parameters. Each uses a fixed number of words an element,
without a loop or a branch, so any element can be computed alone. `truncated.py` has the truncated normal, `draw.py` all
laws by their names.
"""

from typing import Any

import numpy as np

from ..machine.intrinsics import fma, select, sqrt
from ..machine.jit import inline
from .elementary import cos_sin_turn_f32, cos_sin_turn_f64, log_f32, log_f64

_F16 = np.float32(2.0**-16)
_F32 = np.float32(2.0**-32)
_F23 = np.float32(2.0**-23)
_HALF = np.float32(0.5)


@inline
def inside(x: Any, first: Any, last: Any) -> Any:
    """x, or the nearer of two bounds if it is beyond them."""
    x = select(x < first, first, x)
    return select(x > last, last, x)


@inline
def unit_f32(w: Any) -> Any:
    """(w + 1/2) * 2^-32 rounded once to float32: in (0, 1], full relative precision near 0."""
    # Through 16-bit halves, which convert exactly even where there is no unsigned conversion (AVX2).
    high = np.float32(np.int32(w >> np.uint32(16)))
    low = np.float32(np.int32(w & np.uint32(0xFFFF))) + _HALF
    return fma(high, _F16, low * _F32)


@inline
def unit_f64(low_word: Any, high_word: Any) -> Any:
    """(k + 1/2) * 2^-53 rounded once to float64, k the top 53 bits of the pair."""
    # k = high * 2^21 + low, in two halves that fit an int32 each: 26 and 27 bits.
    low = np.uint32(low_word >> np.uint32(11)) | np.uint32(np.uint32(high_word & np.uint32(31)) << np.uint32(21))
    high = np.float64(np.int32(high_word >> np.uint32(5)))
    return fma(high, np.float64(2.0**-27), (np.float64(np.int32(low)) + np.float64(0.5)) * np.float64(2.0**-53))


@inline
def signed_f64(low_word: Any, high_word: Any, shift: Any) -> Any:
    """2j * 2^-53 + shift, j the top 53 bits of the pair as a signed integer: exact for the shifts 2^-53 and 1."""
    low = np.float64(np.int32(np.uint32(low_word >> np.uint32(11))))
    return fma(np.float64(np.int32(high_word)), np.float64(2.0**-31), fma(low, np.float64(2.0**-52), shift))


# uniform: p = (first value, last value, half width, origin, shift)


@inline
def uniform_f32(w: Any, p: Any) -> Any:
    """The value origin + half * s, s = 2j * 2^-24 + shift, exact, j the word's top 24 bits as a signed integer."""
    s = fma(np.float32(np.int32(w) >> np.int32(8)), _F23, p[4])
    return inside(fma(p[2], s, p[3]), p[0], p[1])


@inline
def uniform_f64(low: Any, high: Any, p: Any) -> Any:
    """As `uniform_f32` with 53 bits."""
    return inside(fma(p[2], signed_f64(low, high, p[4]), p[3]), p[0], p[1])


# normal: p = (std, mean)


@inline
def _box_muller_f32(w0: Any, w1: Any, p: Any) -> Any:
    radius = sqrt(np.float32(-2.0) * log_f32(unit_f32(w0)))
    cosine, sine = cos_sin_turn_f32(w1)
    return fma(p[0], radius * cosine, p[1]), fma(p[0], radius * sine, p[1])


@inline
def normal_f32(w0: Any, w1: Any, w2: Any, w3: Any, p: Any) -> Any:
    """Box and Muller (1958) on two pairs of words; |z| up to 6.77."""
    a, b = _box_muller_f32(w0, w1, p)
    c, d = _box_muller_f32(w2, w3, p)
    return a, b, c, d


@inline
def normal_f64(w0: Any, w1: Any, w2: Any, w3: Any, p: Any) -> Any:
    """Box and Muller (1958) on one pair of 53-bit words; |z| up to 8.66."""
    radius = sqrt(np.float64(-2.0) * log_f64(unit_f64(w0, w1)))
    word = np.uint64(w2) | (np.uint64(w3) << np.uint64(32))
    cosine, sine = cos_sin_turn_f64(word)
    return fma(p[0], radius * cosine, p[1]), fma(p[0], radius * sine, p[1])
