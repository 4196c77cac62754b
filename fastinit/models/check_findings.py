"""What a parameter's figures say of it, in words: what was forgotten, repeated, or drawn by another law."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..weights.expected import Expected
from ..weights.laws import Constant
from ..words import number, printable
from .check_hints import Hints
from .check_measured import Measured, Whole
from .check_result import Finding
from .check_scores import Verdict
from .check_statistics import Sample
from .explain import law_words

# So far out lies only what nobody drew: memory that was taken and not written, or a number read in another type.
_GARBAGE_STD, _GARBAGE = 1e6, 1e4
# Share of exact zeros among draws of a law that has none; coarse uniforms of other libraries have up to 2^-8.
_MANY_ZEROS = 0.01
# Elements that tell one law from another.
_TELLING = 1000


@dataclass
class Group:
    """The pieces of a parameter that have one law, and their tests; `verdict` is None where nothing is left to chance.

    Attributes
    ----------
    sample, rest
        Of all elements, and without rows and pieces of zeros: what is tested.
    alarm
        What a test's probability is multiplied by, beside its row's factors; it is a finding up to `level`.
    """

    whole: Whole
    pieces: list[Measured]
    sample: Sample
    rest: Sample
    verdict: Verdict | None
    hints: Hints
    level: float = 0.01
    alarm: float = 1.0

    @property
    def law(self) -> Expected:
        """What the law says."""
        return self.pieces[0].expected

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.whole.assignment.name

    @property
    def label(self) -> str:
        """The streams of the pieces, "" where the parameter is one tensor."""
        names = [measured.piece.name for measured in self.pieces]
        if len(self.whole.pieces) == 1:
            return ""
        return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]} ({len(names)})"

    @property
    def is_initial(self) -> bool | None:
        """Whether all elements are those of the seed, None where nobody asked."""
        found = [measured.differing for measured in self.pieces]
        return None if None in found else not any(found)

    @property
    def rounded_zeros(self) -> float:
        """About the share of elements that rounding to the type makes 0, and more."""
        return 4 * self.hints.step / self.law.std if self.law.std else math.inf

    @property
    def is_clean(self) -> bool | None:
        """Whether the elements follow some plain law about 0, whatever was declared; None of too few to tell."""
        sample = self.rest
        if sample.finite < _TELLING or not sample.std > 0:
            return None
        return bool(self.hints.families(sample)) and abs(sample.mean) * math.sqrt(sample.finite) < 5 * sample.std

    @property
    def declared(self) -> str:
        """The law, in words."""
        return law_words(self.pieces[0].piece.law)


def findings(group: Group) -> list[Finding]:
    """Return what is wrong with the elements of one law."""
    where = f"[{group.label}] " if group.label else ""
    finder = _fixed if group.verdict is None else _drawn
    return [Finding(kind, group.name, where + words) for kind, words in finder(group)]


def _drawn(group: Group) -> Iterator[tuple[str, str]]:
    sample = group.sample
    yield from _nonfinite(group)
    if not sample.finite:
        return
    if group.is_initial:
        return
    if sample.low == sample.high and sample.finite > 1:
        yield _constant(group)
        return
    reach = max(abs(sample.low), abs(sample.high))
    if reach > _GARBAGE and reach > _GARBAGE_STD * (abs(group.law.mean) + group.law.std):
        yield (
            "garbage",
            f"elements up to {number(reach, 3)} where {group.declared} was declared: memory that nobody wrote, or "
            "numbers of another type",
        )
        return
    yield from _untouched(group)
    repeated = list(_repeated(group))
    yield from repeated
    if any(words.startswith("all ") for _, words in repeated):  # few independent elements are left to be tested
        return
    yield from _deviating(group)


def _nonfinite(group: Group) -> Iterator[tuple[str, str]]:
    sample = group.sample
    if not sample.nonfinite:
        return
    found = [(sample.nan, "NaN"), (sample.above, "inf"), (sample.below, "-inf")]
    words = ", ".join(f"{word} in {count}" for count, word in found if count)
    hint = ""
    if sample.below and not sample.nan and not sample.above:
        hint = ", as the logarithm of a 0: draw and take it in float32, and round afterwards"
    yield "nonfinite", f"{words} of {sample.count} elements{hint}"


def _constant(group: Group) -> tuple[str, str]:
    sample = group.sample
    if not sample.low:
        hint = "never initialised, or zeroed"
        return "zeros", f"all {sample.finite} elements are 0, where {group.declared} was declared: {hint}"
    return "constant", f"all {sample.finite} elements are {number(sample.low, 4)}, where {group.declared} was declared"


def _untouched(group: Group) -> Iterator[tuple[str, str]]:
    rows = sum(measured.zero_rows[0] for measured in group.pieces)
    empty = _empty(group)
    if empty:
        yield (
            "zeros",
            f"{len(empty)} of {len(group.pieces)} are all 0, the first {printable(empty[0])}: never initialised?",
        )
    elif rows:
        first = next(measured for measured in group.pieces if measured.zero_rows[0])
        of = sum(measured.piece.shape[0] for measured in group.pieces)
        yield (
            "zero_rows",
            f"{rows} of {of} rows are 0, the first {first.zero_rows[1]}{_at(group, first)}: padding, or untouched",
        )
    share, law = group.sample.zeros / group.sample.finite, group.law
    rate = law.zeros + group.rounded_zeros
    if not rows and not empty and share > rate + _MANY_ZEROS and not law.zeros:
        yield (
            "zeros",
            f"{100 * share:.3g} % of the elements are 0, where {group.declared} has none: masked, or untouched",
        )
    spread = min(law.zeros, 1 - law.zeros)
    room = 0.05 * spread + 5 * math.sqrt(spread / group.sample.finite) + group.rounded_zeros
    if law.zeros and abs(share - law.zeros) > room:
        yield "zeros", f"{100 * share:.4g} % of the elements are 0, where {group.declared} has {100 * law.zeros:.4g} %"


def _empty(group: Group) -> list[str]:
    """Return the names of pieces, of several, that are all 0."""
    zeros = [m.piece.name for m in group.pieces if m.sample.finite and m.sample.low == m.sample.high == 0]
    return zeros if len(group.pieces) > 1 else []


def _repeated(group: Group) -> Iterator[tuple[str, str]]:
    for kind, axis in (("rows", 0), ("columns", -1)):
        found = [(m, m.equal_rows if axis == 0 else m.equal_columns) for m in group.pieces]
        copies = sum(count for _, (count, _, _) in found)
        if copies:
            measured, (_, a, b) = next((m, twins) for m, twins in found if twins[0])
            of = sum(m.piece.shape[axis] for m in group.pieces)
            all_of = "all" if copies >= of - len(group.pieces) else f"{copies} of {of}"
            word = f"{kind} are copies of others" if all_of != "all" else f"{kind} are equal"
            yield f"identical_{kind}", f"{all_of} {word}, as {a} and {b}{_at(group, measured)}: repeated draws"


def _at(group: Group, measured: Measured) -> str:
    return f" of {printable(measured.piece.name)}" if len(group.pieces) > 1 else ""


def _deviating(group: Group) -> Iterator[tuple[str, str]]:
    verdict = group.verdict
    assert verdict is not None
    few = list(_of_pieces(group))
    if few:
        yield from few
        return
    ours, _ = verdict.factors
    far = {name for name, score in verdict.whole.items() if score.p * ours * group.alarm <= group.level}
    sample, law = group.rest, group.law
    shape = far & {"low", "high", "kurtosis"}
    if "std" in far:
        z = verdict.whole["std"].z
        ratio = sample.std / law.std
        yield (
            "std",
            (
                f"std {number(sample.std, 4)} is {number(ratio, 4)} times the {number(law.std, 4)} of {group.declared} "
                f"(z = {number(z, 3)}){group.hints.of_std(sample, law)}"
            ),
        )
    if "mean" in far:
        yield (
            "mean",
            (
                f"mean {number(sample.mean, 4)} where {number(law.mean, 4)} is declared "
                f"(z = {number(verdict.whole['mean'].z, 3)}){_one_sided(sample, law)}"
            ),
        )
    if shape:
        yield from _of_shape(group, shape, far)


def _one_sided(sample: Sample, law: Expected) -> str:
    if law.mean == 0 and sample.finite > 8 and (sample.low >= 0 or sample.high <= 0):
        return ": all elements are of one sign"
    return ""


def _of_shape(group: Group, shape: set[str], far: set[str]) -> Iterator[tuple[str, str]]:
    sample, law = group.rest, group.law
    looks = group.hints.families(sample)
    if looks and group.hints.family_of(law) not in looks:
        figures = (
            f"kurtosis {number(sample.kurtosis, 3)}, within {number(group.hints.reach(sample), 3)} std of the mean"
        )
        yield "law", f"{looks[0]} in place of {group.declared} ({figures})"
        return
    margin = group.hints.margin(sample)
    if sample.low < law.low - margin or sample.high > law.high + margin:
        yield (
            "bounds",
            (
                f"elements between {number(sample.low, 4)} and {number(sample.high, 4)}, beyond the bounds "
                f"{number(law.low, 4)} and {number(law.high, 4)} of {group.declared}"
            ),
        )
    elif "kurtosis" in shape:
        yield "law", f"kurtosis {number(sample.kurtosis, 4)} where {group.declared} has {number(law.kurtosis, 4)}"
    elif not far - shape:  # a wrong std or mean moves the range, too
        yield (
            "law",
            (
                f"elements between {number(sample.low, 4)} and {number(sample.high, 4)}, a range that "
                f"{sample.finite} of {group.declared} do not have"
            ),
        )


def _of_pieces(group: Group) -> Iterator[tuple[str, str]]:
    """A few pieces that are unlike the others explain what is wrong with all of them together."""
    verdict = group.verdict
    assert verdict is not None
    factor = verdict.factors[1] * group.alarm
    pieces = list(zip(group.pieces, verdict.pieces, strict=False))  # no scores of a single one
    for name, figure in (("std", _std), ("mean", _mean)):
        far = [(scores[name], m) for m, scores in pieces if name in scores and scores[name].p * factor <= group.level]
        if not far or len(far) > len(pieces) / 2:
            continue
        score, measured = min(far, key=lambda pair: pair[0].p)
        yield (
            name,
            f"{len(far)} of {len(pieces)} have another {name} than {group.declared}, the farthest "
            f"{printable(measured.piece.name)}: {number(figure(measured.rest), 4)} (z = {number(score.z, 3)})"
            f"{group.hints.of_std(measured.rest, group.law) if name == 'std' else ''}",
        )


_std: Callable[[Sample], float] = lambda sample: sample.std  # noqa: E731
_mean: Callable[[Sample], float] = lambda sample: sample.mean  # noqa: E731


def _fixed(group: Group) -> Iterator[tuple[str, str]]:
    """A law that gives each element one value: zeros, ones, tables."""
    wrong = sum(measured.wrong for measured in group.pieces)
    sample = group.sample
    if not wrong:
        return
    yield from _nonfinite(group)
    if not sample.finite:
        return
    law = group.pieces[0].piece.law
    if isinstance(law, Constant) and sample.low == sample.high:
        found = f"all are {number(sample.low, 4)}"
    else:
        largest = max(measured.largest for measured in group.pieces)
        found = f"mean {number(sample.mean, 3)}, std {number(sample.std, 3)}, off by up to {number(largest, 3)}"
    declared = number(law.value, 4) if isinstance(law, Constant) else f"those of {group.declared}"
    yield "value", f"{wrong} of {sample.count} elements are not {declared}: {found}"


def of_sets(whole: Whole) -> list[Finding]:
    """Return what is wrong with elements that should have values of their own."""
    found = []
    for (box, value), wrong in zip(whole.assignment.sets, whole.wrong_sets, strict=True):
        if wrong:
            spans = ", ".join(str(start) if n == 1 else f"{start}:{start + n}" for start, n in box)
            words = f"{wrong} of {math.prod(n for _, n in box)} elements of [{spans}] are not {number(value, 4)}"
            found.append(Finding("set", whole.assignment.name, words))
    return found


def of_copies(groups: Sequence[Group]) -> list[Finding]:
    """Return which tensors are copies of others, or the same draws scaled."""
    found: list[Finding] = []
    digests: dict[tuple[object, ...], tuple[str, Measured]] = {}
    signs: dict[bytes, tuple[str, Measured]] = {}
    for group in groups:
        copies: dict[str, list[str]] = {}
        for measured in group.pieces:
            if measured.expected.is_fixed:
                continue
            own, here = measured.piece.name, (group.name, measured)
            key = (measured.digest, measured.piece.shape, group.whole.assignment.dtype)
            same = digests.setdefault(key, here) if measured.digest else here
            if same is not here:
                copies.setdefault(_place(same), []).append(own)
                continue
            drawn_alike = signs.setdefault(measured.signs, here) if measured.signs else here
            if drawn_alike is not here:
                ratio = measured.sample.std / drawn_alike[1].sample.std if drawn_alike[1].sample.std else math.nan
                found.append(Finding("rescaled", group.name, (
                    f"{_named(group, own)}begins with the random numbers of {_place(drawn_alike)}, times "
                    f"{number(ratio, 3)}: drawn from one seed"
                )))  # fmt: skip
        for other, names in copies.items():
            what = f"{len(names)} of {len(group.pieces)} are equal" if len(group.pieces) > 1 else "equal"
            found.append(Finding("identical", group.name, (
                f"{what} to {other}, element by element{_first(group, names)}: drawn from one seed, or copied"
            )))  # fmt: skip
    return found


def _first(group: Group, names: Sequence[str]) -> str:
    return f", the first {printable(names[0])}" if len(group.pieces) > 1 else ""


def _named(group: Group, name: str) -> str:
    return f"{printable(name)} " if len(group.pieces) > 1 else ""


def _place(found: tuple[str, Measured]) -> str:
    name, measured = found
    return printable(name if name == measured.piece.name else f"{name} [{measured.piece.name}]")
