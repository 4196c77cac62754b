"""Tensors and types of PyTorch, and types and scalars of JAX, where arrays, dtypes and numbers are asked for."""

import warnings

import numpy as np
import pytest
from optional import library

import fastinit as fi

torch = library("torch")

DTYPES = {name: getattr(torch, name) for name in ("float32", "float64", "float16", "bfloat16")}


@pytest.mark.parametrize(("name", "dtype"), DTYPES.items(), ids=DTYPES)
def test_types_and_targets(name, dtype):
    same = fi.normal((6, 5), seed=1, dtype=name)
    assert fi.normal((6, 5), seed=1, dtype=dtype).tobytes() == same.tobytes()
    assert fi.Plan([("**", "normal")]).init({"": (6, 5)}, seed=1, dtype=dtype)[""].tobytes() == same.tobytes()
    for out in (
        torch.zeros(6, 5, dtype=dtype),
        torch.zeros(5, 12, dtype=dtype).T[::2],
        torch.nn.Parameter(torch.zeros(6, 5, dtype=dtype)),
    ):
        version = out._version
        assert fi.init("normal", out.shape, seed=1, dtype=dtype, out=out) is out
        assert out._version == version + 1
        whole = out.detach().float().numpy()
        assert whole.tobytes() == same.astype(np.float32).tobytes()
    out = torch.zeros(2, 5, dtype=dtype)
    fi.normal((6, 5), seed=1, dtype=name, region=(slice(2, 4), slice(0, 5)), out=out)
    assert out.float().numpy().tobytes() == same[2:4].astype(np.float32).tobytes()


REFUSED = {
    "shape": (lambda: torch.zeros(3, 3), ValueError, "'out' must have the region's shape"),
    "dtype": (lambda: torch.zeros(4, 6).double(), ValueError, "'out' must have dtype float32"),
    "overlap": (lambda: torch.zeros(6).expand(4, 6), ValueError, "'out' must not share memory among its elements"),
    "meta": (lambda: torch.zeros(4, 6, device="meta"), TypeError, "got Tensor without plain memory of the CPU"),
    "sparse": (lambda: torch.zeros(4, 6).to_sparse(), TypeError, "got Tensor without plain memory of the CPU"),
    "conjugated": (
        lambda: torch.zeros(4, 6, dtype=torch.complex64).conj(), TypeError, "got Tensor without plain memory",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("out", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(out, kind, words):
    target = out()
    version = target._version
    with pytest.raises(kind, match=words):
        fi.normal((4, 6), seed=0, out=target)
    assert target._version == version


def test_types_that_weights_cannot_have():
    with pytest.raises(ValueError, match=r"argument 'dtype' must be one of .*, got torch.int32"):
        fi.normal(3, dtype=torch.int32)


def test_scalars_of_any_library():
    jnp = library("jax.numpy")
    same = fi.normal((4, 3), mean=0.5, std=0.25, seed=3)
    for scalar in (torch.tensor, jnp.asarray, np.asarray):
        for kind in ("float32", "bfloat16"):
            dtype = {"torch": torch, "jax": jnp}.get(scalar.__module__.split(".")[0])
            words = {"dtype": getattr(dtype, kind)} if dtype is not None else {}
            mean, std, seed = scalar(0.5, **words), scalar(0.25, **words), scalar(3)
            assert fi.normal((4, 3), mean=mean, std=std, seed=seed).tobytes() == same.tobytes()
        assert fi.normal((scalar(4), scalar(3)), mean=0.5, std=0.25, seed=3).tobytes() == same.tobytes()
    gradient = torch.tensor(0.25, requires_grad=True)
    assert fi.normal((4, 3), mean=0.5, std=gradient, seed=3).tobytes() == same.tobytes()


def test_types_of_jax():
    jnp = library("jax.numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in DTYPES:
            dtype = getattr(jnp, name)
            assert fi.normal(5, seed=0, dtype=dtype).tobytes() == fi.normal(5, seed=0, dtype=name).tobytes()


def test_nobody_loads_a_framework_for_it(python):
    code = "import sys, fastinit as fi; fi.normal(3, dtype='float16', out=__import__('numpy').empty(3, 'e'))"
    assert python(f"{code}; print('torch' in sys.modules, 'jax' in sys.modules)").split() == ["False", "False"]
