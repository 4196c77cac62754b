"""A checkpoint of 1.1 B parameters in bfloat16, written to memory, beside torch with safetensors and beside dd.

    python bench/checkpoint.py            all, a minute or two; needs 7 GB of memory
    python bench/checkpoint.py --quick    the same with a small model, to see that it runs

The file lies on tmpfs (/dev/shm; FASTINIT_BENCH_FOLDER names another folder). torch draws into the model's own tensors
and saves them; dd writes as many bytes of zeros. A part of `bench/report.py`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import cases
import models
import peers
import report
from timing import measure


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="python bench/checkpoint.py"
    )
    parser.add_argument("--quick", action="store_true", help="a small model: no figure means anything")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each side (default: %(default)s)")
    options = parser.parse_args(arguments)
    rows = []
    for case in cases.checkpoints(options.quick, peers.CORES):
        rows.append((case, measure(case, repeats=options.repeats, threads=peers.CORES)))
        print(report.plain(rows[-1:]).splitlines()[1], file=sys.stderr, flush=True)
    print(report.plain(rows))
    size = 2 * models.size(options.quick) / 1e9
    for case, result in rows:
        if case.measured == "s" and result.ours:
            print(f"{size / min(result.ours):.2f} GB/s at best, {case.versus} {size / min(result.theirs):.2f} GB/s")
    print("\n" + report.machine(peers.CORES, options.repeats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
