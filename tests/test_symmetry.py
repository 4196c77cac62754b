"""Which units start equal and which a step of gradient descent leaves equal: against the twin's columns."""

import numpy as np
import probe_twin as twin
import pytest
from fastinit_kernels.probe.run import Source
from layers import arrays, images, probe, same_on_any_threads

import fastinit as fi


def columns(*parts):
    """Each unit's numbers: the last axis of every part."""
    return np.concatenate([np.asarray(part).reshape(-1, np.asarray(part).shape[-1]) for part in parts])


def distinct(*parts):
    return np.unique(columns(*parts), axis=1).shape[1]


def expected(activation, weights, biases, inputs, cotangent):
    """(weight_distinct, updated_distinct) of every layer, in float64."""
    layers = twin.forward(activation, weights, biases, inputs)
    gradients = twin.gradients(activation, weights, layers, inputs, cotangent)
    found = []
    for w, b, (_, dw) in zip(weights, biases, gradients, strict=True):
        units = b if b is not None else np.zeros(w.shape[-1])
        # Two columns that are equal but for rounding: chains of the same products in the same order.
        size = np.abs(dw).max() or 1.0
        found.append((distinct(w, units), distinct(w, units, np.round(dw / size, 9))))
    return found


def twins_of(weights, biases, layer, copies):
    """Units of a layer repeated, with half of the weights that lead on: a wider network that computes the same."""
    w, b = [x.copy() for x in weights], list(biases)
    w[layer] = np.concatenate([w[layer]] * copies, axis=-1)
    b[layer] = np.concatenate([b[layer]] * copies)
    w[layer + 1] = np.concatenate([w[layer + 1]] * copies, axis=-2) / copies
    return w, b


def cases(dtype):
    dense = arrays((70, 40, 65, 33), 50, dtype)
    conv = images(3, 4, (3, 20, 24, 5), 6, dtype)
    for name, (weights, biases, inputs) in {"dense": dense, "conv": conv}.items():
        yield name, weights, biases, inputs
        yield f"{name}, layer 0 three times", *twins_of(weights, biases, 0, 3), inputs
        yield f"{name}, layer 1 twice", *twins_of(weights, biases, 1, 2), inputs
        apart, equal = twins_of(weights, biases, 1, 2)
        apart[2][..., 0, 0] += 0.5  # one twin leads on differently
        yield f"{name}, twins told apart", apart, equal, inputs
        yield f"{name}, biases alone differ", [np.zeros_like(w) for w in weights], biases, inputs
        yield f"{name}, nothing differs", [np.zeros_like(w) for w in weights], [None] * 3, inputs
        constant = [np.full_like(w, 0.125) for w in weights]
        yield f"{name}, constant", constant, [None] * 3, inputs
        head = [*weights[:-1], np.zeros_like(weights[-1])]
        yield f"{name}, zero head", head, [None] * 3, inputs


CASES = {f"{np.dtype(dtype).name}: {name}": (dtype, *rest) for dtype in (np.float32, np.float64)
         for name, *rest in cases(dtype)}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_units_are_told_apart_as_the_twins_columns_are(case):
    dtype, weights, biases, inputs = CASES[case]
    rng = np.random.default_rng(7)
    cotangent = rng.standard_normal((*inputs.shape[:-1], weights[-1].shape[-1])).astype(dtype)
    for slab_rows in (None, 1):
        got = probe("tanh", weights, biases, inputs, dtype, cotangent=Source(array=cotangent), slab_rows=slab_rows)
        pairs = list(zip(got["weight_distinct"], got["updated_distinct"], strict=True))
        assert pairs == expected("tanh", weights, biases, inputs, cotangent)


def test_a_column_that_differs_in_one_element_of_many_is_another():
    """In the last of 200 rows, beyond the first block of 64 x 64, and by the sign of nothing."""
    w = np.repeat(np.random.default_rng(0).standard_normal((200, 1)).astype(np.float32), 130, axis=1)
    w[-1, 17] += 1e-6
    w[0] = 0.0
    w[0, 3] = -0.0
    got = probe("linear", [w, np.ones((130, 2), np.float32)], [None] * 2, np.ones((5, 200), np.float32), np.float32)
    assert got["weight_distinct"].tolist() == [2, 1]


def test_the_order_of_the_rows_counts():
    """Columns of the same numbers in another order: every sum over them is the same."""
    for dtype in (np.float32, np.float64):
        for n in (33, 150, 1000):
            one = np.eye(n, dtype=dtype)
            got = probe("linear", [one], [None], one, dtype, cotangent=Source.constant(1.0))
            assert got["distinct"] == got["weight_distinct"] == got["updated_distinct"] == n


