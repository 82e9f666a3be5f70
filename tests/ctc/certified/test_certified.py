"""The certified kernel on adversarial inputs: the bracket contains the truth, and the answers are right."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ctc_scratch.ctc import Workspace, certified, ctc_loss, log_partition, set_num_threads
from ctc_scratch.ctc.certified import emissions
from ctc_scratch.ctc.inputs.targets import check_targets
from ctc_scratch.ctc.inputs.values import check_logits
from ctc_scratch.ctc.labels import extend, min_frames
from ctc_scratch.ctc.running import solver, threads
from tests.conftest import assert_close
from tests.tools import truth

EPS = 2.0**-53


def adversarial(rng):
    """Yield (name, logits, labels) that break rescaled or log-space CTC, small enough for the truth."""
    for scale in (1, 5, 20, 100, 1e3, 1e4):
        for T, C, U in ((12, 4, 3), (40, 3, 12), (60, 12, 8), (80, 5, 30)):
            logits = scale * rng.standard_normal((T, C))
            labels = rng.integers(1, C, U)
            while min_frames(labels) > T:
                labels = labels[:-1]
            yield f"scale {scale:g}, T={T}, U={len(labels)}", logits, labels
    for U in (1, 6, 20):
        labels = np.repeat(1 + np.arange(U) % 3, rng.integers(1, 3, U))
        yield f"tight fit, U={len(labels)}", 10 * rng.standard_normal((min_frames(labels), 4)), labels
    for T in (30, 60):
        logits = 3 * rng.standard_normal((T, 4))
        logits[rng.random((T, 4)) < 0.3] = -np.inf
        logits[:, 0] = 0.0
        yield f"-inf entries, T={T}", logits, [1, 2, 2, 3]
    for late in (1e-30, 1e-60, 1e-200):  # likely at first, later all but impossible
        probs = np.full((60, 3), 1e-4)
        probs[30:, 1:] = late
        probs[:, 0] = 1 - probs[:, 1:].sum(axis=1)
        yield f"late cliff, {late:g}", np.log(probs), 1 + np.arange(24) % 2


def bracket(logits, labels):
    """Loss, gap, gradient and gamma of the certified kernel alone, whatever its gap."""
    frames = check_logits(np.array(logits))
    packed = check_targets(np.array(labels, dtype=int), None, frames, 0)
    (T, C), S = frames.rows.shape, 2 * len(labels) + 1
    grad, losses, gaps, gamma = np.zeros((T, C)), np.zeros(1), np.zeros(1), np.zeros((T, S))
    group = np.zeros((1, 1), int)
    room = certified.workspace_size(T, len(labels), C, 1, solver.BUDGET)
    with np.errstate(over="ignore", invalid="ignore"):  # plain Python warns; the solver ignores that, too
        certified.solve_groups(
            group, np.zeros(2, int), (0,), frames.rows, frames.tops, T, 1, frames.lengths,
            packed.labels, packed.offsets, 0, np.ones(1), True, solver.BUDGET, np.zeros(room), grad, gamma,
            losses, gaps,
        )
    return losses[0], gaps[0], grad, gamma


def test_the_bracket_contains_the_truth(rng):
    """The loss within ln(Z_up / Z_low), each gamma within (Z_up - Z_low) / Z_low, however wide that is."""
    widths = []
    for name, logits, labels in adversarial(rng):
        loss, gap, grad, gamma = bracket(logits, labels)
        true = truth.solve(logits, labels)
        rounding = 16 * len(logits) * EPS
        widths.append(gap)
        if gap == np.inf or not np.isfinite(float(true.loss)):
            continue
        # The loss is -ln Z_up, so apart from rounding it can only be too small.
        assert float(true.loss) - loss <= np.log1p(gap) + rounding * max(1, loss), (name, gap)
        assert loss - float(true.loss) <= rounding * max(1, loss), (name, gap)
        assert_close(gamma, true.gamma, gap + rounding, f"{name}: gap {gap:.1e}, gamma")
        assert_close(grad, true.grad, gap + rounding, f"{name}: gap {gap:.1e}, gradient")
    widths = np.array(widths)
    assert (widths < 1e-12).sum() > 10, "most brackets must be narrow"
    assert (widths > 1e-6).any(), "some brackets must be wide, or this test proves little"


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
    assert result.exact
    assert f"{result.loss:.1f}" == "1271.8"
    assert result.loss == exact.loss and np.array_equal(result.grad, exact.grad)


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
    with pytest.raises(ValueError, match=r"scores must have shape \(T, C\)"):
        log_partition(np.zeros((2, 1, 3)), [[1]])


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


@pytest.mark.parametrize("dtype, ulp", [(np.float32, 2.0**-24), (np.float64, 2.0**-53)])
def test_exp_is_within_two_roundings(dtype, ulp):
    x = -np.linspace(0, 80, 100_001).astype(dtype)
    out = np.empty_like(x)
    emissions.row_exp(x[None], 0, dtype(0), out, x[None], -1, out, dtype(0))
    worst = np.abs(out / np.exp(x.astype(np.longdouble)) - 1).max()
    assert worst <= 2 * ulp, f"{float(worst / ulp):.2f} roundings"
    with np.errstate(invalid="ignore"):  # plain Python warns
        rows = np.full((1, 9), -np.inf, dtype)
        emissions.row_exp(rows, 0, dtype(0), out[:9], rows, -1, out[:9], dtype(0))
    assert not out[:9].any()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gradient_too_large_for_the_cache_is_written_completely_and_nothing_else(dtype, rng):
    """Rows of 5003 classes begin at every memory alignment; the numbers around the array must not change."""
    T, C = 300, 5003
    assert T * C * np.dtype(dtype).itemsize > emissions.PAST_CACHE
    logits, labels = rng.standard_normal((T, C)).astype(dtype), rng.integers(1, C, 20)
    expected = ctc_loss(logits, labels, method="exact").grad
    for offset in (0, 1, 5):
        memory = np.full(T * C + 16, 7.5, dtype)
        out = memory[offset:offset + T * C].reshape(T, C)
        result = ctc_loss(logits, labels, out=out)
        assert not result.exact
        assert_close(out, expected, 1e-6 if dtype == np.float32 else 1e-12, "gradient past the cache")
        assert (memory[:offset] == 7.5).all() and (memory[offset + T * C:] == 7.5).all()


@pytest.mark.slow
def test_long_float32_sequences_stay_accurate(rng):
    """T = 20 000, against float64 log space: torch's float32 gradient is off by 1.57 at U = 200."""
    logits = rng.standard_normal((20_000, 30)).astype(np.float32)
    for U in (200, 1000):
        labels = rng.integers(1, 30, U)
        result, expected = ctc_loss(logits, labels), ctc_loss(logits, labels, method="log")
        assert_close(result.grad, expected.grad, 1e-4, f"gradient of U={U}")
        assert abs(result.loss / expected.loss - 1) < 1e-7
