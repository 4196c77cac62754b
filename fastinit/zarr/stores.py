"""A plan's parameters as the arrays of a Zarr group."""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from fastinit_kernels.machine.forks import whole
from fastinit_kernels.numeric.integers import ceil_div
from numpy.typing import DTypeLike

from ..models import Assignments, Plan
from ..weights.dtypes import DTYPES, check_dtype
from ..weights.regions import Shape, check_shape
from ..weights.streams import check_seed
from ..words import check_integer, needs, printable, shown

with needs("Zarr", extra="zarr"):
    import zarr
    from zarr.core.sync import sync  # stores are asynchronous, and Zarr has no other way from here into its loop

CONTRACT = 1
_RECORD = "fastinit"


def init_store(
    store: Any,
    shapes: Mapping[str, Any],
    plan: Plan,
    *,
    seed: int | None = None,
    dtype: DTypeLike = "float32",
    chunks: Mapping[str, Any] | None = None,
    chunk_bytes: int = 1 << 26,
    shards: Mapping[str, Any] | None = None,
    compressors: Any = None,
    workers: int | None = None,
) -> Any:
    """Write a plan's parameters to a Zarr group, and return it.

    Each parameter is an array by its name, which holds `fastinit.init(…)` of it whatever the chunks are. Chunks are
    drawn and written by several threads; no more is in memory than a chunk a thread. The same call after a kill, a
    full disk or Ctrl-C goes on where it was: chunks that are there, in full length, are not drawn again.

    Parameters
    ----------
    store
        What `zarr.open_group` takes: a path, a `zarr.abc.store.Store`, a URL where fsspec is installed. Its group may
        hold other things.
    shapes, plan, dtype
        As in `fastinit.Plan.init`. bfloat16 and the 8-bit types have the names of Zarr's extensions, which TensorStore
        reads; zarr-python does where `fastinit.zarr` is imported.
    seed
        0 <= seed < 2^64; None takes the one that the store has, or fresh entropy.
    chunks
        Name -> shape of its chunks; of the others they are rows of at most `chunk_bytes`.
    chunk_bytes
        >= 1.
    shards
        Name -> shape of its shards, multiples of its chunks. A shard is written at once.
    compressors
        As in `zarr.create_array`. None, by default: random bits do not get smaller.
    workers
        Threads, >= 1; None for the CPUs of this process.

    Returns
    -------
    zarr.Group
        Its attribute "fastinit" has the plan, the seed and the version of the contract, and names tied parameters,
        which are not written twice. Skipped ones are left out.

    Raises
    ------
    ValueError, TypeError
        As `fastinit.Plan.init`; for names that Zarr cannot have; for a store that another call began, or that has
        something else under one of the names; before anything is written.

    Examples
    --------
    >>> import fastinit as fi, zarr
    >>> from fastinit.zarr import init_store
    >>> store = zarr.storage.MemoryStore()
    >>> plan = fi.Plan([("**", "he_normal")])
    >>> group = init_store(store, {"w": (100, 60)}, plan, seed=1, dtype="bfloat16", chunks={"w": (32, 60)})
    >>> w = fi.init("he_normal", (100, 60), seed=1, name="w", dtype="bfloat16")
    >>> group["w"].nchunks, bool((group["w"][:] == w).all())
    (4, True)
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"argument 'plan' must be a fastinit.Plan, got {shown(plan)}")
    found = plan.resolve(shapes, dtype=dtype)
    cuts = _cuts(found, chunks, shards, check_integer("chunk_bytes", chunk_bytes, minimum=1))
    threads = _cpus() if workers is None else check_integer("workers", workers, minimum=1)
    _check_names(found)
    check_seed(seed)
    group = _open(store)
    record = group.attrs.asdict().get(_RECORD)
    ties = {name: a.tie for name, a in found.items() if a.tie is not None}
    words = {"contract": CONTRACT, "plan": plan.to_json(), "dtype": check_dtype(dtype), "ties": ties}
    number = _same_call(record, words, seed, store)
    found.check(number)
    arrays = {name: _existing(group, name, found, cut, record is None, store) for name, cut in cuts.items()}
    if record is None:
        group.attrs[_RECORD] = {**words, "seed": str(number)}  # JSON's numbers are those of 53 bits
    for name, cut in cuts.items():
        arrays[name] = arrays[name] or _create(group, name, found, cut, compressors)
    _run(_Writer(found, number, arrays, cuts).jobs(), threads)
    return group


@dataclass(frozen=True)
class _Cut:
    """How an array is cut: into chunks, and into what is written at once."""

    chunks: Shape
    shards: Shape | None

    @property
    def written(self) -> Shape:
        """The shape of what is written at once."""
        return self.shards or self.chunks


def _cuts(found: Assignments, chunks: Any, shards: Any, most: int) -> dict[str, _Cut]:
    given = {argument: _by_name(argument, value, found) for argument, value in (("chunks", chunks), ("shards", shards))}
    cuts = {}
    for name, assignment in found.items():
        if not assignment.is_drawn:
            continue
        shape = assignment.shape
        inner, outer = (given[argument].get(name) for argument in ("chunks", "shards"))
        if inner is None:
            inner = _rows(outer or shape, most // DTYPES[assignment.dtype].itemsize)
            if outer is not None:  # a shard holds whole chunks
                inner = tuple(math.gcd(n, m) for n, m in zip(inner, outer, strict=True))
        for argument, sizes, unit in (("chunks", inner, (1,) * len(shape)), ("shards", outer, inner)):
            if sizes is not None and (
                len(sizes) != len(shape) or any(n < 1 or n % m for n, m in zip(sizes, unit, strict=True))
            ):
                rule = f"a size >= 1 for each axis of {shape}" + ", a multiple of its chunks" * (argument == "shards")
                raise ValueError(f"argument '{argument}[{printable(name)}]' must have {rule}, got {sizes}")
        cuts[name] = _Cut(inner, outer)
    return cuts


def _by_name(argument: str, value: Any, found: Assignments) -> dict[str, Shape]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"argument '{argument}' must map names to shapes, got {shown(value)}")
    for name in value:
        if name not in found:
            raise ValueError(f"argument '{argument}' must have names of parameters, got {shown(name)}")
    try:
        return {name: check_shape(shape) for name, shape in value.items()}
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("'shape'", f"'{argument}'")) from None


def _rows(shape: Shape, most: int) -> Shape:
    """Return the shape of blocks of at most about `most` elements that are in one piece in memory."""
    sizes = []
    for axis, size in enumerate(shape):
        inner = math.prod(n for n in shape[axis + 1 :] if n)
        sizes.append(max(1, min(size, most // inner)))
    return tuple(sizes)


def _check_names(found: Assignments) -> None:
    """Refuse names that Zarr would not have, or would have mean something else."""
    seen = {tuple(name.split("/")) for name, assignment in found.items() if assignment.is_drawn}
    for parts in seen:
        bad = any(part in ("", ".", "..", "zarr.json") or part.startswith("__") or "\\" in part for part in parts)
        if bad or any(parts[:n] in seen for n in range(1, len(parts))):
            rule = "paths of Zarr's: parts between '/' that are no '.', '..' or 'zarr.json', and none below another"
            raise ValueError(f"argument 'shapes' must have names that are {rule}, got {shown('/'.join(parts))}")


def _open(store: Any) -> Any:
    try:
        return zarr.open_group(store, mode="a", zarr_format=3)
    except OSError:
        raise
    except Exception as error:  # Zarr's own kinds: no store, an array, another format
        refusal = f"argument 'store' must be one that Zarr can open as a group, got {shown(store)}: {shown(str(error))}"
        raise (TypeError if isinstance(error, TypeError) else ValueError)(refusal) from error


def _same_call(record: Any, words: Mapping[str, Any], seed: int | None, store: Any) -> int:
    """Return the seed, of the store if it was begun; refuse one that another call began."""
    if record is None:
        return check_seed(seed)
    theirs = record if isinstance(record, Mapping) else {}
    known = theirs.get("seed") if seed is None else str(check_seed(seed))
    other = [word for word, value in {**words, "seed": known or ""}.items() if theirs.get(word) != value]
    if other:
        raise ValueError(
            f"argument 'store' must be new or begun by the same call, got {shown(store)}, of another {', '.join(other)}"
        )
    return int(theirs["seed"])


def _existing(group: Any, name: str, found: Assignments, cut: _Cut, is_new: bool, store: Any) -> Any:
    """Return the array that an earlier call made; refuse whatever else has its name."""
    there = group.get(name)
    if there is None:
        return None
    assignment = found[name]
    same = not is_new and isinstance(there, zarr.Array) and (there.shape, there.dtype, there.chunks, there.shards) == (
        assignment.shape, DTYPES[assignment.dtype], cut.chunks, cut.shards,
    )  # fmt: skip
    if not same:
        raise ValueError(
            f"argument 'store' must have nothing else under the name of {printable(name)}, got {shown(store)}"
        )
    return there


def _create(group: Any, name: str, found: Assignments, cut: _Cut, compressors: Any) -> Any:
    assignment = found[name]
    try:
        return group.create_array(
            name,
            shape=assignment.shape,
            dtype=DTYPES[assignment.dtype],
            chunks=cut.chunks,
            shards=cut.shards,
            compressors=compressors,
            fill_value=0,
        )
    except OSError:
        raise
    except Exception as error:  # all else has been looked at
        refusal = f"argument 'compressors' must be what zarr.create_array takes, got {shown(compressors)}"
        raise ValueError(f"{refusal}: {shown(str(error))}") from error


@dataclass(frozen=True)
class _Writer:
    """Draws what is missing."""

    found: Assignments
    seed: int
    arrays: Mapping[str, Any]
    cuts: Mapping[str, _Cut]

    def jobs(self) -> Iterator[Any]:
        """Return functions, one for each block that is not there."""
        return self._missing({name: _blocks(array, self.cuts[name].written) for name, array in self.arrays.items()})

    def _missing(self, there: Mapping[str, set[str]]) -> Iterator[Any]:
        for name, array in self.arrays.items():
            size = self.cuts[name].written
            counts = [ceil_div(n, m) for n, m in zip(array.shape, size, strict=True)]
            for index in itertools.product(*map(range, counts)):
                if array.metadata.encode_chunk_key(index) not in there[name]:
                    yield partial(self.write, name, index)

    def write(self, name: str, index: tuple[int, ...]) -> None:
        """Draw a block on this thread alone, and write it."""
        with whole:
            from fastinit_kernels.machine.threads import alone

        array, size = self.arrays[name], self.cuts[name].written
        region = tuple(slice(i * m, min((i + 1) * m, n)) for i, m, n in zip(index, size, array.shape, strict=True))
        block = np.empty([part.stop - part.start for part in region], array.dtype)
        with alone():
            self.found.fill(name, seed=self.seed, region=region, out=block)
        array[region] = block


def _blocks(array: Any, size: Shape) -> set[str]:
    """Return the keys, below the array's own, of blocks that are there whole; those of zeros Zarr does not write."""
    store, prefix = array.store_path.store, f"{array.store_path.path}/".lstrip("/")
    plain = array.shards is None and not array.compressors
    length = math.prod(size) * array.dtype.itemsize

    async def found() -> set[str]:
        keys = [key async for key in store.list_prefix(prefix)]
        return {key[len(prefix) :] for key in keys if not plain or await store.getsize(key) == length}

    there: set[str] = sync(found())
    return there


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(jobs: Iterator[Any], threads: int) -> None:
    """Run all, each on one of the threads; the first that fails, or Ctrl-C, lets the others end theirs."""
    lock, stop = threading.Lock(), threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                with lock:
                    job = next(jobs, None)
                if job is None:
                    return
                job()
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(threads, thread_name_prefix="fastinit-zarr") as pool:
        workers = [pool.submit(work) for _ in range(threads)]
        try:
            for worker in workers:
                worker.result()
        finally:
            stop.set()
