"""The arguments of ctc_loss: forms of input, reductions, padding, infeasible targets, special cases."""

import pickle

import numpy as np
import pytest

from ctc_scratch.ctc import InfeasibleTargetError, ctc_loss, reference
from ctc_scratch.ctc.loss import solve_batch
from tests.conftest import assert_close
from tests.tools import truth

TOY = np.zeros((4, 3))


def test_the_three_forms_of_targets_agree(make_problem):
    problem = make_problem(T=10, N=4, C=5, U=4)
    U = [len(target) for target in problem.targets]
    padded = np.full((4, max(U)), -7)  # the entries after a target are never read
    for n, target in enumerate(problem.targets):
        padded[n, :U[n]] = target
    joined = np.concatenate(problem.targets)
    expected = ctc_loss(problem.logits, problem.targets, problem.logit_lengths)
    for targets in (padded, joined, joined.tolist(), joined.astype(np.uint8)):
        result = ctc_loss(problem.logits, targets, problem.logit_lengths, U)
        assert np.array_equal(result.loss, expected.loss) and np.array_equal(result.grad, expected.grad)


def test_layouts_agree(make_problem):
    problem = make_problem(T=10, N=4, C=5, U=4)
    tnc = ctc_loss(problem.logits, problem.targets, problem.logit_lengths)
    swapped = problem.logits.transpose(1, 0, 2).copy()
    ntc = ctc_loss(swapped, problem.targets, problem.logit_lengths, layout="NTC")
    assert ntc.grad.shape == (4, 10, 5)
    assert np.array_equal(tnc.loss, ntc.loss)
    assert np.array_equal(tnc.grad, ntc.grad.transpose(1, 0, 2))


def test_one_sequence_gives_a_scalar(make_problem):
    problem = make_problem(T=10, N=1, C=5, U=4)
    batch = ctc_loss(problem.logits, problem.targets)
    single = ctc_loss(problem.logits[:, 0], problem.targets[0])
    assert np.ndim(single.loss) == 0 and single.grad.shape == (10, 5)
    assert single.loss == batch.loss[0] and np.array_equal(single.grad, batch.grad[:, 0])
    shorter = ctc_loss(TOY, [1, 2, 2, 2], 2, 1)
    assert_close(shorter.loss, ctc_loss(TOY[:2], [1]).loss, 0, "loss of the first two frames and one label")


def test_reductions_and_their_gradients(make_problem):
    problem = make_problem(T=10, N=4, C=5, U=4)
    problem.targets[1] = problem.targets[1][:0]
    arguments = problem.logits, problem.targets, problem.logit_lengths
    none = ctc_loss(*arguments)
    U = np.array([max(len(target), 1) for target in problem.targets])
    for reduction, weights in {"sum": np.ones(4), "batchmean": np.full(4, 1 / 4), "mean": 1 / U / 4}.items():
        result = ctc_loss(*arguments, reduction=reduction)
        assert np.ndim(result.loss) == 0
        assert_close(result.loss, (none.loss * weights).sum(), 1e-13, reduction)
        assert_close(result.grad, none.grad * weights[:, None], 1e-15, f"{reduction} gradient")


@pytest.mark.parametrize("change", [
    np.asfortranarray, lambda x: x.astype(">f8"), lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    lambda x: x[::-1].copy()[::-1],
], ids=["fortran", "byte-swapped", "strided", "negative strides"])
def test_any_array_in_memory_works_and_is_not_written_to(make_problem, change):
    problem = make_problem(T=6, N=3, C=4, U=3)
    expected = ctc_loss(problem.logits, problem.targets)
    changed = change(problem.logits)
    changed.flags.writeable = False
    result = ctc_loss(changed, problem.targets)
    assert np.array_equal(result.loss, expected.loss) and np.array_equal(result.grad, expected.grad)
    assert np.array_equal(changed, problem.logits)
    assert not np.shares_memory(result.grad, changed)


@pytest.mark.parametrize("given, computed", [
    (np.float16, np.float32), (np.float32, np.float32), (np.int8, np.float64), (np.uint64, np.float64),
])
def test_dtypes(rng, given, computed):
    logits = rng.integers(0, 4, size=(6, 4)).astype(given)
    expected = reference.loss_and_grad(logits.astype(float), [1, 2])
    for method in ("log", "exact", "auto"):
        result = ctc_loss(logits, [1, 2], method=method)
        assert result.grad.dtype == computed
        # States are float64 whatever the dtype; only "auto" has float32 emissions for float32 logits.
        in_float32 = method == "auto" and computed == np.float32
        assert_close(result.loss, expected[0], 1e-6 if in_float32 else 1e-13, f"{method} loss")
        assert_close(result.grad, expected[1], 2e-7 if in_float32 else 1e-7, f"{method} gradient")
    assert_close(ctc_loss(logits.tolist(), [1, 2]).grad, expected[1], 1e-13, "gradient of nested lists")


def test_padding_is_never_read_and_has_gradient_0(make_problem):
    problem = make_problem(T=12, N=5, C=4, U=3)
    problem.logit_lengths[0] = 12
    clean = ctc_loss(problem.logits, problem.targets, problem.logit_lengths)
    poisoned = problem.logits.copy()
    padding = np.arange(12)[:, None] >= problem.logit_lengths
    assert padding.any()
    poisoned[padding] = np.nan
    result = ctc_loss(poisoned, problem.targets, problem.logit_lengths)
    assert np.array_equal(result.loss, clean.loss) and np.array_equal(result.grad, clean.grad)
    assert not result.grad[padding].any()


