"""Printed lines are removed, and strokes that cross them stay whole."""

import numpy as np
import pytest

from ctc_scratch.digits.reading.rules import remove_rules, vertical_runs


@pytest.fixture
def digit():
    """A slanted stroke and a ring, 30 pixels high, in an image of 80 x 200."""
    ink = np.zeros((80, 200), np.float32)
    for k in range(30):
        ink[25 + k, 40 + k // 3:46 + k // 3] = 1
    y, x = np.mgrid[:80, :200]
    around = np.hypot(y - 40, x - 120)
    ink[(around > 9) & (around < 15)] = 1
    return ink


@pytest.mark.parametrize("thick", [1, 2, 3])
@pytest.mark.parametrize("down", [False, True])
def test_a_rule_is_removed_and_the_strokes_it_crosses_stay(digit, thick, down):
    ruled = digit.copy()
    if down:
        ruled[:, 119:119 + thick] = 1
    else:
        ruled[44:44 + thick] = 1
    cleaned, count = remove_rules(ruled, 30)
    assert count == 1
    assert cleaned[digit == 0].mean() < 0.1 * ruled[digit == 0].mean()
    assert cleaned[digit == 1].mean() > 0.97


def test_the_lines_of_squared_paper_are_removed(digit):
    squared = digit.copy()
    squared[7::20], squared[:, 9::20] = 1, 1
    cleaned, count = remove_rules(squared, 30)
    assert count == 14
    assert (cleaned[digit == 0] > 0.3).mean() < 0.02 and cleaned[digit == 1].mean() > 0.95


def test_without_rules_nothing_changes(digit):
    for height in (30, 0):
        cleaned, count = remove_rules(digit, height)
        assert cleaned is digit and count == 0


def test_the_strokes_of_a_seven_and_a_one_are_not_rules():
    ink = np.zeros((60, 100), np.float32)
    ink[10:14, 10:40], ink[10:50, 36:40] = 1, 1
    ink[10:50, 70:74] = 1
    assert remove_rules(ink, 40)[1] == 0


def test_runs_at_the_border_end_there():
    assert vertical_runs(np.ones((3, 2), bool)).tolist() == [[3, 3]] * 3
    assert vertical_runs(np.zeros((3, 2), bool)).tolist() == [[0, 0]] * 3
