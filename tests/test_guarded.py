"""Nothing is read or written outside: every buffer ends, or begins, where the process may not go on.

Kernels meet memory by its address, which Numba's own checks of bounds know nothing of.
"""

import sys

import pytest

# Arrays that end (or begin) at a page that nobody may touch: whoever does is ended by the system.
GUARD = """
import ctypes, mmap, sys
import numpy as np

PAGE, END = mmap.PAGESIZE, sys.argv[1] == "end"
libc = ctypes.CDLL(None, use_errno=True)
kept = []

def guarded(count, dtype, line=1):
    dtype = np.dtype(dtype)
    size = -(-count * dtype.itemsize // line) * line
    pages = max(1, -(-size // PAGE))
    block = mmap.mmap(-1, (pages + 2) * PAGE)
    kept.append(block)
    start = ctypes.addressof(ctypes.c_char.from_buffer(block))
    for forbidden in (start, start + (pages + 1) * PAGE):
        assert libc.mprotect(ctypes.c_void_p(forbidden), PAGE, mmap.PROT_NONE if hasattr(mmap, "PROT_NONE") else 0) == 0
    offset = (pages + 1) * PAGE - size if END else PAGE
    return np.frombuffer(block, dtype, count, offset)

def copied(array):
    out = guarded(array.size, array.dtype).reshape(array.shape)
    out[...] = array
    return out
"""

FILLS = """
from fastinit_kernels.fill.draw import LAWS
import fastinit as fi
for dtype in ("float32", "float64", "float16", "bfloat16"):
    for n in (1, 31, 64, 65, 1000, 20_000):
        kind = fi.normal(0, dtype=dtype).dtype
        out = guarded(n * kind.itemsize, np.uint8).view(kind)
        for name, words in {"normal": {}, "uniform": {}, "truncated_normal": {}}.items():
            fi.init(name, n, seed=1, dtype=dtype, out=out, **words)
            assert out.tobytes() == fi.init(name, n, seed=1, dtype=dtype, **words).tobytes()
            fi.init(name, n, seed=1, dtype=dtype, region=slice(n // 3, n // 2), out=out[n // 3 : n // 2], **words)
        square = guarded(n * kind.itemsize, np.uint8).view(kind).reshape(1, n)
        fi.init("sparse", (1, n), nonzeros=1, seed=1, dtype=dtype, out=square, layout="oi")
"""

PROBES = """
import fastinit as fi
from fastinit_kernels.probe import backward, merging, run, workspace

class Guarded:
    # NumPy, with buffers of its own.
    def __getattr__(self, name):
        return getattr(np, name)
    def zeros(self, shape, dtype=float):
        return guarded(int(np.prod(shape)), dtype).reshape(shape)
    empty = zeros

count = 0
def zeros(elements, dtype):
    return guarded(elements, dtype, line=64)
def table(make):
    def made(*arguments):
        global count
        count += 1
        return copied(make(*arguments))
    return made

plain = dict(depth=3, width=37, batch=131, bins=30)
kinds = [
    plain, plain | dict(dtype="float64", bins=64), plain | dict(bins=100, activation="tanh"),
    plain | dict(widths=[5, 16, 17, 64, 65, 1], batch=1), plain | dict(width=1, batch=2),
    plain | dict(residual=True, normalize="layer", sigma_b=0.1), plain | dict(normalize="rms", input_correlation=0.5),
    dict(depth=3, width=5, batch=7, conv=3, image=5), dict(depth=2, width=17, batch=4, conv=2, image=3, residual=True),
    plain | dict(scheme="sparse", dtype="bfloat16"), dict(depth=2, width=600, batch=97),
]
for words in kinds:  # so that every kernel is compiled, with NumPy under its own name
    fi.probe(**words)
for module in (workspace, backward):
    module.np = Guarded()
    module.source_table = table(module.source_table)
    module.empty = table(module.empty)
workspace._zeros = zeros
for words in kinds:
    fi.probe(**words)
run.ACTIVATION_BUDGET = 1 << 15
for words in (plain | dict(batch=700), dict(depth=2, width=9, batch=40, conv=3, image=6)):
    fi.probe(**words)
assert count > 30
"""

OUTSIDE = """
import fastinit as fi
from fastinit_kernels.fill import dense
out = guarded(64, np.float32)
import fastinit.weights.sampled as laws
geometry = laws.geometry
laws.geometry = lambda *arguments: geometry(*arguments) + np.array([64, 64, 0, 0, 0 if END else -64])
fi.normal(64, seed=1, out=out)
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="asks the C library for protected pages")


@pytest.mark.parametrize("side", ["end", "start"])
@pytest.mark.parametrize("work", [FILLS, PROBES], ids=["fills", "probes"])
def test_nothing_outside_is_touched(python, work, side):
    python(GUARD + work, side)


@pytest.mark.parametrize("side", ["end", "start"])
def test_the_guard_can_fail(python, side):
    with pytest.raises(AssertionError, match="exit code -11"):
        python(GUARD + OUTSIDE, side)
