"""The address of a weight: (seed, tensor name, flat index) and nothing else.

    element i of a tensor = law( Philox4x32-10( key = seed, counter = (block(i), stream(name)) ) )

The seed is the Philox key, low word first. The name gives the upper half of the counter: the first 8 bytes of its
BLAKE2b digest, so that tensors of different names draw from different streams and adding a layer to a model changes
no other layer. The empty name is stream 0. The lower half of the counter is the number of the block that element i
reads (`fastinit_kernels.fill.draw` says which). Nothing is ever advanced, so nothing depends on the order of calls, on
threads or on which part of a tensor is asked for.
"""

from __future__ import annotations

import hashlib
import secrets
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..words import check_integer, check_string, shown

CONTRACT = 1
"""The version of what is promised of each element's bits."""


@lru_cache(maxsize=4096)
def stream(name: str) -> int:
    """Return the 64-bit stream of a tensor's name: BLAKE2b(name in UTF-8, 8 bytes), little-endian; 0 for ""."""
    if not name:
        return 0
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def philox_key(seed: int, name: str, purpose: str = "") -> NDArray[np.uint32]:
    """Return (key low, key high, stream low, stream high) of a tensor.

    `purpose` names a further stream of the same tensor, such as the positions of a sparse one.
    """
    return np.array(philox_words(seed, f"{name}\x00{purpose}" if purpose else name), np.uint32)


def philox_words(seed: int, name: str) -> tuple[int, int, int, int]:
    """Return the same as four numbers."""
    s = stream(name)
    return seed & 0xFFFFFFFF, seed >> 32, s & 0xFFFFFFFF, s >> 32


def entropy() -> int:
    """Return a fresh seed from the operating system's entropy, to keep beside what is drawn with it.

    Returns
    -------
    int
        Uniform from 0 to 2^64 - 1. `init(seed=None)` takes such a one, and forgets it.

    Examples
    --------
    >>> import fastinit as fi
    >>> seed = fi.entropy()
    >>> bool((fi.normal(5, seed=seed) == fi.normal(5, seed=seed)).all())
    True
    """
    return secrets.randbits(64)


def check_seed(seed: object) -> int:
    """Return the seed, 0 <= seed < 2^64; None takes fresh entropy from the operating system."""
    if seed is None:
        return entropy()
    value = check_integer("seed", seed, minimum=0)
    if value >= 1 << 64:
        raise ValueError(f"argument 'seed' must be an integer in [0, 2**64), got {shown(seed)}")
    return value


def check_name(name: object) -> str:
    """Return the name if it is a string that UTF-8 can encode."""
    value = check_string("name", name)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"argument 'name' must be a string that UTF-8 can encode, got {shown(name)}") from None
    return value
