"""How near the drawing of uniforms is to the limit that Philox sets: instructions counted, cycles measured.

    python bench/philox.py              uniform float32
    python bench/philox.py --law normal

A group is 64 values: 16 blocks of Philox4x32-10, each 10 rounds of two 32 x 32 -> 64 bit products. The loops of the
compiled kernel are read from its listing; how many cycles their vector instructions take at least follows from the
pipes that this kind of CPU has for each (Fog, "Instruction tables"; AMD, "Software optimization guide" of the
families 19h and 1Ah). Measured is the time of a group in cache on one thread, in cycles of a clock that a chain of
dependent multiplications tells. No counter of the CPU is needed, so it works in virtual machines; where a neighbour
shares the core, a group takes longer than it must.
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import peers
import processes
import report

GROUP, LANES, ROUNDS = 64, 16, 10
# Of the two products of each round of a lane, one of the first round and one of the second have operands that are the
# same for all of a tensor: (stream, key) alone.
PRODUCTS = LANES * (2 * ROUNDS - 2)

# What an instruction does, by its name.
KINDS = {
    "multiply": r"vpmuludq",
    "shift": r"vps[rl]l|vpsra|vpro[rl]",
    "logic": r"vpxor|vpand|vpor|vpternlog|vx?orps|vandn?ps|vblend|vpblend",
    "add": r"vpadd|vpsub|vpm(?:in|ax)|vpcmp",
    "shuffle": r"vpermt?|vpermi|vshuf|vpshuf|vpunpck|vunpck|vpack|vpermpd|vinsert|vextract|vpmov",
    "float": r"vfn?m(?:add|sub)|vmul[ps]|vadd[ps]|vsub[ps]|vm(?:in|ax)p|vcvt|vsqrt|vdiv|vrndscale|vround|vcmpp|vfixup",
}


@dataclass(frozen=True)
class Pipes:
    """Vector pipes of a kind of CPU: which take each kind of instruction, and how often they must for 512 bits."""

    name: str
    takes: Mapping[str, str]
    wide: int = 1

    def cycles(self, counts: Mapping[str, int], bits: int) -> float:
        """Cycles that these instructions take at least, however well they are spread."""
        pipes = sorted(set("".join(self.takes.values())))
        busy = []
        for size in range(1, len(pipes) + 1):
            for some in combinations(pipes, size):
                only = sum(n for kind, n in counts.items() if kind in self.takes and set(self.takes[kind]) <= set(some))
                busy.append(only / size)
        return max(busy) * (self.wide if bits == 512 else 1)


_AMD = {"multiply": "03", "shift": "12", "logic": "0123", "add": "0123", "shuffle": "12", "float": "0123"}
_INTEL = {"multiply": "01", "shift": "01", "logic": "015", "add": "015", "shuffle": "5", "float": "01"}
_INTEL_512 = {"multiply": "05", "shift": "0", "logic": "05", "add": "05", "shuffle": "5", "float": "05"}


def pipes_here(bits: int) -> Pipes | None:
    """Return the pipes of this machine's CPU, None where they are not known."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    vendor, family = (re.search(rf"^{key}\s*: (\S+)", text, re.M) for key in ("vendor_id", "cpu family"))
    known = (vendor[1], int(family[1])) if vendor and family else ("", 0)
    if known == ("AuthenticAMD", 0x19):
        return Pipes("AMD Zen 3 and 4", _AMD, wide=2)
    if known == ("AuthenticAMD", 0x1A):
        return Pipes("AMD Zen 5", _AMD)
    if known == ("GenuineIntel", 6):
        return Pipes("Intel, from Skylake on", _INTEL_512 if bits == 512 else _INTEL)
    return None


@dataclass(frozen=True)
class Loop:
    """A loop without loops in it: its instructions a turn, by kind ("other": no vector arithmetic), and their width."""

    counts: Mapping[str, int]
    bits: int
    conversions: int = 0

    @property
    def vector(self) -> int:
        """Instructions of vector arithmetic."""
        return sum(n for kind, n in self.counts.items() if kind != "other")


def loops(listing: str) -> Iterator[Loop]:
    """The innermost loops of a listing in AT&T's syntax: from a label to the jump back to it."""
    label, body = "", []
    for line in listing.splitlines():
        if found := re.match(r"(\.L\w+):", line):
            label, body = found[1], []
        elif found := re.match(r"\s+([a-z]\w*)(?:\s+(.*))?$", line):
            body.append((found[1], found[2] or ""))
            if label and re.fullmatch(r"j\w+", found[1]) and found[2] == label:
                yield _loop(body)
                label = ""


def _loop(body: Iterable[tuple[str, str]]) -> Loop:
    counts: Counter[str] = Counter()
    bits = conversions = 0
    for name, operands in body:
        counts[next((kind for kind, names in KINDS.items() if re.match(names, name)), "other")] += 1
        if name in ("vpmuludq", "vcvtdq2ps"):
            bits = max(bits, {"z": 512, "y": 256, "x": 128}[operands.rpartition("%")[2][0]])
        conversions += name == "vcvtdq2ps"
    return Loop(counts, bits, conversions)


