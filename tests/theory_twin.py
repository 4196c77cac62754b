"""Mean-field theory written down a second time, in mpmath: imports nothing of the package."""

from functools import partial

import mpmath as mp
from formulas import FORMULAS

PHI = {name: partial(formula.exact, p=None) for name, formula in FORMULAS.items()}


def mean(f, q):
    """E[f(z)] for z from N(0, q), to about 20 digits."""
    s = mp.sqrt(q)

    def integrand(x):
        return f(s * x) * mp.npdf(x)

    return mp.quad(integrand, [-14, -4, -1, 0, 1, 4, 14])


def variance(activation, q, sigma_w, sigma_b):
    """Q of the next layer."""
    phi = PHI[activation]
    return mp.mpf(sigma_w) ** 2 * mean(lambda z: phi(z) ** 2, q) + mp.mpf(sigma_b) ** 2


def chi1(activation, q, sigma_w):
    """The mean squared slope, times sigma_w^2."""
    phi = PHI[activation]
    return mp.mpf(sigma_w) ** 2 * mean(lambda z: mp.diff(phi, z) ** 2, q)


def variance_slope(activation, q, sigma_w):
    """dq'/dq as a difference of two means over one Gaussian, whose digits do not cancel in mpmath."""
    step = mp.mpf(q) * mp.mpf("1e-8")
    up, down = (variance(activation, mp.mpf(q) + x, sigma_w, 0) for x in (step, -step))
    return (up - down) / (2 * step)


def drift(activation, q, sigma_w, sigma_b):
    """Q' - q: the side to which a variance moves."""
    return variance(activation, q, sigma_w, sigma_b) - mp.mpf(q)
