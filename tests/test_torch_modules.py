"""`init_`, `patch` and `from_config` on modules in one process; several are in test_torch_distributed.py."""

import copy
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from optional import library

import fastinit as fi

torch = library("torch")

import fastinit.torch as fit  # noqa: E402

nn = torch.nn
WEIGHTS = [
    ("**", {"role": "Linear.weight", "scheme": "he_normal", "layout": "oi"}),
    ("**", {"role": "Embedding.weight", "scheme": "normal", "std": 0.5}),
    ("**", {"role": "{LayerNorm,BatchNorm1d}.weight", "scheme": "ones"}),
    ("**.bias", "zeros"),
]
PLAN = fi.Plan(WEIGHTS)


class Net(nn.Module):
    def __init__(self, tied=False):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.norm = nn.BatchNorm1d(6)
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(2)])
        self.head = nn.Linear(6, 11, bias=False)
        if tied:
            self.head.weight = self.embed.weight


def expected(module, dtype="float32", seed=1, plan=PLAN):
    shapes = {
        name: {"shape": tuple(p.shape), "role": f"{type(owner).__name__}.{name.rpartition('.')[2]}"}
        for name, p in module.named_parameters()
        for owner in [module.get_submodule(name.rpartition(".")[0])]
    }
    return plan.init(shapes, seed=seed, dtype=dtype)


def assert_drawn(module, dtype="float32", **words):
    tensors = expected(module, dtype, **words)
    assert len(tensors) >= 2
    for name, parameter in module.named_parameters():
        assert fit.array(parameter).tobytes() == tensors[name].tobytes(), name


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("meta", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_every_parameter_is_its_names(dtype, meta, tied):
    with torch.device("meta" if meta else "cpu"):
        net = Net(tied).to(getattr(torch, dtype))
    net.layers[0].weight.requires_grad_(False)
    net.layers[1].weight.mark = "kept"
    ids = [p._version for p in net.parameters()]
    state = torch.get_rng_state()
    assert fit.init_(net, PLAN, seed=1) is net
    assert torch.equal(torch.get_rng_state(), state)
    assert_drawn(net, dtype)
    assert (net.head.weight is net.embed.weight) == tied
    assert [p.requires_grad for p in net.layers[0].parameters()] == [False, True]
    assert net.layers[1].weight.mark == "kept"
    assert all(p.is_leaf and p.grad_fn is None for p in net.parameters())
    assert meta or [p._version for p in net.parameters()] == [v + 1 for v in ids]
    assert net.norm.running_var.tolist() == [1] * 6
    assert net.norm.running_mean.tolist() == [0] * 6
    assert net.norm.num_batches_tracked == 0


def test_other_parameters_change_nothing():
    a, b = Net(), Net()
    b.first = nn.Linear(3, 3)
    b.layers.append(nn.Linear(6, 6))
    fit.init_(a, PLAN, seed=1)
    fit.init_(b, PLAN, seed=1)
    for name, parameter in a.named_parameters():
        assert torch.equal(parameter, b.get_parameter(name))


def test_wrappers_have_no_part_in_names():
    plain, net = Net(), Net()
    fit.init_(plain, PLAN, seed=1)
    wrapped = torch.nn.DataParallel(net)
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    net.layers[1] = checkpoint_wrapper(net.layers[1])
    fit.init_(wrapped, WEIGHTS, seed=1)  # the rules of a plan will do
    assert torch.equal(net.layers[1].weight.cpu(), plain.layers[1].weight)  # DataParallel moves it where it can
    compiled = torch.compile(Net(), backend="eager")
    fit.init_(compiled, PLAN, seed=1)
    assert torch.equal(compiled.layers[1].weight, plain.layers[1].weight)


def test_prefix():
    net, layer = Net(), nn.Linear(6, 6)
    fit.init_(net, PLAN, seed=1)
    fit.init_(layer, PLAN, seed=1, prefix="layers.1.")
    assert torch.equal(layer.weight, net.layers[1].weight)


def test_ties_by_the_plan_and_by_the_module():
    rules = [("head.weight", {"tie": "embed.weight"}), *WEIGHTS]
    tying = fi.Plan(rules, first_match=True)
    apart, tied = Net(), Net(tied=True)
    fit.init_(apart, tying, seed=1)
    fit.init_(tied, tying, seed=1)
    assert apart.head.weight is not apart.embed.weight
    for net in (apart, tied):
        assert (
            fit.array(net.head.weight).tobytes() == fi.normal((11, 6), std=0.5, seed=1, name="embed.weight").tobytes()
        )
    other = fi.Plan([("embed.weight", {"tie": "head.weight"}), *WEIGHTS], first_match=True)
    fit.init_(tied, other, seed=1)  # drawn by the second of its names
    head = fi.init("he_normal", (11, 6), layout="oi", seed=1, name="head.weight")
    assert fit.array(tied.embed.weight).tobytes() == head.tobytes()


def test_rules_of_a_dtype_and_skipped_parameters():
    rules = [("norm.**", {"scheme": "ones", "dtype": "float32"}), ("head.**", "skip"), *WEIGHTS]
    plan = fi.Plan(rules, first_match=True)
    net = Net().bfloat16()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match=r"must have norm.weight in the float32 of rule norm\.\*\*, got bfloat16"):
        fit.init_(net, plan, seed=1)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    net.norm.float()
    fit.init_(net, plan, seed=1)
    assert torch.equal(net.head.weight, before["head.weight"])
    assert net.norm.weight.dtype == torch.float32


