"""The certified kernels on adversarial inputs: the bounds contain the truth, and the answers are right."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ctc_scratch.ctc import Workspace, ctc_loss, log_partition, set_num_threads
from ctc_scratch.ctc.labels import extend
from ctc_scratch.ctc.running import solver, threads
from tests.conftest import assert_close
from tests.ctc.certified.adversarial import adversarial
from tests.ctc.certified.unjudged import by_banded, by_lanes
from tests.tools import truth

EPS = 2.0**-53


@pytest.mark.parametrize("kernel", [by_banded, by_lanes])
def test_the_bounds_contain_the_truth(rng, kernel):
    """The loss within ln(1 + gap), gradient and gamma within the gap, which may be wide, but not negative."""
    gaps = []
    for name, logits, labels in adversarial(rng):
        loss, gap, grad, gamma = kernel(logits, labels)
        true = truth.solve(logits, labels)
        rounding = 16 * len(logits) * EPS
        gaps.append(gap)
        assert gap >= -rounding, (name, gap)
        if gap == np.inf or not np.isfinite(float(true.loss)):
            continue
        # The loss is -ln Z_up, so apart from rounding it can only be too small.
        assert float(true.loss) - loss <= np.log1p(gap) + rounding * max(1, loss), (name, gap)
        assert loss - float(true.loss) <= rounding * max(1, loss), (name, gap)
        assert_close(grad, true.grad, gap + rounding, f"{name}: gap {gap:.1e}, gradient")
        if kernel is by_banded:
            assert_close(gamma, true.gamma, gap + rounding, f"{name}: gap {gap:.1e}, gamma")
    gaps = np.array(gaps)
    assert (gaps < 1e-12).sum() > 10, "most gaps must be narrow"
    assert (gaps > 1e-6).any(), "some gaps must be wide, or this test proves little"


def test_every_answer_is_right_and_within_its_bound(rng):
    fallbacks = 0
    for name, logits, labels in adversarial(rng):
        true = truth.solve(logits, labels)
        if not np.isfinite(float(true.loss)):
            continue
        result = ctc_loss(logits, labels)
        loss = float(true.loss)
        fallbacks += result.exact
        assert result.loss >= 0 and np.isfinite(result.grad).all()
        assert abs(result.loss - loss) <= 1e-12 * loss, (name, result.loss, loss)
        assert_close(result.grad, true.grad, 1e-12, f"{name}: gradient")
        assert_close(result.grad, true.grad, result.bound + 2 * EPS, f"{name}: gradient, by its bound")
    assert fallbacks > 0, "some of these must need the exact kernel"


def test_the_published_counterexample():
    """Rescaling returns 4487.7 nats here if it skips states that cannot finish, else inf."""
    probs = np.full((400, 3), 1e-4)
    probs[200:, 1:] = 1e-30
    probs[:, 0] = 1 - probs[:, 1:].sum(axis=1)
    result = ctc_loss(np.log(probs), 1 + np.arange(150) % 2)
    exact = ctc_loss(np.log(probs), 1 + np.arange(150) % 2, method="exact")
    assert not result.exact and exact.exact
    assert f"{result.loss:.1f}" == f"{exact.loss:.1f}" == "1271.8"
    assert_close(result.loss / exact.loss, 1.0, 1e-12, "relative loss")
    assert_close(result.grad, exact.grad, 1e-12, "gradient")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [dict(T=30, N=19, C=9, U=6), dict(T=200, N=9, C=12, U=60),
                                   dict(T=40, N=11, C=300, U=9)], ids=["lanes", "long", "wide"])
def test_the_bits_do_not_depend_on_batch_or_threads(make_problem, dtype, shape):
    problem = make_problem(**shape, dtype=dtype, scale=3)
    logits, targets, lengths, _ = problem
    whole = ctc_loss(logits, targets, lengths)
    assert not whole.exact.all()
    before = threads.get_num_threads()
    try:
        for count in (1, 2, 3):
            set_num_threads(count)
            again = ctc_loss(logits, targets, lengths)
            assert np.array_equal(again.loss, whole.loss) and np.array_equal(again.grad, whole.grad)
            assert np.array_equal(again.bound, whole.bound)
    finally:
        set_num_threads(before)
    for order in (slice(0, 1), slice(2, 5), slice(None, None, -1)):
        part = ctc_loss(logits[:, order], targets[order], lengths[order])
        assert np.array_equal(part.loss, whole.loss[order]) and np.array_equal(part.bound, whole.bound[order])
        assert np.array_equal(part.grad, whole.grad[:, order])


@pytest.mark.parametrize("ragged", [False, True], ids=["even", "ragged"])
@pytest.mark.parametrize("shape", [dict(T=57, N=9, C=6, U=12), dict(T=900, N=2, C=6, U=80)],
                         ids=["lanes", "long"])
def test_checkpoints_change_no_bit(make_problem, monkeypatch, shape, ragged):
    logits, targets, lengths, _ = make_problem(**shape, ragged=ragged)
    results = []
    for budget in (2**24, 1):
        monkeypatch.setattr(solver, "BUDGET", budget)
        results.append(ctc_loss(logits, targets, lengths))
    for one, other in zip(*(vars(result).values() for result in results)):
        assert np.array_equal(one, other)


def test_a_sequence_that_ends_early_has_the_same_bound_as_by_itself(rng):
    """The longer sequence makes the kernel keep alpha in segments, and compute the earlier ones again."""
    logits = rng.standard_normal((1500, 2, 10)).astype(np.float32)
    targets = [[1, 2], rng.integers(1, 10, 60)]
    beside = ctc_loss(logits, targets, [1500, 130])
    alone = ctc_loss(logits[:130, 1:], targets[1:])
    assert not beside.exact.any()
    assert beside.loss[1] == alone.loss[0] and beside.bound[1] == alone.bound[0]
    assert np.array_equal(beside.grad[:130, 1:], alone.grad)


def test_methods_agree_and_report_which_kernel_answered(make_problem):
    problem = make_problem(T=40, N=6, C=7, U=8)
    arguments = problem.logits, problem.targets, problem.logit_lengths
    auto, exact, log = (ctc_loss(*arguments, method=method) for method in ("auto", "exact", "log"))
    for result, flags in ((auto, [False] * 6), (exact, [True] * 6), (log, [False] * 6)):
        assert result.exact.tolist() == flags
        assert_close(result.loss, exact.loss, 1e-13 * exact.loss.max(), "loss")
        assert_close(result.grad, exact.grad, 1e-13, "gradient")
    assert np.isnan(log.bound).all()
    assert ((0 < auto.bound) & (auto.bound < 1e-12)).all()
    single = ctc_loss(problem.logits[:, 0], problem.targets[0])
    assert np.ndim(single.bound) == np.ndim(single.exact) == 0


def test_nearly_certain_targets_keep_their_relative_accuracy():
    for loss in (1e-3, 1e-9, 1e-100):
        logits = np.zeros((3, 3))
        logits[:, 1] = -np.log(np.expm1(loss / 3) / 2)  # so that -ln y is loss / 3 in each frame
        result = ctc_loss(logits[:1], [1])
        assert_close(result.loss * 3 / loss, 1.0, 1e-13, f"loss {loss}")


def test_workspace_and_out_change_no_bit(make_problem):
    workspace = Workspace()
    for shape in (dict(T=30, N=5, C=9, U=6), dict(T=80, N=3, C=9, U=30), dict(T=9, N=2, C=4, U=2)):
        logits, targets, lengths, _ = make_problem(**shape)
        targets[0] = np.array([1] * (shape["T"] // 2 + 1))  # does not fit
        fresh = ctc_loss(logits, targets, lengths, infeasible="zero")
        out = np.full_like(logits, np.nan)
        result = ctc_loss(logits, targets, lengths, infeasible="zero", workspace=workspace, out=out)
        assert result.grad is out
        assert np.array_equal(out, fresh.grad) and np.array_equal(result.loss, fresh.loss)


def test_a_workspace_prefers_the_memory_that_a_thread_had_before():
    workspace = Workspace()

    def use():
        numbers = workspace._take(10)
        workspace._give(numbers)
        return numbers

    mine = workspace._take(10)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(use).result()
        workspace._give(mine)
        assert pool.submit(use).result() is other and use() is mine
    workspace._take(10)
    assert use() is other  # of a thread that has ended
    assert len(workspace._take(11)) == 11


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e300])
def test_what_the_workspace_held_before_is_never_read(make_problem, garbage):
    for T in (12, 400):  # 400 frames are enough for states to be rescaled
        logits, targets, lengths, _ = make_problem(T=T, N=11, C=9, U=6, scale=3)
        fresh = ctc_loss(logits, targets, lengths, workspace=_held(0.0))
        result = ctc_loss(logits, targets, lengths, workspace=_held(garbage))
        assert np.array_equal(result.loss, fresh.loss) and np.array_equal(result.grad, fresh.grad)
        assert np.array_equal(result.bound, fresh.bound) and np.array_equal(result.exact, fresh.exact)
        assert not result.exact.all()


def _held(value):
    """A workspace whose free arrays are full of this value."""
    workspace = Workspace()
    workspace._free.update((thread, np.full(500_000, value)) for thread in range(4))
    return workspace


def test_log_partition_is_the_sum_without_a_softmax(rng):
    for scale in (1, 30):
        for labels in ([], [1], [1, 1, 2]):
            scores = scale * rng.standard_normal((9, 4))
            scores[3, 2] = -np.inf
            true = truth.solve(scores, labels, normalise=False)
            for method in ("auto", "exact"):
                result = log_partition(scores, labels, method=method)
                assert_close(result.log_z, -float(true.loss), 1e-12 * max(1, abs(float(true.loss))), "log_z")
                assert_close(result.gamma, true.gamma, 1e-12, "gamma")
    nothing = log_partition(np.zeros((2, 3)), [1, 1])
    assert nothing.log_z == -np.inf and not nothing.gamma.any()


def test_log_partition_of_adversarial_scores_and_of_the_same_backwards(rng):
    """A batch of two, of which the exact kernel has to solve some; backwards, gamma is reversed."""
    fallbacks = 0
    for name, scores, labels in adversarial(rng):
        batch, targets = np.stack([scores, scores[::-1]], axis=1), [labels, labels[::-1]]
        auto, exact = (log_partition(batch, targets, method=method) for method in ("auto", "exact"))
        occupancy = log_partition(batch, targets, want="occupancy").occupancy
        expected = np.zeros_like(batch)
        for n, target in enumerate(targets):
            np.add.at(expected[:, n].T, extend(target), exact.gamma[:, n].T)
        fallbacks += not by_banded(scores, labels, normalise=False).gap < 1e-12
        size = np.maximum(1, np.abs(exact.log_z))
        assert_close(auto.log_z / size, exact.log_z / size, 1e-12, f"{name}: log_z")
        assert_close(auto.gamma, exact.gamma, 1e-12, f"{name}: gamma")
        assert_close(auto.gamma[::-1, 1, ::-1], exact.gamma[:, 0], 1e-12, f"{name}: gamma, backwards")
        assert_close(occupancy, expected, 1e-12, f"{name}: occupancy")
    assert fallbacks > 0, "some of these must need the exact kernel"


def test_the_loss_is_a_difference_of_two_log_partitions(rng):
    """loss = ln Z of all paths - ln Z of the alignments, and its gradient from gamma."""
    logits, labels = rng.standard_normal((9, 4)), [2, 2, 1]
    result, loss = log_partition(logits, labels), ctc_loss(logits, labels)
    everything = np.logaddexp.reduce(logits, axis=1)
    assert_close(everything.sum() - result.log_z, loss.loss, 1e-13, "loss")
    occupancy = np.zeros((9, 4))
    np.add.at(occupancy.T, extend(labels), result.gamma.T)
    assert_close(np.exp(logits - everything[:, None]) - occupancy, loss.grad, 1e-14, "gradient")


def test_minus_inf_classes_have_gradient_exactly_0(rng):
    for dtype in (np.float32, np.float64):
        logits = rng.standard_normal((40, 2, 6)).astype(dtype)
        logits[rng.random((40, 2, 6)) < 0.2] = -np.inf
        logits[:, :, 0] = 1.0
        result = ctc_loss(logits, [[1, 2, 2], [3]])
        assert not result.grad[logits == -np.inf].any()
        assert np.isfinite(result.loss).all() and result.grad.any()


@pytest.mark.slow
def test_long_float32_sequences_stay_accurate(rng):
    """T = 20 000, against float64 log space: torch's float32 gradient is off by 1.57 at U = 200."""
    logits = rng.standard_normal((20_000, 30)).astype(np.float32)
    for U in (200, 1000):
        labels = rng.integers(1, 30, U)
        result, expected = ctc_loss(logits, labels), ctc_loss(logits, labels, method="log")
        assert_close(result.grad, expected.grad, 1e-4, f"gradient of U={U}")
        assert abs(result.loss / expected.loss - 1) < 1e-7
