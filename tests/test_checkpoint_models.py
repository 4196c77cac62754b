"""True shapes of real models: written by their presets, held against them, opened; the large ones in CI."""

import json
import math
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from optional import library

import fastinit as fi
from fastinit import checkpoint

SHAPES = Path(__file__).parent.parent / "examples" / "shapes"
MODELS = {
    "resnet50": ("resnet", {}),
    "vit_b16": ("vit", {}),
    "mamba_130m": ("mamba", {"n_layers": 24}),
    "gpt2": ("gpt2", {"n_layers": 12}),
}
LARGE = {"tinyllama": ("llama", {}), "mixtral": ("mixtral", {})}


@pytest.fixture
def folder():
    """A folder in memory, where there is one: disks are not what is tried."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as path:
        yield Path(path)


def written_and_verified(folder, shapes, plan):
    size = 2 * sum(math.prod(entry["shape"]) for entry in shapes.values())
    if shutil.disk_usage(folder).free < 2 * size:
        pytest.skip("no room")
    checkpoint.write(folder, shapes, plan, seed=1, dtype="bfloat16", max_shard_size="200MB")
    found = checkpoint.verify(folder)
    assert found.ok
    resolved = plan.resolve(shapes, dtype="bfloat16")
    assert {*found.initial} == {name for name, assignment in resolved.items() if assignment.is_drawn}
    assert checkpoint.shapes(folder) == checkpoint.shapes(shapes)
    index = json.loads((folder / "model.safetensors.index.json").read_text()) if len(os.listdir(folder)) > 1 else {}
    return resolved, index.get("weight_map", dict.fromkeys(found.initial, "model.safetensors"))


@pytest.mark.parametrize("model", MODELS)
def test_a_model(folder, model):
    preset, variables = MODELS[model]
    open_ = library("safetensors").safe_open
    resolved, places = written_and_verified(
        folder, checkpoint.shapes(SHAPES / f"{model}.json"), fi.Plan.preset(preset, **variables)
    )
    for name in sorted(places)[:: max(1, len(places) // 12)]:
        with open_(folder / places[name], "numpy") as file:
            assert file.get_tensor(name).tobytes() == resolved.fill(name, seed=1).tobytes()


@pytest.mark.ci
@pytest.mark.parametrize("model", LARGE)
def test_a_large_model(folder, model):
    """All of TinyLlama, 2.2 GB, and a layer of Mixtral, 2.9 GB."""
    preset, variables = LARGE[model]
    shapes = checkpoint.shapes(SHAPES / f"{model}.json")
    if model == "mixtral":
        shapes = {name: entry for name, entry in shapes.items() if ".layers.31." in name}
    written_and_verified(folder, shapes, fi.Plan.preset(preset, **variables))


def test_every_parameter_of_mixtral_is_addressed():
    """A corner of each, as a host draws that has a shard of it."""
    shapes = checkpoint.shapes(SHAPES / "mixtral.json")
    found = fi.Plan.preset("mixtral").resolve(shapes, dtype="bfloat16")
    for name, assignment in found.items():
        corner = tuple(slice(n - min(n, 3), n) for n in assignment.shape)
        assert found.fill(name, seed=1, region=corner).shape == tuple(min(n, 3) for n in assignment.shape)
