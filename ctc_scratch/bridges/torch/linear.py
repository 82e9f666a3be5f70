"""`linear_ctc_loss`: the CTC loss of an output layer, without the logits of all frames and classes in memory.

`linear_chunks` computes losses and gradients; this file makes them differentiable in torch, by two operators:
`linear_ctc_sum` returns a weighted sum of losses, and with it the gradients, which the backward pass only
multiplies; `linear_ctc_each` returns the losses, and its backward pass calls the first one.
"""

from typing import Any, List, Optional, Tuple, cast  # torch reads List[bool] and the like as a schema

import numpy as np
import torch
from torch import Tensor

from ...ctc.inputs.options import check_blank, check_choice, check_count
from .linear_chunks import Gradients, check_values, dtype_of, solve
from .tensors import reduction_factors

CHUNK_BYTES = 2**24
"""The default memory for the logits of one chunk: enough frames for fast matrix products."""

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def linear_ctc_loss(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    *,
    zero_infinity: bool = False,
    chunk_bytes: int = CHUNK_BYTES,
) -> Tensor:
    """The CTC loss of the logits `F.linear(hidden, weight, bias)`, which are never all in memory.

    Equals `F.ctc_loss(F.linear(hidden, weight, bias).log_softmax(-1), targets, ...)`. It is meant for
    vocabularies so large that the logits and their gradient would fill the memory.

    Parameters
    ----------
    hidden : (T, N, D) float tensor, or (T, D) for one sequence
    weight : (C, D) float tensor, that of the output layer
    bias : (C,) float tensor, or None. It may hold -inf, for classes of probability 0.
    targets : integer tensor, padded (N, U) or joined (sum of U,); for one sequence (U,)
    input_lengths, target_lengths : (N,) integers, as a tensor, list or tuple
        Frames used of each sequence, and labels used of each target. The frames after them are never
        read, and their gradient is 0.
    blank : which class is the blank
    reduction : "none", "sum" or "mean" (each loss divided by max(U, 1), then the mean)
    zero_infinity : whether the loss of an infeasible target is 0 instead of inf; its gradient is always 0
    chunk_bytes : memory for the logits of the frames that are computed together

    Returns
    -------
    The loss, (N,) with reduction "none", else a scalar; in float64 if one of the tensors is, else in float32.
    Gradients have the dtypes of their tensors. There is no second derivative.

    Raises
    ------
    ValueError, TypeError
        If an argument has a wrong shape or type, a label is not a class, or a number is NaN or infinite.
        All this is checked before anything is computed. Also ValueError if logits overflow.

    Notes
    -----
    Extra memory: `chunk_bytes`, O(T N U), and the gradients w.r.t. weight and hidden. These are computed
    together with the loss and kept until the backward pass multiplies them; with reduction "none", they are
    computed in the backward pass, which computes the logits again. float16 and bfloat16 are computed in
    float32, with a float32 copy of the weight. Padding and infeasible targets take no time.

    Examples
    --------
    Four frames, three classes, all equally likely: 15 of the 81 paths spell (1, 2).

    >>> hidden, weight = torch.ones(4, 1, 5), torch.zeros(3, 5, requires_grad=True)
    >>> loss = linear_ctc_loss(hidden, weight, None, torch.tensor([[1, 2]]), [4], [2], reduction="sum")
    >>> round(loss.item(), 6), round(float(-np.log(15 / 81)), 6)
    (1.686399, 1.686399)
    >>> loss.backward()
    >>> weight.grad[:, 0]  # probs - occupancy, summed over the frames
    tensor([ 0.1333, -0.0667, -0.0667])
    """
    check_choice("reduction", reduction, ("none", "sum", "mean"))
    _check_tensors(hidden, weight, bias, targets)
    single = hidden.ndim == 2
    if single:
        hidden, targets = hidden.unsqueeze(1), targets.reshape(1, -1)
    N = hidden.shape[1]
    lengths = _as_lengths(input_lengths, "input_lengths", N, single)
    labels = _as_lengths(target_lengths, "target_lengths", N, single)
    arguments = (hidden, weight, bias, targets, lengths, labels)
    options = dict(blank=check_blank(blank, len(weight)), zero_infinity=bool(zero_infinity),
                   chunk_bytes=check_count("chunk_bytes", chunk_bytes))
    if reduction == "none":
        losses = linear_ctc_each(*arguments, **options)
        return losses[0] if single else losses
    weights = reduction_factors(labels, reduction, torch.empty(0, dtype=torch.float64))
    needs = [torch.is_grad_enabled() and tensor is not None and tensor.requires_grad
             for tensor in (hidden, weight, bias)]
    return linear_ctc_sum(*arguments, weights, needs, **options)[0]


# ---- the operators ----------------------------------------------------------------------------


@torch.library.custom_op("ctc_scratch::linear_ctc_sum", mutates_args=())
def linear_ctc_sum(
    hidden: Tensor, weight: Tensor, bias: Optional[Tensor], targets: Tensor, input_lengths: Tensor,
    target_lengths: Tensor, weights: Tensor, needs: List[bool], *, blank: int, zero_infinity: bool,
    chunk_bytes: int,
) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """The sum of the losses times `weights` (N,), and its gradients w.r.t. hidden, weight and bias.

    Gradients have the dtype of the computation. One that is not needed is an empty tensor.
    """
    tensors = hidden, weight, bias
    layer, batch = check_values(*tensors, targets, input_lengths, target_lengths, blank)
    grads = [layer.weight.new_zeros(tensor.shape) if tensor is not None and need else None
             for tensor, need in zip(tensors, needs)]
    gradients = Gradients(weights.to(layer.weight), *grads) if any(needs) else None
    losses = solve(layer, batch, gradients, chunk_bytes)
    if zero_infinity:
        losses[losses == np.inf] = 0.0
    loss = layer.weight.new_tensor(np.dot(weights.double().cpu().numpy(), losses))
    d_hidden, d_weight, d_bias = (layer.weight.new_empty(0) if grad is None else grad for grad in grads)
    return loss, d_hidden, d_weight, d_bias


