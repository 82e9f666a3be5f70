"""The most probable labelling is found and proved; where the search has to stop, the gap bounds the error."""

import numpy as np
import pytest

from ctc_scratch.ctc import greedy_decode, map_decode, prefix_beam_search
from ctc_scratch.ctc.decoding import map_search
from ctc_scratch.ctc.enumeration import labelling_distribution
from ctc_scratch.ctc.reference import log_softmax
from tests.conftest import assert_close
from tests.ctc.decoding.cases import random_case


@pytest.mark.parametrize("lookahead", [map_search.LOOKAHEAD, 0], ids=["lookahead", "mass"])
def test_it_is_the_best_of_the_enumeration_and_of_the_unpruned_beam(rng, monkeypatch, lookahead):
    """300 random cases, with either bound."""
    monkeypatch.setattr(map_search, "LOOKAHEAD", lookahead)
    greedy_missed = 0
    for case in range(300):
        logits, blank = random_case(rng)
        distribution = labelling_distribution(log_softmax(logits), blank)
        best = max(distribution, key=distribution.get)
        result = map_decode(logits, blank=blank)
        beam, = prefix_beam_search(logits, beam_width=400, blank=blank)
        for labels in result.labels, beam.labels:  # they may differ on a tie
            assert_close(distribution[tuple(labels)], distribution[best], 1e-14, f"probability of {case}")
        assert result.gap == 0 and result.log_prob <= 0
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
    """For every prefix: the best labelling that begins with it <= the bound <= the sum of all that do."""
    close = 0
    for _ in range(60):
        logits, blank = random_case(rng, most_frames=6)
        T, C = logits.shape
        log_probs = log_softmax(logits)
        tails, bounds = np.zeros((T, C)), np.empty(C)
        map_search.bound_tails(log_probs, blank, tails)
        assert (tails <= 1e-12).all()
        distribution = labelling_distribution(log_probs, blank)
        prefixes = {labels[:u] for labels in distribution for u in range(len(labels) + 1)}
        for prefix in prefixes:
            ends = np.empty((2, T + 1))
            map_search.start(log_probs, blank, ends)
            for u, c in enumerate(prefix):
                longer = np.empty((2, T + 1))
                map_search.follow(log_probs, blank, prefix[u - 1] if u else -1, ends, c, longer)
                ends = longer
            assert_close(np.exp(ends[:, T]).sum(), distribution.get(prefix, 0.0), 1e-13, "probability")
            map_search.bound_extensions(log_probs, tails, blank, prefix[-1] if prefix else -1, ends, bounds)
            for c in range(C):
                begun = [p for labels, p in distribution.items() if labels[:len(prefix) + 1] == (*prefix, c)]
                best, mass, bound = max(begun, default=0.0), sum(begun), np.exp(bounds[c])
                assert best <= bound + 1e-13, f"{(*prefix, c)}: {best} is above its bound {bound}"
                assert bound <= mass + 1e-13, f"{(*prefix, c)}: bound {bound} is above the mass {mass}"
                close += bound < mass - 1e-3
    assert close > 100, "the bound must often be closer than the mass"


def test_where_the_budget_ends_the_search_the_truth_is_within_the_gap(rng):
    gaps = []
    for _ in range(20):
        logits = rng.standard_normal((25, 5))
        truth = map_decode(logits, budget=100_000)
        assert truth.gap == 0
        for budget in (1, 10, 100):
            result = map_decode(logits, budget=budget)
            assert result.prefixes <= budget
            assert result.log_prob <= truth.log_prob + 1e-10 <= result.log_prob + result.gap + 2e-10
            gaps.append(result.gap)
    assert max(gaps) > 0.1, "the budget never mattered"


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


def test_batch_and_lengths(make_problem):
    problem = make_problem(12, 5, 4, 0, scale=2.0, blank=1)
    logits = problem.logits.copy()
    for n, T in enumerate(problem.logit_lengths):
        logits[T:, n] = np.nan
    results = map_decode(logits, problem.logit_lengths, blank=1)
    for n, T in enumerate(problem.logit_lengths):
        assert results[n] == map_decode(logits[:T, n], blank=1)


def test_empty_inputs():
    assert map_decode(np.empty((0, 3))) == ([], 0.0, 0.0, 1)
    assert map_decode(np.empty((4, 0, 3))) == []
    assert map_decode(np.zeros((3, 1))).labels == []


@pytest.mark.parametrize("call, error, message", [
    (lambda: map_decode(np.zeros((4, 3)), budget=0), ValueError, "budget must be at least 1, got 0"),
    (lambda: map_decode(np.full((4, 3), np.nan)), ValueError, r"logits\[t=0, c=0\] is nan"),
    (lambda: map_decode(np.zeros(3)), ValueError, r"logits must have shape \(T, N, C\) or \(T, C\)"),
    (lambda: map_decode(np.zeros((4, 3)), blank=-1), ValueError, "blank is -1"),
])
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_repr_fits_a_line():
    result = map_decode(np.log([[0.6, 0.4], [0.6, 0.4]]))
    assert repr(result) == "MapResult(labels=[1], log_prob=-0.446287, gap=0, prefixes=1)"
    assert repr(result._replace(labels=[1] * 200)).startswith("MapResult(U=200, log_prob=")