def test_empty_sequences_targets_and_batches_are_legal():
    assert ctc_loss(np.zeros((0, 3)), []).loss == 0.0  # no frames, no labels: certain
    assert ctc_loss(np.zeros((0, 3)), [1], infeasible="inf").loss == np.inf
    empty = ctc_loss(np.zeros((5, 0, 3)), [])
    assert empty.loss.shape == (0,) and empty.grad.shape == (5, 0, 3)
    for reduction in ("sum", "mean", "batchmean"):
        assert ctc_loss(np.zeros((5, 0, 3)), [], reduction=reduction).loss == 0.0
    blanks_only = ctc_loss(TOY, [])
    assert_close(blanks_only.loss, 4 * np.log(3), 1e-15, "four blanks")
    assert ctc_loss(np.zeros((7, 1)), []).loss == 0.0  # one class: the blank is certain


def test_a_single_path_has_the_softmax_cross_entropy(rng):
    """T = U without repeats leaves one path: loss and gradient have a closed form."""
    logits = rng.standard_normal((4, 5))
    result = ctc_loss(logits, [1, 2, 3, 4])
    log_probs = reference.log_softmax(logits)
    onehot = np.eye(5)[[1, 2, 3, 4]]
    assert_close(result.loss, -(log_probs * onehot).sum(), 1e-14, "loss")
    assert_close(result.grad, np.exp(log_probs) - onehot, 1e-15, "gradient")


@pytest.mark.parametrize("scale", [1e3, -1e3, 1e300])
def test_large_logits_cost_no_accuracy(scale):
    logits = np.zeros((3, 3))
    logits[:, 1] = scale
    result = ctc_loss(logits, [1])
    true = truth.solve(logits, [1])
    assert np.isfinite(result.loss) and result.loss >= 0
    assert_close(result.loss, float(true.loss), 2.3e-16 * float(true.loss), "loss")  # one rounding
    assert_close(result.grad, true.grad, 1e-15, "gradient")


def test_infeasible_by_length():
    batch, targets, lengths = np.zeros((9, 4, 3)), [[1], [2], [], [1, 2, 2, 1, 1]], [9, 9, 9, 6]
    with pytest.raises(InfeasibleTargetError) as caught:
        ctc_loss(batch, targets, lengths)
    assert str(caught.value) == "target 3 needs 7 frames (5 labels + 2 repeats) but has 6"
    error = caught.value
    assert (error.index, error.required, error.available, error.repeats) == (3, 7, 6, 2)
    assert isinstance(error, ValueError) and str(pickle.loads(pickle.dumps(error))) == str(error)
    for policy, value in {"inf": np.inf, "zero": 0.0}.items():
        result = ctc_loss(batch, targets, lengths, infeasible=policy)
        assert result.loss[3] == value and not result.grad[:, 3].any()
        assert np.array_equal(result.loss[:3], ctc_loss(batch[:, :3], targets[:3]).loss)
        total = ctc_loss(batch, targets, lengths, infeasible=policy, reduction="sum").loss
        assert_close(total, result.loss.sum(), 1e-12, "sum")


def test_infeasible_by_minus_inf():
    logits = np.zeros((4, 2, 3))
    logits[:, 1, 2] = -np.inf
    with pytest.raises(InfeasibleTargetError) as caught:
        ctc_loss(logits, [[1, 2], [2, 2]])
    assert str(caught.value) == (
        "target 1 has probability 0: it has 4 frames and needs 3 frames "
        "(2 labels + 1 repeat), but -inf logits close every path"
    )
    assert (caught.value.index, caught.value.required, caught.value.available) == (1, 3, 4)
    result = ctc_loss(logits, [[1, 2], [2, 2]], infeasible="zero")
    assert result.loss[1] == 0 and not result.grad[:, 1].any() and result.grad[:, 0].any()


def test_minus_inf_on_a_class_that_the_target_does_not_use_removes_it(rng):
    logits = rng.standard_normal((5, 3))
    with_dead = np.insert(logits, 2, -np.inf, axis=1)
    result, expected = ctc_loss(with_dead, [1, 3]), ctc_loss(logits, [1, 2])
    assert_close(result.loss, expected.loss, 1e-15, "loss")
    assert_close(np.delete(result.grad, 2, axis=1), expected.grad, 1e-15, "gradient")
    assert not result.grad[:, 2].any()


@pytest.mark.parametrize("method, normalise", [
    ("auto", True), ("auto", False), ("exact", True), ("exact", False),
    pytest.param("log", True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("T, N, C, U, scale", [
    (20, 9, 5, 4, 1.0), (60, 3, 70, 8, 1.0), (200, 3, 40, 90, 1.0), (30, 3, 5, 6, 60.0),
], ids=["side by side", "many classes", "long", "exact"])
def test_the_loss_alone_has_the_same_bits(make_problem, method, normalise, T, N, C, U, scale):
    problem = make_problem(T=T, N=N, C=C, U=U, scale=scale)
    problem.targets[0] = np.ones(T, int)  # has no path
    problem.targets[1] = np.array([1])  # is nearly certain
    problem.logits[:, 1, 1] += 300.0
    both, alone = (solve_batch(problem.logits, problem.targets, problem.logit_lengths, None, blank=0,
                               reduction="none", infeasible="inf", method=method, normalise=normalise,
                               want_grad=wanted) for wanted in (True, False))
    assert both.grad.any() and alone.grad.shape == (0, C)
    for field in ("loss", "bound", "exact"):
        np.testing.assert_array_equal(getattr(alone, field), getattr(both, field))
    assert alone.loss[0] == np.inf and np.isfinite(alone.loss[1:]).all()
    assert alone.exact[2:].any() == (method == "exact" or (method == "auto" and scale > 1))
