"""Laws: the four words of a Philox block become four float32 values, or two float64 values.

A law is a function `law(w0, w1, w2, w3, p)` of the words (uint32) and a tuple of parameters of the compute type, and
returns its values in the order of the elements they belong to. Each uses a fixed number of words an element, without
a loop or a branch, so any element can be computed alone.
"""

from typing import Any

import numpy as np

from .elementary import cos_sin_turn_f32, cos_sin_turn_f64, log_f32, log_f64, normal_tail_f32, normal_tail_f64
from .intrinsics import fma, select, sqrt
from .jit import inline

# Parameters a law may take; unused ones are zero.
PARAMETERS = 8

_F16 = np.float32(2.0**-16)
_F32 = np.float32(2.0**-32)
_F24 = np.float32(2.0**-24)
_HALF = np.float32(0.5)


@inline
def _unit_f32(w: Any) -> Any:
    """(w + 1/2) * 2^-32 rounded once to float32: in (0, 1], full relative precision near 0."""
    # Through 16-bit halves, which convert exactly even where there is no unsigned conversion (AVX2).
    high = np.float32(np.int32(w >> np.uint32(16)))
    low = np.float32(np.int32(w & np.uint32(0xFFFF))) + _HALF
    return fma(high, _F16, low * _F32)


@inline
def _unit_f64(low_word: Any, high_word: Any) -> Any:
    """(k + 1/2) * 2^-53 rounded once to float64, k the top 53 bits of the pair."""
    # k = high * 2^21 + low, in two halves that fit an int32 each: 26 and 27 bits.
    low = np.uint32(low_word >> np.uint32(11)) | np.uint32(np.uint32(high_word & np.uint32(31)) << np.uint32(21))
    high = np.float64(np.int32(high_word >> np.uint32(5)))
    return fma(high, np.float64(2.0**-27), (np.float64(np.int32(low)) + np.float64(0.5)) * np.float64(2.0**-53))


@inline
def _word_f64(low_word: Any, high_word: Any) -> Any:
    return np.uint64(low_word) | (np.uint64(high_word) << np.uint64(32))


# uniform: p = (half width, centre)


@inline
def _symmetric_f32(w: Any) -> Any:
    """An odd multiple of 2^-24 in (-1, 1), exact, from the word's top 24 bits read as a signed integer."""
    j = np.int32(w) >> np.int32(8)
    return np.float32(np.int32(np.int32(2) * np.int32(j) + np.int32(1))) * _F24


@inline
def _symmetric_f64(low_word: Any, high_word: Any) -> Any:
    """An odd multiple of 2^-53 in (-1, 1), exact, from the pair's top 53 bits read as a signed integer."""
    low = np.int32(np.uint32(low_word >> np.uint32(11)))
    odd = np.float64(np.int32(np.int32(2) * low + np.int32(1)))
    return fma(np.float64(np.int32(high_word)), np.float64(2.0**-31), odd * np.float64(2.0**-53))


@inline
def uniform_f32(w0: Any, w1: Any, w2: Any, w3: Any, p: Any) -> Any:
    """fma(half, s, centre): symmetric, its mean exactly the centre, never outside [low, high]."""
    return (
        fma(p[0], _symmetric_f32(w0), p[1]),
        fma(p[0], _symmetric_f32(w1), p[1]),
        fma(p[0], _symmetric_f32(w2), p[1]),
        fma(p[0], _symmetric_f32(w3), p[1]),
    )


@inline
def uniform_f64(w0: Any, w1: Any, w2: Any, w3: Any, p: Any) -> Any:
    """As `uniform_f32` with 53 bits."""
    return fma(p[0], _symmetric_f64(w0, w1), p[1]), fma(p[0], _symmetric_f64(w2, w3), p[1])


# normal: p = (std, mean)


@inline
def _box_muller_f32(w0: Any, w1: Any, p: Any) -> Any:
    radius = sqrt(np.float32(-2.0) * log_f32(_unit_f32(w0)))
    cosine, sine = cos_sin_turn_f32(w1)
    return fma(p[0], radius * cosine, p[1]), fma(p[0], radius * sine, p[1])


@inline
def normal_f32(w0: Any, w1: Any, w2: Any, w3: Any, p: Any) -> Any:
    """Box and Muller (1958) on two pairs of words; |z| up to 6.76."""
    a, b = _box_muller_f32(w0, w1, p)
    c, d = _box_muller_f32(w2, w3, p)
    return a, b, c, d


@inline
def normal_f64(w0: Any, w1: Any, w2: Any, w3: Any, p: Any) -> Any:
    """Box and Muller (1958) on one pair of 53-bit words; |z| up to 8.65."""
    radius = sqrt(np.float64(-2.0) * log_f64(_unit_f64(w0, w1)))
    cosine, sine = cos_sin_turn_f64(_word_f64(w2, w3))
    return fma(p[0], radius * cosine, p[1]), fma(p[0], radius * sine, p[1])


# truncated normal: p = (std, mean, below, above, width, offset) and the two clamps follow in p[6], p[7].
# Probabilities are in units of exp(-offset), the larger of the two tails reached, so bounds far in one tail keep
# their precision: `below` = Phi(lower), `above` = 1 - Phi(upper), `width` = Phi(upper) - Phi(lower).


@inline
def _truncated(u: Any, v: Any, log: Any, tail: Any, p: Any) -> Any:
    """Inverse CDF at u (v = 1 - u, both known to full relative precision), from the nearer tail."""
    left = fma(u, p[4], p[2])
    right = fma(v, p[4], p[3])
    lower = left < right
    z = tail(p[5] - log(select(lower, left, right)))
    x = fma(p[0], select(lower, -z, z), p[1])
    # Rounding may carry the outermost draws onto a bound or past it: p[6], p[7] are the first values inside.
    x = select(x < p[6], p[6], x)
    return select(x > p[7], p[7], x)


@inline
def _truncated_f32(w: Any, p: Any) -> Any:
    return _truncated(_unit_f32(w), _unit_f32(np.uint32(~w)), log_f32, normal_tail_f32, p)


@inline
def _truncated_f64(low: Any, high: Any, p: Any) -> Any:
    mirrored = _unit_f64(np.uint32(~low), np.uint32(~high))
    return _truncated(_unit_f64(low, high), mirrored, log_f64, normal_tail_f64, p)


@inline
def truncated_f32(w0: Any, w1: Any, w2: Any, w3: Any, p: Any) -> Any:
    """One word an element, no rejection: monotone in the word, strictly inside the bounds."""
    return _truncated_f32(w0, p), _truncated_f32(w1, p), _truncated_f32(w2, p), _truncated_f32(w3, p)


@inline
def truncated_f64(w0: Any, w1: Any, w2: Any, w3: Any, p: Any) -> Any:
    """As `truncated_f32` with 53 bits."""
    return _truncated_f64(w0, w1, p), _truncated_f64(w2, w3, p)
