"""The core's answers about tensors: loss and gradient, and Hessian-vector products."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...arrays import underflow_is_zero
from ...ctc import hessian
from ...ctc.loss import reduction_weights, solve_batch
from ...ctc.running.workspace import Workspace
from .tensors import computed_in, is_batch_first, to_array

WORKSPACE = Workspace()
"""Memory that calls leave to each other; threads may share it."""


class Options(NamedTuple):
    """What is asked about scores and targets."""

    blank: int
    kind: str  # "logits", with the softmax inside; or log-probabilities, whose gradient is "true", -occupancy,
    # or is as "torch" has it, exp(log_probs) - occupancy
    infeasible: Any  # what a target without a path gets: "inf", "zero", or "raise" for an error
    reduction: Any


def solve(
    scores: Tensor, targets: Tensor, frames: Tensor, labels: Tensor, options: Options, want_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss of scores (T, N, C), and its gradient if that is wanted, laid out in memory like the scores."""
    blank, kind, infeasible, reduction = options
    batch_first = is_batch_first(scores)
    array, T, U = to_array(scores), to_array(frames), to_array(labels)
    found = solve_batch(
        array.swapaxes(0, 1) if batch_first else array, to_array(targets), T, U, blank=blank,
        reduction=reduction, infeasible=infeasible, layout="NTC" if batch_first else "TNC",
        workspace=WORKSPACE, normalise=kind == "logits",
        names=("logits" if kind == "logits" else "log_probs", "input_lengths"))
    loss = torch.tensor(found.loss, dtype=computed_in(scores.dtype), device=scores.device)
    if not want_grad:
        return loss, None
    grad = found.grad.swapaxes(0, 1) if batch_first else found.grad
    if kind == "torch":
        _add_probabilities(grad, array, T, reduction_weights(U, reduction))
    return loss, torch.from_numpy(grad).to(scores.device)


@underflow_is_zero
def _add_probabilities(grad: NDArray, log_probs: NDArray, frames: NDArray, weights: NDArray) -> None:
    """Add weight * exp(log_probs) to the gradients of all sequences that have a path."""
    for n, T in enumerate(frames.tolist()):
        if grad[:1, n].any():  # the occupancy of the first frame
            grad[:T, n] += weights[n] * np.exp(log_probs[:T, n])


@underflow_is_zero
def hessian_vector_product(
    vectors: Tensor, scores: Tensor, targets: Tensor, frames: Tensor, labels: Tensor, blank: int, kind: str
) -> Tensor:
    """The derivative of <vectors, gradient> w.r.t. the scores; `kind` as in `solve`."""
    array, v, T = to_array(scores), to_array(vectors), to_array(frames)
    problem = array, to_array(targets), v, T, to_array(labels)
    if kind == "logits":
        product = hessian.ctc_loss_hvp(*problem, blank=blank, infeasible="zero", workspace=WORKSPACE).hvp
    else:
        found = hessian.log_partition_hvp(*problem, blank=blank, workspace=WORKSPACE)
        product = 0.0 - found.hvp
        if kind == "torch":
            for n in np.flatnonzero(np.asarray(found.log_z) > -np.inf).tolist():
                product[:T[n], n] += np.exp(array[:T[n], n]) * v[:T[n], n]
    return torch.from_numpy(product).to(scores.device, computed_in(scores.dtype))
