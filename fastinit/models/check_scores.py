"""How far figures of a sample are from its law, in standard errors, and how probable that is.

Each test is two-sided. Of a row, Bonferroni's rule takes its tests together; of all rows, Holm's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..weights.expected import Expected
from .check_statistics import Sample

# Below these, formulas for large samples do not hold.
_LEAST_SHAPE = 1000
_FEW, _SKEWED = 50, 1e-3
# Beyond this no absence of elements tells anything: generators of 24 bits end at 5.4 or 5.8 standard deviations.
_REACH = 5.0
_LEAST_STD, _MOST_STD = 1e-75, 1e75
# Resolution of the words that laws are drawn by elsewhere, as a share of the standard deviation.
_RESOLUTION = 2.0**-22


class Score(NamedTuple):
    """A test's outcome: signed standard errors (NaN of tests without), and probability under the law."""

    z: float
    p: float


class Precision(NamedTuple):
    """A type's spacing at 1, and its least number above 0."""

    eps: float
    step: float

    def ulp(self, x: float) -> float:
        """Return about the spacing at x, at most."""
        return max(self.eps * abs(x), self.step)

    def noise(self, law: Expected) -> float:
        """Return how much rounding changes the variance, in units of the law's."""
        square = law.std**2
        if not square:
            return math.inf
        inner = (self.eps**2 / 2 * (square + law.mean * law.mean) + self.step**2) / 12
        return (inner + self.edge(law) ** 2 / 4) / square

    def edge(self, law: Expected) -> float:
        """Return the spacing at a law's bounds, within which values are kept; also where nobody knows how it ends."""
        if law.above is not None and math.isinf(law.high - law.low):
            return 0.0
        ends = [abs(end) for end in (law.low, law.high) if math.isfinite(end)]
        return self.ulp(max(ends, default=abs(law.mean) + 2 * law.std))


def scores(sample: Sample, law: Expected, precision: Precision, *, all_tests: bool = True) -> dict[str, Score]:
    """Return the outcome of each test that the law and the size of the sample allow.

    Parameters
    ----------
    sample
        Of at least one finite element.
    law
        With std > 0.
    precision
        Of the type: what rounding may do is no deviation.
    all_tests
        Whether to look at range and shape, too, not at mean and standard deviation only.
    """
    n = sample.finite
    # Powers of numbers that are no floats tell nothing.
    if not n or not _LEAST_STD < law.std < _MOST_STD or not math.isfinite(law.spread):
        return {}
    found = {"mean": _of_mean(sample, law, precision)}
    if n > 1 and precision.noise(law) < 1:  # else rounding is all there is to see
        found["std"] = _of_std(sample, law, precision)
    if all_tests and law.above is not None:
        found["low"], found["high"] = _of_range(sample, law, precision)
    shape = _of_kurtosis(sample, law, precision) if all_tests else None
    if shape is not None:
        found["kurtosis"] = shape
    return found


def _normal(z: float) -> Score:
    return Score(z, math.erfc(abs(z) / math.sqrt(2)) if z == z else 0.0)


def _of_mean(sample: Sample, law: Expected, precision: Precision) -> Score:
    ulp = precision.ulp(law.mean)
    # Rounding is as often up as down where a value has several neighbours to go to.
    shift = 0.0 if law.std > 2 * ulp else ulp / 2
    shift = max(shift, precision.edge(law) ** 2 / (4 * law.std))
    error = math.hypot(law.std / math.sqrt(sample.finite), law.std * _RESOLUTION)
    off = sample.mean - law.mean
    z = math.copysign(max(0.0, abs(off) - shift), off) / error
    skew = law.moments[0] / math.sqrt(sample.finite)
    return _normal(_unskewed(z, skew) if abs(skew) > _SKEWED else z)


def _unskewed(z: float, skew: float) -> float:
    """Return the standard normal number for one of a skewed law: a gamma's, by Wilson and Hilferty's cube root."""
    return 6 / skew * (math.cbrt(1 + z * skew / 2) - 1 + skew * skew / 36)


def _of_std(sample: Sample, law: Expected, precision: Precision) -> Score:
    """Test s² as a multiple of a chi-square with the variance that it has, by Wilson and Hilferty's cube root.

    The variance of s²/σ² is (κ - (n - 3)/(n - 1))/n of independent elements with kurtosis κ.
    """
    n = sample.finite
    # Few elements of a bounded law are as seldom near each other as normal ones.
    spread = law.spread if n >= _FEW else max(law.spread, 2.0)
    variance = (spread + 1 - (n - 3) / (n - 1)) / n + (precision.noise(law) + _RESOLUTION) ** 2
    third = variance / 9  # 2 / (9 ν) with ν = 2 / variance
    ratio = sample.variance / law.std / law.std
    return _normal((math.cbrt(ratio) - (1 - third)) / math.sqrt(third) if ratio == ratio else math.nan)


