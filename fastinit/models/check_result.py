"""What `check` found: rows of figures, findings in words, and how they are shown."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from fastinit_kernels.machine.forks import whole

from ..weights.regions import Shape
from ..words import check_integer, check_string, needs, number, printable, writable

if TYPE_CHECKING:
    import pandas

    from ..showing.tables import Table

_MOST_LINES = 40


@dataclass(frozen=True)
class Finding:
    """What is wrong with a tensor, or worth knowing, in words.

    Attributes
    ----------
    kind
        "missing", "extra", "several", "shape", "dtype", "nonfinite", "garbage", "zeros", "constant", "zero_rows",
        "identical", "rescaled", "identical_rows", "identical_columns", "std", "mean", "law", "bounds", "value", "set",
        "tie", "trained"; notes: "unused", "initial".
    parameter
        Its name; "" of what is said of the whole model.
    words
        What was found, and what it looks like.
    is_note
        Whether it is no fault.
    """

    kind: str
    parameter: str
    words: str
    is_note: bool = False

    def __str__(self) -> str:
        return writable(f"{self.parameter}: {self.words}" if self.parameter else self.words)


@dataclass(frozen=True)
class CheckRow:
    """Figures of a parameter, or of those of its pieces that have one law, beside what the law says.

    Attributes
    ----------
    parameter, pieces
        The parameter's name, and the streams' where they are not it: "" or "a … b (12)".
    shape, dtype, rule
        Of the parameter.
    law
        In words; "skip" and "tied to …" of what is not drawn.
    count, nonfinite
        Of the elements that are the law's.
    mean, std, kurtosis, min, max, zeros
        Of the finite ones; `zeros` is the share of exact zeros.
    expected_mean, expected_std, expected_kurtosis, expected_min, expected_max
        The law's; NaN where nobody knows.
    z_mean, z_std
        Deviations in standard errors.
    p, p_corrected
        Probability of what is as far off as the worst of the row's tests, corrected for their number (Bonferroni), and
        for that of the rows (Holm); NaN of rows without tests.
    initial
        Whether the bytes are those that the plan draws with the seed; None where there is no seed.
    status
        "follows", "initial", "differs", or "unchecked".
    """

    parameter: str
    pieces: str
    shape: Shape
    dtype: str
    rule: str
    law: str
    count: int = 0
    nonfinite: int = 0
    mean: float = math.nan
    std: float = math.nan
    kurtosis: float = math.nan
    min: float = math.nan
    max: float = math.nan
    zeros: float = math.nan
    expected_mean: float = math.nan
    expected_std: float = math.nan
    expected_kurtosis: float = math.nan
    expected_min: float = math.nan
    expected_max: float = math.nan
    z_mean: float = math.nan
    z_std: float = math.nan
    p: float = math.nan
    p_corrected: float = math.nan
    initial: bool | None = None
    status: str = "unchecked"


_FIELDS = tuple(field.name for field in fields(CheckRow))
_SHORT = ("parameter", "law", "mean", "std", "expected_std", "z_std", "p_corrected", "status")
_HEADINGS = {"expected_std": "law's std", "z_std": "z", "p_corrected": "p"}
_LEFT = frozenset({"parameter", "law", "status"})


class CheckResult:
    """What `fastinit.check` found, printed as findings and a table; in notebooks, too.

    Attributes
    ----------
    rows
        A `CheckRow` for each parameter, and each law of one that has several.
    findings
        `Finding`s: faults first of the model, then of parameters in their order, then notes.
    level
        Probability of a false alarm among all rows.
    """

    def __init__(self, rows: Sequence[CheckRow], findings: Sequence[Finding], level: float) -> None:
        self.rows = list(rows)
        self.findings = sorted(findings, key=lambda finding: (finding.is_note, finding.parameter != ""))
        self.level = level

    @property
    def ok(self) -> bool:
        """Whether there is no finding but notes."""
        return all(finding.is_note for finding in self.findings)

    @property
    def summary(self) -> str:
        """The outcome in one line."""
        tested = [row for row in self.rows if row.p == row.p]
        wrong = {finding.parameter for finding in self.findings if not finding.is_note} - {""}
        names = {row.parameter for row in self.rows} | wrong
        words = f"tensors: {len(names)}, laws tested: {len(tested)}, level: {self.level:g}"
        if self.ok:
            return f"{words}; all as declared"
        return f"{words}; {len(wrong)} not as declared" if wrong else f"{words}; not as declared"

    def __repr__(self) -> str:
        return writable(f"CheckResult({self.summary})")

    def __str__(self) -> str:
        lines = [self.summary, *map(str, self.findings[:_MOST_LINES])]
        more = len(self.findings) - _MOST_LINES
        return "\n".join(map(writable, [*lines, *[f"… and {more} more findings"] * (more > 0)]))

    def table(self, rows: int | None = _MOST_LINES) -> Table:
        """Return figures beside those of the laws, as text or for Rich.

        Parameters
        ----------
        rows
            Show at most so many, those that differ first; None: all.

        Returns
        -------
        Table
            Printed in aligned columns.

        Raises
        ------
        ValueError, TypeError
            `rows` is no integer >= 1.
        """
        with whole:
            from ..showing.tables import Table
        most = len(self.rows) if rows is None else check_integer("rows", rows, minimum=1)
        chosen = sorted(range(len(self.rows)), key=lambda i: self.rows[i].status != "differs")[:most]
        lines = tuple(tuple(_cell(self.rows[i], name) for name in _SHORT) for i in sorted(chosen))
        headings = tuple(_HEADINGS.get(name, name) for name in _SHORT)
        more = len(self.rows) - len(lines)
        note = f"and {more} more" if more > 0 else ""
        return Table(self.summary, headings, lines, note, _LEFT)

    def _repr_html_(self) -> str:
        findings = "".join(f"<li>{html.escape(printable(str(finding)))}</li>" for finding in self.findings)
        heads = "".join(f"<th>{html.escape(_HEADINGS.get(name, name))}</th>" for name in _SHORT)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell(row, name))}</td>" for name in _SHORT) + "</tr>"
            for row in self.rows
        )
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        return f"<p>{html.escape(self.summary)}</p><ul>{findings}</ul>{table}"

    def to_pandas(self) -> pandas.DataFrame:
        """Return a data frame with a row each of `rows`, its findings in a column of words."""
        with needs("pandas", extra="data"):
            import pandas
        columns = {name: [getattr(row, name) for row in self.rows] for name in _FIELDS}
        return pandas.DataFrame({**columns, "findings": [self._words_of(row) for row in self.rows]})

    def _words_of(self, row: CheckRow) -> str:
        return "; ".join(finding.words for finding in self.findings if finding.parameter == row.parameter)

    def to_dict(self) -> dict[str, Any]:
        """Return everything in types that JSON has: NaN as None, infinities as "inf" and "-inf"."""
        return {
            "ok": self.ok,
            "summary": self.summary,
            "level": self.level,
            "findings": [asdict(finding) for finding in self.findings],
            "rows": [{name: _plain(getattr(row, name)) for name in _FIELDS} for row in self.rows],
        }

    def of(self, kind: str) -> list[Finding]:
        """Return the findings of a kind.

        Parameters
        ----------
        kind
            A word of `Finding.kind`, such as "identical_rows".

        Examples
        --------
        >>> import fastinit as fi, numpy as np
        >>> found = fi.check({"b": np.zeros(3)}, fi.Plan([("b", "normal")]))
        >>> [finding.words for finding in found.of("zeros")]
        ['all 3 elements are 0, where Normal(mean=0, std=1) was declared: never initialised, or zeroed']
        """
        wanted = check_string("kind", kind)
        return [finding for finding in self.findings if finding.kind == wanted]


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return None if value != value else float(value) if math.isfinite(value) else str(float(value))
    return list(value) if isinstance(value, tuple) else value


def _cell(row: CheckRow, name: str) -> str:
    value = getattr(row, name)
    if name == "parameter":
        return printable(f"{value} [{row.pieces}]" if row.pieces else value)
    if isinstance(value, float):
        return "-" if value != value else number(value, 2 if name.startswith(("p", "z")) else 4)
    return printable(str(value))
