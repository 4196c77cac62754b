"""A Llama of 1.1 B parameters on a GPU: drawn here and copied there, beside torch's ways. `python bench/devices.py`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import models
import modules
import torch

import fastinit.torch

DEVICE = "cuda"
ROUNDS = 5


def ways(dtype: str) -> dict[str, Callable[[], Any]]:
    """Each from the meta device to values on the GPU."""
    cpu, gpu = (modules.torch_llama(False, dtype, device) for device in ("cpu", DEVICE))
    meta = partial(modules.meta_llama, False, dtype)
    return {
        "fastinit, to the GPU": lambda: fastinit.torch.init_(meta(), models.PLAN, seed=0, device=DEVICE),
        "torch.nn.init on the CPU, then .to(GPU)": lambda: cpu().to(DEVICE),
        "torch.nn.init on the GPU": gpu,
    }


def seconds(work: Callable[[], Any]) -> float:
    """Until all of it is there; the first time is for what is loaded and compiled once."""
    found = []
    for _ in range(1 + ROUNDS):
        torch.cuda.synchronize()
        started = time.perf_counter()
        result = work()
        torch.cuda.synchronize()
        found.append(time.perf_counter() - started)
        del result
    return statistics.median(found[1:])


def main() -> None:
    """Print the medians."""
    print(f"{torch.cuda.get_device_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for dtype in ("float32", "bfloat16"):
        for name, work in ways(dtype).items():
            print(f"{dtype:8}  {name:40}  {seconds(work):.3f} s", flush=True)


if __name__ == "__main__":
    main()
