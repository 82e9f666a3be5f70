"""The most likely alignment of a sequence, however long: Viterbi with at most two bits per state.

`band_kernels` has the recursion, and the reason why it need not look at every state; `star` has the one for
targets with stars, at which more may have been said than is written. Scores are logarithms relative to a top
that is subtracted every few frames: they stay small, and so do their rounding errors.
"""

from __future__ import annotations

import math
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import underflow_is_zero
from ..exact.emissions import LARGEST_LOGIT
from ..inputs.frames import Layout
from ..inputs.options import check_blank
from ..inputs.stars import check_stars
from ..inputs.targets import check_targets, first_infeasible
from ..inputs.values import check_logits
from ..running import threads
from . import band_kernels
from .band import band_of, best_states, classes_used
from .star import STAR, best_star_states
from .svg import alignment_svg

MOST_SHOWN = 20
"""A `repr` lists the labels of a target if there are no more than this."""

CHUNK = 4096
"""How many frames of logits are normalised at a time."""


class Span(NamedTuple):
    """Where a label stands: its first and last frame, both included, and a confidence.

    The confidence is a probability, averaged over these frames. In an `Alignment` it is what the
    network gives the label, y_t(label). From `Lattice.spans` it is gamma, the posterior that the
    frame belongs to this very label, given the target.

    Frames that a star covers have the label -1. Their confidence is what the network gives the blank at a
    blank frame, and all other classes together at a starred frame.
    """

    label: int
    first: int
    last: int
    confidence: float

    def __repr__(self) -> str:
        return (f"Span(label={self.label}, first={self.first}, last={self.last}, "
                f"confidence={self.confidence:.6f})")


class Alignment(NamedTuple):
    """One path that spells a target, and where its labels stand; notebooks draw it.

    path : (T,) the class of each frame; at a starred frame, the most likely one that is not the blank
    log_prob : ln of the product of the probabilities of these classes, not divided by p(target | x); a
        starred frame counts with the probability of all classes but the blank, times its weight
    spans : a `Span` for each label, in order; among them one for each starred stretch, the frames at one
        starred position from the first starred frame to the last
    """

    path: NDArray[np.intp]
    log_prob: float
    spans: list[Span]

    def __repr__(self) -> str:
        labels = [span.label for span in self.spans if span.label != STAR]
        shown = f"labels={labels}" if len(labels) <= MOST_SHOWN else f"U={len(labels)}"
        if len(labels) < len(self.spans):
            shown += f", stars={len(self.spans) - len(labels)}"
        return f"Alignment(T={len(self.path)}, {shown}, log_prob={self.log_prob:.6f})"

    def _repr_html_(self) -> str:
        U = sum(span.label != STAR for span in self.spans)
        return alignment_svg(self.spans, len(self.path), f"Alignment: T = {len(self.path)} frames, "
                             f"U = {U} labels; log_prob = {self.log_prob:.6f}")


