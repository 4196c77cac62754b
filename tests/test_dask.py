"""Dask arrays of weights: the bytes of one tensor, however it is cut and whoever draws it, killed workers included."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from fastinit_kernels.machine import threads
from optional import library

import fastinit as fi

dask = library("dask")
library("dask.array")

import fastinit.dask as ours  # noqa: E402 - what it needs is looked for first

SHAPE = (60, 41)
CHUNKS = {
    "one": -1,
    "even": (20, 41),
    "odd": (7, 13),
    "single": (60, 1),
    "given": ((1, 0, 59), (40, 1)),
    "auto": "auto",
}


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("scheme", ["he_normal", "xavier_uniform", "sparse", "positive_unitball", "ones"])
def test_chunks_change_nothing(scheme, chunks):
    arguments = {"seed": 3, "name": "w", "layout": "oi", "dtype": "bfloat16"}
    array = ours.init(scheme, SHAPE, chunks=CHUNKS[chunks], **arguments)
    assert array.dtype == ml_dtypes.bfloat16
    assert array.shape == SHAPE
    np.testing.assert_array_equal(array.compute(scheduler="threads"), fi.init(scheme, SHAPE, **arguments))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_the_plain_laws(dtype, scheduler):
    shape, words = (3, 50, 7), {"seed": 2**64 - 1, "name": "é", "dtype": dtype}
    with dask.config.set(scheduler=scheduler):
        for name, numbers in {
            "normal": {"mean": 1.0, "std": 0.5},
            "uniform": {"low": -1.0, "high": 2.0},
            "truncated_normal": {"mean": 1.0, "std": 0.5, "lower": -1.0, "upper": 3.0},
        }.items():
            array = getattr(ours, name)(shape, chunks=(2, 11, 4), **numbers, **words)
            np.testing.assert_array_equal(array.compute(), getattr(fi, name)(shape, **numbers, **words))


def test_processes_draw_the_same():
    array = ours.normal(SHAPE, chunks=30, seed=1)
    np.testing.assert_array_equal(array.compute(scheduler="processes", num_workers=2), fi.normal(SHAPE, seed=1))


def test_arrays_without_axes_and_without_elements():
    for shape in [(), (0,), (3, 0), (1, 1, 1)]:
        np.testing.assert_array_equal(ours.normal(shape, seed=1).compute(), fi.normal(shape, seed=1))


def test_only_what_is_asked_for_is_drawn(monkeypatch):
    drawn = []
    original = ours.draw
    monkeypatch.setattr(ours, "draw", lambda *a, **k: drawn.append(k["region"]) or original(*a, **k))
    array = ours.normal((10**9, 10**6), chunks=(10**9 // 4, 1000), seed=1)
    assert drawn == [(slice(0, 0), slice(0, 0))]
    small = ours.normal((100, 100), chunks=10, seed=1)
    drawn.clear()
    part = small[15:17, 95:].compute(scheduler="synchronous")
    assert drawn == [(slice(10, 20), slice(90, 100))]
    np.testing.assert_array_equal(part, fi.normal((100, 100), seed=1)[15:17, 95:])
    assert array.nbytes == 4 * 10**15


def test_what_dask_does_with_it():
    whole, array = fi.normal(SHAPE, seed=1), ours.normal(SHAPE, chunks=(7, 13), seed=1)
    np.testing.assert_array_equal(array.rechunk((41, 5)).compute(), whole)
    np.testing.assert_array_equal(array.rechunk(-1).T[::2, ::-1].compute(), whole.T[::2, ::-1])
    np.testing.assert_array_equal(dask.array.concatenate([array, array]).compute(), np.concatenate([whole, whole]))
    assert float(abs(array).max().compute()) == abs(whole).max()
    first, second = dask.persist(array, ours.normal(SHAPE, chunks=(7, 13), seed=2))
    assert not (first == second).any().compute()


def test_names_follow_from_the_arguments(python):
    usual = {"chunks": 10, "seed": 1, "name": "w", "dtype": "float32", "layout": "io", "scale": 1.0}
    names = {ours.init("he_normal", SHAPE, **usual).name}
    for other in (
        {"chunks": 11}, {"seed": 2}, {"name": "v"}, {"dtype": "float64"}, {"layout": "oi"}, {"scale": 2.0},
        {"fan_in": 3.0}, {"mode": "fan_out"}, {"truncated": True},
    ):  # fmt: skip
        names.add(ours.init("he_normal", SHAPE, **{**usual, **other}).name)
    names.add(ours.init("he_uniform", SHAPE, **usual).name)
    assert len(names) == 11
    assert ours.init("msra", SHAPE, **usual).name in names  # an alias of he_normal
    assert (
        ours.init(fi.get_scheme("he_normal"), SHAPE, **{k: v for k, v in usual.items() if k != "scale"}).name in names
    )
    code = f"import fastinit.dask as d; print(d.init('he_normal', {SHAPE}, **{usual}).name)"
    assert python(code).strip() in names
    assert ours.normal(3).name != ours.normal(3).name  # seeds of their own


def test_a_chunk_is_drawn_on_its_workers_thread_alone(monkeypatch):
    used = []
    original = threads._pool.enter
    monkeypatch.setattr(threads._pool, "enter", lambda: used.append(original()) or used[-1])
    shape = (1 << 10, 1 << 10)
    ours.normal(shape, chunks=512, seed=1).compute(scheduler="threads", num_workers=2)
    assert used == [False] * 4
    used.clear()
    fi.normal(shape, seed=1)
    assert used == [threads.numba.config.NUMBA_NUM_THREADS > 1]


def test_alone_ends_with_its_block():
    usual = threads.available_threads()
    with threads.alone():
        assert threads.available_threads() == 1
        with threads.alone():
            pass
        assert threads.available_threads() == 1
    assert threads.available_threads() == usual


CLUSTER = """
import os, signal, sys, threading, time
import numpy as np
import dask.array
from distributed import Client, LocalCluster
import fastinit as fi
import fastinit.dask

