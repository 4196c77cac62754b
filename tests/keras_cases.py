"""What holds on each of Keras's backends, in one process: `python keras_cases.py FOLDER`, KERAS_BACKEND says which."""

import importlib.util
import sys
import types
import unittest
import warnings

import keras
import numpy as np

import fastinit as fi
import fastinit.keras as ours
from fastinit.keras import scope

# (class, its arguments, the same by `fi.init`)
DRAWN = [
    ("RandomNormal", {"mean": 0.5, "stddev": 0.02}, "normal", {"mean": 0.5, "std": 0.02}),
    ("TruncatedNormal", {"stddev": 0.02}, "truncated_normal", {"std": 0.02}),
    ("RandomUniform", {"minval": -1, "maxval": 3}, "uniform", {"low": -1, "high": 3}),
    ("GlorotUniform", {}, "xavier_uniform", {}),
    ("GlorotNormal", {}, "xavier_normal", {"truncated": True}),
    ("LecunUniform", {}, "lecun_uniform", {}),
    ("LecunNormal", {}, "lecun_normal", {"truncated": True}),
    ("HeUniform", {}, "he_uniform", {}),
    ("HeNormal", {}, "he_normal", {"truncated": True}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal"},
     "variance_scaling", {"scale": 3.0, "mode": "fan_out", "distribution": "normal"}),
    ("VarianceScaling", {"distribution": "normal"}, "variance_scaling", {}),
    ("VarianceScaling", {"distribution": "uniform", "mode": "fan_avg"},
     "variance_scaling", {"distribution": "uniform", "mode": "fan_avg"}),
]  # fmt: skip
TRUNCATED = {"truncated": True}
# From then on Keras tells an initializer where its variable is to be; before, it cuts what it gets.
PASSES_LAYOUTS = tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 15)


def as_bytes(tensor):
    """Of a tensor of any backend; NumPy has no view of PyTorch's bfloat16."""
    if hasattr(tensor, "detach"):
        import torch

        tensor = tensor.detach().view(getattr(torch, f"int{8 * tensor.itemsize}")).numpy()
    return np.asarray(tensor).tobytes()


def has_own_tests():
    return importlib.util.find_spec("keras.src.initializers.random_initializers_test") is not None


