"""Schemes of whole matrices: orthogonal ones, identities, Hadamard's, kernels of interpolation."""

from __future__ import annotations

from ...words import check_finite
from ..laws import Law
from ..matrices import Matrix
from ..orthogonal import DeltaOrthogonal, Orthogonal
from ..patterns import Diagonal, Dirac, Hadamard, Identity, Interpolation
from ..registry import scheme
from ..rules import PerMatrix, Rule


@scheme("orthogonal", "gain·Q, Q uniform among orthogonal matrices, of (inputs·taps, outputs): Saxe et al. 2014")
def _orthogonal(*, gain: float = 1.0) -> Rule:
    return PerMatrix(Orthogonal, (check_finite("gain", gain, minimum=0),))


@scheme("delta_orthogonal", "gain·Q, orthogonal, at the middle tap of a kernel, 0 elsewhere: Xiao et al. 2018")
def _delta_orthogonal(*, gain: float = 1.0) -> Rule:
    return PerMatrix(DeltaOrthogonal, (check_finite("gain", gain, minimum=0),))


@scheme("identity", "gain from input i to output i, 0 elsewhere", "eye")
def _identity(*, gain: float = 1.0) -> Rule:
    return PerMatrix(Identity, (check_finite("gain", gain),))


@scheme("dirac", "gain from input i to output i of a group at the middle tap of a kernel, 0 elsewhere")
def _dirac(*, gain: float = 1.0) -> Rule:
    return PerMatrix(Dirac, (check_finite("gain", gain),))


@scheme("bilinear", "the kernel that enlarges images by bilinear interpolation, for every pair of channels")
def _bilinear() -> Rule:
    return PerMatrix(_interpolation)


def _interpolation(matrix: Matrix) -> Law:
    return Interpolation(matrix.kernel)


@scheme("zero_hadamard", "ZerO: identity, or Hadamard's matrix / 2^(c/2) to more outputs, 2^c >= outputs: Zhao 2022")
def _zero_hadamard() -> Rule:
    return PerMatrix(_partial)


def _partial(matrix: Matrix) -> Law:
    return Hadamard(matrix) if matrix.outputs > matrix.inputs else Diagonal(1.0, matrix)