def words_loop(listing: str) -> Loop:
    """The loop that draws words: of all with vector multiplications the longest."""
    found = [loop for loop in loops(listing) if loop.counts.get("multiply")]
    if not found:
        raise ValueError("the listing has no loop of vpmuludq: no x86-64, or not vector code")
    return max(found, key=lambda loop: loop.counts["multiply"])


def turns(loop: Loop) -> int:
    """Turns of the loop of words in a group."""
    return max(1, round(PRODUCTS / (loop.counts["multiply"] * loop.bits / 64)))


def values_of_uniforms(listing: str, pipes: Pipes) -> float:
    """Cycles that making uniforms of a group's words takes at least: the loop with one conversion a value."""
    found = [loop for loop in loops(listing) if loop.conversions and not loop.counts.get("multiply")]
    if not found:
        return 0.0
    loop = max(found, key=lambda loop: loop.conversions)
    return pipes.cycles(loop.counts, loop.bits) * GROUP / (loop.conversions * loop.bits / 32)


def clock() -> float:
    """Cycles a second: a chain of dependent multiplications (3 cycles) and exclusive ors (1), the best of several."""
    import numba

    @numba.njit  # type: ignore[untyped-decorator]
    def chain(x: np.uint64, odd: np.uint64, n: int) -> np.uint64:
        for _ in range(n):
            x = (x ^ odd) * odd
        return x

    n, best = 1 << 20, 0.0
    chain(np.uint64(1), np.uint64(3), 1)
    for _ in range(50):
        start = time.perf_counter()
        chain(np.uint64(1), np.uint64(0xD2511F53), n)
        best = max(best, 4 * n / (time.perf_counter() - start))
    return best


def group_time(law: str, repeats: int = 200) -> float:
    """Seconds of a group on one thread, in cache: from two sizes, so that the call does not count; the best of many."""
    small, large = 1 << 14, 1 << 16  # 256 KiB
    works = [peers.PEERS["fastinit"].prepare(law, "float32", size, 1) for size in (small, large)]
    best = [float("inf")] * 2
    with peers.threads(1):
        for _ in range(repeats):
            for i, work in enumerate(works):
                start = time.perf_counter()
                work()
                best[i] = min(best[i], time.perf_counter() - start)
    return (best[1] - best[0]) / ((large - small) / GROUP)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="python bench/philox.py"
    )
    parser.add_argument("--law", choices=("uniform", "normal"), default="uniform")
    options = parser.parse_args(arguments)
    if platform.machine() not in ("x86_64", "AMD64"):
        print(f"reads listings of x86-64 alone, this is {platform.machine()}", file=sys.stderr)
        return 2
    print(report.machine(1, 1).replace("median of 1", "the best of many") + "\n")
    print("\n".join(account(options.law)))
    return 0


def account(law: str) -> list[str]:
    """What there is to say of a law's kernel, line by line."""
    listing = processes.listing(f"fill.dense:fill_kernel:{law}:float32")
    loop = words_loop(listing)
    count, lanes = turns(loop), loop.bits // 64
    each = {kind: n * count for kind, n in loop.counts.items()}
    lines = [
        f"{law} float32, a group of {GROUP} values; vectors of {loop.bits} bits hold {lanes} products of 32 x 32 bits",
        f"products that a group needs       {PRODUCTS}: {LANES} lanes, {ROUNDS} rounds of 2, less 2 that are constant",
        f"multiplications at least          {PRODUCTS / lanes:.0f}",
        f"multiplications in the loop       {each['multiply']}",
        f"vector instructions of the words  {loop.vector * count}: "
        + ", ".join(f"{each[kind]} {kind}" for kind in KINDS if each.get(kind)),
        f"all instructions of the words     {sum(each.values())}",
    ]
    pipes, hertz, seconds = pipes_here(loop.bits), clock(), group_time(law)
    measured = seconds * hertz
    spoken = f"cycles measured, words and values {measured:.0f}"
    if pipes:
        words, products = (pipes.cycles(n, loop.bits) for n in (each, {"multiply": each["multiply"]}))
        values = values_of_uniforms(listing, pipes) if law == "uniform" else 0.0
        limit = words + values
        lines.append(
            f"cycles at the pipes' limit        {words:.0f} for the words"
            + f" (for their multiplications alone {products:.0f})"
            + f", {values:.0f} for the values" * bool(values)
            + f", {pipes.name}: {limit / hertz / GROUP * 1e9:.3f} ns a value"
        )
        spoken += f", {measured / limit:.2f}x the limit"
    return [*lines, f"{spoken}; {seconds / GROUP * 1e9:.3f} ns a value at {hertz / 1e9:.2f} GHz"]


if __name__ == "__main__":
    sys.exit(main())
