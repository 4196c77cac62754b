"""Which scheme to take: candidates ranked by what they do to the signal and to its gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..activations import Activation, get_activation
from ..showing.tables import Table
from ..theory import fixed_point
from ..weights.schemes import Scheme, get_scheme
from ..words import check_integer, entries, nearest, shown
from .candidates import CRITICAL, by_name, chosen, moments, sensible
from .evidence import drift, gradient_norms, homogeneous, noise, variances
from .measure import measure
from .network import Network
from .resolve import resolve
from .result import ProbeResult
from .settings import ARGUMENTS

# What `recommend` decides itself.
_DECIDED = ("scheme", "weights", "sigma_w", "backward", "network")
_MOST_SEEDS = 1 << 16
# What the width leaves of a signal over all layers, from which on it is worth a word.
_NOTED = 0.5


@dataclass(frozen=True, eq=False, repr=False)
class Candidate:
    """One scheme and what it did to the signal; `init`, `probe` and `sweep` take it for the scheme."""

    scheme: Scheme
    """The scheme."""
    forward: float
    """Factor by which a layer multiplies the root mean square of the activations."""
    backward: float
    """Factor by which a layer multiplies the norm of the gradient, on its way back."""
    score: float
    """How far both are from what the architecture can reach, in their logarithms: 0 is perfect; inf where there is no
    factor."""
    spread: float
    """Standard deviation of the score from seed to seed; NaN of a single one."""
    verdict: str
    """The verdict of its probes: the worst of them."""
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

    `init`, `probe` and `sweep` take it for the best scheme.

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
    at_best: tuple[float, float]
    """The factors a layer, forward and backward, that the best weights reach in layers of these widths."""
    candidates: tuple[Candidate, ...]
    """The candidates, the best first."""
    why: str
    """The reason for the best one, in words."""

    @property
    def best(self) -> Candidate:
        """The first of the candidates."""
        return self.candidates[0]

    @property
    def scheme(self) -> Scheme:
        """The scheme of the best one."""
        return self.best.scheme

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def __len__(self) -> int:
        return len(self.candidates)

    def __repr__(self) -> str:
        return f"Recommendation({self.activation}, {_size(self.widths)}: {self.best.label})"

    def __str__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table().html()

    def table(self) -> Table:
        """Return the ranking as a table, for `print` or for Rich."""
        columns: tuple[str, ...] = ("", "scheme", "forward", "backward", "score", "±", "verdict")
        rows: list[tuple[str, ...]] = [
            (str(rank), c.label, *(f"{x:.4f}" for x in (c.forward, c.backward, c.score, c.spread)), c.verdict)
            for rank, c in enumerate(self.candidates, 1)
        ]
        rows.append(("", "at best", *(f"{x:.4f}" for x in (*self.at_best, 0.0)), "", ""))
        if len(self.seeds) == 1:  # of which there is no spread
            columns, *rows = [(*row[:5], row[6]) for row in (columns, *rows)]
        title = f"{self.activation}, {_size(self.widths)}: factors a layer"
        return Table(title, columns, tuple(rows), self.why, left=frozenset({"scheme", "verdict"}))


def recommend(
    *,
    activation: str = "relu",
    depth: int = 10,
    width: int = 512,
    batch: int = 512,
    seed: int | Sequence[int] = (0, 1, 2),
    candidates: Iterable[Any] | None = None,
    bias: str | float | Sequence[Any] = "zeros",
    sigma_b: float = 0.0,
    **arguments: Any,
) -> Recommendation:
    r"""Rank schemes by how well a network under them keeps its signal and its gradient.

    Every candidate is probed. With s_l the root mean square of the activations of layer l, g_l the norm of the gradient
    there (its standard deviation times the root of the layer's units) and L the last layer,

    .. math::
        f = (s_L / s_0)^{1/L}, \quad b = (g_0 / g_L)^{1/L}, \quad
        \text{score} = |\ln f - \ln f^*| + |\ln b - \ln b^*| ,

    f* and b* what the best weights reach in layers of these widths: 1, but for chance. Healthy candidates come first,
    then fading and growing ones; among them the lower score; and of schemes that come to one variance in every layer,
    which differ by chance alone, the one that the literature has for the activation, and then the one named first.

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
    A layer of n units changes a mean square by a random factor of variance v/n, whatever its weights:

    .. math:: v = \frac{E[\varphi(z)^4]}{E[\varphi(z)^2]^2} - 1 \text{ for the signal}, \quad
        v = 3 \frac{E[\varphi'(z)^4]}{E[\varphi'(z)^2]^2} - 1 \text{ for the gradient}

    (5 for ReLU, both ways). So its factor strays from seed to seed, by which the ratio of depth to width decides what
    can be told apart; and since the logarithm's mean is below that of its argument, it is exp(-v / (4 n)) on average:
    f* and b*. Where an activation has a size of its own, as tanh has, the signal is pulled back to it, and f* is 1.

    References
    ----------
    Glorot and Bengio 2010, section 4.2.1, and He et al. 2015, section 2.2, ask for both factors to be 1; Schoenholz
    et al. 2017, section 3, tell when they are; Hanin and Rolnick 2018, section 3, what the width does.

    Examples
    --------
    >>> import fastinit as fi
    >>> advice = fi.recommend(activation="relu", depth=20, width=64, batch=32,
    ...                       candidates=["xavier_normal", "he_normal", ("normal", {"std": 1.0})])
    >>> advice.best.label
    'he_normal'
    >>> [candidate.verdict for candidate in advice]
    ['healthy', 'vanishing', 'exploding']
    >>> fi.init(advice, (64, 64), seed=0).std().round(2)
    np.float32(0.18)
    """
    phi = get_activation(activation)
    _check_arguments(arguments, phi)
    seeds = _seeds(seed)
    named = None if candidates is None else chosen(candidates, phi, arguments)
    settings = dict(
        activation=activation,
        depth=depth,
        width=width,
        batch=batch,
        bias=bias,
        sigma_b=sigma_b,
        backward=True,
        **arguments,
    )
    first = resolve(settings | {"seed": seeds[0]})  # checks everything but the candidates
    if first.depth < 2:
        raise ValueError(f"argument 'depth' must be an integer >= 2 to have factors a layer, got {first.depth}")
    tried = named or sensible(phi, first)
    networks = [[resolve(settings | {"scheme": s, "seed": one}) for one in seeds] for s in tried]
    best = _at_best(first)
    rated = [_rate(s, [measure(n) for n in of_s], best) for s, of_s in zip(tried, networks, strict=True)]
    groups = _alike(rated, first)
    ranked = [candidate for group in groups for candidate in group]
    why = _why(groups, networks[rated.index(ranked[0])][0], len(seeds), best)
    return Recommendation(phi.name, first.widths, seeds, best, tuple(ranked), why)


def _check_arguments(arguments: dict[str, Any], phi: Activation) -> None:
    accepted = [word for word in ARGUMENTS if word not in _DECIDED] + [phi.parameter] * bool(phi.parameter)
    for word in arguments:
        if word in _DECIDED:
            raise TypeError(f"recommend() decides argument {shown(word)} itself; name schemes in 'candidates'")
        if word not in accepted:
            raise TypeError(f"recommend() has no argument {shown(word)}{nearest(word, map(str, accepted))}")


def _seeds(seed: Any) -> tuple[int, ...]:
    several = entries(seed, _MOST_SEEDS, Iterable)
    seeds = [seed] if several is None else several
    rule = f"argument 'seed' must be an integer in [0, 2**64), or from 1 to {_MOST_SEEDS} of them, got {shown(seed)}"
    if not 0 < len(seeds) <= _MOST_SEEDS:
        raise ValueError(rule)
    try:
        return tuple(check_integer("seed", one, minimum=0, maximum=(1 << 64) - 1) for one in seeds)
    except (TypeError, ValueError) as error:
        raise type(error)(rule) from None


def _at_best(network: Network) -> tuple[float, float]:
    """Return the factors a layer that right weights reach in layers of these widths, by the formula in the notes."""
    if not network.plain or network.conv:
        return 1.0, 1.0
    signal, gradient = (0.0 if math.isnan(v) else drift(v, network.widths) for v in _variances(network, 1.0))
    return math.exp(signal) if homogeneous(network) else 1.0, math.exp(gradient)


def _variances(network: Network, q: float) -> tuple[float, float]:
    """Return v of the signal and of the gradient; one activation is recommended for."""
    return variances(network.layers[0].phi, network.layers[0].parameter, q)


def _rate(scheme: Scheme, results: list[ProbeResult], best: tuple[float, float]) -> Candidate:
    with np.errstate(all="ignore"):
        logs = np.log([_factors(result) for result in results])
        scores = np.abs(logs - np.log(best)).sum(axis=1)
        mean = logs.mean(axis=0)
        score = float(np.abs(mean - np.log(best)).sum())
        spread = float(scores.std(ddof=1)) if len(results) > 1 else math.nan
        forward, backward = (float(x) for x in np.exp(mean))
    worst = max(results, key=lambda result: _severity(result.verdict))
    return Candidate(
        scheme,
        forward,
        backward,
        score if math.isfinite(score) else math.inf,
        spread,
        worst.verdict,
        worst.reason,
        tuple(results),
    )


def _factors(result: ProbeResult) -> tuple[float, float]:
    steps = result.depth - 1
    norms = gradient_norms(result.gradient_std.tolist(), result)
    with np.errstate(all="ignore"):
        size = np.hypot(result.mean, result.std)  # the root mean square
        forward = (size[-1] / size[0]) ** (1.0 / steps)
        backward = (np.float64(norms[0]) / norms[-1]) ** (1.0 / steps)
    if result.nonfinite.any():  # the figures are over what is left, and that is no measure of the signal
        forward = math.inf
    return float(forward), float(backward)


def _severity(verdict: str) -> int:
    return {"healthy": 0, "fading": 1, "growing": 1}.get(verdict, 2)


def _alike(rated: list[Candidate], network: Network) -> list[list[Candidate]]:
    """Return the candidates from the best to the worst, those that differ by chance alone together."""
    groups: dict[Any, list[Candidate]] = {}
    for candidate in rated:
        groups.setdefault(moments(candidate.scheme, network), []).append(candidate)

    def order(group: list[Candidate]) -> tuple[int, float]:
        return min(_severity(c.verdict) for c in group), sum(c.score for c in group) / len(group)

    def within(candidate: Candidate) -> tuple[int, int]:
        return _severity(candidate.verdict), by_name(candidate.scheme, network.layers[0].phi)

    return [sorted(group, key=within) for group in sorted(groups.values(), key=order)]


def _label(scheme: Scheme) -> str:
    defaults = get_scheme(scheme.name).params
    own = {k: v for k, v in scheme.params.items() if v != defaults[k]}
    words = ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in own.items())
    return f"{scheme.name}({words})" if words else scheme.name


def _size(widths: Sequence[int]) -> str:
    square = len(set(widths)) == 1
    return f"{len(widths) - 1} x {widths[0]}" if square else "-".join(map(str, widths))


def _why(groups: list[list[Candidate]], network: Network, seeds: int, best: tuple[float, float]) -> str:
    first = groups[0][0]
    if first.verdict == "healthy":
        start = f"{first.label} keeps the signal best"
    else:
        start = (
            f"No candidate keeps the signal through {network.depth} layers; {first.label} comes nearest "
            f"({first.verdict})"
        )
    kept = (
        f"{start}: a layer multiplies the activations by {first.forward:.3f} and the gradient by {first.backward:.3f}"
    )
    said = kept, _theory(network), _width(network, best), _chance(groups, network, seeds)
    return ". ".join(filter(None, said)) + "."


def _theory(network: Network) -> str:
    """Say what mean-field theory says of a plain stack with one sigma_w for all layers and centred biases."""
    sigma_w = network.sigma_w()
    same = network.bias == "zeros" and not isinstance(network.sigma_b, tuple)
    if not network.plain or not same or np.ptp(sigma_w) > 1e-9 * sigma_w[0]:
        return ""
    layer = network.layers[0]
    parameter = layer.parameter if layer.phi.parameter else None
    point = fixed_point(layer.phi, sigma_w=float(sigma_w[0]), sigma_b=layer.sigma_b, param=parameter)
    if point.q == math.inf:
        phase = "unstable: the signal grows from layer to layer"
    elif abs(point.chi1 - 1.0) < CRITICAL:
        phase = "the edge of chaos, where signal and gradient reach deepest"
    elif point.chi1 < 1.0:
        phase = "ordered: in the long run inputs become alike and gradients shrink"
    else:
        phase = "chaotic: in the long run near inputs part and gradients grow"
    return f"In theory its sigma_w = {sigma_w[0]:.4g} has q* = {point.q:.3g} and chi_1 = {point.chi1:.4g}, {phase}"


def _width(network: Network, best: tuple[float, float]) -> str:
    """Say what no scheme can change: the drift that comes with the width."""
    whole = best[1] ** network.depth
    if whole > _NOTED:
        return ""
    v = max(_variances(network, 1.0))
    units = 1.0 / float(np.mean(1.0 / np.array(network.widths[1:])))
    return (
        f"In layers of {units:.3g} units chance alone takes a factor of exp(-{v:.3g}/(4 n)) = {best[1]:.4f} a layer, "
        f"{whole:.2g} over all {network.depth}: that is the width's, and no scheme changes it"
    )


def _chance(groups: list[list[Candidate]], network: Network, seeds: int) -> str:
    """Say how much of a factor is chance, and who else could have won."""
    first, alike = groups[0][0], [c.label for c in groups[0][1:]]
    v, _ = _variances(network, float(first.results[0].q[-1]))
    moved = noise(v, network.widths, network.depth - 1) / math.sqrt(seeds)
    if not (network.plain and math.isfinite(moved)):
        return ""
    # A difference of two scores holds four such factors.
    rivals = (group[0] for group in groups[1:] if group[0].verdict == first.verdict)
    near = [*alike, *(rival.label for rival in rivals if rival.score - first.score < 2.0 * moved)]
    told = f", so that another seed may prefer {_listed(near)}" if near else ""
    size = f"{network.depth} layers on {min(network.widths)} units"
    mean = f" in the mean of {seeds} seeds" if seeds > 1 else ""
    return f"With {size} chance moves a factor by about {100 * moved:.2g} %{mean}{told}"


def _listed(labels: list[str]) -> str:
    if len(labels) > 3:
        return f"{', '.join(labels[:2])} or one of {len(labels) - 2} more"
    return " or ".join(filter(None, (", ".join(labels[:-1]), labels[-1])))
