"""The generator: published known answers, the C++ standard's check value, and the twin on random counters."""

from pathlib import Path

import numpy as np
import pytest
import twin
from fastinit_kernels.machine.jit import compiled
from fastinit_kernels.numeric.philox import philox

KNOWN = [
    [int(word, 16) for word in line.split()[1:]]
    for line in (Path(__file__).parent / "data" / "philox4x32_kat.txt").read_text().splitlines()
    if line.startswith("10 ")
]


@compiled
def blocks(counters, keys, out):
    for i in range(len(counters)):
        c, k = counters[i], keys[i]
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = philox(c[0], c[1], c[2], c[3], k[0], k[1])


def words(counters, keys):
    out = np.empty_like(counters)
    blocks(counters, keys, out)
    return out


def test_the_file_holds_all_three_known_answers():
    assert len(KNOWN) == 3


@pytest.mark.parametrize("line", KNOWN, ids=["zeros", "ones", "pi"])
def test_known_answers(line):
    counter, key, answer = line[:4], line[4:6], line[6:]
    assert words(np.array([counter], np.uint32), np.array([key], np.uint32))[0].tolist() == answer
    assert [int(word[0]) for word in twin.philox(counter, key)] == answer


def test_the_standards_ten_thousandth_word():
    # C++26, [rand.predef]: the 10000th invocation of a default-constructed philox4x32 gives 1955073260. The default
    # seed is 20111115, an invocation a word.
    counters = np.array([[10_000 // 4 - 1, 0, 0, 0]], np.uint32)
    assert words(counters, np.array([[20111115, 0]], np.uint32))[0, 3] == 1955073260


def test_the_twin_on_random_counters():
    rng = np.random.default_rng(1)
    counters = rng.integers(0, 2**32, (1000, 4), np.uint32)
    keys = rng.integers(0, 2**32, (1000, 2), np.uint32)
    expected = [[int(w[0]) for w in twin.philox(c, k)] for c, k in zip(counters, keys, strict=True)]
    assert words(counters, keys).tolist() == expected
