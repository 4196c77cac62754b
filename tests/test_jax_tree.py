"""Trees of parameters on JAX's devices: each leaf the plan's tensor of its path, each block drawn where it is."""

import os
import socket
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
from optional import library

import fastinit as fi

jax = library("jax")

from fastinit.jax import init_tree, placing, tree_names  # noqa: E402 - what it needs is looked for first

SDS, AUTO = jax.ShapeDtypeStruct, jax.sharding.AxisType.Auto
PLAN = fi.Plan(
    [
        ("**/kernel", {"scheme": "normal", "std": "1 / sqrt(fan_in)"}),
        ("**/{bias,scale}", "zeros"),
        ("embed", {"scheme": "normal", "std": 0.02}),
        ("head", {"tie": "embed"}),
        ("step", "skip"),
    ]
)


def abstract(dtype="float32"):
    return {
        "params": {"dense": {"kernel": SDS((8, 16), "bfloat16"), "bias": SDS((16,), dtype)}, "blocks": [
            {"kernel": SDS((4, 4), dtype)}, ({"kernel": SDS((4, 6), "float16")},)]},
        "embed": SDS((24, 8), dtype), "head": SDS((24, 8), dtype), "step": SDS((), "int32"),
    }  # fmt: skip


def as_bytes(leaf):
    array = np.asarray(leaf)
    return array.shape, array.dtype.name, array.tobytes()


def expected(seed):
    names, leaves = tree_names(abstract()), jax.tree.leaves(abstract())
    drawn = {n: leaf for n, leaf in zip(names, leaves, strict=True) if n not in ("head", "step")}
    return {name: PLAN.init({name: leaf.shape}, seed=seed, dtype=leaf.dtype)[name] for name, leaf in drawn.items()}


def test_every_leaf_is_the_tensor_of_its_name():
    tree = init_tree(abstract(), None, PLAN, seed=7)
    assert tree["step"] == SDS((), "int32")  # left as it is
    assert tree["params"]["blocks"][1][0]["kernel"].dtype == "float16"
    found = dict(zip(tree_names(tree), jax.tree.leaves(tree), strict=True))
    assert as_bytes(found["head"]) == as_bytes(found["embed"])
    for name, values in expected(7).items():
        assert as_bytes(found[name]) == as_bytes(values), name
        assert isinstance(found[name], jax.Array)
    assert not (np.asarray(init_tree(abstract(), None, PLAN, seed=8)["embed"]) == np.asarray(tree["embed"])).any()


def test_names_of_every_kind_of_path():
    @jax.tree_util.register_dataclass
    @dataclass
    class Point:
        x: int

    pair = namedtuple("pair", ["left", "right"])
    tree = {"a": [1, (2,)], "b": pair(3, {"c/d": 4}), "e": None}
    assert tree_names(tree) == ["a/0", "a/1/0", "b/left", "b/right/c/d"]
    assert tree_names({5: Point(6)}) == ["5/x"]
    assert tree_names(3) == [""]
    with pytest.raises(ValueError, match="argument 'abstract' must have a path of its own for each leaf, got 'a/b' tw"):
        tree_names({"a/b": 1, "a": {"b": 2}})


def test_nothing_is_copied_compiled_or_held_twice(monkeypatch):
    memory = {}
    original = placing.aligned

    def aligned(shape, dtype):
        made = original(shape, dtype)
        memory[made.ctypes.data] = made.nbytes
        return made

    monkeypatch.setattr(placing, "aligned", aligned)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: compiled.append(name))
    wide = {"kernel": SDS((301, 33), "bfloat16"), "bias": SDS((77,), "float32")}
    with jax.default_device(jax.devices("cpu")[0]):
        tree = init_tree(wide, None, fi.Plan([("**", {"scheme": "normal"})]), seed=1)
    assert {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(tree)} == {*memory}
    assert sum(memory.values()) == 301 * 33 * 2 + 77 * 4
    assert not [name for name in compiled if "compile" in name]


def sharding():
    mesh = jax.make_mesh((1,), ("x",), axis_types=(AUTO,))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))


