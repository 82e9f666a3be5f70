"""The most probable labelling, and a proof that it is: best-first search over prefixes.

A beam search drops prefixes and cannot tell what it has missed. Here every prefix has an upper bound on the
probability of the best labelling that begins with it, and the prefix with the highest bound is extended next
(Graves 2006, section 3.2). Once the best labelling found is as probable as the highest bound of all prefixes
still open, nothing can beat it.

**The bound.** A path that spells the prefix p and then the label c enters c at some frame t. Let a_t be the
total probability of all ways to spell p before frame t from which c may be entered, and y_t(c) R_t(s) that
of all ways to enter c at frame t and to spell the labels s after it. Then

    P(p c s) = sum_t a_t y_t(c) R_t(s),     so     max_s P(p c s) <= sum_t a_t y_t(c) max_s R_t(s)

The bound of the paper has the sum over s in place of the maximum: the probability of *all* labellings that
begin with p c, which is far too high where many continuations share it. Here the same argument, applied to
one label at a time from the last frame back, gives an upper bound G_t(c) on max_s R_t(s). Either no label
follows c, or a label d does, entered at some later frame. A symbol without t belongs to frame t + 1:

    G_t(c)    = max( E_t(c), max_d A_t(c, d) )        the path is in c at frame t
    D_t(d)    = y(blank) D(d) + y(d) G(d)             it is in a blank, and the next label is d
    A_t(c, d) = y(c) A(c, d) + D_t(d)                 it is in c, and the next label is d, other than c
    A_t(c, c) = y(c) A(c, c) + y(blank) D(c)          it is in c, and the next label is c, after a blank
    F_t       = y(blank) F                            it is in a blank, and no label follows
    E_t(c)    = y(c) E(c) + F_t                       it is in c, and no label follows

The bound is exact if the same s is best at every t. So it is close where the frames determine when each
label comes, and loose where they leave that open.

**Many classes.** A takes T C^2 steps, but a class that is never likely is hardly ever the best d. So only
the K classes with the largest emissions have a row A(., d) each. The rest share one (with d, c in the rest):

    A_t(c, rest) = y(c) A(c, rest) + max( max_{d != c} D_t(d), y(blank) D(c) )

For other c, the second term is left out. A maximum of sums is at most the sum of the maxima, and y >= 0. So
A(c, rest) is no less than any A(c, d) that it replaces, and G remains an upper bound, for any K.

**When to stop.** The gap between the highest bound and the best labelling only shrinks, but on frames that
leave much open it shrinks very slowly. Early on, each time the number of prefixes has doubled, the search
estimates whether the gap can close within the budget. It stops unless the gap would close if each further
doubling reduced it by PATIENCE times as much as the last one. This estimate may be wrong; the gap is proved.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import underflow_is_zero
from ...compiled.cache import cached_njit
from ...compiled.log_space import NEGLIGIBLE, log_add_by_exp
from ..inputs.frames import Layout
from ..inputs.options import check_blank, check_count, check_not_negative
from ..inputs.values import check_logits
from ..running import threads
from .beam_search import prefix_beam_search
from .hypotheses import labels_text

# nogil: the driver runs batches on several threads. error_model: no test for division by zero.
# No fastmath: -inf has to stay -inf.
kernel = cached_njit(nogil=True, error_model="numpy")

Stopped = Literal["proved", "budget", "seconds", "stalled"]

ROUNDING = 1e-10
"""How many nats rounding may add to a bound: a bound that exceeds the best labelling by less is ignored."""

FLOOR = 1e-200
"""The least y_t(c) G_t(c), relative to the largest G of the frame, so that underflow never lowers a bound."""

LIKELY = math.log(0.01)
"""A class has a row of its own in A if ln y exceeds this at some frame, or if T C^2 <= FEW_STEPS."""

FEW_STEPS, MOST_STEPS = 10**8, 10**9
"""K is such that T C K <= MOST_STEPS, a second or two; T counts as at least 100, so A stays below 80 MB."""

FIRST_LOOK, LAST_LOOK, PATIENCE = 64, 1 / 16, 8.0
"""Progress is checked from FIRST_LOOK prefixes on, until LAST_LOOK of the budget is used; see above."""


class MapResult(NamedTuple):
    """What `map_decode` returns for one sequence.

    labels : list of U labels
    log_prob : ln P(labels | x), at most 0
    gap : by how many nats the most probable labelling may beat this one; 0 if this one is proved best
    prefixes : how many prefixes the search extended
    stopped : why the search ended: "proved"; "budget" or "seconds" if these were used up; or "stalled" if
        the gap was shrinking too slowly to close within the budget
    """

    labels: list[int]
    log_prob: float
    gap: float
    prefixes: int
    stopped: Stopped

    def __repr__(self) -> str:
        return (f"MapResult({labels_text(self.labels)}, log_prob={self.log_prob:.6f}, gap={self.gap:.6g}, "
                f"prefixes={self.prefixes}, stopped={self.stopped!r})")


def map_decode(
    logits: ArrayLike, lengths: ArrayLike | None = None, *, blank: int = 0, budget: int = 10_000,
    seconds: float | None = None, layout: Layout = "TNC",
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
    seconds : how long to extend prefixes at most, per sequence, after the beam search and the bounds
        With a limit, the answer depends on the machine and its load. At least one prefix is extended.
    layout : "TNC" or "NTC", the order of the axes

    Returns
    -------
    list of N `MapResult`; for one sequence, one
        A gap of 0 is a proof: no labelling is more probable by more than rounding errors, 1e-10 nats.

    Raises
    ------
    ValueError, TypeError
        The logits hold NaN or +inf, a shape or length is wrong, budget < 1, or seconds < 0.

    Notes
    -----
    The search starts from the answer of `prefix_beam_search` and never returns a worse one. The bounds
    take O(T C^2) time, a second or two at most; each prefix that is extended takes O(T C) time and up to
    16 (T + C) bytes. Where most frames are nearly certain, few prefixes are extended; on flat random frames
    their number grows exponentially with T. A search that stalled may go further with a larger budget.

    >>> result = map_decode(np.log([[0.6, 0.4], [0.6, 0.4]]))     # greedy_decode gives []
    >>> result.labels, round(math.exp(result.log_prob), 2), result.gap, result.stopped
    ([1], 0.64, 0.0, 'proved')
    """
    frames = check_logits(logits, lengths, layout, name="lengths")
    blank = check_blank(blank, frames.rows.shape[1])
    budget = check_count("budget", budget)
    limit = math.inf if seconds is None else check_not_negative("seconds", seconds)
    C, N = frames.rows.shape[1], len(frames.lengths)
    results: list[MapResult | None] = [None] * N

    def task(samples: NDArray[np.intp]) -> None:
        for n in samples.tolist():
            results[n] = _search(np.array(frames.rows_of(frames.rows, n), np.float64), blank, budget, limit)

    threads.run(task, frames.lengths * C * 1000)
    return results[0] if frames.single else results


