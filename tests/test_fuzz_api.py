"""Calls of every public function with odd arguments: each returns, or is refused by name and leaves `out` as it was."""

import contextlib
import inspect
import json
import types
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import answers, labels, lane, made

import fastinit as fi
from fastinit import theory
from fastinit.probing.result import FIGURES
from fastinit.probing.settings import ARGUMENTS, PER_LAYER
from fastinit.weights.schemes import scheme_words


@numba.njit
def bent(z):
    return z / (1.0 + abs(z))


@dataclass
class Call:
    """A function, and values that each argument may well have."""

    function: object
    usual: dict
    needed: tuple = ()
    also: tuple = ()
    """Further errors that are answers: those of files."""
    ours: tuple = field(default=())
    """Names behind ** that the function takes."""


TENSOR = {
    "shape": [(4, 6), 7, [2, 3, 4], ()],
    "seed": [0, 2**64 - 1, np.uint32(7)],
    "name": ["", "layer.0.weight"],
    "dtype": ["float32", "float64", "bfloat16", np.float16, "float8_e4m3fn", np.complex64],
    "region": [None, (slice(0, 2), slice(1, 3)), slice(0, 3)],
    "out": [None],
    "add": [None, True, -0.5],
}
NUMBERS = {"mean": [0.0, 1.0], "std": [1.0, 0.02]}
# Words of schemes and activations.
WORDS = (*scheme_words(), "alpha")

PARAMETERS = {
    **NUMBERS,
    "gain": [1.0, 2],
    "scale": [1.0, np.float16(0.01)],
    "mode": ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"],
    "distribution": ["normal", "truncated_normal", "uniform"],
    "truncated": [True, False],
    "nonlinearity": ["relu", "tanh", bent],
    "negative_slope": [None, 0.2],
    "low": [-1.0, 0.0],
    "high": [1.0, 2.0],
    "lower": [-2.0, -np.inf],
    "upper": [2.0, 3.0],
    "value": [0.0, -0.0, 3.5],
    "nonzeros": [1, 2],
    "sparsity": [None, 0.5],
    "density": [None, 0.5],
    "sparse": [None, 1],
    "a": [-2.0, -np.inf],
    "b": [2.0, 0.1],
    "magnitude": [3.0],
    "factor_type": ["avg", "in", "out"],
    "rnd_type": ["uniform", "gaussian"],
    "first": [False, True],
    "omega": [30.0, 1],
    "dim": [None, 8],
    "layers": [1, 12, np.int8(3)],
    "layer": [None, 0, 3],
    "other_layers": [None, 6],
    "side": ["encoder", "decoder"],
    "branch": [2, 3],
    "part": ["embedding", "hidden", "output", "vector"],
    "base_width": [256, 8],
    "cut": [None, 3.0],
    "per": ["output", "input", "matrix", "tensor"],
    "radius": [1.0, 0.5],
    "floor": [0.0, 1e-4],
    "start": [1.0, 0.5],
    "along": [-1, 0],
    "endpoint": [True, False],
    "offset": [0.0, -5.5],
    "slope": [1.0, 0.25, 0],
    "power": [1.0, 0.3],
    "zigzag": [0.0, 2.5],
    "period": [None, 4],
    "coefficients": [(0.0, 1.0), [3, -1.5]],
    "base": [1e4, 5e5],
    "interleaved": [False, True],
    "columns": [None, 3],
}
SCHEMES = [*dict.fromkeys(name for name in fi.schemes()), fi.get_scheme("he_normal")]
WIRING = {
    "layout": ["io", "oi", "hwio", (0, 1), ((0,), (1,), (2,))],
    "groups": [1, 2],
    "stride": [1, 2, (1, 2)],
    "transposed": [False, True],
}
ACTIVATION = {"activation": ["relu", "tanh", "leaky_relu", "sin", bent, (bent, None)], "param": [None, 0.1]}
SIGMAS = {"sigma_w": [1.0, 1.5, 0], "sigma_b": [0.0, 0.3]}
NETWORK = {
    "activation": ["relu", "tanh", "leaky_relu", bent],
    "depth": [1, 3],
    "width": [3, 8],
    "batch": [2, 4],
    "widths": [None, [3, 4, 2], (5, 5)],
    "bias": ["zeros", 0.1, [np.zeros(4), np.ones(2)]],
    "sigma_b": [0.0, 0.1],
    "inputs": [None, np.ones((2, 3)), np.ones((2, 4, 4, 3))],
    "bins": [1, 5],
    "range": [None, (-1, 1)],
    "dtype": ["float32", "float64", "bfloat16"],
    "residual": [False, True],
    "branch_scale": [1.0, "1/sqrt(depth)"],
    "normalize": [None, "layer", "rms"],
    "conv": [None, 2],
    "image": [None, 3],
    "input_correlation": [None, 0.5],
    "alpha": [1.0],
}
PROBE = {
    **NETWORK,
    **PARAMETERS,
    "scheme": SCHEMES,
    "seed": [0, None, 2**64 - 1],
    "weights": [None, [np.ones((3, 2))]],
    "sigma_w": [None, 1.5],
    "backward": [True, False],
    "network": [None, [fi.Dense(3), fi.Dense(2, activation="linear", bias=[0.1, 0.2])]],
}
# A single value of an argument of a sweep, and a list.
GRID = {name: [*values, *([values] if name != "bias" else [])] for name, values in PROBE.items()}
SMALL = {"width": 4, "batch": 2, "depth": 2}


