"""Skips, normalisation, convolutions, correlated inputs and blocks of rows against the twin."""

import numpy as np
import probe_twin as twin
import pytest
from fastinit_kernels.probe.run import Inputs, Layer, Source, run
from layers import arrays, check_counts, images, probe, same, same_on_any_threads


def dense(widths, batch, dtype):
    return arrays(widths, batch, dtype)


NETWORKS = {
    "dense": (dense, ((70, 70, 33, 33, 33), 100)),
    "conv 3x3": (lambda *a: images(3, 5, *a), ((3, 40, 40, 40), 6)),
    "conv 3x3, odd batch, wide": (lambda *a: images(3, 4, *a), ((70, 70, 70), 7)),
    "conv 2x2": (lambda *a: images(2, 7, *a), ((5, 5, 5), 4)),
    "conv 5x5, one pixel": (lambda *a: images(5, 1, *a), ((3, 3), 2)),
    "conv 1x1": (lambda *a: images(1, 6, *a), ((33, 33, 20), 8)),
}
OPTIONS = [{}, {"branch_scale": 0.5}, {"normalize": "layer"}, {"normalize": "rms"},
           {"normalize": "layer", "branch_scale": 0.7}, {"normalize": "rms", "branch_scale": 1.0}]  # fmt: skip


def network(name, dtype):
    make, (widths, batch) = NETWORKS[name]
    return make(widths, batch, dtype)


def with_skips(options, weights):
    """A skip wherever the widths allow one."""
    return options | {"skips": [w.shape[-1] == w.shape[-2] for w in weights]} if "branch_scale" in options else options


