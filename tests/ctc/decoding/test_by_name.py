"""Each name stands for the decoder of that name."""

import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss, greedy_decode, map_decode, prefix_beam_search
from ctc_scratch.ctc.decoding.by_name import DECODERS, decode, hypotheses
from tests.conftest import assert_close


@pytest.fixture
def problem(make_problem):
    return make_problem(12, 4, 4, 0, scale=1.5)


def test_decode_gives_the_labels_of_the_decoder_it_names(problem):
    logits, lengths = problem.logits, problem.logit_lengths
    assert decode("greedy", logits, lengths) == greedy_decode(logits, lengths)
    assert decode("beam", logits, lengths) == [h.labels for h, in prefix_beam_search(logits, lengths)]
    assert decode("map", logits, lengths, budget=3) == [
        result.labels for result in map_decode(logits, lengths, budget=3)]


def test_decode_ends_the_search_after_the_seconds():
    """Of these frames, the search alone finds the best labelling, and not with its first prefix."""
    logits = np.random.default_rng(3).standard_normal((30, 1, 5))
    assert decode("map", logits, seconds=0) == decode("beam", logits) != decode("map", logits)


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_batch_may_come_first(rng, decoder):
    """Read in the wrong order, (N, T, C) would be decoded as N frames, without an error."""
    logits, lengths = 3 * rng.standard_normal((7, 3, 4)), [7, 4, 0]
    expected = decode(decoder, logits, lengths)
    for batch_first in (logits.swapaxes(0, 1), np.ascontiguousarray(logits.swapaxes(0, 1))):
        assert decode(decoder, batch_first, lengths, layout="NTC") == expected
    assert decode(decoder, logits[:, :1], layout="TNC") == [decode(decoder, logits[:, :1])[0]]
    with pytest.raises(ValueError, match="^layout must be"):
        decode(decoder, logits, layout="NCT")


def test_the_batch_may_come_first_for_all_that_beam_and_map_tell(rng):
    logits, lengths = 3 * rng.standard_normal((7, 3, 4)), [7, 4, 2]
    batch_first = logits.swapaxes(0, 1)
    assert map_decode(batch_first, lengths, layout="NTC") == map_decode(logits, lengths)
    for one, other in zip(prefix_beam_search(batch_first, lengths, top=3, layout="NTC"),
                          prefix_beam_search(logits, lengths, top=3)):
        assert [(h.labels, h.log_score, h.log_prob) for h in one] == [
            (h.labels, h.log_score, h.log_prob) for h in other]


@pytest.mark.parametrize("blank", [0, 3])
@pytest.mark.parametrize("decoder", DECODERS)
def test_hypotheses_are_those_of_decode_with_exact_probabilities(problem, decoder, blank):
    for n, T in enumerate(problem.logit_lengths):
        logits = problem.logits[:T, n]
        (best,), _ = hypotheses(decoder, logits, blank=blank)
        assert [best.labels] == decode(decoder, logits[:, None], blank=blank)
        loss = ctc_loss(logits, best.labels, blank=blank).loss
        assert_close(best.log_prob, -loss, 1e-12, "log_prob")
        assert best.log_score <= best.log_prob + 1e-12
        assert [span.label for span in best.spans] == best.labels


def test_the_score_of_greedy_is_that_of_the_likeliest_path():
    with np.errstate(divide="ignore"):
        logits = np.log([[0.6, 0.4, 0.0], [0.3, 0.7, 0.0]])
    (best,), proved = hypotheses("greedy", logits)
    assert best.labels == [1] and not proved
    assert_close(best.log_score, np.log(0.6 * 0.7), 1e-15, "log_score")
    assert_close(best.log_prob, np.log(1 - 0.6 * 0.3), 1e-15, "log_prob")


def test_several_hypotheses_come_in_the_order_of_their_probabilities(rng):
    logits = rng.standard_normal((20, 5))
    beam = hypotheses("beam", logits, top=30).hypotheses
    assert len(beam) == 30, "more than the usual width"
    assert (np.diff([h.log_prob for h in beam]) <= 0).all()
    assert {tuple(h.labels) for h in beam} == {
        tuple(h.labels) for h in prefix_beam_search(logits, beam_width=30, top=30)}


def test_only_map_proves(rng):
    logits = rng.standard_normal((8, 3))
    assert [hypotheses(decoder, logits).proved for decoder in DECODERS] == [False, False, True]
    assert not hypotheses("map", np.zeros((40, 5)), budget=1).proved
    assert not hypotheses("map", np.zeros((40, 5)), seconds=0).proved


def test_no_frames():
    for decoder in DECODERS:
        (best,), _ = hypotheses(decoder, np.empty((0, 3)))
        assert (best.labels, best.log_prob, best.spans) == ([], 0.0, [])


@pytest.mark.parametrize("call, message", [
    (lambda: decode("best", np.zeros((2, 1, 3))), "decoder must be one of greedy, beam, map, not 'best'"),
    (lambda: hypotheses("best", np.zeros((2, 3))), "decoder must be one of greedy, beam, map, not 'best'"),
    (lambda: decode("beam", np.zeros((2, 3))),
     r"decode takes the logits \(T, N, C\) of a batch, got \(2, 3\)"),
])
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
