"""Programs in other languages against the test vectors: `ctc.js` in Node, and `ctc.c`, compiled by gcc."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import ctc_scratch
from ctc_scratch.check.cases import load_cases
from ctc_scratch.ctc import reference
from tests.conftest import assert_close
from tests.tools.programs import find_program

HERE = Path(__file__).parent
PACKAGE = Path(ctc_scratch.__file__).parent
SCRIPT = PACKAGE / "page" / "ctc.js"

in_two_sizes = pytest.mark.parametrize("groups", [
    ("toy",), pytest.param(("core", "hard", "long", "reject"), marks=pytest.mark.slow)], ids=["toy", "all"])


def run(command, text=""):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def test_a_missing_program_skips_a_test_but_not_in_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        find_program("no-such-program")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI=true, but no-such-program is missing"):
        find_program("no-such-program")


# ---- JavaScript


def in_node(script, *groups):
    """Run `runner.mjs`: how many numbers it compared, and a list of the faults."""
    answer = json.loads(run([find_program("node"), str(HERE / "runner.mjs"), str(script),
                             str(PACKAGE / "check" / "vectors" / "v1"), *groups]))
    return answer["compared"], answer["faults"]


@in_two_sizes
def test_javascript_gives_the_published_answers(groups):
    compared, faults = in_node(SCRIPT, *groups)
    solved = [case for case in load_cases(*groups) if case.result != "error"]
    assert faults == [] and compared > 20 * len(solved)


@pytest.mark.parametrize("right, wrong, flag", [
    ("s >= 2 && c !== ext[s - 2]", "s >= 2 && s % 2 === 1", "Repeat"),
    ("posterior[ext[s]] += x", "posterior[ext[s]] = x", "Repeat"),
    ("if (top === -Infinity) return top;", "", "Tight"),
    ("[blank, ...labels", "[0, ...labels", "Blank"),
], ids=["skips equal labels", "overwrites occupancy", "-inf minus -inf", "blank assumed 0"])
def test_the_runner_notices_a_wrong_program(tmp_path, right, wrong, flag):
    text = SCRIPT.read_text(encoding="utf-8")
    assert text.count(right) == 1
    (tmp_path / "ctc.js").write_text(text.replace(right, wrong), encoding="utf-8")
    _, faults = in_node(tmp_path / "ctc.js", "toy")
    flagged = {case.id for case in load_cases("toy") if flag in case.flags}
    assert any(fault.split()[0] in flagged for fault in faults)


def test_javascript_has_the_functions_of_the_reference():
    listed = SCRIPT.read_text(encoding="utf-8").rpartition("return {")[2].partition("}")[0]
    public = {name for name, value in vars(reference).items()
              if getattr(value, "__module__", "") == reference.__name__ and not name.startswith("_")}
    others = ("collapse", "extend", "can_skip", "count_repeats", "min_frames", "count_alignments")
    assert {name.strip() for name in listed.split(",")} - {""} == public | {*others} and len(public) == 8


def test_a_page_can_hold_the_javascript():
    assert "</" not in SCRIPT.read_text(encoding="utf-8"), "it would end the script element"


# ---- C


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The path of the program that gcc makes of `ctc.c`."""
    path = tmp_path_factory.mktemp("c") / "ctc"
    run([find_program("gcc"), "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(path),
         str(HERE / "ctc.c"), "-lm"])
    return path


@in_two_sizes
def test_c_gives_the_published_answers(program, groups):
    solved = [case for case in load_cases(*groups) if case.result != "error"]
    lines = []
    for case in solved:
        T, C = case.used_logits.shape
        numbers = [T, C, len(case.used_target), case.blank, *case.used_target]
        lines.append(" ".join(map(repr, numbers + case.used_logits.ravel().tolist())))
    answers = run([str(program)], "\n".join(lines)).splitlines()
    for case, answer in zip(solved, answers, strict=True):
        loss, log_z, *numbers = map(float, answer.split())
        for name, value in (("loss", loss), ("log_partition", log_z)):
            expected = case.answers[name]
            assert_close(value, expected, 1e-11 * np.clip(abs(expected), 1, 1e9), f"{name} of {case.id}")
        if case.result == "valid":
            gradient, gamma = np.split(np.array(numbers), [case.used_logits.size])
            for name, array in (("gradient", gradient), ("gamma", gamma)):
                expected = case.expected(name)
                assert_close(case.observed(name, array), expected,
                             1e-9 * max(1, np.abs(expected).max(initial=0)), f"{name} of {case.id}")
        else:
            assert not any(numbers), case
