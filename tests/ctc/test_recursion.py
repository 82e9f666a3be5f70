"""Reference and kernel against the definition, exhaustively, and against each other."""

import itertools

import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss, enumeration, kernels, reference
from ctc_scratch.ctc.labels import can_skip, extend
from tests.conftest import assert_close

LABELLINGS = {C: [labels for U in range(4) for labels in itertools.product(range(1, C), repeat=U)]
              for C in (1, 2, 3)}


@pytest.mark.parametrize("C", [1, 2, 3])
@pytest.mark.parametrize("T", range(7))
@pytest.mark.parametrize("scale", [0, 1, 5])
def test_loss_and_gradient_equal_enumeration(rng, T, C, scale):
    """All labellings of T <= 6 frames, C <= 3 classes, U <= 3 labels; the blank is any class."""
    for labels, blank in itertools.product(LABELLINGS[C], range(C)):
        labels = [(c + blank) % C for c in labels]  # rename the classes so that `blank` is the blank
        logits = scale * rng.standard_normal((T, C))
        loss, grad = enumeration.loss_and_grad(logits, labels, blank)
        for rung, (its_loss, its_grad) in {
            "reference": reference.loss_and_grad(logits, labels, blank),
            "ctc_loss": _loss_and_grad(logits, labels, blank),
        }.items():
            assert_close(its_loss, loss, 1e-12 * max(loss, 1e-3), f"{rung} loss of {labels}")
            assert_close(its_grad, grad, 1e-12, f"{rung} gradient of {labels}")


def _loss_and_grad(logits, labels, blank):
    result = ctc_loss(logits, labels, blank=blank, infeasible="inf")
    return result.loss, result.grad


@pytest.mark.parametrize("labels", [(), (1,), (1, 1), (1, 2), (1, 1, 1)], ids=str)
def test_minus_inf_entries_equal_enumeration(rng, labels):
    """Any entry may be -inf: a probability of exactly 0, wherever it stands."""
    infeasible = 0
    for _ in range(200):
        logits = rng.standard_normal((5, 3))
        logits[rng.random((5, 3)) < 0.3] = -np.inf
        logits[np.arange(5), rng.integers(3, size=5)] = 0.5  # a frame keeps one class
        loss, grad = enumeration.loss_and_grad(logits, labels)
        infeasible += loss == np.inf
        rungs = reference.loss_and_grad(logits, labels), _loss_and_grad(logits, labels, 0)
        for its_loss, its_grad in rungs:
            assert_close(its_loss, loss, 1e-12 * min(loss, 1e3), "loss")
            assert_close(its_grad, grad, 1e-12, "gradient")
    assert 0 < infeasible < 200, "the draw must hold both kinds"


@pytest.mark.parametrize("T, labels", [(1, [1]), (5, [1, 1, 2]), (5, [1, 1, 1]), (40, [1, 2, 2, 3, 1])],
                         ids=["T=1", "repeat", "tight", "long"])
def test_alpha_beta_sums_to_the_likelihood_at_every_frame(rng, T, labels):
    log_probs = reference.log_softmax(3 * rng.standard_normal((T, 4)))
    log_joint = reference.forward(log_probs, labels) + reference.backward(log_probs, labels)
    expected = reference.log_likelihood(log_probs, labels)
    assert_close(np.logaddexp.reduce(log_joint, axis=1), np.full(T, expected), 1e-14 * abs(expected), "frame")


@pytest.mark.parametrize("T, labels", [(6, [1, 1]), (3, []), (9, [2, 1, 3, 3])],
                         ids=["repeat", "empty", "more"])
def test_each_kernel_equals_its_line_of_the_reference(rng, T, labels):
    logits = rng.standard_normal((T, 4))
    log_probs = reference.log_softmax(logits)
    ext, S = extend(labels), 2 * len(labels) + 1

    its_log_probs, its_ext, its_skips = np.empty((T, 4)), np.empty(S, np.intp), np.empty(S, np.bool_)
    kernels.log_softmax(logits, 0, 1, its_log_probs)
    kernels.extend(np.array(labels, dtype=np.intp), 0, its_ext, its_skips)
    assert_close(its_log_probs, log_probs, 1e-14, "log_probs")
    assert its_ext.tolist() == ext.tolist() and its_skips.tolist() == can_skip(ext).tolist()

    log_alpha, log_beta = np.empty((T, S)), np.empty((T, S))
    kernels.forward(log_probs, ext, can_skip(ext), log_alpha)
    kernels.backward(log_probs, ext, can_skip(ext), log_beta)
    assert_close(log_alpha, reference.forward(log_probs, labels), 1e-13, "log_alpha")
    assert_close(log_beta, reference.backward(log_probs, labels), 1e-13, "log_beta")
    assert_close(kernels.log_likelihood(log_alpha), reference.log_likelihood(log_probs, labels), 1e-13, "ll")

    grad = np.empty((T, 4))
    kernels.gradient(log_probs, log_alpha, log_beta, ext, 2.0, 0, 1, np.empty(4), grad)
    assert_close(grad, 2 * reference.loss_and_grad(logits, labels)[1], 1e-13, "gradient")


def test_the_kernel_in_log_space_bears_losses_of_thousands_of_nats(rng):
    """alpha and beta are far below what exp can say at every frame."""
    logits, labels = rng.standard_normal((900, 9)), [1, 2, 2, 3]
    result, exact = (ctc_loss(logits, labels, method=method) for method in ("log", "exact"))
    assert exact.loss > 1800
    assert_close(result.loss, exact.loss, 1e-9, "loss")
    assert_close(result.grad, exact.grad, 1e-9, "gradient")


def test_enumeration_and_reference_agree_on_gamma_and_occupancy(rng):
    log_probs = reference.log_softmax(rng.standard_normal((5, 3)))
    for labels in LABELLINGS[3]:
        if enumeration.count_alignments(labels, 5):
            for name in ("gamma", "occupancy"):
                assert_close(getattr(reference, name)(log_probs, labels),
                             getattr(enumeration, name)(log_probs, labels), 1e-14, f"{name} of {labels}")
