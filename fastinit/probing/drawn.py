"""The plots that results have as methods: each takes Matplotlib's axes or makes some, and returns them.

None uses pyplot, none opens a window: `result.plot_signal().figure.savefig("signal.svg")` works where there is no
screen, and in threads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from fastinit_kernels.machine.forks import whole

from ..words import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class _Drawn:
    """What the results of all networks show.

    Every plot takes `ax`, Matplotlib's axes to draw on (None: those of a new figure), and `layers`: about how many
    layers to show, evenly chosen, or a list of them; None: all that there is room for. It raises ImportError where
    Matplotlib is not installed, and ValueError or TypeError for layers that the network does not have.
    """

    def plot_histograms(self, ax: Axes | None = None, *, layers: Any = None) -> Axes:
        """Draw the layers' histograms above each other over one axis; at most twelve layers.

        Where the layers' sizes differ by more than a factor of thirty, the axis is linear around 0 and logarithmic
        beyond.
        """
        with whole:
            from ..showing.plots import plot_histograms

        return plot_histograms(self, ax, layers)

    def plot_shares(self, ax: Axes | None = None, *, layers: Any = None) -> Axes:
        """Draw the saturated, zero and dead shares against depth, in per cent."""
        with whole:
            from ..showing.plots import plot_shares

        return plot_shares(self, ax, layers)

    def plot_figure(self, figure: str, ax: Axes | None = None, *, layers: Any = None) -> Axes:
        """Draw any figure, by its name, against depth: sizes on a logarithmic axis, shares in per cent."""
        with whole:
            from ..showing.plots import plot_figure

        return plot_figure(self, figure, ax, layers)


class DrawnProbe(_Drawn):
    """The plots of a `ProbeResult`."""

    def plot(self, path: str | os.PathLike[str], *, layers: Any = None) -> None:
        """Draw the layers' histograms, signal, gradient, shares and correlation into a PNG, SVG or PDF file.

        Parameters
        ----------
        path
            File to write; its suffix is the format, PNG without one.
        layers
            Whose histograms: about so many layers, evenly chosen, or a list of them; None: at most ten.

        Raises
        ------
        ValueError, TypeError
            The path ends in something else, or the network has no such layers.
        ImportError
            Matplotlib is not installed.
        """
        with whole:
            from ..showing.pages import probe_page

        probe_page(cast(Any, self), path, layers)

    def plot_signal(self, ax: Axes | None = None, *, layers: Any = None) -> Axes:
        """Draw the std of pre-activations and activations against depth, with what theory predicts."""
        with whole:
            from ..showing.plots import plot_signal

        return plot_signal(self, ax, layers)

    def plot_gradient(self, ax: Axes | None = None, *, layers: Any = None) -> Axes:
        """Draw the std of dL/dz and dL/dW against depth."""
        with whole:
            from ..showing.plots import plot_gradient

        return plot_gradient(self, ax, layers)

    def plot_correlation(self, ax: Axes | None = None, *, layers: Any = None) -> Axes:
        """Draw the correlation of two inputs against depth, with what theory predicts."""
        with whole:
            from ..showing.plots import plot_correlation

        return plot_correlation(self, ax, layers)

    def plot_correlation_map(self, ax: Axes | None = None, *, layers: Any = None) -> Axes:
        """Draw a layer's correlation of two inputs against that of the layer before, with theory's map."""
        with whole:
            from ..showing.plots import plot_correlation_map

        return plot_correlation_map(self, ax, layers)


class DrawnModule(_Drawn):
    """The plots of a `ModuleResult`."""

    def plot(self, path: str | os.PathLike[str], *, layers: Any = None) -> None:
        """Draw the layers' histograms, signal, gradient, shares and weights into a PNG, SVG or PDF file.

        `layers`: whose histograms, about so many, evenly chosen, or a list; None: at most fifteen.
        """
        with whole:
            from ..showing.module_plots import module_page

        module_page(cast(Any, self), path, layers)

    def plot_signal(self, ax: Axes | None = None, *, layers: Any = None) -> Axes:
        """Draw the std of the outputs against depth."""
        with whole:
            from ..showing.module_plots import plot_module_signal

        return plot_module_signal(cast(Any, self), ax, layers)

    def plot_gradient(self, ax: Axes | None = None, *, layers: Any = None) -> Axes:
        """Draw the std of the gradients against depth."""
        with whole:
            from ..showing.module_plots import plot_module_gradient

        return plot_module_gradient(cast(Any, self), ax, layers)

    def plot_weights(self, ax: Axes | None = None, *, layers: Any = None) -> Axes:
        """Draw the rms of the weights times sqrt(fan_in), mean-field theory's sigma_w, against depth."""
        with whole:
            from ..showing.module_plots import plot_module_weights

        return plot_module_weights(cast(Any, self), ax, layers)


class DrawnSweep:
    """The pictures of a `SweepResult`."""

    def plot(
        self,
        path: str | os.PathLike[str],
        *,
        figure: str = "std",
        x: str | None = None,
        y: str | None = None,
        layer: int = -1,
    ) -> None:
        """Draw a heat map of one figure over two arguments, with the line chi = 1.

        The line is there only if chi passes through 1 between cells that are further from it than by chance: over
        depth and width alone it does not.

        Parameters
        ----------
        path
            File to write; its suffix (.png, .svg, .pdf) is the format.
        figure
            The figure to show, in each network's layer `layer` (-1: the last).
        x, y
            Arguments along the axes; None: the first with several numbers. Over seeds the median is taken; any other
            argument with several values gets panels of its own.
        layer
            Which layer; negative ones count from each network's last.
        """
        with whole:
            from ..showing.heatmap import plot_sweep

        plot_sweep(cast(Any, self), path, figure=figure, x=x, y=y, layer=layer)

    def plot_map(
        self,
        ax: Axes | None = None,
        *,
        figure: str = "std",
        x: str | None = None,
        y: str | None = None,
        layer: int = -1,
        where: Mapping[str, Any] | None = None,
    ) -> Axes:
        """Draw one heat map on Matplotlib's axes, or on those of a new figure, and return them.

        Parameters
        ----------
        ax
            Axes to draw on; None: those of a new figure.
        figure, x, y, layer
            As of `plot`.
        where
            Argument -> its value, of each further argument with several values.
        """
        with whole:
            from ..showing.heatmap import plot_map

        return plot_map(cast(Any, self), ax, (figure, x, y, layer), _mapping(where))

    def plot_lines(
        self,
        ax: Axes | None = None,
        *,
        figure: str = "std",
        layers: Any = None,
        where: Mapping[str, Any] | None = None,
    ) -> Axes:
        """Draw a figure against depth: the median over seeds within their range, a line for each other combination.

        Parameters
        ----------
        ax
            Axes to draw on; None: those of a new figure.
        figure
            Name of the figure.
        layers
            Show about this many layers, evenly chosen, or those of a list; None: all.
        where
            Argument -> its value, of arguments that shall not vary; at most 14 lines are drawn.
        """
        with whole:
            from ..showing.heatmap import plot_lines

        return plot_lines(cast(Any, self), ax, figure, layers, _mapping(where))


def _mapping(where: Any) -> Mapping[str, Any]:
    if where is None:
        return {}
    if not isinstance(where, Mapping):
        raise TypeError(f"argument 'where' must be a mapping of arguments to values, got {shown(where)}")
    return where
