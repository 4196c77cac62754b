"""Which axes of a weight are inputs, outputs and space, and how many connections a unit has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple, SupportsIndex

from ..words import check_finite, check_flag, check_integer, entries, plain_number, plain_string, shown
from .regions import MOST_AXES, Shape, ShapeLike, check_shape

# "io", "oi", one letter an axis such as "hwio", or (input axes, output axes[, batch axes]).
LayoutLike = str | Sequence[SupportsIndex | Sequence[SupportsIndex]]
StrideLike = SupportsIndex | Sequence[SupportsIndex]

_PAIRS = ("io", "oi")
_INPUTS, _OUTPUTS, _BATCH, _SPACE = "i", "o", "begln", "dhkstwxyz"
# Capitals, too, and digits for space, as the convolutions of JAX and XLA are written; but there an L is a length.
_LETTERS = {*(_INPUTS + _OUTPUTS + _BATCH + _SPACE), *(_INPUTS + _OUTPUTS + _BATCH + _SPACE).upper(), *"0123456789"}
_LETTERS -= {"L"}


class Fans(NamedTuple):
    """Connections into and out of a unit, on average: ints, or floats where a stride leaves fractions."""

    fan_in: int | float
    fan_out: int | float


@dataclass(frozen=True)
class Layout:
    """The axes of a weight by role; an axis in none of the three is spatial (part of the receptive field)."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    batch: tuple[int, ...] = ()
    written: object = field(default="", compare=False, repr=False)
    # Of a weight that is taken for matrices side by side; else the wiring has them.
    groups: int = 1
    transposed: bool = False

    def space(self, shape: Shape) -> tuple[int, ...]:
        """Return the spatial axes."""
        named = {*self.inputs, *self.outputs, *self.batch}
        return tuple(a for a in range(len(shape)) if a not in named)

    def of_roles(self, shape: Shape, roles: Sequence[str]) -> tuple[int, ...]:
        """Return the axes that have one of these roles: "inputs", "outputs", "batch" or "space"."""
        found = [self.space(shape) if role == "space" else getattr(self, role) for role in roles]
        return tuple(sorted(a for axes in found for a in axes))

    def grouped(self, shape: Shape) -> tuple[int, ...]:
        """Return the axes that count the channels of all groups; the other channel axes count one group's.

        In every framework those are the outer ones: (out, in/groups, k, k), (k, k, in/groups, out), and of a
        transposed convolution (in, out/groups, k, k).
        """
        own = [a for a in range(len(shape)) if a not in self.batch]
        outer = {own[0], own[-1]}
        outside = outer & {*self.inputs} and not outer & {*self.outputs}
        return self.outputs if self.outputs and not outside else self.inputs


