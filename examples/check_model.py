"""A model whose initialisation went wrong in four places, held against what it should be."""

import fastinit as fi

width, layers = 256, 6
plan = fi.Plan(
    [
        ("embed.weight", {"scheme": "normal", "std": 0.02}),
        ("layers.{layer}.up.weight", {"scheme": "he_normal", "layout": "oi"}),
        ("layers.{layer}.down.weight", {"scheme": "normal", "std": "0.02 / sqrt(2 * n_layers)"}),
        ("**.bias", "zeros"),
    ],
    variables={"n_layers": layers},
)
shapes = {"embed.weight": (1000, width)}
for layer in range(layers):
    shapes |= {
        f"layers.{layer}.up.weight": (4 * width, width),
        f"layers.{layer}.up.bias": 4 * width,
        f"layers.{layer}.down.weight": (width, 4 * width),
    }

tensors = plan.init(shapes, seed=0)
print(fi.check(tensors, plan, seed=0), end="\n\n")

tensors["embed.weight"][700:] = 0  # rows that nobody initialised
tensors["layers.1.up.weight"] = fi.init("he_normal", (4 * width, width), layout="io", seed=1)  # (in, out) for (out, in)
tensors["layers.2.down.weight"] *= (2 * layers) ** 0.5  # the depth forgotten
tensors["layers.4.up.weight"] = tensors["layers.3.up.weight"].copy()  # one seed for two tensors

found = fi.check(tensors, plan, seed=0)
print(found, end="\n\n")
print(found.table(rows=6))
assert not found.ok
