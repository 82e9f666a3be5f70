"""The most probable labelling is found and proved; where the search has to stop, the gap bounds the error."""

import numpy as np
import pytest

from ctc_scratch.ctc import greedy_decode, map_decode, prefix_beam_search
from ctc_scratch.ctc.decoding import map_search
from ctc_scratch.ctc.enumeration import labelling_distribution
from ctc_scratch.ctc.reference import log_softmax
from tests.conftest import assert_close
from tests.ctc.decoding.cases import random_case


@pytest.mark.parametrize("rows", ["all", "one", "none"])
def test_it_is_the_best_of_the_enumeration_and_of_the_unpruned_beam(rng, monkeypatch, rows):
    """300 random cases, whether or not the classes share rows in the bounds."""
    if rows != "all":
        monkeypatch.setattr(map_search, "MOST_STEPS", {"one": 300, "none": 0}[rows])
    greedy_missed = 0
    for case in range(300):
        logits, blank = random_case(rng)
        distribution = labelling_distribution(log_softmax(logits), blank)
        best = max(distribution, key=distribution.get)
        result = map_decode(logits, blank=blank)
        beam, = prefix_beam_search(logits, beam_width=400, blank=blank)
        for labels in result.labels, beam.labels:  # they may differ on a tie
            assert_close(distribution[tuple(labels)], distribution[best], 1e-14, f"probability of {case}")
        assert result.gap == 0 and result.stopped == "proved" and result.log_prob <= 0
        assert_close(result.log_prob, np.log(distribution[best]), 1e-11, "log_prob")
        greedy = distribution[tuple(greedy_decode(logits, blank=blank))]
        greedy_missed += greedy < distribution[best] - 1e-12
    assert greedy_missed > 50, "the cases must be hard enough for greedy decoding to fail"


def test_examples_worked_by_hand():
    # Graves 2012, figure 7.5: best path (blank, blank), 0.36; best labelling A, 0.64.
    result = map_decode(np.log([[0.6, 0.4], [0.6, 0.4]]))
    assert result.labels == [1] and result.gap == 0
    assert_close(np.exp(result.log_prob), 0.64, 1e-15, "probability")
    # The likeliest path is again all blanks; (1) has 0.52 and () 0.48.
    result = map_decode(np.log([[0.6, 0.4], [0.8, 0.2]]))
    assert result.labels == [1]
    assert_close(np.exp(result.log_prob), 0.52, 1e-15, "probability")


def test_no_labelling_is_above_the_bound_of_its_prefix(rng):
    """The best labelling that begins with a prefix <= its bound <= its bound with fewer rows.

    With all rows, the bound is also at most the sum of all that begin with the prefix.
    """
    close, looser = 0, 0
    for _ in range(60):
        logits, blank = random_case(rng, most_frames=5, most_classes=4)
        T, C = logits.shape
        log_probs = log_softmax(logits)
        classes = rng.permutation([c for c in range(C) if c != blank])
        tails = [entries_of(log_probs, blank, np.sort(classes[:K])) for K in range(C - 1, -1, -1)]
        distribution = labelling_distribution(log_probs, blank)
        prefixes = {labels[:u] for labels in distribution for u in range(len(labels) + 1)}
        for prefix in prefixes:
            ends, last = ends_of(log_probs, blank, prefix), prefix[-1] if prefix else -1
            assert_close(np.exp(ends[:, T]).sum(), distribution.get(prefix, 0.0), 1e-13, "probability")
            bounds = np.empty((C, C))
            for k, (entries, scales) in enumerate(tails):
                map_search.bound_extensions(entries, scales, last, ends, -np.inf, bounds[k])
            bounds = np.exp(bounds)
            assert (bounds[:, blank] == 0).all()
            assert (bounds[:-1] <= bounds[1:] + 1e-13).all(), f"bounds of {prefix} by rows left out: {bounds}"
            for c in range(C):
                begun = [p for labels, p in distribution.items() if labels[:len(prefix) + 1] == (*prefix, c)]
                best, mass, bound = max(begun, default=0.0), sum(begun), bounds[0, c]
                assert best <= bound + 1e-13, f"{(*prefix, c)}: {best} is above its bound {bound}"
                assert bound <= mass + 1e-13, f"{(*prefix, c)}: bound {bound} is above the mass {mass}"
                close += bound < mass - 1e-3
                looser += bounds[-1, c] > bound + 1e-3
    assert close > 100, "the bound must often be closer than the mass"
    assert looser > 20, "rows must matter"


def entries_of(log_probs, blank, own):
    entries, scales = np.empty(log_probs.shape), np.empty(len(log_probs))
    map_search.bound_entries(log_probs, blank, own, entries, scales)
    return entries, scales