def rounding(weights, dtype):
    return np.cumsum([w.size // w.shape[-1] + 24 for w in weights]) * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_figure_is_the_twins(name, options, dtype):
    weights, biases, inputs = network(name, dtype)
    options = with_skips(options, weights)
    cotangent = np.random.default_rng(7).standard_normal((*inputs.shape[:-1], weights[-1].shape[-1])).astype(dtype)
    got = probe("tanh", weights, biases, inputs, dtype, cotangent=Source(array=cotangent), **options)
    layers = twin.forward("tanh", weights, biases, inputs, **options)
    tolerance = rounding(weights, dtype)
    for index, (_, z, a) in enumerate(layers):
        size = max(np.abs(z).max(), np.abs(a).max())
        for figure, value in twin.figures("tanh", weights[index], z, a).items():
            if figure == "correlation" and inputs.ndim == 4 and len(inputs) % 2:
                value = np.nan
            unit = {"q": size**2, "chi": abs(value), "weight_std": value, "nonfinite": 0.0}.get(figure, size)
            if figure == "correlation":
                unit = size**2 / (z**2).mean()
            close(got[figure][index], value, 4 * tolerance[index] * unit, f"{figure} of layer {index}")
        skip = "skips" in options and options["skips"][index]
        if not skip:
            check_counts("tanh", got, index, a.reshape(-1, a.shape[-1]), tolerance[index] * size)
        saturated = np.abs(np.tanh(z)) > 0.97
        assert abs(got["saturated"][index] - saturated.mean()) <= 2 / saturated.size
    expected = twin.gradients("tanh", weights, layers, inputs, cotangent, **options)
    for index, (delta, dw) in enumerate(expected):
        for figure, x in (("gradient_std", delta), ("weight_gradient_std", dw)):
            margin = 16 * (tolerance[-1] + inputs[..., 0].size * np.finfo(dtype).eps) * np.abs(x).max()
            close(got[figure][index], x.std(), margin, f"{figure} of layer {index}")


def close(got, expected, atol, message):
    np.testing.assert_allclose(got, expected, rtol=0, atol=atol, err_msg=message)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", ["dense", "conv 3x3", "conv 3x3, odd batch, wide"])
def test_rows_in_blocks_give_the_same_figures_and_gradients(name, options):
    make, (widths, _) = NETWORKS[name]
    batch = {"dense": 500, "conv 3x3": 288, "conv 3x3, odd batch, wide": 25}[name]
    weights, biases, inputs = make(widths, batch, np.float32)
    options = with_skips(options, weights)
    options["cotangent"] = Source(
        array=np.random.default_rng(7).standard_normal((*inputs.shape[:-1], widths[-1])).astype(np.float32)
    )
    whole = probe("relu", weights, biases, inputs, np.float32, slab_rows=1 << 40, **options)
    parts = probe("relu", weights, biases, inputs, np.float32, slab_rows=1, **options)
    for figure, values in whole.items():
        np.testing.assert_allclose(parts[figure], values, rtol=1e-12, atol=1e-13, err_msg=figure)
    # dW goes on summing where the last block ended: the same bits.
    np.testing.assert_array_equal(parts["weight_gradient_std"], whole["weight_gradient_std"])


@pytest.mark.parametrize("name", ["dense", "conv 3x3", "conv 3x3, odd batch, wide"])
def test_same_bits_for_any_number_of_threads(name):
    weights, biases, inputs = network(name, np.float32)
    options = with_skips({"normalize": "layer", "branch_scale": 0.5}, weights)
    options["cotangent"] = Source.constant(1.0)
    same_on_any_threads(lambda: probe("gelu", weights, biases, inputs, np.float32, **options))


@pytest.mark.parametrize("c", [1.0, 0.6, -0.3, -1.0])
@pytest.mark.parametrize("batch", [2, 97, 300])
def test_input_pairs_have_their_correlation(batch, c):
    weights, biases, inputs = arrays((40, 50, 30), batch, np.float32)
    pairs = inputs.copy()
    pairs[1::2] = c * pairs[: batch // 2 * 2 : 2].astype(np.float64) + np.sqrt(1 - c * c) * pairs[1::2]
    got = probe("tanh", weights, biases, inputs, np.float32, correlation=c)
    expected = probe("tanh", weights, biases, pairs, np.float32)
    for figure, values in got.items():
        if values.dtype == np.float64 and figure != "distinct":
            np.testing.assert_allclose(values, expected[figure], rtol=1e-5, atol=1e-5, err_msg=figure)
    if c == 1.0:
        np.testing.assert_allclose(got["correlation"], 1.0, rtol=1e-6)


def test_pairs_of_images_are_correlated_position_by_position():
    weights, biases, inputs = images(3, 6, (4, 40, 40), 20, np.float32)
    pairs = inputs.copy()
    pairs[1::2] = 0.8 * inputs[::2] + 0.6 * inputs[1::2]
    got = probe("tanh", weights, biases, inputs, np.float32, correlation=0.8)
    for index, (_, z, a) in enumerate(twin.forward("tanh", weights, biases, pairs)):
        expected = twin.figures("tanh", weights[index], z, a)["correlation"]
        np.testing.assert_allclose(got["correlation"][index], expected, rtol=1e-5)


@pytest.mark.parametrize("options", OPTIONS[:5:2], ids=str)
def test_passes_from_several_depths_are_those_of_shorter_networks(options):
    weights, biases, inputs = arrays((33,) * 5, 100, np.float32)
    options = with_skips(options, weights)
    cotangent = Source(array=np.random.default_rng(7).standard_normal((100, 33)).astype(np.float32))
    layers = [
        Layer(33, 33, Source(array=w), Source(array=b), "tanh", branch_scale=options.get("branch_scale"),
              normalize=options.get("normalize"))
        for w, b in zip(weights, biases, strict=True)
    ]  # fmt: skip
    for slab_rows in (96, 1000):
        entering = Inputs(Source(array=inputs), 100)
        _, several = run(layers, entering, bins=4, cotangents=dict.fromkeys((2, 4, 1), cotangent),
                         slab_rows=slab_rows)  # fmt: skip
        for depth, got in several.items():
            _, alone = run(layers[:depth], entering, bins=4, cotangents={depth: cotangent},
                           slab_rows=slab_rows)  # fmt: skip
            same(got, alone[depth])


def test_patches_are_kept_for_as_long_as_they_are_read():
    """Numba frees an array after its last use by name; what takes its memory next depends on the number of bins."""
    weights, biases, inputs = images(3, 8, (64, 64, 64), 8, np.float32)
    layers = [Layer(64, 64, Source(array=w), Source(array=b), "tanh") for w, b in zip(weights, biases, strict=True)]
    entering = Inputs(Source(array=inputs), 8, side=8, window=3)
    few, many = (run(layers, entering, bins=bins, cotangents={2: Source.constant(1.0)}) for bins in (30, 300))
    for one, other in ((few[0], many[0]), (few[1][2], many[1][2])):
        for figure in one.keys() - {"histogram"}:
            np.testing.assert_array_equal(one[figure], other[figure], err_msg=figure)


def test_patches_of_a_wide_layer(python):
    """Memory of its own from the system, given back at once when freed: a segmentation fault, in a process apart."""
    code = """
import fastinit as fi
r = fi.probe(depth=2, width=512, batch=8, conv=3, image=8)
print(r.verdict)
"""
    assert python(code).strip() == "healthy"
