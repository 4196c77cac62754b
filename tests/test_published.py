"""Figures that others have printed, from the same experiments: each with its source.

Theirs are of one draw. A figure here is the mean over seeds, and the tolerance is what one network of that width, and
the digits that were printed, leave open.
"""

import math

import numpy as np
import pytest

import fastinit as fi

# --- Stanford's cs231n (Karpathy and Johnson 2016), lecture 5: ten layers of 500 units, 1000 inputs from N(0, 1) ---

SMALL = [0.213081, 0.047551, 0.010630, 0.002378, 0.000532, 0.000119, 0.000026, 0.000006, 0.000001, 0.000000]
LARGE = [0.981879, 0.981649, 0.981601, 0.981755, 0.981560, 0.981520, 0.981913, 0.981728, 0.981736, 0.981760]
XAVIER = [0.627953, 0.486051, 0.407723, 0.357108, 0.320917, 0.292116, 0.273387, 0.254935, 0.239266, 0.228008]
RELU_XAVIER = [0.582273, 0.403795, 0.276912, 0.198685, 0.140299, 0.103280, 0.072748, 0.051572, 0.038583, 0.026076]
RELU_HE = [0.825232, 0.827835, 0.813855, 0.826902, 0.834092, 0.860035, 0.870610, 0.889348, 0.845357, 0.844523]
LECTURE = {
    "0.01 randn, tanh": ("tanh", 0.01, SMALL),
    "1.0 randn, tanh": ("tanh", 1.0, LARGE),
    "randn / sqrt(fan_in), tanh": ("tanh", 1 / math.sqrt(500), XAVIER),
    "randn / sqrt(fan_in), relu": ("relu", 1 / math.sqrt(500), RELU_XAVIER),
    "randn / sqrt(fan_in / 2), relu": ("relu", math.sqrt(2 / 500), RELU_HE),
}


@pytest.mark.parametrize("case", LECTURE)
def test_the_tables_of_a_lecture(case):
    activation, std, printed = LECTURE[case]
    results = fi.sweep(
        scheme="normal", std=std, activation=activation, depth=10, width=500, batch=1000, backward=False, seed=range(4)
    ).results
    found = np.array([r.std for r in results])
    # A layer's mean square strays by v / n, v = E[phi^4] / E[phi^2]^2 - 1: 5 for ReLU, at most 2 for tanh.
    stray = np.sqrt((5 if activation == "relu" else 2) / 500 / 4 * np.arange(1, 11))
    assert (np.abs(found.mean(axis=0) - printed) <= 4 * stray * found.mean(axis=0) + 5e-7).all()


# --- Karpathy 2022, makemore part 3: five tanh layers of 100 units on 30 inputs, 32 rows, std gain / sqrt(fan_in) ---


@pytest.mark.parametrize(
    ("gain", "stds", "saturated"),
    [
        (5 / 3, [0.75, 0.69, 0.67, 0.66, 0.66], [0.2025, 0.0838, 0.0662, 0.0547, 0.0612]),
        (1.0, [0.62, 0.48, 0.41, 0.35, 0.32], [0.0350, 0.0003, 0.0, 0.0, 0.0]),
        (3.0, [0.87, 0.84, 0.84, 0.84, 0.84], [0.4766, 0.4047, 0.4219, 0.4200, 0.4241]),
    ],
)
def test_gains_of_a_tanh_network(gain, stds, saturated):
    results = fi.sweep(
        scheme="lecun_normal", scale=gain**2, truncated=False, activation="tanh", widths=[30] + [100] * 5, batch=32,
        backward=False, seed=range(64),
    ).results  # fmt: skip
    np.testing.assert_allclose(np.mean([r.std for r in results], axis=0), stds, atol=0.03)
    np.testing.assert_allclose(np.mean([r.saturated for r in results], axis=0), saturated, atol=0.04)


# --- He, Zhang, Ren and Sun 2015, section 2.2: VGG-B with std 0.01 ---


def test_gradients_of_vgg_b():
    # "the std of the gradient propagated from conv10 to conv2 is 1/(5.9 x 4.2^2 x 2.9^2 x 2.1^4) = 1/(1.7 x 10^4)
    # of what we derive"
    widths = [64, 64, 128, 128, 256, 256, 512, 512, 512, 512]
    words = {"widths": widths, "conv": 3, "image": 4, "batch": 8, "activation": "relu", "bins": 1}

    def lost(**weights):
        results = fi.sweep(**words, **weights, seed=range(6)).results
        return np.mean([np.log(r.gradient_std[0] / r.gradient_std[-1]) for r in results])

    ratio = math.exp(lost(scheme="he_normal", mode="fan_out", truncated=False) - lost(scheme="normal", std=0.01))
    # Eight layers' weights lie between: the outermost two deltas' are those of layers 1 to 8.
    stds = [math.sqrt(2 / (9 * n)) / 0.01 for n in widths[2:]]
    assert ratio == pytest.approx(math.prod(stds), rel=0.15)
    paper = [math.sqrt(2 / (9 * n)) / 0.01 for n in (64, *[128] * 2, *[256] * 2, *[512] * 4)]
    assert math.prod(round(std, 1) for std in paper) == pytest.approx(1.7e4, rel=0.03)
