"""Subnormal numbers count as 0 in a kernel that asks for it, in each of its threads, and nowhere else."""

import platform
import re

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from fastinit_kernels.machine.jit import kernel, place_of
from fastinit_kernels.machine.modes import read_float_mode, write_float_mode
from fastinit_kernels.machine.pointers import pointers
from fastinit_kernels.machine.records import Table
from fastinit_kernels.machine.threads import PARALLEL_FROM, run_tiles
from llvmlite import ir

import fastinit as fi

TILES = 200
SMALL, FACTOR = np.float32(1e-30), np.float32(1e-10)  # each is normal, their product 1e-40 is not
TINY = np.float32(1e-40)
RUNS = {"serial": TILES, "parallel": PARALLEL_FROM}

has_the_mode = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64", "aarch64", "arm64"), reason="a CPU whose mode is left alone"
)


LAUNCH = Table(("given", "out"), more=[(name, np.float32) for name in ("small", "factor", "tiny")])
_launch_at, _number_at = LAUNCH.at, pointers(np.float32)


@kernel(None)
def _products(t, launch_address):
    # From memory, from numbers that are the same for all tiles, and a subnormal taken in.
    launch = _launch_at(launch_address, np.int64(0))
    given, out = _number_at(launch.given, t), _number_at(launch.out, 3 * t)
    out[0] = given[0] * launch.factor
    out[1] = launch.small * launch.factor
    out[2] = launch.tiny * np.float32(1e10)
    return 0


def _run(flush, steps):
    given, out = np.full(TILES, SMALL), np.full(3 * TILES, 7, np.float32)
    launch = LAUNCH.record(given=place_of(given), out=place_of(out), small=SMALL, factor=FACTOR, tiny=TINY)
    run_tiles(_products, place_of(launch), TILES, steps, flush=flush)
    return out.reshape(TILES, 3)


KEPT = np.array([TINY, TINY, np.float32(TINY * np.float32(1e10))])


@numba.njit(parallel=True)
def _on_every_thread(out):
    for i in numba.prange(len(out)):
        out[i] = SMALL * np.float32(1e-10 + 1e-20 * i)


@has_the_mode
@pytest.mark.parametrize("steps", RUNS.values(), ids=RUNS)
def test_flushed_inside(steps):
    np.testing.assert_array_equal(_run(True, steps), 0)


@pytest.mark.parametrize("steps", RUNS.values(), ids=RUNS)
def test_kept_without_the_mode(steps):
    np.testing.assert_array_equal(_run(False, steps), np.broadcast_to(KEPT, (TILES, 3)))


@pytest.mark.parametrize("steps", RUNS.values(), ids=RUNS)
def test_nothing_outside_sees_the_mode(steps):
    _run(True, steps)
    assert SMALL * FACTOR == TINY > 0
    assert (np.full(100, SMALL) * FACTOR == TINY).all()
    # Numba's own threads, in kernels of others and of ours.
    others = np.zeros(1000, np.float32)
    _on_every_thread(others)
    assert (others > 0).all()
    np.testing.assert_array_equal(_run(False, PARALLEL_FROM), np.broadcast_to(KEPT, (TILES, 3)))


def _compiled_for(triple):
    """Assembly of a function that sets the mode, calls something and sets the mode back."""
    module = ir.Module()
    module.triple = triple
    kind = ir.FunctionType(ir.VoidType(), [])
    outside = ir.Function(module, kind, "outside")
    builder = ir.IRBuilder(ir.Function(module, kind, "f").append_basic_block())
    before = read_float_mode(builder)
    write_float_mode(builder, before, flush=True)
    builder.call(outside, [])
    write_float_mode(builder, before)
    builder.ret_void()
    machine = llvm.Target.from_triple(triple).create_target_machine(opt=3)
    return machine.emit_assembly(llvm.parse_assembly(str(module))).lower()


