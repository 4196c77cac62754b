"""The functions of torch.nn.init by its own: names, signatures, defaults, errors, return values, laws.

The cases of PyTorch's test/nn/test_init.py (TestNNInit, TestNNInitDeviceType) are here, in our words; with
FASTINIT_TORCH_TESTS naming that file of a checkout the file itself runs, too.
"""

import importlib.util
import inspect
import math
import os
import unittest
import warnings

import numpy as np
import pytest
from optional import library
from scipy import stats

import fastinit as fi

torch = library("torch")

import fastinit.torch as fit  # noqa: E402

THEIRS = torch.nn.init
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
NAMES = [name for name, own in vars(THEIRS).items() if name[0].islower() and inspect.isroutine(own)]
ADDED = {"seed", "name", "layout", "groups", "stride", "transposed"}


def drawn(function, shape=(200, 150), dtype=torch.float32, **arguments):
    return function(torch.zeros(shape, dtype=dtype), **{"seed": 1, **arguments}).double().numpy()


@pytest.mark.parametrize("name", NAMES)
def test_names_and_signatures_are_theirs(name):
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (fit, THEIRS))
    if not name.endswith("_") and name != "calculate_gain":
        assert getattr(fit, name).__name__ == name
        return
    assert [(p.name, p.default, p.kind) for p in ours.values() if p.name in theirs] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]
    assert [*ours][: len(theirs)] == [*theirs]
    assert {*ours} - {*theirs} <= ADDED
    assert all(p.kind is p.KEYWORD_ONLY for name, p in ours.items() if name not in theirs)


# Function, arguments, the law's distribution function.
LAWS = {
    "uniform": (fit.uniform_, {"a": -2.5, "b": 1}, stats.uniform(-2.5, 3.5)),
    "normal": (fit.normal_, {"mean": 1.5, "std": 3}, stats.norm(1.5, 3)),
    "trunc_normal": (fit.trunc_normal_, {"mean": 1, "std": 0.5, "a": 0.25, "b": 2}, stats.truncnorm(-1.5, 2, 1, 0.5)),
    "xavier_uniform": (fit.xavier_uniform_, {"gain": 2}, stats.uniform(-2 * (6 / 350) ** 0.5, 4 * (6 / 350) ** 0.5)),
    "xavier_normal": (fit.xavier_normal_, {}, stats.norm(0, (2 / 350) ** 0.5)),
    "kaiming_uniform": (
        fit.kaiming_uniform_, {"a": 0.5, "mode": "fan_out"},
        stats.uniform(-((6 / 1.25 / 200) ** 0.5), 2 * (6 / 1.25 / 200) ** 0.5),
    ),
    "kaiming_normal": (fit.kaiming_normal_, {"nonlinearity": "tanh"}, stats.norm(0, 5 / 3 / 150**0.5)),
}  # fmt: skip


@pytest.mark.parametrize(("function", "arguments", "law"), LAWS.values(), ids=LAWS)
def test_laws(function, arguments, law):
    values = drawn(function, dtype=torch.float64, **arguments).reshape(-1)
    assert stats.kstest(values, law.cdf).pvalue > 1e-3
    # 30,000 draws tell a std that is 2 % off.
    assert values.std() == pytest.approx(law.std(), rel=0.015)


