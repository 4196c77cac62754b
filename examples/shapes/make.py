"""The true shapes of six models, as their own code names them; `python examples/shapes/make.py` writes them.

Takes torch, transformers and timm; the modules are made on the meta device, so no weight is allocated.
"""

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock

HERE = Path(__file__).parent


def language(kind, **config):
    """Return a language model of Transformers."""
    import transformers

    settings = getattr(transformers, f"{kind}Config")(**config)
    names = {"GPT2": "GPT2LMHeadModel"}
    return getattr(transformers, names.get(kind, f"{kind}ForCausalLM"))(settings)


def vision(name, **settings):
    """Return a model of timm, whose data sets alone need torchvision."""
    with without_torchvision():
        import timm
    return timm.create_model(name, **settings)


@contextmanager
def without_torchvision():
    """Let timm be imported where torchvision is missing."""
    names = ["torchvision", "torchvision.datasets", "torchvision.models", "torchvision.models.feature_extraction"]
    names += ["torchvision.ops", "torchvision.ops.misc", "torchvision.transforms", "torchvision.transforms.functional"]
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        sys.modules.update({name: MagicMock() for name in names})
        try:
            yield
        finally:
            for name in names:
                del sys.modules[name]
    else:
        yield


MODELS = {
    "gpt2": lambda: language("GPT2"),
    "tinyllama": lambda: language(
        "Llama",
        vocab_size=32000,
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=22,
        num_attention_heads=32,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    ),
    "mixtral": lambda: language("Mixtral"),
    "mamba_130m": lambda: language("Mamba", hidden_size=768, num_hidden_layers=24, vocab_size=50280),
    "vit_b16": lambda: vision("vit_base_patch16_224"),
    "resnet50": lambda: vision("resnet50"),
}


def shapes(module):
    """Return name -> shape and role of each parameter: the class of its layer and its name there."""
    found = {}
    for name, parameter in module.named_parameters():
        path, _, leaf = name.rpartition(".")
        role = f"{type(module.get_submodule(path)).__name__}.{leaf}"
        found[name] = {"shape": list(parameter.shape), "role": role}
    return found


def read(name):
    """Return the shapes in a file of this folder."""
    return json.loads((HERE / f"{name}.json").read_text())


def main():
    """Write a file for each model."""
    import torch

    for name, make in MODELS.items():
        with torch.device("meta"):
            found = shapes(make())
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items())
        (HERE / f"{name}.json").write_text(f"{{\n{lines}\n}}\n")
        print(f"{name}: {len(found)} parameters")


if __name__ == "__main__":
    main()
