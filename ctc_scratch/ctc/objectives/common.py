"""What objectives share: checks, the softmax, threads, infeasible targets, reduction.

An objective is a function that returns, for one sequence, its value and its derivatives w.r.t. ln y.
`check` checks the arguments of a batch; `solve` does the rest.

Derivatives pass through the softmax, ln y = logits - ln sum e^logits, whose Jacobian is 1 - y at each frame.
With the slope s, the vector v that the Hessian multiplies, and the curvature s', which is the derivative of s
as the logits move along v,

    grad = s - y sum(s)          hvp = s' - y sum(s') - y (v - <y, v>) sum(s)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import underflow_is_zero
from ..chain.solve import posterior
from ..hessian import check_vectors, softmax_product
from ..inputs.errors import InfeasibleTargetError
from ..inputs.frames import Frames, Layout
from ..inputs.options import check_choice
from ..inputs.targets import Targets, check_batch, first_infeasible
from ..inputs.values import check_values
from ..loss import INFEASIBLE, REDUCTIONS, Infeasible, Reduction, reduction_weights
from ..reference import log_softmax
from ..running import threads
from ..running.workspace import Workspace

Array = NDArray[np.float64]
Objective = Callable[[Array, NDArray[np.intp], int, "Array | None"], "tuple[float, Array, Array | None]"]
"""(log_probs (T, C), labels (U,), n, along) -> value, slope, curvature, for sequence n.

The slope (T, C) is the derivative w.r.t. log_probs, which are treated as independent variables; `solve`
differentiates the softmax. If `along` (T, C) is given, the curvature is the derivative of the slope along
it, else None."""


@dataclass(frozen=True, eq=False, repr=False)
class ObjectiveResult:
    """The value of an objective, its gradient, and its Hessian times a vector.

    loss : float64, (N,) with reduction "none"; a scalar with the others and for a single sequence
    grad : d loss / d logits, in the dtype, shape and layout of the logits; zeros if it was not wanted
    hvp : float64 in the shape and layout of the logits: the Hessian of each sequence's loss, times the weight
        of that sequence in the reduction, times its part of the vectors; None without vectors
    """

    loss: np.float64 | NDArray[np.float64]
    grad: NDArray[np.floating]
    hvp: NDArray[np.float64] | None = None

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
    workspace: Workspace  # memory that one sequence after another uses
    vectors: NDArray[np.float64] | None  # as rows, like those of the frames
    want_grad: bool

    def result(
        self, losses: NDArray[np.float64], grad: NDArray, hvp: NDArray[np.float64] | None
    ) -> ObjectiveResult:
        """The result of losses (N,), which are reduced here, and derivatives, which are reduced already."""
        if self.reduction != "none":
            weights = reduction_weights(self.targets.lengths, self.reduction)
            return ObjectiveResult(np.dot(weights, losses), grad, hvp)
        return ObjectiveResult(losses[0] if self.frames.single else losses, grad, hvp)

    def minus_log_z(
        self, scores: NDArray, labels: NDArray[np.intp], along: NDArray | None, **weights: Any
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64] | None]:
        """-ln Z, its slope and its curvature; `weights` are those of alignments, as for `posterior`."""
        found = posterior(scores, labels, self.blank, values=along, want_grad=self.want_grad,
                          workspace=self.workspace, **weights)
        return -found.log_z, -found.occupancy, None if found.covariance is None else -found.covariance


def check(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None, target_lengths: ArrayLike | None, *,
    blank: int, reduction: Reduction, infeasible: Infeasible, layout: Layout,
    vectors: ArrayLike | None, want_grad: bool,
) -> Batch:
    """Check the arguments that an objective shares with `ctc_loss`, and return them as a `Batch`."""
    check_choice("reduction", reduction, REDUCTIONS)
    check_choice("infeasible", infeasible, INFEASIBLE)
    frames, packed, blank = check_batch(logits, targets, logit_lengths, target_lengths, blank, layout)
    check_values(frames)
    rows = None if vectors is None else check_vectors(vectors, frames)
    return Batch(frames, packed, blank, reduction, infeasible, Workspace(), rows,
                 bool(want_grad) or rows is not None)


def solve(
    objective: Objective, batch: Batch, blanks_needed: Callable[[NDArray[np.intp]], int] | None = None
) -> ObjectiveResult:
    """Evaluate an objective for each sequence of a checked batch.

    A value of inf means that the target has no alignment. The error then says how many blanks must stand
    between the labels (U,) of the target: `blanks_needed` counts them; without it, one per repeat, as in CTC.
    """
    frames, packed = batch.frames, batch.targets
    weights = reduction_weights(packed.lengths, batch.reduction)
    losses = np.zeros(len(frames.lengths))
    grad = np.zeros(frames.logits.shape, frames.logits.dtype)
    hvp = None if batch.vectors is None else np.zeros(frames.logits.shape)
    rows = grad.reshape(frames.rows.shape)

    @underflow_is_zero
    def task(samples: NDArray[np.intp]) -> None:
        for n in samples.tolist():
            log_probs = log_softmax(frames.rows_of(frames.rows, n))
            probs, along = np.exp(log_probs), None
            if batch.vectors is not None:
                v = frames.rows_of(batch.vectors, n)
                along = v - (probs * v).sum(axis=1, keepdims=True)  # how log_probs move as logits do along v
            losses[n], slope, curvature = objective(log_probs, packed.of(n), n, along)
            if losses[n] == np.inf or not batch.want_grad:
                continue
            total = slope.sum(axis=1, keepdims=True)
            frames.rows_of(rows, n)[:] = weights[n] * (slope - probs * total)
            if hvp is not None and curvature is not None and along is not None:
                curvature -= probs * curvature.sum(axis=1, keepdims=True)
                curvature -= softmax_product(log_probs, along) * total
                frames.rows_of(hvp.reshape(rows.shape), n)[:] = weights[n] * curvature

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
    return batch.result(losses, grad, hvp)
