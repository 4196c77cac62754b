"""The histogram of a tile: exact counts by the edges that it tells, whatever falls where, on every kind of vectors."""

import platform

import llvmlite.binding as llvm
import numpy as np
import pytest
from fastinit_kernels.machine.jit import compiled, place_of
from fastinit_kernels.machine.lanes import panel_width
from fastinit_kernels.machine.pointers import pointers
from fastinit_kernels.probe.bins import bins_of, edges
from fastinit_kernels.probe.gemm import CHUNK
from fastinit_kernels.probe.histogram import histogram_function, needs_counters, singly_kernel
from fastinit_kernels.probe.records import LAUNCH, LAYER

DTYPES = ("float32", "float64")
FEW, MANY = (1, 2, 30, 32), (33, 64, 65, 200, 5000)


def _kernel(dtype):
    count, real_at, layer_at, launch_at = histogram_function(dtype), pointers(dtype), LAYER.at, LAUNCH.at

    @compiled
    def counted(a, rows, columns, layer, launch, counters):
        start = np.int64(0)
        count(real_at(a, start), rows, columns, layer_at(layer, start), launch_at(launch, start), counters)

    return counted


KERNELS = {dtype: _kernel(np.dtype(dtype).type) for dtype in DTYPES}


def counted(values, columns, bins, low, high, *, at=5, to=3):
    """Counts of the first columns of a panel (rows, panel width), with overflow, not finite, underflow."""
    real = values.dtype.type
    memory = np.concatenate([np.full(at, np.nan, real), values.ravel(), np.full(64, np.nan, real)])
    histogram = np.full(to + bins + 3 + 2, 100, np.int64)
    (numbers,) = zip(*bins_of(((low, high),), bins, values.dtype.name), strict=True)
    layer = LAYER.record(**dict(zip(("low", "high", "pivot", "first_bin", "bins_a_unit"), numbers, strict=True)))
    singly = singly_kernel(real).address if needs_counters(bins, real) else 0
    launch = LAUNCH.record(bins=bins, count_singly=singly)
    first, counters = place_of(memory) + at * memory.itemsize, place_of(histogram) + to * histogram.itemsize
    KERNELS[values.dtype.name](first, len(values), columns, place_of(layer), place_of(launch), counters)
    assert (histogram[:to] == 100).all()
    assert (histogram[to + bins + 3 :] == 100).all()
    return (histogram[to : to + bins + 3] - 100).tolist()


def expected(values, columns, bins, low, high):
    """The same by NumPy, from the edges."""
    x = values[:, :columns].ravel().astype(np.float64)
    (known,) = edges(((low, high),), bins, values.dtype.name)
    finite = x[np.isfinite(x)]
    counts = np.histogram(finite, known)[0].tolist()
    return [*counts, int((finite > high).sum()), x.size - finite.size, int((finite < low).sum())]


def check(values, columns, bins, low, high):
    counts = counted(values, columns, bins, low, high)
    assert counts == expected(values, columns, bins, low, high)
    assert sum(counts) == len(values) * columns


def panel(dtype, rows=CHUNK, seed=1):
    return np.random.default_rng(seed).standard_normal((rows, panel_width(dtype))).astype(dtype)


