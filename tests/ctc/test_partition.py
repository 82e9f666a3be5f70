"""`log_partition` of batches: against the definition, against single sequences, and its arguments.

Its laws, such as that of a constant in a frame, are in tests/ctc/paths/test_lattice_laws.py.
"""

import itertools

import numba
import numpy as np
import pytest

from ctc_scratch.ctc import Workspace, ctc_loss, enumeration, extend, log_partition, set_num_threads
from ctc_scratch.ctc.running import solver, threads
from tests.conftest import assert_close
from tests.ctc.small_problems import LABELLINGS

every_method = pytest.mark.parametrize("method", ["auto", "exact"])
both_types = pytest.mark.parametrize("dtype", [np.float64, np.float32])

SHAPES = {  # the ways through the kernels; the second is that of many classes
    "few classes": dict(T=19, N=6, C=5, U=6),
    "columns": dict(T=12, N=5, C=90, U=5),
    "dense": dict(T=37, N=3, C=40, U=12),
}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def both(*arguments, **options):
    """log_z, gamma and occupancy, from the two calls that return them."""
    result = log_partition(*arguments, **options)
    other = log_partition(*arguments, want="occupancy", **options)
    assert np.array_equal(result.log_z, other.log_z)
    assert result.occupancy is None and other.gamma is None
    return result.log_z, result.gamma, other.occupancy


def with_special_cases(problem, rng):
    """The problem with -inf scores, a target that is too long, one that -inf forbids, and T = U = 0."""
    logits, targets, lengths, blank = problem
    targets, lengths, C = list(targets), lengths.copy(), logits.shape[2]
    logits[rng.random(logits.shape) < 0.05] = -np.inf
    logits[:, :, blank] = 0.5
    label = (blank + 1) % C
    targets[0], lengths[0] = np.array([label, label]), 2
    targets[1], lengths[1] = np.array([label]), len(logits)
    logits[:, 1, label] = -np.inf
    targets[2], lengths[2] = np.zeros(0, int), 0
    return logits, targets, lengths


# ---- the definition


@every_method
@pytest.mark.parametrize("T", range(6))
@pytest.mark.parametrize("C", [1, 2, 3])
def test_all_tiny_problems_equal_enumeration(rng, method, T, C):
    """A batch of all labellings of up to 3 labels with any blank; ragged, with -inf scores."""
    kinds = set()
    for blank in range(C):
        targets = [[(c + blank) % C for c in labels] for labels in LABELLINGS[C]]
        N = len(targets)
        lengths = rng.integers(0, T + 1, N)
        lengths[::2] = T
        scores = 5 * rng.standard_normal((T, N, C)) + 3
        scores[rng.random(scores.shape) < 0.2] = -np.inf
        np.put_along_axis(scores, rng.integers(C, size=(T, N, 1)), 0.5, axis=2)  # a frame keeps one class
        log_z, gamma, occupancy = both(scores, targets, lengths, blank=blank, method=method)
        assert gamma.shape == (T, N, 2 * max(map(len, targets)) + 1) and occupancy.shape == scores.shape
        for n, (target, own) in enumerate(zip(targets, lengths)):
            x, S, what = scores[:own, n], 2 * len(target) + 1, f"of {target}, sequence {n}"
            right = enumeration.log_likelihood(x, target, blank)
            size = max(1, abs(right)) if right > -np.inf else 0
            assert_close(log_z[n], right, 1e-13 * size, f"log_z {what}")
            right_gamma, right_occupancy = np.zeros(gamma.shape[::2]), np.zeros((T, C))
            if right > -np.inf:
                right_gamma[:own, :S] = enumeration.gamma(x, target, blank)
                right_occupancy[:own] = enumeration.occupancy(x, target, blank)
            assert_close(gamma[:, n], right_gamma, 1e-13, f"gamma {what}")
            assert_close(occupancy[:, n], right_occupancy, 1e-13, f"occupancy {what}")
            assert not gamma[own:, n].any() and not gamma[:, n, S:].any() and not occupancy[own:, n].any()
            kinds.add(right > -np.inf)
    assert T == 0 or C == 1 or kinds == {True, False}, "feasible and infeasible targets must both be drawn"


@every_method
@pytest.mark.parametrize("C, U", [(3, 2), (9, 3), (30, 2)], ids=["few classes", "dense", "columns"])
def test_the_occupancy_is_the_derivative_of_log_z(rng, method, C, U):
    T, step, lengths = 10, 1e-5, [10, 7]
    scores, targets = rng.standard_normal((T, 2, C)), rng.integers(1, C, (2, U))
    scores[3, :, 2] = -np.inf
    occupancy = log_partition(scores, targets, lengths, method=method, want="occupancy").occupancy
    for t, c in itertools.product(range(T), {0, 1, 2, C - 1, *targets.ravel().tolist()}):
        above, below = scores.copy(), scores.copy()
        above[t, :, c] += step
        below[t, :, c] -= step
        slope = [log_partition(x, targets, lengths, method=method).log_z for x in (above, below)]
        assert_close(occupancy[t, :, c], (slope[0] - slope[1]) / (2 * step), 1e-9, f"occupancy at {t, c}")


