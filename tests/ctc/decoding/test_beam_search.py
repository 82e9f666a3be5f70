"""Prefix beam search: exact if nothing is dropped, in batches and in pieces, and with a language model."""

import numpy as np
import pytest

from ctc_scratch.ctc import (
    BeamStream,
    get_num_threads,
    greedy_decode,
    prefix_beam_search,
    set_num_threads,
)
from ctc_scratch.ctc.reference import log_softmax
from tests.conftest import assert_close
from tests.ctc.decoding.cases import AllAtOnce, Asked, pairs_with_a_gap, possible, random_case


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
    # In the first frame, two labels share what the blank leaves.
    ([[0.4, 0.3, 0.3], [0.4, 0.6, 0.0]], [1], 0.3 * 0.4 + 0.3 * 0.6 + 0.4 * 0.6),
    # A label comes again only after a blank, so (1, 1) has a single path.
    ([[0.0, 1.0], [0.9, 0.1], [0.0, 1.0]], [1, 1], 0.9),
])
def test_examples_worked_by_hand(probs, labels, prob):
    with np.errstate(divide="ignore"):
        best, = prefix_beam_search(np.log(probs), beam_width=4)
    assert best.labels == labels
    assert_close(np.exp(best.log_prob), prob, 1e-15, "probability")
    assert_close(best.log_score, best.log_prob, 1e-14, "log_score")


def test_a_language_model_adds_what_it_says(rng):
    """log_score = log_prob + the model's scores + its end, where nothing is dropped."""
    logits = rng.standard_normal((5, 4))
    model = pairs_with_a_gap(rng, 4)
    for h in prefix_beam_search(logits, beam_width=500, top=500, language_model=model):
        assert_close(h.log_score, h.log_prob + model.whole(h.labels), 1e-12, "log_score")


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


def test_empty_inputs():
    only, = prefix_beam_search(np.empty((0, 3)), top=2)
    assert (only.labels, only.log_prob, only.log_score, only.spans) == ([], 0.0, 0.0, [])
    assert prefix_beam_search(np.empty((4, 0, 3))) == []
    blank_only, = prefix_beam_search(np.zeros((3, 1)))
    assert (blank_only.labels, blank_only.log_prob) == ([], 0.0)


@pytest.mark.parametrize("model", [None, "pairs"])
def test_a_stream_gives_the_same_to_the_last_bit(rng, model):
    logits = rng.standard_normal((50, 5))
    options = dict(beam_width=7, blank=1, prune=20.0, language_model=model and pairs_with_a_gap(rng, 5))
    stream, t = BeamStream(**options), 0
    for frames in (1, 0, 13, 30, 6):
        stream.push(logits[t:t + frames])
        t += frames
        whole = prefix_beam_search(logits[:t], top=4, **options)
        pieces = stream.hypotheses(top=4)
        assert [(h.labels, h.log_score, h.log_prob, h.spans) for h in pieces] == [
            (h.labels, h.log_score, h.log_prob, h.spans) for h in whole]


def test_where_the_frames_are_certain_a_beam_of_one_finds_what_greedy_decoding_does():
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
def test_bad_arguments_are_refused(call, error, message):
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


def test_only_the_scores_of_likely_labels_are_asked_for_and_each_once(rng):
    """Spikes over blanks, 200 classes: the bound leaves few labels that could enter the beam."""
    logits = rng.standard_normal((24, 200))
    logits[:, 0] += 8.0
    logits[np.arange(1, 24, 4), rng.integers(1, 200, 6)] += 12.0
    model = pairs_with_a_gap(rng, 200)
    np.minimum(model.table, 0.0, out=model.table)
    every, some = Asked(model), Asked(model, highest_score=0.0)
    found = [[(h.labels, h.log_score) for h in prefix_beam_search(logits, top=16, language_model=form)]
             for form in (every, some)]
    assert found[0] == found[1]
    assert len(set(some.asked)) == len(some.asked), "a score was asked for twice"
    assert set(some.asked) < set(every.asked)
    assert 20 * len(some.asked) < len(every.asked), f"{len(some.asked)} scores, {len(every.asked)} without"


def test_the_likeliest_labels_are_asked_for_first():
    """Each label is 0.1 nats less likely than the one before it, and every score is -0.35.

    With label 1 known, labels 2 to 4 could still be better; label 5 could not.
    """
    class Model:
        def score(self, prefix, label):
            return -0.35

        def end(self, prefix):
            return 0.0

    logits = np.tile(-0.1 * np.arange(200.0), (3, 1))
    logits[:, 0] = -30.0
    model = Asked(Model(), highest_score=0.0)
    prefix_beam_search(logits[:1], beam_width=1, language_model=model)
    assert model.asked == [(1,), (2,), (3,), (4,)]
    prefix_beam_search(logits, beam_width=8, language_model=model)
    assert len(model.asked) < 80, f"{len(model.asked)} scores, where 17 prefixes have 199 each"


@pytest.mark.parametrize("highest, error, message", [
    (np.nan, ValueError, "language_model.highest_score must be a number that no score exceeds, got nan"),
    ("0", TypeError, "language_model.highest_score must be a number, got '0'"),
    (-3.0, ValueError, r"language_model.score gave -2.0 for the labels \[1\], but its highest_score is -3.0"),
])
def test_a_wrong_bound_of_the_scores_is_refused(highest, error, message):
    class Model:
        highest_score = highest

        def score(self, prefix, label):
            return -2.0

    with pytest.raises(error, match=message):
        prefix_beam_search(FRAMES, language_model=Model())


@pytest.mark.parametrize("scores, error, message", [
    ([0.0], TypeError, r"scores_for\(labels\) gave array\(\[0.\]\) after the labels \[\], not 2 numbers"),
    (["a", "b"], TypeError, r"scores_for\(labels\) gave array\(\['a', 'b'\].* not 2 numbers"),
    ([0.0, np.nan], ValueError, r"language_model.scores_for gave nan for the labels \[2\]"),
    ([np.inf, 0.0], ValueError, r"language_model.scores_for gave inf for the labels \[1\]"),
])
def test_all_scores_at_once_must_be_scores(scores, error, message):
    class Model(AllAtOnce):
        def scores_for(self, labels):
            return lambda prefix: scores

    with pytest.raises(error, match=message):
        prefix_beam_search(FRAMES, language_model=Model(None))


def test_all_scores_at_once_may_be_whole_numbers():
    class Model:
        def score(self, prefix, label):
            raise AssertionError("scores_for takes its place")

        def scores_for(self, labels):
            return lambda prefix: [0, 3]

    best, = prefix_beam_search(FRAMES[:1], language_model=Model())
    assert best.labels == [2]


def test_repr_of_a_stream_fits_a_line():
    stream = BeamStream(beam_width=4)
    stream.push(FRAMES)
    stream.push(FRAMES)
    assert repr(stream) == "BeamStream(beam_width=4, blank=0, 8 frames so far)"
