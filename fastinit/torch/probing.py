"""What goes through a real module, and what comes back: the figures of `fi.probe`, by hooks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from numpy.typing import NDArray

from ..probing.module_result import ModuleResult, result_of
from ..probing.observed import LayerRecord, gradient_figures, histogram, output_figures, weight_figures
from ..weights.initialize import normal
from ..weights.streams import check_seed
from ..words import check_integer, shown
from .framework import torch
from .memory import array

# Where phi is flat, as in fastinit's own table of activations.
_SATURATION = {"Tanh": (-0.97, 0.97), "Sigmoid": (0.03, 0.97), "Softsign": (-0.97, 0.97), "Hardtanh": (-0.97, 0.97)}
# The unit axis of an output is the last one; these have channels behind the batch.
_CHANNELS_FIRST = (
    torch.nn.modules.conv._ConvNd,
    torch.nn.modules.batchnorm._NormBase,
    torch.nn.modules.pooling._MaxPoolNd,
    torch.nn.modules.pooling._AvgPoolNd,
    torch.nn.modules.pooling._AdaptiveAvgPoolNd,
    torch.nn.GroupNorm,
)


def probe(
    module: torch.nn.Module,
    *inputs: Any,
    targets: torch.Tensor | None = None,
    loss: Callable[[Any], torch.Tensor] | None = None,
    blocks: str | Sequence[str] = (),
    backward: bool = True,
    bins: int = 30,
    range: tuple[float, float] | None = None,
    seed: int = 0,
    **keywords: Any,
) -> ModuleResult:
    """Send a batch through a module and back, and measure every layer: the figures, and the verdict, of `fi.probe`.

    Parameters
    ----------
    module
        Any `torch.nn.Module`. Nothing of it changes: parameters, their `.grad`, buffers such as running means, modes,
        hooks, and torch's random numbers are afterwards what they were.
    *inputs, **keywords
        What `module(...)` takes; the batch comes first in each tensor.
    targets
        Classes (integers) of the outputs' rows, for a cross entropy: its value at the start stands beside ln(classes).
    loss
        `loss(output)`, a number to differentiate. Without either, dL/d(output) is drawn from N(0, 1), as `fi.probe`
        draws its "cotangent".
    blocks
        Names of modules with children to measure, too, as globs: "layers.*".
    backward
        Whether to measure gradients.
    bins, range
        Of the histograms; without a range each layer's own, from its least to its greatest value.
    seed
        Of the drawn cotangent.

    Returns
    -------
    ModuleResult
        One entry a call of a layer (a module without children, or a block), in the order of the calls.

    Raises
    ------
    ValueError, TypeError
        An argument that cannot be, or a module without a tensor that comes out.

    Examples
    --------
    >>> import torch, fastinit.torch
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    >>> result = fastinit.torch.probe(net, torch.randn(128, 64), targets=torch.randint(10, (128,)))
    >>> result.names, result.verdict
    (('0', '1', '2'), 'healthy')
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"argument 'module' must be a torch.nn.Module, got {shown(module)}")
    count = check_integer("bins", bins, minimum=1, maximum=10_000)
    start = time.perf_counter()
    observer = _Observer(module, [blocks] if isinstance(blocks, str) else list(blocks), count, range)
    with _unchanged(module), torch.set_grad_enabled(backward), observer:
        output = module(*inputs, **keywords)
        value, classes, unused = math.nan, None, []
        target, cotangent, classes = _target(output, targets, loss, check_seed(seed))
        if targets is not None or loss is not None:
            value = float(target.detach())
        if backward and target.requires_grad:
            unused = observer.differentiate(target, cotangent)
    title = f"{type(module).__name__}, {sum(p.numel() for p in module.parameters()):,} parameters"
    seconds = time.perf_counter() - start
    return result_of(title, observer.records, loss=value, classes=classes, unused=unused, seconds=seconds)


def _target(
    output: Any, targets: torch.Tensor | None, loss: Callable[[Any], torch.Tensor] | None, seed: int
) -> tuple[torch.Tensor, torch.Tensor | None, int | None]:
    """Return what is differentiated, dL/d of it, and the number of classes."""
    if targets is not None and loss is not None:
        raise ValueError("argument 'loss' must be left out beside targets, got both")
    if loss is not None:
        value = loss(output)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            raise ValueError(f"argument 'loss' must return a tensor of one number, got {shown(value)}")
        return value.reshape(()), None, None
    first = first_tensor(output)
    if first is None:
        raise ValueError(f"argument 'module' must return a floating-point tensor, got {shown(output)}")
    if targets is not None:
        axis = first.ndim - 1 if first.shape[:-1] == targets.shape else 1
        if first.ndim < 2 or (first.shape[:axis] + first.shape[axis + 1 :]) != targets.shape:
            rule = f"a class for each row of an output of shape {tuple(first.shape)}"
            raise ValueError(f"argument 'targets' must be {rule}, got shape {tuple(targets.shape)}")
        logits = first.movedim(axis, 1).float()
        return torch.nn.functional.cross_entropy(logits, targets.long()), None, first.shape[axis]
    drawn = torch.from_numpy(normal(tuple(first.shape), seed=seed, name="cotangent"))
    return first, drawn.to(first.device, first.dtype), None


