"""Which kernel solves which sequence: the fast one if its proof is good enough, else the exact one."""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from ...compiled.cache import cached_njit
from ...compiled.counter import FAILED, TAKEN, new_progress, spin_until_done
from .. import exact, kernels
from ..certified import banded, lanes
from ..inputs.values import FEW_CLASSES, all_finite, check_values, find_tops
from . import threads
from .plan import Plan, Problem, Share, alone_again, make_plan
from .workspace import Workspace

# nogil: other threads can run meanwhile.
kernel = cached_njit(nogil=True)

BUDGET = 2**18
"""How many values of alpha or beta a certified kernel keeps, 8 bytes each: they fit in a core's cache."""

LOOKS = 50_000
"""How many times a thread checks whether the others are done, about 1 ms in all, before it sleeps."""

NEARLY_CERTAIN = 0.01
"""A float64 loss below this many nats is left to the exact kernel, which sums 1 - p, not p."""

NO_GAMMA = np.empty((0, 0))
"""Stands for gamma if it is not wanted."""


class Outputs(NamedTuple):
    """The arrays that the kernels write to."""

    losses: NDArray[np.float64]  # (N,)
    grad: NDArray  # (T * N, C), in the order of the logits' rows; or (0, C) if gradients are not wanted
    gamma: NDArray[np.float64] | None  # (T * N, S of the longest target), in the same order


class Solution(NamedTuple):
    """What `solve` returns; gradients are written to the arrays that it is given."""

    losses: NDArray[np.float64]  # (N,), inf where there is no path
    bounds: NDArray[np.float64]  # (N,), see `CTCResult`
    exact: NDArray[np.bool_]  # (N,) which sequences the exact kernel has solved
    impossible: int  # how many sequences have no path


class Limits(NamedTuple):
    """When an answer of the certified kernel is good enough to be returned."""

    rounding: float  # rho per frame
    widest: float  # the widest bracket
    least: float  # the least loss


def solve(
    problem: Problem, grad: NDArray, method: str, workspace: Workspace | None = None,
    gamma: NDArray[np.float64] | None = None,
) -> Solution:
    """Plan a batch, inspect its logits, and solve it with a method of `METHODS`.

    Gradients go to `grad` (T * N, C), in the rows of all used frames: zeros for a
    sequence without a path. The posteriors of the states go to the same rows of
    `gamma` (T * N, S of the longest target), if that is given; it must hold zeros.
    If `grad` has no rows, losses and bounds are computed alone, to the same bits.
    Logits that cannot be used raise an error before anything is written. The kernel
    for sequences side by side always has a softmax, and gives no gamma.
    """
    plan = make_plan(problem, side_by_side=problem.normalise and gamma is None)
    solution = METHODS[method](problem, plan, Outputs(plan.losses, grad, gamma), workspace)
    if solution.impossible:
        _clear_impossible(problem, solution, grad)
    return solution


def _solve_auto(problem: Problem, plan: Plan, outputs: Outputs, workspace: Workspace | None) -> Solution:
    """Solve with the certified kernels; what is too uncertain then, with the exact kernel.

    The kernel for short sequences has one exponent per sequence. Where that is not enough, the kernel for
    long ones, with an exponent per label, is tried before the exact one.
    """
    gaps = _inspect_and_certify(problem, plan, outputs, workspace)
    losses, lengths, limits = outputs.losses, problem.frames.lengths, _limits_of(problem)
    bounds, uncertain = np.empty_like(gaps), plan.todo.copy()
    doubts, impossible = _judge(losses, gaps, lengths, *limits, bounds, uncertain)
    if doubts and plan.side_by_side is not None:
        again = uncertain & ~(losses < limits.least)
        if again.any():
            gaps_again = _certify(problem, alone_again(problem, plan, again), outputs, workspace)
            assert gaps_again is not None
            gaps, uncertain = np.where(again, gaps_again, gaps), plan.todo.copy()
            doubts, impossible = _judge(losses, gaps, lengths, *limits, bounds, uncertain)
    if doubts:
        _run_exact(problem, uncertain, outputs)
        bounds[uncertain] = limits.rounding * lengths[uncertain]
        impossible = _count_impossible(losses)
    return Solution(losses, bounds, uncertain, impossible)