class Wiring(NamedTuple):
    """How a layer connects units through its weight: everything that the fans follow from but the shape."""

    layout: str | Layout
    groups: int
    stride: int | tuple[int, ...]
    transposed: bool

    def fans(
        self, shape: Shape, needs: Sequence[str], fan_in: int | float | None = None, fan_out: int | float | None = None
    ) -> Fans:
        """Return the fans that are given, and of the others those needed; what nobody needs is NaN."""
        given = {"fan_in": fan_in, "fan_out": fan_out}
        counted = {fan: self.fan(fan, shape) for fan in needs if given[fan] is None}
        return Fans(*(counted.get(fan, math.nan) if number is None else number for fan, number in given.items()))

    def fan(self, wanted: str, shape: Shape) -> int | float:
        """Return "fan_in" or "fan_out" of one group; each batch axis counts independent weights."""
        layout, incoming = self.resolve(shape, wanted), wanted == "fan_in"
        channels, space = layout.inputs if incoming else layout.outputs, layout.space(shape)
        if not (channels or space):
            role = "input axis 'i'" if incoming else "output axis 'o'"
            raise ValueError(
                f"argument 'layout' must name an {role} for {wanted} to be known, got {shown(layout.written)}; "
                f"give {_instead(wanted)}"
            )
        self._check_groups(layout, shape)
        steps = self._steps(layout, shape)
        # A convolution hands each input on to one in `steps` positions; the transposed one collects from as many.
        skipped = steps if incoming == self.transposed else 1
        split = self.groups if channels == layout.grouped(shape) else 1
        count = math.prod(shape[a] for a in (*channels, *space)) // split
        return count / skipped if count % skipped else count // skipped

    def resolve(self, shape: Shape, wanted: str = "fan_in") -> Layout:
        """Return the axes by role, those of the pairs "io" and "oi" by where each framework has them."""
        layout, ndim = self.layout, len(shape)
        if isinstance(layout, Layout):
            return layout
        if self.transposed:
            raise ValueError(
                "argument 'layout' must name each axis of a transposed convolution (frameworks differ: 'iohw' in "
                f"PyTorch, 'hwoi' in Keras, 'hwio' in Flax), got {shown(layout)}"
            )
        if ndim < 2:
            raise ValueError(
                f"argument 'shape' must have at least 2 dimensions for its {wanted} to be known, got {shown(shape)}; "
                f"give {_instead(wanted)}"
            )
        # Last for x @ W, first for (out, in, …spatial).
        return Layout((ndim - 2,), (ndim - 1,)) if layout == "io" else Layout((1,), (0,))

    def neurons(self, shape: Shape) -> Layout:
        """Return the layout for a scheme that looks at a neuron's weights together; refuse neurons that share them."""
        layout = self.resolve(shape)
        whole = "for a scheme of whole neurons"
        if self.transposed and self._steps(layout, shape) > 1:
            raise ValueError(
                f"argument 'stride' must be 1 {whole} in a transposed convolution, got {shown(self.stride)}"
            )
        if self.groups > 1 and layout.grouped(shape) == layout.inputs:
            raise ValueError(
                f"argument 'groups' must be 1 {whole} where the input axis counts all groups, got {shown(self.groups)}"
            )
        return layout

    def matrices(self, shape: Shape) -> Layout:
        """Return the layout for a scheme of whole matrices: one a group, and one an index of the batch axes."""
        if len(shape) < 2 and not isinstance(self.layout, Layout):
            raise ValueError(
                f"argument 'shape' must have at least 2 dimensions for a scheme of whole matrices, got {shown(shape)}"
            )
        layout = self.resolve(shape)
        self._check_groups(layout, shape)
        self._steps(layout, shape)
        return replace(layout, groups=self.groups, transposed=self.transposed)

    def _check_groups(self, layout: Layout, shape: Shape) -> None:
        if self.groups == 1:
            return
        lettered = isinstance(layout.written, str) and "g" in layout.written.lower()
        if lettered or (layout.batch and not (layout.inputs and layout.outputs)):
            raise ValueError(
                "argument 'groups' must be 1 where an axis of its own numbers the groups, as in layout "
                f"{shown(layout.written)}, got {shown(self.groups)}"
            )
        axes = layout.grouped(shape)
        channels = math.prod(shape[a] for a in axes)
        if channels % self.groups:
            kind, others = ("input", layout.outputs) if axes == layout.inputs else ("output", layout.inputs)
            depthwise = layout.space(shape) and math.prod(shape[a] for a in others) == self.groups
            hint = "; a depthwise kernel (…, in, multiplier) is layout 'hwbo' or 'kbo', without groups"
            raise ValueError(
                f"argument 'groups' must divide the {channels} {kind} channels of shape {shown(shape)}, "
                f"got {shown(self.groups)}{hint if depthwise else ''}"
            )

    def _steps(self, layout: Layout, shape: Shape) -> int:
        """Return the positions of the finer grid to one of the coarser."""
        axes = len(layout.space(shape))
        strides = (self.stride,) * axes if isinstance(self.stride, int) else self.stride
        if len(strides) != axes or (not axes and self.stride not in (1, ())):
            raise ValueError(
                f"argument 'stride' must be 1 or one integer for each of the {axes} spatial axes of shape "
                f"{shown(shape)}, got {shown(self.stride)}"
            )
        steps = math.prod(strides)
        if steps >= 1 << 63:
            raise ValueError(f"argument 'stride' must have a product < 2**63, got {shown(self.stride)}")
        return steps


