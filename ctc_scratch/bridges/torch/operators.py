"""Custom operators of torch: the CTC loss, its first derivative, and its second derivative.

    ctc_loss           scores -> the loss (N,) of each sequence, and its gradient (T, N, C)
    ctc_loss_backward  upstream (N,), gradient, scores -> upstream * gradient
    ctc_loss_hvp       vectors (T, N, C), scores -> the Hessian of each loss times its vector

torch.compile and torch.export keep each as one node of the graph. torch.func differentiates them, and its
`vmap` joins a batch of batches into one larger batch. Reductions are taken outside. `eager` computes the same
numbers in less time.
"""

from typing import Any, Callable, Optional, Tuple

import torch
from torch import Tensor
from torch.library import custom_op

from .solve import Options, hessian_vector_product, solve
from .tensors import computed_in, is_batch_first


@custom_op("ctc_scratch::ctc_loss", mutates_args=())
def ctc_loss(
    scores: Tensor, targets: Tensor, frames: Tensor, labels: Tensor, blank: int, kind: str, infeasible: str,
    want_grad: bool,
) -> Tuple[Tensor, Tensor]:
    """The losses (N,) of scores (T, N, C), and their gradients, or an empty tensor if they are not wanted."""
    options = Options(blank, kind, infeasible, "none")
    losses, grad = solve(scores, targets, frames, labels, options, want_grad)
    return losses, scores.new_empty(0) if grad is None else grad


@ctc_loss.register_fake
def _(scores, targets, frames, labels, blank, kind, infeasible, want_grad):
    dtype = computed_in(scores.dtype)
    losses = scores.new_empty(scores.shape[1], dtype=dtype)
    return losses, _like(scores, dtype) if want_grad else scores.new_empty(0)


def _like(scores: Tensor, dtype: torch.dtype) -> Tensor:
    """An empty tensor with the shape of the scores, and with the layout that `solve` gives a gradient."""
    T, N, C = scores.shape
    if is_batch_first(scores):
        return scores.new_empty((N, T, C), dtype=dtype).transpose(0, 1)
    return scores.new_empty((T, N, C), dtype=dtype)


@custom_op("ctc_scratch::ctc_loss_backward", mutates_args=())
def ctc_loss_backward(
    upstream: Tensor, grad: Tensor, scores: Tensor, targets: Tensor, frames: Tensor, labels: Tensor,
    blank: int, kind: str,
) -> Tensor:
    """upstream * gradient for each sequence, in the type of the scores."""
    return (grad * upstream[:, None]).to(scores.dtype)


@ctc_loss_backward.register_fake
def _(upstream, grad, scores, targets, frames, labels, blank, kind):
    return torch.empty_like(grad, dtype=scores.dtype)


@custom_op("ctc_scratch::ctc_loss_hvp", mutates_args=())
def ctc_loss_hvp(
    vectors: Tensor, scores: Tensor, targets: Tensor, frames: Tensor, labels: Tensor, blank: int, kind: str,
) -> Tensor:
    """The derivative of <vectors, gradient> w.r.t. the scores, in the type in which the loss is computed."""
    return hessian_vector_product(vectors, scores, targets, frames, labels, blank, kind)


@ctc_loss_hvp.register_fake
def _(vectors, scores, targets, frames, labels, blank, kind):
    return scores.new_empty(scores.shape, dtype=computed_in(scores.dtype))


# ---- derivatives -------------------------------------------------------------------------------------


