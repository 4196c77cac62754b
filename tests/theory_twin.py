"""Mean-field theory written down a second time, in mpmath: imports nothing of the package."""

import mpmath as mp


def _sigmoid(z):
    return 1 / (1 + mp.exp(-z))


def _softplus(z):
    return mp.log1p(mp.exp(z))


def _gelu_tanh(z):
    return z / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (z + mp.mpf("0.044715") * z**3)))


PHI = {
    "tanh": mp.tanh,
    "gelu": lambda z: z * mp.ncdf(z),
    "gelu_tanh": _gelu_tanh,
    "silu": lambda z: z * _sigmoid(z),
    "mish": lambda z: z * mp.tanh(_softplus(z)),
    "sigmoid": _sigmoid,
}


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
