"""The truncated normal: its inverse CDF at u = (w + 1/2) * 2^-32 (float64: of 53 bits), one word an element.

No one formula has the spacing of the type between any two bounds, so there are four, among which the API chooses:

- `series`: a polynomial of 2u - 1, where the inverse CDF is nearly straight: between bounds close to each other;
- `far`: a polynomial of the logarithm of the survival function, where all lies in one tail;
- `centre`: float32 between bounds within 2.5 std of the mean, without a logarithm;
- `wide`: the rest, from the nearer tail.

The first two are computed in float64 whatever the type, with coefficients of the API's. Every law's parameters begin
with the first and the last value inside the bounds, since rounding may carry the outermost draws onto one or past it.
"""

from typing import Any

import numpy as np

from ..machine.intrinsics import bits_of_float32, converted, float32_of_bits, fma, select, sqrt
from ..machine.jit import inline
from .elementary import log_f32, log_f64, normal_centre_f32, normal_outer_f32, normal_tail_f64
from .laws import inside, signed_f64, unit_f32, unit_f64
from .polynomial import pairwise, polynomial

# Coefficients of a polynomial of `series` or `far`, and where `centre` ends, in units of std.
TERMS = 16
CENTRE = 2.5

_SIGN, _F31 = np.uint32(1 << 31), np.float32(2.0**-31)
_ZERO, _ONE, _TWO, _HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)


# --- series: p = (first, last, constant in two parts, coefficients) ---


@inline
def _symmetric_32(w: Any) -> Any:
    """2u - 1, an odd multiple of 2^-32 in (-1, 1): exact."""
    return fma(np.float64(np.int32(np.uint32(w ^ _SIGN))), np.float64(2.0**-31), np.float64(2.0**-32))


@inline
def _symmetric_64(low: Any, high: Any) -> Any:
    """2u - 1, an odd multiple of 2^-53 in (-1, 1): exact."""
    return signed_f64(low, np.uint32(high ^ _SIGN), np.float64(2.0**-53))


@inline
def series_f32(w: Any, p: Any) -> Any:
    """The value constant + t P(t), t = 2u - 1; for P's third coefficient and the rest float32 is enough."""
    t = _symmetric_32(w)
    s = np.float32(np.int32(np.uint32(w ^ _SIGN))) * _F31
    bent = np.float64(pairwise(s, converted(p[6:20], np.float32)))
    return np.float32(inside(p[2] + fma(t, fma(t, fma(t, bent, p[5]), p[4]), p[3]), p[0], p[1]))


@inline
def series_f64(low: Any, high: Any, p: Any) -> Any:
    """As `series_f32`, all of it in float64."""
    t = _symmetric_64(low, high)
    return inside(p[2] + fma(t, polynomial(t, p[4:20]), p[3]), p[0], p[1])


# --- far: p = (first, last, nearer bound in two parts, +-1/2, survival at the other bound, 1 minus that,
#     r, coefficients) ---


@inline
def _far(t: Any, p: Any) -> Any:
    e = -log_f64(fma(fma(t, p[4], np.float64(0.5)), p[6], p[5]))
    y = e / (sqrt(fma(p[7], p[7], e)) + p[7])
    return inside(p[2] + fma(y, polynomial(y, p[8:24]), p[3]), p[0], p[1])


@inline
def far_f32(w: Any, p: Any) -> Any:
    """The value bound + y P(y), y = sqrt(r^2 + e) - r.

    e is minus the logarithm of the survival beyond the value, relative to that beyond the bound.
    """
    return np.float32(_far(_symmetric_32(w), p))


@inline
def far_f64(low: Any, high: Any, p: Any) -> Any:
    """As `far_f32`."""
    return _far(_symmetric_64(low, high), p)


# --- wide in float64: p = (first, last, std, mean, below, above, width, offset) ---


@inline
def wide_f64(low: Any, high: Any, p: Any) -> Any:
    """From the nearer tail, whose logarithm gives z.

    Probabilities are in units of exp(-offset), the larger of the two tails reached: `below` = Phi(lower), `above` =
    1 - Phi(upper), `width` = Phi(upper) - Phi(lower).
    """
    left = fma(unit_f64(low, high), p[6], p[4])
    right = fma(unit_f64(np.uint32(~low), np.uint32(~high)), p[6], p[5])
    z = normal_tail_f64(p[7] - log_f64(select(left < right, left, right)))
    return inside(fma(p[2], select(left < right, -z, z), p[3]), p[0], p[1])


