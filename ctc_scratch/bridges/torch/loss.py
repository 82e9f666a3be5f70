"""The CTC loss of logits, and `ctc_loss` and `CTCLoss`, which can replace those of torch.

This file checks options and converts arguments to tensors; `eager`, `operators` or `solve` computes the loss.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ...ctc.inputs.options import check_choice
from ...ctc.loss import REDUCTIONS, Reduction
from .eager import apply_eager_loss
from .operators import Loss
from .operators import ctc_loss as ctc_loss_operator
from .solve import Options, solve
from .tensors import as_lengths, as_tensor, reduction_factors


def ctc_loss_from_logits(
    logits: Tensor, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: Reduction = "mean", zero_infinity: bool = False, *,
    infeasible: Literal["inf", "raise"] = "inf",
) -> Tensor:
    """The CTC loss of logits (unnormalised scores), whose softmax is taken inside.

    It replaces `log_softmax` followed by `ctc_loss`, and takes less time and memory than the two. Prefer it
    where you have the logits; `ctc_loss` and `CTCLoss` are for code that has only log-probabilities.

    Parameters
    ----------
    logits : (T, N, C) float tensor, or (T, C) for one sequence
        float16 and bfloat16 are computed in float32, and the loss is then float32, too; the gradient always
        has the type of the logits. A transposed view of an (N, T, C) tensor is read without a copy. Tensors
        of other devices are copied to the CPU, and the results back.
    targets : integers in 0..C-1, without the blank
        A padded tensor (N, U), or all targets joined in one dimension, or (U,) for one sequence.
    input_lengths, target_lengths : N integers each, as a tensor, a list or a tuple
        How many frames and how many labels are used. Padding is never read, and has gradient 0.
    blank : which class is the blank
    reduction : "none", "sum", "mean" (each loss divided by max(U, 1), then the mean, as in torch), or
        "batchmean" (the plain mean)
    zero_infinity : whether a target that does not fit its frames has the loss 0 instead of inf. Its gradient
        is 0 in both cases, and never NaN.
    infeasible : "raise" raises an error for such a target

    Returns
    -------
    (N,) tensor for a batch with reduction "none", else a scalar
        It has a first and a second derivative. Under `no_grad`, or if the logits require no gradient, no
        gradient is computed, and the loss is the same to the last bit.

    Raises
    ------
    InfeasibleTargetError
        With infeasible="raise".
    ValueError, TypeError
        As in `ctc_scratch.ctc_loss`. NaN, +inf and a blank in a target, which torch accepts, are errors, too.

    Examples
    --------
    Four frames and three classes, all equally likely: 15 of the 81 paths spell (1, 2).

    >>> logits = torch.zeros(4, 1, 3, requires_grad=True)
    >>> loss = ctc_loss_from_logits(logits, torch.tensor([[1, 2]]), [4], [2], reduction="sum")
    >>> round(loss.item(), 5), round(float(torch.log(torch.tensor(81 / 15))), 5)
    (1.6864, 1.6864)
    >>> loss.backward()
    >>> [round(value, 4) for value in logits.grad[1, 0].tolist()]  # frame 1: probs - occupancy
    [0.0667, -0.2, 0.1333]
    """
    return loss_of("logits", logits, targets, input_lengths, target_lengths, blank=blank, reduction=reduction,
                   infeasible=_policy(infeasible, zero_infinity))


def ctc_loss(
    log_probs: Tensor, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: Reduction = "mean", zero_infinity: bool = False, *,
    gradient: Literal["true", "torch"] = "true", infeasible: Literal["inf", "raise"] = "inf",
) -> Tensor:
    """The CTC loss of log-probabilities, with the arguments of `torch.nn.functional.ctc_loss`.

    The arguments are those of `ctc_loss_from_logits`, apart from these:

    log_probs : (T, N, C) float tensor, or (T, C) for one sequence, such as `log_softmax` returns
        Its rows need not be normalised: the loss is -ln Z, where Z sums e^(total score) over all alignments.
    gradient : "true" or "torch": which gradient w.r.t. `log_probs` the backward pass gives

    **The two gradients.** The derivative of -ln Z is -occupancy, the posterior of each class at each frame:
    that is "true". torch returns exp(log_probs) - occupancy, which is the derivative w.r.t. the logits, not
    w.r.t. its documented input (pytorch issue 52241). After `log_softmax` both give the same logit gradient.
    The backward pass of `log_softmax` maps the gradient g of a frame to g - y sum(g), where y are the
    probabilities: -occupancy, whose sum is -1, becomes y - occupancy, and y - occupancy, whose sum is 0,
    stays as it is. The two differ wherever `log_probs` are not the output of a `log_softmax` in the same
    graph: for scores that are not normalised, for gradients taken at `log_probs` themselves, and where
    log-probabilities are mixed, smoothed or shifted before the loss. There only "true" passes gradcheck;
    "torch" does what torch does.

    >>> log_probs = torch.zeros(1, 2).log_softmax(1).requires_grad_()
    >>> for gradient in "true", "torch":
    ...     loss = ctc_loss(log_probs, torch.tensor([1]), [1], [1], gradient=gradient)
    ...     print([round(value, 6) for value in torch.autograd.grad(loss, log_probs)[0][0].tolist()])
    [0.0, -1.0]
    [0.5, -0.5]
    """
    check_choice("gradient", gradient, ("true", "torch"))
    return loss_of(gradient, log_probs, targets, input_lengths, target_lengths, blank=blank,
                   reduction=reduction, infeasible=_policy(infeasible, zero_infinity))


class CTCLoss(torch.nn.Module):
    """`ctc_loss` as a module, in place of `torch.nn.CTCLoss`.

    >>> loss = CTCLoss(blank=0)(torch.zeros(4, 3).log_softmax(1), torch.tensor([1, 2]), [4], [2])
    >>> round(loss.item(), 4)  # ln(81 / 15), divided by two labels
    0.8432
    """

    def __init__(
        self, blank: int = 0, reduction: Reduction = "mean", zero_infinity: bool = False, *,
        gradient: Literal["true", "torch"] = "true", infeasible: Literal["inf", "raise"] = "inf",
    ) -> None:
        super().__init__()
        self.blank, self.reduction, self.zero_infinity = blank, reduction, zero_infinity
        self.gradient, self.infeasible = gradient, infeasible

    def forward(self, log_probs: Tensor, targets: Any, input_lengths: Any, target_lengths: Any) -> Tensor:
        """The loss; the arguments are those of `ctc_loss`."""
        return ctc_loss(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction,
                        self.zero_infinity, gradient=self.gradient, infeasible=self.infeasible)


def _policy(infeasible: str, zero_infinity: bool) -> str:
    """The core's option for infeasible targets: "inf", "zero" or "raise"."""
    check_choice("infeasible", infeasible, ("inf", "raise"))
    if zero_infinity and infeasible == "raise":
        raise ValueError("zero_infinity=True and infeasible='raise' exclude each other")
    return "zero" if zero_infinity else infeasible


