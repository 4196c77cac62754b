"""Where a model's names and shapes come from: mappings, files, checkpoints, modules, Hugging Face's configurations."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from fastinit_kernels.machine.forks import whole

from ..files import path_name, replacing
from ..words import attribute, in_short, needs, shown
from .resolve import read_shapes
from .stored import INDEX_ENDING, Checkpoint, holds_checkpoint, read_json

CONFIG = "config.json"

Shapes = dict[str, dict[str, Any]]


def shapes_of(source: Any) -> Shapes:
    """Return name -> {"shape": …} and, where somebody knows it, its "role" of any source: see `fastinit.checkpoint`."""
    if isinstance(source, Mapping):
        return _plain(source)
    if callable(attribute(source, "named_parameters")):
        return _plain(_of_module(source))
    if callable(attribute(source, "to_diff_dict")):  # a configuration of transformers
        return _of_config(lambda transformers: source)
    if not isinstance(source, str | bytes | os.PathLike):
        raise TypeError(
            "argument 'source' must be a mapping of names to shapes, a path, a module with named_parameters or a "
            f"configuration of transformers, got {shown(source)}"
        )
    return _of_path(path_name(source))


def _plain(shapes: Mapping[str, Any]) -> Shapes:
    return {name: {"shape": p.shape, **({"role": p.role} if p.role else {})} for name, p in read_shapes(shapes).items()}


def _of_module(module: Any) -> dict[str, Any]:
    """Return the shapes of a module's parameters; its role is the class that has it, and its name there."""
    roles: dict[str, str] = {}
    if callable(attribute(module, "named_modules")):
        for path, part in module.named_modules():
            prefix = f"{path}." if path else ""
            for leaf, _ in part.named_parameters(recurse=False):
                roles[f"{prefix}{leaf}"] = f"{type(part).__name__}.{leaf}"
    return {
        name: {"shape": tuple(parameter.shape), "role": roles.get(name, "")}
        for name, parameter in module.named_parameters()
    }


def _of_path(name: str) -> Shapes:
    if os.path.isdir(name):
        if holds_checkpoint(name):
            return _plain(Checkpoint(name).parameters())
        config = os.path.join(name, CONFIG)
        if os.path.isfile(config):
            return _of_record(config)
        raise ValueError(f"argument 'source' must be a folder with a checkpoint or a {CONFIG}, got {shown(name)}")
    if name.endswith(".safetensors") or name.endswith(INDEX_ENDING):
        return _plain(Checkpoint(name).parameters())
    return _of_record(name)


def _of_record(name: str) -> Shapes:
    record = read_json(name)
    if "model_type" in record or "architectures" in record:
        return _of_config(lambda transformers: transformers.AutoConfig.from_pretrained(name, trust_remote_code=False))
    try:
        return _plain(record)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (file {shown(name)})") from None


def _of_config(load: Callable[[Any], Any]) -> Shapes:
    """Return the shapes of a model of transformers, made on the meta device: nothing is allocated or fetched."""
    with needs("transformers and torch", extra="huggingface"):
        import torch
        import transformers
    try:
        config = load(transformers)
        names = attribute(config, "architectures") or ()
        with whole:
            kinds = [kind for kind in (getattr(transformers, str(name), None) for name in names) if kind is not None]
        with torch.device("meta"):
            build: Any = kinds[0] if kinds else transformers.AutoModel.from_config
            model = build(config)
    except Exception as error:  # whatever a model's code says to a configuration
        words = in_short(f"{type(error).__name__}: {error}", 300)
        raise ValueError(f"argument 'source' must be a configuration that transformers can build: {words}") from None
    return _plain(_of_module(model))


def copy_config(source: Any, folder: str | os.PathLike[str]) -> list[str]:
    """Copy a source's config.json into a folder that has none, so that a loader knows what the weights are of."""
    name, target = path_name(source), os.path.join(path_name(folder), CONFIG)
    config = os.path.join(name, CONFIG) if os.path.isdir(name) else name
    if os.path.lexists(target) or not config.endswith(".json") or not os.path.isfile(config):
        return []
    if "model_type" not in read_json(config):
        return []
    with open(config, "rb") as file, replacing(target) as copy:
        shutil.copyfileobj(file, copy)
    return [target]
