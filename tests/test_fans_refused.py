"""What `fans` and `init` refuse about layouts, groups, strides and shapes, and in which words."""

import numpy as np
import pytest

import fastinit as fi

IMAGE = (3, 3, 32, 64)


def each(argument, *values, shape=IMAGE, **others):
    return [(shape, {argument: value, **others}) for value in values]


LETTERS = (
    "argument 'layout' must be made of i (input), o (output), b e g l n (batch, expert, group, layer) and "
    "h w d k s t x y z or digits (space), got {layout!r}"
)
DATA = "; channels (as in 'NCHW', a layout of data) are a weight's inputs 'i' or its outputs 'o'"
AXES = "argument 'layout' must be (input axes, output axes[, batch axes]), different axes of 4, got {layout!r}"
STRIDE = "argument 'stride' must be an integer >= 1, or one a spatial axis, got {stride!r}"
STRIDES = (
    "argument 'stride' must be 1 or one integer for each of the {} spatial axes of shape {{shape}}, got {{stride!r}}"
)
OWN_AXIS = "argument 'groups' must be 1 where an axis of its own numbers the groups, as in layout {layout!r}, got 2"
NO_INPUT = (
    "argument 'layout' must name an input axis 'i' for fan_in to be known, got {layout!r}; "
    "give fan_in= (a bias has its weight's)"
)

# error, text, (shape, arguments)
REFUSED = [
    # letters
    (ValueError, LETTERS, each("layout", "hwiq", "hwi ", "h w i o", "hw-i", "²wio", "hwіo", "\u212awio", "hwio\n")),
    (ValueError, LETTERS + DATA, each("layout", "NCHW", "nhwc", "hwcf", "bf01", "NCL", "channels_last")),
    (ValueError, LETTERS + DATA, each("layout", "edf", shape=(4, 8, 16))),
    (
        ValueError,
        LETTERS + "; a length is 'w' or 'k', layers stacked for a scan are 'l'",
        each("layout", "LIO", "OIL", shape=(5, 16, 32)),
    ),
    (
        ValueError,
        "argument 'layout' must have 'd' (depth) beside 'h' and 'w' only, got {layout!r}; "
        "an axis of space by itself may be 'k'",
        each("layout", "eid", "ihd", "iod", "dio", shape=(4, 8, 16)),
    ),
    (
        ValueError,
        "argument 'layout' must be 'io', 'oi' or one letter for each of the 4 axes of shape {shape}, got {layout!r}",
        each("layout", "hio", "dhwio", "", "i", "o"),
    ),
    (
        ValueError,
        "argument 'layout' must name an input axis 'i' or an output axis 'o', got {layout!r}",
        each("layout", "hwkk", "bbhw", ((), ()), ((), (), (0, 1)), [[], []]),
    ),
    # axes
    (ValueError, AXES, each("layout", (), (0,), (0, 1, 2, 3), (0, 0), (0, -4), ((0, 1), (1, 2)), (0, 1, 1))),
    (ValueError, AXES, each("layout", (0, 4), (-5, 0), (0, 10**30), [0, [1, 5]])),
    (ValueError, AXES, each("layout", (True, False), (np.True_, 0), (0.0, 1), ("i", "o"), (None, 1), (0, ((1,),)))),
    (
        TypeError,
        "argument 'layout' must be 'io', 'oi', a letter for each axis or a tuple of axes, got {layout!r}",
        each("layout", None, 1, b"io", {0, 1}, {"i": 0}, np.array([0, 1])),
    ),
    # groups
    (
        TypeError,
        "argument 'groups' must be an integer >= 1, got {groups!r}",
        each("groups", True, 2.0, "2", None, np.float32(2), (2,)),
    ),
    (ValueError, "argument 'groups' must be an integer >= 1, got {groups!r}", each("groups", 0, -1)),
    (
        ValueError,
        "argument 'groups' must divide the 64 output channels of shape {shape}, got {groups}",
        each("groups", 5, 128, 10**30),
    ),
    (
        ValueError,
        "argument 'groups' must divide the 64 input channels of shape {shape}, got {groups}",
        each("groups", 5, layout="iohw", shape=(64, 30, 3, 3)),
    ),
    (
        ValueError,
        "argument 'groups' must divide the 1 output channels of shape {shape}, got {groups}; "
        "a depthwise kernel (…, in, multiplier) is layout 'hwbo' or 'kbo', without groups",
        each("groups", 32, shape=(3, 3, 32, 1)),
    ),
    (ValueError, OWN_AXIS, each("layout", "hwbo", "hwbi", ((), 3, 2), groups=2)),
    (ValueError, OWN_AXIS, each("layout", "goihw", "GOIHW", groups=2, shape=(2, 8, 4, 3, 3))),
    # stride, transposed
    (TypeError, STRIDE, each("stride", True, 2.0, "2", None, (2, 1.0), (True, 1), ((1, 2),), np.array([2, 2]))),
    (ValueError, STRIDE, each("stride", 0, -2, (2, 0))),
    (ValueError, STRIDES.format(2), each("stride", (2,), (1, 1, 1), ())),
    (ValueError, STRIDES.format(0), each("stride", 2, (1,), shape=(4, 8))),
    (ValueError, "argument 'stride' must have a product < 2**63, got {stride}", each("stride", 2**32, (2**62, 2))),
    (
        TypeError,
        "argument 'transposed' must be True or False, got {transposed!r}",
        each("transposed", 1, None, "yes"),
    ),
    (
        ValueError,
        "argument 'layout' must name each axis of a transposed convolution (frameworks differ: 'iohw' in PyTorch, "
        "'hwoi' in Keras, 'hwio' in Flax), got {layout!r}",
        each("layout", "io", "oi", transposed=True),
    ),
    # shapes
    *(
        (
            ValueError,
            "argument 'shape' must have at least 2 dimensions for its fan_in to be known, got {shape}; "
            "give fan_in= (a bias has its weight's)",
            each("layout", "io", "oi", shape=shape),
        )
        for shape in ((), (5,))
    ),
    (ValueError, NO_INPUT, each("layout", "o", ((), 0), shape=(5,))),
    (ValueError, NO_INPUT, each("layout", "eo", "ob", ((), 1, 0), shape=(2, 5))),
    *(
        (
            ValueError,
            "argument 'layout' must name an output axis 'o' for fan_out to be known, got {layout!r}; give fan_out=",
            each("layout", layout, shape=shape),
        )
        for shape, layout in (((5,), "i"), ((5,), (0, ())), ((3, 5), "ib"))
    ),
    (
        ValueError,
        "argument 'shape' must have a product, zeros left out, < 2**63, got {shape}",
        each("layout", "ibi", shape=(2**40, 0, 2**40)),
    ),
]


@pytest.mark.parametrize(
    ("kind", "text", "shape", "arguments"),
    [(kind, text, *case) for kind, text, cases in REFUSED for case in cases],
    ids=[f"{shape} {arguments}" for _, _, cases in REFUSED for shape, arguments in cases],
)
def test_refusals(kind, text, shape, arguments):
    expected = text.format(shape=shape, **arguments)
    for refuse in (fi.fans, lambda shape, **words: fi.init("xavier_normal", shape, seed=0, **words)):
        with pytest.raises(kind) as caught:
            refuse(shape, **arguments)
        assert type(caught.value) is kind
        assert str(caught.value) == expected
