"""Which kernel solves which sequence: the fast one where its proof holds, the exact one where not."""

from __future__ import annotations

from threading import get_ident
from typing import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from ...compiled.cache import cached_njit
from ...compiled.counter import FAILED, TAKEN, new_progress, spin_until_done
from .. import certified, exact, kernels
from ..inputs.frames import Frames
from ..inputs.targets import Targets
from ..inputs.values import FEW_CLASSES, all_finite, check_values, find_tops
from . import threads

METHODS = ("auto", "exact", "log")

BUDGET = 2**18
"""Numbers of alpha (8 bytes each) that the certified kernel keeps at a time: they stay in a core's cache."""

LANES = 8
"""Sequences that go through the certified kernel side by side where they are short; it is written for 8."""

SHORT = 2**13
"""Up to so many frames times labels + 3 a sequence counts as short, if there are at most 64 classes."""

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
        # By the thread that used them last: that core's cache may still hold them. A dict's pop and popitem
        # need no lock, which a fork could copy locked.
        self._free: dict[int, NDArray[np.float64]] = {}

    def _take(self, size: int) -> NDArray[np.float64]:
        numbers = self._free.pop(get_ident(), None)
        if numbers is None:
            try:
                numbers = self._free.popitem()[1]
            except KeyError:  # there are none
                pass
        return numbers if numbers is not None and len(numbers) >= size else np.empty(size)

    def _give(self, numbers: NDArray[np.float64]) -> None:
        self._free[get_ident()] = numbers


def solve(
    frames: Frames, packed: Targets, blank: int, weights: NDArray[np.float64], grad: NDArray, method: str,
    workspace: Workspace | None, normalise: bool = True, gamma: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], int]:
    """Losses, bounds, which samples the exact kernel did, each (N,); how many have no path: a loss of inf.

    The values of the logits are checked here, before anything is written.
    The gradient rows (T * N, C) of all used frames of feasible samples are
    filled; those of infeasible ones are 0.
    """
    lengths, N = frames.lengths, len(packed.lengths)
    losses, bounds, todo, by_exact = np.empty(N), np.zeros(N), np.empty(N, np.bool_), np.zeros(N, np.bool_)
    problem = _Problem(frames, packed, blank, weights, grad, losses, normalise, gamma)
    kinds, cells = problem.plan(todo)
    if method != "auto" or problem.C > FEW_CLASSES or cells == 0:
        problem.frames = check_values(frames)
    if method == "log":
        problem.run_log(np.flatnonzero(todo))
        bounds[todo] = np.nan
    elif method == "auto":
        gaps = np.zeros(N)
        if not problem.run_certified(kinds, cells, gaps, workspace):
            problem.frames = find_tops(frames)  # raises, unless the logits are -inf or of padding
            problem.run_certified(kinds, cells, gaps, workspace)
        left, impossible = _judge(losses, gaps, lengths, *problem.limits(), todo, bounds)
    if method == "exact" or method == "auto" and left:
        by_exact[:] = todo
        problem.run_exact(np.flatnonzero(todo))
        bounds[todo] = problem.limits()[0] * lengths[todo]
    if method != "auto" or left:
        impossible = np.count_nonzero(losses == np.inf)
    if impossible:
        bounds[losses == np.inf] = 0.0
        for n in np.flatnonzero(losses == np.inf).tolist():
            frames.rows_of(grad, n)[:] = 0.0
    return losses, bounds, by_exact, impossible


def _quietly(task: Callable[..., None]) -> Callable[..., None]:
    """Compiled code never warns; without Numba, NumPy would, of -inf - -inf and the like."""

    def quiet(*arguments):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            task(*arguments)

    return quiet if numba.config.DISABLE_JIT else task  # type: ignore[attr-defined]


Kind = tuple[NDArray[np.intp], tuple[int, ...], tuple[int, int]]
"""Groups (G, L), a tuple of L zeros for the kernel to count lanes by, and the largest T and U of them."""


