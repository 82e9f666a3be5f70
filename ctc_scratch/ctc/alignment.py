"""The likeliest alignment of a long sequence: Viterbi with two bits a state to remember.

With max in place of the sum, the backward recursion of `reference` finds the best way on,

    V_t(s) = max over the moves to s' of V_{t+1}(s') y_{t+1}(l'_{s'})      V_T = 1 in the last two states

and which move it was, stay, step or skip, is all that must be kept of frame t. A path is then
read off from its first frame on. Of moves that lead on equally well the first in this order is
taken, so that every tie ends in one of the best paths, the same one each time. Beginning at the
end has no other reason: the tie rule then reads forward in time.

States are kept in pairs, blank u and label u, for u = 0..U; label U does not exist and has the
score -inf. A pair's two moves share four bits, two pairs a byte. Only pairs that can be reached
and can still finish are looked at, a band that is narrow where the target nearly fills its
frames. Scores are logarithms relative to a top that is taken out now and then: they stay small,
and so do their rounding errors, however long the sequence.

Shapes:  log_probs (T, K), columns of the K classes used, the blank first;  columns (U,) of the
labels;  barred (U + 2,), -inf where label u repeats label u - 1, which no skip may enter, else 0;
firsts, lasts (T,), the pairs of each frame;  blanks, letters (2, U + 2), the scores of two frames;
codes (U + 3,), the moves of one;  moves (T, B), packed, pair firsts[t] first.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import check_blank, check_logits, check_targets, first_infeasible

# nogil, cache: as in `kernels`. No fastmath: -inf has to stay -inf.
kernel = numba.njit(nogil=True, cache=True, error_model="numpy")

RENEW = 32
"""Frames after which the top is taken out of the scores again."""

LIMIT = 2.0**1000
"""Finite logits saturate here, so that no difference of two is infinite."""

CHUNK = 4096
"""Frames of logits that are normalised at a time."""


class Span(NamedTuple):
    """Where a label stands: its first and last frame, both included.

    confidence is a probability, the mean over these frames: in an `Alignment` of what the
    network gives the label, y_t(label); from `Lattice.spans` of the posterior gamma that the
    frame belongs to this very label, given the target.
    """

    label: int
    first: int
    last: int
    confidence: float


class Alignment(NamedTuple):
    """One path of a target.

    path : (T,) the class of each frame
    log_prob : ln of the product of its probabilities; not normalised by p(target | x)
    spans : a `Span` for each label, in order
    """

    path: NDArray[np.intp]
    log_prob: float
    spans: list[Span]


def align(logits: ArrayLike, target: ArrayLike, *, blank: int = 0) -> Alignment:
    """The likeliest alignment of a target, even of very long ones (Viterbi).

        path = argmax of prod_t y_t(path_t) over all paths that collapse to the target

    Parameters
    ----------
    logits : (T, C) float array
        Unnormalised scores; the softmax over C is taken inside. -inf is legal.
    target : (U,) integers, without the blank
    blank : which class is the blank

    Returns
    -------
    Alignment
        Where several paths are best, the first of them: at the first frame where they differ,
        stay before step before skip, and blank before label at the beginning.

    Raises
    ------
    InfeasibleTargetError
        No path spells the target in T frames, or -inf logits close all that do.
    ValueError, TypeError
        As `ctc_loss`.

    Notes
    -----
    O(T W) time and T W bits beside the logits, W <= 2 (U + 1) being the states that can be
    reached and can still finish: T = 100 000 and U = 10 000 take 0.5 GB.

    >>> alignment = align(np.log([[.6, .4], [.2, .8], [.3, .7], [.9, .1]]), [1])
    >>> alignment.path, round(alignment.log_prob, 6), alignment.spans[0][:3]
    (array([0, 1, 1, 0]), -1.196005, (1, 1, 2))
    """
    frames = check_logits(logits)
    blank = check_blank(blank, frames.rows.shape[1])
    if not frames.single:
        raise ValueError(f"logits must have shape (T, C), got {frames.logits.shape}")
    packed = check_targets(target, None, frames, blank)
    labels, T = packed.labels, len(frames.rows)
    classes, columns = np.unique(np.append(labels, blank), return_inverse=True)
    classes[columns[-1]], classes[0] = classes[0], blank  # the blank's column first
    columns = np.where(columns == columns[-1], 0, np.where(columns == 0, columns[-1], columns))
    log_probs = _emissions(frames.rows, classes)
    states = best_states(log_probs, columns[:-1]) if T >= len(labels) + packed.repeats[0] else None
    if states is None:
        raise first_infeasible(np.array([True]), frames, packed)
    # State 2u is blank u, 2u + 1 label u.
    path = np.where(states % 2 == 1, np.append(labels, blank)[states // 2], blank)
    emitted = np.where(states % 2 == 1, columns[states // 2], 0)
    return alignment_of(path, log_probs[np.arange(T), emitted], blank)


def alignment_of(path: NDArray[np.intp], log_probs: NDArray[np.float64], blank: int) -> Alignment:
    """A path (T,) as an `Alignment`; log_probs (T,) are those of its own classes."""
    begins = np.ones(len(path), dtype=np.bool_)
    begins[1:] = path[1:] != path[:-1]
    firsts = np.flatnonzero(begins)
    lengths = np.diff(firsts, append=len(path))
    means = np.add.reduceat(np.exp(log_probs), firsts) / lengths if len(path) else lengths
    spans = [
        Span(label, first, first + length - 1, mean)
        for label, first, length, mean in zip(*(x.tolist() for x in (path[firsts], firsts, lengths, means)))
        if label != blank
    ]
    return Alignment(path, math.fsum(log_probs), spans)


def best_states(log_probs: NDArray[np.float64], columns: NDArray[np.intp]) -> NDArray[np.intp] | None:
    """The states (T,) of the best path, or None if there is none; the target fits its frames."""
    T, U = len(log_probs), len(columns)
    states = np.zeros(T, dtype=np.intp)
    if T == 0:
        return states
    repeats = columns[1:] == columns[:-1]
    barred = np.zeros(U + 2)
    barred[1:U][repeats] = -np.inf
    firsts, lasts = band(repeats, U, T)
    width = int((lasts - firsts).max()) + 1
    moves = np.empty((T, (width + 1) // 2), dtype=np.uint8)
    blanks, letters = np.full((2, 2, U + 2), -np.inf)
    first = fill(log_probs, columns, barred, firsts, lasts, blanks, letters, np.zeros(U + 3), moves)
    if first < 0:
        return None
    trace(moves, firsts, first, states)
    return states


def band(repeats: NDArray[np.bool_], U: int, T: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and last pair (T,) of each frame that can be reached and can still finish.

    Label u is reached at frame u + repeats(labels[:u + 1]) at the earliest, each repeat asking
    for a blank before it; the end mirrors this. Blank u is reached right after label u - 1.
    """
    before = np.arange(U)  # frames that must come before one of label u
    before[1:] += np.cumsum(repeats)
    behind = before[-1:] - before  # and that must follow it
    t = np.arange(T)
    lasts = np.searchsorted(before, t, side="right")
    firsts = U - np.searchsorted(behind[::-1], T - 1 - t, side="right")
    return firsts, lasts