class _Prefix(NamedTuple):
    """A prefix that has been extended.

    label : the last label; -1 for the empty prefix
    shorter : the prefix without its last label
    ends : (2, T + 1) ln of the sum of its paths through t frames that end in a blank; in its last label
    next_labels : the labels after which a better labelling is possible, highest bound first
    bounds : ln of the bound for each of these labels
    """

    label: int
    shorter: _Prefix | None
    ends: NDArray[np.float64]
    next_labels: NDArray[np.intp]
    bounds: NDArray[np.float64]


@underflow_is_zero
def _search(logits: NDArray[np.float64], blank: int, budget: int, seconds: float) -> MapResult:
    """The `MapResult` for the logits (T, C) of one sequence."""
    T, C = logits.shape
    first, = prefix_beam_search(logits, blank=blank)
    labels, best = first.labels, first.log_prob
    log_probs = first.posteriors.log_probs()
    entries, scales = np.empty((T, C)), np.empty(T)
    bound_entries(log_probs, blank, _own_classes(log_probs, blank), entries, scales)

    began, order, bounds = time.perf_counter(), itertools.count(), np.empty(C)
    # A heap of each prefix's best extension that is still open: (-bound, tie breaker, prefix, rank).
    open_prefixes: list[tuple[float, int, _Prefix, int]] = []
    label, shorter, ends = -1, None, np.full((2, T + 1), -np.inf)
    ends[0, 0], ends[0, 1:] = 0.0, np.cumsum(log_probs[:, blank])  # only blanks
    prefixes, gap_before = 0, math.inf
    while True:
        # Is the prefix itself, as a whole labelling, the best so far?
        log_prob = float(np.logaddexp(*ends[:, T]))
        if log_prob > best:
            labels, best = _spell(label, shorter), log_prob
        # Keep those of its extensions that may be better.
        bound_extensions(entries, scales, label, ends, best - NEGLIGIBLE - math.log(max(T, 1)), bounds)
        better = np.flatnonzero(bounds > best + ROUNDING)
        if len(better) > 0:
            better = better[np.argsort(-bounds[better], kind="stable")]
            prefix = _Prefix(label, shorter, ends, better, bounds[better])
            heapq.heappush(open_prefixes, (-prefix.bounds[0], next(order), prefix, 0))
        prefixes += 1
        # Extend by the label with the highest bound of all, unless there is a reason to stop.
        gap = float(-open_prefixes[0][0]) - best if open_prefixes else 0.0
        stopped: Stopped | None = None
        if gap <= ROUNDING:
            stopped = "proved"
        elif prefixes == budget:
            stopped = "budget"
        elif time.perf_counter() - began >= seconds:
            stopped = "seconds"
        elif FIRST_LOOK <= prefixes <= LAST_LOOK * budget and prefixes & (prefixes - 1) == 0:  # a power of 2
            if gap > PATIENCE * (gap_before - gap) * math.log2(budget / prefixes):
                stopped = "stalled"
            gap_before = gap
        if stopped:
            break
        _, _, shorter, rank = open_prefixes[0]
        label, ends = int(shorter.next_labels[rank]), np.empty((2, T + 1))
        if rank + 1 < len(shorter.bounds):
            heapq.heapreplace(open_prefixes, (-shorter.bounds[rank + 1], next(order), shorter, rank + 1))
        else:
            heapq.heappop(open_prefixes)
        follow(log_probs, blank, shorter.label, shorter.ends, label, ends)
    exact = first.posteriors.log_prob(labels)
    return MapResult(labels, exact, 0.0 if stopped == "proved" else gap + best - exact, prefixes, stopped)


