"""Minimax coefficients of the polynomials in fastinit_kernels: run it to print each table with its error.

Development only (needs mpmath): `python kernels/fit.py [table ...]`. The tables in `elementary.py` and
`transcendental.py` are this script's output.

Method: the exchange algorithm of Remez on a dense grid, in 60-digit arithmetic, on the error times a weight
chosen per function. Coefficients are rounded one at a time, lowest power first, and the others are fitted
anew, so that the later ones make good what the rounding of the earlier ones lost.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 60

Real = Any  # mpmath's numbers are untyped
LN2 = mp.log(2)


def chebyshev_grid(a: Real, b: Real, n: int) -> list[Real]:
    """The n Chebyshev nodes of [a, b], dense at the ends, where a minimax error oscillates fastest."""
    return [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]


def remez(basis: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Coefficients c that minimise max abs(basis @ c - target) over the grid (one row a point).

    The basis is x^k, x^(k+1), … times a positive weight. The theory wants it divided by abs(x^k): for odd k
    and an interval around 0 the signs of the left half are turned, or the error would not alternate.
    """
    points, n = basis.shape
    sign = np.array([mp.sign(value) or 1 for value in basis[:, 0]])
    basis, target = basis * sign[:, None], target * sign
    spread = [mp.cos(mp.pi * k / n) for k in range(n + 1)]
    reference = sorted({int(mp.nint((1 - s) / 2 * (points - 1))) for s in spread})
    for _ in range(40):
        system = mp.matrix(n + 1, n + 1)
        for i, point in enumerate(reference):
            for j in range(n):
                system[i, j] = basis[point, j]
            system[i, n] = (-1) ** i
        solution = mp.lu_solve(system, mp.matrix([target[point] for point in reference]))
        c = np.array([solution[j] for j in range(n)])
        level, error = abs(solution[n]), basis @ c - target
        if max(abs(error)) <= level * mp.mpf("1.001"):
            break
        reference = alternating_extrema(error, n + 1)
    return c


def alternating_extrema(error: np.ndarray, wanted: int) -> list[int]:
    """The largest point of each stretch of one sign; while there are too many, without the least of them."""
    extrema: list[int] = []
    for i, e in enumerate(error):
        if extrema and (e > 0) == (error[extrema[-1]] > 0):
            if abs(e) > abs(error[extrema[-1]]):
                extrema[-1] = i
        else:
            extrema.append(i)
    while len(extrema) > wanted:
        size = [abs(error[i]) for i in extrema]
        least = min(range(len(size)), key=size.__getitem__)
        if least in (0, len(size) - 1) or len(size) == wanted + 1:
            extrema.pop(0 if size[0] < size[-1] else -1)
        else:  # with the lesser neighbour, so that the signs still alternate
            neighbour = least - 1 if size[least - 1] < size[least + 1] else least + 1
            del extrema[min(least, neighbour) : max(least, neighbour) + 1]
    if len(extrema) < wanted:
        raise ValueError(f"only {len(extrema)} of {wanted} alternations: the degree is too high for the grid")
    return extrema


def fit(
    x: Sequence[Real], y: Sequence[Real], weight: Sequence[Real], terms: int, dtype: Any
) -> tuple[list[Any], float]:
    """Coefficients of 1, x, x^2, … rounded to dtype, and max abs(polynomial - y) * weight over the grid."""
    powers = np.array([[xi**k * w for k in range(terms)] for xi, w in zip(x, weight, strict=True)])
    rest = np.array([yi * w for yi, w in zip(y, weight, strict=True)])
    rounded: list[Any] = []
    for k in range(terms):
        best = remez(powers[:, k:], rest)
        rounded.append(dtype(mp.nstr(best[0], 30)))
        rest = rest - powers[:, k] * mp.mpf(float(rounded[-1]))
    return rounded, float(max(abs(rest)))


def fit_function(
    f: Callable[[Real], Real],
    a: Real,
    b: Real,
    terms: int,
    dtype: Any,
    weight: Callable[[Real], Real] | None = None,
) -> tuple[list[Any], float]:
    """Fit f on [a, b]; the error is relative to f unless another weight is given."""
    x = chebyshev_grid(mp.mpf(a), mp.mpf(b), 40 * terms)
    y = [f(xi) for xi in x]
    w = [weight(xi) for xi in x] if weight else [1 / abs(yi) for yi in y]
    return fit(x, y, w, terms, dtype)


# --- the tables ---


