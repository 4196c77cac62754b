"""Many probes at once: the product of lists of arguments."""

from __future__ import annotations

import itertools
import math
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from fastinit_kernels.machine.forks import whole
from fastinit_kernels.machine.memory import has_room_for_threads

from ..activations import is_function, label
from ..showing.progress import bar
from ..weights.schemes import as_scheme
from ..words import attribute, check_choice, check_flag, entries, plain_array, plain_value, shown
from .measure import measure, measure_depths
from .network import Network
from .resolve import resolve
from .result import ProbeResult
from .settings import check_argument
from .store import MOST_POINTS, Store
from .swept import SweepError, SweepResult

# Beyond this many activations in memory (256 MiB in float32) networks run one after the other, each on all threads:
# one a thread would need that memory several times over.
LARGE = 1 << 26

# Arguments whose single value is a sequence itself; a list of such is a grid's axis.
_SEQUENCES = ("widths", "range", "weights", "inputs", "network")

# What to do when a point fails.
_ON_ERROR = ("raise", "stop", "skip")


def sweep(
    *,
    executor: Executor | None = None,
    progress: bool = False,
    store: str | os.PathLike[str] | None = None,
    on_error: str = "raise",
    **grid: Any,
) -> SweepResult:
    """Probe every combination of lists of arguments.

    Parameters
    ----------
    executor
        Any executor of `concurrent.futures` (processes, a Dask client's, an MPI pool): gets the points, gives the
        same figures. None: small networks one a thread, large ones one after the other on all threads.
    progress
        Show a progress bar on stderr.
    store
        File that every finished point is appended to. A rerun with the same grid reads it and computes the rest;
        lines that do not belong are skipped with a warning. Several processes may share it.
    on_error
        What to do when a point fails (no memory, a worker that was killed, no room for the store). "raise": begin no
        other point, wait for those under way and raise a `SweepError`, whose `result` has all that is done. "stop":
        the same, but return it. "skip": go on with the others. The result's `errors` says which points failed, and
        why.
    **grid
        Every argument of `probe`, one value or a list (or tuple, range, 1-d array) of values. Where a single value
        is a list already (`widths`, `range`, `weights`, `inputs`, `network`, and any list with one entry a layer), give
        a list of such. A tuple of two functions is one activation with its derivative.

    Returns
    -------
    SweepResult
        Points in the order of `itertools.product`, the last argument fastest. After Ctrl-C: what is done.

    Raises
    ------
    ValueError, TypeError
        An argument of any point is wrong, or the store belongs to another grid; raised before anything is computed.
    OSError
        The store cannot be read and written; raised before anything is computed.
    SweepError
        A point failed, with ``on_error="raise"``. What is done is in its `result`, and in the store.

    Notes
    -----
    The figures are those of single probes, bit for bit. Points that differ in nothing but their depth share one
    forward pass, that of the deepest.

    Examples
    --------
    >>> import fastinit as fi
    >>> swept = fi.sweep(scheme=["he_normal", "xavier_normal"], depth=[2, 20], width=64, batch=32, seed=range(2))
    >>> swept
    SweepResult(scheme 2 x depth 2 x seed 2: 8 points)
    >>> [r.verdict for _, r in swept if r.depth == 20]
    ['healthy', 'healthy', 'vanishing', 'vanishing']
    """
    axes = {name: _values(name, value) for name, value in grid.items()}
    check_flag("progress", progress)
    check_choice("on_error", on_error, _ON_ERROR)
    if executor is not None and not callable(attribute(executor, "submit")):
        raise TypeError(f"argument 'executor' must be an executor of concurrent.futures, got {shown(executor)}")
    count = math.prod(map(len, axes.values()))
    if count > MOST_POINTS:
        longest = max(axes, key=lambda name: len(axes[name]))
        raise ValueError(f"argument '{longest}' must give at most {MOST_POINTS} points in all, got {count}")
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    networks = [resolve(point) for point in points]
    with _bar(len(points), progress) as advance:
        kept = None if store is None else Store(store, axes, list(map(_expected, points, networks)))
        outcome = _Outcome(dict(kept.done) if kept else {}, kept, on_error == "skip", advance)
        advance(len(outcome.results))
        jobs = _jobs(points, networks, outcome.results)
        with suppress(KeyboardInterrupt):  # what is done is done, and the result says that it is not all
            _run(jobs, executor, outcome)
    swept = SweepResult(
        {name: tuple(values) for name, values in axes.items()},
        tuple(outcome.results.get(index) for index in range(len(points))),
        dict(sorted(outcome.errors.items())),
    )
    if swept.errors and on_error == "raise":
        raise SweepError.of(swept) from next(iter(swept.errors.values()))
    return swept


