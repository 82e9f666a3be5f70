"""align with stars: against all state paths of small problems, in batches, and on simulated recordings."""

import itertools

import numba
import numpy as np
import pytest

from ctc_scratch import align, get_num_threads, set_num_threads
from ctc_scratch.ctc import InfeasibleTargetError, enumeration, reference
from ctc_scratch.ctc.labels import can_skip, extend, states_of
from ctc_scratch.ctc.paths import align as alignment
from tests.conftest import assert_close
from tests.ctc.paths import recordings


def frame_scores(logits, labels, blank, starred, weight):
    """ln y (T, C), the score (T,) of a starred frame, and the score (T, S) of each state."""
    log_probs = reference.log_softmax(logits)
    others = np.delete(log_probs, blank, axis=1)
    star = weight + np.logaddexp.reduce(others, axis=1) if others.size else np.full(len(logits), -np.inf)
    scores = log_probs[:, extend(labels, blank)]
    for u in starred:
        scores[:, 2 * u] = np.maximum(scores[:, 2 * u], star)
    return log_probs, star, scores


def states_and_stars(found, starred):
    """The states (T,) of an alignment, and which frames are starred, as its path and spans say."""
    labels = [span for span in found.spans if span.label >= 0]
    states = np.array([2 * sum(span.first <= t for span in labels) for t in range(len(found.path))], int)
    for u, span in enumerate(labels):
        states[span.first:span.last + 1] = 2 * u + 1
    stretches = [span for span in found.spans if span.label == -1]
    is_star = np.zeros(len(states), bool)
    for span in stretches:
        place, = set(states[span.first:span.last + 1])  # one position, and no label within
        assert place % 2 == 0 and place // 2 in starred
        is_star[span.first:span.last + 1] = True
    assert len({states[span.first] for span in stretches}) == len(stretches), "two stretches at a position"
    return states, is_star


def assert_best(found, logits, labels, blank, starred, weight, paths, scores):
    """The alignment attains the best of the scores (P,) of the state paths (P, T), and says so correctly."""
    log_probs, star, by_state = frame_scores(logits, labels, blank, starred, weight)
    frames = np.arange(len(logits))
    states, in_stretch = states_and_stars(found, starred)
    is_star = in_stretch & (found.path != blank)
    own = np.where(is_star, star, log_probs[frames, found.path])
    assert (paths == states).all(axis=1).any(), "no path of CTC"
    assert_close(found.log_prob, scores.max(), 1e-12, "log-probability")
    assert_close(own.sum(), scores.max(), 1e-12, "log-probability of the path")
    assert (found.path[states % 2 == 1] == extend(labels, blank)[states[states % 2 == 1]]).all()
    assert (found.path[(states % 2 == 0) & ~is_star] == blank).all()
    for t in np.flatnonzero(is_star):
        assert log_probs[t, found.path[t]] == np.delete(log_probs[t], blank).max()
    assert [span.first for span in found.spans] == sorted(span.first for span in found.spans)
    assert [span.label for span in found.spans if span.label >= 0] == list(labels)
    kinds = np.exp(np.where(is_star, star - weight, log_probs[frames, found.path]))
    for span in found.spans:
        if span.label == -1:
            assert is_star[span.first] and is_star[span.last]
        mean = kinds[span.first:span.last + 1].mean()
        assert_close(span.confidence, mean, 1e-12, "confidence")


SIZES = [(T, C) for C in (1, 2, 3) for T in range(7)] + [(T, 4) for T in range(6)]


@pytest.mark.parametrize("T, C", [
    pytest.param(T, C, marks=pytest.mark.slow if C == 4 and T > 1 else []) for T, C in SIZES])
def test_no_state_path_is_better(rng, T, C):
    """All labellings of up to 3 labels, every set of stars, any blank, ties, -inf."""
    reached = 0
    for blank, U in itertools.product(range(C), range(4)):
        for labels in itertools.product([c for c in range(C) if c != blank], repeat=U):
            paths = np.array([states_of(path, blank) for path in enumeration.alignments(labels, T, blank)])
            for marks in itertools.product([False, True], repeat=U + 1):
                starred = np.flatnonzero(marks).tolist()
                closed, weight = rng.choice([0.0, 0.0, 0.3]), rng.choice([0.0, -0.1, -0.7, -3.0])
                logits = (rng.choice([1.0, 3.0]) * rng.standard_normal((T, C))).round(1)
                logits[rng.random((T, C)) < closed] = -np.inf
                logits[np.arange(T), rng.integers(C, size=T)] = 0.5  # every frame keeps a class
                _, _, by_state = frame_scores(logits, labels, blank, starred, weight)
                scores = np.array([by_state[np.arange(T), path].sum() for path in paths])
                if scores.max(initial=-np.inf) == -np.inf:
                    with pytest.raises(InfeasibleTargetError):
                        align(logits, labels, blank=blank, star=starred, star_weight=weight)
                    continue
                found = align(logits, labels, blank=blank, star=starred, star_weight=weight)
                assert_best(found, logits, labels, blank, starred, weight, paths, scores)
                reached += any(span.label == -1 for span in found.spans)
    assert reached > 0 or T < 3 or C == 1


