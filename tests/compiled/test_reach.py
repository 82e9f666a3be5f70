"""Compiled code uses only files of its own folder and of `compiled/`: the cache watches no others."""

import ast
import importlib
from pathlib import Path

import numba
import pytest

import ctc_scratch

ROOT = Path(ctc_scratch.__file__).parent
DECORATORS = "cached_njit", "from .flags import", "fused import"
FILES = [path for path in sorted(ROOT.rglob("*.py")) if any(name in path.read_text() for name in DECORATORS)]


def imported_names(path):
    """For each name that a file imports from this package, the folder that it comes from."""
    package = path.relative_to(ROOT.parent).parts[:-1]
    names = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = [*package[:len(package) - node.level + 1], *(node.module or "").split(".")]
            for alias in node.names:
                whole = Path(*ROOT.parent.parts, *filter(None, module), alias.name)
                file = whole if whole.with_suffix(".py").exists() or whole.is_dir() else whole.parent
                names[alias.asname or alias.name] = file if file.is_dir() else file.parent
    return names


def names_in(function):
    """All global names in a function and in the functions inside it."""
    codes, names = [function.__code__], set()
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes.extend(constant for constant in code.co_consts if hasattr(constant, "co_names"))
    return names


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="asks which functions are compiled")
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_kernels_use_nothing_of_other_folders(path):
    module = importlib.import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
    origins = imported_names(path)
    for name, value in vars(module).items():
        if hasattr(value, "py_func") and value.py_func.__module__ == module.__name__:
            foreign = {used: origins[used] for used in names_in(value.py_func) & origins.keys()
                       if origins[used] not in (path.parent, ROOT / "compiled")}
            assert not foreign, f"{name} uses {foreign}"


def test_the_files_with_compiled_code_are_looked_at():
    """If the decorator were renamed, there would be no such files, and the test above would check nothing."""
    names = {str(path.relative_to(ROOT)) for path in FILES}
    assert {"ctc/kernels.py", "ctc/exact/recursion.py", "ctc/certified/lanes/passes.py",
            "ctc/certified/banded/frame.py", "compiled/exp.py", "nn/product.py"} <= names
    origins = imported_names(ROOT / "ctc" / "running" / "solver.py")
    assert origins["spin_until_done"] == ROOT / "compiled"
    assert origins["banded"] == ROOT / "ctc" / "certified" / "banded"
    assert origins["check_values"] == ROOT / "ctc" / "inputs"