HUGE = {"scheme": "constant", "value": 1e9}
REFUSED = {
    "plan": (lambda: init_tree(abstract(), None, [("**", "zeros")], seed=1), "argument 'plan' must be a fastinit.Plan"),
    "seed": (lambda: init_tree(abstract(), None, PLAN, seed=-1), "argument 'seed' must be an integer"),
    "no seed": (lambda: init_tree(abstract(), None, PLAN, seed=None), "the same on every host, got None"),
    "no rule": (
        lambda: init_tree({"w": SDS((2,), "float32")}, None, PLAN, seed=1),
        r"must have exactly one rule for each parameter, got none for w \(2,\)"),
    "integers": (
        lambda: init_tree({"embed": SDS((2, 2), "int32")}, None, PLAN, seed=1),
        "argument 'dtype' must be one of .* got dtype.'int32'. .leaf embed, rule embed"),
    "key": (
        lambda: init_tree({"embed": jax.random.key(1)}, None, PLAN, seed=1), "argument 'dtype' must be .*leaf embed"),
    "two dtypes of one": (
        lambda: init_tree({"embed": SDS((2,), "float32"), "head": SDS((2,), "bfloat16")}, None, PLAN, seed=1),
        "must have one dtype for tied leaves, got bfloat16 for head and float32 for embed"),
    "a law beyond the dtype": (
        lambda: init_tree({"w": SDS((2,), "float16")}, None, fi.Plan([("w", HUGE)]), seed=1),
        r"argument 'value' must be within .*parameter w"),
    "no sharding": (lambda: init_tree(abstract(), "x", PLAN, seed=1), "argument 'shardings' must be a "),
    "another tree": (
        lambda: init_tree(abstract(), {"a": sharding()}, PLAN, seed=1),
        "argument 'shardings' must be a sharding, or a tree of them that begins 'abstract'"),
    "no mesh": (
        lambda: init_tree(abstract(), jax.sharding.PartitionSpec("x"), PLAN, seed=1),
        "argument 'shardings' must have a mesh"),
    "axes that are not there": (
        lambda: init_tree({"a": {"bias": SDS((), "float32")}}, sharding(), PLAN, seed=1),
        r"argument 'shardings' must be a sharding whose parts divide shape \(\) of a/bias"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_the_argument(case, monkeypatch):
    call, text = REFUSED[case]
    monkeypatch.setattr(placing, "aligned", None)  # before anything is allocated
    with pytest.raises((TypeError, ValueError), match=text):
        call()


def test_shardings_begin_the_tree():
    place = sharding()
    nowhere = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    tree = {"a": {"kernel": SDS((4, 4), "float32"), "bias": SDS((4,), "float32")}, "b": {"bias": SDS((4,), "float32")}}
    drawn = init_tree(tree, {"a": place, "b": {"bias": None}}, PLAN, seed=1)
    assert drawn["a"]["kernel"].sharding == drawn["a"]["bias"].sharding == place
    assert drawn["b"]["bias"].sharding == nowhere
    given = {"b": {"bias": SDS((4,), "float32", sharding=place)}}
    assert init_tree(given, None, PLAN, seed=1)["b"]["bias"].sharding == place
    assert init_tree(given, nowhere, PLAN, seed=1)["b"]["bias"].sharding == nowhere
    with jax.set_mesh(place.mesh):
        assert init_tree(given, place.spec, PLAN, seed=1)["b"]["bias"].sharding == place


def test_flax_boxes_add_nothing_to_a_name():
    nn, nnx = library("flax.linen"), library("flax.nnx")

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            init = nn.with_partitioning(nn.initializers.zeros, (None, "x"))
            return nn.Dense(4, kernel_init=init)(x)

    shapes = jax.eval_shape(Model().init, jax.random.key(0), np.ones((2, 8), np.float32))
    assert tree_names(shapes) == ["params/Dense_0/bias", "params/Dense_0/kernel"]
    specs = nn.get_partition_spec(shapes)
    with jax.set_mesh(jax.make_mesh((1,), ("x",), axis_types=(AUTO,))):
        tree = init_tree(shapes, specs, PLAN, seed=3)
    kernel = tree["params"]["Dense_0"]["kernel"]
    assert kernel.names == (None, "x")
    assert kernel.value.sharding.spec == jax.sharding.PartitionSpec(None, "x")
    same = PLAN.init({"params/Dense_0/kernel": (8, 4)}, seed=3)
    assert as_bytes(kernel.value) == as_bytes(same["params/Dense_0/kernel"])
    assert Model().apply(tree, np.ones((2, 8), np.float32)).shape == (2, 4)

    graph, state = nnx.split(nnx.eval_shape(lambda: nnx.Linear(8, 4, rngs=nnx.Rngs(0))))
    assert tree_names({"layer": state}) == ["layer/bias", "layer/kernel"]
    plan = fi.Plan([("kernel", "he_normal"), ("bias", "zeros")])
    model = nnx.merge(graph, init_tree(state, None, plan, seed=3))
    np.testing.assert_array_equal(np.asarray(model.kernel[...]), plan.init({"kernel": (8, 4)}, seed=3)["kernel"])
    assert model(np.ones((2, 8), np.float32)).shape == (2, 4)


PROGRAM = """
import sys
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import fastinit as fi
from fastinit.jax import init_tree, initializers, placing

devices, processes, process, address = map(int, sys.argv[1:])
if processes > 1:
    jax.distributed.initialize(f"localhost:{address}", processes, process)
assert len(jax.devices()) == devices and jax.process_count() == processes
mesh = jax.make_mesh((devices // 2, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
SPECS = {"a": P("model", "data"), "b": P("data"), "c": P(("model", "data"), None), "d": P(), "e": P(None, "model"),
         "f": P("data"), "g": P("model")}
shapes = {name: jax.ShapeDtypeStruct((16, 24), "bfloat16" if name < "d" else "float32") for name in SPECS}
plan = fi.Plan([("f", "sparse"), ("g", "positive_unitball"), ("*", {"scheme": "normal", "std": 0.02})],
               first_match=True)
drawn, original = [], placing.aligned
placing.aligned = lambda shape, dtype: drawn.append(shape) or original(shape, dtype)
tree = init_tree(shapes, {name: NamedSharding(mesh, spec) for name, spec in SPECS.items()}, plan, seed=5)
blocks = 0
for name, array in tree.items():
    whole = plan.init({name: (16, 24)}, seed=5, dtype=array.dtype)[name]
    assert array.sharding.spec == SPECS[name]
    for shard in array.addressable_shards:
        assert (np.asarray(shard.data) == whole[shard.index]).all(), (name, shard.index)
        blocks += 1
    assert {shape for shape in drawn} >= {array.sharding.shard_shape((16, 24))}
assert blocks == len(SPECS) * len(jax.local_devices())
assert len(drawn) <= blocks
# Initializers, too, by themselves and in a compiled program: only what is this process's.
drawn.clear()
place, seed = NamedSharding(mesh, P("data", "model")), np.array([0, 5], np.uint32)
draw = initializers.normal(0.02)
whole = fi.normal((16, 24), std=0.02, seed=5)
for array in (draw(seed, (16, 24), None, place), jax.jit(lambda key: draw(key, (16, 24), None, place))(seed)):
    for shard in array.addressable_shards:
        assert (np.asarray(shard.data) == whole[shard.index]).all(), shard.index
assert {*drawn} == {place.shard_shape((16, 24))} and len(drawn) == 2 * len(jax.local_devices())
print("same", blocks)
"""


def started(devices, processes, process, address):
    env = {
        **os.environ,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices // processes}",
        "JAX_PLATFORMS": "cpu",
    }
    arguments = map(str, (devices, processes, process, address))
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(children):
    try:
        said = [child.communicate(timeout=240) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    for child, (_, error) in zip(children, said, strict=True):
        assert child.returncode == 0, error
    return [output.split() for output, _ in said]


def test_eight_devices():
    assert finished([started(8, 1, 0, 0)]) == [["same", str(7 * 8)]]


@pytest.mark.ci
def test_two_processes_of_four_devices_draw_their_own():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    said = finished([started(8, 2, process, port) for process in range(2)])
    assert said == [["same", str(7 * 4)]] * 2
