"""Checkpoints: every tensor is that of `init`, in files as Hugging Face lays them out, by any number of hosts."""

import json
import os
import threading
import time

import pytest
from optional import library

import fastinit as fi
from fastinit import checkpoint
from fastinit.models import streaming
from fastinit.models.safetensors import make_header, read_header

RULES = [
    ("embed", {"scheme": "normal", "std": 0.02, "set": {"[0]": 0}}),
    ("layers.{layer}.qkv.weight", {"scheme": "he_normal", "layout": "oi", "segments": [
        {"name": "{parent}.q.weight", "size": 24}, {"name": "{parent}.kv.weight"}]}),
    ("layers.{layer}.packed", {"scheme": "normal", "axis": 1, "segments": [
        {"name": "{name}.left", "std": 0.1}, {"name": "{name}.right", "std": 0.2}]}),
    ("experts", {"scheme": "uniform", "low": "-1 / (expert + 1)", "high": 1, "stack": ["layer", "expert"]}),
    ("sparse", {"scheme": "sparse", "nonzeros": 3, "stack": ["layer"]}),
    ("**.bias", "zeros"),
    ("norm", {"scheme": "ones", "dtype": "float32"}),
    ("scale", {"scheme": "normal", "std": 1}),
    ("head", {"tie": "embed"}),
    ("rope", "skip"),
]  # fmt: skip
SHAPES = {
    "embed": (103, 16),
    **{f"layers.{i}.qkv.weight": (40, 16) for i in range(3)},
    **{f"layers.{i}.packed": (20, 30) for i in range(2)},
    "experts": (2, 4, 9, 5),
    "sparse": (3, 20, 7),
    "layers.0.bias": {"shape": (7,), "role": "Linear.bias"},
    "norm": (16,),
    "scale": (),
    "empty.bias": (0, 4),
    "head": (103, 16),
    "rope": (8,),
}
PLAN = fi.Plan(RULES)
STORED = [name for name in SHAPES if name not in ("head", "rope")]


def written(folder):
    """Name -> (dtype, shape, bytes) of all tensors in a folder's files, or in one file, read by hand."""
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else [folder]
    found = {}
    for file in files:
        content = file.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = (8 + length + offset for offset in entry["data_offsets"])
                assert name not in found
                found[name] = entry["dtype"], tuple(entry["shape"]), content[begin:end]
    return found


def expected(seed=0, dtype="bfloat16", names=STORED):
    tags = {"bfloat16": "BF16", "float32": "F32", "float64": "F64", "float16": "F16"}
    tensors = PLAN.init(SHAPES, seed=seed, dtype=dtype)
    return {name: (tags[tensors[name].dtype.name], tensors[name].shape, tensors[name].tobytes()) for name in names}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("block", [1 << 16, 64, 24])
def test_tensors_are_those_of_the_plan_whatever_the_blocks(tmp_path, monkeypatch, dtype, threads, block):
    monkeypatch.setattr(streaming, "_threading", lambda: (threads, block))
    done = checkpoint.write(tmp_path / "a.safetensors", SHAPES, PLAN, seed=3, dtype=dtype)
    assert written(tmp_path / "a.safetensors") == expected(3, dtype)
    assert done.files == (str(tmp_path / "a.safetensors"),)
    assert done.bytes == sum(len(content) for *_, content in expected(3, dtype).values())
    assert checkpoint.verify(tmp_path / "a.safetensors").ok


def test_what_only_the_whole_determines_is_not_cut(tmp_path):
    found = PLAN.resolve(SHAPES)
    header = make_header({name: ("float32", found[name].shape) for name in ("sparse", "scale")}, {})[1]
    blocks = [*streaming.blocks_of(header, {name: found[name] for name in ("sparse", "scale")}, 64)]
    assert [(b.tensor, b.region) for b in blocks] == [
        ("scale", ()),
        *(("sparse", ((i, 1), (0, 20), (0, 7))) for i in range(3)),  # a stack of matrices
    ]


