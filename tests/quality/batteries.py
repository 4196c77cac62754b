"""Batteries of statistical tests that other people wrote, run over a stream of words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from numpy.typing import NDArray

READER = Path(__file__).with_name("testu01.c")
LIBRARIES = ("-ltestu01", "-lprobdist", "-lmylib", "-lm")

# dieharder's tests that take few seconds each and that it calls good, by their numbers.
DIEHARDER = ("0", "4", "8", "10", "11", "15", "16", "100", "202 -n 4", "206", "208")


class Battery(NamedTuple):
    """Programs that are fed words, one program after the other, and print p-values.

    `line` finds (statistic, p-value) in what they print; p-values beyond `failure` and 1 - `failure` are failures.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    line: str
    failure: float


class MissingError(Exception):
    """A battery is not installed."""


def crush(name: str, folder: Path) -> Battery:
    """TestU01's SmallCrush or Crush, its reader compiled into a folder."""
    reader = str(folder / "testu01")
    command = [os.environ.get("CC", "cc"), "-O2", str(READER), "-o", reader, *LIBRARIES]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise MissingError(f"{name} needs a C compiler ({error})") from None
    if done.returncode:
        why = next((line for line in done.stderr.splitlines() if "error" in line or "cannot find" in line), done.stderr)
        raise MissingError(f"{name} needs the library TestU01 ({why.strip()})")
    return Battery(name, ((reader, name),), r"^p\t(.+)\t(\S+)$", 1e-10)


def dieharder(name: str, folder: Path) -> Battery:
    """Some of dieharder's tests."""
    program = shutil.which("dieharder")
    if program is None:
        raise MissingError(f"{name} needs the program dieharder (Debian's package of that name)")
    fields = ("-D", "header", "-D", "test_name", "-D", "pvalues")
    commands = tuple((program, "-g", "200", "-d", *test.split(), *fields) for test in DIEHARDER)
    return Battery(name, commands, r"^\s*(\w+)\|([\d.]+)$", 1e-8)  # eight decimals are printed


BATTERIES = {"SmallCrush": crush, "Crush": crush, "dieharder": dieharder}


class Outcome(NamedTuple):
    """What a battery says of a stream."""

    version: str
    p_values: dict[str, float]


def examine(battery: Battery, chunks: Iterable[NDArray]) -> Outcome:
    """Run a battery over a stream; each of its programs begins with the chunk after those that the last one was fed."""
    words = iter(chunks)
    text = "".join(_run(command, words) for command in battery.commands)
    version = re.search(r"(TestU01|version) \d[\d.]*", text)
    return Outcome(version[0] if version else battery.name, parse(text, battery.line))


def _run(command: tuple[str, ...], words: Iterable[NDArray]) -> str:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # the program has read enough
            for chunk in words:
                process.stdin.write(chunk.data)
        with suppress(BrokenPipeError):
            process.stdin.close()
        text = process.stdout.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{text}")
    return text


def parse(text: str, line: str) -> dict[str, float]:
    """The p-values of all statistics in what a program printed; of one name, the second is called "name 2"."""
    found: dict[str, float] = {}
    seen: Counter[str] = Counter()
    for name, p in re.findall(line, text, re.MULTILINE):
        seen[name] += 1
        found[f"{name} {seen[name]}" if seen[name] > 1 else name] = float(p)
    return found
