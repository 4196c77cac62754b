"""Activations by what users give: a name, or functions of their own; and the gain that makes up for one."""

from __future__ import annotations

import copyreg
import functools
import math
from typing import Any

import numpy as np

from ..words import check_flag, entries, plain_string, printable, unknown
from .activation import Activation, ActivationLike
from .quadrature import rule
from .table import ACTIVATIONS, ALIASES
from .user import user_activation

# PyTorch's gain table takes the names of linear layers for "no nonlinearity".
_LINEAR_LAYERS = [f"conv{kind}{d}d" for kind in ("", "_transpose") for d in (1, 2, 3)]


def get_activation(value: object, argument: str = "activation") -> Activation:
    """Return the activation of that name, or a user's; an unknown name is a ValueError that suggests the nearest."""
    name = plain_string(value)
    if name is not None:
        row = ACTIVATIONS.get(ALIASES.get(name, name))
        if row is None:
            raise unknown(argument, value, [*ACTIVATIONS, *ALIASES])
        return row
    if isinstance(value, Activation):
        return value
    return user_activation(argument, value)


# By what it was got by: its functions need not be those of a module.
copyreg.pickle(Activation, lambda row: (get_activation, (row.compiled,)))


def is_function(value: Any) -> bool:
    """Say whether a value is an activation that is no name: a function, or a tuple of one and its derivative."""
    if isinstance(value, tuple):
        pair = entries(value, 2) or ()
        return len(pair) == 2 and callable(pair[0]) and (pair[1] is None or callable(pair[1]))
    return callable(value) or isinstance(value, Activation)


def label(value: Any) -> Any:
    """Return the value of an argument as a cell of a table, or a word of a picture."""
    if is_function(value):
        return get_activation(value).name
    if value is None or isinstance(value, str | int | float | bool | np.generic):
        return value
    if isinstance(value, list | tuple) and any(map(is_function, value)):
        return f"[{', '.join(str(label(entry)) for entry in value)}]"
    return f"array {value.shape}" if isinstance(value, np.ndarray) else printable(str(value))


@functools.lru_cache(maxsize=256)
def _moment_gain(row: Activation, p: float, centred: bool) -> float:
    z, weights = rule(1.0, (0.0, *row.kinks))
    with np.errstate(over="ignore", invalid="ignore"):
        a = row.function(z, p)
        # A power of two: whatever the size, the squares are floats, and their digits are the same.
        unit = 2.0 ** (math.frexp(float(np.max(np.abs(a))))[1] - 1)
        a = a / unit
        if centred:
            a = a - weights @ a
        moment = float(weights @ a**2)
    if not 0.0 < moment < math.inf:
        figure = "a variance of phi(z)" if centred else "a second moment E[phi(z)^2]"
        raise ValueError(f"argument 'nonlinearity' must have {figure} that is finite and not 0, got {row.name!r}")
    # The last digits belong to this machine's exp and erf; weights must not.
    return float(f"{1.0 / math.sqrt(moment) / unit:.10g}")


def gain(nonlinearity: ActivationLike, param: float | None = None, *, centred: bool = False) -> float:
    r"""Return the factor on the weights' standard deviation that makes up for an activation.

    For the activations of PyTorch's table the value is that of the table: 1 for `linear`, `sigmoid` and the
    names of convolutions ("conv2d", "conv_transpose1d", ...), 5/3 for `tanh`, :math:`\sqrt 2` for `relu`,
    :math:`\sqrt{2 / (1 + s^2)}` for `leaky_relu` with slope s, 3/4 for `selu`. For every other one,

    .. math:: g = 1 / \sqrt{E[\varphi(z)^2]}, \quad z \sim N(0, 1),

    so that weights of variance :math:`g^2 / n_{in}` keep a preactivation variance of 1 from layer to layer. Where the
    weights of a unit add up to 0 (weight standardisation), the activations' mean has no part in it, and the gain is

    .. math:: g = 1 / \sqrt{\operatorname{Var}[\varphi(z)]}.

    Parameters
    ----------
    nonlinearity : str or compiled function
        The name of an activation; or a function of one's own, of one number, compiled with ``@numba.njit``, or a
        tuple of two, the function and its derivative.
    param : float, optional
        Its parameter: `negative_slope` of `leaky_relu` (0.01) and `prelu` (0.25), `alpha` of `elu` and `celu` (1.0).
    centred : bool
        Whether the gain is that of the variance, 1 / std of phi(z), for every activation, and no table's.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        An unknown name, a parameter for an activation that has none, or one that is not finite.
    TypeError
        A nonlinearity that is neither, or a parameter that is no number.

    Notes
    -----
    The rule for `relu` is that of He et al. 2015, section 2.2; the second moment extends it. The entries 5/3
    and 3/4 are PyTorch's convention: by second moment, `tanh` would have 1.5925 and `selu` 1. The centred gain is gamma
    of Brock, De and Smith 2021, section 4 (NF-nets), who estimated it from samples: 1.7140 for `relu`.

    Examples
    --------
    >>> gain("relu") ** 2
    2.0000000000000004
    >>> gain("leaky_relu", 0.2)
    1.3867504905630728
    >>> round(gain("gelu"), 4), round(gain("gelu", centred=True), 4)
    (1.5335, 1.7009)

    A function of one's own:

    >>> import numba
    >>> @numba.njit
    ... def squared_relu(z):
    ...     return max(z, 0.0) ** 2
    >>> round(gain(squared_relu) ** 2, 9)  # E[relu(z)^4] = 3/2
    0.666666667
    """
    name = plain_string(nonlinearity)
    if name in _LINEAR_LAYERS:
        nonlinearity = "linear"
    elif name is not None and name not in ACTIVATIONS and name not in ALIASES:
        raise unknown("nonlinearity", nonlinearity, [*ACTIVATIONS, *ALIASES, *_LINEAR_LAYERS])
    row = get_activation(nonlinearity, "nonlinearity")
    p = row.resolve(param)
    if check_flag("centred", centred):
        return _moment_gain(row, p, True)
    return row.table_gain(p) if row.table_gain else _moment_gain(row, p, False)