def small(function, **further):
    """Return the function with a small network, where nothing else is asked for."""
    return lambda **arguments: function(**{**SMALL, **further, **arguments})


DECLARED = fi.Plan([("w", "he_normal"), ("b", "zeros"), ("s", "skip")])
TENSORS = DECLARED.init({"w": (8, 4), "b": 4}, seed=0)
CALLS = {
    "Plan": Call(fi.Plan, {
        "rules": [[("a", "zeros"), ("b*", {"scheme": "normal"})], fi.Plan([("**", "skip")])],
        "variables": [None, {"n": 3, "x": "1 / n"}], "first_match": [True, False]}, ("rules",)),
    "init": Call(fi.init, TENSOR | WIRING | PARAMETERS | {
        "scheme": SCHEMES, "fan_in": [None, 3], "fan_out": [None, 2.5]}, ("scheme", "shape"), ours=tuple(PARAMETERS)),
    "normal": Call(fi.normal, TENSOR | NUMBERS, ("shape",)),
    "uniform": Call(fi.uniform, TENSOR | {"low": [-1.0, 0], "high": [1.0, 2]}, ("shape",)),
    "truncated_normal": Call(fi.truncated_normal, TENSOR | NUMBERS | {
        "lower": [-2.0], "upper": [2.0, np.inf]}, ("shape",)),
    "fans": Call(fi.fans, WIRING | {"shape": [(4, 6), (3, 3, 4, 6)]}, ("shape",)),
    "gain": Call(fi.gain, {"nonlinearity": ["relu", "conv2d", bent], "param": [None, 0.2],
                            "centred": [False, True]}, ("nonlinearity",)),
    "schemes": Call(fi.schemes, {}),
    "entropy": Call(fi.entropy, {}),
    "get_scheme": Call(fi.get_scheme, PARAMETERS | {"name": [*fi.schemes()]}, ("name",), ours=tuple(PARAMETERS)),
    "Scheme": Call(fi.Scheme, {
        "name": ["a"], "formula": ["b"], "params": [{}], "rule": [fi.get_scheme("he_normal").rule]},
        ("name", "formula", "params", "rule")),
    "probe": Call(small(fi.probe), PROBE, ours=WORDS),
    "Dense": Call(lambda units=3, **said: fi.probe(network=[fi.Dense(units, **said)], width=4, batch=2), PARAMETERS | {
        "units": [3, np.int8(2)], **{word: PROBE[word] for word in PER_LAYER}, "bias": ["zeros", 0.1, np.ones(3)],
        "alpha": [1.0]},
        ours=WORDS),
    "recommend": Call(small(fi.recommend), NETWORK | {
        "seed": [0, [0, 1]], "candidates": [["he_normal"], ["xavier_normal", ("normal", {"std": 0.1})]]},
        ("candidates",)),
    "sweep": Call(small(fi.sweep), GRID | {
        "executor": [None], "progress": [False], "store": [None, "store.jsonl"], "on_error": ["raise", "skip"]},
        also=(OSError, RuntimeWarning)),
    "variance_map": Call(theory.variance_map, ACTIVATION | SIGMAS | {"q0": [1.0], "depth": [3]},
                         ("activation", "sigma_w", "q0", "depth")),
    "correlation_map": Call(theory.correlation_map, ACTIVATION | SIGMAS | {"q0": [1.0], "c0": [0.5], "depth": [2]},
                            ("activation", "sigma_w", "q0", "c0", "depth")),
    "chi1": Call(theory.chi1, ACTIVATION | SIGMAS | {"q": [None, 1.0]}, ("activation", "sigma_w")),
    "chi2": Call(theory.chi2, ACTIVATION | SIGMAS | {"q": [None, 1.0]}, ("activation", "sigma_w")),
    "curvature_map": Call(theory.curvature_map, ACTIVATION | SIGMAS | {
        "q0": [1.0], "depth": [2], "kappa0": [None, 0.5]}, ("activation", "sigma_w", "q0", "depth")),
    "finite_width": Call(theory.finite_width, ACTIVATION | SIGMAS | {"q0": [1.0], "widths": [[3, 4], (5,)]},
                         ("activation", "sigma_w", "widths")),
    "moments": Call(theory.moments, ACTIVATION | {"q": [1.0]}, ("activation",)),
    "depth_scales": Call(theory.depth_scales, ACTIVATION | SIGMAS, ("activation", "sigma_w")),
    "fixed_point": Call(theory.fixed_point, ACTIVATION | SIGMAS, ("activation", "sigma_w")),
    "fixed_points": Call(theory.fixed_points, ACTIVATION | SIGMAS, ("activation", "sigma_w")),
    "edge_of_chaos": Call(theory.edge_of_chaos, ACTIVATION | {
        "q": [None, 1.0], "repelling": [True, False]}, ("activation",)),
    "critical_points": Call(theory.critical_points, ACTIVATION | SIGMAS, ("activation",)),
    "predict": Call(theory.predict, ACTIVATION | SIGMAS | {
        "second_moment": [1.0, 2], "depth": [2], "mean": [0.0, 0.5], "correlation": [None, 0.5],
        "residual": [False, [True, False]], "branch_scale": [1.0], "normalize": [None, "rms"]},
        ("activation", "sigma_w", "depth")),
    "check": Call(fi.check, {
        "tensors": [TENSORS, {}, "checked.safetensors"], "plan": [DECLARED, None], "seed": [None, 0],
        "shapes": [None, {"w": (8, 4)}], "dtype": [None, "float32", "bfloat16"], "level": [0.01, 0.5],
        "progress": [False]}, ("tensors", "plan"), also=(OSError,)),
}  # fmt: skip

