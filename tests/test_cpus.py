"""The golden values again, compiled for other CPUs: vectors of 128, 256 and 512 bits, with and without an fma."""

import platform
from concurrent.futures import ThreadPoolExecutor

import llvmlite.binding as llvm
import pytest

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 CPUs")

# What the code compiled for each may use and not every x86-64 has.
AVX2 = {"avx2", "fma", "bmi2", "f16c"}
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd"}
CPUS = {
    "x86-64-v2": {"sse4.2"},
    "haswell": AVX2,
    "skylake-avx512": AVX512,
    "znver4": AVX512 | {"avx512vbmi2", "avx512vnni", "avx512vpopcntdq", "avx512bitalg", "avx512bf16"},
}

CODE = """
import os, sys
sys.path.insert(0, os.environ["TESTS"])
import golden
drawn, stored = golden.compute(), golden.stored()
changed = [case for part in ("laws", "schemes") for case in drawn[part] if drawn[part][case] != stored[part].get(case)]
print(len(drawn["laws"]) + len(drawn["schemes"]), *changed)
"""


def host_has(features):
    host = llvm.get_host_cpu_features()
    return all(host.get(feature, False) for feature in features)


def test_the_plainest_cpu_is_never_skipped():
    assert host_has(CPUS["x86-64-v2"])


@pytest.fixture(scope="module")
def drawn(python):
    """What each child says, two compiling at a time."""

    def draw(cpu):
        # One thread: the plain loop runs the same tile function, and compiles in half the time.
        return python(CODE, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="", NUMBA_NUM_THREADS="1").split()

    with ThreadPoolExecutor(2) as pool:
        return {cpu: pool.submit(draw, cpu) for cpu, features in CPUS.items() if host_has(features)}


@pytest.mark.ci
@pytest.mark.parametrize("cpu", CPUS)
def test_golden_values_compiled_for(drawn, cpu):
    if cpu not in drawn:
        pytest.skip(f"this machine cannot run code for {cpu}")
    cases, *changed = drawn[cpu].result()
    assert int(cases) > 30
    assert not changed
