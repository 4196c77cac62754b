"""What the tests of the probe's kernels share: networks of given arrays, a pass through them, and comparisons."""

import itertools

import numba
import numpy as np
import probe_twin as twin
from fastinit_kernels.probe.run import Inputs, Layer, Source, run

SHAPES = [
    (1, (1, 1)),
    (1, (7, 5, 3)),
    (2, (1, 7, 1)),
    (5, (100, 33)),
    (97, (64, 100, 257, 31)),
    (200, (513, 40, 600)),
]
RANGE = (-1.5, 1.5)
BINS = 7


def arrays(widths, batch, dtype, scale=1.0, seed=0):
    """Weights, biases and inputs of a network whose signal keeps its size."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.pairwise(widths))
    weights = [(rng.standard_normal(p) * scale * np.sqrt(1.5 / p[0])).astype(dtype) for p in pairs]
    biases = [(rng.standard_normal(n) * 0.1 * scale).astype(dtype) for n in widths[1:]]
    return weights, biases, rng.standard_normal((batch, widths[0])).astype(dtype)


def images(kernel, side, channels, batch, dtype, seed=0):
    """Weights, biases and inputs of a stack of convolutions."""
    rng = np.random.default_rng(seed)
    shapes = [(kernel, kernel, *pair) for pair in itertools.pairwise(channels)]
    weights = [(rng.standard_normal(s) * np.sqrt(1.5 / (kernel**2 * s[2]))).astype(dtype) for s in shapes]
    biases = [(rng.standard_normal(n) * 0.1).astype(dtype) for n in channels[1:]]
    return weights, biases, rng.standard_normal((batch, side, side, channels[0])).astype(dtype)


def one_pass(activation, layers, inputs, *, cotangent=None, **options):
    """All figures of one pass forward and, with a cotangent, one backward; activation: one, or one a layer."""
    depth = len(layers)
    each = [activation] * depth if isinstance(activation, str) else activation
    layers = [layer._replace(activation=phi) for layer, phi in zip(layers, each, strict=True)]
    forward, gradients = run(layers, inputs, cotangents={depth: cotangent} if cotangent else {}, **options)
    return forward | gradients.get(depth, {})


def probe(
    activation, weights, biases, inputs, dtype, *,
    normalize=None, skips=None, branch_scale=1.0, correlation=0.0, **options,
):  # fmt: skip
    """A network of given arrays, as the twin takes it."""
    each = [activation] * len(weights) if isinstance(activation, str) else activation
    how = [normalize] * len(weights) if normalize is None or isinstance(normalize, str) else normalize
    layers = [
        Layer(
            *w.shape[-2:],
            weight=Source(array=w),
            bias=None if b is None else Source(array=b),
            range=RANGE,
            saturation=twin.ACTIVATIONS[each[index]][2] or (np.nan, np.nan),
            branch_scale=branch_scale if skips and skips[index] else None,
            normalize=how[index],
        )
        for index, (w, b) in enumerate(zip(weights, biases, strict=True))
    ]
    side, kernel = (inputs.shape[1], len(weights[0])) if inputs.ndim == 4 else (1, 1)
    entering = Inputs(Source(array=inputs), len(inputs), correlation, side, kernel)
    return one_pass(activation, layers, entering, bins=BINS, dtype=dtype, **options)


def one_layer(w, inputs, activation="linear", **options):
    w, inputs = np.asarray(w, np.float32), np.asarray(inputs, np.float32)
    layers = [Layer(*w.shape, Source(array=w))]
    got = one_pass(activation, layers, Inputs(Source(array=inputs), len(inputs)), bins=4, **options)
    return {name: values[0] for name, values in got.items()}


def same(first, second):
    """Bit for bit."""
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def same_on_any_threads(run):
    before, results = numba.get_num_threads(), []
    try:
        for threads in range(1, before + 1):
            numba.set_num_threads(threads)
            results += [run() for _ in range(2)]
    finally:
        numba.set_num_threads(before)
    for other in results[1:]:
        same(results[0], other)


def rounding(widths, dtype):
    """Worst relative error of a_l's size: K roundings a chain in every layer so far, and 8 of the activation."""
    return np.cumsum([n + 8 for n in widths[:-1]]) * np.finfo(dtype).eps


def check_counts(activation, got, index, a, margin):
    """Figures that count: right but for the elements within rounding of a limit."""
    limits = twin.ACTIVATIONS[activation][2]
    if limits is None:
        assert np.isnan(got["saturated"][index])
    else:
        sure = (a < limits[0] - margin) | (a > limits[1] + margin)
        perhaps = (a < limits[0] + margin) | (a > limits[1] - margin)
        assert sure.sum() - 0.5 <= got["saturated"][index] * a.size <= perhaps.sum() + 0.5
    if activation == "relu":
        zero = a == 0
        near = np.abs(a) < margin
        assert zero.sum() - near.sum() - 0.5 <= got["zero"][index] * a.size <= near.sum() + 0.5
        if not (near & ~zero).any():
            assert got["dead"][index] == zero.all(axis=0).mean()
    else:
        assert got["zero"][index] == 0
    assert got["distinct"][index] == len({c.tobytes() for c in np.ascontiguousarray((a + 0.0).T)})
    edges = np.linspace(*RANGE, BINS + 1)
    below = np.cumsum([got["underflow"][index], *got["histogram"][index]])
    assert below[-1] + got["overflow"][index] == a.size
    for edge, count in zip(edges, below, strict=True):
        assert (a < edge - margin).sum() <= count <= (a <= edge + margin).sum()
