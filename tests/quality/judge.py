"""What many p-values say together, none of it at the reader's discretion.

p-values of one statistic over several streams are independent, since streams share no element; those of one stream are
not, since a battery takes several statistics of the same words. So suspicious *streams* are counted, and each statistic
is tested by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from scipy import stats

# stream -> statistic -> p-value
Table = dict[str, dict[str, float]]

SUSPICIOUS = 1e-4
# The level of the two tests that judge all p-values together.
LEVEL = 1e-4
# Statistics with few values, so that their p-values come in steps: a count whose mean is 27 in SmallCrush, and the
# largest number of equal bits among pairs.
COARSE = ("BirthdaySpacings", "ClosePairsBitMatch")


@dataclass(frozen=True)
class Verdict:
    """The judgement of a table of p-values, those beyond `failure` and 1 - `failure` being failures."""

    table: Table
    failure: float

    def beyond(self, threshold: float) -> list[tuple[str, str, float]]:
        """(stream, statistic, p) of all p-values outside [threshold, 1 - threshold]."""
        rows = ((stream, name, p) for stream, row in self.table.items() for name, p in row.items())
        return [row for row in rows if not threshold <= row[2] <= 1 - threshold]

    @property
    def p_values(self) -> int:
        """How many there are."""
        return sum(map(len, self.table.values()))

    @cached_property
    def suspicious_streams(self) -> list[str]:
        """Those with a p-value beyond SUSPICIOUS."""
        return list(dict.fromkeys(stream for stream, _, _ in self.beyond(SUSPICIOUS)))

    @cached_property
    def p_suspicious(self) -> float:
        """At most the probability of that many suspicious streams, or more: a binomial tail.

        A stream of m statistics is suspicious with probability 2 m SUSPICIOUS at most, however they depend on each
        other.
        """
        if not self.suspicious_streams:
            return 1.0
        most = max(map(len, self.table.values())) * 2 * SUSPICIOUS
        return float(stats.binom.sf(len(self.suspicious_streams) - 1, len(self.table), min(most, 1.0)))

    @cached_property
    def uniformity(self) -> dict[str, float]:
        """The p-value of Kolmogorov and Smirnov's test that a statistic's p-values are uniform over the streams."""
        names = dict.fromkeys(name for row in self.table.values() for name in row if not name.startswith(COARSE))
        columns = {name: [row[name] for row in self.table.values() if name in row] for name in names}
        return {name: float(stats.kstest(column, "uniform").pvalue) for name, column in columns.items()}

    @cached_property
    def p_uniform(self) -> float:
        """At most the probability of so uneven a statistic, or a more uneven one, among them all (Bonferroni)."""
        return min(1.0, max(len(self.uniformity), 1) * min(self.uniformity.values(), default=1.0))

    @property
    def complaints(self) -> list[str]:
        """Why the table is not that of random words; empty if it may be."""
        found = [f"{stream}: {name} has p = {p:.3g}" for stream, name, p in self.beyond(self.failure)]
        if self.p_suspicious < LEVEL:
            found.append(f"{len(self.suspicious_streams)} suspicious streams: p = {self.p_suspicious:.3g}")
        if self.p_uniform < LEVEL:
            worst = min(self.uniformity, key=self.uniformity.__getitem__)
            found.append(f"p-values of {worst} are not uniform: p = {self.p_uniform:.3g}")
        return found
