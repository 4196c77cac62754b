"""Keras's initializers by its own tests on each backend that installs, and byte for byte by `fastinit.init`."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from optional import library

import fastinit as fi

keras = library("keras")

import keras_cases  # noqa: E402 - what it needs is looked for first

import fastinit.keras as ours  # noqa: E402


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras's own, when it saves
@pytest.mark.parametrize("case", [keras_cases.same_bytes, keras_cases.no_copies, keras_cases.models])
def test_on_this_backend(case, tmp_path):
    case(*[tmp_path] if inspect.signature(case).parameters else [])


def test_keras_own_tests_pass_on_this_backend():
    library("scipy")
    count = keras_cases.own_tests()
    if not count:
        pytest.skip("this Keras's wheel has no tests")
    assert count >= 18


@pytest.mark.ci
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_on_other_backends(tmp_path, backend):
    library(backend)
    done = subprocess.run(
        [sys.executable, Path(keras_cases.__file__), tmp_path], capture_output=True, text=True, timeout=300,
        env={**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == backend
    assert int(done.stdout.split()[1]) >= 18 or not keras_cases.has_own_tests()


def test_the_names_are_those_of_keras():
    public = {name for name in dir(keras.initializers) if name[0] != "_"}
    assert {name for name in public if not hasattr(ours, name)} == set()
    for name in public - {"get"}:
        mine, theirs = getattr(ours, name), getattr(keras.initializers, name)
        if isinstance(theirs, type) and "seed" in inspect.signature(theirs).parameters:
            assert issubclass(mine, theirs)
            assert mine is not theirs
            assert type(ours.get(name)) is mine
        else:
            assert mine is theirs


def test_the_tests_see_kerass_own_draws():
    """What the other tests assert of ours is false of Keras's."""
    theirs = keras.initializers.HeNormal(seed=3)((6, 7))
    assert not (theirs == fi.init("he_normal", (6, 7), truncated=True, seed=3)).any()


def drawn(maker, shape, **arguments):
    return np.asarray(maker(seed=7, **arguments)(shape))


def test_axes_that_are_named_and_those_that_are_not():
    if "input_axes" not in inspect.signature(keras.initializers.HeNormal).parameters:
        pytest.skip("this Keras has no input_axes")
    for inputs, outputs, fan in [([0], [1, 2], 512), ([0, 1], [2], 4096), ([0], [2], 512), ([-3], [-1], 512)]:
        got = drawn(ours.HeNormal, (512, 8, 64), input_axes=inputs, output_axes=outputs)
        expected = fi.init("he_normal", (512, 8, 64), fan_in=fan, truncated=True, seed=7)
        np.testing.assert_array_equal(got, expected)
    got = drawn(
        ours.GlorotUniform, (512, 8, 64), input_axes=[0], output_axes=[2]
    )  # the axis between counts for nothing
    np.testing.assert_array_equal(got, fi.init("xavier_uniform", (512, 8, 64), layout="ibo", seed=7))


@pytest.mark.parametrize(("shape", "fan"), [((), 1), ((9,), 9), ((0,), 1)])
def test_vectors_and_scalars_have_kerass_fans(shape, fan):
    np.testing.assert_array_equal(
        drawn(ours.LecunNormal, shape), fi.init("lecun_normal", shape, fan_in=fan, truncated=True, seed=7)
    )
    limit = np.sqrt(3 / fan)
    assert (abs(drawn(ours.GlorotUniform, shape)) <= limit).all()


def test_orthogonal():
    for shape in [(5, 5), (3, 4, 5), (2, 20)]:
        flat = drawn(ours.Orthogonal, shape, gain=2.0).reshape(-1, shape[-1]).astype(float)
        small = flat if flat.shape[0] < flat.shape[1] else flat.T
        np.testing.assert_allclose(small @ small.T, 4.0 * np.eye(len(small)), atol=1e-5)


def test_what_a_seed_means():
    first, second = ours.HeNormal(), ours.HeNormal()
    assert (first((3, 4)) == first((3, 4))).all()
    assert not (first((3, 4)) == second((3, 4))).any()
    assert not (first.clone()((3, 4)) == first((3, 4))).any()  # as in Keras: the configuration has no seed
    for seed in (0, 3, 2**64 - 1):
        again = ours.HeNormal.from_config(ours.HeNormal(seed=seed).get_config())
        np.testing.assert_array_equal(again((3, 4)), fi.init("he_normal", (3, 4), truncated=True, seed=seed))
    generator = keras.random.SeedGenerator(2)
    with pytest.raises(ValueError, match="argument 'std'"):
        ours.RandomNormal(stddev=1e38, seed=generator)((3,), "float16")
    np.testing.assert_array_equal(
        ours.RandomNormal(seed=generator)((3,)), fi.normal(3, std=0.05, seed=2)
    )  # not used up
    assert not (ours.RandomNormal(seed=-1)((3,)) == ours.RandomNormal(seed=1)((3,))).any()


def test_configurations_and_names_come_back():
    initializer = ours.VarianceScaling(2.0, "fan_avg", "uniform", seed=5)
    record = ours.serialize(initializer)
    assert record["registered_name"] == "fastinit>VarianceScaling"
    again = ours.deserialize(record)
    assert type(again) is ours.VarianceScaling
    assert again.get_config() == initializer.get_config()
    assert isinstance(initializer, keras.initializers.VarianceScaling)
    assert ours.get(None) is None
    assert ours.get(initializer) is initializer
    with ours.scope():
        for name in ("uniform", "normal", "he_normal", "HeNormal", "OrthogonalInitializer"):
            assert type(keras.initializers.get(name)).__module__ == "fastinit.keras"
    assert type(keras.initializers.get("he_normal")).__module__ != "fastinit.keras"


REFUSED = {
    "shape": (lambda: ours.HeNormal()((2, -1)), "argument 'shape' must hold integers >= 0"),
    "dtype": (lambda: ours.HeNormal()((2, 3), "int32"), "argument 'dtype' must be one of"),
    "stddev": (
        lambda: ours.RandomNormal(stddev=-1.0)((3,)),
        "argument 'stddev' must be a finite number >= 0, got -1.0",
    ),
    "mean": (lambda: ours.TruncatedNormal(mean="a")((3,)), "argument 'mean' must be a finite number, got 'a'"),
    "minval": (lambda: ours.RandomUniform(minval=2.0, maxval=1.0)((3,)), "argument 'low' must be <= high"),
    "maxval": (lambda: ours.RandomUniform(maxval=np.inf)((3,)), "argument 'maxval' must be a finite number"),
    "scale": (lambda: ours.VarianceScaling(scale=0.0), "Argument `scale` must be positive"),
    "one axis": (lambda: ours.Orthogonal()((3,)), "argument 'shape' must have at least two axes"),
    "axes": (lambda: ours.HeNormal(input_axes=[5], output_axes=[0])((2, 3)), "argument 'layout' must be|'input_axes'"),
    "seed": (lambda: ours.HeNormal(seed="a"), "`seed` argument should be an instance of"),
    "name": (lambda: ours.get("he_norml"), "he_norml"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    call, text = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=text):
        call()
