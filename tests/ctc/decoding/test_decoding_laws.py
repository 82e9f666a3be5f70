"""Laws of decoders, metrics, labellings and the diagnosis. The table is in test_properties.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctc_scratch.ctc import (
    BeamStream,
    GreedyStream,
    can_skip,
    collapse,
    ctc_loss,
    diagnose,
    edit_distance,
    enumeration,
    extend,
    greedy_decode,
    label_error_rate,
    map_decode,
    min_frames,
    prefix_beam_search,
    reference,
    sequence_accuracy,
)
from ctc_scratch.ctc.labels import states_of
from tests.conftest import assert_close
from tests.tools.strategies import (
    labellings,
    laws,
    one_by_one,
    problems,
    random,
    renamed,
    reordered,
    tiny_problems,
)


def greedy(logits, lengths=None, blank=0):
    return [tuple(labels) for labels in greedy_decode(logits, lengths, blank=blank)]


def beam(logits, lengths=None, blank=0):
    found = prefix_beam_search(logits, lengths, blank=blank, beam_width=5, top=3)
    return [[(tuple(h.labels), h.log_score, h.log_prob) for h in one] for one in found]


def most_probable(logits, lengths=None, blank=0):
    found = map_decode(logits, lengths, blank=blank, budget=50)
    return [(tuple(one.labels), one.log_prob, one.gap, one.prefixes) for one in found]


every_decoder = pytest.mark.parametrize("decode", [greedy, beam, most_probable])
small = dict(most_frames=6, most_classes=4, most_sequences=3, holes=True)


def labels_of(found):
    """The labels alone, best first."""
    return [one if not one or isinstance(one[0], int) else one[0] if isinstance(one, tuple)
            else [labels for labels, *_ in one] for one in found]


# ---- decoders


@every_decoder
@laws
@given(problem=problems(**small), random=random)
def test_the_batch_may_be_permuted_and_split(decode, problem, random):
    order = list(range(len(problem.targets)))
    random.shuffle(order)
    cut, whole = random.randint(0, len(order)), decode(problem.logits, problem.logit_lengths, problem.blank)
    parts = []
    for some in (order[:cut], order[cut:]):
        part = reordered(problem, some)
        parts += decode(part.logits, part.logit_lengths, part.blank)
    assert parts == [whole[n] for n in order]


@every_decoder
@laws
@given(problem=problems(**small), filling=st.sampled_from([np.nan, np.inf, -np.inf, 1e300]))
def test_padding_is_never_read(decode, problem, filling):
    padding = np.full((2, *problem.logits.shape[1:]), filling)
    padded = np.concatenate([problem.logits, padding])
    padded[np.arange(len(padded))[:, None] >= problem.logit_lengths] = filling
    assert decode(padded, problem.logit_lengths, problem.blank) == decode(
        problem.logits, problem.logit_lengths, problem.blank)


@every_decoder
@laws
@given(problem=problems(**small, whole=True), random=random)
def test_a_constant_added_to_a_frame_changes_nothing(decode, problem, random):
    constants = np.array([[[random.randint(-10**6, 10**6)] for _ in frame] for frame in problem.logits])
    assert decode(problem.logits + constants, problem.logit_lengths, problem.blank) == decode(
        problem.logits, problem.logit_lengths, problem.blank)


@every_decoder
@laws
@given(problem=problems(**small), random=random)
def test_renamed_classes_are_read_by_their_new_names(decode, problem, random):
    name, other = renamed(problem, random)

    def rename(labels):
        return [rename(part) if isinstance(part, list) else tuple(name[c] for c in part) for part in labels]

    before = labels_of(decode(problem.logits, problem.logit_lengths, problem.blank))
    assert labels_of(decode(other.logits, other.logit_lengths, other.blank)) == rename(before)


@every_decoder
@laws
@given(problem=problems(**small))
def test_closed_classes_and_float32_change_nothing(decode, problem):
    closed = np.full((*problem.logits.shape[:2], 3), -np.inf)
    wider = np.concatenate([problem.logits, closed], axis=2)
    arguments = problem.logit_lengths, problem.blank
    assert labels_of(decode(wider, *arguments)) == labels_of(decode(problem.logits, *arguments))
    single = problem.logits.astype(np.float32)
    assert decode(single, *arguments) == decode(single.astype(float), *arguments)


@laws
@given(problem=tiny_problems(holes=True))
def test_decoders_against_the_distribution_over_all_labellings(problem):
    for logits, _ in one_by_one(problem):
        log_probs = reference.log_softmax(logits)
        right = enumeration.labelling_distribution(log_probs, problem.blank)
        found = prefix_beam_search(logits, blank=problem.blank, beam_width=300, top=300)
        assert {tuple(h.labels) for h in found} == {labels for labels, p in right.items() if p > 0}
        for h in found:
            p = right[tuple(h.labels)]
            assert_close(np.exp(h.log_prob), p, 1e-12, "probability of a labelling")
            assert_close(h.log_score, h.log_prob, 1e-12 * max(1, -h.log_prob), "log_score, nothing dropped")
            assert h.log_prob <= 0
        best = map_decode(logits, blank=problem.blank)
        assert best.gap == 0
        assert_close(np.exp(best.log_prob), max(right.values()), 1e-12, "the highest probability")
        path = log_probs.argmax(axis=1).tolist()
        assert greedy_decode(logits, blank=problem.blank) == collapse(path, problem.blank)


@laws
@given(problem=problems(**small))
def test_scores_are_those_of_ctc_loss(problem):
    for logits, _ in one_by_one(problem):
        for h in prefix_beam_search(logits, blank=problem.blank, beam_width=3, top=3):
            loss = ctc_loss(logits, h.labels, blank=problem.blank).loss
            assert_close(h.log_prob, -loss, 1e-13 * max(1, loss), "log_prob")
            assert h.log_prob <= 0 and h.log_score <= h.log_prob + 1e-12 * max(1, loss)
            assert problem.blank not in h.labels and min_frames(h.labels) <= len(logits)
        best = map_decode(logits, blank=problem.blank, budget=50)
        loss = ctc_loss(logits, best.labels, blank=problem.blank).loss
        assert_close(best.log_prob, -loss, 1e-13 * max(1, loss), "log_prob")
        assert best.gap >= 0


@laws
@given(problem=problems(**small), random=random)
def test_frames_may_come_in_pieces(problem, random):
    for logits, _ in one_by_one(problem):
        cuts = sorted(random.randint(0, len(logits)) for _ in range(3))
        one, other = GreedyStream(blank=problem.blank), BeamStream(blank=problem.blank, beam_width=4)
        for piece in np.split(logits, cuts):
            one.push(piece)
            other.push(piece)
        assert one.labels == greedy_decode(logits, blank=problem.blank)
        found = prefix_beam_search(logits, blank=problem.blank, beam_width=4, top=4)
        assert [(h.labels, h.log_score, h.log_prob) for h in other.hypotheses(4)] == [
            (h.labels, h.log_score, h.log_prob) for h in found]


# ---- diagnosis


@laws
@given(problem=problems(fits=False, holes=True), random=random)
def test_the_diagnosis_finds_an_error_where_ctc_loss_does(problem, random):
    logits, targets, lengths, blank = problem
    found = diagnose(logits, targets, lengths, blank=blank)
    wrong = ctc_loss(logits, targets, lengths, blank=blank, infeasible="inf").loss == np.inf
    assert bool(found.errors) == wrong.any()
    assert [fit.dead_frame is not None for fit in found.fits] == wrong.tolist()

    order = list(range(len(targets)))
    random.shuffle(order)
    other = reordered(problem, order)
    permuted = diagnose(other.logits, other.targets, other.logit_lengths, blank=blank)
    assert [fit._replace(n=0) for fit in permuted.fits] == [found.fits[n]._replace(n=0) for n in order]
    swapped = diagnose(logits.transpose(1, 0, 2), targets, lengths, blank=blank, layout="NTC")
    assert swapped.fits == found.fits
    padded = np.concatenate([logits, np.full((2, *logits.shape[1:]), np.nan)])
    assert diagnose(padded, targets, lengths, blank=blank).fits == found.fits
    for n, fit in enumerate(found.fits):
        alone = diagnose(logits[:lengths[n], n], targets[n], blank=blank)
        assert [one._replace(n=n) for one in alone.fits] == [fit]


# ---- labellings


@laws
@given(labels=labellings(), blank=st.sampled_from([0, 9]), random=random)
def test_paths_collapse_to_the_labels_they_pass(labels, blank, random):
    ext = extend(labels, blank)
    assert ext[1::2].tolist() == labels and (ext[::2] == blank).all() and len(ext) == 2 * len(labels) + 1
    skips = [u > 0 and labels[u] != labels[u - 1] for u in range(len(labels))]
    assert can_skip(ext)[1::2].tolist() == skips and not can_skip(ext)[::2].any()
    path = [c for c in ext.tolist() for _ in range(random.randint(1, 3))]
    assert collapse(path, blank) == labels
    assert ext[states_of(path, blank)].tolist() == path
    assert min_frames(labels) == len(labels) + sum(a == b for a, b in zip(labels, labels[1:]))
    # The fewest frames, and not one less.
    shortest = [c for u, c in enumerate(labels) for c in ([blank] if u and labels[u - 1] == c else []) + [c]]
    assert len(shortest) == min_frames(labels) and collapse(shortest, blank) == labels


@laws
@given(path=st.lists(st.integers(0, 3), max_size=12), random=random)
def test_collapsing_is_blind_to_repeated_frames_and_keeps_names(path, random):
    labels = collapse(path)
    assert min_frames(labels) <= len(path)
    assert collapse([c for c in path for _ in range(random.randint(1, 3))]) == labels
    name = [0, *random.sample([1, 2, 3], 3)]
    assert collapse([name[c] for c in path]) == [name[c] for c in labels]


# ---- metrics


@laws
@given(a=labellings(), b=labellings(), c=labellings(), random=random)
def test_edit_distance_is_a_distance(a, b, c, random):
    assert edit_distance(a, a) == 0 and (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, b) == edit_distance(b, a) == edit_distance(a[::-1], b[::-1])
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))
    assert edit_distance(c + a, c + b) == edit_distance(a, b) == edit_distance(a + c, b + c)
    name = random.sample(range(50), 9)
    assert edit_distance([name[x] for x in a], [name[x] for x in b]) == edit_distance(a, b)


@laws
@given(pairs=st.lists(st.tuples(labellings(), labellings()), max_size=5), random=random)
def test_rates_are_blind_to_the_order_of_the_batch(pairs, random):
    def rates(pairs):
        read, true = [a for a, _ in pairs], [b for _, b in pairs]
        return label_error_rate(read, true), sequence_accuracy(read, true)

    rate, accuracy = rates(pairs)
    assert rates(random.sample(pairs, len(pairs))) == (rate, accuracy)
    assert rate >= 0 and 0 <= accuracy <= 1
    assert (rate == 0) == (accuracy == 1)
    labels = sum(len(b) for _, b in pairs)
    if labels:
        assert_close(rate * labels, sum(edit_distance(a, b) for a, b in pairs), 1e-12, "edits")
    perfect = [(b, b) for _, b in pairs]
    assert rates(perfect) == (0.0, 1.0)
