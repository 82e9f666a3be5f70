"""`log_partition`, and every objective of `ctc/objectives`, as functions of tensors with two derivatives."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, NamedTuple

import torch
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


class Problem(NamedTuple):
    """An objective with all its arguments but the logits."""

    function: Callable[..., Any]  # of `ctc.objectives`
    arguments: tuple
    options: dict[str, Any]
    sequences: int | None  # the axis of the sequences, or None for a single one

    def solve(self, logits: Tensor, **more: Any) -> Any:
        arguments, options = to_arrays(self.arguments), to_arrays(self.options)
        return self.function(to_array(logits), *arguments, **options, **more)

    def spread(self, upstream: Tensor, grad: Tensor) -> Tensor:
        """`upstream`, one number per sequence, in a shape that multiplies a gradient by broadcasting."""
        if upstream.dim() == 0:
            return upstream
        return upstream.reshape([-1 if axis == self.sequences else 1 for axis in range(grad.dim())])

    def gather(self, products: Tensor, upstream: Tensor) -> Tensor:
        """The sums of `products`, an array in the shape of a gradient, in the shape of `upstream`."""
        if upstream.dim() == 0:
            return products.sum()
        return products.sum([axis for axis in range(products.dim()) if axis != self.sequences])


class Objective(torch.autograd.Function):
    """The value of an objective for logits, and its gradient, which is computed only if it is wanted."""

    @staticmethod
    def forward(logits: Tensor, problem: Problem, want_grad: bool) -> tuple[Tensor, Tensor]:
        found = problem.solve(logits, want_grad=want_grad)
        return to_tensor(found.loss, logits), to_tensor(found.grad, logits)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        logits, ctx.problem, _ = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(logits, output[1])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        logits, grad = ctx.saved_tensors
        return Gradient.apply(upstream, grad, logits, ctx.problem), None, None


class Gradient(torch.autograd.Function):
    """upstream * gradient, which can itself be differentiated w.r.t. `upstream` and the logits."""

    @staticmethod
    def forward(upstream: Tensor, grad: Tensor, logits: Tensor, problem: Problem) -> Tensor:
        return (grad * problem.spread(upstream, grad)).to(logits.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        *tensors, ctx.problem = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, vectors: Tensor) -> tuple[Tensor | None, ...]:
        upstream, grad, logits = ctx.saved_tensors
        along, product = Product.apply(upstream, grad, logits, vectors, ctx.problem)
        return along, None, product, None


class Product(torch.autograd.Function):
    """The backward pass of `Gradient`: <vectors, gradient>, and upstream * Hessian * vectors."""

    @staticmethod
    def forward(
        upstream: Tensor, grad: Tensor, logits: Tensor, vectors: Tensor, problem: Problem
    ) -> tuple[Tensor, Tensor]:
        hvp = to_tensor(problem.solve(logits, vectors=to_array(vectors)).hvp, logits)
        along = problem.gather(vectors.to(grad.dtype) * grad, upstream)
        return along.to(upstream.dtype), (hvp * problem.spread(upstream, hvp)).to(logits.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        ctx.name = inputs[-1].function.__name__

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> None:
        raise NotImplementedError(f"{ctx.name} has first and second derivatives here, but no third")


def _for_tensors(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Wrap a function of `ctc.objectives`, which takes arrays, as a function of tensors."""

    @functools.wraps(function)
    @torch.compiler.disable
    def objective(logits: Tensor, *arguments: Any, **options: Any) -> Tensor:
        sequences = None if logits.dim() == 2 else 0 if options.get("layout") == "NTC" else 1
        problem = Problem(function, arguments, options, sequences)
        transformed = torch._C._are_functorch_transforms_active()
        want_grad = transformed or torch.is_grad_enabled() and logits.requires_grad
        return Objective.apply(logits, problem, want_grad)[0]

    signature = inspect.signature(function)
    objective.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[parameter for name, parameter in signature.parameters.items()
                    if name not in ("vectors", "want_grad")], return_annotation=Tensor)
    objective.__doc__ = f"""`ctc_scratch.{function.__name__}` for tensors; see there for the arguments.

    Returns the loss as a tensor, with first and second derivatives w.r.t. the logits. Other arguments are
    constants, and may be tensors, arrays or lists; `vectors` and `want_grad` are left to autograd.
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
