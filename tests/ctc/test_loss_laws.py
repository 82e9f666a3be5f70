"""Laws that ctc_loss obeys on every problem, with every method.

The table shows the laws of all public functions; "bits" means that not a single bit may change.

| law | ctc_loss | log_partition | lattice, align | greedy, beam, map | diagnose | metrics | layers |
|---|---|---|---|---|---|---|---|
| permuting the batch permutes the result | bits | bits | bits ¹ | bits | yes | yes | bits ² |
| splitting it, or appending samples, changes nothing | bits | bits | bits ¹ | bits | yes | | |
| appending padded frames changes nothing | bits | bits | bits ¹ | bits | yes | | bits ² |
| appending classes of -inf changes nothing | rounding | rounding | rounding | labels | | | |
| adding a constant to a frame changes nothing | bits ³ | rounding ⁴ | bits ⁵ | bits ³ | | | |
| relabelling classes relabels the result | rounding | rounding | rounding | labels | | yes | |
| gradient rows sum to 0; posteriors to 1 | yes | yes | yes | | | | |
| loss >= 0, log-probabilities <= 0 | yes | either sign | yes | yes | | >= 0 | |
| float32 agrees with float64 | its bound | bits ⁶ | bits | bits | | | |
| layouts agree | bits | bits | bits ¹ | no layouts | yes | | |
| `inf` and `zero` agree with `raise` | bits | | | | | | |
| equal to enumeration where that is small | yes | yes | yes | yes | | | |

¹ Each sequence of a batch has what it has alone: tests/ctc/paths/test_batches.py.
² y and dx of LSTM and BiLSTM, which are compiled. Linear multiplies with BLAS, which may round differently.
³ Where adding it rounds nothing; else the result is that of the rounded logits.
⁴ The constant is added to ln Z; gamma does not change.
⁵ Except gamma and xi, which come from log_partition.
⁶ With method="exact"; with "auto" they agree within its bound.

This file tests ctc_loss, in both ways that "auto" has for short sequences. The other laws are tested in
tests/ctc/paths/test_lattice_laws.py, tests/ctc/decoding/test_decoding_laws.py and test_metrics_laws.py,
tests/ctc/diagnosis/test_diagnose_laws.py, tests/ctc/test_labels_laws.py and tests/nn/test_layers_laws.py.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctc_scratch.ctc import InfeasibleTargetError, Workspace, ctc_loss, enumeration, reference
from ctc_scratch.ctc.running import plan
from tests.conftest import assert_close
from tests.tools.strategies import laws, one_by_one, problems, random, renamed, reordered, tiny_problems

both_types = pytest.mark.parametrize("dtype", [np.float64, np.float32])
both_ways = pytest.mark.parametrize("method", ["auto", "alone"], indirect=True)
WORKSPACE = Workspace()


@pytest.fixture(scope="module", params=["auto", "alone", "exact", "log"])
def method(request):
    """The method of ctc_loss; "alone" is "auto" with short sequences one at a time, not in eight lanes."""
    before = plan.SHORT
    if request.param == "alone":
        plan.SHORT = 0
    yield "auto" if request.param == "alone" else request.param
    plan.SHORT = before


def solve(problem, method="auto", **options):
    logits, targets, lengths, blank = problem
    return ctc_loss(logits, targets, lengths, blank=blank, method=method, infeasible="inf", **options)


def assert_same_bits(result, expected, order=slice(None)):
    """`result` has the same bits as `expected` with its sequences in this order."""
    assert np.array_equal(result.loss, expected.loss[order])
    assert np.array_equal(result.grad, expected.grad[:, order])
    assert np.array_equal(result.bound, expected.bound[order], equal_nan=True)
    assert np.array_equal(result.exact, expected.exact[order])


@both_ways
@laws
@given(problem=problems())
def test_each_sequence_agrees_with_the_reference(method, problem):
    result = solve(problem, method)
    for n, (logits, target) in enumerate(one_by_one(problem)):
        loss, grad = reference.loss_and_grad(logits, target, problem.blank)
        # The reference's logarithms lose some digits of their own.
        assert_close(result.loss[n], loss, 1e-13 * max(loss, 1), "loss")
        assert_close(result.grad[:len(logits), n], grad, 1e-11, "gradient")


@laws
@given(problem=tiny_problems(fits=False, holes=True))
def test_small_problems_agree_with_the_sum_over_all_paths(method, problem):
    result = solve(problem, method)
    for n, (logits, target) in enumerate(one_by_one(problem)):
        loss, grad = enumeration.loss_and_grad(logits, target, problem.blank)
        assert_close(result.loss[n], loss, 1e-13 * min(max(loss, 1), 1e6), "loss")
        assert_close(result.grad[:len(logits), n], grad, 1e-12, "gradient")


@both_types
@laws
@given(problem=problems(fits=False, holes=True), random=random)
def test_permuting_the_batch_permutes_the_result(method, dtype, problem, random):
    problem = problem._replace(logits=problem.logits.astype(dtype))
    order = list(range(len(problem.targets)))
    random.shuffle(order)
    assert_same_bits(solve(reordered(problem, order), method), solve(problem, method), order)


@both_types
@laws
@given(problem=problems(most_sequences=11, fits=False, holes=True), random=random)
def test_splitting_the_batch_changes_no_bit(method, dtype, problem, random):
    """So appending sequences changes none either: each part is a batch to which the others are appended."""
    problem = problem._replace(logits=problem.logits.astype(dtype))
    order = list(range(len(problem.targets)))
    cut, whole = random.randint(0, len(order)), solve(problem, method)
    for part in (order[:cut], order[cut:]):
        assert_same_bits(solve(reordered(problem, part), method), whole, part)


@both_types
@laws
@given(problem=problems(fits=False, holes=True), frames=st.integers(1, 9),
       filling=st.sampled_from([np.nan, np.inf, -np.inf, 1e30]))
def test_more_padding_changes_no_bit(method, dtype, problem, frames, filling):
    problem = problem._replace(logits=problem.logits.astype(dtype))
    before, T = solve(problem, method), len(problem.logits)
    padding = np.full_like(problem.logits, filling, shape=(frames, *problem.logits.shape[1:]))
    after = solve(problem._replace(logits=np.concatenate([problem.logits, padding])), method)
    assert not after.grad[T:].any()
    assert_same_bits(replace(after, grad=after.grad[:T]), before)


@laws
@given(problem=problems(fits=False, holes=True), classes=st.integers(1, 80))
def test_more_classes_of_probability_0_change_nothing(method, problem, classes):
    before, C = solve(problem, method), problem.logits.shape[2]
    closed = np.full_like(problem.logits, -np.inf, shape=(*problem.logits.shape[:2], classes))
    after = solve(problem._replace(logits=np.concatenate([problem.logits, closed], axis=2)), method)
    # The probabilities of a frame may be added up in another order.
    finite = np.where(np.isfinite(before.loss), before.loss, 0)
    assert_close(after.loss, before.loss, 1e-13 * max(finite.max(initial=0), 1), "loss")
    assert_close(after.grad[:, :, :C], before.grad, 1e-12 if method == "log" else 1e-13, "gradient")
    assert not after.grad[:, :, C:].any()


@both_types
@laws
@given(problem=problems(fits=False, holes=True, whole=True), random=random)
def test_a_constant_added_to_a_frame_changes_no_bit(method, dtype, problem, random):
    most = 10**6 if dtype == np.float64 else 1000
    constants = np.array([[[random.randint(-most, most)] for _ in frame] for frame in problem.logits], dtype)
    problem = problem._replace(logits=problem.logits.astype(dtype))
    shifted = problem._replace(logits=problem.logits + constants)
    assert np.array_equal(shifted.logits - constants, problem.logits), "the addition must be exact"
    assert_same_bits(solve(shifted, method), solve(problem, method))


@laws
@given(problem=problems(), constant=st.floats(-1e3, 1e3))
def test_a_constant_that_rounds_the_logits_changes_the_result_by_as_much(method, problem, constant):
    """Each logit moves by at most 2^-44, and the loss by twice that in each frame."""
    before = solve(problem, method)
    shifted = solve(problem._replace(logits=problem.logits + constant), method)
    moved = 2.0**-44 * 2 * len(problem.logits)
    assert_close(shifted.loss, before.loss, moved + 1e-13 * max(before.loss.max(), 1), "loss")
    assert_close(shifted.grad, before.grad, 2 * moved + 1e-12, "gradient")


@laws
@given(problem=problems(fits=False, holes=True), random=random)
def test_renaming_the_classes_renames_the_gradient(method, problem, random):
    name, other = renamed(problem, random)
    before, after = solve(problem, method), solve(other, method)
    finite = np.where(np.isfinite(before.loss), before.loss, 0)
    assert_close(after.loss, before.loss, 1e-13 * max(finite.max(), 1), "loss")
    assert_close(after.grad[:, :, name], before.grad, 1e-12 if method == "log" else 1e-13, "gradient")


@both_types
@laws
@given(problem=problems(fits=False, holes=True))
def test_losses_are_not_negative_and_gradient_rows_sum_to_0(method, dtype, problem):
    result = solve(problem._replace(logits=problem.logits.astype(dtype)), method)
    assert (result.loss >= 0).all()
    rounding = 1e-14 if dtype == np.float64 and method != "log" else 1e-12 if dtype == np.float64 else 1e-6
    assert_close(result.grad.sum(axis=2), np.zeros(result.grad.shape[:2]), rounding, "row sums")
    assert np.abs(result.grad).max(initial=0.0) <= 1 + rounding
    assert not result.grad[problem.logits == -np.inf].any()


@both_ways
@laws
@given(problem=problems(holes=True))
def test_float32_is_float64_within_its_bound(method, problem):
    """Each emission may be off by (3 + C + |x - max|) 2^-24 of itself, beside what the bound says.

    ln p is then off by the posterior mean of their sum over a path, a posterior by twice that.
    """
    single = problem._replace(logits=problem.logits.astype(np.float32))
    double = single._replace(logits=single.logits.astype(np.float64))
    a, b = solve(single, method), solve(double, method)
    for n, (logits, _) in enumerate(one_by_one(double)):
        if b.loss[n] == np.inf:
            assert a.loss[n] == np.inf and not a.grad[:, n].any()
            continue
        probs, below = np.exp(reference.log_softmax(logits)), logits.max(axis=1, keepdims=True) - logits
        occupancy = np.where(logits > -np.inf, probs - b.grad[:len(logits), n], 0)
        off = (3 + logits.shape[1] + np.where(logits > -np.inf, below, 0)) * 2.0**-24
        emissions, certain = (np.abs(occupancy) * off).sum(), a.bound[n] + b.bound[n]
        assert_close(a.loss[n], b.loss[n], 1.01 * emissions + certain + 1e-15 * b.loss[n], "loss")
        rounding = (probs * (off + 2.0**-22)).max() + 2.0**-24
        assert_close(a.grad[:len(logits), n], b.grad[:len(logits), n], 2.02 * emissions + certain + rounding,
                     "gradient")


@pytest.mark.parametrize("method", ["exact", "log"])
@laws
@given(problem=problems(fits=False, holes=True))
def test_where_float32_is_computed_in_float64_it_is_rounded_once(method, problem):
    single = problem._replace(logits=problem.logits.astype(np.float32))
    a, b = solve(single, method), solve(single._replace(logits=single.logits.astype(np.float64)), method)
    assert np.array_equal(a.loss, b.loss) and np.array_equal(a.grad, b.grad.astype(np.float32))


@both_types
@laws
@given(problem=problems(fits=False, holes=True))
def test_layouts_agree(method, dtype, problem):
    problem = problem._replace(logits=problem.logits.astype(dtype))
    before = solve(problem, method)
    after = solve(problem._replace(logits=problem.logits.transpose(1, 0, 2)), method, layout="NTC")
    assert_same_bits(replace(after, grad=after.grad.transpose(1, 0, 2)), before)
    for n, (logits, target) in enumerate(one_by_one(problem)):
        alone = ctc_loss(logits, target, blank=problem.blank, method=method, infeasible="inf")
        assert alone.loss == before.loss[n] and np.array_equal(alone.grad, before.grad[:len(logits), n])


@both_types
@laws
@given(problem=problems(fits=False, holes=True))
def test_the_policies_agree(method, dtype, problem):
    """A target without a path raises, or has loss inf or 0; the other results agree bit for bit."""
    problem = problem._replace(logits=problem.logits.astype(dtype))
    logits, targets, lengths, blank = problem
    result = solve(problem, method)
    wrong = result.loss == np.inf
    for n, (rows, target) in enumerate(one_by_one(problem)):
        alive = reference.log_likelihood(reference.log_softmax(rows), target, blank) > -np.inf
        assert wrong[n] == (not alive) and not (wrong[n] and result.grad[:, n].any())
    zero = ctc_loss(logits, targets, lengths, blank=blank, method=method, infeasible="zero")
    assert np.array_equal(zero.loss, np.where(wrong, 0, result.loss))
    assert np.array_equal(zero.grad, result.grad)
    if wrong.any():
        with pytest.raises(InfeasibleTargetError) as caught:
            ctc_loss(logits, targets, lengths, blank=blank, method=method)
        assert wrong[caught.value.index]
    right = np.flatnonzero(~wrong)
    others = reordered(problem, right)
    raised = ctc_loss(*others[:3], blank=blank, method=method, infeasible="raise")
    assert_same_bits(raised, result, right)


@laws
@given(problem=problems(fits=False, holes=True))
def test_reductions_are_sums_of_the_losses(method, problem):
    none = solve(problem._replace(logits=np.where(problem.logits > -np.inf, problem.logits, -3.0)), method)
    N, U = len(problem.targets), np.array([max(len(target), 1) for target in problem.targets])
    fits = np.isfinite(none.loss)
    for reduction, weights in {"sum": np.ones(N), "batchmean": np.full(N, 1 / N), "mean": 1 / U / N}.items():
        logits = np.where(problem.logits > -np.inf, problem.logits, -3.0)
        result = ctc_loss(logits, problem.targets, problem.logit_lengths, blank=problem.blank, method=method,
                          infeasible="zero", reduction=reduction)
        right = (weights * np.where(fits, none.loss, 0)).sum()
        assert_close(result.loss, right, 1e-13 * max(right, 1), reduction)
        assert_close(result.grad, none.grad * weights[:, None], 1e-15, f"{reduction} gradient")


@both_types
@laws
@given(problem=problems(fits=False, holes=True), garbage=st.sampled_from([np.nan, np.inf, 7.0]))
def test_workspace_and_out_change_no_bit(method, dtype, problem, garbage):
    problem = problem._replace(logits=problem.logits.astype(dtype))
    before, out = solve(problem, method), np.full_like(problem.logits, garbage)
    result = solve(problem, method, workspace=WORKSPACE, out=out)
    assert result.grad is out
    assert_same_bits(result, before)