def _expected(point: dict[str, Any], network: Network) -> dict[str, Any]:
    """Return what a point's result has recorded; without a seed it has one of its own."""
    arguments = network.settings()
    if "seed" in point and point["seed"] is None:
        del arguments["seed"]
    return arguments


# Pairs of a point's index and what came of it.
Outcomes = list[tuple[int, ProbeResult | Exception]]


@dataclass(frozen=True)
class Job:
    """Points that one computation serves: they differ in their depth only."""

    indices: tuple[int, ...]
    networks: tuple[Network, ...]
    work: int
    large: bool

    def run_beside_others(self) -> Outcomes:
        """Run on one thread, unless the network is large: the executor has other jobs for the other cores."""
        with whole:
            import numba
            from fastinit_kernels.machine.threads import available_threads
        if not has_room_for_threads(available_threads()):  # to ask Numba is to start them
            return self.run()
        threads = numba.get_num_threads()
        numba.set_num_threads(threads if self.large else 1)
        try:
            return self.run()
        finally:
            numba.set_num_threads(threads)

    def run(self) -> Outcomes:
        """Probe all of them on the way of the deepest; where that fails, each alone: one may be too deep."""
        if len(self.networks) > 1:
            with suppress(Exception):
                return list(zip(self.indices, measure_depths(self.networks), strict=True))
        return [(index, _tried(network)) for index, network in zip(self.indices, self.networks, strict=True)]


def _tried(network: Network) -> ProbeResult | Exception:
    try:
        return measure(network)
    except Exception as error:
        # What a frame of the failure holds may be large, and the error stays as long as the sweep's result.
        traceback.clear_frames(error.__traceback__)
        return error


def _jobs(points: list[dict[str, Any]], networks: list[Network], done: Mapping[int, Any]) -> list[Job]:
    groups: dict[Any, list[int]] = {}
    for index, (point, network) in enumerate(zip(points, networks, strict=True)):
        if index in done:
            continue
        rest = [id(value) for name, value in point.items() if name != "depth"]
        # The factor of the branches may follow the depth, and without a seed each point has its own.
        shared = (network.seed, network.branch_scale, *rest)
        groups.setdefault(shared if "depth" in point else index, []).append(index)
    jobs = []
    for indices in groups.values():
        deepest = max((networks[index] for index in indices), key=lambda network: network.depth)
        jobs.append(
            Job(
                indices=tuple(indices),
                networks=tuple(networks[index] for index in indices),
                work=deepest.work,
                large=deepest.memory > LARGE,
            )
        )
    # The longest first: then no thread is left with a long one at the end.
    return sorted(jobs, key=lambda job: -job.work)


