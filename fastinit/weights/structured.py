"""Laws of weights that belong together: sparse connections, weights that sum to 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, cast

import numpy as np
from fastinit_kernels.machine.forks import whole
from numpy.typing import NDArray

from ..words import check_finite, check_integer, number, shown
from .dtypes import compute_type
from .laws import Normal, Tensor, Uniform
from .regions import Region, flat_view, parts, within
from .sampled import layout_of
from .streams import philox_key

# Elements drawn at a time where a temporary is needed.
_AT_A_TIME = 1 << 20


def _split_axes(tensor: Tensor) -> tuple[list[int], list[int]]:
    """Return (axes that number the neurons, axes that number a neuron's incoming connections)."""
    layout = layout_of(tensor)
    neurons = sorted((*layout.outputs, *layout.batch))
    return neurons, [a for a in range(len(tensor.shape)) if a not in neurons]


def _check_fan_in(tensor: Tensor, fan_in: float) -> None:
    """Refuse a fan_in that is not the number of weights which the layout gives a neuron."""
    incoming = math.prod(tensor.shape[a] for a in _split_axes(tensor)[1])
    if incoming != fan_in:
        raise ValueError(
            f"argument 'fan_in' must be the layout's {incoming} for a scheme of whole neurons, got {shown(fan_in)}"
        )


@dataclass(frozen=True)
class Sparse:
    """Each neuron keeps exactly `nonzeros` incoming connections, N(0, std²); the others are 0."""

    nonzeros: int
    std: float
    fan_in: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "nonzeros", check_integer("nonzeros", self.nonzeros, minimum=0))
        if self.nonzeros > self.fan_in:
            raise ValueError(f"argument 'nonzeros' must be at most fan_in = {shown(self.fan_in)}, got {self.nonzeros}")
        if self.fan_in >= 1 << 32:
            raise ValueError(f"argument 'shape' must have fan_in < 2**32 for a sparse scheme, got {shown(self.fan_in)}")
        object.__setattr__(self, "std", check_finite("std", self.std, minimum=0))

    @property
    def expectation(self) -> float:
        """Mean of an element: 0."""
        return 0.0

    @property
    def variance(self) -> float:
        """Variance of an element, over kept and dropped connections."""
        return self.std * self.std * self.nonzeros / max(1, self.fan_in)

    @property
    def _kept(self) -> Normal:
        return Normal(0.0, self.std)

    def check(self, tensor: Tensor) -> None:
        """Refuse a std that the type of the computation cannot hold, and a fan_in that is not the layout's."""
        self._kept.check(tensor)
        _check_fan_in(tensor, self.fan_in)

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Write zeros, then the kept connections that lie in the region."""
        with whole:
            from fastinit_kernels.fill.draw import stored_type
            from fastinit_kernels.fill.sparse import Axes, Keys, sparse

        out[...] = 0
        if not out.size or not self.nonzeros:
            return
        view = flat_view(out.view(stored_type(tensor.dtype)))
        if view is None:
            beside = np.empty(out.shape, out.dtype)
            self.fill(tensor, region, beside)
            out[...] = beside
            return
        flat, strides, offset = view
        rows = [(*region[a], size, math.prod(tensor.shape[a + 1 :]), strides[a]) for a, size in enumerate(tensor.shape)]
        neurons, connections = _split_axes(tensor)
        count = math.prod(region[a][1] for a in neurons)
        sparse(
            tensor.dtype,
            flat,
            Axes(np.array([rows[a] for a in neurons], np.int64).reshape(-1, 5), count, offset),
            Axes(np.array([rows[a] for a in connections], np.int64).reshape(-1, 5), count),
            self.nonzeros,
            self.fan_in,
            Keys(philox_key(tensor.seed, tensor.name), philox_key(tensor.seed, tensor.name, "positions")),
            self._kept.recipe(tensor.dtype).parameters,
        )


@dataclass(frozen=True)
class Kept:
    """N(mean, std²), each element kept with the probability `sparse` / outputs and else 0, independently."""

    mean: float
    std: float
    sparse: int
    outputs: float
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "sparse", check_integer("sparse", self.sparse, minimum=0))
        if self.sparse > max(1, self.outputs):
            outputs = number(self.outputs, 4)
            raise ValueError(f"argument 'sparse' must be at most the {outputs} outputs, got {shown(self.sparse)}")
        values = Normal(self.mean, self.std)
        object.__setattr__(self, "mean", values.mean)
        object.__setattr__(self, "std", values.std)

    @property
    def _share(self) -> float:
        return self.sparse / max(1, self.outputs)

    @property
    def expectation(self) -> float:
        """Mean of an element, over kept and dropped ones."""
        return self.mean * self._share

    @property
    def variance(self) -> float:
        """Variance of an element, over kept and dropped ones."""
        return self._share * (self.std**2 + self.mean**2 * (1.0 - self._share))

    def check(self, tensor: Tensor) -> None:
        """Refuse numbers that the dtype cannot hold."""
        Normal(self.mean, self.std).check(tensor)

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Draw the region, then write zeros where a word of another stream says so."""
        Normal(self.mean, self.std).fill(tensor, region, out)
        words = Tensor(tensor.shape, "float64", tensor.seed, f"{tensor.name}\0keep")
        for part in parts(region, _AT_A_TIME):
            u = np.empty([n for _, n in part])
            Uniform(0.0, 1.0).fill(words, part, u)
            out[within(part, region)][u >= self._share] = 0


