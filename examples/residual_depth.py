"""How to scale the branches of a residual network: the size of its signal and of its gradient, over the depth."""

import fastinit as fi

DEPTHS = (10, 30, 100)
WAYS = {
    "1": lambda depth: {},
    "1/sqrt(L)": lambda depth: {"branch_scale": "1/sqrt(depth)"},
    "1/L": lambda depth: {"branch_scale": 1 / depth},
    "1, layer norm": lambda depth: {"normalize": "layer"},
}

print(f"{'':22}{'mean square of a_L':^30}{'gradient, first / last':>27}")
print(f"{'branch':8}{'scale':14}" + 2 * "".join(f"{f'L = {depth}':>10}" for depth in DEPTHS))
for activation, scheme in {"linear": "xavier_normal", "relu": "he_normal"}.items():
    for way, arguments in WAYS.items():
        networks = [
            fi.probe(activation=activation, scheme=scheme, depth=depth, width=256, batch=64, residual=True,
                     **arguments(depth))
            for depth in DEPTHS
        ]  # fmt: skip
        sizes = "".join(f"{n.mean[-1] ** 2 + n.std[-1] ** 2:10.3g}" for n in networks)
        gradients = "".join(f"{n.gradient_std[0] / n.gradient_std[-1]:10.3g}" for n in networks)
        print(f"{activation:8}{way:14}{sizes}{gradients}")
