"""The initializers of `fastinit.jax`: JAX's names and forms, fastinit's bytes, whatever traces or maps them."""

import itertools
import pickle
from functools import partial

import numpy as np
import pytest
from optional import library

import fastinit as fi
from fastinit.weights.rules import MODES

jax = library("jax")
jnp = jax.numpy

from fastinit.jax import initializers, placing  # noqa: E402 - what it needs is looked for first

KEY = jax.random.key(42)
THEIRS = jax.nn.initializers


def test_the_names_are_those_of_jax():
    public = {name for name in dir(THEIRS) if name[0] != "_"}
    assert {name for name in public if not hasattr(initializers, name)} == set()
    for name in ("zeros", "ones", "constant", "Initializer"):  # nothing is drawn for them
        assert getattr(initializers, name) is getattr(THEIRS, name)
    assert isinstance(initializers.he_normal(), THEIRS.Initializer)


# What jax's NNInitializersTest (tests/nn_test.py) calls: name, makers, least and most axes, whether complex, too.
RECORDS = [
    ("uniform", initializers.uniform, 1, 4, False),
    ("normal", initializers.normal, 1, 4, True),
    *((name, getattr(initializers, name), 2, 4, True) for name in (
        "he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform")),
    ("orthogonal", initializers.orthogonal, 2, 2, False),
    ("truncated_normal", initializers.truncated_normal, 1, 4, False),
    ("delta_orthogonal", initializers.delta_orthogonal, 4, 4, False),
    ("variance_scaling", partial(initializers.variance_scaling, 1, "fan_geo_avg", "normal"), 2, 4, False),
]  # fmt: skip
SHAPES = [(2,), (2, 2), (2, 3), (3, 2), (2, 3, 4), (4, 3, 2), (2, 3, 4, 5)]
REAL, COMPLEX = ["float32", "float64", "float16", "bfloat16"], ["complex64", "complex128"]


def cases():
    for name, maker, least, most, both in RECORDS:
        shapes = [shape for shape in SHAPES if least <= len(shape) <= most]
        for shape, dtype in itertools.product(shapes, REAL + COMPLEX * both):
            yield pytest.param(maker, shape, dtype, id=f"{name}-{'x'.join(map(str, shape))}-{dtype}")


@pytest.mark.parametrize("x64", [False, True], ids=["x32", "x64"])
@pytest.mark.parametrize(("maker", "shape", "dtype"), [*cases()])
def test_what_jax_asks_of_its_own(maker, shape, dtype, x64):
    with jax.enable_x64(x64):
        wanted = jax.dtypes.canonicalize_dtype(dtype)
        key = jax.random.PRNGKey(0)
        for array in (maker()(key, shape, dtype), maker(dtype=dtype)(key, shape)):
            assert array.shape == shape
            assert array.dtype == wanted
            assert isinstance(array, jax.Array)


def test_several_axes_a_batch_and_no_accidental_upcast():
    scaling = partial(initializers.variance_scaling, scale=1.0, mode="fan_avg", distribution="truncated_normal")
    for axes in ({"in_axis": (0, 1), "out_axis": (-2, -1)}, {"in_axis": 0, "out_axis": (2, 3), "batch_axis": 1}):
        assert scaling(**axes)(KEY, (2, 3, 4, 5)).shape == (2, 3, 4, 5)
    with pytest.raises(ValueError, match=r"Can't compute input and output sizes of a 1-dimensional weights tensor. M"):
        scaling()(KEY, (5,))
    scale = jnp.array(1.0, "float32")
    for name in ("uniform", "normal", "truncated_normal"):
        assert getattr(initializers, name)(scale, jnp.bfloat16)(KEY, (4, 4)).dtype == jnp.bfloat16