# --- centre and wide in float32: p = (first, last, a0, l0, k, k_low, k_rest, r, sigma, mean, ...) ---
#
# With d = Phi(z) - 1/2 = kappa (2^13 A + L), A = w // 2^13 - a0 and L = w % 2^13 + l0, and twice the nearer tail
# V = 1 - 2 |d|,
#
#     z = d K(v),    v = 1 - 4 d^2 = V (2 - V),    K(1) = sqrt(2 pi).
#
# One float32 holds too few bits of d to reach every float32 z. A and L are exact, so K(1) d is added last, in one
# rounding, and float32 is enough for the rest, d (K - K(1)). std = m sigma, sigma a power of two: m is in
# k = K(1) m kappa 2^13 (in two parts), k_rest = K(1) m kappa and r = m kappa 2^13, for one more product to round would
# leave out values.

_CELL_BITS, _IN_CELL, _CELL = np.uint32(13), np.uint32((1 << 13) - 1), np.float32(2.0**-13)

# V at the z, a little within CENTRE, from which on out it is taken from the logarithm of V.
_OUTER_BELOW = np.float32(0.0126)


@inline
def _split(w: Any, p: Any) -> Any:
    a = np.float32(np.int32(w >> _CELL_BITS)) - p[2]
    return a, np.float32(np.int32(w & _IN_CELL)) + p[3]


@inline
def _ratio(nearer: Any, p: Any) -> Any:
    """What A and L are multiplied by: r (K - K(1)), and what k lacks."""
    v = fma(-nearer, nearer, nearer + nearer)
    return fma((_ONE - v) * normal_centre_f32(v), p[7], p[5])


@inline
def _inner(a: Any, rest: Any, ratio: Any, p: Any) -> Any:
    """The product m z, for |z| <= 2.5."""
    return fma(a, p[4], fma(fma(rest, _CELL, a), ratio, rest * p[6]))


@inline
def centre_words(w: Any, p: Any) -> Any:
    """(A, L, V); p goes on with the factors of A, in two parts, and of L in V."""
    a, rest = _split(w, p)
    sign = bits_of_float32(a) & _SIGN
    size = float32_of_bits(np.uint32(bits_of_float32(a) ^ sign))
    signed = float32_of_bits(np.uint32(bits_of_float32(rest) ^ sign))
    return a, rest, fma(size, p[10], _ONE) + fma(size, p[11], signed * p[12])


@inline
def centre_middle(nearer: Any, p: Any) -> Any:
    """What A and L are multiplied by, of V."""
    return _ratio(nearer, p)


@inline
def centre_values(a: Any, rest: Any, nearer: Any, ratio: Any, p: Any) -> Any:
    """The value."""
    return inside(fma(_inner(a, rest, ratio, p), p[8], p[9]), p[0], p[1])


@inline
def wide_words(w: Any, p: Any) -> Any:
    """(A, L, V); p goes on with twice the probabilities below, above and between the bounds, and m."""
    a, rest = _split(w, p)
    below = a < _ZERO
    words = unit_f32(select(below, w, np.uint32(~w)))
    return a, rest, fma(words, p[12], select(below, p[10], p[11]))


@inline
def wide_middle(nearer: Any, p: Any) -> Any:
    """What A and L are multiplied by within the reach of that."""
    return _ratio(select(nearer < _OUTER_BELOW, _OUTER_BELOW, nearer), p)


@inline
def wide_values(a: Any, rest: Any, nearer: Any, ratio: Any, p: Any) -> Any:
    """The value."""
    outer = normal_outer_f32(sqrt(-_TWO * log_f32(nearer * _HALF))) * p[13]
    sign = bits_of_float32(a) & _SIGN
    tail = float32_of_bits(np.uint32(bits_of_float32(outer) | sign))
    z = select(nearer < _OUTER_BELOW, tail, _inner(a, rest, ratio, p))
    return inside(fma(z, p[8], p[9]), p[0], p[1])
