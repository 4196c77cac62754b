"""All laws by their names, and how a batch of groups of a tensor is drawn by one of them.

A group is made of 16 consecutive Philox blocks, one a lane, so that it is one short loop over lanes that LLVM turns
into vector code and whose stores are contiguous: 64 float32 values (word-major: element 16 w + lane is word w of block
`lane`), or 32 float64 values.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..machine.intrinsics import converted
from ..machine.jit import inline
from ..machine.modes import use_widest_vectors
from ..machine.pointers import loaded, pointers, stack_array
from ..numeric import logarithmic as logs
from ..numeric import rounding
from ..numeric.laws import normal_f32, normal_f64, uniform_f32, uniform_f64
from ..numeric.philox import philox
from ..numeric.plane import disk_f32, disk_f64, plane_normal_f32, plane_normal_f64
from ..numeric.truncated import (
    centre_middle,
    centre_values,
    centre_words,
    far_f32,
    far_f64,
    series_f32,
    series_f64,
    wide_f64,
    wide_middle,
    wide_values,
    wide_words,
)
from .batches import WORDS, Values, blocks_f32, blocks_f64, planes_f32, planes_f64, stages_f32, words_f32, words_f64

# Parameters a law may take, float64 whatever the type; unused ones are zero.
PARAMETERS = 24


class Law(NamedTuple):
    """How a law's values come from words, in float32 and float64, and the types in which these take its parameters."""

    single: Values
    double: Values
    parameters: tuple[Any, Any] = (np.float32, np.float64)


_DOUBLE = (np.float64, np.float64)
LAWS = {
    "uniform": Law(words_f32(uniform_f32), words_f64(uniform_f64)),
    "normal": Law(blocks_f32(normal_f32), blocks_f64(normal_f64)),
    "truncated_series": Law(words_f32(series_f32), words_f64(series_f64), _DOUBLE),
    "truncated_far": Law(words_f32(far_f32), words_f64(far_f64), _DOUBLE),
    "truncated_centre": Law(stages_f32(centre_words, centre_middle, centre_values), words_f64(wide_f64)),
    "truncated_wide": Law(stages_f32(wide_words, wide_middle, wide_values), words_f64(wide_f64)),
    "log_uniform": Law(words_f32(logs.log_uniform_f32), words_f64(logs.log_uniform_f64), _DOUBLE),
    "log_of_uniform": Law(words_f32(logs.log_of_uniform_f32), words_f64(logs.log_of_uniform_f64), _DOUBLE),
    "inverse_softplus": Law(words_f32(logs.inverse_softplus_f32), words_f64(logs.inverse_softplus_f64), _DOUBLE),
    "disk": Law(planes_f32(disk_f32), planes_f64(disk_f64)),
    "plane_normal": Law(planes_f32(plane_normal_f32), planes_f64(plane_normal_f64)),
}

# Laws of complex numbers, which are drawn as the pairs of real numbers that they are made of.
PLANES = {"disk", "plane_normal"}


class Stored(NamedTuple):
    """How the kernels see a dtype.

    Parameters
    ----------
    kind
        The NumPy type of its bits.
    store, load
        How a value that is not NaN becomes them, and how they become a value.
    nan
        The bits of NaN, of a type to which values are rounded.
    """

    kind: Any
    store: Callable[[Any], Any]
    load: Callable[[Any], Any]
    nan: int | None = None


STORES = {
    "float32": Stored(np.float32, rounding.identity, rounding.identity),
    "float64": Stored(np.float64, rounding.identity, rounding.identity),
    "bfloat16": Stored(np.uint16, rounding.bfloat16_bits, rounding.bfloat16_value, 0x7FC0),
    "float16": Stored(np.uint16, rounding.float16_bits, rounding.float16_value, 0x7E00),
    "float8_e4m3fn": Stored(np.uint8, rounding.float8_e4m3fn_bits, rounding.float8_e4m3fn_value, 0x7F),
    "float8_e5m2": Stored(np.uint8, rounding.float8_e5m2_bits, rounding.float8_e5m2_value, 0x7E),
}


def is_double(dtype: str) -> bool:
    """Whether values of that dtype are computed in float64."""
    return dtype == "float64"


def is_drawn(law: str, dtype: str) -> bool:
    """Whether tensors of that law and dtype there are: complex numbers are made of float32 or float64."""
    return law not in PLANES or dtype in ("float32", "float64")


def stored_type(dtype: str) -> Any:
    """The NumPy type through which the kernels see an array of that dtype."""
    return STORES[dtype].kind


def group_size(dtype: str) -> int:
    """Elements of a group."""
    return 32 if is_double(dtype) else 64


@inline
def _draw_words(words: Any, g: Any, count: Any, key: Any) -> None:
    """The words of `count` groups from g on, 64 a group, word-major."""
    use_widest_vectors()
    for k in range(count):
        block = (g + k) * np.uint64(16)
        low = np.uint32(block)
        high = np.uint32(block >> np.uint64(32))
        base = k * np.uint64(64)
        for lane in range(np.uint64(16)):
            w0, w1, w2, w3 = philox(np.uint32(low + np.uint32(lane)), high, key[2], key[3], key[0], key[1])
            words[base + lane] = w0
            words[base + lane + np.uint64(16)] = w1
            words[base + lane + np.uint64(32)] = w2
            words[base + lane + np.uint64(48)] = w3


@cache
def group_function(law: str, dtype: str) -> Callable[..., None]:
    """`groups(out, g, count, key, p)`: groups g … g + count - 1 of a tensor to the pointer `out`.

    g and count <= BATCH are uint64; key a tuple of four uint32 (key low, key high, stream low, stream high); p the
    law's parameters (`parameters_function`).
    """
    values = LAWS[law].double if is_double(dtype) else LAWS[law].single
    write = values(STORES[dtype].store)

    # All words of a batch first, then the values. In one loop the 64-bit products would set the width of the float
    # arithmetic too, and one group after the other the CPU would wait for each word's way through memory.
    @inline
    def groups(out: Any, g: Any, count: Any, key: Any, p: Any) -> None:
        use_widest_vectors()
        words = stack_array(WORDS, np.uint32)
        _draw_words(words, g, count, key)
        write(out, words, count, p)

    return groups


_key_at, _parameters_at = pointers(np.uint32), pointers(np.float64)


@inline
def load_key(address: Any) -> Any:
    """The key (uint32[4]) at an address as a tuple of registers."""
    return loaded(_key_at(address, np.int64(0)), 4)


@cache
def parameters_function(law: str, dtype: str) -> Callable[..., Any]:
    """`load(address)`: the parameters (float64[PARAMETERS]) there, a tuple of registers in the law's type."""
    kind = LAWS[law].parameters[is_double(dtype)]

    @inline
    def load(address: Any) -> Any:
        return converted(loaded(_parameters_at(address, np.int64(0)), PARAMETERS), kind)

    return load
