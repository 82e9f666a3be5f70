"""The edit distance agrees with its definition, and the rates agree with counts made by hand."""

import functools

import pytest

from ctc_scratch.ctc import edit_distance, label_error_rate, sequence_accuracy
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
])
def test_bad_arguments_are_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
