"""The likeliest alignment of a sequence, however long: Viterbi with two bits a state to remember, or less.

`narrow` has the recursion, and the reason why it need not look at every state. Scores are
logarithms relative to a top that is taken out now and then: they stay small, and so do their
rounding errors.
"""

from __future__ import annotations

import math
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inputs.options import check_blank
from ..inputs.targets import check_targets, first_infeasible
from ..inputs.values import check_logits
from . import banded

FIRST_REACH = 40.0
"""Nats that the best path is first supposed to fall behind the likeliest class of each frame at most."""

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
    O(T W) time, W <= 2 (U + 1) being the states that may matter: few where the frames and the
    target agree, at most those that can be reached and can still finish. 1.5 T W bits beside the
    logits: T = 100 000 and U = 10 000 take half a gigabyte at the most.

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
    states = None
    if T >= len(labels) + packed.repeats[0]:
        classes, columns = classes_used(labels, blank, frames.rows.shape[1])
        log_probs, tops = _emissions(frames.rows, classes)
        states = best_states(log_probs, tops, columns, band_of(columns, T))
    if states is None:
        raise first_infeasible(np.array([True]), frames, packed)
    # State 2u is blank u, 2u + 1 label u.
    path = np.where(states % 2 == 1, np.append(labels, blank)[states // 2], blank)
    emitted = np.where(states % 2 == 1, np.append(columns, 0)[states // 2], 0)
    return alignment_of(path, log_probs[np.arange(T), emitted], blank)


def alignment_of(path: NDArray[np.intp], log_probs: NDArray[np.float64], blank: int) -> Alignment:
    """A path (T,) as an `Alignment`; log_probs (T,) are those of its own classes."""
    begins = np.ones(len(path), dtype=np.bool_)
    begins[1:] = path[1:] != path[:-1]
    firsts = np.flatnonzero(begins)
    lengths = np.diff(firsts, append=len(path))
    means = np.add.reduceat(np.exp(log_probs), firsts) / lengths if len(path) else lengths
    told = path[firsts] != blank
    labels, firsts, lengths, means = path[firsts][told], firsts[told], lengths[told], means[told]
    return Alignment(path, math.fsum(log_probs.tolist()), _spans(labels, firsts, firsts + lengths - 1, means))


def spans_of(
    states: NDArray[np.intp], log_probs: NDArray[np.float64], columns: NDArray[np.intp], labels: list[int]
) -> list[Span]:
    """A `Span` for each label of a path, of which the states (T,) are given."""
    firsts, lasts = np.empty((2, len(columns)), np.intp)
    confidences = np.empty(len(columns))
    banded.locate(states, log_probs, columns, firsts, lasts, confidences)
    return _spans(labels, firsts, lasts, confidences)


def _spans(labels, firsts, lasts, confidences) -> list[Span]:
    columns = (x if isinstance(x, list) else x.tolist() for x in (labels, firsts, lasts, confidences))
    return list(map(tuple.__new__, repeat(Span), zip(*columns)))  # as Span(...), in a third of the time


def classes_used(labels: NDArray[np.intp], blank: int, C: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The classes (K,) that a target needs, the blank first, and which of them each label is (U,)."""
    classes, columns = np.empty(min(len(labels) + 1, C), np.intp), np.empty(len(labels), np.intp)
    K = banded.number_classes(labels, blank, np.full(C, -1), classes, columns)
    return classes[:K], columns


class Band(NamedTuple):
    """The states that can be reached and can still finish.

    firsts, lasts : (T,) first and last pair of each frame, blank u and label u
    repeats : (U + 2,) if a label repeats the one before it
    """

    firsts: NDArray[np.intp]
    lasts: NDArray[np.intp]
    repeats: NDArray[np.bool_]


def band_of(columns: NDArray[np.intp], T: int) -> Band:
    """The band of a target that fits its T frames."""
    U = len(columns)
    firsts, lasts = np.empty((2, T), np.intp)
    repeats = np.zeros(U + 2, np.bool_)
    banded.band(columns, np.empty(U, np.intp), firsts, lasts, repeats)
    return Band(firsts, lasts, repeats)


def best_states(
    log_probs: NDArray[np.float64], tops: NDArray[np.float64], columns: NDArray[np.intp], band: Band
) -> NDArray[np.intp] | None:
    """The states (T,) of the best path, or None if there is none.

    tops (T,): no class of a frame has a higher log-probability.
    """
    T, U = len(log_probs), len(columns)
    states = np.zeros(T, dtype=np.intp)
    if T == 0:
        return states
    firsts, lasts, repeats = band
    barred = np.where(repeats, -np.inf, 0.0)
    blanks, letters, emitted = np.empty((3, U + 2))
    beginnings = np.arange(0, T, banded.FRAMES)
    ends = np.minimum(beginnings + banded.FRAMES, T) - 1
    moves = np.empty((lasts[ends] - firsts[beginnings] + 1).sum(), np.int64)
    rows = np.empty((len(ends), 2), np.intp)
    reach, first = FIRST_REACH, -1
    for tries in range(3):
        first, t = banded.best_moves(
            log_probs, tops, columns, barred, firsts, lasts, reach, blanks, letters, emitted, moves, rows)
        if first >= 0:
            banded.trace(moves, rows, first, states)
            return states
        # So much was lost in T - t frames; as much in each of the T, then, and half of it to spare.
        reach = 1.5 * reach * T / (T - t) if tries == 0 else np.inf
    return None


def _emissions(
    rows: NDArray, classes: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ln y (T, K) of some classes, and (T,) of the likeliest; in chunks, as a vocabulary may be large."""
    log_probs, tops = np.empty((len(rows), len(classes))), np.empty(len(rows))
    for i in range(0, len(rows), CHUNK):
        chunk = saturated(rows[i:i + CHUNK])
        top = chunk.max(axis=1, keepdims=True)
        log_total = np.log(np.exp(chunk - top).sum(axis=1, keepdims=True))
        log_probs[i:i + CHUNK] = (chunk[:, classes] - top) - log_total
        tops[i:i + CHUNK] = 0.0 - log_total[:, 0]
    return log_probs, tops


def saturated(logits: NDArray) -> NDArray[np.float64]:
    """The logits in float64, finite ones within +-LIMIT: what was not -inf does not become it."""
    logits = np.asarray(logits, dtype=np.float64)
    return np.where(logits == -np.inf, logits, np.clip(logits, -LIMIT, LIMIT))
