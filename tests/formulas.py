"""Every activation written down a second time, in mpmath for digits and in NumPy for arrays: nothing of the package."""

import math
from collections.abc import Callable
from typing import NamedTuple

import mpmath as mp
import numpy as np
from scipy.special import expit, ndtr

# Klambauer et al. 2017, equation 14.
SELU_SCALE = mp.mpf("1.0507009873554804934193349852946")
SELU_ALPHA = mp.mpf("1.6732632423543772848170429916717")
_SCALE, _ALPHA = float(SELU_SCALE), float(SELU_ALPHA)
_CUBIC = "0.044715"


class Formula(NamedTuple):
    """An activation.

    exact, exact_slope: phi(z, p) and phi'(z, p) of mpmath numbers, in any precision, at any finite z.
    phi, slope: of arrays, p = 0.01 for leaky_relu, 0.25 for prelu, and 1 for elu and celu.
    kinks: where phi or phi' is not smooth.
    flat: phi outside (low, high) is saturated; None where there is no such rule.
    """

    exact: Callable
    exact_slope: Callable
    phi: Callable
    slope: Callable
    kinks: tuple = ()
    flat: tuple | None = None


def _sigmoid(z):
    return 1 / (1 + mp.exp(-z))


def _softplus(z):
    return mp.log1p(mp.exp(z))


def _tanh_of_gelu(z):
    return mp.tanh(mp.sqrt(2 / mp.pi) * (z + mp.mpf(_CUBIC) * z**3))


def _gelu_tanh_slope(z, p):
    t, inner = _tanh_of_gelu(z), mp.sqrt(2 / mp.pi) * (1 + 3 * mp.mpf(_CUBIC) * z**2)
    return (1 + t) / 2 + z / 2 * (1 - t**2) * inner


def _tanh_of_gelus(z):
    return np.tanh(math.sqrt(2 / math.pi) * (z + float(_CUBIC) * z**3))


def _gelu_tanh_slopes(z):
    t, inner = _tanh_of_gelus(z), math.sqrt(2 / math.pi) * (1 + 3 * float(_CUBIC) * z**2)
    return (1 + t) / 2 + z / 2 * (1 - t**2) * inner


def _sech2(z):
    return 1 / np.cosh(np.clip(z, -300, 300)) ** 2


def _expm1(z):
    return np.expm1(np.minimum(z, 0))


