r"""The probe against mean-field theory, and against the tables that made initialisation known.

How far a network of finite width may stray is derived, not guessed. Given the activations of layer l - 1, the
preactivations of layer l are, unit by unit, independent Gaussian vectors over the batch, whose covariance theory
calls (q, q c). So the layer's means T over n units of

    Z = mean of z_a^2 and z_b^2,  X = z_a z_b,  S = mean of phi(z)^2,  P = phi(z_a) phi(z_b),
    A = mean of phi(z),  D = mean of phi'(z)^2,  F = share of flat phi(z)

over N row pairs (a, b) have the covariance (same / N + (1 - 1/N) other) / n, where `same` is that of T of one pair in
one unit and `other` that between two pairs. The next layer's (q, q c) is sigma_w^2 (S, P) + sigma_b^2: it deviates as
(S, P) does, by the noise above and by the last deviation times the derivative of E[S, P] by (q, q c). These moments
come from Gaussian draws, with nothing but NumPy.
"""

import math

import numpy as np
import pytest
from formulas import FORMULAS, is_flat
from scipy.special import erf

import fastinit as fi

# Standard deviations allowed: right code fails one comparison in 150 000.
SIGMAS = 4.5
# A shared part and four rows' own parts: any correlation between four rows.
DRAWS = np.random.default_rng(1).standard_normal((5, 50_000))


# phi and phi', written apart from the package.
PHI = {name: FORMULAS[name][2:4] for name in ("tanh", "relu", "gelu", "sigmoid")}
Z, X, S, P, A, D, F = range(7)


def units(activation, q, c):
    """Return T of two row pairs, (2, 7, draws), for units of variance q and correlation c between all four rows."""
    phi, slope = PHI[activation]
    z = math.sqrt(q) * (math.sqrt(c) * DRAWS[0] + math.sqrt(1 - c) * DRAWS[1:])
    a = phi(z)
    of_a_row = np.array([z**2, a**2, a, slope(z) ** 2, is_flat(activation, a)])

    def pair(i, j):
        zz, aa, mean, slopes, share = (of_a_row[:, i] + of_a_row[:, j]) / 2
        return [zz, z[i] * z[j], aa, a[i] * a[j], mean, slopes, share]

    return np.array([pair(0, 1), pair(2, 3)])


def noise_and_slope(activation, q, c, n, pairs):
    """Return the covariance of a layer's T and the derivative of E[T] by (q, q c)."""
    t = units(activation, q, c)
    t = t - t.mean(axis=2, keepdims=True)
    same, other = (t[0] @ t[k].T / t.shape[2] for k in (0, 1))
    noise = (same / pairs + (1 - 1 / pairs) * (other + other.T) / 2) / n

    def mean(q, product):
        return units(activation, q, product / q).mean(axis=(0, 2))

    # The same draws on both sides: their noise cancels. c stays within [0, 1].
    step = 0.02 * q
    by_q = (mean(q + step, q * c) - mean(q, q * c)) / step
    step = math.copysign(step, 0.5 - c)
    by_product = (mean(q, q * c + step) - mean(q, q * c)) / step
    return noise, np.stack([by_q, by_product], axis=1)


def spread(activation, sigma_w, q, c, n, batch, input_correlation=0.0):
    """Return each layer's standard deviations of the probe's figures, given the q and c that theory expects."""
    pairs = batch // 2
    rows = []
    # The inputs are N(0, 1): over the batch x^2 has a mean of variance 2 / (n batch), x_a x_b one of 1 / (n pairs),
    # times 1 + c^2 for pairs of correlation c; of a pair, (x_a^2 + x_b^2) / 2 and x_a x_b have covariance 2 c.
    both = 1 + input_correlation**2
    deviation = sigma_w**4 / (n * pairs) * np.array([[both, 2 * input_correlation], [2 * input_correlation, both]])
    for q_l, c_l in zip(q, c, strict=True):
        noise, slope = noise_and_slope(activation, q_l, c_l, n, pairs)
        total = slope @ deviation @ slope.T + noise
        mean = units(activation, q_l, c_l).mean(axis=(0, 2))
        std = math.sqrt(mean[S] - mean[A] ** 2)
        by = np.zeros((5, 7))
        by[0, Z] = 1
        by[1, [X, Z]] = 1 / q_l, -c_l / q_l  # c = X / Z
        by[2, D] = sigma_w**2
        by[3, [S, A]] = 0.5 / std, -mean[A] / std  # std^2 = S - A^2
        by[4, F] = 1
        rows.append(np.sqrt(np.maximum(np.diag(by @ total @ by.T), 0)))
        deviation = sigma_w**4 * total[np.ix_([S, P], [S, P])]
    return dict(zip(("q", "correlation", "chi", "std", "saturated"), np.array(rows).T, strict=True))


