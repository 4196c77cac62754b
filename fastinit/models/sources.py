"""Where a model's names and shapes come from: mappings, files, checkpoints, modules, Hugging Face's configurations."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastinit_kernels.machine.forks import whole

from ..files import path_name, replacing
from ..words import attribute, in_short, needs, plain_string, printable, shown
from .resolve import read_shapes
from .safetensors import Header, read_header

INDEX_ENDING = ".safetensors.index.json"
_MOST_BYTES = 1 << 28
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
        if checkpoint_files(name, needed=False):
            return _of_checkpoint(name)
        config = os.path.join(name, CONFIG)
        if os.path.isfile(config):
            return _of_record(config)
        raise ValueError(f"argument 'source' must be a folder with a checkpoint or a {CONFIG}, got {shown(name)}")
    if name.endswith(".safetensors") or name.endswith(INDEX_ENDING):
        return _of_checkpoint(name)
    return _of_record(name)


def _of_checkpoint(name: str) -> Shapes:
    headers = [read_header(path) for path in checkpoint_files(name)[0]]
    return {tensor: {"shape": stored.shape} for header in headers for tensor, stored in in_order(header)}


def in_order(header: Header) -> Iterator[tuple[str, Any]]:
    """Yield a file's tensors in the order of their bytes."""
    yield from sorted(header.tensors.items(), key=lambda item: item[1].begin)


def _of_record(name: str) -> Shapes:
    record = read_json(name)
    if "model_type" in record or "architectures" in record:
        return _of_config(lambda transformers: transformers.AutoConfig.from_pretrained(name, trust_remote_code=False))
    try:
        return _plain(record)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (file {shown(name)})") from None


def read_json(name: str) -> dict[str, Any]:
    """Return the object of a JSON file of at most 256 MiB, in which no key stands twice."""
    with open(name, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"file {shown(name)} must be of at most {_MOST_BYTES >> 20} MiB")
    try:
        record = json.loads(content.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        words = in_short(str(error), 200) or "nested too deeply"
        raise ValueError(f"file {shown(name)} must be JSON in UTF-8: {words}") from None
    if not isinstance(record, dict):
        raise ValueError(f"file {shown(name)} must hold a JSON object, got {shown(record)}")
    return record


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {shown(next(key for key in keys if keys.count(key) > 1))} stands twice")
    return found


def _of_config(load: Callable[[Any], Any]) -> Shapes:
    """Return the shapes of a model of transformers, made on the meta device: nothing is allocated or fetched."""
    with needs("transformers and torch", extra="torch"):
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


def checkpoint_files(name: str, needed: bool = True) -> tuple[list[str], dict[str, str]]:
    """Return the files of a checkpoint, and of its index name -> file.

    Parameters
    ----------
    name
        Of a folder, an index or a file.
    needed
        Whether a folder without a checkpoint is an error; it has no files otherwise.
    """
    if not os.path.isdir(name):
        return _of_index(name) if name.endswith(INDEX_ENDING) else ([name], {})
    found = sorted(os.listdir(name))
    indices = [file for file in found if file.endswith(INDEX_ENDING)]
    if len(indices) == 1:
        return _of_index(os.path.join(name, indices[0]))
    files = [file for file in found if file.endswith(".safetensors")]
    if len(indices) > 1 or (not files and needed):
        raise ValueError(f"folder {shown(name)} must hold one checkpoint, got {len(indices)} indices")
    return [os.path.join(name, file) for file in files], {}


def _of_index(name: str) -> tuple[list[str], dict[str, str]]:
    places = read_json(name).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(f"file {shown(name)} must have a weight_map of names to files, got {shown(places)}")
    for tensor, file in places.items():
        plain = plain_string(file) or ""
        if not plain.endswith(".safetensors") or os.path.basename(plain) != plain or "\0" in plain or "\\" in plain:
            raise ValueError(
                f"file {shown(name)} must name files beside it, got {shown(file)} for {printable(tensor)[:200]}"
            )
    folder = os.path.dirname(name)
    return [os.path.join(folder, file) for file in sorted({*places.values()})], places


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
