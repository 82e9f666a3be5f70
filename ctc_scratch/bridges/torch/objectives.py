"""`log_partition`, and every objective of `ctc/objectives` with its gradient, as functions of tensors."""

from __future__ import annotations

import functools
from typing import Any, Callable

import torch
from numpy.typing import NDArray
from torch import Tensor

from ...ctc import objectives
from .loss import loss_of
from .tensors import to_array, to_arrays, to_tensor


def log_partition(
    scores: Tensor, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0
) -> Tensor:
    """ln Z of any scores (T, N, C) or (T, C), where Z sums e^(total score) over the alignments of a target.

    The derivative w.r.t. the scores is the occupancy; there is also a second derivative. A target without
    alignments has ln Z = -inf, and a gradient of 0. See `ctc_scratch.log_partition` for more; the other
    arguments and the type of the result are those of `ctc_loss`. With ln Z, new objectives can be written in
    torch: the CTC loss with a prior is -log_partition(log_probs - weight * log_prior, ...).

    >>> scores = torch.zeros(4, 3, requires_grad=True)
    >>> log_z = log_partition(scores, [1, 2], 4, 2)
    >>> log_z.exp().round().item()
    15.0
    """
    return -loss_of("scores", scores, targets, input_lengths, target_lengths, blank=blank, reduction="none",
                    infeasible="inf")


class Objective(torch.autograd.Function):
    """The loss and the gradient that `evaluate` returns for an array of logits.

    `sequences` is the axis of the sequences, or None for a single one.
    """

    @staticmethod
    def forward(logits: Tensor, evaluate: Callable[[NDArray], Any], name: str,
                sequences: int | None) -> tuple[Tensor, Tensor]:
        found = evaluate(to_array(logits))
        return to_tensor(found.loss, logits), to_tensor(found.grad, logits)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        logits, _, ctx.name, ctx.sequences = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(logits, output[1])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        logits, grad = ctx.saved_tensors
        if upstream.dim():
            upstream = upstream.reshape([-1 if axis == ctx.sequences else 1 for axis in range(grad.dim())])
        grad = (grad * upstream).to(logits.dtype)
        if torch.is_grad_enabled():
            grad = FirstDerivative.apply(grad, logits, ctx.name)
        return grad, None, None, None


class FirstDerivative(torch.autograd.Function):
    """A gradient whose derivative is an error; without this, autograd would take it for a constant."""

    @staticmethod
    def forward(grad: Tensor, logits: Tensor, name: str) -> Tensor:
        return grad.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.name = inputs[2]

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> None:
        raise NotImplementedError(
            f"{ctx.name} has no second derivative; ctc_loss, ctc_loss_from_logits and log_partition have one")


def _for_tensors(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Make an objective of the core a function of tensors."""

    @functools.wraps(function)
    @torch.compiler.disable
    def objective(logits: Tensor, *arguments: Any, **options: Any) -> Tensor:
        sequences = None if logits.dim() == 2 else 0 if options.get("layout") == "NTC" else 1

        def evaluate(array: NDArray) -> Any:
            return function(array, *to_arrays(arguments), **to_arrays(options))

        return Objective.apply(logits, evaluate, function.__name__, sequences)[0]

    objective.__doc__ = f"""`ctc_scratch.{function.__name__}` for tensors; see there for the arguments.

    Returns the loss as a tensor, with a first derivative but no second one. Arguments other than the logits
    are constants, and may be tensors, arrays or lists.
    """
    return objective


bayes_risk_ctc_loss = _for_tensors(objectives.bayes_risk_ctc_loss)
delay_ctc_loss = _for_tensors(objectives.delay_ctc_loss)
entropy_ctc_loss = _for_tensors(objectives.entropy_ctc_loss)
focal_ctc_loss = _for_tensors(objectives.focal_ctc_loss)
min_risk_ctc_loss = _for_tensors(objectives.min_risk_ctc_loss)
prior_ctc_loss = _for_tensors(objectives.prior_ctc_loss)
star_ctc_loss = _for_tensors(objectives.star_ctc_loss)
topology_ctc_loss = _for_tensors(objectives.topology_ctc_loss)