def expected(activation, sigma_w, sigma_b, depth, input_correlation=0.0):
    """Return what fi.theory expects of a network fed with N(0, 1), independent or in pairs."""
    arguments = {"sigma_w": sigma_w, "sigma_b": sigma_b}
    q0 = sigma_w**2 + sigma_b**2
    c0 = (sigma_w**2 * input_correlation + sigma_b**2) / q0
    q = np.r_[q0, fi.theory.variance_map(activation, q0=q0, depth=depth - 1, **arguments)]
    c = np.r_[c0, fi.theory.correlation_map(activation, q0=q0, c0=c0, depth=depth - 1, **arguments)]
    return {
        "q": q,
        "correlation": np.clip(c, 0, 1),  # rounding leaves the interval
        "chi": np.array([fi.theory.chi1(activation, q=x, **arguments) for x in q]),
        "std": fi.theory.predict(activation, depth=depth, **arguments).std,
    }


def errors(result, activation, sigma_w, sigma_b):
    """Return the figures' deviations from theory, the standard deviations expected, and the shift at order 1/n."""
    c0 = result.input_correlation or 0.0
    theory = expected(activation, sigma_w, sigma_b, result.depth, c0)
    q, c = theory["q"], theory["correlation"]
    std = spread(activation, sigma_w, q, c, result.width, result.batch, c0)
    # Every row has a q of its own. Where a map is curved its mean moves by half its curvature times their variance,
    # at most twice that of a pair; curvatures, relative to q, are about 1.
    pair = spread(activation, sigma_w, q, c, result.width, 2, c0)
    relative = (pair["q"] / q) ** 2
    shift = {"correlation": relative + pair["correlation"] ** 2}
    return {
        name: (getattr(result, name) - theory[name], std[name], shift.get(name, relative * theory[name]))
        for name in theory
    }


def compare(result, activation, sigma_w, sigma_b, names=("q", "correlation", "chi")):
    for name, (error, std, shift) in errors(result, activation, sigma_w, sigma_b).items():
        if name in names:
            np.testing.assert_array_less(abs(error), SIGMAS * std + shift + 1e-6, err_msg=f"{name} of {result!r}")


# Ordered, critical and chaotic ones, with biases and without.
NETWORKS = [
    ("tanh", 1.0, 0.0),
    ("tanh", 1.3, 0.2),
    ("tanh", 2.0, 0.3),
    ("relu", math.sqrt(2), 0.0),
    ("relu", 1.2, 0.4),
    ("gelu", 1.5, 0.0),
    ("gelu", 1.4, 0.3),
    ("sigmoid", 1.0, 0.0),
    ("sigmoid", 4.0, 1.0),
]


@pytest.mark.parametrize(("activation", "sigma_w", "sigma_b"), NETWORKS)
def test_wide_networks_follow_the_theory(activation, sigma_w, sigma_b):
    result = fi.probe(
        activation=activation, sigma_w=sigma_w, sigma_b=sigma_b, depth=4, width=4096, batch=32, backward=False
    )
    compare(result, activation, sigma_w, sigma_b, ("q", "correlation", "chi", "std"))


