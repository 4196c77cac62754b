"""Four processes, `fully_shard`: each draws its own rows, and together they have what one process draws."""

import os
import tempfile

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard

import fastinit as fi
import fastinit.torch

WORLD = 4
PLAN = fi.Plan([("**.weight", {"scheme": "he_normal", "layout": "oi"}), ("**.bias", "zeros")])


def build() -> nn.Module:
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(30, 70), nn.ReLU(), nn.Linear(70, 10))


def process(rank: int, store: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD)
    model = build()
    fully_shard(model, mesh=dist.device_mesh.init_device_mesh("cpu", (WORLD,)))
    fastinit.torch.init_(model, PLAN, seed=0)
    alone = fastinit.torch.init_(build(), PLAN, seed=0)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.full_tensor(), alone.get_parameter(name)), name
    rows = [p.to_local().shape[0] for p in model.parameters()]
    if rank == 0:
        print(f"process 0 has {rows} rows; four processes equal one: True")
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.start_processes(
            process, (os.path.join(folder, "store"),), nprocs=WORLD, start_method="fork"
        )
