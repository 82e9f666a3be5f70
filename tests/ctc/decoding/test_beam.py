"""Prefix beam search: exact if nothing is dropped, its twin line by line, whole or in pieces."""

import numpy as np
import pytest

from ctc_scratch.ctc import (
    BeamStream,
    ctc_loss,
    get_num_threads,
    greedy_decode,
    prefix_beam_search,
    reference,
    set_num_threads,
)
from ctc_scratch.ctc.decoding.beam import FIRST_NODES, Search, check_settings
from ctc_scratch.ctc.decoding.beam_kernels import forget, log_add
from ctc_scratch.ctc.enumeration import labelling_distribution
from ctc_scratch.ctc.reference import log_softmax
from tests.conftest import assert_close


def random_case(rng, most_frames=7, most_classes=3):
    """Logits (T, C) of any scale, some with -inf entries, and a blank."""
    T, C = rng.integers(1, most_frames + 1), rng.integers(2, most_classes + 1)
    logits = rng.choice([0.5, 2.0, 10.0]) * rng.standard_normal((T, C))
    if rng.random() < 0.2:
        logits[rng.random((T, C)) < 0.2] = -np.inf
        logits[np.isinf(logits).all(axis=1)] = 0.0
    return logits, int(rng.integers(C))


def possible(log_probs, blank):
    """All labellings of a probability above 0, most probable first."""
    distribution = labelling_distribution(log_probs, blank)
    return sorted(((p, labels) for labels, p in distribution.items() if p > 0), reverse=True)


@pytest.mark.slow
def test_without_pruning_it_is_the_enumeration(rng):
    """Every labelling, in order, with its probability: 300 random cases."""
    for case in range(300):
        logits, blank = random_case(rng)
        truth = possible(log_softmax(logits), blank)
        found = prefix_beam_search(logits, beam_width=400, blank=blank, top=400)
        assert len(found) == len(truth), f"case {case}: {len(found)} labellings of {len(truth)}"
        assert {tuple(h.labels) for h in found} == {labels for _, labels in truth}
        exact = np.log([p for p, _ in truth])
        assert_close([h.log_score for h in found], exact, 1e-11, "log_score")
        assert_close([h.log_prob for h in found], exact, 1e-11, "log_prob")
        assert all(h.log_prob <= 0 for h in found)


@pytest.mark.parametrize("probs, labels, prob", [
    # Graves 2012, figure 7.5: the best path is blank, blank, the best labelling is A.
    ([[0.6, 0.4], [0.6, 0.4]], [1], 0.64),
    # A frame in which two labels share what the blank has not.
    ([[0.4, 0.3, 0.3], [0.4, 0.6, 0.0]], [1], 0.3 * 0.4 + 0.3 * 0.6 + 0.4 * 0.6),
    # Only a blank lets a label come again: of (1, 1), one path.
    ([[0.0, 1.0], [0.9, 0.1], [0.0, 1.0]], [1, 1], 0.9),
])
def test_examples_worked_by_hand(probs, labels, prob):
    with np.errstate(divide="ignore"):
        best, = prefix_beam_search(np.log(probs), beam_width=4)
    assert best.labels == labels
    assert_close(np.exp(best.log_prob), prob, 1e-15, "probability")
    assert_close(best.log_score, best.log_prob, 1e-14, "log_score")


def test_the_kernel_is_its_twin(rng):
    """The same prefixes in the same order with the same scores, at every width."""
    for case in range(60):
        logits, blank = random_case(rng, most_frames=25, most_classes=6)
        width = int(rng.integers(1, 12))
        prune = float(rng.choice([np.inf, 0.0, 1.0, 5.0]))
        found = prefix_beam_search(logits, beam_width=width, blank=blank, top=width, prune=prune)
        twin = reference.prefix_beam_search(log_softmax(logits), width, blank, prune)
        assert [tuple(h.labels) for h in found] == [labels for labels, _ in twin], f"case {case}"
        assert_close([h.log_score for h in found], [score for _, score in twin], 1e-11, "log_score")


@pytest.mark.parametrize("prune", [np.inf, 0.0])
@pytest.mark.parametrize("blank", [0, 3])
@pytest.mark.parametrize("width", range(1, 12))
def test_ties_are_broken_as_the_twin_breaks_them(width, blank, prune):
    logits = np.zeros((3, 4))
    found = prefix_beam_search(logits, beam_width=width, blank=blank, top=width, prune=prune)
    twin = reference.prefix_beam_search(log_softmax(logits), width, blank, prune)
    assert [tuple(h.labels) for h in found] == [labels for labels, _ in twin]


