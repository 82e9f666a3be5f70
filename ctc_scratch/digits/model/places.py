"""Where each digit stands: backpropagation to the pixels shows which ink was read as which digit.

CTC does not say where a digit stands. It rewards the right labels in the right order, at whichever frames
the network emits them, so the spikes may stand beside the digits. Places are therefore not taken from the
spikes. The backward pass of training, continued to the pixels, tells which of them an answer depends on:

    score of digit u    s_u = sum_t gamma_t(u) (logit_t(u) - mean logit_t)          how clearly u was read
    backpropagation     ds_u / dpixels                                              (28, W)
    ink that counted    share_u(x) ~ sum_y max(0, pixel(y, x) ds_u / dpixel(y, x))  summing to 1 over the row

Pixel times slope estimates how far s_u falls if the ink of that pixel is wiped out; gamma is held fixed. Two
other scores fail. The slope of ln P(digits) all but vanishes where P is near 1. And a logit from which the
mean is not subtracted means nothing, because adding a number to all logits of a frame changes no probability.

The digits stand in the order in which they were read. So the inked columns are cut into one run per digit,
from left to right, such that the runs hold as much of their own digits' shares as possible, cuts go through
little ink, and no run extends over much paper. This is the recursion of CTC again, with columns as frames,
digits as states, no blanks, and the best path in place of the sum (Viterbi):

    best_x(u) = share_u(x) + max( best_{x-1}(u) - paper before x,  best_{x-1}(u - 1) - ink cut before x )
                                           stay                             step
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from ...ctc.paths.lattice import lattice
from ..data.mnist_files import SIDE
from ..data.touching import INKED
from .reader import BLANK, RowReader, digits_to_labels

COST = 0.1
"""A cut through k pixels of ink costs COST * sqrt(k). So does continuing a digit over k columns of paper.
The shares of each digit sum to 1. Without the first cost, a cut may sever the end of a stroke;
without the second, a digit may extend over the paper to the stroke of its neighbour."""

PASSES = 3
"""Digits this many apart share a backward pass. The ink of one hardly changes the score of another, so their
gradients are told apart by where they are, and a row of any length takes at most this many passes."""


def find_places(model: RowReader, pixels: np.ndarray, logits: np.ndarray, cache: Any,
                digits: Sequence[int]) -> list[tuple[int, int]]:
    """Find the columns of a row whose ink was read as each of its digits.

    Parameters
    ----------
    pixels : (28, W) float array in [0, 1], the row
    logits : (T, C) array
    cache : logits and cache are those that `model.forward` returns for this row alone
    digits : U digits, as numbers from 0, that a decoder read from these logits

    Returns
    -------
    list of U pairs (left, right)
        The ink that was read as the digit begins at column `left` and ends before column `right`. The pairs
        are in the order of the digits and do not overlap: where strokes of two digits share columns, the
        cut is somewhere in these columns.

    Raises
    ------
    ValueError
        Pixels and logits do not belong together, or the logits give the digits a probability of 0.
    """
    U, W = len(digits), pixels.shape[-1]
    if pixels.shape != (SIDE, W) or logits.shape[:1] != (-(-W // model.window),):
        raise ValueError(f"pixels must be ({SIDE}, W), with a frame of logits per {model.window} columns, "
                         f"not {pixels.shape} with logits {logits.shape}")
    if U == 0:
        return []
    labels = digits_to_labels(digits, len(model.class_names))
    gamma = lattice(logits, labels, blank=BLANK).gamma[:, 1::2]     # (T, U), without the blanks between them
    if not gamma.any():
        raise ValueError(f"digits {list(digits)} have no path through these {len(logits)} frames")

    columns = np.flatnonzero((pixels > INKED).any(axis=0))
    if len(columns) < U:            # hardly any ink: let the digits share the whole row
        columns = np.arange(W)
    ink = pixels.sum(axis=0)[columns]
    paper = np.diff(columns, prepend=columns[0] - 1) - 1        # columns of paper before each inked one
    cut = np.minimum(ink, np.concatenate([[0], ink[:-1]])) * (paper == 0)
    shares = ink_shares(model, pixels, gamma, cache, labels)[:, columns]
    owner = assign(shares, COST * np.sqrt(paper), COST * np.sqrt(cut))
    return [(int(columns[owner == u][0]), int(columns[owner == u][-1]) + 1) for u in range(U)]


@np.errstate(under="ignore")        # a gamma or a slope too small for float32 is 0
def ink_shares(model: RowReader, pixels: np.ndarray, gamma: np.ndarray, cache: Any,
               labels: np.ndarray) -> np.ndarray:
    """How the ink that counted for each label is spread over the columns of the row, (U, W); each sums to 1.

    gamma : (T, U), the posterior that a path is in each label at each frame
    labels : (U,) classes
    """
    (T, U), W = gamma.shape, pixels.shape[1]
    C = model.params["output.bias"].size
    weights = np.eye(C)[labels] - 1 / C         # (U, C): logit of the label minus mean logit
    # The mean column of each label. Its ink is taken to end halfway to the next label of the same pass.
    centres = model.window * (np.arange(T) + 0.5) @ (gamma / gamma.sum(axis=0))
    ends = np.full(U, float(W))
    ends[:-PASSES] = (centres[:-PASSES] + centres[PASSES:]) / 2
    begins = np.zeros(U)
    begins[PASSES:] = ends[:-PASSES]

    x = np.arange(W) + 0.5
    shares = np.zeros((U, W), np.float32)
    for first in range(min(U, PASSES)):
        dlogits = gamma[:, first::PASSES] @ weights[first::PASSES]                      # (T, C)
        slopes = model.input_gradient(dlogits[:, None].astype(model.dtype), cache)[0, :, :W]
        counted = np.maximum(pixels * slopes, 0).sum(axis=0)
        for u in range(first, U, PASSES):
            own = counted * ((begins[u] <= x) & (x < ends[u]))
            shares[u] = own / max(own.sum(), np.finfo(np.float32).tiny)
    return shares


def assign(shares: np.ndarray, stay_costs: np.ndarray, step_costs: np.ndarray) -> np.ndarray:
    """Divide the columns among the digits, in order, at least one for each; returns each column's digit (X,).

    Parameters
    ----------
    shares : (U, X) array, the gain of giving a column to a digit, with U <= X
    stay_costs, step_costs : (X,) arrays, the cost at each column of keeping the digit or going on to the next

    >>> shares, free = np.array([[5, 1, 0, 0], [0, 2, 3, 1]]), np.zeros(4)
    >>> assign(shares, free, free).tolist()
    [0, 1, 1, 1]
    >>> assign(shares, free, np.array([0, 4, 0, 0])).tolist()       # an expensive cut before column 1
    [0, 0, 1, 1]
    >>> assign(shares, np.array([0, 0, 0, 9]), free).tolist()       # much paper before column 3
    [0, 0, 0, 1]
    """
    U, X = shares.shape
    best = np.full(U, -np.inf)
    best[0] = shares[0, 0]
    stepped = np.zeros((X, U), bool)
    for x in range(1, X):
        stay = best - stay_costs[x]
        step = np.concatenate([[-np.inf], best[:-1] - step_costs[x]])
        stepped[x] = step > stay
        best = np.maximum(stay, step) + shares[:, x]

    owner = np.empty(X, np.intp)
    u = U - 1
    for x in reversed(range(X)):
        owner[x] = u
        u -= stepped[x, u]
    return owner