def _solve_exact(problem: Problem, plan: Plan, outputs: Outputs, workspace: Workspace | None) -> Solution:
    """Solve with the exact kernel."""
    check_values(problem.frames)
    _run_exact(problem, plan.todo, outputs)
    bounds = np.where(plan.todo, _limits_of(problem).rounding * problem.frames.lengths, 0.0)
    return Solution(outputs.losses, bounds, plan.todo, _count_impossible(outputs.losses))


def _solve_log(problem: Problem, plan: Plan, outputs: Outputs, workspace: Workspace | None) -> Solution:
    """Solve with the log-space kernel, which proves nothing."""
    check_values(problem.frames)
    _run_log(problem, plan, outputs)
    bounds = np.where(plan.todo, np.nan, 0.0)
    return Solution(outputs.losses, bounds, np.zeros_like(plan.todo), _count_impossible(outputs.losses))


METHODS = {"auto": _solve_auto, "exact": _solve_exact, "log": _solve_log}


def _limits_of(problem: Problem) -> Limits:
    """The limits for the answers of the certified kernel to this problem."""
    rows = problem.frames.rows
    return limits_of(rows.dtype, rows.shape[1], problem.normalise)


@lru_cache(maxsize=None)
def limits_of(dtype: np.dtype, C: int, normalise: bool) -> Limits:
    """The limits for answers of the certified kernel.

    rho, in units of 2^-53, is at most 4 roundings per frame plus the error of the
    frame's emissions: 8 for an exp, and one for each addition on the way of a term to
    their sum. A block of 512 classes takes 64 additions in each of 8 lanes and 3 to
    join the lanes, and up to 7 classes follow the last; where eight frames are summed
    side by side, a block of 64 classes takes 64. There are at most C / 64 blocks.
    """
    if dtype == np.float32:
        return Limits(8 * 2.0**-53, 1e-6, -np.inf)
    emission = 8 + min(C, 74) + C / 64
    return Limits((4 + emission) * 2.0**-53, 1e-12, NEARLY_CERTAIN if normalise else -np.inf)


# ---- the three kernels over threads ----------------------------------------------------------------


def _quietly(task: Callable[..., None]) -> Callable[..., None]:
    """The task without NumPy's warnings (-inf - -inf and the like), which compiled code never gives."""

    def quiet(*arguments):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            task(*arguments)

    return quiet if numba.config.DISABLE_JIT else task  # type: ignore[attr-defined]


def _run_log(problem: Problem, plan: Plan, outputs: Outputs) -> None:
    """Losses and gradients of the sequences to solve, by the log-space kernel."""
    samples, arguments = np.flatnonzero(plan.todo), problem.for_kernels()
    grad = outputs.grad if len(outputs.grad) else np.empty_like(problem.frames.rows)

    @_quietly
    def task(shard):
        kernels.solve_samples(samples[shard], *arguments, outputs.losses, grad)

    T, U = problem.frames.lengths[samples], problem.targets.lengths[samples]
    threads.run(task, T * (2 * U + 1 + problem.frames.rows.shape[1]))


def _run_exact(problem: Problem, todo: NDArray[np.bool_], outputs: Outputs) -> None:
    """Losses, gradients and gamma of the sequences in `todo` (N,), by the exact kernel."""
    samples, arguments = np.flatnonzero(todo), problem.for_kernels()

    @_quietly
    def task(shard):
        exact.solve_samples(samples[shard], *arguments, *outputs, problem.normalise)

    T, U = problem.frames.lengths[samples], problem.targets.lengths[samples]
    threads.run(task, T * (10 * U + problem.frames.rows.shape[1]))


def _inspect_and_certify(
    problem: Problem, plan: Plan, outputs: Outputs, workspace: Workspace | None
) -> NDArray[np.float64]:
    """Inspect the logits, then solve with the certified kernel; returns its `gaps` (N,).

    Waking threads twice, to inspect and to solve, would cost more than inspecting a
    small batch does. So the threads that solve it inspect it first, but they only find
    out whether all logits are finite. If not, `find_tops` raises the error, unless the
    logits in question are padding or legal -inf.
    """
    if problem.frames.rows.shape[1] <= FEW_CLASSES:
        gaps = _certify(problem, plan, outputs, workspace, inspect=True)
        if gaps is not None:
            return gaps
    gaps = _certify(problem._replace(frames=find_tops(problem.frames)), plan, outputs, workspace)
    assert gaps is not None
    return gaps


