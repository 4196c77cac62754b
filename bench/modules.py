"""Whole modules and trees: our initialisation, and how each framework initialises the same by itself."""

from __future__ import annotations

import math
import os
from typing import Any

import models
from peers import Work

import fastinit as fi


def _config(small: bool) -> Any:
    import transformers

    sizes = {"n_layer": 2, "n_embd": 64, "n_head": 2, "vocab_size": 500, "n_positions": 64} if small else {}
    return transformers.GPT2Config(**sizes)


def gpt2(small: bool, dtype: str) -> Work:
    """GPT-2 124 M of Hugging Face: on the meta device, allocated once, drawn once."""
    import torch

    import fastinit.torch

    config = _config(small)
    return lambda: fastinit.torch.from_config(config, seed=0, dtype=getattr(torch, dtype))


def transformers_gpt2(small: bool, dtype: str) -> Work:
    """The same as its class makes it."""
    import torch
    import transformers

    config = _config(small)

    def work() -> object:
        torch.set_default_dtype(getattr(torch, dtype))
        try:
            return transformers.GPT2LMHeadModel(config)
        finally:
            torch.set_default_dtype(torch.float32)

    return work


def meta_llama(small: bool, dtype: str) -> Any:
    """The parameters of a Llama of 1.1 B on the meta device."""
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, shape in models.shapes(small).items():
                owner: Any = self
                *path, leaf = name.split(".")
                for part in path:
                    if not hasattr(owner, part):
                        owner.add_module(part, torch.nn.Module())
                    owner = getattr(owner, part)
                kind = getattr(torch, dtype)
                owner.register_parameter(leaf, torch.nn.Parameter(torch.empty(shape, dtype=kind, device="meta")))

    return Whole()


def llama(small: bool, dtype: str) -> Work:
    """Allocate and draw all of it by a plan."""
    import fastinit.torch

    return lambda: fastinit.torch.init_(meta_llama(small, dtype), models.PLAN, seed=0, device="cpu")


def torch_llama(small: bool, dtype: str, device: str = "cpu") -> Work:
    """Allocate and draw all of it by torch.nn.init, each parameter once."""
    import torch

    def work() -> object:
        module = meta_llama(small, dtype).to_empty(device=device)
        for name, parameter in module.named_parameters():
            if "norm" in name:
                torch.nn.init.ones_(parameter)
            else:
                torch.nn.init.normal_(parameter, std=models.STD)
        return module

    return work


def tree(small: bool) -> Work:
    """GPT-2's parameters as a tree of JAX's arrays."""
    import jax

    import fastinit.jax

    shapes = gpt2_shapes(small)
    abstract = {name: jax.ShapeDtypeStruct(shape, "float32") for name, shape in shapes.items()}
    plan = fi.Plan([("**", {"scheme": "normal", "std": models.STD})])
    return lambda: jax.block_until_ready(fastinit.jax.init_tree(abstract, None, plan, seed=0))


def jax_tree(small: bool) -> Work:
    """The same by one jitted function, whose compilation is a part of every first call."""
    import jax

    shapes = gpt2_shapes(small)

    def work() -> object:
        @jax.jit
        def init(key: Any) -> Any:
            keys = jax.random.split(key, len(shapes))
            return {
                name: models.STD * jax.random.normal(k, shape)
                for k, (name, shape) in zip(keys, shapes.items(), strict=True)
            }

        return jax.block_until_ready(init(jax.random.key(0)))

    return work


def gpt2_shapes(small: bool) -> dict[str, tuple[int, ...]]:
    width, layers, vocabulary = (64, 2, 500) if small else (768, 12, 50257)
    shapes: dict[str, tuple[int, ...]] = {"wte": (vocabulary, width), "wpe": (1024, width)}
    for i in range(layers):
        parts = {
            "attn": (width, 3 * width),
            "proj": (width, width),
            "fc": (width, 4 * width),
            "out": (4 * width, width),
        }
        shapes |= {f"h/{i}/{name}": shape for name, shape in parts.items()}
    return shapes


def keras_layers(small: bool, ours: bool) -> Work:
    """Eight dense layers, built with Keras's default initializers or with ours in their place."""
    os.environ.setdefault("KERAS_BACKEND", "numpy")
    import contextlib

    import keras

    import fastinit.keras

    width = 64 if small else 2048

    def work() -> object:
        with fastinit.keras.scope() if ours else contextlib.nullcontext():
            model = keras.Sequential([keras.layers.Dense(width) for _ in range(8)])
            model.build((None, width))
        return model

    return work


def dask_normal(small: bool, ours: bool) -> Work:
    """A normal array of 2^26 elements in 64 chunks, summed chunk by chunk."""
    import dask.array

    import fastinit.dask

    n, chunk = (256, 64) if small else (8192, 1024)
    if ours:
        array = fastinit.dask.normal((n, n), chunks=(chunk, chunk), seed=0, dtype="float64")
    else:
        array = dask.array.random.default_rng(0).normal(size=(n, n), chunks=(chunk, chunk))
    return lambda: array.max().compute(scheduler="threads")


def elements(small: bool) -> int:
    """Parameters of the tree."""
    return sum(map(math.prod, gpt2_shapes(small).values()))
