"""Where a model's names and shapes come from."""

import json
import os
import types

import numpy as np
import pytest
from optional import library

import fastinit as fi
from fastinit import checkpoint

RIGHT = {"a.weight": {"shape": (3, 4), "role": "Linear.weight"}, "a.bias": {"shape": (3,)}, "s": {"shape": ()}}


def file(tmp_path, name, record):
    path = tmp_path / name
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return path


def test_mappings_of_all_kinds():
    given = {"a.weight": RIGHT["a.weight"], "a.bias": np.zeros(3), "s": ()}
    assert checkpoint.shapes(given) == RIGHT
    assert checkpoint.shapes({"a": 3, "b": np.array([2, 3])[:1]}) == {"a": {"shape": (3,)}, "b": {"shape": (1,)}}


def test_a_json_file_which_shapes_itself_may_have_made(tmp_path):
    assert checkpoint.shapes(file(tmp_path, "shapes.json", RIGHT)) == RIGHT
    assert checkpoint.shapes(str(file(tmp_path, "plain.json", {"a": [3, 4]}))) == {"a": {"shape": (3, 4)}}


@pytest.mark.parametrize("size", [None, 50])
def test_a_checkpoint(tmp_path, size):
    plan = fi.Plan([("a.bias", {"tie": "s.bias"}), ("**", "zeros")], first_match=True)
    shapes = {**RIGHT, "s.bias": {"shape": (3,)}}
    checkpoint.write(tmp_path, shapes, plan, seed=0, max_shard_size=size)
    assert checkpoint.shapes(tmp_path) == shapes
    name = "model.safetensors" if size is None else "model.safetensors.index.json"
    assert checkpoint.shapes(tmp_path / name) == shapes


def test_a_checkpoint_of_the_library(tmp_path):
    save = library("safetensors.numpy").save_file
    save({"a": np.zeros((3, 4)), "b": np.arange(2)}, tmp_path / "x.safetensors")
    assert checkpoint.shapes(tmp_path) == {"a": {"shape": (3, 4)}, "b": {"shape": (2,)}}


def test_a_module_on_the_meta_device():
    torch = library("torch")
    with torch.device("meta"):
        model = torch.nn.ModuleDict({
            "embed": torch.nn.Embedding(10, 4),
            "inner": torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4)),
            "head": torch.nn.Linear(4, 10, bias=False),
        })  # fmt: skip
    model["head"].weight = model["embed"].weight
    assert checkpoint.shapes(model) == {
        "embed.weight": {"shape": (10, 4), "role": "Embedding.weight"},
        "inner.0.weight": {"shape": (4, 4), "role": "Linear.weight"},
        "inner.0.bias": {"shape": (4,), "role": "Linear.bias"},
        "inner.1.weight": {"shape": (4,), "role": "BatchNorm1d.weight"},
        "inner.1.bias": {"shape": (4,), "role": "BatchNorm1d.bias"},
    }
    assert checkpoint.shapes(torch.nn.Linear(2, 3)).keys() == {"weight", "bias"}


def test_whatever_has_named_parameters():
    module = types.SimpleNamespace(named_parameters=lambda: [("w", np.zeros((2, 3)))])
    assert checkpoint.shapes(module) == {"w": {"shape": (2, 3)}}


CONFIG = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 8, "n_layer": 1, "n_head": 2,
          "vocab_size": 30, "n_positions": 9}  # fmt: skip


def transformers():
    library("torch")
    return library("transformers")


def test_a_configuration_of_hugging_face(tmp_path):
    transformers()
    path = file(tmp_path, "config.json", CONFIG)
    shapes = checkpoint.shapes(path)
    assert shapes == checkpoint.shapes(tmp_path)
    assert shapes["transformer.wte.weight"] == {"shape": (30, 8), "role": "Embedding.weight"}
    assert shapes["transformer.h.0.attn.c_attn.weight"] == {"shape": (8, 24), "role": "Conv1D.weight"}
    assert "lm_head.weight" not in shapes  # tied
    other = checkpoint.shapes(file(tmp_path, "headless.json", {**CONFIG, "architectures": None}))
    assert other["wte.weight"]["shape"] == (30, 8)


