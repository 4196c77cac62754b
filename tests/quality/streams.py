"""The streams that the batteries read: what the package draws, in the orders in which users meet it.

Most streams are an *order* seen in a *view*. An order says whose element comes i-th: which seed, tensor and index. A
view makes 32-bit words of these elements. No two streams share an element, so their p-values are independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import twin
from fastinit_kernels.fill.draw import _draw_words, group_function, group_size, parameters_function
from fastinit_kernels.machine.jit import compiled, inline, place_of
from fastinit_kernels.machine.pointers import stack_array
from numpy.typing import NDArray
from scipy.special import ndtr

import fastinit as fi
from fastinit.weights.streams import stream

# Words that are made at once.
CHUNK = 1 << 18

Words = NDArray[np.uint32]
Index = NDArray[np.uint64]
# (seed, stream of the tensor's name, index of the element) of each i; numbers stand for arrays of equal ones.
Address = tuple[Any, Any, Any]
Order = Callable[[Index, int, str], Address]


class Stream(NamedTuple):
    """An endless sequence of words: `words(seed, k)` are the k-th CHUNK of them."""

    name: str
    what: str
    words: Callable[[int, int], Words]

    def chunks(self, seed: int) -> Iterator[Words]:
        """All words from the first on."""
        return (self.words(seed, k) for k in count())


# --- orders: i -> address. `label` begins the tensors' names, the docstring is what the results' page says. ---


@cache
def tensors(label: str, number: int, form: str = "layer.{}.weight") -> Index:
    """The streams of a model's tensors."""
    return np.array([stream(f"{label}.{form.format(k)}") for k in range(number)], np.uint64)


def long(i: Index, seed: int, label: str) -> Address:
    """One tensor, element after element."""
    return seed, stream(label), i


def far(i: Index, seed: int, label: str) -> Address:
    """The tensor without a name from element 2^62 on."""
    return seed, stream(""), i + (1 << 62)


def blocks(i: Index, seed: int, label: str) -> Address:
    """One tensor in the generator's order: the four words of one block, then of the next."""
    block, word = i // 4, i % 4
    return seed, stream(label), block // 16 * 64 + word * 16 + block % 16


def strided(i: Index, seed: int, label: str) -> Address:
    """Every 2^27th element of one tensor."""
    return seed, stream(label), i << 27


def shards(i: Index, seed: int, label: str) -> Address:
    """A tensor's 1,000 shards of 2^30 elements, one element of each in turn."""
    return seed, stream(label), (i % 1000 << 30) + i // 1000


def columns(i: Index, seed: int, label: str) -> Address:
    """A matrix of 2^22 x 50,257, column after column."""
    return seed, stream(label), i % (1 << 22) * 50_257 + (i >> 22)


def aligned_columns(i: Index, seed: int, label: str) -> Address:
    """A matrix of 2^24 x 4,096, column after column."""
    return seed, stream(label), i % (1 << 24) * 4096 + (i >> 24)


