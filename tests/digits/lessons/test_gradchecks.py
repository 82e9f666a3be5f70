"""The gradient checks fail for a gradient that is wrong or NaN, and for no other."""

import numpy as np
import pytest

from ctc_scratch.digits.lessons import gradchecks
from ctc_scratch.digits.lessons.gradchecks import (
    TOLERANCE,
    CheckedGradient,
    describe,
    run_checks,
)
from ctc_scratch.nn import GradCheck


@pytest.mark.parametrize("error, passed", [(0.0, True), (TOLERANCE, True), (2 * TOLERANCE, False),
                                           (np.nan, False), (np.inf, False)])
def test_a_gradient_passes_up_to_the_tolerance(error, passed):
    result = CheckedGradient("LSTM", GradCheck("bias", error, 1.0, 1.0, (3,), 40))
    assert result.passed == passed
    assert ("FAILED LSTM: bias at (3,)" in describe([result])) == (not passed)


@pytest.mark.slow
def test_a_wrong_gradient_of_the_training_step_fails_the_checks_that_use_it(monkeypatch, rng):
    right = gradchecks.shard_gradients

    def wrong(model, rows):
        result = right(model, rows)
        result.grads["output.bias"][0] *= -1
        return result

    monkeypatch.setattr(gradchecks, "shard_gradients", wrong)
    failed = {(result.subject, result.check.name) for result in run_checks(rng) if not result.passed}
    assert failed == {("reader + CTC, end to end", "output.bias"), ("the same, vertical LSTM", "output.bias")}
