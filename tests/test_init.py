"""The package as `import ctc_scratch` shows it."""

import functools
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ctc_scratch


def test_dir_lists_the_public_names_alone():
    assert dir(ctc_scratch) == sorted([*ctc_scratch.__all__, *ctc_scratch.LATER, "__version__"])
    assert all(hasattr(ctc_scratch, name) for name in dir(ctc_scratch))


def public_functions(thing):
    """Yield (name, function, whether it is a property) of a function, or of each public member of a class."""
    if not inspect.isclass(thing):
        yield thing.__name__, thing, False
        return
    for name, member in vars(thing).items():
        if not name.startswith("_"):
            where = f"{thing.__name__}.{name}"
            if isinstance(member, (property, functools.cached_property)):
                yield where, member.fget if isinstance(member, property) else member.func, True
            elif inspect.isfunction(function := getattr(member, "__func__", member)):
                yield where, function, False


@pytest.mark.parametrize("name", [*ctc_scratch.__all__, *ctc_scratch.LATER])
def test_public_names_are_explained_and_typed(name):
    """A property may be explained among the attributes of its class."""
    thing = getattr(ctc_scratch, name)
    assert thing.__doc__, f"{name} has no docstring"
    for where, function, is_property in public_functions(thing) if callable(thing) else ():
        assert function.__doc__ or is_property, f"{where} has no docstring"
        signature = inspect.signature(function)
        untyped = [parameter.name for parameter in signature.parameters.values()
                   if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls")]
        assert not untyped, f"{where} has no types of {untyped}"
        assert signature.return_annotation is not signature.empty, f"{where} has no type of its result"


@pytest.mark.parametrize("name", ["ctc", "check", "nn", "digits", "plots", "commands", "compiled"])
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
