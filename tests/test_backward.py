"""The backward pass against its twin."""

import numpy as np
import probe_twin as twin
import pytest
from fastinit_kernels.probe.run import Source
from layers import SHAPES, arrays, one_layer, probe, rounding


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize(("batch", "widths"), SHAPES)
def test_gradients_are_the_twins(activation, batch, widths, dtype):
    weights, biases, inputs = arrays(widths, batch, dtype)
    cotangent = np.random.default_rng(7).standard_normal((batch, widths[-1])).astype(dtype)
    got = probe(activation, weights, biases, inputs, dtype, cotangent=Source(array=cotangent))
    layers = twin.forward(activation, weights, biases, inputs)
    expected = twin.gradients(activation, weights, layers, inputs, cotangent)
    # Up the network and down again.
    tolerance = 8 * (rounding(widths, dtype)[-1] + sum(widths) * np.finfo(dtype).eps)
    for index, (delta, dw) in enumerate(expected):
        for name, x in (("gradient_std", delta), ("weight_gradient_std", dw)):
            np.testing.assert_allclose(
                got[name][index], x.std(), rtol=0, atol=tolerance * np.abs(x).max(), err_msg=f"{name} {index}"
            )
        assert abs(got["gradient_zero"][index] - (delta == 0).mean()) <= 2 / delta.size


def test_the_forward_figures_are_those_of_a_forward_pass():
    weights, biases, inputs = arrays((64, 100, 257, 31), 97, np.float32)
    cotangent = Source.constant(1.0)
    alone = probe("tanh", weights, biases, inputs, np.float32)
    together = probe("tanh", weights, biases, inputs, np.float32, cotangent=cotangent)
    for name, values in alone.items():
        np.testing.assert_array_equal(values, together[name], err_msg=name)


def test_a_dead_layer_passes_no_gradient():
    got = one_layer(np.full((6, 9), -1.0), np.ones((40, 6)), "relu", cotangent=Source.constant(1.0))
    assert got["gradient_std"] == 0
    assert got["weight_gradient_std"] == 0
    assert got["gradient_zero"] == 1


def test_weights_wider_than_the_budget_are_drawn_in_parts(monkeypatch):
    weights, biases, inputs = arrays((700, 1300, 600), 60, np.float32)
    cotangent = Source(array=np.random.default_rng(7).standard_normal((60, 600)).astype(np.float32))
    whole = probe("tanh", weights, biases, inputs, np.float32, cotangent=cotangent)
    monkeypatch.setattr("fastinit_kernels.probe.arrangement.WEIGHT_BUDGET", 1)
    parts = probe("tanh", weights, biases, inputs, np.float32, cotangent=cotangent)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name], err_msg=name)