# What looks at more of a tensor than is asked for.
WHOLE = {"sparse", "positive_unitball", "orthogonal", "delta_orthogonal", "normalized"}
# What a tensor of three axes that is drawn alone has to be told.
TOLD = {"constant": {"value": 1}, "variance_scaling": {}, "bilinear": {}, "identity": {}}


@pytest.mark.parametrize("name", sorted(fi.schemes()))
def test_schemes_are_cut_into_blocks_unless_they_look_at_the_whole(name):
    for shape in ((8, 8), (3, 8, 8), (3, 3, 8, 8)):
        try:
            (found,) = fi.Plan([("w", {"scheme": name, **TOLD.get(name, {})})]).resolve({"w": shape}).values()
        except (TypeError, ValueError):
            continue
        assert found.elementwise == (name not in WHOLE)
        return
    pytest.fail("no shape for it")


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "complex64"])
def test_narrow_and_complex_types_are_stored(tmp_path, dtype):
    plan = fi.Plan([("**", {"scheme": "normal", "std": 0.5})])
    shapes = {"a": (300, 40), "b": (7,)}
    checkpoint.write(tmp_path, shapes, plan, seed=2, dtype=dtype)
    assert checkpoint.verify(tmp_path).ok
    right = plan.init(shapes, seed=2, dtype=dtype)
    assert {name: content for name, (_, _, content) in written(tmp_path).items()} == {
        name: tensor.tobytes() for name, tensor in right.items()
    }
    opened = dict(library("safetensors").deserialize((tmp_path / "model.safetensors").read_bytes()))
    assert (opened["a"]["shape"], bytes(opened["a"]["data"])) == ([300, 40], right["a"].tobytes())


def test_a_type_that_the_format_lacks_is_refused(tmp_path):
    with pytest.raises(ValueError, match="argument 'dtype' must be one that safetensors has, got complex128 of 'a'"):
        checkpoint.write(tmp_path, {"a": 3}, fi.Plan([("**", "ones")]), seed=2, dtype="complex128")
    assert not os.listdir(tmp_path)


def test_a_tensor_is_what_init_gives_under_its_name(tmp_path):
    plan = fi.Plan([("**", {"scheme": "he_uniform", "layout": "oi"})])
    checkpoint.write(tmp_path, {"a.weight": (7, 30), "b.weight": (30, 7)}, plan, seed=5)
    assert os.listdir(tmp_path) == ["model.safetensors"]
    for name, (_, shape, content) in written(tmp_path).items():
        assert content == fi.init("he_uniform", shape, layout="oi", seed=5, name=name).tobytes()


def test_the_library_opens_them(tmp_path):
    numpy, safe_open = library("safetensors.numpy"), library("safetensors").safe_open
    path = tmp_path / "a.safetensors"
    checkpoint.write(path, SHAPES, PLAN, seed=1, dtype="bfloat16")
    tensors = numpy.load_file(path)
    right = PLAN.init(SHAPES, seed=1, dtype="bfloat16")
    assert tensors.keys() == set(STORED)
    for name, tensor in tensors.items():
        assert (tensor.dtype, tensor.shape) == (right[name].dtype, right[name].shape)
        assert tensor.tobytes() == right[name].tobytes()
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    assert metadata["fastinit_version"] == fi.__version__
    assert (metadata["fastinit_seed"], metadata["fastinit_contract"], metadata["fastinit_dtype"]) == (
        "1", "1", "bfloat16")  # fmt: skip
    assert fi.Plan.from_json(metadata["fastinit_plan"]) == PLAN


