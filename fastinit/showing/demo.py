"""The founding experiments: zero, constant, tiny, large, Xavier's and He's weights in deep networks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import probe
from ..probing.result import ProbeResult

BATCH = 1000
ACTIVATIONS = ("sigmoid", "tanh", "relu")
NETWORKS = ((5, 100), (50, 500))  # depth, width
# Label -> the arguments of `probe`. Xavier's and He's are drawn from the normal law, as in the articles.
SCHEMES: Mapping[str, Mapping[str, Any]] = {
    "zero": {"scheme": "zeros"},
    "constant 0.1": {"scheme": "constant", "value": 0.1},
    "N(0, 0.01²)": {"scheme": "normal", "std": 0.01},
    "N(0, 1)": {"scheme": "normal", "std": 1.0},
    "Xavier": {"scheme": "xavier_normal"},
    "He": {"scheme": "he_normal"},
}


@dataclass(frozen=True)
class Experiment:
    """One network of the founding articles."""

    label: str
    activation: str
    depth: int
    width: int
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def run(self, seed: int = 0) -> ProbeResult:
        """Probe the network."""
        return probe(
            activation=self.activation, depth=self.depth, width=self.width, batch=BATCH, seed=seed, **self.arguments
        )


EXPERIMENTS = tuple(
    Experiment(label, activation, depth, width, arguments)
    for depth, width in NETWORKS
    for activation in ACTIVATIONS
    for label, arguments in SCHEMES.items()
)

Results = Sequence[tuple[Experiment, ProbeResult]]


def picture_names() -> list[str]:
    """Return the names of the pictures."""
    sizes = [f"{depth}x{width}" for depth, width in NETWORKS]
    return [f"{kind}-{size}.png" for size in sizes for kind in (*(f"histograms-{a}" for a in ACTIVATIONS), "signal")]


def draw(results: Results, folder: Path) -> Iterator[Path]:
    """Write the pictures into `folder`, yielding their paths."""
    from .pages import histogram_grid, signal_page

    folder.mkdir(parents=True, exist_ok=True)
    for depth, width in NETWORKS:
        of_size = [pair for pair in results if (pair[0].depth, pair[0].width) == (depth, width)]
        groups = {
            name: {experiment.label: result for experiment, result in of_size if experiment.activation == name}
            for name in ACTIVATIONS
        }
        groups = {name: group for name, group in groups.items() if group}
        for name, group in groups.items():
            path = folder / f"histograms-{name}-{depth}x{width}.png"
            histogram_grid(group, path, title=f"Activations of {depth} {name} layers of {width} units")
            yield path
        if groups:
            path = folder / f"signal-{depth}x{width}.png"
            signal_page(groups, path, title=f"Signal and gradient through {depth} layers of {width} units")
            yield path
