"""GPT-2 by its true shapes: what each parameter is drawn from, one draw of all, and the same bytes for any part."""

import json
from pathlib import Path

import fastinit as fi

shapes = json.loads((Path(__file__).parent / "shapes" / "gpt2.json").read_text())
plan = fi.Plan.preset("gpt2", n_layers=12)

for row in plan.explain(shapes).rows[:9]:
    print(f"{row['parameter']:36s} {row['shape']!s:13s} {row['law']:29s} {row['rule']}")

# Two layers and the embeddings; the whole model is `plan.init(shapes, seed=0)`.
few = {name: what for name, what in shapes.items() if ".h." not in name or ".h.0." in name or ".h.11." in name}
tensors = plan.init(few, seed=0, dtype="bfloat16")
size = sum(tensor.nbytes for tensor in tensors.values())
print(f"{len(tensors)} of {len(shapes)} tensors, {size / 1e6:.0f} MB")

# One worker of many draws its own rows of one parameter, and nothing else.
name = "transformer.h.11.mlp.c_fc.weight"
rows = plan.resolve(shapes, dtype="bfloat16").fill(name, seed=0, region=(slice(64, 128), slice(0, 3072)))
print("a part is the whole's:", rows.tobytes() == tensors[name][64:128].tobytes())
