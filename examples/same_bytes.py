"""One weight in NumPy, PyTorch, JAX and Keras: the same bytes, from a seed and a name."""

import os

os.environ.setdefault("KERAS_BACKEND", "numpy")

import jax
import keras
import numpy as np
import torch

import fastinit as fi
import fastinit.jax
import fastinit.keras
import fastinit.torch

SEED, SHAPE = 7, (64, 32)
plan = fi.Plan([("kernel", {"scheme": "he_normal", "truncated": True})])

ours = plan.init({"kernel": SHAPE}, seed=SEED)["kernel"]
as_jax = fastinit.jax.init_tree({"kernel": jax.ShapeDtypeStruct(SHAPE, "float32")}, None, plan, seed=SEED)["kernel"]


class Layer(torch.nn.Module):
    """x @ kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = torch.nn.Parameter(torch.empty(SHAPE))


layer = Layer()
fastinit.torch.init_(layer, plan, seed=SEED)

# Keras's initializers have seeds, but no names.
nameless = fi.init("he_normal", SHAPE, truncated=True, seed=SEED)
as_keras = keras.ops.convert_to_numpy(fastinit.keras.HeNormal(seed=SEED)(SHAPE))

print("PyTorch:", fastinit.torch.array(layer.kernel).tobytes() == ours.tobytes())
print("JAX:", np.asarray(as_jax).tobytes() == ours.tobytes())
print("Keras:", as_keras.tobytes() == nameless.tobytes())