@pytest.mark.parametrize("dtype", DTYPES)
def test_draws_are_those_of_init(dtype):
    kind = str(dtype).removeprefix("torch.")
    address = {"seed": 5, "name": "w", "dtype": kind}
    pairs = [
        (fit.uniform_, {"a": -1, "b": 2}, fi.uniform((8, 6), low=-1, high=2, **address)),
        (fit.normal_, {"std": 0.5}, fi.normal((8, 6), std=0.5, **address)),
        (fit.trunc_normal_, {"std": 0.5, "a": -1, "b": 1}, fi.truncated_normal((8, 6), std=0.5, **address)),
        (fit.xavier_uniform_, {}, fi.init("xavier_uniform", (8, 6), layout="oi", **address)),
        (fit.xavier_normal_, {"gain": 2}, fi.init("xavier_normal", (8, 6), layout="oi", gain=2, **address)),
        (fit.kaiming_uniform_, {"a": 0.1}, fi.init("he_uniform", (8, 6), layout="oi", negative_slope=0.1, **address)),
        (fit.kaiming_normal_, {"nonlinearity": "relu", "mode": "fan_out"},
         fi.init("he_normal", (8, 6), layout="oi", nonlinearity="relu", mode="fan_out", **address)),
        (fit.orthogonal_, {"gain": 3}, fi.init("orthogonal", (8, 6), layout="oi", gain=3, **address)),
        (fit.sparse_, {"sparsity": 0.5}, fi.init("sparse", (8, 6), nonzeros=4, std=0.01, **address)),
    ]  # fmt: skip
    for function, arguments, expected in pairs:
        tensor = torch.full((8, 6), 7.0, dtype=dtype)
        assert function(tensor, **arguments, seed=5, name="w") is tensor
        assert fit.array(tensor).tobytes() == expected.tobytes()
        strided = torch.full((6, 16), 7.0, dtype=dtype).T[::2]
        function(strided, **arguments, seed=5, name="w")
        assert torch.equal(strided, tensor)
        assert (strided._base.T[1::2] == 7).all()


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2", "complex64", "complex128"])
def test_types_that_pytorch_does_not_draw_or_numpy_does_not_have(kind):
    dtype = getattr(torch, kind)
    strided = torch.zeros(6, 8, dtype=dtype)[:, ::2]
    for function, scheme in ((fit.normal_, "normal"), (fit.trunc_normal_, "truncated_normal")):
        function(strided, seed=1, name="w")
        assert fit.array(strided).tobytes() == fi.init(scheme, (6, 4), seed=1, name="w", dtype=kind).tobytes()
    if dtype.is_complex:
        with pytest.raises(ValueError, match="'dtype' must be real"):
            fit.uniform_(torch.zeros(3, 3, dtype=dtype), seed=0)
        with pytest.raises(RuntimeError):  # PyTorch's own
            fit.orthogonal_(torch.zeros(3, 3, dtype=dtype))
        square = fit.uniform_(torch.zeros(90, 90, dtype=dtype))  # PyTorch's own: of both parts
        assert 0.45 < square.imag.mean() < 0.55
    else:
        same = fi.init("orthogonal", (6, 4), layout="oi", seed=1, dtype=kind)
        assert fit.array(fit.orthogonal_(strided, seed=1)).tobytes() == same.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_truncation_keeps_to_absolute_bounds(dtype):
    generator = np.random.default_rng(0)
    for _ in range(20):
        mean, std = generator.uniform(-3, 3), generator.uniform(0.01, 1)
        a, b = mean - std * generator.uniform(0.5, 2), mean + std * generator.uniform(0.5, 2)
        values = fit.trunc_normal_(torch.empty(2000, dtype=dtype), mean, std, a, b, seed=1).double()
        assert values.min() >= a
        assert values.max() <= b
    assert drawn(fit.trunc_normal_, (5,), dtype, a=0.5, b=0.5).tolist() == [0.5] * 5
    assert not (drawn(fit.trunc_normal_, (10_000,), dtype, std=0.1, a=-2, b=2) % 2 == 0).any()
    least = {torch.float16: 3000, torch.bfloat16: 1000}.get(dtype, 5000)
    assert len(np.unique(drawn(fit.trunc_normal_, (10_000,), dtype))) > least


def test_bounds_in_std_lead_back_inside():
    from fractions import Fraction

    from fastinit.torch.functions import _from_mean

    generator, plainly_outside = np.random.default_rng(0), 0
    for _ in range(500):
        mean, std, bound = (float(x) for x in generator.uniform((-3, 0.01, -5), (3, 1, 5)))
        for inside in (np.inf, -np.inf):
            found = _from_mean(bound, mean, std, inside)
            over = Fraction(mean) + Fraction(std) * Fraction(found) - Fraction(bound)
            assert over * int(np.sign(inside)) >= 0
            assert abs(over) < 1e-13
            plain = Fraction(mean) + Fraction(std) * Fraction((bound - mean) / std) - Fraction(bound)
            plainly_outside += plain * int(np.sign(inside)) < 0
    assert plainly_outside > 100


def test_bounds_far_from_the_mean_are_exact_and_give_no_warning():
    for mean, std, a, b in ((0.0, 1.0, 2.0, 3.0), (0.1, 0.3, 1.3, 1.30001), (-1e-3, 1e-4, 0.0, 1.0)):
        values = drawn(fit.trunc_normal_, (20_000,), torch.float64, mean=mean, std=std, a=a, b=b)
        assert values.min() >= a
        assert values.max() <= b
        law = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
        assert stats.kstest(values, law.cdf).pvalue > 1e-3