# (ours, theirs, the same by `fi.init`) for a shape of three axes, fan_in 60 and fan_out 84.
SHAPE = (12, 5, 7)
AGREE = {
    **{name: (getattr(initializers, name)(), getattr(THEIRS, name)(), fi.get_scheme(scheme, **params))
       for name, scheme, params in (
           ("he_normal", "he_normal", {"truncated": True}), ("kaiming_normal", "he_normal", {"truncated": True}),
           ("he_uniform", "he_uniform", {}), ("kaiming_uniform", "he_uniform", {}),
           ("glorot_normal", "xavier_normal", {"truncated": True}),
           ("xavier_normal", "xavier_normal", {"truncated": True}),
           ("glorot_uniform", "xavier_uniform", {}), ("xavier_uniform", "xavier_uniform", {}),
           ("lecun_normal", "lecun_normal", {"truncated": True}), ("lecun_uniform", "lecun_uniform", {}),
           ("normal", "normal", {"std": 0.01}), ("uniform", "uniform", {"high": 0.01}),
           ("truncated_normal", "truncated_normal", {"std": 0.01}))},
    "variance_scaling": (
        initializers.variance_scaling(3.0, "fan_out", "normal"), THEIRS.variance_scaling(3.0, "fan_out", "normal"),
        fi.get_scheme("variance_scaling", scale=3.0, mode="fan_out", distribution="normal")),
    "truncated_normal (0, 1)": (
        initializers.truncated_normal(0.5, lower=0.0, upper=1.0), THEIRS.truncated_normal(0.5, lower=0.0, upper=1.0),
        fi.get_scheme("truncated_normal", std=0.5, lower=0.0, upper=1.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", AGREE)
def test_a_key_is_a_seed_and_the_law_is_that_of_jax(name):
    ours, theirs, scheme = AGREE[name]
    for dtype in ("float32", "bfloat16"):
        expected = fi.init(scheme, SHAPE, seed=42, dtype=dtype)
        np.testing.assert_array_equal(np.asarray(ours(KEY, SHAPE, dtype)), expected)
    # Mean squares of n draws, each within 5 of its standard errors (at most sqrt(2/n) for these laws), are less than
    # 2.2 % apart; fan_in and fan_out differ by 40 %.
    shape = tuple(10 * n for n in SHAPE)
    squares = [np.mean(np.square(np.asarray(draw(KEY, shape), np.float64))) for draw in (ours, theirs)]
    assert abs(squares[0] / squares[1] - 1) < 10 * np.sqrt(2 / np.prod(shape))


def test_axes_of_inputs_outputs_and_neither():
    for axes, layout in [((1, 2, 0), "bio"), ((0, 2, 1), "ibo"), (((0, 1), 2, ()), "iio"), ((0, (1, 2), ()), "ioo")]:
        for name in ("he_normal", "glorot_uniform"):
            drawn = getattr(initializers, name)(*axes)(KEY, SHAPE)
            scheme = fi.get_scheme(name, truncated=True) if name == "he_normal" else name
            np.testing.assert_array_equal(np.asarray(drawn), fi.init(scheme, SHAPE, layout=layout, seed=42))


def test_geometric_mean_of_fans():
    expected = fi.normal((3, 4, 5), std=(12 * 15) ** -0.25, seed=42)
    drawn = initializers.variance_scaling(1.0, "fan_geo_avg", "normal")(KEY, (3, 4, 5))
    np.testing.assert_allclose(np.asarray(drawn), expected, rtol=1e-6)


@pytest.mark.parametrize("column", [-1, 0, 1])
def test_orthogonal_columns(column):
    matrix = np.asarray(initializers.orthogonal(2.0, column)(KEY, (3, 20, 5)), np.float64)
    flat = np.moveaxis(matrix, column, -1).reshape(-1, matrix.shape[column])
    rows = flat if flat.shape[0] < flat.shape[1] else flat.T
    np.testing.assert_allclose(rows @ rows.T, 4.0 * np.eye(len(rows)), atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 2, 4, 5), (1, 2, 3, 5, 5)])
def test_delta_orthogonal_is_where_jax_has_it(shape):
    ours, theirs = (
        np.asarray(maker()(KEY, shape)) for maker in (initializers.delta_orthogonal, THEIRS.delta_orthogonal)
    )
    np.testing.assert_array_equal(ours != 0, theirs != 0)
    matrix = ours.reshape(-1, *shape[-2:]).sum(0)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(shape[-2]), atol=1e-5)


