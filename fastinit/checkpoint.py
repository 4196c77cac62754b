"""Checkpoints of initial weights: written at any size from names, shapes, a plan and a seed, and held against them.

Files are in the safetensors format, laid out as Hugging Face does, so that whatever loads a checkpoint loads these.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastinit_kernels.machine.forks import whole
from numpy.typing import DTypeLike

from .files import path_name
from .models.plan import Plan
from .models.safetensors import size_of
from .models.shards import (
    SUFFIX,
    VERSION,
    Written,
    check_hosts,
    check_place,
    most_bytes,
    plan_files,
    share,
    stored,
    write_index,
)
from .models.sources import Shapes, shapes_of
from .models.streaming import Advance, write_tensors
from .models.verification import DTYPE, PLAN, SEED, Verification
from .models.verification import VERSION as CONTRACT_VERSION
from .models.verification import verify as _verify
from .reserving import reserved
from .version import __version__
from .weights.dtypes import check_dtype
from .weights.streams import CONTRACT, check_seed
from .words import check_flag, shown

__all__ = ["Verification", "Written", "shapes", "verify", "write"]

Progress = bool | Callable[[int, int], None]


def write(
    path: str | os.PathLike[str],
    shapes: Any,
    plan: Plan,
    *,
    seed: int | None,
    dtype: DTypeLike = "float32",
    max_shard_size: int | str | None = None,
    hosts: tuple[int, int] | None = None,
    store_tied: bool = False,
    overwrite: bool = False,
    progress: Progress = False,
) -> Written:
    """Write a model's initial weights as a checkpoint, of any size, in constant memory.

    Each tensor has the bytes of `plan.init(shapes, seed=seed, dtype=dtype)`.

    Files are complete or absent: each is written under a hidden name, for which the disk's room is taken beforehand,
    and renamed when its bytes are on the disk. The same call goes on where another was ended: files that are there are
    known by their header and size. All threads draw and write, with at most 48 MiB of buffers; a tensor that only the
    whole determines (orthogonal, normalised) takes room for itself.

    Parameters
    ----------
    path
        A folder, made if need be, for `model.safetensors`, or for `model-00001-of-0000N.safetensors` and
        `model.safetensors.index.json`; or a file that ends with .safetensors.
    shapes
        Anything that `shapes` takes.
    plan
        Parameters that it skips are not stored.
    seed
        0 <= seed < 2^64; None takes fresh entropy, which the files tell.
    dtype
        Of parameters for which the plan says nothing else.
    max_shard_size
        Most bytes of tensors in a file, a number or as "5GB" (10^9) or "5GiB" (2^30); None: one file.
    hosts
        (i, n): write the i-th of n shares of the files. Host 0 writes the index.
    store_tied
        Store tied parameters a second time; otherwise they are left out, as Hugging Face does.
    overwrite
        Replace files that are something else.
    progress
        True for a bar on stderr, or a function of (bytes done, bytes of all).

    Returns
    -------
    Written
        Files, bytes, seconds.

    Raises
    ------
    ValueError, TypeError
        As in `Plan.resolve`, and for arguments that cannot be, before anything is written.
    FileExistsError
        At the place of a file, or where a loader would find it, is something else.
    OSError
        No room, no right; files that are finished stay.

    Notes
    -----
    The metadata of each file holds the plan, the seed, the dtype and the versions of the contract and of fastinit.
    The format: https://github.com/huggingface/safetensors.

    Examples
    --------
    >>> import fastinit as fi, os, tempfile
    >>> from fastinit import checkpoint
    >>> shapes = {"embed.weight": (1000, 64), "head.weight": (1000, 64)}
    >>> plan = fi.Plan([("**", {"scheme": "normal", "std": 0.02})])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = checkpoint.write(folder, shapes, plan, seed=0, dtype="bfloat16", max_shard_size="150kB")
    ...     for name in sorted(os.listdir(folder)):
    ...         print(name)
    ...     checkpoint.verify(folder).ok
    model-00001-of-00002.safetensors
    model-00002-of-00002.safetensors
    model.safetensors.index.json
    True
    """
    started = time.perf_counter()
    name, most, which = path_name(path), most_bytes(max_shard_size), check_hosts(hosts)
    if not isinstance(plan, Plan):
        raise TypeError(f"argument 'plan' must be a Plan, got {shown(plan)}")
    if seed is None and hosts is not None:
        raise ValueError("argument 'seed' must be the same number on all hosts, got None")
    replace, tied, origin = check_flag("overwrite", overwrite), check_flag("store_tied", store_tied), check_seed(seed)
    _check_progress(progress)
    described, kind = shapes_of(shapes), check_dtype(dtype)
    found = plan.resolve(described, dtype=kind)
    found.check(origin)
    sources = stored(found, tied)
    files, index = plan_files(name, sources, most, _metadata(plan, origin, kind), described)
    mine = share(files, which)
    folder = None if name.endswith(SUFFIX) else name
    missing = check_place(mine, files, index if which[0] == 0 else None, folder, replace)
    if folder is not None:
        os.makedirs(folder, exist_ok=True)
    total = sum(size_of(a.dtype, a.shape) for file in missing for a in file.sources.values())
    with _telling("writing", total, progress) as advance:
        for file in missing:
            with reserved(file.path, file.size) as target:
                write_tensors(target, file.first, file.header, file.sources, origin, advance)
    paths = [file.path for file in mine]
    if index is not None and folder is not None and which[0] == 0:
        paths.append(write_index(folder, index))
    kept = tuple(file.path for file in mine if file not in missing)
    return Written(tuple(paths), total, kept, origin, time.perf_counter() - started)


def verify(
    path: str | os.PathLike[str],
    plan: Plan | None = None,
    *,
    seed: int | None = None,
    shapes: Any = None,
    dtype: DTypeLike | None = None,
    progress: Progress = False,
) -> Verification:
    """Draw a checkpoint's initial weights again, and say which tensors still have them, byte for byte.

    Parameters
    ----------
    path
        A folder, an index or a file.
    plan, seed
        None: those that the files hold.
    shapes
        What should be there, anything that `shapes` takes; None: what the index and the files name.
    dtype
        As in `write`; None: what the files say, or else each tensor's own.
    progress
        True for a bar on stderr, or a function of (bytes done, bytes of all).

    Returns
    -------
    Verification
        `initial`, `changed`, `missing`, `extra`: names of tensors; `ok` if all are initial.

    Raises
    ------
    ValueError, TypeError
        Files that lie or belong to several checkpoints; no plan or seed; a tensor for which the plan has no rule.
    OSError
        Of a file.

    Examples
    --------
    >>> import fastinit as fi, tempfile
    >>> from fastinit import checkpoint
    >>> plan = fi.Plan([("**", "he_normal")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = checkpoint.write(f"{folder}/a.safetensors", {"w": (8, 4), "v": (4, 4)}, plan, seed=0)
    ...     with open(f"{folder}/a.safetensors", "r+b") as file:
    ...         _ = file.seek(-1, 2), file.write(b"?")  # training
    ...     checkpoint.verify(f"{folder}/a.safetensors")
    seed 0: not all as they began
    initial       1
    changed       1  w (other values)
    missing       0
    extra         0
    """
    _check_progress(progress)
    compare, total = _verify(path_name(path), plan, seed, shapes, dtype)
    with _telling("verifying", total, progress) as advance:
        result: Verification = compare(advance)
    return result


def shapes(source: Any) -> Shapes:
    """Return the names, shapes and roles of a model's parameters, from wherever they are known; nothing is allocated.

    Parameters
    ----------
    source
        - a mapping of names to shapes, to what has a `shape`, or to dicts with a `shape` and a `role`;
        - a JSON file with such a mapping;
        - a checkpoint: a file that ends with .safetensors, an index, or a folder with either;
        - a module, best on PyTorch's meta device: whatever has `named_parameters`. Buffers are left out, a parameter's
          role is its owner's class and its name there, such as "Linear.weight";
        - a configuration of Hugging Face: an object, a `config.json` or a folder with one. The model is made on the
          meta device by `transformers`, which must be installed; nothing is downloaded.

    Returns
    -------
    dict
        Name -> {"shape": (…), "role": …}, what a plan takes and JSON can hold; without `role` where nobody knows it.

    Raises
    ------
    ValueError, TypeError
        It is none of these, or a file that lies.
    ImportError
        Naming what to install.
    OSError
        Of a file.

    Examples
    --------
    >>> from fastinit import checkpoint
    >>> checkpoint.shapes({"w": (8, 4), "b": {"shape": [4], "role": "Linear.bias"}})
    {'w': {'shape': (8, 4)}, 'b': {'shape': (4,), 'role': 'Linear.bias'}}
    """
    return shapes_of(source)


def _metadata(plan: Plan, seed: int, dtype: str) -> dict[str, str]:
    return {
        "format": "pt",
        VERSION: __version__,
        CONTRACT_VERSION: str(CONTRACT),
        SEED: str(seed),
        DTYPE: dtype,
        PLAN: plan.to_json(),
    }


def _check_progress(progress: Any) -> None:
    if not callable(progress):
        check_flag("progress", progress)


@contextmanager
def _telling(words: str, total: int, progress: Progress) -> Iterator[Advance]:
    """Yield what counts bytes."""
    if callable(progress):
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total)

        advance(0)
        yield advance
    elif progress:
        with whole:
            from .showing.progress import bar
        with bar(words, total, always=True, of_bytes=True) as shown_bar:
            yield shown_bar.advance
    else:
        yield lambda count: None