RESULT = fi.probe(depth=3, width=4, batch=4)
SWEPT = fi.sweep(depth=[1, 2], width=[3, 4], batch=2, seed=range(2))
ADVICE = fi.recommend(depth=2, width=4, batch=4, candidates=["he_normal", "xavier_normal"])
PLAN = fi.Plan([("**", {"scheme": "normal", "std": "1 / n"})], variables={"n": 2})
SHAPES = {"shapes": [{"w": (4, 6)}, {"w": {"shape": 7, "role": "Linear.weight"}, "": ()}, {}, {"w": np.ones((2, 3))}]}
CHECKED = fi.check({**TENSORS, "x": TENSORS["w"]}, DECLARED)
METHODS = {
    "Plan.resolve": Call(PLAN.resolve, SHAPES | {"dtype": TENSOR["dtype"]}, ("shapes",)),
    "Plan.init": Call(
        PLAN.init,
        SHAPES | {"seed": TENSOR["seed"], "dtype": TENSOR["dtype"], "out": [None, {"w": np.ones((4, 6), "f4")}]},
        ("shapes",),
    ),
    "Plan.explain": Call(lambda **given: repr(PLAN.explain(**given)), SHAPES | {"dtype": TENSOR["dtype"]}, ("shapes",)),
    "Plan.learning_rates": Call(PLAN.learning_rates, SHAPES, ("shapes",)),
    "Plan.preset": Call(
        lambda name, **variables: fi.Plan.preset(name, **variables),
        {
            "name": [*fi.Plan.presets()],
            "n_layers": [3, 12],
            "std": [0.02, 1],
            "tied": [True, False],
            "d_model": [64],
            "base": [256],
            "width": [512.0],
            "n_embd": [64],
            "method": ["llama", "jax", "gaussian"],
            "r": [8],
            "n_classes": [10],
            "padding_idx": [None, 0],
        },
        ("name",),
    ),
    "Plan.presets": Call(fi.Plan.presets, {}),
    "Plan.rules": Call(lambda: PLAN.rules, {}),
    "Plan.variables": Call(lambda: PLAN.variables, {}),
    "Plan.first_match": Call(lambda: PLAN.first_match, {}),
    "Plan.to_dict": Call(PLAN.to_dict, {}),
    "Plan.to_json": Call(PLAN.to_json, {}),
    "Plan.from_dict": Call(fi.Plan.from_dict, {"record": [PLAN.to_dict()]}, ("record",)),
    "Plan.from_json": Call(fi.Plan.from_json, {"text": [PLAN.to_json()]}, ("text",)),
    "Plan.save": Call(PLAN.save, {"path": ["plan.toml", "plan.json"]}, ("path",), also=(OSError,)),
    "Plan.load": Call(fi.Plan.load, {"path": ["plan.toml"]}, ("path",), also=(OSError,)),
    "Scheme.law": Call(fi.get_scheme("xavier_normal").law, {"fans": [fi.Fans(3, 4)]}, ("fans",)),
    "ProbeResult.table": Call(RESULT.table, {"layers": [None, 2]}),
    "ProbeResult.to_pandas": Call(RESULT.to_pandas, {}),
    "ProbeResult.to_dict": Call(RESULT.to_dict, {}),
    "ProbeResult.from_dict": Call(fi.ProbeResult.from_dict, {"values": [RESULT.to_dict()]}, ("values",)),
    "ProbeResult.save": Call(RESULT.save, {"path": ["result.json"]}, ("path",), also=(OSError,)),
    "ProbeResult.load": Call(fi.ProbeResult.load, {"path": ["result.json"]}, ("path",), also=(OSError,)),
    "SweepResult.load": Call(fi.SweepResult.load, {"path": ["swept.jsonl"]}, ("path",), also=(OSError, RuntimeWarning)),
    "ProbeResult.to_csv": Call(RESULT.to_csv, {"path": ["p.csv"]}, ("path",), also=(OSError,)),
    "SweepResult.to_csv": Call(SWEPT.to_csv, {"path": ["s.csv"]}, ("path",), also=(OSError,)),
    "ProbeResult.to_parquet": Call(RESULT.to_parquet, {"path": ["p.parquet"]}, ("path",), also=(OSError, ImportError)),
    "SweepResult.to_parquet": Call(SWEPT.to_parquet, {"path": ["s.parquet"]}, ("path",), also=(OSError, ImportError)),
    "ProbeResult.plot": Call(RESULT.plot, {"path": ["result.svg"], "layers": [None, 2]}, ("path",), also=(OSError,)),
    **{
        f"ProbeResult.plot_{kind}": Call(
            getattr(RESULT, f"plot_{kind}"),
            {"ax": [None], "layers": [None, 2, [0, -1]]} | ({"figure": ["std", "dead"]} if kind == "figure" else {}),
            ("figure",) if kind == "figure" else (),
        )
        for kind in ("histograms", "signal", "gradient", "shares", "correlation", "correlation_map", "figure")
    },
    "ProbeResult.depth": Call(lambda: RESULT.depth, {}),
    "ProbeResult.width": Call(lambda: RESULT.width, {}),
    "ProbeResult.settings": Call(RESULT.settings, {}),
    "ProbeResult.title": Call(lambda: RESULT.title, {}),
    "SweepResult.points": Call(lambda: SWEPT.points, {}),
    "SweepResult.complete": Call(lambda: SWEPT.complete, {}),
    "SweepResult.to_pandas": Call(SWEPT.to_pandas, {}),
    "SweepResult.to_xarray": Call(SWEPT.to_xarray, {}),
    "SweepResult.plot": Call(
        SWEPT.plot,
        {"path": ["swept.svg"], "figure": ["std"], "x": [None, "depth"], "y": [None, "width"], "layer": [-1, 0]},
        ("path",),
        also=(OSError,),
    ),
    "SweepResult.plot_map": Call(
        SWEPT.plot_map,
        {
            "ax": [None],
            "figure": ["std"],
            "x": [None, "depth"],
            "y": [None, "width"],
            "layer": [-1],
            "where": [None, {}],
        },
    ),
    "SweepResult.plot_lines": Call(
        SWEPT.plot_lines, {"ax": [None], "figure": ["dead"], "layers": [None, 1], "where": [None, {"depth": 2}]}
    ),
    "CheckResult.ok": Call(lambda: CHECKED.ok, {}),
    "CheckResult.summary": Call(lambda: CHECKED.summary, {}),
    "CheckResult.table": Call(CHECKED.table, {"rows": [None, 2]}),
    "CheckResult.of": Call(CHECKED.of, {"kind": ["std", "extra"]}, ("kind",)),
    "CheckResult.to_pandas": Call(CHECKED.to_pandas, {}),
    "CheckResult.to_dict": Call(CHECKED.to_dict, {}),
    "Recommendation.best": Call(lambda: ADVICE.best, {}),
    "Recommendation.scheme": Call(lambda: ADVICE.scheme, {}),
    "Recommendation.table": Call(ADVICE.table, {}),
}