@pytest.mark.parametrize(("activation", "sigma_w", "sigma_b"), NETWORKS[1:7:2])
@pytest.mark.parametrize("c", [0.2, 0.5, 0.95, 1.0])
def test_the_likeness_of_two_inputs_follows_the_theory_from_any_start(activation, sigma_w, sigma_b, c):
    network = {"activation": activation, "sigma_w": sigma_w, "sigma_b": sigma_b, "input_correlation": c}
    result = fi.probe(depth=4, width=2048, batch=32, backward=False, **network)
    compare(result, activation, sigma_w, sigma_b, ("q", "correlation"))
    if c == 1.0:  # equal inputs stay equal, whatever the network does
        np.testing.assert_allclose(result.correlation, 1.0, rtol=1e-5)


BEYOND = [
    {"residual": True},
    {"residual": True, "branch_scale": "1/sqrt(depth)"},
    {"normalize": "layer"},
    {"normalize": "rms"},
    {"residual": True, "normalize": "layer"},
    {"residual": True, "normalize": "rms", "branch_scale": 0.5},
]


@pytest.mark.parametrize("options", BEYOND, ids=str)
@pytest.mark.parametrize(("activation", "sigma_w"), [("relu", math.sqrt(2)), ("tanh", 1.5)])
def test_skips_and_normalisation_follow_the_theory(activation, sigma_w, options):
    result = fi.probe(activation=activation, sigma_w=sigma_w, depth=8, width=2048, batch=32, backward=False, **options)
    residual = options.get("residual", False)
    scale = {"1/sqrt(depth)": 8**-0.5}.get(options.get("branch_scale"), options.get("branch_scale", 1.0))
    predicted = fi.theory.predict(
        activation, sigma_w=sigma_w, depth=8, residual=residual, branch_scale=scale,
        normalize=options.get("normalize"), correlation=0.0,
    )  # fmt: skip
    # A layer's mean square has a relative variance of at most v / n, v = 5 for ReLU (docs/probe.md); eight of them add
    # up at most, over a batch that shares its weights. Five standard deviations are 16 % of q, 8 % of its root.
    sigma = math.sqrt(5 * 8 / 2048)
    np.testing.assert_allclose(result.q, predicted.q, rtol=5 * sigma / 2)
    np.testing.assert_allclose(result.std, predicted.std, rtol=5 * sigma / 4)
    np.testing.assert_allclose(result.correlation, predicted.correlation, atol=0.06)
    if residual:  # the plain stack's prediction would not pass
        plain = fi.theory.predict(activation, sigma_w=sigma_w, depth=8, normalize=options.get("normalize"))
        assert abs(result.std[-1] / plain.std[-1] - 1) > 5 * sigma / 4


@pytest.mark.parametrize(("activation", "sigma_w", "sigma_b"), [NETWORKS[1], NETWORKS[3], NETWORKS[8]])
def test_the_spread_from_seed_to_seed_is_the_derived_one(activation, sigma_w, sigma_b):
    """So the tolerances above are neither too wide nor too tight.

    The std of 48 figures is known within 1 / sqrt(2 * 47) = 10 %. The next order, 1/n, adds about as much.
    """
    network = {"activation": activation, "sigma_w": sigma_w, "sigma_b": sigma_b}
    figures = {"q": [], "correlation": [], "std": []}
    for seed in range(48):
        result = fi.probe(depth=4, width=192, batch=16, backward=False, seed=seed, **network)
        for name, values in figures.items():
            values.append(getattr(result, name))
    for name, (_, std, _) in errors(result, **network).items():
        if name in figures:
            ratio = np.std(figures[name], axis=0, ddof=1) / std
            assert np.all(abs(ratio - 1) < 4.5 * 0.10 + 0.10), (name, ratio)


def test_a_wrong_scale_is_told_from_the_right_one():
    """2 % in sigma_w, or the sigma_b of other biases, is more than the tolerance."""
    result = fi.probe(activation="tanh", sigma_w=1.3, sigma_b=0.2, depth=4, width=4096, batch=32, backward=False)
    for sigma_w, sigma_b in ((1.326, 0.2), (1.3, 0.25)):
        with pytest.raises(AssertionError, match="q of ProbeResult"):
            compare(result, "tanh", sigma_w, sigma_b)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "sigmoid"])
