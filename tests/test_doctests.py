"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import fastinit_kernels
import optional
import pytest

import fastinit

# Modules that load a library of an extra -> the library.
LIBRARY = {"torch": "torch", "jax": "jax", "keras": "keras", "dask": "dask.array", "zarr": "zarr"}
MODULES = [
    module.name
    for package in (fastinit, fastinit_kernels)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", [*MODULES, "fastinit"])
def test_examples(name):
    library = LIBRARY.get(name.split(".")[1]) if "." in name else None
    if library is not None:
        optional.library(library)
    failed, _ = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    assert failed == 0


def test_the_main_modules_have_examples():
    for name in (
        "fastinit.weights.initialize",
        "fastinit.weights.registry",
        "fastinit.weights.fans",
        "fastinit.theory.maps",
    ):
        assert any(t.examples for t in doctest.DocTestFinder().find(importlib.import_module(name)))