def ends_of(log_probs, blank, prefix):
    """The ends (2, T + 1) of a prefix."""
    ends = np.full((2, len(log_probs) + 1), -np.inf)
    ends[0] = [log_probs[:t, blank].sum() for t in range(len(log_probs) + 1)]
    for last, c in zip((-1, *prefix), prefix):
        longer = np.empty_like(ends)
        map_search.follow(log_probs, blank, last, ends, c, longer)
        ends = longer
    return ends


def log_tails(log_probs, blank):
    """ln G (T, C), by the equations at the head of `map_search`, in logarithms; -inf for the blank."""
    T, C = log_probs.shape
    tails, ends, ends_in_blank = np.zeros((T, C)), np.zeros(C), 0.0
    tails[:, blank] = -np.inf
    follows, follows_blank, label = np.full((C, C), -np.inf), np.full(C, -np.inf), np.arange(C) != blank
    for t in range(T - 2, -1, -1):
        y = log_probs[t + 1]
        ends_in_blank += y[blank]
        ends = np.logaddexp(y + ends, ends_in_blank)
        waits = y[blank] + follows_blank
        follows_blank = np.logaddexp(waits, y + tails[t + 1])
        follows = np.logaddexp(y[:, None] + follows, np.where(np.eye(C, dtype=bool), waits, follows_blank))
        tails[t, label] = np.maximum(ends, follows.max(axis=1))[label]
    return tails


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0, 30.0, 1000.0])
@pytest.mark.parametrize("blank", [0, 4])
def test_entries_follow_the_equations_in_logarithms(rng, scale, blank):
    """With shared rows, or below the range of floats, an entry may only be larger than by the equations."""
    log_probs = log_softmax(scale * rng.standard_normal((60, 9)))
    truth = log_probs + log_tails(log_probs, blank)
    label = np.arange(9) != blank
    for K in (8, 5, 1, 0):
        entries, scales = entries_of(log_probs, blank, np.flatnonzero(label)[:K])
        assert (entries[:, blank] == 0).all()
        found = np.log(entries[:, label]) + scales[:, None]
        low = np.log(map_search.FLOOR) + scales[:, None]
        assert (found >= np.maximum(truth[:, label], low) - 1e-11).all(), f"{K} rows: below the equations"
        if K == 8:
            assert_close(found, np.maximum(truth[:, label], low), 1e-11, "entries, all rows")


def test_with_shared_rows_the_search_proves_the_same_answers(rng, monkeypatch):
    for blank in (0, 3):
        logits = 2.0 * rng.standard_normal((15, 30))
        truth = map_decode(logits, blank=blank)
        for steps in (0, 3 * 3000, 12 * 3000):
            monkeypatch.setattr(map_search, "MOST_STEPS", steps)
            assert len(map_search._own_classes(log_softmax(logits), blank)) == steps // 3000
            result = map_decode(logits, blank=blank)
            assert result.labels == truth.labels and result.gap == truth.gap == 0
        monkeypatch.undo()


def test_the_likeliest_classes_have_rows_of_their_own(rng, monkeypatch):
    log_probs = log_softmax(rng.standard_normal((5, 7)))
    log_probs[2, [1, 4]], log_probs[3, 5] = np.log([0.6, 0.5]), np.log(0.7)
    own = map_search._own_classes
    assert own(log_probs, 1).tolist() == [0, 2, 3, 4, 5, 6], "all but the blank, as they are so few"
    monkeypatch.setattr(map_search, "FEW_STEPS", 0)
    monkeypatch.setattr(map_search, "LIKELY", np.log(0.49))
    log_probs[:, [0, 2, 3, 6]] -= 9.0
    assert own(log_probs, 1).tolist() == [4, 5] and own(log_probs, 6).tolist() == [1, 4, 5]
    monkeypatch.setattr(map_search, "MOST_STEPS", 2 * 100 * 7)
    assert own(log_probs, 6).tolist() == [1, 5]


def test_where_the_budget_ends_the_search_the_truth_is_within_the_gap(rng):
    gaps = []
    for _ in range(20):
        logits = rng.standard_normal((25, 5))
        truth = map_decode(logits, budget=100_000)
        assert truth.gap == 0
        for budget in (1, 10, 100):
            result = map_decode(logits, budget=budget)
            assert result.prefixes <= budget
            assert result.stopped == ("proved" if result.gap == 0 else "budget")
            assert result.log_prob <= truth.log_prob + 1e-10 <= result.log_prob + result.gap + 2e-10
            gaps.append(result.gap)
    assert max(gaps) > 0.1, "no budget was small enough to matter"


