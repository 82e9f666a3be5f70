"""The package as `import ctc_scratch` shows it."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import ctc_scratch


def test_dir_lists_the_public_names_alone():
    assert dir(ctc_scratch) == sorted([*ctc_scratch.__all__, "__version__"])
    assert all(hasattr(ctc_scratch, name) for name in dir(ctc_scratch))


@pytest.mark.parametrize("name", ["ctc", "nn", "digits", "plots", "commands", "compiled"])
def test_submodules_can_be_imported(name):
    module = importlib.import_module(f"ctc_scratch.{name}")
    assert getattr(ctc_scratch, name) is module


def test_a_source_tree_that_is_not_installed_has_a_version():
    """`-S` leaves out all that pip has installed: our metadata, and Numba, so that `ctc` needs a stand-in."""
    root = Path(ctc_scratch.__file__).parents[1]
    code = """
import sys, types
sys.modules["ctc_scratch.ctc"] = types.ModuleType("ctc")
sys.modules["ctc_scratch.ctc"].__all__ = []
import ctc_scratch
print(ctc_scratch.__version__)"""
    ended = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=root,
                           check=True)
    assert ended.stdout.strip() == ctc_scratch.__version__