def log(terms: int, dtype: Any) -> tuple[list[Any], float]:
    """log(1 + f) = f + f^2 P(f) on the mantissas [sqrt(1/2), sqrt(2)); relative to log(1 + f)."""
    return fit_function(
        lambda f: (mp.log1p(f) - f) / f**2,
        mp.sqrt(mp.mpf(1) / 2) - 1, mp.sqrt(2) - 1, terms, dtype,
        lambda f: abs(f**2 / mp.log1p(f)),
    )  # fmt: skip


def log2(terms: int, dtype: Any) -> tuple[list[Any], float]:
    """log2(1 + f) = f P(f) on the same mantissas; the error is absolute."""
    return fit_function(lambda f: mp.log1p(f) / f / LN2, mp.sqrt(mp.mpf(1) / 2) - 1, mp.sqrt(2) - 1, terms, dtype, abs)


def sin_turn(terms: int, dtype: Any) -> tuple[list[Any], float]:
    """sin(2 pi x) = x P(x^2) for x up to 1/8 of a turn; the error is absolute."""
    return fit_function(lambda y: mp.sin(2 * mp.pi * mp.sqrt(y)) / mp.sqrt(y), 0, mp.mpf(1) / 64, terms, dtype, mp.sqrt)


def cos_turn(terms: int, dtype: Any) -> tuple[list[Any], float]:
    """cos(2 pi x) = 1 + x^2 P(x^2) for x up to 1/8 of a turn; the error is absolute."""
    return fit_function(
        lambda y: (mp.cos(2 * mp.pi * mp.sqrt(y)) - 1) / y, 0, mp.mpf(1) / 64, terms, dtype, lambda y: y
    )


def normal_tail(terms: int, dtype: Any, centre: float = 0) -> tuple[list[Any], float]:
    """The z with Q(z) = exp(-l): z = u P(u - centre), u = log2(l / ln 2); error relative to max(z, 1)."""
    u, z = [], []
    for node in chebyshev_grid(mp.mpf(0), mp.mpf("10.25"), 40 * terms):
        # The quantile only places the grid point: u is then exact for this z.
        z.append(mp.mpf(_normal_quantile(float(LN2 * 2**node))))
        u.append(mp.log(-mp.log(mp.erfc(z[-1] / mp.sqrt(2)) / 2) / LN2, 2))
    y = [zi / ui for zi, ui in zip(z, u, strict=True)]
    weight = [ui / max(zi, 1) for zi, ui in zip(z, u, strict=True)]
    return fit([ui - centre for ui in u], y, weight, terms, dtype)


def _normal_quantile(l: float) -> float:  # noqa: E741
    z = max(float(np.sqrt(2 * l)) - 1.0, 0.1)
    for _ in range(60):
        tail = mp.erfc(mp.mpf(z) / mp.sqrt(2)) / 2
        z -= float((-mp.log(tail) - l) * tail * mp.sqrt(2 * mp.pi) * mp.exp(mp.mpf(z) ** 2 / 2))
        if abs(z) < 1e-9:
            break
    return z


def outer_root(terms: int, dtype: Any) -> tuple[list[Any], float]:
    """The z with Q(z) = exp(-s^2 / 2): z = s + P(s - 5) for s in [3.1, 6.8]; relative to z."""
    z = [mp.mpf(_normal_quantile(float(s**2 / 2))) for s in chebyshev_grid(mp.mpf("3.1"), mp.mpf("6.8"), 40 * terms)]
    s = [mp.sqrt(-2 * mp.log(mp.erfc(x / mp.sqrt(2)) / 2)) for x in z]
    y, weight = [x - si for x, si in zip(z, s, strict=True)], [1 / x for x in z]
    return fit([si - 5 for si in s], y, weight, terms, dtype)


def centre_ratio(terms: int, dtype: Any) -> tuple[list[Any], float]:
    """The coefficients of N and of D, `terms` each, in (K(v) - K(1)) / (1 - v) = N(v) / D(v); error relative to z.

    z = d K(1 - 4 d^2), d = Phi(z) - 1/2, for z up to 2.5.
    """
    points = chebyshev_grid(mp.mpf("1e-4"), mp.mpf("2.5"), 300)
    d = [mp.erf(z / mp.sqrt(2)) / 2 for z in points]
    v = np.array([1 - 4 * x**2 for x in d])
    k = np.array([z / x for z, x in zip(points, d, strict=True)])
    target, weight = (k - mp.sqrt(2 * mp.pi)) / (1 - v), (1 - v) / k
    powers = np.array([v**i for i in range(terms)]).T

    def error(c: Any) -> float:
        c = np.array([mp.mpf(float(x)) if isinstance(x, np.floating) else x for x in c])
        return float(max(abs(powers @ c[:terms] / (powers @ c[terms:]) - target) * weight))

    return rounded_ratio(rational(powers, target, weight), error, dtype)


