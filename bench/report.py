"""Measure every comparison of `bench/cases.py` and write the tables.

    python bench/report.py               all, about 10 minutes; writes bench/RESULTS.md and the README's table
    python bench/report.py --quick       the README's comparisons, 3 repetitions, nothing written
    python bench/report.py --only probe  those with "probe" in their names, nothing written

Each comparison has a process of its own, in which the two sides take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import peers
from cases import Case, cases
from timing import Result, measure, middle

from fastinit.showing.machine import cpu_name

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "RESULTS.md"
README = FOLDER.parent / "README.md"
LONGEST = 600
# In the note of a comparison whose peer is not on this machine.
ABSENT = ("not installed", "is not here", "no git")
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
HEADER = ("work", "fastinit", "against", "its figure", "factor", "quartiles", "target", "met")
LIBRARIES = ("fastinit-kernels", "numpy", "numba", *peers.OPTIONAL)

Row = tuple[Case, Result]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    table = cases(small=options.small, threads=options.threads)
    if options.case is not None:
        case = next(c for c in table if c.name == options.case)
        print(json.dumps(asdict(measure(case, repeats=options.repeats, threads=options.threads))))
        return 0
    table = [c for c in table if options.only in c.name and (c.headline or not options.quick)]
    if not table:
        print(f"no comparison has {options.only!r} in its name", file=sys.stderr)
        return 2
    about = machine(options.threads, options.repeats)
    rows = run_all(table, options)
    complete = len(rows) == len(table)
    print(plain(rows))
    print("\n" + about)
    if options.write and complete:
        RESULTS.write_text(results_page(rows, about))
        print(f"wrote {RESULTS}")
        page = replace_table(README.read_text(), readme_table(rows, about))
        if page is None:
            print(f"{README} has no lines {BEGIN} and {END}: left as it is")
        else:
            README.write_text(page)
            print(f"wrote the table of {README}")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="python bench/report.py"
    )
    parser.add_argument("--quick", action="store_true", help="the README's comparisons, 3 repetitions, nothing written")
    parser.add_argument("--only", default="", metavar="TEXT", help="only comparisons with this in their names")
    parser.add_argument("--threads", type=int, default=peers.CORES, help="threads for everyone (default: %(default)s)")
    parser.add_argument("--repeats", type=int, help="repetitions of each side (default: 9)")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    parser.add_argument("--case", help=argparse.SUPPRESS)  # measure this one, here, and print it as JSON
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)  # sizes for the test of this file
    options = parser.parse_args(arguments)
    options.write &= not (options.quick or options.only or options.small)
    options.repeats = options.repeats or (3 if options.quick else 9)
    return options


# Measuring


def run_all(table: list[Case], options: argparse.Namespace) -> list[Row]:
    """Measure one comparison after the other; after Ctrl-C, those that are done."""
    rows: list[Row] = []
    with _progress(len(table)) as (begin, say), suppress(KeyboardInterrupt):
        for number, case in enumerate(table, 1):
            begin(case.name)
            started = time.perf_counter()
            rows.append((case, _run_apart(case, options)))
            _, ours, _, _, factor, _, target, verdict = cells(rows[-1])
            seconds = time.perf_counter() - started
            outcome = ", ".join(text for text in (ours, factor, target, verdict) if text != "-")
            say(f"[{number}/{len(table)}] {case.name}: {outcome} ({seconds:.0f} s)")
    return rows


def _run_apart(case: Case, options: argparse.Namespace) -> Result:
    """Measure in a fresh process: no other library's threads, memory or settings."""
    command = [sys.executable, __file__, "--case", case.name, "--threads", str(options.threads)]
    command += ["--repeats", str(options.repeats)] + ["--small"] * options.small
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return Result(note=f"took more than {LONGEST} s")
    if done.returncode != 0:
        return Result(note=(done.stderr.strip().splitlines() or ["died"])[-1])
    return Result(**json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """What to call before a comparison, and with the line that says how it went."""
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda text: None, lambda line: print(line, file=sys.stderr, flush=True)
        return
    with Progress(console=Console(stderr=True, soft_wrap=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def say(line: str) -> None:
            bar.console.print(line, markup=False, highlight=False)
            bar.advance(task)

        yield lambda text: bar.update(task, description=text), say


# Tables


def machine(threads: int, repeats: int) -> str:
    """The machine, the versions and whether to believe the figures."""
    versions = [f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        if library == "fastinit-kernels" or peers.installed(library):
            versions.append(f"{library} {metadata.version(library)}")
    text = (
        f"{cpu_name()}, {os.cpu_count()} cores, {threads} threads; {platform.system()}; {', '.join(versions)}; "
        f"{datetime.now(UTC):%Y-%m-%d}; median of {repeats}."
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > peers.CORES / 4:
        text += f" **Noisy**: other programs kept {load:.1f} of the cores busy when this run began."
    return text


def amount(value: float, case: Case) -> str:
    """A time or a size in the unit that suits it."""
    if case.measured == "B":
        return f"{value / 2**30:.2f} GiB"
    value /= case.elements
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if value >= scale or unit == "ns":
            return f"{value / scale:.3g} {unit}"
    raise AssertionError


def met(row: Row) -> bool | None:
    """Whether the target was reached; None without one."""
    case, result = row
    if case.target is None or not result.ours:
        return None if case.target is None else False
    return _reaches(row, case.target.bound)


def _reaches(row: Row, bound: float | None) -> bool:
    case, result = row
    if bound is None:
        return False
    if case.limited:
        return middle(result.ours)[1] <= bound
    factor = middle(result.factors(case.faster))[1]
    return factor >= bound if case.faster else factor <= bound


def cells(row: Row) -> tuple[str, ...]:
    case, result = row
    target = _bound(case)
    if not result.ours:
        verdict = "no" if case.target and not any(words in result.note for words in ABSENT) else "-"
        return case.what, result.note, case.versus, "-", "-", "-", target, verdict
    ours = amount(middle(result.ours)[1], case)
    verdict = {None: "-", True: "yes", False: "no"}[met(row)]
    if case.target and verdict == "yes" and _reaches(row, case.target.stretch):
        verdict = "yes, stretch too"
    if case.theirs is None:
        return case.what, ours, "-", "-", "-", "-", target, verdict
    theirs = amount(middle(result.theirs)[1], case)
    low, mid, high = middle(result.factors(case.faster))
    return (
        case.what,
        ours,
        case.versus,
        theirs,
        factor_text(mid, case),
        f"{number(low)} - {number(high)}",
        target,
        verdict,
    )


def factor_text(factor: float, case: Case) -> str:
    if not case.faster:
        return f"{number(factor)}x its time"
    return f"{number(factor)}x faster" if factor >= 1 else f"{number(1 / factor)}x slower"


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _bound(case: Case) -> str:
    if case.target is None:
        return "-"
    if case.limited:
        stretch = f" ({amount(case.target.stretch, case)})" if case.target.stretch else ""
        return f"<= {amount(case.target.bound, case)}{stretch}"
    sign = ">=" if case.faster else "<="
    stretch = f" ({case.target.stretch:g}x)" if case.target.stretch else ""
    return f"{sign} {case.target.bound:.3g}x{stretch}"


def plain(rows: list[Row]) -> str:
    lines = [HEADER, *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines))


def results_page(rows: list[Row], about: str) -> str:
    targets = [met(row) for row in rows if row[0].target]
    return f"""# Results

Written by `python bench/report.py`. {about}

{targets.count(True)} of {len(targets)} targets met.

{markdown(HEADER, [cells(row) for row in rows])}

Times of fills are per element, of sweeps per point. `x faster` is the peer's time over ours, `x its time` ours over
the peer's: medians and quartiles of neighbouring measurements. Both sides run in one process, taking turns, each
once the other's threads sleep and after a warm run; outputs are allocated beforehand where a library can fill them.
Behind a target, in brackets: the stretch goal.
"""


def readme_table(rows: list[Row], about: str) -> str:
    """The headlines, and the comparison that misses its target by most if no headline is a miss."""
    chosen = [row for row in rows if row[0].headline and row[1].ours]
    missed = [row for row in rows if met(row) is False and row[1].ours]
    if missed and not any(row in chosen for row in missed):
        chosen.append(max(missed, key=_shortfall))
    lines = []
    for what, ours, versus, theirs, factor, _, target, verdict in map(cells, chosen):
        lines.append((what, ours, f"{versus}: {theirs}", factor, target + ", missed" * (verdict == "no")))
    header = ("work", "fastinit", "against", "factor", "target")
    return f"{markdown(header, lines)}\n\n{about} All comparisons: [bench/RESULTS.md](bench/RESULTS.md)."


def _shortfall(row: Row) -> float:
    case, result = row
    assert case.target is not None
    if case.limited:
        return middle(result.ours)[1] / case.target.bound
    factor = middle(result.factors(case.faster))[1]
    return case.target.bound / factor if case.faster else factor / case.target.bound


def replace_table(page: str, table: str) -> str | None:
    """The page with the table between its markers; None if it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table}\n{end}{after}" if begin and end else None


if __name__ == "__main__":
    sys.exit(main())
