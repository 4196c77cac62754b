"""A checkpoint's files before there is a byte of them: who lies where, and what each header says."""

from __future__ import annotations

import errno
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..files import path_name
from ..reserving import reserved
from ..words import check_integer, entries, number, plain_string, shown
from .pieces import Assignment
from .plan import Assignments
from .safetensors import BITS, METADATA, Header, make_header, read_header, size_of

INDEX = "model.safetensors.index.json"
SUFFIX = ".safetensors"
# Names under which a loader would take a file for a part of a checkpoint.
_OURS = re.compile(r"model(-\d{5,}-of-\d{5,})?\.safetensors(\.index\.json)?")
_WORDS = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*(?:([KMGT])(I?))?B?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class File:
    """A file that is to be written.

    Attributes
    ----------
    path
        Where.
    first
        Its first bytes: length and header.
    header
        What they say.
    sources
        Name of each tensor -> whose values it has: its own assignment, or that of the one that it is tied to.
    """

    path: str
    first: bytes
    header: Header
    sources: Mapping[str, Assignment]

    @property
    def size(self) -> int:
        """Bytes."""
        return max([len(self.first), *(stored.end for stored in self.header.tensors.values())])

    def is_written(self) -> bool:
        """Whether it is there: with this header, but for the version that wrote it, and of the size that it says."""
        try:
            found = read_header(self.path)
        except ValueError:
            return False
        ours, theirs = ({**h.metadata, VERSION: ""} for h in (self.header, found))
        return (ours, self.header.tensors) == (theirs, found.tensors)


VERSION = "fastinit_version"


@dataclass(frozen=True)
class Written:
    """What `write` has done.

    Attributes
    ----------
    files
        Paths of this host's files, the index last.
    bytes
        Of the tensors that were written now.
    kept
        Files among them that had been written before.
    seed
        The seed.
    seconds
        How long it took.
    """

    files: tuple[str, ...]
    bytes: int
    kept: tuple[str, ...]
    seed: int
    seconds: float

    def __str__(self) -> str:
        kept = f", {len(self.kept)} of them there already" if self.kept else ""
        return f"{len(self.files)} files{kept}, {number(self.bytes / 1e9, 3)} GB in {number(self.seconds, 2)} s"


def stored(found: Assignments, store_tied: bool) -> dict[str, Assignment]:
    """Return what is stored: name -> whose values it has. Tied parameters are left out unless they are wanted."""
    sources = {}
    for name, assignment in found.items():
        source = assignment
        if assignment.tie is not None and store_tied:
            source = found[assignment.tie]
        if not source.is_drawn:
            continue
        if source.dtype not in BITS:
            raise ValueError(f"argument 'dtype' must be one that safetensors has, got {source.dtype} of {shown(name)}")
        if name == METADATA:
            raise ValueError(f"argument 'shapes' must not name a parameter {METADATA!r}, which safetensors keeps")
        sources[name] = source
    return sources


def most_bytes(value: object) -> int | None:
    """Return the most bytes of a file: an integer, or words like "5GB" (10^9) and "5GiB" (2^30)."""
    if value is None:
        return None
    text = plain_string(value)
    if text is None:
        return check_integer("max_shard_size", value, minimum=1)
    found = _WORDS.fullmatch(text)
    if found is None or not float(found[1]):
        raise ValueError(f"argument 'max_shard_size' must be a number of bytes, or as \"5GB\", got {shown(value)}")
    power = " KMGT".index((found[2] or " ").upper())
    unit: int = (1024 if found[3] else 1000) ** power
    return math.ceil(float(found[1]) * unit)


def split(sources: Mapping[str, Assignment], most: int | None) -> list[dict[str, Assignment]]:
    """Return the tensors of each file, in order, by the rule of Hugging Face's writer.

    A file is ended where the next tensor would carry it beyond `most`; a tensor that is larger has one of its own.
    """
    shards: list[dict[str, Assignment]] = []
    current: dict[str, Assignment] = {}
    filled = 0
    for name, source in sources.items():
        size = size_of(source.dtype, source.shape)
        if most is not None and size > most:
            shards.append({name: source})
            continue
        if most is not None and filled + size > most:
            shards.append(current)
            current, filled = {}, 0
        current[name] = source
        filled += size
    return [*shards, current] if current or not shards else shards