class _Observer:
    """Hooks on the layers of a module, and the records they make."""

    def __init__(self, module: torch.nn.Module, blocks: list[str], bins: int, limits: Any) -> None:
        self._bins, self._limits = bins, limits
        self._layers = {
            name: layer
            for name, layer in module.named_modules()
            if next(layer.children(), None) is None or any(fnmatchcase(name, pattern) for pattern in blocks)
        }
        self._calls: dict[str, int] = {}
        self.records: list[LayerRecord] = []
        self._weights: dict[int, tuple[torch.nn.Parameter, list[tuple[LayerRecord, int]]]] = {}
        self._parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        for name, layer in self._layers.items():
            self._handles.append(layer.register_forward_hook(self._hook(name, layer)))

    def __exit__(self, *error: object) -> None:
        self._handles, handles = [], self._handles
        for handle in handles:
            handle.remove()

    def _hook(self, name: str, layer: torch.nn.Module) -> Callable[..., None]:
        def seen(module: torch.nn.Module, given: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is not None and tensor.ndim and tensor.numel():
                self._record(name, layer, tensor)

        return seen

    def _record(self, name: str, layer: torch.nn.Module, tensor: torch.Tensor) -> None:
        call = self._calls[name] = self._calls.get(name, 0) + 1
        values, kind = array_of(tensor), type(layer).__name__
        axis = 1 if isinstance(layer, _CHANNELS_FIRST) and tensor.ndim > 2 else tensor.ndim - 1
        record = LayerRecord((name or "(whole)") + (f" (call {call})" if call > 1 else ""), kind, tuple(tensor.shape))
        record.figures |= output_figures(values, axis, _SATURATION.get(kind))
        record.histogram, record.bin_edges, below, above = histogram(values, self._bins, self._limits)
        record.figures |= {"underflow": below, "overflow": above}
        self.records.append(record)
        self._observe_weight(layer, record)
        if tensor.requires_grad:
            seen = lambda gradient: record.figures.update(gradient_figures(array_of(gradient)))  # noqa: E731
            tensor.register_hook(seen)

    def _observe_weight(self, layer: torch.nn.Module, record: LayerRecord) -> None:
        weight = getattr(layer, "weight", None)
        if isinstance(weight, torch.nn.Parameter) and weight.ndim >= 2:
            axis, fan_in = _fan(layer, weight)
            self._weigh(weight, record, axis, fan_in)

    def _weigh(self, weight: torch.nn.Parameter, record: LayerRecord, axis: int, fan_in: float) -> None:
        record.fan_in, record.weights = fan_in, weight.numel()
        record.figures |= weight_figures(array_of(weight), None, axis)
        self._weights.setdefault(id(weight), (weight, []))[1].append((record, axis))

    def _others(self) -> None:
        """Add a row for each matrix that is no layer's `weight`: of recurrent cells, attention, experts."""
        for name, weight in self._parameters.items():
            if weight.ndim < 2 or id(weight) in self._weights:
                continue
            record = LayerRecord(name, "Parameter", tuple(weight.shape))
            values = array_of(weight)
            record.histogram, record.bin_edges, below, above = histogram(values, self._bins, self._limits)
            record.figures |= {"underflow": below, "overflow": above}
            self.records.append(record)
            self._weigh(weight, record, 0, float(math.prod(weight.shape[1:])))

    def differentiate(self, target: torch.Tensor, cotangent: torch.Tensor | None) -> list[str]:
        """Go back once; return the names of parameters that no gradient reaches."""
        self._others()
        names, parameters = list(self._parameters), list(self._parameters.values())
        # Not `backward`: it would add to each parameter's .grad.
        gradients = torch.autograd.grad(target, parameters, cotangent, allow_unused=True) if parameters else ()
        found = {id(p): g for p, g in zip(parameters, gradients, strict=True) if g is not None}
        for key, (weight, records) in self._weights.items():
            if key in found:
                for record, axis in records:
                    record.figures |= weight_figures(array_of(weight), array_of(found[key]), axis)
        return [name for name, p in zip(names, parameters, strict=True) if id(p) not in found]


def _fan(layer: torch.nn.Module, weight: torch.Tensor) -> tuple[int, float]:
    """Return the axis of a weight that numbers the units, and the connections into one."""
    if isinstance(layer, torch.nn.Embedding | torch.nn.EmbeddingBag):
        return 1, 1.0  # one row at a time
    if getattr(layer, "transposed", False):
        return 1, float(weight.shape[0] * math.prod(weight.shape[2:]) / math.prod(getattr(layer, "stride", (1,))))
    if type(layer).__name__ == "Conv1D":  # transformers': (in, out)
        return 1, float(weight.shape[0])
    return 0, float(math.prod(weight.shape[1:]))


def array_of(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a tensor's values as an array, without a copy where there can be none."""
    plain = tensor.detach()
    plain = plain.full_tensor() if hasattr(plain, "full_tensor") else plain
    return array((plain.to_dense() if plain.is_sparse else plain).cpu())


def first_tensor(output: Any) -> torch.Tensor | None:
    """Return the first floating-point tensor of an output, None if there is none."""
    return next(_tensors(output), None)


def _tensors(output: Any) -> Iterator[torch.Tensor]:
    """Yield the floating-point tensors of an output, whatever it is made of."""
    if isinstance(output, torch.Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _tensors(value)


@contextmanager
def _unchanged(module: torch.nn.Module) -> Iterator[None]:
    """Put buffers, and torch's random numbers, back as they were."""
    buffers = [(b, b.detach().clone()) for b in module.buffers() if not b.is_meta]
    devices = sorted({t.device.index for t in (*module.parameters(), *module.buffers()) if t.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
