"""The cache of compiled kernels: never stale, never in the way."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import fastinit_kernels
import pytest

# One small kernel, so that each fresh compile is short.
FILL = """
import time, warnings
import fastinit as fi
before = time.perf_counter()
x = fi.uniform(64, low=-1, high=1, seed=1)
print(x.tobytes().hex()[:64], time.perf_counter() - before)
"""


@pytest.fixture(scope="module")
def right(python):
    return python(FILL).split()[0]


def first_value(python, path, cache):
    """The bytes drawn by the copy of the kernels in `path`."""
    where = os.pathsep.join(filter(None, (str(path), os.environ.get("PYTHONPATH"))))
    check = f"import fastinit_kernels; assert fastinit_kernels.__file__.startswith({str(path)!r})\n"
    return python(check + FILL, PYTHONPATH=where, NUMBA_CACHE_DIR=str(cache)).split()[0]


def test_a_change_of_a_helper_in_another_file_is_seen(python, right, tmp_path):
    copy = tmp_path / "edited"
    shutil.copytree(Path(fastinit_kernels.__file__).parent, copy / "fastinit_kernels")
    cache = tmp_path / "cache"
    assert first_value(python, copy, cache) == right

    helper = copy / "fastinit_kernels" / "philox.py"
    source = helper.read_text()
    stamp = helper.stat()
    changed = source.replace("0xD2511F53", "0xD2511F55")  # as long as before
    assert changed != source
    helper.write_text(changed)
    os.utime(helper, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # and as old, as an unpacked wheel may leave it
    shutil.rmtree(copy / "fastinit_kernels" / "__pycache__", ignore_errors=True)
    assert first_value(python, copy, cache) != right

    helper.write_text(source)
    shutil.rmtree(copy / "fastinit_kernels" / "__pycache__", ignore_errors=True)
    assert first_value(python, copy, cache) == right


def test_a_warm_start_compiles_nothing(python, right):
    # The fixture has filled the cache. Compiling takes seconds, reading tens of milliseconds.
    code = (
        FILL
        + """
from fastinit_kernels.fill import fill_kernel
stats = fill_kernel("uniform", "float32").work.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""
    )
    drawn, _, hits, misses = python(code).split()
    assert drawn == right
    assert (hits, misses) == ("1", "0")


def unusable(tmp_path, kind):
    if kind == "a file is in the way":
        (tmp_path / "cache").write_text("")
    elif kind == "read-only":
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache").chmod(0o500)
        if os.access(tmp_path / "cache", os.W_OK):
            pytest.skip("this user may write anywhere")
    return tmp_path / "cache"


@pytest.mark.parametrize("kind", ["a file is in the way", "read-only"])
def test_without_a_cache_there_is_one_warning_and_the_right_bytes(python, right, tmp_path, kind):
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import fastinit as fi
    x = fi.uniform(64, low=-1, high=1, seed=1)
    fi.uniform(64, low=-1, high=1, seed=1, dtype="bfloat16")
ours = [w for w in caught if "compiled kernels" in str(w.message)]
print(x.tobytes().hex()[:64], len(ours), len(caught), ours[0].category.__name__)
assert "NUMBA_CACHE_DIR" in str(ours[0].message)
"""
    folder = unusable(tmp_path, kind)
    assert python(code, NUMBA_CACHE_DIR=str(folder)).split() == [right, "1", "1", "RuntimeWarning"]


DAMAGE = {
    "empty": lambda whole: b"",
    "foreign": lambda whole: b"\x80\x04something else",
    "cut off": lambda whole: whole[: len(whole) // 2],
    "overwritten": lambda whole: whole[:100] + bytes(100) + whole[200:],
}


@pytest.fixture(scope="module")
def filled(python, right, tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    assert python(FILL, NUMBA_CACHE_DIR=str(folder)).split()[0] == right
    return folder


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_compiled_again(python, right, filled, tmp_path, damage):
    shutil.copytree(filled, tmp_path / "cache")
    files = list(tmp_path.rglob("*.bin"))
    assert files
    for file in files:
        file.write_bytes(DAMAGE[damage](file.read_bytes()))
    assert python(FILL, NUMBA_CACHE_DIR=str(tmp_path / "cache")).split()[0] == right


def test_processes_that_compile_at_once(python, right, tmp_path):
    together = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", FILL],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in together:
        output, errors = process.communicate(timeout=500)
        assert process.returncode == 0, errors
        assert output.split()[0] == right
    assert not list(tmp_path.rglob("*.tmp"))
    assert python(FILL, NUMBA_CACHE_DIR=str(tmp_path)).split()[0] == right
