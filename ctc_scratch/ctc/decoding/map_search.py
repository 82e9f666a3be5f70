"""The most probable labelling, and a proof that it is: best-first search over prefixes.

A beam search drops prefixes and cannot tell what it has missed. Here every prefix has an upper bound on the
probability of the best labelling that begins with it, and the prefix with the highest bound is extended
next (Graves 2006, section 3.2). Once the best labelling found so far is as probable as the highest bound
of all prefixes that are still open, nothing can beat it.

**The bound.** A path that begins with the prefix p and the label c enters c at some frame t. Let a_t be the
probability of all beginnings of paths that end with this entry, and R_t(s) that of all ways to go on from
there and to spell the labels s after c. Then

    P(p c s) = sum_t a_t R_t(s),        so        max_s P(p c s) <= sum_t a_t max_s R_t(s)

The bound of the paper has the sum over s in place of the maximum: the probability of *all* labellings that
begin with p c, which is far too high where many continuations share it. Here an upper bound G_t(c) of
max_s R_t(s) comes from the same argument, applied to one label at a time, from the last frame back. Either
no label follows c, or a label d does, entered at some later frame:

    G_t(c) = max( E_t(c), max_d A_t(c, d) )                     being in label c at frame t
    E_t(c)    = y(c) E(c)    + y(blank) F                       nothing follows (all on the right
    F_t       =                y(blank) F                       at frame t + 1)
    A_t(c, d) = y(c) A(c, d) + y(blank) D(d) + y(d) G(d)        d follows; the last term if d differs from c
    D_t(d)    =                y(blank) D(d) + y(d) G(d)        d follows a blank

The bound is exact unless the best s differs from one t to another. So it is close where the frames say when
a label comes, and loose where they leave that open.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import underflow_is_zero
from ...compiled.cache import cached_njit
from ...compiled.log_space import log_add_by_exp
from ..inputs.frames import Layout
from ..inputs.options import check_blank, check_count
from ..inputs.values import check_logits
from ..running import threads
from .beam_search import prefix_beam_search
from .hypotheses import labels_text

# nogil: the driver runs batches on several threads. error_model: no test for division by zero.
# No fastmath: -inf has to stay -inf.
kernel = cached_njit(nogil=True, error_model="numpy")

ROUNDING = 1e-10
"""Nats that rounding may add to a bound: one that exceeds the best labelling by no more does not count."""

LOOKAHEAD = 10**8
"""Where T C^2 exceeds this, G would take too long. It is set to 1, which gives the bound of the paper."""


class MapResult(NamedTuple):
    """What `map_decode` returns for one sequence.

    labels : list of U labels
    log_prob : ln P(labels | x), at most 0
    gap : by how many nats the most probable labelling may beat this one; 0 if this one is proved to be it
    prefixes : how many prefixes the search extended
    """

    labels: list[int]
    log_prob: float
    gap: float
    prefixes: int

    def __repr__(self) -> str:
        return (f"MapResult({labels_text(self.labels)}, log_prob={self.log_prob:.6f}, gap={self.gap:.6g}, "
                f"prefixes={self.prefixes})")


def map_decode(
    logits: ArrayLike, lengths: ArrayLike | None = None, *, blank: int = 0, budget: int = 10_000,
    layout: Layout = "TNC",
) -> Any:
    """The most probable labelling, argmax of P(labels | x), or the best one found and how far off it may be.

    Parameters
    ----------
    logits : (T, N, C) float array, or (N, T, C) with layout="NTC", or (T, C) for one sequence
        Unnormalised scores; the softmax over C is taken inside.
    lengths : (N,) integers, optional
        Frames used of each sequence.
    blank : which class is the blank
    budget : how many prefixes to extend at most, per sequence
    layout : "TNC" or "NTC", the order of the axes

    Returns
    -------
    list of N `MapResult`; for one sequence, one
        A gap of 0 is a proof: no labelling is more probable by more than rounding errors, 1e-10 nats.

    Raises
    ------
    ValueError, TypeError
        The logits hold NaN or +inf, a shape or length is wrong, or the budget is below 1.

    Notes
    -----
    The search starts from the answer of `prefix_beam_search` and never returns a worse one. The bounds
    take O(T C^2) time; each prefix that is extended takes O(T C) time and 16 T bytes. Where most frames
    are nearly certain, few prefixes are extended; on flat random frames their number grows
    exponentially with T.

    >>> result = map_decode(np.log([[0.6, 0.4], [0.6, 0.4]]))     # greedy_decode gives []
    >>> result.labels, round(math.exp(result.log_prob), 2), result.gap
    ([1], 0.64, 0.0)
    """
    frames = check_logits(logits, lengths, layout, name="lengths")
    blank = check_blank(blank, frames.rows.shape[1])
    check_count("budget", budget)
    C, N = frames.rows.shape[1], len(frames.lengths)
    results: list[MapResult | None] = [None] * N

    def task(samples: NDArray[np.intp]) -> None:
        for n in samples.tolist():
            results[n] = _search(np.array(frames.rows_of(frames.rows, n), np.float64), blank, budget)

    threads.run(task, frames.lengths * C * 1000)
    return results[0] if frames.single else results


class _Prefix(NamedTuple):
    """A prefix that has been extended.

    label : the last label; -1 for the empty prefix
    shorter : the prefix without its last label
    ends : (2, T + 1) ln of the sum of all its paths that end after t frames in a blank, in its last label
    """

    label: int
    shorter: _Prefix | None
    ends: NDArray[np.float64]


@underflow_is_zero
def _search(logits: NDArray[np.float64], blank: int, budget: int) -> MapResult:
    """The result for one sequence (T, C)."""
    T, C = logits.shape
    first, = prefix_beam_search(logits, blank=blank)
    labels, best = first.labels, first.log_prob
    log_probs = first.posteriors.log_probs()
    tails = np.zeros((T, C))
    if T * C * C <= LOOKAHEAD:
        bound_tails(log_probs, blank, tails)

    root = _Prefix(-1, None, np.empty((2, T + 1)))
    start(log_probs, blank, root.ends)
    # A heap of the prefixes that may lead to something better: (-bound, tie breaker, label, shorter prefix).
    open_prefixes: list[tuple[float, int, int, _Prefix]] = []
    order, bounds, prefixes = itertools.count(), np.empty(C), 0
    prefix: _Prefix | None = root
    while prefix is not None:
        # Is the prefix itself, as a whole labelling, the best so far?
        log_prob = float(np.logaddexp(*prefix.ends[:, T]))
        if log_prob > best:
            labels, best = _spell(prefix), log_prob
        # Keep those of its extensions that may be better.
        bound_extensions(log_probs, tails, blank, prefix.label, prefix.ends, bounds)
        for c in np.flatnonzero(bounds > best + ROUNDING).tolist():
            heapq.heappush(open_prefixes, (-bounds[c], next(order), c, prefix))
        prefixes += 1
        # Go on with the most promising one of all.
        prefix = None
        if open_prefixes and -open_prefixes[0][0] > best + ROUNDING:
            if prefixes == budget:
                break
            _, _, c, shorter = heapq.heappop(open_prefixes)
            prefix = _Prefix(c, shorter, np.empty((2, T + 1)))
            follow(log_probs, blank, shorter.label, shorter.ends, c, prefix.ends)
    best = first.posteriors.log_prob(labels)
    gap = -open_prefixes[0][0] - best if open_prefixes else 0.0
    return MapResult(labels, best, gap if gap > ROUNDING else 0.0, prefixes)


def _spell(prefix: _Prefix) -> list[int]:
    """The labels of a prefix."""
    labels = []
    while prefix.shorter is not None:
        labels.append(prefix.label)
        prefix = prefix.shorter
    return labels[::-1]


@kernel
def bound_tails(log_probs, blank, tails):
    """Fill tails[t, c] = ln G_t(c), by the equations at the head of this file."""
    T, C = log_probs.shape
    ends, ends_in_blank = np.zeros(C), 0.0  # E, F
    follows = np.full((C, C), -np.inf)  # A
    follows_blank = np.full(C, -np.inf)  # D
    if T > 0:
        tails[T - 1] = 0.0
    for t in range(T - 2, -1, -1):
        y, after = log_probs[t + 1], tails[t + 1]
        for c in range(C):
            if c != blank:
                ends[c] = log_add_by_exp(y[c] + ends[c], y[blank] + ends_in_blank)
                tails[t, c] = ends[c]
                for d in range(C):
                    if d != blank:
                        by_blank = y[blank] + follows_blank[d]
                        if d != c:
                            by_blank = log_add_by_exp(by_blank, y[d] + after[d])
                        follows[c, d] = log_add_by_exp(y[c] + follows[c, d], by_blank)
                        tails[t, c] = max(tails[t, c], follows[c, d])
        ends_in_blank += y[blank]
        for d in range(C):
            if d != blank:
                follows_blank[d] = log_add_by_exp(y[blank] + follows_blank[d], y[d] + after[d])


@kernel
def start(log_probs, blank, ends):
    """Fill the ends of the empty prefix: its only path is all blanks."""
    ends[0, 0] = 0.0
    ends[1] = -np.inf
    for t in range(len(log_probs)):
        ends[0, t + 1] = ends[0, t] + log_probs[t, blank]


@kernel
def leaves(ends, t, last, c):
    """ln of the sum of all paths of a prefix through t frames which label c may follow."""
    return ends[0, t] if c == last else log_add_by_exp(ends[0, t], ends[1, t])


@kernel
def follow(log_probs, blank, last, ends, c, ends_after):
    """Fill ends_after, the ends of a prefix extended by label c, from the ends of the prefix."""
    ends_after[:, 0] = -np.inf
    for t in range(len(log_probs)):
        in_label = log_add_by_exp(ends_after[1, t], leaves(ends, t, last, c))
        ends_after[0, t + 1] = log_add_by_exp(ends_after[0, t], ends_after[1, t]) + log_probs[t, blank]
        ends_after[1, t + 1] = in_label + log_probs[t, c]


@kernel
def bound_extensions(log_probs, tails, blank, last, ends, bounds):
    """Fill bounds[c] = ln sum_t a_t G_t(c): no labelling that begins with the prefix and c exceeds it."""
    T, C = log_probs.shape
    before = np.empty((2, T))  # ln of the paths that another label may follow; that the last may
    for t in range(T):
        before[0, t], before[1, t] = leaves(ends, t, -1, 0), ends[0, t]
    for c in range(C):
        bounds[c] = -np.inf
        if c != blank:
            k = 1 if c == last else 0
            top = -np.inf
            for t in range(T):
                top = max(top, before[k, t] + log_probs[t, c] + tails[t, c])
            if top > -np.inf:
                total = 0.0
                for t in range(T):
                    total += math.exp(before[k, t] + log_probs[t, c] + tails[t, c] - top)
                bounds[c] = top + math.log(total)
