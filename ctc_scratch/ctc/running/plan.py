"""Which sequences of a batch have to be solved, and which of them the fast kernels take side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...compiled.cache import cached_njit
from ..inputs.frames import Frames
from ..inputs.targets import Targets

# nogil: other threads can run meanwhile.
kernel = cached_njit(nogil=True)

LANES = 8
"""How many short sequences are solved side by side; the kernel in `certified/lanes` is written for 8."""

SHORT = 2**13
"""A sequence is short if frames times (labels + 3) is at most this, in a batch of at most 64 classes."""


class Problem(NamedTuple):
    """A batch to solve: checked frames and targets, the blank, and how gradients are weighted."""

    frames: Frames
    targets: Targets
    blank: int
    weights: NDArray[np.float64]  # (N,) the factor of each loss in the gradient
    normalise: bool = True  # whether a softmax over the classes comes first

    def for_kernels(self) -> tuple:
        """The arguments that describe the batch, in the order in which all batch kernels take them."""
        frames, targets = self.frames, self.targets
        return (frames.rows, frames.n_stride, frames.t_stride, frames.lengths, targets.labels,
                targets.offsets, self.blank, self.weights)


class Share(NamedTuple):
    """Sequences that one of the certified kernels solves."""

    members: NDArray[np.intp]  # (G,) one at a time; or (G, 8) eight side by side, -1 where a lane has none
    T: int  # frames of the longest sequence
    U: int  # labels of the longest target


class Plan(NamedTuple):
    """What has to be done for a batch."""

    todo: NDArray[np.bool_]  # (N,) whether the target fits its frames
    losses: NDArray[np.float64]  # (N,) 0 if T = U = 0, else inf until the sequence is solved
    alone: Share | None  # long sequences
    side_by_side: Share | None  # short ones
    cells: int  # the work of all sequences to solve: T (U + C) each


def make_plan(problem: Problem, side_by_side: bool) -> Plan:
    """The plan for a batch; `side_by_side` allows groups of several short sequences.

    The longest sequences come first, so that threads which take one group after
    the other end at about the same time.
    """
    lengths, U, repeats = problem.frames.lengths, problem.targets.lengths, problem.targets.repeats
    C = problem.frames.rows.shape[1]
    short = SHORT if side_by_side and C <= 64 else 0
    N = len(lengths)
    losses, samples = np.empty(N), np.empty((2, -(-N // LANES) * LANES), np.intp)
    todo, (n_long, T_long, U_long), (n_short, T_short, U_short), cells = _plan(
        np.lexsort((U, lengths)), lengths, U, repeats, C, short, losses, samples)
    alone = Share(samples[0, :n_long], T_long, U_long) if n_long else None
    if not n_short:
        return Plan(todo, losses, alone, None, cells)
    members = samples[1, :-(-n_short // LANES) * LANES].reshape(-1, LANES)
    return Plan(todo, losses, alone, Share(members, T_short, U_short), cells)


def alone_again(problem: Problem, plan: Plan, again: NDArray[np.bool_]) -> Plan:
    """The plan that solves the sequences in `again` (N,) once more, each of them alone."""
    samples = np.flatnonzero(again)
    T, U = problem.frames.lengths[samples], problem.targets.lengths[samples]
    share = Share(samples, int(T.max()), int(U.max()))
    cells = int((T * (U + problem.frames.rows.shape[1])).sum())
    return plan._replace(alone=share, side_by_side=None, cells=cells)


@kernel
def _plan(order, lengths, widths, repeats, C, short, losses, samples):
    """Fill the losses of a `Plan`, and `samples`; returns todo, the sizes of the rows and the cells.

    samples (2, at least N): the sequences to solve, from the end of `order` to its
    beginning, the short ones in row 1, the others in row 0, and -1 in the rest.
    The sizes of each row: the number of sequences, the most frames and the most labels.
    """
    todo, sizes = np.empty(len(order), np.bool_), np.zeros((2, 3), np.intp)
    samples[:] = -1
    cells = 0
    for k in range(len(order) - 1, -1, -1):
        n = order[k]
        T, U = lengths[n], widths[n]
        losses[n] = 0.0 if T == 0 and U == 0 else np.inf
        todo[n] = T > 0 and T >= U + repeats[n]
        if todo[n]:
            row = 1 if T * (U + 3) <= short else 0
            samples[row, sizes[row, 0]] = n
            sizes[row, 0] += 1
            sizes[row, 1], sizes[row, 2] = max(sizes[row, 1], T), max(sizes[row, 2], U)
            cells += T * (U + C)
    return todo, (sizes[0, 0], sizes[0, 1], sizes[0, 2]), (sizes[1, 0], sizes[1, 1], sizes[1, 2]), cells
