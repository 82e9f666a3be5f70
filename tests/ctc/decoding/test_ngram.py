"""The n-gram model is a distribution, follows its counts, and changes what a beam search finds."""

import itertools
import math

import numpy as np
import pytest

from ctc_scratch.ctc import BeamStream, NGram, prefix_beam_search
from ctc_scratch.ctc.decoding import ngram
from ctc_scratch.ctc.decoding.ngram import END
from tests.conftest import assert_close
from tests.ctc.decoding.cases import Asked

YEARS = [[int(digit) for digit in str(year)] for year in range(1900, 2030)]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_it_is_a_distribution_after_every_prefix(order):
    model = NGram(YEARS[::3], order, labels=range(10))
    for prefix in [(), (1,), (1, 9), (2, 0), (7, 7, 7), (1, 9, 9, 9), (1, 9, 9, 9, 9)]:
        probs = [model.prob(prefix, c) for c in (*range(10), END)]
        assert min(probs) > 0
        assert_close(sum(probs), 1.0, 1e-14, f"sum after {prefix}")


def test_all_sequences_together_have_probability_1():
    model = NGram([[0, 1], [1], [0, 0, 1]], 2)
    total = sum(math.exp(model.log_prob(sequence)) for length in range(13)
                for sequence in itertools.product((0, 1), repeat=length))
    assert 0.97 < total < 1.0, f"{total} within 12 labels"


def test_probabilities_by_hand():
    """In (1, 2, 1, 2) and (1, 2), 1 is always followed by 2, and 2 twice by the end and once by 1."""
    model = NGram([[1, 2, 1, 2], [1, 2]], 2)
    alone = {c: (count + 3 * (1 / 3)) / (8 + 3) for c, count in ((1, 3), (2, 3), (END, 2))}
    assert_close(model.prob((), 1), (2 + 1 * alone[1]) / (2 + 1), 1e-15, "P(1 | begin)")
    assert_close(model.prob((1,), 2), (3 + 1 * alone[2]) / (3 + 1), 1e-15, "P(2 | 1)")
    assert_close(model.prob((1, 2), END), (2 + 2 * alone[END]) / (3 + 2), 1e-15, "P(end | 2)")
    whole = model.prob((), 1) * model.prob((1,), 2) * model.prob((1, 2), END)
    assert_close(model.log_prob([1, 2]), math.log(whole), 1e-14, "ln P(1, 2)")


def test_years_are_likelier_than_other_numbers_of_four_digits():
    model = NGram(YEARS, 3, labels=range(10))
    assert min(map(model.log_prob, YEARS)) > max(
        model.log_prob([int(digit) for digit in str(number)]) for number in range(3000, 10_000, 7))


def test_weight_and_bonus():
    plain, weighted = NGram(YEARS, 3), NGram(YEARS, 3, weight=0.5, bonus=2.0)
    assert_close(weighted.score((1,), 9), 0.5 * plain.score((1,), 9) + 2.0, 1e-15, "score")
    assert_close(weighted.end((1, 9, 8, 4)), 0.5 * plain.end((1, 9, 8, 4)), 1e-15, "end")


def test_it_decides_where_the_frames_leave_a_choice():
    """The frames read 1_99; whether 4 or 9 stands in the gap is nearly open."""
    logits = np.full((8, 11), -10.0)
    logits[np.arange(8), [0, 2, 0, 5, 0, 10, 0, 10]] = 0.0   # digit d is class d + 1
    logits[3, 10] = -0.5  # 9 is nearly as likely as 4
    model = NGram([[d + 1 for d in year] for year in YEARS], 3, labels=range(1, 11))
    without, = prefix_beam_search(logits)
    with_model, = prefix_beam_search(logits, language_model=model)
    assert without.labels == [2, 5, 10, 10] and with_model.labels == [2, 10, 10, 10]
    assert with_model.log_prob < without.log_prob
    assert_close(with_model.log_score, with_model.log_prob + model.log_prob(with_model.labels), 1e-9, "score")


PREFIXES = [(), (1,), (1, 9), (2, 0), (7, 7, 7), (1, 9, 9, 9), (2, 0, 2), (1, 9, 5, 0, 1, 9)]


