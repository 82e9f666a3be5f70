"""`posterior`: gamma, entropy and covariances of one sequence, from the scores of all classes.

The kernels in `sweep` see only the classes that the target uses, one column each; this file translates.
"""

from __future__ import annotations

from typing import Callable, Collection, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import underflow_is_zero
from ..exact.emissions import LARGEST_LOGIT
from ..running.workspace import Workspace
from .states import PLAIN, Topology, states_in
from .sweep import BUDGET, Outputs, Weights, carve, frames_per_block, memory_size, sweep


class Posterior(NamedTuple):
    """The posterior over the alignments of one target; arrays that were not asked for are None.

    log_z : ln Z, the logarithm of the sum of e^(total log-weight) over all alignments; without any it is
        -inf, and all else is 0
    occupancy : (T, C) the posterior of class c at frame t, d log_z / d scores
    covariance : (T, C) the covariance of V with "class c at frame t": the Hessian of log_z times the values
    gamma : (T, S) the posterior of state s at frame t
    xi : (T + 1, 3, S) the posterior of being in state s at frame t - 1 and making move m (stay, step, skip)
        into frame t. Before frame 0 a path is in state 0. xi[T, 0], a stay after the last frame, is the end.
    entropy : of the distribution over alignments [nats]
    """

    log_z: float
    occupancy: NDArray[np.float64]
    covariance: NDArray[np.float64] | None
    gamma: NDArray[np.float64] | None
    xi: NDArray[np.float64] | None
    entropy: float | None


@underflow_is_zero
def posterior(
    scores: NDArray, labels: NDArray[np.intp], blank: int, *, topology: Topology = PLAIN,
    enter: NDArray[np.float64] | None = None, star: tuple[NDArray[np.intp], float] | None = None,
    values: NDArray[np.float64] | None = None,
    moves: NDArray[np.float64] | Callable[[NDArray, NDArray], None] | None = None,
    want: Collection[str] = (), budget: int = BUDGET, workspace: Workspace | None = None,
) -> Posterior:
    """The posterior over the alignments of labels (U,) under scores (T, C), which are both checked already.

    The weight of an alignment is e^(the sum of its scores), times e^enter[t] for each label that it enters
    at frame t.

    Parameters
    ----------
    scores : log-weight of each class at each frame; -inf is legal, and T may be 0
    topology : which moves are allowed
    enter : (T,) log-weight of entering a label at frame t; -inf is legal
    star : positions from 0 to U, and a log-weight w <= 0. The blank state at these positions also emits every
        other class c, with weight e^(w + scores[t, c]).
    values : (T, C) finite v; asks for the covariance with V, the sum of v[t, c] over the frames of a path
    moves : (T + 1, 3, S) w, laid out as `xi`, or a function (xi, w) that fills such an array of zeros
        Adds w of each move to V; `values` must be given, too.
    want : which of "gamma", "xi" and "entropy" to compute
    budget : how many bytes of shares may be kept at a time
    workspace : memory that is kept from one sequence of a batch to the next

    Notes
    -----
    O(T U) time, and O(T min(U, C) + sqrt(T) U) memory besides arguments and results, unless `moves` is given.
    """
    T, C = scores.shape
    S = 2 * len(labels) + 1
    states, used = states_in(T, labels, topology)
    columns = np.append(blank, used)
    kept = np.asarray(scores[:, columns], dtype=np.float64)
    np.clip(kept, -LARGEST_LOGIT, LARGEST_LOGIT, out=kept, where=kept > -np.inf)
    starred = None
    if star is not None and star[1] > -np.inf and len(star[0]):
        starred = starred_scores(scores, blank, star[1])
        states.slots[2 * star[0]] = len(columns)
        kept = np.column_stack([kept, starred])
    K = kept.shape[1]

    weights = Weights(
        np.ascontiguousarray(kept), np.empty(0) if enter is None else enter,
        np.empty((0, K)) if values is None else np.ascontiguousarray(values[:, columns]),
        np.zeros((T + 1 if isinstance(moves, np.ndarray) else 0, 3, S + 2)))
    if isinstance(moves, np.ndarray):
        weights.moves[:, :, 2:] = moves
    workspace = Workspace() if workspace is None else workspace
    B = frames_per_block(T, S, K, budget)
    room, arcs = memory_size(T, S, K, B) if T else 0, (T + 1) * 3 * (S + 2) if callable(moves) else 0
    numbers = workspace._take(room + 2 * arcs)
    outputs = Outputs(
        np.zeros((T, K)), np.zeros((T if values is not None else 0, K)),
        np.zeros((T if "gamma" in want else 0, S)),
        np.zeros((T + 1 if "xi" in want else 0, 3, S)),
        np.zeros(T if "entropy" in want else 0))
    log_z = 0.0 if S == 1 else -np.inf
    if T > 0:
        memory = carve(numbers[:room], T, S, K, B)
        if not callable(moves):
            log_z = sweep(weights, states, memory, outputs, True)
        else:
            xi = numbers[room:room + (T + 1) * 3 * S].reshape(T + 1, 3, S)
            padded = numbers[room + arcs:room + 2 * arcs].reshape(T + 1, 3, S + 2)
            xi[:] = padded[:] = 0.0
            without = weights._replace(values=np.empty((0, K)))
            log_z = sweep(without, states, memory, outputs._replace(xi=xi), True)
            if log_z > -np.inf:
                moves(xi, padded[:, :, 2:])
                sweep(weights._replace(moves=padded), states, memory, outputs, False)
    workspace._give(numbers)

    def by_class(array):
        full = np.zeros((T, C))
        full[:, columns] = array[:, :len(columns)]
        if starred is not None:
            full += array[:, -1:] * star_shares(scores, blank, star[1], starred)
        return full

    return Posterior(
        float(log_z), by_class(outputs.occupancy),
        by_class(outputs.covariance) if values is not None else None,
        outputs.gamma if "gamma" in want else None, outputs.xi if "xi" in want else None,
        float(outputs.entropies.sum()) if "entropy" in want else None)


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
