"""Fans against numbers counted by hand and against the twin, for every way to name axes; which ones schemes read."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
import twin

import fastinit as fi

# shape, arguments, (fan_in, fan_out)
TABLE = [
    # dense
    ((784, 512), {}, (784, 512)),
    ((784, 512), {"layout": "io"}, (784, 512)),
    ((512, 784), {"layout": "oi"}, (784, 512)),
    ((512, 784), {"layout": "OI"}, (784, 512)),
    ((512, 784), {"layout": (1, 0)}, (784, 512)),
    ((512, 784), {"layout": [1, 0]}, (784, 512)),
    ((512, 784), {"layout": (-1, -2)}, (784, 512)),
    ((512, 784), {"layout": (np.int64(1), np.int8(-2))}, (784, 512)),
    ((1, 1), {}, (1, 1)),
    # convolutions: 3 channels to 64, 7 x 7; 16 to 32, 5; 8 to 4, 3 x 4 x 5
    ((7, 7, 3, 64), {}, (147, 3136)),
    ((7, 7, 3, 64), {"layout": "hwio"}, (147, 3136)),
    ((7, 7, 3, 64), {"layout": "HWIO"}, (147, 3136)),
    ((7, 7, 3, 64), {"layout": "kkio"}, (147, 3136)),
    ((7, 7, 3, 64), {"layout": "01io"}, (147, 3136)),
    ((64, 3, 7, 7), {"layout": "oi"}, (147, 3136)),
    ((64, 3, 7, 7), {"layout": "OI"}, (147, 3136)),
    ((64, 3, 7, 7), {"layout": "oihw"}, (147, 3136)),
    ((64, 3, 7, 7), {"layout": "OIHW"}, (147, 3136)),
    ((64, 7, 7, 3), {"layout": "ohwi"}, (147, 3136)),
    ((64, 3, 7, 7), {"layout": (1, 0)}, (147, 3136)),
    ((5, 16, 32), {}, (80, 160)),
    ((5, 16, 32), {"layout": "WIO"}, (80, 160)),
    ((5, 16, 32), {"layout": "TIO"}, (80, 160)),
    ((32, 16, 5), {"layout": "oi"}, (80, 160)),
    ((3, 4, 5, 8, 4), {}, (480, 240)),
    ((3, 4, 5, 8, 4), {"layout": "dhwio"}, (480, 240)),
    ((4, 8, 3, 4, 5), {"layout": "oi"}, (480, 240)),
    # two groups: each of the 64 outputs sees 16 inputs, each input feeds the 32 outputs of its group
    ((64, 16, 3, 3), {"layout": "oi", "groups": 2}, (144, 288)),
    ((64, 16, 3, 3), {"layout": "oi", "groups": np.int32(2)}, (144, 288)),
    ((3, 3, 16, 64), {"groups": 2}, (144, 288)),
    ((64, 3, 3, 16), {"layout": "ohwi", "groups": 2}, (144, 288)),
    ((16, 3, 3, 64), {"layout": "ihwo", "groups": 2}, (144, 288)),
    ((2, 32, 16, 3, 3), {"layout": "goihw"}, (144, 288)),
    ((5, 64, 16, 3, 3), {"layout": "loihw", "groups": 2}, (144, 288)),
    # depthwise: 32 groups of one input, one output; with multiplier 4
    ((32, 1, 3, 3), {"layout": "oi", "groups": 32}, (9, 9)),
    ((3, 3, 1, 32), {"groups": 32}, (9, 9)),
    ((3, 3, 32), {"layout": "hwo", "groups": 32}, (9, 9)),
    ((3, 3, 32, 1), {"layout": "hwbo"}, (9, 9)),
    ((128, 1, 3, 3), {"layout": "oi", "groups": 32}, (9, 36)),
    ((3, 3, 32, 4), {"layout": "hwbo"}, (9, 36)),
    ((3, 32, 4), {"layout": "kbo"}, (3, 12)),
    # transposed: each of 4 groups of 16 inputs feeds 32 outputs
    ((64, 32, 3, 3), {"layout": "iohw", "groups": 4}, (144, 288)),
    ((64, 32, 3, 3), {"layout": (0, 1), "groups": 4}, (144, 288)),
    ((64, 32, 3, 3), {"layout": "iohw", "groups": 4, "transposed": True}, (144, 288)),
    ((3, 3, 32, 64), {"layout": "hwoi", "groups": 4, "transposed": True}, (144, 288)),
    ((128, 16, 3, 3), {"layout": "oihw", "groups": 4, "transposed": True}, (144, 288)),
    ((5, 64, 32, 3, 3), {"layout": "liohw", "groups": 4, "transposed": True}, (144, 288)),
    # stride: an input reaches 9/4 positions, on average; a transposed convolution's output is reached from as many
    ((64, 16, 3, 3), {"layout": "oi", "groups": 2, "stride": 2}, (144, 72)),
    ((3, 3, 16, 30), {"stride": 2}, (144, 67.5)),
    ((3, 3, 16, 30), {"stride": (2, 1)}, (144, 135)),
    ((3, 3, 16, 30), {"stride": [1, np.int64(3)]}, (144, 90)),
    ((3, 3, 16, 30), {"stride": 3}, (144, 30)),
    ((64, 32, 3, 3), {"layout": "iohw", "groups": 4, "transposed": True, "stride": 2}, (36, 288)),
    ((3, 3, 32, 10), {"layout": "hwoi", "transposed": True, "stride": 2}, (22.5, 288)),
    ((2, 1, 8), {"layout": "wio", "transposed": True, "stride": 4}, (0.5, 16)),
    ((16, 30), {"stride": 1}, (16, 30)),
    # experts, stacked layers, attention heads
    ((64, 256, 512), {"layout": "bio"}, (256, 512)),
    ((64, 256, 512), {"layout": "eio"}, (256, 512)),
    ((64, 256, 512), {"layout": "EIO"}, (256, 512)),
    ((64, 256, 512), {"layout": "gio"}, (256, 512)),
    ((64, 256, 512), {"layout": "lio"}, (256, 512)),
    ((64, 256, 512), {"layout": "nio"}, (256, 512)),
    ((64, 512, 256), {"layout": "eoi"}, (256, 512)),
    ((256, 64, 512), {"layout": "ilo"}, (256, 512)),
    ((4, 64, 256, 512), {"layout": "leio"}, (256, 512)),
    ((4, 3, 3, 8, 16), {"layout": "lhwio"}, (72, 144)),
    ((64, 256, 512), {"layout": (1, 2, 0)}, (256, 512)),
    ((64, 256, 512), {"layout": [1, 2, [0]]}, (256, 512)),
    ((4, 64, 256, 512), {"layout": (2, 3, (0, 1))}, (256, 512)),
    ((512, 12, 64), {"layout": (0, (1, 2))}, (512, 768)),
    ((512, 12, 64), {"layout": [0, [1, 2]]}, (512, 768)),
    ((12, 64, 512), {"layout": ((0, 1), 2)}, (768, 512)),
    ((512, 12, 64), {"layout": "ioo"}, (512, 768)),
    ((12, 64, 512), {"layout": "iio"}, (768, 512)),
    ((20, 7, 9), {"layout": "oii"}, (63, 20)),
    # packed along the output axis: each part by itself
    ((384, 128), {"layout": "oi", "groups": 3}, (128, 128)),
    ((128, 384), {"groups": 3}, (128, 128)),
    ((8, 512, 128), {"layout": "eoi", "groups": 2}, (128, 256)),
    # a 3-d weight under a pair is a kernel
    ((64, 256, 512), {}, (16384, 32768)),
    # empty
    ((0, 5), {}, (0, 5)),
    ((0, 3, 4, 8), {"groups": 4, "stride": 2}, (0, 0)),
    ((3, 3, 4, 0), {"groups": 7}, (36, 0)),
    # beyond 2^53, and almost too large
    ((2**55 + 1, 3), {}, (2**55 + 1, 3)),
    ((2**62, 1), {"stride": ()}, (2**62, 1)),
]


@pytest.mark.parametrize(("shape", "arguments", "expected"), TABLE)
def test_table(shape, arguments, expected):
    got = fi.fans(shape, **arguments)
    assert isinstance(got, fi.Fans)
    assert (got.fan_in, got.fan_out) == expected
    assert [type(fan) for fan in got] == [type(fan) for fan in expected]


@pytest.mark.parametrize("letters", ["io", "oi", "hio", "oihw", "hiwo", "bio", "obi", "iioo", "xyzio", "bbhio", "oiio"])
def test_letters_equal_the_twin(letters):
    shape = tuple(range(2, 2 + len(letters)))
    i, o, b = (tuple(a for a, letter in enumerate(letters) if letter == role) for role in "iob")
    assert fi.fans(shape, layout=letters) == twin.fans(shape, i, o, batch=b)
    assert fi.fans(shape, layout=(i, o, b)) == twin.fans(shape, i, o, batch=b)
    assert fi.fans(shape, layout=[list(i), list(o), list(b)]) == twin.fans(shape, i, o, batch=b)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_groups_equal_the_twin(groups):
    assert fi.fans((3, 5, 12), groups=groups) == twin.fans((3, 5, 12), (1,), (2,), groups)


@pytest.mark.parametrize(("shape", "arguments", "expected"), TABLE)
def test_init_uses_the_same_fans(shape, arguments, expected):
    if 0 < math.prod(shape) < 1 << 30:
        region = tuple(slice(0, min(n, 3)) for n in shape)
        for mode, fan in zip(("fan_in", "fan_out"), expected, strict=True):
            got = fi.init("lecun_normal", shape, mode=mode, seed=1, region=region, **arguments)
            assert got.tobytes() == fi.normal(shape, std=math.sqrt(1 / fan), seed=1, region=region).tobytes()


def test_given_fans_override_the_shape():
    got = fi.init("xavier_normal", (10, 20), fan_in=300, fan_out=500, seed=1)
    assert got.tobytes() == fi.normal((10, 20), std=0.05, seed=1).tobytes()
    # With both given, a shape that has none will do.
    assert fi.init("xavier_normal", (7,), fan_in=300, fan_out=500, seed=1).shape == (7,)
    # One beside that of the shape.
    got = fi.init("xavier_normal", (10, 20), fan_out=790, seed=1)
    assert got.tobytes() == fi.normal((10, 20), std=0.05, seed=1).tobytes()


@pytest.mark.parametrize("fan", [784, 784.0, np.float32(784), np.int16(784), Fraction(784), 0.5, 1e-9, 1e300])
def test_a_fan_is_any_positive_number(fan):
    got = fi.init("lecun_normal", (7,), fan_in=fan, seed=1, dtype="float64")
    assert got.tobytes() == fi.normal((7,), std=math.sqrt(1 / float(fan)), seed=1, dtype="float64").tobytes()


@pytest.mark.parametrize("name", ["fan_in", "fan_out"])
@pytest.mark.parametrize(
    ("fan", "kind"),
    [(0, ValueError), (-1, ValueError), (math.nan, ValueError), (math.inf, ValueError), (10**400, ValueError),
     (True, TypeError), ("784", TypeError), (784j, TypeError), ([784], TypeError)],
    ids=["0", "-1", "nan", "inf", "10**400", "True", "text", "complex", "list"],
)  # fmt: skip
def test_a_fan_is_nothing_else(name, fan, kind):
    received = "an integer of 1329 bits" if fan == 10**400 else re.escape(repr(fan))
    with pytest.raises(kind, match=rf"^argument '{name}' must be a finite number > 0, got {received}$"):
        fi.init("he_normal", (4, 6), seed=1, **{name: fan})


# Which fans each scheme reads, as its formula in `schemes()` says.
BOTH = {"fan_in", "fan_out"}
MODES = {"fan_in": {"fan_in"}, "fan_out": {"fan_out"}, "fan_avg": BOTH, "fan_geo_avg": BOTH}
SCALED = [
    "variance_scaling",
    "xavier_uniform",
    "xavier_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheme", SCALED)
def test_a_scheme_asks_for_the_fans_that_its_mode_names(scheme, mode):
    for given in ({}, {"fan_in": 784}, {"fan_out": 10}, {"fan_in": 784, "fan_out": 10}):
        missing = sorted(MODES[mode] - {*given})
        if missing:
            fan = missing[0]
            text = rf"must have at least 2 dimensions for its {fan} to be known, got \(512,\); give {fan}="
            with pytest.raises(ValueError, match=f"^argument 'shape' {text}"):
                fi.init(scheme, (512,), seed=0, mode=mode, **given)
        else:
            law = fi.get_scheme(scheme, mode=mode).law(fi.Fans(**{"fan_in": 1, "fan_out": 1, **given}))
            got = fi.init(scheme, (512,), seed=0, mode=mode, **given)
            # 512 draws: the mean of squares is right within 6 sqrt(2/512) = 38 %.
            assert np.mean(got.astype(float) ** 2) == pytest.approx(law.variance, rel=0.38)


@pytest.mark.parametrize("scheme", ["zeros", "ones", "constant", "normal", "uniform", "truncated_normal"])
def test_other_schemes_ask_for_none(scheme):
    plain = fi.init(scheme, (24,), seed=0)
    for arguments in (
        {"layout": "oi"},
        {"layout": "o"},
        {"groups": 5},
        {"layout": "o", "groups": 5, "stride": 2},
        {"transposed": True},
    ):
        assert fi.init(scheme, (24,), seed=0, **arguments).tobytes() == plain.tobytes()
    assert fi.init(scheme, (), seed=0).shape == ()
    # What cannot be right for any shape is refused all the same.
    for wrong in ({"layout": "q"}, {"layout": "oihw"}, {"layout": (0, 1)}, {"stride": 0}, {"groups": 0}):
        with pytest.raises(ValueError, match=f"^argument '{next(iter(wrong))}' must"):
            fi.init(scheme, (24,), seed=0, **wrong)


def test_a_constant_keeps_its_sign_whatever_was_drawn_before():
    for value in (0.0, -0.0, 0.0):
        scheme = fi.get_scheme("constant", value=value)
        assert math.copysign(1, fi.init(scheme, (3,))[0]) == math.copysign(1, value)


def test_a_bias_takes_the_fan_in_of_its_weight():
    got = fi.init("lecun_uniform", (512,), scale=1 / 3, fan_in=784, seed=0)
    bound = 1 / 28  # PyTorch's: 1/sqrt(784)
    assert 0.95 * bound < abs(got).max() <= np.float32(bound)  # 0.95^512 = 4e-12


@pytest.mark.parametrize("scheme", ["sparse", "positive_unitball"])
def test_schemes_of_whole_neurons(scheme):
    params = {"nonzeros": 2} if scheme == "sparse" else {}

    def draw(shape, **arguments):
        return fi.init(scheme, shape, seed=0, **params, **arguments)

    # Groups that the output axis counts, strides of a convolution: each output has its own weights, all of them.
    plain = draw((8, 4, 3, 3), layout="oihw")
    for same in ({"groups": 2}, {"stride": 2}, {"groups": 2, "stride": 2}, {"fan_in": 36}, {"fan_in": 36.0}):
        assert draw((8, 4, 3, 3), layout="oihw", **same).tobytes() == plain.tobytes()
    for wrong, text in (
        ({"layout": "iohw", "groups": 2}, "'groups' must be 1 .* where the input axis counts all groups, got 2"),
        (
            {"layout": "iohw", "transposed": True, "stride": 2},
            "'stride' must be 1 .* in a transposed convolution, got 2",
        ),
        ({"layout": "oihw", "fan_in": 35}, "'fan_in' must be the layout's 36 for a scheme of whole neurons, got 35"),
        (
            {"layout": "oihw", "fan_in": 36.5},
            r"'fan_in' must be the layout's 36 for a scheme of whole neurons, got 36\.5",
        ),
    ):
        with pytest.raises(ValueError, match=f"^argument {text}$"):
            draw((8, 4, 3, 3), **wrong)
    assert draw((8, 4, 3, 3), layout="iohw", transposed=True).shape == (8, 4, 3, 3)
    with pytest.raises(ValueError, match=r"^argument 'layout' must name an input axis 'i'"):
        draw((8,), layout="o")


def test_a_region_has_the_fans_of_the_whole():
    part = fi.init("he_normal", (200, 10), seed=1, region=(slice(0, 2), slice(0, 10)))
    assert part.tobytes() == fi.normal((2, 10), std=0.1, seed=1).tobytes()
