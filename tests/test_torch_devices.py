"""fastinit.torch on a real accelerator: the bytes of the CPU, whatever the way there. Skipped where there is none."""

import copy

import pytest
from optional import library

import fastinit as fi

torch = library("torch")

import fastinit.torch as fit  # noqa: E402
from fastinit.torch import memory  # noqa: E402

nn = torch.nn
PLAN = fi.Plan(
    [
        ("**", {"role": "Linear.weight", "scheme": "he_normal", "layout": "oi"}),
        ("**", {"role": "Embedding.weight", "scheme": "truncated_normal", "std": 0.5}),
        ("**", {"role": "LayerNorm.weight", "scheme": "ones"}),
        ("**.bias", {"scheme": "uniform", "low": -1.0, "high": 1.0}),
    ]
)
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


@pytest.fixture(params=["cuda", "mps"])
def device(request):
    if not getattr(torch, request.param).is_available():
        pytest.skip(f"no {request.param} device here")
    return request.param


def supported(device, dtype):
    if device == "mps" and dtype is torch.float64:
        pytest.skip("MPS has no float64")


class Net(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.embed = nn.Embedding(501, width)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(3)])
        self.head = nn.Linear(width, 501)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        x = self.norm(self.embed(tokens))
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)


def assert_same(there, here):
    pairs = list(zip(there.named_parameters(), here.named_parameters(), strict=True))
    assert len(pairs) > 3
    for (name, a), (_, b) in pairs:
        assert torch.equal(a.detach().cpu().view(torch.uint8), b.detach().view(torch.uint8)), name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("meta", [False, True])
@pytest.mark.parametrize("most", [None, 1000])
def test_a_modules_bytes_are_the_cpus(device, dtype, meta, most, monkeypatch):
    supported(device, dtype)
    if most:
        monkeypatch.setattr(memory, "MOST_AT_A_TIME", most)  # many blocks a tensor
    here = fit.init_(Net().to(dtype), PLAN, seed=3)
    with torch.device("meta" if meta else device):
        there = Net().to(dtype)
    state = torch.get_rng_state(), getattr(torch, device).get_rng_state()
    fit.init_(there, PLAN, seed=3, **({"device": device} if meta else {}))
    assert torch.equal(torch.get_rng_state(), state[0])
    assert torch.equal(getattr(torch, device).get_rng_state(), state[1])
    assert {p.device.type for p in there.parameters()} == {device}
    assert there.head.weight is there.embed.weight
    assert all(p.is_leaf and p.grad_fn is None for p in there.parameters())
    assert_same(there, here)


def test_a_tensor_of_several_blocks_of_the_size_that_is_used(device):
    shape = 3 * 1024 + 1, 1 << 14
    there = fit.normal_(torch.empty(shape, dtype=torch.bfloat16, device=device), seed=1, name="w")
    here = fit.normal_(torch.empty(shape, dtype=torch.bfloat16), seed=1, name="w")
    assert there.numel() > 2 * memory.MOST_AT_A_TIME
    assert torch.equal(there.cpu(), here)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_strides(device, dtype, monkeypatch):
    supported(device, dtype)
    monkeypatch.setattr(memory, "MOST_AT_A_TIME", 999)
    whole = torch.full((300, 140), 7.0, dtype=dtype, device=device)
    fit.normal_(whole[:, ::2].t(), seed=1, name="w")
    here = fit.normal_(torch.empty(70, 300, dtype=dtype), seed=1, name="w")
    assert torch.equal(whole[:, ::2].t().cpu(), here)
    assert (whole[:, 1::2] == 7).all()
    scalar = fit.normal_(torch.empty((), dtype=dtype, device=device), seed=1, name="w")
    assert torch.equal(scalar.cpu(), fit.normal_(torch.empty((), dtype=dtype), seed=1, name="w"))
    assert fit.normal_(torch.empty((0, 3), dtype=dtype, device=device), seed=1).shape == (0, 3)


