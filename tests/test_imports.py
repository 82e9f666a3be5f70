"""The rules of the house: who imports whom, and what a bare import loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ctc_scratch

ROOT = Path(ctc_scratch.__file__).parent
MAY_IMPORT = {"ctc": {"ctc"}, "nn": {"nn"}, "plots": {"plots"}, "digits": {"digits", "ctc", "nn", "plots"},
              "study": {"ctc", "plots"},
              "cli": {"digits", "ctc", "nn", "plots", "study", ""}, "__main__": {"cli"},
              "": {"ctc", "nn", ""}, "kernel_cache": set()}


def imported_rooms(path):
    """The rooms of the package that a file imports; "" is the package itself."""
    package = ["ctc_scratch", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module or "").split(".")] if node.module else base
            names = [".".join([*module, alias.name]) for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "ctc_scratch":
                rooms = {"ctc", "nn", "digits", "plots", "study", "cli"}
                yield parts[1] if len(parts) > 1 and parts[1] in rooms else ""


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    room = "" if parts == ("__init__",) else parts[0]
    extra = set(imported_rooms(path)) - MAY_IMPORT[room]
    assert not extra, f"{path.name} in room {room!r} imports {extra}"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_plots_imports_matplotlib(path):
    if path.parent != ROOT / "plots":
        assert "matplotlib" not in {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                         else [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        }


def test_a_bare_import_loads_nothing_beyond_numpy_and_numba():
    """Judged in a new process, against what numba itself pulls in."""
    loaded = "import sys, {0}; print(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    ours, numbas = (
        set(subprocess.run([sys.executable, "-c", loaded.format(module)], capture_output=True, text=True,
                           check=True).stdout.split())
        for module in ("ctc_scratch", "numba")
    )
    extra = {name for name in ours - numbas - {"ctc_scratch"} if name not in sys.stdlib_module_names}
    assert not extra, f"import ctc_scratch loads {extra}"
