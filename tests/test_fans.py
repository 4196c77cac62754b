"""Fans against numbers counted by hand and against the twin, for every way to name the axes."""

import pytest
import twin

import fastinit as fi

# shape, arguments, (fan_in, fan_out)
TABLE = [
    # dense
    ((784, 512), {}, (784, 512)),
    ((784, 512), {"layout": "io"}, (784, 512)),
    ((512, 784), {"layout": "oi"}, (784, 512)),
    ((512, 784), {"layout": (1, 0)}, (784, 512)),
    ((512, 784), {"layout": (-1, -2)}, (784, 512)),
    ((1, 1), {}, (1, 1)),
    # convolutions: 3 channels to 64, 7 x 7; 16 to 32, 5; 8 to 4, 3 x 4 x 5
    ((7, 7, 3, 64), {}, (147, 3136)),
    ((7, 7, 3, 64), {"layout": "hwio"}, (147, 3136)),
    ((64, 3, 7, 7), {"layout": "oi"}, (147, 3136)),
    ((64, 3, 7, 7), {"layout": "oihw"}, (147, 3136)),
    ((64, 3, 7, 7), {"layout": (1, 0)}, (147, 3136)),
    ((5, 16, 32), {}, (80, 160)),
    ((32, 16, 5), {"layout": "oi"}, (80, 160)),
    ((3, 4, 5, 8, 4), {}, (480, 240)),
    ((4, 8, 3, 4, 5), {"layout": "oi"}, (480, 240)),
    # two groups: each of the 64 outputs sees 16 inputs, each input feeds the 32 outputs of its group
    ((64, 16, 3, 3), {"layout": "oi", "groups": 2}, (144, 288)),
    ((3, 3, 16, 64), {"groups": 2}, (144, 288)),
    # depthwise: 32 groups of one input, one output; with multiplier 4
    ((32, 1, 3, 3), {"layout": "oi", "groups": 32}, (9, 9)),
    ((3, 3, 1, 32), {"groups": 32}, (9, 9)),
    ((3, 3, 32, 1), {"layout": "hwbo"}, (9, 9)),
    ((128, 1, 3, 3), {"layout": "oi", "groups": 32}, (9, 36)),
    ((3, 3, 32, 4), {"layout": "hwbo"}, (9, 36)),
    # experts, attention heads
    ((8, 512, 2048), {"layout": "bio"}, (512, 2048)),
    ((8, 512, 2048), {"layout": (1, 2, 0)}, (512, 2048)),
    ((512, 12, 64), {"layout": (0, (1, 2))}, (512, 768)),
    ((12, 64, 512), {"layout": ((0, 1), 2)}, (768, 512)),
    ((512, 12, 64), {"layout": "ioo"}, (512, 768)),
    # a vector with its axis named
    ((100,), {"layout": "o"}, (1, 100)),
    ((100,), {"layout": "i"}, (100, 1)),
    # empty
    ((0, 5), {}, (0, 5)),
]


@pytest.mark.parametrize(("shape", "arguments", "expected"), TABLE)
def test_table(shape, arguments, expected):
    got = fi.fans(shape, **arguments)
    assert isinstance(got, fi.Fans)
    assert (got.fan_in, got.fan_out) == expected


@pytest.mark.parametrize("letters", ["io", "oi", "hio", "oihw", "hiwo", "bio", "obi", "iioo", "xyzio", "bbhio"])
def test_letters_equal_the_twin(letters):
    shape = tuple(range(2, 2 + len(letters)))
    i, o, b = (tuple(a for a, letter in enumerate(letters) if letter == role) for role in "iob")
    assert fi.fans(shape, layout=letters) == twin.fans(shape, i, o, batch=b)
    assert fi.fans(shape, layout=(i, o, b)) == twin.fans(shape, i, o, batch=b)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_groups_equal_the_twin(groups):
    assert fi.fans((3, 5, 12), groups=groups) == twin.fans((3, 5, 12), (1,), (2,), groups)


def test_init_uses_the_same_fans():
    scheme = fi.get_scheme("lecun_normal")
    for shape, arguments, (fan_in, _) in TABLE:
        if fan_in:
            got = fi.init("lecun_normal", shape, seed=1, **arguments)
            expected = fi.normal(shape, std=scheme.law(fi.Fans(fan_in, 1)).std, seed=1)
            assert got.tobytes() == expected.tobytes()


def test_given_fans_override_the_shape():
    got = fi.init("xavier_normal", (10, 20), fan_in=300, fan_out=500, seed=1)
    assert got.tobytes() == fi.normal((10, 20), std=0.05, seed=1).tobytes()
    # With both given, a shape that has none will do.
    assert fi.init("xavier_normal", (7,), fan_in=300, fan_out=500, seed=1).shape == (7,)


def test_a_region_has_the_fans_of_the_whole():
    part = fi.init("he_normal", (200, 10), seed=1, region=(slice(0, 2), slice(0, 10)))
    assert part.tobytes() == fi.normal((2, 10), std=0.1, seed=1).tobytes()