class _Problem:
    """A batch as the kernels take it, and how its samples are shared out to threads."""

    def __init__(
        self, frames: Frames, packed: Targets, blank: int, weights, grad, losses, normalise, gamma
    ) -> None:
        self.frames, self.packed, self.losses, self.grad, self.gamma = frames, packed, losses, grad, gamma
        self.C, self.normalise = frames.rows.shape[1], normalise
        self.lengths, self.U, self.repeats = frames.lengths, packed.lengths, packed.repeats
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
            exact.solve_samples(
                samples[some], *self.arguments, self.losses, self.grad, self.gamma, self.normalise)

        threads.run(task, self.lengths[samples] * (10 * self.U[samples] + self.C))

    def run_certified(
        self, kinds: list[Kind], cells: int, gaps: NDArray[np.float64], workspace: Workspace | None
    ) -> bool:
        """Into gaps how wide each bracket is, relatively; losses and gradients are those of the upper end.

        False, and nothing is done, if the logits have not been looked at yet and some are not finite.
        """
        workspace = workspace or Workspace()
        gamma = np.empty((0, 0)) if self.gamma is None else self.gamma
        rows, *others = self.arguments
        inspection = new_progress()
        work = [(groups, new_progress(), lanes,
                 certified.workspace_size(T, U, self.C, len(lanes), BUDGET))
                for groups, lanes, (T, U) in kinds if len(groups)]

        @_quietly
        def task():
            if len(self.frames.tops) == 0 and not all_finite(rows, inspection):
                return
            for groups, progress, lanes, room in work:
                if progress[TAKEN] < len(groups):
                    numbers = workspace._take(room)
                    certified.solve_groups(
                        groups, progress, lanes, rows, self.frames.tops, *others, self.normalise, BUDGET,
                        numbers, self.grad, gamma, self.losses, gaps)
                    workspace._give(numbers)

        def ended():
            return inspection[FAILED] > 0 or all([
                spin_until_done(progress, len(groups), LOOKS) for groups, progress, *_ in work])

        threads.run_together(task, ended, sum(len(groups) for groups, *_ in work), cells)
        return inspection[FAILED] == 0

    def plan(self, todo: NDArray[np.bool_]) -> tuple[list[Kind], int]:
        """Marks what is to be done; its groups with their lanes and largest T and U; lattice cells of it all.

        Long sequences are alone (G, 1), short ones together (G, LANES), -1 where a lane has none. The
        dearest come first, so that threads that take one after the other end together.
        """
        samples, sizes = np.empty((2, -(-len(todo) // LANES) * LANES), np.intp), np.zeros((2, 3), np.intp)
        short = 0 if self.gamma is not None or self.C > 64 else SHORT
        cells = _plan(np.lexsort((-self.U, -self.lengths)), self.lengths, self.U, self.repeats, self.C, short,
                      todo, self.losses, samples, sizes)
        (alone, T, U), (few, T_few, U_few) = sizes.tolist()
        together = samples[1, :-(-few // LANES) * LANES].reshape(-1, LANES)
        return [(samples[0, :alone, None], (0,), (T, U)), (together, (0,) * LANES, (T_few, U_few))], cells

    def limits(self) -> tuple[float, float, float]:
        """rho for a frame; how wide a bracket may be to be taken for an answer; and the least loss so taken.

        rho is at most 4 roundings, and what the frame's emissions are off by: 8 an exp, and their sum,
        which adds at most 64 terms in a lane, then the lanes, up to 7 behind them, and blocks of 512.
        """
        if self.frames.rows.dtype == np.float32:
            return 4 * 2.0**-53, 1e-6, -np.inf
        emission = 8 + min(self.C, 74) + self.C / 512
        return (4 + emission) * 2.0**-53, 1e-12, NEARLY_CERTAIN if self.normalise else -np.inf


@cached_njit(nogil=True)
def _plan(order, lengths, widths, repeats, C, short, todo, losses, samples, sizes):
    """In todo who has frames, and enough of them; a loss of 0 to who needs none and has none, inf to others.

    They go, in this order, to row 1 of samples if T (U + 3) <= short, else to row 0. Into sizes, for each
    row, how many they are, the most frames and the most labels. Returns their lattice cells.
    """
    cells = 0
    samples[:] = -1
    for n in order:
        T, U = lengths[n], widths[n]
        losses[n] = 0.0 if T == 0 and U == 0 else np.inf
        todo[n] = T > 0 and T >= U + repeats[n]
        if todo[n]:
            kind = 1 if T * (U + 3) <= short else 0
            samples[kind, sizes[kind, 0]] = n
            sizes[kind, 0] += 1
            sizes[kind, 1], sizes[kind, 2] = max(sizes[kind, 1], T), max(sizes[kind, 2], U)
            cells += T * (U + C)
    return cells


@cached_njit(nogil=True)
def _judge(losses, gaps, lengths, rounding, widest, least, todo, bounds):
    """The bounds of all samples; in todo, and counted, what the exact kernel has to do; who has no path.

    Beside the widest bracket two passes' rounding is allowed, 8 a frame.
    """
    left, infinite = 0, 0
    for n in range(len(losses)):
        bounds[n] = gaps[n] + rounding * lengths[n]
        todo[n] &= not gaps[n] <= widest + 8 * 2.0**-53 * lengths[n] or losses[n] < least
        left += todo[n]
        infinite += losses[n] == np.inf
    return left, infinite
