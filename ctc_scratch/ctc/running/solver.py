"""Which kernel solves which sequence: the fast one if its proof is good enough, else the exact one."""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from ...compiled.cache import cached_njit
from ...compiled.counter import FAILED, TAKEN, new_progress, spin_until_done
from .. import certified, exact, kernels
from ..inputs.values import FEW_CLASSES, all_finite, check_values, find_tops
from . import threads
from .plan import Groups, Plan, Problem, make_plan
from .workspace import Workspace

# nogil: other threads can run meanwhile.
kernel = cached_njit(nogil=True)

BUDGET = 2**18
"""How many values of alpha, 8 bytes each, the certified kernel keeps: as many as fit in a core's cache."""

LOOKS = 50_000
"""How often a thread looks whether the others are done before it sleeps until they are: about 1 ms."""

NEARLY_CERTAIN = 0.01
"""A float64 loss below this many nats is left to the exact kernel, which sums 1 - p, not p."""


class Outputs(NamedTuple):
    """The arrays that the kernels write to."""

    losses: NDArray[np.float64]  # (N,)
    grad: NDArray  # (T * N, C), in the order of the logits' rows
    gamma: NDArray[np.float64] | None  # (T, S), for a single sequence


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
    """Plan a batch, inspect its logits, solve it with a method of `METHODS`, and clear what has no path.

    Gradients go to `grad` (T * N, C), in the rows of all used frames: zeros for a
    sequence without a path. For a single sequence the posterior of its states goes
    to `gamma` (T, S), if that is given. Logits that cannot be used raise an error
    before anything is written.
    """
    plan = make_plan(problem, side_by_side=gamma is None)
    solution = METHODS[method](problem, plan, Outputs(plan.losses, grad, gamma), workspace)
    if solution.impossible:
        _clear_impossible(problem, solution, grad)
    return solution


def _solve_auto(problem: Problem, plan: Plan, outputs: Outputs, workspace: Workspace | None) -> Solution:
    """Solve with the certified kernel, then solve what is too uncertain again with the exact kernel."""
    gaps = _inspect_and_certify(problem, plan, outputs, workspace)
    losses, lengths, limits = outputs.losses, problem.frames.lengths, _limits_of(problem)
    bounds, uncertain, impossible = _judge(losses, gaps, lengths, plan.todo, *limits)
    if uncertain:
        _run_exact(problem, plan, outputs)
        bounds[plan.todo] = limits.rounding * lengths[plan.todo]
        impossible = _count_impossible(losses)
    return Solution(losses, bounds, plan.todo, impossible)


def _solve_exact(problem: Problem, plan: Plan, outputs: Outputs, workspace: Workspace | None) -> Solution:
    """Solve with the exact kernel."""
    check_values(problem.frames)
    _run_exact(problem, plan, outputs)
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
    join the lanes; there are C / 512 blocks, and up to 7 classes after the last.
    """
    if dtype == np.float32:
        return Limits(4 * 2.0**-53, 1e-6, -np.inf)
    emission = 8 + min(C, 74) + C / 512
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

    @_quietly
    def task(shard):
        kernels.solve_samples(samples[shard], *arguments, outputs.losses, outputs.grad)

    T, U = problem.frames.lengths[samples], problem.targets.lengths[samples]
    threads.run(task, T * (2 * U + 1 + problem.frames.rows.shape[1]))


def _run_exact(problem: Problem, plan: Plan, outputs: Outputs) -> None:
    """Losses, gradients and gamma of the sequences to solve, by the exact kernel."""
    samples, arguments = np.flatnonzero(plan.todo), problem.for_kernels()

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
    small batch. So the threads that solve it inspect it first. They only find out
    whether all logits are finite. If not, `find_tops` raises the error, unless the
    logits in question are padding or an -inf that is legal.
    """
    if problem.frames.rows.shape[1] <= FEW_CLASSES:
        gaps = _certify(problem, plan, outputs, workspace, inspect=True)
        if gaps is not None:
            return gaps
    gaps = _certify(problem._replace(frames=find_tops(problem.frames)), plan, outputs, workspace)
    assert gaps is not None
    return gaps


class _Share(NamedTuple):
    """Groups that the threads divide among themselves, and how much memory a thread needs for one."""

    groups: Groups
    progress: NDArray[np.int64]  # the record of groups taken and done
    room: int  # numbers of workspace per thread


def _certify(
    problem: Problem, plan: Plan, outputs: Outputs, workspace: Workspace | None, inspect: bool = False
) -> NDArray[np.float64] | None:
    """Run the certified kernel; returns how wide each bracket is relative to its lower end (N,).

    Losses and gradients are those of the upper ends. With `inspect`, returns None
    and writes nothing if a logit is not finite.
    """
    workspace = workspace or Workspace()
    gaps = np.zeros(len(outputs.losses))
    gamma = np.empty((0, 0)) if outputs.gamma is None else outputs.gamma
    rows, *others = problem.for_kernels()
    inspection = new_progress()
    C = rows.shape[1]
    shares = [_Share(groups, new_progress(),
                     certified.workspace_size(groups.T, groups.U, C, len(groups.lanes), BUDGET))
              for groups in plan.groups]

    @_quietly
    def task():
        if inspect and not all_finite(rows, inspection):
            return
        for groups, progress, room in shares:
            if progress[TAKEN] < len(groups.members):
                numbers = workspace._take(room)
                certified.solve_groups(
                    groups.members, progress, groups.lanes, rows, problem.frames.tops, *others,
                    problem.normalise, BUDGET, numbers, outputs.grad, gamma, outputs.losses, gaps)
                workspace._give(numbers)

    def all_done():
        return inspection[FAILED] > 0 or all([
            spin_until_done(share.progress, len(share.groups.members), LOOKS) for share in shares])

    threads.run_together(task, all_done, sum(len(groups.members) for groups in plan.groups), plan.cells)
    return gaps if inspection[FAILED] == 0 else None


# ---- after the kernels -----------------------------------------------------------------------------


@kernel
def _judge(losses, gaps, lengths, todo, rounding, widest, least):
    """The bounds (N,), how many answers are too uncertain, and how many losses are inf.

    Only the uncertain answers stay in todo. A bracket may be wider than `widest` by
    what two passes round: 8 roundings per frame.
    """
    bounds, uncertain, infinite = np.empty(len(losses)), 0, 0
    for n in range(len(losses)):
        bounds[n] = gaps[n] + rounding * lengths[n]
        todo[n] &= not gaps[n] <= widest + 8 * 2.0**-53 * lengths[n] or losses[n] < least
        uncertain += todo[n]
        infinite += losses[n] == np.inf
    return bounds, uncertain, infinite


def _count_impossible(losses: NDArray[np.float64]) -> int:
    return int(np.count_nonzero(losses == np.inf))


def _clear_impossible(problem: Problem, solution: Solution, grad: NDArray) -> None:
    """Sequences without a path get a bound and gradients of exactly 0."""
    impossible = solution.losses == np.inf
    solution.bounds[impossible] = 0.0
    for n in np.flatnonzero(impossible).tolist():
        problem.frames.rows_of(grad, n)[:] = 0.0