@pytest.mark.parametrize("name", ["normal_", "uniform_", "trunc_normal_", "orthogonal_", "kaiming_normal_", "eye_"])
def test_functions(device, name):
    there, here = torch.empty(65, 33, device=device), torch.empty(65, 33)
    words = {} if name == "eye_" else {"seed": 5, "name": "w"}
    version = there._version
    assert getattr(fit, name)(there, **words) is there
    assert there._version > version
    assert torch.equal(there.cpu(), getattr(fit, name)(here, **words))


def test_generators_of_the_device_and_of_the_cpu_decide(device):
    def drawn(generator):
        return fit.normal_(torch.empty(1000, device=device), generator=generator).cpu()

    for place in ("cpu", device):
        first = drawn(torch.Generator(place).manual_seed(1))
        assert torch.equal(first, drawn(torch.Generator(place).manual_seed(1)))
        assert not torch.equal(first, drawn(torch.Generator(place).manual_seed(2)))
    torch.manual_seed(4)
    first = drawn(None)
    torch.manual_seed(4)
    assert torch.equal(first, drawn(None))


def test_patched_modules_on_the_device(device):
    def made(place):
        with fit.patch(seed=2), torch.device(place):
            return nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 20), nn.Embedding(7, 5))

    assert_same(made(device), made("cpu"))


def test_what_is_in_flight_on_another_stream_is_waited_for(device, monkeypatch):
    if device != "cuda":
        pytest.skip("streams are CUDA's")
    monkeypatch.setattr(memory, "MOST_AT_A_TIME", 1 << 16)
    target = torch.empty(1 << 20, device=device)
    with torch.cuda.stream(torch.cuda.Stream()):
        for _ in range(20):
            busy = torch.randn(2048, 2048, device=device)
            busy = busy @ busy
        target.fill_(9.0)
        fit.normal_(target, seed=1, name="w")  # behind the kernels of its own stream
        doubled = target * 2
    torch.cuda.synchronize()
    here = fit.normal_(torch.empty(1 << 20), seed=1, name="w")
    assert torch.equal(target.cpu(), here)
    assert torch.equal(doubled.cpu(), here * 2)


def test_memory_is_allocated_once(device):
    if device != "cuda":
        pytest.skip("the allocator's figures are CUDA's")
    with torch.device("meta"):
        net = nn.Sequential(*[nn.Linear(2048, 2048) for _ in range(8)])
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    fit.init_(net, PLAN, seed=0, device=device)
    size = sum(p.numel() * p.element_size() for p in net.parameters())
    assert torch.cuda.max_memory_allocated() - before < 1.01 * size


def test_a_probe_of_a_module_there(device):
    here = fit.init_(Net(), PLAN, seed=3)
    there = copy.deepcopy(here).to(device)
    tokens = torch.randint(501, (64, 5), generator=torch.Generator().manual_seed(0))
    state = getattr(torch, device).get_rng_state()
    found, expected = fit.probe(there, tokens.to(device)), fit.probe(here, tokens)
    assert torch.equal(getattr(torch, device).get_rng_state(), state)
    assert found.names == expected.names
    assert found.std == pytest.approx(expected.std, rel=1e-4)
    assert found.gradient_std == pytest.approx(expected.gradient_std, rel=1e-3)


def test_a_check_of_a_module_there(device):
    net = fit.init_(Net().to(device), PLAN, seed=3)
    assert fit.check(net, PLAN, seed=3).ok


def test_a_sharded_module_on_one_device(device, tmp_path):
    if device != "cuda" or not torch.distributed.is_nccl_available():
        pytest.skip("needs NCCL")
    from torch.distributed.fsdp import fully_shard

    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("nccl", init_method=store, rank=0, world_size=1)
    try:
        with torch.device("meta"):
            net = Net()
            net.head = nn.Linear(96, 501)
        fully_shard(net)
        fit.init_(net, PLAN, seed=3, device=device)
        plain = Net()
        plain.head = nn.Linear(96, 501)
        fit.init_(plain, PLAN, seed=3)
        for (name, a), (_, b) in zip(net.named_parameters(), plain.named_parameters(), strict=True):
            assert torch.equal(a.full_tensor().detach().cpu(), b.detach()), name
    finally:
        torch.distributed.destroy_process_group()
