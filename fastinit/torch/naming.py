"""Names and roles of a module's tensors: what they are called without whatever the module is wrapped in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..words import attribute, shown
from .framework import torch

# What `torch.compile`, activation checkpointing and the first FSDP put between a module and its name.
_WRAPPERS = {"_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"}


def plain_name(name: str) -> str:
    """Return a name without the wrappers' own."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def unwrapped(module: Any) -> Any:
    """Return the module that another one runs in several processes or on several devices."""
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"argument 'module' must be a torch.nn.Module, got {shown(module)}")
    while isinstance(module, torch.nn.parallel.DistributedDataParallel | torch.nn.DataParallel):
        module = module.module
    return module


@dataclass
class Held:
    """A tensor of a module, a parameter or a buffer, where it has its first name.

    Attributes
    ----------
    owner, leaf
        Its module, and the attribute.
    others
        Where further modules have the same tensor.
    """

    name: str
    owner: Any
    leaf: str
    others: list[Held] = field(default_factory=list)

    @property
    def role(self) -> str:
        """The class of its module and the attribute: "Linear.weight"."""
        return f"{class_of(self.owner).__name__}.{self.leaf}"

    @property
    def tensor(self) -> Any:
        """The tensor, as it is now."""
        return getattr(self.owner, self.leaf)

    def share(self) -> None:
        """Let every module that had the tensor have it again."""
        for other in self.others:
            if other.tensor is not self.tensor:
                setattr(other.owner, other.leaf, self.tensor)


def parameters(module: Any, prefix: str = "") -> list[Held]:
    """Return a module's parameters in its own order, each once."""
    return list(_held(module, prefix, "named_parameters"))


def buffers(module: Any, prefix: str = "") -> list[Held]:
    """Return a module's buffers, each once."""
    return list(_held(module, prefix, "named_buffers"))


def _held(module: Any, prefix: str, kind: str) -> Iterator[Held]:
    found: dict[int, Held] = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        for leaf, tensor in getattr(owner, kind)(recurse=False, remove_duplicate=False):
            name = prefix + plain_name(f"{path}.{leaf}" if path else leaf)
            held = Held(name, owner, leaf)
            first = found.setdefault(id(tensor), held)
            if first is not held and first.name != name:
                first.others.append(held)
    yield from found.values()


def class_of(module: Any) -> type:
    """Return a module's class, that it had before `fully_shard` gave it one."""
    sharded = attribute(sys.modules.get("torch.distributed.fsdp"), "FSDPModule")
    return next(kind for kind in type(module).__mro__ if sharded is None or not issubclass(kind, sharded))
