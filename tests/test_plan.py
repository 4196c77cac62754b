"""Plans: what a rule says is what `init` draws, name by name; what cannot be is refused before anything is drawn."""

import math
import re
import time

import ml_dtypes
import numpy as np
import pytest

import fastinit as fi
from fastinit.models import resolve

SEED = 7
DTYPES = ("float32", "float64", "float16", "bfloat16")


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def drawn(what, shapes, dtype="float32", pattern="**", **variables):
    return fi.Plan([(pattern, what)], variables=variables).init(shapes, seed=SEED, dtype=dtype)


# What the parts of a rule say, each drawn by itself.


def test_a_plan_draws_what_init_draws():
    plan = fi.Plan(
        [
            ("embed.weight", {"scheme": "normal", "std": "scale / 50"}),
            ("h.{layer}.out", {"scheme": "truncated_normal", "std": "0.02 / sqrt(2 * (layer + 1))", "lower": -3}),
            ("h.{layer}.in", {"scheme": "he_uniform", "layout": "oi", "mode": "fan_out"}),
            ("**.bias", "zeros"),
        ],
        variables={"scale": 1.0},
    )
    found = plan.init({"embed.weight": (9, 4), "h.3.out": (6, 5), "h.0.in": (5, 6), "h.0.bias": 5}, seed=SEED)
    assert list(found) == ["embed.weight", "h.3.out", "h.0.in", "h.0.bias"]
    assert same(found["embed.weight"], fi.normal((9, 4), std=0.02, seed=SEED, name="embed.weight"))
    deep = fi.truncated_normal((6, 5), std=0.02 / math.sqrt(8), lower=-3, seed=SEED, name="h.3.out")
    assert same(found["h.3.out"], deep)
    wide = fi.init("he_uniform", (5, 6), layout="oi", mode="fan_out", seed=SEED, name="h.0.in")
    assert same(found["h.0.in"], wide)
    assert same(found["h.0.bias"], np.zeros(5, "f4"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_stacked_layers_are_the_separate_ones(dtype):
    shapes = {f"layers.{i}.w": (8, 6) for i in range(5)}
    law = {"scheme": "normal", "std": "1 / sqrt(fan_in * (layer + 1))"}
    separate = drawn(law, shapes, dtype, pattern="layers.{layer}.w")
    stacked = drawn({**law, "stack": "layer", "name": "layers.{layer}.w"}, {"w": (5, 8, 6)}, dtype)["w"]
    for i in range(5):
        assert same(stacked[i], separate[f"layers.{i}.w"])


def test_a_stack_of_stacks_names_each_index():
    what = {"scheme": "xavier_uniform", "stack": ["layer", "expert"]}
    found = drawn(what, {"w": (2, 3, 4, 5)})["w"]
    for layer in range(2):
        for expert in range(3):
            one = fi.init("xavier_uniform", (4, 5), seed=SEED, name=f"w.{layer}.{expert}")
            assert same(found[layer, expert], one)


def test_indices_of_a_stack_have_their_names():
    what = {"scheme": "constant", "value": "10 * layer + expert", "stack": ["layer", "expert"]}
    assert drawn(what, {"w": (2, 3)})["w"].tolist() == [[0, 1, 2], [10, 11, 12]]
    named = drawn({"scheme": "normal", "stack": ["a", "b"], "name": "{name}/{b}-{a}"}, {"w": (2, 3, 4)})["w"]
    assert same(named[1, 2], fi.normal(4, seed=SEED, name="w/2-1"))


def test_a_segment_of_another_scheme_takes_over_no_parameters():
    parts = [{"name": "a"}, {"name": "b", "scheme": "ones"}, {"name": "c", "std": 0.25}]
    found = drawn({"scheme": "normal", "std": 0.5, "mean": 1.0, "segments": parts}, {"w": 9})["w"]
    assert same(found[:3], fi.normal(3, mean=1.0, std=0.5, seed=SEED, name="a"))
    assert (found[3:6] == 1).all()
    assert same(found[6:], fi.normal(3, mean=1.0, std=0.25, seed=SEED, name="c"))


def test_a_stack_of_scalars_and_an_empty_one():
    what = {"scheme": "constant", "stack": "layer", "value": "1 - layer / 4"}
    assert drawn(what, {"w": 4})["w"].tolist() == [1, 0.75, 0.5, 0.25]
    assert drawn(what, {"w": 0})["w"].shape == (0,)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_segments_are_tensors_of_their_own(dtype, axis):
    parts = [{"name": "{name}.q", "size": 6}, {"name": "{name}.k"}, {"name": "{name}.v", "scheme": "zeros"}]
    what = {"scheme": "he_normal", "layout": "oi", "axis": axis, "segments": parts}
    shape = [6, 6]
    shape[axis] = 14
    whole = drawn(what, {"w": shape}, dtype)["w"]
    q, k, v = np.split(whole, [6, 10], axis=axis)
    for name, part in (("w.q", q), ("w.k", k)):
        same_fans = fi.init("he_normal", part.shape, layout="oi", seed=SEED, name=name, dtype=dtype)
        assert same(np.ascontiguousarray(part), same_fans)
    assert not v.any()


def test_segments_of_experts_have_their_own_fans_and_streams():
    parts = [{"name": "{parent}.{expert}.gate"}, {"name": "{parent}.{expert}.up", "mode": "fan_out"}]
    what = {"scheme": "he_normal", "layout": "oi", "stack": "expert", "segments": parts}
    packed = drawn(what, {"e.gate_up": (3, 8, 4)})["e.gate_up"]
    for expert in range(3):
        for j, (name, mode) in enumerate([("gate", "fan_in"), ("up", "fan_out")]):
            one = fi.init("he_normal", (4, 4), layout="oi", mode=mode, seed=SEED, name=f"e.{expert}.{name}")
            assert same(packed[expert, 4 * j : 4 * j + 4], one)


def test_elements_with_a_value_of_their_own():
    law = {"scheme": "normal", "std": 0.5}
    plain = drawn(law, {"w": (5, 4, 3)})["w"]
    sets = {"[0]": 0, "[:, 1]": "2 * half", "[-1, 2:, 0]": -1, "[3:9, :1]": 7}
    expected = plain.copy()
    expected[0], expected[:, 1], expected[-1, 2:, 0], expected[3:9, :1] = 0, 1, -1, 7
    assert same(drawn({**law, "set": sets}, {"w": (5, 4, 3)}, half=0.5)["w"], expected)


def test_ties_and_skips():
    plan = fi.Plan(
        [
            ("a", {"scheme": "normal", "lr": 0.5}),
            ("b", {"tie": ["nobody", "a"]}),
            ("c", "skip"),
            ("d", {"scheme": "skip", "ndim": 1}),
        ]
    )
    shapes = {"b": (3, 2), "a": (3, 2), "c": 4, "d": 5}
    found = plan.init(shapes, seed=SEED)
    assert list(found) == ["b", "a"]
    assert found["b"] is found["a"]
    assert plan.learning_rates(shapes) == {"b": 0.5, "a": 0.5, "c": 1.0, "d": 1.0}
    laws = [row["law"] for row in plan.explain(shapes).rows]
    assert laws[0] == "tied to a"
    assert laws[2:] == ["skip", "skip"]


def test_conditions_tell_parameters_of_one_name_apart():
    plan = fi.Plan(
        [
            ("**", {"ndim": 1, "role": "*Norm.weight", "scheme": "ones"}),
            ("**", {"ndim": [2, 4], "scheme": "he_normal", "layout": "oi"}),
            ("**", {"when": "ndim == 1 and size > 8", "role": "", "scheme": "zeros"}),
        ]
    )
    shapes = {"a": {"shape": 4, "role": "BatchNorm.weight"}, "b": (3, 4), "c": (2, 3, 4, 5), "d": 9}
    assert [row["rule"] for row in plan.explain(shapes).rows] == ["** (*Norm.weight)", "**", "**", "** ()"]
    with pytest.raises(ValueError, match=r"none for d \(8,\)$"):
        plan.resolve({**shapes, "d": 8})
    with pytest.raises(ValueError, match="rules ask for roles, and no shape says one"):
        plan.resolve({"d": 8})


def test_a_bias_takes_the_fan_of_its_weight():
    plan = fi.Plan(
        [
            ("**.weight", {"scheme": "he_uniform", "layout": "oi"}),
            ("**.bias", {"scheme": "uniform", "low": "-1 / sqrt(fan_in)", "high": "1 / sqrt(fan_in)",
                         "fans_of": "{parent}.weight"}),
        ]
    )  # fmt: skip
    found = plan.resolve({"x.weight": (4, 8, 2, 2), "x.bias": 4})["x.bias"].pieces[0].law
    assert (found.low, found.high) == (-1 / math.sqrt(32), 1 / math.sqrt(32))
    with pytest.raises(ValueError, match="must name in fans_of a parameter that there is, got"):
        plan.resolve({"x.bias": 4})
    circle = fi.Plan([("**", {"scheme": "he_normal", "fans_of": "{name}"})])
    with pytest.raises(ValueError, match="must not go in a circle with fans_of"):
        circle.resolve({"x": (4, 4)})


def test_a_parameter_keeps_its_own_dtype():
    plan = fi.Plan([("router", {"scheme": "normal", "dtype": "float32"}), ("w", "he_normal")])
    found = plan.init({"router": (4, 4), "w": (4, 4)}, seed=SEED, dtype="bfloat16")
    assert found["router"].dtype == np.float32
    assert found["w"].dtype == ml_dtypes.bfloat16


def test_out_is_filled_where_it_is_given():
    plan = fi.Plan([("**", "he_normal")])
    array = np.full((6, 4), 9.0, "f4")[:, ::-1]
    found = plan.init({"a": (6, 4), "b": (3, 2)}, seed=SEED, out={"a": array})
    assert np.shares_memory(found["a"], array)
    assert (array == fi.init("he_normal", (6, 4), seed=SEED, name="a")).all()
    with pytest.raises(ValueError, match="argument 'out' must have names of parameters, got 'c'"):
        plan.init({"a": (6, 4)}, seed=SEED, out={"c": array})
    before = array.copy()
    with pytest.raises((TypeError, ValueError), match="out"):
        plan.init({"a": (6, 4), "b": (3, 2)}, seed=SEED, out={"a": array, "b": np.empty((9, 9), "f4")})
    assert (array == before).all(), "drawn before the second array was looked at"


KINDS = {
    "plain": ({"scheme": "normal"}, (12, 10)),
    "truncated": ({"scheme": "truncated_normal", "std": "1 / fan_in"}, (12, 10)),
    "neurons": ({"scheme": "sparse", "nonzeros": 3, "layout": "oi"}, (12, 10)),
    "ball": ({"scheme": "positive_unitball"}, (12, 10)),
    "stack": ({"scheme": "normal", "std": "1 + i", "stack": "i"}, (5, 6, 4)),
    "stacks": ({"scheme": "he_normal", "stack": ["i", "j"]}, (3, 2, 6, 4)),
    "segments": ({"scheme": "normal", "axis": 1, "segments": [{"name": "q", "size": 3}, {"name": "k"}]}, (12, 10)),
    "packed experts": (
        {"scheme": "normal", "stack": "e", "segments": [{"name": "q{e}"}, {"name": "k{e}", "scheme": "ones"}]},
        (3, 8, 4),
    ),
    "set": ({"scheme": "normal", "set": {"[0]": 0, "[:, 2]": 1, "[3:, :3]": 2}}, (12, 10)),
    "scalar": ({"scheme": "normal"}, ()),
    "empty": ({"scheme": "normal"}, (0, 4)),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_region_is_a_slice_of_the_whole(kind, dtype):
    what, shape = KINDS[kind]
    found = fi.Plan([("**", what)]).resolve({"w": shape}, dtype=dtype)
    whole = found.fill("w", seed=SEED)
    rng = np.random.default_rng(5)
    for _ in range(12):
        ends = [sorted(rng.integers(0, n + 1, 2)) for n in shape]
        region = tuple(slice(int(a), int(b)) for a, b in ends)
        assert same(found.fill("w", seed=SEED, region=region), np.ascontiguousarray(whole[region]).reshape(
            [b - a for a, b in ends]))  # fmt: skip
    out = np.full(shape, 3, whole.dtype)
    assert found.fill("w", seed=SEED, out=out) is out
    assert same(out, whole)


def test_other_parameters_change_no_bytes():
    rules = [
        ("h.{layer}.w", {"scheme": "normal", "std": "1 / (layer + 1)"}),
        ("**.qkv", {"scheme": "he_normal", "segments": [{"name": "{parent}.q"}, {"name": "{parent}.k"}]}),
        ("e.{expert}", "he_uniform"),
    ]
    shapes = {"h.0.w": (4, 4), "h.1.w": (4, 4), "a.qkv": (8, 4), "e.0": (3, 3)}
    first = fi.Plan(rules).init(shapes, seed=SEED)
    more = {"e.1": (5, 5), **dict(reversed(shapes.items())), "h.9.w": (2, 2)}
    second = fi.Plan(rules[::-1]).init(more, seed=SEED)
    fewer = fi.Plan(rules).init({"h.1.w": (4, 4)}, seed=SEED)
    for name in shapes:
        assert same(first[name], second[name])
    assert same(first["h.1.w"], fewer["h.1.w"])
    renamed = fi.Plan(rules).init({"b.qkv": (8, 4), "h.0.w": (4, 4)}, seed=SEED)
    assert same(renamed["h.0.w"], first["h.0.w"])
    assert not same(renamed["b.qkv"], first["a.qkv"])


# Exactly one rule for each parameter.


def test_parameters_without_a_rule_and_with_several_are_all_told():
    plan = fi.Plan([("a*", "zeros"), ("*b", "ones")])
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        plan.resolve({"a": 3, "ab": 4, "c": (2, 2), "d": (), "axb": 1})
    text = str(caught.value)
    assert "none for c (2, 2), d ()" in text
    assert "several for ab (rules a*, *b), axb (rules a*, *b)" in text
    assert fi.Plan(plan, first_match=True).init({"ab": 1}, seed=0)["ab"] == 0


def test_many_are_told_in_short():
    with pytest.raises(ValueError, match=r"none for p0 .* p11 \(1,\) and 88 more") as caught:
        fi.Plan([("a", "zeros")]).resolve({f"p{i}": 1 for i in range(100)})
    assert "p12" not in str(caught.value)


def test_streams_that_collide_are_refused(monkeypatch):
    plan = fi.Plan([("**", "he_normal")])
    shapes = {"a": (3, 3), "b": (3, 3), "zeros": (3, 3)}
    monkeypatch.setattr("fastinit.models.pieces.stream", lambda name: 1 if name in "ab" else 2)
    with pytest.raises(ValueError, match="stream of its own, got 'a' and 'b': names of one hash"):
        plan.resolve(shapes)
    monkeypatch.undo()
    twice = fi.Plan([("**", {"scheme": "he_normal", "name": "x"})])
    with pytest.raises(ValueError, match="stream of its own, got 'x' and 'x': the same name"):
        twice.resolve(shapes)
    assert len(fi.Plan([("**", {"scheme": "ones", "name": "x"})]).resolve(shapes)) == 3, "nothing is drawn"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([("a", {"tie": "b"})], "tie a to a parameter of its shape"),
        ([("a", {"tie": "a"})], "tie a to a parameter of its shape"),
        ([("a", {"tie": []})], "the name of a parameter, or several"),
        ([("a", {"tie": "{b.c}"})], "a text with"),
        ([("a", {"tie": "{name!r}"})], "a text with"),
        ([("a", {"tie": "{name:9999999}"})], "a text with"),
        ([("a", {"tie": "b", "scheme": "zeros"})], "either a scheme"),
        ([("a", {"std": 1.0})], "either a scheme"),
        ([("a", {"scheme": "zeros", "std": 1.0})], "must be a parameter of scheme 'zeros'"),
        ([("a", {"scheme": "normal", "st": 1.0})], "did you mean 'std'"),
        ([("a", {"scheme": "nromal"})], "did you mean 'normal'"),
        ([("a", {"scheme": "normal", "std": "1 / layer"})], "'layer' is none of"),
        ([("a", {"scheme": "normal", "note": 3})], "note"),
        ([("a", {"scheme": "normal", "lr": "0 - 1"})], "factors lr that are finite and >= 0, got -1"),
        ([("a", {"scheme": "normal", "lr": "inf"})], "factors lr that are finite and >= 0, got inf"),
        ([("a", {"scheme": "normal", "stack": ["x"] * 3})], "must stack at most the 2 axes"),
        ([("a", {"scheme": "normal", "stack": "1x"})], "names for the indices"),
        ([("a", {"scheme": "normal", "stack": "fan_in"})], "names for the indices"),
        ([("a", {"scheme": "normal", "stack": "x" * 65})], "names for the indices"),
        ([("a", {"scheme": "normal", "set": {"0": 1}})], "indices like"),
        ([("a", {"scheme": "normal", "set": {"[::2]": 1}})], "without steps"),
        ([("a", {"scheme": "normal", "set": {"[9]": 1}})], "got index 9 of 4"),
        ([("a", {"scheme": "normal", "set": {"[0.5]": 1}})], "got index 0.5 of 4"),
        ([("a", {"scheme": "normal", "set": {"[0, 0, 0]": 1}})], "at most 2 indices"),
        ([("a", {"scheme": "normal", "segments": [{"size": 1}]})], "dicts with a name each"),
        ([("a", {"scheme": "normal", "segments": [{"name": "q", "set": {"[0]": 1}}]})], "got 'set'"),
        ([("a", {"scheme": "normal", "segments": [{"name": "q", "segments": []}]})], "got 'segments'"),
        ([("a", {"scheme": "normal", "segments": [{"name": "q", "size": 3}]})], "add up to the 4"),
        ([("a", {"scheme": "normal", "segments": [{"name": n} for n in "qkv"]})], "add up to the 4"),
        ([("a", {"scheme": "normal", "segments": [{"name": "q", "size": 0.5}, {"name": "k"}]})], "whole sizes"),
        ([("a", {"scheme": "normal", "segments": [{"name": "q"}], "axis": 5})], "one of the axes of"),
        ([("a", {"scheme": "normal", "dtype": "int32"})], "dtype"),
        ([("a", {"scheme": "normal", "std": -1.0})], "std"),
        ([("a", {"scheme": "he_normal", "layout": "ioo"})], "layout"),
        ([("a", {"scheme": "he_normal", "nonlinearity": len})], "must be made of texts, numbers, lists and dicts"),
        ([("{shape}", "zeros")], "must not capture 'shape'"),
        ([("a",)], "pairs"),
        ("a", "must be a sequence"),
    ],
)
def test_what_cannot_be_is_refused_by_name(rules, words):
    with pytest.raises((TypeError, ValueError), match=re.escape(words)) as caught:
        fi.Plan(rules).resolve({"a": (4, 6)})
    assert "argument '" in str(caught.value)


def test_a_law_that_the_dtype_cannot_hold_names_the_parameter():
    plan = fi.Plan([("**", {"scheme": "normal", "std": 1e6})])
    with pytest.raises(ValueError, match=r"std.*\(parameter big, rule \*\*\)"):
        plan.init({"big": (3, 3)}, seed=0, dtype="float16")


def test_learning_rates_may_use_fans_and_are_told_where_they_differ():
    plan = fi.Plan(
        [
            ("w", {"scheme": "he_normal", "layout": "oi", "lr": "64 / fan_in"}),
            ("s", {"scheme": "he_normal", "stack": "i", "lr": "shape[0] / 10"}),
            ("b", "zeros"),
        ]
    )
    shapes = {"w": (16, 256), "s": (3, 5, 4), "b": 3}
    assert plan.learning_rates(shapes) == {"w": 0.25, "s": 0.5, "b": 1.0}
    assert "  lr  " in str(plan.explain(shapes)).splitlines()[0]
    assert "<th>lr</th>" in plan.explain(shapes)._repr_html_()
    assert "lr" not in str(plan.explain({"b": 3}))
    with pytest.raises(ValueError, match="there is no 'i' here"):
        fi.Plan([("s", {"scheme": "ones", "stack": "i", "lr": "1 / i"})]).resolve({"s": (3, 4)})


def test_many_parameters_take_no_time():
    rules = [
        (f"model.layers.{{layer}}.part{i}.weight", {"scheme": "normal", "std": "1 / (layer + 1)"}) for i in range(20)
    ]
    shapes = {f"model.layers.{n}.part{i}.weight": (4096, 4096) for n in range(100) for i in range(20)}
    start = time.process_time()
    assert len(fi.Plan(rules).resolve(shapes)) == 2000
    assert time.process_time() - start < 5


def test_a_stack_is_bounded(monkeypatch):
    monkeypatch.setattr(resolve, "_MOST_PIECES", 8)
    with pytest.raises(ValueError, match="must stack at most 8 tensors"):
        fi.Plan([("**", {"scheme": "normal", "stack": "i"})]).resolve({"a": (9, 2)})
