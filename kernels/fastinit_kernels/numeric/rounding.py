"""float32 -> bfloat16 and float16, rounded once to nearest even, in integer arithmetic (any CPU, same bits)."""

from typing import Any

import numpy as np

from ..machine.intrinsics import bits_of_float32, float32_of_bits, select
from ..machine.jit import inline

_SIGN = np.uint32(0x80000000)
_MAGNITUDE = np.uint32(0x7FFFFFFF)
_ONE = np.uint32(1)


@inline
def identity(x: Any) -> Any:
    """The store of float32 and float64: nothing to round."""
    return x


@inline
def bfloat16_bits(x: Any) -> Any:
    """The uint16 pattern of float32 x as bfloat16; x is finite or infinite, never NaN."""
    b = bits_of_float32(x)
    last = (b >> np.uint32(16)) & _ONE
    return np.uint16(np.uint32(b + np.uint32(0x7FFF) + last) >> np.uint32(16))


@inline
def float16_bits(x: Any) -> Any:
    """The uint16 pattern of float32 x as IEEE half; x is finite or infinite, never NaN."""
    b = bits_of_float32(x)
    sign = np.uint32(b & _SIGN) >> np.uint32(16)
    magnitude = np.uint32(b & _MAGNITUDE)
    last = (magnitude >> np.uint32(13)) & _ONE
    # Rebias the exponent by 15 - 127 and round the 13 dropped bits.
    normal = np.uint32(magnitude + np.uint32(0xC8000FFF) + last) >> np.uint32(13)
    # Below 2^-14 halves are multiples of 2^-24, the last place of 0.5: adding 0.5 rounds to that grid.
    half = np.float32(0.5)
    subnormal = np.uint32(bits_of_float32(float32_of_bits(magnitude) + half) - bits_of_float32(half))
    rounded = select(magnitude < np.uint32(0x38800000), subnormal, normal)
    # From 65520 on (the middle between 65504 and 2^16) everything is infinite.
    finite = select(magnitude >= np.uint32(0x477FF000), np.uint32(0x7C00), rounded)
    return np.uint16(sign | finite)
