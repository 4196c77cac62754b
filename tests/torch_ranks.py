"""What the processes of one world do, each in a fork of this one: python torch_ranks.py WORLD.

Prints a line a case; the exit code is the number of processes in which one failed.
"""

import inspect
import itertools
import os
import sys
import tempfile
import traceback
import warnings

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.distributed.tensor.placement_types import _StridedShard

import fastinit as fi
import fastinit.torch as fit

PLAN = fi.Plan(
    [
        ("**", {"role": "Embedding.weight", "scheme": "normal", "std": 0.5}),
        ("**", {"role": "Linear.weight", "scheme": "he_normal", "layout": "oi"}),
        ("**", {"role": "Linear.bias", "scheme": "uniform", "low": -1, "high": 1}),
        ("**", {"role": "Norm.scale", "scheme": "truncated_normal", "std": 0.1}),
    ]
)
# Each process cuts its own part, which goes for uneven strided ones, too; PyTorch has the argument since 2.7.
OWN_PART = {"src_data_rank": None} if "src_data_rank" in inspect.signature(distribute_tensor).parameters else {}
DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class Norm(nn.Module):
    """A class of somebody's: a parameter, and a buffer that only it knows how to compute."""

    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.register_buffer("table", torch.empty(width), persistent=False)
        self.reset_buffers()

    def reset_buffers(self):
        self.table.copy_(torch.arange(len(self.table)))

    def forward(self, x):
        return x * self.scale


class Block(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.norm = Norm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))


class Model(nn.Module):
    """Sizes that no number of processes divides, tied weights."""

    def __init__(self, vocabulary=37, width=12, hidden=22, tied=True):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList([Block(width, hidden) for _ in range(2)])
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def built(dtype, meta=False, **sizes):
    with torch.device("meta" if meta else "cpu"):
        return Model(**sizes).to(dtype)


def expected(shapes, dtype):
    """What one process has: NumPy's arrays by name, of bfloat16 as float32."""
    tensors = PLAN.init(shapes, seed=7, dtype=DTYPES[dtype])
    return {name: np.asarray(array, np.float32) for name, array in tensors.items()}


def check(model, dtype, sizes):
    classes = {"embed": "Embedding", "norm": "Norm", "up": "Linear", "down": "Linear", "head": "Linear"}
    shapes = {
        name: {"shape": tuple(p.shape), "role": f"{classes[name.split('.')[-2]]}.{name.split('.')[-1]}"}
        for name, p in model.named_parameters()
    }
    assert len(shapes) == 1 + 4 * 2 + (not sizes.get("tied", True))
    for name, array in expected(shapes, dtype).items():
        parameter = model.get_parameter(name)
        assert parameter.dtype == dtype
        assert parameter.requires_grad
        whole = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
        found = whole.detach().float().numpy()
        assert found.tobytes() == array.tobytes(), name
    for block in model.blocks:
        table = block.norm.table
        table = table.full_tensor() if isinstance(table, DTensor) else table
        assert table.tolist() == list(range(12))


