"""The convolutions of docs/fans.md by JAX's own, as Flax, Equinox and Keras call them: what they do to signs."""

import fans_page
import numpy as np
import pytest
from optional import library

jax = library("jax")
lax = jax.lax

LINES = [line for line in fans_page.lines() if line.layer.kernel and "PyTorch" not in line.label]
SPACE = "DHW"
BATCH = 16


def lines(*starts):
    found = [pytest.param(line, id=line.label) for line in LINES if line.label.startswith(starts)]
    assert found
    return found


def inner(image, kernel, stride):
    """Positions of the finer grid that no border reaches, of every phase alike, as (positions, channels)."""
    cut = [slice(k, k + (n - 2 * k) // stride * stride) for n, k in zip(image.shape[1:], kernel, strict=False)]
    return image[:, *cut].reshape(-1, image.shape[-1])


def check(line, convolve, channels, *, transposed=False):
    """Counted connections, and the sizes of signal and gradient under the weights that the page draws."""
    kernel, stride = line.layer.kernel, line.layer.stride
    side = 7 if transposed else 12
    shape = (BATCH // len(kernel) ** 2 + 1, *[side] * len(kernel), channels)
    ends = [lambda a: a.reshape(-1, a.shape[-1]), lambda a: inner(a, kernel, stride)]

    def run(weight, draw):
        x = draw(shape).astype(np.float32)
        z, transpose = jax.vjp(lambda x: convolve(x, weight.astype(np.float32)), x)
        (y,) = transpose(draw(z.shape).astype(np.float32))
        fine = (1, 0) if transposed else (0, 1)
        return [ends[end](np.asarray(array, np.float64)) for end, array in zip(fine, (z, y), strict=True)]

    for index, (mode, fan) in enumerate((("fan_in", line.fan_in), ("fan_out", line.fan_out))):
        counts = run(np.ones(line.shape), np.ones)[index]
        assert counts.mean() == pytest.approx(fan, rel=1e-12)  # whole numbers below 2^24, exact in float32
        fans_page.assert_keeps_size(run(line.weight(mode), fans_page.signs)[index], counts, fan)


def numbers(line, kernel):
    """Dimension numbers: images with the channels last, kernels as given."""
    space = SPACE[-len(line.layer.kernel) :]
    return (f"N{space}C", kernel.replace("k", space), f"N{space}C")


def strides(line):
    return (line.layer.stride,) * len(line.layer.kernel)


@pytest.mark.parametrize("line", lines("JAX, Flax Conv,", "Keras 3, Conv1D, Conv2D"))
def test_convolutions(line):
    groups = line.groups

    def convolve(x, w):
        dimensions = numbers(line, "kIO")
        return lax.conv_general_dilated(
            x, w, strides(line), "VALID", dimension_numbers=dimensions, feature_group_count=groups
        )

    check(line, convolve, line.shape[-2] * groups)


@pytest.mark.parametrize("line", lines("Keras 3, DepthwiseConv"))
def test_depthwise_convolutions(line):
    *kernel, channels, multiplier = line.shape

    def convolve(x, w):
        w = w.reshape(*kernel, 1, channels * multiplier)
        return lax.conv_general_dilated(
            x, w, strides(line), "VALID", dimension_numbers=numbers(line, "kIO"), feature_group_count=channels
        )

    check(line, convolve, channels)


@pytest.mark.parametrize("line", lines("JAX, Flax ConvTranspose", "Keras 3, Conv1DTranspose"))
def test_transposed_convolutions(line):
    flipped = "transpose_kernel" in line.label or "Keras" in line.label

    def convolve(x, w):
        return lax.conv_transpose(
            x, w, strides(line), "VALID", dimension_numbers=numbers(line, "kIO"), transpose_kernel=flipped
        )

    check(line, convolve, line.shape[-1 if flipped else -2], transposed=True)


@pytest.mark.parametrize("line", lines("JAX, Equinox Conv,"))
def test_channels_before_space(line):
    def convolve(x, w):
        return lax.conv_general_dilated(
            x, w, strides(line), "VALID", dimension_numbers=numbers(line, "OIk"), feature_group_count=4
        )

    check(line, convolve, line.shape[1] * 4)


@pytest.mark.parametrize("line", lines("JAX, Equinox ConvTranspose"))
def test_transposed_with_channels_before_space(line):
    def convolve(x, w):
        padding = [(k - 1, k - 1) for k in line.layer.kernel]
        return lax.conv_general_dilated(
            x, w, (1,) * len(padding), padding, lhs_dilation=strides(line), dimension_numbers=numbers(line, "OIk"),
            feature_group_count=4,
        )  # fmt: skip

    check(line, convolve, line.shape[1] * 4, transposed=True)


@pytest.mark.parametrize("layout", [(-2, -1, ()), (1, 2, 0), (0, 2, 1), ((0, 1), 2, ()), (0, (1, 2), ())])
def test_axes_are_those_of_its_initialisers(layout):
    import fastinit as fi

    shape = (3, 20, 30)
    in_axis, out_axis, batch_axis = layout
    fans = fi.fans(shape, layout=tuple(axes for axes in layout if axes != ()) if () in layout else layout)
    for mode, fan in zip(("fan_in", "fan_out"), fans, strict=True):
        initialise = jax.nn.initializers.variance_scaling(
            1.0, mode, "uniform", in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis
        )
        drawn = np.asarray(initialise(jax.random.key(0), shape))
        # U(±sqrt(3/fan)): of n draws the largest lies below 0.99 of the bound with probability 0.99^n, e^-18 here.
        assert 0.99 * np.sqrt(3 / fan) < abs(drawn).max() <= np.float32(np.sqrt(3 / fan)) * (1 + 1e-6)