@linear_ctc_sum.register_fake
def _(hidden, weight, bias, targets, input_lengths, target_lengths, weights, needs, **options):
    dtype = dtype_of(hidden, weight, bias)
    return hidden.new_empty((), dtype=dtype), *(hidden.new_empty(tensor.shape if need else 0, dtype=dtype)
                                                for tensor, need in zip((hidden, weight, bias), needs))


def _keep_gradients(ctx, inputs, keyword_only_inputs, output):
    ctx.set_materialize_grads(False)  # no zeros for the gradients of gradients
    ctx.save_for_backward(*output[1:])
    ctx.dtypes = [tensor.dtype if need else None for tensor, need in zip(inputs[:3], inputs[7])]


def _multiply_gradients(ctx, slope, *slopes_of_gradients):
    if any(slope is not None for slope in slopes_of_gradients):
        raise NotImplementedError(
            "linear_ctc_loss has no second derivative: compute the logits, and use a loss that has one")
    # Multiply before rounding to float16, so that a scaled loss keeps small gradients from becoming 0.
    grads = [None if slope is None or dtype is None else (slope * grad).to(dtype)
             for grad, dtype in zip(ctx.saved_tensors, ctx.dtypes)]
    return *grads, None, None, None, None, None


linear_ctc_sum.register_autograd(_multiply_gradients, setup_context=_keep_gradients)


@torch.library.custom_op("ctc_scratch::linear_ctc_each", mutates_args=())
def linear_ctc_each(
    hidden: Tensor, weight: Tensor, bias: Optional[Tensor], targets: Tensor, input_lengths: Tensor,
    target_lengths: Tensor, *, blank: int, zero_infinity: bool, chunk_bytes: int,
) -> Tensor:
    """The losses (N,), without gradients, which the backward pass computes."""
    layer, batch = check_values(hidden, weight, bias, targets, input_lengths, target_lengths, blank)
    losses = solve(layer, batch, None, chunk_bytes)
    if zero_infinity:
        losses[losses == np.inf] = 0.0
    return torch.from_numpy(losses).to(layer.weight)


@linear_ctc_each.register_fake
def _(hidden, weight, bias, targets, input_lengths, target_lengths, **options):
    return hidden.new_empty(hidden.shape[1], dtype=dtype_of(hidden, weight, bias))


def _keep_inputs(ctx, inputs, keyword_only_inputs, output):
    ctx.save_for_backward(*inputs)
    ctx.options = keyword_only_inputs


def _compute_gradients(ctx, slopes):
    needs = list(ctx.needs_input_grad[:3])
    _, *grads = linear_ctc_sum(*ctx.saved_tensors, slopes, needs, **ctx.options)
    return *(grad.to(tensor.dtype) if need else None
             for grad, need, tensor in zip(grads, needs, ctx.saved_tensors)), None, None, None


linear_ctc_each.register_autograd(_compute_gradients, setup_context=_keep_inputs)


# ---- checks -----------------------------------------------------------------------------------


def _check_tensors(hidden: Any, weight: Any, bias: Any, targets: Any) -> None:
    """Raise an error unless types, shapes and devices fit; `check_values` checks numbers and labels."""
    named = {"hidden": hidden, "weight": weight, "bias": bias, "targets": targets}
    for name, tensor in named.items():
        if not isinstance(tensor, Tensor) and not (name == "bias" and tensor is None):
            raise TypeError(f"{name} must be a tensor, got {type(tensor).__name__}")
        if name != "targets" and tensor is not None and tensor.dtype not in FLOATS:
            raise TypeError(f"{name} must be a tensor of floats, got {tensor.dtype}")
        if name != "targets" and tensor is not None and tensor.device != hidden.device:
            raise ValueError(f"{name} is on {tensor.device}, hidden on {hidden.device}")
    if targets.numel() and not _holds_integers(targets):
        raise TypeError(f"targets must hold integers, got a tensor of {targets.dtype}")
    if hidden.ndim not in (2, 3):
        raise ValueError(f"hidden must have shape (T, N, D) or (T, D), got {tuple(hidden.shape)}")
    D = hidden.shape[-1]
    if weight.ndim != 2 or weight.shape[1] != D or len(weight) == 0:
        raise ValueError(f"weight must have shape (C, D) with D = {D} as in hidden, "
                         f"got {tuple(weight.shape)}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias must have shape ({len(weight)},), one for each class, "
                         f"got {tuple(bias.shape)}")


def _as_lengths(lengths: Any, name: str, N: int, single: bool) -> Tensor:
    """One integer for each of N sequences; a single sequence may have a plain number."""
    lengths = torch.as_tensor(lengths).cpu()
    if single and lengths.ndim == 0:
        lengths = lengths[None]
    if lengths.shape != (N,):
        raise ValueError(
            f"{name} must have shape ({N},), one for each sequence, got {tuple(lengths.shape)}")
    if N and not _holds_integers(lengths):
        raise TypeError(f"{name} must hold integers, got a tensor of {lengths.dtype}")
    return cast(Tensor, lengths.long())


def _holds_integers(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)
