"""Which scheme for 30 layers of width 128? Every activation's candidates, ranked by what they do to the signal."""

import fastinit as fi

for activation in ("relu", "tanh", "gelu"):
    advice = fi.recommend(activation=activation, depth=30, width=128, batch=64, seed=range(3))
    print(advice, end="\n\n")

weights = fi.init(advice.best.scheme, (128, 128), seed=0, name="layer.0.weight")
print(f"{activation}: {advice.best.label}, weights of std {weights.std():.4f}")
