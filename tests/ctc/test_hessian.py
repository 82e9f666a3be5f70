"""Hessian-vector products against differences, enumeration and laws; Gauss-Newton and Fisher products."""

import numpy as np
import pytest

from ctc_scratch.ctc import (
    Workspace,
    ctc_loss,
    ctc_loss_hvp,
    fisher_vp,
    gauss_newton_vp,
    log_partition,
    log_partition_hvp,
)
from ctc_scratch.ctc.enumeration import labelling_distribution
from ctc_scratch.ctc.reference import log_softmax
from tests.conftest import assert_close
from tests.ctc.chain.test_solve import tiny_problems
from tests.tools.alignments import alignments, distribution, moments, total

SHAPE = (6, 3, 4)


@pytest.fixture
def batch(rng):
    """(logits, targets, lengths) of three ragged sequences, and vectors whose padding holds NaN."""
    vectors, lengths = rng.standard_normal(SHAPE), np.array([6, 4, 5])
    for n, T in enumerate(lengths):
        vectors[T:, n] = np.nan
    return (rng.standard_normal(SHAPE), [[1, 2], [3], []], lengths), vectors


def central_difference(gradient, x, vectors, step=1e-5):
    vectors = np.nan_to_num(vectors)
    return (gradient(x + step * vectors) - gradient(x - step * vectors)) / (2 * step)


# ---- ln Z


def test_ln_z_and_its_hessian_are_those_of_the_definition(rng):
    for scores, labels, blank in tiny_problems(rng, 200):
        v = rng.standard_normal(scores.shape)
        scores[(scores == -np.inf).all(axis=1)] = 0.0
        found = log_partition_hvp(scores, labels, v, blank=blank)
        paths = alignments(*scores.shape, labels, blank)
        log_z, probs = distribution([total(scores, path) for path in paths])
        occupancy, covariance = moments(paths, probs, np.array([total(v, p) for p in paths]), *scores.shape)
        assert_close(found.log_z, log_z, 1e-12, "log_z")
        assert_close(found.occupancy, occupancy, 1e-12, "occupancy")
        assert_close(found.hvp, covariance, 1e-12, "hvp")


def test_the_hessian_of_ln_z_is_symmetric_and_positive(rng):
    for _ in range(20):
        scores, labels = 2 * rng.standard_normal((40, 6)), rng.integers(1, 6, rng.integers(0, 15))
        u, v = rng.standard_normal((2, 40, 6))
        of_u, of_v = (log_partition_hvp(scores, labels, w).hvp for w in (u, v))
        assert_close((of_u * v).sum(), (of_v * u).sum(), 1e-12, "<u, H v>")
        assert (of_u * u).sum() >= 0 and (of_v * v).sum() >= 0


def test_a_batch_is_its_sequences(batch):
    (scores, targets, lengths), vectors = batch
    found = log_partition_hvp(scores, targets, vectors, lengths)
    turned = log_partition_hvp(scores.swapaxes(0, 1), targets, vectors.swapaxes(0, 1), lengths, layout="NTC")
    np.testing.assert_array_equal(turned.hvp.swapaxes(0, 1), found.hvp)
    for n, (T, target) in enumerate(zip(lengths, targets)):
        alone = log_partition_hvp(scores[:T, n], target, vectors[:T, n])
        assert alone.log_z == found.log_z[n]
        np.testing.assert_array_equal(found.hvp[:T, n], alone.hvp)
        np.testing.assert_array_equal(found.occupancy[:T, n], alone.occupancy)
        assert not found.hvp[T:, n].any()


def test_a_target_without_alignments_has_zeros():
    found = log_partition_hvp(np.zeros((2, 3)), [1, 1], np.ones((2, 3)))
    assert found.log_z == -np.inf and not found.hvp.any() and not found.occupancy.any()


# ---- the loss


@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "batchmean"])
def test_the_product_is_the_derivative_of_the_gradient(batch, reduction):
    (logits, targets, lengths), vectors = batch

    def gradient(x):
        return ctc_loss(x, targets, lengths, reduction=reduction).grad

    found = ctc_loss_hvp(logits, targets, vectors, lengths, reduction=reduction)
    assert_close(found.hvp, central_difference(gradient, logits, vectors), 1e-9, "hvp")
    np.testing.assert_array_equal(found.grad, gradient(logits))


def test_an_infeasible_target_has_no_second_derivative():
    found = ctc_loss_hvp(np.zeros((2, 2, 3)), [[1], [1, 1]], np.ones((2, 2, 3)), infeasible="inf")
    assert found.loss[1] == np.inf and not found.hvp[:, 1].any()