def test_every_kind_of_key():
    draw = initializers.normal(1.0)
    expected = fi.normal((4, 3), seed=42)
    for key in (KEY, jax.random.PRNGKey(42), np.array([0, 42], np.uint32)):
        np.testing.assert_array_equal(np.asarray(draw(key, (4, 3))), expected)
    np.testing.assert_array_equal(
        np.asarray(draw(jax.random.wrap_key_data(jnp.array([3, 4], "uint32")), 5)), fi.normal(5, seed=3 << 32 | 4)
    )
    first, second = (np.array([0, 42, 0, n], np.uint32) for n in (42, 43))
    drawn = [np.asarray(draw(jax.random.wrap_key_data(words, impl="rbg"), (4, 3))) for words in (first, second)]
    assert not (drawn[0] == drawn[1]).any()
    np.testing.assert_array_equal(drawn[0], np.asarray(draw(jax.random.key(42, impl="rbg"), (4, 3))))


TRACED = {
    "jit": lambda draw, keys: [jax.jit(draw)(key) for key in keys],
    "vmap": lambda draw, keys: jax.vmap(draw)(keys),
    "jit of vmap": lambda draw, keys: jax.jit(jax.vmap(draw))(keys),
    "vmap of jit": lambda draw, keys: jax.vmap(jax.jit(draw))(keys),
    "vmap of vmap": lambda draw, keys: jax.vmap(jax.vmap(draw))(keys[:, None])[:, 0],
    "scan": lambda draw, keys: jax.lax.scan(lambda carry, key: (carry, draw(key)), 0, keys)[1],
    "map": lambda draw, keys: jax.lax.map(draw, keys),
    "raw keys": lambda draw, keys: jax.jit(jax.vmap(draw))(jax.random.key_data(keys)),
    "remat": lambda draw, keys: [jax.jit(jax.checkpoint(draw))(key) for key in keys],
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3fn", "complex64"])
@pytest.mark.parametrize("how", TRACED)
def test_the_same_values_under_every_transformation(how, dtype):
    keys = jax.random.split(KEY, 3)
    draw = partial(initializers.he_normal(), shape=(6, 5), dtype=dtype)
    for traced, key in zip(TRACED[how](draw, keys), keys, strict=True):
        assert traced.dtype == dtype
        np.testing.assert_array_equal(np.asarray(traced), np.asarray(draw(key)))


def test_shapes_are_found_without_a_draw(monkeypatch):
    monkeypatch.setattr(placing, "aligned", None)  # what would be drawn to
    draw = initializers.he_normal()
    huge = (1 << 20, 1 << 20)
    assert jax.eval_shape(lambda key: draw(key, huge, "bfloat16"), KEY).shape == huge
    assert jax.eval_shape(lambda: draw(KEY, huge)).shape == huge  # a key that is known, inside
    assert jax.eval_shape(lambda: draw(jax.random.PRNGKey(0), huge)).shape == huge
    with pytest.raises(TypeError, match="NoneType"):
        draw(KEY, (3, 4))


def test_nothing_is_copied_and_nothing_compiled(monkeypatch):
    memory = []
    original = placing.aligned
    monkeypatch.setattr(placing, "aligned", lambda *a: memory.append(original(*a)) or memory[-1])
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: compiled.append(name))
    initializers.normal()(KEY, (3,))  # what JAX does once
    compiled.clear(), memory.clear()
    for shape, dtype in [((301, 17), "float32"), ((301, 18), "bfloat16"), ((2, 3, 5), "float16"), ((), "float32")]:
        array = initializers.normal()(KEY, shape, dtype)
        assert array.unsafe_buffer_pointer() == memory[-1].ctypes.data
    assert len(memory) == 4
    assert not [name for name in compiled if "compile" in name]
    jax.random.normal(KEY, (301, 19))
    assert [name for name in compiled if "compile" in name]  # so it would have been seen