class Rotary(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("angles", torch.arange(4.0), persistent=False)


class Forgetful(Rotary):
    def reset_parameters(self):
        pass


class Drawing(Rotary):
    def reset_parameters(self):
        nn.init.normal_(self.angles)


def meta(*modules):
    with torch.device("meta"):
        return nn.Sequential(*(module() for module in modules))


REFUSED = {
    "no module": (lambda: fit.init_(3, PLAN, seed=0), TypeError, "'module' must be a torch.nn.Module, got 3"),
    "no rule": (lambda: fit.init_(nn.Conv1d(2, 2, 1), PLAN, seed=0), ValueError, "none for weight"),
    "no seed": (lambda: fit.init_(Net(), PLAN, seed=None), TypeError, "'seed' must be an integer >= 0, got None"),
    "no plan": (lambda: fit.init_(Net(), 3, seed=0), TypeError, "argument 'rules'"),
    "no prefix": (lambda: fit.init_(Net(), PLAN, seed=0, prefix=3), TypeError, "argument 'prefix'"),
    "lazy": (lambda: fit.init_(nn.LazyLinear(3), PLAN, seed=0), ValueError, "must have run once"),
    "integers": (
        lambda: fit.init_(nn.ParameterDict({"w": nn.Parameter(torch.zeros(2, 2, dtype=torch.int8), False)}),
                          [("**", "normal")], seed=0),
        ValueError, "must have w in one of float32.*, got int8",
    ),
    "meta, skipped": (
        lambda: fit.init_(meta(lambda: nn.Linear(2, 2)), [("**", "skip")], seed=0),
        ValueError, "must draw what is on the meta device and has no values, got 0.weight, 0.bias",
    ),
    "buffers": (
        lambda: fit.init_(meta(lambda: nn.Linear(2, 2), Rotary), PLAN, seed=0),
        ValueError, r"argument 'missing' must .* got 'raise' for 1.angles",
    ),
    "buffers left": (
        lambda: fit.init_(meta(Forgetful), PLAN, seed=0), RuntimeError, "have no values: 0.angles",
    ),
    "missing": (lambda: fit.init_(Net(), PLAN, seed=0, missing="leave"), ValueError, "argument 'missing'"),
    "a law": (
        lambda: fit.init_(nn.Linear(2, 2).half(), [("**", {"scheme": "normal", "std": 1e9})], seed=0),
        ValueError, r"parameter weight, rule \*\*",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_buffers_on_the_meta_device():
    state = torch.get_rng_state()
    net = fit.init_(meta(lambda: nn.Linear(2, 2), Drawing), PLAN, seed=0)
    assert net[1].angles.std() > 0
    assert torch.equal(torch.get_rng_state(), state)
    net = fit.init_(meta(lambda: nn.Linear(2, 2), Rotary), PLAN, seed=0, missing="zeros")
    assert net[1].angles.tolist() == [0] * 4
    net = fit.init_(
        meta(Rotary, lambda: nn.Linear(2, 2)), PLAN, seed=0, missing=lambda m: m.angles.copy_(torch.arange(4.0))
    )
    assert net[0].angles.tolist() == [0, 1, 2, 3]
    real = Rotary()
    mixed = nn.Sequential(real, meta(lambda: nn.Linear(2, 2)), nn.Linear(2, 2))
    angles, kept = real.angles, mixed[2].weight.data_ptr()
    fit.init_(mixed, PLAN, seed=0)
    assert real.angles is angles
    assert angles.tolist() == [0, 1, 2, 3]
    assert mixed[2].weight.data_ptr() == kept
    assert fit.array(mixed[1][0].weight).tobytes() == expected(mixed, seed=0)["1.0.weight"].tobytes()


def test_resets_name_streams_by_the_module():
    net, again = Net(), Net()
    theirs = torch.nn.init.kaiming_uniform_
    with fit.patch(net, seed=3):
        assert torch.nn.init.kaiming_uniform_ is not theirs
        for layer in [net.layers[1], net.layers[0], net.embed]:
            layer.reset_parameters()
    assert torch.nn.init.kaiming_uniform_ is theirs
    same = fi.init("lecun_uniform", (6, 6), scale=1 / 3, layout="oi", seed=3, name="layers.1.weight")
    assert np.allclose(fit.array(net.layers[1].weight), same, rtol=1e-6)
    bound = 6**-0.5
    same = fi.uniform(6, low=-bound, high=bound, seed=3, name="layers.1.bias")
    assert fit.array(net.layers[1].bias).tobytes() == same.tobytes()
    assert fit.array(net.embed.weight).tobytes() == fi.normal((11, 6), seed=3, name="embed.weight").tobytes()
    with fit.patch(again, seed=3):
        again.apply(lambda m: m.reset_parameters() if hasattr(m, "reset_parameters") else None)
    for name in ("layers.0.weight", "layers.1.weight", "layers.1.bias", "embed.weight"):
        assert torch.equal(again.get_parameter(name), net.get_parameter(name))


def test_what_is_built_in_a_patch_draws_by_the_tree_that_there_is():
    def build():
        with fit.patch(seed=3):
            net = Net()
            nn.init.normal_(net.layers[1].weight)
            nn.init.xavier_uniform_(net.head.weight.data)
            nn.init.normal_(net.embed.weight[2:4])
        return net

    net, again = build(), build()
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    # Linears are not yet in a module when they draw: four of one name, told apart by a number.
    assert not torch.equal(net.layers[0].weight, nn.Linear(6, 6).weight)
    assert fit.array(net.layers[1].weight).tobytes() == fi.normal((6, 6), seed=3, name="layers.1.weight").tobytes()
    head = fi.init("xavier_uniform", (11, 6), layout="oi", seed=3, name="head.weight")
    assert fit.array(net.head.weight).tobytes() == head.tobytes()
    assert not torch.equal(net.embed.weight[2:4], net.embed.weight[:2])
    with fit.patch(seed=3):
        twins = [nn.Linear(6, 6) for _ in range(3)]
    assert not torch.equal(twins[0].weight, twins[1].weight)
    assert not torch.equal(twins[1].weight, twins[2].weight)


def test_a_patch_reaches_every_reference_and_leaves_none(monkeypatch):
    import sys
    import types

    user = types.ModuleType("somebodys_module")
    user.xavier = torch.nn.init.xavier_uniform_
    monkeypatch.setitem(sys.modules, "somebodys_module", user)
    theirs = user.xavier
    with fit.patch(seed=0), fit.patch(seed=1):
        assert torch.nn.modules.activation.xavier_uniform_ is user.xavier is torch.nn.init.xavier_uniform_ is not theirs
        late = types.ModuleType("loaded_within")
        late.draw = torch.nn.init.xavier_uniform_
        monkeypatch.setitem(sys.modules, "loaded_within", late)
        w = torch.nn.init.normal_(torch.empty(9))
        generator = torch.Generator().manual_seed(3)
        ours = torch.nn.init.normal_(torch.empty(3), generator=generator)
    assert torch.nn.modules.activation.xavier_uniform_ is user.xavier is torch.nn.init.xavier_uniform_ is theirs
    assert late.draw is theirs
    assert w.numpy().tobytes() == fi.normal(9, seed=1, name="tensor").tobytes()
    assert torch.equal(ours, fit.normal_(torch.empty(3), generator=torch.Generator().manual_seed(3)))
    with pytest.raises(RuntimeError, match="in the block"), fit.patch(seed=0):
        raise RuntimeError("in the block")
    assert torch.nn.init.xavier_uniform_ is theirs
    attention = nn.MultiheadAttention(4, 2)
    with fit.patch(attention, seed=5):
        attention._reset_parameters()
    same = fi.init("xavier_uniform", (12, 4), layout="oi", seed=5, name="in_proj_weight")
    assert fit.array(attention.in_proj_weight).tobytes() == same.tobytes()


def test_a_patch_without_a_seed_takes_one_draw():
    torch.manual_seed(0)
    with fit.patch():
        a = nn.Linear(3, 3)
    after = torch.rand(2)
    torch.manual_seed(0)
    fit.normal_(torch.empty(1))
    assert torch.equal(torch.rand(2), after)
    torch.manual_seed(0)
    with fit.patch():
        assert torch.equal(nn.Linear(3, 3).weight, a.weight)


@pytest.fixture(scope="module")
def transformers():
    return library("transformers")


def llama(transformers, **words):
    return transformers.LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, **words,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [False, True])
def test_a_model_of_hugging_face_from_its_config(transformers, dtype, tied):
    config = llama(transformers, tie_word_embeddings=tied)
    model = fit.from_config(config, seed=4, dtype=dtype)
    assert type(model).__name__ == "LlamaForCausalLM"
    kind = str(dtype).removeprefix("torch.")
    for name, parameter in model.named_parameters():
        assert parameter.dtype == dtype
        same = fi.normal(tuple(parameter.shape), std=0.02, seed=4, name=name, dtype=kind)
        same = np.ones_like(same) if "norm" in name else same
        assert fit.array(parameter).tobytes() == same.tobytes(), name
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    reference = transformers.LlamaForCausalLM(config).model.rotary_emb.inv_freq
    assert torch.equal(model.model.rotary_emb.inv_freq.float(), reference.float())
    assert model(torch.tensor([[1, 2]])).logits.isfinite().all()


def test_a_patch_reaches_transformers(transformers):
    model = transformers.LlamaForCausalLM(llama(transformers))
    table = sys.modules["transformers.initialization"].TORCH_INIT_FUNCTIONS
    theirs = dict(table)
    model._is_hf_initialized = False
    for part in model.modules():
        part._is_hf_initialized = False
    with fit.patch(model, seed=9):
        model.initialize_weights()
    assert table == theirs
    name = "model.layers.1.mlp.up_proj.weight"
    assert fit.array(model.get_parameter(name)).tobytes() == fi.normal((24, 16), std=0.02, seed=9, name=name).tobytes()
    with fit.patch(seed=9):  # the inner model initialises itself before it is in the outer one
        built = transformers.LlamaForCausalLM(llama(transformers))
    inner = name.removeprefix("model.")
    same = fi.normal((24, 16), std=0.02, seed=9, name=inner)
    assert fit.array(built.get_parameter(name)).tobytes() == same.tobytes()


def test_configs_that_are_none(transformers):
    with pytest.raises(TypeError, match="argument 'config' must be a configuration of transformers, got 3"):
        fit.from_config(3, seed=0)
    with pytest.raises(TypeError, match="argument 'dtype' must be a floating type"):
        fit.from_config(llama(transformers), seed=0, dtype="int8")

    with pytest.raises(TypeError, match="argument 'model_class' must be a model's class"):
        fit.from_config(llama(transformers), seed=0, model_class=3)


def test_patches_of_what_is_no_module():
    with pytest.raises(TypeError, match=r"argument 'module' must be a torch\.nn\.Module"), fit.patch(3):
        pass
    with pytest.raises(TypeError, match="argument 'seed'"), fit.patch(seed="x"):
        pass


def test_results_and_tensors_share_memory():
    for kind in ("float32", "bfloat16", "float16", "float64"):
        w = fi.normal((3, 4), seed=0, dtype=kind)
        t = fit.tensor(w)
        assert str(t.dtype) == f"torch.{kind}"
        assert t.data_ptr() == w.ctypes.data
        assert fit.array(t).dtype == w.dtype
        assert fit.array(t[:, ::2]).tobytes() == w[:, ::2].tobytes()
    for wrong in ([1.0], np.array(["a"]), np.zeros(4)[::-1]):
        with pytest.raises(TypeError, match="argument 'array'"):
            fit.tensor(wrong)
    for wrong in ([1.0], torch.zeros(3, device="meta"), torch.zeros(3).to_sparse()):
        with pytest.raises(TypeError, match="argument 'tensor' must be a dense tensor of PyTorch in the CPU's memory"):
            fit.array(wrong)


def test_without_pytorch_the_error_says_what_to_install(python):
    code = """
import sys
sys.modules["torch"] = None
import fastinit
try:
    import fastinit.torch
except ImportError as error:
    print(error)
"""
    assert re.search(r'this needs PyTorch; .*pip install "fastinit-kernels\[torch\]"', python(code))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells how memory is paged")
def test_memory_that_is_new_has_large_pages():
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(1 << 12, 1 << 12, bias=False), nn.Linear(8, 8, bias=False))
    fit.init_(net, PLAN, seed=1, device="cpu")
    address = net[0].weight.data_ptr() + (1 << 24)
    found = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) .*?^VmFlags:(.*?)$", re.M | re.S)
    flags = [
        flags.split()
        for first, last, flags in found.findall(Path("/proc/self/smaps").read_text())
        if int(first, 16) <= address < int(last, 16)
    ]
    assert ["hg" in words for words in flags] == [True]