def alone(function):
    """Return the function without a progress that would fail by itself: what it is told is its caller's affair."""

    def call(**arguments):
        if callable(arguments.get("progress")):
            del arguments["progress"]
        return function(**arguments)

    return call


STORED_PLAN = fi.Plan([("**", "he_normal")])
STORED_SHAPES = {"w": (3, 4), "v": {"shape": [5, 2], "role": "Linear.weight"}}
CHECKPOINTS = {
    "checkpoint.shapes": Call(fi.checkpoint.shapes, {
        "source": [STORED_SHAPES, "shapes.json", "checkpoint", "checkpoint/model.safetensors"]},
        ("source",), also=(OSError,)),
    "checkpoint.write": Call(alone(fi.checkpoint.write), {
        "path": ["model", "one.safetensors"], "shapes": [STORED_SHAPES, "shapes.json"], "plan": [STORED_PLAN],
        "seed": [0, None, 2**64 - 1],
        "dtype": ["float32", "bfloat16"], "max_shard_size": [None, "5GB", 20], "hosts": [None, (0, 2), [1, 2]],
        "store_tied": [False, True], "overwrite": [True, False], "progress": [False]},
        ("path", "shapes", "plan", "seed"), also=(OSError,)),
    "checkpoint.verify": Call(alone(fi.checkpoint.verify), {
        "path": ["checkpoint", "checkpoint/model.safetensors"], "plan": [None, STORED_PLAN], "seed": [None, 3],
        "shapes": [None, STORED_SHAPES], "dtype": [None, "float32"], "progress": [False]}, ("path",), also=(OSError,)),
}  # fmt: skip
METHODS |= CHECKPOINTS
# Pictures take half a second each.
SLOW = {"recommend", *(name for name in METHODS if ".plot" in name)}

