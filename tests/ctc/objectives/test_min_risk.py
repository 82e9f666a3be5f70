"""Minimum risk: all labellings as hypotheses, duplicates, hypotheses that do not fit, small differences."""

import itertools

import numpy as np

from ctc_scratch.ctc import ctc_loss, edit_distance
from ctc_scratch.ctc.objectives import min_risk_ctc_loss
from tests.conftest import assert_close


def test_with_all_labellings_the_shares_are_the_probabilities(rng):
    logits, target = rng.standard_normal((4, 3)), [1, 2]
    every = [list(h) for U in range(6) for h in itertools.product([1, 2], repeat=U)]
    p = np.array([np.exp(-ctc_loss(logits, h, infeasible="inf").loss) for h in every])
    d = np.array([edit_distance(h, target) for h in every])
    assert_close(p.sum(), 1.0, 1e-14, "sum")
    assert_close(min_risk_ctc_loss(logits, target, hypotheses=every).loss, p @ d, 1e-14, "loss")


def test_a_duplicate_changes_nothing(rng):
    logits, some = rng.standard_normal((5, 4)), [[1], [2, 3], []]
    found, twice = (min_risk_ctc_loss(logits, [2], hypotheses=h) for h in (some, [*some, [1], (2, 3)]))
    assert found.loss == twice.loss and (found.grad == twice.grad).all()


def test_hypotheses_that_do_not_fit_have_no_share(rng):
    logits = rng.standard_normal((3, 4))
    found, more = (min_risk_ctc_loss(logits, [2], hypotheses=h)
                   for h in ([[1], [2, 3]], [[1], [1, 1, 1], [2, 3]]))
    assert found.loss == more.loss and (found.grad == more.grad).all()


def test_a_single_hypothesis_has_its_cost_and_no_gradient(rng):
    found = min_risk_ctc_loss(rng.standard_normal((3, 4)), [2, 1, 2, 1], hypotheses=[[1]])
    assert found.loss == 3 and not found.grad.any()


def test_an_unlikely_error_keeps_its_digits(rng):
    """The likeliest hypothesis costs 1000; the other has a share of about e^-60 and costs 1001."""
    logits = np.zeros((1, 3))
    logits[0, 1] = 60.0
    found = min_risk_ctc_loss(logits, [1], hypotheses=[[1], [2]], costs=[1000.0, 1001.0])
    share = np.exp(-60.0) / (1 + np.exp(-60.0))
    assert found.loss == 1000
    assert_close(found.grad[0, 2] / share, 1.0, 1e-14, "relative gradient")