class _Work(NamedTuple):
    """What the threads divide among themselves: groups of sequences that one kernel solves."""

    groups: int
    progress: NDArray[np.int64]  # the record of groups taken and done
    solve: Callable[[], None]  # solves groups until none is left


def _certify(
    problem: Problem, plan: Plan, outputs: Outputs, workspace: Workspace | None, inspect: bool = False
) -> NDArray[np.float64] | None:
    """Run the certified kernels; returns how far their bounds are apart, relative to the lower one (N,).

    Losses are those of the upper bounds. With `inspect`, returns None and writes
    nothing if a logit is not finite.
    """
    workspace = workspace or Workspace()
    gaps = np.zeros(len(outputs.losses))
    inspection = new_progress()
    work = [make(problem, share, outputs, gaps, workspace)
            for make, share in ((_work_alone, plan.alone), (_work_side_by_side, plan.side_by_side)) if share]

    @_quietly
    def task():
        if inspect and not all_finite(problem.frames.rows, inspection):
            return
        for part in work:
            if part.progress[TAKEN] < part.groups:
                part.solve()

    def all_done():
        return inspection[FAILED] > 0 or all([
            spin_until_done(part.progress, part.groups, LOOKS) for part in work])

    threads.run_together(task, all_done, sum(part.groups for part in work), plan.cells)
    return gaps if inspection[FAILED] == 0 else None


def _work_alone(
    problem: Problem, share: Share, outputs: Outputs, gaps: NDArray, workspace: Workspace
) -> _Work:
    """Long sequences, for the kernel with an exponent per label."""
    progress, rows = new_progress(), problem.frames.rows
    numbers, integers = banded.workspace_size(share.T, share.U, rows.shape[1], BUDGET)
    gamma = NO_GAMMA if outputs.gamma is None else outputs.gamma

    def solve():
        memory = workspace._take(numbers + -(-integers // 2))
        banded.solve_sequences(
            share.members, progress, rows, problem.frames.tops, *problem.for_kernels()[1:], problem.normalise,
            BUDGET, memory[:numbers], memory[numbers:].view(np.int32), outputs.grad, gamma,
            outputs.losses, gaps)
        workspace._give(memory)

    return _Work(len(share.members), progress, solve)


def _work_side_by_side(
    problem: Problem, share: Share, outputs: Outputs, gaps: NDArray, workspace: Workspace
) -> _Work:
    """Short sequences, for the kernel that takes eight side by side."""
    progress, rows = new_progress(), problem.frames.rows
    room = lanes.workspace_size(share.T, share.U, rows.shape[1], BUDGET)

    def solve():
        memory = workspace._take(room)
        lanes.solve_groups(share.members, progress, *problem.for_kernels(), BUDGET, memory, outputs.grad,
                           outputs.losses, gaps)
        workspace._give(memory)

    return _Work(len(share.members), progress, solve)


# ---- after the kernels -----------------------------------------------------------------------------


@kernel
def _judge(losses, gaps, lengths, rounding, widest, least, bounds, uncertain):
    """Fill the bounds (N,); count the answers that are too uncertain, and the losses of inf.

    uncertain (N,) says which sequences had to be solved, and after this which of their
    answers are too uncertain.

    A gap may be wider than `widest` by the rounding errors of two passes: 8 roundings
    per frame. A gap that is negative by more than that would mean that the bounds are
    wrong, so it proves nothing.
    """
    doubts = infinite = 0
    for n in range(len(losses)):
        rounded = 8 * 2.0**-53 * lengths[n]
        bounds[n] = max(gaps[n], 0.0) + rounding * lengths[n]
        uncertain[n] &= not -rounded <= gaps[n] <= widest + rounded or losses[n] < least
        doubts += uncertain[n]
        infinite += losses[n] == np.inf
    return doubts, infinite


def _count_impossible(losses: NDArray[np.float64]) -> int:
    return int(np.count_nonzero(losses == np.inf))


def _clear_impossible(problem: Problem, solution: Solution, grad: NDArray) -> None:
    """Sequences without a path get a bound and gradients of exactly 0; no kernel writes their gamma."""
    impossible = solution.losses == np.inf
    solution.bounds[impossible] = 0.0
    for n in np.flatnonzero(impossible).tolist() if len(grad) else ():
        problem.frames.rows_of(grad, n)[:] = 0.0
