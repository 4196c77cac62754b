"""What the activations are made of: exponentials, the normal CDF, cosine and sine of any argument.

Branch-free and free of libm like `elementary.py`, but right for every input: infinities give their limits,
NaN gives NaN, nothing overflows on the way. Each function exists in both precisions, made by one factory from
the constants of a `Format`. The errors stated are the largest that the tests let pass.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..machine.intrinsics import bits_of_float32, bits_of_float64, float32_of_bits, float64_of_bits, fma, select
from ..machine.jit import inline
from .elementary import cos_sin_eighth_f32, cos_sin_eighth_f64
from .polynomial import double, polynomial, single

# error 1.4e-08
_EXP_F32 = single(
    0.49999997,
    0.16666546,
    0.041667435,
    0.008366272,
    0.0013870694,
)

# error 1.9e-17
_EXP_F64 = double(
    0.5000000000000006,
    0.1666666666666664,
    0.04166666666657572,
    0.008333333333364626,
    0.0013888888931627417,
    0.00019841269762088787,
    2.480150529165006e-05,
    2.7557375633021605e-06,
    2.7626023242109513e-07,
    2.506239752346717e-08,
)

# error 5.3e-09
_LOG1P_F32 = single(
    1.0,
    -0.4999993,
    0.33330464,
    -0.24958019,
    0.19692102,
    -0.1534488,
    0.10661128,
    -0.05745723,
    0.020086242,
    -0.0032904686,
)

# error 5.8e-17
_LOG1P_F64 = double(
    1.0,
    -0.49999999999997,
    0.33333333332838294,
    -0.24999999971099598,
    0.19999999135230417,
    -0.16666651023365142,
    0.14285526322843475,
    -0.12498406370800633,
    0.11101171617359311,
    -0.0995300212960792,
    0.08918577832604253,
    -0.07834479915558146,
    0.06534912726521719,
    -0.0495914197115873,
    0.03260703147709353,
    -0.017632805188036463,
    0.007397344974954242,
    -0.0022310188469087844,
    0.00042697241497782973,
    -3.874013023807312e-05,
)

# error 3.7e-08
_MILLS_F32 = single(
    0.1329513,
    0.13363929,
    0.11193834,
    0.12187017,
    -0.058129452,
    0.22606745,
    -0.27767384,
    0.13276775,
    -0.023431,
)

# error 1.1e-17
_MILLS_F64 = double(
    0.07978845608748296,
    0.07978845560083962,
    0.07659693265035125,
    0.07021355900105816,
    0.06102593719897651,
    0.04975178102290843,
    0.03785283469461499,
    0.024064222116259543,
    0.02241288867339582,
    -0.020474572322467955,
    0.08484932265421229,
    -0.2081228647075378,
    0.4158592593683978,
    -0.6858596649833295,
    0.901739626435432,
    -0.9421675834066571,
    0.7647375664127959,
    -0.4646338428730587,
    0.20235513041875514,
    -0.059502731687595525,
    0.010588192451850447,
    -0.0008629048066843174,
)


@dataclass(frozen=True)
class Format:
    """The constants of a floating-point type, and the tables fitted for it."""

    real: Callable[[float], Any]
    unsigned: Callable[[int], Any]
    bits: Any
    of_bits: Any
    mantissa: int  # stored bits of it
    width: int
    bias: int
    lowest: float  # about the least argument whose exponential is a normal number
    far: float  # the normal tail at -far is still a normal number
    half_pi: tuple[float, float]  # in two pieces, each of full precision
    ln2: tuple[float, float]
    exp: tuple[Any, ...]
    log1p: tuple[Any, ...]
    mills: tuple[Any, ...]
    mills_scale: float
    cos_sin_eighth: Any


FLOAT32 = Format(
    real=np.float32, unsigned=np.uint32, bits=bits_of_float32, of_bits=float32_of_bits,
    mantissa=23, width=32, bias=127, lowest=-87.0, far=13.0,
    half_pi=(1.5707963705062866, -4.371139000186241e-08), ln2=(0.693147182464600, -1.904654299957768e-09),
    exp=_EXP_F32, log1p=_LOG1P_F32, mills=_MILLS_F32, mills_scale=3.0, cos_sin_eighth=cos_sin_eighth_f32,
)  # fmt: skip

FLOAT64 = Format(
    real=np.float64, unsigned=np.uint64, bits=bits_of_float64, of_bits=float64_of_bits,
    mantissa=52, width=64, bias=1023, lowest=-708.0, far=37.5,
    half_pi=(1.5707963267948966, 6.123233995736766e-17), ln2=(0.6931471805599453, 2.3190468138462996e-17),
    exp=_EXP_F64, log1p=_LOG1P_F64, mills=_MILLS_F64, mills_scale=5.0, cos_sin_eighth=cos_sin_eighth_f64,
)  # fmt: skip


@dataclass(frozen=True)
class Functions:
    """The inline functions of one precision.

    Attributes
    ----------
    exp
        exp(x), within 1.5 ulp, for x from `lowest` to -lowest.
    decay
        (exp(-|x|), exp(-|x|) - 1), within 1.5 ulp each; the first does not go below exp(lowest).
    log1p
        log(1 + e), within 2 ulp, for e in [0, 1].
    normal
        (Phi(x), exp(-x^2 / 2)), within 8 ulp each; below -far and beyond far they stay as they are there.
    cos_sin
        (cos x, sin x), within 1.5 ulp of 1 each for |x| <= 1e4; bounded for any x, NaN for an infinity.
    clamp, magnitude, with_sign
        clamp(x, low, high), where NaN stays NaN; |x|; with_sign(t, x) = |t| with the sign of x.
    """

    real: Callable[[float], Any]
    lowest: float
    far: float
    exp: Any
    decay: Any
    log1p: Any
    normal: Any
    cos_sin: Any
    clamp: Any
    magnitude: Any
    with_sign: Any


def _signs(f: Format) -> tuple[Any, Any, Any]:
    """`clamp`, `magnitude` and `with_sign`."""
    unsigned, bits, of_bits = f.unsigned, f.bits, f.of_bits
    sign = unsigned(1 << (f.width - 1))
    rest = unsigned((1 << (f.width - 1)) - 1)

    @inline
    def clamp(x: Any, low: Any, high: Any) -> Any:
        x = select(x < low, low, x)
        return select(x > high, high, x)

    @inline
    def magnitude(x: Any) -> Any:
        return of_bits(unsigned(bits(x) & rest))

    @inline
    def with_sign(t: Any, x: Any) -> Any:
        return of_bits(unsigned((bits(t) & rest) | (bits(x) & sign)))

    return clamp, magnitude, with_sign


def _exponentials(f: Format) -> tuple[Any, Any]:
    """`parts(x, low)` = (t, m) with exp(x + low) = 2^n (1 + m), n = t - magic; `power(t)` = 2^n."""
    unsigned, bits, of_bits, table = f.unsigned, f.bits, f.of_bits, f.exp
    # Adding this rounds to an integer, which then stands in the lowest bits.
    magic = f.real(1.5 * 2.0**f.mantissa)
    log2_e = f.real(math.log2(math.e))
    ln2_high, ln2_low = f.real(f.ln2[0]), f.real(f.ln2[1])
    bias, shift = unsigned(f.bias), unsigned(f.mantissa)

    @inline
    def parts(x: Any, low: Any) -> Any:
        t = fma(x, log2_e, magic)
        n = t - magic
        r = fma(n, -ln2_low, fma(n, -ln2_high, x)) + low
        return t, fma(r * r, polynomial(r, table), r)

    @inline
    def power(t: Any) -> Any:
        return of_bits(unsigned(unsigned(bits(t) + bias) << shift))

    return parts, power


def _exp(f: Format, parts: Any, power: Any) -> Any:
    zero = f.real(0)

    @inline
    def exp(x: Any) -> Any:
        t, m = parts(x, zero)
        scale = power(t)
        return fma(scale, m, scale)

    return exp


def _decay(f: Format, magnitude: Any, parts: Any, power: Any) -> Any:
    lowest, zero, one = f.real(f.lowest), f.real(0), f.real(1)

    @inline
    def decay(x: Any) -> Any:
        x = -magnitude(x)
        t, m = parts(select(x < lowest, lowest, x), zero)
        scale = power(t)
        return fma(scale, m, scale), fma(scale, m, scale - one)

    return decay


def _log1p(f: Format) -> Any:
    table = f.log1p

    @inline
    def log1p(e: Any) -> Any:
        return e * polynomial(e, table)

    return log1p


def _normal(f: Format, magnitude: Any, parts: Any, power: Any) -> Any:
    table, scale, far = f.mills, f.real(f.mills_scale), f.real(f.far)
    zero, half, one = f.real(0), f.real(0.5), f.real(1)

    @inline
    def normal(x: Any) -> Any:
        a = magnitude(x)
        a = select(a > far, far, a)
        square = a * a
        t, m = parts(-half * square, -half * fma(a, a, -square))  # the square's rounding error would show
        power_of_2 = power(t)
        bell = fma(power_of_2, m, power_of_2)
        y = scale / (scale + a)
        tail = bell * (y * polynomial(y, table))
        return select(x < zero, tail, one - tail), bell

    return normal


def _cos_sin(f: Format, clamp: Any) -> Any:
    unsigned, bits, of_bits, eighth = f.unsigned, f.bits, f.of_bits, f.cos_sin_eighth
    magic = f.real(1.5 * 2.0**f.mantissa)
    quarters, turns = f.real(2 / math.pi), f.real(0.5 / math.pi)
    high, low = f.real(f.half_pi[0]), f.real(f.half_pi[1])
    edge = f.real(1)  # reached only by an argument too large to be reduced
    one, two = unsigned(1), unsigned(2)
    to_sign = unsigned(f.width - 2)

    @inline
    def cos_sin(x: Any) -> Any:
        t = fma(x, quarters, magic)
        n = t - magic
        r = clamp(fma(n, -low, fma(n, -high, x)), -edge, edge)
        c, s = eighth(r * turns)
        quadrant = bits(t)
        odd = (quadrant & one) == one
        cosine = bits(select(odd, s, c)) ^ unsigned(unsigned(unsigned(quadrant + one) & two) << to_sign)
        sine = bits(select(odd, c, s)) ^ unsigned(unsigned(quadrant & two) << to_sign)
        return of_bits(unsigned(cosine)), of_bits(unsigned(sine))

    return cos_sin


def _functions(f: Format) -> Functions:
    clamp, magnitude, with_sign = _signs(f)
    parts, power = _exponentials(f)
    return Functions(
        real=f.real,
        lowest=f.lowest,
        far=f.far,
        exp=_exp(f, parts, power),
        decay=_decay(f, magnitude, parts, power),
        log1p=_log1p(f),
        normal=_normal(f, magnitude, parts, power),
        cos_sin=_cos_sin(f, clamp),
        clamp=clamp,
        magnitude=magnitude,
        with_sign=with_sign,
    )


FUNCTIONS = {"float32": _functions(FLOAT32), "float64": _functions(FLOAT64)}