@pytest.mark.parametrize("columns_at_a_time", [None, 1])
def test_weights_drawn_in_parts_keep_their_units(columns_at_a_time, monkeypatch):
    weights, biases, inputs = arrays((40, 700, 33), 20, np.float32)
    weights, biases = twins_of(weights, biases, 0, 2)
    if columns_at_a_time:
        monkeypatch.setattr("fastinit_kernels.probe.arrangement.WEIGHT_BUDGET", columns_at_a_time)
    got = probe("tanh", weights, biases, inputs, np.float32, cotangent=Source.constant(1.0))
    assert got["weight_distinct"].tolist() == [700, 33]
    assert got["updated_distinct"].tolist() == [700, 33]


def test_same_counts_for_any_number_of_threads():
    weights, biases, inputs = arrays((300, 200, 128, 40), 500, np.float32)
    weights, biases = twins_of(weights, biases, 1, 2)
    same_on_any_threads(lambda: probe("relu", weights, biases, inputs, np.float32, cotangent=Source.constant(0.5)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_means_and_extremes_are_the_twins(dtype):
    weights, biases, inputs = arrays((70, 129, 40), 97, dtype)
    cotangent = np.random.default_rng(7).standard_normal((97, 40)).astype(dtype)
    got = probe("tanh", weights, biases, inputs, dtype, cotangent=Source(array=cotangent))
    layers = twin.forward("tanh", weights, biases, inputs)
    for index, (delta, _) in enumerate(twin.gradients("tanh", weights, layers, inputs, cotangent)):
        margin = 8 * 300 * np.finfo(dtype).eps * np.abs(delta).max()
        np.testing.assert_allclose(got["gradient_max"][index], np.abs(delta).max(), rtol=0, atol=margin)
        w = weights[index].astype(np.float64)
        np.testing.assert_allclose(got["weight_mean"][index], w.mean(), rtol=0, atol=w.std() * np.finfo(dtype).eps)
    assert got["gradient_nonfinite"].tolist() == got["weight_nonfinite"].tolist() == [0, 0]


def test_what_is_not_finite_is_counted_in_weights_and_gradients():
    weights, biases, inputs = arrays((20, 30, 10), 40, np.float32)
    weights[1][3, 7] = np.inf
    weights[1][4, 8] = np.nan
    got = probe("tanh", weights, biases, inputs, np.float32, cotangent=Source.constant(1.0))
    assert got["weight_nonfinite"].tolist() == [0, 2]
    for name in ("gradient_std", "gradient_max", "gradient_zero", "gradient_nonfinite", "weight_gradient_std"):
        assert np.isnan(got[name]).all(), name
    # A signal that stays finite, and a gradient of 1e15 a layer on its way back: 1e45 is none of float32.
    chain = [np.full((1, 1), value, np.float32) for value in (1e-30, 1e-15, 1e15, 1e15, 1e15)]
    got = probe("linear", chain, [None] * 5, np.ones((4, 1), np.float32), np.float32, cotangent=Source.constant(1.0))
    assert got["nonfinite"].tolist() == [0] * 5
    assert got["gradient_nonfinite"].tolist() == [4, 4, 0, 0, 0]
    np.testing.assert_allclose(got["gradient_max"][2:], [1e30, 1e15, 1.0], rtol=1e-6)
    assert np.isnan(got["gradient_std"][:2]).all()


@pytest.mark.parametrize("backward", [True, False])
def test_an_overflowed_network_has_no_gradients_instead_of_zeros(backward):
    result = fi.probe(scheme="normal", std=1e20, depth=6, width=16, batch=16, backward=backward)
    first = int(np.flatnonzero(result.nonfinite)[0])
    assert first < 5
    for name in ("gradient_std", "gradient_max", "gradient_zero", "gradient_nonfinite", "weight_gradient_std"):
        assert np.isnan(getattr(result, name)[: first + 1]).all(), name
    assert np.isfinite(result.weight_std).all()


def test_rows_in_blocks_hash_their_gradients_once():
    """Before the last block of rows dW is a part of what it will be."""
    weights, biases, inputs = arrays((40, 70, 65, 33), 200, np.float32)
    for layer in (0, 1):
        weights, biases = twins_of(weights, biases, layer, 2)
    got = probe("tanh", weights, biases, inputs, np.float32, cotangent=Source.constant(1.0), slab_rows=1)
    assert got["updated_distinct"].tolist() == [70, 65, 33]


@pytest.mark.parametrize("rows", [slice(0, 3), slice(70, 73), slice(197, 200)])
def test_gradients_that_differ_in_few_rows_tell_units_apart(rows):
    """Zero weights, and inputs that are 0 but for three features: so is dW, but for three rows."""
    inputs = np.zeros((20, 200), np.float32)
    inputs[:, rows] = np.random.default_rng(0).standard_normal((20, 3))
    cotangent = Source(array=np.random.default_rng(1).standard_normal((20, 70)).astype(np.float32))
    got = probe("linear", [np.zeros((200, 70), np.float32)], [None], inputs, np.float32, cotangent=cotangent)
    assert (got["weight_distinct"], got["updated_distinct"]) == (1, 70)