def test_gradients_shrink_and_grow_by_chi(activation):
    """The mean square of delta_l over that of delta_{l+1} is chi_l.

    delta_l = u phi'(z_l), and u = delta_{l+1} W^T is Gaussian, row by row on its own as the cotangents are: over n
    units and B rows, (u phi')^2 has a relative variance of (3 E[phi'^4] / E[phi'^2]^2 - 1) / (n B). What is common
    to all rows is in the measured chi. W served forwards, too, and rows have a chi of their own: order 1/n.
    """
    width, batch, sigma_w = 768, 128, 1.5
    result = fi.probe(activation=activation, sigma_w=sigma_w, sigma_b=0.2, depth=5, width=width, batch=batch)
    ratio = (result.gradient_std[:-1] / result.gradient_std[1:]) ** 2
    slope = PHI[activation][1]
    slopes = np.array([slope(math.sqrt(q) * DRAWS[0]) for q in result.q[:-1]])
    kurtosis = (slopes**4).mean(axis=1) / (slopes**2).mean(axis=1) ** 2
    spread = np.sqrt((3 * kurtosis - 1) / (width * batch))
    np.testing.assert_array_less(abs(ratio / result.chi[:-1] - 1), SIGMAS * spread + 5 / width)


def test_he_keeps_relu_through_a_thousand_layers():
    """The logarithm of q is a random walk, whose steps are those of one input through n units.

    The mean of 2 relu(z)^2 over n units has relative variance (3/2) / (1/2)^2 - 1 = 5, over n; so has q_{l+1} / q_l,
    as what the mean of z^2 adds in one step the next one takes away. The logarithm has mean -5 / (2n) and variance
    5 / n, the next order of both below 3 / n of themselves; the steps are independent. q itself keeps its
    expectation.
    """
    n, depth = 512, 1000
    result = fi.probe(scheme="he_normal", activation="relu", depth=depth, width=n, batch=1, backward=False)
    steps = np.diff(np.log(result.q))
    count = depth - 1
    assert abs(steps.mean() + 2.5 / n) < SIGMAS * math.sqrt(5 / n / count)
    # A log of a sum of many terms is nearly Gaussian: its variance is known within sqrt(2 / count).
    assert steps.var() * n / 5 == pytest.approx(1, abs=SIGMAS * math.sqrt(2 / count) + 3 / n)
    # Neighbours are uncorrelated, so that the walk goes as far as independent steps do.
    assert abs(np.corrcoef(steps[:-1], steps[1:])[0, 1]) < SIGMAS / math.sqrt(count)
    walk = np.log(result.q / (2 * result.input_q))
    layers = np.arange(1, depth + 1)
    np.testing.assert_array_less(abs(walk + 2.5 / n * layers), SIGMAS * np.sqrt(5 / n * layers))
    # Any other variance would have left this band: 0.9 of He's within 60 layers, of 1000.
    assert abs(1000 * math.log(0.9)) > 2 * SIGMAS * math.sqrt(5 / n * depth)


def test_he_keeps_a_batch_through_a_thousand_layers():
    """A deep ReLU network turns all rows into one direction, so that a batch walks as one row does."""
    n, depth = 256, 1000
    result = fi.probe(scheme="he_normal", activation="relu", depth=depth, width=n, batch=16, backward=False, seed=1)
    walk = np.log(result.q / (2 * result.input_q))
    layers = np.arange(1, depth + 1)
    np.testing.assert_array_less(abs(walk + 2.5 / n * layers), SIGMAS * np.sqrt(5 / n * layers))
    assert result.nonfinite.sum() == 0
    # In one direction, but not of one size: until they are alike, rows walk apart, and the probe's c, with both sizes
    # in it, is 1 / cosh of half their distance in log q.
    assert result.correlation[-1] > 0.9
    assert abs(result.correlation[-1] / result.correlation[-100] - 1) < 1e-3


