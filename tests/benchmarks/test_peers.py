"""How answers of other libraries are judged, and that a crash is counted and does not end the run."""

import sys

import numpy as np
import pytest

from benchmarks.peers.__main__ import answers_of, in_words
from benchmarks.peers.judge import verdict
from ctc_scratch.check.cases import load_cases
from ctc_scratch.ctc import reference

CASES = {case.id: case for case in load_cases("core", "reject")}
VALID = next(case for case in CASES.values() if case.result == "valid" and case.logits.size == 9)
INFEASIBLE = next(case for case in CASES.values() if case.result == "infeasible")
BAD = next(case for case in CASES.values() if case.result == "error")

LOSS, GRAD = reference.loss_and_grad(VALID.used_logits, VALID.used_target, VALID.blank)
ZERO = np.zeros(INFEASIBLE.logits.shape)


@pytest.mark.parametrize("case, answer, expected", [
    (VALID, (LOSS, GRAD), "right"),
    (VALID, (LOSS + 1e-6, GRAD), "wrong"),
    (VALID, (LOSS, GRAD + 1e-6), "wrong"),
    (VALID, (np.inf, GRAD), "wrong"),
    (VALID, (LOSS, GRAD * np.nan), "NaN"),
    (VALID, (np.nan, GRAD), "NaN"),
    (VALID, "ValueError: no", "refused"),
    (VALID, None, "crashed"),
    (INFEASIBLE, (np.inf, ZERO), "right"),
    (INFEASIBLE, (0.0, ZERO), "right"),
    (INFEASIBLE, "ValueError: no", "right"),
    (INFEASIBLE, (1e5, ZERO), "wrong"),
    (INFEASIBLE, (np.inf, ZERO + 0.1), "wrong"),
    (INFEASIBLE, (np.inf, ZERO * np.nan), "NaN"),
    (BAD, "ValueError: no", "right"),
    (BAD, (1.5, ZERO), "accepted"),
    (BAD, (np.nan, ZERO), "accepted"),
    (BAD, None, "crashed"),
], ids=str)
def test_verdicts(case, answer, expected):
    assert verdict(case, "float64", answer) == expected


def test_float32_has_its_own_tolerance():
    assert verdict(VALID, "float32", (LOSS + 1e-6, GRAD + 1e-6)) == "right"
    assert verdict(VALID, "float32", (LOSS + 1e-3, GRAD)) == "wrong"


def test_answers_in_words():
    assert in_words((np.inf, ZERO)) == "loss inf, gradient 0"
    assert in_words((99999.5, ZERO + 0.25)) == "loss 99999.5, gradient up to 0.25"
    assert in_words((np.inf, ZERO * np.nan)) == "loss inf, gradient NaN"
    assert in_words("ValueError: no") == "raises ValueError: no" and in_words(None) == "crashes"


PYTHON = """#!{python}
import os, pickle, sys
library, cases, answers, start = sys.argv[3:]
with open(answers, "ab") as file:
    if library == "absent":
        pickle.dump(ImportError("not installed"), file)
        sys.exit()
    pickle.dump("1.0", file)
    for n, case in enumerate(pickle.load(open(cases, "rb"))[int(start):], int(start)):
        if n in (1, 4):
            file.flush()
            os._exit(11)
        pickle.dump((float(n), None), file)
"""


def test_a_crash_is_counted_and_the_next_case_is_asked(tmp_path):
    """The interpreter is a script that answers each case with its number, and ends at the cases 1 and 4."""
    script = tmp_path / "python"
    script.write_text(PYTHON.format(python=sys.executable), encoding="utf-8")
    script.chmod(0o755)
    version, answers = answers_of("a library", str(script), [VALID] * 5, "float64")
    assert version == "1.0"
    assert [answer and answer[0] for answer in answers] == [0.0, None, 2.0, 3.0, None]
    with pytest.raises(ImportError, match="not installed"):
        answers_of("absent", str(script), [VALID], "float64")


@pytest.mark.slow
def test_ours_answers_in_a_process_of_its_own():
    version, answers = answers_of("ctc_scratch", sys.executable, [VALID, INFEASIBLE, BAD], "float32")
    assert [verdict(case, "float32", answer) for case, answer in zip([VALID, INFEASIBLE, BAD], answers)] == (
        3 * ["right"])
