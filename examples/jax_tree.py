"""A Flax model's parameters on eight devices, each of which has its own blocks drawn; nothing is compiled for it."""

import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"  # a CPU that stands for eight devices
os.environ["JAX_PLATFORMS"] = "cpu"

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import fastinit as fi
from fastinit.jax import init_tree, tree_names


class Block(nn.Module):
    """x + W2 gelu(W1 x)."""

    width: int

    @nn.compact
    def __call__(self, x):
        """Return the block's output."""
        return x + nn.Dense(self.width, name="down")(nn.gelu(nn.Dense(4 * self.width, name="up")(x)))


model = nn.Sequential([nn.Embed(1024, 128), Block(128), Block(128)])
abstract = jax.eval_shape(model.init, jax.random.key(0), np.zeros((2, 8), np.int32))

mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
places = {
    name: NamedSharding(mesh, PartitionSpec("data", "model") if len(leaf.shape) == 2 else PartitionSpec())
    for name, leaf in zip(tree_names(abstract), jax.tree.leaves(abstract), strict=True)
}
shardings = jax.tree.unflatten(jax.tree.structure(abstract), places.values())

plan = fi.Plan(
    [
        ("**/embedding", {"scheme": "normal", "std": 0.02}),
        ("**/layers_{layer}/up/kernel", "lecun_normal"),
        ("**/layers_{layer}/down/kernel", {"scheme": "lecun_normal", "gain": "1 / sqrt(2 * layer)"}),
        ("**/bias", "zeros"),
    ]
)
params = init_tree(abstract, shardings, plan, seed=0)

whole = plan.init({name: leaf.shape for name, leaf in zip(places, jax.tree.leaves(abstract), strict=True)}, seed=0)
for name, array in zip(places, jax.tree.leaves(params), strict=True):
    print(f"{name:32} {array.shape!s:12} in blocks of {array.addressable_shards[0].data.shape}")
    assert np.asarray(array).tobytes() == whole[name].tobytes()
print("the same bytes as in one process: True")
print("output:", model.apply(params, np.zeros((2, 8), np.int32)).shape)