@pytest.mark.parametrize("blank", range(5))
def test_whichever_class_leads_log_softmax_does_not_overflow(blank):
    best, = prefix_beam_search(1000 * np.eye(5), blank=blank)
    assert best.labels == [c for c in range(5) if c != blank]
    assert_close(best.log_prob, 0.0, 1e-12, "log_prob")


def test_forgetting_keeps_the_children_of_the_empty_prefix():
    """Of the prefixes (), 1, 2, 12, 122, 3 the beam holds (), 12 and 3; 1 stays, too, as 12 needs it."""
    tree = np.array([[-1, -1, 5, -1, 2], [0, 1, 3, -1, -1], [0, 2, -1, 1, -1], [1, 2, 4, -1, 0],
                     [3, 2, -1, -1, -1], [0, 3, -1, 2, 1]])
    priors, nodes, counts = np.arange(6.0), np.array([3, 5, 0]), np.array([6, 3, 6])
    forget(tree, priors, np.empty((0, 4)), nodes, counts)
    kept = [[-1, -1, 3, -1, 2], [0, 1, 2, -1, -1], [1, 2, -1, -1, 0], [0, 3, -1, 1, 1]]
    assert tree[:4].tolist() == kept and counts.tolist() == [4, 3, 6]
    assert nodes.tolist() == [2, 3, 0] and priors[:4].tolist() == [0.0, 1.0, 3.0, 5.0]


def test_log_add_is_good_to_the_last_digits():
    """A table of polynomials: on a fine grid, at both ends of each interval, at infinity."""
    ends = np.arange(0, 38, 0.5)
    x = np.concatenate([np.linspace(0, 40, 20_001), ends, np.nextafter(ends, 50), [np.inf]])
    for a, b in (0.0, -1.0), (-1.0, 0.0):
        found = [log_add(a * y, b * y) if y < np.inf else log_add(a and -np.inf, b and -np.inf) for y in x]
        assert_close(found, np.logaddexp(0.0, -x), 2.0**-51, "ln(1 + e^-x)")
    assert log_add(-np.inf, -np.inf) == -np.inf
    assert_close(log_add(-700.25, -700.0), -700.0 + np.log1p(np.exp(-0.25)), 2.0**-43, "log_add")


class Pairs:
    """A language model of label pairs, -inf for one of them, with an end."""

    def __init__(self, rng, C):
        self.table, self.last = rng.normal(0, 3, (C + 1, C)), rng.normal(0, 3, C + 1)
        self.table[0, 1] = -np.inf

    def score(self, prefix, label):
        return self.table[prefix[-1] if prefix else -1, label]

    def end(self, prefix):
        return self.last[prefix[-1] if prefix else -1]


def test_the_kernel_is_its_twin_with_a_language_model(rng):
    for case in range(40):
        logits, blank = random_case(rng, most_frames=15, most_classes=6)
        width = int(rng.integers(1, 12))
        model = Pairs(rng, logits.shape[1])
        found = prefix_beam_search(logits, beam_width=width, blank=blank, top=width, language_model=model)
        twin = [(labels, score + model.end(labels)) for labels, score in
                reference.prefix_beam_search(log_softmax(logits), width, blank, score=model.score)]
        twin.sort(key=lambda pair: -pair[1])
        assert [tuple(h.labels) for h in found] == [labels for labels, _ in twin], f"case {case}"
        assert_close([h.log_score for h in found], [score for _, score in twin], 1e-11, "log_score")


def test_a_language_model_adds_what_it_says(rng):
    """log_score = log_prob + the model's scores + its end, where nothing is dropped."""
    logits = rng.standard_normal((5, 4))
    model = Pairs(rng, 4)
    for h in prefix_beam_search(logits, beam_width=500, top=500, language_model=model):
        said = sum(model.score(h.labels[:u], label) for u, label in enumerate(h.labels)) + model.end(h.labels)
        assert_close(h.log_score, h.log_prob + said, 1e-12, "log_score")


