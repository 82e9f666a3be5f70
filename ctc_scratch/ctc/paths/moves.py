"""The moves stay, step and skip on arrays of states, in NumPy, for `lattice` and `k_best`."""

from __future__ import annotations

from typing import Callable

import numpy as np
from numpy.typing import NDArray

LEAST_FLOAT = np.finfo(np.float64).min
"""Takes the place of the largest of several logarithms where all of them are -inf."""


def three_moves(after: NDArray[np.float64], skips: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Where stay, step and skip lead from each state: the value (3, ..., S) of that state, or -inf.

    after : (..., S) the value of each state at the next frame
    skips : (S,) the states that a skip may enter
    """
    values = np.full((3, *after.shape), -np.inf)
    values[0] = after
    values[1, ..., :-1] = after[..., 1:]
    values[2, ..., :-2] = np.where(skips[2:], after[..., 2:], -np.inf)
    return values


def backward(
    emissions: NDArray[np.float64], skips: NDArray[np.bool_], unite: Callable[[NDArray], NDArray]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The backward recursion without each frame's own emission, relative to the top of each frame.

        scores_t(s) + tops_t = unite over the moves s -> s' of scores_{t+1}(s') + emissions_{t+1}(s')

    emissions : (T, S) ln y of the class that each state emits
    skips : (S,) the states that a skip may enter
    unite : makes one score (S,) of those of the three moves (3, S): a maximum, or ln of a sum

    Returns the scores (T, S), whose top is 0 at each frame, and what each frame subtracted (T,).
    """
    T, S = emissions.shape
    scores, tops = np.full((T, S), -np.inf), np.zeros(T)
    if T > 0:
        scores[-1, -2:] = 0.0
    for t in range(T - 2, -1, -1):
        row = unite(three_moves(scores[t + 1] + emissions[t + 1], skips))
        tops[t] = row.max() if row.max() > -np.inf else 0.0  # -inf: no state can finish
        scores[t] = row - tops[t]
    return scores, tops


def draw_moves(probs: NDArray[np.float64], uniform: NDArray[np.float64]) -> NDArray[np.intp]:
    """Moves (n,), as 0, 1 or 2, with the probabilities (3, ...); a move of probability 0 is never drawn.

    uniform : (n,) random numbers from [0, 1)
    """
    stay, step, skip = probs
    # Rounding may leave the sum below 1: the last move that is possible gets the remainder.
    past_stay = (uniform >= stay) & (step + skip > 0)
    past_step = (uniform >= stay + step) & (skip > 0)
    return past_stay.astype(np.intp) + (past_stay & past_step)


def entropy_terms(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """-p ln p of each probability, 0 where p = 0."""
    return -probs * np.log(probs, out=np.zeros_like(probs), where=probs > 0)
