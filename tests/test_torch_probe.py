"""Real modules, measured by hooks: the figures are those of `fi.probe`, and nothing of the module changes."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from optional import library

import fastinit as fi

torch = library("torch")
nn = torch.nn

import fastinit.torch as ft  # noqa: E402


def mlp(widths, activation=nn.Tanh, seed=0):
    """Layers without biases, weights by their names, and the same as arrays."""
    layers, weights = [], []
    for i, (n, m) in enumerate(pairwise(widths)):
        w = fi.init("xavier_normal", (n, m), seed=seed, name=f"layer.{i}.weight")
        layer = nn.Linear(n, m, bias=False)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(w.T.copy()))
        layers += [layer, activation()]
        weights.append(w)
    return nn.Sequential(*layers), weights


def test_the_figures_are_those_of_the_probe():
    module, weights = mlp((40, 64, 64, 24))
    x = np.random.default_rng(0).standard_normal((128, 40)).astype(np.float32)
    ours = fi.probe(weights=weights, inputs=x, activation="tanh", seed=5)
    found = ft.probe(module, torch.from_numpy(x), seed=5)
    assert found.names == tuple("012345")
    z, a = slice(0, None, 2), slice(1, None, 2)
    for name in ("mean", "std", "min", "max", "saturated", "zero", "dead", "distinct"):
        np.testing.assert_allclose(found.figures[name][a], getattr(ours, name), rtol=1e-4, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(found.std[z], ours.preactivation_std, rtol=1e-5)
    np.testing.assert_allclose(found.correlation[z], ours.correlation, rtol=1e-4)
    for name in ("gradient_std", "gradient_max"):
        np.testing.assert_allclose(found.figures[name][z], getattr(ours, name), rtol=1e-4, err_msg=name)
    for name in ("weight_std", "weight_gradient_std", "updated_distinct"):
        np.testing.assert_allclose(found.figures[name][z], getattr(ours, name), rtol=1e-4, err_msg=name)
    np.testing.assert_array_equal(found.fan_in[z], [40, 64, 64])
    np.testing.assert_allclose(found.gain[z], np.sqrt([40, 64, 64]) * ours.weight_std, rtol=1e-3)


def state(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


class Odd(nn.Module):
    """Batch statistics, dropout, a layer called twice, an in-place activation, a dictionary and an unused layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.Dropout(0.5)
        self.twice, self.act = nn.Linear(8, 8), nn.ReLU(inplace=True)
        self.head, self.unused = nn.Linear(8, 5), nn.Linear(3, 3)

    def forward(self, x, *, scale=1.0):
        h = self.act(self.norm(self.conv(x))).mean((2, 3))
        for _ in range(2):
            h = self.drop(self.act(self.twice(h * scale)))
        return {"step": 3, "logits": self.head(h)}


def test_nothing_changes():
    torch.manual_seed(0)
    module = Odd()
    module.head.weight.grad = torch.ones_like(module.head.weight)
    before, random = state(module), torch.get_rng_state()
    hooks = [len(m._forward_hooks) for m in module.modules()]
    found = ft.probe(module, torch.randn(16, 3, 9, 9, generator=torch.Generator().manual_seed(1)), scale=2.0,
                     loss=lambda output: output["logits"].square().mean())  # fmt: skip
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert [len(m._forward_hooks) for m in module.modules()] == hooks
    assert torch.equal(module.head.weight.grad, torch.ones_like(module.head.weight))
    assert module.conv.weight.grad is None
    assert module.training
    assert [n for n in found.names if n.startswith("twice")] == ["twice", "twice (call 2)"]
    assert found.unused == ("unused.weight", "unused.bias")
    assert math.isfinite(found.loss)
    assert np.isfinite(found.gradient_std[[found.names.index(n) for n in ("conv", "twice", "twice (call 2)")]]).all()


def test_an_error_inside_leaves_nothing_behind():
    module = Odd()
    with pytest.raises(RuntimeError, match="size"):
        ft.probe(module, torch.randn(4, 2, 9, 9))
    assert not any(m._forward_hooks for m in module.modules())


def test_the_loss_stands_beside_ln_classes():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 10))
    x, y = torch.randn(64, 16), torch.randint(10, (64,))
    found = ft.probe(net, x, targets=y)
    assert found.loss == pytest.approx(nn.functional.cross_entropy(net(x), y).item(), rel=1e-6)
    assert found.expected_loss == pytest.approx(math.log(10))
    with torch.no_grad():
        net[2].weight.mul_(200)
    assert ft.probe(net, x, targets=y).verdict == "growing"


@pytest.mark.parametrize(("shape", "targets"), [((4, 7, 5), (4, 7)), ((4, 5, 7), (4, 7)), ((4, 5, 3, 3), (4, 3, 3))])
def test_targets_of_sequences_and_maps(shape, targets):
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(shape))

        def forward(self, x):
            return self.w * x

    found = ft.probe(Whole(), torch.ones(()), targets=torch.randint(5, targets))
    assert found.expected_loss == pytest.approx(math.log(5))


