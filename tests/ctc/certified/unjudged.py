"""The answers of each certified kernel alone, however wide the gap between its bounds is."""

from typing import NamedTuple

import numpy as np

from ctc_scratch.compiled.counter import new_progress
from ctc_scratch.ctc.certified import banded, lanes
from ctc_scratch.ctc.inputs.targets import check_targets
from ctc_scratch.ctc.inputs.values import check_logits
from ctc_scratch.ctc.running import solver
from ctc_scratch.ctc.running.plan import LANES

FENCE, FENCE_POST = 64, 77
"""So many numbers of this value stand on both sides of a workspace."""


class Answer(NamedTuple):
    """What a kernel writes for one sequence."""

    loss: float
    gap: float
    grad: np.ndarray  # (T, C)
    gamma: np.ndarray  # (T, S); the kernel for short sequences has none


def by_banded(logits, labels, *, blank=0, normalise=True, budget=None, garbage=(0.0, 0)):
    """The `Answer` of the kernel for long sequences.

    Its workspaces hold `garbage`, a float and an integer, before they are used. Fails if a number before or
    after them has changed.
    """
    frames, packed = checked(logits, labels, blank)
    (T, C), S = frames.rows.shape, 2 * len(labels) + 1
    grad, losses, gaps = np.zeros((T, C), frames.rows.dtype), np.zeros(1), np.zeros(1)
    gamma = np.zeros((T, S))
    budget = solver.BUDGET if budget is None else budget
    numbers, integers = (
        np.pad(np.full(size, value, dtype), FENCE, constant_values=FENCE_POST) for size, value, dtype
        in zip(banded.workspace_size(T, len(labels), C, budget), garbage, (np.float64, np.int32)))
    with np.errstate(all="ignore"):  # plain Python warns; the solver ignores that, too
        banded.solve_sequences(
            np.zeros(1, np.intp), new_progress(), frames.rows, frames.tops, T, 1, frames.lengths,
            packed.labels, packed.offsets, blank, np.ones(1), normalise, budget, numbers[FENCE:-FENCE],
            integers[FENCE:-FENCE], grad, gamma, losses, gaps)
    for memory in (numbers, integers):
        assert (memory[:FENCE] == FENCE_POST).all() and (memory[-FENCE:] == FENCE_POST).all()
    return Answer(losses[0], gaps[0], grad, gamma)


def by_lanes(logits, labels, *, blank=0, budget=None):
    """The `Answer` of the kernel for short sequences, with seven empty lanes."""
    frames, packed = checked(logits, labels, blank)
    T, C = frames.rows.shape
    grad, losses, gaps = np.zeros((T, C), frames.rows.dtype), np.zeros(1), np.zeros(1)
    budget = solver.BUDGET if budget is None else budget
    room = lanes.workspace_size(T, len(labels), C, budget)
    group = np.full((1, LANES), -1)
    group[0, 0] = 0
    with np.errstate(all="ignore"):
        lanes.solve_groups(
            group, new_progress(), frames.rows, T, 1, frames.lengths, packed.labels, packed.offsets, blank,
            np.ones(1), budget, np.zeros(room), grad, losses, gaps)
    return Answer(losses[0], gaps[0], grad, np.zeros((T, 0)))


def checked(logits, labels, blank):
    """The frames and the target of one sequence, as the kernels want them."""
    frames = check_logits(np.array(logits))
    return frames, check_targets(np.array(labels, dtype=int), None, frames, blank)
