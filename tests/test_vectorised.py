"""The guard: what the fills compile to keeps its vector instructions, here and on every change.

Compiled afresh (machine code that comes from the cache brings no listing) and read as assembly.
"""

import json

import llvmlite.binding as llvm
import pytest
from assembly import MACHINE, PATTERNS

LAWS = ("uniform", "normal", "truncated_series", "truncated_far", "truncated_centre", "truncated_wide")
# Fused operations on whole registers of a law's loops; 16 terms of the rest.
FUSED = {"uniform": 2, "normal": 20, "truncated_series": 3, "truncated_centre": 15}
DTYPES = ("float32", "float64", "float16", "bfloat16")
KERNELS = [(law, dtype) for law in LAWS for dtype in DTYPES]
KERNELS += [("normal", "float8_e4m3fn"), ("normal", "float8_e5m2"), ("plane_normal", "float64")]
KERNELS += [(law, "float32") for law in ("log_uniform", "log_of_uniform", "inverse_softplus")]
USUAL = [("normal", "float32"), ("uniform", "bfloat16")]
IN_DOUBLE = ("truncated_series", "truncated_far", "log_uniform", "log_of_uniform", "inverse_softplus")

# Packed instructions found in each fill, and in a copy whose lanes depend on each other.
CODE = """
import json, math, re, sys
import numpy as np
from fastinit_kernels.fill import dense
from fastinit_kernels.machine.intrinsics import fma
from fastinit_kernels.machine.jit import compiled
from fastinit_kernels.numeric.philox import philox

patterns = json.loads(sys.argv[1])

def count(dispatcher):
    asm = "\\n".join(dispatcher.inspect_asm().values())
    return {name: len(re.findall(pattern, asm)) for name, pattern in patterns.items()}

found = {}
for law, dtype in json.loads(sys.argv[2]):
    found[f"{law} {dtype}"] = count(dense.fill_kernel(law, dtype).dispatcher)

@compiled
def chained(out, key):
    # Each block's counter is the last block's word, each value goes into the next: nothing can be packed.
    w = np.uint32(1)
    for i in range(out.size):
        w, _, _, _ = philox(w, w, w, w, key[0], key[1])
        out[i] = fma(out[i - 1], np.float32(w), np.float32(math.log(out[i])))

chained(np.ones(64, np.float32), np.zeros(4, np.uint32))
found["chained"] = count(chained)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(python, request, tmp_path_factory):
    """What the listings of the kernels have, those whose tests run here."""
    if MACHINE not in PATTERNS:
        pytest.skip(f"knows the assembly of {', '.join(PATTERNS)}")
    if MACHINE == "x86_64" and not llvm.get_host_cpu_features().get("fma"):
        pytest.skip("looks for AVX2 and its fused multiply-add, which this CPU lacks")
    asked = {item.callspec.id for item in request.session.items if item.name.startswith("test_a_fill_is_packed[")}
    arguments = (PATTERNS[MACHINE], [kernel for kernel in KERNELS if "-".join(kernel) in asked])
    fresh = str(tmp_path_factory.mktemp("fresh"))
    return json.loads(python(CODE, *map(json.dumps, arguments), NUMBA_CACHE_DIR=fresh, NUMBA_NUM_THREADS="1"))


@pytest.mark.parametrize(
    ("law", "dtype"), [pytest.param(*k, marks=[] if k in USUAL else pytest.mark.ci, id="-".join(k)) for k in KERNELS]
)
def test_a_fill_is_packed(found, law, dtype):
    counts = found[f"{law} {dtype}"]
    # Ten rounds of two products for at least one register of lanes.
    assert counts["words"] >= 20
    # At least a fused operation for each polynomial coefficient of the law, an element of a group's four (two).
    double = dtype == "float64" or law in IN_DOUBLE
    fused = counts["float64" if double else "float32"]
    assert fused >= FUSED.get(law, 16)
    assert counts["single"] == 0
    assert counts["library"] == 0


def test_the_guard_can_fail(found):
    assert found["chained"]["words"] < 20
    assert found["chained"]["float32"] == 0
    assert found["chained"]["float64"] == 0
    assert found["chained"]["single"] > 0
    assert found["chained"]["library"] > 0
