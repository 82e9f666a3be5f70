"""Files, rooms, function bodies and argument lists stay within limits; no kernel is defined twice."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

import ctc_scratch

PACKAGE = Path(ctc_scratch.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(path for folder in (PACKAGE, ROOT / "benchmarks") for path in folder.rglob("*.py"))
ROOMS = sorted({path.parent for path in FILES})

MOST_LINES = 350
MOST_FILES = 11
MOST_BODY_LINES = 60
MOST_ARGUMENTS = 8

ONE_FILE_PER_VERB = PACKAGE / "commands"
"""The room that may hold more files: each new verb brings one."""

LONG_BODIES: set[str] = set()
"""Function bodies that may be longer."""

INNERMOST = [
    "ctc_scratch/compiled/vector.py",
    "ctc_scratch/ctc/certified/banded/batch.py",
    "ctc_scratch/ctc/certified/banded/frame.py",
    "ctc_scratch/ctc/certified/lanes/batch.py",
    "ctc_scratch/ctc/certified/lanes/frame.py",
    "ctc_scratch/ctc/certified/lanes/passes.py",
    "ctc_scratch/ctc/decoding/beam_kernels.py",
    "ctc_scratch/ctc/exact/batch.py",
    "ctc_scratch/ctc/inputs/values.py",
    "ctc_scratch/ctc/kernels.py",
    "ctc_scratch/ctc/paths/band_kernels.py",
    "ctc_scratch/nn/optimiser_kernels.py",
    "ctc_scratch/nn/steps.py",
]
"""Compiled files whose functions may take more arguments: arrays and sizes are passed one by one there."""


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def functions(path):
    """(name, node) of each function in a file, methods and nested functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{name_of(path)}::{node.name}", node


def body(function):
    """The statements of a function, its docstring left out."""
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def body_lines(function):
    statements = body(function)
    return statements[-1].end_lineno - statements[0].lineno + 1 if statements else 0


def positional(function):
    """How many arguments may be passed by position, `self` left out."""
    return len([argument for argument in function.args.posonlyargs + function.args.args
                if argument.arg not in ("self", "cls")])


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_can_be_read_in_one_sitting(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines, at most {MOST_LINES}"
    long = {name: body_lines(function) for name, function in functions(path)
            if body_lines(function) > MOST_BODY_LINES and name not in LONG_BODIES}
    assert not long, f"bodies of more than {MOST_BODY_LINES} lines: {long}"


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_a_room_can_be_surveyed(room):
    files = sorted(path.name for path in room.glob("*.py"))
    assert len(files) <= MOST_FILES or room == ONE_FILE_PER_VERB, f"more than {MOST_FILES} files: {files}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_functions_take_few_positional_arguments(path):
    many = {name: positional(function) for name, function in functions(path)
            if positional(function) > MOST_ARGUMENTS}
    assert not many or name_of(path) in INNERMOST, f"at most {MOST_ARGUMENTS} positional arguments: {many}"


def test_the_exceptions_are_needed():
    """An exception must go when the function that needed it has gone."""
    bodies = {name: body_lines(function) for path in FILES for name, function in functions(path)}
    assert all(bodies.get(name, 0) > MOST_BODY_LINES for name in LONG_BODIES)
    for name in INNERMOST:
        assert any(positional(function) > MOST_ARGUMENTS for _, function in functions(ROOT / name)), (
            f"{name} needs no exception")


def test_no_compiled_function_is_defined_twice():
    """Functions are the same if their arguments and statements are, whatever their names and docstrings."""
    places = defaultdict(list)
    for path in FILES:
        if re.search("njit|fused import", path.read_text(encoding="utf-8")):
            for name, function in functions(path):
                places[ast.dump(function.args) + "".join(map(ast.dump, body(function)))].append(name)
    twice = [names for names in places.values() if len(names) > 1]
    assert not twice, f"the same code: {twice}"
