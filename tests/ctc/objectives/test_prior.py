"""Label priors: a uniform prior, and the running average."""

import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss
from ctc_scratch.ctc.objectives import RunningPrior, prior_ctc_loss
from ctc_scratch.ctc.reference import log_softmax
from tests.conftest import assert_close


def test_a_uniform_prior_shifts_the_loss_and_leaves_the_gradient(make_problem):
    problem = make_problem(20, 4, 5, 6)
    arguments = problem.logits, problem.targets, problem.logit_lengths
    found, plain = prior_ctc_loss(*arguments, prior=np.full(5, 0.2), weight=0.6), ctc_loss(*arguments)
    assert_close(found.loss, plain.loss - problem.logit_lengths * 0.6 * np.log(5), 1e-12, "loss")
    assert_close(found.grad, plain.grad, 1e-13, "gradient")


@pytest.mark.parametrize("layout", ["TNC", "NTC"])
def test_the_running_prior_is_the_mean_over_real_frames(rng, layout):
    logits, lengths = rng.standard_normal((7, 3, 4)), [7, 2, 0]
    logits[2:, 1] = logits[:, 2] = np.nan
    running = RunningPrior(4, 0.75)
    assert (running.prior == 0.25).all()
    running.update(logits if layout == "TNC" else logits.swapaxes(0, 1), lengths, layout)
    first = np.exp(log_softmax(np.concatenate([logits[:, 0], logits[:2, 1]]))).mean(axis=0)
    assert_close(running.prior, first, 1e-15, "first batch")
    running.update(np.zeros((5, 4)))
    assert_close(running.prior, 0.75 * first + 0.25 * 0.25, 1e-15, "second batch")
    running.update(np.zeros((0, 4)))
    assert_close(running.prior.sum(), 1.0, 1e-15, "sum")


def test_a_class_that_never_occurs_keeps_a_usable_prior():
    running = RunningPrior(3, 0.0)
    running.update(np.array([[0.0, 0.0, -np.inf]]))
    found = prior_ctc_loss(np.zeros((2, 3)), [2], prior=running.prior, weight=1.0)
    assert 0 < running.prior[2] < 1e-300 and np.isfinite(found.loss) and np.isfinite(found.grad).all()


def test_the_running_prior_refuses_other_classes():
    with pytest.raises(ValueError, match="^the logits have 3 classes, the prior 4$"):
        RunningPrior(4, 0.5).update(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="^decay must be from 0 to below 1, got 1$"):
        RunningPrior(4, 1)