def test_equal_initializers_are_equal_and_can_be_pickled():
    first, second = (initializers.variance_scaling(2.0, "fan_in", "normal", in_axis=[0, 1]) for _ in range(2))
    assert first == second == pickle.loads(pickle.dumps(first))
    assert hash(first) == hash(second)
    assert first != initializers.variance_scaling(2.0, "fan_in", "normal", in_axis=[0, 2])
    counted = []
    run = jax.jit(lambda key, draw: counted.append(1) or draw(key, (2, 3, 4)), static_argnums=1)
    run(KEY, first), run(KEY, second)
    assert len(counted) == 1


REFUSED = {
    "key: int": (lambda: initializers.normal()(3, (2,)), "argument 'key' must be a key of jax.random, got 3"),
    "key: none": (lambda: initializers.normal()(None, (2,)), "argument 'key' must be a key"),
    "key: floats": (lambda: initializers.normal()(jnp.ones(2), (2,)), "argument 'key' must be a key"),
    "keys": (lambda: initializers.normal()(jax.random.split(KEY, 3), (2,)), r"must be one key, got \(3,\) of them"),
    "shape": (lambda: initializers.normal()(KEY, (2, -1)), "argument 'shape' must hold integers >= 0"),
    "dtype": (lambda: initializers.normal()(KEY, (2,), "int32"), "argument 'dtype' must be one of"),
    "own dtype": (lambda: initializers.normal(dtype="float31"), "argument 'dtype' must be one of"),
    "stddev": (lambda: initializers.normal(-1.0), "argument 'stddev' must be a finite number >= 0, got -1.0"),
    "scale": (lambda: initializers.uniform("a"), "argument 'scale' must be a finite number >= 0, got 'a'"),
    "traced": (lambda: jax.jit(initializers.normal)(1.0), "argument 'stddev' must be a finite number >= 0"),
    "mode": (lambda: initializers.variance_scaling(1.0, "fan", "normal"), "argument 'mode' must be one of"),
    "distribution": (lambda: initializers.variance_scaling(1.0, "fan_in", "cauchy"), "argument 'distribution' must be"),
    "axis": (lambda: initializers.he_normal(in_axis=2)(KEY, (2, 3)), "argument 'layout' must be"),
    "axis twice": (lambda: initializers.he_normal(in_axis=(0, 1))(KEY, (2, 3)), "argument 'layout' must be"),
    "axis as text": (lambda: initializers.he_normal(in_axis="i"), "argument 'in_axis' must be an integer"),
    "too large": (lambda: initializers.normal(1e38)(KEY, (3,), "float16"), "argument 'std' must keep"),
    "column": (lambda: initializers.orthogonal(column_axis=2)(KEY, (3, 3)), "argument 'shape' must be at least 2D"),
    "delta": (lambda: initializers.delta_orthogonal()(KEY, (3, 3, 2)), "argument 'shape' must have 3, 4 or 5 axes"),
    "sharding": (lambda: initializers.normal()(KEY, (3,), None, "x"), "argument 'out_sharding' must be a"),
    "no mesh": (
        lambda: initializers.normal()(KEY, (3,), None, jax.sharding.PartitionSpec("x")),
        "argument 'out_sharding' must have a mesh"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_the_argument(case):
    call, text = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=text):
        call()


PLACES = """
import jax, numpy as np
from functools import partial
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import fastinit as fi
from fastinit.jax import initializers, placing

assert len(jax.devices()) == 8
key, shape, sizes, original = jax.random.key(42), (64, 32), [], placing.aligned
placing.aligned = lambda shape, dtype: sizes.append(shape) or original(shape, dtype)
expected = fi.init("he_normal", shape, truncated=True, seed=42, dtype="bfloat16")
draw = partial(initializers.he_normal(dtype="bfloat16"), key, shape, None)
traced = jax.jit(lambda key, place: initializers.he_normal()(key, shape, "bfloat16", place), static_argnums=1)
SPECS = {P(): (64, 32), P("x"): (16, 32), P(None, "y"): (64, 16), P("y", "x"): (32, 8), P(("y", "x")): (8, 32)}

for kind in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(kind, kind))
    for spec, block in SPECS.items():
        place = NamedSharding(mesh, spec)
        results = [draw(place), traced(key, place)]
        with jax.set_mesh(mesh):
            results += [draw(spec), traced(key, spec)]
        for array in results:
            assert array.sharding.is_equivalent_to(place, 2), (array.sharding, place)
            assert array.dtype == "bfloat16" and (np.asarray(array) == expected).all()
        assert {*sizes} == {block}, sizes  # nobody draws what is not his
        sizes.clear()
    try:
        initializers.normal()(key, (6, 3), None, NamedSharding(mesh, P("x")))
    except ValueError as error:
        print(error)
"""


def test_each_device_has_its_own_part_drawn(python):
    said = python(PLACES, XLA_FLAGS="--xla_force_host_platform_device_count=8", JAX_PLATFORMS="cpu").splitlines()
    assert len(said) == 2
    assert all("argument 'out_sharding' must be a sharding whose parts divide shape (6, 3)" in line for line in said)


def test_modes_are_those_of_jax():
    assert {"fan_in", "fan_out", "fan_avg", "fan_geo_avg"} <= set(MODES)


def test_flax_linen_draws_by_them():
    nn = library("flax.linen")

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Dense(16, kernel_init=initializers.he_normal(), bias_init=initializers.normal(0.1))(x)
            return nn.Conv(4, (3,), kernel_init=nn.with_partitioning(initializers.lecun_normal(), (None, "x", None)))(x)

    model, x = Model(), np.ones((2, 5, 8), np.float32)
    ours = model.init(KEY, x)
    compiled = jax.jit(model.init)(KEY, x)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), ours, compiled))
    assert jax.tree.map(np.shape, ours) == jax.tree.map(np.shape, jax.eval_shape(model.init, KEY, x))
    kernel = np.asarray(ours["params"]["Dense_0"]["kernel"])
    assert 0 < abs(kernel).max() < 2 * np.sqrt(2 / 8) / 0.8796 * 1.0001
    assert ours["params"]["Dense_0"]["bias"].std() > 0