def save_loss(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    scores, targets, frames, labels, ctx.blank, ctx.kind, _, _ = inputs
    ctx.save_for_backward(output[1], scores, targets, frames, labels)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def differentiate_loss(ctx: Any, upstream: Optional[Tensor], _: Any) -> tuple[Optional[Tensor], ...]:
    """The derivative w.r.t. the scores: upstream * gradient."""
    if upstream is None:
        return (None,) * 8
    return _call(Backward, ctc_loss_backward)(upstream, *ctx.saved_tensors, ctx.blank, ctx.kind), *[None] * 7


def save_backward(ctx: Any, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.blank, ctx.kind = inputs
    ctx.save_for_backward(*tensors)


def differentiate_backward(ctx: Any, vectors: Tensor) -> tuple[Optional[Tensor], ...]:
    """The derivatives w.r.t. upstream and scores: <vectors, gradient>, and upstream * Hessian * vectors.

    The gradient is differentiated as a function of the scores; the tensor that holds it gets no derivative.
    """
    upstream, grad, scores, *problem = ctx.saved_tensors
    vectors = vectors.to(grad.dtype)
    hvp = _call(HVP, ctc_loss_hvp)(vectors, scores, *problem, ctx.blank, ctx.kind)
    return (vectors * grad).sum((0, 2)), None, (upstream[:, None] * hvp).to(scores.dtype), *[None] * 5


def save_nothing(ctx: Any, inputs: tuple, output: Tensor) -> None:
    pass


def refuse_third(ctx: Any, *upstream: Tensor) -> None:
    raise NotImplementedError("the CTC loss has first and second derivatives here, but no third")


ctc_loss.register_autograd(differentiate_loss, setup_context=save_loss)
ctc_loss_backward.register_autograd(differentiate_backward, setup_context=save_backward)
ctc_loss_hvp.register_autograd(refuse_third)


# ---- torch.func --------------------------------------------------------------------------------------
# Its transforms cannot differentiate an operator (pytorch issue 170834), but they can differentiate a
# Function that calls one. Under vmap, B batches of N sequences become one batch of B N sequences.


def batched(call: Callable[..., Any], axes: tuple[int, ...]) -> Callable[..., Any]:
    """The vmap rule of `call`, whose tensor arguments have their N sequences at `axes`."""

    def rule(info: Any, in_dims: tuple, *arguments: Any) -> tuple[Any, Any]:
        B = info.batch_size
        folded = [_fold(*three, B) for three in zip(arguments, in_dims, axes)]
        output = call(*folded, *arguments[len(axes):])
        if isinstance(output, Tensor):
            return output.unflatten(1, (B, -1)), 1
        losses, grad = output
        wanted = grad.dim() == 3
        return (losses.unflatten(0, (B, -1)), grad.unflatten(1, (B, -1)) if wanted else grad), (
            0, 1 if wanted else None)

    return rule


def _fold(tensor: Tensor, dim: Optional[int], axis: int, B: int) -> Tensor:
    """Join the axis `dim`, over which vmap maps, to `axis`; a tensor without it is first repeated B times."""
    if dim is None:
        tensor, dim = tensor.expand(B, *tensor.shape), 0
    return tensor.movedim(dim, axis).flatten(axis, axis + 1)


class Loss(torch.autograd.Function):
    """The operator `ctc_loss` under the transforms of torch.func."""

    forward = staticmethod(lambda *arguments: ctc_loss(*arguments))
    setup_context, backward = staticmethod(save_loss), staticmethod(differentiate_loss)
    vmap = staticmethod(batched(lambda *arguments: Loss.apply(*arguments), (1, 0, 0, 0)))


class Backward(torch.autograd.Function):
    """The operator `ctc_loss_backward` under the transforms of torch.func."""

    forward = staticmethod(lambda *arguments: ctc_loss_backward(*arguments))
    setup_context, backward = staticmethod(save_backward), staticmethod(differentiate_backward)
    vmap = staticmethod(batched(lambda *arguments: Backward.apply(*arguments), (0, 1, 1, 0, 0, 0)))


class HVP(torch.autograd.Function):
    """The operator `ctc_loss_hvp` under the transforms of torch.func."""

    forward = staticmethod(lambda *arguments: ctc_loss_hvp(*arguments))
    setup_context, backward = staticmethod(save_nothing), staticmethod(refuse_third)
    vmap = staticmethod(batched(lambda *arguments: HVP.apply(*arguments), (1, 1, 0, 0, 0)))


def _call(function: type[torch.autograd.Function], operator: Callable[..., Any]) -> Callable[..., Any]:
    """What to call: the function under a transform of torch.func, else its operator."""
    return function.apply if torch._C._are_functorch_transforms_active() else operator
