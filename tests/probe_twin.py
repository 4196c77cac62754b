"""The deep forward probe written down a second time, in NumPy and float64: imports nothing of the package."""

import math

import numpy as np
from scipy.special import erf, expit

ACTIVATIONS = {
    "linear": (lambda z: z, np.ones_like, None),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0), None),
    "tanh": (np.tanh, lambda z: 1.0 - np.tanh(z) ** 2, (-0.97, 0.97)),
    "sigmoid": (expit, lambda z: expit(z) * expit(-z), (0.03, 0.97)),
    "gelu": (
        lambda z: z * 0.5 * (1.0 + erf(z / math.sqrt(2.0))),
        lambda z: 0.5 * (1.0 + erf(z / math.sqrt(2.0))) + z * np.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi),
        None,
    ),
}


def _std(x):
    return x.std() if x.size else np.nan


def forward(activation, weights, biases, inputs):
    """Return (z_l, a_l) of every layer."""
    phi = ACTIVATIONS[activation][0]
    a, layers = inputs.astype(np.float64), []
    for w, b in zip(weights, biases, strict=True):
        z = a @ w.astype(np.float64)
        if b is not None:
            z = z + b.astype(np.float64)
        a = phi(z)
        layers.append((z, a))
    return layers


def figures(activation, w, z, a):
    """The figures of one layer that do not count what lies beside a limit."""
    _, slope, _ = ACTIVATIONS[activation]
    x, u, v = a[np.isfinite(a)], z[np.isfinite(z)], w.astype(np.float64)[np.isfinite(w)]
    even = len(z) // 2 * 2
    p, r = z[0:even:2], z[1:even:2]
    both = np.isfinite(p) & np.isfinite(r)
    p, r = p[both], r[both]
    squares = ((p * p + r * r) / 2).sum()
    return {
        "mean": x.mean() if x.size else np.nan,
        "std": _std(x),
        "min": x.min() if x.size else np.nan,
        "max": x.max() if x.size else np.nan,
        "preactivation_mean": u.mean() if u.size else np.nan,
        "preactivation_std": _std(u),
        "q": (u * u).mean() if u.size else np.nan,
        "nonfinite": a.size - x.size,
        "correlation": (p * r).sum() / squares if squares > 0 else np.nan,
        "chi": (slope(u) ** 2).mean() * len(w) * _std(v) ** 2 if u.size else np.nan,
        "weight_std": _std(v),
    }


def gradients(activation, weights, layers, inputs, cotangent):
    """Return (delta_l, dW_l) of every layer."""
    slope = ACTIVATIONS[activation][1]
    upstream, out = cotangent.astype(np.float64), []
    for index in reversed(range(len(weights))):
        z, _ = layers[index]
        below = inputs.astype(np.float64) if index == 0 else layers[index - 1][1]
        delta = upstream * slope(z)
        out.append((delta, below.T @ delta))
        upstream = delta @ weights[index].astype(np.float64).T
    return out[::-1]
