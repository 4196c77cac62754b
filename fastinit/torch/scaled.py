"""The functions of `torch.nn.init` that count connections, with the true fans of any kernel behind arguments."""

from __future__ import annotations

import warnings
from typing import Any

from ..weights.fans import LayoutLike, StrideLike
from ..words import check_choice
from .drawing import Address, dimensions, draw
from .functions import calculate_gain


def xavier_uniform_(
    tensor: Any,
    gain: float = 1.0,
    generator: Any = None,
    *,
    layout: LayoutLike = "oi",
    groups: int = 1,
    stride: StrideLike = 1,
    transposed: bool = False,
    seed: int | None = None,
    name: str = "",
) -> Any:
    """Fill a tensor with U(-a, a), a = gain·sqrt(6/(fan_in + fan_out)).

    Parameters
    ----------
    tensor, generator, seed, name
        As in `uniform_`; at least 2 dimensions.
    gain
        >= 0.
    layout, groups, stride, transposed
        As in `fastinit.fans`. By default all kernels are taken for those of a plain convolution, as PyTorch does; of
        one in groups, a transposed one or one with a stride the true fans are these: `groups=4`,
        `layout="iohw", transposed=True`.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Notes
    -----
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> bool(fastinit.torch.xavier_uniform_(torch.empty(8, 4), seed=0).abs().max() <= 0.5**0.5)
    True
    """
    wiring = {"layout": layout, "groups": groups, "stride": stride, "transposed": transposed}
    return _counted("xavier_uniform_", tensor, (gain,), Address(generator, seed, name), gain=gain, **wiring)


def xavier_normal_(
    tensor: Any,
    gain: float = 1.0,
    generator: Any = None,
    *,
    layout: LayoutLike = "oi",
    groups: int = 1,
    stride: StrideLike = 1,
    transposed: bool = False,
    seed: int | None = None,
    name: str = "",
) -> Any:
    """Fill a tensor with N(0, gain²·2/(fan_in + fan_out)).

    Parameters
    ----------
    tensor, gain, generator, layout, groups, stride, transposed, seed, name
        As in `xavier_uniform_`.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> fastinit.torch.xavier_normal_(torch.empty(8, 4), seed=0).shape
    torch.Size([8, 4])
    """
    wiring = {"layout": layout, "groups": groups, "stride": stride, "transposed": transposed}
    return _counted("xavier_normal_", tensor, (gain,), Address(generator, seed, name), gain=gain, **wiring)


def kaiming_uniform_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
    *,
    layout: LayoutLike = "oi",
    groups: int = 1,
    stride: StrideLike = 1,
    transposed: bool = False,
    seed: int | None = None,
    name: str = "",
) -> Any:
    """Fill a tensor with U(-b, b), b = gain·sqrt(3/fan).

    Parameters
    ----------
    tensor, generator, layout, groups, stride, transposed, seed, name
        As in `xavier_uniform_`. Tensors without elements are left with a warning.
    a
        The negative slope of leaky_relu.
    mode
        "fan_in" or "fan_out".
    nonlinearity
        Of `calculate_gain`.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Notes
    -----
    He et al., "Delving deep into rectifiers", 2015.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> fastinit.torch.kaiming_uniform_(torch.empty(8, 4), nonlinearity="relu", seed=0).shape
    torch.Size([8, 4])
    """
    wiring = {"layout": layout, "groups": groups, "stride": stride, "transposed": transposed}
    given = (a, mode, nonlinearity)
    return _rectified("kaiming_uniform_", tensor, given, Address(generator, seed, name), wiring)


def kaiming_normal_(
    tensor: Any,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
    *,
    layout: LayoutLike = "oi",
    groups: int = 1,
    stride: StrideLike = 1,
    transposed: bool = False,
    seed: int | None = None,
    name: str = "",
) -> Any:
    """Fill a tensor with N(0, gain²/fan).

    Parameters
    ----------
    tensor, a, mode, nonlinearity, generator, layout, groups, stride, transposed, seed, name
        As in `kaiming_uniform_`.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> fastinit.torch.kaiming_normal_(torch.empty(8, 4), nonlinearity="relu", seed=0).shape
    torch.Size([8, 4])
    """
    wiring = {"layout": layout, "groups": groups, "stride": stride, "transposed": transposed}
    given = (a, mode, nonlinearity)
    return _rectified("kaiming_normal_", tensor, given, Address(generator, seed, name), wiring)


def _rectified(own: str, tensor: Any, given: tuple[Any, str, str], address: Address, wiring: dict[str, Any]) -> Any:
    if dimensions(tensor) and 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return tensor
    slope, mode, nonlinearity = given
    mode = check_choice("mode", mode.lower() if isinstance(mode, str) else mode, ("fan_in", "fan_out"))
    calculate_gain(nonlinearity, slope)  # raises for what it does not know, with words of its own
    params = {"negative_slope": slope} if nonlinearity == "leaky_relu" else {}
    return _counted(own, tensor, given, address, mode=mode, nonlinearity=nonlinearity, **wiring, **params)


def _counted(own: str, tensor: Any, given: tuple[Any, ...], address: Address, **params: Any) -> Any:
    """Draw by the scheme of that name."""
    if dimensions(tensor) < 2:
        raise ValueError(
            "argument 'tensor' must have at least 2 dimensions for its fans to be known, "
            f"got shape {tuple(tensor.shape)}"
        )
    return draw(own, tensor, given, address, own.removesuffix("_"), **params)