def _emissions(rows: NDArray, classes: NDArray[np.intp]) -> NDArray[np.float64]:
    """ln y (T, K) of some classes, in chunks: a vocabulary may be large."""
    log_probs = np.empty((len(rows), len(classes)))
    for i in range(0, len(rows), CHUNK):
        chunk = saturated(rows[i:i + CHUNK])
        top = chunk.max(axis=1, keepdims=True)
        total = np.exp(chunk - top).sum(axis=1, keepdims=True)
        log_probs[i:i + CHUNK] = (chunk[:, classes] - top) - np.log(total)
    return log_probs


def saturated(logits: NDArray) -> NDArray[np.float64]:
    """The logits in float64, finite ones within +-LIMIT: what was not -inf does not become it."""
    logits = np.asarray(logits, dtype=np.float64)
    return np.where(logits == -np.inf, logits, np.clip(logits, -LIMIT, LIMIT))


# ---- compiled


@kernel
def emit(frame, columns, first, last, blanks, letters):
    """The scores of a frame's pairs times what the frame gives them: V becomes V y."""
    blank = frame[0]
    for u in range(np.uintp(first), np.uintp(last + 1)):
        blanks[u] += blank
    for u in range(np.uintp(first), np.uintp(min(last + 1, len(columns)))):
        letters[u] += frame[columns[u]]


@kernel
def choose(barred, first, last, blanks, letters, best_blanks, best_letters, codes):
    """The best move from each pair's states, and its score; codes[u] = blank's + 4 * label's."""
    # Codes are float64 like the scores, and nothing is written that is read: so LLVM can vectorise.
    for u in range(np.uintp(first), np.uintp(last + 1)):
        after = u + np.uintp(1)
        blank, label = blanks[u], letters[u]
        next_blank, next_label = blanks[after], letters[after] + barred[after]
        steps = label > blank
        best_blanks[u] = label if steps else blank
        code = 1.0 if steps else 0.0

        steps = next_blank > label
        best = next_blank if steps else label
        skips = next_label > best
        best_letters[u] = next_label if skips else best
        codes[u] = code + (8.0 if skips else (4.0 if steps else 0.0))


@kernel
def pack(codes, first, last, row):
    """Two pairs a byte; the code behind the last pair may be that of an earlier frame."""
    for k in range((last - first) // 2 + 1):
        row[k] = np.uint8(np.int32(codes[first + 2 * k] + 16.0 * codes[first + 2 * k + 1]))


@kernel
def take_top_out(first, last, blanks, letters):
    """Scores relative to the best of a frame."""
    top = -np.inf
    for u in range(first, last + 1):
        top = max(top, blanks[u], letters[u])
    if top > -np.inf:
        for u in range(first, last + 1):
            blanks[u] -= top
            letters[u] -= top


@kernel
def fill(log_probs, columns, barred, firsts, lasts, blanks, letters, codes, moves):
    """All moves, and the state to begin in, -1 if no path exists; frame t's scores are in row t % 2."""
    T, U = len(log_probs), len(columns)
    blanks[(T - 1) % 2, U] = 0.0
    if U > 0:
        letters[(T - 1) % 2, U - 1] = 0.0
    for t in range(T - 1, 0, -1):
        here, before = t % 2, (t - 1) % 2
        emit(log_probs[t], columns, firsts[t], lasts[t], blanks[here], letters[here])
        if t % RENEW == 0:
            take_top_out(firsts[t], lasts[t], blanks[here], letters[here])
        choose(barred, firsts[t - 1], lasts[t - 1], blanks[here], letters[here],
               blanks[before], letters[before], codes)
        pack(codes, firsts[t - 1], lasts[t - 1], moves[t - 1])
    emit(log_probs[0], columns, firsts[0], lasts[0], blanks[0], letters[0])
    best = max(blanks[0, 0], letters[0, 0])
    return -1 if best == -np.inf else 0 if blanks[0, 0] == best else 1


@kernel
def trace(moves, firsts, first, states):
    """states (T,) of the path that begins in state `first` and follows the moves."""
    s = first
    states[0] = s
    for t in range(len(states) - 1):
        k = s // 2 - firsts[t]
        s += (np.int64(moves[t, k // 2]) >> (4 * (k % 2) + 2 * (s % 2))) & 3
        states[t + 1] = s
