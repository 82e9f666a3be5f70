"""All implementations of the package against the test vectors, from enumeration to the certified kernels.

The kernels in linear space promise a relative error of the loss of at most 1e-12. Log space loses digits
where the loss is small, since ln p is a difference of large numbers there. For gradients and posteriors, the
absolute error is bounded.
"""

import numpy as np
import pytest

from ctc_scratch import (
    InfeasibleTargetError,
    align,
    ctc_loss,
    ctc_loss_hvp,
    greedy_decode,
    log_partition,
    map_decode,
)
from ctc_scratch.check.cases import load_batches, load_cases
from ctc_scratch.ctc import enumeration, reference
from ctc_scratch.ctc.enumeration import count_alignments
from tests.conftest import assert_close

SOLVED = [case for case in load_cases() if case.result != "error"]
VALID = [case for case in SOLVED if case.result == "valid"]


def cells(case):
    return case.logit_length * (2 * case.target_length + 1)


def some(cases, most):
    """Run a test on the cases of at most `most` cells and, marked slow, on all the others."""
    return pytest.mark.parametrize("cases", [
        pytest.param([case for case in cases if cells(case) <= most], id="small"),
        pytest.param([case for case in cases if cells(case) > most], id="large", marks=pytest.mark.slow)])


def assert_loss(loss, case, rtol, atol):
    expected = case.answers["loss"]
    allowed = rtol * min(expected, 1e9) + atol  # finite, even where the loss is inf
    assert_close(loss, expected, allowed, f"loss of {case.id}")


def assert_array(name, array, case, atol):
    """Compare an array with the published one; a projection may err more, as a sum of many errors."""
    expected = case.expected(name)
    scale = 1 if name in case.answers else max(1.0, np.abs(expected).max())
    assert_close(case.observed(name, array), expected, atol * scale, f"{name} of {case.id}")


@some([case for case in SOLVED if case.logits.shape[1] ** case.logit_length <= 20_000], 30)
def test_enumeration(cases):
    for case in cases:
        loss, grad = enumeration.loss_and_grad(case.used_logits, case.used_target, case.blank)
        assert_loss(loss, case, 1e-12, 1e-13)
        if case.result == "valid":
            assert_array("gradient", grad, case, 1e-13)
        assert count_alignments(case.used_target, case.logit_length) == case.answers["alignments"]


@some(SOLVED, 30)
def test_reference(cases):
    for case in cases:
        loss, grad = reference.loss_and_grad(case.used_logits, case.used_target, case.blank)
        assert_loss(loss, case, 1e-12, 1e-11)
        assert case.result == "valid" or not grad.any()
        if case.result == "valid":
            log_probs = reference.log_softmax(case.used_logits)
            gamma = reference.gamma(log_probs, case.used_target, case.blank)
            assert_array("gradient", grad, case, 1e-10)
            assert_array("gamma", gamma, case, 1e-10)
            assert_array("gradient_log_probs", -reference.occupancy(log_probs, case.used_target, case.blank),
                         case, 1e-10)


@pytest.mark.parametrize("method, rtol, atol, of_grad", [
    ("log", 1e-12, 1e-11, 1e-10), ("exact", 1e-13, 0, 1e-12), ("auto", 1e-12, 0, 1e-12)],
    ids=["kernels", "exact", "certified"])
@some(SOLVED, 25)
def test_kernels(cases, method, rtol, atol, of_grad):
    for case in cases:
        problem = case.used_logits, case.used_target
        result = ctc_loss(*problem, blank=case.blank, method=method, infeasible="inf")
        assert_loss(result.loss, case, rtol, atol)
        if case.result == "valid":
            assert_array("gradient", result.grad, case, of_grad)
        else:
            zeroed = ctc_loss(*problem, blank=case.blank, method=method, infeasible="zero")
            assert zeroed.loss == 0 and not zeroed.grad.any() and not result.grad.any(), case
            with pytest.raises(InfeasibleTargetError):
                ctc_loss(*problem, blank=case.blank, method=method)