@both_types
@every_shape
def test_the_occupancy_is_gamma_summed_over_the_states_of_a_class(make_problem, shape, dtype):
    logits, targets, lengths, blank = make_problem(**shape, blank=2, dtype=dtype)
    for method in ("auto", "exact"):
        _, gamma, occupancy = both(logits, targets, lengths, blank=blank, method=method)
        expected = np.zeros(logits.shape)
        for n, target in enumerate(targets):
            np.add.at(expected[:, n].T, extend(target, blank), gamma[:, n, :2 * len(target) + 1].T)
        assert occupancy.dtype == dtype and gamma.dtype == np.float64
        assert_close(occupancy, expected, 1e-14 if dtype == np.float64 else 1e-7, f"{method}: occupancy")
        assert not np.signbit(occupancy).any(), "no zero is negative"


@pytest.mark.slow
def test_the_occupancy_of_very_many_classes_has_nothing_of_a_softmax(rng):
    """`ctc_loss` writes a gradient of this size past the cache."""
    scores, labels = rng.standard_normal((300, 5003)).astype(np.float32), rng.integers(1, 5003, 20)
    result, exact = (log_partition(scores, labels, want="occupancy", method=m) for m in ("auto", "exact"))
    assert_close(result.occupancy, exact.occupancy, 1e-5, "occupancy")
    assert np.count_nonzero(result.occupancy) <= 300 * 21


# ---- a batch has the bits of its sequences


@every_method
@both_types
@every_shape
def test_a_batch_has_the_bits_of_its_sequences(make_problem, rng, shape, dtype, method):
    problem = make_problem(**shape, scale=2, blank=3, dtype=dtype)
    logits, targets, lengths = with_special_cases(problem, rng)
    U = [len(target) for target in targets]
    padding = np.arange(len(logits))[:, None] >= lengths
    logits[padding] = np.nan  # may hold anything
    log_z, gamma, occupancy = both(logits, targets, lengths, blank=3, method=method)
    assert log_z.shape == (len(U),) and gamma.shape == (*logits.shape[:2], 2 * max(U) + 1)
    assert occupancy.shape == logits.shape and occupancy.dtype == dtype
    assert log_z[:3].tolist() == [-np.inf, -np.inf, 0.0] and not np.signbit(log_z[2])
    assert np.isfinite(log_z[3:]).all()
    assert not gamma[:, :3].any() and not occupancy[:, :3].any()
    assert not gamma[padding].any() and not occupancy[padding].any()
    for n, (target, T) in enumerate(zip(targets, lengths)):
        one = both(np.ascontiguousarray(logits[:T, n]), target, blank=3, method=method)
        assert np.ndim(one[0]) == 0 and one[0] == log_z[n]
        assert one[1].shape == (T, 2 * U[n] + 1) and np.array_equal(one[1], gamma[:T, n, :2 * U[n] + 1])
        assert not gamma[:, n, 2 * U[n] + 1:].any()
        assert np.array_equal(one[2], occupancy[:T, n])


@every_shape
def test_forms_of_targets_and_layouts_agree_to_the_bit(make_problem, rng, shape):
    logits, targets, lengths = with_special_cases(make_problem(**shape), rng)
    expected = both(logits, targets, lengths)
    U = [len(target) for target in targets]
    padded = np.full((len(U), max(U) + 2), -7)  # the entries after a target are never read
    for n, target in enumerate(targets):
        padded[n, :U[n]] = target
    for given, target_lengths in ((padded, U), (np.concatenate(targets), U), (targets, U), (targets, None)):
        for x in (logits.swapaxes(0, 1), logits.swapaxes(0, 1).copy()):
            log_z, gamma, occupancy = both(x, given, lengths, target_lengths, layout="NTC")
            assert gamma.flags.c_contiguous and occupancy.flags.c_contiguous
            assert np.array_equal(log_z, expected[0])
            assert np.array_equal(gamma.swapaxes(0, 1), expected[1])
            assert np.array_equal(occupancy.swapaxes(0, 1), expected[2])
        assert all(map(np.array_equal, both(logits, given, lengths, target_lengths), expected))


@every_method
def test_threads_workspace_and_checkpoints_change_no_bit(make_problem, monkeypatch, method):
    N = 3 if numba.config.DISABLE_JIT else 30
    logits, targets, lengths, _ = make_problem(T=230, N=N, C=6, U=30)
    expected, workspace = both(logits, targets, lengths, method=method), Workspace()
    ctc_loss(logits, targets, lengths, workspace=workspace)
    before = threads.get_num_threads()
    try:
        for count in (1, 3):
            set_num_threads(count)
            again = both(logits, targets, lengths, method=method, workspace=workspace)
            assert all(map(np.array_equal, again, expected))
    finally:
        set_num_threads(before)
    monkeypatch.setattr(solver, "BUDGET", 1)  # beta is kept for a segment of the frames
    assert all(map(np.array_equal, both(logits, targets, lengths, method=method), expected))


