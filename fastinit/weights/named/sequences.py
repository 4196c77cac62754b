"""Laws of state-space models, linear attention and positions: time steps, decay rates, tables of an index.

All are computed in float32 or float64, whatever the tensor's type, and rounded once: the logarithm of a bfloat16 of
U(0, 16) is -inf for one head in five hundred.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..indexed import Linspace, LogArange, Polynomial, PowerRamp, RotaryFrequencies
from ..logarithmic import InverseSoftplus, LogOfUniform, LogUniform
from ..registry import scheme
from ..rules import Fixed, Rule
from ..sinusoids import Sinusoids


@scheme("log_uniform", "exp(U(ln low, ln high)): time steps of S4 and Mamba (Gu and Dao 2023, section 3.6)")
def _log_uniform(*, low: float = 1e-3, high: float = 0.1) -> Rule:
    return Fixed(LogUniform(low, high))


@scheme("log_of_uniform", "ln U(low, high), never -inf: A_log of Mamba-2 (Dao and Gu 2024) and gated DeltaNet")
def _log_of_uniform(*, low: float = 1.0, high: float = 16.0) -> Rule:
    return Fixed(LogOfUniform(low, high))


@scheme(
    "inverse_softplus",
    "the x with log(1 + e^x) = max(exp(U(ln low, ln high)), floor): dt_bias of Mamba (Gu and Dao 2023, section 3.6)",
)
def _inverse_softplus(*, low: float = 1e-3, high: float = 0.1, floor: float = 1e-4) -> Rule:
    return Fixed(InverseSoftplus(low, high, floor))


@scheme("log_arange", "ln(start + i), i the index along an axis: A_log of Mamba, S4D-Real (Gu et al. 2022, section 3)")
def _log_arange(*, start: float = 1.0, along: int = -1) -> Rule:
    return Fixed(LogArange(along, start))


@scheme("linspace", "low + (high - low)·i/(n - 1) along an axis, i/n without endpoint: forget gates of xLSTM (2024)")
def _linspace(*, low: float = 0.0, high: float = 1.0, endpoint: bool = True, along: int = -1) -> Rule:
    return Fixed(Linspace(along, low, high, endpoint))


@scheme(
    "power_ramp",
    "offset + slope·t^power + zigzag·s·abs(s), t = i/(n - 1), s from -1 to 1 along each period: decay of RWKV-7 (2025)",
)
def _power_ramp(
    *,
    offset: float = 0.0,
    slope: float = 1.0,
    power: float = 1.0,
    zigzag: float = 0.0,
    period: int | None = None,
    endpoint: bool = True,
    along: int = -1,
) -> Rule:
    return Fixed(PowerRamp(along, offset, slope, power, zigzag, period, endpoint))


@scheme("polynomial", "c0 + c1·t + c2·t² + …, t = i/(n - 1) along an axis, i/n without endpoint")
def _polynomial(*, coefficients: Sequence[float] = (0.0, 1.0), endpoint: bool = True, along: int = -1) -> Rule:
    return Fixed(Polynomial(along, coefficients, endpoint))  # type: ignore[arg-type]


@scheme(
    "sinusoids",
    "sin and cos of p·base^(-k/h), h = n/2 along an axis, p the position: Vaswani et al. 2017, section 3.5",
)
def _sinusoids(
    *,
    base: float = 10000.0,
    interleaved: bool = False,
    endpoint: bool = False,
    columns: int | None = None,
    along: int = -1,
) -> Rule:
    return Fixed(Sinusoids(along, base, interleaved, endpoint, columns))


@scheme("rotary_frequencies", "base^(-i/n) along an axis: Su et al. 2021, section 3.2.2")
def _rotary_frequencies(*, base: float = 10000.0, along: int = -1) -> Rule:
    return Fixed(RotaryFrequencies(along, base))
