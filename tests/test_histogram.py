"""The histogram of a tile: exact counts, whatever falls where, on every kind of vectors."""

import platform

import llvmlite.binding as llvm
import numpy as np
import pytest
from fastinit_kernels.gemm import CHUNK
from fastinit_kernels.histogram import histogram_function
from fastinit_kernels.jit import kernel
from fastinit_kernels.lanes import panel_width

DTYPES = ("float32", "float64")
FEW, MANY = (1, 2, 30, 32), (33, 64, 65, 200)


def _kernel(dtype):
    count = histogram_function(dtype)

    @kernel(None)
    def counted(a, at, rows, columns, low, high, bins_a_unit, bins, histogram, to):
        count(a, at, rows, columns, low, high, bins_a_unit, bins, histogram, to)

    return counted


KERNELS = {dtype: _kernel(np.dtype(dtype).type) for dtype in DTYPES}


def counted(values, columns, bins, low, high, *, at=5, to=3):
    """Counts of the first columns of a panel (rows, panel width), with overflow, not finite, underflow."""
    real = values.dtype.type
    memory = np.concatenate([np.full(at, np.nan, real), values.ravel(), np.full(64, np.nan, real)])
    histogram = np.full(to + bins + 3 + 2, 100, np.int64)
    unit = real(bins) / real(real(high) - real(low))
    KERNELS[values.dtype.name](memory, at, len(values), columns, real(low), real(high), unit, bins, histogram, to)
    assert (histogram[:to] == 100).all()
    assert (histogram[to + bins + 3 :] == 100).all()
    return (histogram[to : to + bins + 3] - 100).tolist()


def expected(values, columns, bins, low, high):
    """The same in NumPy, in the type of the values."""
    x = values[:, :columns].ravel()
    low, high = x.dtype.type(low), x.dtype.type(high)
    inside = x[(x >= low) & (x <= high)]
    places = ((inside - low) * (x.dtype.type(bins) / (high - low))).astype(int)
    counts = np.bincount(np.minimum(places, bins - 1), minlength=bins).tolist()
    finite = x[np.isfinite(x)]
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
    edges = np.linspace(-1, 1, bins + 1).astype(dtype)
    low, high = dtype_ends(dtype)
    special = np.concatenate([edges, low, high, [np.nan, np.inf, -np.inf, 0.0, -0.0]]).astype(dtype)
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


CPUS = {"x86-64-v2": "sse4.2", "haswell": "avx2", "skylake-avx512": "avx512f"}

CODE = """
import os, sys
sys.path.insert(0, os.environ["TESTS"])
import test_histogram as t
from fastinit_kernels.lanes import register_bytes
print(register_bytes())
for dtype in t.DTYPES:
    for bins in (30, 65):
        for rows in (96, 7):
            t.check(t.panel(dtype, rows), t.panel_width(dtype) - 1, bins, -1.5, 2.0)
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 CPUs")
@pytest.mark.parametrize("cpu", CPUS)
def test_vectors_of(python, cpu):
    if not llvm.get_host_cpu_features().get(CPUS[cpu]):
        pytest.skip(f"this machine cannot run code for {cpu}")
    size = {"x86-64-v2": "16", "haswell": "32", "skylake-avx512": "64"}[cpu]
    assert python(CODE, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES="", NUMBA_NUM_THREADS="1").strip() == size
