"""The first calls of fresh processes, each beside the same of an earlier commit: a part of `bench/report.py`.

    python bench/first.py               all, about five minutes
    python bench/first.py --only init   those with "init" in their names

`fi.init`, a forward probe, one with gradients and one in float64 are timed with an empty cache folder, after `import
fastinit`, and with one that was filled beforehand, after `import numba`. The two checkouts take turns, each call in a
process of its own; the earlier one is got by `git archive`. A forward probe has beside it what JAX takes to compile and
run the same, after `import jax`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import cases
import peers
import report
from timing import measure


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="python bench/first.py"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only comparisons with this in their names")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each side (default: %(default)s)")
    parser.add_argument("--baseline", default=cases.BASELINE, metavar="COMMIT", help="(default: %(default)s)")
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)  # for the test of this file
    options = parser.parse_args(arguments)
    table = cases.first(options.small, peers.CORES, baseline=options.baseline)
    table = [case for case in table if options.only in case.name]
    rows = []
    for case in table:
        rows.append((case, measure(case, repeats=options.repeats, threads=peers.CORES)))
        print(report.plain(rows[-1:]).splitlines()[1], file=sys.stderr, flush=True)
    print(report.plain(rows))
    print("\n" + report.machine(peers.CORES, options.repeats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
