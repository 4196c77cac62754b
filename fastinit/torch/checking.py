"""A module's own tensors held against its plan."""

from __future__ import annotations

from typing import Any

from ..models import Plan
from ..models.check import check as check_tensors
from ..models.check_result import CheckResult
from .naming import parameters


def check(module: Any, plan: Plan, *, seed: int | None = None, level: float = 0.01, prefix: str = "") -> CheckResult:
    """Hold a module's parameters against the laws that a plan declares, as `fastinit.check` does.

    Parameters
    ----------
    module
        A `torch.nn.Module`. Parameters have the names and roles that `init_` gives them; buffers are left out. A
        parameter that is spread over processes is gathered, one after the other: all of them have to call this.
    plan
        A `fastinit.Plan`.
    seed
        Tell which parameters hold the bytes of that seed.
    level
        Probability of a false alarm.
    prefix
        As in `init_`.

    Returns
    -------
    CheckResult
        `ok`, `findings` in words, `rows` of figures, `table()`.

    Raises
    ------
    ValueError, TypeError
        As in `fastinit.check`.

    Examples
    --------
    >>> import torch, fastinit as fi, fastinit.torch
    >>> plan = fi.Plan([("weight", {"scheme": "he_normal", "layout": "oi"}), ("bias", "zeros")])
    >>> layer = torch.nn.Linear(256, 128)
    >>> fastinit.torch.check(layer, plan).ok  # PyTorch's own default
    False
    >>> fastinit.torch.check(fastinit.torch.init_(layer, plan, seed=0), plan, seed=0).ok
    True
    """
    held = parameters(module, prefix)
    tensors = {one.name: _whole(one.tensor) for one in held}
    shapes = {one.name: {"shape": tuple(one.tensor.shape), "role": one.role} for one in held}
    return check_tensors(tensors, plan, shapes=shapes, seed=seed, level=level)


def _whole(tensor: Any) -> Any:
    return tensor.detach().full_tensor() if hasattr(tensor, "full_tensor") else tensor.detach()