def placements_of(world):
    """(mesh's shape, placements, shape)."""
    single = [Replicate(), Shard(0), Shard(1), Shard(2)]
    for placement, shape in itertools.product(single, [(37, 6, 5), (3, 2, 1), (16, 16, 16)]):
        yield (world,), [placement], shape
    if world < 4:
        return
    mesh = (world // 2, 2)
    for pair in itertools.product(single[:3], repeat=2):
        yield mesh, pair, (37, 7)
    for rows in (8, 16, 37, 5, 3, 1):
        yield mesh, [_StridedShard(0, split_factor=2), Shard(0)], (rows, 3)
        yield mesh, [_StridedShard(1, split_factor=2), Shard(1)], (3, rows)
        yield mesh, [_StridedShard(0, split_factor=3), Shard(1)], (rows, 3)


def any_placement(world):
    meshes = {}
    for shape in ((world,), (world // 2, 2)):
        if np.prod(shape) == world:
            meshes[shape] = init_device_mesh("cpu", shape)
    laws = {
        "normal": lambda t, **a: fit.normal_(t, std=0.1, **a),
        "orthogonal": lambda t, **a: fit.orthogonal_(t, **a),
        "sparse": lambda t, **a: fit.sparse_(t, 0.4, **a) if t.dim() == 2 else fit.xavier_uniform_(t, **a),
    }
    for mesh, placements, shape in placements_of(world):
        if not OWN_PART and any(isinstance(p, _StridedShard) and shape[p.dim] % 12 for p in placements):
            continue  # such a PyTorch cuts no uneven ones
        for (name, law), dtype in zip(laws.items(), itertools.cycle(DTYPES), strict=False):
            whole = law(torch.empty(shape, dtype=dtype), seed=3, name=name)
            part, cut = (
                distribute_tensor(t, meshes[mesh], placements, **OWN_PART)
                for t in (torch.zeros(shape, dtype=dtype), whole)
            )
            versions = part._version, part.to_local()._version
            assert law(part, seed=3, name=name) is part
            assert part._version == versions[0] + 1
            assert torch.equal(part.to_local(), cut.to_local()), (mesh, placements, shape, name)
            assert torch.equal(part.full_tensor(), whole), (mesh, placements, shape, name)
    partial = DTensor.from_local(torch.zeros(4), meshes[(world,)], [Partial()])
    with pytest.raises(ValueError, match="replicated or sharded, got Partial"):
        fit.normal_(partial, seed=0)


def sharded(world):
    for dtype, meta, tied in [(torch.float32, True, True), (torch.bfloat16, False, True), (torch.float32, True, False)]:
        model = built(dtype, meta, tied=tied)
        mesh = init_device_mesh("cpu", (world,))
        for block in model.blocks:
            fully_shard(block.up, mesh=mesh)  # its class has another name from now on
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        assert fit.init_(model, PLAN, seed=7) is model
        check(model, dtype, {"tied": tied})
        model(torch.zeros(2, 3, dtype=torch.long))
        assert not isinstance(model.embed.weight, DTensor)
        with torch.no_grad():
            model.embed.weight.zero_()
        fit.init_(model, PLAN, seed=7)  # now that the root holds its parameters whole
        model.reshard()
        check(model, dtype, {"tied": tied})


def replicated_and_sharded(world):
    mesh = init_device_mesh("cpu", (world // 2, 2), mesh_dim_names=("replicate", "shard"))
    model = built(torch.bfloat16, meta=True)
    fully_shard(model, mesh=mesh)
    fit.init_(model, PLAN, seed=7)
    check(model, torch.bfloat16, {})


PARALLEL = {
    "embed": RowwiseParallel(input_layouts=Replicate()),
    "blocks.*.up": ColwiseParallel(),
    "blocks.*.down": RowwiseParallel(),
}


def tensor_parallel(world):
    for dtype, meta in [(torch.float32, False), (torch.bfloat16, True)]:
        model = built(dtype, meta, tied=False)
        parallelize_module(model, init_device_mesh("cpu", (world,)), PARALLEL)
        fit.init_(model, PLAN, seed=7)
        check(model, dtype, {"tied": False})


def both(world):
    for shape, dtype in itertools.product({(world // 2, 2), (2, world // 2)}, DTYPES):
        mesh = init_device_mesh("cpu", shape, mesh_dim_names=("data", "tensor"))
        # FSDP over tensor parallelism wants even rows; the strided cases above have the uneven ones.
        model = built(dtype, meta=True, vocabulary=48, hidden=24, width=12, tied=False)
        parallelize_module(model, mesh["tensor"], PARALLEL)
        for block in model.blocks:
            fully_shard(block, mesh=mesh["data"])
        fully_shard(model, mesh=mesh["data"])
        fit.init_(model, PLAN, seed=7)
        check(model, dtype, {"tied": False})


def stages(world):
    """A stage of a pipeline has what the whole model has by its names."""
    whole = fit.init_(built(torch.float32, tied=False), PLAN, seed=7)
    stage = Block(12, 22)
    fit.init_(stage, PLAN, seed=7, prefix="blocks.1.")
    for name, parameter in stage.named_parameters():
        assert torch.equal(parameter, whole.get_parameter(f"blocks.1.{name}"))


CASES = {
    2: [any_placement, sharded, tensor_parallel],
    4: [any_placement, sharded, replicated_and_sharded, tensor_parallel, both, stages],
    8: [any_placement, sharded, replicated_and_sharded, tensor_parallel, both],
}


def run(rank, world, store):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    failed = False
    for case in CASES[world]:
        try:
            case(world)
            print(f"{case.__name__} {rank}: right", flush=True)
        except BaseException:
            failed = True
            print(f"{case.__name__} {rank}:\n{traceback.format_exc()}", flush=True)
            break
    dist.destroy_process_group()
    os._exit(failed)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # gloo's and FSDP's own
    torch.set_num_threads(1)
    world = int(sys.argv[1])
    fi.normal(3, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        children = []
        for rank in range(world):
            child = os.fork()
            if not child:
                run(rank, world, os.path.join(folder, "store"))
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(sum(map(bool, codes)))
