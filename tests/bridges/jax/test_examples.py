"""The examples in the docstrings of the bridge. JAX compiles each of them, so they are slow."""

import doctest
import importlib
import pkgutil

import pytest

from ctc_scratch.bridges import jax as room

MODULES = [module.name for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")]


@pytest.mark.slow
def test_examples():
    attempted = 0
    for name in MODULES:
        found = doctest.testmod(importlib.import_module(name))
        assert found.failed == 0, name
        attempted += found.attempted
    assert attempted