def test_a_long_target_has_the_path_of_textbook_viterbi(rng):
    """More than 256 states, in a window that moves; stars at every third position."""
    labels, weight = rng.integers(1, 4, 140), -0.4
    for T in (230, 420):
        logits, starred = 2 * rng.standard_normal((T, 4)), list(range(0, 141, 3))
        _, _, scores = frame_scores(logits, labels, 0, starred, weight)
        skips = can_skip(extend(labels))
        best = np.full(281, -np.inf)
        best[:2] = scores[0, :2]
        for t in range(1, T):
            padded = np.concatenate([[-np.inf, -np.inf], best])
            best = np.maximum.reduce([best, padded[1:-1], np.where(skips, padded[:-2], -np.inf)]) + scores[t]
        found = align(logits, labels, star=starred, star_weight=weight)
        assert_close(found.log_prob, best[-2:].max(), 1e-11, "log-probability")
        states, _ = states_and_stars(found, starred)
        assert_close(scores[np.arange(T), states].sum(), best[-2:].max(), 1e-11, "score of the path")


def test_where_stars_gain_nothing_ties_end_as_without_them():
    """Two equally likely classes: a starred frame ties with a blank one, and the blank is taken."""
    for T, labels in [(4, [1]), (6, [1, 1]), (3, [])]:
        plain = align(np.zeros((T, 2)), labels)
        found = align(np.zeros((T, 2)), labels, star="everywhere")
        assert found.path.tolist() == plain.path.tolist() and found.spans == plain.spans


def test_if_all_paths_tie_the_first_in_the_order_of_moves_is_taken():
    """Stars that cost too much to be used: stay before step before skip, blank before label."""
    for T, labels in [(4, [1, 2]), (4, [1, 1]), (6, [1, 2, 2])]:
        paths = enumeration.alignments(labels, T)
        first = min(paths, key=lambda path: np.diff(states_of(path), prepend=-1).tolist())
        assert tuple(align(np.zeros((T, 3)), labels, star="everywhere", star_weight=-9.0).path) == first
    step_or_skip = np.log([[.1, .8, .1], [.4, .2, .4], [.1, .1, .8]])
    for star in (None, [0]):
        assert align(step_or_skip, [1, 2], star=star, star_weight=-9.0).path.tolist() == [1, 0, 2]


def test_a_word_that_was_said_and_not_written_is_a_stretch():
    """The blank inside the stretch belongs to it, the blanks around it do not."""
    said = [0, 1, 0, 2, 2, 0, 3, 0, 1]  # the target is 1, 1: the rest is not written
    logits = np.log(np.full((9, 4), 0.02) + 0.92 * np.eye(4)[said])
    found = align(logits, [1, 1], star=[1])
    assert found.path.tolist() == said
    assert [span[:3] for span in found.spans] == [(1, 1, 1), (-1, 3, 6), (1, 8, 8)]
    # At three frames all other classes have 0.98 together, at one the blank has 0.94.
    assert_close(found.spans[1].confidence, (3 * 0.98 + 0.94) / 4, 1e-15, "confidence")
    assert_close(found.log_prob, 6 * np.log(0.94) + 3 * np.log(0.98), 1e-14, "log-probability")
    assert repr(found) == f"Alignment(T=9, labels=[1, 1], stars=1, log_prob={found.log_prob:.6f})"


def test_a_starred_frame_separates_equal_labels():
    logits = np.log([[.1, .8, .1], [.1, .1, .8], [.1, .8, .1]])
    found = align(logits, [1, 1], star=[1])
    assert found.path.tolist() == [1, 2, 1]
    with pytest.raises(InfeasibleTargetError, match="needs 3 frames .* has 2"):
        align(logits[:2], [1, 1], star="everywhere")


def test_stars_open_what_minus_inf_closes():
    """The blank is impossible at frame 1, and so are all labels but 3."""
    logits = np.zeros((3, 4))
    logits[1, :3] = -np.inf
    with pytest.raises(InfeasibleTargetError, match="target 0 has probability 0"):
        align(logits, [1, 2])
    assert align(logits, [1, 2], star=[1]).path.tolist() == [1, 3, 2]
    with pytest.raises(InfeasibleTargetError, match="target 0 has probability 0"):
        align(logits, [1, 2], star="ends")