@pytest.mark.slow
def test_scores_never_exceed_the_exact_probability_and_reach_it(rng):
    logits = rng.standard_normal((14, 3))
    gaps = []
    for width in (1, 2, 4, 16, 64, 256, 1024):
        found = prefix_beam_search(logits, beam_width=width, top=width)
        gap = np.array([h.log_prob - h.log_score for h in found])
        assert (gap >= -1e-11).all(), f"width {width}: a score is {-gap.min():.1e} above the probability"
        assert (np.diff([h.log_score for h in found]) <= 0).all()
        gaps.append(gap[0])
    assert gaps[0] > 0.1 and gaps[-1] < 1e-4, f"gaps of the best: {gaps}"
    logits = rng.standard_normal((6, 3))
    best, = prefix_beam_search(logits, beam_width=600)
    assert_close(best.log_score, best.log_prob, 1e-12, "log_score of a beam that holds all")


def test_log_prob_is_that_of_ctc_loss_and_spans_rise(make_problem):
    problem = make_problem(40, 5, 6, 0, scale=3.0, blank=2, dtype=np.float32)
    found = prefix_beam_search(problem.logits, problem.logit_lengths, blank=2, top=3)
    for n, T in enumerate(problem.logit_lengths):
        for h in found[n]:
            loss = ctc_loss(problem.logits[:T, n].astype(float), h.labels, blank=2).loss
            assert_close(h.log_prob, -loss, 1e-12, "log_prob")
            assert [span.label for span in h.spans] == h.labels
            ends = [frame for span in h.spans for frame in (span.first, span.last)]
            assert ends == sorted(ends) and all(0 <= frame < T for frame in ends)
            assert all(a.last < b.first for a, b in zip(h.spans, h.spans[1:]))


def test_batch_lengths_layout_and_threads(make_problem):
    """A sequence alone, in a batch, padded with anything, on any number of threads: the same bits."""
    problem = make_problem(60, 7, 8, 0, scale=2.0)
    logits, lengths = problem.logits.copy(), problem.logit_lengths
    for n, T in enumerate(lengths):
        logits[T:, n] = np.nan
    threads = get_num_threads()
    try:
        answers = []
        for count in (1, 3):
            set_num_threads(count)
            answers.append(prefix_beam_search(logits, lengths, beam_width=40, top=5))
    finally:
        set_num_threads(threads)
    for n, T in enumerate(lengths):
        alone = prefix_beam_search(logits[:T, n], beam_width=40, top=5)
        for batch in answers:
            assert [(h.labels, h.log_score, h.log_prob) for h in batch[n]] == [
                (h.labels, h.log_score, h.log_prob) for h in alone]


def test_the_answer_does_not_change_with_the_array_it_came_from(rng):
    logits = rng.standard_normal((20, 4))
    early, late = prefix_beam_search(logits, top=1), prefix_beam_search(logits, top=1)
    before = early[0].log_prob
    logits[:] = 0.0
    assert late[0].log_prob == before


def test_empty_inputs():
    only, = prefix_beam_search(np.empty((0, 3)), top=2)
    assert (only.labels, only.log_prob, only.log_score, only.spans) == ([], 0.0, 0.0, [])
    assert prefix_beam_search(np.empty((4, 0, 3))) == []
    blank_only, = prefix_beam_search(np.zeros((3, 1)))
    assert (blank_only.labels, blank_only.log_prob) == ([], 0.0)


def test_a_full_tree_forgets_and_grows(rng):
    """Prefixes that nothing needs any more go, so the tree stays small; the answer is the twin's."""
    logits = 3.0 * rng.standard_normal((400, 5))
    search = Search(5, check_settings(5, 8, 0, None, None))
    search._state = search._state._replace(tree=search._state.tree[:40].copy())
    norms = search.advance(logits, 0, 1, len(logits))
    assert 40 < len(search._state.tree) < FIRST_NODES, "it had to grow, and to forget"
    twin = reference.prefix_beam_search(log_softmax(logits), 8)
    found = search.hypotheses(8, logits, norms)
    assert [tuple(h.labels) for h in found] == [labels for labels, _ in twin]
    assert_close([h.log_score for h in found], [score for _, score in twin], 1e-10, "log_score")


