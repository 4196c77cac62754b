"""The contract written down a second time, slowly, from its text: imports nothing of the package.

Integers are NumPy's or Python's, reals are float64 or wider, exact rounding is done with fractions.
"""

import hashlib
import math
from fractions import Fraction

import mpmath as mp
import numpy as np
from scipy.special import erfcx, ndtr, ndtri

MASK = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)


def philox(counter, key, rounds=10):
    """Four output words, as uint64 arrays below 2^32, of counter (four such arrays) and key (two numbers)."""
    c = [np.atleast_1d(np.asarray(word, np.uint64)) for word in counter]
    k = [int(word) for word in key]
    for _ in range(rounds):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> SHIFT) ^ c[1] ^ np.uint64(k[0]), b & MASK, (a >> SHIFT) ^ c[3] ^ np.uint64(k[1]), a & MASK]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def stream(name):
    """The upper half of the counter of a tensor of that name."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8"), digest_size=8).digest(), "little") if name else 0


def block_words(block, seed, name):
    """The four words of each block number."""
    block, upper = np.asarray(block, np.uint64), stream(name)
    halves = np.full(block.shape, upper % 2**32), np.full(block.shape, upper >> 32)
    return np.stack(philox((block & MASK, block >> SHIFT, *halves), (seed % 2**32, seed >> 32)))


def place(index, size):
    """(block, slot) of flat indices in groups of `size` = 64 (a slot is a word) or 32 (a slot is a pair)."""
    index = np.asarray(index, np.uint64)
    group, r = index // np.uint64(size), index % np.uint64(size)
    return group * np.uint64(16) + r % np.uint64(16), (r // np.uint64(16)).astype(np.intp)


def word32(index, seed, name):
    """The 32-bit word of each float32 element."""
    block, word = place(index, 64)
    return np.take_along_axis(block_words(block, seed, name), word[None], 0)[0]


def word64(index, seed, name):
    """The 64-bit word, low word first, of each float64 element."""
    block, pair = place(index, 32)
    words = block_words(block, seed, name)
    return np.where(pair == 0, words[0] | words[1] << SHIFT, words[2] | words[3] << SHIFT)


def rounded(x, kind):
    """The value of type `kind` nearest to a fraction, ties to even."""
    if kind is np.float64:
        return float(x)
    guess = kind(float(x))
    near = [np.nextafter(guess, kind(-np.inf)), guess, np.nextafter(guess, kind(np.inf))]
    return min(near, key=lambda y: (abs(Fraction(float(y)) - x), int(y.view(np.uint32)) & 1))


def uniform(index, low, high, kind, seed, name=""):
    """Bit-exact uniform draws; low, high and half their distance must be values of `kind`."""
    bits = 24 if kind is np.float32 else 53
    words = word32(index, seed, name) if bits == 24 else word64(index, seed, name)
    low, high = Fraction(low), Fraction(high)
    half, centre = (high - low) / 2, (high + low) / 2
    # Steps are counted from the middle on (-a, a) and far from 0, where the type is coarser than they are.
    far = low * high > 0 and min(abs(low), abs(high)) >= high - low and Fraction(float(kind(float(centre)))) == centre
    last = np.nextafter(kind(float(high)), kind(-np.inf))
    values = []
    for w in words.tolist():
        j = w >> ((32 if bits == 24 else 64) - bits)
        j -= (j >> (bits - 1)) << bits  # two's complement
        odd, counted = centre + half * Fraction(2 * j + 1, 2**bits), low + half * (1 + Fraction(2 * j, 2**bits))
        values.append(min(rounded(odd if far or centre == 0 else counted, kind), last))
    return np.array(values, kind)


def unit(index, kind, seed, name, *, mirrored=False):
    """(w + 1/2) / 2^32, or (k + 1/2) / 2^53 of the top 53 bits, exactly, as longdouble; or 1 minus that."""
    if kind is np.float32:
        word, bits = word32(index, seed, name), 32
    else:
        word, bits = word64(index, seed, name) >> np.uint64(11), 53
    word = np.uint64(2**bits - 1) - word if mirrored else word
    return (word.astype(np.longdouble) + np.longdouble(0.5)) * np.longdouble(2.0) ** -bits


def normal_pairs(index, kind, seed, name=""):
    """(radius, direction): Box-Muller's factors of each element's standard normal, in wide precision."""
    index = np.asarray(index, np.uint64)
    if kind is np.float32:
        block, word = place(index, 64)
        words = block_words(block, seed, name)
        first = word % 2 == 0
        w_radius = np.where(word < 2, words[0], words[2])
        w_angle = np.where(word < 2, words[1], words[3])
        bits, u = 32, (w_radius.astype(np.float64) + 0.5) * 2.0**-32
    else:
        block, pair = place(index, 32)
        words = block_words(block, seed, name)
        first = pair == 0
        k = (words[0] | words[1] << SHIFT) >> np.uint64(11)
        w_angle = (words[2] | words[3] << SHIFT) >> np.uint64(11)
        bits, u = 53, (k.astype(np.longdouble) + np.longdouble(0.5)) * np.longdouble(2.0) ** -53
    wide = np.longdouble
    u = u.astype(kind).astype(wide)  # rounded once, so that the laws agree near u = 1
    quarter = (w_angle + np.uint64(2 ** (bits - 3))) >> np.uint64(bits - 2)  # nearest multiple of a quarter turn
    rest = w_angle.astype(np.int64) - (quarter << np.uint64(bits - 2)).astype(np.int64)
    angle = rest.astype(wide) * (2 * np.arctan2(wide(0), wide(-1))) * wide(2.0) ** -bits
    c, s = np.cos(angle), np.sin(angle)
    turns = quarter.astype(np.intp) % 4
    cosine, sine = np.choose(turns, [c, -s, -c, s]), np.choose(turns, [s, c, -s, -c])
    return np.sqrt(-2 * np.log(u)), np.where(first, cosine, sine)


def truncated(u, v, lower, upper):
    """Inverse CDF at u = 1 - v (v known as precisely) of the standard normal between the bounds, in float64.

    From the nearer tail; for bounds within about 8 of the mean.
    """
    u, v = u.astype(np.float64), v.astype(np.float64)
    left = ndtr(lower) * v + ndtr(upper) * u
    right = ndtr(-lower) * v + ndtr(-upper) * u
    return np.where(left < right, ndtri(left), -ndtri(right))


def truncated_exact(u, lower, upper, digits=40):
    """The same to many digits for one u, any bounds."""
    gap = min(upper - lower, 1.0)
    with mp.workdps(digits - 2 * math.floor(math.log10(gap))):
        # On the side where both tails are small: Q is the upper one.
        sign = 1 if mp.mpf(lower) + mp.mpf(upper) > 0 else -1
        a, b = (lower, upper) if sign > 0 else (-upper, -lower)
        u = mp.mpf(u) if sign > 0 else 1 - mp.mpf(u)
        q = mp.ncdf(-mp.mpf(a)) * (1 - u) + mp.ncdf(-mp.mpf(b)) * u
        if q > mp.mpf("0.01"):
            return float(sign * mp.sqrt(2) * mp.erfinv(1 - 2 * q))
        start = math.sqrt(-2 * float(mp.log(q)))
        root = mp.findroot(lambda z: mp.log(mp.ncdf(-z)) - mp.log(q), start - math.log(5 * start) / start)
        return float(sign * root)


def truncated_law(lower, upper):
    """The CDF and the density of the standard normal between the bounds, functions of float64 arrays.

    Both from an integral of exp((near^2 - x^2) / 2) that starts at `near`, the bound or point nearest to 0, so that
    nothing cancels in a tail; between close bounds by its series.
    """
    if upper <= 0:
        cdf, density = truncated_law(-upper, -lower)
        return lambda x: 1 - cdf(-x), lambda x: density(-x)
    near = max(lower, 0.0)

    def integral(x):
        t = x - near
        if (upper - near) * max(near, 1) < 1e-3 and near - lower < 1e-3:
            return t - near * t**2 / 2 + (near**2 - 1) * t**3 / 6 - (near**3 - 3 * near) * t**4 / 24
        if lower < 0:
            return math.sqrt(2 * math.pi) * (ndtr(x) - 0.5)
        decay = np.exp((near - x) * (near + x) / 2)
        tail = decay * erfcx(x / math.sqrt(2)) if x is not math.inf else 0.0
        return math.sqrt(math.pi / 2) * (erfcx(near / math.sqrt(2)) - tail)

    start = integral(lower)
    total = integral(upper) - start
    return lambda x: (integral(x) - start) / total, lambda x: np.exp((near - x) * (near + x) / 2) / total


def logarithmic(index, formula, kind, seed, name=""):
    """formula(u), of mpmath's numbers, of each element's u, rounded once to `kind`."""
    with mp.workdps(60):
        numbers = unit_exact(index, kind, seed, name)
        return np.array([kind(float(formula(mp.mpf(u.numerator) / u.denominator))) for u in numbers])


def unit_exact(index, kind, seed, name=""):
    """The same u as `unit`, as fractions; of float64 it is rounded once, as there."""
    bits = 32 if kind is np.float32 else 53
    words = word32(index, seed, name) if bits == 32 else word64(index, seed, name) >> np.uint64(11)
    exact = [Fraction(2 * int(w) + 1, 2 ** (bits + 1)) for w in words]
    return exact if bits == 32 else [Fraction(float(u)) for u in exact]


def sparse_positions(neuron, nonzeros, fan_in, seed, name=""):
    """The connections that a neuron keeps, in the order in which Floyd's algorithm finds them."""
    kept = []
    for j in range(nonzeros):
        block = neuron * -(-nonzeros // 2) + j // 2
        w = [int(x[0]) for x in block_words([block], seed, name + "\x00positions")]
        word = w[2] + (w[3] << 32) if j % 2 else w[0] + (w[1] << 32)
        last = fan_in - nonzeros + j
        drawn = word * (last + 1) >> 64
        kept.append(last if drawn in kept else drawn)
    return kept


def fans(shape, inputs, outputs, groups=1, batch=()):
    """(fan_in, fan_out) counted: weights into one unit, weights out of one, spatial positions included."""
    field = math.prod(n for axis, n in enumerate(shape) if axis not in (*inputs, *outputs, *batch))
    incoming, outgoing = (math.prod(shape[a] for a in axes) for axes in (inputs, outputs))
    return incoming * field, outgoing * field // groups


def orthogonal(normals):
    """The orthonormal columns that a matrix of normals, m >= n, stands for: its reflections, one by one (float64)."""
    m, n = normals.shape
    q, signs = np.eye(m), np.ones(n)
    for k in range(n):
        x = np.where(np.arange(m) < k, 0.0, normals[:, k])
        signs[k] = -1.0 if x[k] < 0 else 1.0
        v = x + signs[k] * np.linalg.norm(x) * np.eye(m)[k]
        q -= np.outer(q @ v, v) * (2 / (v @ v))
    # R's diagonal is -sign·|x|.
    return q[:, :n] * -signs
