"""The README and the pages beside it: their snippets run, and what they name exists."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8")
         for name in ("README.md", "tests/README.md", "benchmarks/README.md")}
README = PAGES["README.md"]


def test_snippets_run():
    """Their number has a lower bound, because a page without snippets would pass too."""
    failed, attempted = doctest.testfile(str(ROOT / "README.md"), module_relative=False, encoding="utf-8")
    assert failed == 0 and attempted >= 30


@pytest.mark.parametrize("command", [
    'python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/ctc-scratch train',
    'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest',
], ids=["main job", "tests"])
def test_the_two_commands_stand_on_lines_of_their_own(command):
    assert command in README.splitlines()


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    """Paths in backticks count from the top of the project, links from the page."""
    text, folder = PAGES[page], (ROOT / page).parent
    named = {ROOT / path for path in re.findall(r"`((?:ctc_scratch|tests|benchmarks)/[\w/.]+)`", text)}
    linked = {folder / path for path in re.findall(r"\]\((?!http)([^)#]+)\)", text)}
    assert named | linked
    missing = [str(path) for path in sorted(named | linked) if not path.exists()]
    assert not missing, f"{page} names {missing}"


def test_functions_that_are_named_exist():
    named = sorted(set(re.findall(r"\b(labels|enumeration|reference|kernels)\.([a-z_]+)\b", README)))
    named = [(module, name) for module, name in named if name != "py"]
    assert len(named) >= 10
    missing = [f"{module}.{name}" for module, name in named
               if not hasattr(importlib.import_module(f"ctc_scratch.ctc.{module}"), name)]
    assert not missing, f"README.md names {missing}"
