"""The loss in eager mode, without the custom operators, whose dispatch takes longer than a small problem.

Eager mode means: neither compiled nor transformed by torch.func. There a plain `autograd.Function` computes
the same numbers as the operators in less time. Second derivatives are left to the operators.
"""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor

from .operators import ctc_loss, ctc_loss_backward
from .solve import Options, solve
from .tensors import reduction_factors


class EagerLoss(torch.autograd.Function):
    """The reduced loss of scores (T, N, C)."""

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, targets: Tensor, frames: Tensor, labels: Tensor, options: Options
    ) -> Tensor:
        ctx.save_for_backward(scores, targets, frames, labels)
        loss, ctx.grad = solve(scores, targets, frames, labels, options, want_grad=True)
        ctx.options, ctx.dtype = options, scores.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Optional[Tensor], ...]:
        if torch.is_grad_enabled() or ctx.grad is None:  # saved_tensors raises on a freed graph
            grad = _differentiable(upstream, *ctx.saved_tensors, ctx.options)
        else:
            grad = _scaled(ctx, upstream if upstream.dim() == 0 else upstream[:, None])
        return grad if grad.dtype == ctx.dtype else grad.to(ctx.dtype), None, None, None, None


# `Function.apply` without its Python part, which looks for transforms of torch.func; `loss_of` has done that.
apply_eager_loss = super(torch.autograd.Function, EagerLoss).apply  # type: ignore[misc]


# Whether this backward pass keeps the graph for others. Older torch cannot tell; then it may.
_keeps_graph = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)


def _scaled(ctx: Any, factor: Tensor) -> Tensor:
    """The gradient times a factor, computed in place if no other backward pass will need the gradient."""
    if torch._C._are_functorch_transforms_active() or _keeps_graph():
        ctx.saved_tensors  # raises if the graph was freed
        return ctx.grad * factor
    grad, ctx.grad = ctx.grad, None
    if factor.dim() == 0 and factor.is_cpu and factor.item() == 1.0:
        return grad
    return grad.mul_(factor)


def _differentiable(upstream: Tensor, scores: Tensor, *rest: Any) -> Tensor:
    """The gradient, as a function of `upstream` and of the scores that autograd can differentiate again."""
    *problem, (blank, kind, infeasible, reduction) = rest
    _, grad = ctc_loss(scores.detach(), *problem, blank, kind, infeasible, True)
    factors = reduction_factors(problem[-1], reduction, grad)
    return ctc_loss_backward(upstream * factors, grad, scores, *problem, blank, kind)
