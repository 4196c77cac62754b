"""Which tensors of a checkpoint still have their initial bytes."""

import json
import os
import shutil

import pytest
from optional import library

import fastinit as fi
from fastinit import checkpoint
from fastinit.models import streaming
from fastinit.models.safetensors import read_header

SHAPES = {
    "embed": (50, 8),
    "layers.0.w": {"shape": (8, 30), "role": "Linear.weight"},
    "layers.1.w": {"shape": (8, 30), "role": "Linear.weight"},
    "layers.1.b": {"shape": (30,), "role": "Linear.bias"},
    "norm": (8,),
    "head": (50, 8),
    "frozen": (8, 40),
}
PLAN = fi.Plan(
    [
        ("embed", {"scheme": "normal", "std": 0.02}),
        ("**", {"role": "Linear.weight", "scheme": "he_normal"}),
        ("**", {"role": "Linear.bias", "scheme": "lecun_uniform", "fans_of": "frozen"}),
        ("norm", "ones"),
        ("head", {"tie": "embed"}),
        ("frozen", "skip"),
    ]
)
STORED = ("embed", "layers.0.w", "layers.1.w", "layers.1.b", "norm")


@pytest.fixture(params=[None, 1000], ids=["one file", "files"])
def folder(tmp_path, request):
    checkpoint.write(tmp_path, SHAPES, PLAN, seed=7, dtype="bfloat16", max_shard_size=request.param)
    return tmp_path


def place(folder, name):
    """The file that has a tensor, and where."""
    for path in folder.glob("*.safetensors"):
        header = read_header(path)
        if name in header.tensors:
            return path, header.tensors[name]
    raise KeyError(name)


def change(folder, name, where=-1):
    path, stored = place(folder, name)
    with open(path, "r+b") as file:
        file.seek(stored.begin if where == 0 else stored.end - 1)
        old = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([old[0] ^ 1]))


