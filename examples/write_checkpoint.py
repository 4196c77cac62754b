"""A small language model's initial weights as Hugging Face lays them out, by two hosts, and what training changes."""

from pathlib import Path

import fastinit as fi

WIDTH, LAYERS, VOCABULARY = 256, 4, 5000
shapes = {"model.embed_tokens.weight": (VOCABULARY, WIDTH), "model.norm.weight": (WIDTH,)}
for layer in range(LAYERS):
    for part, rows in (("q_proj", WIDTH), ("k_proj", WIDTH // 4), ("v_proj", WIDTH // 4), ("o_proj", WIDTH)):
        shapes[f"model.layers.{layer}.self_attn.{part}.weight"] = (rows, WIDTH)
    shapes[f"model.layers.{layer}.input_layernorm.weight"] = (WIDTH,)

plan = fi.Plan(
    [
        ("model.embed_tokens.weight", {"scheme": "normal", "std": 0.02}),
        ("model.layers.{layer}.self_attn.{q,k,v}_proj.weight", {"scheme": "he_normal", "layout": "oi"}),
        ("model.layers.{layer}.self_attn.o_proj.weight", {"scheme": "normal", "std": "0.02 / sqrt(2 * n_layers)"}),
        ("**norm.weight", {"scheme": "ones", "dtype": "float32"}),
    ],
    variables={"n_layers": LAYERS},
)

for host in (1, 0):
    written = fi.checkpoint.write(
        "model", shapes, plan, seed=0, dtype="bfloat16", max_shard_size="1MB", hosts=(host, 2)
    )
    print(f"host {host}: {', '.join(Path(path).name for path in written.files)}")
print(fi.checkpoint.verify("model"), end="\n\n")

path = Path("model", "model-00001-of-00003.safetensors")
with path.open("r+b") as file:  # a step of training
    file.seek(-100, 2)
    file.write(b"trained")
print(fi.checkpoint.verify("model"))
