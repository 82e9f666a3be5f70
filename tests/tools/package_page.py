"""The page `ctc_scratch/README.md`: every file with its subject and reading time, and every public name.

    python -m tests.tools.package_page          # rewrites the page

Subjects are the first lines of docstrings. Reading times are estimates: LINES_PER_MINUTE lines per minute.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import ctc_scratch

ROOT = Path(ctc_scratch.__file__).parent
PAGE = ROOT / "README.md"
LINES_PER_MINUTE = 20

# The rooms from the bottom of the house to its top.
ROOMS = ["compiled", "ctc", "ctc/exact", "ctc/certified", "ctc/certified/lanes", "ctc/certified/banded",
         "ctc/inputs", "ctc/running", "ctc/chain", "ctc/paths", "ctc/decoding", "ctc/objectives",
         "ctc/diagnosis", "bridges", "bridges/torch", "bridges/jax", "nn", "check", "check/peers",
         "check/layers", "check/layers/lstm", "plots", "digits", "digits/data", "digits/model",
         "digits/training", "digits/training/ranks", "digits/reading", "digits/lessons", "page", "commands"]

# In these rooms the order of reading is not that of the alphabet.
FIRST = {
    "ctc": ["labels", "enumeration", "reference", "kernels", "loss", "partition", "hessian"],
    "ctc/chain": ["states", "shares", "forward", "memory", "sweep", "solve", "tilt", "derivatives"],
    "ctc/objectives": ["common"],
    "bridges/torch": ["loss", "eager", "operators", "solve", "tensors"],
    "bridges/jax": ["loss", "objectives", "arguments", "derivatives", "solvers"],
    "digits/training/ranks": ["launched", "mpi", "packing", "same_bits", "ranks"],
    "nn": ["gradcheck", "layers", "lstm"],
    "check": ["check", "adapter", "answers", "problems", "laws", "batch", "twins", "shrink"],
    "check/layers": ["layer", "layer_laws", "layer_problems", "plain_layers", "layer_twins", "twin",
                     "answers"],
    "check/layers/lstm": ["check", "adapter", "plain", "problems", "twins"],
}

HEAD = """# The package, file by file

Rooms stand in the order of their imports: a room imports only what stands above it, and
`tests/test_house.py` checks that. The [reading order for a newcomer](../README.md#reading-order) is on the
page of the project. Minutes are estimates for a first reading."""


def summary(docstring: str | None) -> str:
    """The first line of a docstring without its full stop."""
    line = inspect.cleandoc(docstring or "").split("\n")[0]
    return line.rstrip(".").replace("|", "\\|")


def files_of(room: str) -> list[Path]:
    """The files of a room in the order of reading, its __init__ first."""
    first = ["__init__", *FIRST.get(room, [])]
    paths = {path.stem: path for path in sorted((ROOT / room).glob("*.py"))}
    return [paths[name] for name in first if name in paths] + [
        path for name, path in paths.items() if name not in first]


def minutes(path: Path) -> int:
    return max(1, round(len(path.read_text(encoding="utf-8").splitlines()) / LINES_PER_MINUTE))


def room_table(room: str) -> list[str]:
    head, *files = files_of(room)
    text = head.read_text(encoding="utf-8")
    lines = [f"### `{room}/`", "", f"{summary(ast.get_docstring(ast.parse(text)))}.", ""]
    if len(text.splitlines()) > LINES_PER_MINUTE:  # more than a list of names
        files = [head, *files]
    if files:
        lines += ["| file | subject | minutes |", "|---|---|---|"]
        for path in files:
            subject = summary(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))
            lines.append(f"| [{path.name}]({path.relative_to(ROOT)}) | {subject} | {minutes(path)} |")
    return [*lines, ""]


def name_table(module_name: str) -> list[str]:
    """A line for each public name of a module, in the order of the alphabet."""
    module = importlib.import_module(module_name)
    lines = [f"### `{module_name}`", "", "| name | what it is | file |", "|---|---|---|"]
    for name in sorted(module.__all__, key=str.lower):
        value = getattr(module, name)
        path = Path(inspect.getsourcefile(inspect.unwrap(value)) or "").relative_to(ROOT)
        lines.append(f"| `{name}` | {summary(value.__doc__)} | [{path}]({path}) |")
    return [*lines, ""]


def page() -> str:
    lines = [HEAD, "", "## Files", ""]
    for room in ROOMS:
        lines += room_table(room)
    lines += ["## All public names", ""]
    for name in ("ctc_scratch", "ctc_scratch.check", "ctc_scratch.nn"):
        lines += name_table(name)
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