@pytest.mark.parametrize("size", [1, 700, 1281, 1440, 2000, 5000, 10**9])
def test_files_are_laid_out_as_by_hugging_face(tmp_path, size):
    split = library("huggingface_hub").split_torch_state_dict_into_shards
    torch = library("torch")
    shapes = {name: x.shape for name, x in PLAN.init(SHAPES, seed=0).items() if name in STORED and x.size}
    state = {name: torch.empty(shape, dtype=torch.float32) for name, shape in shapes.items()}
    theirs = split(state, max_shard_size=size)
    plan = fi.Plan([("norm", "ones"), *(rule for rule in RULES if rule[0] != "norm")])
    checkpoint.write(tmp_path, shapes, plan, seed=0, max_shard_size=size)
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    if not theirs.is_sharded:
        assert files == ["model.safetensors"]
        return
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == theirs.tensor_to_filename
    assert index["metadata"]["total_size"] == theirs.metadata["total_size"]
    assert files == sorted(theirs.filename_to_tensors)
    assert all(read_header(tmp_path / f).tensors.keys() == set(theirs.filename_to_tensors[f]) for f in files)


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("5GB", 5 * 10**9),
        ("5gb", 5 * 10**9),
        ("2GiB", 2 << 30),
        ("1.5 kB", 1500),
        ("1TiB", 1 << 40),
        (7, 7),
        ("7", 7),
        ("8 b", 8),
    ],
)
def test_sizes_in_words(words, size):
    from fastinit.models.shards import most_bytes

    assert most_bytes(words) == size


@pytest.mark.parametrize(
    "words", ["5x", "GB", "-1GB", "0GB", "1e3GB", "5 giga", "", "9" * 5000 + "GB", 0, -1, 2.5, [1]]
)
def test_what_is_no_size_is_refused(tmp_path, words):
    with pytest.raises((ValueError, TypeError), match="argument 'max_shard_size' must be"):
        checkpoint.write(tmp_path, SHAPES, PLAN, seed=0, max_shard_size=words)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_hosts_write_their_own_files_and_together_all(tmp_path, count):
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    checkpoint.write(whole, SHAPES, PLAN, seed=0, max_shard_size=1500)
    seen = []
    for number in reversed(range(count)):
        before = set(os.listdir(shared)) if shared.exists() else set()
        done = checkpoint.write(shared, SHAPES, PLAN, seed=0, max_shard_size=1500, hosts=(number, count))
        new = set(os.listdir(shared)) - before
        assert new == {os.path.basename(path) for path in done.files}
        seen += new
    assert len(seen) == len(set(seen))
    assert contents(shared) == contents(whole)


def test_the_bytes_of_a_file_do_not_depend_on_the_order_of_names(tmp_path):
    checkpoint.write(tmp_path / "a.safetensors", SHAPES, PLAN, seed=0)
    checkpoint.write(tmp_path / "b.safetensors", dict(reversed(SHAPES.items())), PLAN, seed=0)
    a, b = (written(tmp_path / f"{name}.safetensors") for name in "ab")
    assert a == b


def test_tied_parameters_are_left_out_or_stored(tmp_path):
    checkpoint.write(tmp_path / "out.safetensors", SHAPES, PLAN, seed=0)
    checkpoint.write(tmp_path / "in.safetensors", SHAPES, PLAN, seed=0, store_tied=True)
    without, tied = (written(tmp_path / f"{name}.safetensors") for name in ("out", "in"))
    assert tied.keys() - without.keys() == {"head"}
    assert tied["head"] == tied["embed"]
    assert checkpoint.verify(tmp_path / "in.safetensors").ok


def test_a_second_call_keeps_what_is_there_and_writes_what_is_not(tmp_path):
    words = {"seed": 0, "dtype": "bfloat16", "max_shard_size": "1kB"}
    first = checkpoint.write(tmp_path, SHAPES, PLAN, **words)
    whole = contents(tmp_path)
    again = checkpoint.write(tmp_path, SHAPES, PLAN, **words)
    assert (again.bytes, again.files, set(again.kept)) == (0, first.files, set(first.files[:-1]))
    lost = first.files[1]
    os.unlink(lost)
    os.unlink(first.files[-1])
    some = checkpoint.write(tmp_path, SHAPES, PLAN, **words)
    assert 0 < some.bytes < first.bytes
    assert set(first.files) - set(some.kept) == {lost, first.files[-1]}
    assert contents(tmp_path) == whole