def test_it_is_never_worse_than_the_beam(rng):
    for _ in range(10):
        logits = rng.standard_normal((60, 6))
        beam, = prefix_beam_search(logits)
        log_prob = map_decode(logits, budget=3).log_prob
        assert log_prob >= beam.log_prob - 1e-12, f"{log_prob} is below {beam.log_prob}, that of the beam"


def test_a_long_sequence_that_is_nearly_certain_takes_few_prefixes(rng):
    """As from a trained network: one spike per label, some of them in doubt."""
    T, C = 400, 20
    logits = rng.standard_normal((T, C))
    logits[:, 0] += 9.0
    spikes = np.arange(5, T, 9)
    logits[spikes, rng.integers(1, C, len(spikes))] += 9.0
    result = map_decode(logits)
    assert result.gap == 0 and result.prefixes < 1000


def test_it_stops_early_where_the_gap_does_not_close(rng, monkeypatch):
    """The gap that it leaves still covers what a search of the whole budget finds."""
    logits = rng.standard_normal((60, 30))
    early = map_decode(logits, budget=2048)
    assert early.stopped == "stalled" and early.prefixes == 128
    monkeypatch.setattr(map_search, "PATIENCE", 1e9)
    late = map_decode(logits, budget=2048)
    assert late.stopped == "budget" and late.prefixes == 2048
    assert early.log_prob <= late.log_prob <= early.log_prob + early.gap
    assert late.log_prob + late.gap <= early.log_prob + early.gap


def test_with_a_larger_budget_it_stops_later(rng, monkeypatch):
    """PATIENCE is set so that the gap is expected to close in 5.5 more doublings."""
    logits = rng.standard_normal((40, 10))
    first = map_decode(logits, budget=64)
    second = map_decode(logits, budget=128)
    assert first.stopped == second.stopped == "budget"
    monkeypatch.setattr(map_search, "PATIENCE", second.gap / (first.gap - second.gap) / 5.5)
    for left in (4, 5, 6):
        monkeypatch.setattr(map_search, "LAST_LOOK", 2.0 ** -left)
        result = map_decode(logits, budget=128 * 2 ** left)
        assert (result.stopped == "stalled") == (result.prefixes == 128) == (left < 6), f"{left} left"


def test_a_limit_in_seconds_ends_the_search(rng):
    logits = rng.standard_normal((40, 10))
    result = map_decode(logits, seconds=0)
    assert result.stopped == "seconds" and result.gap > 0
    assert result[:4] == map_decode(logits, budget=1)[:4]
    assert map_decode(logits, budget=100, seconds=np.inf) == map_decode(logits, budget=100)
    assert map_decode(6 * logits, seconds=1e6).stopped == "proved"


def test_batch_and_lengths(make_problem):
    problem = make_problem(12, 5, 4, 0, scale=2.0, blank=1)
    logits = problem.logits.copy()
    for n, T in enumerate(problem.logit_lengths):
        logits[T:, n] = np.nan
    results = map_decode(logits, problem.logit_lengths, blank=1)
    for n, T in enumerate(problem.logit_lengths):
        assert results[n] == map_decode(logits[:T, n], blank=1)


def test_empty_inputs():
    assert map_decode(np.empty((0, 3))) == ([], 0.0, 0.0, 1, "proved")
    assert map_decode(np.empty((4, 0, 3))) == []
    assert map_decode(np.zeros((3, 1))).labels == []


@pytest.mark.parametrize("call, error, message", [
    (lambda: map_decode(np.zeros((4, 3)), budget=0), ValueError, "budget must be at least 1, got 0"),
    (lambda: map_decode(np.zeros((4, 3)), seconds=-1), ValueError, "seconds must be at least 0, got -1"),
    (lambda: map_decode(np.zeros((4, 3)), seconds=np.nan), ValueError, "seconds must be at least 0, got nan"),
    (lambda: map_decode(np.zeros((4, 3)), seconds="1"), TypeError, "seconds must be a real number, got '1'"),
    (lambda: map_decode(np.full((4, 3), np.nan)), ValueError, r"logits\[t=0, c=0\] is nan"),
    (lambda: map_decode(np.zeros(3)), ValueError, r"logits must have shape \(T, N, C\) or \(T, C\)"),
    (lambda: map_decode(np.zeros((4, 3)), blank=-1), ValueError, "blank is -1"),
])
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_repr_fits_a_line():
    result = map_decode(np.log([[0.6, 0.4], [0.6, 0.4]]))
    assert repr(result) == "MapResult(labels=[1], log_prob=-0.446287, gap=0, prefixes=1, stopped='proved')"
    assert repr(result._replace(labels=[1] * 200)).startswith("MapResult(U=200, log_prob=")
