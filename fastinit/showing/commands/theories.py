"""The command that asks mean-field theory."""

from typing import Annotated, Any

import typer

from ...activations import ACTIVATIONS
from ...words import number
from ..tables import Table
from .answering import Answer, command
from .probes import GROUP

_FEW = 20


@command(GROUP, "fastinit theory tanh --sigma-w 1.5 --sigma-b 0.1 --depth 10", table=True)
def theory(
    activation: Annotated[str, typer.Argument(help=f"One of {', '.join(ACTIVATIONS)}.", show_default=False)],
    sigma_w: Annotated[float, typer.Option(help="Weights have variance sigma_w^2 / fan_in.")] = 1.0,
    sigma_b: Annotated[float, typer.Option(help="Standard deviation of the biases.")] = 0.0,
    depth: Annotated[int | None, typer.Option(help="Follow variance and correlation for so many layers.")] = None,
    q0: Annotated[float, typer.Option(help="Variance of the pre-activations that --depth starts from.")] = 1.0,
    c0: Annotated[float, typer.Option(help="Correlation of two inputs that --depth starts from.")] = 0.5,
    param: Annotated[float | None, typer.Option(help="Parameter of the activation.")] = None,
) -> Answer:
    """Tell what an infinitely wide network does to a signal: fixed point, chi_1, depth scales, edge of chaos."""
    from ... import theory as mean_field

    scales: dict[str, Any] = {"sigma_w": sigma_w, "sigma_b": sigma_b, "param": param}
    path = _followed(activation, scales, depth, q0, c0)
    point = mean_field.fixed_point(activation, **scales)
    depths = mean_field.depth_scales(activation, **scales)
    facts: dict[str, Any] = {
        "q*": point.q, "c*": point.c, "chi_1": point.chi1, "kind": point.kind, "xi_q": depths.xi_q, "xi_c": depths.xi_c,
    }  # fmt: skip
    try:
        edge = mean_field.edge_of_chaos(activation, param=param)
        facts |= {"edge sigma_w": edge.sigma_w, "edge sigma_b": edge.sigma_b}
    except ValueError:  # there is none
        facts |= {"edge sigma_w": None, "edge sigma_b": None}
    title = f"{activation}, sigma_w = {sigma_w:g}, sigma_b = {sigma_b:g}"
    told = Table(title, ("quantity", "value"), tuple((name, _written(value)) for name, value in facts.items()),
                 left=frozenset({"quantity"}))  # fmt: skip
    record = {"activation": activation, **scales, **{name.replace(" ", "_"): value for name, value in facts.items()}}
    if depth is None:
        return Answer(record, [told], [record])
    cells = tuple(tuple(_written(value) for value in row.values()) for row in _thinned(path))
    layers = Table("", ("layer", "q", "c"), cells)
    return Answer(record | {"layers": path}, [told, layers], path)


def _followed(activation: str, scales: dict[str, Any], depth: int | None, q0: float, c0: float) -> list[dict[str, Any]]:
    from ... import theory as mean_field

    if depth is None:
        return []
    start = scales | {"q0": q0, "depth": depth}
    pairs = zip(
        mean_field.variance_map(activation, **start),
        mean_field.correlation_map(activation, **start, c0=c0),
        strict=True,
    )
    return [{"layer": layer, "q": q, "c": c} for layer, (q, c) in enumerate(pairs, 1)]


def _thinned(path: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from ..tables import choose

    return [path[index] for index in choose(len(path), _FEW)]


def _written(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else number(value, 4)
