"""Libraries that some tests need: absent, those are skipped; in CI (FASTINIT_REQUIRE_OPTIONAL=1) they fail."""

import importlib
import os

import pytest


def library(name):
    if os.environ.get("FASTINIT_REQUIRE_OPTIONAL") == "1":
        return importlib.import_module(name)
    return pytest.importorskip(name)