def test_the_default_generator_decides_by_one_draw_of_a_seed():
    torch.manual_seed(3)
    a, seed = fit.normal_(torch.empty(5)), None
    after = torch.rand(4)
    torch.manual_seed(3)
    seed = int(torch.empty((), dtype=torch.int64).random_())
    assert torch.equal(after, torch.rand(4))  # dropout's draws, say, are where they were after one draw
    assert a.numpy().tobytes() == fi.normal(5, seed=seed).tobytes()
    assert torch.equal(fit.normal_(torch.empty(5), generator=torch.Generator().manual_seed(3)), a)
    assert not torch.equal(fit.normal_(torch.empty(5)), a)
    state = torch.get_rng_state()
    fit.normal_(torch.empty(5), seed=0)
    fit.sparse_(torch.empty(5, 5), 0.5, generator=torch.Generator().manual_seed(3))  # all of it
    fit.eye_(torch.empty(3, 3))
    fit.dirac_(torch.empty(3, 3, 3))
    fit.normal_(torch.empty(3, device="meta"))
    assert torch.equal(torch.get_rng_state(), state)


def test_autograd_sees_one_change():
    for function in (fit.uniform_, fit.normal_, fit.trunc_normal_, fit.xavier_normal_, fit.orthogonal_):
        theirs = getattr(THEIRS, function.__name__)
        weight = torch.nn.Parameter(torch.zeros(3, 4))
        before = weight._version
        function(weight, seed=0)
        assert weight._version == before + 1, function
        assert weight.requires_grad
        assert weight.grad_fn is None
        reference = torch.nn.Parameter(torch.zeros(3, 4))
        theirs(reference)
        assert (reference.requires_grad, reference.is_leaf) == (weight.requires_grad, weight.is_leaf)
    weight = torch.nn.Parameter(torch.ones(3))
    square = (weight**2).sum()
    fit.normal_(weight, seed=0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()
    with torch.inference_mode():
        assert fit.normal_(torch.empty(3), seed=0).is_inference()


REFUSED = {
    "std": (lambda f: f.normal_(torch.empty(3), std=-1), RuntimeError),
    "order": (lambda f: f.uniform_(torch.empty(3), 1, 0), RuntimeError),
    "overlap": (lambda f: f.normal_(torch.empty(1).expand(3)), RuntimeError),
    "fans": (lambda f: f.xavier_normal_(torch.empty(3)), ValueError),
    "fans 0-d": (lambda f: f.xavier_uniform_(torch.empty(())), ValueError),
    "kaiming": (lambda f: f.kaiming_normal_(torch.empty(3)), ValueError),
    "kaiming 0-d": (lambda f: f.kaiming_uniform_(torch.empty(())), ValueError),
    "mode": (lambda f: f.kaiming_normal_(torch.empty(3, 3), mode="fan_avg"), ValueError),
    "nonlinearity": (lambda f: f.kaiming_normal_(torch.empty(3, 3), nonlinearity="qz"), ValueError),
    "slope": (lambda f: f.kaiming_normal_(torch.empty(3, 3), a=True), ValueError),
    "gain": (lambda f: f.calculate_gain("leaky_relu", True), ValueError),
    "eye": (lambda f: f.eye_(torch.empty(3)), ValueError),
    "dirac": (lambda f: f.dirac_(torch.empty(3, 3)), ValueError),
    "dirac groups": (lambda f: f.dirac_(torch.empty(3, 3, 3), 2), ValueError),
    "orthogonal": (lambda f: f.orthogonal_(torch.empty(3)), ValueError),
    "sparse": (lambda f: f.sparse_(torch.empty(3), 0.5), ValueError),
    "integers": (lambda f: f.normal_(torch.zeros(3, dtype=torch.int64)), RuntimeError),
}


@pytest.mark.parametrize(("call", "kind"), REFUSED.values(), ids=REFUSED)
def test_what_they_refuse_is_refused_by_the_same_kind_of_error(call, kind):
    for module in (THEIRS, fit):
        with pytest.raises(kind):
            call(module)


def test_an_address_is_one_of_two():
    with pytest.raises(ValueError, match="'generator' must be left out beside 'seed'"):
        fit.normal_(torch.empty(3), generator=torch.Generator(), seed=0)
    with pytest.raises(TypeError, match="'tensor' must be dense and of a type of fastinit's with a seed, got int64"):
        fit.normal_(torch.zeros(3, dtype=torch.int64), seed=0)


ODD = {
    "tensor": lambda f: f.normal_([1.0]),
    "tensor ": lambda f: f.eye_(None),
    "tensor  ": lambda f: f.kaiming_normal_("x"),
    "tensor   ": lambda f: f.trunc_normal_(3, a=1, b=1),
    "generator": lambda f: f.normal_(torch.empty(3), generator=3),
    "std": lambda f: f.normal_(torch.empty(3), std="x"),
    "std ": lambda f: f.trunc_normal_(torch.empty(3), std=0),
    "a": lambda f: f.trunc_normal_(torch.empty(3), a="x"),
    "b": lambda f: f.trunc_normal_(torch.empty(3), b=math.nan),
    "mode": lambda f: f.kaiming_normal_(torch.empty(3, 3), mode=None),
    "gain": lambda f: f.orthogonal_(torch.empty(3, 3), gain=None),
    "groups": lambda f: f.dirac_(torch.empty(3, 3, 3), groups=0),
    "sparsity": lambda f: f.sparse_(torch.empty(3, 3), -1),
    "seed": lambda f: f.normal_(torch.empty(3), seed="x"),
    "name": lambda f: f.normal_(torch.empty(3), seed=0, name=3),
    "layout": lambda f: f.xavier_normal_(torch.empty(3, 3), layout="q"),
}


@pytest.mark.parametrize("argument", ODD)
def test_odd_arguments_are_named(argument):
    with pytest.raises((TypeError, ValueError), match=f"argument '{argument.strip()}' must"):
        ODD[argument](fit)


def test_tensors_without_elements():
    for function in (fit.kaiming_normal_, fit.kaiming_uniform_):
        with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
            assert function(torch.empty(0, 3)).shape == (0, 3)
    for function in (fit.normal_, fit.xavier_normal_, fit.orthogonal_, fit.uniform_):
        assert function(torch.empty(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.int64])
def test_identities_are_theirs(dtype):
    for shape in ((3, 5), (5, 3), (1, 1)):
        assert torch.equal(fit.eye_(torch.full(shape, 7, dtype=dtype)), THEIRS.eye_(torch.zeros(shape, dtype=dtype)))
    for shape, groups in (((6, 2, 3), 3), ((4, 4, 3, 4), 1), ((4, 7, 1, 2, 5), 2), ((2, 0, 3), 1)):
        ours, theirs = (f.dirac_(torch.full(shape, 7, dtype=dtype), groups) for f in (fit, THEIRS))
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (20, 2, 3, 4), (2, 3, 4, 5), (5, 1)])
@pytest.mark.parametrize("gain", [1.0, 0.3, -2.0])
def test_orthogonal(shape, gain):
    q = drawn(fit.orthogonal_, shape, torch.float64, gain=gain).reshape(shape[0], -1)
    q = q if q.shape[0] <= q.shape[1] else q.T
    assert np.allclose(q @ q.T, gain**2 * np.eye(len(q)), atol=1e-12)
    half = drawn(fit.orthogonal_, shape, torch.bfloat16, gain=gain).reshape(shape[0], -1)
    half = half if half.shape[0] <= half.shape[1] else half.T
    assert np.allclose(half @ half.T, gain**2 * np.eye(len(half)), atol=gain**2 * 2**-6)


