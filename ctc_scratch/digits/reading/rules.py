"""Remove printed lines: the rules of paper, squares, underlines, boxes and frames around digits.

A rule is a level or an upright line: a straight run of ink at least `LONG` times as long as it is thick. No
stroke of a digit is that thin for its length. Where a stroke crosses a rule, the ink is thicker than the
rule. There nothing is removed, so the stroke stays whole.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

LEVEL = 0.3         # ink above this level was drawn or printed; paper is 0 and full ink 1
LONG = 14           # the shortest rule, in units of its thickness; 25 if the height of a digit is not known
LEAST = 1.25        # the shortest rule, in heights of a digit
THICK = 0.12        # the thickest rule, in heights of a digit
FADED = 2           # [pixels] pale ink this close to a rule is removed with it


def remove_rules(amount: np.ndarray, digit: float = 0.0) -> tuple[np.ndarray, int]:
    """Remove rules along both axes.

    Parameters
    ----------
    amount : (height, width) ink from 0 to 1
    digit : the height of a digit [pixels]; 0 if it is not known

    Returns
    -------
    amount : the same without rules, or the same array if there are none
    count : how many rules there were
    """
    inked = np.asarray(amount > LEVEL)
    across, all_across, rows = _find(inked, digit)
    down, all_down, columns = _find(np.ascontiguousarray(inked.T), digit)
    if not rows and not columns:
        return amount, 0
    rule = across | down.T | (all_across & all_down.T)      # the last where two rules cross
    # Ink below LEVEL beside a rule is its pale edge.
    edge = ndimage.maximum_filter(rule.view(np.uint8), 2 * FADED + 1).view(bool) & ~inked
    return np.where(rule | edge, np.float32(0), amount), rows + columns


def _find(inked: np.ndarray, digit: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Find level rules: their pixels except those of crossing strokes, all their pixels, and how many."""
    wide = ndimage.maximum_filter1d(inked.view(np.uint8), 5, axis=1)
    closed = ndimage.minimum_filter1d(wide, 5, axis=1).view(bool) | inked       # without gaps of grain
    thickness = vertical_runs(closed)
    rule, whole = np.zeros(inked.shape, bool), np.zeros(inked.shape, bool)
    least, long = max(LEAST * digit, 12.0), LONG if digit else 25
    for y in np.flatnonzero(closed.sum(axis=1) >= least):
        edges = np.flatnonzero(np.diff(closed[y], prepend=False, append=False))
        for first, end in zip(edges[::2], edges[1::2]):
            if end - first < least:
                continue
            # The lower quartile, not the median: digits may stand on more than half of the rule.
            thick = np.sort(thickness[y, first:end])[(end - first) // 4]
            if (not digit or thick <= THICK * digit + 1) and end - first >= long * thick:
                rule[y, first:end] |= thickness[y, first:end] <= 1.5 * thick + 1
                whole[y, first:end] = True
    if not rule.any():
        return rule, whole, 0
    joined = ndimage.maximum_filter(rule.view(np.uint8), (3, 2 * int(least) + 1))
    _, count = ndimage.label(joined, np.ones((3, 3)))
    return rule & inked, whole & inked, count


def vertical_runs(inked: np.ndarray) -> np.ndarray:
    """For each pixel, how many pixels of ink lie on top of each other there (int32); 0 on paper.

    >>> vertical_runs(np.array([[1, 0], [1, 1], [0, 1], [1, 1]], bool)).tolist()
    [[2, 0], [2, 3], [0, 3], [1, 3]]
    """
    columns = np.pad(inked, ((1, 1), (0, 0))).T.ravel()     # paper between two columns
    edges = np.flatnonzero(np.diff(columns, prepend=False))
    runs = np.zeros(columns.size, np.int32)
    for_each = edges[1::2] - edges[::2]
    runs[columns] = np.repeat(for_each, for_each)
    return runs.reshape(inked.shape[1], -1).T[1:-1]