def check_wiring(layout: object, shape: Shape, groups: object, stride: object, transposed: object) -> Wiring:
    """Return a layer's wiring, each argument checked by itself."""
    plain = type(layout) is str and type(groups) is int and type(stride) is int and type(transposed) is bool
    return (_cached_wiring if plain else _wiring)(layout, shape, groups, stride, transposed)


def _wiring(layout: object, shape: Shape, groups: object, stride: object, transposed: object) -> Wiring:
    return Wiring(
        layout=_check_layout(layout, shape),
        groups=check_integer("groups", groups, minimum=1),
        stride=_check_stride(stride),
        transposed=check_flag("transposed", transposed),
    )


_cached_wiring = lru_cache(maxsize=1024)(_wiring)


def check_fan(argument: str, value: object) -> int | float:
    """Return a fan that the caller knows: a number > 0."""
    number = check_finite(argument, value, above=0)
    plain = plain_number(value)
    return plain if isinstance(plain, int) else int(number) if number.is_integer() else number


def fans(
    shape: ShapeLike,
    *,
    layout: LayoutLike = "io",
    groups: int = 1,
    stride: StrideLike = 1,
    transposed: bool = False,
) -> Fans:
    r"""Return the number of connections into and out of a unit.

    fan_in = inputs a group × receptive field, fan_out = outputs a group × receptive field / steps, where steps is the
    product of the strides; in a transposed convolution it divides fan_in instead.

    Parameters
    ----------
    shape
        The weight's global shape; at least 2-d unless `layout` names the axes.
    layout
        "io": (…spatial, in, out), as in x @ W, JAX and Keras. "oi": (out, in, …spatial), as in PyTorch and Caffe.
        Or one letter an axis: i = input, o = output; b, e, g, l, n = independent weights (batch, experts, groups,
        layers stacked for a scan, a Keras depthwise kernel's channels); h, w, k, s, t, x, y, z, a digit and, beside h
        and w, d = space; for instance "hwio", "eio", "iio". A letter may stand for several axes. Or a tuple or list
        (input axes, output axes[, batch axes]), each an int or several. A 3-d weight under "io" is the kernel of a
        1-d convolution; experts and layers are "eio" and "lio".
    groups
        Number of groups of a grouped convolution, or of matrices packed side by side, >= 1. The outer channel axis, at
        one end of the weight, counts the channels of all groups and the other one group's, as in every framework:
        (out, in/groups, k, k), (k, k, in/groups, out), and of a transposed convolution (in, out/groups, k, k). Where
        both are at an end it is the output axis.
    stride
        An integer >= 1, or one a spatial axis. Of k² weights a strided convolution uses k²/stride² for one input, on
        average; fans may be fractions. Dilation and padding change nothing in the interior of an image.
    transposed
        Whether the layer is a transposed convolution, which spreads each input over stride² outputs. Its layout must
        name each axis, "iohw" (PyTorch), "hwoi" (Keras) or "hwio" (Flax): i is always what the layer reads.

    Returns
    -------
    Fans
        Named tuple (fan_in, fan_out): ints, and floats where they are no integers.

    Raises
    ------
    ValueError, TypeError
        If the shape, layout, groups or stride do not fit each other. A layout without input axis has no fan_in: a
        bias takes that of its weight, by `fan_in=` of `init`.

    Notes
    -----
    PyTorch and Caffe do not divide fan_out by the groups, PyTorch takes fan_in for fan_out in transposed convolutions,
    and none of them knows the stride; this function gives the true number of connections. What to write for each layer
    of PyTorch, Keras and JAX: docs/fans.md.

    Examples
    --------
    >>> import fastinit as fi
    >>> fi.fans((784, 512))
    Fans(fan_in=784, fan_out=512)
    >>> fi.fans((64, 16, 3, 3), layout="oi", groups=2, stride=2)
    Fans(fan_in=144, fan_out=72)
    >>> fi.fans((64, 32, 3, 3), layout="iohw", stride=2, transposed=True)
    Fans(fan_in=144, fan_out=288)
    >>> fi.fans((3, 3, 32, 1), layout="hwbo")
    Fans(fan_in=9, fan_out=9)
    >>> fi.fans((64, 256, 512), layout="eio")
    Fans(fan_in=256, fan_out=512)
    """
    checked = check_shape(shape)
    return check_wiring(layout, checked, groups, stride, transposed).fans(checked, Fans._fields)


