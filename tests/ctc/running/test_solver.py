"""Which answers of the certified kernels are returned, and which kernel is asked next."""

import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss
from ctc_scratch.ctc.running import solver
from tests.conftest import assert_close

EPS = 2.0**-53


def improbable(rng, N):
    """Logits (100, N, 6) and targets of 20 labels, each of which is 50 nats less probable than the blank.

    In the first half a class outside the target has the most mass. So one exponent per sequence is not
    enough, one per label is.
    """
    logits = rng.standard_normal((100, N, 6)) - 50.0
    logits[:, :, 0], logits[:50, :, 5] = 0.0, 2.0
    return logits, rng.integers(1, 5, (N, 20))


def judge(gap, loss=10.0, T=100, limits=None):
    """The bound, and whether an answer is too uncertain."""
    limits = limits or solver.limits_of(np.dtype(np.float64), 30, True)
    bounds, uncertain = np.empty(1), np.array([True])
    doubts, infinite = solver._judge(
        np.array([loss]), np.array([gap]), np.array([T]), *limits, bounds, uncertain)
    assert infinite == (loss == np.inf) and doubts == uncertain[0]
    return bounds[0], uncertain[0]


def test_an_answer_is_accepted_if_its_gap_is_narrow():
    for gap in (0.0, 1e-14, 9e-13):
        assert not judge(gap)[1]
    for gap in (1e-11, 1.0, np.inf, np.nan):
        assert judge(gap)[1]


def test_a_negative_gap_beyond_rounding_is_a_mistake_and_is_not_accepted():
    for gap in (-1e-12, -0.5, -1.0, -np.inf):
        assert judge(gap)[1]


def test_a_negative_gap_within_rounding_is_accepted_and_the_bound_is_that_of_rounding():
    for T in (1, 100, 10_000):
        bound, uncertain = judge(-4 * EPS * T, T=T)
        assert not uncertain
        assert bound == judge(0.0, T=T)[0] > 0


@pytest.mark.parametrize("gap", [-1.0, -1e-14, 0.0, 1e-13, 1.0])
def test_a_bound_is_never_below_what_rounding_alone_may_do(gap):
    assert judge(gap)[0] >= judge(0.0)[0] > 0


def test_a_loss_near_0_and_an_infinite_one_are_uncertain():
    assert judge(0.0, loss=0.001)[1]
    assert judge(np.inf, loss=np.inf)[1]


def test_sequences_without_work_are_never_uncertain():
    limits = solver.limits_of(np.dtype(np.float64), 30, True)
    nothing, uncertain = (np.array([np.inf]), np.array([np.inf]), np.array([3])), np.array([False])
    assert solver._judge(*nothing, *limits, np.empty(1), uncertain)[0] == 0
    assert not uncertain[0]


def test_what_is_too_uncertain_side_by_side_is_solved_again_alone_and_not_by_exact(rng, monkeypatch):
    logits, targets = improbable(rng, 9)
    logits[:, ::2] /= 50  # for these one exponent is enough
    calls = []
    for name in ("_work_alone", "_work_side_by_side"):
        work = getattr(solver, name)
        monkeypatch.setattr(solver, name, lambda problem, share, *rest, name=name, work=work: (
            calls.append((name, sorted(share.members[share.members >= 0].tolist())))
            or work(problem, share, *rest)))
    monkeypatch.setattr(solver, "_run_exact", lambda *arguments: pytest.fail("exact is not needed"))
    result = ctc_loss(logits, targets)
    monkeypatch.undo()
    (first, everyone), (second, again) = calls
    assert (first, second) == ("_work_side_by_side", "_work_alone")
    assert everyone == list(range(9)) and again == [1, 3, 5, 7]
    exact = ctc_loss(logits, targets, method="exact")
    assert not result.exact.any()
    assert_close(result.loss / exact.loss, np.ones(9), 1e-12, "relative loss")
    assert_close(result.grad, exact.grad, 1e-12, "gradient")


def test_the_bits_of_a_sequence_that_is_solved_again_do_not_depend_on_its_batch(rng):
    logits, targets = improbable(rng, 9)
    whole = ctc_loss(logits, targets)
    assert not whole.exact.any()
    for order in (slice(0, 1), slice(3, 5), slice(None, None, -1)):
        part = ctc_loss(logits[:, order], targets[order])
        for name in ("loss", "bound", "exact"):
            assert np.array_equal(getattr(part, name), getattr(whole, name)[order])
        assert np.array_equal(part.grad, whole.grad[:, order])


def test_weights_and_impossible_targets_are_right_when_sequences_are_solved_again(rng):
    logits, targets = improbable(rng, 3)
    targets = [targets[0], np.ones(60, int), targets[2]]  # the second does not fit
    results = [ctc_loss(logits, targets, reduction="mean", infeasible="zero", method=method)
               for method in ("auto", "exact")]
    assert_close(results[0].loss / results[1].loss, 1.0, 1e-12, "relative loss")
    assert_close(results[0].grad, results[1].grad, 1e-12, "gradient")
    assert not results[0].grad[:, 1].any()