def loss_of(
    kind: str, scores: Tensor, targets: Any, input_lengths: Any, target_lengths: Any, *, blank: int,
    reduction: str, infeasible: str,
) -> Tensor:
    """The loss of scores whose kind is a key of `solve.NAMES`, by the quickest way that works.

    That is `operators` under torch.compile or torch.func, or for a subclass of Tensor; else `eager` if the
    scores require a gradient, and `solve` if not.
    """
    check_choice("reduction", reduction, REDUCTIONS)
    targets, frames, labels = as_tensor(targets), as_lengths(input_lengths), as_lengths(target_lengths)
    single = scores.dim() == 2
    if single:
        scores = scores.unsqueeze(1)
    compiling = torch.compiler.is_compiling()
    transformed = not compiling and torch._C._are_functorch_transforms_active()
    if compiling or transformed or type(scores) not in (Tensor, torch.nn.Parameter):
        call = Loss.apply if transformed else ctc_loss_operator
        losses, _ = call(scores, targets, frames, labels, blank, kind, infeasible, torch.is_grad_enabled())
        loss = losses if reduction == "none" else (
            losses * reduction_factors(labels, reduction, losses)).sum()
    else:
        options = Options(blank, kind, infeasible, reduction)
        if scores.requires_grad and torch.is_grad_enabled():
            loss = apply_eager_loss(scores, targets, frames, labels, options)
        else:
            loss, _ = solve(scores, targets, frames, labels, options, want_grad=False)
    return loss.squeeze(0) if single and reduction == "none" else loss
