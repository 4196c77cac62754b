"""Try faults again and again, at random moments, and see that nothing is lost.

    python tests/faults/run.py                        the short lane, about two minutes
    python tests/faults/run.py --lane full --write    the long one, about twenty, into docs/reliability.md
    python tests/faults/run.py --only "kill -9"       the faults with that in their names

Exit code 0: all were survived; 1: not so.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# The folder of tests: `faults` and `golden` are imported from it, as pytest does.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.lane import Row, try_out
from faults.page import page
from faults.table import FAULTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    faults = [fault for fault in FAULTS if options.only in fault.name]
    started, rows = time.monotonic(), []
    for row in try_out(faults, options.lane, options.seed, options.jobs):
        rows.append(row)
        print(_line(row, time.monotonic() - started), flush=True)
    if options.write:
        options.write.write_text(page(rows, options.seed, time.monotonic() - started), encoding="utf-8")
        print(f"wrote {options.write}")
    return int(any(row.lost for row in rows))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lane", choices=("short", "full"), default="short", help="(default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="faults with this in their names")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="tries at a time (default: %(default)s)")
    parser.add_argument("--write", nargs="?", const=PAGE, type=Path, metavar="FILE", help="write the results' page")
    options = parser.parse_args(arguments)
    if options.only and options.write:
        parser.error("a page has all faults: leave out --only or --write")
    if options.jobs < 1:
        parser.error("--jobs must be positive")
    if not any(options.only in fault.name for fault in FAULTS):
        parser.error(f"no fault has {options.only!r} in its name")
    return options


def _line(row: Row, seconds: float) -> str:
    result = row.missing or f"{row.survived} of {row.tried} survived"
    return "\n  ".join([f"[{seconds:.0f} s] {row.fault.name}: {result}", *row.lost])


if __name__ == "__main__":
    sys.exit(main())
