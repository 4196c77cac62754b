"""Real tensors held against the laws that a plan declares for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastinit_kernels.machine.forks import whole
from numpy.typing import DTypeLike

from ..weights.dtypes import DTYPES, check_dtype
from ..weights.streams import CONTRACT, check_seed
from ..words import check_finite, check_flag, shown
from .check_measured import Advance
from .check_result import CheckResult
from .checker import Checker
from .held import hold
from .plan import Plan
from .sources import shapes_of
from .stored import Checkpoint
from .verification import DTYPE, PLAN, SEED, VERSION

_SEED_DIGITS = 21

Progress = bool | Callable[[int, int], object]


def check(
    tensors: Any,
    plan: Plan | None = None,
    *,
    shapes: Any = None,
    seed: int | None = None,
    dtype: DTypeLike | None = None,
    level: float = 0.01,
    progress: Progress = False,
) -> CheckResult:
    """Hold tensors against the laws that a plan declares: how far off each is, how probable that is, and why.

    Of the elements of each law (a parameter's, or those of its pieces that have one law) the mean, standard deviation,
    range and kurtosis are tested against the law's, two-sided; where a parameter has several pieces, such as experts,
    each piece's mean and standard deviation, too. A row's probability is that of its worst test times their number
    (Bonferroni); rows are corrected for their number by Holm's method, so that tensors that are as declared give a
    false alarm with probability `level` altogether. Laws that leave nothing to chance, such as zeros, are compared
    element by element. Tensors are read by blocks: memory does not grow with them.

    Parameters
    ----------
    tensors
        - a mapping of names to arrays: NumPy's, JAX's, PyTorch's (also on a GPU, one after the other), or whatever
          NumPy can read, in floating, integer or complex types, bfloat16 and float8 included. Nested mappings have
          names with "/" between the parts;
        - a module with a `state_dict`;
        - the path of a safetensors file, of an index of several, or of their folder: read by memory map.
    plan
        The plan; None takes the one that a checkpoint's files hold.
    shapes
        What should be there: anything that `fastinit.checkpoint.shapes` takes, for instance name -> shape, or a dict
        with a `shape` and a `role`. None: whatever is in `tensors`, of which nothing can be missing then.
    seed
        Given, or held by the checkpoint's files: rows tell whether they still hold the bytes that it gives.
    dtype
        The type of parameters whose rule says nothing else; None (and no word in the files) takes each as it is.
    level
        Probability of a false alarm, in [1e-12, 0.5].
    progress
        True for a bar on stderr, or a function of (bytes done, bytes of all).

    Returns
    -------
    CheckResult
        `ok`, `findings` in words, `rows` of figures, `table()`, `to_pandas()`, `to_dict()`; printed and in notebooks.

    Raises
    ------
    ValueError, TypeError, OSError
        Naming the argument or the file that cannot be read; tensors that are not as declared are findings.

    Notes
    -----
    The variance of a sample's variance is that of the law's own kurtosis; its probability comes from the cube root of
    Wilson and Hilferty, 1931. Kurtosis: Anscombe and Glynn, 1983. Several tests: Holm, 1979.

    Examples
    --------
    >>> import fastinit as fi
    >>> plan = fi.Plan([("*.weight", {"scheme": "he_normal", "layout": "oi"}), ("*.bias", "zeros")])
    >>> tensors = {
    ...     "a.weight": fi.init("he_normal", (256, 768), layout="io", seed=0, name="a.weight"),
    ...     "a.bias": fi.init("zeros", 256),
    ... }
    >>> print(fi.check(tensors, plan))
    tensors: 2, laws tested: 1, level: 0.01; 1 not as declared
    a.weight: std 0.0885... is 1.73... times the 0.05103 of Normal(mean=0, std=0.05103) (z = ...): as if fan_out = 256
    were used, not fan_in = 768
    """
    if not callable(progress):
        check_flag("progress", progress)
    level = check_finite("level", level, minimum=1e-12, maximum=0.5)
    if plan is not None and not isinstance(plan, Plan):
        raise TypeError(f"argument 'plan' must be a Plan, got {shown(plan)}")
    declared = None if dtype is None else check_dtype(dtype)
    number = None if seed is None else check_seed(seed)
    wanted = None if shapes is None else shapes_of(shapes)
    holding = hold(tensors)
    if wanted is None and holding.checkpoint is not None:
        wanted = shapes_of(holding.checkpoint.parameters())
    checker = Checker(holding.tensors, *_origin(holding.checkpoint, plan, number, declared), level)
    checker.sort(wanted, () if holding.checkpoint is None else holding.checkpoint.missing)
    with _telling(checker.total, progress) as advance:
        checker.measure(advance)
    return checker.result()


def _origin(
    found: Checkpoint | None, plan: Plan | None, seed: int | None, dtype: str | None
) -> tuple[Plan, int | None, str | None]:
    """Return plan, seed and type: those that are given, or else what a checkpoint says."""
    if found is not None and found.said(VERSION) == str(CONTRACT):
        if dtype is None and plan is None and found.said(DTYPE) in DTYPES:
            dtype = found.said(DTYPE)
        seed = said_seed(found) if seed is None else seed
    if plan is None:
        text = None if found is None else found.said(PLAN)
        if text is None:
            raise ValueError("argument 'plan' must be given for tensors that do not hold their own, got None")
        plan = Plan.from_json(text)
    return plan, seed, dtype


def said_seed(found: Checkpoint) -> int | None:
    """Return the seed that a checkpoint's files name, None where there is none."""
    text = found.said(SEED) or ""
    return check_seed(int(text)) if text.isascii() and text.isdigit() and len(text) < _SEED_DIGITS else None


@contextmanager
def _telling(total: int, progress: Progress) -> Iterator[Advance]:
    """Yield what counts bytes."""
    if progress is True:
        with whole:
            from ..showing.progress import BytesBar
        with BytesBar("checking") as bar:
            yield _counting(total, bar)
    else:
        yield _counting(total, progress) if callable(progress) else lambda count: None


def _counting(total: int, tell: Callable[[int, int], object]) -> Advance:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        tell(done, total)

    advance(0)
    return advance
