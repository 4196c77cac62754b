"""Checkpoints of whole models, and who else writes them: torch with safetensors, and dd, which writes zeros."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import peers
from peers import Work

import fastinit as fi

# Where files lie in memory: the disk's speed is not what is compared.
FOLDER = os.environ.get("FASTINIT_BENCH_FOLDER") or ("/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir())
STD = 0.02
PLAN = fi.Plan([("**norm**", "ones"), ("**", {"scheme": "normal", "std": STD})], first_match=True)


def tinyllama(
    layers: int = 22, width: int = 2048, inner: int = 5632, vocabulary: int = 32_000
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of TinyLlama, 1.1 B parameters."""
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, width)}
    parts = {
        "self_attn.q_proj": (width, width), "self_attn.k_proj": (width // 8, width),
        "self_attn.v_proj": (width // 8, width), "self_attn.o_proj": (width, width), "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width), "mlp.down_proj": (width, inner), "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
    }  # fmt: skip
    for i in range(layers):
        shapes |= {f"model.layers.{i}.{name}.weight": shape for name, shape in parts.items()}
    return shapes | {"model.norm.weight": (width,), "lm_head.weight": (vocabulary, width)}


def shapes(small: bool) -> dict[str, tuple[int, ...]]:
    return tinyllama(2, 64, 128, 500) if small else tinyllama()


def size(small: bool) -> int:
    """Elements."""
    import math

    return sum(map(math.prod, shapes(small).values()))


def timed(write: Callable[[Path], object]) -> Work:
    """Return work that writes into a new folder, and returns the seconds that takes; emptying it takes none."""

    def work() -> float:
        folder = Path(tempfile.mkdtemp(dir=FOLDER, prefix="fastinit-bench-"))
        try:
            started = time.perf_counter()
            write(folder)
            return time.perf_counter() - started
        finally:
            shutil.rmtree(folder)

    work()  # what is loaded and compiled once, and memory that the system has to find first
    return work


def ours(small: bool) -> Work:
    described = shapes(small)
    return timed(lambda folder: fi.checkpoint.write(folder, described, PLAN, seed=0, dtype="bfloat16"))


def torchs(small: bool) -> Work:
    """Initialise in place, as models do, then save."""
    torch, save = peers.load("torch"), peers.load("safetensors.torch").save_file

    def write(folder: Path) -> None:
        tensors = {name: torch.empty(shape, dtype=torch.bfloat16) for name, shape in shapes(small).items()}
        with torch.no_grad():
            for name, tensor in tensors.items():
                torch.nn.init.ones_(tensor) if "norm" in name else torch.nn.init.normal_(tensor, std=STD)
        save(tensors, folder / "model.safetensors", {"format": "pt"})

    return timed(write)


def zeros(small: bool) -> Work:
    """As many bytes of zeros, written by dd."""
    mebibytes = max(1, 2 * size(small) >> 20)

    def write(folder: Path) -> None:
        words = ["dd", "if=/dev/zero", f"of={folder}/zeros", "bs=1M", f"count={mebibytes}"]
        subprocess.run(words, check=True, capture_output=True)

    return timed(write)


MEMORY = """
import re, sys, tempfile
sys.path.insert(0, "bench")
import models
import fastinit as fi

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10

small = bool(int(sys.argv[1]))
with tempfile.TemporaryDirectory(dir=models.FOLDER) as folder:
    fi.checkpoint.write(folder + "/warm", models.shapes(True), models.PLAN, seed=0, dtype="bfloat16")
    open("/proc/self/clear_refs", "w").write("5")
    before = peak()
    fi.checkpoint.write(folder + "/model", models.shapes(small), models.PLAN, seed=0, dtype="bfloat16")
    print(peak() - before)
"""


def memory(small: bool) -> Work:
    """Return work that returns by how much writing raises the most memory that a process has had."""

    def work() -> int:
        root = Path(__file__).resolve().parent.parent
        words = [sys.executable, "-c", MEMORY, str(int(small))]
        return int(subprocess.run(words, check=True, capture_output=True, text=True, cwd=root).stdout)

    return work