# Public names that are not called here, each with its reason.
NOT_CALLED = {
    **dict.fromkeys(("theory", "checkpoint"), "a module, whose functions are"),
    "checkpoint.Verification": "returned by verify",
    "checkpoint.Written": "returned by write",
    "Fans": "a pair of whatever it is given; what takes one checks it (Scheme.law)",
    "ProbeResult": "made by probe, from_dict and load",
    "SweepResult": "made by sweep",
    "SweepError": "made by sweep",
    "CheckResult": "made by check",
    "warmup": "compiles everything, which takes minutes: tests/test_warmup.py",
    "Recommendation": "made by recommend",
    **dict.fromkeys(
        (
            "CriticalPoint",
            "Curvature",
            "DepthScales",
            "FiniteWidth",
            "FixedPoint",
            "Moments",
            "Prediction",
            "Stability",
        ),
        "returned by the theory",
    ),
    **dict.fromkeys(("ProbeResult.to_wandb", "ProbeResult.to_tensorboard"), "take what other libraries make"),
    "SweepError.of": "called by sweep alone, with its own result",
}


def examples(call):
    """Return a strategy of arguments: a few of the usual, one or two of them odd, told by their labels."""
    names = list(call.usual)
    if not names:
        return st.just(({}, {}))

    @st.composite
    def drawn(draw):
        taken = {*call.needed, *draw(st.sets(st.sampled_from(names), max_size=3))} or {names[0]}
        odd = draw(st.sets(st.sampled_from(sorted(taken)), max_size=2))
        usual = {name: draw(st.integers(0, len(call.usual[name]) - 1)) for name in sorted(taken - odd)}
        return usual, {name: draw(labels) for name in sorted(odd)}

    return drawn()


