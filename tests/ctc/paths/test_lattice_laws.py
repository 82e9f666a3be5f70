"""Laws of log_partition, lattice and align. The table of all laws is in tests/ctc/test_loss_laws.py."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctc_scratch.ctc import (
    InfeasibleTargetError,
    align,
    collapse,
    ctc_loss,
    enumeration,
    lattice,
    log_partition,
)
from tests.conftest import assert_close
from tests.tools.strategies import laws, one_by_one, problems, random, renamed, tiny_problems

every_method = pytest.mark.parametrize("method", ["auto", "exact"])


def sequences(problem):
    """Logits (T, C), target and the blank of each sequence."""
    for logits, target in one_by_one(problem):
        yield logits, target, problem.blank


def aligned(logits, target, blank):
    """`align`, or None where there is no path."""
    try:
        return align(logits, target, blank=blank)
    except InfeasibleTargetError:
        return None


def gap_to_second_best(logits, target, blank):
    """By how many nats the best alignment is more likely than any other."""
    best = lattice(logits, target, blank=blank).k_best(2)
    return best[0].log_prob - best[1].log_prob if len(best) == 2 else np.inf


def size(x):
    """What the rounding errors of x are relative to."""
    return max(1.0, abs(x)) if np.isfinite(x) else 1.0


def widened(logits, classes=3):
    return np.concatenate([logits, np.full((len(logits), classes), -np.inf)], axis=1)


# ---- log_partition


@every_method
@laws
@given(problem=tiny_problems(fits=False, holes=True))
def test_log_partition_is_the_sum_over_all_alignments(method, problem):
    for scores, target, blank in sequences(problem):
        result = log_partition(scores, target, blank=blank, method=method)
        right = enumeration.log_likelihood(scores, target, blank)
        assert_close(result.log_z, right, 1e-13 * size(right), "log_z")
        if right > -np.inf:
            assert_close(result.gamma, enumeration.gamma(scores, target, blank), 1e-12, "gamma")
            assert_close(result.gamma.sum(axis=1), np.ones(len(scores)), 1e-13, "row sums of gamma")
        else:
            assert not result.gamma.any()


@every_method
@laws
@given(problem=problems(most_sequences=9, fits=False, holes=True))
def test_log_partition_of_a_batch_has_the_bits_of_its_sequences(method, problem):
    """So permuting or splitting a batch, or appending sequences or padded frames to it, changes no bit."""
    logits, targets, lengths, blank = problem
    batch = log_partition(logits, targets, lengths, blank=blank, method=method)
    options = dict(blank=blank, method=method, want="occupancy")
    occupancy = log_partition(logits, targets, lengths, **options).occupancy
    for n, (scores, target, _) in enumerate(sequences(problem)):
        one = log_partition(scores, target, blank=blank, method=method)
        its_occupancy = log_partition(scores, target, **options).occupancy
        T, S = one.gamma.shape
        assert one.log_z == batch.log_z[n]
        assert np.array_equal(one.gamma, batch.gamma[:T, n, :S])
        assert np.array_equal(its_occupancy, occupancy[:T, n])
        assert not batch.gamma[T:, n].any() and not batch.gamma[:, n, S:].any() and not occupancy[T:, n].any()


@every_method
@laws
@given(problem=problems(fits=False, holes=True, whole=True), random=random)
def test_a_constant_in_a_frame_adds_to_log_partition(method, problem, random):
    for scores, target, blank in sequences(problem):
        constants = np.array([[random.randint(-1000, 1000)] for _ in scores], dtype=float).reshape(-1, 1)
        before = log_partition(scores, target, blank=blank, method=method)
        after = log_partition(scores + constants, target, blank=blank, method=method)
        right = before.log_z + constants.sum()
        assert_close(after.log_z, right, 1e-15 * (len(scores) + 1) * size(np.abs(constants).sum()), "log_z")
        assert_close(after.gamma, before.gamma, 1e-13, "gamma")


@every_method
@laws
@given(problem=problems(fits=False, holes=True), random=random)
def test_log_partition_depends_neither_on_class_numbers_nor_on_closed_classes(method, problem, random):
    name, other = renamed(problem, random)
    for (scores, target, blank), (scores_2, target_2, blank_2) in zip(sequences(problem), sequences(other)):
        before = log_partition(scores, target, blank=blank, method=method)
        for after in (log_partition(scores_2, target_2, blank=blank_2, method=method),
                      log_partition(widened(scores, 40), target, blank=blank, method=method)):
            assert_close(after.log_z, before.log_z, 1e-13 * size(before.log_z), "log_z")
            assert_close(after.gamma, before.gamma, 1e-13, "gamma")


@laws
@given(problem=problems(fits=False, holes=True))
def test_log_partition_of_float32_scores_is_that_of_their_numbers(problem):
    for scores, target, blank in sequences(problem._replace(logits=problem.logits.astype(np.float32))):
        a = log_partition(scores, target, blank=blank, method="exact")
        b = log_partition(scores.astype(float), target, blank=blank, method="exact")
        assert a.log_z == b.log_z and np.array_equal(a.gamma, b.gamma)


# ---- lattice


@laws
@given(problem=tiny_problems(fits=False, holes=True))
def test_the_lattice_is_the_distribution_over_all_alignments(problem):
    for logits, target, blank in sequences(problem):
        found = lattice(logits, target, blank=blank)
        log_probs = found.log_probs
        paths = enumeration.alignments(target, len(logits), blank)
        log_p = np.array([sum(log_probs[t, c] for t, c in enumerate(path)) for path in paths])
        possible = log_p > -np.inf
        assert found.num_alignments == possible.sum()
        if not possible.any():
            assert found.log_likelihood == -np.inf and not found.gamma.any() and not found.xi.any()
            continue
        posterior = np.exp(log_p[possible] - found.log_likelihood)
        assert_close(posterior.sum(), 1.0, 1e-12, "sum of the posterior")
        entropy = -(posterior * np.log(posterior, where=posterior > 0, out=np.zeros_like(posterior))).sum()
        assert_close(found.entropy, entropy, 1e-11, "entropy")
        best = found.k_best(found.num_alignments + 1)
        ranked = sorted(log_p[possible], reverse=True)
        assert_close([path.log_prob for path in best], ranked, 1e-12 * size(ranked[-1]), "k best")
        assert {tuple(path.path) for path in best} == {p for p, some in zip(paths, possible) if some}


@laws
@given(problem=problems(fits=False, holes=True))
def test_posteriors_sum_to_1_and_make_the_gradient(problem):
    for logits, target, blank in sequences(problem):
        found, T = lattice(logits, target, blank=blank), len(logits)
        result = ctc_loss(logits, target, blank=blank, infeasible="inf")
        assert_close(-found.log_likelihood, result.loss, 1e-13 * size(result.loss), "loss")
        assert found.log_likelihood <= 0
        if result.loss == np.inf:
            continue
        assert_close(np.exp(found.log_probs) - found.occupancy, result.grad, 1e-12, "gradient")
        assert_close(found.occupancy.sum(axis=1), np.ones(T), 1e-13, "sum of occupancy")
        assert_close(found.xi.sum(axis=0), found.gamma[:-1], 1e-13, "sum of xi over the moves")
        S = found.gamma.shape[1]
        entering = sum(np.pad(found.xi[move], ((0, 0), (move, 0)))[:, :S] for move in range(3))
        assert_close(entering, found.gamma[1:], 1e-11, "sum of xi over what enters a state")
        assert_close(found.first_frames().sum(axis=0), np.ones(len(target)), 1e-11, "sum of first_frames")
        assert -1e-12 <= found.entropy <= math.log(found.num_alignments) + 1e-12


@laws
@given(problem=problems(fits=False, holes=True), seed=st.integers(0, 99))
def test_samples_are_alignments_that_are_possible(problem, seed):
    for logits, target, blank in sequences(problem):
        found = lattice(logits, target, blank=blank)
        if found.num_alignments == 0:
            with pytest.raises(InfeasibleTargetError):
                found.sample(1, np.random.default_rng(seed))
            continue
        paths = found.sample(7, np.random.default_rng(seed))
        assert paths.shape == (7, len(logits))
        assert np.array_equal(paths, found.sample(7, np.random.default_rng(seed)))
        for path in paths:
            assert collapse(path.tolist(), blank) == target
            assert (logits[np.arange(len(path)), path] > -np.inf).all()


@laws
@given(problem=problems(fits=False, holes=True, whole=True), random=random)
def test_a_constant_in_a_frame_leaves_the_lattice_as_it_is(problem, random):
    for logits, target, blank in sequences(problem):
        constants = np.array([[random.randint(-10**6, 10**6)] for _ in logits], dtype=float).reshape(-1, 1)
        a, b = (lattice(x, target, blank=blank) for x in (logits, logits + constants))
        assert a.log_likelihood == b.log_likelihood and a.num_alignments == b.num_alignments
        # gamma and xi come from `log_partition`, which takes no softmax: its exponents are larger now.
        assert_close(b.gamma, a.gamma, 1e-9, "gamma")
        assert np.array_equal(a.moves, b.moves)
        if a.num_alignments:
            best, other = a.best(), b.best()
            assert np.array_equal(best.path, other.path) and best.log_prob == other.log_prob
            assert [s[:3] for s in a.spans()] == [s[:3] for s in b.spans()]
            assert [p.log_prob for p in a.k_best(3)] == [p.log_prob for p in b.k_best(3)]


@laws
@given(problem=problems(fits=False, holes=True), random=random)
def test_the_lattice_depends_neither_on_class_numbers_nor_on_closed_classes_nor_on_dtypes(problem, random):
    name, other = renamed(problem, random)
    for (logits, target, blank), (logits_2, target_2, blank_2) in zip(sequences(problem), sequences(other)):
        before = lattice(logits, target, blank=blank)
        log_p = before.log_likelihood
        for x, labels, b in ((logits_2, target_2, blank_2), (widened(logits), target, blank)):
            after = lattice(x, labels, blank=b)
            assert after.num_alignments == before.num_alignments
            assert_close(after.log_likelihood, log_p, 1e-13 * size(log_p), "ln p")
            assert_close(after.gamma, before.gamma, 1e-13, "gamma")
            assert_close(after.xi, before.xi, 1e-11, "xi")
        single = logits.astype(np.float32)
        a, b = lattice(single, target, blank=blank), lattice(single.astype(float), target, blank=blank)
        assert a.log_likelihood == b.log_likelihood and np.array_equal(a.gamma, b.gamma)


# ---- align


@laws
@given(problem=tiny_problems(fits=False, holes=True))
def test_align_is_the_best_of_all_alignments(problem):
    for logits, target, blank in sequences(problem):
        found, log_probs = aligned(logits, target, blank), lattice(logits, target, blank=blank).log_probs
        scores = [sum(log_probs[t, c] for t, c in enumerate(path))
                  for path in enumeration.alignments(target, len(logits), blank)]
        best = max(scores, default=-np.inf)
        assert (found is None) == (best == -np.inf)
        if found is not None:
            assert_close(found.log_prob, best, 1e-13 * size(best), "log_prob")


@laws
@given(problem=problems(fits=False, holes=True), random=random)
def test_align_spells_its_target_under_any_class_numbers(problem, random):
    name, other = renamed(problem, random)
    for (logits, target, blank), (logits_2, target_2, blank_2) in zip(sequences(problem), sequences(other)):
        found = aligned(logits, target, blank)
        loss = ctc_loss(logits, target, blank=blank, infeasible="inf").loss
        assert (found is None) == (loss == np.inf)
        if found is None:
            continue
        assert collapse(found.path.tolist(), blank) == target
        assert found.log_prob <= 1e-13 * size(loss) - loss, "one alignment is not likelier than all"
        assert [span.label for span in found.spans] == target
        for span in found.spans:
            assert (found.path[span.first:span.last + 1] == span.label).all()
            assert 0 < span.confidence <= 1 + 1e-15
        for after in (aligned(logits_2, target_2, blank_2), aligned(widened(logits), target, blank)):
            assert_close(after.log_prob, found.log_prob, 1e-13 * size(loss), "log_prob")
        # Other class numbers change the order in which the softmax adds up: rounding then decides ties.
        renamed_path = [name[c] for c in found.path]
        if gap_to_second_best(logits, target, blank) > 1e-9 * size(loss):
            assert renamed_path == aligned(logits_2, target_2, blank_2).path.tolist()
        single = logits.astype(np.float32)
        a, b = aligned(single, target, blank), aligned(single.astype(float), target, blank)
        assert np.array_equal(a.path, b.path) and a.log_prob == b.log_prob
