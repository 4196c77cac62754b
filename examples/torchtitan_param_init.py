"""torchtitan gives a module a `param_init`: parameter name -> a function that fills it. Ours know the tensor's name.

The functions of `fastinit.torch` are such functions with a seed and a name bound, so a DTensor gets its own part.
`Module` stands for torchtitan's, which calls them so.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

import fastinit as fi
import fastinit.torch as fit

ParamInit = dict[str, Callable[[nn.Parameter], object]]


def param_init(prefix: str, seed: int, **functions: Callable[..., object]) -> ParamInit:
    """Bind each function to the stream of its parameter's qualified name."""
    return {name: partial(function, seed=seed, name=f"{prefix}.{name}") for name, function in functions.items()}


class Module(nn.Linear):
    def __init__(self, *sizes: int, param_init: ParamInit) -> None:
        super().__init__(*sizes)
        self.param_init = param_init

    def init_states(self) -> None:
        for name, parameter in self.named_parameters(recurse=False):
            self.param_init[name](parameter)


DEPTH = 3
weight = partial(fit.trunc_normal_, std=0.02 / (2 * (DEPTH + 1)) ** 0.5)
wo = Module(64, 64, param_init=param_init(f"layers.{DEPTH}.wo", 0, weight=weight, bias=fit.normal_))
wo.init_states()
same = fi.truncated_normal(
    (64, 64),
    std=0.02 / 8**0.5,
    lower=-2 / (0.02 / 8**0.5),
    upper=2 / (0.02 / 8**0.5),
    seed=0,
    name="layers.3.wo.weight",
)
print("the same from NumPy:", torch.equal(wo.weight.detach(), fit.tensor(same)))
