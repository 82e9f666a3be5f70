"""What objectives share: checks, the softmax, threads, infeasible targets, reduction.

An objective is a function that returns, for one sequence, its value and its derivative w.r.t. ln y.
`check` checks the arguments of a batch; `solve` does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import underflow_is_zero
from ..inputs.errors import InfeasibleTargetError
from ..inputs.frames import Frames, Layout
from ..inputs.options import check_choice
from ..inputs.targets import Targets, check_batch, first_infeasible
from ..inputs.values import check_values
from ..loss import INFEASIBLE, REDUCTIONS, Infeasible, Reduction, reduction_weights
from ..reference import log_softmax
from ..running import threads
from ..running.workspace import Workspace

Objective = Callable[[NDArray[np.float64], NDArray[np.intp], int], tuple[float, NDArray[np.float64]]]
"""(log_probs (T, C), labels (U,), n) -> the value for sequence n, and its derivative (T, C) w.r.t. log_probs.

The derivative treats all log_probs as independent variables; `solve` differentiates the softmax."""


@dataclass(frozen=True, eq=False, repr=False)
class ObjectiveResult:
    """The value of an objective, and its gradient.

    loss : float64, (N,) with reduction "none"; a scalar with the others and for a single sequence
    grad : d loss / d logits, in the dtype, shape and layout of the logits
    """

    loss: np.float64 | NDArray[np.float64]
    grad: NDArray[np.floating]

    def __repr__(self) -> str:
        loss = np.array2string(np.asarray(self.loss), precision=6, threshold=6, edgeitems=2, separator=", ")
        return f"{type(self).__name__}(loss={loss}, grad={self.grad.dtype} {self.grad.shape})"


class Batch(NamedTuple):
    """The checked arguments of an objective."""

    frames: Frames
    targets: Targets
    blank: int
    reduction: Reduction
    infeasible: Infeasible
    workspace: Workspace  # memory that is kept from one sequence to the next

    def result(self, losses: NDArray[np.float64], grad: NDArray) -> ObjectiveResult:
        """The result of losses (N,), which are reduced here, and a gradient that is reduced already."""
        if self.reduction != "none":
            weights = reduction_weights(self.targets.lengths, self.reduction)
            return ObjectiveResult(np.dot(weights, losses), grad)
        return ObjectiveResult(losses[0] if self.frames.single else losses, grad)


def check(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None, target_lengths: ArrayLike | None, *,
    blank: int, reduction: Reduction, infeasible: Infeasible, layout: Layout,
) -> Batch:
    """Check the arguments that an objective shares with `ctc_loss`, and return them as a `Batch`."""
    check_choice("reduction", reduction, REDUCTIONS)
    check_choice("infeasible", infeasible, INFEASIBLE)
    frames, packed, blank = check_batch(logits, targets, logit_lengths, target_lengths, blank, layout)
    check_values(frames)
    return Batch(frames, packed, blank, reduction, infeasible, Workspace())


def solve(
    objective: Objective, batch: Batch, blanks_needed: Callable[[NDArray[np.intp]], int] | None = None
) -> ObjectiveResult:
    """Evaluate an objective for each sequence of a checked batch.

    A value of inf means that the target has no alignment. `blanks_needed` counts, for the error, the blanks
    that must stand between the labels (U,) of a target; by default one for each repeat, as in CTC.
    """
    frames, packed = batch.frames, batch.targets
    weights = reduction_weights(packed.lengths, batch.reduction)
    losses = np.zeros(len(frames.lengths))
    grad = np.zeros(frames.logits.shape, frames.logits.dtype)
    rows = grad.reshape(frames.rows.shape)

    @underflow_is_zero
    def task(samples: NDArray[np.intp]) -> None:
        for n in samples.tolist():
            log_probs = log_softmax(frames.rows_of(frames.rows, n))
            losses[n], slope = objective(log_probs, packed.of(n), n)
            if losses[n] < np.inf:
                slope -= np.exp(log_probs) * slope.sum(axis=1, keepdims=True)
                frames.rows_of(rows, n)[:] = weights[n] * slope

    threads.run(task, frames.lengths * (10 * packed.lengths + frames.rows.shape[1]))
    impossible = losses == np.inf
    if impossible.any():
        if batch.infeasible == "raise":
            error = first_infeasible(impossible, frames, packed)
            if blanks_needed is not None:
                U, blanks = len(packed.of(error.index)), blanks_needed(packed.of(error.index))
                error = InfeasibleTargetError(error.index, U + blanks, error.available, blanks, "blank")
            raise error
        if batch.infeasible == "zero":
            losses[impossible] = 0.0
    return batch.result(losses, grad)
