r"""Haar-distributed matrices from normals, by reflections alone: no factorisation, nearly all of it matrix products.

Householder's QR of an m x n matrix of standard normals, m >= n, reflects column k's lower part x_k (from row k on) onto
an axis. Reflecting leaves the other columns normal and independent, so that x_1 … x_n are from the start independent
normal vectors of m, m - 1, … elements (Stewart 1980, theorem 3.3): they are drawn, and
nothing has to be factorised. With

    v_k = x_k + sign(x_k1) |x_k| e_1,   H_k = 1 - 2 v_k v_k' / |v_k|²,   R_kk = -sign(x_k1) |x_k|,

the first n columns of H_1 … H_n, column k times sign(R_kk), are the Q of the QR with a positive diagonal of R, whose
distribution is exactly Haar's (Mezzadri 2007). For a square matrix that takes 4/3 n³ operations, half of a
factorisation's with its Q.

Reflections are applied in blocks, H_1 … H_b = 1 - V T V' (Schreiber and Van Loan 1989). T is the inverse of the upper
triangle of V'V with half of its diagonal (Puglisi 1992): then 1 - V T V' is orthogonal whatever the lengths in V, so
that these need not be exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# A block's reflections: products of this depth run at full speed, and inverses of this size take no time beside them.
_BLOCK = 128
# Elements that are taken away together: few enough to stay in the cache, and for few products, since BLAS hands each to
# its threads and waits for them.
_PANEL = 1 << 20

Array = NDArray[Any]


def orthonormal(normals: Array) -> None:
    """Turn a stack of m x n matrices of standard normals, m >= n, into ones of orthonormal columns, in place.

    Of each matrix only the lower trapezoid is read: element (i, k), i >= k, belongs to reflection k.
    """
    columns = normals.shape[-1]
    # From the last block to the first: what a block is applied to is 1 where no later one has been, so that it is
    # only as large as that block's vectors are long.
    for start in range((columns - 1) // _BLOCK * _BLOCK, -1, -_BLOCK):
        stop = min(start + _BLOCK, columns)
        vectors, signs = _reflections(normals[..., start:, start:stop])
        factor = _factor(vectors)
        head, tail = vectors[..., : stop - start, :], vectors[..., stop - start :, :]
        if stop < columns:
            rest = normals[..., stop:, stop:]
            weights = factor @ (_turned(tail) @ rest)
            normals[..., start:stop, stop:] = -(head @ weights)
            _subtract_product(rest, tail, weights)
        # (1 - V T V') times the signs of R's diagonal, which are those of x_k1 reversed.
        normals[..., start:, start:stop] = vectors @ (factor @ _turned(head) * signs[..., None, :])
        _diagonal(normals[..., start:stop, start:stop])[...] -= signs


def _turned(stack: Array) -> Array:
    return np.swapaxes(stack, -1, -2)


def _diagonal(stack: Array) -> Array:
    view: Array = np.einsum("...ii->...i", stack)
    return view


def _reflections(panel: Array) -> tuple[Array, Array]:
    """Return the v_k of a block, of length sqrt(2), as columns, and the signs of x_k1."""
    vectors = panel.copy(order="K")
    head = vectors[..., : panel.shape[-1], :]
    head[...] = np.tril(head)
    squares, first = _squares(vectors), _diagonal(head)
    # Nothing but zeros has no direction, and gets that of e_1: a single normal is 0 once in 2^25.
    squares[squares == 0] = 1
    length, signs = np.sqrt(squares), np.copysign(np.ones_like(first), first)
    scale = np.sqrt(length * (length + np.abs(first)))
    first += signs * length
    vectors /= scale.astype(panel.dtype)[..., None, :]
    return vectors, signs


def _factor(vectors: Array) -> Array:
    """Return T of 1 - V T V', the product of a block's reflections."""
    upper = np.triu(_turned(vectors) @ vectors, 1)
    # Not the product's own diagonal: its error would be one of each column's length, three times LAPACK's.
    _diagonal(upper)[...] = 0.5 * _squares(vectors)
    inverse: Array = np.linalg.inv(upper)
    return inverse


def _squares(vectors: Array) -> Array:
    """Return the sum of each column's squares in float64, of sums of 32."""
    *many, rows, columns = vectors.shape
    even = rows // 32 * 32
    runs, rest = vectors[..., :even, :].reshape(*many, even // 32, 32, columns), vectors[..., even:, :]
    sums = np.einsum("...kij,...kij->...kj", runs, runs, dtype=np.float64).sum(axis=-2)
    return np.asarray(sums + np.einsum("...ij,...ij->...j", rest, rest, dtype=np.float64))


def _subtract_product(out: Array, left: Array, right: Array) -> None:
    """Take left @ right from `out`, some rows at a time, along the memory of `out`."""
    if out.strides[-1] > out.strides[-2]:
        out, left, right = _turned(out), _turned(right), _turned(left)
    step = max(1, _PANEL // out.shape[-1])
    product = np.empty((*out.shape[:-2], min(step, out.shape[-2]), out.shape[-1]), out.dtype)
    for row in range(0, out.shape[-2], step):
        rows = out[..., row : row + step, :]
        rows -= np.matmul(left[..., row : row + step, :], right, out=product[..., : rows.shape[-2], :])
