"""Tensors in blocks, by several threads: drawn and written to a file, or drawn and compared with one.

A block is drawn by one thread, which takes it to its place while it is still in the cache. Nothing is mapped: a disk
that fails is an error then, and not a signal.
"""

from __future__ import annotations

import errno
import math
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from io import FileIO
from typing import NamedTuple

import numpy as np
from fastinit_kernels.machine.forks import whole
from numpy.typing import NDArray

from ..weights.dtypes import DTYPES
from ..weights.regions import Region, blocks, whole_region
from ..words import fitting, printable
from .pieces import Assignment
from .safetensors import Header

# Bytes that a thread draws at a time: they stay in its cache; and what all threads may have together.
_BLOCK, _MOST = 1 << 20, 48 << 20
# Seconds between two looks at what threads have done: Ctrl-C is answered by systems that do not interrupt a wait.
_PATIENCE = 0.5

Advance = Callable[[int], None]


class Block(NamedTuple):
    """A region of a tensor whose elements follow on each other, and where it begins in the file."""

    tensor: str
    source: Assignment
    region: Region
    position: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The region's."""
        return tuple(length for _, length in self.region)

    @property
    def bytes(self) -> int:
        """How many it has."""
        return int(math.prod(self.shape) * DTYPES[self.source.dtype].itemsize)


Work = Callable[[Block, NDArray[np.uint8]], None]