# ---- arguments and special cases


def test_one_sequence_may_have_lengths(rng):
    scores = rng.standard_normal((9, 4))
    expected = both(scores[:7], [1, 2, 2])
    for layout in ("TNC", "NTC"):
        log_z, gamma, occupancy = both(scores, [1, 2, 2, 3], 7, 3, layout=layout)
        assert log_z == expected[0] and gamma.shape == (9, 7) and occupancy.shape == (9, 4)
        assert np.array_equal(gamma[:7], expected[1]) and not gamma[7:].any()
        assert np.array_equal(occupancy[:7], expected[2]) and not occupancy[7:].any()


def test_empty_sequences_targets_and_batches_are_legal():
    log_z, gamma, occupancy = both(np.zeros((0, 3)), [])
    assert log_z == 0 and not np.signbit(log_z) and gamma.shape == (0, 1) and occupancy.shape == (0, 3)
    log_z, gamma, occupancy = both(np.zeros((0, 2, 3)), [[], [1]])
    assert log_z.tolist() == [0, -np.inf] and gamma.shape == (0, 2, 3) and occupancy.shape == (0, 2, 3)
    for layout, frames in (("TNC", (5, 0)), ("NTC", (0, 5))):
        log_z, gamma, occupancy = both(np.zeros((*frames, 3)), [], layout=layout)
        assert log_z.shape == (0,) and gamma.shape == (*frames, 1) and occupancy.shape == (*frames, 3)
    log_z, gamma, occupancy = both(np.full((4, 1, 1), -2.5), [[]])
    assert log_z.tolist() == [-10] and gamma.tolist() == occupancy.tolist() == [[[1]]] * 4


@pytest.mark.parametrize("given, computed", [
    (np.float16, np.float32), (np.float32, np.float32), (np.int8, np.float64), (np.uint64, np.float64),
])
def test_dtypes(rng, given, computed):
    scores, targets = rng.integers(0, 4, size=(6, 2, 4)).astype(given), [[1, 2], [3]]
    expected = both(scores.astype(float), targets, method="exact")
    for method in ("auto", "exact"):
        log_z, gamma, occupancy = both(scores, targets, method=method)
        assert (log_z.dtype, gamma.dtype, occupancy.dtype) == (np.float64, np.float64, computed)
        off = 1e-6 if method == "auto" and computed == np.float32 else 1e-13
        assert_close(log_z, expected[0], off, "log_z")
        assert_close(gamma, expected[1], off, "gamma")
        assert_close(occupancy, expected[2], 1e-6 if computed == np.float32 else 1e-13, "occupancy")


def test_scores_are_not_written_to(rng):
    scores = rng.standard_normal((6, 2, 4))
    before = scores.copy()
    assert not np.shares_memory(both(scores, [[1, 2], [3]])[2], scores)
    assert np.array_equal(scores, before)


@pytest.mark.parametrize("options, error, message", [
    (dict(want="loss"), ValueError, "^want must be 'gamma' or 'occupancy', got 'loss'$"),
    (dict(want=None), ValueError, "^want must be 'gamma' or 'occupancy', got None$"),
    (dict(method="log"), ValueError, "^method must be 'auto' or 'exact', got 'log'$"),
    (dict(layout="TCN"), ValueError, "^layout must be 'TNC' or 'NTC', got 'TCN'$"),
    (dict(workspace=3), TypeError, "^workspace must be a Workspace, got 3$"),
    (dict(blank=3), ValueError, r"^blank is 3, but .* 0\.\.2$"),
    (dict(logit_lengths=[4, 5]), ValueError, r"^logit_lengths\[1\] is 5, "),
    (dict(target_lengths=[1, 2]), ValueError, r"^target_lengths\[1\] is 2, target 1 holds 1 values$"),
    (dict(target=[[1]]), ValueError, "^1 targets for a batch of 2; "),
    (dict(target=[[1], [0]]), ValueError, r"^targets\[1\]\[0\] is 0, the blank"),
    (dict(scores=np.full((4, 2, 3), np.nan)), ValueError, r"^scores\[t=0, n=0, c=0\] is nan; "),
    (dict(scores=np.zeros(4)), ValueError, r"^scores must have shape \(T, N, C\) or \(T, C\), got \(4,\)$"),
], ids=lambda value: next(iter(value)) if isinstance(value, dict) else "")
def test_bad_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        log_partition(**{"scores": np.zeros((4, 2, 3)), "target": [[1], [2]], **options})


def test_a_result_fits_a_line():
    zeros = np.zeros((4, 9, 3), np.float32)
    assert repr(log_partition(zeros[:, 0], [1, 2])) == "LogPartition(log_z=2.70805, gamma=float64 (4, 5))"
    assert repr(log_partition(zeros, [[1, 2]] * 9, want="occupancy")) == (
        "LogPartition(log_z=[2.70805, 2.70805, ..., 2.70805, 2.70805], occupancy=float32 (4, 9, 3))")