def test_a_tree_that_grows_asks_its_language_model_no_less(rng):
    logits, model = rng.standard_normal((60, 4)), Pairs(rng, 4)
    settings = check_settings(4, 6, 0, None, model)
    small, large = Search(4, settings), Search(4, settings)
    state = small._state
    small._state = state._replace(tree=state.tree[:16].copy(), priors=state.priors[:16].copy(),
                                  label_priors=state.label_priors[:16].copy())
    norms = [search.advance(logits, 0, 1, len(logits)) for search in (small, large)]
    assert (norms[0] == norms[1]).all()
    assert len(small._state.tree) < len(large._state.tree)
    assert [(h.labels, h.log_score) for h in small.hypotheses(6, logits, norms[0])] == [
        (h.labels, h.log_score) for h in large.hypotheses(6, logits, norms[1])]


@pytest.mark.parametrize("model", [None, "pairs"])
def test_in_pieces_it_is_the_same_to_the_last_bit(rng, model):
    logits = rng.standard_normal((50, 5))
    options = dict(beam_width=7, blank=1, prune=20.0, language_model=model and Pairs(rng, 5))
    stream, t = BeamStream(**options), 0
    for frames in (1, 0, 13, 30, 6):
        stream.push(logits[t:t + frames])
        t += frames
        whole = prefix_beam_search(logits[:t], top=4, **options)
        pieces = stream.hypotheses(top=4)
        assert [(h.labels, h.log_score, h.log_prob, h.spans) for h in pieces] == [
            (h.labels, h.log_score, h.log_prob, h.spans) for h in whole]


def test_a_beam_of_one_that_is_certain_reads_as_greedy_does():
    path = [0, 1, 1, 0, 1, 2, 2, 0]
    logits = 50.0 * np.eye(3)[path]
    best, = prefix_beam_search(logits, beam_width=1)
    assert best.labels == greedy_decode(logits) == [1, 1, 2]
    assert [(s.label, s.first, s.last) for s in best.spans] == [(1, 1, 2), (1, 4, 4), (2, 5, 6)]


FRAMES = np.zeros((4, 3))


@pytest.mark.parametrize("call, error, message", [
    (lambda: prefix_beam_search(FRAMES, beam_width=0), ValueError, "beam_width must be at least 1, got 0"),
    (lambda: prefix_beam_search(FRAMES, beam_width=2.0), TypeError,
     "beam_width must be an integer, got 2.0"),
    (lambda: prefix_beam_search(FRAMES, beam_width=2, top=3), ValueError,
     "top is 3, but a beam of width 2 holds no more than that"),
    (lambda: prefix_beam_search(FRAMES, top=0), ValueError, "top must be at least 1, got 0"),
    (lambda: prefix_beam_search(FRAMES, prune=-1.0), ValueError, "prune must be at least 0, got -1.0"),
    (lambda: prefix_beam_search(FRAMES, prune=np.nan), ValueError, "prune must be at least 0, got nan"),
    (lambda: prefix_beam_search(FRAMES, blank=3), ValueError, "blank is 3, but the logits have classes 0..2"),
    (lambda: prefix_beam_search(FRAMES[0]), ValueError, r"logits must have shape \(T, N, C\) or \(T, C\)"),
    (lambda: prefix_beam_search(np.full((4, 3), np.nan)), ValueError, r"logits\[t=0, c=0\] is nan"),
    (lambda: prefix_beam_search(FRAMES, lengths=[5]), ValueError, r"lengths\[0\] is 5, the logits have 4"),
    (lambda: prefix_beam_search(FRAMES, language_model=len), TypeError,
     r"language_model must have a method score\(prefix, label\), got <built-in"),
    (lambda: BeamStream(beam_width=0).push(FRAMES), ValueError, "beam_width must be at least 1, got 0"),
    (lambda: BeamStream().push(FRAMES[None]), ValueError, r"a stream takes the frames \(T, C\) of one"),
    (lambda: BeamStream().hypotheses(), ValueError, "no frames yet"),
])
def test_what_is_wrong_is_said(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_stream_keeps_its_number_of_classes():
    stream = BeamStream()
    stream.push(FRAMES)
    with pytest.raises(ValueError, match="a stream that began with 3 classes got 2"):
        stream.push(FRAMES[:, :2])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_language_model_must_give_scores(value):
    class Broken:
        def score(self, prefix, label):
            return value if prefix == (1,) else 0.0

    with pytest.raises(ValueError, match=rf"language_model.score gave {value} for the labels \[1, 1\]"):
        prefix_beam_search(FRAMES, language_model=Broken())
