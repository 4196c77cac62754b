"""Read the package's streams with batteries of statistical tests, and judge all p-values together.

    python tests/quality/run.py                         the batteries that are installed, SmallCrush or else dieharder
    python tests/quality/run.py --only seeds            the streams with "seeds" in their names
    python tests/quality/run.py --battery Crush --only long      minutes a stream
    python tests/quality/run.py --battery SmallCrush dieharder --write      all, into docs/quality.md

Exit code 0: the streams pass and the controls fail; 1: not so; 2: there is no battery.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

# The folder of tests: `quality` and the twin are imported from it, as pytest does.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from quality.batteries import BATTERIES, Battery, MissingError, Outcome, examine
from quality.judge import Verdict
from quality.page import Report, page
from quality.streams import CONTROLS, STREAMS, Stream

PAGE = Path(__file__).resolve().parents[2] / "docs" / "quality.md"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            batteries = _batteries(options.battery, Path(folder))
        except MissingError as error:
            print(error, file=sys.stderr)
            return 2
        reports = [_report(battery, options) for battery in batteries]
    if options.write:
        options.write.write_text(page(reports, options.seed), encoding="utf-8")
        print(f"wrote {options.write}")
    return 0 if all(report.passed for report in reports) else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--battery", nargs="+", choices=BATTERIES, help="(default: SmallCrush, or else dieharder)")
    parser.add_argument("--only", default="", metavar="TEXT", help="streams and controls with this in their names")
    parser.add_argument("--seed", type=int, default=0, help="where the streams' seeds begin (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="streams at a time (default: %(default)s)")
    parser.add_argument("--write", nargs="?", const=PAGE, type=Path, metavar="FILE", help="write the results' page")
    options = parser.parse_args(arguments)
    if options.only and options.write:
        parser.error("a page has all streams: leave out --only or --write")
    if not 0 <= options.seed < 1 << 16 or options.jobs < 1:
        parser.error("--seed must be in [0, 2^16) and --jobs positive")
    if not any(options.only in s.name for s in STREAMS + CONTROLS):
        parser.error(f"no stream has {options.only!r} in its name")
    return options


def _batteries(names: Sequence[str] | None, folder: Path) -> list[Battery]:
    """Those asked for; if none is, the first that is installed."""
    if names:
        return [BATTERIES[name](name, folder) for name in dict.fromkeys(names)]
    missing = []
    for name in ("SmallCrush", "dieharder"):
        try:
            return [BATTERIES[name](name, folder)]
        except MissingError as error:
            missing.append(str(error))
    raise MissingError("\n".join(missing))


def _report(battery: Battery, options: argparse.Namespace) -> Report:
    """Run a battery over all streams and controls, saying how each went."""
    table = [s for s in STREAMS + CONTROLS if options.only in s.name]
    print(f"{battery.name}: {len(table)} streams, seed {options.seed}", flush=True)
    found: dict[str, Outcome] = {}
    started = time.perf_counter()
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = {pool.submit(examine, battery, s.chunks(options.seed)): s for s in table}
        try:
            for future in as_completed(futures):
                stream = futures[future]
                found[stream.name] = future.result()
                print(_line(len(found), len(table), stream, found[stream.name]), flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    print(f"{time.perf_counter() - started:.0f} s")

    def verdict(streams: Sequence[Stream]) -> Verdict:
        return Verdict({s.name: found[s.name].p_values for s in streams if s.name in found}, battery.failure)

    report = Report(battery.name, next(iter(found.values())).version, verdict(STREAMS), verdict(CONTROLS))
    print(report.summary() + "\n", flush=True)
    return report


def _line(number: int, total: int, stream: Stream, outcome: Outcome) -> str:
    low, high = min(outcome.p_values.values()), max(outcome.p_values.values())
    kind = " (control)" if stream in CONTROLS else ""
    return f"[{number}/{total}] {stream.name}{kind}: {len(outcome.p_values)} p-values from {low:.3g} to {high:.7g}"


if __name__ == "__main__":
    sys.exit(main())