def test_a_file_of_an_earlier_version_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "__version__", "0.0.1")
    checkpoint.write(tmp_path, SHAPES, PLAN, seed=0)
    monkeypatch.undo()
    assert checkpoint.write(tmp_path, SHAPES, PLAN, seed=0).bytes == 0


FOREIGN = {
    "another seed": ("model.safetensors", lambda: None),
    "text": ("model.safetensors", lambda: b"mine"),
    "of other shards": ("model-00002-of-00003.safetensors", lambda: b"mine"),
    "an index": ("model.safetensors.index.json", lambda: b"{}"),
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_something_else_are_not_touched_unless_wanted(tmp_path, case, overwrite):
    name, make = FOREIGN[case]
    content = make()
    if content is None:
        checkpoint.write(tmp_path, SHAPES, PLAN, seed=1)
    else:
        (tmp_path / name).write_bytes(content)
    (tmp_path / "config.json").write_bytes(b"{}")
    before = contents(tmp_path)
    if overwrite and name == "model.safetensors":
        checkpoint.write(tmp_path, SHAPES, PLAN, seed=0, overwrite=True)
        assert written(tmp_path) == expected(0, "float32")
        return
    with pytest.raises(FileExistsError, match=f"Part of another checkpoint, or something else .*{name}'"):
        checkpoint.write(tmp_path, SHAPES, PLAN, seed=0, overwrite=overwrite)
    assert contents(tmp_path) == before


def test_a_file_that_was_cut_off_is_no_part_of_it(tmp_path):
    (path,) = checkpoint.write(tmp_path, SHAPES, PLAN, seed=0).files
    os.truncate(path, os.path.getsize(path) - 1)
    with pytest.raises(FileExistsError):
        checkpoint.write(tmp_path, SHAPES, PLAN, seed=0)


def refused(tmp_path, match, kind=ValueError, **words):
    arguments = {"shapes": SHAPES, "plan": PLAN, "seed": 0, **words}
    with pytest.raises(kind, match=match):
        checkpoint.write(tmp_path / "new" / "folder", **arguments)
    assert not os.listdir(tmp_path)


def test_whatever_cannot_be_is_refused_before_anything_is_written(tmp_path):
    refused(tmp_path, "exactly one rule for each parameter", shapes={"other": (3,)})
    refused(tmp_path, "argument 'std'.*range of float16", dtype="float16", shapes={"w": 3},
            plan=fi.Plan([("w", {"scheme": "normal", "std": 1e5})]))  # fmt: skip
    refused(tmp_path, "argument 'plan' must be a Plan", TypeError, plan="llama")
    refused(tmp_path, "argument 'seed' must be", seed=2**64)
    refused(tmp_path, "argument 'seed' must be the same number on all hosts", seed=None, hosts=(0, 2))
    refused(tmp_path, "argument 'hosts' must be", TypeError, hosts=3)
    refused(tmp_path, r"argument 'hosts\[0\]' must be an integer <= 1", hosts=(2, 2))
    refused(tmp_path, "argument 'hosts\\[1\\]' must be an integer >= 1", hosts=(0, 0))
    refused(tmp_path, "argument 'progress' must be True or False", TypeError, progress=3)
    refused(tmp_path, "argument 'shapes' must not name a parameter '__metadata__'", shapes={"__metadata__": (1,)},
            plan=fi.Plan([("**", "zeros")]))  # fmt: skip
    with pytest.raises(ValueError, match="argument 'path' must be a folder where 'max_shard_size' is given"):
        checkpoint.write(tmp_path / "a.safetensors", SHAPES, PLAN, seed=0, max_shard_size="1GB")
    assert not os.listdir(tmp_path)


def test_progress_is_told_in_bytes(tmp_path, capsys):
    told = []
    done = checkpoint.write(tmp_path, SHAPES, PLAN, seed=0, max_shard_size=2000, progress=lambda *x: told.append(x))
    assert (told[0], told[-1]) == ((0, done.bytes), (done.bytes, done.bytes))
    assert [n for n, _ in told] == sorted({n for n, _ in told})
    told.clear()
    checkpoint.verify(tmp_path, progress=lambda *x: told.append(x))
    assert told[-1] == (done.bytes, done.bytes)
    library("rich")
    checkpoint.write(tmp_path / "bar", SHAPES, PLAN, seed=0, progress=True)
    assert "writing" in capsys.readouterr().err


def test_an_error_of_the_callers_leaves_no_half_file(tmp_path):
    def fail(done, total):
        if done:
            raise KeyError(done)

    with pytest.raises(KeyError):
        checkpoint.write(tmp_path, SHAPES, PLAN, seed=0, progress=fail)
    assert not os.listdir(tmp_path)


def test_an_error_in_a_thread_is_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "_threading", lambda: (3, 64))
    monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/model.safetensors'"):
        checkpoint.write(tmp_path, SHAPES, PLAN, seed=0)
    assert not os.listdir(tmp_path)


