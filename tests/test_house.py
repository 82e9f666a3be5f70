"""The rules of the house: which file may import which, and what a bare import loads."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ctc_scratch

ROOT = Path(ctc_scratch.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# What each place may import besides itself. A place is a file, or a room with all files in it; a file belongs
# to the longest name that fits. From top to bottom, a place imports only what stands above it.
MAY_IMPORT = {
    "compiled": [],
    "arrays": [],
    "ctc.labels": ["arrays"],
    "ctc.enumeration": ["arrays", "ctc.labels"],
    "ctc.reference": ["arrays", "ctc.labels"],
    "ctc.kernels": ["compiled"],
    "ctc.exact": ["compiled"],
    "ctc.certified": ["compiled"],
    "ctc.running.threads": [],
    "ctc.inputs": ["compiled", "arrays", "ctc.labels", "ctc.running.threads"],
    "ctc.running": ["compiled", "ctc.kernels", "ctc.exact", "ctc.certified", "ctc.inputs"],
    "ctc.loss": ["ctc.inputs", "ctc.running"],
    "ctc.partition": ["ctc.inputs", "ctc.running"],
    "ctc.paths": ["compiled", "arrays", "ctc.labels", "ctc.enumeration", "ctc.reference",
                  "ctc.exact.emissions", "ctc.inputs", "ctc.running.threads", "ctc.loss", "ctc.partition"],
    "ctc.chain": ["compiled", "arrays", "ctc.exact", "ctc.running.workspace"],
    "ctc.hessian": ["arrays", "ctc.labels", "ctc.enumeration", "ctc.reference", "ctc.inputs",
                    "ctc.running", "ctc.loss", "ctc.chain"],
    "ctc.decoding": ["compiled", "arrays", "ctc.labels", "ctc.inputs", "ctc.running.threads", "ctc.loss",
                     "ctc.paths"],
    "ctc.objectives": ["arrays", "ctc.labels", "ctc.reference", "ctc.inputs", "ctc.running",
                       "ctc.loss", "ctc.chain", "ctc.hessian", "ctc.decoding.metrics"],
    "ctc.diagnosis": ["arrays", "ctc.labels", "ctc.enumeration", "ctc.inputs", "ctc.paths"],
    "ctc": ["ctc"],
    "bridges.torch": ["arrays", "ctc"],
    "bridges": [],
    "torch": ["bridges.torch"],
    "bridges.jax": ["arrays", "ctc"],
    "jax": ["bridges.jax"],
    "nn": ["compiled", "arrays"],
    "check.layers": ["arrays", "nn", "check.adapter", "check.answers", "check.report", "check.shrink",
                     "check.twins"],
    "check": ["arrays", "ctc.labels", "ctc.enumeration", "ctc.reference"],
    "plots": [],
    "digits.errors": [],
    "digits.data": ["compiled", "digits.errors"],
    "digits.model": ["ctc", "nn", "digits.errors", "digits.data"],
    "digits.training.schedule": [],
    "digits.training.objective": ["ctc", "digits.model"],
    "digits.training.gradients": ["ctc", "digits.training.objective", "digits.data", "digits.model"],
    "digits.training": ["ctc", "nn", "plots", "digits.errors", "digits.data", "digits.model"],
    "digits.reading": ["arrays", "ctc", "plots", "digits.errors", "digits.data", "digits.model"],
    "digits.lessons": ["ctc", "nn", "plots", "digits.errors", "digits.data", "digits.model",
                       "digits.training.objective", "digits.training.gradients", "digits.reading"],
    "digits": [],
    "page": ["ctc", "nn", "digits"],
    "__init__": ["compiled", "ctc"],
    "digits.training.ranks": ["__init__", "ctc", "digits.errors", "digits.data", "digits.model",
                              "digits.training"],
    "commands": ["__init__", "ctc", "check", "nn", "plots", "digits", "page"],
    "__main__": ["commands"],
}


def module_of(path):
    """ctc.labels for ctc_scratch/ctc/labels.py; the `__init__.py` of a room has the name of the room."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_of(path): path for path in FILES}


def imported_modules(path):
    """The modules of this package that a file imports, wherever in it that happens."""
    package = ["ctc_scratch", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "ctc_scratch":
                inner = name.partition(".")[2]
                while inner and inner not in MODULES:  # a name defined in a module
                    inner = inner.rpartition(".")[0]
                yield inner or "__init__"


def fits(module, place):
    return module == place or module.startswith(place + ".")


def place_of(module):
    """The longest entry of MAY_IMPORT that holds a module."""
    return max((place for place in MAY_IMPORT if fits(module, place)), key=len)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    place = place_of(module_of(path))
    allowed = [place, *MAY_IMPORT[place]]
    extra = [module for module in imported_modules(path) if not any(fits(module, name) for name in allowed)]
    assert not extra, f"{module_of(path)} may import {allowed}, but imports {extra}"


def test_imports_form_no_cycle():
    """Each `__init__.py` is left out: it gathers names, and importing any file of its room runs it."""
    TopologicalSorter({
        module: {other for other in imported_modules(path) if MODULES[other].name != "__init__.py"}
        for module, path in MODULES.items() if path.name != "__init__.py"
    }).prepare()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_plots_imports_matplotlib(path):
    if path.parent != ROOT / "plots":
        assert "matplotlib" not in {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                         else [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        }


def test_a_bare_import_loads_nothing_beyond_numpy_and_numba():
    """In a new process, compared with what `import numba` alone loads."""
    loaded = "import sys, {0}; print(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    ours, numbas = (
        set(subprocess.run([sys.executable, "-c", loaded.format(module)], capture_output=True, text=True,
                           check=True).stdout.split())
        for module in ("ctc_scratch", "numba")
    )
    extra = {name for name in ours - numbas - {"ctc_scratch"} if name not in sys.stdlib_module_names}
    assert not extra, f"import ctc_scratch loads {extra}"
