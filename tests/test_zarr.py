"""Zarr stores of a plan's parameters: the plan's bytes in every chunk, whatever was there and whoever was killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from fastinit_kernels.machine import threads
from optional import library

import fastinit as fi

zarr = library("zarr")

from fastinit.zarr import init_store, stores  # noqa: E402 - what it needs is looked for first

SHAPES = {"a/w": (100, 60), "b": (33, 7), "tied": (33, 7), "left": (3,), "zero": (10, 2), "a/x.y/z": (2, 3, 4),
          "scalar": (), "empty": (0, 3), "wide": (3, 500)}  # fmt: skip
PLAN = fi.Plan(
    [
        ("{a/w,wide}", {"scheme": "sparse", "nonzeros": 3}),
        ("a/x.y/z", {"scheme": "normal", "stack": ["layer"], "std": "0.1 * (layer + 1)"}),
        ("{b,empty,scalar}", {"scheme": "normal", "std": 0.02}),
        ("tied", {"tie": "b"}),
        ("left", "skip"),
        ("zero", "zeros"),
    ]
)
CUTS = {
    "as it comes": {},
    "small chunks": {"chunk_bytes": 64},
    "given chunks": {"chunks": {"a/w": (7, 11), "wide": (3, 100), "a/x.y/z": (1, 3, 4)}},
    "shards": {"shards": {"a/w": (50, 60), "wide": (2, 400)}, "chunks": {"wide": (1, 100)}, "chunk_bytes": 2400},
    "compressed": {"compressors": "auto"},
    "one worker": {"workers": 1, "chunk_bytes": 200},
}


def same(group, dtype, seed=1):
    expected = PLAN.init(SHAPES, seed=seed, dtype=dtype)
    for name, values in expected.items():
        if name == "tied":
            assert name not in group
            continue
        array = group[name]
        assert array.dtype == values.dtype
        assert np.asarray(array[...]).tobytes() == values.tobytes(), name
    assert "left" not in group


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("cut", CUTS)
def test_the_arrays_are_the_plans(cut, dtype):
    store = zarr.storage.MemoryStore()
    group = init_store(store, SHAPES, PLAN, seed=1, dtype=dtype, **CUTS[cut])
    same(group, dtype)
    same(zarr.open_group(store, mode="r"), dtype)
    record = group.attrs["fastinit"]
    assert fi.Plan.from_json(record["plan"]) == PLAN
    assert (record["seed"], record["dtype"], record["contract"], record["ties"]) == ("1", dtype, 1, {"tied": "b"})


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "complex64", "complex128"])
@pytest.mark.parametrize("cut", [{}, {"shards": {"w": (20, 30)}}, {"compressors": "auto"}], ids=str)
def test_narrow_and_complex_types(tmp_path, dtype, cut):
    plan, shapes = fi.Plan([("w", "he_normal")]), {"w": (60, 30)}
    expected = plan.init(shapes, seed=1, dtype=dtype)["w"]
    for _ in range(2):  # the second finds what the first wrote
        group = init_store(tmp_path / "s", shapes, plan, seed=1, dtype=dtype, chunks={"w": (10, 15)}, **cut)
        assert group["w"].dtype == expected.dtype
        assert group["w"].metadata.data_type.item_size == expected.itemsize
        assert np.asarray(group["w"][:]).tobytes() == expected.tobytes()


def test_chunks_are_cut_as_asked():
    store = zarr.storage.MemoryStore()
    group = init_store(store, SHAPES, PLAN, seed=1, **CUTS["shards"])
    assert (group["a/w"].chunks, group["a/w"].shards) == ((10, 60), (50, 60))
    assert (group["wide"].chunks, group["wide"].shards) == ((1, 100), (2, 400))
    assert group["b"].chunks == (33, 7)
    assert stores._rows((1000, 50), 1 << 26) == (1000, 50)
    assert stores._rows((1000, 50), 120) == (2, 50)
    assert stores._rows((10, 4, 50), 120) == (1, 2, 50)
    assert stores._rows((10, 4, 50), 7) == (1, 1, 7)
    assert stores._rows((0, 0), 7) == (1, 1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tensorstore_reads_them(tmp_path, dtype):
    ts = library("tensorstore")
    init_store(tmp_path / "s", SHAPES, PLAN, seed=1, dtype=dtype, chunk_bytes=1000)
    array = ts.open({"driver": "zarr3", "kvstore": f"file://{tmp_path}/s/a/w"}).result()
    expected = PLAN.init(SHAPES, seed=1, dtype=dtype)["a/w"]
    assert array.dtype.name == dtype
    assert array.read().result().tobytes() == expected.tobytes()


def drawn(monkeypatch):
    """What is written from now on, as (name, index)."""
    found = []
    original = stores._Writer.write
    monkeypatch.setattr(stores._Writer, "write", lambda self, *where: found.append(where) or original(self, *where))
    return found


def test_what_is_there_is_not_drawn_again(tmp_path, monkeypatch):
    path = tmp_path / "store"
    init_store(path, SHAPES, PLAN, seed=1, dtype="bfloat16", chunk_bytes=400)
    written = drawn(monkeypatch)
    group = init_store(path, SHAPES, PLAN, seed=None, dtype="bfloat16", chunk_bytes=400)  # the store knows the seed
    assert {name for name, _ in written} <= {"zero"}  # Zarr does not write chunks of zeros
    written.clear()
    (path / "a/w/c/3/0").unlink()
    os.truncate(path / "a/w/c/5/0", 100)  # as a machine without power leaves it
    shutil.rmtree(path / "b")
    group = init_store(path, SHAPES, PLAN, seed=1, dtype="bfloat16", chunk_bytes=400)
    assert {where for where in written if where[0] != "zero"} == {
        ("a/w", (3, 0)),
        ("a/w", (5, 0)),
        ("b", (0, 0)),
        ("b", (1, 0)),
    }
    same(group, "bfloat16")


KILLED = """
import sys, time
import fastinit as fi
from fastinit.zarr import init_store, stores
original = stores._Writer.write
def slowly(self, *where):
    time.sleep(0.005)
    original(self, *where)
    if where == ("w", (2, 0)):
        print("ready", flush=True)
