"""What a wrong standard deviation or shape would be right for: another fan, another scheme, another family."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..weights.expected import Expected, truncated_moments
from ..weights.gaussian import truncated_std
from ..weights.regions import Shape
from ..words import number
from .check_scores import Precision
from .check_statistics import Sample
from .pieces import Piece
from .resolve import both_fans

# A hint is given where the standard deviation is known well enough to tell it from others, and near enough.
_WELL_KNOWN, _NEAR = 0.02, 4.0
_MOST_HINTS = 2
_ACCIDENT = 7.0
_LEAST = 200
_CUT = truncated_std(-2.0, 2.0)


@dataclass(frozen=True)
class _Family:
    words: str
    moments: tuple[float, ...]
    reach: float
    """Of a sample, in its own standard deviations."""

    def error(self, n: int) -> float:
        return math.sqrt(Expected(0, 1, self.moments).kurtosis_variance / n)


_FAMILIES = (
    _Family("uniform", (0.0, 9 / 5, 0.0, 27 / 7, 0.0, 9.0), math.sqrt(3)),
    _Family("truncated at ±2 std", truncated_moments(-2.0, 2.0), 2.0 / _CUT),
    _Family("truncated at ±3 std", truncated_moments(-3.0, 3.0), 3.0 / truncated_std(-3.0, 3.0)),
    _Family("an untruncated normal", (0.0, 3.0, 0.0, 15.0, 0.0, 105.0), math.inf),
)


@dataclass(frozen=True)
class Hints:
    """What is known of a piece beside its figures: its fans, the plan's variables, its type's spacing."""

    piece: Piece
    shape: Shape
    """Of the whole parameter, with the axes of a stack."""
    variables: Mapping[str, Any]
    precision: Precision

    @property
    def step(self) -> float:
        """The least number above 0."""
        return self.precision.step

    def margin(self, sample: Sample) -> float:
        """Return how far beyond a bound rounding may carry an element."""
        return self.precision.ulp(max(abs(sample.low), abs(sample.high)))

    def of_std(self, sample: Sample, law: Expected) -> str:
        """Return words on what the standard deviation would be right for; "" if nothing is near."""
        kurtosis = sample.kurtosis if sample.kurtosis == sample.kurtosis else 3.0
        error = math.sqrt(max(kurtosis - 1, 0.1) / (4 * sample.finite))
        if error > _WELL_KNOWN or not sample.std > 0 or not law.std > 0 or not self._is_plain(sample, law):
            return ""
        words: list[str] = []
        for tier in self._tiers(law):
            words = [text for candidate, text in tier if _ratio(sample.std, candidate) <= _NEAR * error + 1e-6]
            if words:
                break
        if not words and self._n() is not None:
            n = self._n() or 0.0
            seen = n * (law.std / sample.std) ** 2
            return f"; its fan would have to be {number(seen, 3)}, not {number(n, 3)}"
        return f": as if {' or '.join(dict.fromkeys(words[:_MOST_HINTS]))}" if words else ""

    def _is_plain(self, sample: Sample, law: Expected) -> bool:
        """Whether the sample may come from a law: its own but for the scale, or a plain one. Training leaves none."""
        if self.families(sample) or not math.isfinite(law.kurtosis):
            return True
        variance = law.kurtosis_variance
        return not math.isfinite(variance) or abs(sample.kurtosis - law.kurtosis) < 5 * math.sqrt(
            variance / sample.finite
        )

    def _n(self) -> float | None:
        """Return the mean of the fans that the law was made from."""
        used = [fan for fan in self.piece.fans if fan == fan]
        return sum(used) / len(used) if used and all(fan > 0 for fan in used) else None

    def _tiers(self, law: Expected) -> Iterator[list[tuple[float, str]]]:
        """Yield lists of (standard deviation, what it would come from), the likeliest first."""
        n, fans = self._n(), both_fans(self.piece)
        if n is not None and fans is not None:
            used = f"{self._used()} = {number(n, 4)}"
            yield [
                (law.std * math.sqrt(n / fan), f"{word} = {number(fan, 4)} were used, not {used}")
                for word, fan in _fan_words(fans)
                if fan > 0 and fan != n
            ]
        yield [
            (law.std * _CUT, f"truncated at ±2 std without widening std by 1/{_CUT:.4f}"),
            (law.std / _CUT, f"untruncated, or widened by 1/{_CUT:.4f} once more"),
        ]
        yield [*_of_mistakes(law), *self._of_variables(law)]
        if fans is not None:
            yield [*_of_schemes(fans)]
        if n is not None:
            yield [*self._of_axes(law, n)]

    def _of_variables(self, law: Expected) -> Iterator[tuple[float, str]]:
        for name, value in self.variables.items():
            if isinstance(value, int) and not isinstance(value, bool) and value > 1:
                for factor, word in ((2 * value, f"sqrt(2·{name})"), (value, f"sqrt({name})")):
                    yield law.std * math.sqrt(factor), f"the division by {word} were missing"
                    yield law.std / math.sqrt(factor), f"a division by {word} were added"

    def _used(self) -> str:
        fan_in, fan_out = self.piece.fans
        return "fan_out" if fan_in != fan_in else "fan_in" if fan_out != fan_out else "fan_avg"

    def _of_axes(self, law: Expected, n: float) -> Iterator[tuple[float, str]]:
        """Yield what the fan would be if other axes of the shape counted in."""
        axes = range(len(self.shape))
        for several in itertools.chain.from_iterable(itertools.combinations(axes, k) for k in (1, 2, 3)):
            size = math.prod(self.shape[axis] for axis in several)
            if size > 0 and size != n:
                word = f"axis {several[0]}" if len(several) == 1 else f"axes {several}"
                yield law.std * math.sqrt(n / size), f"the fan were {size}, the size of {word}, not {number(n, 4)}"

    def reach(self, sample: Sample) -> float:
        """Return how far from the mean elements lie, in standard deviations of the sample."""
        far = max(sample.high - sample.mean, sample.mean - sample.low)
        return far / sample.std if sample.std else math.nan

    def families(self, sample: Sample) -> list[str]:
        """Return the families that a sample may be of, in words, the nearest kurtosis first; none of few elements."""
        n, reach = sample.finite, self.reach(sample)
        if n < _LEAST or not reach > 0.9:  # as of numbers whose squares are none
            return []
        margin = 1 + self.precision.eps + 4 / math.sqrt(n)
        near = []
        for family in _FAMILIES:
            off = abs(sample.kurtosis - family.moments[1])
            # So near the mean lie all of n elements of an unbounded law only by a rare accident.
            is_short = family.reach == math.inf and n * math.log1p(-math.erfc(reach / math.sqrt(2))) < -_ACCIDENT
            if not is_short and reach <= family.reach * margin and off <= _NEAR * family.error(n) + self.precision.eps:
                near.append((off, family.words))
        return [words for _, words in sorted(near)]

    def family_of(self, law: Expected) -> str | None:
        """Return the same words of a law."""
        if not math.isfinite(law.kurtosis):
            return None
        reach = max(law.high - law.mean, law.mean - law.low) / law.std
        for family in _FAMILIES:
            if reach == family.reach or abs(reach / family.reach - 1) < 1e-3:
                return family.words
        return None


_GAINS = ((math.sqrt(2), "a gain of sqrt(2), of ReLU,"), (5 / 3, "a gain of 5/3, of tanh,"), (2.0, "a factor of 2"))


def _ratio(a: float, b: float) -> float:
    """Return |ln(a/b)|; infinity where one is none of the floats above 0."""
    return abs(math.log(a) - math.log(b)) if 0 < a < math.inf and 0 < b < math.inf else math.inf


def _of_mistakes(law: Expected) -> Iterator[tuple[float, str]]:
    """Yield what forgotten and doubled factors give, and numbers taken for each other."""
    for factor, word in _GAINS:
        yield law.std * factor, f"{word} were applied"
        yield law.std / factor, f"{word} were missing"
    yield law.std * law.std, "the variance were taken for the std"
    yield math.sqrt(law.std), "the std were taken for the variance"
    yield law.std / math.sqrt(3), "the std were taken for the bound of a uniform law"
    yield law.std * math.sqrt(3), "the bound of a uniform law were taken for its std"


def _fan_words(fans: tuple[float, float]) -> tuple[tuple[str, float], ...]:
    fan_in, fan_out = fans
    return (
        ("fan_in", fan_in), ("fan_out", fan_out), ("fan_avg", (fan_in + fan_out) / 2),
        ("sqrt(fan_in·fan_out)", math.sqrt(fan_in * fan_out)),
    )  # fmt: skip


def _of_schemes(fans: tuple[float, float]) -> Iterator[tuple[float, str]]:
    """Yield the standard deviations of the usual schemes."""
    fan_in, fan_out = fans
    for scale, n, words in (
        (1 / 3, fan_in, "PyTorch's default, U(±1/sqrt(fan_in)), were left"),
        (2.0, fan_in, "he_normal or he_uniform were used"),
        (1.0, (fan_in + fan_out) / 2, "xavier_normal or xavier_uniform were used"),
        (1.0, fan_in, "lecun_normal or lecun_uniform were used"),
        (2.0, fan_out, "he_normal of fan_out were used"),
    ):
        if n > 0:
            yield math.sqrt(scale / n), words
