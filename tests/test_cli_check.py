"""`fastinit check`: what it prints, and its status."""

import json

import numpy as np
import pytest
from optional import library

import fastinit as fi
from fastinit import checkpoint, cli

library("typer")

PLAN = fi.Plan([("*.w", {"scheme": "normal", "std": "0.02 / n"}), ("*.b", "zeros")], variables={"n": 1})
SHAPES = {"a.w": (200, 100), "a.b": 100}


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.write("m.safetensors", SHAPES, PLAN, seed=4)
    PLAN.save("plan.toml")
    return tmp_path


def test_a_checkpoint_that_is_as_declared(files, capsys):
    assert cli.run(["check", "m.safetensors"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "tensors: 2, laws tested: 1, level: 0.01; all as declared",
        "2 of 2 tensors hold the bytes of seed 4",
    ]
    assert lines[3].split()[:2] == ["parameter", "law"]
    assert [line.split()[0] for line in lines[4:]] == ["a.b", "a.w"]
    assert cli.run(["check", "m.safetensors", "--plan", "plan.toml", "--rows", "0"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_checkpoint_that_is_not(files, capsys):
    assert cli.run(["check", "m.safetensors", "--plan", "plan.toml", "-p", "n=2"]) == 1
    out = capsys.readouterr().out
    assert "a.w: std 0.02" in out
    assert "1 not as declared" in out
    assert cli.run(["check", "m.safetensors", "--dtype", "bfloat16", "--rows", "1"]) == 1
    assert "float32 where bfloat16 was declared" in capsys.readouterr().out
    with open("shapes.json", "w") as file:
        json.dump({**SHAPES, "c.b": 3}, file)
    assert cli.run(["check", "m.safetensors", "--shapes", "shapes.json"]) == 1
    assert "c.b: not there, of shape (3,)" in capsys.readouterr().out


def test_json(files, capsys):
    assert cli.run(["check", "m.safetensors", "--json", "--seed", "5"]) == 0
    record = json.loads(capsys.readouterr().out)
    found = fi.check("m.safetensors", seed=5)
    assert record == found.to_dict()
    assert [row["initial"] for row in record["rows"]] == [True, False]


def test_refusals(files, capsys):
    np.save("x.npy", np.zeros(3))
    for words, message in (
        (["x.npy"], "must be a safetensors file"),
        (["missing.safetensors"], "No such file"),
        (["m.safetensors", "-p", "n=2"], "--param must come with a --plan"),
        (["m.safetensors", "--level", "2"], "--level must be a finite number in"),
    ):
        assert cli.run(["check", *words]) == 2
        assert message in capsys.readouterr().err