@pytest.mark.parametrize("bins", FEW + MANY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_values_with_some_outside(dtype, bins):
    check(panel(dtype), panel_width(dtype), bins, -1.5, 2.0)


@pytest.mark.parametrize("bins", [30, 65])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_rows_and_columns(dtype, bins):
    width = panel_width(dtype)
    for rows in (1, 2, 3, 4, 5, 7, 8, 11, 50, 95, 96):
        check(panel(dtype, rows), width, bins, -2, 2)
    for columns in range(1, width + 1):
        check(panel(dtype, 9), columns, bins, -2, 2)


@pytest.mark.parametrize("bins", [1, 30, 32, 64])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", [0, 0.5, 1, -0.1, 1.1, np.nan, np.inf, -np.inf])
def test_all_values_the_same(dtype, bins, place):
    check(np.full((CHUNK, panel_width(dtype)), place, dtype), panel_width(dtype), bins, 0, 1)


@pytest.mark.parametrize("bins", [1, 30, 32, 64])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_bin_holds_a_whole_tile(dtype, bins):
    for k in range(bins):
        check(np.full((CHUNK, panel_width(dtype)), (k + 0.5) / bins, dtype), panel_width(dtype), bins, 0, 1)


@pytest.mark.parametrize("bins", [4, 33, 65])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_edges(dtype, bins):
    # An edge belongs to the bin on its right, the last one to the last bin; the neighbours of both ends.
    x = panel(dtype)
    equal = np.linspace(-1, 1, bins + 1).astype(dtype)
    low, high = dtype_ends(dtype)
    special = np.concatenate([equal, low, high, [np.nan, np.inf, -np.inf, 0.0, -0.0]]).astype(dtype)
    x[:] = np.resize(special, x.shape)
    check(x, panel_width(dtype), bins, -1, 1)
    if bins == 4:
        ends = np.zeros((1, panel_width(dtype)), dtype)
        ends[0, :4] = [*low, *high]
        assert counted(ends, 4, bins, -1, 1) == [1, 0, 0, 1, 1, 0, 1]


def dtype_ends(dtype):
    """-1 and 1, each with its neighbour outside."""
    one = np.dtype(dtype).type(1)
    outside = np.nextafter(one, np.dtype(dtype).type(2))
    return [-one, -outside], [one, outside]


# Around 0, beside it and far from it; ends that are no float32; as wide as the type and as narrow as its steps allow.
RANGES = [(-1.0, 1.0), (0.0, 3.7), (-0.3, 0.3), (-150.0, 150.0), (1000.0, 1001.0), (-5.0, -1.0), (-0.1, 1e6)]
WIDEST = {"float32": (-3e38, 3e38), "float64": (-1.7e308, 1.7e308)}
NARROWEST = {"float32": (1.0, 1.0 + 66 * 4 * 2.0**-23), "float64": (1.0, 1.0 + 66 * 4 * 2.0**-52)}


@pytest.mark.parametrize("bins", [30, 65])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("limits", [*RANGES, WIDEST, NARROWEST])
def test_counts_are_those_of_the_edges_to_the_last_bit(dtype, bins, limits):
    low, high = limits[dtype] if isinstance(limits, dict) else limits
    (known,) = edges(((low, high),), bins, dtype)
    assert (known[0], known[-1]) == (low, high)
    # Equal parts, up to a few of the type's numbers beside each edge.
    part = np.arange(bins + 1) / bins
    equal = low * (1.0 - part) + high * part
    rounding = 4 * np.finfo(np.float64).eps * max(-low, high)
    np.testing.assert_allclose(known, equal, rtol=8 * np.finfo(dtype).eps, atol=rounding)
    real = np.dtype(dtype).type
    near = known.astype(dtype)
    near = np.concatenate([near, np.nextafter(near, real(np.inf)), np.nextafter(near, real(-np.inf)), [0, -0.0]])
    near = near[~(np.abs(near) < np.finfo(dtype).smallest_normal * max(1, high / bins)) | (near == 0)]
    values = np.resize(near, (CHUNK, panel_width(dtype))).astype(dtype)
    check(values, panel_width(dtype), bins, low, high)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bins", [30, 65])
def test_the_smallest_numbers_on_both_sides_of_zero_part(dtype, bins):
    small = 1e3 * float(np.finfo(dtype).smallest_normal)
    x = panel(dtype)
    x[:, 0::2], x[:, 1::2] = small, -small
    bins = 2 * (bins // 2)
    counts = counted(x, panel_width(dtype), bins, -1.0, 1.0)
    assert counts[bins // 2 - 1 : bins // 2 + 1] == [x.size // 2] * 2


CPUS = {"x86-64-v2": "sse4.2", "haswell": "avx2", "skylake-avx512": "avx512f"}

CODE = """
import os, sys
sys.path.insert(0, os.environ["TESTS"])
import test_histogram as t
from fastinit_kernels.machine.lanes import register_bytes
print(register_bytes())
for dtype in t.DTYPES:
    for bins in (30, 65):
        for rows in (96, 7):
            t.check(t.panel(dtype, rows), t.panel_width(dtype) - 1, bins, -1.5, 2.0)
"""


@pytest.mark.ci
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 CPUs")
@pytest.mark.parametrize("cpu", CPUS)
def test_vectors_of(python, cpu):
    if not llvm.get_host_cpu_features().get(CPUS[cpu]):
        pytest.skip(f"this machine cannot run code for {cpu}")
    size = {"x86-64-v2": "16", "haswell": "32", "skylake-avx512": "64"}[cpu]
    assert python(CODE, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="", NUMBA_NUM_THREADS="1").strip() == size