FORMULAS = {
    "linear": Formula(lambda z, p: z, lambda z, p: 1, lambda z: z, np.ones_like),
    "sigmoid": Formula(
        lambda z, p: _sigmoid(z), lambda z, p: mp.sech(z / 2) ** 2 / 4,
        expit, lambda z: expit(z) * expit(-z), flat=(0.03, 0.97),
    ),
    "tanh": Formula(
        lambda z, p: mp.tanh(z), lambda z, p: mp.sech(z) ** 2, np.tanh, _sech2, flat=(-0.97, 0.97),
    ),
    "relu": Formula(
        lambda z, p: max(z, mp.mpf(0)), lambda z, p: 1 if z > 0 else 0,
        lambda z: np.maximum(z, 0.0), lambda z: 1.0 * (z > 0), (0,),
    ),
    "leaky_relu": Formula(
        lambda z, p: z if z > 0 else p * z, lambda z, p: 1 if z > 0 else p,
        lambda z: np.maximum(z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01), (0,),
    ),
    "prelu": Formula(
        lambda z, p: z if z > 0 else p * z, lambda z, p: 1 if z > 0 else p,
        lambda z: np.maximum(z, 0.25 * z), lambda z: np.where(z > 0, 1.0, 0.25), (0,),
    ),
    "relu_squared": Formula(
        lambda z, p: max(z, mp.mpf(0)) ** 2, lambda z, p: 2 * max(z, mp.mpf(0)),
        lambda z: np.maximum(z, 0.0) ** 2, lambda z: 2 * np.maximum(z, 0.0), (0,),
    ),
    "gelu": Formula(
        lambda z, p: z * mp.ncdf(z), lambda z, p: mp.ncdf(z) + z * mp.npdf(z),
        lambda z: z * ndtr(z), lambda z: ndtr(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi),
    ),
    "gelu_tanh": Formula(
        lambda z, p: z / 2 * (1 + _tanh_of_gelu(z)), _gelu_tanh_slope,
        lambda z: z / 2 * (1 + _tanh_of_gelus(z)), _gelu_tanh_slopes,
    ),
    "silu": Formula(
        lambda z, p: z * _sigmoid(z), lambda z, p: _sigmoid(z) + z * _sigmoid(z) * (1 - _sigmoid(z)),
        lambda z: z * expit(z), lambda z: expit(z) * (1 + z * expit(-z)),
    ),
    "elu": Formula(
        lambda z, p: z if z > 0 else p * mp.expm1(z), lambda z, p: 1 if z > 0 else p * mp.exp(z),
        lambda z: np.where(z > 0, z, _expm1(z)), lambda z: np.exp(np.minimum(z, 0.0)), (0,),
    ),
    "selu": Formula(
        lambda z, p: SELU_SCALE * (z if z > 0 else SELU_ALPHA * mp.expm1(z)),
        lambda z, p: SELU_SCALE * (1 if z > 0 else SELU_ALPHA * mp.exp(z)),
        lambda z: _SCALE * np.where(z > 0, z, _ALPHA * _expm1(z)),
        lambda z: _SCALE * np.where(z > 0, 1.0, _ALPHA * np.exp(np.minimum(z, 0))), (0,),
    ),
    "celu": Formula(
        lambda z, p: z if z > 0 else p * mp.expm1(z / p), lambda z, p: 1 if z > 0 else mp.exp(z / p),
        lambda z: np.where(z > 0, z, _expm1(z)), lambda z: np.exp(np.minimum(z, 0.0)), (0,),
    ),
    "log_sigmoid": Formula(
        lambda z, p: -_softplus(-z), lambda z, p: _sigmoid(-z), lambda z: -np.logaddexp(0, -z), lambda z: expit(-z),
    ),
    "softplus": Formula(lambda z, p: _softplus(z), lambda z, p: _sigmoid(z), lambda z: np.logaddexp(0, z), expit),
    "softsign": Formula(
        lambda z, p: z / (1 + abs(z)), lambda z, p: 1 / (1 + abs(z)) ** 2,
        lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2.0, (0,), (-0.97, 0.97),
    ),
    "hard_tanh": Formula(
        lambda z, p: min(max(z, mp.mpf(-1)), mp.mpf(1)), lambda z, p: 1 if -1 < z < 1 else 0,
        lambda z: np.clip(z, -1, 1), lambda z: 1.0 * (abs(z) < 1), (-1, 1),
    ),
    "relu6": Formula(
        lambda z, p: min(max(z, mp.mpf(0)), mp.mpf(6)), lambda z, p: 1 if 0 < z < 6 else 0,
        lambda z: np.clip(z, 0, 6), lambda z: 1.0 * ((z > 0) & (z < 6)), (0, 6),
    ),
    "hard_sigmoid": Formula(
        lambda z, p: min(max(z + 3, mp.mpf(0)), mp.mpf(6)) / 6, lambda z, p: mp.mpf(1) / 6 if -3 < z < 3 else 0,
        lambda z: np.clip(z + 3, 0, 6) / 6, lambda z: (abs(z) < 3) / 6, (-3, 3), (2.0**-126, 1 - 2.0**-24),
    ),
    "hard_swish": Formula(
        lambda z, p: z * min(max(z + 3, mp.mpf(0)), mp.mpf(6)) / 6,
        lambda z, p: 0 if z <= -3 else 1 if z >= 3 else (2 * z + 3) / 6,
        lambda z: z * np.clip(z + 3, 0, 6) / 6,
        lambda z: np.where(z <= -3, 0, np.where(z >= 3, 1, (2 * z + 3) / 6)), (-3, 3),
    ),
    "mish": Formula(
        lambda z, p: z * mp.tanh(_softplus(z)),
        lambda z, p: mp.tanh(_softplus(z)) + z * mp.sech(_softplus(z)) ** 2 * _sigmoid(z),
        lambda z: z * np.tanh(np.logaddexp(0, z)),
        lambda z: np.tanh(np.logaddexp(0, z)) + z * _sech2(np.logaddexp(0, z)) * expit(z),
    ),
    "sin": Formula(lambda z, p: mp.sin(z), lambda z, p: mp.cos(z), np.sin, np.cos),
}  # fmt: skip


def is_flat(activation, a):
    """Whether each phi(z) is saturated; nothing is where there is no such rule."""
    low, high = FORMULAS[activation].flat or (-np.inf, np.inf)
    return (a < low) | (a > high)
