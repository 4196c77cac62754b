"""Activations of a user's own: scalar functions of one number, compiled with ``@numba.njit``.

Wherever the name of an activation is accepted, such a function is, too, or a tuple of two, the function and its
derivative. Without a derivative a central difference in float64 stands in, good to about 1e-10; at a kink it is the
mean of the slopes on both sides (in the probe within 6e-6 of it, too).

The probe evaluates the function in the type of its arithmetic. No bits are promised: they are those of the C library
that the function calls. It must not raise: what it would have returned is NaN then, and counts as nonfinite.

For the theory its kinks within |z| < 16 are found numerically, and its figures are as precise as the table's, or as
the central difference. Digits are lost if it has more than 16 kinks and jumps, is computed in float32, or bends on a
length far below 1.
"""

from __future__ import annotations

import hashlib
import inspect
import numbers
from typing import Any

import numpy as np
from fastinit_kernels.machine.forks import whole

from ..words import attribute, entries, in_short, shown
from .activation import Activation, Array, Function
from .quadrature import find_kinks
from .table import ACTIVATIONS, ALIASES

# A difference's step as a share of z, or of 1: truncation, share^2, and cancellation, eps / share, are about the same.
# So near to a kink that a step would be less than this share of z, it is one across.
_SHARE, _LEAST_SHARE = float(np.cbrt(np.finfo(np.float64).eps)), 1e-8

# Of what an error of Numba's says.
_MOST_WORDS = 300

_USERS: dict[tuple[Any, Any], Activation] = {}


def user_activation(argument: str, value: Any) -> Activation:
    """Return the activation made of a compiled function, or of a pair; the same one for the same functions."""
    pair = tuple(entries(value, 2) or ()) if isinstance(value, tuple) else (value, None)
    functions = pair[:1] if len(pair) == 2 and pair[1] is None else pair
    if len(pair) != 2 or not all(callable(function) for function in functions):
        raise TypeError(
            f"argument '{argument}' must be the name of an activation, a function compiled with @numba.njit or a "
            f"tuple of two, the function and its derivative, got {shown(value)}"
        )
    for function in functions:
        _check(argument, function)
    if pair not in _USERS:
        try:
            for function in functions:
                _try(function)
            _USERS[pair] = _activation(pair)
        except Exception as error:
            raise TypeError(
                f"argument '{argument}' must compile for a float argument and return a number without raising, "
                f"got {shown(value)}: {type(error).__name__}: {in_short(str(error), _MOST_WORDS)}"
            ) from error
    return _USERS[pair]


def _check(argument: str, function: Any) -> None:
    python = attribute(function, "py_func")  # Numba's dispatchers have it; Numba need not be there to ask
    if not inspect.isfunction(python):
        raise TypeError(f"argument '{argument}' must be compiled: decorate it with @numba.njit, got {shown(function)}")
    name, parameters = python.__name__, inspect.signature(python).parameters
    if not name.isprintable():
        raise ValueError(f"argument '{argument}' must have a printable name, got the function {shown(name)}")
    if len(parameters) != 1:
        raise TypeError(f"argument '{argument}' must take one number, got {name}({', '.join(parameters)})")
    if name in ACTIVATIONS or name in ALIASES:
        # Results, tables and stores tell activations apart by their names.
        raise ValueError(
            f"argument '{argument}' must not have a name of the table, got the function {shown(name)}: rename it"
        )


def _try(function: Any) -> None:
    for z in (-1.0, 0.0, 1.0, np.float32(0.5)):
        result = function(z)
        if not isinstance(result, numbers.Real):
            raise TypeError(f"{function.py_func.__name__}({z}) is {result!r}")


def _activation(pair: tuple[Any, Any]) -> Activation:
    def part(index: int) -> Function:
        return lambda z, p: _values(pair, z)[index]

    name, phi = pair[0].py_func.__name__, part(0)
    kinks = find_kinks(lambda z: phi(z, 0.0))
    slope = part(1) if pair[1] is not None else differences(phi, kinks)
    return Activation(name, f"{name}(z)", phi, slope, kinks=kinks, user=pair, code=_code_hash(pair))


def differences(phi: Function, kinks: tuple[float, ...]) -> Function:
    """Return the derivative of phi by central differences, which do not reach across a kink."""

    def slope(z: Array, p: float) -> Array:
        size = np.abs(z)
        step = _SHARE * np.maximum(1.0, size)
        for kink in kinks:
            room = np.maximum(0.5 * np.abs(z - kink), _LEAST_SHARE * size)
            step = np.where(room > 0.0, np.minimum(step, room), step)
        with np.errstate(invalid="ignore"):
            above, below = z + step, z - step
            return np.asarray((phi(above, p) - phi(below, p)) / (above - below))

    return slope


def _code_hash(pair: tuple[Any, Any]) -> str:
    """Return a hash of the functions' own code and of the numbers around them that it reads."""
    parts = []
    for function in (f.py_func for f in pair if f is not None):
        code, around = function.__code__, inspect.getclosurevars(function)
        numbers_read = {
            k: v for k, v in (*around.globals.items(), *around.nonlocals.items()) if isinstance(v, numbers.Real)
        }
        constants = [c for c in code.co_consts if not inspect.iscode(c)]
        parts.append((code.co_code, code.co_names, constants, sorted(numbers_read.items())))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _values(pair: tuple[Any, Any], z: Array) -> tuple[Array, Array]:
    with whole:
        from fastinit_kernels.probe.activate import evaluate

    return evaluate(pair, z)
