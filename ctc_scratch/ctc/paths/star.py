"""The best path of a target with stars (see `inputs.stars`): Viterbi over all states that can matter.

E_t(s) is the best score of a way to finish from state s at frame t, including the score of frame t:

    E_t(s) = score_t(s) + max E_{t+1}(s')          over stay, step and skip: s' = s, s + 1, s + 2

    score_t(s) = ln y_t(label u)                                                          label u, s = 2u + 1
                 ln y_t(blank)                                                            blank u, s = 2u
                 max(ln y_t(blank), w + ln sum of y_t(c) over c but the blank)            the same, starred

Among moves that are equally good, the first is taken. Since the recursion runs backward, equally good paths
are decided at the first frame where they differ. `band_kernels`, for targets without stars, has the same
rule, and also drops states whose score is too low to matter. With stars hardly any could be dropped, because
a star has a high score at every frame. So here a frame has all states that can be reached and can still
finish: O(T U) time, and two bits of memory per state.

Shapes
------
scores : (T, K), one column for each slot, which several states may share
slots : (S,), the slot of each state, S = 2 U + 1
skips : (S + 2,), which states may be entered by a skip
windows : (T, 2), at frame t the states windows[t, 0] to windows[t, 1] - 1 matter
best : (S + 2,), E of each state at the current frame, less the tops that were subtracted
moves : (T, ceil(S / 4)), the move from each state, two bits each
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...compiled.cache import cached_njit
from ...compiled.targets import find_first_frames, find_windows
from ..labels import can_skip, extend

# nogil: the driver runs batches on several threads. error_model: no test for division by zero. No fastmath:
# scores of -inf have to stay -inf.
kernel = cached_njit(nogil=True, error_model="numpy")

STAR = -1
"""The label of a `Span` that a star covers."""

FRAMES_PER_TOP = 32  # E is reduced by its largest value this often: scores and rounding errors stay small


def best_star_states(
    scores: NDArray[np.float64], slots: NDArray[np.intp], labels: NDArray[np.intp]
) -> NDArray[np.intp] | None:
    """The states (T,) of the best path, or None if there is no path; labels (U,) must fit the frames."""
    (T, _), (S,), (U,) = scores.shape, slots.shape, labels.shape
    skips = np.zeros(S + 2, np.bool_)
    skips[:S] = can_skip(extend(labels, STAR))
    first_frames, windows = np.empty(U, np.intp), np.empty((T, 2), np.intp)
    find_first_frames(labels, first_frames)
    find_windows(first_frames, windows)
    moves, states = np.zeros((T, (S + 3) // 4), np.uint8), np.empty(T, np.intp)
    first_state = fill_moves(scores, slots, skips, windows, np.empty(S + 2), moves)
    if first_state < 0:
        return None
    follow_moves(moves, first_state, states)
    return states


@kernel
def fill_moves(scores, slots, skips, windows, best, moves):
    """Fill moves with the best move from each state; returns the first state, or -1 if there is no path."""
    T, S = len(scores), len(slots)
    best[:] = -np.inf
    best[S - 1] = 0.0  # after the last frame a path is in the last blank
    for t in range(T - 1, -1, -1):
        first, end = windows[t]
        for s in range(first, end):
            top, move = best[s], 0  # stay
            if best[s + 1] > top:
                top, move = best[s + 1], 1  # step
            if skips[s + 2] and best[s + 2] > top:
                top, move = best[s + 2], 2  # skip
            best[s] = top + scores[t, slots[s]]
            moves[t, s >> 2] |= move << 2 * (s & 3)
        if t % FRAMES_PER_TOP == 0:
            top = best[first:end].max()
            if top == -np.inf:
                return -1
            for s in range(first, end):
                best[s] -= top
    return 0 if T == 0 or best[0] >= best[1] else 1


@kernel
def follow_moves(moves, first_state, states):
    """Fill states (T,) with the path that begins in `first_state`."""
    s = first_state
    for t in range(len(states)):
        states[t] = s
        s += int(moves[t, s >> 2] >> 2 * (s & 3)) & 3
