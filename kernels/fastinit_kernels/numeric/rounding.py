"""float32 to and from the types below it, rounded once to nearest even, in integer arithmetic (any CPU, same bits).

All of them are a sign, an exponent with a bias and a few bits of mantissa; one factory serves them. bfloat16, whose
exponent is float32's, is its upper half.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..machine.intrinsics import bits_of_float32, float32_of_bits, select
from ..machine.jit import inline

_SIGN = np.uint32(0x80000000)
_MAGNITUDE = np.uint32(0x7FFFFFFF)
_INFINITY = np.uint32(0x7F800000)
_ONE = np.uint32(1)


class Narrow(NamedTuple):
    """How a small type is laid out.

    Parameters
    ----------
    unsigned
        What holds its bits.
    mantissa, bias
        Stored bits of the mantissa; bias of the exponent.
    largest
        Magnitude of the largest finite number, as its bits.
    beyond
        What a float32 too large for it becomes, as its bits: infinity, or NaN where there is none.
    """

    unsigned: Any
    mantissa: int
    bias: int
    largest: int
    beyond: int


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


def _bits(kind: Narrow) -> Callable[[Any], Any]:
    unsigned, cut = kind.unsigned, 23 - kind.mantissa
    shift, to_sign = np.uint32(cut), np.uint32(32 - 8 * np.dtype(unsigned).itemsize)
    # Rebias the exponent, and half of the last place kept, less one: with the last bit itself a tie goes to even.
    rebias = np.uint32((((kind.bias - 127) << 23) + (1 << (cut - 1)) - 1) & 0xFFFFFFFF)
    # Below the least normal number the type is a grid: the last place of this, whose sum with x is rounded to it.
    grid = np.float32(2.0 ** (24 - kind.bias - kind.mantissa))
    least = np.uint32((128 - kind.bias) << 23)
    # The middle between the largest number and the one that would follow, a tie, goes to the even of the two.
    middle = (kind.largest << cut) + (1 << (cut - 1)) + ((127 - kind.bias) << 23)
    last, beyond = np.uint32(middle if kind.largest % 2 == 0 else middle - 1), np.uint32(kind.beyond)

    @inline
    def bits(x: Any) -> Any:
        b = bits_of_float32(x)
        sign = np.uint32(b & _SIGN) >> to_sign
        magnitude = np.uint32(b & _MAGNITUDE)
        odd = (magnitude >> shift) & _ONE
        normal = np.uint32(magnitude + rebias + odd) >> shift
        subnormal = np.uint32(bits_of_float32(float32_of_bits(magnitude) + grid) - bits_of_float32(grid))
        rounded = select(magnitude < least, subnormal, normal)
        return unsigned(sign | select(magnitude > last, beyond, rounded))

    return bits


def _value(kind: Narrow) -> Callable[[Any], Any]:
    size, shift = 8 * np.dtype(kind.unsigned).itemsize, np.uint32(23 - kind.mantissa)
    sign, rest = np.uint32(1 << (size - 1)), np.uint32((1 << (size - 1)) - 1)
    to_sign, largest, beyond = np.uint32(32 - size), np.uint32(kind.largest), np.uint32(kind.beyond)
    scale = np.float32(2.0 ** (127 - kind.bias))
    has_infinity = kind.beyond == kind.largest + 1 and kind.beyond % (1 << kind.mantissa) == 0
    infinity, nan = _INFINITY if has_infinity else np.uint32(0x7FC00000), np.uint32(0x7FC00000)

    @inline
    def value(bits: Any) -> Any:
        b = np.uint32(bits)
        magnitude = b & rest
        # With the mantissa in place the exponent is too small by the difference of the biases; the product is exact.
        finite = bits_of_float32(float32_of_bits(np.uint32(magnitude << shift)) * scale)
        special = select(magnitude == beyond, infinity, nan)
        size = select(magnitude > largest, special, finite)
        return float32_of_bits(np.uint32(size | np.uint32(np.uint32(b & sign) << to_sign)))

    return value


NARROW = {
    "float16": Narrow(np.uint16, 10, 15, 0x7BFF, 0x7C00),
    "float8_e4m3fn": Narrow(np.uint8, 3, 7, 0x7E, 0x7F),
    "float8_e5m2": Narrow(np.uint8, 2, 15, 0x7B, 0x7C),
}

# `bits(x)`: the pattern of a float32 that is not NaN; halves of what is too large to be one are infinite, of the type
# without infinities NaN.
float16_bits = _bits(NARROW["float16"])
float8_e4m3fn_bits = _bits(NARROW["float8_e4m3fn"])
float8_e5m2_bits = _bits(NARROW["float8_e5m2"])

# `value(bits)`: the float32 of a pattern, whatever it is.
float16_value = _value(NARROW["float16"])
float8_e4m3fn_value = _value(NARROW["float8_e4m3fn"])
float8_e5m2_value = _value(NARROW["float8_e5m2"])


@inline
def bfloat16_value(bits: Any) -> Any:
    """The float32 of a uint16 pattern of bfloat16."""
    return float32_of_bits(np.uint32(np.uint32(bits) << np.uint32(16)))