@some(SOLVED, 25)
def test_log_partition_and_second_derivatives(cases):
    for case in cases:
        scores = log_partition(case.used_logits, case.used_target, blank=case.blank)
        expected = case.answers["log_partition"]
        allowed = 1e-12 * np.clip(abs(expected), 1, 1e9)
        assert_close(scores.log_z, expected, allowed, f"ln Z of {case.id}")
        if case.result == "valid":
            occupancy = log_partition(case.used_logits, case.used_target, blank=case.blank, want="occupancy")
            second = ctc_loss_hvp(case.used_logits, case.used_target, case.vector, blank=case.blank)
            assert_array("gamma", scores.gamma, case, 1e-12)
            assert_array("gradient_log_probs", -occupancy.occupancy, case, 1e-12)
            assert_array("hessian_product", second.hvp, case, 1e-12)


@some(VALID, 25)
def test_decoding_and_alignment(cases):
    for case in cases:
        if case.logit_length > 0:
            best = align(case.used_logits, case.used_target, blank=case.blank)
            score = case.answers["best_path_log_prob"]
            assert_close(best.log_prob, score, 1e-12 * max(1, -score), f"best score of {case.id}")
            assert list(best.path) == case.answers.get("best_path", list(best.path)), case
        assert greedy_decode(case.used_logits, blank=case.blank) == case.answers["greedy"], case
        if "most_probable" in case.answers and case.logits.shape[1] > 1:
            found = map_decode(case.used_logits, blank=case.blank)
            assert list(found.labels) == case.answers["most_probable"], case
            assert_close(found.log_prob, case.answers["most_probable_log_prob"], 1e-12, "ln p")


@pytest.mark.parametrize("case", [case for case in load_cases("reject") if case.result == "error"],
                         ids=lambda case: case.id)
@pytest.mark.parametrize("infeasible", ["raise", "inf"])
def test_bad_input_is_refused(case, infeasible):
    padded = case.target_length != len(case.target)
    targets, lengths = (np.array([case.target]), [case.target_length]) if padded else ([case.target], None)
    with pytest.raises((ValueError, TypeError)):
        ctc_loss(case.logits[:, None], targets, [case.logit_length], lengths, blank=case.blank,
                 infeasible=infeasible)


@pytest.mark.parametrize("case", [case for case in load_cases("core", "reject")
                                  if case.result == "valid" and {"Padding", "MustAccept"} & {*case.flags}],
                         ids=lambda case: case.id)
def test_padding_is_not_read(case):
    """Each case with its published padding, and with padding of NaN."""
    worse = np.where(np.arange(len(case.logits))[:, None] < case.logit_length, case.logits, np.nan)
    for logits in (case.logits, worse):
        result = ctc_loss(logits[:, None], np.array([case.target]), [case.logit_length], [case.target_length],
                          blank=case.blank)
        assert_loss(result.loss[0], case, 1e-12, 0)
        assert_array("gradient", result.grad[:case.logit_length, 0], case, 1e-12)
        assert not result.grad[case.logit_length:].any()


@pytest.mark.parametrize("batch", load_batches(), ids=lambda batch: batch.id)
def test_batches_are_reduced(batch):
    logits, lengths = batch.padded()
    targets, N = [case.used_target for case in batch.members], len(batch.members)
    by_policy = batch.alternatives or {"raise": batch.answers, "inf": batch.answers, "zero": batch.answers}
    for policy, expected in by_policy.items():
        for reduction in ("none", "sum", "batchmean", "mean"):
            options = {"blank": batch.members[0].blank, "reduction": reduction, "infeasible": policy}
            if expected == "error":
                with pytest.raises(InfeasibleTargetError):
                    ctc_loss(logits, targets, lengths, **options)
                continue
            result = ctc_loss(logits, targets, lengths, **options)
            assert_close(result.loss, expected[reduction], 1e-11, f"{reduction} of {batch.id}")
            turned = ctc_loss(logits.swapaxes(0, 1), targets, lengths, layout="NTC", **options)
            assert np.array_equal(turned.loss, result.loss)
            for n, case in enumerate(batch.members):
                weights = {"none": 1, "sum": 1, "batchmean": N, "mean": N * max(case.target_length, 1)}
                grad = weights[reduction] * result.grad[:case.logit_length, n]
                assert not result.grad[case.logit_length:, n].any()
                if case.result == "valid":
                    assert_array("gradient", grad, case, 1e-12)
                else:
                    assert not grad.any()
