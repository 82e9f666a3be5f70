"""The entropy objective against its definition over all alignments."""

import numpy as np

from ctc_scratch.ctc import ctc_loss
from ctc_scratch.ctc.objectives.entropy import entropy_ctc_loss
from tests.conftest import assert_close
from tests.ctc.objectives.laws import check_gradient, tiny_batches
from tests.tools.alignments import alignments, distribution, total


def by_enumeration(log_probs, labels, blank, weight):
    log_z, probs = distribution([total(log_probs, path)
                                 for path in alignments(*log_probs.shape, labels, blank)])
    return -log_z + weight * (probs * np.log(np.where(probs > 0, probs, 1))).sum()


def test_the_loss_is_that_of_the_definition(rng):
    for logits, log_probs, labels, blank in tiny_batches(rng, 100):
        weight = rng.normal()
        found = entropy_ctc_loss(logits, labels, blank=blank, weight=weight, infeasible="inf")
        assert_close(found.loss, by_enumeration(log_probs, labels, blank, weight), 1e-12, "loss")


def test_the_gradient_is_that_of_the_loss(rng):
    check_gradient(rng, entropy_ctc_loss, weight=0.7)


def test_without_weight_it_is_ctc(make_problem):
    problem = make_problem(30, 4, 6, 8)
    arguments = problem.logits, problem.targets, problem.logit_lengths
    found, plain = entropy_ctc_loss(*arguments, weight=0.0), ctc_loss(*arguments)
    assert_close(found.loss, plain.loss, 1e-13, "loss")
    assert_close(found.grad, plain.grad, 1e-14, "gradient")
