"""Which kernel solves which sequence: the fast one where its proof holds, the exact one where not."""

from __future__ import annotations

import threading
from typing import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from . import certified, exact, kernels, threads
from .checks import Frames, Targets

METHODS = ("auto", "exact", "log")

BUDGET = 2**18
"""Numbers of alpha (8 bytes each) that the certified kernel keeps at a time: they stay in a core's cache."""

LANES = 8
"""Sequences that go through the certified kernel side by side where they are short; it is written for 8."""

LOOKS = 50_000
"""How often a thread that is done looks whether others are, before it sleeps till then: about 1 ms."""

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
    lengths, U = frames.lengths, packed.lengths
    losses, bounds, by_exact = np.full(len(U), np.inf), np.zeros(len(U)), np.zeros(len(U), dtype=np.bool_)
    todo = lengths >= U + packed.repeats
    if not (lengths > 0).all():
        losses[todo & (lengths == 0)] = 0.0
        todo &= lengths > 0
    problem = _Problem(frames, packed, blank, weights, grad, losses, normalise, gamma)
    if method == "log":
        problem.run_log(np.flatnonzero(todo))
        bounds[todo] = np.nan
    elif method == "auto":
        gaps = np.zeros(len(U))
        problem.run_certified(np.flatnonzero(todo), gaps, workspace)
        left = _judge(losses, gaps, lengths, *problem.limits(), todo, bounds)
    if method == "exact" or method == "auto" and left:
        by_exact[:] = todo
        problem.run_exact(np.flatnonzero(todo))
        bounds[todo] = problem.limits()[0] * lengths[todo]
    impossible = losses == np.inf
    if impossible.any():
        bounds[impossible] = 0.0
        for n in np.flatnonzero(impossible).tolist():
            frames.rows_of(grad, n)[:] = 0.0
    return losses, bounds, by_exact


def _quietly(task: Callable[..., None]) -> Callable[..., None]:
    """Compiled code never warns; without Numba, NumPy would, of -inf - -inf and the like."""

    def quiet(*arguments):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            task(*arguments)

    return quiet if numba.config.DISABLE_JIT else task  # type: ignore[attr-defined]


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

    def run_log(self, samples: NDArray[np.intp]) -> None:
        @_quietly
        def task(some):
            kernels.batch(samples[some], *self.arguments, self.losses, self.grad)

        threads.run(task, self.lengths[samples] * (2 * self.U[samples] + 1 + self.C))

    def run_exact(self, samples: NDArray[np.intp]) -> None:
        @_quietly
        def task(some):
            exact.batch(samples[some], *self.arguments, self.losses, self.grad, self.gamma, self.normalise)

        threads.run(task, self.lengths[samples] * (10 * self.U[samples] + self.C))

    def run_certified(
        self, samples: NDArray[np.intp], gaps: NDArray[np.float64], workspace: Workspace | None
    ) -> None:
        """Into gaps how wide each bracket is, relatively; losses and gradients are those of the upper end."""
        workspace = workspace or Workspace()
        gamma = np.empty((0, 0)) if self.gamma is None else self.gamma
        rows, *others = self.arguments
        work = [(groups, np.zeros(2, np.int64), lanes) for groups, lanes in
                zip(self._groups(samples), ((0,), (0,) * LANES)) if len(groups)]
        T, U = int(self.lengths.max(initial=0)), int(self.U.max(initial=0))

        @_quietly
        def task():
            for groups, progress, lanes in work:
                if progress[0] < len(groups):
                    numbers = workspace._take(certified.room(T, U, self.C, len(lanes), BUDGET))
                    certified.batch(groups, progress, lanes, rows, self.frames.tops, *others, self.normalise,
                                    BUDGET, numbers, self.grad, gamma, self.losses, gaps)
                    workspace._give(numbers)

        def ended():
            return all([certified.all_done(progress, len(groups), LOOKS) for groups, progress, _ in work])

        cells = int(self.lengths[samples] @ (self.U[samples] + self.C))
        threads.run_together(task, ended, sum(len(groups) for groups, _, _ in work), cells)

    def _groups(self, samples: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Long sequences alone (G, 1), short ones together (G, LANES), -1 where a lane has none.

        The dearest come first, so that threads that take one after the other end together.
        """
        lengths, U = self.lengths[samples], self.U[samples]
        samples = samples[np.lexsort((-U, -lengths))]
        if self.gamma is not None or self.C > 64:
            return samples[:, None], np.empty((0, LANES), np.intp)
        short = self.lengths[samples] * (self.U[samples] + 3) <= 2**13
        few = samples[short]
        together = np.full(-(-len(few) // LANES) * LANES, -1)
        together[:len(few)] = few
        return samples[~short][:, None], together.reshape(-1, LANES)

    def limits(self) -> tuple[float, float, float]:
        """rho for a frame; how wide a bracket may be to be taken for an answer; and the least loss so taken.

        rho is at most 4 roundings, and what the frame's emissions are off by: 8 an exp, and their sum,
        which adds at most 64 terms in a lane, then the lanes, then blocks of 512.
        """
        if self.frames.rows.dtype == np.float32:
            return 4 * 2.0**-53, 1e-6, -np.inf
        emission = 8 + min(self.C, 67) + self.C / 512
        return (4 + emission) * 2.0**-53, 1e-12, NEARLY_CERTAIN if self.normalise else -np.inf


@numba.njit(nogil=True, cache=True)
def _judge(losses, gaps, lengths, rounding, widest, least, todo, bounds):
    """The bounds of all samples; and in todo, and counted, those that the exact kernel has to do.

    Beside the widest bracket two passes' rounding is allowed, 8 a frame.
    """
    left = 0
    for n in range(len(losses)):
        bounds[n] = gaps[n] + rounding * lengths[n]
        todo[n] &= not gaps[n] <= widest + 8 * 2.0**-53 * lengths[n] or losses[n] < least
        left += todo[n]
    return left
