"""`posterior`: gamma, entropy and covariances of one sequence, from the scores of all classes.

The kernels in `sweep` see only the blank and the labels of the target, one column each; this file converts
classes to columns, and back.
"""

from __future__ import annotations

from typing import Collection, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import underflow_is_zero
from ..exact.emissions import LARGEST_LOGIT
from ..running.workspace import Workspace
from .memory import BUDGET, Outputs, Weights, carve, frames_per_block, memory_size
from .states import PLAIN, Topology, states_in
from .sweep import sweep


class Posterior(NamedTuple):
    """The posterior over the alignments of one target; arrays that were not asked for are None.

    log_z : ln Z, the logarithm of the sum of e^(total log-weight) over all alignments; if there are none, it
        is -inf, and everything else is 0
    occupancy : (T, C) the posterior of class c at frame t, d log_z / d scores
    covariance : (T, C) the covariance of V with "class c at frame t". If V has values of classes alone, this
        is the Hessian of log_z times the values, also with stars
    gamma : (T, S) the posterior of state s at frame t
    xi : (T + 1, 3, S) the posterior of being in state s at frame t - 1 and making move m (stay, step, skip)
        into frame t. Before frame 0 a path is in state 0. xi[T, 0], a stay after the last frame, is the end.
    entropy : of the distribution over alignments [nats]
    leaving : (U,) the mean of `leave` at the last frame of each label
    """

    log_z: float
    occupancy: NDArray[np.float64]
    covariance: NDArray[np.float64] | None
    gamma: NDArray[np.float64] | None
    xi: NDArray[np.float64] | None
    entropy: float | None
    leaving: NDArray[np.float64] | None


@underflow_is_zero
def posterior(
    scores: NDArray, labels: NDArray[np.intp], blank: int, *, topology: Topology = PLAIN,
    enter: NDArray[np.float64] | None = None, star: tuple[NDArray[np.intp], float] | None = None,
    values: NDArray[np.float64] | None = None,
    moves: NDArray[np.float64] | None = None, leave: NDArray[np.float64] | None = None,
    want: Collection[str] = (), want_grad: bool = True, budget: int = BUDGET,
    workspace: Workspace | None = None,
) -> Posterior:
    """The posterior over the alignments of labels (U,) under scores (T, C); neither is checked here.

    The weight of an alignment is e^(the sum of its scores), times e^enter[t] for each label that it enters
    at frame t.

    Parameters
    ----------
    scores : log-weight of each class at each frame; -inf is legal, and T may be 0
    topology : which moves are allowed
    enter : (T,) log-weight of entering a label at frame t; -inf is legal
    star : positions from 0 to U, and a log-weight w <= 0. The blank state at these positions also emits every
        other class c, with weight e^(w + scores[t, c]).
    values, moves, leave : the terms of V; if any of them is given, the covariance with V is computed
        values : (T, C) finite v, for the class at each frame
        moves : (T + 1, 3, S) w, for each move; laid out as `xi`
        leave : (T,) r > 0, for each label that ends at frame t: r[t] / leaving[u]; not with `moves`
    want : which of "gamma", "xi" and "entropy" to compute
    want_grad : False leaves out occupancy and covariance, and zeros are returned in their place
    budget : how many bytes of shares, gamma and means may be kept at a time
    workspace : memory that the sequences of a batch use in turn

    Notes
    -----
    O(T U) time. Besides arguments and results, O(T min(U, C)) memory and `budget` bytes, or what sqrt(T)
    frames need if that is more.
    """
    (T, C), S = scores.shape, 2 * len(labels) + 1
    values = values if want_grad else None
    states, used = states_in(T, labels, topology)
    columns, star_scores = Columns(np.append(blank, used), None), None
    if star is not None and star[1] > -np.inf and len(star[0]):
        star_scores = starred_scores(scores, blank, star[1])
        columns = Columns(columns.classes, star_shares(scores, blank, star[1], star_scores))
        states.slots[2 * star[0]] = len(columns.classes)
    kept = columns.take(scores, star_scores)
    np.clip(kept, -LARGEST_LOGIT, LARGEST_LOGIT, out=kept, where=kept > -np.inf)
    K, empty = kept.shape[1], np.empty(0)

    weights = Weights(
        kept, empty if enter is None else enter,
        np.empty((0, K)) if values is None else columns.take(values, columns.mean_in_star(values)),
        np.zeros((0 if moves is None else T + 1, 3, S + 2)), empty if leave is None else leave)
    if moves is not None:
        weights.moves[:, :, 2:] = moves
    covariance = want_grad and any(array is not None for array in (values, moves, leave))
    outputs = Outputs(
        np.zeros((T if want_grad or want or leave is not None else 0, K)),
        np.zeros((T if covariance else 0, K)), np.zeros(0 if leave is None else S),
        np.zeros((T if "gamma" in want else 0, S)), np.zeros((T + 1 if "xi" in want else 0, 3, S)),
        np.zeros(T if "entropy" in want else 0))
    workspace = Workspace() if workspace is None else workspace
    B = frames_per_block(T, S, K, budget)
    room = memory_size(T, S, K, B) if T else 0
    numbers = workspace._take(room)
    log_z = 0.0 if S == 1 else -np.inf
    if T > 0:
        log_z = sweep(weights, states, carve(numbers[:room], T, S, K, B), outputs)
    workspace._give(numbers)

    covariances = columns.by_class(outputs.covariance, C) if covariance else None
    if covariances is not None and values is not None and columns.shares is not None:
        # The shares of the classes in a starred state change with the scores, too.
        covariances += outputs.occupancy[:, -1:] * columns.shares * (values - weights.values[:, -1:])
    return Posterior(
        float(log_z), columns.by_class(outputs.occupancy, C) if want_grad else np.zeros((T, C)), covariances,
        outputs.gamma if "gamma" in want else None, outputs.xi if "xi" in want else None,
        float(outputs.entropies.sum()) if "entropy" in want else None,
        outputs.leaving[1::2] if leave is not None else None)


