"""The edit distance agrees with its definition, and the rates agree with counts made by hand."""

import functools
import tracemalloc

import numpy as np
import pytest

from ctc_scratch.ctc import (
    character_error_rate,
    edit_distance,
    label_error_rate,
    sequence_accuracy,
    word_error_rate,
)
from ctc_scratch.ctc.decoding.metrics import edits


@functools.lru_cache(maxsize=None)
def slow_distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(slow_distance(a[1:], b) + 1, slow_distance(a, b[1:]) + 1,
               slow_distance(a[1:], b[1:]) + (a[0] != b[0]))


def test_edit_distance_is_that_of_the_definition(rng):
    for _ in range(200):
        a, b = (tuple(rng.integers(3, size=rng.integers(7)).tolist()) for _ in range(2))
        assert edit_distance(a, b) == slow_distance(a, b), (a, b)


def test_edits_rebuild_both_sequences_at_the_stated_cost(rng):
    for _ in range(200):
        a, b = (rng.integers(3, size=rng.integers(7)).tolist() for _ in range(2))
        pairs = edits(a, b)
        assert [h for h, _ in pairs if h is not None] == a
        assert [r for _, r in pairs if r is not None] == b
        assert sum(h != r for h, r in pairs) == edit_distance(a, b)


@pytest.mark.parametrize("length", [63, 64, 65, 200])
def test_long_sequences_of_which_the_distance_is_known(rng, length):
    """Each label appears once, so the edits that are made here are the fewest possible."""
    reference = list(range(length))
    hypothesis = [-1 if n == 10 else n for n in reference if n not in (3, length - 1)] + [-2, -3]
    assert edit_distance(hypothesis, reference) == edit_distance(reference, hypothesis) == 4
    assert sum(h != r for h, r in edits(hypothesis, reference)) == 4
    assert edit_distance(reference, reference[::-1]) == length - length % 2


def test_a_long_pair_takes_little_memory(rng):
    """A table of 6000 x 6000 Python integers would take over a gigabyte."""
    reference = rng.integers(1, 30, 6000)
    hypothesis = np.where(rng.random(6000) < 0.05, 0, reference)
    label_error_rate([hypothesis[:10]], [reference[:10]])
    tracemalloc.start()
    assert label_error_rate([hypothesis], [reference]) == np.mean(hypothesis != reference)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_characters_and_words():
    assert edit_distance("", "ab") == edit_distance("ab", "") == 2 and edit_distance("", []) == 0
    assert edits("ac", "abc") == [("a", "a"), (None, "b"), ("c", "c")]
    assert label_error_rate([["the", "cat"]], [("the", "cart")]) == 1 / 2
    assert label_error_rate([np.array(["the", "cat"])], [["the"]]) == 1
    assert label_error_rate(["cat", "sat"], ["cart", "sat"]) == 1 / 7
    assert character_error_rate(["a b"], ["ab"]) == 1 / 2
    assert word_error_rate(["  the cat ", ""], ["the cat", "sat"]) == 1 / 3
    assert sequence_accuracy(["cat", "sat"], ["cart", "sat"]) == 1 / 2
    assert sequence_accuracy([["a", "b"]], ["ab"]) == 1


def test_rates():
    hypotheses, references = [[1, 2, 3], [], [5, 5]], [[1, 2, 3], [4], [5]]
    assert label_error_rate(hypotheses, references) == 2 / 5
    assert sequence_accuracy(hypotheses, references) == 1 / 3
    assert label_error_rate([[], []], [[], []]) == 0 and sequence_accuracy([], []) == 1
    assert label_error_rate([[1]], [[]]) == float("inf")
    with pytest.raises(ValueError, match="go in pairs, got 2 and 1"):
        label_error_rate([[1], [2]], [[1]])


@pytest.mark.parametrize("call, message", [
    (lambda: label_error_rate(3, []), "^hypotheses must be a sequence of labellings, got 3"),
    (lambda: sequence_accuracy([], None), "^references must be a sequence of labellings, got None"),
    (lambda: label_error_rate([3], [[1]]), "^hypothesis must be a sequence of integers"),
    (lambda: sequence_accuracy([[1.7]], [[1]]), r"^hypothesis must be a sequence of integers.*got \[1.7\]"),
    (lambda: edit_distance([1], [[1]]), "^reference must be a sequence of integers"),
    (lambda: edit_distance([1, "a"], [1]), "^hypothesis must be a sequence of integers, a string or"),
    (lambda: edit_distance([1, 2], "12"), "^the hypothesis holds integers, the reference strings"),
    (lambda: sequence_accuracy(["12"], [[1, 2]]), "^the hypothesis holds strings, the reference integers"),
    (lambda: word_error_rate("a cat", ["a cat"]), "^hypotheses must be a sequence of strings, got 'a cat'"),
    (lambda: character_error_rate(["a"], [[1]]), r"^references\[0\] must be a string, got \[1\]"),
    (lambda: word_error_rate(["a"], 3), "^references must be a sequence of strings, got 3"),
])
def test_bad_arguments_are_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