def _instead(wanted: str) -> str:
    return f"{wanted}= (a bias has its weight's)" if wanted == "fan_in" else f"{wanted}="


def _check_stride(stride: object) -> int | tuple[int, ...]:
    if type(stride) is int and stride == 1:
        return 1  # the usual case
    sizes = entries(stride, MOST_AXES, (list, tuple))
    try:
        checked = tuple(check_integer("stride", n, minimum=1) for n in ((stride,) if sizes is None else sizes))
    except (TypeError, ValueError) as error:
        rule = "an integer >= 1, or one a spatial axis"
        raise type(error)(f"argument 'stride' must be {rule}, got {shown(stride)}") from None
    return checked[0] if sizes is None else checked


def _check_layout(layout: object, shape: Shape) -> str | Layout:
    """Return the axes that `layout` names in `shape`; a pair is left, since a scheme may need no fans at all."""
    if isinstance(layout, Layout):
        return layout
    text, roles = plain_string(layout), entries(layout, 3, (list, tuple))
    if text is not None:
        return text.lower() if text in (*_PAIRS, "IO", "OI") else _from_letters(text, shape)
    if roles is not None:
        return _from_axes(roles, len(shape), layout)
    rule = "'io', 'oi', a letter for each axis or a tuple of axes"
    raise TypeError(f"argument 'layout' must be {rule}, got {shown(layout)}")


def _from_letters(layout: str, shape: Shape) -> Layout:
    if not {*layout} <= _LETTERS:
        spelt = "i (input), o (output), b e g l n (batch, expert, group, layer) and h w d k s t x y z or digits (space)"
        raise ValueError(f"argument 'layout' must be made of {spelt}, got {shown(layout)}{_hint(layout)}")
    if len(layout) != len(shape):
        raise ValueError(
            f"argument 'layout' must be 'io', 'oi' or one letter for each of the {len(shape)} axes of shape "
            f"{shown(shape)}, got {shown(layout)}"
        )
    letters = layout.lower()
    if "d" in letters and not {*"hw"} <= {*letters}:
        raise ValueError(
            f"argument 'layout' must have 'd' (depth) beside 'h' and 'w' only, got {shown(layout)}; an axis of space "
            "by itself may be 'k'"
        )
    return _layout([[a for a, c in enumerate(letters) if c in role] for role in (_INPUTS, _OUTPUTS, _BATCH)], layout)


def _hint(layout: str) -> str:
    if {*layout} & {*"cCfF"}:
        return "; channels (as in 'NCHW', a layout of data) are a weight's inputs 'i' or its outputs 'o'"
    return "; a length is 'w' or 'k', layers stacked for a scan are 'l'" if "L" in layout else ""


def _from_axes(given: Sequence[Any], ndim: int, written: object) -> Layout:
    several = [entries(role, ndim, (list, tuple)) for role in given]
    roles = [
        [plain_number(a) for a in ([role] if axes is None else axes)] for role, axes in zip(given, several, strict=True)
    ]
    numbers = [a % ndim for role in roles for a in role if type(a) is int and -ndim <= a < ndim]
    if len(roles) not in (2, 3) or len({*numbers}) != sum(map(len, roles)):
        rule = f"(input axes, output axes[, batch axes]), different axes of {ndim}"
        raise ValueError(f"argument 'layout' must be {rule}, got {shown(written)}")
    left = iter(numbers)
    return _layout([[next(left) for _ in role] for role in roles], written)


def _layout(roles: Sequence[Sequence[int]], written: object) -> Layout:
    inputs, outputs, batch = (*map(tuple, roles), ())[:3]
    if not (inputs or outputs):
        raise ValueError(f"argument 'layout' must name an input axis 'i' or an output axis 'o', got {shown(written)}")
    return Layout(inputs, outputs, batch, written)
