"""The paths of a lattice, one after another, the most likely first.

Every state has a best move. Any path but the best one makes a different move at some frames; there it
*departs*. The cost of a departure is the score it loses against the best move. All paths form a tree: the
parent of a path makes the same moves until the path's last departure, and best moves from that frame on.
A heap yields the paths in the order of their total costs. For k paths this takes O(k T log T) time after
one O(T U) recursion.
"""

from __future__ import annotations

import heapq
import itertools
from typing import Iterator

import numpy as np
from numpy.typing import NDArray

from .moves import LEAST_FLOAT, three_moves


def paths_by_score(best_after: NDArray[np.float64], skips: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    """All paths that are possible, each as its states (T,), the best first.

    best_after : (T, S) the score of the best way to go on from state s at frame t, that frame's emission
        included; -inf if there is none
    skips : (S,) the states that a skip may enter
    """
    T, S = best_after.shape
    # Before its first frame a path is in a state -1, from which it steps or skips.
    scores = np.full((3, T, S + 1), -np.inf)
    scores[:, 1:, 1:] = three_moves(best_after[1:], skips)
    if T > 0:
        scores[1:1 + min(S, 2), 0, 0] = best_after[0, :2]
    best_move = scores.argmax(axis=0).tolist()  # among equals the first: stay, step, skip

    path = _Path(_follow(best_move, np.empty(0, np.intp)), 0.0, 0, scores)
    yield path.states
    # The cheapest departures not made yet: total cost, a number that breaks ties, the path, its rank.
    heap: list[tuple[float, int, _Path, int]] = []
    numbers = itertools.count()
    _push(heap, next(numbers), path, 0)
    while heap:
        cost, _, parent, rank = heapq.heappop(heap)
        _push(heap, next(numbers), parent, rank + 1)
        beginning = parent.departed(rank)
        path = _Path(_follow(best_move, beginning), cost, len(beginning), scores)
        yield path.states
        _push(heap, next(numbers), path, 0)


class _Path:
    """A path and its departures at the frames from `begin` on, the cheapest first.

    scores : (3, T, S + 1) the score of each move into frame t from state s - 1
    """

    def __init__(
        self, states: NDArray[np.intp], cost: float, begin: int, scores: NDArray[np.float64]
    ) -> None:
        self.states, self.cost, self.begin = states, cost, begin
        frames = np.arange(begin, len(states))
        before = np.concatenate([[-1], states])[frames]
        moves = scores[:, frames, before + 1].T
        costs = moves.max(axis=1, keepdims=True, initial=LEAST_FLOAT) - moves
        costs[np.arange(len(frames)), states[begin:] - before] = np.inf  # the path's own moves
        costs = costs.reshape(-1)
        self.order = np.argsort(costs, kind="stable")[:np.count_nonzero(costs < np.inf)]
        self.costs = costs[self.order]

    def departed(self, rank: int) -> NDArray[np.intp]:
        """The states up to and including the one that the departure leads to."""
        frame, move = divmod(int(self.order[rank]), 3)
        t = self.begin + frame
        states = self.states[:t + 1].copy()
        states[t] = (self.states[t - 1] if t > 0 else -1) + move
        return states


def _follow(best_move: list[list[int]], beginning: NDArray[np.intp]) -> NDArray[np.intp]:
    """The states (T,) of the path that goes on from its first states by best moves."""
    T = len(best_move)
    states = np.empty(T, dtype=np.intp)
    states[:len(beginning)] = beginning
    s = beginning[-1] if len(beginning) else -1
    for t in range(len(beginning), T):
        s += best_move[t][s + 1]
        states[t] = s
    return states


def _push(heap: list[tuple[float, int, _Path, int]], number: int, path: _Path, rank: int) -> None:
    if rank < len(path.costs):
        heapq.heappush(heap, (path.cost + path.costs[rank], number, path, rank))
