"""The test vectors find mistakes: every wrong twin of the reference but two gets a small case wrong.

A twin is a copy of the reference with one mistake (see `ctc_scratch/check/twins.py`).
"""

import numpy as np
import pytest

from benchmarks.peers.judge import verdict
from ctc_scratch.check import batch
from ctc_scratch.check.cases import load_cases
from ctc_scratch.check.twins import TWINS, twin_named

from .twins import single

CASES = [case for case in load_cases("toy", "core") if case.result != "error" and case.logits.size <= 16]
LARGE = {"softmax overflows", "probabilities underflow"}
"""Twins that are wrong only for logits of several hundred; the finite logits of the vectors are below 32."""


def first_fault(solve):
    """The id of the first case with a wrong loss or gradient, or an exception; None if there is none."""
    fn = single(solve)
    for case in CASES:
        try:
            loss, grad = fn(case.used_logits, np.array(case.used_target, int), case.blank)
        except Exception:
            return case.id
        whole = np.zeros_like(case.logits)
        whole[:case.logit_length] = grad
        if verdict(case, "float64", (loss, whole)) != "right":
            return case.id


def test_the_reference_itself_has_no_fault():
    assert first_fault(batch.solve) is None


@pytest.mark.parametrize("name", [
    twin.name for twin in TWINS if twin.source == "reference" and twin.name not in LARGE])
def test_a_wrong_twin_gets_a_small_case_wrong(name):
    for solve in twin_named(name).solvers():
        assert first_fault(solve) is not None