def blocks_of(header: Header, sources: Mapping[str, Assignment], most: int) -> Iterator[Block]:
    """Yield the blocks of a file's tensors, in their order, of at most `most` bytes.

    What only the whole tensor determines, such as an orthogonal matrix, is one block, however large.
    """
    for name in sorted(sources, key=lambda name: header.tensors[name].begin):
        source = sources[name]
        position, item = header.tensors[name].begin, DTYPES[source.dtype].itemsize
        for region in _regions(source, max(1, most // item)):
            block = Block(name, source, region, position)
            if block.bytes:
                yield block
            position += block.bytes


def _regions(source: Assignment, most: int) -> Iterator[Region]:
    if source.elementwise:
        yield from blocks(whole_region(source.shape), most)
        return
    rest = source.shape[len(source.stack) :]
    for indices in blocks(whole_region(source.stack), max(1, most // max(1, math.prod(rest)))):
        yield *indices, *((0, n) for n in rest)


def run(work: Work, header: Header, sources: Mapping[str, Assignment], advance: Advance) -> None:
    """Do some work for each block of a file's tensors, and tell how many bytes are done.

    Blocks too large for a thread's buffer come first, one after the other, each on all of Numba's threads.
    """
    count, most = _threading()
    wholes = {name: source for name, source in sources.items() if not source.elementwise}
    for block in blocks_of(header, wholes, most):
        if block.bytes > most:
            with fitting("shapes", f"{printable(block.tensor)} {block.shape}"):
                work(block, np.empty(block.bytes, np.uint8))
            advance(block.bytes)
    small = (block for block in blocks_of(header, sources, most) if block.bytes <= most)
    if count > 1:
        _Threads(work, small, most).run(count, advance)
    else:
        _each(work, small, most, advance)


def _each(work: Work, blocks: Iterator[Block], most: int, advance: Advance) -> None:
    """Do the work of one block after the other, in this thread alone."""
    with whole:
        from fastinit_kernels.machine.threads import alone
    buffer = np.empty(most, np.uint8)
    with alone():
        for block in blocks:
            work(block, buffer)
            advance(block.bytes)


def _threading() -> tuple[int, int]:
    """Return how many threads there are here, and how many bytes a block of theirs has."""
    with whole:
        from fastinit_kernels.machine.memory import has_room_for_threads
        from fastinit_kernels.machine.threads import available_threads
    count = available_threads()
    count = count if has_room_for_threads(count) else 1
    return count, max(1 << 16, min(_BLOCK, _MOST // (2 * count)))


class _Threads:
    """Python threads that take blocks one after the other; the kernels leave Python's lock alone."""

    def __init__(self, work: Work, blocks: Iterator[Block], most: int) -> None:
        self._work, self._blocks, self._most = work, blocks, most
        self._lock = threading.Lock()
        # Bytes that are done, None of a thread that is, or what it met.
        self._told: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        self._stopped = False

    def run(self, count: int, advance: Advance) -> None:
        """Return when all blocks are done; raise what a thread or a signal has raised, when all threads have ended."""
        threads = [threading.Thread(target=self._take, name=f"fastinit-{i}") for i in range(count)]
        try:
            for thread in threads:
                thread.start()
            while count:
                told = self._next()
                if isinstance(told, BaseException):
                    raise told
                if told is None:
                    count -= 1
                else:
                    advance(told)
        finally:
            self._stop(threads)

    def _next(self) -> int | BaseException | None:
        while True:
            try:
                return self._told.get(timeout=_PATIENCE)
            except queue.Empty:
                continue

    def _stop(self, threads: list[threading.Thread]) -> None:
        """Wait for the threads, whatever else comes: they write to a file that is about to be closed."""
        self._stopped = True
        interrupted: BaseException | None = None
        for thread in threads:
            while thread.is_alive():
                try:
                    thread.join()
                except BaseException as error:  # another Ctrl-C
                    interrupted = error
        if interrupted is not None:
            raise interrupted

    def _taken(self) -> Iterator[Block]:
        while not self._stopped:
            with self._lock:
                block = next(self._blocks, None)
            if block is None:
                return
            yield block

    def _take(self) -> None:
        try:
            _each(self._work, self._taken(), self._most, self._told.put)
            self._told.put(None)
        except BaseException as error:
            self._told.put(error)


def drawn(block: Block, buffer: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Return the bytes of a block, drawn into a buffer."""
    memory = buffer[: block.bytes]
    block.source.fill(block.region, memory.view(DTYPES[block.source.dtype]).reshape(block.shape), seed)
    return memory


def write_tensors(
    file: FileIO, first: bytes, header: Header, sources: Mapping[str, Assignment], seed: int, advance: Advance
) -> None:
    """Write a file's first bytes, and draw all its tensors into it."""
    place = _Place(file)
    place.write(memoryview(first), 0)

    def work(block: Block, buffer: NDArray[np.uint8]) -> None:
        place.write(drawn(block, buffer, seed).data, block.position)

    run(work, header, sources, advance)


def compare_tensors(
    path: str, header: Header, sources: Mapping[str, Assignment], seed: int, advance: Advance
) -> set[str]:
    """Draw all tensors of a file, and return the names of those of which it has other bytes."""
    differ: set[str] = set()
    with open(path, "rb", buffering=0) as file:
        place = _Place(file)

        def work(block: Block, buffer: NDArray[np.uint8]) -> None:
            if block.tensor in differ:
                return
            there = np.empty(block.bytes, np.uint8)
            place.read(there.data, block.position)
            if not np.array_equal(drawn(block, buffer, seed), there):
                differ.add(block.tensor)

        run(work, header, sources, advance)
    return differ


class _Place:
    """Positions of a file that several threads read and write."""

    def __init__(self, file: FileIO) -> None:
        self._file, self._handle, self._lock = file, file.fileno(), threading.Lock()

    def write(self, memory: memoryview, position: int) -> None:
        while memory:
            count = self._write(memory, position)
            memory, position = memory[count:], position + count

    def read(self, memory: memoryview, position: int) -> None:
        while memory:
            count = self._read(memory, position)
            if not count:
                raise OSError(errno.EIO, "The file has become shorter", self._file.name)
            memory, position = memory[count:], position + count

    def _write(self, memory: memoryview, position: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._handle, memory, position)
        with self._lock:  # Windows
            self._file.seek(position)
            return int(self._file.write(memory) or 0)

    def _read(self, memory: memoryview, position: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._handle, [memory], position)
        with self._lock:
            self._file.seek(position)
            return int(self._file.readinto(memory) or 0)