def test_gauss_newton_is_the_hessian_of_all_paths_and_positive(batch):
    (logits, targets, lengths), vectors = batch

    def softmax(x):
        y = np.exp(log_softmax(x.reshape(-1, SHAPE[2]))).reshape(SHAPE)
        y[np.isnan(vectors)] = 0.0
        return y

    found = gauss_newton_vp(logits, targets, vectors, lengths)
    assert_close(found, central_difference(softmax, logits, vectors), 1e-9, "product")
    assert (found * np.nan_to_num(vectors)).sum() > 0
    weights = 1 / (3 * np.array([2, 1, 1]))
    assert_close(gauss_newton_vp(logits, targets, vectors, lengths, reduction="mean"),
                 found * weights[:, None], 1e-16, "mean")


def test_gauss_newton_keeps_its_digits_where_one_class_is_nearly_certain():
    x, v = np.array([[0.0, -30.0]]), np.array([[0.3, -0.7]])
    p = 1 / (1 + np.exp(30.0))      # y = 1 - p, p: the product is +-p (1 - p) (0.3 + 0.7)
    assert_close(gauss_newton_vp(x, [], v) / p, np.array([[1.0, -1.0]]), 1e-12, "product / p")


# ---- Fisher


def test_fisher_is_the_expected_hessian(rng):
    x, v = rng.standard_normal((2, 4, 3))
    expected = sum(p * ctc_loss_hvp(x, list(labels), v).hvp
                   for labels, p in labelling_distribution(log_softmax(x)).items())
    found = fisher_vp(x, v)
    assert_close(found, expected, 1e-14, "product")
    assert (found * v).sum() > 0


def test_fisher_by_samples_approaches_the_sum(rng):
    x, v = rng.standard_normal((2, 4, 3))
    exact = fisher_vp(x, v)
    errors = [np.abs(fisher_vp(x, v, samples=count, rng=rng) - exact).max() for count in (200, 20_000)]
    assert errors[1] < 0.02 and errors[1] < errors[0]


# ---- bad input

BAD = [
    (dict(vectors=np.zeros((4, 2))), ValueError,
     r"vectors must have the shape of the \w+, \(4, 3\), got \(4, 2\)"),
    (dict(vectors=np.full((4, 3), np.inf)), ValueError,
     "vectors must be finite, got inf at frame 0, class 0 of sequence 0"),
    (dict(vectors=np.full((4, 3), "a")), TypeError, "vectors must be real numbers"),
    (dict(targets=[5]), ValueError, r"targets\[0\] is 5"),
]


@pytest.mark.parametrize("function", [log_partition_hvp, ctc_loss_hvp, gauss_newton_vp])
@pytest.mark.parametrize("wrong, error, message", BAD, ids=["shape", "inf", "type", "target"])
def test_bad_input(function, wrong, error, message):
    arguments = dict(targets=[1], vectors=np.zeros((4, 3)))
    arguments.update(wrong)
    with pytest.raises(error, match=message):
        function(np.zeros((4, 3)), **arguments)


@pytest.mark.parametrize("options, error, message", [
    (dict(samples=3), ValueError, "samples and rng must be given together"),
    (dict(samples=0, rng=np.random.default_rng(0)), ValueError, "samples must be at least 1, got 0"),
    (dict(samples=3, rng=7), TypeError, "rng must be a numpy.random.Generator, got 7"),
    (dict(), ValueError, r"20 frames of 3 classes have 3\^20 paths, more than 20000: give samples and rng"),
])
def test_bad_options_of_fisher(options, error, message):
    with pytest.raises(error, match=message):
        fisher_vp(np.zeros((20, 3)), np.zeros((20, 3)), **options)


def test_longer_sequences_agree_with_log_partition(rng):
    scores, labels = rng.standard_normal((200, 8)), rng.integers(1, 8, 40)
    found = log_partition_hvp(scores, labels, rng.standard_normal((200, 8)))
    assert_close(found.log_z, log_partition(scores, labels).log_z, 1e-11, "log_z")


@pytest.mark.parametrize("function", [log_partition_hvp, ctc_loss_hvp])
def test_a_workspace_is_used_again_and_changes_nothing(batch, function):
    (logits, targets, lengths), vectors = batch
    plain, workspace = function(logits, targets, vectors, lengths), Workspace()
    for _ in range(2):
        kept = function(logits, targets, vectors, lengths, workspace=workspace)
        np.testing.assert_array_equal(kept.hvp, plain.hvp)
    assert "0 free" not in repr(workspace)
    with pytest.raises(TypeError, match="workspace must be a Workspace, got 3"):
        function(logits, targets, vectors, lengths, workspace=3)
