"""The modules that load a library of an extra: what they say without it, and to odd arguments."""

import importlib
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import answers, labels, lane, made
from optional import library

import fastinit as fi

MODULES = {"jax": "jax", "keras": "keras", "dask": "dask", "zarr": "zarr"}
PLAN = fi.Plan([("**", {"scheme": "normal"})])


@pytest.mark.parametrize("module", MODULES)
def test_a_missing_library_is_told_by_the_extra_that_has_it(python, module):
    code = f"""
import sys
sys.modules[{MODULES[module]!r}] = None
import fastinit
try:
    import fastinit.{module}
except ImportError as error:
    print(error)
"""
    said = python(code).strip()
    assert said.lower() == f'this needs {module}; install it with: pip install "fastinit-kernels[{module}]"'


def jax_call(name, **usual):
    def call(**given):
        initializers = importlib.import_module("fastinit.jax").initializers
        words = {**usual, **given}
        arguments = {word: words.pop(word) for word in ("key", "shape", "call_dtype", "out_sharding") if word in words}
        draw = getattr(initializers, name)(**words)
        jax = importlib.import_module("jax")
        key = arguments.get("key", jax.random.key(0))
        return draw(key, arguments.get("shape", (4, 6)), arguments.get("call_dtype"), arguments.get("out_sharding"))

    return call


def keras_call(**given):
    ours = importlib.import_module("fastinit.keras")
    return ours.HeNormal(seed=1)(**{"shape": (4, 6), **given})


def keras_numbers(**given):
    ours = importlib.import_module("fastinit.keras")
    return ours.RandomNormal(seed=1, **given)((4,))


def tree_call(**given):
    jax = importlib.import_module("jax")
    usual = {"abstract": {"w": jax.ShapeDtypeStruct((4, 6), "float32")}, "shardings": None, "plan": PLAN, "seed": 1}
    return importlib.import_module("fastinit.jax").init_tree(**{**usual, **given})


def store_call(**given):
    zarr = importlib.import_module("zarr")
    usual = {"store": zarr.storage.MemoryStore(), "shapes": {"w": (4, 6)}, "plan": PLAN, "seed": 1}
    return importlib.import_module("fastinit.zarr").init_store(**{**usual, **given})


def dask_call(name, **usual):
    return lambda **given: getattr(importlib.import_module("fastinit.dask"), name)(**{**usual, **given})


ADDRESS = ("chunks", "seed", "name", "dtype")
CALLS = {
    "jax: normal": ("jax", jax_call("normal"), ("stddev", "dtype", "key", "shape", "call_dtype", "out_sharding")),
    "jax: uniform": ("jax", jax_call("uniform"), ("scale", "dtype")),
    "jax: truncated_normal": ("jax", jax_call("truncated_normal"), ("stddev", "lower", "upper", "dtype")),
    "jax: variance_scaling": (
        "jax", jax_call("variance_scaling", scale=1.0, mode="fan_in", distribution="normal"),
        ("scale", "mode", "distribution", "in_axis", "out_axis", "batch_axis", "dtype", "shape")),
    "jax: he_normal": ("jax", jax_call("he_normal"), ("in_axis", "out_axis", "batch_axis", "dtype", "shape")),
    "jax: orthogonal": ("jax", jax_call("orthogonal"), ("scale", "column_axis", "dtype", "shape")),
    "jax: delta_orthogonal": (
        "jax", jax_call("delta_orthogonal", shape=(3, 2, 2)), ("scale", "column_axis", "dtype", "shape")),
    "jax: init_tree": ("jax", tree_call, ("shardings", "plan", "seed")),
    "keras: HeNormal": ("keras", keras_call, ("shape", "dtype")),
    "keras: RandomNormal": ("keras", keras_numbers, ("mean", "stddev")),
    "dask: init": (
        "dask.array", dask_call("init", scheme="he_normal", shape=(4, 6)),
        ("scheme", "shape", "layout", "groups", "stride", "transposed", "fan_in", "fan_out", "scale", *ADDRESS)),
    "dask: normal": ("dask.array", dask_call("normal", shape=(4, 6)), ("shape", "mean", "std", *ADDRESS)),
    "dask: uniform": ("dask.array", dask_call("uniform", shape=4), ("shape", "low", "high", *ADDRESS)),
    "dask: truncated_normal": (
        "dask.array", dask_call("truncated_normal", shape=4), ("shape", "mean", "std", "lower", "upper", *ADDRESS)),
    "zarr: init_store": ("zarr", store_call, (
        "shapes", "plan", "seed", "dtype", "chunks", "chunk_bytes", "shards")),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_odd_arguments_are_answered(name):
    needed, call, words = CALLS[name]
    library(needed)

    @lane(25, 400)
    @given(st.dictionaries(st.sampled_from(words), labels, min_size=1, max_size=2))
    def fuzz(odd):
        answers(lambda: call(**{word: made(label) for word, label in odd.items()}))

    fuzz()


class Interface:
    """An array of another library's, by NumPy's own protocol."""

    def __init__(self, array):
        self._array = array
        self.__array_interface__ = array.__array_interface__


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_arrays_of_others_are_filled_through_numpys_protocols(dtype):
    expected = fi.normal((5, 7), seed=1, dtype=dtype)
    memory = np.zeros((5, 7), dtype)
    fi.normal((5, 7), seed=1, dtype=dtype, out=np.asarray(Interface(memory)))
    np.testing.assert_array_equal(memory, expected)
    torch = library("torch")
    tensor = torch.zeros(7, 5, dtype=getattr(torch, dtype)).T
    fi.normal((5, 7), seed=1, dtype=dtype, out=np.from_dlpack(tensor))
    np.testing.assert_array_equal(tensor.numpy(), expected)


def test_a_memory_map_larger_than_what_is_written(tmp_path):
    """A sparse file of 1 TB, of which one region is drawn."""
    shape = (1 << 19, 1 << 19)
    path = tmp_path / "weights.bin"
    with open(path, "wb") as file:
        os.truncate(file.fileno(), 4 * shape[0] * shape[1])
    out = np.memmap(path, np.float32, "r+", shape=shape)
    region = (slice(shape[0] - 3, None), slice(100, 200))
    fi.normal(shape, seed=1, region=region, out=out[region])
    np.testing.assert_array_equal(out[-3:, 100:200], fi.normal(shape, seed=1, region=region))
    assert not out[-3:, 90:100].any()