@dataclass
class _Outcome:
    """What comes of the points, each kept at once."""

    results: dict[int, ProbeResult]
    store: Store | None
    go_on: bool
    advance: Callable[[int], None]
    errors: dict[int, Exception] = field(default_factory=dict)

    @property
    def stopped(self) -> bool:
        """Whether no other point shall begin."""
        return bool(self.errors) and not self.go_on

    def take(self, job: Job, run: Callable[[], Outcomes]) -> None:
        """Take what a job gives, for each of its points a result or an error."""
        try:
            outcomes = run()
        except Exception as error:
            self.fail(job, error)
            return
        for index, outcome in outcomes:
            if isinstance(outcome, Exception):
                self.errors[index] = outcome
            else:
                self.keep(index, outcome)
            self.advance(1)

    def fail(self, job: Job, error: Exception) -> None:
        """Take down why a job gave nothing."""
        self.errors.update(dict.fromkeys(job.indices, error))
        self.advance(len(job.indices))

    def keep(self, index: int, result: ProbeResult) -> None:
        """Keep a result, and store it if that can be done."""
        self.results[index] = result
        if self.store:
            try:
                self.store.add(index, result)
            except Exception as error:
                self.errors[index] = error


def _run(jobs: list[Job], executor: Executor | None, outcome: _Outcome) -> None:
    if executor is not None:
        _submit(jobs, executor, outcome)
        return
    with whole:
        from fastinit_kernels.machine.threads import available_threads
    threads = available_threads()
    small = [job for job in jobs if not job.large]
    if threads > 1 and len(small) >= threads and has_room_for_threads(threads):
        jobs = [job for job in jobs if job.large]
        with ThreadPoolExecutor(threads, "fastinit-sweep") as pool:
            _submit(small, pool, outcome)
    for job in jobs:
        if not outcome.stopped:
            outcome.take(job, job.run)


def _submit(jobs: list[Job], executor: Executor, outcome: _Outcome) -> None:
    """Hand the jobs over and collect them as they end; when stopped or interrupted, take back those not begun."""
    futures: dict[Future[Outcomes], Job] = {}
    try:
        for job in jobs:
            try:
                futures[executor.submit(job.run_beside_others)] = job
            except Exception as error:  # a broken pool
                outcome.fail(job, error)
        for future in as_completed(list(futures)):
            outcome.take(futures.pop(future), future.result)
            if outcome.stopped:
                break
        under_way = [future for future in futures if not future.cancel()]
        for future in as_completed(under_way):
            outcome.take(futures[future], future.result)
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def _values(name: str, value: Any) -> list[Any]:
    """Return an argument's values: those of a list, or the one."""
    check_argument(name)
    single = as_scheme if name == "scheme" else plain_value
    given = None if is_function(value) else entries(value, MOST_POINTS)
    if given is None or (name in _SEQUENCES and _is_single(name, value, given)):
        return [single(value)]
    if not 0 < len(given) <= MOST_POINTS:
        raise ValueError(f"argument '{name}' must hold from 1 to {MOST_POINTS} values, got {shown(value)}")
    values = [single(one) for one in given]
    # Results, tables and stores tell functions apart by their names.
    keys = {_key(label(v) if is_function(v) else v) for v in values}
    if name not in _SEQUENCES and len(keys) < len(values):
        raise ValueError(f"argument '{name}' must not repeat a value, got {shown(value)}")
    return values


def _key(value: Any) -> Any:
    """Return what tells a value from others."""
    try:
        return repr(value)
    except Exception:  # nested too deeply, or of thousands of digits: refused, with a name, by its own rule
        return id(value)


def _is_single(name: str, value: Any, given: list[Any]) -> bool:
    """Say whether a sequence is one value: widths of numbers, a pair of limits, a list of 2-d arrays."""
    if isinstance(value, np.ndarray) or not given:
        return True
    first = given[0]
    depth = 1 + max(map(_ndim, first), default=0) if isinstance(first, list | tuple) else _ndim(first)
    return depth < {"widths": 1, "range": 1, "inputs": 2, "weights": 3, "network": 1}[name]


def _ndim(value: Any) -> int:
    return plain_array(value).ndim


@contextmanager
def _bar(total: int, wanted: bool) -> Iterator[Callable[[int], None]]:
    """Yield what moves the progress bar on by some points."""
    if not wanted:
        yield lambda points: None
        return
    with bar("sweep", total, always=True) as progress:
        yield progress.advance
