"""Real tensors held against the laws that a plan declares for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from fastinit_kernels.machine.forks import whole
from numpy.typing import DTypeLike

from ..weights.dtypes import DTYPES, check_dtype
from ..weights.streams import check_seed
from ..words import check_finite, check_flag, printable, shown
from .check_findings import Group, findings, of_copies, of_sets
from .check_hints import Hints
from .check_measured import Advance, Whole, measure, spacing
from .check_result import CheckResult, CheckRow, Finding
from .check_scores import Precision, holm, judge
from .check_statistics import BLOCK, Sample, blocks
from .held import NUMBERS, Held, Holding, hold
from .pieces import Assignment
from .pieces import whole as everything
from .plan import Plan, resolver_of
from .sources import shapes_of
from .verification import DTYPE, PLAN, SEED

# Of the drawn tensors, the share that fits no longer by accident or by one mistake.
_TRAINED = 0.3
# Of those that do not fit, the share with a plain law of another kind that says they were only drawn.
_CLEAN = 0.8
_DEVIATES = {"std", "mean", "law", "bounds"}

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
    ...     "a.weight": fi.init("he_normal", (256, 512), layout="io", seed=0, name="a.weight"),
    ...     "a.bias": fi.init("zeros", 256),
    ... }
    >>> print(fi.check(tensors, plan))
    tensors: 2, laws tested: 1, level: 0.01; 1 not as declared
    a.weight: std 0.0884... is 1.41... times the 0.0625 of Normal(mean=0, std=0.0625) (z = 18...): as if ...
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
    checker = _Checker(holding, *_origin(holding.metadata, plan, number, declared), level)
    checker.sort(wanted)
    with _telling(checker.total, progress) as advance:
        checker.measure(advance)
    return checker.result()


def _origin(
    metadata: Mapping[str, str], plan: Plan | None, seed: int | None, dtype: str | None
) -> tuple[Plan, int | None, str | None]:
    """Return plan, seed and type: those that are given, or else what the files say."""
    if plan is None:
        text = metadata.get(PLAN)
        if not text:
            raise ValueError("argument 'plan' must be given for tensors that do not hold their own, got None")
        plan = Plan.from_json(text)
        said = metadata.get(SEED, "")
        if seed is None and said.isascii() and said.isdigit() and len(said) < 21:
            seed = check_seed(int(said))
        if dtype is None and metadata.get(DTYPE) in DTYPES:
            dtype = metadata[DTYPE]
    return plan, seed, dtype


@contextmanager
def _telling(total: int, progress: Progress) -> Iterator[Advance]:
    """Yield what counts bytes."""
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        if callable(progress):
            progress(done, total)

    if progress is True:
        with whole:
            from ..showing.progress import bar
        with bar("checking", total, of_bytes=True) as line:
            yield line.advance
    else:
        yield tell


class _Checker:
    """Sorts tensors into those that can be measured and those that something is wrong with, measures, and judges."""

    def __init__(self, holding: Holding, plan: Plan, seed: int | None, dtype: str | None, level: float) -> None:
        self._held, self._plan, self._seed, self._dtype, self._level = holding.tensors, plan, seed, dtype, level
        self._findings: list[Finding] = []
        self._assigned: dict[str, Assignment] = {}
        self._wholes: dict[str, Whole] = {}
        self._ties_broken: set[str] = set()

    @property
    def total(self) -> int:
        """Bytes that will be read."""
        return sum(_bytes(self._held[name]) for name in self._measured())

    def _measured(self) -> list[str]:
        return [name for name, found in self._assigned.items() if found.is_drawn and self._held[name].dtype in NUMBERS]

    def _find(self, kind: str, name: str, words: str, *, is_note: bool = False) -> None:
        self._findings.append(Finding(kind, name, words, is_note))

    def sort(self, wanted: Mapping[str, Any] | None) -> None:
        """Find the rule of each tensor, and those that are missing, have no rule, or another shape or type."""
        known = wanted or {}
        asked = {name: {**known.get(name, {}), "shape": held.shape} for name, held in self._held.items()}
        absent = {name: entry for name, entry in known.items() if name not in asked}
        resolver = resolver_of(self._plan, {**asked, **absent})
        for name, patterns in resolver.matched().items():
            if len(patterns) != 1 and name in asked:
                kind = "several" if patterns else "extra"
                words = f"rules {', '.join(patterns)} match" if patterns else "no rule of the plan matches"
                self._find(kind, name, f"{words}: {self._held[name].shape}")
            elif name in asked and wanted is not None and name not in known:
                self._find("extra", name, f"there is no such parameter in the model: {self._held[name].shape}")
        assigned = resolver.assigned("float32")
        for name in absent:
            found = assigned.get(name)
            if found is None or found.is_drawn:
                self._find("missing", name, f"not there, of shape {tuple(known[name]['shape'])}")
        for name, found in assigned.items():
            if name in self._held:
                self._sort(name, found, known)
        used = {assignment.rule for assignment in assigned.values()}
        unused = [pattern for i, (pattern, _) in enumerate(self._plan.rules) if i not in used]
        if unused:
            self._find("unused", "", f"rules that matched nothing: {', '.join(unused)}", is_note=True)

    def _sort(self, name: str, found: Assignment, known: Mapping[str, Any]) -> None:
        held = self._held[name]
        shape = known.get(name, {}).get("shape", held.shape)
        if tuple(shape) != held.shape:
            self._find("shape", name, f"shape {held.shape} where {tuple(shape)} was declared")
            return
        rule = self._plan.rules[found.rule][1]
        declared = rule.get("dtype", self._dtype) if isinstance(rule, dict) else self._dtype
        if declared is not None and declared != held.dtype and (found.is_drawn or found.tie is not None):
            self._find("dtype", name, f"{held.dtype} where {declared} was declared")
        elif held.dtype in NUMBERS and found.is_drawn and NUMBERS[held.dtype].kind in "biu" and _is_random(found):
            self._find("dtype", name, f"{held.dtype}, which no drawn weight is")
        if held.dtype not in NUMBERS:
            self._find("unread", name, f"values of type {held.dtype} were not looked at", is_note=True)
        self._assigned[name] = found

    def measure(self, advance: Advance) -> None:
        """Read every tensor that is drawn, and hold tied ones against each other."""
        for name in self._measured():
            self._wholes[name] = measure(self._assigned[name], self._held[name], self._seed, advance)
        for name, found in self._assigned.items():
            if found.tie is not None and not self._is_tied(name, found.tie):
                self._ties_broken.add(name)

    def _is_tied(self, name: str, other: str) -> bool:
        if other not in self._held:
            self._find("missing", other, f"not there, and {printable(name)} is tied to it")
            return False
        a, b = self._held[name], self._held[other]
        words = f"not equal to {printable(other)}, which it is tied to"
        if (a.shape, a.dtype) != (b.shape, b.dtype) or (a.dtype in NUMBERS and not _equal(a, b)):
            self._find("tie", name, words)
            return False
        return True

    def result(self) -> CheckResult:
        """Judge all rows together."""
        groups = [group for whole in self._wholes.values() for group in self._groups(whole)]
        of_rows = [float("nan") if group.verdict is None else group.verdict.p for group in groups]
        corrected = holm(of_rows)
        tested = float(sum(p == p for p in of_rows))
        found: list[Finding] = []
        rows = []
        for group, p in zip(groups, corrected, strict=True):
            if group.verdict is not None and group.verdict.p == group.verdict.p:
                group.alarm = max(1.0, p / group.verdict.p) if group.verdict.p else tested
            found += findings(group)
        found += of_copies(groups)
        found += [finding for whole in self._wholes.values() for finding in of_sets(whole)]
        wrong = {finding.parameter for finding in (*found, *self._findings) if not finding.is_note}
        self._findings += found
        for group, p in zip(groups, corrected, strict=True):
            rows.append(_row(group, p, group.name in wrong))
        rows += [self._unmeasured(name, found) for name, found in self._assigned.items() if name not in self._wholes]
        order = {name: i for i, name in enumerate(self._held)}
        self._of_model(groups)
        ranked = sorted(self._findings, key=lambda finding: order.get(finding.parameter, len(order)))
        return CheckResult(sorted(rows, key=lambda row: order[row.parameter]), ranked, self._level)

    def _groups(self, found: Whole) -> Iterator[Group]:
        by_law: dict[Any, list[Any]] = {}
        for measured in found.pieces:
            by_law.setdefault(measured.piece.law, []).append(measured)
        precision = Precision(*spacing(NUMBERS[found.assignment.dtype]))
        for pieces in by_law.values():
            sample = Sample()
            for measured in pieces:
                sample.merge(measured.sample)
            law = pieces[0].expected
            verdict = None if law.is_fixed else judge(sample, [m.sample for m in pieces], law, precision)
            hints = Hints(pieces[0].piece, found.assignment.shape, self._plan.variables, precision)
            yield Group(found, pieces, sample, verdict, hints, self._level)

    def _unmeasured(self, name: str, found: Assignment) -> CheckRow:
        law = "skip" if found.tie is None else f"tied to {found.tie}"
        if found.is_drawn:
            law = "not looked at"
        status = "unchecked" if found.tie is None else "differs" if name in self._ties_broken else "follows"
        return CheckRow(name, "", found.shape, self._held[name].dtype, found.pattern, law, status=status)

    def _of_model(self, groups: list[Group]) -> None:
        """Say what is true of many tensors at once."""
        off = {finding.parameter for finding in self._findings if finding.kind in _DEVIATES}
        drawn = {group.name for group in groups if group.verdict is not None and group.verdict.p == group.verdict.p}
        fixed = {group.name for group in groups if group.verdict is None}
        changed = {finding.parameter for finding in self._findings if finding.kind == "value"} & fixed
        if len(off & drawn) > max(1.0, _TRAINED * len(drawn)):
            words = f"{_percent(off & drawn, drawn)} of the {len(drawn)} drawn tensors"
            if fixed:
                words += f" and {_percent(changed, fixed)} of the {len(fixed)} constant ones"
            verdict = _history(groups, off, changed, fixed)
            self._find("trained", "", f"{words} no longer follow their law: {verdict}")
        if self._seed is not None and groups:
            names = {group.name for group in groups}
            others = {group.name for group in groups if not group.is_initial}
            self._find(
                "initial",
                "",
                f"{len(names - others)} of {len(names)} tensors hold the bytes of seed {self._seed}",
                is_note=True,
            )


def _history(groups: list[Group], off: set[str], changed: set[str], fixed: set[str]) -> str:
    """Return words on what happened to tensors that do not follow their laws.

    Training leaves no clean normal or uniform law about 0 behind, and moves norms and biases from where they began.
    """
    told = [group.is_clean for group in groups if group.name in off]
    clean = [is_clean for is_clean in told if is_clean is not None]
    if clean and sum(clean) > _CLEAN * len(clean):
        return "another initialisation, as they follow plain laws"
    if len(fixed) > 1 and len(changed) > len(fixed) / 2:
        return "trained"
    return "trained, or another initialisation"


def _percent(some: set[str], every: set[str]) -> str:
    return f"{100 * len(some) / len(every):.0f} %"


def _is_random(found: Assignment) -> bool:
    return any(piece.law.variance for piece in found.pieces)


def _bytes(held: Held) -> int:
    return held.size * NUMBERS[held.dtype].itemsize


def _equal(a: Held, b: Held) -> bool:
    x, y = a.array(), b.array()
    return all(
        np.array_equal(x[where], y[where], equal_nan=True)
        for region in blocks(everything(a.shape), BLOCK)
        for where in [tuple(slice(start, start + n) for start, n in region)]
    )


def _row(group: Group, p: float, is_wrong: bool) -> CheckRow:
    assignment, sample, law = group.whole.assignment, group.sample, group.law
    row = CheckRow(
        assignment.name, group.label, assignment.shape, assignment.dtype, assignment.pattern, group.declared,
        sample.count, sample.nonfinite, expected_mean=law.mean, expected_std=law.std,
        expected_kurtosis=law.kurtosis, expected_min=law.low, expected_max=law.high, p_corrected=p,
        initial=group.is_initial,
        status="differs" if is_wrong else "initial" if group.is_initial else "follows" if sample.count else "unchecked",
    )  # fmt: skip
    if sample.finite:
        row = replace(
            row, mean=sample.mean, std=sample.std, kurtosis=sample.kurtosis, min=sample.low, max=sample.high,
            zeros=sample.zeros / sample.finite,
        )  # fmt: skip
    if group.verdict is not None:
        scores = {name: score.z for name, score in group.verdict.whole.items()}
        nan = float("nan")
        row = replace(row, p=group.verdict.p, z_mean=scores.get("mean", nan), z_std=scores.get("std", nan))
    return row