def plan_files(
    path: Any,
    sources: Mapping[str, Assignment],
    most: int | None,
    metadata: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> tuple[list[File], str | None]:
    """Return the files of a checkpoint, and the index's text if it has one.

    Parameters
    ----------
    path
        Of a file that ends with .safetensors, or a folder.
    metadata
        Of every file.
    parameters
        Name -> shape and role of all parameters. The index has them; of a tensor that has a role its file says it, and
        of parameters that are not stored every file.
    """
    name = path_name(path)
    single = name.endswith(SUFFIX)
    if single and most is not None:
        raise ValueError(f"argument 'path' must be a folder where 'max_shard_size' is given, got {shown(path)}")
    shards = split(sources, most)
    files = []
    for place, shard in enumerate(shards, 1):
        said = {k: v for k, v in parameters.items() if k not in sources or (k in shard and "role" in v)}
        own = {**metadata, **({PARAMETERS: json.dumps(said, ensure_ascii=False)} if said else {})}
        first, header = make_header({k: (a.dtype, a.shape) for k, a in shard.items()}, own)
        file = f"model-{place:05d}-of-{len(shards):05d}{SUFFIX}" if len(shards) > 1 else f"model{SUFFIX}"
        files.append(File(name if single else os.path.join(name, file), first, header, shard))
    return files, _index(files, parameters) if len(files) > 1 else None


PARAMETERS = "fastinit_parameters"


def _index(files: list[File], parameters: Mapping[str, Any]) -> str:
    total = sum(s.end - s.begin for file in files for s in file.header.tensors.values())
    places = {name: os.path.basename(file.path) for file in files for name in file.sources}
    metadata = {"total_size": total, PARAMETERS: json.dumps(parameters, ensure_ascii=False)}
    return json.dumps({"metadata": metadata, "weight_map": places}, indent=2, sort_keys=True) + "\n"


def check_hosts(hosts: object) -> tuple[int, int]:
    """Return which host this is, and of how many; None: the only one."""
    if hosts is None:
        return 0, 1
    pair = entries(hosts, 2)
    if pair is None or len(pair) != 2:
        raise TypeError(f"argument 'hosts' must be (this host's number, how many), got {shown(hosts)}")
    count = check_integer("hosts[1]", pair[1], minimum=1)
    return check_integer("hosts[0]", pair[0], minimum=0, maximum=count - 1), count


def share(files: list[File], hosts: tuple[int, int]) -> list[File]:
    """Return the files of one host: the largest first to whoever has the least."""
    number, count = hosts
    loads, mine = [0] * min(count, max(1, len(files))), []
    for i in sorted(range(len(files)), key=lambda i: (-files[i].size, i)):
        host = loads.index(min(loads))
        loads[host] += files[i].size
        if host == number:
            mine.append(i)
    return [files[i] for i in sorted(mine)]


def check_place(
    mine: list[File], files: list[File], index: str | None, folder: str | None, overwrite: bool
) -> list[File]:
    """Return those of `mine` that are not written yet; refuse a place where something else is.

    Whatever is there is looked at before anything is written.
    """
    missing = []
    for file in mine:
        if not os.path.lexists(file.path):
            missing.append(file)
        elif not (os.path.isfile(file.path) and file.is_written()):
            _refuse_unless(overwrite and os.path.isfile(file.path), file.path)
            missing.append(file)
    if folder is None:
        return missing
    names = {os.path.basename(file.path) for file in files} | ({INDEX} if len(files) > 1 else set())
    for name in _others(folder, names):
        _refuse(os.path.join(folder, name), "remove it first")
    path = os.path.join(folder, INDEX)
    if index and os.path.lexists(path) and not _says(path, index):
        _refuse_unless(overwrite and os.path.isfile(path), path)
    return missing


def _others(folder: str, names: set[str]) -> Iterator[str]:
    try:
        found = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    yield from (name for name in found if _OURS.fullmatch(name) and name not in names)


def _refuse_unless(allowed: bool, path: str) -> None:
    if not allowed:
        _refuse(path, "overwrite=True replaces files")


def _refuse(path: str, rule: str) -> None:
    raise FileExistsError(errno.EEXIST, f"Part of another checkpoint, or something else ({rule})", path)


def _says(path: str, text: str) -> bool:
    content = text.encode()
    try:
        with open(path, "rb") as file:
            return file.read(len(content) + 1) == content
    except OSError:
        return False


def write_index(folder: str, text: str) -> str:
    """Write the index, unless it is there, and return its path."""
    path = os.path.join(folder, INDEX)
    if not _says(path, text):
        content = memoryview(text.encode())
        with reserved(path, len(content)) as file:
            while content:
                content = content[file.write(content) :]
    return path
