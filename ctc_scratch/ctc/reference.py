"""The recursion as the papers write it: one sequence, log space, plain NumPy.

Equation numbers are those of Graves et al., "Connectionist Temporal
Classification", ICML 2006, and of Graves, "Supervised Sequence Labelling with
Recurrent Neural Networks", 2012, chapter 7. One convention is the book's:
beta_t(s) leaves out the emission of frame t, so that at *every* frame

    sum_s alpha_t(s) beta_t(s) = p(labels | x)

An impossible state has log-probability -inf, not a large negative number.

Read this file after `enumeration`, which gives the definition, and before
`kernels`, which has the same functions in compiled form.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np
from numpy.typing import NDArray

from ..arrays import underflow_is_zero
from .labels import can_skip, extend


@underflow_is_zero
def log_softmax(logits: NDArray) -> NDArray[np.float64]:
    """ln y (T, C): the logits, shifted so that every row sums to 1 after exp."""
    logits = np.asarray(logits, dtype=np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@underflow_is_zero
def log_add(*terms: NDArray) -> NDArray[np.float64]:
    """ln of the sum of exp of the terms, elementwise; -inf where all of them are."""
    return np.logaddexp.reduce(terms)


def _shift(row: NDArray, by: int) -> NDArray[np.float64]:
    """The row moved `by` states to the right (to the left if negative), filled up with -inf."""
    moved = np.full_like(row, -np.inf)
    if by > 0:
        moved[by:] = row[:-by]
    else:
        moved[:by] = row[-by:]
    return moved


def forward(log_probs: NDArray, labels: Sequence[int], blank: int = 0) -> NDArray[np.float64]:
    """log alpha (T, S): all ways to reach state s at frame t (2006, eq. 5-7; 2012, section 7.3).

        alpha_t(s) = [alpha_{t-1}(s) + alpha_{t-1}(s-1) + alpha_{t-1}(s-2) if can_skip(s)] y_t(l'_s)
    """
    ext = extend(labels, blank)
    skips = can_skip(ext)
    T, S = len(log_probs), len(ext)
    log_alpha = np.full((T, S), -np.inf)
    if T > 0:
        log_alpha[0, :2] = log_probs[0, ext[:2]]  # a path begins with the blank or the first label
    for t in range(1, T):
        stay = log_alpha[t - 1]
        step = _shift(log_alpha[t - 1], 1)
        skip = np.where(skips, _shift(log_alpha[t - 1], 2), -np.inf)
        log_alpha[t] = log_add(stay, step, skip) + log_probs[t, ext]
    return log_alpha


def backward(log_probs: NDArray, labels: Sequence[int], blank: int = 0) -> NDArray[np.float64]:
    """log beta (T, S): all ways to finish from state s after frame t (2006, eq. 9-11; 2012, section 7.3).

        beta_t(s) = sum over the three moves to s' of beta_{t+1}(s') y_{t+1}(l'_{s'})
    """
    ext = extend(labels, blank)
    skips = can_skip(ext)
    T, S = len(log_probs), len(ext)
    log_beta = np.full((T, S), -np.inf)
    if T > 0:
        log_beta[-1, -2:] = 0.0  # a path ends with the last label or the blank after it
    for t in range(T - 2, -1, -1):
        after = log_beta[t + 1] + log_probs[t + 1, ext]
        stay = after
        step = _shift(after, -1)
        skip = _shift(np.where(skips, after, -np.inf), -2)
        log_beta[t] = log_add(stay, step, skip)
    return log_beta


@underflow_is_zero
def log_likelihood(log_probs: NDArray, labels: Sequence[int], blank: int = 0) -> float:
    """ln p(labels | x): ln of the sum of the last two alphas of the last frame (2006, eq. 8).

    -inf if no path exists.

    >>> uniform = np.log(np.full((4, 3), 1 / 3))
    >>> round(np.exp(log_likelihood(uniform, [1, 2])) * 3**4)      # 15 paths of 81
    15
    """
    if len(log_probs) == 0:
        return 0.0 if len(labels) == 0 else -np.inf
    return float(np.logaddexp.reduce(forward(log_probs, labels, blank)[-1, -2:]))


@underflow_is_zero
def gamma(log_probs: NDArray, labels: Sequence[int], blank: int = 0) -> NDArray[np.float64]:
    """The posterior (T, S) of being in state s at frame t: alpha beta / p(labels | x).

    The target must be feasible. Every row is divided by its own sum, which is p(labels | x) at every frame;
    so the rounding errors that alpha and beta have accumulated up to that frame cancel.
    """
    log_joint = forward(log_probs, labels, blank) + backward(log_probs, labels, blank)
    return np.exp(log_softmax(log_joint))


def occupancy(log_probs: NDArray, labels: Sequence[int], blank: int = 0) -> NDArray[np.float64]:
    """The posterior (T, C) of emitting class c at frame t: gamma summed over the states of c."""
    posterior = np.zeros(log_probs.shape)
    np.add.at(posterior.T, extend(labels, blank), gamma(log_probs, labels, blank).T)
    return posterior


@underflow_is_zero
def loss_and_grad(logits: NDArray, labels: Sequence[int], blank: int = 0) -> tuple[float, NDArray]:
    """The loss -ln p(labels | x) and its gradient (T, C) w.r.t. the logits (2006, eq. 16).

    Every path holds one factor y_t(c) per frame, so  d ln p / d ln y_t(c) = occupancy_t(c);
    softmax turns this into  d loss / d logits = probs * sum_c occupancy - occupancy, and the sum is 1.

    An infeasible target has loss inf and gradient 0.

    >>> loss, grad = loss_and_grad(np.zeros((4, 3)), [1, 2])
    >>> round(loss, 6), round(float(-np.log(15 / 81)), 6)
    (1.686399, 1.686399)
    """
    logits = np.asarray(logits, dtype=np.float64)
    log_probs = log_softmax(logits)
    loss = 0.0 - log_likelihood(log_probs, labels, blank)  # never -0.0
    if loss == np.inf:
        return loss, np.zeros_like(logits)
    return loss, np.exp(log_probs) - occupancy(log_probs, labels, blank)