READS_AND_WRITES = {
    "x86_64-unknown-linux-gnu": ("stmxcsr", r"orl\s+\$32832,", "ldmxcsr", r"call\w*"),
    "aarch64-unknown-linux-gnu": (r"mrs\s+x\d+, fpcr", r"orr\s.*#0x1000000", r"msr\s+fpcr", r"\bblr?\b"),
    "arm64-apple-darwin": (r"mrs\s+x\d+, fpcr", r"orr\s.*#0x1000000", r"msr\s+fpcr", r"\bblr?\b"),
}


@pytest.mark.parametrize("triple", READS_AND_WRITES)
def test_the_code_for(triple):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    read, flag, write, call = READS_AND_WRITES[triple]
    order = re.findall("|".join((read, flag, write, call)), _compiled_for(triple))
    shapes = [next(p for p in (read, flag, write, call) if re.fullmatch(p, found)) for found in order]
    assert shapes == [read, flag, write, call, write]


def test_other_cpus_are_left_alone():
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    assembly = _compiled_for("riscv64-unknown-linux-gnu")
    assert "outside" in assembly
    assert not re.search("fcsr|frm|fsrm", assembly)


# The first kernels of a process, alike but for what they add: their functions must not be taken for each other's.
ALIKE = """
import sys
import numpy as np
from fastinit_kernels.machine.jit import kernel, place_of
from fastinit_kernels.machine.pointers import pointers
from fastinit_kernels.machine.threads import run_tiles

at = pointers(np.int64)

def add(number):
    @kernel(f"add-{number}")
    def tile(t, out):
        at(out, t)[0] += number
        return 0
    return tile

for number in map(int, sys.argv[1:]):
    for steps in (1, 1 << 20):
        out = np.zeros(8, np.int64)
        run_tiles(add(number), place_of(out), 8, steps, flush=True)
        print(*set(out.tolist()))
"""


@pytest.mark.ci
def test_kernels_from_the_cache_are_told_apart(python, tmp_path):
    env = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_NUM_THREADS": "2"}
    assert [python(ALIKE, n, **env).split() for n in (1, 2)] == [["1"] * 2, ["2"] * 2]
    assert python(ALIKE, 1, 2, **env).split() == ["1", "1", "2", "2"]


def test_small_weights_of_16_bits_are_those_of_the_tensor():
    # Halves below 6e-5 are subnormal, the float32 values that they stand for are not.
    for dtype in ("float16", "bfloat16"):
        weights = fi.init("normal", (64, 50), std=2e-5, seed=3, name="layer.0.weight", dtype=dtype).astype(np.float64)
        result = fi.probe(scheme="normal", std=2e-5, seed=3, widths=[64, 50], batch=4, dtype=dtype)
        np.testing.assert_allclose(result.weight_std, weights.std(), rtol=1e-6)


# Signals that fade through the subnormal numbers to 0, in both directions.
VANISHING = """
import json
import fastinit as fi
networks = {"relu": (0.01, "float32"), "tanh": (0.003, "bfloat16"), "linear": (1e-6, "float16")}
results = []
for activation, (std, dtype) in networks.items():
    result = fi.probe(scheme="normal", std=std, activation=activation, depth=40, width=70, batch=50, dtype=dtype)
    assert result.zero[-1] == 1 and result.gradient_std[0] == 0, activation
    results.append(result.to_dict() | {"seconds": 0})
print(json.dumps(results))
"""


@pytest.mark.ci
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 CPUs")
def test_the_same_figures_on_every_cpu_and_any_threads(python):
    alone = python(VANISHING, NUMBA_NUM_THREADS="1")
    assert python(VANISHING, NUMBA_NUM_THREADS="3") == alone
    host = llvm.get_host_cpu_features()
    for cpu, feature in {"x86-64-v2": "sse4.2", "haswell": "avx2"}.items():
        if host.get(feature):
            assert python(VANISHING, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="") == alone
