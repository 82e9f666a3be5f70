"""`ctc_loss_from_logits`, and `ctc_loss` and `CTCLoss`, which can replace those of torch.

Arguments are made tensors here; `eager` or `operators` computes the loss.
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
    """The CTC loss of unnormalised scores (T, N, C), whose softmax is taken inside."""
    return loss_of("logits", logits, targets, input_lengths, target_lengths, blank=blank, reduction=reduction,
                   infeasible=_policy(infeasible, zero_infinity))


def ctc_loss(
    log_probs: Tensor, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: Reduction = "mean", zero_infinity: bool = False, *,
    gradient: Literal["true", "torch"] = "true", infeasible: Literal["inf", "raise"] = "inf",
) -> Tensor:
    """The CTC loss of log-probabilities; takes and returns what `torch.nn.functional.ctc_loss` does."""
    check_choice("gradient", gradient, ("true", "torch"))
    return loss_of(gradient, log_probs, targets, input_lengths, target_lengths, blank=blank,
                   reduction=reduction, infeasible=_policy(infeasible, zero_infinity))


class CTCLoss(torch.nn.Module):
    """`ctc_loss` as a module, in place of `torch.nn.CTCLoss`."""

    def __init__(
        self, blank: int = 0, reduction: Reduction = "mean", zero_infinity: bool = False, *,
        gradient: Literal["true", "torch"] = "true", infeasible: Literal["inf", "raise"] = "inf",
    ) -> None:
        super().__init__()
        self.blank, self.reduction, self.zero_infinity = blank, reduction, zero_infinity
        self.gradient, self.infeasible = gradient, infeasible

    def forward(self, log_probs: Tensor, targets: Any, input_lengths: Any, target_lengths: Any) -> Tensor:
        return ctc_loss(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction,
                        self.zero_infinity, gradient=self.gradient, infeasible=self.infeasible)


def _policy(infeasible: str, zero_infinity: bool) -> str:
    """What the core does with infeasible targets: "inf", "zero" or "raise"."""
    check_choice("infeasible", infeasible, ("inf", "raise"))
    if zero_infinity and infeasible == "raise":
        raise ValueError("zero_infinity=True and infeasible='raise' exclude each other")
    return "zero" if zero_infinity else infeasible


def loss_of(
    kind: str, scores: Tensor, targets: Any, input_lengths: Any, target_lengths: Any, *, blank: int,
    reduction: str, infeasible: str,
) -> Tensor:
    """The loss of scores of a kind of `solve.NAMES`, by the quickest way that is open."""
    check_choice("reduction", reduction, REDUCTIONS)
    targets, frames, labels = as_tensor(targets), as_lengths(input_lengths), as_lengths(target_lengths)
    single = scores.dim() == 2
    if single:
        scores = scores.unsqueeze(1)
    transformed = torch._C._are_functorch_transforms_active()
    if transformed or torch.compiler.is_compiling() or type(scores) not in (Tensor, torch.nn.Parameter):
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