def _own_classes(log_probs: NDArray[np.float64], blank: int) -> NDArray[np.intp]:
    """The classes with a row of their own in the bounds, those with the largest emissions, ascending."""
    T, C = log_probs.shape
    labels, most = np.arange(C - 1), MOST_STEPS // (max(T, 100) * C)
    labels += labels >= blank
    if T * C * C <= FEW_STEPS and C <= most:
        return labels
    peaks = log_probs[:, labels].max(axis=0, initial=-np.inf)
    likely = C - 1 if T * C * C <= FEW_STEPS else int(np.count_nonzero(peaks > LIKELY))
    return np.sort(labels[np.argsort(-peaks, kind="stable")[:min(likely, most)]])


def _spell(label: int, shorter: _Prefix | None) -> list[int]:
    """The labels of a prefix."""
    labels = []
    while shorter is not None:
        labels.append(label)
        label, shorter = shorter.label, shorter.shorter
    return labels[::-1]


@kernel
def bound_entries(log_probs, blank, own, entries, scales):
    """Fill entries (T, C), scales (T,): y_t(c) G_t(c) = entries[t, c] e^scales[t]; see the head of this file.

    own : (K,) the classes with a row of their own
    """
    (T, C), K = log_probs.shape, len(own)
    follows = np.zeros((K + 1, C))  # A(c, d) as [d, c]; the last row is that of the rest
    follows_blank, waits = np.zeros(C), np.zeros(C)  # D, and y(blank) D
    ends, ends_in_blank = np.ones(C), 1.0  # E, F
    tails, y = np.ones(C), np.empty(C)  # G, and the emissions
    is_rest = np.ones(C, np.bool_)
    is_rest[blank], is_rest[own] = False, False
    rest, scale = np.flatnonzero(is_rest), 0.0
    for t in range(T - 1, -1, -1):
        # Keep G near 1 by dividing y, which multiplies everything, by the largest G.
        top = tails[0]
        for c in range(1, C):
            top = max(top, tails[c])
        scales[t] = scale = scale + math.log(top)
        for c in range(C):
            y[c] = math.exp(log_probs[t, c]) / top
            entries[t, c] = max(y[c] * tails[c], FLOOR)
        entries[t, blank] = 0.0
        # One frame back: this frame is the t + 1 of the equations. tails[blank] becomes max(F, max_d D(d)).
        ends_in_blank = max(y[blank] * ends_in_blank, FLOOR)
        for d in range(C):
            waits[d] = y[blank] * follows_blank[d]
            follows_blank[d] = waits[d] + entries[t, d]
        y[blank] = 0.0
        for c in range(C):
            ends[c] = y[c] * ends[c] + ends_in_blank
            tails[c] = ends[c]
        for k in range(K):
            d = own[k]
            follow_all(y, follows[k], follows_blank[d], d, waits[d], tails)
        # The shared row takes the largest D, that of `first`; in the column of `first`, the second largest.
        first, second = blank, 0.0  # D(blank) is 0
        for d in rest:
            if follows_blank[d] > follows_blank[first]:
                first, second = d, follows_blank[first]
            else:
                second = max(second, follows_blank[d])
        if first != blank:
            follow_all(y, follows[K], follows_blank[first], first, max(second, waits[first]), tails)