class Columns(NamedTuple):
    """The columns that the kernels see: the blank, the labels of the target, and what starred states emit."""

    classes: NDArray[np.intp]  # of all columns but that of the starred states, which is the last one
    shares: NDArray[np.float64] | None  # (T, C) of each class in a starred state; None without stars

    def take(self, array: NDArray, star_column: NDArray | None) -> NDArray[np.float64]:
        """The columns of an array (T, C), and a column (T,) for starred states."""
        kept = np.ascontiguousarray(array[:, self.classes], dtype=np.float64)
        return kept if star_column is None else np.column_stack([kept, star_column])

    def mean_in_star(self, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """The mean value (T,) of the classes that a starred state emits."""
        return None if self.shares is None else (self.shares * values).sum(axis=1)

    def by_class(self, array: NDArray[np.float64], C: int) -> NDArray[np.float64]:
        """An array of columns as one of classes (T, C)."""
        full = np.zeros((len(array), C))
        full[:, self.classes] = array[:, :len(self.classes)]
        if self.shares is not None:
            full += array[:, -1:] * self.shares
        return full


def starred_scores(scores: NDArray, blank: int, weight: float) -> NDArray[np.float64]:
    """ln(e^scores[blank] + e^weight * the sum of e^scores of all other classes), for each frame (T,)."""
    weighted = _weighted(scores, blank, weight)
    top = np.maximum(weighted.max(axis=1), -LARGEST_LOGIT)
    with np.errstate(divide="ignore"):
        return top + np.log(np.exp(weighted - top[:, None]).sum(axis=1))


def star_shares(scores: NDArray, blank: int, weight: float, starred: NDArray) -> NDArray[np.float64]:
    """The share of each class (T, C) in a starred blank state; zeros where that state is impossible."""
    return np.exp(_weighted(scores, blank, weight) - np.maximum(starred, -LARGEST_LOGIT)[:, None])


def _weighted(scores: NDArray, blank: int, weight: float) -> NDArray[np.float64]:
    weighted = np.asarray(scores, dtype=np.float64) + weight
    weighted[:, blank] = scores[:, blank]
    return weighted