@pytest.mark.parametrize("sparsity", [0.0, 0.15, 0.5, 1.0])
def test_sparse_counts(sparsity):
    w = drawn(fit.sparse_, (33, 20), sparsity=sparsity, std=2)
    assert ((w == 0).sum(0) == math.ceil(sparsity * 33)).all()
    if sparsity < 1:
        assert stats.kstest(w[w != 0], stats.norm(0, 2).cdf).pvalue > 1e-3


def test_true_fans_of_grouped_and_transposed_kernels():
    grouped = torch.nn.Conv2d(8, 16, 3, groups=4).weight
    assert drawn(fit.kaiming_normal_, (1600, 2, 3, 3), mode="fan_out").std() == pytest.approx(
        (2 / 1600 / 9) ** 0.5, rel=0.02
    )
    fans = fi.fans(tuple(grouped.shape), layout="oi", groups=4)
    same = fi.init("xavier_normal", tuple(grouped.shape), layout="oi", groups=4, seed=1)
    assert (drawn(fit.xavier_normal_, tuple(grouped.shape), groups=4) == same).all()
    assert fans == (18, 36)
    shape = (8, 16, 4, 4)
    same = fi.init("he_uniform", shape, layout="iohw", transposed=True, stride=2, negative_slope=0, seed=1)
    ours = drawn(fit.kaiming_uniform_, shape, layout="iohw", transposed=True, stride=2)
    assert (ours == same).all()


