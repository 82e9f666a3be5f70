"""Sums and the softmax in log space, against NumPy's."""

import numpy as np
import pytest

from ctc_scratch.compiled.log_space import log_add_by_exp, log_add_by_table, log_probs_of_classes, log_softmax
from ctc_scratch.ctc import reference
from tests.conftest import assert_close

each = pytest.mark.parametrize("log_add", [log_add_by_exp, log_add_by_table], ids=["exp", "table"])


@each
def test_log_add_is_good_to_the_last_digits(log_add):
    """On a fine grid, at both ends of each interval of the table, and at infinity."""
    ends = np.arange(0, 38, 0.5)
    x = np.concatenate([np.linspace(0, 40, 20_001), ends, np.nextafter(ends, 50), [np.inf]])
    for a, b in (0.0, -1.0), (-1.0, 0.0):
        found = [log_add(a * y, b * y) if y < np.inf else log_add(a and -np.inf, b and -np.inf) for y in x]
        assert_close(found, np.logaddexp(0.0, -x), 2.0**-51, "ln(1 + e^-x)")
    assert log_add(-np.inf, -np.inf) == -np.inf
    assert_close(log_add(-700.25, -700.0), -700.0 + np.log1p(np.exp(-0.25)), 2.0**-43, "log_add")


@pytest.mark.parametrize("shift", [-700, 0, 700])
def test_log_softmax_is_that_of_the_reference_wherever_the_logits_lie(rng, shift):
    logits = shift + 3 * rng.standard_normal((5, 4))
    log_probs, norms = np.empty((5, 4)), np.empty((5, 2))
    for t in range(5):
        log_softmax(logits, t, log_probs[t], norms[t])
    assert_close(log_probs, reference.log_softmax(logits), 1e-12, "log_probs")
    classes = np.array([3, 0])
    again = np.empty((5, 2))
    log_probs_of_classes(logits, norms, classes, again)
    assert_close(again, log_probs[:, classes], 1e-15, "log_probs of two classes")


@pytest.mark.parametrize("c", range(4))
def test_log_softmax_does_not_overflow_whichever_class_leads(c):
    rows, log_probs, norm = 1000.0 * np.eye(4), np.empty(4), np.empty(2)
    log_softmax(rows, c, log_probs, norm)
    assert_close(log_probs, rows[c] - 1000.0, 1e-12, "log_probs")
    assert_close(norm, [1000.0, 0.0], 1e-12, "norm")
