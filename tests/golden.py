"""Golden values: what version 1 of the contract gives, law by law and scheme by scheme.

`python tests/golden.py --write` writes them anew. Every change of an old entry is a new version of the contract.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

import fastinit as fi

FILE = Path(__file__).parent / "data" / "golden.json"
SEED = 0x0123456789ABCDEF
DTYPES = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
COMPLEX = ("complex64", "complex128")
LAWS = {
    "uniform": (fi.uniform, {"low": -0.25, "high": 0.75}),
    "normal": (fi.normal, {"mean": 0.125, "std": 0.02}),
    "truncated_normal": (fi.truncated_normal, {"std": 0.02}),
    "truncated_normal_tail": (fi.truncated_normal, {"lower": 5.0, "upper": float("inf")}),
    "truncated_normal_far_tail": (fi.truncated_normal, {"mean": 3.0, "std": 0.25, "lower": -12.0, "upper": -9.0}),
    "truncated_normal_wide": (fi.truncated_normal, {"std": 0.02, "lower": -3.0, "upper": 100.0}),
    "truncated_normal_narrow": (fi.truncated_normal, {"lower": 0.5, "upper": 0.75}),
    "uniform_far": (fi.uniform, {"low": 1.0, "high": 2.0}),
}
# Beside the defaults of every scheme: the parameters that change how, not how much, is drawn.
VARIANTS = {
    "he_normal truncated": ("he_normal", {"truncated": True}),
    "he_normal fan_out oi": ("he_normal", {"mode": "fan_out", "layout": "oi"}),
    "he_uniform leaky": ("he_uniform", {"nonlinearity": "leaky_relu", "negative_slope": 0.2}),
    "variance_scaling uniform": ("variance_scaling", {"distribution": "uniform", "scale": 2.0, "mode": "fan_avg"}),
    "sparse oi 3": ("sparse", {"nonzeros": 3, "layout": "oi"}),
    "positive_unitball oi": ("positive_unitball", {"layout": "oi"}),
    "identity in groups": ("identity", {"groups": 4, "gain": 0.1}),
    "dirac in groups": ("dirac", {"groups": 4}),
    "zero_hadamard oi": ("zero_hadamard", {"layout": "oi"}),
    "variance_scaling fan_geo_avg": ("variance_scaling", {"mode": "fan_geo_avg", "distribution": "normal"}),
    "sparse sparsity": ("sparse", {"sparsity": 0.9}),
    "sparse density oi": ("sparse", {"density": 0.05, "layout": "oi"}),
    "caffe_gaussian sparse": ("caffe_gaussian", {"sparse": 20, "mean": 0.5, "layout": "oi"}),
    "trunc_normal absolute": ("trunc_normal", {"mean": 0.1, "std": 0.3, "a": -0.2, "b": 1.0}),
    "mxnet_xavier gaussian": ("mxnet_xavier", {"rnd_type": "gaussian", "factor_type": "out"}),
    "siren first": ("siren", {"first": True}),
    "mitchell layer": ("mitchell", {"layer": 3}),
    "depth_scaled cut": ("depth_scaled", {"layers": 12, "cut": 3.0}),
    "deepnorm encoder": ("deepnorm", {"layers": 6, "other_layers": 12, "side": "encoder"}),
    "mup output": ("mup", {"part": "output", "base_width": 32}),
    "normalized input oi": ("normalized", {"per": "input", "layout": "oi", "radius": 2.0}),
    "normalized matrix uniform": ("normalized", {"per": "matrix", "distribution": "uniform"}),
    "log_of_uniform from 0": ("log_of_uniform", {"low": 0.0}),
    "inverse_softplus floor": ("inverse_softplus", {"low": 1e-6, "high": 20.0, "floor": 0.01}),
    "log_arange along 0": ("log_arange", {"start": 0.5, "along": 0}),
    "linspace without end": ("linspace", {"low": 3.0, "high": 6.0, "endpoint": False}),
    "power_ramp zigzag": ("power_ramp", {"offset": -5.5, "slope": 6.0, "power": 1.5, "zigzag": 2.5, "period": 64}),
    "polynomial cubic": ("polynomial", {"coefficients": (0.5, -1.0, 0.25, 3.0)}),
    "sinusoids whisper": ("sinusoids", {"endpoint": True}),
    "sinusoids interleaved grid": ("sinusoids", {"interleaved": True, "columns": 12}),
    "rotary_frequencies 5e5": ("rotary_frequencies", {"base": 500_000.0, "along": 0}),
}
# Laws that other types round, and those of complex numbers.
VARIANTS |= {
    f"{scheme} {dtype}": (scheme, {"dtype": dtype})
    for scheme in ("log_uniform", "log_of_uniform", "inverse_softplus", "log_arange", "sinusoids", "he_normal")
    for dtype in DTYPES
}
VARIANTS |= {
    f"{scheme} {truncated or ''} {dtype}": (scheme, {"dtype": dtype, **({"truncated": True} if truncated else {})})
    for scheme, truncated in (("lecun_normal", ""), ("lecun_normal", "truncated"), ("lecun_uniform", ""), ("ones", ""))
    for dtype in COMPLEX
}
RAW = 8
# Schemes of kernels, which no matrix will do for; those whose last bits BLAS decides, so that they are not promised.
KERNELS = {"dirac", "bilinear", "delta_orthogonal"}
UNPROMISED = {"orthogonal", "delta_orthogonal"}


def shape_for(scheme, *matrix):
    """A shape that a scheme takes: that of the matrix, or of a kernel."""
    return (4, 3, *(n // 4 for n in matrix)) if scheme in KERNELS else matrix


def _entry(values):
    """The first values, as the integers of their bits, and a hash of all of them, little-endian."""
    values = values.reshape(-1)
    if values.dtype.kind == "c":
        values = values.view(f"f{values.itemsize // 2}")
    bits = values.view(f"u{values.itemsize}")
    little = bits.astype(bits.dtype.newbyteorder("<"), copy=False)
    return {
        "raw": " ".join(f"{int(b):0{2 * values.itemsize}x}" for b in bits[:RAW]),
        "sha256": hashlib.sha256(little.tobytes()).hexdigest(),
    }


def law_entries():
    """An entry for each law and dtype: 100003 elements, so that groups, tiles and a rest take part."""
    return {
        f"{law} {dtype}": _entry(function(100_003, seed=SEED, name="golden", dtype=dtype, **numbers))
        for law, (function, numbers) in LAWS.items()
        for dtype in DTYPES
    }


def scheme_entries():
    """An entry for each name in the registry, and each variant."""
    cases = {name: (name, {}) for name in fi.schemes() if name not in UNPROMISED} | VARIANTS
    return {
        case: _entry(fi.init(scheme, shape_for(scheme, 96, 160), seed=SEED, name="golden", **params))
        for case, (scheme, params) in cases.items()
    }


def compute():
    """All golden values, as this machine draws them."""
    return {"contract": 1, "laws": law_entries(), "schemes": scheme_entries()}


def stored():
    """All golden values, as they were written."""
    return json.loads(FILE.read_text())


if __name__ == "__main__":
    np.seterr(all="raise")
    if sys.argv[1:] == ["--write"]:
        FILE.write_text(json.dumps(compute(), indent=1) + "\n")
    print("same" if compute() == stored() else "different")
