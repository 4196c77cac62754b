"""Philox4x32-10: 128 random bits as a pure function of a 128-bit counter and a 64-bit key.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
"""

from typing import Any

import numpy as np

from ..machine.jit import inline

_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint32(0x9E3779B9)
_W1 = np.uint32(0xBB67AE85)
_HALF = np.uint64(32)


@inline
def _round(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    # 32 x 32 -> 64 bit products of zero-extended words: what LLVM turns into vpmuludq.
    a = np.uint64(c0) * _M0
    b = np.uint64(c2) * _M1
    return (
        np.uint32(b >> _HALF) ^ c1 ^ k0,
        np.uint32(b),
        np.uint32(a >> _HALF) ^ c3 ^ k1,
        np.uint32(a),
    )


@inline
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Four uint32 words of the block with counter (c0, c1, c2, c3) under the key (k0, k1), all uint32."""
    for _ in range(9):
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
        k0 = np.uint32(k0 + _W0)
        k1 = np.uint32(k1 + _W1)
    return _round(c0, c1, c2, c3, k0, k1)
