"""The deep forward probe written down a second time, in NumPy and float64: imports nothing of the package."""

import numpy as np
from formulas import FORMULAS

# phi, phi', and what of phi is not saturated.
ACTIVATIONS = {
    name: (FORMULAS[name].phi, FORMULAS[name].slope, FORMULAS[name].flat)
    for name in ("linear", "relu", "tanh", "sigmoid", "gelu")
}


def _std(x):
    return x.std() if x.size else np.nan


def _shifted(x, down, right):
    """x[:, y + down, x + right], 0 beyond the border; x (n, height, width, channels)."""
    out = np.zeros_like(x)
    _, height, width, _ = x.shape
    for y in range(max(0, -down), min(height, height - down)):
        for column in range(max(0, -right), min(width, width - right)):
            out[:, y, column] = x[:, y + down, column + right]
    return out


def _taps(w):
    """(tap, rows down, columns to the right) of a kernel (k, k, n_in, n_out)."""
    k = len(w)
    return [(w[i, j], i - (k - 1) // 2, j - (k - 1) // 2) for i in range(k) for j in range(k)]


def _product(x, w):
    """The product x W; of images (n, side, side, channels) the convolution with W (k, k, n_in, n_out), 0 around."""
    if w.ndim == 2:
        return x @ w
    return sum(_shifted(x, down, right) @ tap for tap, down, right in _taps(w))


def _normalized(x, how):
    """(h, 1 / std) of x's rows."""
    centred = x - x.mean(axis=-1, keepdims=True) if how == "layer" else x
    inverse = 1.0 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return (centred * inverse, inverse) if how else (x, None)


def _each(value, depth):
    """What is the same in all layers, or has an entry a layer."""
    return [value] * depth if value is None or isinstance(value, str) else value


def forward(activation, weights, biases, inputs, normalize=None, skips=None, branch_scale=1.0):
    """Return (h_l, z_l, a_l) of every layer; activation and normalize may be lists; skips: whether a layer has one."""
    activations, how = _each(activation, len(weights)), _each(normalize, len(weights))
    a, layers = inputs.astype(np.float64), []
    for index, (w, b) in enumerate(zip(weights, biases, strict=True)):
        h, _ = _normalized(a, how[index])
        phi = ACTIVATIONS[activations[index]][0]
        z = _product(h, w.astype(np.float64))
        if b is not None:
            z = z + b.astype(np.float64)
        a = a + branch_scale * phi(z) if skips and skips[index] else phi(z)
        layers.append((h, z, a))
    return layers


def figures(activation, w, z, a):
    """The figures of one layer that do not count what lies beside a limit."""
    _, slope, _ = ACTIVATIONS[activation]
    x, u, v = a[np.isfinite(a)], z[np.isfinite(z)], w.astype(np.float64)[np.isfinite(w)]
    even = len(z) // 2 * 2  # of images: pairs of them, position by position
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
        "chi": (slope(u) ** 2).mean() * (w.size // w.shape[-1]) * _std(v) ** 2 if u.size else np.nan,
        "weight_std": _std(v),
    }


def gradients(activation, weights, layers, inputs, cotangent, normalize=None, skips=None, branch_scale=1.0):
    """Return (delta_l, dW_l) of every layer."""
    activations, how = _each(activation, len(weights)), _each(normalize, len(weights))
    upstream, out = cotangent.astype(np.float64), []
    for index in reversed(range(len(weights))):
        h, z, _ = layers[index]
        slope = ACTIVATIONS[activations[index]][1]
        w = weights[index].astype(np.float64)
        skip = skips and skips[index]
        delta = upstream * slope(z) * (branch_scale if skip else 1.0)
        if w.ndim == 2:
            dw, down = h.T @ delta, delta @ w.T
        else:
            dw = np.array([np.tensordot(_shifted(h, y, x), delta, ([0, 1, 2], [0, 1, 2])) for _, y, x in _taps(w)])
            down = sum(_shifted(delta, -y, -x) @ tap.T for tap, y, x in _taps(w))
        out.append((delta, dw))
        if how[index]:
            x = inputs.astype(np.float64) if index == 0 else layers[index - 1][2]
            _, inverse = _normalized(x, how[index])
            along = h * (down * h).mean(axis=-1, keepdims=True)
            down = (down - along - (down.mean(axis=-1, keepdims=True) if how[index] == "layer" else 0.0)) * inverse
        upstream = down + upstream if skip else down
    return out[::-1]
