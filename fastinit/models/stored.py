"""A checkpoint that is there: its files, their headers, and what they say of how they were made."""

from __future__ import annotations

import itertools
import json
import os
from contextlib import suppress
from typing import Any, NamedTuple

from ..words import in_short, plain_string, printable, shown
from .safetensors import Header, Stored, read_header
from .shards import PARAMETERS, SUFFIX

INDEX_ENDING = ".safetensors.index.json"
_MOST_BYTES = 1 << 28


class Files(NamedTuple):
    """The files of a checkpoint: paths, and what its index says, if there is one.

    Attributes
    ----------
    paths
        Of the files with tensors.
    places
        Name of each tensor -> file.
    metadata
        The index's.
    """

    paths: list[str]
    places: dict[str, str]
    metadata: dict[str, Any]


def holds_checkpoint(folder: str) -> bool:
    """Whether a folder has files of a checkpoint."""
    return any(name.endswith((SUFFIX, INDEX_ENDING)) for name in os.listdir(folder))


def files_of(name: str) -> Files:
    """Return the files of a folder, an index or a file."""
    if not os.path.isdir(name):
        return _of_index(name) if name.endswith(INDEX_ENDING) else Files([name], {}, {})
    found = sorted(os.listdir(name))
    indices = [file for file in found if file.endswith(INDEX_ENDING)]
    if len(indices) == 1:
        return _of_index(os.path.join(name, indices[0]))
    files = [file for file in found if file.endswith(SUFFIX)]
    if indices or not files:
        raise ValueError(f"argument 'path' must be that of one checkpoint, got {shown(name)}, which has "
                         f"{len(indices)} indices and {len(files)} files")  # fmt: skip
    return Files([os.path.join(name, file) for file in files], {}, {})


def _of_index(name: str) -> Files:
    record = read_json(name)
    places, metadata = record.get("weight_map"), record.get("metadata", {})
    if not isinstance(places, dict) or not places:
        raise ValueError(f"file {shown(name)} must have a weight_map of names to files, got {shown(places)}")
    for tensor, file in places.items():
        plain = plain_string(file) or ""
        if not plain.endswith(SUFFIX) or os.path.basename(plain) != plain or "\0" in plain or "\\" in plain:
            raise ValueError(
                f"file {shown(name)} must name files beside it, got {shown(file)} for {printable(tensor)[:200]}"
            )
    if not isinstance(metadata, dict):
        raise ValueError(f"file {shown(name)} must have metadata that are an object, got {shown(metadata)}")
    folder = os.path.dirname(name)
    return Files([os.path.join(folder, file) for file in sorted({*places.values()})], places, metadata)


class Checkpoint:
    """A checkpoint's files: the headers of those that are there, and what they say of how they were made."""

    def __init__(self, path: str) -> None:
        files, places, self._metadata = files_of(path)
        self.headers: dict[str, Header] = {}
        absent = None
        for file in files:
            try:
                self.headers[file] = read_header(file)
            except FileNotFoundError as error:
                absent = error
        if absent is not None and not self.headers:
            raise absent
        self.tensors: dict[str, Stored] = {}
        for file, header in self.headers.items():
            for name, stored in sorted(header.tensors.items(), key=lambda item: item[1].begin):
                if name in self.tensors:
                    raise ValueError(f"file {shown(file)} must not hold a tensor of another file, got {shown(name)}")
                self.tensors[name] = stored
        self.missing = [name for name in places if name not in self.tensors]

    def said(self, key: str) -> str | None:
        """Return what all files say under a key of their metadata, None if none does."""
        words = self._words(key)
        if len(words) > 1:
            raise ValueError(f"argument 'path' must be that of one checkpoint, got files that differ in {key}")
        return next(iter(words), None)

    def parameters(self) -> dict[str, Any]:
        """Return the shapes of all tensors, and of parameters of which the files say that they are not stored."""
        found: dict[str, Any] = {name: {"shape": stored.shape} for name, stored in self.tensors.items()}
        said = [_object(words) for words in self._words(PARAMETERS)]
        for name, entry in itertools.chain(*(record.items() for record in (*said, self._of_index()))):
            if name not in found:
                found[name] = entry
            elif isinstance(entry, dict):
                found[name] = {**entry, **found[name]}
        return found

    def _of_index(self) -> dict[str, Any]:
        said = self._metadata.get(PARAMETERS, {})
        return said if isinstance(said, dict) else _object(said)

    def _words(self, key: str) -> set[str]:
        return {header.metadata[key] for header in self.headers.values() if key in header.metadata}


def _object(text: Any) -> dict[str, Any]:
    with suppress(TypeError, ValueError, RecursionError):
        record = json.loads(text)
        if isinstance(record, dict):
            return record
    raise ValueError(f"argument 'path' must be a checkpoint whose {PARAMETERS} are a JSON object, got {shown(text)}")


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