def sparse_share(sparsity: float | None, density: float | None, std: float | None, fan_in: float) -> Sparse:
    """Return the law that keeps a share of fan_in: all but ceil(sparsity·fan_in), or int(density·fan_in)."""
    kept = fan_in - math.ceil(sparsity * fan_in) if sparsity is not None else int((density or 0.0) * fan_in)
    return sparse_count(math.floor(kept), std, fan_in)


def sparse_count(kept: int, std: float | None, fan_in: float) -> Sparse:
    """Return the law that keeps so many; their std defaults to 1/sqrt(kept)."""
    return Sparse(kept, 1.0 / math.sqrt(max(1, kept)) if std is None else std, cast(int, fan_in))


@dataclass(frozen=True)
class PositiveUnitBall:
    """U(0, 1), each neuron's incoming weights divided by their sum."""

    fan_in: int

    @property
    def expectation(self) -> float:
        """Mean of an element."""
        return 1.0 / max(1, self.fan_in)

    @property
    def variance(self) -> float:
        """Variance of an element."""
        return _share_variance(max(1, self.fan_in))

    def check(self, tensor: Tensor) -> None:
        """Refuse sums that could not be exact, and a fan_in that is not the layout's."""
        _check_fan_in(tensor, self.fan_in)
        if self.fan_in > 1 << 24:
            raise ValueError(
                f"argument 'shape' must have fan_in <= 2**24 for positive_unitball, got {shown(self.fan_in)}"
            )

    def fill(self, tensor: Tensor, region: Region, out: NDArray[Any]) -> None:
        """Add up each neuron's incoming weights, wherever they lie, then draw the region and divide."""
        if not out.size:
            return
        kind = compute_type(tensor.dtype)
        neurons, connections = _split_axes(tensor)
        incoming = tuple(region[a] if a in neurons else (0, size) for a, size in enumerate(tensor.shape))
        sums = np.zeros([region[a][1] if a in neurons else 1 for a in range(len(region))])
        rests = np.zeros_like(sums)
        for part in parts(incoming, _AT_A_TIME):
            u = self._uniform(tensor, part).astype(np.float64)
            here = tuple(
                slice(start - region[a][0], start - region[a][0] + n) if a in neurons else slice(None)
                for a, (start, n) in enumerate(part)
            )
            # u is a multiple of 2^-54 below 1: cut at 2^-26, both sums are exact in float64, whatever their order.
            head = np.floor(u * 2.0**26) * 2.0**-26
            sums[here] += head.sum(tuple(connections), keepdims=True)
            rests[here] += (u - head).sum(tuple(connections), keepdims=True)
        total = (sums + rests).astype(kind)
        for part in parts(region, _AT_A_TIME):
            here = tuple(slice(start - r[0], start - r[0] + n) for (start, n), r in zip(part, region, strict=True))
            divisor = total[tuple(s if a in neurons else slice(None) for a, s in enumerate(here))]
            out[here] = self._uniform(tensor, part) / divisor

    @staticmethod
    def _uniform(tensor: Tensor, region: Region) -> NDArray[Any]:
        kind = compute_type(tensor.dtype)
        drawn = np.empty([n for _, n in region], kind)
        exact = Tensor(tensor.shape, np.dtype(kind).name, tensor.seed, tensor.name)
        Uniform(0.0, 1.0).fill(exact, region, drawn)
        # In place of 0 the middle of the first cell: a neuron whose weights were all 0 could not be scaled to 1.
        return np.maximum(drawn, kind(np.finfo(kind).eps / 4), out=drawn)


@lru_cache(maxsize=256)
def _share_variance(n: int) -> float:
    r"""Return the variance of u_1 / (u_1 + … + u_n), u from U(0, 1).

    As 1/S^2 is the integral of t exp(-t S) over t > 0, the second moment is that of t A(t) M(t)^(n-1), with M(t) =
    (1 - e^-t) / t the mean of exp(-t u) and A(t) = M''(t) that of u^2 exp(-t u).
    """
    if n == 1:
        return 0.0
    # t = x / n: the integrand then falls like exp(-x / 2), of few neurons like a power of x.
    nodes, weights = np.polynomial.legendre.leggauss(64)
    edges = np.concatenate([[0.0], np.geomspace(1e-2, 1e9, 200)])
    half = np.diff(edges)[:, None] / 2
    t = (edges[:-1, None] + half * (1 + nodes)) / n
    mean = -np.expm1(-t) / t
    # The closed form cancels near 0, where the series does not.
    series = sum(np.float64(-1) ** k * t**k / (math.factorial(k) * (k + 3)) for k in range(20))
    with np.errstate(over="ignore"):
        closed = (2 - np.exp(-t) * (t * t + 2 * t + 2)) / t**3
    second = np.where(t < 1, series, closed)
    moment = float(np.sum(weights * half / n * t * second * np.exp((n - 1) * np.log(mean))))
    return moment - (1.0 / n) ** 2