def test_threads_end_before_an_interruption_goes_on(tmp_path, monkeypatch):
    """Another Ctrl-C comes while they are waited for."""
    monkeypatch.setattr(streaming, "_threading", lambda: (3, 64))
    join, waits, draw, before = threading.Thread.join, [], streaming.drawn, threading.active_count()
    monkeypatch.setattr(streaming, "drawn", lambda *of: (time.sleep(0.1), draw(*of))[1])

    def interrupted(thread, *words):
        waits.append(thread)
        if len(waits) < 4:
            raise KeyboardInterrupt
        join(thread, *words)

    def fail(done, total):
        if done:
            raise KeyError

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write(tmp_path, {"a": 100_000}, fi.Plan([("a", "zeros")]), seed=0, progress=fail)
    assert threading.active_count() == before
    assert not os.listdir(tmp_path)


def test_writes_and_reads_that_come_short_go_on(tmp_path, monkeypatch):
    pwrite, preadv = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda handle, memory, at: pwrite(handle, memory[:7], at))
    monkeypatch.setattr(os, "preadv", lambda handle, memory, at: preadv(handle, [memory[0][:5]], at))
    checkpoint.write(tmp_path, SHAPES, PLAN, seed=0, dtype="bfloat16")
    assert written(tmp_path) == expected()
    assert checkpoint.verify(tmp_path).ok
    monkeypatch.delattr(os, "pwrite")  # as on Windows
    monkeypatch.delattr(os, "preadv")
    checkpoint.write(tmp_path / "b", SHAPES, PLAN, seed=0, dtype="bfloat16")
    assert written(tmp_path / "b") == expected()
    assert checkpoint.verify(tmp_path / "b").ok


def test_memory_is_constant(python):
    """At most 64 MiB beyond what the process has when it has drawn something, threads' stacks and all."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no file system in memory")
    code = """
import os, re, tempfile
import fastinit as fi
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
plan = fi.Plan([("**", {"scheme": "normal", "std": 0.02})])
with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
    fi.checkpoint.write(folder + "/warm", {"w": (1000, 1000)}, plan, seed=0, dtype="bfloat16")
    open("/proc/self/clear_refs", "w").write("5")
    before = peak()
    shapes = {str(i): (5000, 3000) for i in range(5)} | {"large": (5000, 10_000)}
    fi.checkpoint.write(folder + "/a", shapes, plan, seed=0, dtype="bfloat16")
    fi.checkpoint.verify(folder + "/a")
    print((peak() - before) / 2**20)
"""
    assert float(python(code)) < 64
