"""The functions of `torch.nn.init`: its names, signatures, defaults, errors and return values, and our kernels.

Each that draws has two more arguments. `seed` and `name` give the tensor that `fastinit.init` gives for them; without
them one draw of `generator`, or of PyTorch's default generator, is the seed, so that `torch.manual_seed` decides.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from ..words import check_finite, check_integer, plain_number, shown
from .drawing import Address, dimensions, draw
from .framework import torch

calculate_gain = torch.nn.init.calculate_gain
constant_ = torch.nn.init.constant_
ones_ = torch.nn.init.ones_
zeros_ = torch.nn.init.zeros_


def uniform_(
    tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None, *, seed: int | None = None, name: str = ""
) -> Any:
    """Fill a tensor with U(a, b); a <= value < b in every dtype.

    Parameters
    ----------
    tensor
        Any: plain or distributed, contiguous or not, float64 to bfloat16, on any device.
    a, b
        a <= b.
    generator
        Whose next draw is the seed; None for PyTorch's default one.
    seed, name
        As in `fastinit.init`: `name` has a meaning with a `seed` only.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Examples
    --------
    >>> import torch, fastinit as fi, fastinit.torch
    >>> w = fastinit.torch.uniform_(torch.empty(3, 5), -1, 1, seed=0, name="w")
    >>> bool((w.numpy() == fi.uniform((3, 5), low=-1, high=1, seed=0, name="w")).all())
    True
    """
    return draw("uniform_", tensor, (a, b), Address(generator, seed, name), "uniform", low=a, high=b)


def normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None, *, seed: int | None = None, name: str = ""
) -> Any:
    """Fill a tensor with N(mean, std²).

    Parameters
    ----------
    tensor, generator, seed, name
        As in `uniform_`.
    mean, std
        Finite, std >= 0.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> torch.manual_seed(0) is not None
    True
    >>> w = fastinit.torch.normal_(torch.empty(300, 500), std=0.02)
    >>> abs(float(w.std()) / 0.02 - 1) < 0.01
    True
    """
    return draw("normal_", tensor, (mean, std), Address(generator, seed, name), "normal", mean=mean, std=std)


def trunc_normal_(
    tensor: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
    *,
    seed: int | None = None,
    name: str = "",
) -> Any:
    """Fill a tensor with N(mean, std²) kept between a and b: absolute bounds, as PyTorch has them.

    No rejection: one word an element, exact in the tails, so there is no warning about bounds far from the mean.

    Parameters
    ----------
    tensor, generator, seed, name
        As in `uniform_`.
    mean, std
        Of the normal before truncation; std > 0.
    a, b
        a <= b; in std from the mean they are `lower` and `upper` of `fastinit.truncated_normal`.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> w = fastinit.torch.trunc_normal_(torch.empty(1000), std=0.02, a=-0.04, b=0.04, seed=0)
    >>> bool((w.abs() <= 0.04).all())
    True
    """
    mean, std = check_finite("mean", mean), check_finite("std", std, above=0)
    a, b = _bound("a", a), _bound("b", b)
    if a == b and dimensions(tensor) >= 0:
        return constant_(tensor, a)
    bounds = {"lower": _from_mean(a, mean, std, math.inf), "upper": _from_mean(b, mean, std, -math.inf)}
    address = Address(generator, seed, name)
    return draw("trunc_normal_", tensor, (mean, std, a, b), address, "truncated_normal", mean=mean, std=std, **bounds)


def eye_(tensor: Any) -> Any:
    """Fill a matrix with the identity: 1 on its diagonal.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> fastinit.torch.eye_(torch.empty(2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    if dimensions(tensor) != 2:
        raise ValueError(f"argument 'tensor' must have 2 dimensions, got shape {tuple(tensor.shape)}")
    return draw("eye_", tensor, (), Address(), "identity")


def dirac_(tensor: Any, groups: int = 1) -> Any:
    """Fill the kernel of a convolution so that it hands each channel on, of `groups` groups.

    Parameters
    ----------
    tensor
        Of 3, 4 or 5 dimensions: (out, in/groups, …).
    groups
        Of the convolution.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> fastinit.torch.dirac_(torch.empty(2, 2, 3))[:, 0].tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    if dimensions(tensor) not in (3, 4, 5):
        raise ValueError(f"argument 'tensor' must have 3, 4 or 5 dimensions, got shape {tuple(tensor.shape)}")
    groups = check_integer("groups", groups, minimum=1)
    if tensor.shape[0] % groups:
        raise ValueError(f"argument 'groups' must divide the {tensor.shape[0]} outputs, got {groups}")
    return draw("dirac_", tensor, (groups,), Address(), "dirac", layout="oi", groups=groups)


def orthogonal_(tensor: Any, gain: float = 1, generator: Any = None, *, seed: int | None = None, name: str = "") -> Any:
    """Fill a tensor with gain·Q, Q a (semi-)orthogonal matrix of (out, in·kernel), uniform among them; in any dtype.

    Parameters
    ----------
    tensor, generator, seed, name
        As in `uniform_`; at least 2 dimensions.
    gain
        Any number.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Notes
    -----
    Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", 2014.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> w = fastinit.torch.orthogonal_(torch.empty(3, 5), seed=0)
    >>> torch.allclose(w @ w.T, torch.eye(3), atol=1e-6)
    True
    """
    if dimensions(tensor) < 2:
        raise ValueError(f"argument 'tensor' must have at least 2 dimensions, got shape {tuple(tensor.shape)}")
    gain = check_finite("gain", gain)
    if tensor.numel() == 0:
        return tensor
    address = Address(generator, seed, name)
    draw("orthogonal_", tensor, (gain,), address, "orthogonal", layout="oi", gain=abs(gain))
    if gain < 0:
        with torch.no_grad():
            tensor.neg_()
    return tensor


def sparse_(
    tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None, *, seed: int | None = None, name: str = ""
) -> Any:
    """Fill a matrix with N(0, std²) and exactly ceil(sparsity·rows) zeros in each column.

    All of it comes from one seed; PyTorch's takes the zeros' places from the default generator, whatever `generator`.

    Parameters
    ----------
    tensor, generator, seed, name
        As in `uniform_`; 2 dimensions.
    sparsity
        Share of zeros in a column, 0 to 1.
    std
        >= 0.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Notes
    -----
    Martens, "Deep learning via Hessian-free optimization", 2010.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> (fastinit.torch.sparse_(torch.empty(10, 3), 0.25, seed=0) == 0).sum(0).tolist()
    [3, 3, 3]
    """
    if dimensions(tensor) != 2:
        raise ValueError(f"argument 'tensor' must have 2 dimensions, got shape {tuple(tensor.shape)}")
    rows = tensor.shape[0]
    kept = max(0, rows - math.ceil(check_finite("sparsity", sparsity, minimum=0) * rows))
    return draw("sparse_", tensor, (sparsity, std), Address(generator, seed, name), "sparse", nonzeros=kept, std=std)


def _bound(argument: str, value: object) -> float:
    number = plain_number(value)
    if number is None or math.isnan(number):
        raise (TypeError if number is None else ValueError)(
            f"argument '{argument}' must be a number, got {shown(value)}"
        )
    return float(number)


def _from_mean(bound: float, mean: float, std: float, inside: float) -> float:
    """Return a bound in std from the mean, such that coming back from there does not lead outside."""
    if math.isinf(bound):
        return bound
    found = (bound - mean) / std
    exact = Fraction(bound)
    while math.isfinite(found):
        back = Fraction(mean) + Fraction(std) * Fraction(found)
        if back == exact or (back > exact) == (inside > 0):
            break
        found = math.nextafter(found, inside)
    return found
