"""muP's coordinate check of a real module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ..probing.coordinates import Coordinate, CoordResult, coordinates
from ..words import check_integer, shown
from .framework import torch
from .probing import first_tensor


def coord_check(
    make_module: Callable[[int], torch.nn.Module],
    *,
    widths: Sequence[int],
    inputs: Any,
    targets: torch.Tensor,
    seeds: Sequence[int] = (0,),
    steps: int = 3,
    optimizer: Callable[[torch.nn.Module], torch.optim.Optimizer] | None = None,
    loss: Callable[[Any, torch.Tensor], torch.Tensor] | None = None,
    layers: str | Sequence[str] = "*",
) -> CoordResult:
    """Train modules of several widths for some steps, and see whether the sizes of their outputs depend on the width.

    Under muP none does: size ~ width^p with p near 0 in every layer, after every step.

    Parameters
    ----------
    make_module
        Width -> module; torch's random numbers are those of the seed when it is called.
    widths
        At least two.
    inputs, targets
        One batch, the same for all; several inputs as a tuple.
    seeds
        A module each; sizes are averaged over them.
    steps
        Of the optimizer, 0 or more.
    optimizer
        Module -> optimizer; Adam with a learning rate of 1e-3 unless given.
    loss
        (output, targets) -> a number; the cross entropy unless given, or, of floating-point targets, the mean square.
    layers
        Names of the modules to watch, as globs; only those without children count.

    Returns
    -------
    CoordResult
        Sizes, exponents, a verdict ("stable", "growing" or "shrinking"), a table and a picture.

    Raises
    ------
    ValueError, TypeError
        Less than two widths, or something that is no module.

    Notes
    -----
    Yang et al. 2022, "torch.Tensor Programs V", appendix D.1.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> def mlp(n):
    ...     return torch.nn.Sequential(torch.nn.Linear(8, n), torch.nn.ReLU(), torch.nn.Linear(n, 4))
    >>> x, y = torch.randn(32, 8), torch.randint(4, (32,))
    >>> result = fastinit.torch.coord_check(mlp, widths=[32, 64, 128], inputs=x, targets=y, steps=1)
    >>> result.layers, result.steps
    (['0', '1', '2'], [0, 1])
    """
    sizes = [check_integer("widths", width, minimum=1) for width in widths]
    if len({*sizes}) < 2:
        raise ValueError(f"argument 'widths' must hold at least two widths, got {shown(widths)}")
    count = check_integer("steps", steps, minimum=0)
    patterns = [layers] if isinstance(layers, str) else list(layers)
    batch = inputs if isinstance(inputs, tuple) else (inputs,)
    rows: list[Coordinate] = []
    name = ""
    for seed in seeds:
        for width in sizes:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(check_integer("seeds", seed, minimum=0))
                module = make_module(width)
                if not isinstance(module, torch.nn.Module):
                    raise TypeError(f"argument 'make_module' must return a torch.nn.Module, got {shown(module)}")
                name = type(module).__name__
                made = torch.optim.Adam(module.parameters(), lr=1e-3) if optimizer is None else optimizer(module)
                for step, found in enumerate(_train(module, batch, targets, made, loss, count, patterns)):
                    rows += [Coordinate(width, seed, step, layer, size) for layer, size in found.items()]
    return coordinates(f"{name}, widths {min(sizes)} to {max(sizes)}", rows)


def _train(
    module: torch.nn.Module,
    batch: tuple[Any, ...],
    targets: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Any, torch.Tensor], torch.Tensor] | None,
    steps: int,
    patterns: list[str],
) -> Iterator[dict[str, float]]:
    """Yield the sizes before training and after each step."""
    found: dict[str, list[float]] = {}
    handles = [
        layer.register_forward_hook(_hook(found, name))
        for name, layer in module.named_modules()
        if next(layer.children(), None) is None and any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    try:
        for _ in range(steps + 1):
            found.clear()
            output = module(*batch)
            yield {name: sum(sizes) / len(sizes) for name, sizes in found.items()}
            optimizer.zero_grad()
            value = _loss(output, targets) if loss is None else loss(output, targets)
            value.backward()
            optimizer.step()
    finally:
        for handle in handles:
            handle.remove()


def _hook(found: dict[str, list[float]], name: str) -> Callable[..., None]:
    def seen(module: torch.nn.Module, given: Any, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is not None and tensor.numel():
            found.setdefault(name, []).append(float(tensor.detach().abs().mean(dtype=torch.float64)))

    return seen


def _loss(output: Any, targets: torch.Tensor) -> torch.Tensor:
    tensor = first_tensor(output)
    if tensor is None:
        raise ValueError(f"argument 'make_module' must make modules that return tensors, got {shown(output)}")
    if targets.is_floating_point():
        return torch.nn.functional.mse_loss(tensor, targets)
    return torch.nn.functional.cross_entropy(tensor.reshape(-1, tensor.shape[-1]), targets.reshape(-1))
