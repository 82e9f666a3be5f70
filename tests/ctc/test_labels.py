"""Facts about labellings, against brute force."""

import itertools

import numpy as np
import pytest

from ctc_scratch.ctc.labels import can_skip, collapse, count_repeats, extend, min_frames, states_of


@pytest.mark.parametrize("path, blank, labels", [
    ([], 0, []),
    ([0, 0, 0], 0, []),
    ([1, 1, 1], 0, [1]),
    ([1, 0, 1], 0, [1, 1]),
    ([0, 1, 1, 2, 0, 2], 0, [1, 2, 2]),
    ([0, 0, 2, 0], 2, [0, 0]),
])
def test_collapse_merges_then_drops(path, blank, labels):
    assert collapse(path, blank) == labels


def test_collapse_of_stretched_extended_labels_gives_the_labels_back(rng):
    for _ in range(100):
        blank = int(rng.integers(4))
        labels = rng.choice([c for c in range(4) if c != blank], size=rng.integers(6))
        stretched = np.repeat(extend(labels, blank), rng.integers(1, 4, size=2 * len(labels) + 1))
        assert collapse(stretched, blank) == labels.tolist()


def test_skips_follow_the_case_distinction_of_the_papers():
    # 2006, eq. 6: no skip into a blank, nor into a label equal to the one before.
    ext = extend([1, 1, 2], blank=0)
    expected = [s >= 2 and ext[s] != 0 and ext[s] != ext[s - 2] for s in range(len(ext))]
    assert can_skip(ext).tolist() == expected
    assert can_skip(extend([3, 3, 0], blank=1)).tolist() == [False] * 5 + [True, False]


def test_min_frames_is_the_length_of_the_shortest_path():
    for U in range(4):
        for labels in itertools.product([1, 2], repeat=U):
            shortest = next(
                T for T in range(8)
                if any(collapse(path) == list(labels) for path in itertools.product(range(3), repeat=T))
            )
            assert min_frames(labels) == shortest == U + count_repeats(labels)


@pytest.mark.parametrize("labels", [[1.5], [[1, 1]], [[1], [1, 2]], 3, None, "ab", [True], ["1"], {1: 2}],
                         ids=str)
@pytest.mark.parametrize("function", [extend, min_frames, count_repeats, collapse, states_of])
def test_anything_but_labels_is_an_error_that_names_it(function, labels):
    name = "path" if function in (collapse, states_of) else "labels"
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be a sequence of integers"):
        function(labels)


def test_an_empty_sequence_of_any_type_holds_no_labels():
    assert extend([]).tolist() == [0] and min_frames(np.empty(0)) == 0 and collapse(()) == []


def test_states_of_a_path_emit_that_path(rng):
    for _ in range(100):
        path = rng.integers(3, size=rng.integers(9))
        assert extend(collapse(path))[states_of(path)].tolist() == path.tolist()