def transposed(i: Index, seed: int, label: str) -> Address:
    """1,024 tensors (…, 512, 512), a matrix of each in turn, column after column."""
    matrix, column, row = i >> 18, i >> 9 & 511, i & 511
    return seed, tensors(label, 1024)[matrix % 1024], (matrix // 1024 << 18) + row * 512 + column


def names(i: Index, seed: int, label: str) -> Address:
    """layer.0.weight to layer.65535.weight, one element of each in turn."""
    return seed, tensors(label, 65_536)[i % 65_536], i // 65_536


def rows(i: Index, seed: int, label: str) -> Address:
    """1,024 tensors (…, 512), a row of each in turn."""
    row, column = i >> 9, i & 511
    return seed, tensors(label, 1024)[row % 1024], (row // 1024 << 9) + column


def characters(i: Index, seed: int, label: str) -> Address:
    """16,384 names that differ in one character, one element of each in turn."""
    return seed, tensors(label, 16_384, "{:c}")[i % 16_384], i // 16_384


def seeds(i: Index, seed: int, label: str) -> Address:
    """The first element for the seeds 0, 1, 2, and so on."""
    return (seed << 40) + i, stream(label), 0


def high_seeds(i: Index, seed: int, label: str) -> Address:
    """The first element of the tensor without a name for the seeds 0, 2^32, 2·2^32, and so on."""
    return seed + (i << 32), stream(""), i >> 32


def gray_seeds(i: Index, seed: int, label: str) -> Address:
    """The first element for seeds of which each differs from the one before in one bit."""
    return (seed << 40) + (i ^ i >> 1), stream(label), 0


def seeds_and_names(i: Index, seed: int, label: str) -> Address:
    """layer.k.weight for seed k, k = 0 … 65535, one element of each in turn."""
    k = i % 65_536
    return (seed << 40) + k, tensors(label, 65_536)[k], i // 65_536


def networks(i: Index, seed: int, label: str) -> Address:
    """All weights and biases of eight layers of 16 x 16, one network for each of the seeds 0, 1, 2, and so on."""
    network, place = i // (8 * 272), i % (8 * 272)
    layer, element = place // 272, place % 272
    weights = element < 256
    address = np.where(weights, tensors(label, 8)[layer], tensors(label, 8, "layer.{}.bias")[layer])
    return (seed << 40) + network, address, np.where(weights, element, element - 256)


# --- views: an order's elements as words ---


@inline
def _words_group(out: Any, g: Any, count: Any, key: Any, p: Any) -> None:
    _draw_words(out, g, count, key)


@cache
def _gather(draw: Callable[..., None], load: Callable[..., Any], size: int, kind: Any) -> Callable[..., None]:
    """The kernel (seeds, streams, elements, parameters, out): each element's value, drawn as the package draws it."""
    group_length = np.uint64(size)

    @compiled
    def gather(seeds: Any, streams: Any, elements: Any, parameters: Any, out: Any) -> None:
        p = load(parameters)
        group = stack_array(size, kind)
        for n in range(out.size):
            seed, name, g = seeds[n], streams[n], elements[n] // group_length
            before = max(n - 1, 0)
            known = n > 0 and seed == seeds[before] and name == streams[before]
            if not known or g != elements[before] // group_length:
                key = (np.uint32(seed), np.uint32(seed >> 32), np.uint32(name), np.uint32(name >> 32))
                draw(group, g, np.uint64(1), key, p)
            out[n] = group[elements[n] - g * group_length]

    return gather


def _drawn(function: Callable[..., None], kind: Any, address: Address, parameters: NDArray[np.float64]) -> Any:
    length = max(np.size(part) for part in address)
    where = [np.ascontiguousarray(np.broadcast_to(np.asarray(part, np.uint64), length)) for part in address]
    out = np.empty(length, kind)
    function(*where, place_of(parameters), out)
    return out


def elements_words(address: Address) -> Words:
    """The word of each float32 element."""
    law, parameters = fi.get_scheme("uniform").law(fi.Fans(1, 1)).recipe("float32")
    gather = _gather(_words_group, parameters_function(law, "float32"), 64, np.uint32)
    return _drawn(gather, np.uint32, address, parameters)


def normals(address: Address, dtype: str, std: float = 1.0) -> NDArray[Any]:
    """Each element of N(0, std²)."""
    law, parameters = fi.get_scheme("normal", std=std).law(fi.Fans(1, 1)).recipe(dtype)
    kind = np.dtype(dtype).type
    gather = _gather(group_function(law, dtype), parameters_function(law, dtype), group_size(dtype), kind)
    return _drawn(gather, kind, address, parameters)


def cells(z: NDArray[Any], bits: int) -> NDArray[np.uint64]:
    """The interval of probability 2^-bits of the standard normal in which each value lies."""
    return np.minimum(ndtr(z.astype(np.float64)) * 2.0**bits, 2.0**bits - 1).astype(np.uint64)


def words_view(order: Order, label: str, seed: int, k: int) -> Words:
    return elements_words(order(_span(k, CHUNK), seed, label))


def normal_view(order: Order, label: str, seed: int, k: int, *, std: float = 1.0) -> Words:
    # Two values a word: the float32 numbers around 1 are too coarse to fill 32 bits.
    pairs = cells(normals(order(_span(k, 2 * CHUNK), seed, label), "float32", std), 16).reshape(-1, 2)
    return (pairs[:, 0] << 16 | pairs[:, 1]).astype(np.uint32)


def normal64_view(order: Order, label: str, seed: int, k: int) -> Words:
    return cells(normals(order(_span(k, CHUNK), seed, label), "float64"), 32).astype(np.uint32)


def reversed_view(order: Order, label: str, seed: int, k: int) -> Words:
    return _REVERSED[words_view(order, label, seed, k).view(np.uint8)].view(np.uint32).byteswap()


_REVERSED = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], np.uint8)


