"""The states that can matter to a target: their windows, the best path and the sum over all paths.

This is the NumPy side of `band_kernels`, which holds the recursions and explains why they need not look
at every state. `align` uses it, and so does the beam search for the hypotheses that it returns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import underflow_is_zero
from ...compiled.log_space import log_probs_of_classes
from ...compiled.targets import find_first_frames, find_windows, number_classes
from . import band_kernels

FIRST_REACH = 40.0
"""How many nats the best path may lose to the most likely class of each frame, in the first attempt."""


class Band(NamedTuple):
    """The states that can be reached and can still finish, in pairs: pair u is blank u and label u.

    firsts, lasts : (T,) the first and the last pair at each frame
    repeats : (U + 2,) whether label u equals label u - 1
    """

    firsts: NDArray[np.intp]
    lasts: NDArray[np.intp]
    repeats: NDArray[np.bool_]


def classes_used(labels: NDArray[np.intp], blank: int, C: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The classes (K,) that a target uses, the blank first, and the index (U,) of each label among them."""
    classes, numbers = np.empty(min(len(labels) + 1, C), np.intp), np.full(C, -1)
    K = number_classes(labels, blank, numbers, classes)
    return classes[:K], numbers[labels]


def band_of(columns: NDArray[np.intp], T: int) -> Band:
    """The band of a target that fits its T frames; columns (U,) are the labels, or their indices."""
    U = len(columns)
    first_frames, windows = np.empty(U, np.intp), np.empty((T, 2), np.intp)
    find_first_frames(columns, first_frames)
    find_windows(first_frames, windows)  # at frame t the states windows[t, 0] to windows[t, 1] - 1
    repeats = np.zeros(U + 2, np.bool_)
    repeats[1:U] = columns[1:] == columns[:-1]
    return Band(windows[:, 0] // 2, (windows[:, 1] - 1) // 2, repeats)


def log_probs_of(
    logits: NDArray, norms: NDArray[np.float64], classes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """ln y (T, K) of some classes; norms (T, 2): largest logit, and ln sum exp(logit - largest)."""
    log_probs = np.empty((len(logits), len(classes)))
    log_probs_of_classes(logits, norms, classes, log_probs)
    return log_probs


def best_states(
    log_probs: NDArray[np.float64], tops: NDArray[np.float64], columns: NDArray[np.intp], band: Band
) -> NDArray[np.intp] | None:
    """The states (T,) of the best path, or None if there is no path.

    log_probs : (T, K), the blank in column 0, label u in column columns[u]
    tops : (T,) no class of a frame has a higher log-probability
    """
    T, U = len(log_probs), len(columns)
    states = np.zeros(T, dtype=np.intp)
    if T == 0:
        return states
    firsts, lasts, repeats = band
    barred = np.where(repeats, -np.inf, 0.0)
    at_blank, at_label, emitted = np.empty((3, U + 2))
    beginnings = np.arange(0, T, band_kernels.FRAMES_PER_WORD)
    ends = np.minimum(beginnings + band_kernels.FRAMES_PER_WORD, T) - 1
    moves = np.empty((lasts[ends] - firsts[beginnings] + 1).sum(), np.int64)
    rows = np.empty((len(ends), 2), np.intp)
    reach = FIRST_REACH
    for attempt in range(3):
        first_state, t = band_kernels.best_moves(
            log_probs, tops, columns, barred, firsts, lasts, reach, at_blank, at_label, emitted, moves, rows)
        if first_state >= 0:
            band_kernels.trace(moves, rows, first_state, states)
            return states
        # T - t frames lost more than `reach`. Next, allow all T frames that rate and half as much again.
        reach = 1.5 * reach * T / (T - t) if attempt == 0 else np.inf
    return None


@underflow_is_zero
def log_sum(
    log_probs: NDArray[np.float64], columns: NDArray[np.intp], band: Band, least: float
) -> float:
    """ln of the sum over all paths of a target, or nan if float64 does not prove it.

    log_probs : (T, K) with T > 0, the blank in column 0, label u in column columns[u]
    least : a lower bound of the result, -inf if none is known
    """
    opened = np.where(band.repeats, 0.0, 1.0)
    scratch = np.empty((3, len(columns) + 2))
    return band_kernels.log_sum(np.exp(log_probs), columns, opened, band.firsts, band.lasts, least, *scratch)
