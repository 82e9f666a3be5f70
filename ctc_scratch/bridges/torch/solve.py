"""Calls of the core with tensors: loss and gradient, and Hessian-vector products."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...arrays import underflow_is_zero
from ...ctc import hessian
from ...ctc.loss import reduction_weights, solve_batch
from ...ctc.running.workspace import Workspace
from .tensors import is_batch_first, to_array, to_tensor

WORKSPACE = Workspace()
"""Memory that is reused from call to call; threads may share it."""


class Options(NamedTuple):
    """The options of a loss."""

    blank: int
    kind: str  # a key of NAMES
    infeasible: Any  # "inf", "zero" or "raise"
    reduction: Any


NAMES = {"logits": "logits", "true": "log_probs", "torch": "log_probs", "scores": "scores"}
"""The name of the scores in error messages, for each kind of scores.

"logits" are normalised by a softmax; the other kinds are not. The gradient of "true" and "scores" is
-occupancy; that of "torch" is exp(log_probs) - occupancy, as in torch."""


def solve(
    scores: Tensor, targets: Tensor, frames: Tensor, labels: Tensor, options: Options, want_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """The loss of scores (T, N, C), and its gradient if wanted, in the memory layout of the scores."""
    blank, kind, infeasible, reduction = options
    batch_first = is_batch_first(scores)
    array, T, U = to_array(scores), to_array(frames), to_array(labels)
    found = solve_batch(
        array.swapaxes(0, 1) if batch_first else array, to_array(targets), T, U, blank=blank,
        reduction=reduction, infeasible=infeasible, layout="NTC" if batch_first else "TNC",
        workspace=WORKSPACE, normalise=kind == "logits", want_grad=want_grad,
        names=(NAMES[kind], "input_lengths"))
    loss = to_tensor(found.loss, scores)
    if not want_grad:
        return loss, None
    grad = found.grad.swapaxes(0, 1) if batch_first else found.grad
    if kind == "torch":
        _add_probabilities(grad, array, T, reduction_weights(U, reduction))
    return loss, to_tensor(grad, scores)


@underflow_is_zero
def _add_probabilities(grad: NDArray, log_probs: NDArray, frames: NDArray, weights: NDArray) -> None:
    """Add weight * exp(log_probs) to the gradients of all sequences that have a path."""
    for n, T in enumerate(frames.tolist()):
        if grad[:1, n].any():  # without a path, the occupancy of the first frame is 0
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
    return to_tensor(product, scores)
