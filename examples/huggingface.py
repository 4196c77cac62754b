"""A model of Hugging Face from its configuration: allocated once, drawn once, by its own rules."""

import torch
import transformers

import fastinit as fi
import fastinit.torch

config = transformers.LlamaConfig(
    vocab_size=1000, hidden_size=128, intermediate_size=352, num_hidden_layers=4, num_attention_heads=8
)
model = fastinit.torch.from_config(config, seed=0, dtype=torch.bfloat16)

name = "model.layers.2.mlp.up_proj.weight"
same = fi.normal((352, 128), std=config.initializer_range, seed=0, name=name, dtype=torch.bfloat16)
print(f"{sum(p.numel() for p in model.parameters()):,} weights")
print("each is its name's:", torch.equal(model.get_parameter(name), fastinit.torch.tensor(same)))