stores._Writer.write = slowly
plan = fi.Plan([("**", {"scheme": "normal", "std": 0.02})])
init_store(sys.argv[1], {"w": (300, 40), "v": (999,)}, plan, seed=7, dtype="bfloat16", chunk_bytes=160, workers=3)
print("done", flush=True)
"""


def killed(path, after, how):
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "ready\n"
        time.sleep(after)
        child.send_signal(how)
        said, error = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    return child.returncode, said, error


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.ci
def test_killed_at_any_moment_and_taken_up(tmp_path, monkeypatch):
    path = tmp_path / "store"
    for after in (0.0, 0.03):
        code, said, error = killed(path, after, signal.SIGKILL)
        assert (code, said) == (-signal.SIGKILL, ""), error
        (path / "w/c/2/0").unlink()  # which the next one is to come to
    code, said, error = killed(path, 0.02, signal.SIGINT)
    assert code != 0
    assert "KeyboardInterrupt" in error
    written = drawn(monkeypatch)
    plan = fi.Plan([("**", {"scheme": "normal", "std": 0.02})])
    shapes = {"w": (300, 40), "v": (999,)}
    group = init_store(path, shapes, plan, seed=7, dtype="bfloat16", chunk_bytes=160)
    assert 0 < len(written) < 150 + 13 - 3
    for name, values in plan.init(shapes, seed=7, dtype="bfloat16").items():
        assert group[name][...].tobytes() == values.tobytes()


def test_a_failure_ends_the_others_and_loses_nothing(monkeypatch):
    store, written = zarr.storage.MemoryStore(), []
    original = stores._Writer.write

    def write(self, name, index):
        written.append((name, index))
        if len(written) == 5:
            raise MemoryError("none left")
        original(self, name, index)

    monkeypatch.setattr(stores._Writer, "write", write)
    with pytest.raises(MemoryError, match="none left"):
        init_store(store, SHAPES, PLAN, seed=1, chunk_bytes=1000)
    monkeypatch.setattr(stores._Writer, "write", original)
    same(init_store(store, SHAPES, PLAN, seed=1, chunk_bytes=1000), "float32")


def test_the_first_failure_of_any_worker_ends_all(monkeypatch):
    written = []

    def write(self, name, index):
        time.sleep(0.001)
        if threading.current_thread().name.endswith("_2"):
            raise MemoryError("none left")
        written.append((name, index))

    monkeypatch.setattr(stores._Writer, "write", write)
    with pytest.raises(MemoryError, match="none left"):
        init_store(zarr.storage.MemoryStore(), SHAPES, PLAN, seed=1, chunk_bytes=64, workers=3)
    assert len(written) < 100  # of 388


def test_a_full_disk_is_told_and_gone_on_from(small_disk, tmp_path):
    plan, shapes = fi.Plan([("**", {"scheme": "normal"})]), {"w": (300, 100)}
    with pytest.raises(OSError, match="No space left"):
        init_store(small_disk / "store", shapes, plan, seed=1, chunk_bytes=4000)
    shutil.move(small_disk / "store", tmp_path / "store")
    group = init_store(tmp_path / "store", shapes, plan, seed=1, chunk_bytes=4000)
    assert group["w"][...].tobytes() == plan.init(shapes, seed=1)["w"].tobytes()


def test_each_worker_draws_on_its_thread_alone(monkeypatch):
    used = []
    original = threads._pool.enter
    monkeypatch.setattr(threads._pool, "enter", lambda: used.append(original()) or used[-1])
    shapes = {"w": (1 << 10, 1 << 10)}
    init_store(zarr.storage.MemoryStore(), shapes, fi.Plan([("w", {"scheme": "normal"})]), seed=1, chunk_bytes=1 << 20)
    assert used == [False] * 4


def test_seeds_of_any_size_and_none(tmp_path):
    plan = fi.Plan([("w", {"scheme": "normal"})])
    group = init_store(tmp_path / "a", {"w": 9}, plan, seed=2**64 - 1)
    assert group["w"][:].tobytes() == fi.normal(9, seed=2**64 - 1, name="w").tobytes()
    first, second = (init_store(tmp_path / name, {"w": 9}, plan) for name in "bc")
    assert not (first["w"][:] == second["w"][:]).any()
    seed = int(first.attrs["fastinit"]["seed"])
    assert first["w"][:].tobytes() == fi.normal(9, seed=seed, name="w").tobytes()
    again = init_store(tmp_path / "b", {"w": 9}, plan)
    assert again["w"][:].tobytes() == first["w"][:].tobytes()


def test_other_things_in_the_group_stay(tmp_path):
    zarr.open_group(tmp_path / "s", mode="a").create_array("mine", data=np.arange(5))
    group = init_store(tmp_path / "s", SHAPES, PLAN, seed=1)
    same(group, "float32")
    assert group["mine"][:].tolist() == [0, 1, 2, 3, 4]


def begun(**other):
    """Begin a store, and call again with something else."""

    def call(path):
        usual = {"shapes": {"w": (8, 8)}, "plan": fi.Plan([("**", "he_normal")]), "seed": 1}
        group = init_store(path, **usual)
        before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
        try:
            init_store(path, **{**usual, **other})
        finally:
            assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
        return group

    return call


def with_plan(shapes, **words):
    return lambda path: init_store(path, shapes, fi.Plan([("**", {"scheme": "normal"})]), **{"seed": 1, **words})


def occupied(path):
    zarr.open_group(path, mode="a").create_array("w", data=np.arange(5))
    return with_plan({"w": (5,)})(path)


def file_in_the_way(path):
    path.write_text("here")
    return with_plan({"w": (5,)})(path)


def array_in_the_way(path):
    zarr.create_array(path, shape=3, dtype="int8")
    return with_plan({"w": (5,)})(path)


def scribbled(path):
    group = with_plan({"w": (5,)})(path)
    group.attrs["fastinit"] = 3
    return with_plan({"w": (5,)})(path)


HUGE = fi.Plan([("w", {"scheme": "normal", "std": 1e9})])
REFUSED = {
    "plan": (lambda path: init_store(path, {}, "zeros"), "argument 'plan' must be a fastinit.Plan, got 'zeros'"),
    "no rule": (lambda path: init_store(path, SHAPES, fi.Plan([])), "must have exactly one rule for each"),
    "seed": (with_plan({"w": 3}, seed=-1), "argument 'seed' must be an integer"),
    "dtype": (with_plan({"w": 3}, dtype="int8"), "argument 'dtype' must be one of"),
    "law": (lambda path: init_store(path, {"w": 3}, HUGE, dtype="float16"),
            "argument 'std' must keep .*parameter w"),
    "store": (lambda _: with_plan({"w": 3})(3), "argument 'store' must be one that Zarr can open as a group, got 3"),
    "file": (file_in_the_way, "(?i)not a directory|File exists"),
    "array": (array_in_the_way, "argument 'store' must be one that Zarr can open as a group"),
    "occupied": (occupied, "argument 'store' must have nothing else under the name of w"),
    "another seed": (begun(seed=2), "must be new or begun by the same call, got .*, of another seed"),
    "another plan": (begun(plan=fi.Plan([("**", "he_uniform")])), "begun by the same call, got .*, of another plan"),
    "another dtype": (begun(dtype="float64"), "begun by the same call, got .*, of another dtype"),
    "another shape": (begun(shapes={"w": (8, 9)}), "must have nothing else under the name of w"),
    "other chunks": (begun(chunks={"w": (4, 4)}), "must have nothing else under the name of w"),
    "scribbled": (scribbled, "begun by the same call, got .*, of another contract, plan, dtype, ties, seed"),
    "chunks": (with_plan({"w": 3}, chunks=3), "argument 'chunks' must map names to shapes, got 3"),
    "chunks of nothing": (with_plan({"w": 3}, chunks={"v": 3}), "argument 'chunks' must have names of parameters"),
    "chunk sizes": (with_plan({"w": 3}, chunks={"w": (0,)}), r"argument 'chunks\[w\]' must have a size >= 1 for"),
    "chunk axes": (with_plan({"w": 3}, chunks={"w": (1, 2)}), r"argument 'chunks\[w\]' must have a size >= 1 for each"),
    "chunk words": (with_plan({"w": 3}, chunks={"w": "a"}), "argument 'chunks' must hold integers >= 0, got 'a'"),
    "shards": (with_plan({"w": 9}, chunks={"w": 2}, shards={"w": 3}), r"argument 'shards\[w\]' must .* multiple of"),
    "chunk bytes": (with_plan({"w": 3}, chunk_bytes=0), "argument 'chunk_bytes' must be an integer >= 1"),
    "workers": (with_plan({"w": 3}, workers=0), "argument 'workers' must be an integer >= 1"),
    "compressors": (with_plan({"w": 3}, compressors=3), "argument 'compressors' must be what zarr.* takes, got 3"),
    **{f"name {name!r}": (with_plan({name: 3}), "argument 'shapes' must have names that are paths of Zarr's")
       for name in ("", "/", "a/", "a//b", ".", "a/../b", "__a", "zarr.json", "a\\b")},
    "one below another": (with_plan({"a": 3, "a/b": 3}), "argument 'shapes' must have names .*got 'a/b'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(tmp_path, case):
    call, text = REFUSED[case]
    with pytest.raises((TypeError, ValueError, OSError), match=text):
        call(tmp_path / "store")


def test_dask_arrays_go_into_zarr(tmp_path):
    library("dask.array")
    import fastinit.dask

    array = fastinit.dask.init("he_normal", (60, 40), chunks=(20, 40), seed=1, name="w")
    array.to_zarr(str(tmp_path / "w.zarr"))
    np.testing.assert_array_equal(
        zarr.open_array(tmp_path / "w.zarr")[:], fi.init("he_normal", (60, 40), seed=1, name="w")
    )


def test_the_record_is_plain_json(tmp_path):
    init_store(tmp_path / "s", SHAPES, PLAN, seed=1)
    record = json.loads((tmp_path / "s/zarr.json").read_text())["attributes"]["fastinit"]
    assert fi.Plan.from_json(record["plan"]).init(SHAPES, seed=int(record["seed"])).keys() == {*SHAPES} - {"left"}
