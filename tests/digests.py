"""Digests of what is drawn and of what is found: a change of structure changes none of them.

`python tests/digests.py > before` and again afterwards; `diff` shows what has changed.
"""

import hashlib
import itertools
import sys

import numba
import numpy as np
from golden import KERNELS
from numba import njit

import fastinit as fi
from fastinit.activations import ACTIVATIONS
from fastinit.probing.result import FIGURES

SEED = 0xFEDCBA9876543210
DTYPES = ("float32", "float64", "float16", "bfloat16")
SHAPE = (130, 70)
REGIONS = {
    "whole": None,
    "rows": (slice(17, 101), slice(0, 70)),
    "columns": (slice(0, 130), slice(3, 64)),
}
FOUND = (*FIGURES, "histogram", "bin_edges", "underflow", "overflow")


@njit
def bent(z):
    """An activation of a user's, of operations that are rounded alike everywhere."""
    return z * z if z > 0.0 else 0.25 * z


def digest(values):
    """A short hash of an array's type, shape and bytes."""
    values = np.ascontiguousarray(values)
    parts = (str(values.dtype).encode(), str(values.shape).encode(), values.tobytes())
    return hashlib.sha256(b"|".join(parts)).hexdigest()[:16]


def weights():
    """Yield a name and an array for every scheme, dtype and region."""
    for scheme, dtype, (region, index) in itertools.product(fi.schemes(), DTYPES, REGIONS.items()):
        params, shape = {"value": 0.3} if scheme == "constant" else {}, SHAPE
        if scheme in KERNELS:
            params, shape = {"layout": "kwoi"}, (2, 3, *SHAPE)
            index = index and (slice(0, 2), slice(1, 3), *index)
        yield (
            f"{scheme} {dtype} {region}",
            fi.init(scheme, shape, region=index, seed=SEED, name="digest", dtype=dtype, **params),
        )


def networks():
    """Yield a name and the arguments of a probe."""
    small = {"depth": 4, "width": 70, "batch": 150, "seed": SEED}
    generator = np.random.default_rng(3)
    given = [generator.standard_normal((n, m)) / 8 for n, m in ((9, 40), (40, 40), (40, 11))]
    images = generator.standard_normal((6, 7, 7, 5))
    for activation in ACTIVATIONS:
        yield f"activation {activation}", small | {"activation": activation}
    for scheme in fi.schemes():
        params = {"value": 0.01} if scheme == "constant" else {}
        if scheme in KERNELS:
            params = {"width": 6, "batch": 7, "conv": 3, "image": 9}
        yield f"scheme {scheme}", small | {"scheme": scheme, **params}
    for dtype in DTYPES:
        yield f"dtype {dtype}", small | {"dtype": dtype, "activation": "tanh"}
        yield f"dtype {dtype} residual", small | {"dtype": dtype, "residual": True, "normalize": "layer"}
        yield f"dtype {dtype} conv", small | {"dtype": dtype, "width": 6, "batch": 7, "conv": 3, "image": 9}
    for normalize, residual, backward in itertools.product((None, "layer", "rms"), (False, True), (False, True)):
        words = {"normalize": normalize, "residual": residual, "backward": backward}
        yield f"blocks {words}", small | words | {"activation": "gelu", "branch_scale": 0.5 if residual else 1.0}
        yield f"images {words}", small | words | {"conv": 3, "image": 8, "width": 17, "batch": 6}
    for kernel in (1, 2, 5):
        yield f"kernel {kernel}", small | {"conv": kernel, "image": 6, "width": 12, "batch": 5}
    for batch, width in ((1, 1), (2, 3), (33, 16), (257, 129), (1025, 300)):
        yield f"batch {batch} width {width}", small | {"batch": batch, "width": width}
    yield "narrow", {"widths": [784, 300, 17, 10, 1], "batch": 97, "activation": "sigmoid"}
    yield "biases", small | {"sigma_b": 0.3, "bias": 0.01, "activation": "silu"}
    yield "pairs", small | {"input_correlation": 0.5, "sigma_w": 1.5, "activation": "tanh", "sigma_b": 0.05}
    yield "given", {"weights": given, "inputs": generator.standard_normal((50, 9)), "bias": [w[0] for w in given]}
    yield "given images", {"inputs": images, "conv": 3, "widths": [5, 6, 7], "range": (-2.0, 2.0), "bins": 7}
    yield "nonfinite", {"weights": [given[0], np.where(given[1] > 0.2, np.nan, given[1]), given[2]], "batch": 40}
    yield "overflow", small | {"scheme": "constant", "value": 1e30}
    yield "user", small | {"activation": bent}
    yield "user float64", small | {"activation": bent, "dtype": "float64"}
    yield "wide", {"depth": 2, "width": 1100, "batch": 300, "scheme": "truncated_normal", "std": 0.03}


def blocks():
    """Yield a name and the figures of a probe whose rows go through in blocks."""
    from fastinit_kernels.probe import run as probe

    budget = probe.ACTIVATION_BUDGET
    try:
        probe.ACTIVATION_BUDGET = 1 << 16
        for name, words in {
            "plain": {},
            "residual": {"residual": True, "normalize": "rms"},
            "images": {"conv": 3, "image": 6, "width": 9, "batch": 40},
        }.items():
            arguments = {"depth": 3, "batch": 700, "width": 48, "seed": 5} | words
            yield f"rows in blocks, {name}", fi.probe(**arguments)
    finally:
        probe.ACTIVATION_BUDGET = budget


def found(result):
    """A digest of each figure, in a line."""
    return " ".join(f"{name}={digest(getattr(result, name))[:6]}" for name in FOUND) + f" verdict={result.verdict}"


def sweeps():
    """Yield a name and the results of a sweep of depths: several backward passes behind one forward pass."""
    results = fi.sweep(depth=[1, 3, 6], width=[20, 33], seed=[0, 1], batch=64, activation="tanh")
    for i, result in enumerate(results.results):
        yield f"sweep {i}", result


def lines():
    """Yield every line."""
    for name, values in weights():
        yield f"{name}: {digest(values)}"
    for name, arguments in networks():
        yield f"{name}: {found(fi.probe(**arguments))}"
    for name, result in itertools.chain(blocks(), sweeps()):
        yield f"{name}: {found(result)}"


if __name__ == "__main__":
    if sys.argv[1:]:
        numba.set_num_threads(int(sys.argv[1]))
    for line in lines():
        print(line, flush=True)
