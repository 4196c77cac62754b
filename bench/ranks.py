"""Distributed tensors: four processes that stay for as long as this one, and initialise a sharded module when asked.

As a program it is one of those processes: `python ranks.py RANK WORLD STORE SMALL`, the words of rank 0 from its input.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from peers import CORES, Work

WORLD = 4


class _World:
    """Four processes of one group on this machine."""

    def __init__(self, small: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        store = str(Path(self.folder.name) / "store")
        environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, CORES // WORLD)), "NUMBA_NUM_THREADS": "1"}
        self.processes = [
            subprocess.Popen(
                [sys.executable, __file__, str(rank), str(WORLD), store, str(int(small))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                text=True,
            )
            for rank in range(WORLD)
        ]
        atexit.register(self.close)

    def ask(self, word: str) -> float:
        """Return the seconds that all four took together."""
        first = self.processes[0]
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdin.write(word + "\n")
        first.stdin.flush()
        answer = first.stdout.readline()
        if not answer:
            raise RuntimeError("a process of the group died")
        return float(answer)

    def close(self) -> None:
        self.processes[0].communicate()  # nothing more is asked: all leave
        for process in self.processes[1:]:
            process.kill()
            process.communicate()
        self.folder.cleanup()


@cache
def _world(small: bool) -> _World:
    return _World(small)


def sharded(small: bool, who: str) -> Work:
    """GPT-2's parameters under `fully_shard` on four processes, meta to CPU, by "ours" or by "torch"."""
    world = _world(small)
    world.ask(who)  # what is loaded and compiled once
    return lambda: world.ask(who)


def _serve(rank: int, world: int, store: str, small: bool) -> None:
    import torch
    import torch.distributed as dist

    import fastinit as fi

    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    plan = fi.Plan([("**", {"scheme": "normal", "std": 0.02})])
    work = {"ours": lambda module: _ours(module, plan), "torch": _torchs}
    while True:
        said: list[Any] = [sys.stdin.readline().strip() if rank == 0 else None]
        dist.broadcast_object_list(said)
        if not said[0]:
            dist.destroy_process_group()
            return
        module = _module(small)
        dist.barrier()
        started = time.perf_counter()
        work[said[0]](module)
        dist.barrier()
        if rank == 0:
            print(time.perf_counter() - started, flush=True)
        del module
        torch.manual_seed(0)


def _module(small: bool) -> Any:
    import modules
    import torch
    from torch.distributed.fsdp import fully_shard

    with torch.device("meta"):
        whole = torch.nn.Module()
        for i, (name, shape) in enumerate(modules.gpt2_shapes(small).items()):
            part = torch.nn.Module()
            part.register_parameter(name.replace("/", "_"), torch.nn.Parameter(torch.empty(shape)))
            whole.add_module(str(i), part)
    return fully_shard(whole)


def _ours(module: Any, plan: Any) -> None:
    import fastinit.torch

    fastinit.torch.init_(module, plan, seed=0, device="cpu")


def _torchs(module: Any) -> None:
    import warnings

    import torch

    module.to_empty(device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that CPUs' generators are not kept in step
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.02)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], bool(int(sys.argv[4])))
