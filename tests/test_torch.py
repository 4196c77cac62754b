"""Every figure that PyTorch can tell, gradients by its autograd, on the probe's own named tensors."""

import itertools

import numpy as np
import pytest
from optional import library

import fastinit as fi

torch = library("torch")
F = torch.nn.functional

# By name, as PyTorch has them; parameters at both sides' defaults.
PHI = {
    "linear": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    "silu": F.silu,
    "elu": F.elu,
    "selu": F.selu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "hard_tanh": F.hardtanh,
    "relu6": F.relu6,
    "mish": F.mish,
    "prelu": lambda z: F.leaky_relu(z, 0.25),
    "relu_squared": lambda z: torch.relu(z) ** 2,
    "celu": F.celu,
    "log_sigmoid": F.logsigmoid,
    "hard_sigmoid": lambda z: F.relu6(z + 3) / 6,  # its own has a float32's 1/6 for a derivative
    "hard_swish": F.hardswish,
    "sin": torch.sin,
}
NORMALIZE = {
    None: lambda x: x,
    "layer": lambda x: F.layer_norm(x, x.shape[-1:], eps=1e-5),
    "rms": lambda x: F.rms_norm(x, x.shape[-1:], eps=1e-5),
}
STACKS = {
    "dense": {"widths": [40, 40, 33, 33], "batch": 50},
    "conv": {"widths": [3, 8, 8, 5], "batch": 6, "conv": 3, "image": 7},
    "even kernel": {"widths": [4, 4, 4], "batch": 3, "conv": 2, "image": 5},
}
BLOCKS = [{}, {"normalize": "layer"}, {"residual": True, "branch_scale": 0.5}, {"residual": True, "normalize": "rms"}]


def named(shape, law, name, **params):
    return torch.from_numpy(fi.init(law, shape, seed=3, name=name, dtype="float64", **params))


def product(x, w, conv):
    """The layer's product; PyTorch wants channels first, and an even kernel's padding said."""
    if not conv:
        return x @ w
    before, after = (conv - 1) // 2, conv // 2
    padded = F.pad(x.permute(0, 3, 1, 2), (before, after, before, after))
    return F.conv2d(padded, w.permute(3, 2, 0, 1)).permute(0, 2, 3, 1)


def autograd(activation, widths, batch, conv=None, image=None, residual=False, branch_scale=1.0, normalize=None):
    """(std of a, std of dL/dz, std of dL/dW, mean square of z), one row a layer."""
    positions, kernel = ((image, image), (conv, conv)) if conv else ((), ())
    normal = {"law": "normal", "std": 1.0}
    x = named((batch, *positions, widths[0]), name="input", **normal)
    layers = []
    for index, pair in enumerate(itertools.pairwise(widths)):
        w = named((*kernel, *pair), "he_normal", f"layer.{index}.weight").requires_grad_()
        b = named(pair[1:], "normal", f"layer.{index}.bias", std=0.2)
        z = product(NORMALIZE[normalize](x), w, conv) + b
        z.retain_grad()
        f = PHI[activation](z)
        x = x + branch_scale * f if residual and pair[0] == pair[1] else f
        layers.append((x, z, w))
    (x * named(x.shape, name="cotangent", **normal)).sum().backward()
    return np.array(
        [[t.std(correction=0).item() for t in (a.detach(), z.grad, w.grad)] + [(z.detach() ** 2).mean().item()]
         for a, z, w in layers]
    ).T  # fmt: skip


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("activation", PHI)
def test_figures_are_those_of_autograd(activation, stack, block):
    result = fi.probe(activation=activation, scheme="he_normal", sigma_b=0.2, seed=3, dtype="float64", **stack, **block)
    expected = autograd(activation, **stack, **block)
    got = [result.std, result.gradient_std, result.weight_gradient_std, result.q]
    # Sums of at most a few thousand float64 products: their rounding, and an activation's 3 eps, are far below.
    np.testing.assert_allclose(got, expected, rtol=1e-11)


def test_every_activation_of_the_table_is_compared():
    from fastinit.activations import ACTIVATIONS

    assert set(PHI) == set(ACTIVATIONS)
