"""`init_`: a whole module by a plan, wherever its parameters are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ..models import Plan
from ..models.plan import Assignments
from ..weights.dtypes import DTYPES
from ..weights.streams import check_seed
from ..words import Array, attribute, check_choice, check_string, printable
from .allocation import Recompute, allocate, listed, recomputation, recompute
from .framework import torch
from .memory import write
from .naming import Held, buffers, parameters, unwrapped
from .sharding import Slices, blocks

MISSING = ("raise", "zeros")


def init_(
    module: Any,
    plan: Any,
    *,
    seed: int,
    device: Any = None,
    prefix: str = "",
    missing: str | Callable[[Any], object] = "raise",
) -> Any:
    """Draw every parameter of a module in place, each by its qualified name.

    A parameter's bytes are those of `plan.init` for its name, whole shape and dtype, whichever process holds whichever
    part of it, on whichever device: plain modules, such on the meta device, `fully_shard`, `parallelize_module`, both,
    replicas of those, pipeline stages.

    Parameters
    ----------
    module
        A `torch.nn.Module`. Wrappers (`torch.compile`, DistributedDataParallel, activation checkpointing) have no part
        in the names. A parameter that modules share is drawn once, by the first of its names that the plan draws.
    plan
        A `fastinit.Plan`, or the rules of one. A parameter's role is its module's class and its name there:
        "Linear.weight".
    seed
        0 <= seed < 2^64, the same in all processes.
    device
        Where parameters and buffers on the meta device get their memory; None for the mesh's devices, or the default
        one.
    prefix
        What the names of a part of a model have before them: "layers.3." for its fourth layer by itself.
    missing
        What becomes of buffers on the meta device that nothing computes anew (see Notes): "raise", "zeros", or a
        function that is called with each module that has buffers there, in place of what the notes name.

    Returns
    -------
    torch.nn.Module
        `module`.

    Raises
    ------
    ValueError, TypeError
        Before anything is allocated or drawn: what `plan.resolve` raises; a rule's dtype that is not the parameter's;
        parameters on the meta device that the plan skips; buffers on it that nothing computes.
    RuntimeError
        After the allocation: buffers that were to be computed anew and were not.

    Notes
    -----
    Buffers that were on the meta device are computed by their module's `reset_running_stats` or `reset_buffers`, by the
    `_init_weights` of a model of Hugging Face, or by `reset_parameters`, whichever there is; PyTorch's generators are
    as before. Neither gradients nor `requires_grad` are touched.

    Examples
    --------
    >>> import torch, fastinit as fi, fastinit.torch
    >>> with torch.device("meta"):
    ...     model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    >>> plan = fi.Plan([("**.weight", {"scheme": "he_normal", "layout": "oi"}), ("**.bias", "zeros")])
    >>> model = fastinit.torch.init_(model, plan, seed=0)
    >>> same = fi.init("he_normal", (16, 8), layout="oi", seed=0, name="0.weight")
    >>> bool((model[0].weight.detach().numpy() == same).all())
    True
    """
    root = unwrapped(module)
    if seed is None:  # each process would have one of its own
        raise TypeError("argument 'seed' must be an integer >= 0, got None")
    number = check_seed(seed)
    given = missing if callable(missing) else None
    choice = "raise" if given else check_choice("missing", missing, MISSING)
    _gather(root)
    held = parameters(root, check_string("prefix", prefix))
    drawn = _assigned(held, plan if isinstance(plan, Plan) else Plan(plan), number)
    _check_meta(root, held, drawn, prefix, given or choice)
    for each in held:
        if not each.tensor.is_meta:
            list(blocks(each.tensor))  # placements
    _allocated(root, device, given, choice)
    for each in held:
        if each.name in drawn:
            write(each.tensor, partial(_fill, *drawn[each.name], number))
    return module


def _fill(name: str, found: Assignments, seed: int, region: Slices, out: Array) -> None:
    found.fill(name, seed=seed, region=region, out=out)


def _gather(root: Any) -> None:
    """Let the parameters of `fully_shard` be the shards that they are kept as; refuse what keeps them otherwise."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    sharded, flat = (attribute(fsdp, kind) for kind in ("FSDPModule", "FullyShardedDataParallel"))
    for name, part in root.named_modules():
        if sharded is not None and isinstance(part, sharded):
            part.reshard()
        if flat is not None and isinstance(part, flat):
            raise TypeError(
                "argument 'module' must not be in a FullyShardedDataParallel, whose parameters have lost their shapes: "
                f"draw before wrapping, or use fully_shard; got {printable(name) or 'the module itself'}"
            )
    lazy = [name for name, parameter in root.named_parameters() if torch.nn.parameter.is_lazy(parameter)]
    if lazy:
        raise ValueError(f"argument 'module' must have run once, so that shapes are known, got {listed(lazy)}")


def _assigned(held: list[Held], plan: Plan, seed: int) -> dict[str, tuple[str, Assignments]]:
    """Return for each parameter that is drawn the name by which it is, and what fills it."""
    found = _resolved(held, plan)
    drawn = {}
    for each in held:
        names = [one.name for one in (each, *each.others) if one.name in found]
        sources = [found[found[name].tie or name] for name in names]
        source = next((found[n] for n in names if found[n].is_drawn), next((s for s in sources if s.is_drawn), None))
        if source is None:
            continue
        kind = str(each.tensor.dtype).rpartition(".")[2]
        rule = plan.rules[source.rule][1]
        wanted = source.dtype if isinstance(rule, dict) and "dtype" in rule else kind
        if kind not in DTYPES or wanted != kind:
            rules = f"the {wanted} of rule {source.pattern}" if kind in DTYPES else f"one of {', '.join(DTYPES)}"
            raise ValueError(f"argument 'module' must have {printable(each.name)} in {rules}, got {kind}")
        one = Assignments({source.name: replace(source, dtype=kind)})
        one.check(seed)
        drawn[each.name] = (source.name, one)
    return drawn


def _resolved(held: list[Held], plan: Plan) -> Assignments:
    first, every = (
        {each.name: {"shape": tuple(each.tensor.shape), "role": each.role} for each in several}
        for several in (held, [one for each in held for one in (each, *each.others)])
    )
    try:
        return plan.resolve(first)
    except ValueError:
        if len(every) == len(first):
            raise
    return plan.resolve(every)  # ties may go by further names


def _check_meta(root: Any, held: list[Held], drawn: dict[str, Any], prefix: str, missing: Any) -> None:
    """Refuse a module that would have tensors without values after it was given memory."""
    left = [each.name for each in held if each.tensor.is_meta and each.name not in drawn]
    if left:
        raise ValueError(f"argument 'plan' must draw what is on the meta device and has no values, got {listed(left)}")
    fresh = [each for each in buffers(root, prefix) if each.tensor.is_meta]
    unknown = [each.name for each in fresh if recomputation(root, each.owner) is None]
    if unknown and missing == "raise":
        raise ValueError(
            "argument 'missing' must say what becomes of buffers on the meta device that nothing computes anew "
            f"('zeros', or a function of their module), got 'raise' for {listed(unknown)}"
        )


def _allocated(root: Any, device: Any, given: Recompute | None, choice: str) -> None:
    fresh = {id(each.tensor) for each in allocate(root, device)}
    left = recompute(root, [each for each in buffers(root) if id(each.tensor) in fresh], given)
    if left and choice == "raise":
        raise RuntimeError(f"buffers that were on the meta device have no values: {listed([x.name for x in left])}")
    with torch.no_grad():
        for each in left:
            each.tensor.zero_()
