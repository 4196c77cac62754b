"""The elementary functions of the samplers: logarithm, cosine and sine of a turn, inverse normal tail.

Branch-free scalar functions of +, -, *, fused multiply-adds, selections and bit casts: a loop over any of
them vectorises and has the same bits on every CPU. Each reduces its argument to an interval around 0 and
evaluates one polynomial there, fitted by `kernels/fit.py`. The errors stated are the largest that the tests
let pass; an ulp is a unit in the last place of the result.
"""

from typing import Any

import numpy as np

from .intrinsics import bits_of_float32, float32_of_bits, fma, select
from .jit import inline
from .polynomial import polynomial, single

# --- logarithm: x = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)) ---

_SQRT_HALF_32 = np.uint32(0x3F3504F3)
_MANTISSA_32 = np.uint32(0x007FFFFF)
_LN2_F32 = np.float32(0.6931471805599453)
_ONE_F32 = np.float32(1)

# error 3.0e-08
_LOG_F32 = single(
    -0.4999999,
    0.33333945,
    -0.25001776,
    0.1996224,
    -0.16570318,
    0.1491636,
    -0.14307669,
    0.08738698,
)

# error 4.9e-08
_LOG2_F32 = single(
    1.4426948,
    -0.7213571,
    0.48093888,
    -0.36008817,
    0.28671718,
    -0.2500689,
    0.23683506,
    -0.1456831,
)


@inline
def log_f32(x: Any) -> Any:
    """ln(x) of a positive normal float32, within 1.5 ulp; exactly 0 at 1."""
    shifted = np.uint32(bits_of_float32(x) - _SQRT_HALF_32)
    f = float32_of_bits(np.uint32((shifted & _MANTISSA_32) + _SQRT_HALF_32)) - _ONE_F32
    e = np.float32(np.int32(shifted) >> np.int32(23))
    return fma(e, _LN2_F32, fma(f * f, polynomial(f, _LOG_F32), f))


# --- cosine and sine of an angle given as an integer fraction of a turn ---

_HALF_QUADRANT_32 = np.uint32(1 << 29)
_QUADRANT_32 = np.uint32(1 << 30)
_IN_QUADRANT_32 = np.uint32((1 << 30) - 1)
_SIGN_32 = np.uint32(1 << 31)
_TURN_32 = np.float32(2.0**-32)

# error 5.0e-09
_SIN_TURN_F32 = single(6.283185, -41.341507, 81.5717, -74.61544)

# error 4.1e-10
_COS_TURN_F32 = single(-19.739208, 64.93914, -85.42312, 58.561222)


@inline
def cos_sin_turn_f32(w: Any) -> Any:
    """(cos, sin) of w * 2^-32 of a turn, w uint32, each within 9e-8; exact at multiples of a quarter."""
    turned = np.uint32(w + _HALF_QUADRANT_32)  # its top two bits: the nearest multiple of a quarter turn
    x = np.float32(np.int32((turned & _IN_QUADRANT_32) - _HALF_QUADRANT_32)) * _TURN_32
    y = x * x
    s = bits_of_float32(x * polynomial(y, _SIN_TURN_F32))
    c = bits_of_float32(fma(y, polynomial(y, _COS_TURN_F32), _ONE_F32))
    odd = (turned & _QUADRANT_32) != np.uint32(0)
    cosine = select(odd, s, c) ^ ((turned + _QUADRANT_32) & _SIGN_32)
    sine = select(odd, c, s) ^ (turned & _SIGN_32)
    return float32_of_bits(np.uint32(cosine)), float32_of_bits(np.uint32(sine))


# --- inverse normal tail ---

_INV_LN2_F32 = np.float32(1.4426950408889634)

# error 1.6e-08
_NORMAL_TAIL_F32 = single(
    0.60215825,
    0.064039916,
    0.007502869,
    0.0007337789,
    5.0855666e-05,
    4.261425e-06,
    -2.345001e-07,
    4.6346848e-08,
    -2.0244426e-09,
    6.7781926e-11,
)


@inline
def normal_tail_f32(l: Any) -> Any:  # noqa: E741
    """The z >= 0 with Q(z) = exp(-l), l in [ln 2, 844], within 3e-7 max(z, 1), 4e-7 z beyond l = 25.

    0 for l <= ln 2. z grows like sqrt(2 l): as a function of u = log2(l / ln 2) it is almost an exponential,
    so one polynomial, with hardly any cancellation, serves the centre and all of the tail.
    """
    shifted = np.uint32(bits_of_float32(l * _INV_LN2_F32) - _SQRT_HALF_32)
    f = float32_of_bits(np.uint32((shifted & _MANTISSA_32) + _SQRT_HALF_32)) - _ONE_F32
    e = np.float32(np.int32(shifted) >> np.int32(23))
    u = fma(f, polynomial(f, _LOG2_F32), e)
    u = select(u > np.float32(0), u, np.float32(0))
    return u * polynomial(u, _NORMAL_TAIL_F32)
