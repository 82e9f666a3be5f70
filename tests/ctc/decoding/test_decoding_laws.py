"""Laws of the decoders, on random problems. The table of all laws is in tests/ctc/test_loss_laws.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctc_scratch.ctc import (
    BeamStream,
    GreedyStream,
    collapse,
    ctc_loss,
    enumeration,
    greedy_decode,
    map_decode,
    min_frames,
    prefix_beam_search,
    reference,
)
from ctc_scratch.ctc.decoding import reference_beam
from tests.conftest import assert_close
from tests.ctc.decoding.cases import AllAtOnce, Asked, pairs_with_a_gap
from tests.tools.strategies import (
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
    beams = prefix_beam_search(logits, lengths, blank=blank, beam_width=5, top=3)
    return [[(tuple(h.labels), h.log_score, h.log_prob) for h in hypotheses] for hypotheses in beams]


def most_probable(logits, lengths=None, blank=0):
    results = map_decode(logits, lengths, blank=blank, budget=50)
    return [(tuple(labels), *numbers) for labels, *numbers in results]


every_decoder = pytest.mark.parametrize("decode", [greedy, beam, most_probable])
small = dict(most_frames=6, most_classes=4, most_sequences=3, holes=True)


def labels_of(answers):
    """The labels alone, best first, of what a decoder gives for each sequence."""
    return [one if not one or isinstance(one[0], int) else one[0] if isinstance(one, tuple)
            else [labels for labels, *_ in one] for one in answers]


@every_decoder
@laws
@given(problem=problems(**small), random=random)
def test_the_batch_may_be_permuted_and_split(decode, problem, random):
    order = list(range(len(problem.targets)))
    random.shuffle(order)
    cut, whole = random.randint(0, len(order)), decode(problem.logits, problem.logit_lengths, problem.blank)
    parts = []
    for numbers in (order[:cut], order[cut:]):
        part = reordered(problem, numbers)
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
def test_decoders_agree_with_the_distribution_over_all_labellings(problem):
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
@given(problem=problems(most_frames=8, most_classes=8, most_sequences=2, holes=True), random=random)
def test_what_a_bound_skips_could_not_enter_the_beam(problem, random):
    """The same bits, in the same order on ties, whether all scores are asked for or only those needed."""
    tie = random.random() < 0.3
    model = pairs_with_a_gap(np.random.default_rng(random.getrandbits(32)), problem.logits.shape[2])
    model.table += random.choice([-5.0, 0.0, 5.0])
    if tie:
        model.table = np.round(model.table / 3)
    most = model.table.max()
    options = dict(blank=problem.blank, beam_width=random.randint(1, 10), prune=random.choice([None, 2.0]))
    for logits, _ in one_by_one(problem):
        logits = np.round(logits) if tie else logits

        def search(form):
            found = prefix_beam_search(
                logits, top=options["beam_width"], language_model=form, **options)  # noqa: B023
            return [(tuple(h.labels), h.log_score) for h in found]

        every = search(Asked(model))
        for form in (Asked(model, most), Asked(model, most + 7), AllAtOnce(model)):
            assert search(form) == every
        stream = BeamStream(language_model=Asked(model, most), **options)
        for frame in logits:
            stream.push(frame[None])
        assert [(tuple(h.labels), h.log_score) for h in stream.hypotheses(options["beam_width"])] == every
        if not tie:
            twin = reference_beam.prefix_beam_search(
                reference.log_softmax(logits), options["beam_width"], problem.blank,
                options["prune"] or np.inf, model.score)
            twin = sorted(((labels, score + model.end(labels)) for labels, score in twin),
                          key=lambda pair: -pair[1])
            assert [labels for labels, _ in every] == [labels for labels, _ in twin]
            for (labels, score), (_, right) in zip(every, twin):
                assert_close(score, right, 1e-11, f"log_score of {labels}")


@laws
@given(problem=problems(**small), random=random)
def test_frames_may_arrive_in_pieces(problem, random):
    for logits, _ in one_by_one(problem):
        cuts = sorted(random.randint(0, len(logits)) for _ in range(3))
        greedy_stream = GreedyStream(blank=problem.blank)
        beam_stream = BeamStream(blank=problem.blank, beam_width=4)
        for piece in np.split(logits, cuts):
            greedy_stream.push(piece)
            beam_stream.push(piece)
        assert greedy_stream.labels == greedy_decode(logits, blank=problem.blank)
        found = prefix_beam_search(logits, blank=problem.blank, beam_width=4, top=4)
        assert [(h.labels, h.log_score, h.log_prob) for h in beam_stream.hypotheses(4)] == [
            (h.labels, h.log_score, h.log_prob) for h in found]
