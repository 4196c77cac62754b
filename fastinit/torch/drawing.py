"""A tensor filled by a scheme: in its own memory where that can be reached, by PyTorch's own function elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..weights.dtypes import DTYPES
from ..weights.foreign import is_tensor
from ..weights.initialize import init
from ..words import shown
from .framework import torch
from .memory import write
from .sharding import is_distributed

# PyTorch's own, for tensors whose elements lie nowhere that we could write to.
_THEIRS = {name: own for name, own in vars(torch.nn.init).items() if name.endswith("_") and callable(own)}
_DRAW_NOTHING = {"eye_", "dirac_"}


class RefusedError(ValueError, RuntimeError):
    """A number that a law cannot have: a ValueError here, as everywhere in fastinit, a RuntimeError in PyTorch."""


class Address(NamedTuple):
    """Where the draws come from: a generator's next one, or a seed and a name."""

    generator: Any = None
    seed: int | None = None
    name: str = ""


def draw_seed(generator: Any = None) -> int:
    """Return a seed, one draw of a generator of PyTorch's, of its default one if none is given."""
    device = "cpu" if generator is None else generator.device
    return int(torch.empty((), dtype=torch.int64, device=device).random_(generator=generator))


def dimensions(tensor: Any) -> int:
    """Return how many dimensions a tensor has, if it is one."""
    if not is_tensor(tensor):
        raise TypeError(f"argument 'tensor' must be a tensor of PyTorch, got {shown(tensor)}")
    return int(tensor.dim())


def draw(own: str, tensor: Any, given: tuple[Any, ...], address: Address, scheme: str, **params: Any) -> Any:
    """Fill a tensor by a scheme of ours, and return it; meta tensors have nothing to fill.

    Parameters
    ----------
    own, given
        PyTorch's function, and its arguments after the tensor, for tensors whose elements we cannot write to: of types
        that we do not draw, sparse ones, fake ones.
    """
    generator, seed, name = address
    dimensions(tensor)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"argument 'generator' must be a torch.Generator or None, got {shown(generator)}")
    if seed is not None and generator is not None:
        raise ValueError("argument 'generator' must be left out beside 'seed', got both")
    if tensor.is_meta:
        return tensor
    kind = str(tensor.dtype).rpartition(".")[2]
    if kind not in DTYPES or not _is_reached(tensor):
        if seed is not None and own not in _DRAW_NOTHING:
            raise TypeError(f"argument 'tensor' must be dense and of a type of fastinit's with a seed, got {kind}")
        return _theirs(own, tensor, given, generator)
    number = draw_seed(generator) if seed is None and own not in _DRAW_NOTHING else seed or 0
    shape = tuple(tensor.shape)
    try:
        write(
            tensor,
            lambda region, out: init(
                scheme, shape, seed=number, name=name, dtype=kind, region=region, out=out, **params
            ),
        )
    except ValueError as error:
        if tensor.is_complex() and seed is None:  # a law that we have of real numbers only
            return _theirs(own, tensor, given, generator)
        raise RefusedError(*error.args) from None
    return tensor


def _theirs(own: str, tensor: Any, given: tuple[Any, ...], generator: Any) -> Any:
    return _THEIRS[own](tensor, *given, **({} if generator is None else {"generator": generator}))


def _is_reached(tensor: Any) -> bool:
    own = type(tensor).__torch_dispatch__ is torch.Tensor.__torch_dispatch__
    return is_distributed(tensor) or (own and tensor.layout is torch.strided)
