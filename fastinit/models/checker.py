"""Sorting, measuring and judging the tensors of a check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..weights.regions import blocks, whole_region
from ..words import printable
from .check_findings import Group, findings, of_copies, of_sets
from .check_hints import Hints
from .check_measured import Advance, Whole, measure, spacing
from .check_result import CheckResult, CheckRow, Finding
from .check_scores import Precision, holm, judge
from .check_statistics import BLOCK, merged
from .held import NUMBERS, Held
from .pieces import Assignment
from .plan import Plan, resolver_of

# Of the drawn tensors, the share that fits no longer by accident or by one mistake.
_TRAINED = 0.3
# Of those that do not fit, the share with a plain law of another kind that says they were only drawn.
_CLEAN = 0.8
_DEVIATES = {"std", "mean", "law", "bounds"}
NAN = float("nan")


class Checker:
    """Sorts tensors into those that can be measured and those that something is wrong with, measures, and judges."""

    def __init__(
        self, tensors: Mapping[str, Held], plan: Plan, seed: int | None, dtype: str | None, level: float
    ) -> None:
        self._held, self._plan, self._seed, self._dtype, self._level = tensors, plan, seed, dtype, level
        self._rules = plan.rules
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

    def sort(self, wanted: Mapping[str, Any] | None, lost: Sequence[str] = ()) -> None:
        """Find the rule of each tensor, and those that are missing, have no rule, or another shape or type.

        Parameters
        ----------
        wanted
            The shape and the role of what should be there, None where nobody says.
        lost
            Names of tensors whose file is not there.
        """
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
        for name in lost:
            if name not in known:
                self._find("missing", name, "not there, nor the file that its index names")
        for name, found in assigned.items():
            if name in self._held:
                self._sort(name, found, known)
        used = {assignment.rule for assignment in assigned.values()}
        unused = [pattern for i, (pattern, _) in enumerate(self._rules) if i not in used]
        if unused:
            self._find("unused", "", f"rules that matched nothing: {', '.join(unused)}", is_note=True)

    def _sort(self, name: str, found: Assignment, known: Mapping[str, Any]) -> None:
        held = self._held[name]
        shape = known.get(name, {}).get("shape", held.shape)
        if tuple(shape) != held.shape:
            self._find("shape", name, f"shape {held.shape} where {tuple(shape)} was declared")
            return
        rule = self._rules[found.rule][1]
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
        of_rows = [NAN if group.verdict is None else group.verdict.p for group in groups]
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
            sample, rest, law = merged(m.sample for m in pieces), merged(m.rest for m in pieces), pieces[0].expected
            verdict = None if law.is_fixed else judge(rest, [m.rest for m in pieces], law, precision)
            hints = Hints(pieces[0].piece, found.assignment.shape, self._plan.variables, precision)
            yield Group(found, pieces, sample, rest, verdict, hints, self._level)

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
        for region in blocks(whole_region(a.shape), BLOCK)
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
        row = replace(row, p=group.verdict.p, z_mean=scores.get("mean", NAN), z_std=scores.get("std", NAN))
    return row