def test_untouched(folder):
    found = checkpoint.verify(folder)
    assert found.ok
    assert sorted(found.initial) == sorted(STORED)
    assert (found.changed, found.missing, found.extra, found.seed) == ({}, (), (), 7)
    assert repr(found).startswith("seed 7: initial weights\ninitial       5\n")
    assert "<td>initial</td><td>5</td>" in found._repr_html_()
    inode = {path: path.read_bytes() for path in folder.iterdir()}
    assert inode == {path: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("where", [0, -1])
@pytest.mark.parametrize("name", STORED)
def test_a_bit_of_a_tensor(folder, monkeypatch, name, where):
    monkeypatch.setattr(streaming, "_threading", lambda: (2, 64))
    change(folder, name, where)
    found = checkpoint.verify(folder)
    assert found.changed == {name: "other values"}
    assert {*found.initial} == {*STORED} - {name}
    assert not found.ok
    assert f"changed       1  {name} (other values)" in repr(found)


def test_another_seed_or_plan_is_another_model(folder):
    found = checkpoint.verify(folder, seed=8)
    assert {*found.changed} == {"embed", "layers.0.w", "layers.1.w", "layers.1.b"}
    assert found.initial == ("norm",)
    other = fi.Plan([("embed", {"scheme": "normal", "std": 0.03}), *PLAN.rules[1:]])
    assert {*checkpoint.verify(folder, other).changed} == {"embed"}
    assert {*checkpoint.verify(folder, dtype="float32").changed.values()} == {"bfloat16, not float32"}


def test_shapes_say_what_should_be_there(folder):
    shapes = {name: entry for name, entry in SHAPES.items() if name != "norm"}
    shapes["layers.0.w"] = {"shape": (8, 31), "role": "Linear.weight"}
    shapes["layers.2.w"] = {"shape": (8, 30), "role": "Linear.weight"}
    found = checkpoint.verify(folder, shapes=shapes)
    assert found.changed == {"layers.0.w": "shape (8, 30), not (8, 31)"}
    assert (found.missing, found.extra) == (("layers.2.w",), ("norm",))
    assert checkpoint.verify(folder, shapes=SHAPES).ok


def test_a_file_that_is_not_there(tmp_path):
    checkpoint.write(tmp_path, SHAPES, PLAN, seed=7, max_shard_size=1000)
    path, _ = place(tmp_path, "embed")
    gone = tuple(read_header(path).tensors)
    os.unlink(path)
    found = checkpoint.verify(tmp_path)
    assert found.missing == tuple(sorted(gone))
    assert {*found.initial} == {*STORED} - {*gone}
    assert "missing" in repr(found)
    for path in tmp_path.glob("*.safetensors"):
        os.unlink(path)
    with pytest.raises(FileNotFoundError, match=r"model-0000.-of-0000.\.safetensors"):
        checkpoint.verify(tmp_path)


def test_a_checkpoint_of_somebody_elses_is_verified_by_a_plan_and_a_seed(tmp_path):
    numpy = library("safetensors.numpy")
    plan = fi.Plan([("**", {"scheme": "normal", "std": 0.5})])
    tensors = {**plan.init({"a": (3, 4), "b": (5,)}, seed=3, dtype="float16"), **plan.init({"c": (7,)}, seed=3)}
    tensors["b"][2] += 1
    numpy.save_file(tensors, tmp_path / "a.safetensors", {"format": "pt"})
    found = checkpoint.verify(tmp_path, plan, seed=3)
    assert (sorted(found.initial), found.changed) == (["a", "c"], {"b": "other values"})
    with pytest.raises(ValueError, match="argument 'plan' must be given for a checkpoint that does not hold its own"):
        checkpoint.verify(tmp_path)
    with pytest.raises(ValueError, match="argument 'seed' must be given"):
        checkpoint.verify(tmp_path, plan)
    with pytest.raises(TypeError, match="argument 'plan' must be a Plan"):
        checkpoint.verify(tmp_path, "plan", seed=3)
    with pytest.raises(ValueError, match="exactly one rule for each parameter"):
        checkpoint.verify(tmp_path, fi.Plan([("a", "zeros")]), seed=3)


def test_integers_among_the_tensors_are_other_values(tmp_path):
    numpy = library("safetensors.numpy")
    import numpy as np

    numpy.save_file({"a": np.arange(6)}, tmp_path / "a.safetensors")
    found = checkpoint.verify(tmp_path, fi.Plan([("**", "ones")]), seed=3)
    assert found.changed == {"a": "int64, not float32"}


def altered(folder, **changes):
    """Write the metadata of all files again."""
    for path in folder.glob("*.safetensors"):
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        record = json.loads(content[8 : 8 + length])
        record["__metadata__"] = {k: v for k, v in {**record["__metadata__"], **changes}.items() if v is not None}
        text = json.dumps(record).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


LIES = {
    "no seed": ({"fastinit_seed": None}, "argument 'seed' must be given"),
    "a seed that is none": ({"fastinit_seed": "-1"}, "argument 'seed' must be given"),
    "a seed too large": ({"fastinit_seed": str(2**64)}, "argument 'seed' must be an integer"),
    "digits of others": ({"fastinit_seed": "٣"}, "argument 'seed' must be given"),
    "a plan that is none": ({"fastinit_plan": "{"}, "argument 'text' must be JSON"),
    "a plan that calls": (
        {"fastinit_plan": '{"rules": [{"pattern": "**", "scheme": "normal", "std": "exit(1)"}]}'},
        "argument 'rules'",
    ),
    "another contract": ({"fastinit_contract": "2"}, "must be a checkpoint of version 1 of the contract, got '2'"),
    "a dtype that is none": ({"fastinit_dtype": "int8"}, "argument 'dtype' must be one of"),
    "parameters that are none": ({"fastinit_parameters": "[1]"}, "fastinit_parameters are a JSON object"),
    "shapes that are none": ({"fastinit_parameters": '{"a": 3.5}'}, r"argument 'shapes\[a\]' must hold integers"),
}


@pytest.mark.parametrize("case", LIES)
def test_metadata_that_lie(folder, case):
    changes, words = LIES[case]
    altered(folder, **changes)
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        checkpoint.verify(folder)
    assert str(caught.value).isprintable()


def test_files_of_several_checkpoints(tmp_path):
    checkpoint.write(tmp_path, SHAPES, PLAN, seed=7, max_shard_size=1000)
    first = sorted(tmp_path.glob("*.safetensors"))[0]
    checkpoint.write(tmp_path / "other", SHAPES, PLAN, seed=8, max_shard_size=1000)
    shutil.copy(tmp_path / "other" / first.name, first)
    with pytest.raises(ValueError, match="must be that of one checkpoint, got files that differ in fastinit_seed"):
        checkpoint.verify(tmp_path)
    (tmp_path / "model.safetensors.index.json").unlink()
    shutil.copy(sorted(tmp_path.glob("*.safetensors"))[1], tmp_path / "copy.safetensors")
    with pytest.raises(ValueError, match="must not hold a tensor of another file"):
        checkpoint.verify(tmp_path)


def test_a_file_that_shrinks_meanwhile_is_an_error(tmp_path, monkeypatch):
    checkpoint.write(tmp_path, SHAPES, PLAN, seed=7)
    monkeypatch.setattr(streaming, "_threading", lambda: (2, 64))
    read = os.preadv

    def short(handle, memory, at):
        os.truncate(tmp_path / "model.safetensors", 1500)
        return read(handle, memory, at)

    monkeypatch.setattr(os, "preadv", short)
    with pytest.raises(OSError, match=f"The file has become shorter: '{tmp_path}/model.safetensors'"):
        checkpoint.verify(tmp_path)
