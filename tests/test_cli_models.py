"""The commands for whole models."""

import json
import os

import pytest
from optional import library

import fastinit as fi
from fastinit import checkpoint, cli

library("typer")

PLAN = fi.Plan([("**", {"scheme": "normal", "std": "0.02 / n"})], variables={"n": 1})
SHAPES = {"layers.0.w": [30, 20], "layers.1.w": {"shape": [30, 20], "role": "Linear.weight"}, "b": [7]}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PLAN.save("plan.toml")
    (tmp_path / "shapes.json").write_text(json.dumps(SHAPES))
    return tmp_path


def run(*words):
    return cli.run([*map(str, words)])


def test_a_checkpoint_is_that_of_the_library(folder, capsys):
    words = ("--dtype", "bfloat16", "--seed", "5", "--max-shard-size", "1500")
    assert run("checkpoint", "shapes.json", "-o", "model", "--plan", "plan.toml", "-p", "n=2", *words) == 0
    printed = capsys.readouterr()
    files = printed.out.splitlines()
    plan = fi.Plan(PLAN, variables={"n": 2})
    right = checkpoint.write("right", SHAPES, plan, seed=5, dtype="bfloat16", max_shard_size=1500)
    assert files == [path.replace("right", "model") for path in right.files]
    assert printed.err.startswith("3 files, 2.41e-06 GB in ")
    assert printed.err.endswith(", seed 5\n")
    assert {p.name: p.read_bytes() for p in (folder / "model").iterdir()} == {
        p.name: p.read_bytes() for p in (folder / "right").iterdir()
    }
    assert run("checkpoint", "shapes.json", "-o", "model", "--plan", "plan.toml", "-p", "n=2", *words) == 0
    assert "3 files, 2 of them there already, 0 GB" in capsys.readouterr().err


def test_hosts_and_a_single_file(folder):
    for host in ("1,2", "0,2"):
        assert run("checkpoint", "shapes.json", "-o", "m", "--plan", "plan.toml", "--max-shard-size", "2kB",
                   "--hosts", host) == 0  # fmt: skip
    assert sorted(os.listdir("m")) == [
        "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
    ]  # fmt: skip
    assert run("checkpoint", "shapes.json", "-o", "a.safetensors", "--plan", "plan.toml") == 0
    assert checkpoint.verify("a.safetensors").ok


def test_overwriting_is_asked_for(folder, capsys):
    words = ("checkpoint", "shapes.json", "-o", "model", "--plan", "plan.toml")
    assert run(*words) == 0
    assert run(*words, "--seed", "1") == 2
    assert "Part of another checkpoint" in capsys.readouterr().err
    assert run(*words, "--seed", "1", "--overwrite") == 0
    assert checkpoint.verify("model").seed == 1


def test_a_configuration_goes_along(folder):
    library("torch")
    library("transformers")
    config = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 30, "n_positions": 9}
    (folder / "config.json").write_text(json.dumps(config))
    assert run("checkpoint", "config.json", "-o", "model", "--plan", "plan.toml") == 0
    assert json.loads((folder / "model" / "config.json").read_text()) == config
    assert sorted(os.listdir("model")) == ["config.json", "model.safetensors"]


def test_explain_prints_the_plans_table(folder, capsys):
    assert run("explain", "shapes.json", "--plan", "plan.toml", "--dtype", "float16", "-p", "n=4") == 0
    right = fi.Plan(PLAN, variables={"n": 4}).explain(SHAPES, dtype="float16")
    assert capsys.readouterr().out == f"{right}\n"


def test_a_preset_is_named(folder, capsys):
    shapes = {"model.embed_tokens.weight": [30, 8], "model.layers.0.mlp.up_proj.weight": [20, 8],
              "model.layers.0.mlp.down_proj.weight": [8, 20], "model.norm.weight": [8]}  # fmt: skip
    (folder / "shapes.json").write_text(json.dumps(shapes))
    assert run("checkpoint", "shapes.json", "-o", "model", "--plan", "llama", "-p", "n_layers=2") == 0
    assert checkpoint.verify("model", fi.Plan.preset("llama", n_layers=2)).ok
    capsys.readouterr()
    assert run("explain", "shapes.json", "--plan", "llama", "-p", "n_layers=2") == 0
    assert capsys.readouterr().out == f"{fi.Plan.preset('llama', n_layers=2).explain(shapes)}\n"
    assert run("explain", "shapes.json", "--plan", "lama") == 2
    assert "did you mean 'llama'?" in " ".join(capsys.readouterr().err.split())


def test_verify_says_what_has_changed(folder, capsys):
    assert run("checkpoint", "shapes.json", "-o", "model", "--plan", "plan.toml") == 0
    capsys.readouterr()
    assert run("verify", "model") == 0
    assert capsys.readouterr().out.startswith("seed 0: initial weights\ninitial       3\n")
    with open("model/model.safetensors", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    assert run("verify", "model") == 1
    assert "changed       1  layers.1.w (other values)" in capsys.readouterr().out
    assert run("verify", "model", "--plan", "plan.toml", "-p", "n=3", "--seed", "1", "--dtype", "float16") == 1
    assert "changed       3  b (float32, not float16)" in capsys.readouterr().out
    (folder / "less.json").write_text(json.dumps({"b": [7], "c": [3]}))
    assert run("verify", "model", "--shapes", "less.json") == 1
    out = capsys.readouterr().out
    assert "missing       1  c\nextra         2  layers.0.w, layers.1.w" in out
    assert run("verify", "model", "-p", "n=3") == 2


def test_errors_are_one_line(folder, capsys):
    assert run("checkpoint", "missing", "-o", "model", "--plan", "plan.toml") == 2
    assert "No such file or directory: 'missing'" in capsys.readouterr().err
    assert not os.path.exists("model")


def test_bars_of_bytes_are_shown_to_people(folder, monkeypatch, capsys):
    from fastinit.showing import progress

    real = progress.bar
    monkeypatch.setattr("fastinit.showing.progress.bar", lambda *a, **k: real(*a, **k, always=True))
    assert run("checkpoint", "shapes.json", "-o", "model", "--plan", "plan.toml") == 0
    assert run("verify", "model") == 0
    shown = capsys.readouterr().err
    assert "writing" in shown
    assert "verifying" in shown
    assert "4.8/4.8 kB" in shown
    assert "B/s" in shown
