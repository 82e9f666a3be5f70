"""The definition of CTC, a sum over every path; it takes exponential time, so sizes must be tiny.

    p(labels | x) = sum of prod_t y_t(path_t) over all paths that collapse to the labels

(Graves et al. 2006, eq. 2 and 3). The code is as plain as this formula, so
`reference` is tested against it; there the same functions take O(T U) steps.
"""

from __future__ import annotations

import itertools
import math
from typing import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import underflow_is_zero
from .labels import collapse, count_repeats, states_of

MAX_PATHS = 2_000_000
"""More paths than this are refused: the sums would take minutes."""


def _paths(classes: Sequence[int], T: int) -> itertools.product:
    """All paths of T frames through these classes, in lexical order."""
    if len(classes) ** T > MAX_PATHS:
        raise ValueError(
            f"{len(classes)} classes in T={T} frames make {len(classes)}**{T} paths; "
            f"enumeration stops at {MAX_PATHS}, use ctc_scratch.ctc.reference"
        )
    return itertools.product(classes, repeat=T)


def alignments(labels: Sequence[int], T: int, blank: int = 0) -> list[tuple[int, ...]]:
    """Every path of T frames that collapses to the labels, in lexical order.

    Raises
    ------
    ValueError
        If the labels contain the blank, or if there are more than `MAX_PATHS` candidates.

    >>> alignments([1, 1], T=4)
    [(0, 1, 0, 1), (1, 0, 0, 1), (1, 0, 1, 0), (1, 0, 1, 1), (1, 1, 0, 1)]
    """
    wanted = [int(c) for c in labels]
    if blank in wanted:
        raise ValueError(f"labels {wanted} contain the blank {blank}")
    # No other class can be part of such a path.
    classes = sorted({blank, *wanted})
    return [path for path in _paths(classes, T) if collapse(path, blank) == wanted]


def count_alignments(labels: ArrayLike, T: int) -> int:
    """How many alignments the labels have in T frames, as an exact integer of any size.

    Binomial(T + U - r, 2U), where r is the number of repeats: a path is determined by where, among
    T + U - r positions, its U labels begin and end.

    >>> count_alignments([1, 1], T=4), count_alignments([1, 2], T=4)
    (5, 15)
    """
    U, r = len(np.asarray(labels)), count_repeats(labels)
    return math.comb(T + U - r, 2 * U) if T >= U + r else 0


def _log_prob(log_probs: NDArray, path: Sequence[int]) -> float:
    """ln of the product of y_t(path_t)."""
    return math.fsum(log_probs[t, c] for t, c in enumerate(path))


def _log_sum(log_terms: Iterable[float]) -> float:
    """ln of the sum of e^term over the terms; -inf if there are none."""
    terms = list(log_terms)
    top = max(terms, default=-math.inf)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(math.exp(term - top) for term in terms))


def log_likelihood(log_probs: NDArray, labels: Sequence[int], blank: int = 0) -> float:
    """ln p(labels | x), summed over every alignment; -inf where there is none.

    Parameters
    ----------
    log_probs : (T, C) float array
    labels : (U,) integers, without the blank

    >>> uniform = np.log(np.full((4, 3), 1 / 3))
    >>> round(math.exp(log_likelihood(uniform, [1, 2])) * 3**4)      # 15 paths of 81
    15
    """
    return _log_sum(_log_prob(log_probs, path) for path in alignments(labels, len(log_probs), blank))


def gamma(log_probs: NDArray, labels: Sequence[int], blank: int = 0) -> NDArray[np.float64]:
    """The posterior (T, S) of being in state s at frame t, given the labels, which must be feasible."""
    T, S = len(log_probs), 2 * len(labels) + 1
    paths = alignments(labels, T, blank)
    total = _log_sum(_log_prob(log_probs, path) for path in paths)
    posterior = np.zeros((T, S))
    for path in paths:
        posterior[np.arange(T), states_of(path, blank)] += math.exp(_log_prob(log_probs, path) - total)
    return posterior


def occupancy(log_probs: NDArray, labels: Sequence[int], blank: int = 0) -> NDArray[np.float64]:
    """The posterior (T, C) of emitting class c at frame t, given the labels, which must be feasible."""
    T, C = log_probs.shape
    paths = alignments(labels, T, blank)
    total = _log_sum(_log_prob(log_probs, path) for path in paths)
    posterior = np.zeros((T, C))
    for path in paths:
        posterior[np.arange(T), path] += math.exp(_log_prob(log_probs, path) - total)
    return posterior


@underflow_is_zero
def loss_and_grad(logits: NDArray, labels: Sequence[int], blank: int = 0) -> tuple[float, NDArray]:
    """The loss -ln p(labels | x) and its gradient (T, C) w.r.t. the logits: probs - occupancy.

    `reference.loss_and_grad` gives the proof in two lines. An infeasible target has loss inf and gradient 0.
    """
    logits = np.asarray(logits, dtype=np.float64)
    log_probs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    loss = 0.0 - log_likelihood(log_probs, labels, blank)  # never -0.0
    if loss == math.inf:
        return loss, np.zeros_like(logits)
    return loss, np.exp(log_probs) - occupancy(log_probs, labels, blank)


def labelling_distribution(log_probs: NDArray, blank: int = 0) -> dict[tuple[int, ...], float]:
    """p(labels | x) of every labelling that fits T frames; the values sum to 1.

    >>> dist = labelling_distribution(np.log([[0.6, 0.4], [0.6, 0.4]]))
    >>> {labels: round(p, 2) for labels, p in dist.items()}     # the best path spells ()
    {(): 0.36, (1,): 0.64}
    """
    T, C = log_probs.shape
    terms: dict[tuple[int, ...], list[float]] = {}
    for path in _paths(range(C), T):
        terms.setdefault(tuple(collapse(path, blank)), []).append(math.exp(_log_prob(log_probs, path)))
    return {labels: math.fsum(probs) for labels, probs in terms.items()}