def align(
    logits: ArrayLike, target: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, blank: int = 0, layout: Layout = "TNC",
    star: Any = None, star_weight: float = 0.0,
) -> Any:
    """The most likely alignment of a target, however long (Viterbi), or of each target of a batch.

        path = argmax of prod_t y_t(path_t) over all paths that collapse to the target

    A star marks a position of the target at which the recording may hold more: words that the transcript
    lacks, or all that comes before and after an excerpt (star="ends"). Stars cover what was said but not
    written. Labels that were written but not said are not skipped: leave them out of the target, and star the
    gap.

    Parameters
    ----------
    logits : (T, C) float array; for a batch (T, N, C), or (N, T, C) with layout="NTC"
        Unnormalised scores; the softmax over C is taken inside. -inf is legal.
    target : (U,) integers, without the blank; for a batch, targets in any form that `ctc_loss` takes
    logit_lengths, target_lengths : (N,) integers, optional
        Frames used of each sequence, and labels used of each target.
    blank : which class is the blank
    layout : "TNC" or "NTC", the order of the axes
    star : which positions of the target have a star
        A collection of positions, "ends" (0 and U), "everywhere", or None. Position u is between label
        u - 1 and label u; 0 is before all labels, U after them. For a batch this holds for every target; a
        list or tuple of N collections, strings or None has one for each.
    star_weight : at most 0, the log-weight of a star per frame
        At a starred position a frame is either blank, or starred, which counts with e^star_weight times the
        probability of all classes but the blank. The lower the weight, the rarer are stars; -inf forbids
        them.

    Returns
    -------
    Alignment, or a list of N of them for a batch
        Spans of frames that a star covers have the label -1. If several paths are equally likely, one of
        them is chosen by the first frame where they differ: there, stay comes before step before skip, and
        at the beginning blank before label.

    Raises
    ------
    InfeasibleTargetError
        No path spells a target in its frames, or logits of -inf close every path that does.
    ValueError, TypeError
        As for `ctc_loss`.

    Notes
    -----
    O(T W) time, where W <= 2 (U + 1) is the number of states that may matter: few where the frames
    agree with the target, and at most those that can be reached and can still finish. Memory: 1.5 T W
    bits besides the logits, at most half a gigabyte for T = 100 000 and U = 10 000. With stars: O(T U) time,
    and up to 4 T U bits. The sequences of a batch are divided among threads; each has the alignment that it
    would have alone. `inputs.stars` has the definition of a star, `star` the recursion.

    >>> alignment = align(np.log([[.6, .4], [.2, .8], [.3, .7], [.9, .1]]), [1])
    >>> alignment.path, round(alignment.log_prob, 6), alignment.spans[0][:3]
    (array([0, 1, 1, 0]), -1.196005, (1, 1, 2))
    >>> heard = np.log([[.1, .1, .8], [.8, .1, .1], [.1, .8, .1]])  # a 2, then the 1 of the transcript
    >>> [span[:3] for span in align(heard, [1], star="ends").spans]
    [(-1, 0, 0), (1, 2, 2)]
    """
    frames = check_logits(logits, logit_lengths, layout)
    C, N = frames.rows.shape[1], len(frames.lengths)
    blank = check_blank(blank, C)
    packed = check_targets(target, target_lengths, frames, blank)
    stars = check_stars(star, star_weight, packed, frames.single)
    too_short = frames.lengths < packed.lengths + packed.repeats
    if too_short.any():
        raise first_infeasible(too_short, frames, packed)
    weight = max(stars.weight, -LARGEST_LOGIT)  # it saturates as logits do
    alignments: list[Alignment | None] = [None] * N

    def task(samples: NDArray[np.intp]) -> None:
        for n in samples:
            rows, labels, starred = frames.rows_of(frames.rows, n), packed.of(n), stars.of(n)
            alignments[n] = (best_star_alignment(rows, labels, blank, starred, weight)
                             if starred.any() else best_alignment(rows, labels, blank))

    threads.run(task, frames.lengths * (C + packed.lengths) / (1 if stars.starred.any() else 8))
    if None in alignments:
        raise first_infeasible(np.array([alignment is None for alignment in alignments]), frames, packed)
    return alignments[0] if frames.single else alignments


