"""Which scheme to take: candidates ranked by what they do to the signal and to its gradient."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .activations import Activation, get_activation
from .errors import check_integer, unknown
from .measure import measure
from .network import ARGUMENTS, Network, fans_of, resolve
from .quadrature import rule
from .report import Table
from .result import ProbeResult
from .schemes import Scheme, get_scheme
from .schemes import schemes as known_schemes
from .theory import edge_of_chaos, fixed_point, variance_map

# What `recommend` decides itself.
_DECIDED = ("scheme", "weights", "sigma_w", "backward")
# A chi_1 this near 1 is critical: it takes as many layers to matter.
_CRITICAL = 1e-6
# Variances of the preactivations among which the critical one is looked for.
_Q = np.concatenate([[0.0], np.geomspace(1e-3, 1e2, 41)])


@dataclass(frozen=True, eq=False, repr=False)
class Candidate:
    """One scheme and what it did to the signal."""

    scheme: Scheme
    """The scheme, ready for `fastinit.init`."""
    forward: float
    """Factor by which a layer multiplies the root mean square of the activations."""
    backward: float
    """Factor by which a layer multiplies the standard deviation of the gradient, on its way back."""
    score: float
    """|ln forward| + |ln backward|: 0 is perfect; inf where there is no factor."""
    verdict: str
    """The verdict of its probes: "healthy" if it is under every seed, else the first other one."""
    reason: str
    """The verdict in words."""
    results: tuple[ProbeResult, ...]
    """Its probes, one a seed."""

    @property
    def label(self) -> str:
        """The scheme in a few words: its name and the parameters that are not the defaults."""
        return _label(self.scheme)

    def __repr__(self) -> str:
        return f"Candidate({self.label}: {self.verdict}, score {self.score:.3g})"


@dataclass(frozen=True, eq=False, repr=False)
class Recommendation:
    """Schemes from the best to the worst; iterate over it for the candidates.

    See Also
    --------
    recommend : makes it.
    """

    activation: str
    """Name of the activation."""
    widths: tuple[int, ...]
    """Size of the input and of each layer."""
    seeds: tuple[int, ...]
    """Seeds of the probes."""
    candidates: tuple[Candidate, ...]
    """The candidates, the best first."""
    why: str
    """The reason for the best one, in words."""

    @property
    def best(self) -> Candidate:
        """The first of the candidates."""
        return self.candidates[0]

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def __len__(self) -> int:
        return len(self.candidates)

    def __repr__(self) -> str:
        return f"Recommendation({self.activation}, {_size(self.widths)}: {self.best.label})"

    def __str__(self) -> str:
        return str(self.table())

    def table(self) -> Table:
        """Return the ranking as a table, for `print` or for Rich."""
        rows = tuple(
            (str(rank), c.label, f"{c.forward:.4f}", f"{c.backward:.4f}", f"{c.score:.4f}", c.verdict)
            for rank, c in enumerate(self.candidates, 1)
        )
        columns = ("", "scheme", "forward", "backward", "score", "verdict")
        title = f"{self.activation}, {_size(self.widths)}: factors a layer"
        return Table(title, columns, rows, self.why, left=frozenset({"scheme", "verdict"}))


def recommend(
    *,
    activation: str = "relu",
    depth: int = 10,
    width: int = 512,
    batch: int = 512,
    seed: int | Sequence[int] = 0,
    candidates: Iterable[Any] | None = None,
    bias: str | float | Sequence[Any] = "zeros",
    sigma_b: float = 0.0,
    **arguments: Any,
) -> Recommendation:
    r"""Rank schemes by how well a network under them keeps its signal and its gradient.

    Every candidate is probed. With s_l the root mean square of the activations of layer l, g_l the standard deviation
    of the gradient there and L the last layer,

    .. math:: f = (s_L / s_0)^{1/L}, \quad b = (g_0 / g_L)^{1/L}, \quad \text{score} = |\ln f| + |\ln b| .

    Healthy candidates come first, then the lower score.

    Parameters
    ----------
    activation
        Name of the activation.
    depth, width, batch
        Layers (at least 2), units a layer and rows of the input; `widths` and `inputs` take their place as in
        `fastinit.probe`.
    seed
        One seed or several; over several, the logarithms of the factors are averaged.
    candidates
        Scheme names, pairs (name, parameters) or what `get_scheme` returns. Default: the named schemes of He, Glorot
        and LeCun, and normal weights whose gain is that of the table (see `fastinit.gain`), keeps a preactivation
        variance of 1, or is critical (`fastinit.theory.edge_of_chaos`), each law once.
    bias, sigma_b
        Biases, as in `fastinit.probe`.
    **arguments
        Further arguments of `fastinit.probe`: widths, inputs, dtype, the activation's parameter, ...

    Returns
    -------
    Recommendation
        The candidates in their order, `best` and `why`; `print` it.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong, an unknown or no candidate; raised before anything is drawn.

    Notes
    -----
    A score is a measurement on one network a seed. Its own spread from seed to seed shrinks with the width: a layer
    of n units changes the mean square by a random factor of variance

    .. math:: \frac{1}{n} \left( \frac{E[\varphi(z)^4]}{E[\varphi(z)^2]^2} - 1 \right)

    (5/n for ReLU), so that the ratio of depth to width decides what can be told apart; `why` names it.

    References
    ----------
    Glorot and Bengio 2010, section 4.2.1, and He et al. 2015, section 2.2, ask for both factors to be 1; Schoenholz
    et al. 2017, section 3, tell when they are.

    Examples
    --------
    >>> from fastinit.advice import recommend
    >>> advice = recommend(activation="relu", depth=20, width=64, batch=32,
    ...                    candidates=["xavier_normal", "he_normal", ("normal", {"std": 1.0})])
    >>> advice.best.label
    'he_normal'
    >>> [candidate.verdict for candidate in advice]
    ['healthy', 'vanishing', 'exploding']
    """
    phi = get_activation(activation)
    _check_arguments(arguments, phi)
    seeds = _seeds(seed)
    chosen = None if candidates is None else _chosen(candidates, phi, arguments)
    settings = dict(activation=activation, depth=depth, width=width, batch=batch, bias=bias, sigma_b=sigma_b,
                    backward=True, **arguments)  # fmt: skip
    first = resolve(seed=seeds[0], **settings)  # checks everything but the candidates
    if first.depth < 2:
        raise ValueError(f"argument 'depth' must be an integer >= 2 to have factors a layer, got {first.depth}")
    tried = chosen or _sensible(phi, first)
    networks = {id(s): [resolve(scheme=s, **settings, seed=one) for one in seeds] for s in tried}
    ranked = sorted((_rate(s, [measure(n) for n in networks[id(s)]]) for s in tried), key=_order)
    why = _why(ranked, networks[id(ranked[0].scheme)][0], len(seeds))
    return Recommendation(phi.name, first.widths, seeds, tuple(ranked), why)


def _check_arguments(arguments: dict[str, Any], phi: Activation) -> None:
    accepted = [word for word in ARGUMENTS if word not in _DECIDED] + [phi.parameter] * bool(phi.parameter)
    for word in arguments:
        if word in _DECIDED:
            raise TypeError(f"recommend() decides argument {word!r} itself; name schemes in 'candidates'")
        if word not in accepted:
            near = difflib.get_close_matches(word, [str(w) for w in accepted], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"recommend() has no argument {word!r}{hint}")


def _seeds(seed: Any) -> tuple[int, ...]:
    if isinstance(seed, str) or not isinstance(seed, Iterable):
        return (check_integer("seed", seed, minimum=0),)
    seeds = tuple(check_integer("seed", one, minimum=0) for one in seed)
    if not seeds:
        raise ValueError("argument 'seed' must be a seed or at least one of them, got none")
    return seeds


def _chosen(candidates: Any, phi: Activation, arguments: dict[str, Any]) -> list[Scheme]:
    """Return the caller's candidates as schemes."""
    if isinstance(candidates, str | Scheme) or not isinstance(candidates, Iterable):
        raise TypeError(f"argument 'candidates' must be a list of schemes, got {candidates!r}")
    schemes = [_scheme(candidate, phi, arguments) for candidate in candidates]
    if not schemes:
        raise ValueError("argument 'candidates' must hold at least one scheme, got none")
    return schemes