def slowly(block):
    time.sleep(0.05)
    return block

def main(processes, kill):
    shape = (400, 300)
    array = fi.dask.init("he_normal", shape, chunks=(40, 50), seed=5, name="w", dtype="bfloat16").map_blocks(slowly)
    cluster = LocalCluster(n_workers=2, threads_per_worker=2, processes=processes, dashboard_address=None)
    with cluster, Client(cluster) as client:
        first = [*client.run(os.getpid).values()]
        future = client.compute(array)
        if kill:
            time.sleep(0.5)
            os.kill(first[0], signal.SIGKILL)
        found = future.result(timeout=120)
        print("killed" if kill else "left alone", [*client.run(os.getpid).values()] != first)
    expected = fi.init("he_normal", shape, seed=5, name="w", dtype="bfloat16")
    assert found.tobytes() == expected.tobytes()

if __name__ == "__main__":
    main(*(word == "True" for word in sys.argv[1:]))
"""


@pytest.mark.ci
@pytest.mark.parametrize(("processes", "kill"), [(False, False), (True, False), (True, True)])
def test_a_cluster(tmp_path, processes, kill):
    library("distributed")
    program = tmp_path / "program.py"
    program.write_text(CLUSTER)
    done = subprocess.run(
        [sys.executable, program, str(processes), str(kill)], capture_output=True, text=True, timeout=240, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ("killed True" if kill else "left alone False")


REFUSED = {
    "chunks: text": (
        {"chunks": "a"},
        "argument 'chunks' must be chunks, as Dask takes them, of shape .60, 41., got 'a'",
    ),
    "chunks: sum": ({"chunks": ((3, 4), (41,))}, "argument 'chunks' must be"),
    "chunks: none": ({"chunks": None}, "argument 'chunks' must be"),
    "chunks: negative": ({"chunks": -5}, "argument 'chunks' must be"),
    "chunks: zero": ({"chunks": 0}, "argument 'chunks' must be"),
    "chunks: nan": ({"chunks": float("nan")}, "argument 'chunks' must be"),
    "chunks: unknown": ({"chunks": ((float("nan"),), (41,))}, "argument 'chunks' must be"),
    "scheme": ({"scheme": "he"}, "argument 'scheme' must be one of"),
    "parameter": ({"std": 1.0}, "argument 'std' must be a parameter of scheme"),
    "shape": ({"shape": (2, -1)}, "argument 'shape' must hold integers >= 0"),
    "too few axes": ({"shape": 3}, "argument 'shape' must have at least 2 dimensions"),
    "dtype": ({"dtype": "int32"}, "argument 'dtype' must be one of"),
    "seed": ({"seed": -1}, "argument 'seed' must be an integer"),
    "name": ({"name": 3}, "argument 'name' must be a string"),
    "layout": ({"layout": "qq"}, "argument 'layout' must be made of"),
    "law": ({"scheme": "normal", "std": 1e30, "dtype": "float16"}, "argument 'std' must keep"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_come_before_any_graph(case):
    words, text = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=text):
        ours.init(**{"scheme": "he_normal", "shape": SHAPE, "seed": 1, **words})
