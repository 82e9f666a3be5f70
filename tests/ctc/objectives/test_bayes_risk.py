"""The Bayes risk where nearly all alignments stay in a label: the moves out of it keep their digits."""

import numpy as np

from ctc_scratch.ctc.objectives import bayes_risk_ctc_loss
from ctc_scratch.ctc.reference import log_softmax
from tests.conftest import assert_close
from tests.ctc.objectives import definitions


def test_risks_that_count_only_where_hardly_any_label_ends():
    """r is 1 in the first frame and 1e-100 later; label 1 ends there with a probability of about e^-40."""
    logits = np.zeros((5, 3))
    logits[:, 1] = [0, 20, 20, 0, 0]
    risk = np.array([1.0, 1e-100, 1e-100, 1e-100, 1e-100])
    found = bayes_risk_ctc_loss(logits, [1], risk=risk)
    log_probs = log_softmax(logits)
    value, slope = definitions.bayes_risk(log_probs, [1], 0, risk=risk)
    assert_close(found.loss, value, 1e-12, "loss")
    expected = slope - np.exp(log_probs) * slope.sum(axis=1, keepdims=True)
    assert_close(found.grad, expected, 1e-12, "gradient")
