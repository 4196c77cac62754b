"""Weights as JAX arrays: whole trees of parameters on any sharding, and the initializers of `jax.nn.initializers`.

- `init_tree(abstract, shardings, plan, seed=…)` fills what `jax.eval_shape` says of a model: each device's block is
  drawn where it is needed, nothing is compiled and nothing is held twice.
- `initializers` has the names of `jax.nn.initializers` in their form, (key, shape, dtype) -> array, for Flax, Equinox
  and whatever else takes such functions.
"""

from . import initializers as initializers
from .trees import init_tree as init_tree
from .trees import tree_names as tree_names
