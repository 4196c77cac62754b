"""`patch`: whoever calls `torch.nn.init` draws by our kernels, from streams named by the parameters' own names."""

from __future__ import annotations

import functools
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from fastinit_kernels.machine.forks import whole

from ..weights.streams import check_seed
from . import deprecated, functions, scaled
from .drawing import draw_seed
from .framework import torch
from .naming import plain_name, unwrapped

Function = Callable[..., Any]

# Of `torch.nn.init`: what draws, in both writings, and what it is replaced by.
_DRAWN = (
    "uniform",
    "normal",
    "trunc_normal",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "sparse",
)
_REPLACED = {
    name: getattr(module, name)
    for module in (functions, scaled, deprecated)
    for stem in _DRAWN
    for name in (stem, f"{stem}_")
    if hasattr(module, name)
}
_SIGNATURES = {name: inspect.signature(getattr(torch.nn.init, name.rstrip("_") + "_")) for name in _REPLACED}


@contextmanager
def patch(module: Any = None, *, seed: int | None = None) -> Iterator[None]:
    """Let `torch.nn.init`, and so every `reset_parameters`, draw by fastinit while the block runs.

    Every reference to one of its functions that a loaded module holds is replaced, and the dict by which transformers
    calls them. A tensor's stream is the name that its parameter has in `module`, or in the tree of modules that is
    known when it is drawn: that of what the block itself has put together. A module that is being built draws before
    anybody has given it a name; such names are as long as the tree is by then, and get a number where they repeat, so
    they depend on the order of calls. Build first (on the meta device), then initialise: `init_`, `from_config`.

    Parameters
    ----------
    module
        Whose parameters' names are meant.
    seed
        Of all; None takes one draw of PyTorch's default generator.

    Raises
    ------
    ValueError, TypeError
        A seed that is none.

    Examples
    --------
    >>> import torch, fastinit as fi, fastinit.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    >>> with fastinit.torch.patch(model, seed=0):
    ...     for layer in model:
    ...         layer.reset_parameters()
    >>> same = fi.init("lecun_uniform", (3, 4), scale=1 / 3, layout="oi", seed=0, name="0.weight")
    >>> bool((model[0].weight.detach().numpy() == same).all())
    True
    """
    names = Names(draw_seed() if seed is None else check_seed(seed))
    if module is not None:
        names.add(unwrapped(module))
    with patched(names):
        yield


@contextmanager
def patched(names: Names) -> Iterator[None]:
    """Let `torch.nn.init` draw by fastinit from the streams of those names while the block runs."""
    pairs = [(getattr(torch.nn.init, name), _named(name, function, names)) for name, function in _REPLACED.items()]
    with ExitStack() as stack:
        stack.enter_context(names.following())
        _replace({id(old): new for old, new in pairs})
        # By a second look: what was loaded within the block holds ours.
        stack.callback(_replace, {id(new): old for old, new in pairs})
        yield


def _named(name: str, function: Function, names: Names) -> Function:
    signature = _SIGNATURES[name]

    @functools.wraps(getattr(torch.nn.init, name))
    def named(*arguments: Any, **words: Any) -> Any:
        given = signature.bind(*arguments, **words).arguments
        if given.get("generator") is not None:
            return function(**given)
        given.pop("generator", None)
        return function(**given, seed=names.seed, name=names.name(given["tensor"]))

    return named


def _replace(functions: Mapping[int, Function]) -> None:
    """Put functions in place of others, by their identity, wherever a loaded module holds them."""
    with whole:
        for module in list(sys.modules.values()):
            held = getattr(module, "__dict__", None)
            if not isinstance(held, dict) or str(held.get("__name__", "")).startswith("fastinit"):
                continue
            for space in (held, held.get("TORCH_INIT_FUNCTIONS")):
                # Of a hundred thousand values the few are found by their identities alone.
                if isinstance(space, dict) and not functions.keys().isdisjoint(map(id, space.values())):
                    for key, value in list(space.items()):
                        if id(value) in functions:
                            space[key] = functions[id(value)]


class Names:
    """Names of tensors: by a module's tree, given or followed while it is put together."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._known: dict[int, tuple[Any, str]] = {}  # storage -> (weak reference to the parameter, its name)
        self._owners: dict[int, tuple[Any, Any, str]] = {}  # storage -> (parameter, its module, its name there)
        self._parents: dict[int, tuple[Any, Any, str]] = {}  # module -> (itself, its parent, its name there)
        self._given: dict[str, Any] = {}

    def add(self, module: Any) -> None:
        """Know a module's parameters by their names in it; of a shared one the first is meant."""
        for name, parameter in module.named_parameters():
            if not torch.nn.parameter.is_lazy(parameter):
                self._known[_place(parameter)] = (weakref.ref(parameter), plain_name(name))

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow what modules register while the block runs."""
        hooks = torch.nn.modules.module
        with ExitStack() as stack:
            for register, follow in (
                (hooks.register_module_parameter_registration_hook, self._parameter),
                (hooks.register_module_module_registration_hook, self._child),
            ):
                stack.callback(register(follow).remove)
            yield

    def _parameter(self, module: Any, name: str, parameter: Any) -> None:
        if parameter is not None and not parameter.is_meta and not torch.nn.parameter.is_lazy(parameter):
            self._owners[_place(parameter)] = (weakref.ref(parameter), weakref.ref(module), name)

    def _child(self, module: Any, name: str, child: Any) -> None:
        if child is not None:
            self._parents[id(child)] = (weakref.ref(child), weakref.ref(module), name)

    def name(self, tensor: Any) -> str:
        """Return the stream of a tensor: its parameter's name, with a number for one that another tensor has."""
        if tensor.is_meta:
            return ""
        place = _place(tensor)
        name = self._found(place) or "tensor"
        if tensor.numel() and self._size(place) not in (None, tensor.numel()):  # a part of a parameter
            name = f"{name}[{tensor.storage_offset()}]"
        key, count = name, 0
        while self._given.setdefault(key, place) != place:
            count += 1
            key = f"{name}#{count}"
        return key

    def _found(self, place: int) -> str:
        known = self._known.get(place)
        if known is not None and known[0]() is not None:
            return known[1]
        owner = self._owners.get(place)
        module = owner[1]() if owner is not None and owner[0]() is not None else None
        path = [owner[2]] if owner is not None and module is not None else []
        while module is not None and len(path) < 1000:
            child, parent, name = self._parents.get(id(module), (None, None, ""))
            above = parent() if parent is not None and child() is module else None
            path += [name] * (above is not None)
            module = above
        return plain_name(".".join(reversed(path)))

    def _size(self, place: int) -> int | None:
        parameter = (self._known.get(place) or self._owners.get(place) or (lambda: None,))[0]()
        return None if parameter is None else int(parameter.numel())


def _place(tensor: Any) -> int:
    """Return what tells a tensor's memory from others'."""
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return int(local.untyped_storage().data_ptr()) or id(tensor)
