"""The states of one target and the moves between them, which may be fewer or more than those of CTC.

Arrays of states are those of `exact`: state 2u is blank u, state 2u + 1 is label u, S = 2U + 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...compiled.targets import find_first_frames, find_windows


class Topology(NamedTuple):
    """Which moves paths may make, compared with those of CTC.

    skip : whether the blank between two labels that differ may be left out
    stay_on_labels : whether a label may last longer than one frame
    collapse : whether repeats of a label are merged; if not, each frame of a label is a label of its own, so
        labels last one frame, and equal neighbours may stand without a blank between them
    """

    skip: bool = True
    stay_on_labels: bool = True
    collapse: bool = True


PLAIN = Topology()


class States(NamedTuple):
    """The states of one target in T frames."""

    slots: NDArray[np.uintp]  # (S,) which column of the scores each state emits; column 0 is the blank
    stays: NDArray[np.float64]  # (S,) 1 where a path may stay, else 0
    skips: NDArray[np.float64]  # (S + 2,) 1 where a skip may lead to the state, else 0
    windows: NDArray[np.intp]  # (T + 1, 2) the range of states, first and end, before frame 0 and at each


def states_in(
    T: int, labels: NDArray[np.intp], topology: Topology = PLAIN
) -> tuple[States, NDArray[np.intp]]:
    """The states of labels (U,) in T frames, and the distinct labels (K - 1,), which have columns 1 to K - 1.

    Windows may be empty if the labels do not fit.
    """
    U = len(labels)
    used, columns = np.unique(labels, return_inverse=True)
    slots = np.zeros(2 * U + 1, np.uintp)
    slots[1::2] = columns.reshape(-1) + 1
    merged = topology.collapse
    stays, skips = np.ones(2 * U + 1), np.zeros(2 * U + 3)
    stays[1::2] = topology.stay_on_labels and merged
    skips[3:2 * U + 1:2] = topology.skip * ((labels[1:] != labels[:-1]) | (not merged))
    # The windows assume that all moves are allowed. If some are not, they are too wide, which does no harm.
    first_frames = np.arange(U)
    if merged:
        find_first_frames(labels, first_frames)
    windows = np.empty((T + 1, 2), np.intp)
    windows[0] = 0, 1  # before the first frame all mass is in the first blank
    find_windows(first_frames, windows[1:])
    return States(slots, stays, skips, windows), used