def best_alignment(rows: NDArray, labels: NDArray[np.intp], blank: int) -> Alignment | None:
    """The alignment of labels (U,) to logits (T, C), T >= U + r; None if -inf closes every path."""
    classes, columns = classes_used(labels, blank, rows.shape[1])
    log_probs, tops = _emissions(rows, classes)
    states = best_states(log_probs, tops, columns, band_of(columns, len(rows)))
    if states is None:
        return None
    # State 2u is blank u, 2u + 1 label u.
    path = np.where(states % 2 == 1, np.append(labels, blank)[states // 2], blank)
    emitted = np.where(states % 2 == 1, np.append(columns, 0)[states // 2], 0)
    return alignment_of(path, log_probs[np.arange(len(rows)), emitted], blank)


@underflow_is_zero
def best_star_alignment(
    rows: NDArray, labels: NDArray[np.intp], blank: int, starred: NDArray[np.bool_], weight: float
) -> Alignment | None:
    """The same with stars of this log-weight at the positions marked in `starred` (U + 1,)."""
    classes, columns = classes_used(labels, blank, rows.shape[1])
    log_probs, _ = _emissions(rows, classes)
    log_others, likeliest = _others(rows, blank)
    log_blanks, log_stars = log_probs[:, 0], weight + log_others
    scores = np.column_stack([log_probs, np.maximum(log_blanks, log_stars)])
    slots = np.empty(2 * len(labels) + 1, np.intp)
    slots[0::2], slots[1::2] = np.where(starred, len(classes), 0), columns
    states = best_star_states(scores, slots, labels)
    if states is None:
        return None
    is_label, u = states % 2 == 1, states // 2
    is_star = ~is_label & starred[u] & (log_stars > log_blanks)
    path = np.where(is_label, np.append(labels, blank)[u], np.where(is_star, likeliest, blank))
    # A stretch: the frames at one position from the first that is starred to the last.
    frames = np.flatnonzero(is_star)
    firsts = frames[np.diff(u[frames], prepend=-1) != 0]
    lasts = frames[np.diff(u[frames], append=-1) != 0]
    probs = np.exp(np.where(is_star, log_others, log_blanks))
    means = [probs[first:last + 1].mean() for first, last in zip(firsts, lasts)]
    spans = spans_of(states, log_probs, columns, labels.tolist())
    spans += _spans([STAR] * len(firsts), firsts, lasts, np.array(means))
    log_prob = math.fsum(scores[np.arange(len(rows)), slots[states]].tolist())
    return Alignment(path, log_prob, sorted(spans, key=lambda span: span.first))


@underflow_is_zero
def alignment_of(path: NDArray[np.intp], log_probs: NDArray[np.float64], blank: int) -> Alignment:
    """The `Alignment` of a path (T,); log_probs (T,) are those of the path's own classes."""
    begins = np.ones(len(path), dtype=np.bool_)
    begins[1:] = path[1:] != path[:-1]
    firsts = np.flatnonzero(begins)
    lengths = np.diff(firsts, append=len(path))
    means = np.add.reduceat(np.exp(log_probs), firsts) / lengths if len(path) else lengths
    is_label = path[firsts] != blank
    firsts, lengths, means = firsts[is_label], lengths[is_label], means[is_label]
    spans = _spans(path[firsts], firsts, firsts + lengths - 1, means)
    return Alignment(path, math.fsum(log_probs.tolist()), spans)


def spans_of(
    states: NDArray[np.intp], log_probs: NDArray[np.float64], columns: NDArray[np.intp], labels: list[int]
) -> list[Span]:
    """A `Span` for each label, from the states (T,) of a path."""
    firsts, lasts = np.empty((2, len(columns)), np.intp)
    confidences = np.empty(len(columns))
    band_kernels.locate_labels(states, log_probs, columns, firsts, lasts, confidences)
    return _spans(labels, firsts, lasts, confidences)


def _spans(labels, firsts, lasts, confidences) -> list[Span]:
    columns = (x if isinstance(x, list) else x.tolist() for x in (labels, firsts, lasts, confidences))
    return list(map(tuple.__new__, repeat(Span), zip(*columns)))  # Span(...) takes three times as long


@underflow_is_zero
def _emissions(
    rows: NDArray, classes: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ln y (T, K) of these classes, and ln y (T,) of the most likely class of each frame.

    Takes a chunk of frames at a time, because an array for all frames of all C classes may be large.
    """
    log_probs, tops = np.empty((len(rows), len(classes))), np.empty(len(rows))
    for i in range(0, len(rows), CHUNK):
        chunk = saturated(rows[i:i + CHUNK])
        top = chunk.max(axis=1, keepdims=True)
        log_total = np.log(np.exp(chunk - top).sum(axis=1, keepdims=True))
        log_probs[i:i + CHUNK] = (chunk[:, classes] - top) - log_total
        tops[i:i + CHUNK] = 0.0 - log_total[:, 0]
    return log_probs, tops


@underflow_is_zero
def _others(rows: NDArray, blank: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """ln of the sum of y over all classes but the blank (T,), and the most likely of these classes (T,)."""
    log_sums, likeliest = np.empty(len(rows)), np.empty(len(rows), np.intp)
    for i in range(0, len(rows), CHUNK):
        chunk = saturated(rows[i:i + CHUNK])
        top = chunk.max(axis=1)
        log_total = np.log(np.exp(chunk - top[:, None]).sum(axis=1))
        chunk[:, blank] = -np.inf
        likeliest[i:i + CHUNK] = chunk.argmax(axis=1)
        best = chunk.max(axis=1)
        chunk -= np.where(best == -np.inf, 0.0, best)[:, None]
        with np.errstate(divide="ignore"):  # ln 0 where no other class is possible
            log_sum = np.log(np.exp(chunk).sum(axis=1))
        log_sums[i:i + CHUNK] = np.minimum((best - top) + log_sum - log_total, 0.0)
    return log_sums, likeliest


def saturated(logits: NDArray) -> NDArray[np.float64]:
    """The logits as float64, finite ones limited to +-LARGEST_LOGIT; only -inf stays infinite."""
    logits = np.asarray(logits, dtype=np.float64)
    return np.where(logits == -np.inf, logits, np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT))
