"""Where does a signal survive? The std of the last of up to 50 tanh layers, over depth and the weights' scale."""

import numpy as np

import fastinit as fi

swept = fi.sweep(
    activation="tanh",
    sigma_w=np.linspace(0.6, 2.0, 15).round(2),
    depth=[1, 2, 5, 10, 20, 50],
    width=128,
    batch=64,
    seed=range(3),
    backward=False,
    progress=True,
)
frame = swept.to_pandas()
last = frame[frame["layer"] == frame["depth"] - 1]
print(last.pivot_table(index="depth", columns="sigma_w", values="std", aggfunc="median").round(3).to_string())
swept.plot("edge_of_chaos.png")
print("edge_of_chaos.png: left of the line chi = 1 the signal dies out, right of it small differences grow")