def _of_range(sample: Sample, law: Expected, precision: Precision) -> tuple[Score, Score]:
    """Test the largest and the least element: the largest of n lies below x with probability F(x)^n."""
    above = law.above
    assert above is not None
    outcomes = []
    for x, sign in ((sample.low, -1.0), (sample.high, 1.0)):
        # Rounded to the nearest; what would be carried beyond a bound is the last value within.
        margin = 0.51 * precision.ulp(x) + law.std * _RESOLUTION
        kept = margin if math.isinf(law.high if sign > 0 else law.low) else 2 * margin
        inside, outside = x - sign * margin, x + sign * kept
        beyond, rest = (above(y) if sign > 0 else 1.0 - above(y) for y in (inside, outside))
        if math.isinf(law.high if sign > 0 else law.low) and sign * (outside - law.mean) > _REACH * law.std:
            rest = 0.0
        large, small = (_log_none(p, sample.finite) for p in (beyond, rest))
        outcomes.append(Score(math.nan, min(1.0, 2 * min(-math.expm1(large), math.exp(small)))))
    return outcomes[0], outcomes[1]


def _log_none(p: float, n: int) -> float:
    """Return the logarithm of the probability that none of n elements is of a kind that each is with probability p."""
    return n * math.log1p(-p) if p < 1 else -math.inf


def _of_kurtosis(sample: Sample, law: Expected, precision: Precision) -> Score | None:
    n, noise = sample.finite, precision.noise(law)
    if n < _LEAST_SHAPE or not sample.kurtosis > 0 or noise > 0.01 or not math.isfinite(law.kurtosis_variance):
        return None
    # Rounding adds about that much, and makes no sample more regular than its law.
    off = sample.kurtosis - law.kurtosis
    off = math.copysign(max(0.0, abs(off) - 6 * law.kurtosis * noise), off)
    if law.family == "normal":
        return _normal(_anscombe_glynn(law.kurtosis + off, n))
    return _normal(off / math.sqrt(law.kurtosis_variance / n))


def _anscombe_glynn(kurtosis: float, n: int) -> float:
    """Return a standard normal number for the kurtosis of n normal ones.

    Anscombe and Glynn, Distribution of the kurtosis statistic b2 for normal samples, Biometrika 70, 1983.
    """
    mean = 3 * (n - 1) / (n + 1)
    variance = 24 * n * (n - 2) * (n - 3) / ((n + 1) ** 2 * (n + 3) * (n + 5))
    x = (kurtosis - mean) / math.sqrt(variance)
    skew = 6 * (n * n - 5 * n + 2) / ((n + 7) * (n + 9)) * math.sqrt(6 * (n + 3) * (n + 5) / (n * (n - 2) * (n - 3)))
    a = 6 + 8 / skew * (2 / skew + math.sqrt(1 + 4 / skew**2))
    quotient = (1 - 2 / a) / (1 + x * math.sqrt(2 / (a - 4)))
    return (1 - 2 / (9 * a) - math.cbrt(quotient)) / math.sqrt(2 / (9 * a)) if quotient > 0 else -math.inf


class Verdict(NamedTuple):
    """A row's tests together: scores of all its elements, of single pieces, and what each is multiplied by."""

    whole: dict[str, Score]
    pieces: list[dict[str, Score]]
    p: float

    @property
    def factors(self) -> tuple[int, int]:
        """What Bonferroni multiplies a probability of the whole, and of a piece, by."""
        several = len(self.pieces) > 1
        return max(1, len(self.whole)) * (1 + several), max(1, sum(map(len, self.pieces))) * 2


def judge(whole: Sample, pieces: Sequence[Sample], law: Expected, precision: Precision) -> Verdict:
    """Return the tests of a row: of its elements together, and, where it has several pieces, of each."""
    of_all = scores(whole, law, precision)
    of_each = [scores(piece, law, precision, all_tests=False) for piece in pieces] if len(pieces) > 1 else []
    verdict = Verdict(of_all, of_each, math.nan)
    ours, theirs = verdict.factors
    candidates = [score.p * ours for score in of_all.values()]
    candidates += [score.p * theirs for found in of_each for score in found.values()]
    return verdict._replace(p=min(1.0, *candidates) if candidates else math.nan)


def holm(probabilities: Sequence[float]) -> list[float]:
    """Return probabilities corrected for their number: Holm, A simple sequentially rejective multiple test, 1979."""
    order = sorted((p, i) for i, p in enumerate(probabilities) if p == p)
    corrected = [math.nan] * len(probabilities)
    worst = 0.0
    for rank, (p, i) in enumerate(order):
        worst = max(worst, min(1.0, p * (len(order) - rank)))
        corrected[i] = worst
    return corrected
