"""Facts about labellings: collapse, extended labels, moves and lengths.

A *path* (or alignment) names one class for each of T frames. It *collapses* to
its *labels*: repeats are merged, then blanks are dropped. The states of the CTC
lattice are the *extended labels* l': the labels with blanks before, between and
after them,

    labels (1, 2)  ->  ext (0, 1, 0, 2, 0)          U = 2, S = 2U + 1 = 5

From one frame to the next a path makes one of three moves: it **stays** in its
state, **steps** to the next one, or **skips** the blank between two labels that
differ.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_array, before_mask


def as_labels(labels: Any, name: str = "labels") -> NDArray[np.intp]:
    """The labels as an integer array (U,); raises an error with their name unless they are integers.

    >>> as_labels([1.5])
    Traceback (most recent call last):
    TypeError: labels must be a sequence of integers, got [1.5]
    """
    try:
        array = as_array(before_mask(labels, name), name)
    except ValueError:  # a ragged list
        array = np.empty((0, 0))
    if array.ndim == 1 and (array.size == 0 or array.dtype.kind in "iu"):  # NumPy makes [] a float array
        return array.astype(np.intp, copy=False)
    error = ValueError if array.ndim > 1 else TypeError
    raise error(f"{name} must be a sequence of integers, got {labels!r:.80}")


def collapse(path: Sequence[int], blank: int = 0) -> list[int]:
    """The labels that a path spells: merge repeats, then drop blanks (the map B of Graves 2006).

    >>> collapse([1, 1, 0, 1])
    [1, 1]
    """
    path = as_labels(path, "path").tolist()
    return [c for t, c in enumerate(path) if c != blank and (t == 0 or c != path[t - 1])]


def extend(labels: ArrayLike, blank: int = 0) -> NDArray[np.intp]:
    """The extended labels l' (S,): blanks before, between and after the labels.

    >>> extend([1, 2])
    array([0, 1, 0, 2, 0])
    """
    labels = as_labels(labels)
    ext = np.full(2 * len(labels) + 1, blank, dtype=np.intp)
    ext[1::2] = labels
    return ext


def can_skip(ext: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which states (S,) may be entered by a skip: labels that differ from the label before them.

    A blank is never entered by a skip, because the state two before it is a blank, too. So one comparison
    covers the papers' whole case distinction.

    >>> can_skip(extend([1, 1, 2]))
    array([False, False, False, False, False,  True, False])
    """
    ext = as_labels(ext, "ext")
    skip = np.zeros(len(ext), dtype=np.bool_)
    skip[2:] = ext[2:] != ext[:-2]
    return skip


def count_repeats(labels: ArrayLike) -> int:
    """How many labels equal the label before them (r): each needs a blank in between, which takes a frame.

    >>> count_repeats([1, 1, 2, 2, 2])
    3
    """
    labels = as_labels(labels)
    return int(np.count_nonzero(labels[1:] == labels[:-1]))


def min_frames(labels: ArrayLike) -> int:
    """The fewest frames, U + r, into which the labels fit.

    >>> min_frames([1, 2]), min_frames([1, 1])
    (2, 3)
    """
    labels = as_labels(labels)
    return len(labels) + count_repeats(labels)


def states_of(path: Sequence[int], blank: int = 0) -> NDArray[np.intp]:
    """The states (T,) of l' that a path passes through; state 2u + 1 emits label u.

    >>> states_of([0, 1, 1, 0, 1])
    array([0, 1, 1, 2, 3])
    """
    path = as_labels(path, "path").tolist()
    states = np.empty(len(path), dtype=np.intp)
    u = 0  # labels begun so far
    for t, c in enumerate(path):
        if c != blank and (t == 0 or c != path[t - 1]):
            u += 1
        states[t] = 2 * u if c == blank else 2 * u - 1
    return states