def arguments(call, usual, odd):
    return {name: call.usual[name][index] for name, index in usual.items()} | {name: made(x) for name, x in odd.items()}


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A folder of their own for the files that odd paths name."""
    with contextlib.chdir(tmp_path_factory.mktemp("fuzz")):
        RESULT.save("result.json")
        fi.sweep(depth=[1, 2], width=3, batch=2, store="swept.jsonl")
        fi.checkpoint.write("checkpoint", STORED_SHAPES, STORED_PLAN, seed=3)
        Path("shapes.json").write_text(json.dumps(STORED_SHAPES))
        PLAN.save("plan.toml")
        fi.checkpoint.write("checked.safetensors", {"w": (8, 4), "b": 4}, DECLARED, seed=0)
        yield


@pytest.mark.parametrize("name", [*CALLS, *METHODS])
def test_odd_arguments_are_answered(name):
    call = (CALLS | METHODS)[name]
    takes_out = "out" in call.usual

    @lane(*((2, 30) if name in SLOW else (15, 400)))
    @given(examples(call))
    def fuzz(example):
        given = arguments(call, *example)
        target = np.full((4, 6), 7, np.float32)
        if takes_out and "out" not in example[1]:
            given["out"] = target
        result = answers(lambda: call.function(**given), call.also)
        if takes_out and result is None:
            assert (target == 7).all()

    fuzz()


def public(owner):
    return {name for name, value in vars(owner).items() if name[0] != "_" and not isinstance(value, types.ModuleType)}


def test_every_public_name_is_called_or_has_a_reason():
    known = {*CALLS, *METHODS, *NOT_CALLED}
    names = {"theory", "checkpoint", *public(fi), *theory.__all__}
    names |= {f"checkpoint.{name}" for name in fi.checkpoint.__all__}
    for kind in (value for value in vars(fi).values() if isinstance(value, type) and value is not fi.Fans):
        fields = {*getattr(kind, "__annotations__", ())}
        ours = [base for base in kind.__mro__ if base.__module__.startswith("fastinit")]
        fields |= {name for base in ours for name in getattr(base, "__annotations__", ())}
        names |= {f"{kind.__name__}.{name}" for base in ours for name in public(base) - fields}
    # What a submodule's import leaves in the package is no name of its own.
    assert names - known == set()
    assert known - names == set()


@pytest.mark.parametrize("name", [*CALLS, *CHECKPOINTS])
def test_every_argument_is_called(name):
    call = (CALLS | CHECKPOINTS)[name]
    function = getattr(theory, name, None) or attrgetter(name)(fi)
    parameters = {p.name for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD}
    assert parameters - {*call.usual} == set()
    assert {*call.ours} <= {*call.usual}
    if name in ("probe", "sweep"):
        assert {*ARGUMENTS, *WORDS} <= {*call.usual}


# What each part of a rule may well be.
PARTS = {
    "scheme": ["normal", "skip", "he_normal", "sparse"], "std": [0.5, "1 / n", "1 / fan_in"], "ndim": [2, [1, 2]],
    "role": ["*.weight"], "when": ["ndim == 2", True], "dtype": ["float32", "bfloat16"], "stack": ["i", ["i", "j"]],
    "tie": ["v", ["x", "v"]], "lr": [0.5, "1 / n"], "note": ["words"], "name": ["{name}.x", "{i}"], "axis": [0, -1],
    "set": [{"[0]": 1}, {"[:, 1:]": "n"}], "layout": ["oi", [[0], [1]]], "groups": [2, "n"], "stride": [1], "size": [3],
    "transposed": [False], "fan_in": [3, "n"], "fan_out": [2.5], "fans_of": ["v"],
    "segments": [[{"name": "q"}, {"name": "k", "size": "n"}], [{"name": "q", "scheme": "ones"}]],
}  # fmt: skip


@lane(150, 4000)
@given(
    st.dictionaries(st.sampled_from([*PARTS]), st.one_of(labels, st.integers(0, 3)), max_size=5), labels, st.booleans()
)
def test_an_odd_rule_is_answered(parts, key, is_odd):
    rule = {"scheme": "normal"} | {
        name: PARTS[name][what % len(PARTS[name])] if isinstance(what, int) else made(what)
        for name, what in parts.items()
    }  # fmt: skip
    if is_odd:
        with contextlib.suppress(Exception):
            rule[made(key)] = 3
    plan = answers(lambda: fi.Plan([("w", rule), ("v", "he_normal")], variables={"n": 2}))
    if plan is not None:
        answers(lambda: (plan.to_json(), hash(plan), repr(plan), fi.Plan.from_json(plan.to_json())))
        answers(lambda: plan.init({"w": (4, 6), "v": (4, 6)}, seed=0))
        answers(lambda: (repr(plan.explain({"w": (2, 2), "v": 3})), plan.explain({"w": (2, 2), "v": 3})._repr_html_()))


RECORDED = RESULT.to_dict()


@lane(80, 2000)
@given(st.sampled_from([*RECORDED]), st.one_of(labels, st.none()), st.integers(0, 2))
def test_a_result_that_lies_is_refused_or_is_one(name, label, where):
    values = {**RECORDED}
    if label is None:
        del values[name]
    elif where and isinstance(values[name], list):
        row = [*values[name]]
        row[where % len(row)] = made(label)
        values[name] = row
    else:
        values[name] = made(label)
    result = answers(lambda: fi.ProbeResult.from_dict(values))
    if result is not None:
        answers(lambda: (repr(result), str(result), str(result.table()), result.to_dict(), result.to_pandas()))
        assert repr(result).isprintable()
        assert {getattr(result, figure).shape for figure in FIGURES} == {(3,)}