def test_weights_without_a_layer_of_their_own_have_rows():
    found = ft.probe(nn.LSTM(8, 16, batch_first=True), torch.randn(4, 5, 8))
    assert found.kinds == ("LSTM", "Parameter", "Parameter")
    assert found.fan_in.tolist() == [0, 8, 16]
    attention = ft.probe(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), torch.randn(4, 5, 16))
    assert "self_attn.in_proj_weight" in attention.names


def test_blocks_autocast_frozen_parts_and_no_gradients():
    net = nn.Sequential(nn.Sequential(nn.Linear(8, 16), nn.Tanh()), nn.Linear(16, 4))
    found = ft.probe(net, torch.randn(8, 8), blocks="0")
    assert found.names == ("0.0", "0.1", "0", "1")
    with torch.autocast("cpu", torch.bfloat16):
        assert np.isfinite(ft.probe(net, torch.randn(8, 8)).gradient_std).all()
    for p in net[0].parameters():
        p.requires_grad_(False)
    frozen = ft.probe(net, torch.randn(8, 8))
    assert np.isnan(frozen.gradient_std[0])
    assert np.isfinite(frozen.gradient_std[2])
    assert not ft.probe(net, torch.randn(8, 8), backward=False).backward


def test_known_faults_are_told():
    torch.manual_seed(0)
    x = torch.randn(64, 32)
    zero = nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 8))
    for p in zero.parameters():
        nn.init.constant_(p, 0.1)
    assert ft.probe(zero, x).verdict == "symmetric"
    deep = nn.Sequential(*[m for _ in range(20) for m in (nn.Linear(32, 32), nn.ReLU())], nn.Linear(32, 8))
    assert ft.probe(deep, x).verdict in ("vanishing", "fading", "dead")
    wide = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 8))
    nn.init.normal_(wide[0].weight)
    assert ft.probe(wide, x).verdict == "saturated"
    nn.init.constant_(wide[0].weight, float("nan"))
    assert ft.probe(wide, x).verdict == "nonfinite"


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"module": 3}, TypeError, "argument 'module' must be a torch.nn.Module, got 3"),
        ({"bins": 0}, ValueError, "argument 'bins' must be an integer >= 1"),
        ({"targets": torch.zeros(3, dtype=torch.long)}, ValueError, "argument 'targets' must be a class for each row"),
        ({"loss": lambda output: output}, ValueError, "argument 'loss' must return a tensor of one number"),
        ({"loss": torch.sum, "targets": torch.zeros(8)}, ValueError, "argument 'loss' must be left out"),
    ],
)
def test_refusals(change, kind, words):
    arguments = {"module": nn.Linear(4, 4)} | change
    with pytest.raises(kind, match=words):
        ft.probe(arguments.pop("module"), torch.randn(8, 4), **arguments)


def test_the_coordinate_check_tells_mup_from_the_usual_scaling():
    def make(n):
        return nn.Sequential(nn.Linear(16, n), nn.ReLU(), nn.Linear(n, n), nn.ReLU(), nn.Linear(n, 10))

    def adam(module):
        return torch.optim.Adam(module.parameters(), lr=1e-2)

    def mup(module):
        n, base = module[2].weight.shape[0], 32
        with torch.no_grad():
            module[4].weight.mul_(math.sqrt(base / n))
        by_fan = [(p, base / n if p.ndim == 2 and p.shape[1] == n else 1.0) for p in module.parameters()]
        return torch.optim.Adam([{"params": [p], "lr": 1e-2 * factor} for p, factor in by_fan])

    generator = torch.Generator().manual_seed(0)
    data = {"inputs": torch.randn(64, 16, generator=generator), "targets": torch.arange(64) % 10}
    random = torch.get_rng_state()
    usual = ft.coord_check(make, widths=[32, 128, 512], optimizer=adam, steps=2, **data)
    scaled = ft.coord_check(make, widths=[32, 128, 512], optimizer=mup, steps=2, seeds=(0, 1), **data)
    assert torch.equal(random, torch.get_rng_state())
    assert (usual.verdict, scaled.verdict) == ("growing", "stable")
    assert usual.slope("4", 2) > 0.5
    with pytest.raises(ValueError, match="argument 'widths' must hold at least two widths"):
        ft.coord_check(make, widths=[8, 8], **data)


def test_a_module_is_held_against_its_plan():
    net = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 32))
    plan = fi.Plan(
        [
            ("**", {"role": "Linear.weight", "scheme": "he_normal", "layout": "oi"}),
            ("**", {"role": "*.bias", "scheme": "zeros"}),
        ]
    )
    ft.init_(net, plan, seed=3)
    assert ft.check(net, plan, seed=3).ok
    with torch.no_grad():
        net[2].weight.mul_(1.5)
    found = ft.check(net, plan, seed=3)
    assert not found.ok
    assert "2.weight" in str(found)
    assert "0.weight" not in str(found.findings)


def test_what_probe_and_check_do_stands_in_the_page():
    page = (Path(__file__).parent.parent / "docs" / "torch.md").read_text()
    for name in ("fastinit.torch.probe", "fastinit.torch.coord_check", "fastinit.torch.check"):
        assert name in page
