"""The README: its snippets run, and what it names exists."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_snippets_run():
    """A lower bound on their number, for a page without snippets would pass too."""
    failed, attempted = doctest.testfile(str(ROOT / "README.md"), module_relative=False, encoding="utf-8")
    assert failed == 0 and attempted >= 30


@pytest.mark.parametrize("command", [
    'python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/ctc-scratch train',
    'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest',
], ids=["main job", "tests"])
def test_the_two_commands_stand_on_lines_of_their_own(command):
    assert command in README.splitlines()


def test_files_that_are_named_exist():
    named = set(re.findall(r"`((?:ctc_scratch|tests|benchmarks)/[\w/.]+)`|\]\((?!http)([^)#]+)\)", README))
    paths = sorted(first or second for first, second in named)
    assert len(paths) >= 15
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing, f"README.md names {missing}"


def test_functions_that_are_named_exist():
    named = sorted(set(re.findall(r"\b(labels|enumeration|reference|kernels)\.([a-z_]+)\b", README)))
    named = [(module, name) for module, name in named if name != "py"]
    assert len(named) >= 10
    missing = [f"{module}.{name}" for module, name in named
               if not hasattr(importlib.import_module(f"ctc_scratch.ctc.{module}"), name)]
    assert not missing, f"README.md names {missing}"