def _scheme(candidate: Any, phi: Activation, arguments: dict[str, Any]) -> Scheme:
    if isinstance(candidate, Scheme):
        return candidate
    name, params = (candidate, {}) if isinstance(candidate, str) else _pair(candidate)
    if name not in known_schemes():
        raise unknown("candidates", name, known_schemes())
    # As in `probe`, a word that scheme and activation share (negative_slope) goes to both.
    shared = {w: arguments[w] for w in get_scheme(name).params if w == phi.parameter and w in arguments}
    return get_scheme(name, **(shared | dict(params)))


def _pair(candidate: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(candidate, Sequence) and len(candidate) == 2:
        name, params = candidate
        if isinstance(name, str) and isinstance(params, dict):
            return name, params
    raise TypeError(
        f"argument 'candidates' must hold scheme names, pairs (name, parameters) or schemes, got {candidate!r}"
    )


def _sensible(phi: Activation, network: Network) -> list[Scheme]:
    """Return the default candidates, each law once: in a square network fan_in and fan_out are the same."""
    parameter = network.parameter if phi.parameter else None
    slope = {"negative_slope": network.parameter} if phi.parameter == "negative_slope" else {}
    given: list[tuple[str, dict[str, Any]]] = [
        ("he_normal", slope), ("he_normal", slope | {"mode": "fan_out"}), ("he_normal", slope | {"truncated": True}),
        ("he_uniform", slope), ("xavier_normal", {}), ("xavier_uniform", {}), ("lecun_normal", {}),
    ]  # fmt: skip
    given += [
        ("variance_scaling", {"gain": gain, "distribution": "normal"})
        for gain in _gains(phi, parameter, network.sigma_b)
    ]
    laws: dict[Any, Scheme] = {}
    for name, params in given:
        scheme = get_scheme(name, **params)
        laws.setdefault(_fingerprint(scheme, network), scheme)
    return list(laws.values())


def _fingerprint(scheme: Scheme, network: Network) -> Any:
    laws = [scheme.law(fans_of(network.conv, pair)) for pair in pairwise(network.widths)]
    return tuple((type(law), f"{law.variance:.9g}") for law in laws)


def _gains(phi: Activation, parameter: float | None, sigma_b: float) -> list[float]:
    """Return the sigma_w of PyTorch's table, the one that keeps a variance of 1, and the critical one."""
    gains = [phi.table_gain(parameter or 0.0)] if phi.table_gain else []
    moment = float(variance_map(phi, sigma_w=1.0, q0=1.0, depth=1, param=parameter)[0])
    gains += [math.sqrt((1.0 - sigma_b**2) / moment)] if sigma_b < 1.0 else []
    critical = _critical(phi, parameter, sigma_b)
    return gains + ([critical] if critical is not None else [])


def _critical(activation: Activation, parameter: float | None, sigma_b: float) -> float | None:
    """Return a sigma_w that is critical with these biases, or None."""

    def excess(q: float) -> float:
        try:
            return edge_of_chaos(activation, q, param=parameter)[1] - sigma_b
        except ValueError:
            return math.nan

    # Along the critical line, whose parameter is q, sigma_b has to become that of the network.
    for low, high in pairwise(_Q):
        below = excess(low)
        if below * excess(high) > 0.0 or math.isnan(below * excess(high)):
            continue
        q = low if below == 0.0 else _bisect(excess, low, high)
        sigma_w = edge_of_chaos(activation, q, param=parameter)[0]
        # GELU has chi_1 = 1 at q = 0, too, but never comes to rest there: the signal runs away.
        rest = fixed_point(activation, sigma_w=sigma_w, sigma_b=sigma_b, param=parameter)
        if abs(rest.chi1 - 1.0) < _CRITICAL:
            return sigma_w
    return None


def _bisect(f: Callable[[float], float], low: float, high: float) -> float:
    sign = f(low)
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if f(middle) * sign > 0.0 else (low, middle)
    return low


def _rate(scheme: Scheme, results: list[ProbeResult]) -> Candidate:
    factors = np.array([_factors(result) for result in results])
    with np.errstate(all="ignore"):
        logs = np.log(factors).mean(axis=0)
    forward, backward = (float(x) for x in np.exp(logs))
    score = float(np.abs(logs).sum())
    worst = next((r for r in results if r.verdict != "healthy"), results[0])
    return Candidate(
        scheme, forward, backward, score if math.isfinite(score) else math.inf, worst.verdict, worst.reason,
        tuple(results),
    )  # fmt: skip


def _factors(result: ProbeResult) -> tuple[float, float]:
    steps = result.depth - 1
    with np.errstate(all="ignore"):
        size = np.hypot(result.mean, result.std)  # the root mean square
        forward = (size[-1] / size[0]) ** (1.0 / steps)
        backward = (result.gradient_std[0] / result.gradient_std[-1]) ** (1.0 / steps)
    if result.nonfinite.any():  # the figures are over what is left, and that is no measure of the signal
        forward = math.inf
    return float(forward), float(backward)


def _order(candidate: Candidate) -> tuple[bool, float]:
    return candidate.verdict != "healthy", candidate.score


def _label(scheme: Scheme) -> str:
    defaults = get_scheme(scheme.name).params
    own = {k: v for k, v in scheme.params.items() if v != defaults[k]}
    words = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in own.items())
    return f"{scheme.name}({words})" if words else scheme.name