def test_a_configurations_object():
    config = transformers().GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=30, n_positions=9)
    assert checkpoint.shapes(config)["wte.weight"]["shape"] == (30, 8)


def test_a_model_of_transformers_loads_what_is_written(tmp_path):
    library("safetensors")
    loader = transformers().AutoModelForCausalLM
    source = file(tmp_path, "config.json", CONFIG)
    plan = fi.Plan([("**", {"ndim": 2, "scheme": "normal", "std": 0.02}), ("**", {"ndim": 1, "scheme": "ones"})])
    checkpoint.write(tmp_path / "model", source, plan, seed=3, max_shard_size="2kB")
    (tmp_path / "model" / "config.json").write_text(source.read_text())
    model, info = loader.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(info.values())
    right = plan.init(checkpoint.shapes(source), seed=3)
    for name, parameter in model.named_parameters():
        assert parameter.detach().numpy().tobytes() == right[name].tobytes()


@pytest.mark.parametrize("package", ["transformers", "torch"])
def test_what_is_missing_is_named(python, tmp_path, package):
    path = file(tmp_path, "config.json", CONFIG)
    code = f"""
import sys
sys.modules[{package!r}] = None
from fastinit import checkpoint
try:
    checkpoint.shapes(sys.argv[1])
except ImportError as error:
    print(error)
"""
    assert python(code, path).endswith("""install it with: pip install "fastinit-kernels[huggingface]"\n""")


REFUSED = {
    "no JSON": ("a.json", "{", "must be JSON in UTF-8"),
    "a list": ("a.json", [1], "must hold a JSON object"),
    "a key twice": ("a.json", '{"a": 3, "b": 4, "a": 5}', "the key 'a' stands twice"),
    "deep": ("a.json", '{"a":' + "[" * 100_000, "must be JSON in UTF-8"),
    "no shapes": ("a.json", {"a": "3,4"}, r"argument 'shapes\[a\]' must hold integers >= 0"),
    "negative": ("a.json", {"a": [-1]}, r"argument 'shapes\[a\]' must hold integers >= 0"),
    "huge": ("a.json", {"a": [2**62, 4]}, r"argument 'shapes\[a\]' must have a product"),
    "an index without files": ("a.safetensors.index.json", {"metadata": {}}, "must have a weight_map"),
    "an index of a list": ("a.safetensors.index.json", {"weight_map": [1]}, "must have a weight_map"),
    "an index that leads away": ("a.safetensors.index.json", {"weight_map": {"a": "../b.safetensors"}}, "beside it"),
    "an index that leads off": ("a.safetensors.index.json", {"weight_map": {"a": "/b.safetensors"}}, "beside it"),
    "an index of numbers": ("a.safetensors.index.json", {"weight_map": {"a": 3}}, "must name files beside it"),
    "an index of text": ("a.safetensors.index.json", {"weight_map": {"a": "b.txt"}}, "must name files beside it"),
    "no safetensors": ("a.safetensors", "{}", "must be a safetensors file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_are_none_are_refused(tmp_path, case):
    name, record, words = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        checkpoint.shapes(file(tmp_path, name, record))
    assert name in str(caught.value)
    assert str(caught.value).isprintable()


def test_sources_that_are_none_are_refused(tmp_path):
    for source in (None, 3, [("a", 3)], object()):
        with pytest.raises(TypeError, match="argument 'source' must be a mapping"):
            checkpoint.shapes(source)
    with pytest.raises(ValueError, match="argument 'source' must be a folder with a checkpoint"):
        checkpoint.shapes(tmp_path)
    with pytest.raises(FileNotFoundError):
        checkpoint.shapes(tmp_path / "missing")
    for name in "ab":
        file(tmp_path, f"{name}.safetensors.index.json", {})
    with pytest.raises(ValueError, match=r"must be that of one checkpoint, got .* 2 indices"):
        checkpoint.shapes(tmp_path)


def test_a_configuration_of_nothing(tmp_path):
    transformers()
    path = file(tmp_path, "config.json", {"model_type": "no such"})
    with pytest.raises(ValueError, match="argument 'source' must be a configuration that transformers can build: "):
        checkpoint.shapes(path)
    assert os.listdir(tmp_path) == ["config.json"]
