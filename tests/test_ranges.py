"""Histograms of a probe: every count is NumPy's by the edges that are told, or the range is refused."""

import re

import numpy as np
import pytest

import fastinit as fi

DTYPES = ["float32", "float64", "bfloat16", "float16"]


def arithmetic(dtype):
    return np.float64 if dtype == "float64" else np.float32


def activations(values, dtype, **arguments):
    """Probe a layer that does nothing: its activations are the inputs."""
    x = np.resize(np.asarray(values, arithmetic(dtype)), (-(-len(values) // 8), 8))
    return x, fi.probe(weights=[np.eye(8)], inputs=x, activation="linear", backward=False, dtype=dtype, **arguments)


def around(edges, dtype):
    """The edges in the type of the arithmetic, with both neighbours of each, and some numbers between and beyond."""
    kind = arithmetic(dtype)
    with np.errstate(over="ignore"):
        x = edges.astype(kind)
    x = np.concatenate([x, np.nextafter(x, kind(np.inf)), np.nextafter(x, kind(-np.inf)), [0.0, -0.0, 1.0, -1.0]])
    x = np.concatenate([x, [np.finfo(kind).max, np.finfo(kind).min]]).astype(kind)
    x = x[np.isfinite(x)]
    # Numbers below the least normal one count as 0, and so they do as a share of a bin.
    small = float(np.finfo(kind).smallest_normal) * max(1.0, 1.01 * float(np.max(np.diff(edges))))
    return x[(np.abs(x) >= small) | (x == 0)]


RANGES = [
    (-1, 1), (0, 1), (0, 3.7), (-0.3, 0.3), (-150, 150), (1000, 1001), (-5, -1), (-0.1, 1e6), (-3e38, 3e38),
    (1e-30, 1e-25), (-1e-37, 1.0), (-1e37, 1.0), (1.0, 1.001), (0.0, 1e-35), (-0.5, np.nextafter(0.5, 1)),
]  # fmt: skip


@pytest.mark.parametrize("limits", RANGES, ids=str)
@pytest.mark.parametrize(("dtype", "bins"), [("float32", 30), ("float32", 33), ("float64", 30), ("bfloat16", 9)])
def test_counts_are_those_of_numpy_by_the_edges(limits, dtype, bins):
    _, first = activations([0.0], dtype, range=limits, bins=bins)
    (edges,) = first.bin_edges
    x, result = activations(around(edges, dtype), dtype, range=limits, bins=bins)
    x = x.astype(np.float64)
    np.testing.assert_array_equal(result.histogram[0], np.histogram(x, edges)[0])
    assert (result.underflow[0], result.overflow[0]) == ((x < limits[0]).sum(), (x > limits[1]).sum())
    assert (edges[0], edges[-1]) == limits
    part = np.arange(bins + 1) / bins
    largest = max(abs(limits[0]), abs(limits[1]))
    equal = limits[0] * (1.0 - part) + limits[1] * part
    np.testing.assert_allclose(edges, equal, rtol=8 * np.finfo(arithmetic(dtype)).eps, atol=1e-15 * largest)


def test_the_range_that_lost_everything_to_its_first_bin():
    values = [-2.9e38, -1.0, 0.0, 1.0, 1e38, 2.9e38, 3.2e38, -3.2e38]
    _, result = activations(values, "float32", range=(-3e38, 3e38))
    assert result.histogram[0][[0, 14, 15, 20, 29]].tolist() == [1, 1, 2, 1, 1]
    assert (result.underflow[0], result.overflow[0]) == (1, 1)
    assert result.bin_edges[0][15] == 0.0


def test_a_vanished_signal_has_two_signs():
    # The edge at 0 parts what is left of a signal around it, which (x + 1) * 15 cannot tell from 0.
    result = fi.probe(activation="tanh", sigma_w=1e-5, depth=2, width=64, batch=64, backward=False)
    (counts,) = result.histogram[1:]
    assert counts[14] + counts[15] == 64 * 64
    assert abs(counts[15] - 2048) < 5 * 32  # binomial: a standard deviation of 32, widened for rows that share weights


RULE = "must make bins that {} can tell apart, there from {} to {} wide, got {} for 30 bins of {}"
ANY = ("float32", "1.18e-38", "8.51e+37"), ("float64", "2.23e-308", "4.49e+307")
NEAR_1 = ("float32", "4.77e-07", "8.51e+37"), ("float64", "8.88e-16", "4.49e+307")
BEYOND = "must be within ±3.403e+38, the range of float32, got {}"
REFUSED = [
    ("float32", (1e-45, 2e-45), RULE.format(*ANY[0], "(1e-45, 2e-45)", "3.33e-47")),
    ("float32", (0, 1e-320), RULE.format(*ANY[0], "(0, 1e-320)", "3.36e-322")),
    ("float64", (0, 1e-320), RULE.format(*ANY[1], "(0, 1e-320)", "3.36e-322")),
    ("float32", (1, 1 + 1e-9), RULE.format(*NEAR_1[0], "(1, 1.000000001)", "3.33e-11")),
    ("bfloat16", (1, 1 + 1e-9), RULE.format(*NEAR_1[0], "(1, 1.000000001)", "3.33e-11")),
    ("float64", (1, 1 + 2**-52), RULE.format(*NEAR_1[1], "(1, 1.0000000000000002)", "7.4e-18")),
    ("float32", (-1e39, 1), BEYOND.format("(-1e+39, 1)")),
    ("float16", (0, 1e300), BEYOND.format("(0, 1e+300)")),
]


@pytest.mark.parametrize(("dtype", "limits", "text"), REFUSED)
def test_ranges_that_the_type_cannot_tell_apart_are_refused(dtype, limits, text):
    with pytest.raises(ValueError, match=re.escape(f"argument 'range' {text}")):
        fi.probe(depth=1, width=4, batch=4, range=limits, dtype=dtype)


def test_few_bins_may_be_too_wide_and_many_too_narrow():
    fi.probe(depth=1, width=4, batch=4, range=(-3e38, 3e38), bins=8)
    with pytest.raises(ValueError, match=r"got \(-3e\+38, 3e\+38\) for 2 bins of 3e\+38"):
        fi.probe(depth=1, width=4, batch=4, range=(-3e38, 3e38), bins=2)
    fi.probe(depth=1, width=4, batch=4, range=(1, 1.001), bins=1000)
    with pytest.raises(ValueError, match=r"got \(1, 1\.001\) for 3000 bins of 3\.33e-07"):
        fi.probe(depth=1, width=4, batch=4, range=(1, 1.001), bins=3000)
    # float64 takes both, as wide as it is itself.
    fi.probe(depth=1, width=4, batch=4, range=(-3e38, 3e38), bins=2, dtype="float64")
    fi.probe(depth=1, width=4, batch=4, range=(1, 1.001), bins=3000, dtype="float64")
    assert fi.probe(depth=1, width=4, batch=4, range=(-1.7e308, 1.7e308), dtype="float64").histogram.sum() == 16


@pytest.mark.parametrize("bins", [1, 5000, 1 << 20])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_any_number_of_bins(bins, activation):
    result = fi.probe(activation=activation, depth=1, width=64, batch=50, bins=bins, backward=False)
    assert result.histogram.shape == (1, bins)
    assert result.histogram.sum() + result.overflow[0] == 64 * 50
    assert (np.diff(result.bin_edges) > 0).all()


@pytest.mark.parametrize(("bins", "depth"), [(10**9, 1), ((1 << 20) + 1, 1), (10**30, 1), (1 << 20, 17)])
def test_more_counters_than_there_is_sense_in_are_refused(bins, depth):
    text = f"argument 'bins' must be at most 1048576, and at most 16777216 in all layers, got {bins} in each of {depth}"
    with pytest.raises(ValueError, match=re.escape(text)):
        fi.probe(bins=bins, depth=depth, width=4, batch=4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_default_ranges_have_bins_that_the_type_can_tell_apart(dtype):
    networks = [
        {"activation": "softplus", "sigma_w": 1e-9},
        {"activation": "elu", "sigma_b": 1e-12, "sigma_w": 0.0},
        {"activation": "relu", "bias": 1.0, "scheme": "constant", "value": 0.0},
        {"activation": "linear", "residual": True, "branch_scale": 1e-9},
    ]
    for arguments in networks:
        result = fi.probe(depth=2, width=8, batch=8, dtype=dtype, bins=1000, **arguments)
        largest = np.abs(result.bin_edges).max(axis=1, keepdims=True)
        assert (np.diff(result.bin_edges) > 3.0 * np.spacing(largest.astype(arithmetic(dtype)))).all()
        counted = result.histogram.sum(1) + result.underflow + result.overflow + result.nonfinite
        np.testing.assert_array_equal(counted, 64)
