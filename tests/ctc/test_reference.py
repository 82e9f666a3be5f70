"""The recursion in NumPy against the definition, on all small problems, and against its own identities."""

import numpy as np
import pytest

from ctc_scratch.ctc import enumeration, reference
from tests.conftest import assert_close
from tests.ctc.small_problems import (
    LABELLINGS,
    on_all_small_sizes,
    on_some_labellings,
    problems_with_minus_inf,
    small_problems,
)


@on_all_small_sizes
def test_loss_and_gradient_equal_enumeration(rng, T, C, scale):
    for logits, labels, blank, loss, grad in small_problems(rng, T, C, scale):
        its_loss, its_grad = reference.loss_and_grad(logits, labels, blank)
        assert_close(its_loss, loss, 1e-12 * max(loss, 1e-3), f"loss of {labels}")
        assert_close(its_grad, grad, 1e-12, f"gradient of {labels}")


@on_some_labellings
def test_minus_inf_entries_equal_enumeration(rng, labels):
    """Any logit may be -inf, for a probability of exactly 0."""
    for logits, loss, grad in problems_with_minus_inf(rng, labels):
        its_loss, its_grad = reference.loss_and_grad(logits, labels)
        assert_close(its_loss, loss, 1e-12 * min(loss, 1e3), "loss")
        assert_close(its_grad, grad, 1e-12, "gradient")


@pytest.mark.parametrize("T, labels", [(1, [1]), (5, [1, 1, 2]), (5, [1, 1, 1]), (40, [1, 2, 2, 3, 1])],
                         ids=["T=1", "repeat", "tight", "long"])
def test_alpha_beta_sums_to_the_likelihood_at_every_frame(rng, T, labels):
    log_probs = reference.log_softmax(3 * rng.standard_normal((T, 4)))
    log_joint = reference.forward(log_probs, labels) + reference.backward(log_probs, labels)
    expected = reference.log_likelihood(log_probs, labels)
    assert_close(np.logaddexp.reduce(log_joint, axis=1), np.full(T, expected), 1e-14 * abs(expected), "frame")


def test_gamma_and_occupancy_equal_enumeration(rng):
    log_probs = reference.log_softmax(rng.standard_normal((5, 3)))
    for labels in LABELLINGS[3]:
        if enumeration.count_alignments(labels, 5):
            for name in ("gamma", "occupancy"):
                assert_close(getattr(reference, name)(log_probs, labels),
                             getattr(enumeration, name)(log_probs, labels), 1e-14, f"{name} of {labels}")
