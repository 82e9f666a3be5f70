"""Which kernel solves which sequence: the fast one where its proof holds, the exact one where not."""

from __future__ import annotations

import threading
from typing import Callable

import numpy as np
from numpy.typing import NDArray

from . import certified, exact, kernels, threads
from .checks import Frames, Targets

METHODS = ("auto", "exact", "log")

BUDGET = 2**18
"""Numbers of alpha (8 bytes each) that the certified kernel keeps at a time: they stay in a core's cache."""

LANES = 8
"""Sequences that go through the certified kernel side by side where they are short; it is written for 8."""

NEARLY_CERTAIN = 0.01
"""A float64 loss below this many nats is done by the exact kernel, which sums what lacks to certainty."""


class Workspace:
    """Memory for `ctc_loss` to use again, so that a training loop does not ask for it anew in each step.

    It grows to what the largest call needs; several threads may use one.

    >>> from ctc_scratch import Workspace, ctc_loss
    >>> workspace, grad = Workspace(), np.empty((4, 3))
    >>> for step in range(3):
    ...     result = ctc_loss(np.zeros((4, 3)), [1, 2], workspace=workspace, out=grad)
    >>> result.grad is grad
    True
    """

    def __init__(self) -> None:
        self._free: list[NDArray[np.float64]] = []
        self._lock = threading.Lock()

    def _take(self, size: int) -> NDArray[np.float64]:
        with self._lock:
            numbers = self._free.pop() if self._free else None
        return numbers if numbers is not None and len(numbers) >= size else np.empty(size)

    def _give(self, numbers: NDArray[np.float64]) -> None:
        with self._lock:
            self._free.append(numbers)


def solve(
    frames: Frames, packed: Targets, blank: int, weights: NDArray[np.float64], grad: NDArray, method: str,
    workspace: Workspace | None, normalise: bool = True, gamma: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Losses (inf where no path exists), bounds and which samples the exact kernel did, each (N,).

    The gradient rows (T * N, C) of all used frames of feasible samples are
    filled; those of infeasible ones are 0.
    """
    U, lengths = packed.lengths, frames.lengths
    losses = np.where(lengths + U == 0, 0.0, np.inf)
    bounds, by_exact = np.zeros(len(U)), np.zeros(len(U), dtype=np.bool_)
    todo = np.flatnonzero((lengths >= U + packed.repeats) & (lengths > 0))
    problem = _Problem(frames, packed, blank, weights, grad, losses, normalise, gamma)
    if method == "log":
        problem.run_log(todo)
        bounds[todo] = np.nan
    elif method == "auto":
        gaps = problem.run_certified(todo, workspace)
        bounds[todo] = gaps + problem.rounding(todo)
        wide = ~(gaps <= problem.tolerance(todo))
        if frames.rows.dtype == np.float64 and normalise:
            wide |= losses[todo] < NEARLY_CERTAIN
        todo = todo[wide]
    if method != "log" and len(todo) > 0:
        by_exact[todo] = True
        problem.run_exact(todo)
        bounds[todo] = problem.rounding(todo)
    for n in np.flatnonzero(losses == np.inf).tolist():
        bounds[n] = 0.0
        frames.rows_of(grad, n)[:] = 0.0
    return losses, bounds, by_exact


class _Problem:
    """A batch as the kernels take it, and how its samples are shared out to threads."""

    def __init__(
        self, frames: Frames, packed: Targets, blank: int, weights, grad, losses, normalise, gamma
    ) -> None:
        self.frames, self.packed, self.losses, self.grad, self.gamma = frames, packed, losses, grad, gamma
        self.C, self.normalise = frames.rows.shape[1], normalise
        self.lengths, self.U = frames.lengths, packed.lengths
        self.arguments = (
            frames.rows, frames.n_stride, frames.t_stride, frames.lengths, packed.labels, packed.offsets,
            blank, weights,
        )

    def _run(self, task: Callable[[NDArray[np.intp]], None], costs: NDArray) -> None:
        def quietly(some):
            # Compiled code never warns; without Numba, NumPy would, of -inf - -inf and the like.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                task(some)

        threads.run(quietly, costs)

    def run_log(self, samples: NDArray[np.intp]) -> None:
        def task(some):
            kernels.batch(samples[some], *self.arguments, self.losses, self.grad)

        self._run(task, self.lengths[samples] * (2 * self.U[samples] + 1 + self.C))

    def run_exact(self, samples: NDArray[np.intp]) -> None:
        def task(some):
            exact.batch(samples[some], *self.arguments, self.losses, self.grad, self.gamma, self.normalise)

        self._run(task, self.lengths[samples] * (10 * self.U[samples] + self.C))

    def run_certified(self, samples: NDArray[np.intp], workspace: Workspace | None) -> NDArray[np.float64]:
        """How wide each bracket is, relatively; losses and gradients are those of the upper end."""
        gaps = np.empty(len(self.losses))
        workspace = workspace or Workspace()
        gamma = np.empty((0, 0)) if self.gamma is None else self.gamma
        alone, together = self._groups(samples)
        costs = self.lengths * (self.U + self.C)

        def task(some):
            run(alone[some[some < len(alone)]], (0,))
            run(together[some[some >= len(alone)] - len(alone)], (0,) * LANES)

        def run(groups, lanes):
            if len(groups):
                members = groups[groups >= 0]
                T, U = int(self.lengths[members].max()), int(self.U[members].max())
                numbers = workspace._take(certified.room(T, U, self.C, len(lanes), BUDGET))
                rows, *others = self.arguments
                certified.batch(groups, lanes, rows, self.frames.tops, *others, self.normalise, BUDGET,
                                numbers, self.grad, gamma, self.losses, gaps)
                workspace._give(numbers)

        self._run(task, np.concatenate([
            costs[alone[:, 0]], np.where(together >= 0, costs[together], 0).sum(axis=1)
        ]))
        return gaps[samples]

    def _groups(self, samples: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Long sequences alone (G, 1), short ones together (G, LANES), -1 where a lane has none."""
        short = self.lengths[samples] * (self.U[samples] + 3) <= 2**13
        short &= self.gamma is None and self.C <= 64
        few = samples[short]
        together = np.full((-(-len(few) // LANES), LANES), -1)
        together.reshape(-1)[:len(few)] = few[np.lexsort((self.U[few], self.lengths[few]))]
        return samples[~short][:, None], together

    def tolerance(self, samples: NDArray[np.intp]) -> NDArray:
        """The widest bracket that is taken for an answer; two passes' rounding fits in."""
        rounding = 8 * self.lengths[samples] * 2.0**-53
        return rounding + (1e-6 if self.frames.rows.dtype == np.float32 else 1e-12)

    def rounding(self, samples: NDArray[np.intp]) -> NDArray:
        """rho: at most 4 roundings a frame, and what its emissions are off by."""
        emission = 0.0
        if self.frames.rows.dtype == np.float64:
            emission = 8 + min(self.C, 512) / 4 + self.C / 512
        return (4 + emission) * self.lengths[samples] * 2.0**-53
