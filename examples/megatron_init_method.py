"""Megatron's `init_method(tensor)` sees a shard and no name; `sharded_state_dict()` knows both, and the offset.

So the weights are drawn after the model is built (with `perform_initialization=False`), from its own description of
its shards: a name, the whole shape, an offset. Tensor-, pipeline- and expert-parallel layouts then have one model.
`ShardedTensor` stands for `megatron.core.dist_checkpointing.ShardedTensor`, of which this uses these fields.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

import fastinit as fi


@dataclass
class ShardedTensor:
    key: str
    data: torch.Tensor
    global_shape: tuple[int, ...]
    global_offset: tuple[int, ...]
    prepend_axis_num: int = 0  # axes of the whole that the shard lacks: layers that are stacked in a checkpoint


def draw(shards: Iterable[ShardedTensor], std: Callable[[str], float], seed: int) -> None:
    """Fill each shard with its part of the whole tensor."""
    for shard in shards:
        data = shard.data.detach()
        data = data[(None,) * shard.prepend_axis_num]
        region = tuple(slice(o, o + n) for o, n in zip(shard.global_offset, data.shape, strict=True))
        fi.normal(
            shard.global_shape, std=std(shard.key), seed=seed, name=shard.key, dtype=data.dtype, region=region, out=data
        )


def std(key: str) -> float:
    return 0.02 / (2 * 24) ** 0.5 if key.endswith(("linear_proj.weight", "linear_fc2.weight")) else 0.02


KEY, SHAPE = "decoder.layers.mlp.linear_fc2.weight", (24, 96, 128)  # 24 layers; the 128 inputs over 4 ranks
layer_7 = []
for rank in range(4):
    parameter = torch.nn.Parameter(torch.empty(96, 32, dtype=torch.bfloat16))
    draw([ShardedTensor(KEY, parameter, SHAPE, (7, 0, 32 * rank), prepend_axis_num=1)], std, seed=0)
    layer_7.append(parameter.detach())
whole = torch.empty(SHAPE, dtype=torch.bfloat16)
fi.normal(SHAPE, std=std(KEY), seed=0, name=KEY, dtype=torch.bfloat16, out=whole)
print("four ranks have one layer:", torch.equal(torch.cat(layer_7, 1), whole[7]))
