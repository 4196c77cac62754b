"""Which axes of a weight are inputs, outputs and space, and how many connections a unit has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from .errors import check_integer
from .regions import Shape, ShapeLike, check_shape

# "io", "oi", one letter an axis such as "hwio", or (input axes, output axes[, batch axes]).
LayoutLike = str | tuple[int | tuple[int, ...], ...]


class Fans(NamedTuple):
    """Connections into and out of a unit."""

    fan_in: int
    fan_out: int


@dataclass(frozen=True)
class Layout:
    """The axes of a weight by role; an axis in none of the three is spatial (part of the receptive field)."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    batch: tuple[int, ...] = ()

    def fans(self, shape: Shape, groups: int = 1) -> Fans:
        """Return the fans of one group; each batch axis counts independent weights."""
        outputs = math.prod(shape[a] for a in self.outputs)
        if outputs % groups:
            raise ValueError(
                f"argument 'groups' must divide the {outputs} output channels of shape {shape}, got {groups}"
            )
        named = {*self.inputs, *self.outputs, *self.batch}
        field = math.prod(n for a, n in enumerate(shape) if a not in named)
        return Fans(math.prod(shape[a] for a in self.inputs) * field, outputs // groups * field)


def resolve_layout(layout: object, shape: Shape) -> Layout:
    """Return the axes that `layout` names in `shape`."""
    ndim = len(shape)
    if isinstance(layout, Layout):
        return layout
    if layout in ("io", "oi"):
        if ndim < 2:
            raise ValueError(
                "argument 'shape' must have at least 2 dimensions for its fans to be known "
                f"(or give fan_in= and fan_out=), got {shape}"
            )
        # The pair stands where each framework has it: last for x @ W, first for (out, in, …spatial).
        return Layout((ndim - 2,), (ndim - 1,)) if layout == "io" else Layout((1,), (0,))
    if isinstance(layout, str):
        return _from_letters(layout, ndim, shape)
    if isinstance(layout, tuple):
        return _from_axes(layout, ndim)
    raise TypeError(f"argument 'layout' must be 'io', 'oi', a letter for each axis or a tuple of axes, got {layout!r}")


def _from_letters(layout: str, ndim: int, shape: Shape) -> Layout:
    if len(layout) != ndim or not layout.isalpha():
        raise ValueError(
            f"argument 'layout' must be 'io', 'oi' or one letter for each of the {ndim} axes of shape {shape}, "
            f"got {layout!r}"
        )
    axes = {role: tuple(a for a, letter in enumerate(layout) if letter == role) for role in "iob"}
    if not axes["i"] and not axes["o"]:
        raise ValueError(f"argument 'layout' must name an input axis 'i' or an output axis 'o', got {layout!r}")
    return Layout(axes["i"], axes["o"], axes["b"])


def _from_axes(layout: tuple[object, ...], ndim: int) -> Layout:
    rule = f"(input axes, output axes[, batch axes]), different axes of {ndim}"
    if len(layout) not in (2, 3):
        raise ValueError(f"argument 'layout' must be {rule}, got {layout!r}")
    groups: list[tuple[int, ...]] = []
    for axes in layout:
        members = axes if isinstance(axes, tuple) else (axes,)
        if not all(isinstance(a, int) and not isinstance(a, bool) and -ndim <= a < ndim for a in members):
            raise ValueError(f"argument 'layout' must be {rule}, got {layout!r}")
        groups.append(tuple(int(a) % ndim for a in members))
    flat = [a for group in groups for a in group]
    if len(set(flat)) != len(flat):
        raise ValueError(f"argument 'layout' must be {rule}, got {layout!r}")
    return Layout(*groups)


def fans(shape: ShapeLike, *, layout: LayoutLike = "io", groups: int = 1) -> Fans:
    r"""Return the number of connections into and out of a unit.

    fan_in = inputs a group × receptive field, fan_out = outputs a group × receptive field.

    Parameters
    ----------
    shape
        The weight's global shape; at least 2-d unless `layout` names the axes.
    layout
        "io": (…spatial, in, out), as in x @ W, JAX and Keras. "oi": (out, in, …spatial), as in PyTorch and Caffe.
        Or one letter an axis: i = input, o = output, b = batch (independent weights, as of experts or of a Keras
        depthwise kernel's input axis), any other letter = spatial; for instance "hwio" or "bio". Or a tuple
        (input axes, output axes[, batch axes]), each an int or a tuple of ints.
    groups
        Number of groups of a grouped convolution, >= 1. As in every framework the input axis counts one group's
        channels and the output axis all of them, so fan_out is divided by `groups`.

    Returns
    -------
    Fans
        Named tuple (fan_in, fan_out) of ints.

    Raises
    ------
    ValueError, TypeError
        If the shape, layout or groups do not fit each other.

    Notes
    -----
    PyTorch and Caffe do not divide fan_out by the groups; this function gives the true number of connections.

    Examples
    --------
    >>> import fastinit as fi
    >>> fi.fans((784, 512))
    Fans(fan_in=784, fan_out=512)
    >>> fi.fans((64, 16, 3, 3), layout="oi", groups=2)
    Fans(fan_in=144, fan_out=288)
    >>> fi.fans((3, 3, 32, 1), layout="hwbo")
    Fans(fan_in=9, fan_out=9)
    """
    checked = check_shape(shape)
    return resolve_layout(layout, checked).fans(checked, check_integer("groups", groups, minimum=1))
