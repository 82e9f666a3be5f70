"""ctc_loss against the definition, on all problems small enough to enumerate every path."""

from ctc_scratch.ctc import ctc_loss
from tests.conftest import assert_close
from tests.ctc.small_problems import (
    on_all_small_sizes,
    on_some_labellings,
    problems_with_minus_inf,
    small_problems,
)


@on_all_small_sizes
def test_loss_and_gradient_equal_enumeration(rng, T, C, scale):
    for logits, labels, blank, loss, grad in small_problems(rng, T, C, scale):
        result = ctc_loss(logits, labels, blank=blank, infeasible="inf")
        assert_close(result.loss, loss, 1e-12 * max(loss, 1e-3), f"loss of {labels}")
        assert_close(result.grad, grad, 1e-12, f"gradient of {labels}")


@on_some_labellings
def test_minus_inf_entries_equal_enumeration(rng, labels):
    """Any logit may be -inf, for a probability of exactly 0."""
    for logits, loss, grad in problems_with_minus_inf(rng, labels):
        result = ctc_loss(logits, labels, infeasible="inf")
        assert_close(result.loss, loss, 1e-12 * min(loss, 1e3), "loss")
        assert_close(result.grad, grad, 1e-12, "gradient")
