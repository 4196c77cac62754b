"""What `import fastinit` costs, and that everything public is explained."""

import inspect

import pytest

import fastinit as fi

HEAVY = {"numba", "llvmlite", "scipy", "matplotlib", "typer", "rich", "pandas", "xarray"}
HEAVY |= {"torch", "jax", "keras", "dask", "zarr"}

LOADED = """
import sys
{}
print(*sorted(name for name in sys.modules if "." not in name))
"""


def test_import_loads_nothing_heavy(python):
    assert not set(python(LOADED.format("import fastinit")).split()) & HEAVY


def test_looking_around_loads_nothing_heavy(python):
    looks = "import fastinit as fi; dir(fi); fi.schemes(); fi.get_scheme('he_normal'); fi.fans((3, 4)); fi.gain('relu')"
    assert not set(python(LOADED.format(looks)).split()) & HEAVY


def test_the_test_sees_a_heavy_module(python):
    assert "numba" in python(LOADED.format("import fastinit, numba")).split()


def test_a_fill_loads_only_numba(python):
    loaded = set(python(LOADED.format("import fastinit; fastinit.normal(3)")).split())
    assert (loaded & HEAVY) - {"scipy"} == {"numba", "llvmlite"}  # Numba takes SciPy's BLAS where there is one


PUBLIC = [name for name in dir(fi) if not name.startswith("_")]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_explained_and_every_function_by_an_example(name):
    thing = getattr(fi, name)
    assert thing.__doc__, f"{name} has no docstring"
    if inspect.isfunction(thing):
        text = inspect.getdoc(thing)
        for part in ("Returns", "Examples", ">>> ", *(["Parameters"] if inspect.signature(thing).parameters else [])):
            assert part in text, f"{name}: no {part}"


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'fastinit' has no attribute 'no_such_name'"):
        _ = fi.no_such_name