def rational(powers: np.ndarray, target: np.ndarray, weight: np.ndarray) -> list[Real]:
    """Coefficients of N and of D = 1 + … that make N / D - target small everywhere, with the same powers in both.

    Least squares of N - D target, divided by the last step's D, each point's weight raised by its last error (Lawson).
    """
    terms = powers.shape[1]
    basis = np.hstack([powers, -target[:, None] * powers[:, 1:]])
    emphasis, divisor, best = np.ones(len(target)), np.ones(len(target)), (mp.inf, [])
    for _ in range(25):
        scale = weight * np.array([mp.sqrt(e) for e in emphasis]) / divisor
        rows = basis * scale[:, None]
        c = mp.lu_solve(mp.matrix((rows.T @ rows).tolist()), mp.matrix((rows.T @ (target * scale)).tolist()))
        c = [*(c[i] for i in range(terms)), mp.mpf(1), *(c[i] for i in range(terms, 2 * terms - 1))]
        divisor = powers @ np.array(c[terms:])
        error = abs(powers @ np.array(c[:terms]) / divisor - target) * weight
        if max(error) < best[0]:
            best = max(error), c
        emphasis = emphasis * np.array([float(e / max(error)) + 1e-2 for e in error])
        emphasis /= emphasis.mean()
    return best[1]


def rounded_ratio(c: list[Real], error: Callable[[Any], float], dtype: Any) -> tuple[list[Any], float]:
    """The coefficients divided by the largest and rounded, then moved by single places as long as that helps."""
    values = [dtype(mp.nstr(x / max(c), 30)) for x in c]
    least, moved = error(values), True
    while moved:
        moved = False
        for i in range(len(values)):
            for side in (-np.inf, np.inf):
                trial = [*values[:i], np.nextafter(values[i], dtype(side)), *values[i + 1 :]]
                if error(trial) < least:
                    values, least, moved = trial, error(trial), True
    return values, least


def exp(terms: int, dtype: Any) -> tuple[list[Any], float]:
    """exp(r) = 1 + r + r^2 P(r) for r within ln(2) / 2 and a little more; relative to exp(r) - 1."""
    edge = LN2 / 2 * mp.mpf("1.001")
    return fit_function(
        lambda r: (mp.expm1(r) - r) / r**2, -edge, edge, terms, dtype, lambda r: abs(r**2 / mp.expm1(r))
    )


def log1p(terms: int, dtype: Any) -> tuple[list[Any], float]:
    """log(1 + e) = e P(e) for e in [0, 1]."""
    return fit_function(lambda e: mp.log1p(e) / e, 0, 1, terms, dtype)


def mills(terms: int, dtype: Any, last: float, scale: float) -> tuple[list[Any], float]:
    """Q(a) exp(a^2 / 2) = t P(t), t = scale / (scale + a), for a in [0, last]."""

    def over_t(t: Real) -> Real:
        a = scale / t - scale
        return mp.erfc(a / mp.sqrt(2)) / 2 * mp.exp(a**2 / 2) / t

    return fit_function(over_t, scale / (scale + mp.mpf(last)), 1, terms, dtype)


TABLES: dict[str, Callable[[], tuple[list[Any], float]]] = {
    "LOG_F32": lambda: log(8, np.float32),
    "LOG_F64": lambda: log(19, np.float64),
    "SIN_TURN_F32": lambda: sin_turn(4, np.float32),
    "SIN_TURN_F64": lambda: sin_turn(8, np.float64),
    "COS_TURN_F32": lambda: cos_turn(4, np.float32),
    "COS_TURN_F64": lambda: cos_turn(7, np.float64),
    "LOG2_F64": lambda: log2(20, np.float64),
    "CENTRE_F32": lambda: centre_ratio(6, np.float32),
    "OUTER_F32": lambda: outer_root(8, np.float32),
    "NORMAL_TAIL_F64": lambda: normal_tail(26, np.float64, 5),
    "EXP_F32": lambda: exp(5, np.float32),
    "EXP_F64": lambda: exp(10, np.float64),
    "LOG1P_F32": lambda: log1p(10, np.float32),
    "LOG1P_F64": lambda: log1p(20, np.float64),
    "MILLS_F32": lambda: mills(9, np.float32, 13, 3),
    "MILLS_F64": lambda: mills(22, np.float64, 37.5, 5),
}


def main(names: Sequence[str]) -> None:
    for name in names or TABLES:
        coefficients, error = TABLES[name]()
        single = isinstance(coefficients[0], np.float32)
        print(f"\n# error {error:.1e}\n_{name} = {'single' if single else 'double'}(")
        for c in coefficients:
            print(f"    {c!s},")
        print(")")


if __name__ == "__main__":
    main(sys.argv[1:])
