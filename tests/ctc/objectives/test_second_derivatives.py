"""Hessian-vector products of the objectives, and losses without gradients."""

import numpy as np
import pytest

from ctc_scratch.ctc import objectives
from tests.conftest import assert_close
from tests.ctc.objectives.laws import OBJECTIVES, each_objective, options_of, random_batch, tiny_batches


def differences(gradient, x, v, step=1e-4):
    """The derivative of a gradient along v, from central differences with two steps."""
    near, far = (gradient(x + h * v) - gradient(x - h * v) for h in (step, 2 * step))
    return (8 * near - far) / (12 * step)


@each_objective
def test_products_are_derivatives_of_the_gradient(rng, objective):
    for logits, log_probs, labels, blank in tiny_batches(rng, 40):
        options = dict(objective.draw(rng, log_probs, labels, blank), blank=blank, infeasible="zero")
        v = rng.standard_normal(logits.shape)
        found = objective.function(logits, labels, vectors=v, **options)
        expected = differences(lambda x: objective.function(x, labels, **options).grad, logits, v)
        assert_close(found.hvp, expected, 1e-10 * max(1, np.abs(expected).max()), "product")


@each_objective
def test_the_hessian_is_symmetric(rng, objective):
    for logits, log_probs, labels, blank in tiny_batches(rng, 40):
        options = dict(objective.draw(rng, log_probs, labels, blank), blank=blank, infeasible="zero")
        u, v = rng.standard_normal((2, *logits.shape))
        a, b = (objective.function(logits, labels, vectors=w, **options).hvp for w in (u, v))
        assert_close((a * v).sum(), (b * u).sum(), 1e-13, "<v, H u>")
        assert_close(a.sum(axis=1), np.zeros(len(a)), 1e-13, "sum of a row")


@each_objective
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_batch_equals_its_sequences(rng, objective, reduction):
    logits, targets, lengths, options = random_batch(rng, objective)
    v = rng.standard_normal(logits.shape)
    for n, T in enumerate(lengths):
        logits[T:, n] = v[T:, n] = np.nan  # padding is never read
    how = dict(options, infeasible="inf", reduction=reduction)
    batch = objective.function(logits, targets, lengths, vectors=v, **how)
    turned = objective.function(logits.swapaxes(0, 1), targets, lengths, vectors=v.swapaxes(0, 1),
                                layout="NTC", **how)
    assert (turned.hvp.swapaxes(0, 1) == batch.hvp).all()
    plain = objective.function(logits, targets, lengths, **how)
    assert (plain.grad == batch.grad).all() and np.all(plain.loss == batch.loss) and plain.hvp is None
    for n, T in enumerate(lengths):
        one = objective.function(logits[:T, n], targets[n], vectors=v[:T, n], infeasible="inf",
                                 **options_of(objective, options, n))
        weight = 1 if reduction == "none" else 1 / (len(lengths) * max(len(targets[n]), 1))
        assert_close(batch.hvp[:T, n], weight * one.hvp, 1e-15, "product")
        assert not batch.hvp[T:, n].any()


@each_objective
def test_the_loss_alone_has_the_same_bits(rng, objective):
    for _ in range(5):
        logits, targets, lengths, options = random_batch(rng, objective)
        alone, both = (objective.function(logits, targets, lengths, infeasible="inf", want_grad=want_grad,
                                          **options) for want_grad in (False, True))
        assert (alone.loss == both.loss).all()
        assert not alone.grad.any() and alone.grad.shape == logits.shape and both.grad.any()


@pytest.mark.parametrize("scale", [1, 20])
@pytest.mark.parametrize("name", ["entropy", "bayes risk"])
def test_third_cumulants_of_long_and_peaky_sequences(rng, name, scale):
    """These two are differentiated by a pass of their own, whose sums run over all frames."""
    logits, labels = scale * rng.standard_normal((60, 4)), rng.integers(1, 4, 15)
    v, function = rng.standard_normal(logits.shape), OBJECTIVES[name].function
    found = function(logits, labels, vectors=v, weight=0.7)
    expected = differences(lambda x: function(x, labels, weight=0.7).grad, logits, v)
    assert_close(found.hvp, expected, 1e-9 * np.abs(expected).max(), "product")


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_focal_losses_of_certain_and_impossible_targets(power):
    """p = 1 and p = e^-2000: every limit is finite."""
    logits = np.full((1, 2), -1000.0)
    logits[0, 1] = 1000.0
    for label in ([1], []):
        found = objectives.focal_ctc_loss(logits, label, power=power, vectors=np.array([[1.0, -1.0]]))
        assert np.isfinite(found.hvp).all() and np.isfinite(found.grad).all()


def test_vectors_are_checked():
    with pytest.raises(ValueError, match=r"vectors must have the shape of the logits, \(4, 3\)"):
        objectives.prior_ctc_loss(np.zeros((4, 3)), [1], prior=[0.5, 0.25, 0.25], weight=1.0,
                                  vectors=np.zeros((4, 2)))
    with pytest.raises(ValueError, match="^vectors must be finite, got nan at frame 1, class 2"):
        objectives.entropy_ctc_loss(np.zeros((4, 3)), [1], weight=1.0,
                                    vectors=np.where(np.arange(12).reshape(4, 3) == 5, np.nan, 0))
