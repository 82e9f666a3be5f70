"""Laws that ctc_loss obeys on every problem there is."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ctc_scratch.ctc import ctc_loss, reference

from .conftest import assert_close
from .strategies import problems

# No deadline: the first example compiles.
laws = settings(max_examples=60, deadline=None, derandomize=True)


def solve(problem, **changes):
    logits, targets, lengths, blank = problem._replace(**changes)
    return ctc_loss(logits, targets, lengths, blank=blank)


@laws
@given(problems())
def test_it_is_the_reference_sequence_by_sequence(problem):
    result = solve(problem)
    for n, (target, T) in enumerate(zip(problem.targets, problem.logit_lengths)):
        loss, grad = reference.loss_and_grad(problem.logits[:T, n], target, problem.blank)
        # The reference's logarithms lose some digits of their own.
        assert_close(result.loss[n], loss, 1e-13 * max(loss, 1), "loss")
        assert_close(result.grad[:T, n], grad, 1e-11, "gradient")


@laws
@given(problems(), st.floats(-1e3, 1e3))
def test_a_constant_added_to_a_frame_changes_nothing(problem, constant):
    before, shifted = solve(problem), solve(problem, logits=problem.logits + constant)
    assert_close(shifted.loss, before.loss, 1e-10, "loss")  # adding it has rounded the logits
    assert_close(shifted.grad, before.grad, 1e-10, "gradient")


@laws
@given(problems(), st.randoms(use_true_random=False))
def test_permuting_the_batch_permutes_the_result(problem, random):
    order = list(range(len(problem.targets)))
    random.shuffle(order)
    before = solve(problem)
    after = solve(problem, logits=problem.logits[:, order], targets=[problem.targets[n] for n in order],
                  logit_lengths=problem.logit_lengths[order])
    assert np.array_equal(after.loss, before.loss[order])
    assert np.array_equal(after.grad, before.grad[:, order])


@laws
@given(problems(), st.randoms(use_true_random=False))
def test_renaming_the_classes_renames_the_gradient(problem, random):
    name = list(range(problem.logits.shape[2]))
    random.shuffle(name)
    renamed = np.empty_like(problem.logits)
    renamed[:, :, name] = problem.logits
    before = solve(problem)
    after = solve(problem, logits=renamed, blank=name[problem.blank],
                  targets=[[name[c] for c in target] for target in problem.targets])
    assert_close(after.loss, before.loss, 1e-13 * max(before.loss.max(), 1), "loss")
    assert_close(after.grad[:, :, name], before.grad, 1e-13, "gradient")


@laws
@given(problems())
def test_more_padding_and_closed_classes_change_nothing(problem):
    before = solve(problem)
    longer = np.concatenate([problem.logits, np.full_like(problem.logits[:2], np.nan)])
    assert np.array_equal(solve(problem, logits=longer).loss, before.loss)
    T, N, C = problem.logits.shape
    wider = np.concatenate([problem.logits, np.full((T, N, 3), -np.inf)], axis=2)
    result = solve(problem, logits=wider)
    assert_close(result.loss, before.loss, 1e-13 * max(before.loss.max(), 1), "loss")
    assert_close(result.grad[:, :, :C], before.grad, 1e-13, "gradient")
    assert not result.grad[:, :, C:].any()


@laws
@given(problems())
def test_losses_are_positive_and_gradient_rows_sum_to_0(problem):
    result = solve(problem)
    assert (result.loss >= 0).all()
    assert_close(result.grad.sum(axis=2), np.zeros(result.grad.shape[:2]), 1e-14, "row sums")


@laws
@given(problems())
def test_float32_is_float64_up_to_its_rounding(problem):
    single = problem._replace(logits=problem.logits.astype(np.float32))
    double = single._replace(logits=single.logits.astype(np.float64))
    a, b = solve(single), solve(double)
    # Emissions are off by some (3 + |x - max|) 2^-24 a frame, and |x - max| is at most 300 here.
    assert_close(a.loss, b.loss, 1e-5 * max(b.loss.max(), 1), "loss")
    assert_close(a.grad, b.grad, 1e-3, "gradient")