def _span(k: int, length: int) -> Index:
    return np.arange(k * length, (k + 1) * length, dtype=np.uint64)


# --- the tables ---

WORDS, NORMAL, NORMAL64, REVERSED = "words", "normal", "normal64", "reversed"
VIEWS = {
    WORDS: ("", words_view),
    NORMAL: ("; float32 normals, mapped by Φ to 16 bits each", normal_view),
    NORMAL64: ("; float64 normals, mapped by Φ", normal64_view),
    REVERSED: ("; bits reversed", reversed_view),
}
TABLE: dict[Order, tuple[str, ...]] = {
    long: (WORDS, REVERSED, NORMAL, NORMAL64),
    far: (WORDS,),
    blocks: (WORDS, NORMAL),
    strided: (WORDS,),
    shards: (WORDS,),
    columns: (WORDS, REVERSED, NORMAL),
    aligned_columns: (WORDS,),
    transposed: (WORDS,),
    names: (WORDS, REVERSED, NORMAL),
    rows: (WORDS,),
    characters: (WORDS,),
    seeds: (WORDS, REVERSED, NORMAL, NORMAL64),
    high_seeds: (WORDS,),
    gray_seeds: (WORDS,),
    seeds_and_names: (WORDS,),
    networks: (WORDS, NORMAL),
}


def _stream(order: Order, view: str) -> Stream:
    title = order.__name__.replace("_", " ")
    more, words = VIEWS[view]
    name = title if view == WORDS else f"{title}, {view}"
    return Stream(name, f"{str(order.__doc__).rstrip('.')}{more}", partial(words, order, f"{order.__name__}.{view}"))


STREAMS = tuple(_stream(order, view) for order, views in TABLE.items() for view in views)


# --- what must fail ---


def randu(seed: int, k: int) -> Words:
    start = (2 * seed + 1) * pow(65_539, k * CHUNK, 1 << 31) % (1 << 32)
    return _powers(65_539) * np.uint32(start) << np.uint32(1)


@cache
def _powers(factor: int) -> Words:
    return np.multiply.accumulate(np.array([1] + [factor] * (CHUNK - 1), np.uint32), dtype=np.uint32)


def three_rounds(seed: int, k: int) -> Words:
    block = _span(k, CHUNK // 4)
    zero = np.zeros_like(block)
    words = twin.philox((block & twin.MASK, block >> twin.SHIFT, zero, zero), (seed, 0), rounds=3)
    return np.stack(words, 1).astype(np.uint32).reshape(-1)


def twice(i: Index, seed: int, label: str) -> Address:
    return names(i // 2, seed, label)


def stuck_bit(seed: int, k: int) -> Words:
    return words_view(long, "stuck", seed, k) | np.uint32(1 << 4)


CONTROLS = (
    Stream("RANDU", "x := 65539 x mod 2^31", randu),
    Stream("three rounds", "Philox4x32 with 3 rounds in place of 10", three_rounds),
    Stream("names twice", "As names, but every element twice", partial(words_view, twice, "twice")),
    Stream("stuck bit", "As long, with bit 4 of each word set", stuck_bit),
    Stream("wide", "As long, normal, with a standard deviation of 1.02", partial(normal_view, long, "wide", std=1.02)),
)