def _size(widths: Sequence[int]) -> str:
    square = len(set(widths)) == 1
    return f"{len(widths) - 1} x {widths[0]}" if square else "-".join(map(str, widths))


def _why(ranked: list[Candidate], network: Network, seeds: int) -> str:
    best = ranked[0]
    if best.verdict == "healthy":
        start = f"{best.label} keeps the signal best"
    else:
        start = (
            f"No candidate keeps the signal through {network.depth} layers; {best.label} comes nearest ({best.verdict})"
        )
    kept = f"{start}: a layer multiplies the activations by {best.forward:.3f} and the gradient by {best.backward:.3f}"
    return ". ".join(filter(None, (kept, _theory(network), _chance(ranked, network, seeds)))) + "."


def _theory(network: Network) -> str:
    """Say what mean-field theory says of a plain stack with one sigma_w for all layers and centred biases."""
    sigma_w = network.sigma_w()
    if not network.plain or network.bias != 0.0 or np.ptp(sigma_w) > 1e-9 * sigma_w[0]:
        return ""
    parameter = network.parameter if network.activation.parameter else None
    point = fixed_point(network.activation, sigma_w=float(sigma_w[0]), sigma_b=network.sigma_b, param=parameter)
    if point.q == math.inf:
        phase = "unstable: the signal grows from layer to layer"
    elif abs(point.chi1 - 1.0) < _CRITICAL:
        phase = "the edge of chaos, where signal and gradient reach deepest"
    elif point.chi1 < 1.0:
        phase = "ordered: in the long run inputs become alike and gradients shrink"
    else:
        phase = "chaotic: in the long run near inputs part and gradients grow"
    return f"In theory its sigma_w = {sigma_w[0]:.4g} has q* = {point.q:.3g} and chi_1 = {point.chi1:.4g}, {phase}"


