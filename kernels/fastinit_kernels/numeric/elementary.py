"""The elementary functions of the samplers: logarithm, cosine and sine of a turn, inverse normal CDF.

Branch-free scalar functions of +, -, *, fused multiply-adds, selections and bit casts: a loop over any of
them vectorises and has the same bits on every CPU. Each reduces its argument to an interval around 0 and
evaluates one polynomial there, fitted by `kernels/fit.py`. The errors stated are the largest that the tests
let pass; an ulp is a unit in the last place of the result.
"""

from typing import Any

import numpy as np

from ..machine.intrinsics import bits_of_float32, bits_of_float64, float32_of_bits, float64_of_bits, fma, select
from ..machine.jit import inline
from .polynomial import double, pairwise, polynomial, single

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


@inline
def split_f32(x: Any) -> Any:
    """(f, e), float32, with x = 2^e (1 + f), of a positive normal x."""
    shifted = np.uint32(bits_of_float32(x) - _SQRT_HALF_32)
    f = float32_of_bits(np.uint32((shifted & _MANTISSA_32) + _SQRT_HALF_32)) - _ONE_F32
    e = np.float32(np.int32(shifted) >> np.int32(23))
    return f, e


@inline
def log_f32(x: Any) -> Any:
    """ln(x) of a positive normal float32, within 1.5 ulp; exactly 0 at 1."""
    f, e = split_f32(x)
    return fma(e, _LN2_F32, fma(f * f, polynomial(f, _LOG_F32), f))


_SQRT_HALF_64 = np.uint64(0x3FE6A09E667F3BCD)
_MANTISSA_64 = np.uint64((1 << 52) - 1)
_MANTISSA_BITS_64 = np.uint64(52)
_BIAS_64 = np.uint64(1023 << 52)
_LN2_F64 = np.float64(0.6931471805599453)
_ONE_F64 = np.float64(1)

# An integer below 2^52 under these bits is the mantissa of 2^52 + itself: exact, and AVX2 has no conversion.
_INTEGER_64 = np.uint64(0x4330000000000000)
_EXPONENT_OFFSET = np.float64(2.0**52 + 1023)

# error 5.0e-17
_LOG_F64 = double(
    -0.4999999999999997,
    0.33333333333328113,
    -0.2500000000001261,
    0.20000000001737991,
    -0.16666666666243835,
    0.1428571408744181,
    -0.12499999831015907,
    0.11111122008422197,
    -0.10000018145994126,
    0.09090583476094222,
    -0.08332552893568804,
    0.07697709019628576,
    -0.0716025043572411,
    0.06621610790124091,
    -0.06041186092879108,
    0.059735834739562906,
    -0.06786905985738062,
    0.06324843660644695,
    -0.028299240797917482,
)

# error 1.2e-17
_LOG2_F64 = double(
    1.442695040888964,
    -0.7213475204444794,
    0.480898346962579,
    -0.3606737602227751,
    0.28853900825231693,
    -0.24044917347625785,
    0.2060992854045879,
    -0.18033687501740767,
    0.16029972221461794,
    -0.1442699359691364,
    0.13114709970119134,
    -0.12020855192046663,
    0.11107947011918665,
    -0.10336977431969664,
    0.09540285409713717,
    -0.08664942689276063,
    0.08624485757037137,
    -0.09940264835351947,
    0.09249171823114209,
    -0.040785209104772395,
)


@inline
def split_f64(x: Any) -> Any:
    """(f, e), float64, with x = 2^e (1 + f), of a positive normal x."""
    shifted = bits_of_float64(x) - _SQRT_HALF_64
    f = float64_of_bits((shifted & _MANTISSA_64) + _SQRT_HALF_64) - _ONE_F64
    e = float64_of_bits(((shifted + _BIAS_64) >> _MANTISSA_BITS_64) | _INTEGER_64) - _EXPONENT_OFFSET
    return f, e


@inline
def log_f64(x: Any) -> Any:
    """ln(x) of a positive normal float64, within 1.5 ulp; exactly 0 at 1."""
    f, e = split_f64(x)
    return fma(e, _LN2_F64, fma(f * f, polynomial(f, _LOG_F64), f))


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
def cos_sin_eighth_f32(x: Any) -> Any:
    """(cos, sin) of x turns, x within an eighth."""
    y = x * x
    return fma(y, polynomial(y, _COS_TURN_F32), _ONE_F32), x * polynomial(y, _SIN_TURN_F32)


@inline
def cos_sin_turn_f32(w: Any) -> Any:
    """(cos, sin) of w * 2^-32 of a turn, w uint32, each within 9e-8; exact at multiples of a quarter."""
    turned = np.uint32(w + _HALF_QUADRANT_32)  # its top two bits: the nearest multiple of a quarter turn
    x = np.float32(np.int32((turned & _IN_QUADRANT_32) - _HALF_QUADRANT_32)) * _TURN_32
    c, s = cos_sin_eighth_f32(x)
    odd = (turned & _QUADRANT_32) != np.uint32(0)
    cosine = bits_of_float32(select(odd, s, c)) ^ ((turned + _QUADRANT_32) & _SIGN_32)
    sine = bits_of_float32(select(odd, c, s)) ^ (turned & _SIGN_32)
    return float32_of_bits(np.uint32(cosine)), float32_of_bits(np.uint32(sine))