def test_names_of_before_warn():
    old = [name for name in NAMES if not name.endswith("_") and name != "calculate_gain"]
    assert len(old) == 11
    for name in old:
        arguments = {"constant": (1.0,), "sparse": (0.5,)}.get(name, ())
        shape = (3, 3, 3) if name == "dirac" else (3, 3)
        with pytest.warns(FutureWarning, match="deprecated"):
            getattr(fit, name)(torch.empty(shape), *arguments)


def test_tensors_without_memory_of_ours_are_theirs():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fit.normal_(torch.empty(3))
    torch.manual_seed(0)
    values = fit.normal_(torch.empty(1000, dtype=torch.complex64))
    assert 0.9 < values.abs().square().mean() < 1.1
    turned = torch.zeros(5, dtype=torch.complex64).conj().imag  # negated, lazily
    assert turned.is_neg()
    fit.normal_(turned, seed=0)
    assert torch.equal(turned, fit.normal_(torch.empty(5), seed=0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_devices_get_blocks_through_two_hosts(monkeypatch, dtype):
    """Stands for CUDA where there is none (test_torch_devices.py): memory out of reach, events that are waited for."""
    from fastinit.torch import memory

    waited, hosts, real = [], [], memory.tensor_memory
    target = torch.zeros(7, 33, dtype=dtype)

    class Event:
        def record(self, stream):
            assert stream == "stream"

        def synchronize(self):
            waited.append(self)

    class Device:
        type = "cuda"

    class Far:
        """What `write` sees of a tensor on another device."""

        device, shape, dtype = Device(), target.shape, target.dtype

        def numel(self):
            return target.numel()

        def __getitem__(self, index):
            part = target[index]

            class Part:
                def copy_(self, block, non_blocking):
                    assert non_blocking
                    part.copy_(block)

            return Part()

    def empty(size, *, dtype, device, pin_memory):
        assert pin_memory
        assert device == "cpu"
        hosts.append(size)
        return torch.full((size,), 9.0, dtype=dtype)

    class Torch:
        cuda = type("cuda", (), {"Event": Event, "current_stream": staticmethod(lambda device: "stream")})

    Torch.empty = staticmethod(empty)
    monkeypatch.setattr(memory, "torch", Torch)
    monkeypatch.setattr(memory, "MOST_AT_A_TIME", 20)
    kind = str(dtype).removeprefix("torch.")
    calls = []

    def fill(region, out):
        calls.append(out.size)
        fi.normal((14, 33), seed=1, dtype=kind, region=region, out=out)

    memory._through_host((slice(7, 14), slice(0, 33)), Far(), fill)
    assert real(target).tobytes() == fi.normal((14, 33), seed=1, dtype=kind)[7:].tobytes()
    assert hosts == [20, 20]
    assert len(waited) == len(calls) - 2 > 5
    assert max(calls) <= 20


FORKED = """
import torch, fastinit as fi, fastinit.torch as fit

class Noise(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return fit.normal_(torch.empty(1000), seed=index, name="noise")

fit.normal_(torch.empty(1 << 20), seed=0)  # threads have started
loader = torch.utils.data.DataLoader(Noise(), num_workers=2, multiprocessing_context="fork", batch_size=None)
for index, found in enumerate(loader):
    print(found.numpy().tobytes() == fi.normal(1000, seed=index, name="noise").tobytes())
"""


def test_forked_workers_of_a_data_loader(python):
    assert python(FORKED, options=()).split() == ["True"] * 4


@pytest.mark.skipif("FASTINIT_TORCH_TESTS" not in os.environ, reason="FASTINIT_TORCH_TESTS names no test_init.py")
def test_torchs_own_suite(monkeypatch):
    """PyTorch's test/nn/test_init.py with torch.nn.init replaced by ours."""
    monkeypatch.setitem(__import__("sys").modules, "torch.nn.init", fit)
    monkeypatch.setattr(torch.nn, "init", fit)
    spec = importlib.util.spec_from_file_location("torch_test_init", os.environ["FASTINIT_TORCH_TESTS"])
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
        assert module.init is fit
        kinds = [k for k in vars(module).values() if isinstance(k, type) and issubclass(k, unittest.TestCase)]
        kinds = [k for k in kinds if k.__name__.startswith("TestNNInit")]
        suite = unittest.TestSuite(map(unittest.defaultTestLoader.loadTestsFromTestCase, kinds))
        result = unittest.TestResult()
        suite.run(result)
    skipped = [case for case, _ in result.skipped]
    print(f"{result.testsRun} cases, {len(skipped)} skipped")
    assert not result.failures + result.errors, result.failures + result.errors
    assert result.testsRun - len(skipped) >= 45  # 48 or 49, by version