def test_flax_nnx_draws_by_them():
    nnx = library("flax.nnx")

    def made(seed=0):
        return nnx.Linear(8, 16, kernel_init=initializers.he_normal(), param_dtype="bfloat16", rngs=nnx.Rngs(seed))

    kernel = np.asarray(made().kernel[...])
    assert kernel.dtype == "bfloat16"
    np.testing.assert_array_equal(np.asarray(nnx.jit(made)().kernel[...]), kernel)
    assert nnx.eval_shape(made).kernel.shape == (8, 16)
    stacked = nnx.vmap(lambda key: nnx.Linear(8, 16, kernel_init=initializers.he_normal(), rngs=nnx.Rngs(key)))
    layers = np.asarray(stacked(jax.random.split(KEY, 3)).kernel[...])
    assert layers.shape == (3, 8, 16)
    assert len({layer.tobytes() for layer in layers}) == 3


def test_equinox_takes_them():
    eqx = library("equinox")
    draw = initializers.he_normal(in_axis=1, out_axis=0)  # its weights are (out, in)
    linear = eqx.nn.Linear(8, 16, key=KEY)
    drawn = eqx.tree_at(lambda layer: layer.weight, linear, draw(KEY, linear.weight.shape))
    expected = fi.init("he_normal", (16, 8), layout="oi", truncated=True, seed=42)
    np.testing.assert_array_equal(np.asarray(drawn.weight), expected)
    assert eqx.filter_jit(drawn)(np.ones(8, np.float32)).shape == (16,)
