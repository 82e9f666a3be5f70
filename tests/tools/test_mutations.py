"""The mutation check reports the mutations that no test notices, and no others."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutations import part_of
from tests.tools.mutants import excused, mutations
from tests.tools.mutation_table import EQUIVALENT, TARGETS, Equivalent
from tests.tools.suite import ROOT

CHANGES = {
    "a + b": ["a", "a - b", "b"],
    "c * (a - b)": ["(a - b)", "c", "c * (a + b)", "c * (a)"],
    "a / b ** 2": ["a", "a / b"],
    "-a": ["(a)"],
    "0 < a <= b": ["0 < a < b", "0 <= a <= b"],
    "a and not b": ["a and (b)", "a or not b"],
    "min(a, b)": ["max(a, b)"],
    "c[a:b]": ["c[(a) + 1:b]", "c[a:(b) - 1]"],
    "c[a, -1]": ["c[(a) + 1, -1]", "c[a, (-1) + 1]", "c[a, (1)]"],
    "c['name']": [],
    "a if b else c": ["(a)", "(c)"],
    "range(a)": ["range((a) - 1)"],
    "range(a, b)": ["range((a) + 1, b)", "range(a, (b) - 1)"],
}


@pytest.mark.parametrize("expression", CHANGES)
def test_each_expression_has_all_its_mutations(expression):
    source = f"def f(a, b, c):\n    return {expression}\n".encode()
    shown = [mutation.shown(source) for mutation in mutations("f.py", source)]
    assert {(line, before) for line, before, _ in shown} <= {(2, f"return {expression}")}
    assert sorted(after for _, _, after in shown) == [f"return {after}" for after in CHANGES[expression]]


def test_statements_are_dropped_but_errors_types_and_compiler_code_stay():
    source = b'''
def f(a: list[int]) -> "list[int]":
    g(a)
    a -= 1
    raise ValueError(a[0] + 1)

@overload(f)
def g(x):
    return x + 1
'''
    shown = [mutation.shown(source) for mutation in mutations("f.py", source)]
    assert shown == [(3, "g(a)", "pass"), (4, "a -= 1", "pass"), (4, "a -= 1", "a += 1")]


@pytest.mark.parametrize("head", ["@numba.extending.intrinsic\ndef f(context, x)", "@overload(g)\ndef f(x)",
                                  "@type_callable(g)\ndef f(x)", "@lower_builtin(g, A)\ndef f(x)",
                                  "def f(context, builder, x)"])
def test_code_that_numba_calls_to_compile_is_not_mutated(head):
    source = f"{head}:\n    def g():\n        return x + 1\n\n    return x + 1\n"
    assert mutations("f.py", source.encode()) == []
    assert mutations("f.py", b"@register_model(A)\nclass Model:\n    size = 1 + 2\n") == []
    assert mutations("f.py", b"@kernel\ndef f(build):\n    return -build\n")


def test_parts_of_an_order_are_given_as_fractions():
    assert part_of("1/1") == (1, 1) and part_of("2/3") == (2, 3)
    for text in ("0/3", "4/3", "x", "1"):
        with pytest.raises(ValueError):
            part_of(text)


def test_a_mutation_of_several_lines_changes_the_right_bytes():
    source = "def f(ä):\n    return g(ä +  # both\n             1)\n".encode()
    changed = [mutation.apply(source).decode() for mutation in mutations("f.py", source)]
    assert [text.split("return ")[1] for text in changed] == [
        "g(# both\n             1)\n", "g(ä)\n", "g(ä -  # both\n             1)\n"]


def test_every_entry_of_the_table_matches_a_mutation():
    sources = {path: (ROOT / path).read_bytes() for path in TARGETS}
    found = {path: mutations(path, source) for path, source in sources.items()}
    assert {entry.path for entry in EQUIVALENT} <= set(found)
    assert len(list(excused(sources, found, EQUIVALENT))) >= len(EQUIVALENT)


def test_an_entry_that_matches_nothing_is_an_error():
    source = b"def f(a):\n    return -a\n"
    found = {"f.py": mutations("f.py", source)}
    fits = Equivalent("f.py", "return -a", "return (a)", "even")
    assert list(excused({"f.py": source}, found, [fits])) == found["f.py"]
    with pytest.raises(ValueError, match="f.py: no mutation makes 'return a' of 'return -a'"):
        list(excused({"f.py": source}, found, [fits._replace(after="return a")]))


PLANTED = {
    "planted/__init__.py": "",
    "planted/shapes.py": "def area(width, height):\n    return width * height\n\n\n"
                         "def count(n):\n    while n > 1:\n        n //= 2\n    return n\n",
    "tests/__init__.py": "",
    "tests/test_shapes.py": "from planted.shapes import area, count\n\n\n"
                            "def test_area():\n    assert area(3, 1) == 3\n\n\n"
                            "def test_count():\n    assert count(3) == 1\n",
}


@pytest.mark.slow
def test_planted_mutations_are_killed_by_a_test_or_the_time_limit_or_survive(tmp_path):
    for name, text in PLANTED.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    command = ("from pathlib import Path; from tests.mutations import check; "
               f"print(check(Path({str(tmp_path)!r}), {{'planted/shapes.py': ['tests/test_shapes.py']}}, "
               "[], 1, 0))")
    run = subprocess.run([sys.executable, "-c", command], cwd=Path(__file__).parents[2],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert "survived: planted/shapes.py:2, return width * height -> return width" in lines, run.stdout
    assert "| planted/shapes.py | 4 | 0 | 4 | 3 | 1 | 1 |" in lines, run.stdout
    assert lines[-2:] == ["0 of 4 mutations were not reached", "1"]
    for name, text in PLANTED.items():
        assert (tmp_path / name).read_text() == text, f"{name} was touched"
