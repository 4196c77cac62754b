"""The results in words and tables: what the command prints, and docs/quality.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from quality.judge import LEVEL, SUSPICIOUS, Verdict
from quality.streams import CONTROLS, STREAMS

import fastinit as fi


@dataclass(frozen=True)
class Report:
    """What a battery found, in the package's streams and in those that must fail."""

    battery: str
    version: str
    streams: Verdict
    controls: Verdict

    @property
    def unnoticed(self) -> list[str]:
        """The controls without a failure."""
        failed = {stream for stream, _, _ in self.controls.beyond(self.controls.failure)}
        return [stream for stream in self.controls.table if stream not in failed]

    @property
    def passed(self) -> bool:
        """Whether the streams pass and every control fails."""
        return not self.streams.complaints and not self.unnoticed

    def summary(self) -> str:
        """A few lines of counts and verdicts."""
        v = self.streams
        failures = len(v.beyond(v.failure))
        lines = [
            f"{v.p_values} p-values of {len(v.table)} streams, {failures} of them failures (beyond {v.failure:g}).",
            f"Suspicious streams (a p-value beyond {SUSPICIOUS:g}): {_list(v.suspicious_streams)};"
            f" as many or more by chance: p = {v.p_suspicious:.3g}.",
            f"Each statistic's p-values uniform over the streams: p = {v.p_uniform:.3g} for the least uniform of all.",
            f"Controls that fail: {len(self.controls.table) - len(self.unnoticed)} of {len(self.controls.table)}.",
        ]
        lines += [f"NOT RANDOM: {complaint}" for complaint in v.complaints]
        lines += [f"CONTROL NOT NOTICED: {name}" for name in self.unnoticed]
        return "\n".join([*lines, "Passed." if self.passed else "Failed."])


def _list(names: Sequence[str]) -> str:
    return f"{len(names)} ({'; '.join(names)})" if names else "none"


def page(reports: Sequence[Report], seed: int) -> str:
    """The whole of docs/quality.md."""
    return "\n".join([_INTRODUCTION, *map(_section, reports), _streams(), _how(seed)])


_INTRODUCTION = f"""\
# The generator under test

A weight is a function of its seed, its tensor's name and its index, so users meet the generator in many orders: the
elements of a tensor one after the other, one element of each layer, the first weight for seed 0, 1, 2, …, a column of a
wide matrix. Each order must look random. Here {len(STREAMS)} such streams of 32-bit words are read by batteries of
tests that others wrote, and {len(CONTROLS)} streams that are not random, to show that the batteries notice. SmallCrush
reads 2.3·10^8 words of each.

**How it is judged.** A p-value beyond 1e-10 or 1 - 1e-10 is a failure (dieharder prints eight decimals: 1e-8). A stream
with a p-value beyond {SUSPICIOUS:g} or 1 - {SUSPICIOUS:g} is suspicious; by chance some are, so their number is held
against the binomial distribution. And each statistic's p-values must be uniform over the streams: the smallest p-value
of Kolmogorov and Smirnov's test, times the number of statistics (birthday spacings left out: they are a count of about
27, whose p-values come in steps). Both must have a probability above {LEVEL:g}. No two streams share an element, so
theirs are independent; statistics of one stream are not, and nothing here takes them to be.
"""


def _section(report: Report) -> str:
    tables = (report.streams.table, report.controls.table)
    statistics = list(dict.fromkeys(name for table in tables for row in table.values() for name in row))
    uniform = report.streams.uniformity
    rows = [["stream", *statistics], ["---"] * (1 + len(statistics))]
    for table, mark in zip(tables, ("", "control: "), strict=True):
        rows += [
            [mark + stream, *(shown(row[name], report.streams.failure) for name in statistics)]
            for stream, row in table.items()
        ]
    rows.append(["*uniform?*", *(shown(uniform[name], 0) if name in uniform else "" for name in statistics)])
    summary = "\n".join(f"- {line}" for line in report.summary().splitlines())
    return f"## {report.battery}: {report.version}\n\n{summary}\n\n{_table(rows)}\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def shown(p: float, failure: float) -> str:
    """A p-value to three digits from the nearer end, failures in bold."""
    text = f"{p:.3f}" if 0.001 <= p <= 0.999 else f"{p:.1e}" if p < 0.5 else f"1 - {1 - p:.1e}"
    return text if failure <= p <= 1 - failure else f"**{text}**"


def _streams() -> str:
    rows = [["stream", "what it is"], ["---", "---"]]
    rows += [[s.name, s.what] for s in STREAMS]
    rows += [[f"control: {s.name}", s.what] for s in CONTROLS]
    return f"""\
## The streams

Where nothing else is said, a word is the one that a float32 element is made of. Seeds and names are those of the calls
that a user would make; the names begin with the stream's own.

{_table(rows)}
"""


def _how(seed: int) -> str:
    return f"""\
## Again

```
python tests/quality/run.py --battery SmallCrush dieharder --write
```

writes this page. dieharder is a package of Debian's. TestU01 is none in the main archive of Debian 12; where its
library is installed, the command compiles a reader for it, `tests/quality/testu01.c` (CPATH and LIBRARY_PATH tell the
compiler of folders beyond its own). Without `--battery` it takes SmallCrush, or dieharder where there is no TestU01.
`--battery Crush` is the longer one, `--only TEXT` takes some of the streams, `--seed N` other words; one seed gives the
same words on every machine.

fastinit {fi.__version__}, seed {seed}, {datetime.now(UTC).date()}.
"""
