"""Libraries that some tests need: absent, those are skipped; in CI (FASTINIT_REQUIRE_OPTIONAL=1) they fail."""

import importlib
import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "numpy")  # which needs nothing; Keras's own default is TensorFlow


def library(name):
    if os.environ.get("FASTINIT_REQUIRE_OPTIONAL") == "1":
        return importlib.import_module(name)
    return pytest.importorskip(name)