@pytest.mark.parametrize("most_kept", [0, 2**22])
@pytest.mark.parametrize("sequences", [YEARS[::3], []], ids=["years", "nothing learnt"])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_all_scores_at_once_are_those_of_score_to_the_last_bit(order, sequences, most_kept, monkeypatch):
    monkeypatch.setattr(ngram, "MOST_KEPT", most_kept)
    model = NGram(sequences, order, labels=range(12), weight=0.7, bonus=1.5)
    for labels in (np.arange(12), np.array([9, 3, 11])):
        scores = model.scores_for(labels)
        for prefix in PREFIXES + PREFIXES:
            right = [model.score(prefix, c) for c in labels.tolist()]
            assert scores(prefix).tolist() == right, f"after {prefix}"


def test_without_labels_the_alphabet_is_that_of_the_sequences():
    learnt, told = NGram(YEARS, 3), NGram(YEARS, 3, labels=range(10))
    assert learnt.labels == list(range(10))
    logits = np.random.default_rng(5).standard_normal((12, 11))
    found, right = (
        [(h.labels, h.log_score) for h in prefix_beam_search(logits, blank=10, top=8, language_model=model)]
        for model in (learnt, told))
    assert found == right


UNKNOWN = (r"^the language model does not know label 3, a class of the logits \(it knows 3 labels; 2 of the "
           r"5 here are not among them\): make it with NGram\(\.\.\., labels=all classes but the blank\)$")


@pytest.mark.parametrize("search", [
    lambda model: prefix_beam_search(np.zeros((4, 6)), language_model=model),
    lambda model: prefix_beam_search(np.zeros((0, 6)), language_model=model),
    lambda model: prefix_beam_search(np.zeros((4, 0, 6)), language_model=model),
    lambda model: BeamStream(language_model=model).push(np.zeros((0, 6))),
], ids=["frames", "no frames", "no sequences", "stream"])
def test_classes_that_it_does_not_know_are_refused_before_the_search(search):
    with pytest.raises(ValueError, match=UNKNOWN):
        search(NGram([[1, 2, 4], [4, 1]]))


@pytest.mark.parametrize("order, weight, bonus", [(1, 1.0, 0.0), (3, 1.0, 0.0), (2, 0.5, 3.0), (3, 2.0, -1.0),
                                                  (2, 0.0, 0.0)])
def test_a_search_finds_the_same_with_scores_all_at_once_and_one_by_one(rng, order, weight, bonus):
    """A score never exceeds the bonus, so the bonus can be declared as highest_score."""
    model = NGram(rng.integers(1, 30, (40, 6)), order, labels=range(1, 30), weight=weight, bonus=bonus)
    for case in range(5):
        logits = rng.choice([1.0, 5.0]) * rng.standard_normal((12, 30))
        found = [[(h.labels, h.log_score) for h in prefix_beam_search(logits, top=16, language_model=form)]
                 for form in (Asked(model), model, Asked(model, bonus))]
        assert found[0] == found[1] == found[2], f"case {case}"


def test_a_subclass_may_have_scores_of_its_own():
    class Liking7(NGram):
        def score(self, prefix, label):
            return 10.0 if label == 7 else -10.0

    best, = prefix_beam_search(np.zeros((1, 9)), language_model=Liking7([[1, 2]]))
    assert best.labels == [7]


@pytest.mark.parametrize("call, error, message", [
    (lambda: NGram([]), ValueError, "an n-gram model needs labels"),
    (lambda: NGram([[1]], 0), ValueError, "order must be at least 1, got 0"),
    (lambda: NGram([[1]], weight=-1), ValueError, "weight must be at least 0, got -1"),
    (lambda: NGram([[1, 7]], labels=[1, 2]), ValueError, r"label 7 occurs in a sequence, but is none of"),
    (lambda: NGram([[1.7]]), TypeError, r"^sequences\[0\] must be a sequence of integers.*got \[1.7\]"),
    (lambda: NGram(3), TypeError, "^sequences must be sequences of labels, got 3"),
    (lambda: NGram([[1]], labels=[1.5]), TypeError, "^labels must be a sequence of integers"),
    (lambda: NGram([[1]], labels=3), TypeError, "^labels must be a sequence of integers.*got 3"),
    (lambda: NGram([[1]], bonus=float("nan")), ValueError, "^bonus must be finite, got nan"),
    (lambda: NGram([[1]], bonus="x"), TypeError, "^bonus must be a real number, got 'x'"),
    (lambda: NGram([[1]]).prob((), 3), ValueError, r"label 3 is none of the labels \[1\]"),
])
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_repr_fits_a_line():
    model = NGram(YEARS, 2, weight=0.5)
    assert repr(model) == "NGram(order=2, 10 labels, weight=0.5, bonus=0)"