@kernel
def follow_all(y, row, enters, d, enters_again, tails):
    """Advance A(c, d) by a frame for all c: row[c] = y(c) row[c] + enters, or + enters_again for c = d."""
    repeated, tail = max(y[d] * row[d] + enters_again, FLOOR), tails[d]
    for c in range(len(row)):
        row[c] = y[c] * row[c] + enters
        tails[c] = max(tails[c], row[c])
    row[d], tails[d] = repeated, max(repeated, tail)


@kernel
def leaves(ends, t, last, c):
    """ln of the sum of a prefix's paths through t frames from which label c may be entered."""
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
def bound_extensions(entries, scales, last, ends, least, bounds):
    """Fill bounds[c] = ln sum_t a_t y_t(c) G_t(c): no labelling that begins with the prefix and c exceeds it.

    Leaves out frames whose terms are below e^least.
    """
    T, C = entries.shape
    before, top = np.empty(T), -np.inf  # ln a_t + scales[t], for a label other than the last
    for t in range(T):
        before[t] = leaves(ends, t, -1, 0) + scales[t]
        top = max(top, before[t])
    bounds[:], repeated = 0.0, 0.0
    for t in range(T):
        if before[t] > least:
            a = math.exp(before[t] - top)
            for c in range(C):
                bounds[c] += a * entries[t, c]
            if last >= 0:
                repeated += math.exp(ends[0, t] + scales[t] - top) * entries[t, last]
    if last >= 0:
        bounds[last] = repeated
    for c in range(C):
        bounds[c] = top + math.log(bounds[c]) if bounds[c] > 0.0 else -np.inf
