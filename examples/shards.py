"""Eight workers, one tensor: each draws its own rows in bfloat16, and together they have the whole, bit for bit."""

import numpy as np

import fastinit as fi

SHAPE, WORKERS = (4096, 1024), 8


def shard(worker: int) -> np.ndarray:
    """Draw one worker's rows; nothing but this part is ever in memory."""
    rows = SHAPE[0] // WORKERS
    region = (slice(worker * rows, (worker + 1) * rows), slice(0, SHAPE[1]))
    return fi.init("he_normal", SHAPE, seed=0, name="mlp.up", dtype="bfloat16", region=region)


parts = np.concatenate([shard(worker) for worker in range(WORKERS)])
whole = fi.init("he_normal", SHAPE, seed=0, name="mlp.up", dtype="bfloat16")
print("the shards are the tensor:", parts.tobytes() == whole.tobytes())
