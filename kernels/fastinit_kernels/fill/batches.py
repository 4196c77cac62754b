"""From a batch of words to values: the loops around a law, each short enough to be vector code.

A batch is `count` groups of 16 Philox blocks; word w of the block in lane l of group g is words[64 g + 16 w + l], which
is the order of the float32 elements, too. Each factory here takes a law's functions and returns `values(store)`, which
returns `write(out, words, count, p)`; `store` is how a computed value becomes the type of `out`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..machine.jit import inline
from ..machine.pointers import stack_array

# Groups of a batch.
BATCH = 4
WORDS = 64 * BATCH

# Lanes of a group, and its multiples.
_ONE, _TWO, _THREE, _GROUP = np.uint64(16), np.uint64(32), np.uint64(48), np.uint64(64)
_NEXT, _EIGHT = np.uint64(1), np.uint64(8)

Store = Callable[[Any], Any]
Values = Callable[[Store], Callable[..., None]]


def blocks_f32(law: Callable[..., Any]) -> Values:
    """Four float32 values from the four words of a block."""

    def values(store: Store) -> Callable[..., None]:
        @inline
        def write(out: Any, words: Any, count: Any, p: Any) -> None:
            for k in range(count):
                for lane in range(_ONE):
                    i = k * _GROUP + lane
                    a, b, c, d = law(words[i], words[i + _ONE], words[i + _TWO], words[i + _THREE], p)
                    out[i] = store(a)
                    out[i + _ONE] = store(b)
                    out[i + _TWO] = store(c)
                    out[i + _THREE] = store(d)

        return write

    return values


def blocks_f64(law: Callable[..., Any]) -> Values:
    """Two float64 values from the four words of a block."""

    def values(store: Store) -> Callable[..., None]:
        @inline
        def write(out: Any, words: Any, count: Any, p: Any) -> None:
            for k in range(count):
                for lane in range(_ONE):
                    i, j = k * _GROUP + lane, k * _TWO + lane
                    a, b = law(words[i], words[i + _ONE], words[i + _TWO], words[i + _THREE], p)
                    out[j] = store(a)
                    out[j + _ONE] = store(b)

        return write

    return values


def words_f32(law: Callable[..., Any]) -> Values:
    """A float32 value from each word."""

    @inline
    def block(w0: Any, w1: Any, w2: Any, w3: Any, p: Any) -> Any:
        return law(w0, p), law(w1, p), law(w2, p), law(w3, p)

    return blocks_f32(block)


def words_f64(law: Callable[..., Any]) -> Values:
    """A float64 value from each pair of words."""

    @inline
    def block(w0: Any, w1: Any, w2: Any, w3: Any, p: Any) -> Any:
        return law(w0, w1, p), law(w2, w3, p)

    return blocks_f64(block)


def planes_f32(law: Callable[..., Any]) -> Values:
    """Two float32 values, those of a complex number, from the words of two elements."""

    def values(store: Store) -> Callable[..., None]:
        @inline
        def write(out: Any, words: Any, count: Any, p: Any) -> None:
            for i in range(count * _TWO):
                j = i + i
                x, y = law(words[j], words[j + _NEXT], p)
                out[j] = store(x)
                out[j + _NEXT] = store(y)

        return write

    return values


def planes_f64(law: Callable[..., Any]) -> Values:
    """Two float64 values, those of a complex number, from the pairs of words of two elements."""

    def values(store: Store) -> Callable[..., None]:
        @inline
        def write(out: Any, words: Any, count: Any, p: Any) -> None:
            for k in range(count + count):  # halves of a group: 16 elements
                for m in range(_EIGHT):
                    i, j = k * _TWO + m + m, k * _ONE + m + m
                    x, y = law(words[i], words[i + _ONE], words[i + _NEXT], words[i + _ONE + _NEXT], p)
                    out[j] = store(x)
                    out[j + _NEXT] = store(y)

        return write

    return values


def stages_f32(first: Callable[..., Any], second: Callable[..., Any], last: Callable[..., Any]) -> Values:
    """A float32 value from each word in three loops, each with few enough constants to keep them in registers.

    first(w, p) = (a, b, c); second(c, p) = d; last(a, b, c, d, p) is the value.
    """

    def values(store: Store) -> Callable[..., None]:
        @inline
        def write(out: Any, words: Any, count: Any, p: Any) -> None:
            a, b = stack_array(WORDS, np.float32), stack_array(WORDS, np.float32)
            c, d = stack_array(WORDS, np.float32), stack_array(WORDS, np.float32)
            n = count * _GROUP
            for i in range(n):
                a[i], b[i], c[i] = first(words[i], p)
            for i in range(n):
                d[i] = second(c[i], p)
            for i in range(n):
                out[i] = store(last(a[i], b[i], c[i], d[i], p))

        return write

    return values
