"""The lines of docs/fans.md about PyTorch by PyTorch's own layers: their shapes, and what they do to signs."""

import fans_page
import numpy as np
import pytest
from optional import library

import fastinit as fi

torch = library("torch")
nn, F = torch.nn, torch.nn.functional

LINES = {line.label: line for line in fans_page.lines() if line.label.startswith("PyTorch, ")}
BATCH = 16


def lines(start):
    found = [pytest.param(line, id=label) for label, line in LINES.items() if label.startswith(f"PyTorch, {start}")]
    assert found
    return found


def sizes_of(line):
    return {**fans_page.SIZES, **line.layer.sizes}


def inner(image, kernel, stride):
    """Positions of the finer grid that no border reaches, of every phase alike, as (positions, channels)."""
    cut = [slice(k, k + (n - 2 * k) // stride * stride) for n, k in zip(image.shape[2:], kernel, strict=True)]
    return np.moveaxis(image[:, :, *cut], 1, -1).reshape(-1, image.shape[1])


def both_ways(layer, shape, draw):
    """The layer's outputs of drawn inputs, and the gradient of its inputs of drawn ones of its outputs."""
    x = torch.from_numpy(draw(shape)).requires_grad_()
    z = layer(x)
    z.backward(torch.from_numpy(draw(tuple(z.shape))))
    return z.detach().numpy(), x.grad.numpy()


def check(line, parameter, layer, inputs, finish=(lambda z: z, lambda y: y)):
    """Shape, counted connections, and the sizes of signal and gradient under the weights that the page draws."""
    assert tuple(parameter.shape) == line.shape

    def run(weight, draw):
        parameter.data = torch.from_numpy(weight)
        return [end(array) for end, array in zip(finish, both_ways(layer, inputs, draw), strict=True)]

    for index, (mode, fan) in enumerate((("fan_in", line.fan_in), ("fan_out", line.fan_out))):
        counts = run(np.ones(line.shape), np.ones)[index]
        assert counts.mean() == pytest.approx(fan, rel=1e-12)
        fans_page.assert_keeps_size(run(line.weight(mode), fans_page.signs)[index], counts, fan)


def convolution(line, transposed):
    sizes = sizes_of(line)
    rank, stride = len(sizes["kernel"]), sizes["stride"]
    kind = getattr(nn, f"Conv{'Transpose' if transposed else ''}{rank}d")
    inputs, groups = sizes["inputs"], line.groups
    outputs = line.shape[0] if not transposed else line.shape[1] * groups
    layer = kind(inputs, outputs, sizes["kernel"], stride=stride, groups=groups, bias=False, dtype=torch.float64)
    whole, cut = (lambda a: inner(a, [0] * rank, 1)), (lambda a: inner(a, sizes["kernel"], stride))
    side = 7 if transposed else 12
    finish = (cut, whole) if transposed else (whole, cut)
    check(line, layer.weight, layer, (BATCH // rank**2 + 1, inputs, *[side] * rank), finish)


@pytest.mark.parametrize("line", [*lines("Conv1d, Conv2d, Conv3d"), *lines("the same, depthwise")])
def test_convolutions(line):
    convolution(line, transposed=False)


@pytest.mark.parametrize("line", lines("ConvTranspose1d"))
def test_transposed_convolutions(line):
    convolution(line, transposed=True)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_dilation_changes_nothing(kind):
    layer = kind(12, 8, (3, 2), dilation=(2, 3), bias=False, dtype=torch.float64)
    layer.weight.data[:] = 1
    z, y = both_ways(layer, (1, 12, 20, 20), np.ones)
    assert (z[0, 0, 8, 8], y[0, 0, 8, 8]) == (72, 48) == fi.fans((3, 2, 12, 8))


@pytest.mark.parametrize("line", lines("Linear"))
def test_linear(line):
    outputs, inputs = line.shape
    layer = nn.Linear(inputs, outputs, bias=False, dtype=torch.float64)
    check(line, layer.weight, layer, (48, inputs))


@pytest.mark.parametrize("line", lines("Bilinear"))
def test_bilinear(line):
    outputs, inputs, others = line.shape
    layer = nn.Bilinear(inputs, others, outputs, bias=False, dtype=torch.float64)
    # Signs or ones, as x is: which of the two shows in the outputs of weights that are all alike.
    y = torch.from_numpy(np.random.default_rng(1).choice([-1.0, 1.0], (48, others)))
    check(line, layer.weight, lambda x: layer(x, y if x.min() < 0 else torch.ones_like(y)), (48, inputs))


def packed(parameter, parts):
    """A layer of parts packed along the output axis, each with inputs of its own: (batch, parts · inputs)."""

    def layer(x):
        weights = zip(x.reshape(len(x), parts, -1).unbind(1), parameter.data.chunk(parts), strict=True)
        return torch.cat([F.linear(part, weight) for part, weight in weights], 1)

    return layer


@pytest.mark.parametrize("line", lines("RNN, LSTM, GRU, their cells"))
def test_gates(line):
    sizes = sizes_of(line)
    gates, hidden, state = sizes["gates"], sizes["hidden"], sizes["state"]
    kind = {1: nn.RNN, 4: nn.LSTM, 3: nn.GRU}[gates]
    projection = {"proj_size": state} if state < hidden and gates == 4 else {}
    layer = kind(sizes["inputs"], hidden, dtype=torch.float64, **projection)
    parameter = layer.weight_ih_l0 if "weight_ih" in line.label else layer.weight_hh_l0
    check(line, parameter, packed(parameter, gates), (48, gates * line.shape[1]))


@pytest.mark.parametrize("line", lines("LSTM with proj_size"))
def test_projection(line):
    state, hidden = line.shape
    parameter = nn.LSTM(7, hidden, proj_size=state, dtype=torch.float64).weight_hr_l0
    check(line, parameter, packed(parameter, 1), (48, hidden))


@pytest.mark.parametrize("line", lines("MultiheadAttention"))
def test_attention(line):
    dim = fans_page.SIZES["dim"]
    parts = 3 if "in_proj_weight" in line.label else 1
    others = {} if parts == 3 else {"kdim": line.shape[1]}
    layer = nn.MultiheadAttention(dim, 6, dtype=torch.float64, **others)
    parameter = layer.in_proj_weight if parts == 3 else layer.k_proj_weight
    check(line, parameter, packed(parameter, parts), (48, parts * line.shape[1]))


@pytest.mark.parametrize("line", [*lines("Embedding"), *lines("EmbeddingBag")])
def test_embeddings(line):
    (rows, dim), count = line.shape, line.layer.count
    weight = torch.from_numpy(line.weight("fan_in"))
    bags = torch.arange(rows).reshape(-1, count)
    if "Bag," in line.label:
        layer = nn.EmbeddingBag(rows, dim, mode="mean" if line.layer.mean else "sum", dtype=torch.float64)
    else:
        layer, bags = nn.Embedding(rows, dim, dtype=torch.float64), bags[:, 0]
    assert tuple(layer.weight.shape) == line.shape
    layer.weight.data = weight
    counts = line.layer.counts(line.shape, 1, True)
    fans_page.assert_keeps_size(layer(bags).detach().numpy().reshape(1, -1), counts, line.fan_in)


def test_every_layer_with_weights_is_on_the_page():
    page = fans_page.PAGE.read_text(encoding="utf-8")
    whole = {"Transformer", "RNNBase", "RNNCellBase"}  # made of others, or their base
    kinds = {name: kind for name, kind in vars(nn).items() if isinstance(kind, type) and not name.startswith("Lazy")}
    named = {name for name, kind in kinds.items() if {"reset_parameters", "_reset_parameters"} & {*dir(kind)}} - whole
    assert len(named) > 20
    assert not [name for name in named if f"`{name.removesuffix('Cell')}" not in page]


def test_pytorch_counts_as_the_page_says():
    count = nn.init._calculate_fan_in_and_fan_out

    def torchs(shape):
        return count(torch.empty(shape))

    assert torchs((512, 784)) == fi.fans((512, 784), layout="oi")
    assert torchs((64, 16, 3, 3)) == fi.fans((64, 16, 3, 3), layout="oi")
    # 4 groups: fan_out times 4; stride 2: times 4 again
    grouped = fi.fans((64, 16, 3, 3), layout="oi", groups=4, stride=2)
    assert torchs((64, 16, 3, 3)) == (grouped.fan_in, 16 * grouped.fan_out)
    fans = fi.fans((64, 16, 3, 3), layout=(0, 1), transposed=True)
    assert torchs((64, 16, 3, 3)) == (fans.fan_out, fans.fan_in)
    # its default for weights and biases
    assert fi.get_scheme("lecun_uniform", scale=1 / 3).law(fi.Fans(784, 1)).high == pytest.approx(784**-0.5)
    assert nn.Linear(784, 10).weight.abs().max().item() <= 784**-0.5
