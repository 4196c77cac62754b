"""What an activation is: its function, its derivative and the figures that belong to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..words import check_finite, shown

Array = NDArray[np.float64]
Function = Callable[[Array, float], Array]


@dataclass(frozen=True)
class Activation:
    """One activation: its function, derivative and the figures that belong to it.

    Attributes
    ----------
    name, formula : str
        The name in the table and the formula in one line.
    function, derivative : callable
        phi(z, p) and phi'(z, p) on float64 arrays, p the parameter (ignored where there is none).
    parameter : str or None
        What the parameter is called, None where there is none.
    default, least : float
        The parameter's default, None where there is no parameter, and its least value.
    table_gain : callable or None
        gain(p) as in PyTorch's table; None where that has no entry, so that the second moment decides.
    saturation : (float, float) or None
        An activation a is saturated if a < low or a > high. None where there is no such rule: a function flat
        on one side only (the zero of `relu`, the -alpha of `elu`) passes the gradient on the other one.
        `relu6` counts its flat part at 6 as saturated; the one at 0 is the probe's `zero`.
    range : (float, float) or None
        The histogram's default range; None: take it from the standard deviation that the theory predicts.
    kinks : tuple of float
        Where phi or phi' is not smooth; quadrature splits there.
    user : (callable, callable or None) or None
        For a user's activation, phi and phi' as compiled by Numba; None: differentiate numerically.
    code : str
        For a user's activation, a hash of its code.
    """

    name: str
    formula: str
    function: Function
    derivative: Function
    parameter: str | None = None
    default: float | None = None
    least: float = -math.inf
    table_gain: Callable[[float], float] | None = None
    saturation: tuple[float, float] | None = None
    range: tuple[float, float] | None = None
    kinks: tuple[float, ...] = ()
    user: tuple[Any, Any] | None = None
    code: str = ""

    @property
    def compiled(self) -> str | tuple[Any, Any]:
        """What the kernels know it by: its name, or a user's functions."""
        return self.user or self.name

    @property
    def fingerprint(self) -> str:
        """What a file may know it by: the name, and for a user's a hash of the code, the same in every process."""
        return f"{self.name}-{self.code}" if self.code else self.name

    def resolve(self, param: float | None = None, *, argument: str = "param") -> float:
        """Return the parameter to use: `param`, or the default; 0.0 for an activation without one."""
        if param is None:
            return 0.0 if self.default is None else self.default
        if self.parameter is None:
            raise ValueError(
                f"argument '{argument}' must be None for {self.name!r}, which has no parameter, got {shown(param)}"
            )
        return check_finite(argument, param, minimum=self.least)

    def image(self, z: Array, p: float) -> tuple[float, float]:
        """Return the least and the greatest finite phi(z), as far apart as float32 needs to tell a histogram's bins."""
        with np.errstate(over="ignore", invalid="ignore"):
            a = self.function(z, p)
        a = a[np.abs(a) < 1e37]
        low, high = (float(a.min()), float(a.max())) if a.size else (0.0, 0.0)
        least = 1e-5 * max(-low, high) or 1.0
        return (low, high) if high - low >= least else (low - least, high + least)


UserFunction = Callable[[float], float]
ActivationLike = str | Activation | UserFunction | tuple[UserFunction, UserFunction]
