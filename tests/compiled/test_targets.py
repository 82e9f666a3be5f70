"""The numbers that kernels derive from a target agree with their definitions."""

import itertools

import numpy as np
import pytest

from ctc_scratch.compiled.targets import find_first_frames, find_windows, number_classes
from ctc_scratch.ctc import enumeration
from ctc_scratch.ctc.labels import count_repeats, min_frames, states_of

LABELLINGS = [labels for U in range(5) for labels in itertools.product([1, 2], repeat=U)]


@pytest.mark.parametrize("blank", [0, 3])
def test_classes_are_numbered_in_the_order_they_appear_after_the_blank(blank):
    labels, numbers, classes = np.array([5, 2, 5, 5, 1], np.intp), np.full(6, -1), np.empty(6, np.intp)
    assert number_classes(labels, blank, numbers, classes) == 4
    assert classes[:4].tolist() == [blank, 5, 2, 1]
    assert numbers[classes[:4]].tolist() == [0, 1, 2, 3] and (numbers == -1).sum() == 2
    assert number_classes(labels[:0], blank, numbers, classes) == 1


def test_each_label_has_its_first_frame():
    for labels in LABELLINGS:
        first_frames = np.empty(len(labels), np.intp)
        find_first_frames(np.array(labels, np.intp), first_frames)
        assert first_frames.tolist() == [u + count_repeats(labels[:u + 1]) for u in range(len(labels))]


@pytest.mark.parametrize("labels", LABELLINGS, ids=str)
def test_windows_hold_the_states_that_some_alignment_passes(labels):
    first_frames = np.empty(len(labels), np.intp)
    find_first_frames(np.array(labels, np.intp), first_frames)
    for T in range(1, 9):
        windows = np.empty((T, 2), np.intp)
        find_windows(first_frames, windows)
        fits = windows[-1, 1] >= 2 * len(labels)
        assert fits == (T >= min_frames(labels)), f"T={T}: the last label is reached, or not"
        if fits:
            states = np.array([states_of(path) for path in enumeration.alignments(labels, T)])
            for t, (first, end) in enumerate(windows):
                assert sorted({*states[:, t]}) == list(range(first, end)), f"frame {t} of {T}"