def test_a_huge_weight_saturates_as_logits_do():
    logits = np.zeros((30, 3))
    logits[:, 0] = -np.inf  # every frame is in a label or starred
    found = align(logits, [1, 2], star="everywhere", star_weight=-1e308)
    assert [span.label for span in found.spans] == [1, 2] and found.log_prob == align(logits, [1, 2]).log_prob
    logits[:, 1:] = [5.0, -np.inf]
    assert -1e304 < align(logits, [], star="ends", star_weight=-1e308).log_prob < -1e300


def same_bits(one, other):
    return (one.path.dtype == other.path.dtype and one.path.tobytes() == other.path.tobytes()
            and one[1:] == other[1:])


def test_without_stars_the_alignment_has_the_bits_of_the_plain_one(make_problem):
    logits, targets, lengths, _ = make_problem(30, 6, 5, 6, scale=2.0)
    plain = align(logits, targets, lengths)
    for options in (dict(star="everywhere", star_weight=-np.inf), dict(star=[]), dict(star=[None] * 6),
                    dict(star_weight=-1.0)):
        assert all(map(same_bits, align(logits, targets, lengths, **options), plain)), options


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_has_the_bits_of_its_sequences(make_problem, dtype):
    logits, targets, lengths, _ = make_problem(40, 6, 6, 5, scale=2.0, blank=2, dtype=dtype)
    for n, T in enumerate(lengths):
        logits[T:, n] = np.nan  # padding may hold anything
    stars = ["ends", None, {0}, range(len(targets[3]) + 1), np.array([len(targets[4])], np.uint8), ()]
    cases = [(stars, stars), ("ends", ["ends"] * 6), ([0], [[0]] * 6), ({0}, [[0]] * 6), (None, [None] * 6)]
    for given, each in cases:
        expected = [align(logits[:T, n].copy(), targets[n], blank=2, star=each[n], star_weight=-0.2)
                    for n, T in enumerate(lengths)]
        for batch, layout in ((logits, "TNC"), (logits.swapaxes(0, 1), "NTC")):
            found = align(batch, targets, lengths, blank=2, layout=layout, star=given, star_weight=-0.2)
            assert all(map(same_bits, found, expected)), given


def test_alignments_do_not_depend_on_the_number_of_threads(make_problem):
    T, N = (200, 24) if not numba.config.DISABLE_JIT else (60, 24)
    logits, targets, lengths, _ = make_problem(T, N, 30, 20)
    threads = get_num_threads()
    try:
        set_num_threads(1)
        expected = align(logits, targets, lengths, star="everywhere")
        set_num_threads(4)
        assert all(map(same_bits, align(logits, targets, lengths, star="everywhere"), expected))
    finally:
        set_num_threads(threads)


def test_the_other_classes_keep_their_digits_where_the_blank_is_certain(monkeypatch):
    """1 - y(blank) would be 0 at the first frame; at the last, no other class is possible."""
    logits = np.array([[-60., 0., -61.], [3., 1., 2.], [0., -1e300, 0.], [-np.inf, 7., -np.inf]])
    expected = [np.log(np.exp(-60) + np.exp(-61)), np.log1p(-1 / (1 + np.exp(2) + np.exp(1))), 0.0, -np.inf]
    for chunk in (3, 4096):
        monkeypatch.setattr(alignment, "CHUNK", chunk)
        log_sums, likeliest = alignment._others(logits, 1)
        assert_close(log_sums, expected, 1e-14, "ln of the sum of the other classes")
        assert likeliest[:3].tolist() == [0, 0, 0]


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="minutes without compiled kernels")
@pytest.mark.slow
@pytest.mark.parametrize("noise, plain_all, close, all_close", [(0.01, 0.40, 0.999, 0.97),
                                                                (0.05, 0.36, 0.997, 0.89)])
def test_words_are_found_in_recordings_of_which_the_transcript_lacks_some(noise, plain_all, close, all_close):
    """Of 200 recordings. Most labels that are off lost their spike, or are in a word with one that did."""
    drawn = [recordings.recording(n, noise) for n in range(200)]
    of_labels, of_recordings = recordings.shares(drawn, with_stars=True)
    assert of_labels >= close - 0.001, f"{of_labels:.2%} of the labels"
    assert of_recordings >= all_close - 0.01, f"{of_recordings:.1%} of the recordings"
    assert recordings.shares(drawn, with_stars=False)[1] <= plain_all + 0.02, "plain align does as well"