def own_tests():
    """Run Keras's own tests of its initializers, where its wheel has them, and return how many there are."""
    if not has_own_tests():
        return 0
    conftest = types.ModuleType("conftest")  # of its repository: they want one decorator of it
    conftest.skip_if_backend = lambda *_: lambda test: test
    sys.modules["conftest"] = conftest
    from keras.src.initializers import constant_initializers_test, random_initializers_test

    suite = unittest.TestSuite()
    for module, name in (
        (constant_initializers_test, "ConstantInitializersTest"),
        (random_initializers_test, "RandomInitializersTest"),
    ):
        module.initializers = ours
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(getattr(module, name)))
    del sys.modules["conftest"]
    with scope(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of their variables beside today's NumPy
        result = unittest.TextTestRunner(verbosity=0).run(suite)
    assert result.wasSuccessful(), result
    assert not result.skipped
    return result.testsRun


def same_bytes():
    for name, arguments, scheme, words in DRAWN:
        for dtype in ("float32", "bfloat16", "float16"):
            initializer = getattr(ours, name)(**arguments, seed=2**40 + 3)
            tensor = initializer((3, 8, 4), dtype)
            expected = fi.init(scheme, (3, 8, 4), seed=2**40 + 3, dtype=dtype, **words)
            assert keras.backend.standardize_dtype(tensor.dtype) == dtype
            assert as_bytes(tensor) == expected.tobytes(), (name, dtype)
            assert as_bytes(initializer((3, 8, 4), dtype)) == expected.tobytes()
    generator = keras.random.SeedGenerator(5)
    initializer = ours.HeNormal(seed=generator)
    for n in range(3):
        expected = fi.init("he_normal", (6, 7), seed=5 | n << 32, **TRUNCATED)
        assert as_bytes(initializer((6, 7))) == expected.tobytes()


def no_copies():
    """The tensor is the memory that was drawn to."""
    memory, original = set(), ours.init

    def init(*arguments, out=None, **words):
        drawn = original(*arguments, out=out, **words)
        memory.add(drawn.ctypes.data)
        return drawn

    ours.init = init
    try:
        for dtype in ("float32", "bfloat16"):
            tensor = ours.HeNormal(seed=1)((301, 7), dtype)
            found = [getattr(tensor, name)() for name in ("data_ptr", "unsafe_buffer_pointer") if hasattr(tensor, name)]
            assert {*(found or [tensor.ctypes.data])} <= memory
            memory.clear()
    finally:
        ours.init = original


def models(folder):
    """A whole model from strings and defaults, saved and loaded."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    with scope():
        dense = layers.Dense(5, kernel_initializer="he_normal", bias_initializer="zeros")
        model = keras.Sequential([keras.Input((9, 9, 3)), layers.Conv2D(4, 3), layers.Flatten(), dense])
    assert type(model.layers[0].kernel_initializer) is ours.GlorotUniform
    assert type(dense.kernel_initializer) is ours.HeNormal
    seed = dense.kernel_initializer.seed
    expected = fi.init("he_normal", tuple(dense.kernel.shape), seed=seed, **TRUNCATED)
    assert as_bytes(dense.kernel.value) == expected.tobytes()
    path = f"{folder}/{keras.backend.backend()}.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded.layers[0].kernel_initializer) is ours.GlorotUniform
    assert type(loaded.layers[2].kernel_initializer) is ours.HeNormal


def layouts():
    """With JAX each device has its own part drawn, of variables of a distribution and under a compiler."""
    import jax

    from fastinit.jax import placing

    assert len(jax.devices()) == 8
    sizes, original = [], placing.aligned
    placing.aligned = lambda shape, dtype: sizes.append(shape) or original(shape, dtype)
    mesh = keras.distribution.DeviceMesh((4, 2), ("batch", "model"))
    places = keras.distribution.LayoutMap(mesh)
    places["kernel"] = keras.distribution.TensorLayout([None, "model"])
    expected = fi.init("he_normal", (16, 8), seed=3, **TRUNCATED)
    with keras.distribution.ModelParallel(layout_map=places).scope():
        variable = keras.Variable(ours.HeNormal(seed=3), (16, 8), "float32", name="kernel")
    assert {*sizes} == {(16, 4) if PASSES_LAYOUTS else (16, 8)}
    assert tuple(variable.value.sharding.spec) == (None, "model")
    assert as_bytes(variable.value) == expected.tobytes()
    sizes.clear()
    given = keras.distribution.TensorLayout(["batch", "model"], mesh)
    assert as_bytes(ours.HeNormal(seed=3)((16, 8), layout=given)) == expected.tobytes()
    assert {*sizes} == {(4, 4)}

    generator = keras.random.SeedGenerator(3)
    compiled = jax.jit(lambda state: drawn(state, generator, given.backend_layout))
    for state in ([3, 0], [3, 1]):
        expected = fi.init("he_normal", (16, 8), seed=state[0] | state[1] << 32, **TRUNCATED)
        assert as_bytes(compiled(np.array(state, np.uint32))) == expected.tobytes()
    try:
        ours.HeNormal(seed=3)((6, 8), layout=given)
    except ValueError as error:
        assert "argument 'layout' must be a sharding whose parts divide shape (6, 8)" in str(error)  # noqa: PT017
    else:
        raise AssertionError
    placing.aligned = original


def drawn(state, generator, layout):
    """Draw as a stateless call does: the generator's state is an argument."""
    with keras.StatelessScope(state_mapping=[(generator.state, state)]):
        return ours.HeNormal(seed=generator)((16, 8), layout=layout)


def main(folder):
    same_bytes()
    no_copies()
    models(folder)
    if keras.backend.backend() == "jax":
        layouts()
    print(keras.backend.backend(), own_tests())


if __name__ == "__main__":
    main(sys.argv[1])