# The experiments that made initialisation known: 1000 inputs from N(0, 1), five sigmoid layers of 100 units or ten
# tanh layers of 500, no biases, weights from N(0, std^2).
def published(activation, std):
    depth, width = {"sigmoid": (5, 100), "tanh": (10, 500)}[activation]
    result = fi.probe(
        scheme="normal", std=std, activation=activation, depth=depth, width=width, batch=1000, backward=False
    )
    return result, std * math.sqrt(width)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("std", [1.0, 0.01, "1/sqrt(n)"])
def test_the_published_stds_are_those_of_the_theory(activation, std):
    n = {"sigmoid": 100, "tanh": 500}[activation]
    result, sigma_w = published(activation, 1 / math.sqrt(n) if std == "1/sqrt(n)" else std)
    compare(result, activation, sigma_w, 0.0, ("std", "q"))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_large_weights_saturate_layers(activation):
    """The share of a Gaussian z of variance q beyond the edge of the flat part: 60 to 75 % and above 90 %."""
    result, sigma_w = published(activation, 1.0)
    theory = expected(activation, sigma_w, 0.0, result.depth)
    edge = math.log(0.97 / 0.03) if activation == "sigmoid" else math.atanh(0.97)
    share = 1 - erf(edge / np.sqrt(2 * theory["q"]))
    std = spread(activation, sigma_w, theory["q"], theory["correlation"], result.width, result.batch)["saturated"]
    np.testing.assert_array_less(abs(result.saturated - share), SIGMAS * std + 5 / result.width)
    assert np.all(result.saturated > {"sigmoid": 0.55, "tanh": 0.9}[activation])
    assert result.verdict == "saturated"
    # The two outermost of 30 bins are the fullest of every histogram: the piles at 0 and 1, or at -1 and 1.
    for counts in result.histogram:
        assert set(np.argsort(counts)[-2:]) == {0, result.bins - 1}


def test_tiny_weights_pile_sigmoids_up_at_one_half():
    result, _ = published("sigmoid", 0.01)
    assert np.all(abs(result.mean - 0.5) < 0.01)
    # After the first layer z has std 0.01 sqrt(100) / 2 = 0.05, and a = 1/2 + z/4. The middle four of 30 bins, from
    # 0.433 to 0.567, end at 5.3 of these.
    middle = result.histogram[1:, 13:17].sum(axis=1)
    np.testing.assert_array_equal(middle, 1000 * 100)
    assert result.verdict == "vanishing"


def test_xaviers_weights_keep_sigmoids_spread_out():
    result, _ = published("sigmoid", 0.1)
    assert np.all(result.std > 0.1)
    assert np.all((result.histogram > 0.001 * 1000 * 100).sum(axis=1) > 15)  # of 30 bins
    assert np.all(result.saturated < 0.01)
    # What the histograms do not show: sigmoid's slope is at most 1/4, and chi less than 1/16.
    assert result.verdict == "fading"
    assert result.reason.startswith("the activations keep a std of 0.12")


def test_tiny_weights_divide_tanhs_std_by_five_a_layer():
    """Where tanh(z) = z, a layer multiplies the std by 0.01 sqrt(500) = 0.2236."""
    result, sigma_w = published("tanh", 0.01)
    factors = result.std[1:] / result.std[:-1]
    # Each factor is a mean over n z^2 of alike rows at worst: relative variance of its root 2/n / 4.
    np.testing.assert_allclose(factors[1:], sigma_w, rtol=SIGMAS * math.sqrt(0.5 / 500))
    assert 1e-7 < result.std[-1] < 1e-6  # 0.2117 * 0.2236^9 = 3e-7
    assert result.verdict == "vanishing"


def test_xaviers_weights_keep_tanh_healthy():
    """Theory: a std of 0.63, 0.49, 0.41, ... in ten layers; hardly anything saturates."""
    result, _ = published("tanh", 1 / math.sqrt(500))
    np.testing.assert_allclose(result.std[:3], [0.628, 0.486, 0.408], rtol=0.02)
    assert 0.2 < result.std[-1] < 0.3
    assert np.all(result.saturated < 0.05)
    assert result.verdict == "healthy"