_HALF_QUADRANT_64 = np.uint64(1 << 61)
_QUADRANT_64 = np.uint64(1 << 62)
_IN_QUADRANT_64 = np.uint64((1 << 62) - 1)
_SIGN_64 = np.uint64(1 << 63)
_TURN_BITS_64 = np.uint64(11)
_TURN_64 = np.float64(2.0**-53)
_TURN_OFFSET = np.float64(2.0**52 + 2.0**50)

# error 2.1e-18
_SIN_TURN_F64 = double(
    6.283185307179586,
    -41.34170224039917,
    81.60524927566786,
    -76.70585962881287,
    42.05867448850173,
    -15.093010926772193,
    3.7502412768404176,
    0.4755914995337005,
)

# error 3.0e-19
_COS_TURN_F64 = double(
    -19.739208802178716,
    64.93939402266663,
    -85.45681720595772,
    60.2446412190935,
    -26.42624017826212,
    7.902577309076479,
    -1.6872288512599531,
)


@inline
def cos_sin_eighth_f64(x: Any) -> Any:
    """(cos, sin) of x turns, x within an eighth."""
    y = x * x
    return fma(y, polynomial(y, _COS_TURN_F64), _ONE_F64), x * polynomial(y, _SIN_TURN_F64)


@inline
def cos_sin_turn_f64(w: Any) -> Any:
    """(cos, sin) of (w >> 11) * 2^-53 of a turn, w uint64, within 2e-16; exact at multiples of a quarter."""
    turned = w + _HALF_QUADRANT_64
    integer = ((turned & _IN_QUADRANT_64) >> _TURN_BITS_64) | _INTEGER_64
    x = (float64_of_bits(integer) - _TURN_OFFSET) * _TURN_64
    c, s = cos_sin_eighth_f64(x)
    odd = (turned & _QUADRANT_64) != np.uint64(0)
    cosine = bits_of_float64(select(odd, s, c)) ^ ((turned + _QUADRANT_64) & _SIGN_64)
    sine = bits_of_float64(select(odd, c, s)) ^ (turned & _SIGN_64)
    return float64_of_bits(cosine), float64_of_bits(sine)


# --- inverse normal CDF ---

# error 2.8e-08
_CENTRE_ABOVE_F32 = single(
    2.9704895e-05,
    0.0048373546,
    0.117143005,
    0.59069836,
    0.5450966,
    0.018924087,
)
_CENTRE_BELOW_F32 = single(
    6.623686e-06,
    0.0015804454,
    0.056508634,
    0.47538745,
    1.0000001,
    0.41204768,
)


@inline
def normal_centre_f32(v: Any) -> Any:
    """(K(v) - K(1)) / (1 - v) with z = d K(1 - 4 d^2), d = Phi(z) - 1/2, for |z| <= 2.5.

    K(1) = sqrt(2 pi). Times (1 - v) d it is within 1.2e-7 of z. As d is left outside, so are its last bits, which
    float32 has no room for.
    """
    return pairwise(v, _CENTRE_ABOVE_F32) / pairwise(v, _CENTRE_BELOW_F32)


_OUTER_MIDDLE_F32 = np.float32(5)

# error 9.6e-08
_OUTER_F32 = single(
    -0.5196851,
    0.067142986,
    -0.010063895,
    0.0016038436,
    -0.00025931804,
    4.1226194e-05,
    -9.261869e-06,
    2.0236803e-06,
)


@inline
def normal_outer_f32(s: Any) -> Any:
    """The z with Q(z) = exp(-s^2 / 2), s in [3.1, 6.8], so z from 2.41 to 6.37, within 2e-7 of itself."""
    return s + polynomial(s - _OUTER_MIDDLE_F32, _OUTER_F32)


_INV_LN2_F64 = np.float64(1.4426950408889634)
_TAIL_CENTRE_F64 = np.float64(5)  # of the polynomial's argument: around 0 its terms would cancel

# error 3.6e-16
_NORMAL_TAIL_F64 = double(
    1.246052027597809,
    0.23249217800935626,
    0.03161271105242094,
    0.0029784931317071023,
    0.0002103369615463748,
    1.2731257300353777e-05,
    6.824965361807306e-07,
    2.5832794045895548e-08,
    1.053074899653927e-09,
    8.996478049010301e-11,
    -3.398400034748626e-12,
    -2.867883330544029e-13,
    1.1853153357288757e-13,
    -6.5988965077919766e-15,
    -1.5347193153743817e-15,
    2.8082181048613614e-16,
    4.326323274077618e-18,
    -5.820228955190692e-18,
    3.310139368558825e-19,
    7.987118481687648e-20,
    -8.774354223284271e-21,
    -6.712523171939715e-22,
    1.098399540639763e-22,
    2.118249992414512e-24,
    -5.97573774103324e-25,
    8.171921690053046e-27,
)


@inline
def normal_tail_f64(l: Any) -> Any:  # noqa: E741
    """The z >= 0 with Q(z) = exp(-l), for l in [ln 2, 844], within 1e-15 max(z, 1).

    0 for l <= ln 2. z grows like sqrt(2 l): as a function of u = log2(l / ln 2) it is almost an exponential, so one
    polynomial, with hardly any cancellation, serves the centre and all of the tail.
    """
    f, e = split_f64(l * _INV_LN2_F64)
    u = fma(f, polynomial(f, _LOG2_F64), e)
    u = select(u > np.float64(0), u, np.float64(0))
    return u * polynomial(u - _TAIL_CENTRE_F64, _NORMAL_TAIL_F64)