def _chance(ranked: list[Candidate], network: Network, seeds: int) -> str:
    """Say how much of a factor is chance, and who else could have won."""
    best = ranked[0]
    noise = _noise(network, float(best.results[0].q[-1])) / math.sqrt(seeds)
    if not math.isfinite(noise):
        return ""
    # A difference of two scores holds four such factors.
    near = [c.label for c in ranked[1:] if c.verdict == best.verdict and c.score - best.score < 2.0 * noise]
    told = f", so that another seed may prefer {_listed(near)}" if near else ""
    size = f"{network.depth} layers on {min(network.widths)} units"
    return f"With {size} chance moves a factor by about {100 * noise:.2g} %{told}"


def _noise(network: Network, q: float) -> float:
    """Return the relative spread of the factor a layer from seed to seed, by the variance in the notes."""
    if not (network.plain and 0.0 < q < math.inf):
        return math.nan
    z, weights = rule(math.sqrt(q), (0.0, *network.activation.kinks))
    with np.errstate(all="ignore"):
        square = np.square(network.activation.function(z, network.parameter))
        variance = float(weights @ square**2) / float(weights @ square) ** 2 - 1.0
        # The log of a layer's rms has a quarter of that, and the mean over the layers divides it once more.
        steps = network.depth - 1
        return math.sqrt(max(variance, 0.0) * float(np.mean(1.0 / np.array(network.widths[1:]))) / (4.0 * steps))


def _listed(labels: list[str]) -> str:
    if len(labels) > 3:
        return f"{', '.join(labels[:2])} or one of {len(labels) - 2} more"
    return " or ".join(filter(None, (", ".join(labels[:-1]), labels[-1])))
